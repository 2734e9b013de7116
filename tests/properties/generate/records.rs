//! Random questions about records: what the caller sends of them, and which of a list pass.

use std::collections::BTreeMap;

use super::conditions::{CONTEXT_ATTRIBUTES, KINDS, Kind, value};
use super::oracle::conditions::Attribute;
use super::oracle::{FilterQuestion, Question, RecordQ};
use super::questions::{owner, pointed_at, someone_in};
use super::*;

/// A question about this world; half of them about a record that some policy or relation concerns.
pub fn world_question(rng: &mut Rng, world: &World) -> Question {
    let file = &world.file;
    let concerned = (rng.u8(..10) < 8).then(|| someone_concerned(rng, file)).flatten();
    let mut question = concerned.unwrap_or_else(|| question(rng, file));
    if rng.u8(..100) < 8
        && let Some(activation) = rng.choice(&world.activations)
    {
        let mut row = activation.clone();
        row["member"] = json!(format!("user:{}", text(activation, "user")));
        question = pointed_at(rng, file, &oracle::catalogue(file), &row).unwrap_or(question);
    }
    if let (Some(object), Some(record)) = (question.object.as_deref(), question.record.as_mut()) {
        describe(rng, file, object, record);
    }
    question.context_attributes = context_attributes(rng);
    question
}

/// Which of 1 to 8 records, all different; two of five without a permission.
pub fn filter_question(rng: &mut Rng, world: &World) -> FilterQuestion {
    let file = &world.file;
    let mut asked = world_question(rng, world);
    for _ in 0..2 {
        if !is_active(file, &asked.principal) || asked.object.is_none() {
            asked = world_question(rng, world); // as few as these are, each is 8 records not seen
        }
    }
    let permission = Some(asked.permission.clone()).filter(|_| rng.u8(..5) > 1);
    let allow = list(file, "data_access").iter().filter(|row| row["effect"] == "allow");
    if permission.is_none()
        && rng.u8(..10) < 8
        && let Some(policy) = rng.choice(allow.collect::<Vec<_>>())
    {
        let member = rng.choice(list(policy, "members")).and_then(Value::as_str).unwrap();
        let members = (0..4).filter_map(|_| someone_in(rng, file, member)).collect::<Vec<_>>();
        let active = members.iter().find(|member| is_active(file, member));
        asked.principal = active.or(members.first()).cloned().unwrap_or(asked.principal);
        asked.object = policy["object"].as_str().map(str::to_owned);
        asked.authenticated_at_ms = Some(asked.now_ms - 1000);
    }
    let object = asked.object.clone().or_else(|| rng.choice(ids(file, "objects"))).unwrap_or("nowhere".into());
    let mut records: Vec<RecordQ> = asked.record.clone().into_iter().collect();
    for _ in 0..rng.usize(1..10) {
        let (id, owner) = (record_id(rng), owner(rng, file, &asked.principal));
        let account = rng.choice(account_ids(file)).filter(|_| rng.u8(..10) < 3);
        if records.len() < 8 && records.iter().all(|record| record.id != id) {
            let mut record = RecordQ { id, owner, account, ..RecordQ::default() };
            describe(rng, file, &object, &mut record);
            records.push(record);
        }
    }
    rng.shuffle(&mut records);
    FilterQuestion {
        principal: asked.principal,
        permission,
        account: asked.account,
        object,
        records,
        channel: asked.channel,
        invitee_email: asked.invitee_email,
        context_attributes: asked.context_attributes,
        authenticated_at_ms: asked.authenticated_at_ms,
        now_ms: asked.now_ms,
    }
}

/// So many more records of an object, none with an id that is `taken`; some of the principal.
pub fn records(
    rng: &mut Rng,
    world: &World,
    object: &str,
    principal: &str,
    count: usize,
    taken: &[RecordQ],
) -> Vec<RecordQ> {
    let file = &world.file;
    let mut seen: BTreeSet<String> = taken.iter().map(|record| record.id.clone()).collect();
    let mut one = |_| {
        let (id, owner) = (record_id(rng), owner(rng, file, principal));
        let id = if seen.contains(&id) { format!("{id}~{}", seen.len()) } else { id };
        seen.insert(id.clone());
        let account = rng.choice(account_ids(file)).filter(|_| rng.u8(..10) < 3);
        let mut record = RecordQ { id, owner, account, ..RecordQ::default() };
        describe(rng, file, object, &mut record);
        record
    };
    (0..count).map(&mut one).collect()
}

