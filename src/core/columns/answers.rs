//! A condition's answers for all records of [`Columns`] at once, 64 a word.
//!
//! Three values of rule 6.3 in two bits: yes, no, or neither, an error. `!` swaps them, `&&` and `||`
//! are one word operation each, in whichever order, since nothing has an effect. What compares a
//! column with a constant is a loop over packed values; a test of a text is made once for each text
//! that was sent. Whatever has no such short way is asked record by record, of those that are
//! not settled by then, through the evaluation that a single decision uses ([`Beyond`]), so that it
//! cannot answer differently (INVARIANT 3).

use std::ops::Not;

use super::super::condition::{
    Attribute, Collection, Comparison, Constant, Expr, Kind, Many, RecordPart, Shape, Source, Type,
};
use super::super::decision::owner_id;
use super::{Bits, Column, Columns, Texts, Values};

/// What a condition says of each record: yes, no, or neither where it ends in an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// It holds.
    pub yes: Bits,
    /// It does not.
    pub no: Bits,
}

impl Answers {
    /// The same for all.
    #[must_use]
    pub fn all(count: usize, yes: bool) -> Self {
        Self { yes: Bits::all(count, yes), no: Bits::all(count, !yes) }
    }

    /// What each of the `wanted` says by itself; of others, an error.
    pub fn one_by_one(count: usize, wanted: &Bits, mut ask: impl FnMut(usize) -> Option<bool>) -> Self {
        let none = Bits::all(count, false);
        let mut found = Self { yes: none.clone(), no: none };
        for at in wanted.places() {
            match ask(at) {
                Some(true) => found.yes.put(at, true),
                Some(false) => found.no.put(at, true),
                None => {}
            }
        }
        found
    }

    /// `||`
    pub fn or(&mut self, other: &Self) {
        self.yes.or(&other.yes);
        self.no.and(&other.no);
    }

    /// `yes` among those that can be asked.
    fn among(asked: &Bits, mut yes: Bits) -> Self {
        let mut no = asked.clone();
        yes.and(asked);
        no.without(&yes);
        Self { yes, no }
    }
}

impl Not for Answers {
    type Output = Self;

    fn not(self) -> Self {
        Self { yes: self.no, no: self.yes }
    }
}

/// What lies beyond the columns.
pub trait Beyond {
    /// What a part of a condition says of one record.
    fn answer(&mut self, part: &Expr, at: usize) -> Option<bool>;
    /// Whether the principal is in that group.
    fn in_groups(&self, group: &str) -> bool;
}

/// What `condition` says of the records that are `wanted`; of others, anything. It is folded: of
/// what it reads, only the record, reports and groups are no constants.
pub fn answers(condition: &Expr, columns: &Columns<'_>, wanted: &Bits, beyond: &mut dyn Beyond) -> Answers {
    match &condition.kind {
        Kind::Not(inner) => !answers(inner, columns, wanted, beyond),
        Kind::All(parts) => {
            let parts = parts.iter().map(Term::Part).collect();
            !any(parts, columns, wanted, beyond, |part| !part)
        }
        Kind::Any(parts) => any(terms(parts), columns, wanted, beyond, |part| part),
        _ => quick(condition, columns, beyond)
            .unwrap_or_else(|| Answers::one_by_one(columns.len(), wanted, |at| beyond.answer(condition, at))),
    }
}

/// A part of `||` or `&&`, or several that are one question to each record.
enum Term<'e> {
    Part(&'e Expr),
    /// `"a" in record.x || "b" in record.x`: whether the list has one of them.
    Lists(&'e Many, Vec<&'e Expr>),
}

/// The parts of `||`, those together that look for a text in the same list.
fn terms(parts: &[Expr]) -> Vec<Term<'_>> {
    let mut terms: Vec<Term<'_>> = Vec::with_capacity(parts.len());
    for part in parts {
        let Some((_, many)) = sought(part) else {
            terms.push(Term::Part(part));
            continue;
        };
        let same = terms.iter_mut().find_map(|term| match term {
            Term::Lists(list, together) if list.collection == many.collection => Some(together),
            _ => None,
        });
        match same {
            Some(together) => together.push(part),
            None => terms.push(Term::Lists(many, vec![part])),
        }
    }
    terms
}

/// `"text" in list`
fn sought(test: &Expr) -> Option<(&str, &Many)> {
    match &test.kind {
        Kind::In(element, many) => match (&element.kind, &many.collection) {
            (Kind::Constant(Constant::String(text)), Collection::Read(_)) => Some((text, many)),
            _ => None,
        },
        _ => None,
    }
}

