//! What is handed out in a random organization: roles, assignments, grants, and constraints on them.

use super::*;

pub fn roles(rng: &mut Rng, file: &mut Value, size: usize) {
    let objects = ids(file, "objects");
    let mut rows = Vec::new();
    for id in many(rng, &ROLES, size) {
        let scope = rng.choice(["organization", "account", "object", "object"]).unwrap();
        let mut row =
            json!({"id": id, "name": format!("Role {id}"), "scope": scope, "permissions": patterns(rng, file)});
        if scope == "object" && !objects.is_empty() && rng.u8(..10) < 4 {
            row["object"] = json!(rng.choice(&objects).unwrap());
        }
        rows.push(row);
    }
    if file["preset"] == "integration" {
        for id in ["admin", "org", "default-user"] {
            if rng.u8(..10) < 2 {
                rows.push(json!({"id": id, "permissions": patterns(rng, file)}));
            }
        }
    }
    rng.shuffle(&mut rows);
    put(rng, file, "roles", rows);
}

/// Names, aliases and wildcards, each permission at most once in one list.
pub fn patterns(rng: &mut Rng, file: &Value) -> Vec<String> {
    let catalogue = oracle::catalogue(file);
    let mut seen = BTreeSet::new();
    let mut chosen = Vec::new();
    for _ in 0..rng.usize(..6) {
        let permission = &catalogue[rng.usize(..catalogue.len())];
        let (same, pattern) = match rng.u8(..20) {
            0 => ("*".to_owned(), "*".to_owned()),
            1..8 => {
                let dots: Vec<usize> = permission.name.match_indices('.').map(|dot| dot.0).collect();
                let wildcard = format!("{}.*", &permission.name[..dots[rng.usize(..dots.len())]]);
                (wildcard.clone(), wildcard)
            }
            8 => ("nothing.*".to_owned(), "nothing.*".to_owned()), // for what may be added later
            _ => (permission.name.clone(), name_or_alias(rng, std::slice::from_ref(permission))),
        };
        if seen.insert(same) {
            chosen.push(pattern);
        }
    }
    if chosen.is_empty() { vec![name_or_alias(rng, &catalogue)] } else { chosen }
}

pub fn assignments(rng: &mut Rng, file: &mut Value, size: usize) {
    let roles = roles_and_scopes(file);
    let default_account = default_account(file);
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for _ in 0..rng.usize(size..=size * 3) {
        let Some((role, scope, tied_to)) = rng.choice(&roles) else { break };
        let Some(member) = member(rng, file) else { break };
        if role == "org-admin" && !of_default_account(file, &member, &default_account) {
            continue;
        }
        let Some(target) = target_of_scope(rng, file, scope, tied_to.as_deref()) else { continue };
        if !seen.insert(format!("{role:?} {member:?} {}", Value::Object(target.clone()))) {
            continue;
        }
        let mut row = json!({"role": role, "member": member});
        if rng.bool() && ["org-admin", "admin", "org", "default-user"].contains(&role.as_str()) {
            row["by_hand"] = json!(true); // as an export says it; it is so anyway
        }
        row.as_object_mut().unwrap().extend(target);
        period(rng, &mut row);
        rows.push(row);
    }
    put(rng, file, "assignments", rows);
}

/// Constraints on roles that somebody holds together: mostly one that is assigned and another that is then assigned to
/// the same member, where the first one is, where it reaches or somewhere else.
pub fn separations(rng: &mut Rng, file: &mut Value) {
    let roles = roles_and_scopes(file);
    let assigned = list(file, "assignments").to_vec();
    if assigned.is_empty() || roles.len() < 2 || rng.u8(..10) < 3 {
        return;
    }
    let mut rows = Vec::new();
    for id in some(rng, &["pay", "p", "pay.2", "main"], 4) {
        let base = rng.choice(&assigned).unwrap();
        let (other, scope, tied_to) = rng.choice(&roles).unwrap();
        if base["role"] == other.as_str() || other == "org-admin" {
            continue;
        }
        let mut row = json!({"role": other, "member": base["member"]});
        let same = match (scope.as_str(), tied_to, base["object"].as_str()) {
            ("object", Some(tied), Some(object)) if tied != object => false,
            ("object", ..) => base["object"].is_string(),
            ("account", ..) => base["account"].is_string(),
            _ => true,
        };
        let target = if !same || rng.u8(..10) < 2 {
            target_of_scope(rng, file, scope, tied_to.as_deref())
        } else if scope == "organization" {
            Some(Map::new())
        } else {
            let keys = ["account", "object", "record"];
            let given = keys.iter().filter(|key| base[**key].is_string());
            Some(given.map(|key| ((*key).to_owned(), base[*key].clone())).collect())
        };
        let Some(target) = target else { continue };
        row.as_object_mut().unwrap().extend(target);
        let place = |row: &Value| ["role", "member", "account", "object", "record"].map(|key| row[key].clone());
        if !list(file, "assignments").iter().any(|there| place(there) == place(&row)) {
            if rng.u8(..10) < 3 {
                period(rng, &mut row);
            }
            policies::push(file, "assignments", row);
        }
        let mut named = BTreeSet::from([text(base, "role").to_owned(), other.clone()]);
        named.extend(some(rng, &roles, 2).into_iter().map(|(role, ..)| role));
        let max = if named.len() > 2 && rng.bool() { rng.usize(1..named.len()) } else { 1 };
        let mut row = json!({"id": id, "roles": named, "max": max});
        match rng.u8(..6) {
            0 => row["enforce"] = json!("prevent"),
            1 => {}
            _ => row["enforce"] = json!("deny"),
        }
        rows.push(row);
    }
    put(rng, file, "separation_of_duties", rows);
}

