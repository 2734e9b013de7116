//! Rule 7.6 over the wire: who calls, and what the caller may do.
//!
//! The matrix is every RPC of the descriptor set by kinds of callers, compared with
//! `callers.golden`; `DOORWARD_BLESS=1` writes that file anew. All writes are dry runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::{Buf, BufMut, Bytes};
use doorward::core::presets::ADMINISTRATION;
use doorward::service::proto as pb;
use doorward::service::proto::credential_service_client::CredentialServiceClient;
use doorward::service::proto::group_service_client::GroupServiceClient;
use doorward::service::proto::organization_service_client::OrganizationServiceClient;
use doorward::service::proto::role_service_client::RoleServiceClient;
use doorward::service::proto::user_service_client::UserServiceClient;
use doorward::service::{Needs, RPCS, needs};
use prost::Message;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

mod samples;

use samples::samples;

use crate::wire::{Running, Wire, create_user, organization, reason, token, user};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/callers.golden");

const LEGEND: &str = "\
# Every RPC by kinds of callers: `-` is PERMISSION_DENIED, `inactive` PRINCIPAL_INACTIVE, `?` not done by this version.
# operator: a platform operator. Service accounts: admin holds `*`; reader holds `users.read`; none holds nothing;
# other holds `*` in another organization; inactive holds `*` and is deactivated; with holds that permission alone,
# without all others that admin calls check. On behalf of a user: distrust by the admin's credential, which is not
# trusted to; for-user by a trusted credential, for a user that holds nothing here, for-gone for an inactive one.
";

/// Messages as bytes.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

#[derive(Clone)]
pub struct Who {
    pub token: String,
    pub on_behalf_of: Option<&'static str>,
}

impl Who {
    pub fn of(token: &str) -> Self {
        Self { token: token.to_owned(), on_behalf_of: None }
    }

    pub fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let bearer: MetadataValue<_> = format!("Bearer {}", self.token).parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        if let Some(user) = self.on_behalf_of {
            request.metadata_mut().insert("x-doorward-on-behalf-of", user.parse().unwrap());
        }
        request
    }
}

/// One call, whatever its kind; all that it answers is read.
pub async fn call(channel: &Channel, rpc: &str, messages: Vec<Vec<u8>>, who: &Who) -> Result<Vec<Bytes>, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.unwrap();
    let path = format!("/doorward.v1.{rpc}").parse().unwrap();
    let mut answers = grpc.streaming(who.request(tokio_stream::iter(messages)), path, Raw).await?.into_inner();
    let mut all = Vec::new();
    while let Some(answer) = answers.message().await? {
        all.push(answer);
    }
    Ok(all)
}

/// How a call came out, in a word; of a batch, how its item did.
fn word(rpc: &str, result: Result<Vec<Bytes>, Status>) -> String {
    use pb::batch_authorize_result::Outcome;
    let reason = match result {
        Ok(answers) if rpc == "DecisionService/BatchAuthorize" => {
            let batch = pb::BatchAuthorizeResponse::decode(answers[0].clone()).unwrap();
            match batch.results[0].outcome.clone().unwrap() {
                Outcome::Decision(_) => return "ok".to_owned(),
                Outcome::Error(error) => error.reason,
            }
        }
        Ok(_) => return "ok".to_owned(),
        Err(status) => reason(&status),
    };
    match reason.as_str() {
        "PERMISSION_DENIED" => "-".to_owned(),
        "PRINCIPAL_INACTIVE" => "inactive".to_owned(),
        "NOT_SUPPORTED" => "?".to_owned(),
        _ => reason,
    }
}

/// Every RPC of ours, `Service/Method`.
fn every_rpc() -> Vec<String> {
    let [ours, _] = doorward::service::descriptor_sets();
    let files = prost_types::FileDescriptorSet::decode(ours).unwrap();
    let services = files.file.iter().filter(|file| file.package() == "doorward.v1").flat_map(|file| &file.service);
    let mut rpcs: Vec<String> =
        services.flat_map(|s| s.method.iter().map(move |m| format!("{}/{}", s.name(), m.name()))).collect();
    rpcs.sort();
    rpcs
}

#[test]
fn m7_6_every_rpc_has_a_line_and_every_line_an_rpc() {
    let lines = RPCS.iter().flat_map(|(service, rpcs)| rpcs.iter().map(move |(rpc, _)| format!("{service}/{rpc}")));
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    assert_eq!(lines, every_rpc());
    let names: Vec<&str> = ADMINISTRATION.iter().map(|p| p.name).collect();
    for (_, needs) in RPCS.iter().flat_map(|(_, rpcs)| rpcs.iter()) {
        if let Needs::Any(permissions) = needs {
            assert!(!permissions.is_empty() && permissions.iter().all(|p| names.contains(p)), "{permissions:?}");
        }
    }
    assert_eq!(needs("doorward.v1.UserService/NoSuchMethod"), Needs::Operator, "what nobody thought of");
}

