//! The oracle: what ACCESS-MODEL.md says, written down a second time and as plainly as it can be.
//!
//! It reads an organization file as JSON and answers one question at a time by walking over everything in it. It
//! has no index, no cache and no cleverness, and on purpose it shares nothing with the library, not even the shipped
//! catalogue: what both get wrong must be got wrong twice. It believes the file (validation is not its part) and
//! panics on one that is not well formed. Conditions it does not parse: whoever wrote the file hands them over as trees.
//!
//! Covered: 1.2–1.4, 2.1–2.3, 2.5–2.7, 2.9, 3.1–3.6, 4.1–4.9, 5.1, 5.2, 6.1–6.5, of 7.3 what 4.5 says of it. Not yet:
//! 6.6. Each rule is one small function that names its number.
//!
//! For example: may `user:ana` do `records.read` on record `r-1` of `vendor-risk`? The permission is known (4.1), she is
//! active (4.2) and internal (4.3), the object is not an element (4.4); a grant to her group at `vendor-risk` gives it
//! (4.5); it has no `when_not_owner` (4.6), but it requires visibility, nothing is held at `r-1` itself, and of the two
//! policies for her group one wants `region` to be `eu`, which was not sent: an error, so it does not allow; the other is
//! a restrict policy and does not count: `NOT_VISIBLE` (4.7).

#![allow(missing_docs, dead_code, unused_imports)]

pub mod conditions;
mod handing;
mod presets;
mod read;
mod records;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use conditions::{Attribute, Condition};
pub use handing::all_active;
pub use presets::{built_in_permissions, preset_roles};
pub use read::{catalogue, role_permissions};
pub use records::PolicyOutcome;

/// One request for a decision. Times are milliseconds since the epoch.
#[derive(Clone, Debug)]
pub struct Question {
    pub principal: String,
    pub permission: String,
    pub account: Option<String>,
    pub object: Option<String>,
    pub record: Option<RecordQ>,
    pub channel: Option<String>,
    pub invitee_email: Option<String>,
    /// What conditions read as `context.attributes`.
    pub context_attributes: BTreeMap<String, Attribute>,
    pub authenticated_at_ms: Option<i64>,
    pub now_ms: i64,
}

/// The record of a question, as the caller describes it.
#[derive(Clone, Debug, Default)]
pub struct RecordQ {
    pub id: String,
    pub owner: Option<String>,
    pub account: Option<String>,
    pub attributes: BTreeMap<String, Attribute>,
}

/// Which of these records? Without a permission: which of them can the principal see (6.5)?
#[derive(Clone, Debug)]
pub struct FilterQuestion {
    pub principal: String,
    pub permission: Option<String>,
    pub account: Option<String>,
    pub object: String,
    pub records: Vec<RecordQ>,
    pub channel: Option<String>,
    pub invitee_email: Option<String>,
    pub context_attributes: BTreeMap<String, Attribute>,
    pub authenticated_at_ms: Option<i64>,
    pub now_ms: i64,
}

/// A decision; `Deny` carries the reason, `Error` is an error status (4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    Allow,
    Deny(&'static str),
    Error,
}

/// Answers one question; [`Oracle::new`] once is cheaper for many.
pub fn authorize(organization: &Value, question: &Question) -> Answer {
    Oracle::new(organization).authorize(question)
}

/// The catalogue names the principal would be allowed there; none where the question is an error.
pub fn permissions(organization: &Value, question: &Question) -> Option<BTreeSet<String>> {
    Oracle::new(organization).permissions(question)
}

/// An organization file, its keys given types and its defaults filled in.
pub struct Oracle {
    catalogue: BTreeMap<String, Permission>,
    aliases: BTreeMap<String, String>,
    accounts: BTreeSet<String>,
    objects: BTreeMap<String, Object>,
    safelist: BTreeSet<String>,
    denylist: BTreeSet<String>,              // the super-organization's
    principals: BTreeMap<String, Principal>, // by `user:ID` or `service:ID`
    groups: BTreeMap<String, Group>,
    email_domains: BTreeSet<String>,
    max_age_ms: Option<i64>,
    invites: Invites,
    sources: Vec<Source>,
    relations: Vec<Relation>,
    policies: Vec<Policy>,
    separations: Vec<Separation>,
    user_attributes: BTreeMap<String, String>, // declared ones, with their types
}

