//! A typed tree answered for one record (rule 6.3).
//!
//! CEL's way with errors: what reads a null or missing attribute is an error, an error makes what it
//! stands in one, and only the value that settles a matter alone (true in `||` and `exists`, false in
//! `&&` and `all`) makes up for one, whichever comes first. A value that was not sent as declared
//! counts as missing: of a list, already one element.
//!
//! `record.due < now || record.open` without a `due` is true for an open record, otherwise an error,
//! which neither allows nor stops restricting: [`Outcome::allows`], [`Outcome::restricts`].
//!
//! Texts are borrowed; only `+` of texts allocates. Recursion is bounded by the tree's depth. There is
//! one walk, generic over who [watches](Watch): an evaluation is watched by nobody, an explanation by
//! its trace, hence they cannot disagree (INVARIANT 3).
//!
//! The alternative that lost: bytecode for a small machine. The tree costs a predicted branch a node;
//! what is run over many records at once is to be compiled to columns, not to bytes.

mod outcome;
mod values;

use super::facts::{Fact, Facts, List};
use super::tree::{
    Attribute, Collection, Comparison, Constant, Expr, Kind, Many, Quantifier, Reports, Shape, Source, Span, Type,
    Typed,
};
use super::{ASSUMED_ELEMENTS, MAX_QUANTIFIERS, MAX_STEPS};

pub use outcome::{Cause, Failure, Outcome};
pub(super) use values::Val;
pub use values::as_declared;
pub(in crate::core) use values::exact_double;
use values::{arithmetic, conforming, equal, has_text, length, negative, order, present, scalar};

/// Answers a condition.
pub fn evaluate<F: Facts + ?Sized>(condition: &Typed, facts: &F) -> Outcome {
    watched(condition, facts, Nobody).0
}

/// Answers a folded tree (see [`super::fold`]).
pub fn evaluate_tree<F: Facts + ?Sized>(tree: &Expr, facts: &F) -> Outcome {
    match truth_of(tree, facts) {
        Ok(true) => Outcome::True,
        Ok(false) => Outcome::False,
        Err(cause) => Outcome::Error(cause),
    }
}

/// The truth of a part that asks for no variable around it.
pub(super) fn truth_of<F: Facts + ?Sized>(expr: &Expr, facts: &F) -> Evaluated<bool> {
    Walk::new(facts).truth(expr)
}

/// The value of such a part.
pub(super) fn value_of<F: Facts + ?Sized>(expr: &Expr, facts: &F) -> Evaluated<Constant> {
    Walk::new(facts).value(expr).map(Val::into_constant)
}

/// The elements of a list, each as a quantifier's variable would be: of undeclared ones, some may have no value.
pub(super) fn elements_of<F: Facts + ?Sized>(many: &Many, facts: &F) -> Evaluated<Vec<Result<Constant, Failure>>> {
    let value = |fact| scalar(fact, many.element).map(Val::into_constant);
    Ok(match &many.collection {
        Collection::Constants(constants) => constants.iter().map(fact).map(value).collect(),
        Collection::Read(source) => Walk::new(facts).list(source, many, 0)?.iter().map(value).collect(),
        Collection::Groups => facts.groups().iter().map(value).collect(),
        Collection::Reports(_) => return Err(Cause { span: many.span, failure: Failure::Mismatch }),
    })
}

/// Answers a condition while somebody watches.
pub(super) fn watched<F: Facts + ?Sized, W: Watch>(condition: &Typed, facts: &F, watch: W) -> (Outcome, W) {
    let variables = [Fact::Missing; MAX_QUANTIFIERS];
    let mut walk = Walk { facts, watch, steps_left: MAX_STEPS, variables };
    let outcome = match walk.truth(condition.root()) {
        Ok(true) => Outcome::True,
        Ok(false) => Outcome::False,
        Err(cause) => Outcome::Error(cause),
    };
    (outcome, walk.watch)
}

