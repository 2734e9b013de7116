//! What of a condition does not depend on the record, settled before the first record is looked at.
//!
//! [`fold`] makes of a condition and one principal's facts a tree that asks about the record only. What
//! is known is evaluated by the evaluation itself, so that folding cannot disagree with it; what is left
//! means the same, in rule 6.3's three values: `evaluate_tree(fold(c)) == evaluate(c)` as true, false or
//! error, for every record. The cause of an error may be another one, and a folded tree takes fewer steps,
//! so that one whose lists are far beyond [`ASSUMED_ELEMENTS`](super::ASSUMED_ELEMENTS) may have an answer
//! where the condition ended for want of steps.
//!
//! With `user.attributes.team` being `"risk"`, and the groups `a` and `b`,
//! `record.region == user.attributes.team && user.kind == "internal" || record.owner in user.groups`
//! becomes `record.region == "risk" || record.owner in ["a", "b"]`.
//!
//! What does not depend on the record and has no value (`user.manager` of who has none) stays as it is: it
//! ends in the same error again. Above it, what is an error because of it becomes it, so that an error
//! stands nowhere but in `&&`, `||` and what `exists` and `all` ask. [`asks_record`] tells such parts: of a
//! folded tree, what asks for nothing of the record and is no constant is an error. Two things ask for more
//! than the record yet: reports, with [`Lists::Keep`], and a list of too many elements to be spelled out of
//! which some have no value.
//!
//! The alternative that lost: an evaluation of its own in three values. It would be a second set of rules.

use super::eval::{elements_of, truth_of, value_of};
use super::facts::Facts;
use super::tree::{
    Attribute, Collection, Constant, Expr, Kind, Many, Operator, Quantifier, Reports, Shape, Source, Span, TextTest,
    Type, Typed,
};

/// Nodes, and elements of lists, that `exists` and `all` over what is known may become, all together. What
/// would be more stays a question over a list.
pub const MAX_UNROLLED: usize = 10_000;

/// What becomes of reports (rule 6.1).
#[derive(Clone, Copy)]
pub enum Lists<'l> {
    /// They stay, and so does `in user.groups`: who has the facts at hand walks up the managers of each
    /// owner, and searches the groups.
    Keep,
    /// They become the ids that this lists. Of which there are too many, it lists none, and they stay.
    Spell(&'l dyn Fn(Reports) -> Option<Vec<Box<str>>>),
}

/// A condition as one principal's question about a record.
pub fn fold<F: Facts + ?Sized>(condition: &Typed, facts: &F, lists: Lists<'_>) -> Expr {
    Folding { facts, lists, left: MAX_UNROLLED }.test(condition.root(), 0)
}

/// Whether the value of a part depends on the record.
#[must_use]
pub fn asks_record(expr: &Expr) -> bool {
    is_open(expr, 0)
}

/// Whether a part within `depth` quantifiers depends on nothing that is not known.
#[must_use]
pub fn is_settled(expr: &Expr, depth: u8) -> bool {
    !is_open(expr, depth)
}

/// Whether a part cannot be evaluated yet: it depends on the record, or on a variable of one of the
/// `depth` quantifiers around it.
fn is_open(expr: &Expr, depth: u8) -> bool {
    match &expr.kind {
        Kind::Constant(_) | Kind::Now => false,
        Kind::Read(source) | Kind::Has(source) => is_of_record(source),
        Kind::Variable(variable) => variable.depth < depth,
        Kind::Count(many) => is_many_of_record(many),
        Kind::In(element, many) => is_many_of_record(many) || is_open(element, depth),
        Kind::Quantified(_, many, _, body) => is_many_of_record(many) || is_open(body, depth),
        Kind::Not(inner) | Kind::Negate(inner) | Kind::Length(inner) => is_open(inner, depth),
        Kind::All(parts) | Kind::Any(parts) => parts.iter().any(|part| is_open(part, depth)),
        Kind::Compare(_, sides) | Kind::Text(_, sides) => sides.iter().any(|side| is_open(side, depth)),
        Kind::Arithmetic(first, rest) => {
            is_open(first, depth) || rest.iter().any(|(_, operand)| is_open(operand, depth))
        }
    }
}

fn is_of_record(source: &Source) -> bool {
    matches!(source.attribute, Attribute::Field(..) | Attribute::Record(_))
}

