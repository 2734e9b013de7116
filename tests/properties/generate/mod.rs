//! Random organization files and random questions about them, for the property that decisions equal the oracle's.
//!
//! An organization is always valid and always small, so that chance makes things meet: few accounts, few records, ids
//! that are prefixes of each other, that look like members (`user:ana`) or that name something of another kind. Periods
//! begin and end within a millisecond of [`NOW_MS`]. A question mostly starts from something that was handed out and asks
//! for just that, then often spoils one thing; the rest are drawn blindly. Nothing here asks the oracle what it
//! would answer: only its tables of what ships are read.
//!
//! [`organization`] makes a plain file, without anything that says which records are visible; [`world`] a whole one, with
//! declared fields and attributes, relations, auto-share and policies, and beside it the conditions as trees. Conditions
//! are well typed: a declared value is compared with one of its type, anything with what is sent undeclared. What
//! the model leaves open is not generated: an order between two undeclared values (both may be truth values), the
//! number of users in a relation list (they may be told twice), an undeclared needle in a declared list (which may be
//! empty), the case of an e-mail, reports but to the right of `in`, undeclared lists with unlike items.

#![allow(missing_docs, dead_code, unused_imports)]

mod changes;
mod conditions;
mod edits;
mod handed;
mod policies;
mod questions;
mod records;

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::oracle;
pub use changes::{CHANGES, any, change, place};
pub use edits::{EDITS, edit};
use handed::*;
pub use policies::{World, all_flags_on, world};
pub use questions::question;
pub use records::{filter_question, records, several, world_question};

/// 2026-11-22T12:00:00Z, around which every period is drawn.
pub const NOW_MS: i64 = 1_795_348_800_000;

const ACCOUNTS: [&str; 6] = ["main", "emea", "emea.1", "m", "risk", "EMEA"];
const DOMAINS: [&str; 6] = ["acme.com", "partner.io", "sub.acme.com", "notacme.com", "gone.example", "acme.co"];
const OBJECTS: [&str; 8] = ["vendor-risk", "vendor", "vendor-risk.v2", "a", "a/b", "salesforce", "main", "Vendor"];
const GROUPS: [&str; 14] = [
    "risk",
    "risk-2",
    "staff",
    "ana",
    "main",
    "all",
    "Risk",
    "g/1",
    "g/10",
    "all-users-2",
    "partners",
    "r",
    "r-1",
    "zoo",
];
const ROLES: [&str; 12] =
    ["reviewer", "review", "risk", "ana", "payer", "reader", "Reader", "a.b", "a.b/c", "watch", "main", "owner"];
const RECORDS: [&str; 18] = [
    "r-1",
    "r-10",
    "r",
    "R-1",
    "a|b",
    "b",
    "b/c",
    "a:b",
    "..",
    "user:ana",
    "risk",
    "Ω 😀",
    "\"quoted\"",
    "r-1 ",
    "'",
    "\u{e9}",
    "e\u{301}",
    "*",
];
const SERVICES: [&str; 8] = ["ci", "ci-bot", "ana", "user:ana", "service:ci", "bot 1", "🤖", "c"];
const USERS: [&str; 31] = [
    "ana",
    "an",
    "ana2",
    "Ana",
    "bo",
    "auth0|x",
    "auth0|x|y",
    "urn:people:1",
    "user:ana",
    "user:user:ana",
    "service:ci",
    "group:risk",
    "risk",
    "ci",
    "..",
    "../ana",
    "a b",
    " ana",
    "ana ",
    "Ωmega",
    "😀",
    "\"q\"",
    "it's",
    "back\\slash",
    "*",
    "records.*",
    "%00",
    "\u{fc}n\u{ef}",
    "u\u{308}n",
    "null",
    "all-users",
];
const OWN_PERMISSIONS: [&str; 14] = [
    "invoices.approve",
    "invoices.approve_any",
    "invoices.approve.final",
    "invoices.read",
    "inv.read",
    "Invoices.Read",
    "x/y.z-1",
    "records.export",
    "elements.audit",
    "a.b.c.d",
    "a.b.c",
    "a.bc",
    "roles.watch",
    "users.greet",
];
const ALIASES: [&str; 8] =
    ["APPROVE_INVOICE", "approve_invoice", "sign", "records.sign", "invoices.sign", "x/y.z", "SIGN", "a.b"];
const SYSTEM_GROUPS: [&str; 3] = ["all-users", "internal-users", "external-users"];
const VISIBILITY: [&str; 5] = ["mentionable", "watchable", "assignable", "approver", "data_access"];

/// A valid organization file.
pub fn organization(rng: &mut Rng) -> Value {
    let size = *rng.choice(&[0, 1, 3, 3, 6, 6, 10, 10, 10, 10, 10, 10, 10, 10]).unwrap();
    sized(rng, size)
}

