//! One random change of an organization: of a kind that takes away, moves or marks. What comes out need not be valid.

use super::*;

/// The kinds, by name; `… gone` takes with it what refers to it, and nothing where that is not to be (rule 2.10).
pub const EDITS: [&str; 23] = [
    "account gone",
    "assignment gone",
    "attribute",
    "constraint gone",
    "contents swapped",
    "denylist",
    "e-mail domain gone",
    "element gone",
    "flag",
    "grant gone",
    "group gone",
    "level",
    "manager",
    "member gone",
    "object gone",
    "permission gone",
    "policy gone",
    "policy member",
    "private",
    "relation gone",
    "role gone",
    "safelist",
    "status",
];

/// Changes one thing; whether there was such a thing to change.
pub fn edit(rng: &mut Rng, file: &mut Value, kind: &str) -> Option<()> {
    match kind {
        "account gone" => {
            let default = default_account(file);
            let account =
                rng.choice(ids(file, "accounts").into_iter().filter(|id| *id != default).collect::<Vec<_>>())?;
            // Who is there moves.
            for key in ["users", "service_accounts"] {
                for one in file.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
                    if one["account"] == account.as_str() {
                        one["account"] = json!(default);
                    }
                }
            }
            let private = format!("account:{account}");
            if list(file, "objects").iter().any(|object| object["private_to"] == private.as_str()) {
                return None;
            }
            retain(file, "accounts", |row| row["id"] != account.as_str());
            for key in ["assignments", "grants"] {
                retain(file, key, |row| row["account"] != account.as_str());
            }
        }
        "assignment gone" => one_less(rng, file, "assignments")?,
        "constraint gone" => one_less(rng, file, "separation_of_duties")?,
        "e-mail domain gone" => one_less(rng, file, "email_domains")?,
        "grant gone" => one_less(rng, file, "grants")?,
        "policy gone" => one_less(rng, file, "data_access")?,
        "relation gone" => one_less(rng, file, "relations")?,
        "attribute" => {
            let of = any(rng, file, "users", |row| row["attributes"].is_object())?["attributes"].as_object_mut()?;
            let name = rng.choice(of.keys().cloned().collect::<Vec<_>>())?;
            of.remove(&name);
        }
        // Everything else that refers to the two stays as it is.
        "contents swapped" => {
            let roles = file.get_mut("roles")?.as_array_mut()?;
            let (one, other) = (rng.choice(0..roles.len())?, rng.choice(0..roles.len())?);
            let contents = roles[one]["permissions"].clone();
            roles[one]["permissions"] = std::mem::replace(&mut roles[other]["permissions"], contents);
        }
        "denylist" => {
            toggle(rng, file, "element_denylist", "element_safelist")?;
            file["super_organization"] = json!("globex");
        }
        "safelist" => toggle(rng, file, "element_safelist", "element_denylist")?,
        "element gone" => object_gone(rng, file, |object| object["kind"] == "element")?,
        "object gone" => object_gone(rng, file, |object| object["kind"] != "element")?,
        "flag" => {
            let flag = *rng.choice(&VISIBILITY)?;
            let group = any(rng, file, "groups", |_| true)?;
            let mut flags = list(group, "visibility").to_vec();
            flags.retain(|on| on != flag);
            if flags.len() == list(group, "visibility").len() {
                flags.push(json!(flag));
            }
            group["visibility"] = json!(flags);
        }
        "group gone" => {
            let named = |id: &str, policy: &Value| list(policy, "members").iter().any(|m| *m == format!("group:{id}"));
            let in_policies = |id: &str| list(file, "data_access").iter().any(|policy| named(id, policy));
            let own = list(file, "groups").iter().filter(|row| row["kind"] != "system");
            let free: Vec<String> = own.map(|row| text(row, "id").to_owned()).filter(|id| !in_policies(id)).collect();
            let group = rng.choice(free)?;
            let member = format!("group:{group}");
            retain(file, "groups", |row| row["id"] != group.as_str());
            for key in ["assignments", "grants", "relations"] {
                retain(file, key, |row| row["member"] != member.as_str());
            }
            drop_from(file, "groups", "members", &[member]);
            drop_from(file, "users", "pending_groups", &[group]);
        }
        "level" => {
            let level = *rng.choice(&["organization", "account", "object"])?;
            any(rng, file, "permissions", |row| row["level"] != level)?["level"] = json!(level);
        }
        "manager" => {
            let manager = rng.choice(ids(file, "users"))?;
            let user = any(rng, file, "users", |_| true)?;
            match user["manager"].is_string() {
                true => drop(user.as_object_mut()?.remove("manager")),
                false => user["manager"] = json!(manager),
            }
        }
        "member gone" => {
            let members =
                any(rng, file, "groups", |row| !list(row, "members").is_empty())?["members"].as_array_mut()?;
            members.remove(rng.choice(0..members.len())?);
        }
        "permission gone" => {
            let chosen = any(rng, file, "permissions", |_| true)?.clone();
            let mut names: Vec<String> =
                list(&chosen, "aliases").iter().map(|a| a.as_str().unwrap().to_owned()).collect();
            names.push(text(&chosen, "name").to_owned());
            let stands_in = |row: &Value| names.iter().any(|name| row["when_not_owner"] == name.as_str());
            if list(file, "permissions").iter().any(stands_in) {
                return None;
            }
            retain(file, "permissions", |row| row["name"] != chosen["name"]);
            drop_from(file, "roles", "permissions", &names);
            drop_from(file, "grants", "permissions", &names);
            retain(file, "grants", |row| !list(row, "permissions").is_empty());
        }
        "policy member" => {
            let all: Vec<String> = ids(file, "groups").iter().map(|id| format!("group:{id}")).collect();
            let member = rng.choice(all)?;
            let policy = any(rng, file, "data_access", |_| true)?;
            let mut members = list(policy, "members").to_vec();
            match members.iter().position(|there| *there == member.as_str()) {
                Some(at) if members.len() > 1 => drop(members.remove(at)),
                Some(_) => return None,
                None => members.push(json!(member)),
            }
            policy["members"] = json!(members);
        }
        "private" => {
            let account = rng.choice(account_ids(file))?;
            let element = any(rng, file, "objects", |object| object["kind"] == "element")?.as_object_mut()?;
            if element.remove("private_to").is_none() {
                element.insert("private_to".to_owned(), json!(format!("account:{account}")));
            }
        }
        "role gone" => {
            let constrained =
                |id: &str| list(file, "separation_of_duties").iter().any(|c| list(c, "roles").contains(&json!(id)));
            let own = list(file, "roles").iter().filter(|role| role["scope"].is_string());
            let free: Vec<String> = own.map(|role| text(role, "id").to_owned()).filter(|id| !constrained(id)).collect();
            let role = rng.choice(free)?;
            retain(file, "roles", |row| row["id"] != role.as_str());
            retain(file, "assignments", |row| row["role"] != role.as_str());
        }
        // One move that there is (rule 2.2).
        "status" => {
            let user = any(rng, file, "users", |_| true)?.as_object_mut()?;
            let text = |key: &str| user.get(key).and_then(Value::as_str).map(str::to_owned);
            let (was, before) = (text("status").unwrap_or("active".to_owned()), text("status_before"));
            let to = match (was.as_str(), before) {
                ("inactive", before) => before?,
                ("invited", _) => (*rng.choice(&["active", "inactive"])?).to_owned(),
                ("active", _) => (*rng.choice(&["limited", "inactive"])?).to_owned(),
                (_, _) => (*rng.choice(&["active", "inactive"])?).to_owned(),
            };
            user.remove("status_before");
            user.remove("pending_groups");
            if to == "inactive" && was != "invited" {
                user.insert("status_before".to_owned(), json!(was));
            }
            user.insert("status".to_owned(), json!(to));
        }
        other => panic!("`{other}` is no edit"),
    }
    Some(())
}