fn is_many_of_record(many: &Many) -> bool {
    matches!(&many.collection, Collection::Read(source) if is_of_record(source))
}

struct Folding<'f, F: ?Sized> {
    facts: &'f F,
    lists: Lists<'f>,
    /// Of [`MAX_UNROLLED`].
    left: usize,
}

impl<F: Facts + ?Sized> Folding<'_, F> {
    /// What stands where a bool is asked for, within `depth` quantifiers.
    fn test(&mut self, expr: &Expr, depth: u8) -> Expr {
        let expr = self.opened(expr, depth);
        if is_open(&expr, depth) {
            return expr;
        }
        // What is no bool stays, too: it is an error here, and would be a value elsewhere.
        let truth = truth_of(&expr, self.facts);
        truth.map_or(expr.clone(), |truth| constant(Constant::Bool(truth), expr.span))
    }

    /// What stands where a value is asked for.
    fn value(&mut self, expr: &Expr, depth: u8) -> Expr {
        let expr = self.opened(expr, depth);
        if is_open(&expr, depth) {
            return expr;
        }
        let value = value_of(&expr, self.facts);
        value.map_or(expr.clone(), |value| constant(value, expr.span))
    }

    /// The same, its parts settled: perhaps the whole is by that.
    fn opened(&mut self, expr: &Expr, depth: u8) -> Expr {
        if is_open(expr, depth) { self.open(expr, depth) } else { expr.clone() }
    }

    fn open(&mut self, expr: &Expr, depth: u8) -> Expr {
        let like = |kind| Expr { kind, ty: expr.ty, span: expr.span };
        match &expr.kind {
            Kind::Not(inner) => like(Kind::Not(Box::new(self.test(inner, depth)))),
            Kind::All(parts) => self.junction(expr, false, parts.iter(), depth),
            Kind::Any(parts) => self.junction(expr, true, parts.iter(), depth),
            Kind::Negate(inner) => like(Kind::Negate(Box::new(self.value(inner, depth)))),
            Kind::Length(inner) => like(Kind::Length(Box::new(self.value(inner, depth)))),
            Kind::Compare(comparison, sides) => match self.both(sides, depth) {
                Ok(sides) => like(Kind::Compare(*comparison, sides)),
                Err(error) => error,
            },
            Kind::Text(test, sides) => match self.both(sides, depth) {
                Ok(sides) => like(Kind::Text(*test, sides)),
                Err(error) => error,
            },
            Kind::Arithmetic(first, rest) => self.arithmetic(expr, first, rest, depth),
            Kind::In(element, many) => self.membership(expr, element, many, depth),
            Kind::Quantified(quantifier, many, variable, body) => {
                let body = self.test(body, variable.depth + 1);
                let ask = |many, body| like(Kind::Quantified(*quantifier, many, variable.clone(), Box::new(body)));
                if is_many_of_record(many) {
                    return ask(many.clone(), body);
                }
                let Ok(elements) = elements_of(many, self.facts) else {
                    // The list is the error, whatever is asked of it.
                    return ask(many.clone(), constant(Constant::Bool(true), body.span));
                };
                let cost = elements.len().saturating_mul(weight(&body));
                if let Some(left) = self.left.checked_sub(cost) {
                    self.left = left;
                    return self.unrolled(expr, *quantifier, (many, variable.depth, &body), elements);
                }
                match elements.into_iter().collect::<Result<Box<[_]>, _>>() {
                    Ok(elements) => ask(Many { collection: Collection::Constants(elements), ..*many }, body),
                    Err(_) => ask(many.clone(), body),
                }
            }
            Kind::Constant(_) | Kind::Now | Kind::Read(_) | Kind::Variable(_) | Kind::Has(_) | Kind::Count(_) => {
                expr.clone()
            }
        }
    }

    /// `&&` and `||`: what decides alone, or the parts that could, and at most one error.
    fn junction<'e>(&mut self, expr: &Expr, decisive: bool, parts: impl Iterator<Item = &'e Expr>, depth: u8) -> Expr {
        let mut kept = Vec::new();
        let mut failed = false;
        for part in parts {
            let part = self.test(part, depth);
            match part.kind {
                Kind::Constant(Constant::Bool(truth)) if truth == decisive => {
                    return constant(Constant::Bool(decisive), expr.span);
                }
                Kind::Constant(Constant::Bool(_)) => continue,
                _ => {}
            }
            if is_open(&part, depth) || !std::mem::replace(&mut failed, true) {
                kept.push(part);
            }
        }
        if kept.is_empty() {
            return constant(Constant::Bool(!decisive), expr.span);
        }
        // What is no bool by itself would elsewhere not be asked to be one.
        if let [only] = kept.as_slice()
            && (only.ty == Type::Bool || only.kind.is_test())
        {
            return only.clone();
        }
        let kind = if decisive { Kind::Any(kept) } else { Kind::All(kept) };
        Expr { kind, ty: Type::Bool, span: expr.span }
    }

    /// Both sides of what needs both; if one of them is an error, that is all there is.
    fn both(&mut self, sides: &[Expr; 2], depth: u8) -> Result<Box<[Expr; 2]>, Expr> {
        let [left, right] = sides;
        let (left, right) = (self.value(left, depth), self.value(right, depth));
        if is_error(&left, depth) {
            return Err(left);
        }
        if is_error(&right, depth) {
            return Err(right);
        }
        Ok(Box::new([left, right]))
    }

    /// From the left, as long as it is known.
    fn arithmetic(&mut self, expr: &Expr, first: &Expr, rest: &[(Operator, Expr)], depth: u8) -> Expr {
        let mut first = self.value(first, depth);
        if is_error(&first, depth) {
            return first;
        }
        let mut operands: Vec<(Operator, Expr)> = Vec::new();
        for (operator, operand) in rest {
            let operand = self.value(operand, depth);
            if is_error(&operand, depth) {
                return operand;
            }
            if !operands.is_empty() || is_open(&first, depth) || is_open(&operand, depth) {
                operands.push((*operator, operand));
                continue;
            }
            let (ty, span) = (Type::Dynamic, first.span.to(operand.span));
            let known = Expr { kind: Kind::Arithmetic(Box::new(first), vec![(*operator, operand)]), ty, span };
            first = self.value(&known, depth);
            if is_error(&first, depth) {
                return first;
            }
        }
        Expr { kind: Kind::Arithmetic(Box::new(first), operands), ty: expr.ty, span: expr.span }
    }

    fn membership(&mut self, expr: &Expr, element: &Expr, many: &Many, depth: u8) -> Expr {
        let like = |kind| Expr { kind, ty: Type::Bool, span: expr.span };
        let look = |element, many| like(Kind::In(Box::new(element), many));
        let element = self.value(element, depth);
        if is_error(&element, depth) {
            return element;
        }
        let (known, of_texts) = match &many.collection {
            Collection::Constants(_) => return look(element, many.clone()),
            Collection::Read(source) if is_of_record(source) => return look(element, many.clone()),
            Collection::Read(_) => (elements_of(many, self.facts), false),
            Collection::Groups if matches!(self.lists, Lists::Keep) => return look(element, many.clone()),
            Collection::Groups => (elements_of(many, self.facts), true),
            Collection::Reports(reports) => {
                let listed = if let Lists::Spell(list) = self.lists { list(*reports) } else { None };
                let Some(listed) = listed else { return look(element, many.clone()) };
                (Ok(listed.into_iter().map(|id| Ok(Constant::String(id))).collect()), true)
            }
        };
        let Ok(elements) = known else {
            // The list is the error, whatever is looked for.
            return look(constant(Constant::Bool(true), element.span), many.clone());
        };
        if of_texts && elements.is_empty() && element.ty != Type::String {
            // Groups and reports are texts even where there are none: false of a text, else an error.
            let nothing = constant(Constant::String("".into()), many.span);
            let text = like(Kind::Text(TextTest::StartsWith, Box::new([element, nothing])));
            return like(Kind::Not(Box::new(text)));
        }
        let count = elements.len();
        let constants: Box<[Constant]> = elements.into_iter().flatten().collect();
        let all = constants.len() == count;
        let found = look(element, Many { collection: Collection::Constants(constants), ..*many });
        match valueless(many) {
            // As in the list: an element that has no value is an error, unless another one is it.
            Some(error) if !all => like(Kind::Any(vec![found, error])),
            _ => found,
        }
    }

    /// `exists` and `all` over what is known: `||` and `&&`.
    fn unrolled<E>(
        &mut self,
        expr: &Expr,
        quantifier: Quantifier,
        (many, depth, body): (&Many, u8, &Expr),
        elements: Vec<Result<Constant, E>>,
    ) -> Expr {
        let error = valueless(many);
        let elements = elements.into_iter().filter_map(|element| match element {
            Ok(value) => Some(constant(value, many.span)),
            Err(_) => error.clone(),
        });
        let bodies: Vec<Expr> = elements.map(|element| substituted(body, depth, &element)).collect();
        self.junction(expr, quantifier.decisive(), bodies.iter(), depth)
    }
}

