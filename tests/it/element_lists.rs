//! Safelists and denylists through the engine: what readers see of them, and who wins where two write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use doorward::core::change::{Change, ChangeError};
use doorward::core::decision::{Question, Reason, Resource};
use doorward::core::id::Id;
use doorward::core::model::{Key, Row, SafelistElement, Settings};
use doorward::core::table::Table;
use doorward::core::{Fault, Violation};
use doorward::engine::{AtLeast, Call, Create, Engine, ReadError, SuperContent, SuperOutcome, WriteError};
use doorward::store::{MemoryStore, Options, PolicyStore, SledStore};
use serde_json::json;

use crate::engine::TestClock;
use crate::support::{call, rows};

fn open(store: Arc<dyn PolicyStore>) -> Arc<Engine> {
    Arc::new(Engine::open(store, TestClock::at(5), |error| panic!("{error}")).unwrap())
}

fn id(text: &str) -> Id {
    text.parse().unwrap()
}

async fn write(engine: &Arc<Engine>, organization: &str, changes: Vec<Change>) -> Result<(), WriteError<()>> {
    engine.write(call(organization), |_| Ok(changes), |_| Vec::new()).await.map(drop)
}

/// An organization of `globex` (unless told otherwise) with elements, and Ana who may read them.
async fn organization(engine: &Arc<Engine>, name: &str, over: Option<&str>, elements: &[String]) {
    let mut file = json!({
        "organization": name,
        "preset": "integration",
        "objects": elements.iter().map(|id| json!({"id": id, "kind": "element"})).collect::<Vec<_>>(),
        "users": [{"id": "ana", "email": "ana@acme.com"}],
    });
    if let Some(over) = over {
        file["super_organization"] = over.into();
    }
    write(engine, name, vec![Change::Replace { rows: rows(&file), deactivate_missing: false }]).await.unwrap();
}

