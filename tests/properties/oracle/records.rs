//! Rules 5 and 6 of the oracle: who has which relation to a record, which policies hold for it, which records are visible.

use std::collections::{BTreeMap, BTreeSet};

use super::conditions::{Attribute, Facts, Path};
use super::{
    Answer, FilterQuestion, Membership, Oracle, Policy, Question, RecordQ, Resource, Target, as_principal, flag_of,
    m2_9_usable,
};

/// What a policy that concerns the principal says of a record: `None` is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyOutcome {
    pub policy: String,
    pub restricts: bool,
    pub holds: Option<bool>,
}

impl FilterQuestion {
    /// The question about one of the records; without a permission it names none.
    pub fn on(&self, record: &RecordQ) -> Question {
        Question {
            principal: self.principal.clone(),
            permission: self.permission.clone().unwrap_or_default(),
            account: self.account.clone(),
            object: Some(self.object.clone()),
            record: Some(record.clone()),
            channel: self.channel.clone(),
            invitee_email: self.invitee_email.clone(),
            context_attributes: self.context_attributes.clone(),
            authenticated_at_ms: self.authenticated_at_ms,
            now_ms: self.now_ms,
        }
    }
}

impl Oracle {
    /// 6.5: the positions of the records that pass, ascending; none at all where the question is an error.
    pub fn filter(&self, question: &FilterQuestion) -> Option<Vec<usize>> {
        let mut passed = Vec::new();
        for (at, record) in question.records.iter().enumerate() {
            let one = question.on(record);
            match if question.permission.is_some() { self.authorize(&one) } else { self.sees(&one) } {
                Answer::Allow => passed.push(at),
                Answer::Deny(_) => {}
                Answer::Error => return None,
            }
        }
        Some(passed)
    }

    /// 6.5: whether the principal can see the record, by 4.1 to 4.4 and 6.4; the question's permission is ignored.
    pub fn sees(&self, question: &Question) -> Answer {
        let Some(resource) = self.m4_1_resource(question) else { return Answer::Error };
        let Some(record) = resource.record else { return Answer::Error };
        let stopped = self.m4_1_to_m4_4_stopped(question, &resource);
        match stopped.or_else(|| self.m6_4_hidden(question, &resource, record)) {
            Some(reason) => Answer::Deny(reason),
            None => Answer::Allow,
        }
    }

    /// What each policy that concerns the principal says of the question's record, in the file's order.
    pub fn policies(&self, question: &Question) -> Vec<PolicyOutcome> {
        match (self.m4_1_resource(question), self.principals.get(&as_principal(&question.principal))) {
            (Some(resource), Some(_)) => {
                resource.record.map_or(Vec::new(), |record| self.m6_1_outcomes(question, &resource, record))
            }
            _ => Vec::new(),
        }
    }

