//! Relations between records and members.

use crate::core::model::{Related, Relation};

use super::super::fields::Fields;
use super::super::proto;

/// Which relation; none if it is not given.
pub fn relation(f: &mut Fields, name: &str, relation: i32) -> Option<Option<Relation>> {
    Some(match f.choice(name, relation)? {
        None | Some(proto::Relation::Unspecified) => None,
        Some(proto::Relation::Watcher) => Some(Relation::Watcher),
        Some(proto::Relation::Assignee) => Some(Relation::Assignee),
        Some(proto::Relation::Mentioned) => Some(Relation::Mentioned),
        Some(proto::Relation::Shared) => Some(Relation::Shared),
        Some(proto::Relation::Approver) => Some(Relation::Approver),
    })
}

/// Which relation; it must be given.
pub fn required_relation(f: &mut Fields, name: &str, relation: i32) -> Option<Relation> {
    let relation = self::relation(f, name, relation)?;
    if relation.is_none() {
        f.refuse(name, "is required");
    }
    relation
}

/// A relation as a message.
pub fn to_relation(relation: Relation) -> proto::Relation {
    match relation {
        Relation::Watcher => proto::Relation::Watcher,
        Relation::Assignee => proto::Relation::Assignee,
        Relation::Mentioned => proto::Relation::Mentioned,
        Relation::Shared => proto::Relation::Shared,
        Relation::Approver => proto::Relation::Approver,
    }
}

/// Who has which relation to what.
pub fn related(f: &mut Fields, message: proto::RecordRelation) -> Option<Related> {
    let proto::RecordRelation { relation, member, object, record } = message;
    let relation = required_relation(f, "relation", relation);
    let (member, object, record) = (f.parse("member", &member), f.parse("object", &object), f.parse("record", &record));
    Some(Related { relation: relation?, member: member?, object: object?, record: record? })
}

/// A report: the relation, and whether it holds from now on.
pub fn report(f: &mut Fields, message: proto::RelationReport) -> Option<(Related, bool)> {
    let proto::RelationReport { relation, event } = message;
    let related = f.message("relation", relation, related);
    let holds = match f.required_choice("event", event)? {
        proto::RelationEvent::Added => true,
        proto::RelationEvent::Removed => false,
        proto::RelationEvent::Unspecified => return None,
    };
    Some((related?, holds))
}

/// Who has which relation to what, as a message.
pub fn to_related(related: &Related) -> proto::RecordRelation {
    let Related { relation, member, object, record } = related;
    proto::RecordRelation {
        relation: to_relation(*relation).into(),
        member: member.to_string(),
        object: object.to_string(),
        record: record.to_string(),
    }
}
