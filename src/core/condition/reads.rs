//! What a condition reads of a record, and how much there is to it.

use std::collections::BTreeMap;

use super::tree::{Attribute, Expr, Kind, Shape, Source, Type, Typed};

/// Adds the attributes of the record that a condition reads, by name, and what each is declared to hold.
/// Its id, owner and account are not among them; the relation lists are, as the caller sends them.
pub fn reads<'e>(expr: &'e Expr, into: &mut BTreeMap<&'e str, Shape>) {
    expr.each(&mut |part| match part.source() {
        Some(Source { attribute: Attribute::Field(_, name), shape }) => {
            into.insert(name, *shape);
        }
        Some(Source { attribute: Attribute::Record(part), shape: Shape::Many(element) }) => {
            into.insert(part.name(), Shape::Many(*element));
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
    condition.root().each(&mut |part| {
        nodes += 1;
        lists += usize::from(part.many().is_some());
        quantifiers += usize::from(matches!(part.kind, Kind::Quantified(..)));
        joins |= matches!(part.kind, Kind::Arithmetic(..)) && matches!(part.ty, Type::String | Type::Dynamic);
    });
    joins || [nodes, lists, quantifiers].iter().zip(FEW).any(|(found, few)| *found > few)
}