fn sized(rng: &mut Rng, size: usize) -> Value {
    let mut file = Map::new();
    file.insert("organization".into(), json!("acme"));
    match rng.u8(..10) {
        0..4 => drop(file.insert("preset".into(), json!("workspace"))),
        4..8 => drop(file.insert("preset".into(), json!("integration"))),
        8 => drop(file.insert("preset".into(), json!("none"))),
        _ => {}
    }
    let mut file = Value::Object(file);
    email_domains(rng, &mut file);
    if rng.u8(..10) < 7 {
        file["settings"] =
            json!({"external_reauthentication": {"max_age": rng.choice(["12h", "1h", "30m", "45s"]).unwrap()}});
    }
    match rng.u8(..4) {
        0 => file["settings"]["invite_policy"] = json!({"mode": "any_domain"}),
        1 => {
            let domains: Vec<String> = ["acme.com", "Partner.io", "else.org"].map(str::to_owned).into();
            file["settings"]["invite_policy"] = json!({"mode": "allowed_domains", "domains": domains});
        }
        _ => {}
    }
    accounts(rng, &mut file);
    own_permissions(rng, &mut file, size);
    users(rng, &mut file, size);
    service_accounts(rng, &mut file, size);
    objects(rng, &mut file, size);
    lists(rng, &mut file);
    groups(rng, &mut file, size);
    roles(rng, &mut file, size);
    assignments(rng, &mut file, size);
    grants(rng, &mut file, size);
    separations(rng, &mut file);
    file
}

fn email_domains(rng: &mut Rng, file: &mut Value) {
    let chosen = some(rng, &DOMAINS, 4);
    let rows = chosen
        .into_iter()
        .map(|domain| json!({"domain": domain, "audience": if rng.bool() { "internal" } else { "external" }}))
        .collect();
    put(rng, file, "email_domains", rows);
}

fn accounts(rng: &mut Rng, file: &mut Value) {
    let mut rows: Vec<Value> = some(rng, &ACCOUNTS, 4).into_iter().map(|id| json!({"id": id})).collect();
    if !rows.is_empty() {
        let default = rng.usize(..rows.len());
        rows[default]["default"] = json!(true);
    }
    put(rng, file, "accounts", rows);
}

/// `when_not_owner` names a built-in permission or a later one of the organization's own, so that chains end.
fn own_permissions(rng: &mut Rng, file: &mut Value, size: usize) {
    let built_in = oracle::catalogue(file);
    let names = many(rng, &OWN_PERMISSIONS, size);
    let mut aliases = some(rng, &ALIASES, 6);
    let mut rows = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let mut row = json!({"name": name});
        let own_aliases: Vec<_> = (0..rng.usize(..3)).filter_map(|_| aliases.pop()).collect();
        if !own_aliases.is_empty() {
            row["aliases"] = json!(own_aliases);
        }
        if rng.bool() {
            row["level"] = json!(rng.choice(["organization", "account", "object", "object"]).unwrap());
        }
        for (mark, of_ten) in [("requires_visibility", 5), ("requires_approver", 4)] {
            if rng.u8(..10) < of_ten {
                row[mark] = json!(true);
            }
        }
        if rng.u8(..10) < 5 {
            let later = &names[at + 1..];
            let other = if !later.is_empty() && rng.bool() {
                later[rng.usize(..later.len())].to_owned()
            } else {
                name_or_alias(rng, &built_in)
            };
            row["when_not_owner"] = json!(other);
        }
        rows.push(row);
    }
    put(rng, file, "permissions", rows);
}

fn users(rng: &mut Rng, file: &mut Value, size: usize) {
    let accounts = account_ids(file);
    let mut ids: Vec<String> = many(rng, &USERS, size * 2).into_iter().map(str::to_owned).collect();
    ids.extend((0..rng.usize(..=size)).map(|at| format!("u{at}")));
    if rng.u8(..10) == 0 {
        ids.push("x".repeat(128));
    }
    let mut rows: Vec<Value> = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        let email =
            format!("{}{at}@{}", rng.choice(["ana", "an.a", "o'neil", "a+b"]).unwrap(), rng.choice(DOMAINS).unwrap());
        let email: String = email.chars().map(|c| if rng.u8(..4) == 0 { c.to_ascii_uppercase() } else { c }).collect();
        let mut row = json!({"id": id, "email": email});
        if rng.u8(..10) < 6 {
            row["account"] = json!(rng.choice(&accounts).unwrap());
        }
        if rng.u8(..10) < 2 {
            row["kind"] = json!(rng.choice(["internal", "external"]).unwrap());
        }
        if at > 0 && rng.u8(..10) < 3 {
            row["manager"] = json!(ids[rng.usize(..at)]); // an earlier one, so that no cycle arises
        }
        match rng.u8(..20) {
            0..2 => row["status"] = json!("invited"),
            2 => row["status"] = json!("inactive"),
            3 => {
                (row["status"], row["status_before"]) =
                    (json!("inactive"), json!(rng.choice(["active", "limited"]).unwrap()));
            }
            4..7 => row["status"] = json!("limited"),
            7..14 => row["status"] = json!("active"),
            _ => {}
        }
        rows.push(row);
    }
    put(rng, file, "users", rows);
}

