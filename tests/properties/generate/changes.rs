//! One random change of an organization: of a kind that may hand something out. What comes out need not be valid.

use super::policies::push;
use super::*;

/// The kinds, by name.
pub const CHANGES: [&str; 19] = [
    "assignment",
    "grant",
    "role contents",
    "member",
    "nesting",
    "group domains",
    "e-mail domains",
    "permission",
    "address",
    "kind",
    "account",
    "newcomer",
    "period",
    "unassigned",
    "trigger",
    "relation",
    "default account",
    "alias",
    "privacy",
];

/// Changes one thing; whether there was such a thing to change.
pub fn change(rng: &mut Rng, file: &mut Value, kind: &str) -> Option<()> {
    match kind {
        "assignment" => {
            let (role, scope, tied_to) = rng.choice(roles_and_scopes(file))?;
            let mut row = json!({"role": role, "member": member(rng, file)?});
            row.as_object_mut()?.extend(target_of_scope(rng, file, &scope, tied_to.as_deref())?);
            period(rng, &mut row);
            push(file, "assignments", row);
        }
        "grant" => {
            let scope = rng.choice(["organization", "account", "object", "object"])?;
            let mut row = json!({"permissions": patterns(rng, file), "member": member(rng, file)?});
            row.as_object_mut()?.extend(target_of_scope(rng, file, scope, None)?);
            period(rng, &mut row);
            push(file, "grants", row);
        }
        "role contents" => {
            let new = patterns(rng, file);
            let role = any(rng, file, "roles", |_| true)?;
            let permissions = role["permissions"].as_array_mut()?;
            permissions.push(json!(rng.choice(new)?));
        }
        "member" => {
            let people = [("user:", ids(file, "users")), ("service:", ids(file, "service_accounts"))];
            let (prefix, ids) = rng.choice(people)?;
            let member = format!("{prefix}{}", rng.choice(ids)?);
            any(rng, file, "groups", |row| row["members"].is_array())?["members"].as_array_mut()?.push(json!(member));
        }
        "nesting" => {
            let inner = format!("group:{}", rng.choice(ids(file, "groups"))?);
            any(rng, file, "groups", |row| row["members"].is_array())?["members"].as_array_mut()?.push(json!(inner));
        }
        "group domains" => {
            let domains = some(rng, &DOMAINS, 4);
            any(rng, file, "groups", |row| row["kind"] == "dynamic")?["domains"] = json!(domains);
        }
        "e-mail domains" => {
            let domain = *rng.choice(&DOMAINS)?;
            let audience = *rng.choice(&["internal", "external"])?;
            let own = file["email_domains"].as_array().cloned().unwrap_or_default();
            let mut kept: Vec<Value> = own.iter().filter(|row| row["domain"] != domain).cloned().collect();
            if kept.len() == own.len() || rng.bool() {
                kept.push(json!({"domain": domain, "audience": audience}));
            }
            file["email_domains"] = json!(kept);
        }
        "permission" => {
            let twin = name_or_alias(rng, &oracle::catalogue(file));
            let (level, mark) = (rng.choice(["organization", "account", "object"])?, rng.u8(..4));
            let permission = any(rng, file, "permissions", |_| true)?;
            match mark {
                0 => permission["level"] = json!(level),
                1 => permission["requires_visibility"] = json!(permission["requires_visibility"] != true),
                2 => permission["requires_approver"] = json!(permission["requires_approver"] != true),
                _ if permission["when_not_owner"].is_string() => {
                    permission.as_object_mut()?.remove("when_not_owner");
                }
                _ => permission["when_not_owner"] = json!(twin),
            }
        }
        "address" => {
            let email = format!("moved@{}", rng.choice(DOMAINS)?);
            any(rng, file, "users", |_| true)?["email"] = json!(email);
        }
        "kind" => {
            let kind = *rng.choice(&["internal", "external"])?;
            any(rng, file, "users", |_| true)?["kind"] = json!(kind);
        }
        "account" => {
            let account = rng.choice(account_ids(file))?;
            any(rng, file, "users", |_| true)?["account"] = json!(account);
        }
        "newcomer" => {
            let account = rng.choice(account_ids(file))?;
            let (key, member, mut row) = if rng.u8(..4) == 0 {
                ("service_accounts", "service:newcomer", json!({"id": "newcomer"}))
            } else {
                let email = format!("new@{}", rng.choice(DOMAINS)?);
                let status = *rng.choice(&["active", "limited", "inactive"])?;
                ("users", "user:newcomer", json!({"id": "newcomer", "email": email, "status": status}))
            };
            row["account"] = json!(account);
            push(file, key, row);
            if let (true, Some(group)) = (rng.bool(), any(rng, file, "groups", |row| row["members"].is_array())) {
                group["members"].as_array_mut()?.push(json!(member));
            }
        }
        "period" => {
            let key = *rng.choice(&["assignments", "grants"])?;
            let dated = |row: &Value| row["starts_at"].is_string() || row["expires_at"].is_string();
            let mut drawn = json!({});
            period(rng, &mut drawn);
            let row = any(rng, file, key, dated)?.as_object_mut()?;
            row.remove("starts_at");
            row.remove("expires_at");
            row.extend(drawn.as_object()?.clone());
        }
        "unassigned" => {
            let rows = file["assignments"].as_array_mut()?;
            let system = ["org-admin", "admin", "org", "default-user"];
            let by_hand = |at: &usize| system.iter().any(|role| rows[*at]["role"] == *role);
            let by_hand: Vec<usize> = (0..rows.len()).filter(by_hand).collect();
            rows.remove(rng.choice(by_hand)?);
        }
        "trigger" => {
            let trigger = *rng.choice(&["watcher", "assignee", "mentioned", "shared"])?;
            let role = any(rng, file, "roles", |row| row["object"].is_string())?;
            let mut triggers = role["auto_share"].as_array().cloned().unwrap_or_default();
            triggers.push(json!(trigger));
            role["auto_share"] = json!(triggers);
        }
        "relation" => {
            let relation = *rng.choice(&["watcher", "assignee", "mentioned", "shared"])?;
            let member = member(rng, file).filter(|member| !member.starts_with("service:"))?;
            let object = rng.choice(ids(file, "objects"))?;
            let row = json!({"relation": relation, "member": member, "object": object, "record": record_id(rng)});
            push(file, "relations", row);
        }
        "default account" => {
            let accounts = file["accounts"].as_array_mut()?;
            let chosen = rng.choice(0..accounts.len())?;
            for (at, account) in accounts.iter_mut().enumerate() {
                account.as_object_mut()?.remove("default");
                if at == chosen {
                    account["default"] = json!(true);
                }
            }
        }
        "alias" => {
            let from = any(rng, file, "permissions", |row| !list(row, "aliases").is_empty())?;
            let alias = from["aliases"].as_array_mut()?.pop()?;
            let to = any(rng, file, "permissions", |row| !list(row, "aliases").contains(&alias))?;
            let mut aliases = to["aliases"].as_array().cloned().unwrap_or_default();
            aliases.push(alias);
            to["aliases"] = json!(aliases);
        }
        "privacy" => {
            let accounts = account_ids(file).into_iter().map(|id| format!("account:{id}"));
            let owners: Vec<String> =
                accounts.chain(ids(file, "users").into_iter().map(|id| format!("user:{id}"))).collect();
            let owner = rng.choice(owners)?;
            let element = any(rng, file, "objects", |row| row["private_to"].is_string())?.as_object_mut()?;
            if rng.bool() {
                element.remove("private_to");
            } else {
                element.insert("private_to".into(), json!(owner));
            }
        }
        other => panic!("`{other}` is no change"),
    }
    Some(())
}

