//! The calls of a replay: which, with what, by whom.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use doorward::core::model::{Row, Target};
use doorward::service::proto as pb;
use doorward::service::proto::credential_service_server::CredentialService;
use doorward::service::proto::data_access_service_server::DataAccessService;
use doorward::service::proto::element_list_service_server::ElementListService;
use doorward::service::proto::group_service_server::GroupService;
use doorward::service::proto::organization_service_server::OrganizationService;
use doorward::service::proto::relation_service_server::RelationService;
use doorward::service::proto::role_service_server::RoleService;
use doorward::service::proto::user_service_server::UserService;
use doorward::service::{Caller, OnBehalfOf};
use tonic::Response;

use super::player::{Player, play};
use super::*;
use crate::activity::by;

impl Player {
    fn pick(&mut self, from: &[&str]) -> String {
        self.rng.choice(from).unwrap().to_string()
    }

    fn some(&mut self, from: &[&str], most: usize) -> Vec<String> {
        (0..self.rng.usize(1..=most)).map(|_| self.pick(from)).collect()
    }

    fn one_of(&mut self, from: fn(&Self) -> &Vec<String>) -> String {
        let known = from(self).clone();
        self.rng.choice(known).unwrap_or_else(|| "none".to_owned())
    }

    fn member(&mut self) -> String {
        match self.rng.u8(0..6) {
            0 => format!("group:{}", self.pick(&GROUPS)),
            1 => format!("service:{}", self.pick(&SERVICES)),
            _ => format!("user:{}", self.pick(&USERS)),
        }
    }

    /// Where a role may be held; now and then anywhere.
    fn target_of(&mut self, role: &str) -> Option<pb::Target> {
        let object = self.pick(&OBJECTS);
        match role {
            _ if self.rng.u8(0..6) == 0 => self.target(),
            "r0" | "organization-admin" => None,
            "r1" => Some(pb::Target { account: self.pick(&ACCOUNTS), ..Default::default() }),
            _ => Some(pb::Target { object, ..Default::default() }),
        }
    }

    fn target(&mut self) -> Option<pb::Target> {
        let mut target = pb::Target::default();
        match self.rng.u8(0..6) {
            0 | 1 => return None,
            2 => target.account = self.pick(&ACCOUNTS),
            3 | 4 => target.object = self.pick(&OBJECTS),
            _ => (target.object, target.record) = (self.pick(&OBJECTS), self.pick(&RECORDS)),
        }
        Some(target)
    }

    fn period(&mut self) -> Option<pb::Period> {
        let seconds = self.clock.now() / 1_000 + self.rng.i64(1..4_000);
        let expires_at = Some(prost_types::Timestamp { seconds, nanos: 0 });
        (self.rng.u8(0..4) == 0).then(|| pb::Period { expires_at, ..Default::default() })
    }

    fn user(&mut self) -> pb::User {
        let id = self.pick(&USERS);
        let domain = self.pick(&DOMAINS);
        let mut user = pb::User { email: format!("{id}@{domain}"), id, ..Default::default() };
        user.first_name = format!("First {}", self.rng.u8(0..4));
        if self.rng.u8(0..3) == 0 {
            user.account = self.pick(&ACCOUNTS);
        }
        if self.rng.u8(0..4) == 0 {
            user.manager = self.pick(&USERS);
        }
        user
    }

    fn role(&mut self) -> pb::Role {
        let id = self.pick(&ROLES[..5]);
        let scope = match id.as_str() {
            "r0" => pb::RoleScope::Organization,
            "r1" => pb::RoleScope::Account,
            _ => pb::RoleScope::Object,
        };
        let mut role = pb::Role { id, scope: scope.into(), ..Default::default() };
        role.permissions = self.some(&PERMISSIONS[..8], 3);
        if role.id == "r3" {
            role.object = self.pick(&OBJECTS[..2]);
            role.auto_share = vec![pb::Relation::Shared.into()];
        }
        role
    }

    fn group(&mut self) -> pb::Group {
        let mut group = pb::Group { id: self.pick(&GROUPS), ..Default::default() };
        group.kind = pb::GroupKind::Manual.into();
        if self.rng.u8(0..3) == 0 {
            group.kind = pb::GroupKind::Dynamic.into();
            group.domains = self.some(&DOMAINS, 2);
        }
        let mut flag = || self.rng.bool();
        let (watchable, data_access, approver) = (flag(), flag(), flag());
        group.visibility = Some(pb::Visibility { watchable, data_access, approver, ..Default::default() });
        group
    }