/// One to four permissions, by name or alias, `own` among them; an empty one asks what is visible.
pub fn several<'a>(rng: &mut Rng, catalogue: &'a [oracle::Permission], own: &'a str) -> Vec<&'a str> {
    let mut names = vec![own];
    for _ in 0..rng.usize(..4) {
        // What looks at the record is asked more often.
        let looking = catalogue.iter().filter(|p| p.requires_visibility || p.when_not_owner.is_some());
        let some = if rng.bool() { looking.collect() } else { catalogue.iter().collect::<Vec<_>>() };
        let name = match rng.choice(some) {
            Some(permission) if rng.u8(..8) > 0 => rng.choice(&permission.aliases).unwrap_or(&permission.name),
            _ => "",
        };
        names.push(name);
    }
    rng.shuffle(&mut names);
    names
}

/// Whose status or sign-in is in the way is denied whatever there is to see: few such questions do.
fn someone_concerned(rng: &mut Rng, file: &Value) -> Option<Question> {
    let mut question = concerned(rng, file)?;
    for _ in 0..3 {
        let object = list(file, "objects").iter().find(|object| object["id"].as_str() == question.object.as_deref());
        let closed = object.is_some_and(|object| is_closed(file, object));
        let limited = status(file, &question.principal) == "limited" && rng.bool();
        if (closed || !(limited || is_active(file, &question.principal))) && rng.u8(..10) < 8 {
            question = concerned(rng, file)?;
        }
    }
    if status(file, &question.principal) == "limited" && rng.u8(..10) < 7 {
        question.channel = Some("email".into());
    }
    if rng.u8(..10) < 7 {
        question.authenticated_at_ms = Some(question.now_ms - 1000);
    }
    Some(question)
}

/// Asks a member of a relation or of a policy, or who holds something at a policy's object, about a record there.
fn concerned(rng: &mut Rng, file: &Value) -> Option<Question> {
    let catalogue = oracle::catalogue(file);
    let objects: BTreeSet<&str> = list(file, "data_access").iter().map(|policy| text(policy, "object")).collect();
    let always = rng.u8(..10) < 7;
    let given = list(file, "assignments").iter().chain(list(file, "grants")).filter(|row| {
        row["object"].as_str().is_some_and(|object| objects.contains(object))
            && (!always || (row["starts_at"].is_null() && row["expires_at"].is_null()))
    });
    let mut question = if rng.u8(..10) < 3 {
        about_relation(rng, file, &catalogue)?
    } else {
        let row = rng.choice(given.collect::<Vec<_>>())?;
        let mut question = pointed_at(rng, file, &catalogue, row)?;
        let for_approvers =
            |question: &Question| catalogue.iter().any(|one| one.requires_approver && one.name == question.permission);
        for _ in 0..3 {
            if for_approvers(&question) {
                question = pointed_at(rng, file, &catalogue, row)?;
            }
        }
        question
    };
    let policies = list(file, "data_access").iter().filter(|row| row["object"].as_str() == question.object.as_deref());
    if rng.u8(..10) < 2
        && let Some(policy) = rng.choice(policies.collect::<Vec<_>>())
    {
        let member = rng.choice(list(policy, "members"))?.as_str()?;
        question.principal = someone_in(rng, file, member)?;
    }
    if rng.u8(..50) == 0 {
        question.principal = "user:nobody".into();
    }
    let id = question.record.as_ref().map_or_else(|| record_id(rng), |record| record.id.clone());
    let owner = owner(rng, file, &question.principal);
    let record = question.record.get_or_insert(RecordQ { id, owner, ..RecordQ::default() });
    if rng.u8(..10) < 3 {
        record.owner = Some(question.principal.clone());
    } else if rng.u8(..10) < 3 {
        record.owner = report(rng, file, &question.principal).or(record.owner.clone());
    }
    Some(question)
}

/// Someone whose manager, or manager's manager and so on, the principal is.
fn report(rng: &mut Rng, file: &Value, principal: &str) -> Option<String> {
    let managed =
        |user: &&Value| user["manager"].is_string() && user["manager"].as_str() == principal.strip_prefix("user:");
    let report = rng.choice(list(file, "users").iter().filter(managed).collect::<Vec<_>>())?;
    let report = format!("user:{}", text(report, "id"));
    let further = if rng.bool() { self::report(rng, file, &report) } else { None };
    Some(further.unwrap_or(report))
}

fn status<'f>(file: &'f Value, principal: &str) -> &'f str {
    let user = list(file, "users").iter().find(|user| principal.strip_prefix("user:") == user["id"].as_str());
    user.and_then(|user| user["status"].as_str()).unwrap_or("active")
}