fn constant(constant: Constant, span: Span) -> Expr {
    Expr { ty: constant.ty(), kind: Kind::Constant(constant), span }
}

/// Of what was folded, where a value is asked for: whether it is an error by itself.
fn is_error(expr: &Expr, depth: u8) -> bool {
    !matches!(expr.kind, Kind::Constant(_)) && !is_open(expr, depth)
}

/// What stands for an element without a value, which only undeclared lists have: the list itself, read as
/// if it were a single value, which is an error.
fn valueless(many: &Many) -> Option<Expr> {
    match &many.collection {
        Collection::Read(source) if source.shape == Shape::One(Type::Dynamic) => {
            Some(Expr { kind: Kind::Read(source.clone()), ty: Type::Dynamic, span: many.span })
        }
        _ => None,
    }
}

/// The nodes of a tree, and the elements of the lists in it.
fn weight(expr: &Expr) -> usize {
    let many = |many: &Many| if let Collection::Constants(constants) = &many.collection { constants.len() } else { 0 };
    let inner = match &expr.kind {
        Kind::Constant(_) | Kind::Now | Kind::Read(_) | Kind::Variable(_) | Kind::Has(_) => 0,
        Kind::Not(inner) | Kind::Negate(inner) | Kind::Length(inner) => weight(inner),
        Kind::All(parts) | Kind::Any(parts) => parts.iter().map(weight).sum(),
        Kind::Compare(_, sides) | Kind::Text(_, sides) => sides.iter().map(weight).sum(),
        Kind::Arithmetic(first, rest) => weight(first) + rest.iter().map(|(_, operand)| weight(operand)).sum::<usize>(),
        Kind::Count(list) => many(list),
        Kind::In(element, list) => weight(element) + many(list),
        Kind::Quantified(_, list, _, body) => weight(body) + many(list),
    };
    inner + 1
}

