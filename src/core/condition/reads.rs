//! What a condition reads of a record, and how much there is to it.

use std::collections::BTreeMap;

use super::tree::{Attribute, Collection, Expr, Kind, Many, RecordPart, Shape, Source, Type, Typed};

/// Adds the attributes of the record that a condition reads, by name, and what each is declared to hold.
/// Its id, owner and account are not among them; the relation lists are, as the caller sends them.
pub fn reads<'e>(expr: &'e Expr, into: &mut BTreeMap<&'e str, Shape>) {
    each(expr, &mut |part| match part {
        Part::Source(Source { attribute: Attribute::Field(_, name), shape }) => {
            into.insert(name, *shape);
        }
        Part::Source(Source { attribute: Attribute::Record(part), shape: Shape::Many(element) }) => {
            into.insert(RecordPart::name(*part), Shape::Many(*element));
        }
        _ => {}
    });
}

/// Nodes, lists, and `exists` and `all` of which an evaluation stays within [`super::MAX_STEPS`], whatever
/// texts and lists come with a request, if no texts are joined: one is of 8,192 bytes, 64 steps, at most, a
/// list of 1,000 elements.
const FEW: [usize; 3] = [100, 20, 0];

/// Whether an evaluation may end for want of steps.
#[must_use]
pub fn is_heavy(condition: &Typed) -> bool {
    let [mut nodes, mut lists, mut quantifiers] = [0; 3];
    let mut joins = false;
    each(condition.root(), &mut |part| match part {
        Part::Node(Expr { kind: Kind::Quantified(..), .. }) => quantifiers += 1,
        Part::Node(Expr { kind: Kind::Arithmetic(..), ty: Type::String | Type::Dynamic, .. }) => joins = true,
        Part::Node(_) => nodes += 1,
        Part::Many => lists += 1,
        Part::Source(_) => {}
    });
    joins || [nodes, lists, quantifiers].iter().zip(FEW).any(|(found, few)| *found > few)
}

enum Part<'e> {
    Node(&'e Expr),
    Many,
    Source(&'e Source),
}

fn each<'e>(expr: &'e Expr, found: &mut impl FnMut(Part<'e>)) {
    fn many<'e>(many: &'e Many, found: &mut impl FnMut(Part<'e>)) {
        found(Part::Many);
        if let Collection::Read(source) = &many.collection {
            found(Part::Source(source));
        }
    }
    found(Part::Node(expr));
    match &expr.kind {
        Kind::Constant(_) | Kind::Now | Kind::Variable(_) => {}
        Kind::Read(source) | Kind::Has(source) => found(Part::Source(source)),
        Kind::Count(list) => many(list, found),
        Kind::Not(inner) | Kind::Negate(inner) | Kind::Length(inner) => each(inner, found),
        Kind::All(parts) | Kind::Any(parts) => parts.iter().for_each(|part| each(part, found)),
        Kind::Compare(_, sides) | Kind::Text(_, sides) => sides.iter().for_each(|side| each(side, found)),
        Kind::Arithmetic(first, rest) => {
            each(first, found);
            rest.iter().for_each(|(_, operand)| each(operand, found));
        }
        Kind::In(element, list) => {
            each(element, found);
            many(list, found);
        }
        Kind::Quantified(_, list, _, body) => {
            many(list, found);
            each(body, found);
        }
    }
}
