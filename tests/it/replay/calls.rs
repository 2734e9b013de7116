//! The calls of a replay: which, with what, by whom.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use doorward::core::model::{Row, Target};
use doorward::service::proto as pb;
use doorward::service::proto::activity_service_server::ActivityService;
use doorward::service::proto::credential_service_server::CredentialService;
use doorward::service::proto::data_access_service_server::DataAccessService;
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
    pub(super) fn pick(&mut self, from: &[&str]) -> String {
        self.rng.choice(from).unwrap().to_string()
    }

    pub(super) fn some(&mut self, from: &[&str], most: usize) -> Vec<String> {
        (0..self.rng.usize(1..=most)).map(|_| self.pick(from)).collect()
    }

    pub(super) fn one_of(&mut self, from: fn(&Self) -> &Vec<String>) -> String {
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

    pub(super) fn a_role(&mut self) -> String {
        let known = self.roles;
        self.pick(&known)
    }

    /// Where a role may be held; now and then anywhere.
    pub(super) fn target_of(&mut self, role: &str) -> Option<pb::Target> {
        let object = self.pick(&OBJECTS);
        match role {
            _ if self.rng.u8(0..6) == 0 => self.target(),
            "r0" | "organization-admin" | "org-admin" => None,
            "r1" | "default-user" => Some(pb::Target { account: self.pick(&ACCOUNTS), ..Default::default() }),
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
        let known = self.roles;
        let id = self.pick(&known[..5]);
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

    pub(super) fn group(&mut self) -> pb::Group {
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
            preset: self.preset.into(),
            email_domains: domains.collect(),
            ..Default::default()
        };
        let request = pb::CreateOrganizationRequest { organization: Some(organization), ..Default::default() };
        let reply = self.admin.create_organization(by(&self.caller, request)).await;
        self.note("create_organization", &reply);
        ok(reply);
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
            // What is created again under the id inherits nothing; its logs are what is compared.
            if nth == END && self.seed.is_multiple_of(3) {
                self.caller = operator();
                let request = pb::DeleteOrganizationRequest { organization: "acme".into(), ..Default::default() };
                let reply = self.admin.delete_organization(by(&self.caller, request)).await;
                self.note("delete_organization", &reply);
                ok(reply);
                self.found().await;
            }
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
        match self.rng.u8(0..8) {
            0..3 => self.build().await,
            3 => self.people().await,
            4 | 5 => self.govern().await,
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
                let role = self.a_role();
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

    /// An assignment that there is, or was, or never was.
    fn known_assignment(&mut self) -> (String, String, Option<pb::Target>) {
        let held = self.engine.with_table("acme", None, |table| {
            let assignment = |row| if let Row::Assignment(held) = row { Some(held) } else { None };
            table.rows().filter_map(assignment).collect::<Vec<_>>()
        });
        match self.rng.choice(held.unwrap()).filter(|_| self.rng.u8(0..4) > 0) {
            Some(held) => (held.role.to_string(), held.member.to_string(), message_of(&held.target)),
            None => (self.a_role(), self.member(), self.target()),
        }
    }

    fn known_grant(&mut self) -> (Vec<String>, String, Option<pb::Target>) {
        let held = self.engine.with_table("acme", None, |table| {
            let grant = |row| if let Row::Grant(held) = row { Some(held) } else { None };
            table.rows().filter_map(grant).collect::<Vec<_>>()
        });
        match self.rng.choice(held.unwrap()).filter(|_| self.rng.u8(0..4) > 0) {
            Some(held) => (vec![held.permission.to_string()], held.member.to_string(), message_of(&held.target)),
            None => (self.some(&PERMISSIONS, 1), self.member(), self.target()),
        }
    }

    /// This field alone, now and then; else what is sent.
    fn mask(&mut self, path: &str) -> Option<prost_types::FieldMask> {
        (self.rng.u8(0..3) == 0).then(|| prost_types::FieldMask { paths: vec![path.to_owned()] })
    }

    /// What changes and deletes.
    async fn change(&mut self) {
        match self.rng.u8(0..31) {
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
                // Of four that may be there, few are.
                for _ in 0..3 {
                    let pb::DataAccessPolicy { id, condition, members, .. } = self.policy();
                    let policy = pb::DataAccessPolicy { id, condition, members, ..Default::default() };
                    if play!(self, update_policy UpdatePolicyRequest { policy: policy }).is_some() {
                        break;
                    }
                }
            }
            3 => drop(play!(self, delete_group DeleteGroupRequest { group: self.pick(&GROUPS) })),
            4 => drop(play!(self, delete_role DeleteRoleRequest { role: self.a_role() })),
            5 => drop(play!(self, delete_object DeleteObjectRequest { object: self.pick(&OBJECTS) })),
            6 => drop(play!(self, delete_account DeleteAccountRequest { account: self.pick(&ACCOUNTS) })),
            7 => drop(play!(self, delete_permission DeletePermissionRequest { permission: self.pick(&PERMISSIONS) })),
            8 => drop(play!(self, delete_policy DeletePolicyRequest { policy: format!("p{}", self.rng.u8(0..4)) })),
            9 | 10 => {
                let (role, member, target) = self.known_assignment();
                play!(self, delete_assignment DeleteAssignmentRequest { role: role, member: member, target: target });
            }
            11 => {
                let (permissions, member, target) = self.known_grant();
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
            30 => {
                let user = self.pick(&USERS);
                play!(self, erase_personal_data ErasePersonalDataRequest { user: user });
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
            21 => drop(play!(self, update_object UpdateObjectRequest { object: self.object() })),
            22 | 23 => {
                let (role, member, target) = self.known_assignment();
                let assignment = pb::Assignment { role, member, target, period: self.period(), ..Default::default() };
                let update_mask = self.mask("period");
                play!(self, update_assignment UpdateAssignmentRequest { assignment: assignment, update_mask: update_mask });
            }
            24 => {
                let (permissions, member, target) = self.known_grant();
                let grant = pb::Grant { permissions, member, target, period: self.period(), ..Default::default() };
                play!(self, update_grants UpdateGrantsRequest { grant: grant });
            }
            25 | 26 => {
                let (id, default) = (self.pick(&ACCOUNTS), self.rng.bool());
                let account = pb::Account { id, default, display_name: "new".into(), ..Default::default() };
                // Unmarking the default is refused, moving the mark is not.
                let update_mask = self.mask("default");
                play!(self, update_account UpdateAccountRequest { account: account, update_mask: update_mask });
            }
            27 | 28 => {
                let levels =
                    [pb::PermissionLevel::Organization, pb::PermissionLevel::Account, pb::PermissionLevel::Object];
                let (name, level) = (self.pick(&PERMISSIONS[2..5]), self.rng.choice(levels).unwrap().into());
                let (requires_visibility, aliases) = (self.rng.bool(), self.some(&["SIGN", "sign"], 1));
                let permission = pb::Permission { name, level, requires_visibility, aliases, ..Default::default() };
                let update_mask = self.mask("aliases");
                play!(self, update_permission UpdatePermissionRequest { permission: permission, update_mask: update_mask });
            }
            _ => {
                let account = self.service();
                play!(self, update_service_account UpdateServiceAccountRequest { service_account: account });
            }
        }
    }
}

pub(super) fn message_of(target: &Target) -> Option<pb::Target> {
    let mut message = pb::Target::default();
    match target {
        Target::Organization => return None,
        Target::Account(account) => message.account = account.to_string(),
        Target::Object(object) => message.object = object.to_string(),
        Target::Record(object, record) => (message.object, message.record) = (object.to_string(), record.to_string()),
    }
    Some(message)
}
