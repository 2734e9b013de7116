//! The JSON Schemas of both formats, for editors and for checking files without this program.
//!
//! A schema says what an entry looks like; it cannot say that an account exists. They are written
//! out here rather than derived: no struct has the shape of the file, which goes straight into rows.

use serde_json::{Value, json};

/// The schema of organization files, as `deploy/schema/organization.schema.json` has it.
#[must_use]
pub fn schema_organization() -> String {
    let properties = json!({
        "organization": id(),
        "display_name": text(),
        "super_organization": id(),
        "preset": one_of(&["workspace", "integration", "none"]),
        "email_domains": list(&object(&["domain", "audience"], &json!({
            "domain": text(),
            "audience": one_of(&["internal", "external"]),
        }))),
        "settings": settings(),
        "accounts": list(&object(&["id"], &json!({
            "id": id(), "default": flag(), "display_name": text(),
        }))),
        "permissions": list(&object(&["name"], &json!({
            "name": text(),
            "aliases": set(&text()),
            "level": one_of(&["organization", "account", "object"]),
            "requires_visibility": flag(),
            "requires_approver": flag(),
            "when_not_owner": text(),
        }))),
        "objects": list(&object(&["id", "kind"], &json!({
            "id": id(),
            "kind": one_of(&["app", "element", "task", "workflow"]),
            "display_name": text(),
            "fields": field_types(),
            "private_to": { "type": "string", "pattern": "^(account|user):." },
        }))),
        "user_attributes": field_types(),
        "users": list(&user()),
        "service_accounts": list(&object(&["id"], &json!({
            "id": opaque(),
            "account": id(),
            "status": one_of(&["active", "inactive"]),
            "attributes": attributes(),
        }))),
        "groups": list(&group()),
        "roles": list(&object(&["id"], &json!({
            "id": id(),
            "name": text(),
            "description": text(),
            "scope": one_of(&["organization", "account", "object"]),
            "object": id(),
            "permissions": set(&text()),
            "auto_share": set(&one_of(&["watcher", "assignee", "mentioned", "shared"])),
        }))),
        "assignments": list(&edge("role", &id())),
        "grants": list(&edge("permissions", &set(&text()))),
        "relations": list(&object(&["relation", "member", "object", "record"], &json!({
            "relation": one_of(&["watcher", "assignee", "mentioned", "shared", "approver"]),
            "member": user_or_group(),
            "object": id(),
            "record": opaque(),
        }))),
        "data_access": list(&object(&["id", "object", "effect", "members"], &json!({
            "id": id(),
            "object": id(),
            "effect": one_of(&["allow", "restrict"]),
            "members": set(&user_or_group()),
            "condition": text(),
        }))),
        "element_safelist": set(&id()),
        "separation_of_duties": list(&object(&["id", "roles", "max"], &json!({
            "id": id(),
            "roles": set(&id()),
            "max": { "type": "integer", "minimum": 1 },
            "enforce": one_of(&["prevent", "deny"]),
        }))),
        "emergency": list(&emergency()),
    });
    document("Doorward organization file", &["organization"], &properties)
}

/// The schema of decision-test files, as `deploy/schema/decision-test.schema.json` has it.
#[must_use]
pub fn schema_cases() -> String {
    let record = object(
        &[],
        &json!({
            "id": text(), "owner": text(), "account": text(), "attributes": attributes(),
        }),
    );
    let context = object(
        &[],
        &json!({
            "channel": text(),
            "authenticated_at": timestamp(),
            "invitee_email": text(),
            "attributes": attributes(),
        }),
    );
    let authorize = object(
        &["principal", "permission"],
        &json!({
            "principal": text(), "permission": text(), "account": text(), "object": text(),
            "record": record, "context": context,
        }),
    );
    let permissions = object(
        &["principal"],
        &json!({
            "principal": text(), "account": text(), "object": text(), "record": record,
            "context": context,
        }),
    );
    let filter = object(
        &["principal", "records"],
        &json!({
            "principal": text(), "permission": text(), "account": text(), "object": text(),
            "records": list(&record), "context": context,
        }),
    );
    let cases = json!({ "type": "array", "items": { "oneOf": [
        object(&["authorize", "expect"], &json!({
            "name": text(),
            "authorize": authorize,
            "expect": one_of(&["allow", "deny", "error"]),
            "reason": text(),
        })),
        object(&["permissions", "expect_permissions"], &json!({
            "name": text(), "permissions": permissions, "expect_permissions": set(&text()),
        })),
        object(&["filter", "expect_visible"], &json!({
            "name": text(), "filter": filter, "expect_visible": set(&text()),
        })),
    ] } });
    let properties = json!({ "organization": id(), "now": timestamp(), "cases": cases });
    document("Doorward decision tests", &["organization", "cases"], &properties)
}