/// 7.1: whom may be invited by who does not administer the organization.
enum Invites {
    Nobody,
    Anybody,
    In(BTreeSet<String>), // domains, in lower case
}

/// What closes an element to a principal (4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closed {
    Denylist,
    Safelist,
    Private,
}

/// Where a permission takes effect from: its own level or one before it in this order (3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Organization,
    Account,
    Object,
}

/// A catalogue entry (3.1).
#[derive(Clone, Debug)]
pub struct Permission {
    pub name: String,
    pub aliases: Vec<String>,
    pub level: Level,
    pub requires_visibility: bool,
    pub requires_approver: bool,
    pub when_not_owner: Option<String>,
}

/// A role that ships with a preset (3.5, 3.6).
#[derive(Clone, Debug)]
pub struct PresetRole {
    pub id: String,
    pub scope: String,
    pub permissions: Vec<String>,
}

struct Object {
    element: bool,
    private_to: Option<String>,       // `account:ID` or `user:ID`
    fields: BTreeMap<String, String>, // declared ones, with their types
}

struct Principal {
    is_user: bool,
    email: Option<String>,   // as it was given; a service account has none
    manager: Option<String>, // a user's id
    attributes: BTreeMap<String, Attribute>,
    account: String,
    status: String,
    external: bool,
    email_domain: String,
    pending_groups: BTreeSet<String>,
}

struct Group {
    members: Members,
    usable_for: BTreeSet<String>, // 2.9: its flags that are on
}

enum Members {
    Manual(BTreeSet<String>),
    Dynamic(BTreeSet<String>),
    AllUsers,
    InternalUsers,
    ExternalUsers,
}

/// An assignment, by hand or by rule, a grant or an auto-share (5.2): from where `member` may hold `patterns`, and while when.
struct Source {
    member: String,
    role: Option<String>, // a grant has none
    patterns: Vec<String>,
    target: Target,
    starts_at_ms: Option<i64>,
    expires_at_ms: Option<i64>,
}

enum Target {
    Organization,
    Account(String),
    Object(String),
    Record(String, String),
}

/// 5.1: what was reported of a record.
struct Relation {
    relation: String,
    member: String,
    object: String,
    record: String,
}

/// 6.1: which records of an object its members can, or cannot, see. No condition means every record.
struct Policy {
    id: String,
    object: String,
    restricts: bool,
    members: Vec<String>,
    condition: Option<Condition>,
}

/// 7.3: of these roles nobody may hold more than `max`; if it denies, whoever does has nothing of them.
struct Separation {
    roles: BTreeSet<String>,
    max: usize,
    denies: bool,
}

/// Whose dynamic and system membership counts: for `restrict` policies it ignores status and removed domains (2.9).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Membership {
    Ordinary,
    Restricting,
}

/// A question that 4.1 has nothing against: names are resolved, and the account is the one that counts.
struct Resource<'q> {
    account: Option<&'q str>,
    object: Option<&'q str>,
    record: Option<&'q RecordQ>,
}

// ---- the decision -------------------------------------------------------------------------------------------------

impl Oracle {
    /// 4: checked in this order, the first that fails is the reason.
    pub fn authorize(&self, question: &Question) -> Answer {
        let Some(resource) = self.m4_1_resource(question) else { return Answer::Error };
        let Some(asked) = self.named(&question.permission) else { return Answer::Error };
        if let Some(reason) = self.m4_1_to_m4_4_stopped(question, &resource) {
            return Answer::Deny(reason);
        }
        let members = self.members(&as_principal(&question.principal), Membership::Ordinary);
        let inviting = asked.name == "organization_users.create";
        let admin = &self.catalogue["organization.admin"];
        let (asked_instead, now_ms) = (self.m4_6_asked_instead(asked, question), question.now_ms);
        let (none, void) = (BTreeSet::new(), self.m4_5_void(&members, &resource, now_ms));
        let given = |permission, void| self.m4_5_given(&members, permission, &resource, now_ms, void);
        if inviting && given(admin, &void) {
            return Answer::Allow; // 4.9
        }
        if !given(asked_instead, &void) {
            let without = given(asked_instead, &none) || inviting && given(admin, &none);
            return Answer::Deny(if without { "SEPARATION_OF_DUTIES" } else { "NO_PERMISSION" });
        }
        if inviting && !self.m7_1_may_be_invited(question.invitee_email.as_deref()) {
            return Answer::Deny("INVITE_POLICY");
        }
        if let Some(record) = resource.record {
            if asked.requires_visibility
                && let Some(reason) = self.m6_4_hidden(question, &resource, record)
            {
                return Answer::Deny(reason);
            }
            if asked.requires_approver && !self.m5_1_has_relation("approver", &members, &resource, record) {
                return Answer::Deny("NOT_APPROVER");
            }
        }
        Answer::Allow
    }