/// `||` of what `of` makes of the terms. Quick ones first: what they settle is not asked the slow way.
fn any(
    terms: Vec<Term<'_>>,
    columns: &Columns<'_>,
    wanted: &Bits,
    beyond: &mut dyn Beyond,
    of: fn(Answers) -> Answers,
) -> Answers {
    let mut found = Answers::all(columns.len(), false);
    let mut later = Vec::new();
    for term in terms {
        let (answers, parts) = match term {
            Term::Part(part) => (quick(part, columns, beyond), vec![part]),
            Term::Lists(many, parts) => (contain(columns, many, &parts), parts),
        };
        match answers {
            Some(answers) => found.or(&of(answers)),
            None => later.extend(parts),
        }
    }
    for part in later {
        let mut wanted = wanted.clone();
        wanted.without(&found.yes);
        if wanted.none() {
            break;
        }
        found.or(&of(answers(part, columns, &wanted, beyond)));
    }
    found
}

/// The answers of what has a short way.
fn quick(test: &Expr, columns: &Columns<'_>, beyond: &dyn Beyond) -> Option<Answers> {
    match &test.kind {
        Kind::Constant(Constant::Bool(truth)) => Some(Answers::all(columns.len(), *truth)),
        Kind::Read(source) => match Read::of(source, columns)? {
            Read::One(present, Values::Bools(values)) => Some(Answers::among(present, Bits::of(values, |v| *v))),
            _ => None,
        },
        Kind::Has(source) => match Read::of(source, columns)? {
            Read::Nothing => Some(Answers::all(columns.len(), false)),
            Read::One(present, _) | Read::Many(present, ..) => {
                Some(Answers::among(&Bits::all(columns.len(), true), present.clone()))
            }
            Read::Part(texts, counts) => {
                Some(Answers::among(&Bits::all(columns.len(), true), texts.that(|text| !counts(text).is_empty())))
            }
        },
        Kind::Compare(comparison, sides) => match &**sides {
            [Expr { kind: Kind::Read(source), .. }, Expr { kind: Kind::Constant(to), .. }] => {
                compared(columns, source, *comparison, to)
            }
            [Expr { kind: Kind::Constant(to), .. }, Expr { kind: Kind::Read(source), .. }] => {
                compared(columns, source, comparison.turned(), to)
            }
            _ => None,
        },
        Kind::In(element, many) => match (&element.kind, &many.collection) {
            (Kind::Read(source), Collection::Constants(constants)) => one_of(columns, source, constants),
            (Kind::Read(source), Collection::Groups) if element.ty == Type::String => {
                tested(Read::of(source, columns)?, columns, |text| beyond.in_groups(text))
            }
            _ => contain(columns, many, &[test]),
        },
        Kind::Text(text_test, sides) => match &**sides {
            [Expr { kind: Kind::Read(source), .. }, Expr { kind: Kind::Constant(Constant::String(part)), .. }] => {
                tested(Read::of(source, columns)?, columns, |text| text_test.holds(text, part))
            }
            _ => None,
        },
        _ => None,
    }
}

/// What a condition reads, where it was sent as declared.
enum Read<'c, 'a> {
    /// No record has it.
    Nothing,
    /// One value a record, for those that have one.
    One(&'c Bits, &'c Values<'a>),
    /// A list a record, for those that have one.
    Many(&'c Bits, &'c [u32], &'c Values<'a>),
    /// A part of every record: a text, missing where it is empty, and what counts of it.
    Part(&'c Texts<'a>, fn(&str) -> &str),
}

impl<'c, 'a> Read<'c, 'a> {
    /// `None`: it was not sent as declared, or has no short way.
    fn of(source: &Source, columns: &'c Columns<'a>) -> Option<Self> {
        match &source.attribute {
            Attribute::Field(_, name) => match columns.attribute(name) {
                None => Some(Self::Nothing),
                Some(column) => Self::column(column, source.shape),
            },
            Attribute::Record(RecordPart::Id) => Some(Self::part(Some(&columns.ids), |id| id)),
            Attribute::Record(RecordPart::Account) => Some(Self::part(columns.accounts.as_ref(), |account| account)),
            Attribute::Record(RecordPart::Owner) => Some(Self::part(columns.owners.as_ref(), owner_id)),
            _ => None,
        }
    }

    fn part(texts: Option<&'c Texts<'a>>, counts: fn(&str) -> &str) -> Self {
        texts.map_or(Self::Nothing, |texts| Self::Part(texts, counts))
    }

