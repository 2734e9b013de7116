//! A trace in words: which parts of a condition settled it, and the values that they saw.

use std::collections::HashMap;

use crate::core::condition::{Cause, Collection, Expr, Kind, Many, Outcome, Seen, Span, Trace, Typed};

/// Parts that are told of; of more it is said that there are more.
const MAX_PARTS: usize = 8;
/// Bytes that are shown of a part's text.
const MAX_PART_BYTES: usize = 200;

type Steps<'t> = HashMap<Span, &'t Result<Seen, Cause>>;

/// Why a condition came out as it did, such as "`record.region == "eu"` is false: `record.region` is
/// "us"".
pub(super) fn detail(condition: &Typed, trace: &Trace) -> String {
    let mut steps = Steps::new();
    for step in &trace.steps {
        // Of what `exists` and `all` ask many times, the first answer; it is not looked into below.
        steps.entry(step.span).or_insert(&step.seen);
    }
    let mut parts: Vec<&Expr> = Vec::new();
    settling(condition.root(), &steps, &mut parts);
    let mut told: Vec<String> = parts.iter().take(MAX_PARTS).map(|part| tell(condition, part, &steps)).collect();
    if told.is_empty() {
        // A trace that was cut does not have the last parts.
        told.push(match trace.outcome {
            Outcome::Error(cause) => condition.describe(cause),
            outcome => format!("the condition is {}", outcome == Outcome::True),
        });
    }
    if parts.len() > MAX_PARTS {
        told.push(format!("and {} parts more", parts.len() - MAX_PARTS));
    }
    told.join("; ")
}

/// The smallest parts that made `expr` what it was: of a false `&&` the part that is false, of a
/// true one all of them.
fn settling<'e>(expr: &'e Expr, steps: &Steps<'_>, parts: &mut Vec<&'e Expr>) {
    let truth = |expr: &Expr| match steps.get(&expr.span) {
        Some(Ok(Seen::Bool(truth))) => Some(Ok(*truth)),
        Some(Err(_)) => Some(Err(())),
        _ => None,
    };
    match &expr.kind {
        Kind::Not(inner) => settling(inner, steps, parts),
        Kind::All(all) | Kind::Any(all) => {
            let Some(whole) = truth(expr) else { return };
            let decisive = whole == Ok(matches!(expr.kind, Kind::Any(_)));
            let settle = all.iter().filter(|part| truth(part) == Some(whole));
            settle.take(if decisive { 1 } else { usize::MAX }).for_each(|part| settling(part, steps, parts));
        }
        _ if steps.contains_key(&expr.span) => parts.push(expr),
        _ => {}
    }
}

fn tell(condition: &Typed, part: &Expr, steps: &Steps<'_>) -> String {
    let text = excerpt(condition, part.span);
    let mut values: Vec<String> = Vec::new();
    reads(part, &mut |span| {
        if let (Some(Ok(seen)), true) = (steps.get(&span), span != part.span) {
            let value = format!("`{}` is {seen}", excerpt(condition, span));
            if !values.contains(&value) {
                values.push(value);
            }
        }
    });
    let came_out = match steps.get(&part.span) {
        Some(Ok(seen)) => format!("`{text}` is {seen}"),
        Some(Err(cause)) if cause.span == part.span => condition.describe(*cause),
        Some(Err(cause)) => {
            values.insert(0, condition.describe(*cause));
            format!("`{text}` cannot be answered")
        }
        None => format!("`{text}` was not asked"),
    };
    if values.is_empty() { came_out } else { format!("{came_out}: {}", values.join(", ")) }
}

/// The places at which a part reads something.
fn reads(expr: &Expr, visit: &mut impl FnMut(Span)) {
    let mut many = |many: &Many| {
        if let Collection::Read(_) | Collection::Groups = many.collection {
            visit(many.span);
        }
    };
    match &expr.kind {
        Kind::Read(_) | Kind::Now => visit(expr.span),
        Kind::Constant(_) | Kind::Variable(_) | Kind::Has(_) => {}
        Kind::Not(inner) | Kind::Negate(inner) | Kind::Length(inner) => reads(inner, visit),
        Kind::All(parts) | Kind::Any(parts) => parts.iter().for_each(|part| reads(part, visit)),
        Kind::Compare(_, sides) | Kind::Text(_, sides) => sides.iter().for_each(|side| reads(side, visit)),
        Kind::Arithmetic(first, rest) => {
            reads(first, visit);
            rest.iter().for_each(|(_, operand)| reads(operand, visit));
        }
        Kind::In(element, list) => {
            reads(element, visit);
            if let Collection::Read(_) = list.collection {
                visit(list.span);
            }
        }
        // What it asks of each element differs from element to element.
        Kind::Count(list) | Kind::Quantified(_, list, ..) => many(list),
    }
}

fn excerpt(condition: &Typed, span: Span) -> String {
    let text = condition.excerpt(span);
    let short = text.get(..text.floor_char_boundary(MAX_PART_BYTES)).unwrap_or("");
    if short.len() < text.len() { format!("{short}…") } else { text.to_owned() }
}