    /// 4.1 to 4.4, for a question that is no error: what does not depend on the permission.
    fn m4_1_to_m4_4_stopped(&self, question: &Question, resource: &Resource) -> Option<&'static str> {
        let name = as_principal(&question.principal);
        let Some(principal) = self.principals.get(&name) else { return Some("PRINCIPAL_UNKNOWN") };
        if let Some(reason) = m4_2_status(principal, question) {
            return Some(reason);
        }
        if self.m4_3_must_sign_in_again(principal, question) {
            return Some("REAUTHENTICATION_REQUIRED");
        }
        self.m4_4_closed(&name, principal, resource.object).is_some().then_some("ELEMENT_NOT_LISTED")
    }

    /// Every name of the catalogue that `authorize` would allow; the question's own permission is ignored.
    pub fn permissions(&self, question: &Question) -> Option<BTreeSet<String>> {
        self.m4_1_resource(question)?;
        let allowed =
            |name: &String| self.authorize(&Question { permission: name.clone(), ..question.clone() }) == Answer::Allow;
        Some(self.catalogue.keys().filter(|name| allowed(name)).cloned().collect())
    }

    /// 4.1, 1.4: malformed ids, an unknown account or object, and a record without an object or an id are errors.
    fn m4_1_resource<'q>(&self, question: &'q Question) -> Option<Resource<'q>> {
        let principal = as_principal(&question.principal);
        let principal_id = principal.split_once(':').unwrap().1;
        let record = question.record.as_ref();
        let record_account = record.and_then(|record| record.account.as_deref());
        let accounts = [question.account.as_deref(), record_account];

        let fine = well_formed(principal_id)
            && accounts.into_iter().flatten().all(|account| self.accounts.contains(account))
            && question.object.as_ref().is_none_or(|object| self.objects.contains_key(object))
            && record.is_none_or(|record| question.object.is_some() && well_formed(&record.id))
            && record
                .and_then(|record| record.owner.as_deref())
                .is_none_or(|owner| well_formed(as_principal(owner).split_once(':').unwrap().1));
        fine.then_some(Resource {
            account: record_account.or(question.account.as_deref()),
            object: question.object.as_deref(),
            record,
        })
    }

    /// 4.3: to the millisecond; exactly as old as the age is not older, and now is not in the future.
    fn m4_3_must_sign_in_again(&self, principal: &Principal, question: &Question) -> bool {
        let Some(max_age_ms) = self.max_age_ms else { return false };
        principal.external
            && match question.authenticated_at_ms {
                None => true,
                Some(at) => at > question.now_ms || question.now_ms.saturating_sub(at) > max_age_ms,
            }
    }

    /// 4.4: the lists speak of elements only; a private one too must be listed.
    fn m4_4_closed(&self, name: &str, principal: &Principal, object: Option<&str>) -> Option<Closed> {
        let (id, object) = object.map(|id| (id, &self.objects[id]))?;
        if object.element && self.m4_4_lists(id).is_some() {
            return self.m4_4_lists(id);
        }
        let private = match object.private_to.as_deref().map(|owner| (owner, owner.strip_prefix("account:"))) {
            None => false,
            Some((_, Some(account))) => principal.account != account,
            Some((user, None)) => name != user,
        };
        private.then_some(Closed::Private)
    }

    fn m4_4_lists(&self, element: &str) -> Option<Closed> {
        if self.denylist.contains(element) {
            return Some(Closed::Denylist);
        }
        (!self.safelist.is_empty() && !self.safelist.contains(element)).then_some(Closed::Safelist)
    }

    /// What closes the element of a question to its principal, if there are both; whatever its status.
    pub fn closed(&self, question: &Question) -> Option<Closed> {
        let name = as_principal(&question.principal);
        let object = question.object.as_deref().filter(|object| self.objects.contains_key(*object));
        self.m4_4_closed(&name, self.principals.get(&name)?, object)
    }

    /// Whether an object is private, and on a safelist that is not empty.
    pub fn is_private_and_listed(&self, object: &str) -> bool {
        self.objects.get(object).is_some_and(|o| o.private_to.is_some()) && self.safelist.contains(object)
    }

    /// Which of these elements the principal of a question can see, and may do its permission with, if it has one; none
    /// where the question is an error. What the organization does not have as an element is judged by the lists alone.
    pub fn elements(&self, question: &Question, elements: &[String]) -> Option<Vec<usize>> {
        let plain = Question { object: None, record: None, ..question.clone() };
        self.m4_1_resource(&plain)?;
        if !question.permission.is_empty() {
            self.named(&question.permission)?;
        }
        let sees = |id: &String| {
            let element = self.objects.get(id).is_some_and(|object| object.element);
            let there = Question { object: element.then(|| id.clone()), ..plain.clone() };
            let resource = self.m4_1_resource(&there).expect("its object is there");
            (element || self.m4_4_lists(id).is_none())
                && self.m4_1_to_m4_4_stopped(&there, &resource).is_none()
                && (question.permission.is_empty() || self.authorize(&there) == Answer::Allow)
        };
        Some(elements.iter().enumerate().filter(|(_, id)| sees(id)).map(|(at, _)| at).collect())
    }

    /// 4.5: some source in effect now gives it, at a place that reaches the resource and that its level admits.
    /// Roles that are void give nothing.
    fn m4_5_given(
        &self,
        members: &BTreeSet<String>,
        asked: &Permission,
        resource: &Resource,
        now_ms: i64,
        void: &BTreeSet<String>,
    ) -> bool {
        self.sources.iter().any(|source| {
            members.contains(&source.member)
                && source.role.as_ref().is_none_or(|role| !void.contains(role))
                && source.m3_4_in_effect(now_ms)
                && source.target.m3_3_reaches(resource)
                && source.target.level() <= asked.level
                && source.patterns.iter().any(|pattern| self.m3_2_covers(pattern, &asked.name))
        })
    }

    /// 4.5, 7.3: the roles of every constraint that denies and of which too many are held here now, whatever they give.
    fn m4_5_void(&self, members: &BTreeSet<String>, resource: &Resource, now_ms: i64) -> BTreeSet<String> {
        let here = self.sources.iter().filter(|source| {
            members.contains(&source.member) && source.m3_4_in_effect(now_ms) && source.target.m3_3_reaches(resource)
        });
        let held: BTreeSet<&String> = here.filter_map(|source| source.role.as_ref()).collect();
        let broken = self.separations.iter().filter(|separation| {
            separation.denies && separation.roles.iter().filter(|role| held.contains(role)).count() > separation.max
        });
        broken.flat_map(|separation| separation.roles.iter().cloned()).collect()
    }

    /// 7.1: allowed domains count only while they are the organization's; 4.9: nobody in particular is only refused where
    /// everybody is.
    fn m7_1_may_be_invited(&self, email: Option<&str>) -> bool {
        match (&self.invites, email) {
            (Invites::Nobody, _) => false,
            (Invites::Anybody, _) | (Invites::In(_), None) => true,
            (Invites::In(domains), Some(email)) => {
                let domain = email.split_once('@').expect("an e-mail has a domain").1.to_lowercase();
                domains.contains(&domain) && self.email_domains.contains(&domain)
            }
        }
    }

    /// 4.6: on what is not the principal's own another permission may be asked, once.
    fn m4_6_asked_instead<'a>(&'a self, asked: &'a Permission, question: &Question) -> &'a Permission {
        let Some(record) = &question.record else { return asked };
        let owns =
            record.owner.as_deref().is_some_and(|owner| as_principal(owner) == as_principal(&question.principal));
        match &asked.when_not_owner {
            Some(other) if !owns => self.named(other).expect("when_not_owner names a permission"),
            _ => asked,
        }
    }
}

