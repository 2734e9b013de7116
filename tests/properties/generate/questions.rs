//! Random questions about an organization: see [`generate`](super).

use std::collections::BTreeMap;

use super::oracle::{Question, RecordQ};
use super::*;

/// A question about this organization.
pub fn question(rng: &mut Rng, file: &Value) -> Question {
    let catalogue = oracle::catalogue(file);
    let mut pointed = pointed(rng, file, &catalogue).filter(|_| rng.u8(..10) < 9);
    if pointed.as_ref().is_none_or(|question| !is_active(file, &question.principal)) && rng.u8(..10) < 9 {
        pointed = self::pointed(rng, file, &catalogue); // who is not active is denied whatever she holds: few such questions do
    }
    let mut question = pointed.unwrap_or_else(|| blind(rng, file, &catalogue));
    match rng.u16(..1000) {
        0..30 => malform(rng, &mut question),
        30..40 => {
            question.principal = rng
                .choice(["user:nobody", "service:nobody", "user:an a", "user:user:", "service:auth0|x"])
                .unwrap()
                .into();
        }
        40..165 => spoil(rng, file, &catalogue, &mut question),
        165..225 => {
            let aimed = held_together(rng, file).and_then(|row| pointed_at(rng, file, &catalogue, &row));
            question = aimed.unwrap_or(question);
        }
        225..315 => question.permission = "organization_users.create".into(),
        _ => {}
    }
    question
}

/// Asks for what some assignment, grant or rule hands out, from someone who may hold it and where it was handed out.
fn pointed(rng: &mut Rng, file: &Value, catalogue: &[oracle::Permission]) -> Option<Question> {
    let row = handed_out(rng, file)?;
    pointed_at(rng, file, catalogue, &row)
}

/// Asks for what this row hands out.
pub(super) fn pointed_at(
    rng: &mut Rng,
    file: &Value,
    catalogue: &[oracle::Permission],
    row: &Value,
) -> Option<Question> {
    let mut question = blind(rng, file, catalogue);
    question.principal = someone_in(rng, file, text(row, "member"))?;
    question.account = row["account"].as_str().map(str::to_owned).or(question.account);
    question.object = row["object"].as_str().map(str::to_owned).or(question.object);
    if question.object.is_some() && (row["record"].is_string() || rng.u8(..10) < 7) {
        let id = row["record"].as_str().map_or_else(|| record_id(rng), str::to_owned);
        // Of two accounts the record's counts: let now the one, now the other be where it was handed out.
        let account = match rng.u8(..4) {
            0 => rng.choice(account_ids(file)),
            1 => row["account"].as_str().map(str::to_owned),
            _ => None,
        };
        if account.is_some() && rng.bool() {
            question.account = rng.choice(account_ids(file));
        }
        question.record =
            Some(RecordQ { id, owner: owner(rng, file, &question.principal), account, ..RecordQ::default() });
    } else {
        question.record = None;
    }

    let given = match row["role"].as_str() {
        Some(role) => oracle::role_permissions(file).remove(role).unwrap(),
        None => list(row, "permissions").iter().map(|pattern| pattern.as_str().unwrap().to_owned()).collect(),
    };
    let at = match (row["account"].is_string(), row["object"].is_string()) {
        (false, false) => oracle::Level::Organization,
        (true, _) => oracle::Level::Account,
        (_, true) => oracle::Level::Object,
    };
    let covered = |permission: &&oracle::Permission| {
        let names = |pattern: &String| {
            *pattern == permission.name
                || permission.aliases.contains(pattern)
                || pattern.strip_suffix('*').is_some_and(|x| permission.name.starts_with(x))
        };
        at <= permission.level && given.iter().any(names)
    };
    let mut covered: Vec<&oracle::Permission> = catalogue.iter().filter(covered).collect();
    // On a record the marks are what is worth asking about, and so are permissions that another stands in for.
    let stood_in_for = |permission: &&oracle::Permission| {
        permission.when_not_owner.as_ref().is_some_and(|other| covered.iter().any(|one| one.name == *other))
    };
    let stood_in_for: Vec<_> = catalogue.iter().filter(stood_in_for).collect();
    if question.record.is_some() && rng.u8(..10) < 8 {
        let marked = if rng.u8(..10) < 6 {
            covered.iter().copied().filter(|one| one.requires_approver).collect()
        } else {
            Vec::new()
        };
        let marked = if marked.is_empty() {
            covered.iter().copied().filter(|one| one.requires_visibility).collect()
        } else {
            marked
        };
        if !stood_in_for.is_empty() && rng.bool() {
            covered = stood_in_for;
        } else if !marked.is_empty() {
            covered = marked;
        }
    }
    let permission = rng.choice(covered)?;
    question.permission = name_or_alias(rng, std::slice::from_ref(permission));
    Some(question)
}

