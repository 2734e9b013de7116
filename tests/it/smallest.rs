//! Rule 4.11, by hand: what is the smallest change that would allow, for each reason.

use doorward::core::decision::{Context, Question, Reason, Record, Resource, decide};
use doorward::core::explain::smallest::smallest;
use doorward::core::table::Table;
use serde_json::{Value, json};

use crate::support::table;

const NOW: i64 = 1_795_348_800_000; // 2026-11-22T12:00:00Z

/// Ana reviews vendors; nothing was given to her yet.
fn with(more: Value) -> Table {
    let mut file = json!({
        "organization": "acme",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "accounts": [{"id": "main", "default": true}, {"id": "emea"}],
        "permissions": [
            {"name": "records.read", "requires_visibility": true},
            {"name": "records.comment"},
            {"name": "records.approve", "requires_approver": true},
            {"name": "reports.read", "level": "account"},
        ],
        "objects": [{"id": "vendor-risk", "kind": "app", "fields": {"region": "string"}}],
        "users": [
            {"id": "ana", "email": "ana@acme.com"},
            {"id": "bo", "email": "bo@acme.com"},
            {"id": "ext", "email": "eve@partner.io"},
        ],
        "service_accounts": [{"id": "ci"}],
        "groups": [{"id": "risk", "kind": "manual", "visibility": ["data_access", "approver"]}],
        "roles": [
            {"id": "reviewer", "scope": "object", "permissions": ["records.comment", "records.approve"]},
            {"id": "everything", "scope": "organization", "permissions": ["*"]},
        ],
        "assignments": [{"role": "everything", "member": "user:bo"}],
    });
    for (key, value) in more.as_object().unwrap() {
        match (file.get_mut(key).and_then(Value::as_array_mut), value.as_array()) {
            (Some(rows), Some(more)) => rows.extend(more.iter().cloned()),
            _ => file[key] = value.clone(),
        }
    }
    table(&file)
}

fn ask<'a>(principal: &'a str, permission: &'a str, record: Option<&'a str>) -> Question<'a> {
    let record = record.map(|id| Record { id, ..Record::default() });
    let resource = Resource { object: "vendor-risk", record, ..Resource::default() };
    Question { principal, permission, resource, ..Question::default() }
}

/// Each suggestion's steps in words.
fn told(table: &Table, question: &Question<'_>) -> Vec<Vec<String>> {
    let text = |s: &doorward::core::explain::smallest::Suggestion| s.steps.iter().map(ToString::to_string).collect();
    smallest(table, question, NOW).iter().map(text).collect()
}

/// Asserts why it is denied, and the suggestions of one step.
#[track_caller]
fn allowed_by(table: &Table, question: &Question<'_>, reason: Reason, changes: &[&str]) {
    assert_eq!(decide(table, question, NOW).unwrap(), reason);
    let told = told(table, question);
    let told: Vec<_> = told.iter().map(|steps| steps.join("; and ")).collect();
    assert_eq!(told, changes);
}

#[test]
fn m4_11_a_group_that_holds_a_role_there_is_better_than_the_role() {
    let comment = ask("user:ana", "records.comment", None);
    let given = with(json!({"assignments": [{"role": "reviewer", "member": "group:risk", "object": "vendor-risk"}]}));
    let changes = [
        "add `user:ana` to group `risk`, which holds role `reviewer` at object `vendor-risk`",
        "assign role `reviewer` to `user:ana` at object `vendor-risk`",
        "assign role `everything` to `user:ana` at the organization",
    ];
    allowed_by(&given, &comment, Reason::NoPermission, &changes);
    // The role with less in it comes before a group that holds one with more.
    let all = with(json!({"assignments": [{"role": "everything", "member": "group:risk"}]}));
    let changes = [
        "assign role `reviewer` to `user:ana` at object `vendor-risk`",
        "add `user:ana` to group `risk`, which holds role `everything` at the organization",
        "assign role `everything` to `user:ana` at the organization",
    ];
    allowed_by(&all, &comment, Reason::NoPermission, &changes);
    // Of a record, the role there is enough. What is allowed lacks nothing.
    let none = with(json!({}));
    let first = told(&none, &ask("user:ana", "records.comment", Some("r"))).remove(0);
    assert_eq!(first, ["assign role `reviewer` to `user:ana` at record `r` of object `vendor-risk`"]);
    assert_eq!(told(&none, &ask("user:bo", "records.comment", None)), [[""; 0]; 0]);
}

