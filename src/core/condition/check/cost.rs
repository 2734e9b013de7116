//! What a condition costs at worst.
//!
//! The same count that an evaluation keeps: a step a node, and [`scan`] for what is looked through,
//! with every list of unknown length taken as [`ASSUMED_ELEMENTS`] long. Hence an evaluation on lists
//! no longer than that, and texts too short to be charged, never takes more steps than were
//! estimated; its own limit is twice as high, and met only by what is far larger.

use crate::core::condition::eval::{reports_steps, scan};
use crate::core::condition::tree::{Collection, Expr, Kind, Many, Quantifier, Shape, Source, Span};
use crate::core::condition::{ASSUMED_ELEMENTS, MAX_COST, Refusal};

/// The steps, or a refusal that points at the outermost `exists` or `all` that alone is too much.
pub(super) fn cost(root: &Expr) -> Result<u64, Refusal> {
    let mut costliest = None;
    let total = of(root, &mut costliest);
    if total <= MAX_COST {
        return Ok(total);
    }
    let (span, name) = costliest.map_or((root.span, "this"), |(span, quantifier)| (span, quantifier.name()));
    let limit = format!("more than {MAX_COST}");
    Err(Refusal::new(
        span,
        format!("`{name}` is too costly: {total} steps on lists of {ASSUMED_ELEMENTS} elements, {limit}"),
    ))
}

fn of(expr: &Expr, costliest: &mut Option<(Span, Quantifier)>) -> u64 {
    let mut each = |parts: &[Expr]| parts.iter().map(|part| of(part, costliest)).sum::<u64>();
    let inner = match &expr.kind {
        Kind::Has(Source { shape: Shape::Many(_), .. }) => scan(ASSUMED_ELEMENTS, 0),
        Kind::Constant(_) | Kind::Now | Kind::Read(_) | Kind::Variable(_) | Kind::Has(_) => 0,
        Kind::Not(inner) | Kind::Negate(inner) | Kind::Length(inner) => of(inner, costliest),
        Kind::All(parts) | Kind::Any(parts) => each(parts),
        Kind::Compare(_, sides) | Kind::Text(_, sides) => each(&**sides),
        Kind::Arithmetic(first, rest) => {
            rest.iter().fold(of(first, costliest), |sum, (_, operand)| sum + of(operand, costliest))
        }
        Kind::In(element, many) => of(element, costliest) + looked_through(many),
        Kind::Count(many) => scan(elements(many), 0),
        Kind::Quantified(quantifier, many, _, body) => {
            let count = elements(many);
            let cost = scan(count, 0).saturating_add(count.saturating_mul(of(body, costliest)));
            if cost > MAX_COST {
                *costliest = Some((expr.span, *quantifier));
            }
            cost
        }
    };
    inner.saturating_add(1)
}

fn looked_through(many: &Many) -> u64 {
    match &many.collection {
        Collection::Groups => 1,
        Collection::Reports(reports) => reports_steps(*reports),
        Collection::Constants(_) | Collection::Read(_) => scan(elements(many), 0),
    }
}

fn elements(many: &Many) -> u64 {
    match &many.collection {
        Collection::Constants(constants) => constants.len() as u64,
        Collection::Read(_) | Collection::Groups | Collection::Reports(_) => ASSUMED_ELEMENTS,
    }
}