    fn column(column: &'c Column<'a>, shape: Shape) -> Option<Self> {
        match (shape, &column.lists) {
            (Shape::One(ty), None) if ty == column.values.ty() => Some(Self::One(&column.present, &column.values)),
            (Shape::Many(ty), Some(ends)) if ty == column.values.ty() => {
                Some(Self::Many(&column.present, ends, &column.values))
            }
            _ => None,
        }
    }
}

fn compared(columns: &Columns<'_>, source: &Source, comparison: Comparison, to: &Constant) -> Option<Answers> {
    /// One loop for each comparison, without a branch in it.
    fn numbers<T: PartialOrd + Copy>(values: &[T], comparison: Comparison, to: T) -> Bits {
        match comparison {
            Comparison::Equal => Bits::of(values, |v| *v == to),
            Comparison::NotEqual => Bits::of(values, |v| *v != to),
            Comparison::Less => Bits::of(values, |v| *v < to),
            Comparison::LessOrEqual => Bits::of(values, |v| *v <= to),
            Comparison::Greater => Bits::of(values, |v| *v > to),
            Comparison::GreaterOrEqual => Bits::of(values, |v| *v >= to),
        }
    }
    let read = Read::of(source, columns)?;
    if let Constant::String(to) = to {
        return tested(read, columns, |text| comparison.admits(text.as_bytes().cmp(to.as_bytes())));
    }
    Some(match (read, to) {
        (Read::Nothing, _) => nothing(columns),
        (Read::One(present, Values::Ints(values)), Constant::Int(to))
        | (Read::One(present, Values::Timestamps(values)), Constant::Timestamp(to)) => {
            Answers::among(present, numbers(values, comparison, *to))
        }
        (Read::One(present, Values::Doubles(values)), Constant::Double(to)) => {
            Answers::among(present, numbers(values, comparison, *to))
        }
        (Read::One(present, Values::Bools(values)), Constant::Bool(to)) if !comparison.orders() => {
            Answers::among(present, Bits::of(values, |v| (v == to) == (comparison == Comparison::Equal)))
        }
        _ => return None,
    })
}

/// Errors all.
fn nothing(columns: &Columns<'_>) -> Answers {
    let none = Bits::all(columns.len(), false);
    Answers { yes: none.clone(), no: none }
}

/// A test of a text.
fn tested(read: Read<'_, '_>, columns: &Columns<'_>, test: impl Fn(&str) -> bool) -> Option<Answers> {
    match read {
        Read::Nothing => Some(nothing(columns)),
        Read::One(present, Values::Texts(texts)) => Some(Answers::among(present, texts.that(test))),
        Read::Part(texts, counts) => {
            let given = texts.that(|text| !counts(text).is_empty());
            Some(Answers::among(&given, texts.that(|text| test(counts(text)))))
        }
        _ => None,
    }
}

/// `record.x in [constants]`, all of the field's type: what equals one of them.
fn one_of(columns: &Columns<'_>, source: &Source, constants: &[Constant]) -> Option<Answers> {
    let read = Read::of(source, columns)?;
    let ty = match source.shape {
        Shape::One(ty) => ty,
        Shape::Many(_) => return None,
    };
    if !constants.iter().all(|constant| constant.ty() == ty) {
        return None;
    }
    let whole = |constant: &Constant| match constant {
        Constant::Int(n) | Constant::Timestamp(n) => Some(*n),
        _ => None,
    };
    Some(match read {
        Read::One(present, Values::Ints(values) | Values::Timestamps(values)) => {
            let sought: Vec<i64> = constants.iter().filter_map(whole).collect();
            Answers::among(present, Bits::of(values, |v| sought.contains(v)))
        }
        read if ty == Type::String => {
            let text = |c: &Constant, text: &str| matches!(c, Constant::String(sought) if **sought == *text);
            return tested(read, columns, |t| constants.iter().any(|constant| text(constant, t)));
        }
        Read::Nothing => nothing(columns),
        _ => return None,
    })
}

/// `"constant" in record.x`, one part for each constant: the lists that have any of them.
fn contain(columns: &Columns<'_>, many: &Many, parts: &[&Expr]) -> Option<Answers> {
    let (Type::String, Collection::Read(source)) = (many.element, &many.collection) else { return None };
    let sought: Vec<&str> = parts.iter().map(|part| Some(sought(part)?.0)).collect::<Option<_>>()?;
    // The lists that have one of these texts.
    let having = |ends: &[u32], texts: &Texts<'_>| Bits::of_lists(ends, &texts.that(|text| sought.contains(&text)));
    if let Attribute::Record(part) = &source.attribute {
        // Rule 6.2: what was not sent is a list without elements. What was sent as something else is an error (6.3).
        let mut asked = Bits::all(columns.len(), true);
        let with = match columns.attribute(part.name()) {
            None => Bits::all(columns.len(), false),
            Some(Column { present, odd, lists: Some(ends), values: Values::Texts(texts), .. }) => {
                odd.iter().for_each(|odd| asked.without(odd));
                let mut with = having(ends, texts);
                with.and(present);
                with
            }
            // Of these, some may have left it out, or have an empty list.
            Some(_) => return None,
        };
        return Some(Answers::among(&asked, with));
    }
    match Read::of(source, columns)? {
        Read::Nothing => Some(nothing(columns)),
        Read::Many(present, ends, Values::Texts(texts)) => Some(Answers::among(present, having(ends, texts))),
        _ => None,
    }
}
