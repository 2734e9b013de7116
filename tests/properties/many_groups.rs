//! So many groups that sets of them are sparse, which random organizations are too small for.

use doorward::core::decision::{Question, Reason, Resource, decide};
use serde_json::{Value, json};

use crate::support::table;

const GROUPS: usize = 4_000;

/// Group n of every so many holds a permission somewhere, and the group around every tenth group one more.
const EVERY: [(usize, &str, Option<&str>); 4] =
    [(3, "p.dense", None), (97, "p.sparse", None), (89, "p.sparse", Some("app")), (1_999, "p.two", Some("app"))];

fn gives(group: usize, permission: &str, object: Option<&str>) -> bool {
    let around = group.is_multiple_of(10) && permission == "p.around";
    around
        || EVERY
            .iter()
            .any(|(every, p, at)| group.is_multiple_of(*every) && *p == permission && (at.is_none() || *at == object))
}

#[test]
fn m4_5_whoever_is_in_a_group_that_holds_it_is_found_among_thousands() {
    let mut grants = vec![json!({"permissions": ["p.around"], "member": "group:around"})];
    for (every, permission, object) in EVERY {
        grants.extend((0..GROUPS).step_by(every).map(|group| {
            let mut grant = json!({"permissions": [permission], "member": format!("group:g{group}")});
            if let Some(object) = object {
                grant["object"] = json!(object);
            }
            grant
        }));
    }
    let tenth: Vec<String> = (0..GROUPS).step_by(10).map(|group| format!("group:g{group}")).collect();
    let around = json!({"id": "around", "kind": "manual", "members": tenth});
    let group = |n: usize| json!({"id": format!("g{n}"), "kind": "manual", "members": [format!("user:u{n}"), format!("user:u{}", (n * 7 + 1) % GROUPS)]});
    let permissions = ["p.dense", "p.sparse", "p.two", "p.around", "p.nobody"];
    let file = json!({
        "organization": "acme",
        "permissions": permissions.map(|name| json!({"name": name, "level": "object"})),
        "objects": [{"id": "app", "kind": "app"}, {"id": "other", "kind": "app"}],
        "users": (0..GROUPS).map(|n| json!({"id": format!("u{n}"), "email": format!("u{n}@acme.com")})).collect::<Vec<_>>(),
        "groups": (0..GROUPS).map(group).chain([around]).collect::<Vec<Value>>(),
        "grants": grants,
    });
    let table = table(&file);
    let mut groups_of = vec![Vec::new(); GROUPS];
    for n in 0..GROUPS {
        groups_of[n].push(n);
        groups_of[(n * 7 + 1) % GROUPS].push(n);
    }
    for (user, groups) in groups_of.iter().enumerate() {
        for permission in permissions {
            for object in [None, Some("app"), Some("other")] {
                let resource = Resource { object: object.unwrap_or(""), ..Resource::default() };
                let question = Question { principal: &format!("u{user}"), permission, resource, ..Question::default() };
                let allowed = groups.iter().any(|group| gives(*group, permission, object));
                let right = if allowed { Reason::Allowed } else { Reason::NoPermission };
                assert_eq!(decide(&table, &question, 0), Ok(right), "u{user} {permission} {object:?}");
            }
        }
    }
}