pub fn grants(rng: &mut Rng, file: &mut Value, size: usize) {
    let catalogue = oracle::catalogue(file);
    let same = |pattern: &String| {
        catalogue
            .iter()
            .find(|permission| permission.aliases.contains(pattern))
            .map_or(pattern.clone(), |permission| permission.name.clone())
    };
    let mut seen = BTreeSet::new();
    let mut rows = Vec::new();
    for _ in 0..rng.usize(size..=size * 3) {
        let Some(member) = member(rng, file) else { break };
        let scope = rng.choice(["organization", "account", "object", "object"]).unwrap();
        let Some(target) = target_of_scope(rng, file, scope, None) else { continue };
        let at = format!("{member:?} {}", Value::Object(target.clone()));
        let permissions: Vec<String> =
            patterns(rng, file).into_iter().filter(|pattern| seen.insert(format!("{} {at}", same(pattern)))).collect();
        if permissions.is_empty() {
            continue;
        }
        let mut row = json!({"permissions": permissions, "member": member});
        row.as_object_mut().unwrap().extend(target);
        period(rng, &mut row);
        rows.push(row);
    }
    // So that the invite policy is asked often enough (4.9).
    let mut rows: Vec<Value> = rows;
    let everyone = json!({"permissions": ["organization_users.create"], "member": "group:all-users"});
    if rng.u8(..10) < 7 && !rows.iter().any(|row| row["member"] == everyone["member"]) {
        rows.push(everyone);
    }
    put(rng, file, "grants", rows);
}

/// A target that a role of this scope may be assigned at; an object-scoped one often at a record.
pub fn target_of_scope(rng: &mut Rng, file: &Value, scope: &str, tied_to: Option<&str>) -> Option<Map<String, Value>> {
    let target = match scope {
        "organization" => json!({}),
        "account" => json!({"account": rng.choice(account_ids(file)).unwrap()}),
        _ => {
            let object = tied_to.map(str::to_owned).or_else(|| rng.choice(ids(file, "objects")))?;
            if rng.u8(..10) < 7 {
                json!({"object": object, "record": record_id(rng)})
            } else {
                json!({"object": object})
            }
        }
    };
    target.as_object().cloned()
}

/// Half have a period; its ends lie on, or a millisecond from, now or an hour from it.
pub fn period(rng: &mut Rng, row: &mut Value) {
    let hour = 3_600_000;
    let near = |rng: &mut Rng, around: i64| around + rng.choice([-1, 0, 1]).unwrap();
    let (starts_at, expires_at) = match rng.u8(..10) {
        0 => (Some(near(rng, NOW_MS)), None),
        1 => (None, Some(near(rng, NOW_MS))),
        2 => (Some(near(rng, NOW_MS - hour)), Some(near(rng, NOW_MS))),
        3 => (Some(near(rng, NOW_MS)), Some(near(rng, NOW_MS + hour))),
        4 => (Some(NOW_MS), Some(NOW_MS + 1)),
        5 => (Some(near(rng, NOW_MS - hour)), Some(near(rng, NOW_MS + hour))),
        _ => (None, None),
    };
    for (key, at) in [("starts_at", starts_at), ("expires_at", expires_at)] {
        if let Some(at) = at {
            row[key] = json!(written(rng, at));
        }
    }
}

/// RFC 3339, now and then with an offset.
pub fn written(rng: &mut Rng, at_ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap();
    if rng.u8(..5) == 0 { at.display_with_offset(jiff::tz::offset(2)).to_string() } else { at.to_string() }
}
// ---- small things -------------------------------------------------------------------------------------------------