#[test]
fn m4_11_without_a_role_a_grant_at_the_narrowest_target_that_its_level_admits() {
    let table = with(json!({"roles": [{"id": "other", "scope": "account", "permissions": ["records.comment"]}]}));
    let resource = Resource { account: "emea", ..ask("", "", Some("r")).resource };
    let reports = Question { resource, ..ask("service:ci", "reports.read", None) };
    let changes = [
        "assign role `everything` to `service:ci` at the organization",
        "grant `reports.read` to `service:ci` at account `emea`",
    ];
    allowed_by(&table, &reports, Reason::NoPermission, &changes);
}

#[test]
fn m4_11_what_is_over_is_extended_and_what_has_not_begun_begins() {
    let at = |period: Value| {
        let mut row = json!({"role": "reviewer", "member": "user:ana", "object": "vendor-risk"});
        row.as_object_mut().unwrap().extend(period.as_object().unwrap().clone());
        with(json!({"assignments": [row]}))
    };
    let first = |table: &Table| told(table, &ask("user:ana", "records.comment", None)).remove(0);
    let over = at(json!({"expires_at": "2026-01-01T00:00:00Z"}));
    let lacks = "extend role `reviewer` of `user:ana` at object `vendor-risk`, which expired at 2026-01-01T00:00:00Z";
    assert_eq!(first(&over), [lacks]);
    let later = at(json!({"starts_at": "2027-01-01T00:00:00Z"}));
    let lacks =
        "extend role `reviewer` of `user:ana` at object `vendor-risk`, which starts at 2027-01-01T00:00:00Z only";
    assert_eq!(first(&later), [lacks]);
}

#[test]
fn m4_11_a_status_is_changed_as_rule_2_2_has_it() {
    let of = |status: Value| {
        let mut user = json!({"id": "cy", "email": "cy@acme.com"});
        user.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
        with(json!({
            "users": [user], "grants": [{"permissions": ["records.comment"], "member": "user:cy"}],
            "assignments": [{"role": "reviewer", "member": "group:risk", "object": "vendor-risk"}],
        }))
    };
    let comment = ask("user:cy", "records.comment", None);
    let invited = of(json!({"status": "invited"}));
    allowed_by(&invited, &comment, Reason::PrincipalInvited, &["complete the registration of `user:cy`"]);
    let limited = of(json!({"status": "limited"}));
    allowed_by(&limited, &comment, Reason::PrincipalLimited, &["lift the limit of `user:cy` to e-mail"]);
    let inactive = of(json!({"status": "inactive", "status_before": "active"}));
    allowed_by(&inactive, &comment, Reason::PrincipalInactive, &["activate `user:cy`"]);
    // It comes back as what it was.
    let was_limited = of(json!({"status": "inactive", "status_before": "limited"}));
    let both = "activate `user:cy`, which makes it limited again; and lift the limit of `user:cy` to e-mail";
    allowed_by(&was_limited, &comment, Reason::PrincipalInactive, &[both]);
    // An invitation that was revoked is not accepted again; of whom nothing is known, nothing is told.
    allowed_by(&of(json!({"status": "inactive"})), &comment, Reason::PrincipalInactive, &[]);
    let nobody = ask("user:nobody", "records.comment", None);
    allowed_by(&invited, &nobody, Reason::PrincipalUnknown, &[]);
    // What is pending comes with the registration.
    let pending = of(json!({"status": "invited", "pending_groups": ["risk"]}));
    let approve = ask("user:cy", "records.approve", None);
    allowed_by(&pending, &approve, Reason::PrincipalInvited, &["complete the registration of `user:cy`"]);
}

#[test]
fn m4_11_one_change_may_not_do() {
    let table = with(json!({
        "users": [{"id": "cy", "email": "cy@acme.com", "status": "inactive", "status_before": "active"}],
        "assignments": [{"role": "reviewer", "member": "group:risk", "object": "vendor-risk"}],
    }));
    let both = told(&table, &ask("user:cy", "records.comment", None)).remove(0);
    let join = "add `user:cy` to group `risk`, which holds role `reviewer` at object `vendor-risk`";
    assert_eq!(both, ["activate `user:cy`", join]);
}

