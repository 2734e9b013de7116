//! Writes the world for every server into a folder, and what is asked of it with the right answers
//! (for people: `drive` makes the same questions from the same seed). `world FOLDER`
#![allow(clippy::unwrap_used, reason = "a bench may fail loudly")]

use std::fmt::Write as _;
use std::path::Path;

use peers::files;
use peers::world::{Kind, Size, World};
use serde_json::{Value, json};

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| panic!("world FOLDER"));
    let folder = Path::new(&folder);
    let world = World::new(Size::SERVED);
    let write = |path: &str, text: String| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("doorward.json", files::doorward(&world).to_string());
    for (name, policy) in files::cerbos(&world) {
        write(&format!("cerbos/{name}"), policy.to_string());
    }
    write("spicedb.yaml", files::spicedb(&world));
    write("openfga/model.json", files::openfga_model(&world).to_string());
    write("openfga/tuples.jsonl", lines(files::openfga_tuples(&world)));
    write("opa/authz.rego", files::rego());
    write("opa/flat.rego", files::rego_flat());
    write("opa/data.json", files::rego_data(&world).to_string());
    for (name, kind, count) in [("plain", Kind::Plain, 10_000), ("condition", Kind::Condition, 10_000)] {
        let questions = world.questions(kind, count);
        let line = |q: &peers::world::Question| {
            let user = &world.users[q.user];
            let held = world.held(q.user).remove(&q.object).unwrap_or_default();
            let mut line = json!({
                "user": user.id, "permission": world.permissions[q.permission], "object": world.objects[q.object],
                "groups": user.groups.iter().map(|g| world.groups[*g].id.clone()).collect::<Vec<_>>(),
                "roles": held.iter().map(|r| world.roles[*r].id.clone()).collect::<Vec<_>>(),
                "region": user.region, "expected": q.expected[0],
            });
            if let Some(record) = q.records.first() {
                line["record"] = json!({"id": record.id, "region": record.region, "amount": record.amount});
            }
            line
        };
        write(&format!("{name}.jsonl"), lines(questions.iter().map(line)));
    }
    println!(
        "{} users in {} groups each of {} (nested three deep), {} roles of {} permissions of {}, {} assignments at {} objects",
        world.users.len(),
        peers::world::OF_USER,
        world.groups.len(),
        world.roles.len(),
        peers::world::IN_ROLE,
        world.permissions.len(),
        world.assignments.len(),
        world.objects.len()
    );
}

fn lines(values: impl IntoIterator<Item = Value>) -> String {
    values.into_iter().fold(String::new(), |mut text, value| {
        writeln!(text, "{value}").unwrap();
        text
    })
}
