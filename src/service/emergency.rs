//! The part of `RoleService` that is about emergency access (rule 7.4).

use tonic::{Request, Response};

use crate::core::change::{Change, apply_at};
use crate::core::id::{Id, OpaqueId};
use crate::core::limits::{MAX_ACTIVATIONS, MAX_DESCRIPTION_BYTES};
use crate::core::model::{Activation, EmergencyRule, Key, Millis, PrincipalId, Row, Target};
use crate::core::table::Table;

use super::access::Authority;
use super::admin::{Admin, Planned, Reply, delete, found, update};
use super::convert::emergency as convert;
use super::fields::Fields;
use super::paging::Page;
use super::proto::*;
use super::refusal::Refusal;
use super::report::revision_of;
use super::request::{etag, reading, writing};
use super::tokens::new_id;

/// Who may end activations that are not their own.
pub(super) const CONFIGURE: &str = "emergency.configure";

impl Admin {
    /// `CreateEmergencyRule`.
    pub(super) async fn create_emergency(
        &self,
        request: Request<CreateEmergencyRuleRequest>,
    ) -> Reply<CreateEmergencyRuleResponse> {
        let (call, rule) = writing(request, |f, m| {
            let CreateEmergencyRuleRequest { organization: _, emergency_rule, request_id: _, validate_only: _ } = m;
            f.message("emergency_rule", emergency_rule, convert::rule)
        })?;
        let key = (rule.role.clone(), rule.target.clone());
        let plan = move |_: &Table| Ok(vec![Change::Create(Row::Emergency(rule))]);
        self.write(call, plan, move |o| CreateEmergencyRuleResponse {
            emergency_rule: convert::find_rule(o.after(), &key),
            revision: o.revision(),
        })
        .await
    }

    /// `GetEmergencyRule`.
    pub(super) async fn find_emergency(
        &self,
        request: Request<GetEmergencyRuleRequest>,
    ) -> Reply<GetEmergencyRuleResponse> {
        let (read, key) = reading(request, |f, m| {
            let GetEmergencyRuleRequest { organization: _, role, target, min_revision: _ } = m;
            convert::rule_key(f, &role, target)
        })?;
        let table = self.table(&read).await?;
        let rule = found(convert::find_rule(&table, &key), || Key::Emergency(key.0, key.1))?;
        Ok(Response::new(GetEmergencyRuleResponse { emergency_rule: Some(rule), revision: Some(revision_of(&table)) }))
    }

