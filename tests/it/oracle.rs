//! The oracle: what ACCESS-MODEL.md says, written down a second time and as plainly as it can be.
//!
//! It reads an organization file as JSON and answers one question at a time by walking over everything in it. It
//! has no index, no cache and no cleverness, and on purpose it shares nothing with the library, not even the shipped
//! catalogue: what both get wrong must be got wrong twice. It believes the file (validation is not its part) and
//! panics on one that is not well formed.
//!
//! Covered: 1.2–1.4, 2.1–2.3, 2.5–2.7, 3.1–3.6, 4.1–4.8 without element lists, data-access policies, relations and
//! separation of duties. Not yet: 4.9, 5.x, 6.x. Each rule is one small function that names its number.
//!
//! For example: may `user:ana` do `records.read` on record `r-1` of `vendor-risk`? The permission is known (4.1), she is
//! active (4.2) and internal (4.3), the object is not an element (4.4); a grant to her group at `vendor-risk` gives it
//! (4.5); it has no `when_not_owner` (4.6), but it requires visibility, and nothing is held at `r-1` itself: `NOT_VISIBLE` (4.7).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// One request for a decision. Times are milliseconds since the epoch.
#[derive(Clone, Debug)]
pub struct Question {
    pub principal: String,
    pub permission: String,
    pub account: Option<String>,
    pub object: Option<String>,
    pub record: Option<RecordQ>,
    pub channel: Option<String>,
    pub authenticated_at_ms: Option<i64>,
    pub now_ms: i64,
}

/// The record of a question, as the caller describes it.
#[derive(Clone, Debug)]
pub struct RecordQ {
    pub id: String,
    pub owner: Option<String>,
    pub account: Option<String>,
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
    principals: BTreeMap<String, Principal>, // by `user:ID` or `service:ID`
    groups: BTreeMap<String, Group>,
    email_domains: BTreeSet<String>,
    max_age_ms: Option<i64>,
    sources: Vec<Source>,
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
    private_to: Option<String>, // `account:ID` or `user:ID`
}

struct Principal {
    is_user: bool,
    account: String,
    status: String,
    external: bool,
    email_domain: String,
    pending_groups: BTreeSet<String>,
}

enum Group {
    Manual(BTreeSet<String>),
    Dynamic(BTreeSet<String>),
    AllUsers,
    InternalUsers,
    ExternalUsers,
}

/// An assignment, by hand or by rule, or a grant: from where `member` may hold `patterns`, and while when.
struct Source {
    member: String,
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
        let Some(principal) = self.principals.get(&as_principal(&question.principal)) else {
            return Answer::Deny("PRINCIPAL_UNKNOWN");
        };

        if let Some(reason) = m4_2_status(principal, question) {
            return Answer::Deny(reason);
        }
        if self.m4_3_must_sign_in_again(principal, question) {
            return Answer::Deny("REAUTHENTICATION_REQUIRED");
        }
        if self.m4_4_private_to_someone_else(&as_principal(&question.principal), principal, &resource) {
            return Answer::Deny("ELEMENT_NOT_LISTED");
        }
        let members = self.members(&as_principal(&question.principal));
        if !self.m4_5_given(&members, self.m4_6_asked_instead(asked, question), &resource, question.now_ms) {
            return Answer::Deny("NO_PERMISSION");
        }
        if let Some(record) = resource.record {
            if asked.requires_visibility && !self.m6_4_visible(&members, &resource, record, question.now_ms) {
                return Answer::Deny("NOT_VISIBLE");
            }
            if asked.requires_approver {
                return Answer::Deny("NOT_APPROVER"); // there are no relations yet
            }
        }
        Answer::Allow
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

    /// 4.4, the part about private elements.
    fn m4_4_private_to_someone_else(&self, name: &str, principal: &Principal, resource: &Resource) -> bool {
        let private_to = resource.object.and_then(|object| self.objects[object].private_to.as_deref());
        match private_to.map(|owner| (owner, owner.strip_prefix("account:"))) {
            None => false,
            Some((_, Some(account))) => principal.account != account,
            Some((user, None)) => name != user,
        }
    }