/// 4.2
fn m4_2_status(principal: &Principal, question: &Question) -> Option<&'static str> {
    match principal.status.as_str() {
        "active" => None,
        "limited" if question.channel.as_deref() == Some("email") => None,
        "limited" => Some("PRINCIPAL_LIMITED"),
        "invited" => Some("PRINCIPAL_INVITED"),
        "inactive" => Some("PRINCIPAL_INACTIVE"),
        other => panic!("`{other}` is no status"),
    }
}

// ---- what is held, by whom ----------------------------------------------------------------------------------------

impl Oracle {
    /// The principal itself and every group it is in, as members are written: `user:ana`, `group:risk`.
    /// 2.7: groups of groups are added until nothing new turns up.
    fn members(&self, name: &str, membership: Membership) -> BTreeSet<String> {
        let principal = &self.principals[name];
        let mut members = BTreeSet::from([name.to_owned()]);
        for (id, group) in &self.groups {
            if self.directly_in(name, principal, id, group, membership) {
                members.insert(format!("group:{id}"));
            }
        }
        loop {
            let before = members.len();
            for (id, group) in &self.groups {
                if let Members::Manual(listed) = &group.members
                    && listed.iter().any(|member| member.starts_with("group:") && members.contains(member))
                {
                    members.insert(format!("group:{id}"));
                }
            }
            if members.len() == before {
                return members;
            }
        }
    }