/// An assignment or a grant of the file, or what the rule of the integration preset may have given a user.
fn handed_out(rng: &mut Rng, file: &Value) -> Option<Value> {
    if file["preset"] == "integration" && rng.u8(..10) < 2 {
        let user = rng.choice(list(file, "users"))?;
        let member = format!("user:{}", text(user, "id"));
        let other = user["account"].as_str().filter(|account| *account != default_account(file));
        return Some(other.map_or_else(
            || json!({"role": "org", "member": member}),
            |account| json!({"role": "default-user", "member": member, "account": account}),
        ));
    }
    let rows: Vec<&Value> = list(file, "assignments").iter().chain(list(file, "grants")).collect();
    rng.choice(rows).cloned()
}

/// An assignment of a role of a constraint that denies, to a member that holds another one of them.
fn held_together(rng: &mut Rng, file: &Value) -> Option<Value> {
    let denies = list(file, "separation_of_duties").iter().filter(|row| row["enforce"] == "deny");
    let constraint = rng.choice(denies.collect::<Vec<_>>())?;
    let named = |row: &&Value| list(constraint, "roles").contains(&row["role"]);
    let held: Vec<&Value> = list(file, "assignments").iter().filter(named).collect();
    let others = |row: &&&Value| held.iter().any(|o| o["member"] == row["member"] && o["role"] != row["role"]);
    rng.choice(held.iter().filter(others).copied().collect::<Vec<_>>()).cloned()
}

/// A well-formed question about anything.
pub(super) fn blind(rng: &mut Rng, file: &Value, catalogue: &[oracle::Permission]) -> Question {
    let principal = principal(rng, file);
    let account = rng.choice(account_ids(file)).filter(|_| rng.u8(..10) < 6);
    let object = rng.choice(ids(file, "objects")).filter(|_| rng.u8(..10) < 7);
    let record = object.as_ref().filter(|_| rng.u8(..10) < 5).map(|_| RecordQ {
        id: record_id(rng),
        owner: owner(rng, file, &principal),
        account: rng.choice(account_ids(file)).filter(|_| rng.u8(..10) < 3),
        attributes: BTreeMap::new(),
    });
    let now_ms = NOW_MS
        + if rng.u8(..10) < 6 {
            rng.choice([-1, 0, 1]).unwrap()
        } else {
            rng.choice([-3_600_000, 3_600_000]).unwrap() + rng.i64(-1..=1)
        };
    let channel = rng
        .choice(["email", "email", "email", "platform", "Email", ""])
        .filter(|_| rng.u8(..10) < 6)
        .map(str::to_owned);
    Question {
        principal,
        permission: name_or_alias(rng, catalogue),
        account,
        object,
        record,
        channel,
        invitee_email: invitee(rng, file),
        context_attributes: BTreeMap::new(),
        authenticated_at_ms: authenticated_at_ms(rng, file, now_ms),
        now_ms,
    }
}

/// Somebody of a domain of the organization, or of none, or nobody in particular.
fn invitee(rng: &mut Rng, file: &Value) -> Option<String> {
    let own = list(file, "email_domains").iter().map(|entry| text(entry, "domain").to_owned());
    let domain = rng.choice(own.chain(["acme.com", "partner.IO", "else.org"].map(str::to_owned)).collect::<Vec<_>>());
    domain.filter(|_| rng.bool()).map(|domain| format!("new@{domain}"))
}

/// Fresh as a rule; else missing, in the future, or exactly as old as allowed, give or take a millisecond.
fn authenticated_at_ms(rng: &mut Rng, file: &Value, now_ms: i64) -> Option<i64> {
    let max_age_ms = match file["settings"]["external_reauthentication"]["max_age"].as_str() {
        Some("12h") => 43_200_000,
        Some("1h") => 3_600_000,
        Some("30m") => 1_800_000,
        _ => 45_000,
    };
    match rng.u8(..15) {
        0 => None,
        1 => Some(now_ms + rng.i64(0..=1)),
        2..4 => Some(now_ms - max_age_ms + rng.i64(-1..=1)),
        _ => Some(now_ms - 1000),
    }
}