    /// 4.5: some source in effect now gives it, at a place that reaches the resource and that its level admits.
    fn m4_5_given(&self, members: &BTreeSet<String>, asked: &Permission, resource: &Resource, now_ms: i64) -> bool {
        self.sources.iter().any(|source| {
            members.contains(&source.member)
                && source.m3_4_in_effect(now_ms)
                && source.target.m3_3_reaches(resource)
                && source.target.level() <= asked.level
                && source.patterns.iter().any(|pattern| self.m3_2_covers(pattern, &asked.name))
        })
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

    /// 6.4 without policies: what is held at that very record, any permission marked `requires_visibility`.
    fn m6_4_visible(&self, members: &BTreeSet<String>, resource: &Resource, record: &RecordQ, now_ms: i64) -> bool {
        self.sources.iter().any(|source| {
            let at_it = matches!(&source.target, Target::Record(object, id) if Some(object.as_str()) == resource.object && *id == record.id);
            let gives = |marked: &Permission| {
                source.target.level() <= marked.level && source.patterns.iter().any(|pattern| self.m3_2_covers(pattern, &marked.name))
            };
            at_it
                && members.contains(&source.member)
                && source.m3_4_in_effect(now_ms)
                && self.catalogue.values().any(|permission| permission.requires_visibility && gives(permission))
        })
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
    fn members(&self, name: &str) -> BTreeSet<String> {
        let principal = &self.principals[name];
        let mut members = BTreeSet::from([name.to_owned()]);
        for (id, group) in &self.groups {
            if self.directly_in(name, principal, id, group) {
                members.insert(format!("group:{id}"));
            }
        }
        loop {
            let before = members.len();
            for (id, group) in &self.groups {
                if let Group::Manual(listed) = group
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

    /// 2.3: a pending membership is not in effect. 2.5, 2.6: only active users are in dynamic and system groups.
    fn directly_in(&self, name: &str, principal: &Principal, id: &str, group: &Group) -> bool {
        let active_user = principal.is_user && principal.status == "active";
        match group {
            Group::Manual(listed) => {
                listed.contains(name) && !(principal.status == "invited" && principal.pending_groups.contains(id))
            }
            Group::Dynamic(domains) => {
                active_user
                    && domains.contains(&principal.email_domain)
                    && self.email_domains.contains(&principal.email_domain)
            }
            Group::AllUsers => active_user,
            Group::InternalUsers => active_user && !principal.external,
            Group::ExternalUsers => active_user && principal.external,
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

// ---- reading the file ---------------------------------------------------------------------------------------------

impl Oracle {
    /// Reads an organization file, which must be valid.
    pub fn new(file: &Value) -> Oracle {
        let catalogue = catalogue(file);
        let (accounts, default_account) = accounts(file);
        Oracle {
            aliases: catalogue
                .iter()
                .flat_map(|permission| permission.aliases.iter().map(|alias| (alias.clone(), permission.name.clone())))
                .collect(),
            catalogue: catalogue.into_iter().map(|permission| (permission.name.clone(), permission)).collect(),
            objects: list(file, "objects")
                .iter()
                .map(|object| (text(object, "id"), Object { private_to: maybe(object, "private_to") }))
                .collect(),
            principals: principals(file, &default_account),
            groups: groups(file),
            email_domains: list(file, "email_domains")
                .iter()
                .map(|entry| text(entry, "domain").to_lowercase())
                .collect(),
            max_age_ms: file["settings"]["external_reauthentication"]["max_age"].as_str().map(duration_ms),
            sources: sources(file, &default_account),
            accounts,
        }
    }
}

/// 1.2: one account is the default one; a file without accounts has `main`.
fn accounts(file: &Value) -> (BTreeSet<String>, String) {
    let listed = list(file, "accounts");
    let default = listed
        .iter()
        .find(|account| account["default"] == true)
        .map_or("main".to_owned(), |account| text(account, "id"));
    (listed.iter().map(|account| text(account, "id")).chain([default.clone()]).collect(), default)
}

fn principals(file: &Value, default_account: &str) -> BTreeMap<String, Principal> {
    let internal_domains: BTreeSet<String> = list(file, "email_domains")
        .iter()
        .filter(|entry| entry["audience"] == "internal")
        .map(|entry| text(entry, "domain").to_lowercase())
        .collect();
    let account = |row: &Value| maybe(row, "account").unwrap_or(default_account.to_owned());
    let status = |row: &Value| maybe(row, "status").unwrap_or("active".to_owned());

    let users = list(file, "users").iter().map(|user| {
        let email_domain = text(user, "email").split_once('@').expect("an e-mail has a domain").1.to_lowercase();
        // 2.1: unless given, the kind follows the domain.
        let external = maybe(user, "kind").map_or(!internal_domains.contains(&email_domain), |kind| kind == "external");
        let pending_groups = texts(user, "pending_groups").into_iter().collect();
        let principal = Principal {
            is_user: true,
            account: account(user),
            status: status(user),
            external,
            email_domain,
            pending_groups,
        };
        (format!("user:{}", text(user, "id")), principal)
    });
    let services = list(file, "service_accounts").iter().map(|service| {
        let (account, status) = (account(service), status(service));
        let principal = Principal {
            is_user: false,
            account,
            status,
            external: false,
            email_domain: String::new(),
            pending_groups: BTreeSet::new(),
        };
        (format!("service:{}", text(service, "id")), principal)
    });
    users.chain(services).collect()
}

/// 2.6: the system groups are there whether the file speaks of them or not.
fn groups(file: &Value) -> BTreeMap<String, Group> {
    let system = [
        ("all-users", Group::AllUsers),
        ("internal-users", Group::InternalUsers),
        ("external-users", Group::ExternalUsers),
    ];
    let written = list(file, "groups").iter().filter_map(|group| match text(group, "kind").as_str() {
        "manual" => Some((text(group, "id"), Group::Manual(texts(group, "members").into_iter().collect()))),
        "dynamic" => Some((
            text(group, "id"),
            Group::Dynamic(texts(group, "domains").iter().map(|domain| domain.to_lowercase()).collect()),
        )),
        _ => None,
    });
    system.into_iter().map(|(id, group)| (id.to_owned(), group)).chain(written).collect()
}

/// 3.1: the built-in permissions and the organization's own.
pub fn catalogue(file: &Value) -> Vec<Permission> {
    let own = list(file, "permissions").iter().map(|permission| Permission {
        name: text(permission, "name"),
        aliases: texts(permission, "aliases"),
        level: maybe(permission, "level").map_or(Level::Object, |level| level_named(&level)),
        requires_visibility: permission["requires_visibility"] == true,
        requires_approver: permission["requires_approver"] == true,
        when_not_owner: maybe(permission, "when_not_owner"),
    });
    built_in_permissions(preset(file)).into_iter().chain(own).collect()
}

/// What each role gives: the preset's as shipped, then the file's, which may replace what a system role gives (3.2).
pub fn role_permissions(file: &Value) -> BTreeMap<String, Vec<String>> {
    let shipped = preset_roles(preset(file)).into_iter().map(|role| (role.id, role.permissions));
    shipped.chain(list(file, "roles").iter().map(|role| (text(role, "id"), texts(role, "permissions")))).collect()
}

fn sources(file: &Value, default_account: &str) -> Vec<Source> {
    let roles = role_permissions(file);
    let source = |row: &Value, patterns: Vec<String>| Source {
        member: text(row, "member"),
        patterns,
        target: target(row),
        starts_at_ms: maybe(row, "starts_at").map(|at| instant_ms(&at)),
        expires_at_ms: maybe(row, "expires_at").map(|at| instant_ms(&at)),
    };
    let assignments = list(file, "assignments").iter().map(|row| source(row, roles[&text(row, "role")].clone()));
    let grants = list(file, "grants").iter().map(|row| source(row, texts(row, "permissions")));
    assignments.chain(grants).chain(m3_6_by_rule(file, default_account, &roles)).collect()
}

/// 3.6: `org` for a user of the default account, `default-user` for one of any other, at that account; neither for one
/// who was ever assigned one of the two by hand, in effect now or not.
fn m3_6_by_rule(file: &Value, default_account: &str, roles: &BTreeMap<String, Vec<String>>) -> Vec<Source> {
    if preset(file) != "integration" {
        return Vec::new();
    }
    let by_hand = |member: &str| {
        list(file, "assignments").iter().any(|row| {
            row["by_hand"] == true && row["member"] == member && (row["role"] == "org" || row["role"] == "default-user")
        })
    };
    let by_rule = |user: &Value| {
        let member = format!("user:{}", text(user, "id"));
        let account = maybe(user, "account").unwrap_or(default_account.to_owned());
        let (role, target) = if account == default_account {
            ("org", Target::Organization)
        } else {
            ("default-user", Target::Account(account))
        };
        let source = Source { patterns: roles[role].clone(), target, starts_at_ms: None, expires_at_ms: None, member };
        (!by_hand(&source.member)).then_some(source)
    };
    list(file, "users").iter().filter_map(by_rule).collect()
}

fn target(row: &Value) -> Target {
    match (maybe(row, "account"), maybe(row, "object"), maybe(row, "record")) {
        (None, None, None) => Target::Organization,
        (Some(account), None, None) => Target::Account(account),
        (None, Some(object), None) => Target::Object(object),
        (None, Some(object), Some(record)) => Target::Record(object, record),
        _ => panic!("no target: {row}"),
    }
}

fn preset(file: &Value) -> &str {
    file["preset"].as_str().unwrap_or("none")
}

fn instant_ms(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().expect("an instant as RFC 3339 writes it").as_millisecond()
}

/// `12h`, `30m`, `45s`.
fn duration_ms(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit_ms = match unit {
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1_000,
        _ => panic!("`{text}` is no duration"),
    };
    number.parse::<i64>().expect("a whole number") * unit_ms
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    list(value, key).iter().map(|item| item.as_str().expect("a list of strings").to_owned()).collect()
}

fn maybe(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().map(str::to_owned)
}

fn text(value: &Value, key: &str) -> String {
    maybe(value, key).unwrap_or_else(|| panic!("`{key}` is missing: {value}"))
}

// ---- what ships: presets.yaml, copied by hand ---------------------------------------------------------------------

const ADMINISTRATION: &str = "
    organization.admin level=organization alias=ADMIN
    organization.read level=organization
    organization.update level=organization
    permissions.manage level=organization
    accounts.manage level=organization
    objects.manage level=organization
    objects.configure
    organization_users.create level=account alias=CREATE_ORGANIZATION_USERS
    users.read level=account
    users.update level=account
    users.set_status level=account
    users.provision level=organization
    service_accounts.manage level=account
    credentials.manage level=account
    groups.read level=organization
    groups.manage level=organization
    groups.manage_members level=organization
    roles.read
    roles.configure alias=configure_roles
    roles.assign
    data_access.read
    data_access.manage
    relations.report
    element_lists.manage level=organization alias=manageElementOrgLists
    separation_of_duties.manage level=organization
    emergency.configure level=organization
    activity.read level=account
    access.review
    changes.watch level=organization";

const WORKSPACE: &str = "
    records.create
    records.read requires=visibility
    records.update requires=visibility
    records.delete requires=visibility
    records.comment requires=visibility
    records.approve requires=visibility requires=approver
    automations.create
    automations.read
    automations.update
    automations.delete
    automations.run
    agents.create
    agents.read
    agents.update
    agents.delete
    agents.run
    ai_providers.create
    ai_providers.read
    ai_providers.update
    ai_providers.delete
    ai_providers.use
    analytics.create
    analytics.read
    analytics.update
    analytics.delete
    apps.read
    apps.configure
    tasks.create
    tasks.read
    tasks.update
    tasks.delete";

const WORKSPACE_ROLES: &str = "
    organization-admin organization *
    app-admin object records.* automations.* agents.* ai_providers.* analytics.* apps.* tasks.* objects.configure roles.* data_access.* relations.report access.review
    content-editor object records.* tasks.* analytics.* automations.read automations.run agents.read agents.run ai_providers.use apps.read relations.report
    content-viewer object records.read tasks.read analytics.read automations.read agents.read apps.read";

const INTEGRATION: &str = "
    elements.create
    elements.read
    elements.update
    elements.delete
    element_instances.create
    element_instances.view when_not_owner=element_instances.view_account
    element_instances.use when_not_owner=element_instances.use_account
    element_instances.edit when_not_owner=element_instances.edit_account
    element_instances.delete when_not_owner=element_instances.delete_account
    element_instances.view_account level=account alias=viewAccountElementInstances
    element_instances.use_account level=account alias=useAccountElementInstances
    element_instances.edit_account level=account alias=editAccountElementInstances
    element_instances.delete_account level=account alias=deleteAccountElementInstances
    formula_templates.create
    formula_templates.read
    formula_templates.update
    formula_templates.delete
    formula_templates.run
    virtual_data_resources.create
    virtual_data_resources.read
    virtual_data_resources.update
    virtual_data_resources.delete";

const INTEGRATION_ROLES: &str = "
    org-admin organization *
    admin account elements.* element_instances.* formula_templates.* virtual_data_resources.* users.read organization_users.create users.update users.set_status service_accounts.manage credentials.manage roles.read roles.assign activity.read
    org organization elements.read element_instances.create element_instances.view element_instances.use element_instances.edit element_instances.delete formula_templates.read formula_templates.run virtual_data_resources.read activity.read
    default-user account elements.read element_instances.create element_instances.view element_instances.use element_instances.edit element_instances.delete formula_templates.run virtual_data_resources.read";

/// What is in the catalogue of every organization, and what the preset adds.
pub fn built_in_permissions(preset: &str) -> Vec<Permission> {
    let of_preset = match preset {
        "workspace" => WORKSPACE,
        "integration" => INTEGRATION,
        _ => "",
    };
    let rows = ADMINISTRATION.lines().chain(of_preset.lines()).filter(|line| !line.trim().is_empty());
    rows.map(|row| {
        let mut words = row.split_whitespace();
        let name = words.next().expect("a name").to_owned();
        let marks: Vec<(&str, &str)> = words.map(|word| word.split_once('=').expect("a mark")).collect();
        let all =
            |key: &str| marks.iter().filter(|mark| mark.0 == key).map(|mark| mark.1.to_owned()).collect::<Vec<_>>();
        Permission {
            name,
            aliases: all("alias"),
            level: all("level").first().map_or(Level::Object, |level| level_named(level)),
            requires_visibility: marks.contains(&("requires", "visibility")),
            requires_approver: marks.contains(&("requires", "approver")),
            when_not_owner: all("when_not_owner").pop(),
        }
    })
    .collect()
}

/// The managed and system roles of a preset.
pub fn preset_roles(preset: &str) -> Vec<PresetRole> {
    let rows = match preset {
        "workspace" => WORKSPACE_ROLES,
        "integration" => INTEGRATION_ROLES,
        _ => "",
    };
    let role = |row: &str| {
        let mut words = row.split_whitespace().map(str::to_owned);
        PresetRole {
            id: words.next().expect("an id"),
            scope: words.next().expect("a scope"),
            permissions: words.collect(),
        }
    };
    rows.lines().filter(|line| !line.trim().is_empty()).map(role).collect()
}

fn level_named(level: &str) -> Level {
    match level {
        "organization" => Level::Organization,
        "account" => Level::Account,
        "object" => Level::Object,
        _ => panic!("`{level}` is no level"),
    }
}