fn service_accounts(rng: &mut Rng, file: &mut Value, size: usize) {
    let accounts = account_ids(file);
    let mut rows = Vec::new();
    for id in many(rng, &SERVICES, size.div_ceil(2)) {
        let mut row = json!({"id": id});
        if rng.bool() {
            row["account"] = json!(rng.choice(&accounts).unwrap());
        }
        if rng.bool() {
            row["status"] = json!(rng.choice(["active", "active", "inactive"]).unwrap());
        }
        rows.push(row);
    }
    put(rng, file, "service_accounts", rows);
}

fn objects(rng: &mut Rng, file: &mut Value, size: usize) {
    let accounts = account_ids(file);
    let users = ids(file, "users");
    let mut rows = Vec::new();
    for id in many(rng, &OBJECTS, size.clamp(1, 6)) {
        let kind = rng.choice(["app", "element", "element", "task", "workflow"]).unwrap();
        let mut row = json!({"id": id, "kind": kind});
        if kind == "element" && rng.u8(..10) < 5 {
            let user = rng.choice(&users).filter(|_| rng.bool());
            row["private_to"] =
                json!(user.map_or_else(
                    || format!("account:{}", rng.choice(&accounts).unwrap()),
                    |user| format!("user:{user}")
                ));
        }
        rows.push(row);
    }
    put(rng, file, "objects", rows);
}

/// An element is on one of the lists, or on none; the denylist (not a key of organization files) has others too, and what
/// is no element here.
fn lists(rng: &mut Rng, file: &mut Value) {
    let elements: Vec<String> = list(file, "objects")
        .iter()
        .filter(|object| object["kind"] == "element")
        .map(|object| text(object, "id").to_owned())
        .collect();
    let others: Vec<String> = ids(file, "objects").into_iter().filter(|id| !elements.contains(id)).collect();
    let (mut safe, mut denied) = (Vec::new(), Vec::new());
    let (with_safelist, with_denylist) = (rng.u8(..10) < 2, rng.u8(..10) < 2);
    for id in elements {
        match rng.u8(..10) {
            0..6 if with_safelist => safe.push(id),
            6..8 if with_denylist => denied.push(id),
            _ => {}
        }
    }
    if with_denylist {
        denied.extend(some(rng, &["gone", "vendor.x"], 2).into_iter().map(str::to_owned));
        denied.extend(others.into_iter().filter(|_| rng.u8(..4) == 0));
        file["super_organization"] = json!("globex");
        put(rng, file, "element_denylist", denied.into_iter().map(Value::from).collect());
    }
    put(rng, file, "element_safelist", safe.into_iter().map(Value::from).collect());
}

/// What nobody sees, or only some.
fn is_closed(file: &Value, object: &Value) -> bool {
    let safelist = list(file, "element_safelist");
    let closed = !safelist.is_empty() && !safelist.contains(&object["id"]);
    let lists = object["kind"] == "element" && (closed || list(file, "element_denylist").contains(&object["id"]));
    lists || object["private_to"].is_string()
}

/// A manual group lists only later groups, so that nesting has no cycle; then all are shuffled.
fn groups(rng: &mut Rng, file: &mut Value, size: usize) {
    let chosen = many(rng, &GROUPS, size + size / 5);
    let mut people: Vec<String> = ids(file, "users").iter().map(|id| format!("user:{id}")).collect();
    people.extend(ids(file, "service_accounts").iter().map(|id| format!("service:{id}")));
    let mut rows = Vec::new();
    for (at, id) in chosen.iter().enumerate() {
        let mut row = json!({"id": id});
        if rng.u8(..10) < 3 {
            row["kind"] = json!("dynamic");
            row["domains"] = json!(some(rng, &DOMAINS, 3)); // some of them are not the organization's
        } else {
            let groups: Vec<String> =
                chosen[at + 1..].iter().chain(&SYSTEM_GROUPS).map(|id| format!("group:{id}")).collect();
            row["kind"] = json!("manual");
            row["members"] = [some(rng, &people, 4), some(rng, &groups, 2)].concat().into();
        }
        if rng.bool() {
            row["name"] = json!(format!("Group {at}"));
        }
        rows.push(row);
    }
    for id in SYSTEM_GROUPS {
        if rng.u8(..4) == 0 {
            rows.push(json!({"id": id, "kind": "system"}));
        }
    }
    for row in &mut rows {
        if rng.bool() {
            row["visibility"] = json!(some(rng, &VISIBILITY, 5));
        }
    }
    rng.shuffle(&mut rows);
    pending_groups(rng, file, &rows);
    put(rng, file, "groups", rows);
}