/// Is told of every part that was evaluated, inner parts first.
pub(super) trait Watch {
    fn truth(&mut self, span: Span, truth: Evaluated<bool>);
    fn value(&mut self, span: Span, value: Result<&Val<'_>, Cause>);
    fn list(&mut self, span: Span, list: List<'_>);
}

struct Nobody;

impl Watch for Nobody {
    fn truth(&mut self, _: Span, _: Evaluated<bool>) {}
    fn value(&mut self, _: Span, _: Result<&Val<'_>, Cause>) {}
    fn list(&mut self, _: Span, _: List<'_>) {}
}

/// Steps for looking through so many elements for something of so many bytes.
pub(super) fn scan(elements: u64, bytes: usize) -> u64 {
    const ELEMENTS_A_STEP: u64 = 16;
    1 + elements.saturating_mul(1 + text_steps(bytes)) / ELEMENTS_A_STEP
}

/// Steps for going through a text: none for the length of an id.
fn text_steps(bytes: usize) -> u64 {
    bytes as u64 >> 7
}

/// Steps for walking up the managers.
pub(super) fn reports_steps(reports: Reports) -> u64 {
    match reports {
        Reports::Direct => 1,
        Reports::All => scan(ASSUMED_ELEMENTS, 0),
    }
}

pub(super) type Evaluated<T> = Result<T, Cause>;

struct Walk<'a, F: ?Sized, W> {
    facts: &'a F,
    watch: W,
    steps_left: u32,
    /// The elements at which the quantifiers around stand, from the outside.
    variables: [Fact<'a>; MAX_QUANTIFIERS],
}

impl<'a, F: Facts + ?Sized> Walk<'a, F, Nobody> {
    fn new(facts: &'a F) -> Self {
        Self { facts, watch: Nobody, steps_left: MAX_STEPS, variables: [Fact::Missing; MAX_QUANTIFIERS] }
    }
}

impl<'a, F: Facts + ?Sized, W: Watch> Walk<'a, F, W> {
    #[inline]
    fn charge(&mut self, steps: u64, span: Span) -> Evaluated<()> {
        if let Some(left) = u32::try_from(steps).ok().and_then(|steps| self.steps_left.checked_sub(steps)) {
            self.steps_left = left;
            return Ok(());
        }
        // The whole ends here: whatever is left to be asked fails at its first step.
        self.steps_left = 0;
        Err(Cause { span, failure: Failure::TooManySteps })
    }

    fn truth(&mut self, expr: &'a Expr) -> Evaluated<bool> {
        let span = expr.span;
        if !expr.kind.is_test() {
            return match self.value(expr)? {
                Val::Bool(truth) => Ok(truth),
                _ => Err(Cause { span, failure: Failure::Mismatch }),
            };
        }
        let truth = self.charge(1, span).and_then(|()| self.test(expr));
        self.watch.truth(span, truth);
        truth
    }

    #[inline]
    fn value(&mut self, expr: &'a Expr) -> Evaluated<Val<'a>> {
        if expr.kind.is_test() {
            return self.truth(expr).map(Val::Bool);
        }
        let value = self.charge(1, expr.span).and_then(|()| self.single(expr));
        self.watch.value(expr.span, value.as_ref().map_err(|cause| *cause));
        value
    }

    /// The kinds of which [`Kind::is_test`] holds.
    fn test(&mut self, expr: &'a Expr) -> Evaluated<bool> {
        let span = expr.span;
        let at = |failure| Cause { span, failure };
        match &expr.kind {
            Kind::Not(inner) => self.truth(inner).map(|truth| !truth),
            Kind::All(parts) => self.settled(false, parts.iter(), Self::truth),
            Kind::Any(parts) => self.settled(true, parts.iter(), Self::truth),
            Kind::Has(source) => self.has(source, span),
            Kind::Compare(comparison, sides) => {
                let [left, right] = &**sides;
                let (left, right) = (self.value(left)?, self.value(right)?);
                if let (Val::Text(left), Val::Text(right)) = (&left, &right) {
                    self.charge(text_steps(left.len().min(right.len())), span)?;
                }
                compare(*comparison, &left, &right).map_err(at)
            }
            Kind::Text(test, sides) => {
                let [whole, part] = &**sides;
                let (Val::Text(whole), Val::Text(part)) = (self.value(whole)?, self.value(part)?) else {
                    return Err(at(Failure::Mismatch));
                };
                self.charge(text_steps(whole.len()), span)?;
                Ok(test.holds(&whole, &part))
            }
            Kind::In(element, many) => {
                let element = self.value(element)?;
                self.membership(&element, many, span)
            }
            Kind::Quantified(quantifier, many, variable, body) => {
                self.quantified(*quantifier, many, variable.depth, body)
            }
            // Not reached: the other kinds are no tests.
            _ => Err(at(Failure::Mismatch)),
        }
    }

    /// The kinds of which it does not.
    fn single(&mut self, expr: &'a Expr) -> Evaluated<Val<'a>> {
        let span = expr.span;
        let at = |failure| Cause { span, failure };
        match &expr.kind {
            Kind::Constant(constant) => Ok(Val::of(constant)),
            Kind::Now => Ok(Val::Timestamp(self.facts.now())),
            Kind::Read(source) => scalar(self.read(&source.attribute), expr.ty).map_err(at),
            Kind::Variable(variable) => {
                let fact = self.variables.get(usize::from(variable.depth)).copied().unwrap_or(Fact::Missing);
                scalar(fact, expr.ty).map_err(at)
            }
            Kind::Negate(inner) => {
                let value = self.value(inner)?;
                negative(&value).map_err(at)
            }
            Kind::Arithmetic(first, rest) => {
                let mut sum = self.value(first)?;
                for (operator, operand) in rest {
                    let operand = self.value(operand)?;
                    if let (Val::Text(left), Val::Text(right)) = (&sum, &operand) {
                        self.charge(text_steps(left.len() + right.len()), span)?;
                    }
                    sum = arithmetic(*operator, sum, operand).map_err(at)?;
                }
                Ok(sum)
            }
            Kind::Length(text) => {
                let Val::Text(text) = self.value(text)? else { return Err(at(Failure::Mismatch)) };
                self.charge(text_steps(text.len()), span)?;
                Ok(Val::Int(length(&text)))
            }
            Kind::Count(many) => self.count(many).map(Val::Int),
            // Not reached: the other kinds are tests.
            _ => Err(at(Failure::Mismatch)),
        }
    }

    fn read(&self, attribute: &'a Attribute) -> Fact<'a> {
        match attribute {
            Attribute::Field(slot, name) => self.facts.field(*slot, name),
            Attribute::Record(part) => self.facts.record(*part),
            Attribute::User(part) => self.facts.user(*part),
            Attribute::UserAttribute(name) => self.facts.user_attribute(name),
            Attribute::Channel => self.facts.channel(),
            Attribute::ContextAttribute(name) => self.facts.context_attribute(name),
        }
    }

    /// `&&` and `||` over anything: `decisive` settles it, otherwise the first error, otherwise not.
    fn settled<T>(
        &mut self,
        decisive: bool,
        parts: impl Iterator<Item = T>,
        mut truth: impl FnMut(&mut Self, T) -> Evaluated<bool>,
    ) -> Evaluated<bool> {
        let mut failed = None;
        for part in parts {
            match truth(self, part) {
                Ok(truth) if truth == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(cause) => failed = failed.or(Some(cause)),
            }
        }
        failed.map_or(Ok(!decisive), Err)
    }

    fn has(&mut self, source: &'a Source, span: Span) -> Evaluated<bool> {
        let fact = self.read(&source.attribute);
        match source.shape {
            Shape::One(Type::Dynamic) => Ok(present(fact)),
            Shape::One(ty) => Ok(scalar(fact, ty).is_ok()),
            Shape::Many(element) => match fact {
                Fact::List(list) => {
                    self.charge(scan(list.count() as u64, 0), span)?;
                    Ok(conforming(list, element))
                }
                _ => Ok(false),
            },
        }
    }

    /// The list that is read there, all of whose elements are as declared.
    /// Pays for looking through it once, for something of so many bytes.
    fn list(&mut self, source: &'a Source, many: &'a Many, bytes: usize) -> Evaluated<List<'a>> {
        let span = many.span;
        let list = self.fetch(source, many.element, span, bytes);
        match list {
            Ok(list) => self.watch.list(span, list),
            Err(cause) => self.watch.value(span, Err(cause)),
        }
        list
    }

    fn fetch(&mut self, source: &'a Source, element: Type, span: Span, bytes: usize) -> Evaluated<List<'a>> {
        let at = |failure| Cause { span, failure };
        match self.read(&source.attribute) {
            Fact::Missing => Err(at(Failure::Missing)),
            Fact::Null => Err(at(Failure::Null)),
            Fact::List(list) => {
                self.charge(scan(list.count() as u64, bytes), span)?;
                if conforming(list, element) { Ok(list) } else { Err(at(Failure::NotAsDeclared)) }
            }
            _ if source.shape == Shape::One(Type::Dynamic) => Err(at(Failure::Mismatch)),
            _ => Err(at(Failure::NotAsDeclared)),
        }
    }

    fn membership(&mut self, element: &Val<'a>, many: &'a Many, span: Span) -> Evaluated<bool> {
        let mismatch = Cause { span, failure: Failure::Mismatch };
        let bytes = if let Val::Text(text) = element { text.len() } else { 0 };
        let text = || if let Val::Text(text) = element { Ok(&**text) } else { Err(mismatch) };
        match &many.collection {
            Collection::Constants(constants) => {
                self.charge(scan(constants.len() as u64, bytes), span)?;
                let same = |_: &mut Self, constant| equal(element, &Val::of(constant)).map_err(|_| mismatch);
                self.settled(true, constants.iter(), same)
            }
            Collection::Read(source) => {
                let list = self.list(source, many, bytes)?;
                if let (Type::String, Val::Text(text)) = (many.element, element) {
                    return Ok(has_text(list, text));
                }
                let same = |_: &mut Self, fact| {
                    let other = scalar(fact, many.element).map_err(|failure| Cause { span: many.span, failure })?;
                    equal(element, &other).map_err(|_| mismatch)
                };
                self.settled(true, list.iter(), same)
            }
            Collection::Groups => Ok(self.facts.in_groups(text()?)),
            Collection::Reports(reports) => {
                self.charge(reports_steps(*reports), span)?;
                Ok(self.facts.in_reports(text()?, *reports))
            }
        }
    }

    fn quantified(&mut self, quantifier: Quantifier, many: &'a Many, depth: u8, body: &'a Expr) -> Evaluated<bool> {
        let ask = |walk: &mut Self, fact| {
            if let Some(variable) = walk.variables.get_mut(usize::from(depth)) {
                *variable = fact;
            }
            walk.truth(body)
        };
        let decisive = quantifier.decisive();
        match &many.collection {
            Collection::Constants(constants) => self.settled(decisive, constants.iter().map(fact), ask),
            Collection::Read(source) => {
                let list = self.list(source, many, 0)?;
                self.settled(decisive, list.iter(), ask)
            }
            Collection::Groups => {
                let groups = self.facts.groups();
                self.watch.list(many.span, groups);
                self.settled(decisive, groups.iter(), ask)
            }
            Collection::Reports(_) => Err(Cause { span: many.span, failure: Failure::Mismatch }),
        }
    }

    fn count(&mut self, many: &'a Many) -> Evaluated<i64> {
        let count = match &many.collection {
            Collection::Constants(constants) => constants.len(),
            Collection::Groups => self.facts.groups().count(),
            Collection::Read(source) => {
                if let (Shape::One(_), Fact::Str(text)) = (source.shape, self.read(&source.attribute)) {
                    self.charge(text_steps(text.len()), many.span)?;
                    return Ok(length(text));
                }
                self.list(source, many, 0)?.count()
            }
            Collection::Reports(_) => return Err(Cause { span: many.span, failure: Failure::Mismatch }),
        };
        Ok(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

/// A constant as the element of a list.
fn fact(constant: &Constant) -> Fact<'_> {
    match constant {
        Constant::Bool(value) => Fact::Bool(*value),
        Constant::Int(value) => Fact::Int(*value),
        Constant::Double(value) => Fact::Double(*value),
        Constant::String(text) => Fact::Str(text),
        Constant::Timestamp(ms) => Fact::Timestamp(*ms),
        Constant::Duration(ms) => Fact::Duration(*ms),
    }
}

#[inline]
fn compare(comparison: Comparison, left: &Val<'_>, right: &Val<'_>) -> Result<bool, Failure> {
    Ok(match comparison {
        Comparison::Equal => equal(left, right)?,
        Comparison::NotEqual => !equal(left, right)?,
        _ => comparison.admits(order(left, right)?),
    })
}

/// The steps that an evaluation takes.
#[cfg(test)]
pub(super) fn steps_taken<F: Facts + ?Sized>(condition: &Typed, facts: &F) -> u64 {
    let mut walk = Walk::new(facts);
    let _ = walk.truth(condition.root());
    u64::from(MAX_STEPS - walk.steps_left)
}
