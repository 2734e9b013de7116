//! Rule 2.1: nobody is a manager of its own, by any way round.

use doorward::core::change::{Change, ChangeError, apply};
use doorward::core::model::{Key, Row, User};
use doorward::core::table::Table;
use doorward::service::proto as pb;
use doorward::service::proto::organization_service_server::OrganizationService;
use doorward::service::proto::user_service_server::UserService;
use serde_json::json;
use tonic::Code;

use crate::activity::{World, by, creating, ok, operator};
use crate::cli::Files;
use crate::model::base;
use crate::support::{applied, table};
use crate::wire::{fields, reason};

/// `a` is led by `b`, and `b` by `c`; `d` and `e` by nobody.
fn led() -> Table {
    let user = |id: &str, manager: Option<&str>| {
        let mut user = json!({"id": id, "email": format!("{id}@acme.com")});
        if let Some(manager) = manager {
            user["manager"] = manager.into();
        }
        user
    };
    let users = [("a", Some("b")), ("b", Some("c")), ("c", None), ("d", None), ("e", None)];
    table(&base(json!({"users": users.map(|(id, manager)| user(id, manager))})))
}

/// A user with another manager.
fn under(table: &Table, id: &str, manager: &str) -> Change {
    let Some(Row::User(user)) = table.row(&Key::User(id.parse().unwrap())) else { panic!("{id}") };
    let manager = (!manager.is_empty()).then(|| manager.parse().unwrap());
    Change::Update { row: Row::User(User { manager, ..user }), etag: None }
}

/// Whose manager it is that is wrong, and why.
fn wrong(table: &Table, moves: &[(&str, &str)]) -> Vec<(String, &'static str, String)> {
    let changes = moves.iter().map(|(id, manager)| under(table, id, manager)).collect();
    match apply(table, changes) {
        Ok(_) => Vec::new(),
        Err(ChangeError::Violations(violations)) => {
            let told = |v: doorward::core::Violation| {
                assert_eq!(v.field, "manager");
                (v.key.describe(), v.fault.reason(), v.fault.to_string())
            };
            violations.into_iter().map(told).collect()
        }
        Err(error) => panic!("{error:?}"),
    }
}

fn circle(user: &str, way: &str) -> (String, &'static str, String) {
    let text = format!("this would close a circle: `{user}` would be a manager of its own ({way})");
    (format!("user `{user}`"), "CYCLE", text)
}

#[test]
fn m2_1_a_manager_is_not_its_own_nor_in_a_circle() {
    let before = led();
    assert_eq!(wrong(&before, &[("d", "d")]), [circle("d", "d")], "itself");
    assert_eq!(wrong(&before, &[("c", "b")]), [circle("c", "c → b")], "of two");
    assert_eq!(wrong(&before, &[("c", "a")]), [circle("c", "c → a → b")], "of three");
    let unknown = ("user `d`".to_owned(), "UNKNOWN_REFERENCE", "unknown user `nobody`".to_owned());
    assert_eq!(wrong(&before, &[("d", "nobody")]), [unknown]);
    assert_eq!(wrong(&before, &[("d", "a"), ("e", "a")]), [], "many may have one manager");
}

#[test]
fn m2_1_managers_are_judged_by_what_one_change_comes_to() {
    let before = led();
    // Each is fine without the other.
    assert_eq!(wrong(&before, &[("d", "e")]), []);
    assert_eq!(wrong(&before, &[("e", "d")]), []);
    let across = wrong(&before, &[("d", "e"), ("e", "d")]);
    assert_eq!(across, [circle("d", "d → e"), circle("e", "e → d")]);
    let long = wrong(&before, &[("c", "d"), ("d", "e"), ("e", "a")]);
    assert_eq!(long.len(), 3);
    assert!(long.iter().all(|(_, reason, _)| *reason == "CYCLE"), "{long:?}");
    // Two change places in one change, in whichever order.
    for moves in [[("b", "a"), ("a", "c")], [("a", "c"), ("b", "a")]] {
        let after = applied(&before, moves.iter().map(|(id, manager)| under(&before, id, manager)).collect());
        assert_eq!(wrong(&after, &[("c", "b")]), [circle("c", "c → b → a")], "and what they come to is judged again");
    }
}

#[tokio::test]
async fn m2_1_an_rpc_that_would_close_a_circle_of_managers_changes_nothing() {
    let world = World::memory().await;
    let root = &operator();
    let manager = |id: &str, manager: &str| pb::UpdateUserRequest {
        organization: "acme".into(),
        user: Some(pb::User { id: id.into(), manager: manager.into(), ..Default::default() }),
        ..Default::default()
    };
    ok(world.admin.update_user(by(root, manager("ana", "eve"))).await);
    let mut own = creating("new", "");
    own.user.as_mut().unwrap().manager = "new".into();
    let revision = async || {
        let request = pb::GetOrganizationRequest { organization: "acme".into(), min_revision: None };
        ok(world.admin.get_organization(by(root, request)).await).revision
    };
    let before = revision().await;
    let refused = [
        world.admin.update_user(by(root, manager("eve", "ana"))).await.map(drop).unwrap_err(),
        world.admin.update_user(by(root, manager("eve", "eve"))).await.map(drop).unwrap_err(),
        world.admin.create_user(by(root, own)).await.map(drop).unwrap_err(),
    ];
    for status in refused {
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "CYCLE"), "{status}");
        assert_eq!(fields(&status), ["user.manager"]);
    }
    assert_eq!(revision().await, before);
}

#[test]
fn m2_1_a_file_is_told_the_line_of_a_circle_of_managers_as_of_groups() {
    let files = Files::new();
    let told = |text: &str| {
        files.write("circle.yaml", text);
        let ask = ["check", "--org", "circle.yaml", "--principal", "a", "--permission", "organization.read"];
        let (status, out, error) = files.run(&ask);
        assert_eq!((status, out.as_str()), (2, ""), "{error}");
        error
    };
    let managers = "organization: acme
users:
  - {id: a, email: a@acme.com, manager: b}
  - {id: x, email: x@acme.com}
  - id: b
    email: b@acme.com
    manager: a
";
    assert_eq!(
        told(managers),
        "circle.yaml:3:10: users[0].manager: this would close a circle: `a` would be a manager of its own (a → b)
circle.yaml:5:9: users[2].manager: this would close a circle: `b` would be a manager of its own (b → a)
"
    );
    let groups = "organization: acme
groups:
  - {id: x, kind: manual}
  - {id: g, kind: manual, members: ['group:h']}
  - {id: h, kind: manual, members: ['group:g']}
";
    let told = told(groups);
    assert!(told.starts_with("circle.yaml:4:10: groups[1].groups: this would close a circle: "), "{told}");
}