    /// 2.3: a pending membership is not in effect. 2.5, 2.6: only active users are in dynamic and system groups, and only
    /// while the domain is the organization's; 2.9: to restrict, neither matters.
    fn directly_in(&self, name: &str, principal: &Principal, id: &str, group: &Group, membership: Membership) -> bool {
        let restricting = membership == Membership::Restricting;
        let counts = principal.is_user && (principal.status == "active" || restricting);
        match &group.members {
            Members::Manual(listed) => {
                listed.contains(name) && !(principal.status == "invited" && principal.pending_groups.contains(id))
            }
            Members::Dynamic(domains) => {
                counts
                    && domains.contains(&principal.email_domain)
                    && (self.email_domains.contains(&principal.email_domain) || restricting)
            }
            Members::AllUsers => counts,
            Members::InternalUsers => counts && !principal.external,
            Members::ExternalUsers => counts && principal.external,
        }
    }

    /// 3.2: `*` covers everything, `x.*` every name beginning `x.`, and a name or an alias its permission.
    fn m3_2_covers(&self, pattern: &str, name: &str) -> bool {
        match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => self.named(pattern).expect("roles and grants name permissions").name == name,
        }
    }

    /// 3.1: an alias is accepted wherever a permission is named.
    fn named(&self, name_or_alias: &str) -> Option<&Permission> {
        self.catalogue.get(self.aliases.get(name_or_alias).map_or(name_or_alias, String::as_str))
    }
}

/// 2.9: a group counts only while its own flag for it is on; users always do, and sharing needs no flag.
fn m2_9_usable(groups: &BTreeMap<String, Group>, member: &str, flag: Option<&str>) -> bool {
    match (member.strip_prefix("group:"), flag) {
        (Some(id), Some(flag)) => groups[id].usable_for.contains(flag),
        _ => true,
    }
}

/// 2.9: which flag a group needs for a relation to count.
fn flag_of(relation: &str) -> Option<&'static str> {
    match relation {
        "watcher" => Some("watchable"),
        "assignee" => Some("assignable"),
        "mentioned" => Some("mentionable"),
        "approver" => Some("approver"),
        "shared" => None,
        _ => panic!("`{relation}` is no relation"),
    }
}

impl Source {
    /// 3.4: `starts_at ≤ now < expires_at`.
    fn m3_4_in_effect(&self, now_ms: i64) -> bool {
        self.starts_at_ms.is_none_or(|starts_at| starts_at <= now_ms)
            && self.expires_at_ms.is_none_or(|expires_at| now_ms < expires_at)
    }
}

impl Target {
    fn level(&self) -> Level {
        match self {
            Target::Organization => Level::Organization,
            Target::Account(_) => Level::Account,
            Target::Object(_) | Target::Record(..) => Level::Object,
        }
    }

    /// 3.3: the organization reaches all in it, an account what is in it, an object itself and its records.
    fn m3_3_reaches(&self, resource: &Resource) -> bool {
        match self {
            Target::Organization => true,
            Target::Account(account) => resource.account == Some(account),
            Target::Object(object) => resource.object == Some(object),
            Target::Record(object, id) => {
                resource.object == Some(object) && resource.record.is_some_and(|record| record.id == *id)
            }
        }
    }
}

/// Ids of users, service accounts and records: 1 to 128 bytes without control characters.
fn well_formed(id: &str) -> bool {
    (1..=128).contains(&id.len()) && !id.chars().any(char::is_control)
}

/// 1.4: an owner is `service:ID` or a user's id, bare or as `user:ID`.
fn as_principal(owner: &str) -> String {
    if owner.starts_with("service:") || owner.starts_with("user:") { owner.to_owned() } else { format!("user:{owner}") }
}