    fn policy(&mut self) -> pb::DataAccessPolicy {
        let id = format!("p{}", self.rng.u8(0..4));
        let object = self.pick(&OBJECTS[..2]);
        let effect = if self.rng.bool() { pb::PolicyEffect::Allow } else { pb::PolicyEffect::Restrict };
        let conditions = ["", "record.region == 'eu'", "record.id != 'k1'", "record.nothing == 1"];
        let (members, condition) = (vec![format!("group:{}", self.pick(&GROUPS))], self.pick(&conditions));
        pb::DataAccessPolicy { id, object, effect: effect.into(), members, condition, ..Default::default() }
    }

    fn report(&mut self) -> pb::RelationReport {
        let relations = [pb::Relation::Watcher, pb::Relation::Shared, pb::Relation::Approver];
        let (member, object, record) = (self.member(), self.pick(&OBJECTS[..2]), self.pick(&RECORDS));
        let relation = self.rng.choice(relations).unwrap().into();
        let event = if self.rng.u8(0..3) > 0 { pb::RelationEvent::Added } else { pb::RelationEvent::Removed };
        let relation = Some(pb::RecordRelation { relation, member, object, record });
        pb::RelationReport { relation, event: event.into() }
    }

    fn constraint(&mut self) -> pb::SeparationConstraint {
        let id = format!("c{}", self.rng.u8(0..2));
        let enforcement = pb::SeparationEnforcement::Deny.into();
        let mut roles = self.some(&ROLES, 3);
        roles.push("r0".to_owned());
        pb::SeparationConstraint { id, roles, max: 1, enforcement, ..Default::default() }
    }

    fn rule(&mut self) -> pb::EmergencyRule {
        let (role, users) = (self.pick(&ROLES), vec![self.pick(&USERS)]);
        let target = self.target_of(&role);
        let max_duration = Some(prost_types::Duration { seconds: self.rng.i64(60..4_000), nanos: 0 });
        pb::EmergencyRule { role, target, users, max_duration, ..Default::default() }
    }

    fn service(&mut self) -> pb::ServiceAccount {
        let (id, account) = (self.pick(&SERVICES), self.pick(&ACCOUNTS));
        pb::ServiceAccount { id, account, ..Default::default() }
    }

    fn object(&mut self) -> pb::Object {
        let id = self.pick(&OBJECTS);
        let element = id.starts_with('e');
        let kind = if element { pb::ObjectKind::Element } else { pb::ObjectKind::App };
        let text = pb::FieldType { scalar: pb::ScalarType::String.into(), list: false };
        let fields = if element { BTreeMap::new() } else { [("region".to_owned(), text)].into() };
        pb::Object { id, kind: kind.into(), fields, ..Default::default() }
    }

    /// Who makes the next call: mostly an operator, else a user or a service account, whose permissions decide.
    fn caller(&mut self, nth: usize) -> Caller {
        let root = Caller::operator(format!("root-{}", nth / CALLS_OF_ONE));
        match self.rng.u8(0..10) {
            0 => {
                let user = format!("user:{}", self.pick(&USERS));
                Caller { on_behalf_of: Some(Box::new(OnBehalfOf { user, authenticated_at: None })), ..root }
            }
            1 => {
                let token = self.rng.choice(self.tokens.clone());
                token.and_then(|token| self.engine.bearer(&token).ok()).map_or(root, Caller::bearer)
            }
            _ => root,
        }
    }

    async fn found(&mut self) {
        let domains = DOMAINS[..2]
            .iter()
            .map(|domain| pb::EmailDomain { domain: domain.to_string(), audience: pb::UserKind::Internal.into() });
        let organization = pb::Organization {
            id: "acme".into(),
            preset: pb::Preset::Workspace.into(),
            email_domains: domains.collect(),
            ..Default::default()
        };
        let request = pb::CreateOrganizationRequest { organization: Some(organization), ..Default::default() };
        ok(self.admin.create_organization(by(&self.caller, request)).await);
        for id in &USERS[..6] {
            let user = pb::User { id: id.to_string(), email: format!("{id}@acme.com"), ..Default::default() };
            play!(self, create_user CreateUserRequest { user: user });
        }
        for (nth, role) in ["r0", "r1", "r2"].into_iter().enumerate() {
            let scopes = [pb::RoleScope::Organization, pb::RoleScope::Account, pb::RoleScope::Object];
            let role = pb::Role { id: role.into(), scope: scopes[nth].into(), ..Default::default() };
            play!(self, create_role CreateRoleRequest { role: role });
        }
        for id in ["o0", "e0", "e1"] {
            let kind = if id == "o0" { pb::ObjectKind::App } else { pb::ObjectKind::Element };
            let object = pb::Object { id: id.into(), kind: kind.into(), ..Default::default() };
            play!(self, create_object CreateObjectRequest { object: object });
        }
        for id in &GROUPS[..2] {
            let group = pb::Group { id: id.to_string(), kind: pb::GroupKind::Manual.into(), ..Default::default() };
            play!(self, create_group CreateGroupRequest { group: group });
        }
    }