/// `body` with `element` in place of the variable at `depth`.
fn substituted(body: &Expr, depth: u8, element: &Expr) -> Expr {
    let put = |expr: &Expr| substituted(expr, depth, element);
    let boxed = |expr: &Expr| Box::new(put(expr));
    let pair = |sides: &[Expr; 2]| Box::new(sides.each_ref().map(put));
    let kind = match &body.kind {
        Kind::Variable(variable) if variable.depth == depth => return element.clone(),
        kind @ (Kind::Constant(_) | Kind::Now | Kind::Read(_) | Kind::Variable(_) | Kind::Has(_) | Kind::Count(_)) => {
            kind.clone()
        }
        Kind::Not(inner) => Kind::Not(boxed(inner)),
        Kind::Negate(inner) => Kind::Negate(boxed(inner)),
        Kind::Length(inner) => Kind::Length(boxed(inner)),
        Kind::All(parts) => Kind::All(parts.iter().map(put).collect()),
        Kind::Any(parts) => Kind::Any(parts.iter().map(put).collect()),
        Kind::Compare(comparison, sides) => Kind::Compare(*comparison, pair(sides)),
        Kind::Text(test, sides) => Kind::Text(*test, pair(sides)),
        Kind::Arithmetic(first, rest) => {
            Kind::Arithmetic(boxed(first), rest.iter().map(|(operator, operand)| (*operator, put(operand))).collect())
        }
        Kind::In(wanted, many) => Kind::In(boxed(wanted), many.clone()),
        Kind::Quantified(quantifier, many, variable, inner) => {
            Kind::Quantified(*quantifier, many.clone(), variable.clone(), boxed(inner))
        }
    };
    Expr { kind, ty: body.ty, span: body.span }
}