/// Changes one thing, so that what was handed out may just not reach.
pub(super) fn spoil(rng: &mut Rng, file: &Value, catalogue: &[oracle::Permission], question: &mut Question) {
    match rng.u8(..8) {
        0 => question.principal = principal(rng, file),
        1 => question.permission = name_or_alias(rng, catalogue),
        2 => question.account = rng.choice(account_ids(file)).filter(|_| rng.bool()),
        3 => (question.object, question.record) = (None, None),
        4 => question.now_ms += rng.choice([-1, 1, -3_600_000, 3_600_000]).unwrap(),
        5 => question.record = None,
        6 if question.record.is_some() => question.object = rng.choice(ids(file, "objects")),
        _ => {
            let account = rng.choice(account_ids(file));
            match &mut question.record {
                Some(record) if rng.bool() => record.id = record_id(rng),
                Some(record) => record.account = account,
                None => question.account = account,
            }
        }
    }
}

/// Breaks one thing, so that the question is an error.
fn malform(rng: &mut Rng, question: &mut Question) {
    let too_long = "x".repeat(129);
    let (user_too_long, service_too_long) = (format!("user:{too_long}"), format!("service:{too_long}"));
    let mut one_of = |of: &[&str]| of[rng.usize(..of.len())].to_owned();
    let permission =
        one_of(&["records.nope", "admin", "records.*", "*", "records", "Organization.Admin", "organization.admin "]);
    let principal = one_of(&[
        "ana",
        "group:risk",
        "user:",
        "service:",
        "user:a\u{7}",
        "user:\u{85}",
        ":ana",
        "User:ana",
        &user_too_long,
    ]);
    let id = one_of(&["", "a\nb", "\u{0}", "a\u{7f}", &too_long]);
    let owner = one_of(&["service:", "user:", "a\tb", "service:a\rb", &too_long, &service_too_long]);

    let sound = question.record.clone().unwrap_or(RecordQ { id: "r-1".into(), ..RecordQ::default() });
    let mut with = |record: RecordQ| {
        question.object.get_or_insert("nowhere".into());
        question.record = Some(record);
    };
    match rng.u8(..8) {
        0 => with(RecordQ { id, ..sound }),
        1 => with(RecordQ { owner: Some(owner), ..sound }),
        2 => with(RecordQ { account: Some("nowhere".into()), ..sound }),
        3 => (question.object, question.record) = (None, Some(sound)),
        4 => question.account = Some("nowhere".into()),
        5 => question.object = Some("nowhere".into()),
        6 => question.permission = permission,
        _ => question.principal = principal,
    }
}

/// Nobody, the principal in either spelling, or someone else.
pub(super) fn owner(rng: &mut Rng, file: &Value, principal: &str) -> Option<String> {
    let owner = match rng.u8(..10) {
        0..2 => return None,
        2..7 => principal.to_owned(),
        7 => record_id(rng),
        _ => self::principal(rng, file),
    };
    // Without its kind a user's id may read as someone else: `user:user:ana` becomes `user:ana`.
    Some(owner.strip_prefix("user:").filter(|id| !id.is_empty() && rng.bool()).map_or(owner.clone(), str::to_owned))
}

pub(super) fn principal(rng: &mut Rng, file: &Value) -> String {
    let service =
        rng.choice(ids(file, "service_accounts")).filter(|_| rng.u8(..10) < 2).map(|id| format!("service:{id}"));
    let user = rng.choice(ids(file, "users")).map(|id| format!("user:{id}"));
    service
        .or(user)
        .or_else(|| rng.choice(ids(file, "service_accounts")).map(|id| format!("service:{id}")))
        .unwrap_or("user:ana".into())
}

/// Follows a member down to a user or a service account; in what a rule fills, anyone may be in.
pub(super) fn someone_in(rng: &mut Rng, file: &Value, member: &str) -> Option<String> {
    let Some(group) = member.strip_prefix("group:") else { return Some(member.to_owned()) };
    let group = list(file, "groups").iter().find(|row| row["id"] == group);
    let members = group.and_then(|group| group["members"].as_array());
    match members {
        Some(members) => {
            let member = rng.choice(members)?.as_str()?;
            someone_in(rng, file, member)
        }
        _ => rng.choice(ids(file, "users")).map(|id| format!("user:{id}")),
    }
}