fn document(title: &str, required: &[&str], properties: &Value) -> String {
    let mut schema = object(required, properties);
    if let Some(root) = schema.as_object_mut() {
        root.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        root.insert("title".to_owned(), json!(title));
    }
    format!("{schema:#}\n")
}

fn settings() -> Value {
    object(
        &[],
        &json!({
            "invite_policy": object(&["mode"], &json!({
                "mode": one_of(&["admins_only", "any_domain", "allowed_domains"]),
                "domains": set(&text()),
            })),
            "auto_create_unknown_users": flag(),
            "external_reauthentication": object(&["max_age"], &json!({ "max_age": text() })),
        }),
    )
}

fn user() -> Value {
    object(
        &["id", "email"],
        &json!({
            "id": opaque(),
            "email": { "type": "string", "pattern": "^[^@]+@[^@]+$" },
            "first_name": text(),
            "last_name": text(),
            "kind": one_of(&["internal", "external"]),
            "account": id(),
            "manager": opaque(),
            "status": one_of(&["invited", "active", "limited", "inactive"]),
            "status_before": one_of(&["active", "limited"]),
            "pending_groups": set(&id()),
            "attributes": attributes(),
        }),
    )
}

fn group() -> Value {
    let flags = ["mentionable", "watchable", "assignable", "approver", "data_access"];
    object(
        &["id", "kind"],
        &json!({
            "id": id(),
            "name": text(),
            "kind": one_of(&["manual", "dynamic", "system"]),
            "photo_uri": text(),
            "members": set(&member()),
            "domains": set(&text()),
            "visibility": set(&one_of(&flags)),
        }),
    )
}

/// An assignment or a grant: `what` is held by a member at a target.
fn edge(what: &str, schema: &Value) -> Value {
    let mut edge = object(
        &[what, "member"],
        &json!({
            "member": member(),
            "account": id(),
            "object": id(),
            "record": opaque(),
            "starts_at": timestamp(),
            "expires_at": timestamp(),
        }),
    );
    if let Some(properties) = edge.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(what.to_owned(), schema.clone());
        if what == "role" {
            properties.insert("by_hand".to_owned(), flag());
        }
    }
    one_target(&mut edge);
    edge
}

/// A role may be activated by users at a target.
fn emergency() -> Value {
    let mut rule = object(
        &["role", "users", "max_duration"],
        &json!({
            "role": id(),
            "users": set(&opaque()),
            "max_duration": text(),
            "account": id(),
            "object": id(),
            "record": opaque(),
        }),
    );
    one_target(&mut rule);
    rule
}

fn one_target(entry: &mut Value) {
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("dependentRequired".to_owned(), json!({ "record": ["object"] }));
        entry.insert("not".to_owned(), json!({ "required": ["account", "object"] }));
    }
}

fn object(required: &[&str], properties: &Value) -> Value {
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if let (false, Some(object)) = (required.is_empty(), schema.as_object_mut()) {
        object.insert("required".to_owned(), json!(required));
    }
    schema
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn id() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$" })
}

fn opaque() -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 128 })
}

fn member() -> Value {
    json!({ "type": "string", "pattern": "^(user|service|group):." })
}

fn user_or_group() -> Value {
    json!({ "type": "string", "pattern": "^(user|group):." })
}

fn timestamp() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn one_of(words: &[&str]) -> Value {
    json!({ "enum": words })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn set(items: &Value) -> Value {
    json!({ "type": "array", "items": items, "uniqueItems": true })
}

fn field_types() -> Value {
    let scalar = "string|int|double|bool|timestamp";
    json!({
        "type": "object",
        "additionalProperties": { "type": "string", "pattern": format!("^({scalar}|list<({scalar})>)$") },
    })
}

fn attributes() -> Value {
    let scalar = json!(["string", "number", "boolean", "null"]);
    json!({
        "type": "object",
        "additionalProperties": {
            "type": ["string", "number", "boolean", "null", "array"],
            "items": { "type": scalar },
        },
    })
}