/// What such a relation may give: what a role shares, or what only approvers may do.
fn about_relation(rng: &mut Rng, file: &Value, catalogue: &[oracle::Permission]) -> Option<Question> {
    let relation = rng.choice(list(file, "relations"))?;
    let sharing = list(file, "roles").iter().filter(|role| {
        role["object"] == relation["object"] && list(role, "auto_share").contains(&relation["relation"])
    });
    let role = rng.choice(sharing.collect::<Vec<_>>());
    let approving = catalogue.iter().filter(|permission| permission.requires_approver);
    let mut question = match role {
        Some(role) => {
            let row = json!({
                "role": role["id"], "member": relation["member"], "object": relation["object"], "record": relation["record"],
            });
            pointed_at(rng, file, catalogue, &row)?
        }
        None => {
            let given = list(file, "assignments").iter().chain(list(file, "grants"));
            let row = rng.choice(given.filter(|row| row["object"] == relation["object"]).collect::<Vec<_>>())?;
            pointed_at(rng, file, catalogue, row)?
        }
    };
    if relation["relation"] == "approver" && rng.bool() {
        question.permission = rng.choice(approving.collect::<Vec<_>>())?.name.clone();
    }
    if role.is_some() || rng.bool() {
        question.principal = someone_in(rng, file, text(relation, "member"))?;
    }
    question.object = Some(text(relation, "object").to_owned());
    let owner = owner(rng, file, &question.principal);
    let id = text(relation, "record").to_owned();
    question.record = Some(RecordQ { id, owner, ..question.record.unwrap_or_default() });
    Some(question)
}

/// Field by field: as declared as a rule, else null, of another type, or not sent.
fn describe(rng: &mut Rng, file: &Value, object: &str, record: &mut RecordQ) {
    let object = list(file, "objects").iter().find(|row| row["id"] == object);
    for (name, kind) in object.and_then(|object| object["fields"].as_object()).into_iter().flatten() {
        let kind = Kind::named(kind.as_str().unwrap());
        let value = match rng.u8(..20) {
            0 => Attribute::Null,
            1 => wrong(rng, kind),
            2 => continue,
            3..7 if kind == Kind::Double => Attribute::Int(rng.i64(-1..4)),
            7 if kind == Kind::Double => Attribute::Double(-0.0),
            _ => value(rng, kind),
        };
        record.attributes.insert(name.clone(), value);
    }
    for list in ["watchers", "assignees", "mentioned", "shared_with"] {
        let sent = match rng.u8(..20) {
            0 => Attribute::Null,
            1 => wrong(rng, Kind::Strings),
            2..7 => Attribute::List(some(rng, &ids(file, "users"), 4).into_iter().map(Attribute::String).collect()),
            _ => continue,
        };
        record.attributes.insert(list.to_owned(), sent);
    }
    if rng.u8(..8) == 0 {
        let name = rng.choice(["undeclared", "id", "owner", "user"]).unwrap(); // nothing reads these
        record.attributes.insert(name.into(), value(rng, Kind::String));
    }
}

/// Of another type, or a list with one item of another type.
fn wrong(rng: &mut Rng, kind: Kind) -> Attribute {
    let as_well = |other: &Kind| (kind == Kind::Double && *other == Kind::Int) || *other == kind;
    let lists = [Kind::Strings, Kind::Ints];
    if lists.contains(&kind) && rng.bool() {
        let odd = rng.choice([Attribute::Null, Attribute::Bool(true), Attribute::Double(1.0)]).unwrap();
        return match value(rng, kind) {
            Attribute::List(items) => Attribute::List(items.into_iter().chain([odd]).collect()),
            _ => unreachable!("a list"),
        };
    }
    let others: Vec<Kind> = KINDS.into_iter().filter(|other| !as_well(other)).collect();
    let other = rng.choice(others).unwrap();
    match value(rng, other) {
        Attribute::List(items) if items.is_empty() => Attribute::Bool(false), // an empty list is of every list type
        other => other,
    }
}

/// Undeclared: of the usual type as a rule, else null, of another type, or not sent. A number may be whole or not.
fn context_attributes(rng: &mut Rng) -> BTreeMap<String, Attribute> {
    let mut sent = BTreeMap::new();
    for (name, kind) in CONTEXT_ATTRIBUTES {
        let value = match rng.u8(..20) {
            0..2 => Attribute::Null,
            2 => Attribute::Bool(true),
            3 => Attribute::Int(2),
            4 => continue,
            5..9 if kind == Kind::Int => Attribute::Double(rng.choice([2.0, 2.5, -3.0]).unwrap()),
            5..9 if kind == Kind::Double => Attribute::Int(rng.i64(0..3)),
            5..9 if kind == Kind::Strings => value(rng, Kind::Ints),
            _ => value(rng, kind),
        };
        sent.insert(name.to_owned(), value);
    }
    sent
}