    pub(super) async fn play(&mut self, calls: usize) {
        self.found().await;
        for nth in 0..calls {
            self.clock.now.fetch_add(self.rng.i64(0..20_000), Ordering::Relaxed);
            if nth.is_multiple_of(CALLS_OF_ONE) {
                self.engine.settle_refusals();
            }
            self.caller = self.caller(nth);
            if nth < 60 { self.build().await } else { self.any().await }
        }
        // What was only counted, and what follows a call without being waited for, is on disk with the last one.
        self.engine.settle_refusals();
        self.caller = operator();
        let request = pb::CreateGroupRequest {
            organization: "acme".into(),
            group: Some(pb::Group { id: "last".into(), kind: pb::GroupKind::Manual.into(), ..Default::default() }),
            ..Default::default()
        };
        ok(self.admin.create_group(by(&self.caller, request)).await);
    }

    async fn any(&mut self) {
        match self.rng.u8(0..5) {
            0 | 1 => self.build().await,
            2 => self.people().await,
            3 => self.govern().await,
            _ => self.change().await,
        }
    }

    /// What creates.
    async fn build(&mut self) {
        match self.rng.u8(0..15) {
            0 | 1 => drop(play!(self, create_user CreateUserRequest { user: self.user() })),
            2 => drop(play!(self, create_group CreateGroupRequest { group: self.group() })),
            3 => drop(play!(self, create_role CreateRoleRequest { role: self.role() })),
            4 => drop(play!(self, create_object CreateObjectRequest { object: self.object() })),
            5 => {
                let account = pb::Account { id: self.pick(&ACCOUNTS), ..Default::default() };
                play!(self, create_account CreateAccountRequest { account: account });
            }
            6 | 7 => {
                let role = self.pick(&ROLES);
                let assignment = pb::Assignment {
                    target: self.target_of(&role),
                    role,
                    member: self.member(),
                    period: self.period(),
                    ..Default::default()
                };
                play!(self, create_assignment CreateAssignmentRequest { assignment: assignment });
            }
            8 | 9 => {
                let grant = pb::Grant {
                    permissions: self.some(&PERMISSIONS, 2),
                    member: self.member(),
                    target: self.target(),
                    period: self.period(),
                    ..Default::default()
                };
                play!(self, create_grants CreateGrantsRequest { grant: grant });
            }
            10 => drop(play!(self, create_policy CreatePolicyRequest { policy: self.policy() })),
            11 => drop(play!(self, report_relation ReportRelationRequest { report: self.report() })),
            12 => {
                let name = self.pick(&PERMISSIONS[3..5]);
                let permission = pb::Permission { name, requires_visibility: self.rng.bool(), ..Default::default() };
                play!(self, create_permission CreatePermissionRequest { permission: permission });
            }
            13 => {
                let (group, members) = (self.pick(&GROUPS), vec![self.member()]);
                play!(self, add_members AddMembersRequest { group: group, members: members });
            }
            _ => {
                let account = self.service();
                let id = account.id.clone();
                play!(self, create_service_account CreateServiceAccountRequest { service_account: account });
                let made = play!(self, create_credential CreateCredentialRequest { service_account: id });
                self.made(made.map(|made| (made.credential, made.secret)));
            }
        }
    }

    fn made(&mut self, made: Option<(Option<pb::Credential>, String)>) {
        let Some((Some(credential), secret)) = made else { return };
        self.credentials.push(credential.id);
        self.tokens.push(Sha256::digest(secret.as_bytes()).into());
    }