/// Organizations `acme` and `beta`, and callers.
pub struct World {
    pub server: Running,
    pub wire: Wire,
    pub operator: String,
    pub dir: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Running::start(dir.path()).await;
        let operator = token(dir.path());
        let wire = server.with(Some(&operator)).await;
        for id in ["acme", "beta"] {
            organization(&wire, id).await;
        }
        Self { server, wire, operator, dir }
    }

    pub async fn service(&self, organization: &str, id: &str) {
        let service_account = Some(pb::ServiceAccount { id: id.into(), ..Default::default() });
        let request = pb::CreateServiceAccountRequest {
            organization: organization.into(),
            service_account,
            ..Default::default()
        };
        CredentialServiceClient::new(self.wire.clone()).create_service_account(request).await.unwrap();
    }

    pub async fn credential(&self, request: pb::CreateCredentialRequest) -> pb::CreateCredentialResponse {
        CredentialServiceClient::new(self.wire.clone()).create_credential(request).await.unwrap().into_inner()
    }

    pub async fn grant(&self, organization: &str, member: &str, permissions: &[&str], target: Option<pb::Target>) {
        let permissions = permissions.iter().map(ToString::to_string).collect();
        let grant = Some(pb::Grant { permissions, member: member.into(), target, ..Default::default() });
        let request = pb::CreateGrantsRequest { organization: organization.into(), grant, ..Default::default() };
        RoleServiceClient::new(self.wire.clone()).create_grants(request).await.unwrap();
    }

    /// A service account that holds these, and its token.
    pub async fn caller(&self, organization: &str, id: &str, permissions: &[&str]) -> Who {
        self.service(organization, id).await;
        if !permissions.is_empty() {
            self.grant(organization, &format!("service:{id}"), permissions, None).await;
        }
        let request = credential_of(organization, id);
        Who::of(&self.credential(request).await.secret)
    }

    /// What the samples of the matrix are about.
    pub async fn furnish(&self) {
        let o = || "acme".to_owned();
        let mut organizations = OrganizationServiceClient::new(self.wire.clone());
        let email_domain = Some(pb::EmailDomain { domain: "acme.com".into(), audience: pb::UserKind::Internal.into() });
        let request = pb::AddEmailDomainRequest { organization: o(), email_domain, ..Default::default() };
        organizations.add_email_domain(request).await.unwrap();
        let account = Some(pb::Account { id: "spare".into(), ..Default::default() });
        let request = pb::CreateAccountRequest { organization: o(), account, ..Default::default() };
        organizations.create_account(request).await.unwrap();
        let object = Some(pb::Object { id: "app".into(), kind: pb::ObjectKind::App.into(), ..Default::default() });
        let request = pb::CreateObjectRequest { organization: o(), object, ..Default::default() };
        organizations.create_object(request).await.unwrap();
        let permission = Some(pb::Permission { name: "own.thing".into(), ..Default::default() });
        let request = pb::CreatePermissionRequest { organization: o(), permission, ..Default::default() };
        organizations.create_permission(request).await.unwrap();
        for id in ["ana", "lim", "gone"] {
            create_user(&self.wire, "acme", user(id, &format!("{id}@acme.com"))).await.unwrap();
        }
        let mut users = UserServiceClient::new(self.wire.clone());
        let invited = Some(user("inv", "inv@acme.com"));
        let request = pb::InviteUserRequest { organization: o(), user: invited, ..Default::default() };
        users.invite_user(request).await.unwrap();
        let request = pb::DowngradeUserRequest { organization: o(), user: "lim".into(), ..Default::default() };
        users.downgrade_user(request).await.unwrap();
        let request = pb::DeactivateUserRequest { organization: o(), user: "gone".into(), ..Default::default() };
        users.deactivate_user(request).await.unwrap();
        let visibility = Some(pb::Visibility { data_access: true, ..Default::default() });
        let group = pb::Group { id: "g".into(), kind: pb::GroupKind::Manual.into(), visibility, ..Default::default() };
        let request = pb::CreateGroupRequest { organization: o(), group: Some(group), ..Default::default() };
        GroupServiceClient::new(self.wire.clone()).create_group(request).await.unwrap();
        let mut roles = RoleServiceClient::new(self.wire.clone());
        let role = pb::Role {
            id: "helper".into(),
            scope: pb::RoleScope::Organization.into(),
            permissions: vec!["tasks.read".into()],
            ..Default::default()
        };
        let request = pb::CreateRoleRequest { organization: o(), role: Some(role), ..Default::default() };
        roles.create_role(request).await.unwrap();
        let assignment =
            Some(pb::Assignment { role: "helper".into(), member: "user:ana".into(), ..Default::default() });
        let request = pb::CreateAssignmentRequest { organization: o(), assignment, ..Default::default() };
        roles.create_assignment(request).await.unwrap();
        let pay = pb::SeparationConstraint {
            id: "pay".into(),
            roles: vec!["helper".into(), "organization-admin".into()],
            max: 1,
            ..Default::default()
        };
        let request = pb::CreateSeparationConstraintRequest {
            organization: o(),
            separation_constraint: Some(pay),
            ..Default::default()
        };
        roles.create_separation_constraint(request).await.unwrap();
        let fire = pb::EmergencyRule {
            role: "helper".into(),
            users: vec!["ana".into()],
            max_duration: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            ..Default::default()
        };
        let request =
            pb::CreateEmergencyRuleRequest { organization: o(), emergency_rule: Some(fire), ..Default::default() };
        roles.create_emergency_rule(request).await.unwrap();
        self.grant("acme", "user:ana", &["tasks.read"], None).await;
        let policy = pb::DataAccessPolicy {
            id: "all".into(),
            object: "app".into(),
            effect: pb::PolicyEffect::Allow.into(),
            members: vec!["group:g".into()],
            ..Default::default()
        };
        let request = pb::CreatePolicyRequest { organization: o(), policy: Some(policy), ..Default::default() };
        let mut data = pb::data_access_service_client::DataAccessServiceClient::new(self.wire.clone());
        data.create_policy(request).await.unwrap();
        self.service("acme", "robot").await;
        for id in ["el-1", "el-2"] {
            let kind = pb::ObjectKind::Element.into();
            let object = Some(pb::Object { id: id.into(), kind, ..Default::default() });
            let request = pb::CreateObjectRequest { organization: o(), object, ..Default::default() };
            organizations.create_object(request).await.unwrap();
        }
        let over = Some(pb::SuperOrganization { id: "globex".into(), ..Default::default() });
        let request = pb::CreateSuperOrganizationRequest { super_organization: over, ..Default::default() };
        organizations.create_super_organization(request).await.unwrap();
        let mut lists = pb::element_list_service_client::ElementListServiceClient::new(self.wire.clone());
        let elements = ["el-1", "el-2"].map(str::to_owned).into();
        let request = pb::UpdateSafelistRequest { organization: o(), elements, ..Default::default() };
        lists.update_safelist(request).await.unwrap();
        let elements = vec!["gone".to_owned()];
        let request = pb::UpdateDenylistRequest { super_organization: "globex".into(), elements, ..Default::default() };
        lists.update_denylist(request).await.unwrap();
    }
}

