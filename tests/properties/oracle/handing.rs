//! Rule 3.7 of the oracle: what everybody holds, in sets, so that two organizations can be compared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Membership, Oracle, Permission, Question, Source};

/// The file with all its users active, and in the groups that they wait for: a move of a status hands out nothing.
pub fn all_active(file: &Value) -> Value {
    let mut file = file.clone();
    let mut waiting: Vec<(Value, Value)> = Vec::new();
    for user in file["users"].as_array_mut().into_iter().flatten() {
        let member = json!(format!("user:{}", user["id"].as_str().unwrap()));
        let user = user.as_object_mut().unwrap();
        for group in user.remove("pending_groups").iter().flat_map(|groups| groups.as_array().unwrap()) {
            waiting.push((group.clone(), member.clone()));
        }
        user.remove("status");
        user.remove("status_before");
    }
    for (group, member) in waiting {
        let groups = file["groups"].as_array_mut().unwrap();
        let members = groups.iter_mut().find(|row| row["id"] == group).unwrap()["members"].as_array_mut().unwrap();
        if !members.contains(&member) {
            members.push(member);
        }
    }
    file
}

impl Oracle {
    /// Every principal, and what it counts as.
    pub fn everybody(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.principals.keys().map(|name| (name.clone(), self.members(name, Membership::Ordinary))).collect()
    }

    /// 3.2: what each source gives, wherever and whenever it does; for [`Oracle::given`].
    pub fn covered(&self) -> Vec<BTreeSet<String>> {
        let of = |source: &Source| {
            let at_level = self.catalogue.values().filter(|permission| source.target.level() <= permission.level);
            let covered =
                at_level.filter(|one| source.patterns.iter().any(|pattern| self.m3_2_covers(pattern, &one.name)));
            covered.map(|permission| permission.name.clone()).collect()
        };
        self.sources.iter().map(of).collect()
    }

    /// 4.5: every permission that these members are given at the place of a question, then; less what is `voided`.
    pub fn given<'c>(
        &self,
        covered: &'c [BTreeSet<String>],
        members: &BTreeSet<String>,
        place: &Question,
        voided: bool,
    ) -> BTreeSet<&'c str> {
        let Some(resource) = self.m4_1_resource(place) else { return BTreeSet::new() };
        let void = if voided { self.m4_5_void(members, &resource, place.now_ms) } else { BTreeSet::new() };
        let sources = self.sources.iter().zip(covered).filter(|(source, _)| {
            members.contains(&source.member)
                && source.role.as_ref().is_none_or(|role| !void.contains(role))
                && source.m3_4_in_effect(place.now_ms)
                && source.target.m3_3_reaches(&resource)
        });
        sources.flat_map(|(_, covered)| covered.iter().map(String::as_str)).collect()
    }

    /// 4.4: whether the object of a question is private, and not to this principal; whatever the lists say.
    pub fn is_of_another(&self, who: &str, place: &Question) -> bool {
        let object = place.object.as_ref().and_then(|id| self.objects.get(id));
        object.and_then(|object| object.private_to.as_deref()).is_some_and(|owner| {
            match owner.strip_prefix("account:") {
                Some(account) => self.principals.get(who).is_none_or(|principal| principal.account != account),
                None => who != owner,
            }
        })
    }

    /// 4.6: what is asked in place of permissions on what nobody owns, where it is another.
    pub fn twins(&self) -> BTreeMap<&str, &str> {
        let twin = |permission: &Permission| permission.when_not_owner.as_deref().and_then(|twin| self.named(twin));
        let twinned = self.catalogue.values().filter_map(|one| Some((one.name.as_str(), twin(one)?.name.as_str())));
        twinned.collect()
    }

    /// 4.7: the permissions that ask for less here than they did there.
    pub fn marks_less_than(&self, other: &Oracle) -> BTreeSet<String> {
        let less = self.catalogue.values().filter(|new| {
            other.catalogue.get(&new.name).is_some_and(|old| {
                old.requires_visibility && !new.requires_visibility || old.requires_approver && !new.requires_approver
            })
        });
        less.map(|permission| permission.name.clone()).collect()
    }
}