    /// What becomes of people.
    async fn people(&mut self) {
        let mut user = self.pick(&USERS);
        let invited = format!("i{}", self.rng.u8(0..12));
        let step = self.rng.u8(0..12);
        if (1..=2).contains(&step) {
            user.clone_from(&invited);
        }
        match step {
            0 | 10 | 11 => {
                let groups = if self.rng.bool() { self.some(&GROUPS, 1) } else { Vec::new() };
                let user = pb::User { email: format!("{invited}@acme.com"), id: invited, ..Default::default() };
                play!(self, invite_user InviteUserRequest { user: user, groups: groups });
            }
            1 => drop(play!(self, complete_registration CompleteRegistrationRequest { user: user })),
            2 => drop(play!(self, revoke_invitation RevokeInvitationRequest { user: user })),
            3 => drop(play!(self, downgrade_user DowngradeUserRequest { user: user })),
            4 => drop(play!(self, upgrade_user UpgradeUserRequest { user: user })),
            5 => drop(play!(self, deactivate_user DeactivateUserRequest { user: user })),
            6 => drop(play!(self, activate_user ActivateUserRequest { user: user })),
            7 | 8 => drop(play!(self, update_user UpdateUserRequest { user: self.user() })),
            _ => {
                let sign_on =
                    pb::SignOn { issuer: "https://login.acme.com".into(), subject: format!("x{}", self.rng.u8(0..6)) };
                let email = format!("{user}@{}", self.pick(&DOMAINS));
                play!(self, provision_user ProvisionUserRequest { sign_on: sign_on, email: email });
            }
        }
    }

    /// Rules of the organization.
    async fn govern(&mut self) {
        match self.rng.u8(0..14) {
            0 => drop(
                play!(self, create_separation_constraint CreateSeparationConstraintRequest { separation_constraint: self.constraint() }),
            ),
            1 => {
                let constraint = format!("c{}", self.rng.u8(0..2));
                play!(self, delete_separation_constraint DeleteSeparationConstraintRequest { separation_constraint: constraint });
            }
            2 | 3 => {
                play!(self, create_emergency_rule CreateEmergencyRuleRequest { emergency_rule: self.rule() });
            }
            4 => {
                let role = self.pick(&ROLES);
                let target = self.target_of(&role);
                play!(self, delete_emergency_rule DeleteEmergencyRuleRequest { role: role, target: target });
            }
            5 | 6 => self.activate().await,
            7 => {
                let activation = self.one_of(|p| &p.activations);
                play!(self, end_emergency_access EndEmergencyAccessRequest { activation: activation });
            }
            8 => {
                let elements = self.some(&OBJECTS[2..], 2);
                play!(self, update_safelist UpdateSafelistRequest { elements: elements });
            }
            9 => {
                let element = self.pick(&OBJECTS[2..]);
                play!(self, remove_safelist_element RemoveSafelistElementRequest { element: element });
            }
            10 => drop(play!(self, clear_safelist ClearSafelistRequest {})),
            11 => {
                let domain = self.pick(&DOMAINS);
                let email_domain = pb::EmailDomain { domain, audience: pb::UserKind::Internal.into() };
                play!(self, add_email_domain AddEmailDomainRequest { email_domain: email_domain });
            }
            12 => {
                let domain = self.pick(&DOMAINS);
                play!(self, remove_email_domain RemoveEmailDomainRequest { domain: domain });
            }
            _ => {
                let settings =
                    pb::OrganizationSettings { auto_create_unknown_users: self.rng.bool(), ..Default::default() };
                let organization =
                    pb::Organization { id: "acme".into(), settings: Some(settings), ..Default::default() };
                let request = pb::UpdateOrganizationRequest { organization: Some(organization), ..Default::default() };
                play!(self, update_organization request);
            }
        }
    }

    /// By whom a rule names, if there is one.
    async fn activate(&mut self) {
        let rules = self.engine.with_table("acme", None, |table| {
            let rule = |rule: &doorward::core::model::EmergencyRule| {
                (rule.role.to_string(), rule.target.clone(), rule.users[0].to_string())
            };
            table.emergencies().map(rule).collect::<Vec<_>>()
        });
        let Some((role, target, user)) = self.rng.choice(rules.unwrap()) else { return };
        let target = message_of(&target);
        let behalf = OnBehalfOf { user: format!("user:{user}"), authenticated_at: None };
        self.caller = Caller { on_behalf_of: Some(Box::new(behalf)), ..self.caller.clone() };
        let rehearsal = self.rng.u8(0..4) == 0;
        let made = play!(self, activate_emergency_access ActivateEmergencyAccessRequest {
            role: role, target: target, justification: "it burns", rehearsal: rehearsal,
        });
        self.activations.extend(made.and_then(|made| made.activation).map(|activation| activation.id));
        // And makes use of it.
        play!(self, create_group CreateGroupRequest { group: self.group() });
    }