#[test]
fn m4_11_who_has_to_authenticate_again_is_told_so() {
    let table = with(json!({
        "settings": {"external_reauthentication": {"max_age": "12h"}},
        "grants": [{"permissions": ["records.comment"], "member": "user:ext"}],
    }));
    let changes = ["let `user:ext` authenticate again, and say when it did"];
    let comment = ask("user:ext", "records.comment", None);
    allowed_by(&table, &comment, Reason::ReauthenticationRequired, &changes);
}

#[test]
fn m4_11_an_element_is_taken_off_one_list_and_put_on_the_other() {
    let of = |more: Value| {
        let mut file = json!({
            "objects": [{"id": "crm", "kind": "element"}, {"id": "erp", "kind": "element"}],
            "grants": [{"permissions": ["records.comment"], "member": "user:ana"}],
        });
        file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with(file)
    };
    let resource = Resource { object: "crm", ..Resource::default() };
    let comment = Question { resource, ..ask("user:ana", "records.comment", None) };
    let closed = Reason::ElementNotListed;
    let denied = of(json!({"super_organization": "group", "element_denylist": ["crm"]}));
    allowed_by(&denied, &comment, closed, &["take element `crm` off the denylist of super-organization `group`"]);
    let unlisted = of(json!({"element_safelist": ["erp"]}));
    allowed_by(&unlisted, &comment, closed, &["put element `crm` on the safelist"]);
    let private = |to: &str| of(json!({"objects": [{"id": "crm", "kind": "element", "private_to": to}]}));
    let changes = ["move `user:ana` to account `emea`", "make element `crm` private to nobody"];
    allowed_by(&private("account:emea"), &comment, closed, &changes);
    allowed_by(&private("user:bo"), &comment, closed, &["make element `crm` private to nobody"]);
}

#[test]
fn m4_11_of_a_broken_constraint_a_role_is_given_up() {
    let table = with(json!({
        "groups": [{"id": "payers", "kind": "manual", "members": ["user:ana"]}],
        "roles": [{"id": "payer", "scope": "object", "permissions": ["reports.read"]}],
        "separation_of_duties": [{"id": "pay", "roles": ["payer", "reviewer"], "max": 1, "enforce": "deny"}],
        "assignments": [
            {"role": "reviewer", "member": "user:ana", "object": "vendor-risk"},
            {"role": "payer", "member": "group:payers", "object": "vendor-risk"},
        ],
    }));
    let changes = [
        "take `user:ana` out of group `payers`, which leads to role `payer`",
        "assign role `everything` to `user:ana` at the organization",
        "grant `records.comment` to `user:ana` at object `vendor-risk`",
    ];
    allowed_by(&table, &ask("user:ana", "records.comment", None), Reason::SeparationOfDuties, &changes);
}

#[test]
fn m4_11_a_record_is_shown_by_a_policy_a_relation_or_a_role_there() {
    let table = with(json!({
        "grants": [{"permissions": ["records.*"], "member": "user:ana"}],
        "roles": [{"id": "follower", "scope": "object", "object": "vendor-risk", "permissions": ["records.read"],
            "auto_share": ["watcher"]}],
        "data_access": [
            {"id": "all", "object": "vendor-risk", "effect": "allow", "members": ["group:risk"]},
            {"id": "others", "object": "vendor-risk", "effect": "allow", "members": ["group:risk"],
                "condition": "record.id == \"q\""},
        ],
    }));
    let changes = [
        "add `user:ana` to group `risk`, which policy `all` shows this record to",
        "name `user:ana` in policy `all`",
        "relate `user:ana` as watcher to record `r` of object `vendor-risk`",
    ];
    allowed_by(&table, &ask("user:ana", "records.read", Some("r")), Reason::NotVisible, &changes);
    // A group's flag is set last of all: it shows the record to all of the group.
    let off = with(json!({
        "grants": [{"permissions": ["records.*"], "member": "user:ana"}],
        "groups": [{"id": "unseeing", "kind": "manual", "members": ["user:ana"]}],
        "data_access": [{"id": "all", "object": "vendor-risk", "effect": "allow", "members": ["group:unseeing"]}],
    }));
    let changes = [
        "name `user:ana` in policy `all`",
        "grant `records.read` to `user:ana` at record `r` of object `vendor-risk`",
        "set the flag `data_access` of group `unseeing`",
    ];
    allowed_by(&off, &ask("user:ana", "records.read", Some("r")), Reason::NotVisible, &changes);
}

