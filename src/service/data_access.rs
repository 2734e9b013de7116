//! `DataAccessService`.

use tonic::{Request, Response, Status};

use crate::core::change::Change;
use crate::core::id::Id;
use crate::core::model::{Key, Member, Policy, Row};
use crate::core::table::Table;

use super::admin::{Admin, Reply, delete, found, update};
use super::convert::data_access as convert;
use super::paging::Page;
use super::proto::data_access_service_server::DataAccessService;
use super::proto::*;
use super::refusal::Refusal;
use super::report::revision_of;
use super::request::{etag, reading, writing};
use super::sample;

#[tonic::async_trait]
impl DataAccessService for Admin {
    async fn create_policy(&self, request: Request<CreatePolicyRequest>) -> Reply<CreatePolicyResponse> {
        let (call, policy) = writing(request, |f, m| {
            let CreatePolicyRequest { organization: _, policy, request_id: _, validate_only: _ } = m;
            f.message("policy", policy, convert::new_policy)
        })?;
        let id = policy.id.clone();
        let plan = move |_: &Table| Ok(vec![Change::Create(Row::Policy(policy))]);
        self.write(call, plan, move |o| CreatePolicyResponse {
            policy: convert::find_policy(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn get_policy(&self, request: Request<GetPolicyRequest>) -> Reply<GetPolicyResponse> {
        let (read, id) = reading(request, |f, m| {
            let GetPolicyRequest { organization: _, policy, min_revision: _ } = m;
            f.parse::<Id>("policy", &policy)
        })?;
        let table = self.table(&read).await?;
        let policy = found(convert::find_policy(&table, &id), || Key::Policy(id))?;
        Ok(Response::new(GetPolicyResponse { policy: Some(policy), revision: Some(revision_of(&table)) }))
    }

    async fn list_policies(&self, request: Request<ListPoliciesRequest>) -> Reply<ListPoliciesResponse> {
        let (read, (page, (object, effect, member))) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListPolicies", &mut m);
            let ListPoliciesRequest {
                organization: _,
                object,
                effect,
                member,
                min_revision: _,
                page_size: _,
                page_token: _,
            } = m;
            let (object, effect) = (f.parse_optional::<Id>("object", &object), convert::effect(f, effect));
            let member = f.parse_optional::<Member>("member", &member);
            Some((page?, (object?, effect?, member?)))
        })?;
        let table = self.table(&read).await?;
        let asked = |policy: &&Policy| {
            object.as_ref().is_none_or(|object| policy.object == *object)
                && effect.is_none_or(|effect| policy.effect == effect)
                && member.as_ref().is_none_or(|member| policy.members.contains(member))
        };
        let all: Vec<&Policy> = table.policies().map(|slot| &slot.row).filter(asked).collect();
        let (page, next_page_token) = page.of_sorted(table.history(), all, |p| p.id.to_string())?;
        let policies = page.into_iter().map(convert::to_policy).collect();
        Ok(Response::new(ListPoliciesResponse { policies, revision: Some(revision_of(&table)), next_page_token }))
    }

    async fn update_policy(&self, request: Request<UpdatePolicyRequest>) -> Reply<UpdatePolicyResponse> {
        let (call, ((id, patch), etag)) = writing(request, |f, m| {
            let UpdatePolicyRequest { organization: _, policy, update_mask, etag, request_id: _, validate_only: _ } = m;
            let patch = convert::policy_patch(f, policy, update_mask);
            patch.zip(self::etag(f, etag))
        })?;
        let key = id.clone();
        let plan = move |table: &Table| {
            let current = table.policy_slot(&key).map(|slot| slot.row.clone());
            update(table, Key::Policy(key), current, patch, Row::Policy, etag)
        };
        self.write(call, plan, move |o| UpdatePolicyResponse {
            policy: convert::find_policy(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn delete_policy(&self, request: Request<DeletePolicyRequest>) -> Reply<DeletePolicyResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let DeletePolicyRequest { organization: _, policy, etag, request_id: _, validate_only: _ } = m;
            let id = f.parse::<Id>("policy", &policy);
            id.zip(self::etag(f, etag))
        })?;
        let plan = move |_: &Table| delete(Key::Policy(id), etag);
        self.write(call, plan, |o| DeletePolicyResponse { revision: o.revision() }).await
    }

    async fn test_condition(&self, request: Request<TestConditionRequest>) -> Reply<TestConditionResponse> {
        let (read, message) = reading(request, |f, m| {
            sample::asked(f, &m);
            Some(m)
        })?;
        let table = self.table(&read).await?;
        let now = self.engine.now();
        // Evaluations may take long: decisions shall not wait for them.
        let work = move || sample::answer(&table, &message, now).map_err(Status::from);
        let answered = tokio::task::spawn_blocking(work).await;
        Ok(Response::new(answered.map_err(|_| Refusal::Internal("testing a condition was cut short"))??))
    }
}