fn retain(file: &mut Value, key: &str, which: impl Fn(&Value) -> bool) {
    if let Some(rows) = file.get_mut(key).and_then(Value::as_array_mut) {
        rows.retain(which);
    }
}

fn one_less(rng: &mut Rng, file: &mut Value, key: &str) -> Option<()> {
    let rows = file.get_mut(key)?.as_array_mut()?;
    rows.remove(rng.choice(0..rows.len())?);
    Some(())
}

/// Takes names out of a list that each row may have.
fn drop_from(file: &mut Value, key: &str, within: &str, names: &[String]) {
    for row in file.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
        retain(row, within, |name| !names.iter().any(|gone| *name == gone.as_str()));
    }
}

/// One that no role is tied to.
fn object_gone(rng: &mut Rng, file: &mut Value, which: impl Fn(&Value) -> bool) -> Option<()> {
    let tied = |id: &Value| list(file, "roles").iter().any(|role| role["object"] == *id);
    let objects = list(file, "objects").iter().filter(|object| which(object) && !tied(&object["id"]));
    let object = rng.choice(objects.map(|object| object["id"].clone()).collect::<Vec<_>>())?;
    retain(file, "objects", |row| row["id"] != object);
    retain(file, "element_safelist", |id| *id != object);
    for key in ["assignments", "grants", "relations", "data_access"] {
        retain(file, key, |row| row["object"] != object);
    }
    Some(())
}

/// Puts an element onto a list, unless it is on the other one, or takes it off.
fn toggle(rng: &mut Rng, file: &mut Value, list: &str, other: &str) -> Option<()> {
    let objects = super::list(file, "objects").iter();
    let elements: Vec<_> = objects.filter(|object| object["kind"] == "element").map(|o| o["id"].clone()).collect();
    let element = rng.choice(elements)?;
    if super::list(file, other).contains(&element) {
        return None;
    }
    let mut listed = super::list(file, list).to_vec();
    let before = listed.len();
    listed.retain(|listed| *listed != element);
    if listed.len() == before {
        listed.push(element);
    }
    file[list] = json!(listed);
    Some(())
}