    /// What changes and deletes.
    async fn change(&mut self) {
        match self.rng.u8(0..22) {
            0 => {
                let group = pb::Group { kind: 0, domains: Vec::new(), ..self.group() };
                play!(self, update_group UpdateGroupRequest { group: group });
            }
            1 => {
                let pb::Role { id, permissions, .. } = self.role();
                let role = pb::Role { id, permissions, ..Default::default() };
                play!(self, update_role UpdateRoleRequest { role: role });
            }
            2 => {
                let pb::DataAccessPolicy { id, condition, members, .. } = self.policy();
                let policy = pb::DataAccessPolicy { id, condition, members, ..Default::default() };
                play!(self, update_policy UpdatePolicyRequest { policy: policy });
            }
            3 => drop(play!(self, delete_group DeleteGroupRequest { group: self.pick(&GROUPS) })),
            4 => drop(play!(self, delete_role DeleteRoleRequest { role: self.pick(&ROLES) })),
            5 => drop(play!(self, delete_object DeleteObjectRequest { object: self.pick(&OBJECTS) })),
            6 => drop(play!(self, delete_account DeleteAccountRequest { account: self.pick(&ACCOUNTS) })),
            7 => drop(play!(self, delete_permission DeletePermissionRequest { permission: self.pick(&PERMISSIONS) })),
            8 => drop(play!(self, delete_policy DeletePolicyRequest { policy: format!("p{}", self.rng.u8(0..4)) })),
            9 | 10 => {
                let held = self.engine.with_table("acme", None, |table| {
                    let assignment = |row| if let Row::Assignment(held) = row { Some(held) } else { None };
                    table.rows().filter_map(assignment).collect::<Vec<_>>()
                });
                // Some are there, some went.
                let held = self.rng.choice(held.unwrap()).filter(|_| self.rng.u8(0..4) > 0);
                let (role, member, target) = match held {
                    Some(held) => (held.role.to_string(), held.member.to_string(), message_of(&held.target)),
                    None => (self.pick(&ROLES), self.member(), self.target()),
                };
                play!(self, delete_assignment DeleteAssignmentRequest { role: role, member: member, target: target });
            }
            11 => {
                let held = self.engine.with_table("acme", None, |table| {
                    let grant = |row| if let Row::Grant(held) = row { Some(held) } else { None };
                    table.rows().filter_map(grant).collect::<Vec<_>>()
                });
                let held = self.rng.choice(held.unwrap()).filter(|_| self.rng.u8(0..4) > 0);
                let (permissions, member, target) = match held {
                    Some(held) => {
                        (vec![held.permission.to_string()], held.member.to_string(), message_of(&held.target))
                    }
                    None => (self.some(&PERMISSIONS, 1), self.member(), self.target()),
                };
                play!(self, delete_grants DeleteGrantsRequest { permissions: permissions, member: member, target: target });
            }
            12 => {
                let (group, members) = (self.pick(&GROUPS), vec![self.member()]);
                play!(self, remove_members RemoveMembersRequest { group: group, members: members });
            }
            13 => {
                let (group, members) = (self.pick(&GROUPS), (0..3).map(|_| self.member()).collect::<Vec<_>>());
                play!(self, replace_members ReplaceMembersRequest { group: group, members: members });
            }
            14 | 15 => {
                let reports = (0..self.rng.u8(1..5)).map(|_| self.report()).collect::<Vec<_>>();
                play!(self, batch_report_relations BatchReportRelationsRequest { reports: reports });
            }
            16 => {
                let (object, record) = (self.pick(&OBJECTS[..2]), self.pick(&RECORDS));
                play!(self, forget_record ForgetRecordRequest { object: object, record: record });
            }
            17 => {
                let credential = self.one_of(|p| &p.credentials);
                let made = play!(self, rotate_credential RotateCredentialRequest { credential: credential });
                self.made(made.map(|made| (made.credential, made.secret)));
            }
            18 => {
                let credential = self.one_of(|p| &p.credentials);
                play!(self, revoke_credential RevokeCredentialRequest { credential: credential });
            }
            19 => {
                let service = self.pick(&SERVICES);
                play!(self, deactivate_service_account DeactivateServiceAccountRequest { service_account: service });
            }
            20 => {
                let service = self.pick(&SERVICES);
                play!(self, activate_service_account ActivateServiceAccountRequest { service_account: service });
            }
            _ => drop(play!(self, update_object UpdateObjectRequest { object: self.object() })),
        }
    }
}

fn message_of(target: &Target) -> Option<pb::Target> {
    let mut message = pb::Target::default();
    match target {
        Target::Organization => return None,
        Target::Account(account) => message.account = account.to_string(),
        Target::Object(object) => message.object = object.to_string(),
        Target::Record(object, record) => (message.object, message.record) = (object.to_string(), record.to_string()),
    }
    Some(message)
}