/// A row of the file.
pub fn any<'f>(rng: &mut Rng, file: &'f mut Value, key: &str, which: impl Fn(&Value) -> bool) -> Option<&'f mut Value> {
    rng.choice(file.get_mut(key)?.as_array_mut()?.iter_mut().filter(|row| which(row)).collect::<Vec<_>>())
}

/// A place of the organization, mostly one where something is handed out, and a time from [`NOW_MS`] on.
pub fn place(rng: &mut Rng, file: &Value) -> oracle::Question {
    let rows: Vec<&Value> = ["assignments", "grants", "relations"].iter().flat_map(|key| list(file, key)).collect();
    let mut question = oracle::Question {
        principal: "user:ana".to_owned(),
        permission: String::new(),
        account: None,
        object: None,
        record: None,
        channel: None,
        invitee_email: None,
        context_attributes: std::collections::BTreeMap::new(),
        authenticated_at_ms: None,
        now_ms: NOW_MS + rng.choice([0, 0, 0, 1, 3_600_000 - 1, 3_600_000, 7_200_000]).unwrap(),
    };
    match rng.choice(rows) {
        Some(row) if rng.u8(..10) < 8 => {
            let text = |key: &str| row[key].as_str().map(str::to_owned);
            (question.account, question.object) = (text("account"), text("object"));
            question.record = text("record").map(|id| oracle::RecordQ { id, ..Default::default() });
        }
        _ => question.object = rng.choice(ids(file, "objects")).filter(|_| rng.bool()),
    }
    if question.object.is_some() && question.record.is_none() && rng.bool() {
        question.record = Some(oracle::RecordQ { id: record_id(rng), ..Default::default() });
    }
    if question.account.is_none() && rng.bool() {
        question.account = rng.choice(account_ids(file));
    }
    question
}
