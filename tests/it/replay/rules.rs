//! The calls of a replay that say what holds in an organization: settings, constraints, emergency rules, element lists.

use doorward::core::model::Target;
use doorward::service::proto as pb;
use doorward::service::proto::element_list_service_server::ElementListService;
use doorward::service::proto::group_service_server::GroupService;
use doorward::service::proto::organization_service_server::OrganizationService;
use doorward::service::proto::role_service_server::RoleService;
use doorward::service::{Caller, OnBehalfOf};
use tonic::Response;

use super::calls::message_of;
use super::player::{Player, play};
use super::*;
use crate::activity::by;

const SUPERS: [&str; 2] = ["globex", "initech"];
/// What may be on a denylist; some are no elements here.
const DENIED: [&str; 4] = ["e0", "e1", "o0", "elsewhere"];

impl Player {
    fn constraint(&mut self) -> pb::SeparationConstraint {
        let id = format!("c{}", self.rng.u8(0..2));
        let enforcement = pb::SeparationEnforcement::Deny.into();
        let known = self.roles;
        let mut roles = self.some(&known[1..], 3);
        roles.push("r0".to_owned());
        if self.rng.u8(0..4) > 0 {
            roles.sort();
            roles.dedup();
        }
        pb::SeparationConstraint { id, roles, max: 1, enforcement, ..Default::default() }
    }

    fn rule(&mut self) -> pb::EmergencyRule {
        let (role, users) = (self.a_role(), vec![self.pick(&USERS)]);
        let target = self.target_of(&role);
        let max_duration = Some(prost_types::Duration { seconds: self.rng.i64(60..4_000), nanos: 0 });
        pb::EmergencyRule { role, target, users, max_duration, ..Default::default() }
    }

    /// A rule that there is: its role, its target and a user.
    fn known_rule(&mut self) -> Option<(String, Target, String)> {
        let rules = self.engine.with_table("acme", None, |table| {
            let rule = |rule: &doorward::core::model::EmergencyRule| {
                (rule.role.to_string(), rule.target.clone(), rule.users[0].to_string())
            };
            table.emergencies().map(rule).collect::<Vec<_>>()
        });
        self.rng.choice(rules.unwrap())
    }

    /// The id of a constraint, mostly of one that there is.
    fn known_constraint(&mut self) -> String {
        let known = self.engine.with_table("acme", None, |table| {
            let id = |row| if let Row::Separation(known) = row { Some(known.id.to_string()) } else { None };
            table.rows().filter_map(id).collect::<Vec<_>>()
        });
        let known = self.rng.choice(known.unwrap()).filter(|_| self.rng.u8(0..4) > 0);
        known.unwrap_or_else(|| format!("c{}", self.rng.u8(0..2)))
    }

    /// Rules of the organization.
    pub(super) async fn govern(&mut self) {
        match self.rng.u8(0..24) {
            0 => drop(
                play!(self, create_separation_constraint CreateSeparationConstraintRequest { separation_constraint: self.constraint() }),
            ),
            1 => {
                let constraint = self.known_constraint();
                play!(self, delete_separation_constraint DeleteSeparationConstraintRequest { separation_constraint: constraint });
            }
            2 | 3 => {
                play!(self, create_emergency_rule CreateEmergencyRuleRequest { emergency_rule: self.rule() });
            }
            4 => {
                let mut role = self.a_role();
                let mut target = self.target_of(&role);
                if let Some((known, at, _)) = self.known_rule().filter(|_| self.rng.bool()) {
                    (role, target) = (known, message_of(&at));
                }
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
                // Mostly of two: the last one stays.
                let elements = OBJECTS[2..].iter().map(ToString::to_string).collect::<Vec<_>>();
                play!(self, update_safelist UpdateSafelistRequest { elements: elements });
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
            13 => {
                let elements = self.some(&OBJECTS[2..], 2);
                play!(self, add_safelist_elements AddSafelistElementsRequest { elements: elements });
            }
            14 => {
                let max = self.rng.u32(1..3);
                let mut constraint = pb::SeparationConstraint { max, ..self.constraint() };
                constraint.id = self.known_constraint();
                constraint.roles.truncate(self.rng.usize(0..3));
                play!(self, update_separation_constraint UpdateSeparationConstraintRequest { separation_constraint: constraint });
            }
            15 => {
                let mut rule = self.rule();
                if let Some((role, target, _)) = self.known_rule() {
                    (rule.role, rule.target) = (role, message_of(&target));
                }
                play!(self, update_emergency_rule UpdateEmergencyRuleRequest { emergency_rule: rule });
            }
            16..22 => self.above().await,
            _ => {
                let settings =
                    pb::OrganizationSettings { auto_create_unknown_users: self.rng.bool(), ..Default::default() };
                let super_organization = if self.rng.bool() { self.pick(&SUPERS) } else { String::new() };
                let organization = pb::Organization {
                    id: "acme".into(),
                    settings: Some(settings),
                    super_organization,
                    ..Default::default()
                };
                let request = pb::UpdateOrganizationRequest { organization: Some(organization), ..Default::default() };
                play!(self, update_organization request);
            }
        }
    }

    /// Super-organizations and what they deny, in all of their organizations at once.
    async fn above(&mut self) {
        let mut id = self.pick(&SUPERS);
        let over = |id: &str, name: u8| {
            let (id, display_name) = (id.to_owned(), format!("Over {name}"));
            Some(pb::SuperOrganization { id, display_name, ..Default::default() })
        };
        match self.rng.u8(0..12) {
            0 | 1 => {
                let super_organization = over(&id, 0);
                play!(self, create_super_organization pb::CreateSuperOrganizationRequest { super_organization, ..Default::default() });
            }
            2 => {
                let super_organization = over(&id, self.rng.u8(0..4));
                play!(self, update_super_organization pb::UpdateSuperOrganizationRequest { super_organization, ..Default::default() });
            }
            3 => {
                let request = pb::DeleteSuperOrganizationRequest { super_organization: id, ..Default::default() };
                play!(self, delete_super_organization request);
            }
            4 | 5 => {
                let elements = self.some(&DENIED, 2);
                let request = pb::UpdateDenylistRequest { super_organization: id, elements, ..Default::default() };
                play!(self, update_denylist request);
            }
            6 | 7 => {
                let elements = self.some(&DENIED, 2);
                let request = pb::AddDenylistElementsRequest { super_organization: id, elements, ..Default::default() };
                play!(self, add_denylist_elements request);
            }
            8 | 9 => {
                let mut element = self.pick(&DENIED);
                // Mostly one that is there.
                let listed = self.engine.super_organizations();
                let listed =
                    listed.iter().flat_map(|one| one.denylist.iter().map(|id| (one.id.to_string(), id.to_string())));
                let listed: Vec<_> = listed.collect();
                if let Some((over, denied)) = self.rng.choice(listed).filter(|_| self.rng.u8(0..4) > 0) {
                    (id, element) = (over, denied);
                }
                let request =
                    pb::RemoveDenylistElementRequest { super_organization: id, element, ..Default::default() };
                play!(self, remove_denylist_element request);
            }
            _ => {
                let request = pb::ClearDenylistRequest { super_organization: id, ..Default::default() };
                play!(self, clear_denylist request);
            }
        }
    }

    /// By whom a rule names, if there is one.
    async fn activate(&mut self) {
        let Some((role, target, user)) = self.known_rule() else { return };
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
}
