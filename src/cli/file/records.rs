//! The sections that say which records people see: data-access policies, and relations to records.

use crate::core::id::{Id, OpaqueId};
use crate::core::model::{Effect, Key, Member, Policy, Related, Relation, Row};

use super::error::{At, Path};
use super::fields::{Fields, choose, sorted};
use super::organization::{Reader, Section};
use super::people::member_key;

pub(super) const EFFECTS: [(&str, Effect); 2] = [("allow", Effect::Allow), ("restrict", Effect::Restrict)];
const RELATIONS: [(&str, Relation); 5] = [
    ("watcher", Relation::Watcher),
    ("assignee", Relation::Assignee),
    ("mentioned", Relation::Mentioned),
    ("shared", Relation::Shared),
    ("approver", Relation::Approver),
];
/// Those that can share a role (rule 5.2).
const TRIGGERS: [(&str, Relation); 4] = [
    ("watcher", Relation::Watcher),
    ("assignee", Relation::Assignee),
    ("mentioned", Relation::Mentioned),
    ("shared", Relation::Shared),
];

impl Reader {
    pub(super) fn policies(&mut self, head: &mut Fields<'_, '_>) {
        let key = Path::ROOT.key(Section::DataAccess.key());
        for (item, node) in head.list(Section::DataAccess.key(), &mut self.out).into_iter().enumerate() {
            let path = key.index(item);
            let Some(mut fields) = Fields::open(node, path, &mut self.out) else { continue };
            let id = fields.required("id", &mut self.out, Id::parse);
            let object = self.object(&mut fields);
            let effect = fields.required_choice("effect", &mut self.out, &EFFECTS);
            // A policy about nobody must say so: it is what a deleted group leaves.
            if !fields.has("members") {
                fields.missing("members", &mut self.out);
            }
            let members = fields.parsed_list("members", &mut self.out, str::parse::<Member>);
            let listed = path.key("members");
            for (member, at, index) in &members {
                self.refer(member_key(member.clone()), *at, listed.index(*index));
            }
            let condition = fields.text("condition", &mut self.out);
            fields.close(&mut self.out);
            let Some((id, at)) = id else { continue };
            let at_condition = condition.as_ref().map(|(_, at)| *at);
            if !self.declare(Key::Policy(id.clone()), at, (Section::DataAccess, item), path.key("id")) {
                continue;
            }
            if let Some(at) = at_condition {
                self.conditions.insert(id.clone(), at);
            }
            if let (Some(object), Some(effect)) = (object, effect) {
                let condition = condition.map(|(text, _)| text.into_owned());
                self.keep(Row::Policy(Policy { id, object, effect, members: sorted(members), condition }));
            }
        }
    }

    pub(super) fn relation(&mut self, mut fields: Fields<'_, '_>, item: usize) {
        let (path, place): (Path<'_>, At) = (fields.path, fields.at);
        let relation = fields.required_choice("relation", &mut self.out, &RELATIONS);
        let member = self.member(&mut fields);
        let object = self.object(&mut fields);
        let record = fields.required("record", &mut self.out, OpaqueId::parse).map(|(id, _)| id);
        fields.close(&mut self.out);
        let (Some(relation), Some(member), Some(object), Some(record)) = (relation, member, object, record) else {
            return;
        };
        let key = Key::Related(relation, member.clone(), object.clone(), record.clone());
        if self.declare(key, place, (Section::Relations, item), path) {
            self.keep(Row::Related(Related { relation, member, object, record }));
        }
    }

    fn object(&mut self, fields: &mut Fields<'_, '_>) -> Option<Id> {
        let (object, at) = fields.required("object", &mut self.out, Id::parse)?;
        self.refer(Key::Object(object.clone()), at, fields.path.key("object"));
        Some(object)
    }

    /// The relations that give a role on a record; sorted.
    pub(super) fn auto_share(&mut self, fields: &mut Fields<'_, '_>) -> Vec<Relation> {
        sorted(fields.parsed_list("auto_share", &mut self.out, |text| choose(text, &TRIGGERS)))
    }
}