    /// `ListEmergencyRules`.
    pub(super) async fn list_emergencies(
        &self,
        request: Request<ListEmergencyRulesRequest>,
    ) -> Reply<ListEmergencyRulesResponse> {
        let (read, (page, user)) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListEmergencyRules", &mut m);
            let ListEmergencyRulesRequest { organization: _, user, min_revision: _, page_size: _, page_token: _ } = m;
            page.zip(f.parse_optional::<OpaqueId>("user", &user))
        })?;
        let table = self.table(&read).await?;
        let all = table.emergencies().filter(|rule| user.as_ref().is_none_or(|user| rule.users.contains(user)));
        let all = all.collect();
        let name = |rule: &&EmergencyRule| format!("{}\0{}", rule.role, rule.target);
        let (page, next_page_token) = page.of_sorted(table.history(), all, name)?;
        let emergency_rules = page.into_iter().map(convert::to_rule).collect();
        let revision = Some(revision_of(&table));
        Ok(Response::new(ListEmergencyRulesResponse { emergency_rules, revision, next_page_token }))
    }

    /// `UpdateEmergencyRule`.
    pub(super) async fn update_emergency(
        &self,
        request: Request<UpdateEmergencyRuleRequest>,
    ) -> Reply<UpdateEmergencyRuleResponse> {
        let (call, ((key, patch), etag)) = writing(request, |f, m| {
            let UpdateEmergencyRuleRequest {
                organization: _,
                emergency_rule,
                update_mask,
                etag,
                request_id: _,
                validate_only: _,
            } = m;
            let patch = convert::rule_patch(f, emergency_rule, update_mask);
            patch.zip(self::etag(f, etag))
        })?;
        let asked = key.clone();
        let plan = move |table: &Table| {
            let (role, target) = asked;
            let current = table.emergency(&role, &target).cloned();
            update(table, Key::Emergency(role, target), current, patch, Row::Emergency, etag)
        };
        self.write(call, plan, move |o| UpdateEmergencyRuleResponse {
            emergency_rule: convert::find_rule(o.after(), &key),
            revision: o.revision(),
        })
        .await
    }

    /// `DeleteEmergencyRule`.
    pub(super) async fn delete_emergency(
        &self,
        request: Request<DeleteEmergencyRuleRequest>,
    ) -> Reply<DeleteEmergencyRuleResponse> {
        let (call, (key, etag)) = writing(request, |f, m| {
            let DeleteEmergencyRuleRequest { organization: _, role, target, etag, request_id: _, validate_only: _ } = m;
            let key = convert::rule_key(f, &role, target);
            key.zip(self::etag(f, etag))
        })?;
        let plan = move |_: &Table| delete(Key::Emergency(key.0, key.1), etag);
        self.write(call, plan, |o| DeleteEmergencyRuleResponse {
            revision: o.revision(),
            activations_ended: o.activations_ended(),
        })
        .await
    }

    /// `ActivateEmergencyAccess`.
    pub(super) async fn activate(
        &self,
        request: Request<ActivateEmergencyAccessRequest>,
    ) -> Reply<ActivateEmergencyAccessResponse> {
        let (call, asked) = writing(request, Asked::of)?;
        let user = call.call.on_behalf_of.as_deref().and_then(|user| match user.parse() {
            Ok(PrincipalId::User(user)) => Some(user),
            Ok(PrincipalId::Service(_)) | Err(_) => None,
        });
        let (id, now) = (new_id("activation", &**self.engine.clock())?, self.engine.now());
        let made = id.clone();
        let plan = move |table: &Table| asked.plan(table, user, made, now);
        self.write(call, plan, move |o| ActivateEmergencyAccessResponse {
            activation: convert::find_activation(o.after(), &id),
            revision: o.revision(),
        })
        .await
    }

    /// `EndEmergencyAccess`. By the user itself, or by whoever configures emergency access.
    pub(super) async fn end_activation(
        &self,
        request: Request<EndEmergencyAccessRequest>,
    ) -> Reply<EndEmergencyAccessResponse> {
        let (call, id) = writing(request, |f, m| {
            let EndEmergencyAccessRequest { organization: _, activation, request_id: _, validate_only: _ } = m;
            f.parse::<Id>("activation", &activation)
        })?;
        let (authority, now, asked) = (call.authority.clone(), self.engine.now(), id.clone());
        let plan = move |table: &Table| ended(table, &asked, &authority, now);
        self.write(call, plan, move |o| EndEmergencyAccessResponse {
            activation: convert::find_activation(o.after(), &id),
            revision: o.revision(),
        })
        .await
    }

    /// `ListEmergencyActivations`.
    pub(super) async fn list_activations(
        &self,
        request: Request<ListEmergencyActivationsRequest>,
    ) -> Reply<ListEmergencyActivationsResponse> {
        let (read, (page, (user, open_only))) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListEmergencyActivations", &mut m);
            let ListEmergencyActivationsRequest {
                organization: _,
                user,
                open_only,
                min_revision: _,
                page_size: _,
                page_token: _,
            } = m;
            let user = f.parse_optional::<OpaqueId>("user", &user);
            page.zip(user.map(|user| (user, open_only)))
        })?;
        let table = self.table(&read).await?;
        let now = self.engine.now();
        let asked = |a: &&Activation| user.as_ref().is_none_or(|u| a.user == *u) && (!open_only || a.is_open(now));
        // Latest first; names ascend.
        let name = |a: &&Activation| format!("{:020}\0{}", Millis::MAX - a.starts_at, a.id);
        let all = table.activations().filter(asked).collect();
        let (page, next_page_token) = page.of_sorted(table.history(), all, name)?;
        let activations = page.into_iter().map(convert::to_activation).collect();
        let revision = Some(revision_of(&table));
        Ok(Response::new(ListEmergencyActivationsResponse { activations, revision, next_page_token }))
    }
}