pub fn credential_of(organization: &str, service: &str) -> pb::CreateCredentialRequest {
    pb::CreateCredentialRequest {
        organization: organization.into(),
        service_account: service.into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn m7_6_the_matrix_of_callers_and_rpcs() {
    let world = World::new().await;
    world.furnish().await;
    let channel = world.server.channel().await;
    let operator = Who::of(&world.operator);
    let admin = world.caller("acme", "admin", &["*"]).await;
    let reader = world.caller("acme", "reader", &["users.read"]).await;
    let none = world.caller("acme", "none", &[]).await;
    let other = world.caller("beta", "other", &["*"]).await;
    let inactive = world.caller("acme", "inactive", &["*"]).await;
    let request = pb::DeactivateServiceAccountRequest {
        organization: "acme".into(),
        service_account: "inactive".into(),
        ..Default::default()
    };
    CredentialServiceClient::new(world.wire.clone()).deactivate_service_account(request).await.unwrap();
    let untrusted = Who { on_behalf_of: Some("user:ana"), ..admin.clone() };
    world.service("acme", "backend").await;
    let trusted = pb::CreateCredentialRequest { acts_for_users: true, ..credential_of("acme", "backend") };
    let backend = Who::of(&world.credential(trusted).await.secret);
    let for_user = Who { on_behalf_of: Some("user:ana"), ..backend.clone() };
    let for_inactive = Who { on_behalf_of: Some("user:gone"), ..backend };

    // For each permission: who holds it and nothing else, and who holds all that admin calls check but it.
    let every: Vec<&str> = ADMINISTRATION.iter().map(|p| p.name).collect();
    let (mut exactly, mut all_but) = (BTreeMap::new(), BTreeMap::new());
    for (_, rpc_needs) in RPCS.iter().flat_map(|(_, rpcs)| rpcs.iter()) {
        let Needs::Any(permissions) = rpc_needs else { continue };
        if exactly.contains_key(permissions) {
            continue;
        }
        let rest: Vec<&str> = every.iter().copied().filter(|p| !permissions.contains(p)).collect();
        let name = permissions.join("-");
        exactly.insert(permissions, world.caller("acme", &format!("only-{name}"), &permissions[..1]).await);
        all_but.insert(permissions, world.caller("acme", &format!("but-{name}"), &rest).await);
    }

    let (here, nowhere) = (samples("acme"), samples("nowhere"));
    let robots = world.credential(credential_of("acme", "robot")).await.credential.unwrap().id;
    let kinds = [
        ("operator", &operator),
        ("admin", &admin),
        ("reader", &reader),
        ("none", &none),
        ("other", &other),
        ("inactive", &inactive),
        ("distrust", &untrusted),
        ("for-user", &for_user),
        ("for-gone", &for_inactive),
    ];
    let mut matrix = String::from(LEGEND);
    write!(matrix, "{:<48}", "#").unwrap();
    kinds.iter().for_each(|(kind, _)| write!(matrix, " {kind:<8}").unwrap());
    matrix.push_str(" with     without  permission\n");
    for rpc in every_rpc() {
        let nothing = || vec![Vec::new()];
        let about_credential = |organization: &str| match rpc.as_str() {
            "CredentialService/GetCredential" => Some(
                pb::GetCredentialRequest {
                    organization: organization.into(),
                    credential: robots.clone(),
                    ..Default::default()
                }
                .encode_to_vec(),
            ),
            "CredentialService/RotateCredential" => Some(
                pb::RotateCredentialRequest {
                    organization: organization.into(),
                    credential: robots.clone(),
                    validate_only: true,
                    ..Default::default()
                }
                .encode_to_vec(),
            ),
            "CredentialService/RevokeCredential" => Some(
                pb::RevokeCredentialRequest {
                    organization: organization.into(),
                    credential: robots.clone(),
                    validate_only: true,
                    ..Default::default()
                }
                .encode_to_vec(),
            ),
            _ => None,
        };
        let sample = |samples: &BTreeMap<&str, Vec<Vec<u8>>>, organization: &str| {
            let special = about_credential(organization).map(|message| vec![message]);
            special.or_else(|| samples.get(rpc.as_str()).cloned()).unwrap_or_else(nothing)
        };
        let message = sample(&here, "acme");
        let ask = async |who: &Who| word(&rpc, call(&channel, &rpc, message.clone(), who).await);
        write!(matrix, "{rpc:<48}").unwrap();
        for (_, who) in &kinds {
            write!(matrix, " {:<8}", ask(who).await).unwrap();
        }
        if let Needs::Any(permissions) = needs(&format!("doorward.v1.{rpc}")) {
            let (with, without) = (ask(&exactly[&permissions]).await, ask(&all_but[&permissions]).await);
            write!(matrix, " {with:<8} {without:<8} {}", permissions.join(" or ")).unwrap();
        }
        matrix.truncate(matrix.trim_end().len());
        matrix.push('\n');
        // Rule 1.1: the same whether or not there is such an organization.
        if rpc != "DecisionService/BatchAuthorize" {
            let there = call(&channel, &rpc, message.clone(), &other).await.unwrap_err();
            let nowhere = call(&channel, &rpc, sample(&nowhere, "nowhere"), &other).await.unwrap_err();
            assert_eq!((there.code(), there.message()), (nowhere.code(), nowhere.message()), "{rpc}");
            assert!(matches!(there.code(), Code::PermissionDenied | Code::Unimplemented), "{rpc}: {there}");
        }
    }
    world.server.stop().await;
    if std::env::var_os("DOORWARD_BLESS").is_some() {
        std::fs::write(GOLDEN, &matrix).unwrap();
    }
    let golden = std::fs::read_to_string(GOLDEN).unwrap_or_default();
    for (golden, found) in golden.lines().zip(matrix.lines()) {
        assert_eq!(golden, found);
    }
    assert_eq!(golden.lines().count(), matrix.lines().count(), "another number of RPCs than in {GOLDEN}");
}

pub fn granting(permission: &str, member: &str) -> pb::CreateGrantsRequest {
    let grant = pb::Grant { permissions: vec![permission.into()], member: member.into(), ..Default::default() };
    pb::CreateGrantsRequest { organization: "acme".into(), grant: Some(grant), ..Default::default() }
}

/// The outcome in a word.
pub fn outcome<R>(reply: Result<tonic::Response<R>, Status>) -> String {
    match reply {
        Ok(_) => "ok".to_owned(),
        Err(status) => reason(&status),
    }
}