/// 2.3: an invited user may wait for manual groups, which do not list her yet.
fn pending_groups(rng: &mut Rng, file: &mut Value, groups: &[Value]) {
    for user in file
        .get_mut("users")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter(|user| user["status"] == "invited")
    {
        let member = json!(format!("user:{}", text(user, "id")));
        let open = |group: &&Value| group["members"].as_array().is_some_and(|members| !members.contains(&member));
        let open: Vec<String> = groups.iter().filter(open).map(|group| text(group, "id").to_owned()).collect();
        let chosen = some(rng, &open, 2);
        if !chosen.is_empty() {
            user["pending_groups"] = json!(chosen);
        }
    }
}

/// At most `most` of these, in random order.
fn some<T: Clone>(rng: &mut Rng, of: &[T], most: usize) -> Vec<T> {
    let mut all = of.to_vec();
    rng.shuffle(&mut all);
    all.truncate(rng.usize(..=most));
    all
}

/// As `some`, but no fewer than half of `most`.
fn many<T: Clone>(rng: &mut Rng, of: &[T], most: usize) -> Vec<T> {
    let mut all = of.to_vec();
    rng.shuffle(&mut all);
    all.truncate(rng.usize(most.div_ceil(2)..=most));
    all
}

/// An empty list is as good as none.
fn put(rng: &mut Rng, file: &mut Value, key: &str, rows: Vec<Value>) {
    if !rows.is_empty() || rng.bool() {
        file[key] = Value::Array(rows);
    }
}

fn name_or_alias(rng: &mut Rng, of: &[oracle::Permission]) -> String {
    let permission = &of[rng.usize(..of.len())];
    let alias = rng.choice(&permission.aliases).filter(|_| rng.u8(..10) < 4);
    alias.unwrap_or(&permission.name).clone()
}

fn record_id(rng: &mut Rng) -> String {
    let few = if rng.bool() { 3 } else { RECORDS.len() };
    RECORDS[rng.usize(..few)].to_owned()
}

/// A member of an assignment or a grant: a user, a service account or a group of any kind.
fn member(rng: &mut Rng, file: &Value) -> Option<String> {
    let all =
        [("user:", ids(file, "users")), ("service:", ids(file, "service_accounts")), ("group:", ids(file, "groups"))];
    match rng.u8(..10) {
        0..4 => rng.choice(&all[0].1).map(|id| format!("user:{id}")),
        4 => rng.choice(&all[1].1).map(|id| format!("service:{id}")),
        5 => rng.choice(SYSTEM_GROUPS).map(|id| format!("group:{id}")),
        _ => rng.choice(&all[2].1).map(|id| format!("group:{id}")),
    }
    .or_else(|| rng.choice(SYSTEM_GROUPS).map(|id| format!("group:{id}")))
}

/// Every role with its scope and the object it is tied to; a file's entry for a system role has no scope of its own.
fn roles_and_scopes(file: &Value) -> Vec<(String, String, Option<String>)> {
    let shipped = oracle::preset_roles(file["preset"].as_str().unwrap_or("none"))
        .into_iter()
        .map(|role| (role.id, role.scope, None));
    let own = list(file, "roles").iter().filter(|role| role["scope"].is_string());
    shipped
        .chain(own.map(|role| {
            (text(role, "id").to_owned(), text(role, "scope").to_owned(), role["object"].as_str().map(str::to_owned))
        }))
        .collect()
}

fn of_default_account(file: &Value, member: &str, default_account: &str) -> bool {
    let user = list(file, "users").iter().find(|user| member.strip_prefix("user:") == user["id"].as_str());
    user.is_some_and(|user| user["account"].as_str().is_none_or(|account| account == default_account))
}

fn is_active(file: &Value, principal: &str) -> bool {
    let user = list(file, "users").iter().find(|user| principal.strip_prefix("user:") == user["id"].as_str());
    user.is_none_or(|user| user["status"].as_str().is_none_or(|status| status == "active"))
}

/// Without a list of accounts there is `main`.
fn account_ids(file: &Value) -> Vec<String> {
    let listed = ids(file, "accounts");
    if listed.is_empty() { vec!["main".into()] } else { listed }
}

fn default_account(file: &Value) -> String {
    let default = list(file, "accounts").iter().find(|account| account["default"] == true);
    default.map_or("main".to_owned(), |account| text(account, "id").to_owned())
}

fn ids(file: &Value, key: &str) -> Vec<String> {
    list(file, key).iter().map(|row| text(row, "id").to_owned()).collect()
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap()
}