    /// 6.4, 4.7: why the record is not visible, if it is not.
    pub(super) fn m6_4_hidden(
        &self,
        question: &Question,
        resource: &Resource,
        record: &RecordQ,
    ) -> Option<&'static str> {
        let outcomes = self.m6_1_outcomes(question, resource, record);
        let allowed = outcomes.iter().any(|policy| !policy.restricts && policy.holds == Some(true));
        let restricted = outcomes.iter().any(|policy| policy.restricts && policy.holds != Some(false)); // 6.3
        match (allowed || self.m6_4_held_at_it(question, resource, record), restricted) {
            (false, _) => Some("NOT_VISIBLE"),
            (true, true) => Some("RESTRICTED"),
            (true, false) => None,
        }
    }

    /// 6.4: whether any permission marked `requires_visibility` is held at that very record.
    fn m6_4_held_at_it(&self, question: &Question, resource: &Resource, record: &RecordQ) -> bool {
        let members = self.members(&as_principal(&question.principal), Membership::Ordinary);
        let void = self.m4_5_void(&members, resource, question.now_ms);
        let marked = || self.catalogue.values().filter(|permission| permission.requires_visibility);
        self.sources.iter().any(|source| {
            let at_it = matches!(&source.target, Target::Record(object, id)
                if Some(object.as_str()) == resource.object && *id == record.id);
            at_it
                && source.role.as_ref().is_none_or(|role| !void.contains(role))
                && members.contains(&source.member)
                && source.m3_4_in_effect(question.now_ms)
                && marked().any(|permission| {
                    source.target.level() <= permission.level
                        && source.patterns.iter().any(|pattern| self.m3_2_covers(pattern, &permission.name))
                })
        })
    }

    /// 6.1: the policies of the object that concern the principal, each with what its condition says.
    fn m6_1_outcomes(&self, question: &Question, resource: &Resource, record: &RecordQ) -> Vec<PolicyOutcome> {
        let concerning = self.policies.iter().filter(|policy| {
            Some(policy.object.as_str()) == resource.object && self.m2_9_concerns(policy, &question.principal)
        });
        let concerning: Vec<&Policy> = concerning.collect();
        if concerning.is_empty() {
            return Vec::new();
        }
        let facts = self.m6_1_facts(question, resource, record);
        let outcome = |policy: &Policy| PolicyOutcome {
            policy: policy.id.clone(),
            restricts: policy.restricts,
            holds: policy.condition.as_ref().map_or(Some(true), |condition| condition.holds(&facts)),
        };
        concerning.into_iter().map(outcome).collect()
    }

    /// 2.9: groups let see while they are usable for it; they restrict whatever the flag, and whoever could be in them.
    fn m2_9_concerns(&self, policy: &Policy, principal: &str) -> bool {
        let name = as_principal(principal);
        if policy.restricts {
            let members = self.members(&name, Membership::Restricting);
            return policy.members.iter().any(|member| members.contains(member));
        }
        let members = self.members(&name, Membership::Ordinary);
        let counts = |member: &&String| m2_9_usable(&self.groups, member, Some("data_access"));
        policy.members.iter().filter(counts).any(|member| members.contains(member))
    }

    /// 5.1: whether the principal has the relation, itself or through a group that is usable for it (2.9).
    pub(super) fn m5_1_has_relation(
        &self,
        relation: &str,
        members: &BTreeSet<String>,
        resource: &Resource,
        record: &RecordQ,
    ) -> bool {
        self.m5_1_members_with(relation, resource, record)
            .any(|member| members.contains(member) && m2_9_usable(&self.groups, member, flag_of(relation)))
    }

    fn m5_1_members_with<'a>(
        &'a self,
        relation: &'a str,
        resource: &'a Resource,
        record: &'a RecordQ,
    ) -> impl Iterator<Item = &'a String> {
        let here = self.relations.iter().filter(move |row| {
            row.relation == relation && Some(row.object.as_str()) == resource.object && row.record == record.id
        });
        here.map(|row| &row.member)
    }
}

// ---- what a condition can read ------------------------------------------------------------------------------------

impl Oracle {
    /// 6.1: whatever is not in here is missing.
    fn m6_1_facts(&self, question: &Question, resource: &Resource, record: &RecordQ) -> Facts {
        let mut values = self.about_user(question);
        values.extend(self.about_record(question, resource, record));
        let channel = question.channel.clone().filter(|channel| !channel.is_empty());
        values.extend(channel.map(|channel| (Path::Channel, Attribute::String(channel))));
        let sent = question.context_attributes.iter().filter(|(_, value)| **value != Attribute::Null);
        values.extend(sent.map(|(name, value)| (Path::ContextAttribute(name.clone()), value.clone())));
        Facts { values, now_ms: question.now_ms }
    }

    fn about_user(&self, question: &Question) -> BTreeMap<Path, Attribute> {
        let name = as_principal(&question.principal);
        let principal = &self.principals[&name];
        let kind = match (principal.is_user, principal.external) {
            (false, _) => "service",
            (true, false) => "internal",
            (true, true) => "external",
        };
        let mut about: BTreeMap<Path, Attribute> = BTreeMap::new();
        let mut put = |name: &str, value: Attribute| drop(about.insert(Path::User(name.to_owned()), value));
        put("id", Attribute::String(as_written(&name)));
        put("kind", Attribute::String(kind.to_owned()));
        put("account", Attribute::String(principal.account.clone()));
        put("direct_reports", texts(if principal.is_user { self.reports(&name) } else { BTreeSet::new() }));
        put("all_reports", texts(if principal.is_user { self.all_reports(&name) } else { BTreeSet::new() }));
        let members = self.members(&name, Membership::Ordinary);
        put("groups", texts(members.iter().filter_map(|member| member.strip_prefix("group:")).map(str::to_owned)));
        for (name, value) in [("email", &principal.email), ("manager", &principal.manager)] {
            if let Some(value) = value {
                put(name, Attribute::String(value.clone()));
            }
        }
        for (name, value) in &principal.attributes {
            let value = match self.user_attributes.get(name) {
                Some(kind) => m6_3_of_type(value, kind),
                None => Some(value.clone()).filter(|value| *value != Attribute::Null),
            };
            about.extend(value.map(|value| (Path::UserAttribute(name.clone()), value)));
        }
        about
    }