#[test]
fn m4_11_what_a_policy_hides_is_shown_by_leaving_what_it_applies_to() {
    let of = |members: Value| {
        with(json!({
            "groups": [{"id": "trainees", "kind": "manual", "members": ["user:ana"]}],
            "grants": [{"permissions": ["records.*"], "member": "user:ana", "object": "vendor-risk", "record": "r"}],
            "data_access": [{"id": "large", "object": "vendor-risk", "effect": "restrict", "members": members}],
        }))
    };
    let read = ask("user:ana", "records.read", Some("r"));
    let changes = [
        "take `user:ana` out of group `trainees`, to which policy `large` applies",
        "take `group:trainees` out of policy `large`",
    ];
    allowed_by(&of(json!(["group:trainees"])), &read, Reason::Restricted, &changes);
    allowed_by(&of(json!(["user:ana"])), &read, Reason::Restricted, &["take `user:ana` out of policy `large`"]);
    // A system group cannot be left.
    let everybody = of(json!(["group:all-users", "user:ana"]));
    let both = "take `user:ana` and `group:all-users` out of policy `large`";
    allowed_by(&everybody, &read, Reason::Restricted, &[both]);
}

#[test]
fn m4_11_an_approver_is_who_has_the_relation_or_joins_who_has_it() {
    let table = with(json!({
        "grants": [{"permissions": ["records.approve"], "member": "user:ana"},
            {"permissions": ["records.approve"], "member": "service:ci"}],
        "relations": [{"relation": "approver", "member": "group:risk", "object": "vendor-risk", "record": "r"}],
    }));
    let join = |who: &str| format!("add `{who}` to group `risk`, which approves this record");
    let relate = "relate `user:ana` as approver to record `r` of object `vendor-risk`";
    let approve = ask("user:ana", "records.approve", Some("r"));
    allowed_by(&table, &approve, Reason::NotApprover, &[&join("user:ana"), relate]);
    // A service account has no relations.
    let approve = ask("service:ci", "records.approve", Some("r"));
    allowed_by(&table, &approve, Reason::NotApprover, &[&join("service:ci")]);
}

#[test]
fn m4_11_an_invite_policy_admits_one_domain_more() {
    let of = |policy: Value| {
        with(json!({
            "settings": {"invite_policy": policy},
            "email_domains": [{"domain": "partner.io", "audience": "external"}],
            "grants": [{"permissions": ["organization_users.create"], "member": "user:ana"}],
        }))
    };
    let context = Context { invitee_email: "eve@partner.io", ..Context::default() };
    let invite =
        Question { context, resource: Resource::default(), ..ask("user:ana", "organization_users.create", None) };
    let allowed = of(json!({"mode": "allowed_domains", "domains": ["acme.com"]}));
    assert_eq!(decide(&allowed, &invite, NOW).unwrap(), Reason::InvitePolicy);
    let changes = told(&allowed, &invite);
    assert_eq!(changes[0], ["let the invite policy admit domain `partner.io`"]);
    assert_eq!(changes[1], ["let the invite policy admit every domain"]);
    let admins = of(json!({"mode": "admins_only"}));
    assert_eq!(told(&admins, &invite)[0], ["let the invite policy admit every domain"]);
}

#[test]
fn m4_11_a_change_that_would_be_refused_is_not_told() {
    // A constraint prevents: Ana may not have both roles, by whichever path.
    let table = with(json!({
        "roles": [{"id": "payer", "scope": "object", "permissions": ["records.read"]}],
        "separation_of_duties": [{"id": "pay", "roles": ["payer", "reviewer"], "max": 1, "enforce": "prevent"}],
        "assignments": [
            {"role": "payer", "member": "user:ana", "object": "vendor-risk"},
            {"role": "reviewer", "member": "group:risk", "object": "vendor-risk"},
        ],
    }));
    let changes = [
        "assign role `everything` to `user:ana` at the organization",
        "grant `records.comment` to `user:ana` at object `vendor-risk`",
    ];
    allowed_by(&table, &ask("user:ana", "records.comment", None), Reason::NoPermission, &changes);
}
