//! Stories, told as an administrator would tell them.

use std::collections::BTreeMap;

use doorward::core::decision::{Question, Reason, Record, Resource, decide};
use doorward::core::model::Value as Attribute;
use doorward::core::table::Table;
use serde_json::json;

use crate::support::{filter, table};

const NOW: i64 = 1_795_348_800_000;

/// A record of the cases application.
struct Case {
    id: &'static str,
    owner: &'static str,
    attributes: BTreeMap<String, Attribute>,
}

fn case(id: &'static str, owner: &'static str, team: &str, confidential: bool) -> Case {
    let attributes = [
        ("team".to_owned(), Attribute::String(team.to_owned())),
        ("confidential".to_owned(), Attribute::Bool(confidential)),
    ];
    Case { id, owner, attributes: attributes.into() }
}

impl Case {
    fn record(&self) -> Record<'_> {
        Record { id: self.id, owner: self.owner, account: "", attributes: &self.attributes }
    }
}

/// The ids of the cases that somebody can read.
fn reads<'c>(organization: &Table, who: &str, cases: &'c [Case]) -> Vec<&'c str> {
    let resource = Resource { object: "cases", ..Resource::default() };
    let question = Question { principal: who, permission: "records.read", resource, ..Question::default() };
    let filtered = filter(organization, &question, cases.iter().map(Case::record), NOW).unwrap();
    for (at, case) in (0u32..).zip(cases) {
        let resource = Resource { record: Some(case.record()), ..resource };
        let one = decide(organization, &Question { resource, ..question }, NOW) == Ok(Reason::Allowed);
        assert_eq!(one, filtered.positions.contains(&at), "{who}, {}", case.id);
    }
    filtered.positions.iter().map(|at| cases[*at as usize].id).collect()
}

#[test]
fn a_team_sees_its_own_records_managers_those_of_their_reports_and_partners_what_they_were_invited_to() {
    let organization = table(&json!({
        "organization": "acme",
        "preset": "workspace",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "objects": [{"id": "cases", "kind": "app", "fields": {"team": "string", "confidential": "bool"}}],
        "user_attributes": {"team": "string"},
        "users": [
            {"id": "mia", "email": "mia@acme.com"},
            {"id": "eve", "email": "eve@acme.com", "manager": "mia", "attributes": {"team": "emea"}},
            {"id": "sam", "email": "sam@acme.com", "manager": "mia", "attributes": {"team": "apac"}},
            {"id": "pat", "email": "pat@partner.io"},
        ],
        "groups": [
            {"id": "staff", "kind": "dynamic", "domains": ["acme.com"], "visibility": ["data_access"]},
            {"id": "partners", "kind": "manual", "members": ["user:pat"]},
        ],
        "roles": [{"id": "guest", "scope": "object", "object": "cases", "permissions": ["records.read"], "auto_share": ["shared"]}],
        "assignments": [{"role": "content-editor", "member": "group:staff", "object": "cases"}],
        "relations": [{"relation": "shared", "member": "group:partners", "object": "cases", "record": "c-2"}],
        "data_access": [
            {"id": "own-team", "object": "cases", "effect": "allow", "members": ["group:staff"],
             "condition": "record.team == user.attributes.team"},
            {"id": "reports", "object": "cases", "effect": "allow", "members": ["group:staff"],
             "condition": "record.owner in user.direct_reports"},
        ],
    }));
    let cases = [
        case("c-1", "eve", "emea", false),
        case("c-2", "sam", "apac", false),
        case("c-3", "pat", "apac", false),
        case("c-4", "", "emea", false),
    ];
    assert_eq!(reads(&organization, "eve", &cases), ["c-1", "c-4"]);
    assert_eq!(reads(&organization, "sam", &cases), ["c-2", "c-3"]);
    assert_eq!(reads(&organization, "mia", &cases), ["c-1", "c-2"], "she has no team, but two reports");
    assert_eq!(reads(&organization, "pat", &cases), ["c-2"], "although c-3 is pat's own: nobody shared it");
}

#[test]
fn a_confidential_record_is_hidden_from_a_powerful_role() {
    let organization = table(&json!({
        "organization": "acme",
        "preset": "workspace",
        "email_domains": [{"domain": "acme.com", "audience": "internal"}],
        "objects": [{"id": "cases", "kind": "app", "fields": {"team": "string", "confidential": "bool"}}],
        "users": [{"id": "root", "email": "root@acme.com"}, {"id": "lawyer", "email": "l@acme.com"}],
        "groups": [
            {"id": "legal", "kind": "manual", "members": ["user:lawyer"], "visibility": ["data_access"]},
            {"id": "administrators", "kind": "manual", "members": ["user:root"], "visibility": ["data_access"]},
        ],
        "assignments": [
            {"role": "organization-admin", "member": "group:administrators"},
            {"role": "content-viewer", "member": "group:legal", "object": "cases"},
        ],
        "data_access": [
            {"id": "everything", "object": "cases", "effect": "allow", "members": ["group:administrators", "group:legal"]},
            {"id": "confidential", "object": "cases", "effect": "restrict", "members": ["group:all-users"],
             "condition": "record.confidential && !('legal' in user.groups)"},
        ],
    }));
    let cases = [case("open", "", "emea", false), case("secret", "", "emea", true)];
    assert_eq!(reads(&organization, "root", &cases), ["open"]);
    assert_eq!(reads(&organization, "lawyer", &cases), ["open", "secret"]);
    // Whoever does not say whether a record is confidential does not open it to the administrator.
    let unsaid = Record { id: "unsaid", ..Record::default() };
    let resource = Resource { object: "cases", record: Some(unsaid), ..Resource::default() };
    let ask = |principal, permission| {
        decide(&organization, &Question { principal, permission, resource, ..Question::default() }, NOW).unwrap()
    };
    assert_eq!(ask("root", "records.read"), Reason::Restricted);
    assert_eq!(ask("lawyer", "records.read"), Reason::Allowed);
    assert_eq!(ask("lawyer", "records.update"), Reason::NoPermission);
}