    fn about_record(&self, question: &Question, resource: &Resource, record: &RecordQ) -> BTreeMap<Path, Attribute> {
        let mut about: BTreeMap<Path, Attribute> = BTreeMap::new();
        let mut put = |name: &str, value: Attribute| drop(about.insert(Path::Record(name.to_owned()), value));
        put("id", Attribute::String(record.id.clone()));
        if let Some(owner) = &record.owner {
            put("owner", Attribute::String(as_written(&as_principal(owner))));
        }
        if let Some(account) = &record.account {
            put("account", Attribute::String(account.clone()));
        }
        for (list, relation) in
            [("watchers", "watcher"), ("assignees", "assignee"), ("mentioned", "mentioned"), ("shared_with", "shared")]
        {
            if let Some(users) = self.m6_2_relation_list(question, resource, record, list, relation) {
                put(list, users);
            }
        }
        for (name, kind) in &self.objects[resource.object.expect("a record has an object")].fields {
            if let Some(value) = record.attributes.get(name).and_then(|value| m6_3_of_type(value, kind)) {
                put(name, value);
            }
        }
        about
    }

    /// 6.2: what the caller sent, which users have the relation, and the one who asks, if through a group usable for it.
    /// 6.3: missing if it was sent as anything but a list of strings; not sent, or null, it is a list all the same.
    fn m6_2_relation_list(
        &self,
        question: &Question,
        resource: &Resource,
        record: &RecordQ,
        list: &str,
        relation: &str,
    ) -> Option<Attribute> {
        let mut users: BTreeSet<String> = BTreeSet::new();
        if let Some(sent) = record.attributes.get(list).filter(|sent| **sent != Attribute::Null) {
            let Attribute::List(sent) = m6_3_of_type(sent, "list<string>")? else { unreachable!("a list") };
            users.extend(sent.into_iter().map(|user| match user {
                Attribute::String(user) => user,
                _ => unreachable!("a list of strings"),
            }));
        }
        let members = self.m5_1_members_with(relation, resource, record);
        users.extend(members.filter_map(|member| member.strip_prefix("user:")).map(str::to_owned));
        let name = as_principal(&question.principal);
        if self.m5_1_has_relation(relation, &self.members(&name, Membership::Ordinary), resource, record) {
            users.insert(as_written(&name));
        }
        Some(texts(users))
    }

    /// Whatever their status.
    fn reports(&self, name: &str) -> BTreeSet<String> {
        let manager = as_written(name);
        let reports = self.principals.iter().filter(|(_, principal)| principal.manager.as_ref() == Some(&manager));
        reports.map(|(name, _)| as_written(name)).collect()
    }

    fn all_reports(&self, name: &str) -> BTreeSet<String> {
        let mut all = self.reports(name);
        for report in all.clone() {
            all.extend(self.all_reports(&format!("user:{report}")));
        }
        all
    }
}

/// How conditions see a principal: a user's bare id, or `service:ID`.
fn as_written(name: &str) -> String {
    name.strip_prefix("user:").unwrap_or(name).to_owned()
}

fn texts(of: impl IntoIterator<Item = String>) -> Attribute {
    Attribute::List(of.into_iter().map(Attribute::String).collect())
}

/// 6.3: what is not of the declared type counts as missing; a whole number will do for a double.
fn m6_3_of_type(value: &Attribute, kind: &str) -> Option<Attribute> {
    if let Some(item) = kind.strip_prefix("list<").and_then(|kind| kind.strip_suffix('>')) {
        let Attribute::List(items) = value else { return None };
        return items.iter().map(|value| m6_3_of_type(value, item)).collect::<Option<_>>().map(Attribute::List);
    }
    match (value, kind) {
        (Attribute::Int(whole), "double") => Some(Attribute::Double(*whole as f64)),
        (Attribute::Bool(_), "bool")
        | (Attribute::Int(_), "int")
        | (Attribute::Double(_), "double")
        | (Attribute::String(_), "string")
        | (Attribute::Timestamp(_), "timestamp") => Some(value.clone()),
        _ => None,
    }
}
