//! `RoleService`. What is about separation of duties and emergency access is in `separation` and
//! `emergency`.

use std::collections::BTreeSet;

use tonic::{Request, Response};

use crate::core::change::Change;
use crate::core::id::{Coverage, Id, Pattern};
use crate::core::model::{Assignment, Grant, Key, Role, RoleKind, Row, Scope};
use crate::core::table::Table;

use super::admin::{Admin, Planned, Reply, delete, found, update};
use super::convert::role as convert;
use super::fields::Fields;
use super::held::{Given, Held, edges};
use super::paging::Page;
use super::proto::role_service_server::RoleService;
use super::proto::{self, *};
use super::refusal::Refusal;
use super::report::revision_of;
use super::request::{etag, reading, writing};

#[tonic::async_trait]
impl RoleService for Admin {
    async fn create_role(&self, request: Request<CreateRoleRequest>) -> Reply<CreateRoleResponse> {
        let (call, role) = writing(request, |f, m| {
            let CreateRoleRequest { organization: _, role, request_id: _, validate_only: _ } = m;
            f.message("role", role, convert::role)
        })?;
        let id = role.id.clone();
        let role = Role { kind: RoleKind::Custom, ..role };
        let plan = move |_: &Table| Ok(vec![Change::Create(Row::Role(role))]);
        self.write(call, plan, move |o| CreateRoleResponse {
            role: convert::find_role(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn get_role(&self, request: Request<GetRoleRequest>) -> Reply<GetRoleResponse> {
        let (read, id) = reading(request, |f, m| {
            let GetRoleRequest { organization: _, role, min_revision: _ } = m;
            f.parse::<Id>("role", &role)
        })?;
        let table = self.table(&read).await?;
        let role = found(convert::find_role(&table, &id), || Key::Role(id))?;
        Ok(Response::new(GetRoleResponse { role: Some(role), revision: Some(revision_of(&table)) }))
    }

    async fn list_roles(&self, request: Request<ListRolesRequest>) -> Reply<ListRolesResponse> {
        let (read, (page, (kind, scope, object))) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListRoles", &mut m);
            let ListRolesRequest { organization: _, kind, scope, object, min_revision: _, page_size: _, page_token: _ } =
                m;
            let (kind, scope) = (convert::role_kind(f, kind), convert::role_scope(f, scope));
            let object = f.parse_optional::<Id>("object", &object);
            Some((page?, (kind?, scope?, object?)))
        })?;
        let table = self.table(&read).await?;
        let mut all = table.list_roles(None, usize::MAX).items;
        all.retain(|r| {
            kind.is_none_or(|kind| r.kind == kind)
                && scope.is_none_or(|scope| r.scope == scope)
                && object
                    .as_ref()
                    .is_none_or(|o| r.scope == Scope::Object && r.object.as_ref().is_none_or(|tied| tied == o))
        });
        let (page, next_page_token) = page.of_sorted(table.history(), all, |r| r.id.to_string())?;
        let roles = page.iter().map(convert::to_role).collect();
        Ok(Response::new(ListRolesResponse { roles, revision: Some(revision_of(&table)), next_page_token }))
    }

    async fn update_role(&self, request: Request<UpdateRoleRequest>) -> Reply<UpdateRoleResponse> {
        let (call, ((id, patch), etag)) = writing(request, |f, m| {
            let UpdateRoleRequest { organization: _, role, update_mask, etag, request_id: _, validate_only: _ } = m;
            let patch = convert::role_patch(f, role, update_mask);
            patch.zip(self::etag(f, etag))
        })?;
        let key = id.clone();
        let plan = move |table: &Table| {
            let current = table.role_row(&key).cloned();
            update(table, Key::Role(key), current, patch, Row::Role, etag)
        };
        self.write(call, plan, move |o| UpdateRoleResponse {
            role: convert::find_role(o.after(), &id),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn delete_role(&self, request: Request<DeleteRoleRequest>) -> Reply<DeleteRoleResponse> {
        let (call, (id, etag)) = writing(request, |f, m| {
            let DeleteRoleRequest { organization: _, role, etag, request_id: _, validate_only: _ } = m;
            let id = f.parse::<Id>("role", &role);
            id.zip(self::etag(f, etag))
        })?;
        let key = Key::Role(id.clone());
        let deleted = key.clone();
        let plan = move |table: &Table| {
            // Deleting the row of a system role would silently reset its permissions.
            let role = found(table.role_row(&id), || key.clone())?;
            if role.kind == RoleKind::Custom { delete(key, etag) } else { Err(Refusal::BuiltIn(key)) }
        };
        self.write(call, plan, move |o| DeleteRoleResponse {
            revision: o.revision(),
            removed: Some(o.removed(&deleted)),
        })
        .await
    }

    async fn compare_roles(&self, request: Request<CompareRolesRequest>) -> Reply<CompareRolesResponse> {
        let (read, (first, second)) = reading(request, |f, m| {
            let CompareRolesRequest { organization: _, first_role, second_role, min_revision: _ } = m;
            let first = f.parse::<Id>("first_role", &first_role);
            first.zip(f.parse::<Id>("second_role", &second_role))
        })?;
        let table = self.table(&read).await?;
        let first = found(table.role_row(&first), || Key::Role(first))?;
        let second = found(table.role_row(&second), || Key::Role(second))?;
        Ok(Response::new(compared(&table, first, second)))
    }

    async fn list_role_holders(&self, request: Request<ListRoleHoldersRequest>) -> Reply<ListRoleHoldersResponse> {
        self.role_holders(request).await
    }

    async fn create_assignment(&self, request: Request<CreateAssignmentRequest>) -> Reply<CreateAssignmentResponse> {
        let (call, assignment) = writing(request, |f, m| {
            let CreateAssignmentRequest { organization: _, assignment, request_id: _, validate_only: _ } = m;
            f.message("assignment", assignment, convert::assignment)
        })?;
        let key = Row::Assignment(assignment.clone()).key();
        let plan = move |table: &Table| assigned(table, assignment);
        self.write(call, plan, move |o| CreateAssignmentResponse {
            assignment: convert::find_assignment(o.after(), &key),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn get_assignment(&self, request: Request<GetAssignmentRequest>) -> Reply<GetAssignmentResponse> {
        let (read, key) = reading(request, |f, m| {
            let GetAssignmentRequest { organization: _, role, member, target, min_revision: _ } = m;
            convert::assignment_key(f, &role, &member, target)
        })?;
        let table = self.table(&read).await?;
        let assignment = found(convert::find_assignment(&table, &key), || key)?;
        Ok(Response::new(GetAssignmentResponse { assignment: Some(assignment), revision: Some(revision_of(&table)) }))
    }

    async fn list_assignments(&self, request: Request<ListAssignmentsRequest>) -> Reply<ListAssignmentsResponse> {
        let (read, (page, (role, held))) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListAssignments", &mut m);
            let ListAssignmentsRequest {
                organization: _,
                role,
                member,
                target,
                in_effect_only,
                min_revision: _,
                page_size: _,
                page_token: _,
            } = m;
            let (role, held) = (f.parse_optional::<Id>("role", &role), Held::new(f, &member, target, in_effect_only));
            page.zip(role.zip(held))
        })?;
        let table = self.table(&read).await?;
        let now = self.engine.now();
        let by_rule = held.by_rule(&table, role.as_ref());
        let all = edges(&table, move |row| match row {
            Row::Assignment(a) => {
                let asked = role.as_ref().is_none_or(|role| a.role == *role);
                (asked && held.admits(&a.member, &a.target, a.period, now)).then_some(Given::Assigned(a))
            }
            _ => None,
        })
        .await?;
        let all = all.into_iter().chain(by_rule).collect();
        let (page, next_page_token) = page.of_sorted(table.history(), all, Given::name)?;
        let assignments = page.iter().map(Given::message).collect();
        Ok(Response::new(ListAssignmentsResponse { assignments, revision: Some(revision_of(&table)), next_page_token }))
    }

    async fn update_assignment(&self, request: Request<UpdateAssignmentRequest>) -> Reply<UpdateAssignmentResponse> {
        let (call, ((key, patch), etag)) = writing(request, |f, m| {
            let UpdateAssignmentRequest {
                organization: _,
                assignment,
                update_mask,
                etag,
                request_id: _,
                validate_only: _,
            } = m;
            let patch = convert::assignment_patch(f, assignment, update_mask);
            patch.zip(self::etag(f, etag))
        })?;
        let asked = key.clone();
        let plan = move |table: &Table| {
            let current = match table.row(&asked) {
                Some(Row::Assignment(assignment)) => Some(assignment),
                _ => None,
            };
            update(table, asked, current, patch, Row::Assignment, etag)
        };
        self.write(call, plan, move |o| UpdateAssignmentResponse {
            assignment: convert::find_assignment(o.after(), &key),
            revision: o.revision(),
            changes: o.changes(),
        })
        .await
    }

    async fn delete_assignment(&self, request: Request<DeleteAssignmentRequest>) -> Reply<DeleteAssignmentResponse> {
        let (call, (key, etag)) = writing(request, |f, m| {
            let DeleteAssignmentRequest {
                organization: _,
                role,
                member,
                target,
                etag,
                request_id: _,
                validate_only: _,
            } = m;
            let key = convert::assignment_key(f, &role, &member, target);
            key.zip(self::etag(f, etag))
        })?;
        let plan = move |_: &Table| delete(key, etag);
        self.write(call, plan, |o| DeleteAssignmentResponse { revision: o.revision(), changes: o.changes() }).await
    }

    async fn create_grants(&self, request: Request<CreateGrantsRequest>) -> Reply<CreateGrantsResponse> {
        let (call, grants) = writing(request, |f, m| {
            let CreateGrantsRequest { organization: _, grant, request_id: _, validate_only: _ } = m;
            f.message("grant", grant, convert::grants)
        })?;
        let keys = keys(&grants);
        let plan = move |table: &Table| granted(table, grants);
        self.write(call, plan, move |o| CreateGrantsResponse {
            grants: listed(o.after(), &keys),
            revision: o.revision(),
        })
        .await
    }

    async fn update_grants(&self, request: Request<UpdateGrantsRequest>) -> Reply<UpdateGrantsResponse> {
        let (call, (grants, etag)) = writing(request, |f, m| {
            let UpdateGrantsRequest { organization: _, grant, etag, request_id: _, validate_only: _ } = m;
            let grants = f.message("grant", grant, convert::grants);
            let count = grants.as_ref().map_or(0, Vec::len);
            grants.zip(etag_of_one(f, etag, count))
        })?;
        let keys = keys(&grants);
        let plan = move |_: &Table| {
            let change = |grant| Change::Update { row: Row::Grant(grant), etag: etag.clone() };
            Ok(grants.into_iter().map(change).collect())
        };
        self.write(call, plan, move |o| UpdateGrantsResponse {
            grants: listed(o.after(), &keys),
            revision: o.revision(),
        })
        .await
    }

    async fn list_grants(&self, request: Request<ListGrantsRequest>) -> Reply<ListGrantsResponse> {
        let (read, (page, (pattern, held))) = reading(request, |f, mut m| {
            let page = Page::take(f, "ListGrants", &mut m);
            let ListGrantsRequest {
                organization: _,
                permission,
                member,
                target,
                in_effect_only,
                min_revision: _,
                page_size: _,
                page_token: _,
            } = m;
            let pattern = f.parse_optional::<Pattern>("permission", &permission);
            page.zip(pattern.zip(Held::new(f, &member, target, in_effect_only)))
        })?;
        let table = self.table(&read).await?;
        let now = self.engine.now();
        let all = edges(&table, move |row| match row {
            Row::Grant(g) => {
                let asked = pattern.as_ref().is_none_or(|pattern| g.permission == *pattern);
                (asked && held.admits(&g.member, &g.target, g.period, now)).then_some(g)
            }
            _ => None,
        })
        .await?;
        let name = |g: &Grant| format!("{}\0{}\0{}", g.permission, g.member, g.target);
        let (page, next_page_token) = page.of_sorted(table.history(), all, name)?;
        let grants = page.iter().map(convert::to_grant).collect();
        Ok(Response::new(ListGrantsResponse { grants, revision: Some(revision_of(&table)), next_page_token }))
    }

    async fn delete_grants(&self, request: Request<DeleteGrantsRequest>) -> Reply<DeleteGrantsResponse> {
        let (call, (keys, etag)) = writing(request, |f, m| {
            let DeleteGrantsRequest {
                organization: _,
                permissions,
                member,
                target,
                etag,
                request_id: _,
                validate_only: _,
            } = m;
            let keys = convert::grant_keys(f, &permissions, &member, target);
            keys.zip(etag_of_one(f, etag, permissions.len()))
        })?;
        let plan = move |_: &Table| Ok(vec![Change::Delete { keys, etag }]);
        self.write(call, plan, |o| DeleteGrantsResponse { revision: o.revision() }).await
    }

    async fn create_separation_constraint(
        &self,
        request: Request<CreateSeparationConstraintRequest>,
    ) -> Reply<CreateSeparationConstraintResponse> {
        self.create_separation(request).await
    }

    async fn get_separation_constraint(
        &self,
        request: Request<GetSeparationConstraintRequest>,
    ) -> Reply<GetSeparationConstraintResponse> {
        self.find_separation(request).await
    }

    async fn list_separation_constraints(
        &self,
        request: Request<ListSeparationConstraintsRequest>,
    ) -> Reply<ListSeparationConstraintsResponse> {
        self.list_separations(request).await
    }

    async fn update_separation_constraint(
        &self,
        request: Request<UpdateSeparationConstraintRequest>,
    ) -> Reply<UpdateSeparationConstraintResponse> {
        self.update_separation(request).await
    }

    async fn delete_separation_constraint(
        &self,
        request: Request<DeleteSeparationConstraintRequest>,
    ) -> Reply<DeleteSeparationConstraintResponse> {
        self.delete_separation(request).await
    }

    async fn list_separation_violations(
        &self,
        request: Request<ListSeparationViolationsRequest>,
    ) -> Reply<ListSeparationViolationsResponse> {
        self.list_violations(request).await
    }

    async fn create_emergency_rule(
        &self,
        request: Request<CreateEmergencyRuleRequest>,
    ) -> Reply<CreateEmergencyRuleResponse> {
        self.create_emergency(request).await
    }

    async fn get_emergency_rule(&self, request: Request<GetEmergencyRuleRequest>) -> Reply<GetEmergencyRuleResponse> {
        self.find_emergency(request).await
    }

    async fn list_emergency_rules(
        &self,
        request: Request<ListEmergencyRulesRequest>,
    ) -> Reply<ListEmergencyRulesResponse> {
        self.list_emergencies(request).await
    }

    async fn update_emergency_rule(
        &self,
        request: Request<UpdateEmergencyRuleRequest>,
    ) -> Reply<UpdateEmergencyRuleResponse> {
        self.update_emergency(request).await
    }

    async fn delete_emergency_rule(
        &self,
        request: Request<DeleteEmergencyRuleRequest>,
    ) -> Reply<DeleteEmergencyRuleResponse> {
        self.delete_emergency(request).await
    }

    async fn activate_emergency_access(
        &self,
        request: Request<ActivateEmergencyAccessRequest>,
    ) -> Reply<ActivateEmergencyAccessResponse> {
        self.activate(request).await
    }

    async fn end_emergency_access(
        &self,
        request: Request<EndEmergencyAccessRequest>,
    ) -> Reply<EndEmergencyAccessResponse> {
        self.end_activation(request).await
    }

    async fn list_emergency_activations(
        &self,
        request: Request<ListEmergencyActivationsRequest>,
    ) -> Reply<ListEmergencyActivationsResponse> {
        self.list_activations(request).await
    }
}

/// An etag is of one row, so it can be compared only where there is one.
fn etag_of_one(f: &mut Fields, etag: String, count: usize) -> Option<Option<String>> {
    if !etag.is_empty() && count > 1 {
        f.refuse("etag", "must be empty with several permissions");
        return None;
    }
    self::etag(f, etag)
}

/// One that exists with the same period is left as it is.
fn assigned(table: &Table, assignment: Assignment) -> Planned {
    let row = Row::Assignment(assignment);
    let (Row::Assignment(new), Some(Row::Assignment(old))) = (&row, table.row(&row.key())) else {
        return Ok(vec![Change::Create(row)]);
    };
    if old.period == new.period { Ok(Vec::new()) } else { Err(Refusal::OtherPeriod(row.key())) }
}

/// As [`assigned`], for grants.
fn granted(table: &Table, grants: Vec<Grant>) -> Planned {
    let mut changes = Vec::with_capacity(grants.len());
    for grant in grants {
        let period = grant.period;
        let row = Row::Grant(grant);
        match table.row(&row.key()) {
            Some(Row::Grant(old)) if old.period == period => {}
            Some(_) => return Err(Refusal::OtherPeriod(row.key())),
            None => changes.push(Change::Create(row)),
        }
    }
    Ok(changes)
}

fn keys(grants: &[Grant]) -> Vec<Key> {
    grants.iter().map(|g| Key::Grant(g.permission.clone(), g.member.clone(), g.target.clone())).collect()
}

fn listed(table: &Table, keys: &[Key]) -> Vec<proto::Grant> {
    keys.iter().filter_map(|key| convert::find_grant(table, key)).collect()
}

fn compared(table: &Table, first: &Role, second: &Role) -> CompareRolesResponse {
    let ((first, first_wild), (second, second_wild)) = (given(table, first), given(table, second));
    let names = |names: Vec<&String>| names.into_iter().cloned().collect();
    CompareRolesResponse {
        only_first: names(first.difference(&second).collect()),
        only_second: names(second.difference(&first).collect()),
        both: names(first.intersection(&second).collect()),
        patterns_only_first: names(first_wild.difference(&second_wild).collect()),
        patterns_only_second: names(second_wild.difference(&first_wild).collect()),
        revision: Some(revision_of(table)),
    }
}

/// The permissions that a role gives by name, and its wildcards.
fn given(table: &Table, role: &Role) -> (BTreeSet<String>, BTreeSet<String>) {
    let wild = role.permissions.iter().filter(|p| !matches!(p.coverage(), Coverage::One(_)));
    let wild: BTreeSet<String> = wild.map(Pattern::to_string).collect();
    let one_by_one = role.permissions.iter().filter_map(|p| match p.coverage() {
        Coverage::One(name) => table.canonical(name).map(ToString::to_string),
        Coverage::All | Coverage::Prefix(_) => None,
    });
    let covered = |name: &str| {
        role.permissions.iter().any(|p| match p.coverage() {
            Coverage::All => true,
            Coverage::Prefix(prefix) => name.starts_with(prefix),
            Coverage::One(_) => false,
        })
    };
    let mut names: BTreeSet<String> = one_by_one.collect();
    if !wild.is_empty() {
        let all = table.catalogue().map(|(_, slot)| slot.row.name.as_str());
        names.extend(all.filter(|name| covered(name)).map(ToOwned::to_owned));
    }
    (names, wild)
}