fn elements(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

async fn deny(engine: &Arc<Engine>, over: &str, denied: &[&str]) -> Result<u64, WriteError<()>> {
    let denylist = denied.iter().map(|text| id(text)).collect();
    let plan = move |old: Option<&doorward::core::lists::SuperOrganization>| {
        let display_name = old.map_or_else(String::new, |old| old.display_name.clone());
        Ok(Some(SuperContent { display_name, denylist }))
    };
    let reply = |o: &SuperOutcome| o.revision.number.to_be_bytes().to_vec();
    let written = engine.write_super(call(over), plan, reply).await?;
    Ok(u64::from_be_bytes(written.reply.try_into().unwrap()))
}

fn entry(element: &str) -> Row {
    Row::SafelistElement(SafelistElement { element: id(element) })
}

async fn list(engine: &Arc<Engine>, organization: &str, element: &str) -> Result<(), WriteError<()>> {
    write(engine, organization, vec![Change::Create(entry(element))]).await
}

async fn unlist(engine: &Arc<Engine>, organization: &str, element: &str) -> Result<(), WriteError<()>> {
    let keys = vec![Key::SafelistElement(id(element))];
    write(engine, organization, vec![Change::Delete { keys, etag: None }]).await
}

fn asks(engine: &Engine, organization: &str, element: &str) -> Reason {
    let resource = Resource { object: element, ..Resource::default() };
    let question = Question { principal: "ana", permission: "elements.read", resource, ..Question::default() };
    engine.authorize(organization, None, &question, |decided, _| decided.reason).unwrap()
}

async fn table(engine: &Engine, organization: &str) -> Arc<Table> {
    engine.table(organization, None, Duration::ZERO).await.unwrap()
}

fn refused(result: Result<(), WriteError<()>>) -> Vec<Violation> {
    match result {
        Err(WriteError::Change(ChangeError::Violations(violations))) => violations,
        other => panic!("{other:?}"),
    }
}

/// Sets where an organization belongs.
async fn move_to(engine: &Arc<Engine>, organization: &str, over: Option<&str>) -> Result<(), WriteError<()>> {
    let over = over.map(id);
    let plan = move |table: &Table| {
        let settings = Settings::clone(table.settings().unwrap());
        let row = Row::Settings(Settings { super_organization: over, ..settings });
        Ok(vec![Change::Update { row, etag: None }])
    };
    engine.write(call(organization), plan, |_| Vec::new()).await.map(drop)
}

#[tokio::test]
async fn m7_2_an_element_is_on_one_list_only_and_the_error_names_it_and_the_other_list() {
    let engine = open(Arc::new(MemoryStore::new()));
    deny(&engine, "globex", &[]).await.unwrap();
    organization(&engine, "acme", Some("globex"), &elements(&["x", "y", "z"])).await;
    organization(&engine, "other", None, &elements(&["x", "y", "z"])).await;
    list(&engine, "acme", "x").await.unwrap();
    list(&engine, "other", "y").await.unwrap();
    let Err(WriteError::SuperOrganization(fault)) = deny(&engine, "globex", &["y", "x"]).await else { panic!() };
    assert_eq!(fault.to_string(), "element `x` is on the safelist of organization `acme`");
    assert_eq!(fault.reason(), "ELEMENT_LISTED");
    // What another organization lists is none of its business.
    deny(&engine, "globex", &["y"]).await.unwrap();
    let violations = refused(list(&engine, "acme", "y").await);
    assert_eq!(violations[0].key, Key::SafelistElement(id("y")));
    assert_eq!(violations[0].fault.to_string(), "element `y` is on the denylist of super-organization `globex`");
    // A dry run says so too, and neither changed anything.
    let dry = Call { validate_only: true, ..call("acme") };
    let changes = vec![Change::Create(entry("y"))];
    assert!(engine.write(dry, |_| Ok::<_, ()>(changes), |_| Vec::new()).await.is_err());
    let acme = table(&engine, "acme").await;
    assert_eq!((acme.revision(), acme.safelist().len()), (2, 1));
    // What is off one list may go onto the other.
    list(&engine, "acme", "z").await.unwrap();
    unlist(&engine, "acme", "x").await.unwrap();
    deny(&engine, "globex", &["x"]).await.unwrap();
    list(&engine, "acme", "y").await.unwrap();
    assert_eq!(asks(&engine, "acme", "x"), Reason::ElementNotListed);
    assert_eq!(asks(&engine, "acme", "y"), Reason::Allowed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn m7_2_of_two_writers_at_once_one_loses() {
    let engine = open(Arc::new(MemoryStore::new()));
    let ids: Vec<String> = (0..200).map(|n| format!("e{n}")).collect();
    deny(&engine, "globex", &[]).await.unwrap();
    organization(&engine, "acme", Some("globex"), &ids).await;
    let mut won: BTreeMap<&str, usize> = BTreeMap::new();
    for element in &ids {
        let (one, other) = (Arc::clone(&engine), Arc::clone(&engine));
        let (safe, denied) = (element.clone(), element.clone());
        let barrier = Arc::new(tokio::sync::Barrier::new(2));
        let (first, second) = (Arc::clone(&barrier), barrier);
        let safe = tokio::spawn(async move {
            first.wait().await;
            list(&one, "acme", &safe).await
        });
        let denied = tokio::spawn(async move {
            second.wait().await;
            let element = id(&denied);
            let plan = move |old: Option<&doorward::core::lists::SuperOrganization>| {
                let denylist = old.unwrap().denylist.update(element);
                Ok::<_, ()>(Some(SuperContent { display_name: String::new(), denylist }))
            };
            other.write_super(call("globex"), plan, |_| Vec::new()).await.map(drop)
        });
        let (safe, denied) = (safe.await.unwrap(), denied.await.unwrap());
        match (&safe, &denied) {
            (Ok(()), Err(WriteError::SuperOrganization(Fault::Listed { element: named, .. }))) => {
                assert_eq!(named, element);
                *won.entry("safelist").or_default() += 1;
            }
            (Err(WriteError::Change(ChangeError::Violations(violations))), Ok(())) => {
                assert_eq!(violations[0].fault.reason(), "ELEMENT_LISTED");
                *won.entry("denylist").or_default() += 1;
            }
            both => panic!("{element}: {both:?}"),
        }
        let listed = table(&engine, "acme").await.safelist().contains(&id(element));
        let globex = engine.super_organization("globex", None, Duration::ZERO).await.unwrap();
        assert!(listed != globex.denylist.contains(&id(element)), "{element}");
        assert_eq!(asks(&engine, "acme", element) == Reason::Allowed, listed, "{element}");
    }
    println!("{won:?}");
    assert_eq!(won.len(), 2, "both come first now and then: {won:?}");
}

#[tokio::test]
async fn m4_4_a_denylist_holds_in_every_organization_once_it_is_acknowledged() {
    let engine = open(Arc::new(MemoryStore::new()));
    deny(&engine, "globex", &["later"]).await.unwrap();
    deny(&engine, "initech", &["x"]).await.unwrap();
    for (name, over) in [("a", Some("globex")), ("b", Some("globex")), ("c", Some("initech")), ("d", None)] {
        organization(&engine, name, over, &elements(&["x", "y"])).await;
    }
    let see = |element| ["a", "b", "c", "d"].map(|name| asks(&engine, name, element) == Reason::Allowed);
    assert_eq!(see("x"), [true, true, false, true]);
    assert_eq!(deny(&engine, "globex", &["x", "later"]).await.unwrap(), 2);
    assert_eq!((see("x"), see("y")), ([false, false, false, true], [true; 4]));
    // It is a revision of the super-organization, and of no organization.
    assert_eq!(table(&engine, "a").await.revision(), 1);
    // An element that comes into being later is denied from the start, and other writes open nothing.
    let object = rows(&json!({"organization": "a", "objects": [{"id": "later", "kind": "element"}]}));
    let later: Vec<Row> = object.into_iter().filter(|row| matches!(row, Row::Object(_))).collect();
    write(&engine, "a", later.iter().cloned().map(Change::Create).collect()).await.unwrap();
    assert_eq!(
        (asks(&engine, "a", "later"), asks(&engine, "a", "x")),
        (Reason::ElementNotListed, Reason::ElementNotListed)
    );
    deny(&engine, "globex", &[]).await.unwrap();
    assert_eq!((asks(&engine, "a", "later"), see("x")), (Reason::Allowed, [true, true, false, true]));
}

#[tokio::test]
async fn m1_1_an_organization_belongs_to_what_exists_and_takes_its_denylist_along() {
    let engine = open(Arc::new(MemoryStore::new()));
    deny(&engine, "globex", &["x"]).await.unwrap();
    deny(&engine, "initech", &["y"]).await.unwrap();
    organization(&engine, "acme", Some("globex"), &elements(&["x", "y", "z"])).await;
    let violations = refused(move_to(&engine, "acme", Some("nobody")).await);
    assert_eq!(violations[0].fault.to_string(), "unknown super-organization `nobody`");
    assert_eq!((&violations[0].key, violations[0].field), (&Key::Settings, "super_organization"));
    move_to(&engine, "acme", Some("initech")).await.unwrap();
    assert_eq!(["x", "y"].map(|e| asks(&engine, "acme", e)), [Reason::Allowed, Reason::ElementNotListed]);
    list(&engine, "acme", "x").await.unwrap();
    assert_eq!(refused(move_to(&engine, "acme", Some("globex")).await)[0].fault.reason(), "ELEMENT_LISTED");
    // It left: what it lists stands in nobody's way there, and does here.
    deny(&engine, "globex", &["x", "z"]).await.unwrap();
    assert!(matches!(deny(&engine, "initech", &["x"]).await, Err(WriteError::SuperOrganization(_))));
    let delete = |name: &'static str| {
        let engine = Arc::clone(&engine);
        async move { engine.write_super(call(name), |_| Ok::<_, ()>(None), |_| Vec::new()).await.map(drop) }
    };
    let Err(WriteError::SuperOrganization(fault)) = delete("initech").await else { panic!() };
    assert_eq!(fault.reason(), "IN_USE");
    delete("globex").await.unwrap();
    let gone = engine.super_organization("globex", None, Duration::ZERO).await;
    assert_eq!(gone, Err(ReadError::UnknownSuperOrganization("globex".into())));
    assert_eq!(refused(move_to(&engine, "acme", Some("globex")).await)[0].fault.reason(), "UNKNOWN_REFERENCE");
    move_to(&engine, "acme", None).await.unwrap();
    assert_eq!(["x", "y"].map(|e| asks(&engine, "acme", e)), [Reason::Allowed, Reason::ElementNotListed]);
    unlist(&engine, "acme", "x").await.unwrap();
    assert_eq!(asks(&engine, "acme", "y"), Reason::Allowed, "nothing lists it any more");
}

#[tokio::test]
async fn m7_2_lists_survive_a_restart_with_what_they_exclude() {
    let dir = tempfile::tempdir().unwrap();
    let sled = || Arc::new(SledStore::open(dir.path(), Options::default()).unwrap());
    let longest = "s".repeat(128);
    let history;
    {
        let engine = open(sled());
        deny(&engine, &longest, &["x", "w"]).await.unwrap();
        deny(&engine, "gone", &["x"]).await.unwrap();
        engine.write_super(call("gone"), |_| Ok::<_, ()>(None), |_| Vec::new()).await.unwrap();
        organization(&engine, "acme", Some(&longest), &elements(&["x", "y", "z"])).await;
        list(&engine, "acme", "y").await.unwrap();
        deny(&engine, &longest, &["x", "v"]).await.unwrap();
        history = engine.super_organization(&longest, None, Duration::ZERO).await.unwrap().history.clone();
        engine.stop();
    }
    let engine = open(sled());
    let over = engine.super_organization(&longest, None, Duration::ZERO).await.unwrap();
    assert_eq!((over.revision, &over.history), (2, &history));
    assert_eq!(over.denylist.iter().map(Id::as_str).collect::<Vec<_>>(), ["v", "x"]);
    assert_eq!(engine.super_organizations().len(), 1);
    let answers = ["x", "y", "z"].map(|element| asks(&engine, "acme", element) == Reason::Allowed);
    assert_eq!(answers, [false, true, false]);
    assert_eq!(refused(list(&engine, "acme", "x").await)[0].fault.reason(), "ELEMENT_LISTED");
    assert!(matches!(deny(&engine, &longest, &["y"]).await, Err(WriteError::SuperOrganization(_))));
    // Created again it goes on counting, with a history of its own; an older least revision is of another.
    assert_eq!(deny(&engine, "gone", &[]).await.unwrap(), 3);
    let again = engine.super_organization("gone", None, Duration::ZERO).await.unwrap();
    assert_eq!((again.revision, again.denylist.len()), (3, 0));
    let other = AtLeast { history: "else", number: 1 };
    let read = engine.super_organization("gone", Some(other), Duration::ZERO).await;
    assert_eq!(read, Err(ReadError::OtherHistory));
    let soon = AtLeast { history: "", number: 4 };
    let read = engine.super_organization("gone", Some(soon), Duration::from_millis(5)).await;
    assert_eq!(read, Err(ReadError::NotReached { wanted: 4, reached: 3 }));
}

#[tokio::test]
async fn a_repeated_write_of_a_super_organization_gets_the_first_reply() {
    let engine = open(Arc::new(MemoryStore::new()));
    let create = || Call { request_id: "one".into(), create: Create::Always, ..call("globex") };
    let content =
        || Ok::<_, ()>(Some(SuperContent { display_name: "Globex".into(), denylist: [id("x")].into_iter().collect() }));
    let reply = |o: &SuperOutcome| o.revision.number.to_string().into_bytes();
    let dry = Call { validate_only: true, ..create() };
    assert_eq!(engine.write_super(dry, move |_| content(), reply).await.unwrap().reply, b"0");
    assert!(engine.super_organizations().is_empty());
    for replayed in [false, true] {
        let written = engine.write_super(create(), move |_| content(), reply).await.unwrap();
        assert_eq!((written.reply.as_slice(), written.replayed), (&b"1"[..], replayed));
    }
    let other = Call { body: [8; 32], ..create() };
    assert!(matches!(engine.write_super(other, move |_| content(), reply).await, Err(WriteError::RequestIdReused)));
    let again = Call { request_id: String::new(), ..create() };
    let exists = engine.write_super(again, move |_| content(), reply).await;
    assert!(matches!(exists, Err(WriteError::SuperOrganizationExists(_))));
    // The same again makes no revision.
    let same = Call { create: Create::Never, ..call("globex") };
    assert_eq!(engine.write_super(same, move |_| content(), reply).await.unwrap().reply, b"1");
    let nobody = Call { create: Create::Never, ..call("nobody") };
    let unknown = engine.write_super(nobody, move |_| content(), reply).await;
    assert!(matches!(unknown, Err(WriteError::UnknownSuperOrganization(_))));
}