/// What is to be activated.
struct Asked {
    role: Id,
    target: Target,
    duration: Option<Millis>,
    justification: String,
    rehearsal: bool,
}

impl Asked {
    fn of(f: &mut Fields, message: ActivateEmergencyAccessRequest) -> Option<Self> {
        let ActivateEmergencyAccessRequest {
            organization: _,
            role,
            target,
            duration,
            justification,
            rehearsal,
            request_id: _,
            validate_only: _,
        } = message;
        let key = convert::rule_key(f, &role, target);
        let duration = match duration {
            None => Some(None),
            Some(span) => f.exact_span("duration", span).map(Some),
        };
        if justification.trim().is_empty() {
            f.refuse("justification", "is required");
        } else if justification.len() > MAX_DESCRIPTION_BYTES {
            f.refuse("justification", format_args!("is longer than {MAX_DESCRIPTION_BYTES} bytes"));
        }
        let (role, target) = key?;
        Some(Self { role, target, duration: duration?, justification, rehearsal })
    }

    fn plan(self, table: &Table, user: Option<OpaqueId>, id: Id, now: Millis) -> Planned {
        let Self { role, target, duration, justification, rehearsal } = self;
        let rule = table.emergency(&role, &target);
        // Whether there is such a rule is for those to know who are named by it.
        let named = user.and_then(|user| rule.filter(|rule| rule.users.contains(&user)).map(|rule| (rule, user)));
        let Some((rule, user)) = named else { return Err(Refusal::NotNamed) };
        if duration.is_some_and(|duration| duration > rule.max_duration_ms) {
            let mut fields = Fields::default();
            fields.refuse("duration", "is longer than the rule allows");
            return fields.finish(None);
        }
        if let Some(running) = table.activated(&user, &role, &target).filter(|a| a.is_open(now)) {
            return Err(Refusal::Activated(running.id.clone()));
        }
        let expires_at = now.saturating_add(duration.unwrap_or(rule.max_duration_ms));
        let (starts_at, ended_at) = (now, None);
        let row = Activation { id, role, target, user, justification, rehearsal, starts_at, expires_at, ended_at };
        if rehearsal {
            // All that would stand in the way of the real one.
            let real = Row::Activation(Activation { rehearsal: false, ..row.clone() });
            apply_at(table, vec![Change::Create(real)], now).map_err(Refusal::Change)?;
        }
        let mut changes = room(table, now);
        changes.push(Change::Create(Row::Activation(row)));
        Ok(changes)
    }
}

/// The deletion of the oldest activation that is over, where there are as many as there may be: the
/// activity log has them all.
fn room(table: &Table, now: Millis) -> Vec<Change> {
    if table.activations().count() < MAX_ACTIVATIONS {
        return Vec::new();
    }
    let oldest = table.activations().filter(|a| !a.is_open(now)).min_by_key(|a| a.starts_at);
    let key = oldest.map(|a| Key::Activation(a.id.clone()));
    key.map(|key| Change::Delete { keys: vec![key], etag: None }).into_iter().collect()
}

/// One that is over is left as it is.
fn ended(table: &Table, id: &Id, authority: &Authority, now: Millis) -> Planned {
    let activation = table.activation(id);
    let own = activation.is_some_and(|a| authority.is_user(&a.user));
    if !own {
        authority.ask(table, now, &[CONFIGURE])?;
    }
    let activation = found(activation, || Key::Activation(id.clone()))?.clone();
    if !activation.is_open(now) {
        return Ok(Vec::new());
    }
    Ok(vec![Change::Update { row: Row::Activation(activation.ended(now)), etag: None }])
}
