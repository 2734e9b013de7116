//! Syntax to typed tree: names resolved, types fit, cost bounded (rule 6.2).
//!
//! Every mistake is gathered: what was refused has no type (`None`), and nothing above it complains
//! again. Two operands must be of one type. Two things bend to that: a whole number that is written
//! out becomes a double beside a double, and an undeclared attribute fits anything until it is read.
//!
//! With `amount: double`, `record.amount > 5 && record.regoin == "eu"` has one mistake, at column 29:
//! unknown field `regoin`, did you mean `region`?
//!
//! The alternative that lost: inferring types as CEL's own checker does, with overloads and type
//! variables. Without functions of callers, one `match` per operator says the same in plain words.

mod calls;
mod cost;
mod names;

use std::collections::BTreeMap;

use super::ast::{Ast, AstKind};
use super::parse::parse;
use super::tree::{Collection, Comparison, Constant, Expr, Kind, Many, Operator, Reports, Source, Span, Type, Typed};
use super::{MAX_MISTAKES, Mistake, Refusal};
use crate::core::model::FieldType;

pub use names::is_built_in;

/// What is declared where a condition is written.
#[derive(Debug, Clone, Copy)]
pub struct Schema<'s> {
    /// The record fields of the policy's object.
    pub fields: &'s BTreeMap<String, FieldType>,
    /// The organization's user attributes. Others may be named, and are dynamic.
    pub user_attributes: &'s BTreeMap<String, FieldType>,
}

/// Parses and checks a condition.
///
/// # Errors
/// The mistakes in the order of their places, at least one; of what cannot be parsed, the first only.
pub fn check(text: &str, schema: &Schema<'_>) -> Result<Typed, Vec<Mistake>> {
    let ast = parse(text).map_err(|refusal| vec![refusal.in_text(text)])?;
    let mut checker = Checker { schema, text, mistakes: Vec::new(), variables: Vec::new() };
    let root = checker.boolean(&ast, "a condition");
    if let Some(root) = root.filter(|_| checker.mistakes.is_empty()) {
        match cost::cost(&root) {
            Ok(cost) => return Ok(Typed::new(root, cost, text)),
            Err(refusal) => checker.mistakes.push(refusal),
        }
    }
    let mut mistakes: Vec<_> = checker.mistakes.into_iter().map(|refusal| refusal.in_text(text)).collect();
    mistakes.sort_by_key(|mistake| mistake.offset);
    Err(mistakes)
}

struct Checker<'s> {
    schema: &'s Schema<'s>,
    text: &'s str,
    mistakes: Vec<Refusal>,
    /// Of the `exists` and `all` around, from the outside.
    variables: Vec<(Box<str>, Type)>,
}

/// What a name or a path means.
enum Meaning {
    Value(Kind, Type),
    One(Source, Type),
    Many(Source, Type),
    Groups,
    Reports(Reports),
}

impl Checker<'_> {
    fn note(&mut self, span: Span, message: impl Into<String>) {
        if self.mistakes.len() < MAX_MISTAKES {
            self.mistakes.push(Refusal::new(span, message));
        }
    }

    /// Notes a mistake, on account of which there is no type.
    fn refuse<T>(&mut self, span: Span, message: impl Into<String>) -> Option<T> {
        self.note(span, message);
        None
    }

    /// A part of the text, not too long for a message.
    fn excerpt(&self, span: Span) -> String {
        const LONGEST: usize = 60;
        let part = self.text.get(span.start()..span.end()).unwrap_or("");
        let short = part.get(..part.floor_char_boundary(LONGEST)).unwrap_or("");
        if short.len() < part.len() { format!("{short}…") } else { part.to_owned() }
    }

    fn boolean(&mut self, ast: &Ast, taker: &str) -> Option<Expr> {
        let expr = self.value(ast)?;
        if !matches!(expr.ty, Type::Bool | Type::Dynamic) {
            return self.refuse(ast.span, format!("{taker} must be a bool, this is {}", expr.ty.with_article()));
        }
        Some(expr)
    }

    fn string(&mut self, ast: &Ast, taker: &str) -> Option<Expr> {
        let expr = self.value(ast)?;
        if !matches!(expr.ty, Type::String | Type::Dynamic) {
            return self.refuse(ast.span, format!("{taker} must be a string, this is {}", expr.ty.with_article()));
        }
        Some(expr)
    }

    /// A single value: not a list.
    fn value(&mut self, ast: &Ast) -> Option<Expr> {
        let span = ast.span;
        let (kind, ty) = match &ast.kind {
            AstKind::Constant(constant) => (Kind::Constant(constant.clone()), constant.ty()),
            AstKind::Null => {
                return self.refuse(span, "`null` is no value here: a null attribute counts as missing, ask `has(…)`");
            }
            AstKind::List(_) => {
                return self.refuse(span, "a list can only be looked into: use `in`, `exists`, `all` or `size`");
            }
            AstKind::Name(_) | AstKind::Select(..) => self.path_value(ast)?,
            AstKind::Call(call) => self.call(call, span)?,
            AstKind::Not(inner) => (Kind::Not(Box::new(self.boolean(inner, "what `!` turns round")?)), Type::Bool),
            AstKind::Negate(inner) => self.negate(inner)?,
            AstKind::All(parts) => (Kind::All(self.junction(parts, "what `&&` joins")?), Type::Bool),
            AstKind::Any(parts) => (Kind::Any(self.junction(parts, "what `||` joins")?), Type::Bool),
            AstKind::Compare(comparison, sign, sides) => (self.compare(*comparison, *sign, sides)?, Type::Bool),
            AstKind::In(sign, sides) => (self.membership(*sign, sides)?, Type::Bool),
            AstKind::Arithmetic(first, rest) => self.arithmetic(first, rest)?,
        };
        Some(Expr { kind, ty, span })
    }

    fn path_value(&mut self, ast: &Ast) -> Option<(Kind, Type)> {
        let list = match self.meaning(ast)? {
            Meaning::Value(kind, ty) => return Some((kind, ty)),
            Meaning::One(source, ty) => return Some((Kind::Read(source), ty)),
            Meaning::Reports(_) => return self.only_right_of_in(ast.span),
            Meaning::Many(source, _) => source.shape.to_string(),
            Meaning::Groups => "list<string>".to_owned(),
        };
        let excerpt = self.excerpt(ast.span);
        self.refuse(ast.span, format!("`{excerpt}` is a {list}: use `in`, `exists`, `all` or `size`"))
    }

    /// Rule 6.1's reports are answered by walking up from one user, never by listing.
    fn only_right_of_in<T>(&mut self, span: Span) -> Option<T> {
        let excerpt = self.excerpt(span);
        self.refuse(span, format!("`{excerpt}` may only stand right of `in`"))
    }

    /// What `in`, `exists`, `all` and `size` look into.
    fn many(&mut self, ast: &Ast, taker: &str) -> Option<Many> {
        let span = ast.span;
        let (collection, element) = match &ast.kind {
            AstKind::List(elements) => self.list(elements)?,
            AstKind::Name(_) | AstKind::Select(..) => match self.meaning(ast)? {
                Meaning::Many(source, element) => (Collection::Read(source), element),
                Meaning::One(source, Type::Dynamic) => (Collection::Read(source), Type::Dynamic),
                Meaning::Groups => (Collection::Groups, Type::String),
                Meaning::Reports(reports) => (Collection::Reports(reports), Type::String),
                Meaning::One(_, ty) | Meaning::Value(_, ty) => return self.no_list(span, taker, ty),
            },
            _ => {
                let ty = self.value(ast)?.ty;
                return self.no_list(span, taker, ty);
            }
        };
        Some(Many { span, element, collection })
    }

    fn no_list<T>(&mut self, span: Span, taker: &str, ty: Type) -> Option<T> {
        self.refuse(span, format!("{taker} must be a list, this is {}", ty.with_article()))
    }

    fn list(&mut self, elements: &[Ast]) -> Option<(Collection, Type)> {
        let mut constants = Vec::with_capacity(elements.len());
        let mut element = None;
        let mut sound = true;
        for ast in elements {
            let Some(expr) = self.value(ast) else {
                sound = false;
                continue;
            };
            let Kind::Constant(constant) = expr.kind else {
                self.note(ast.span, "a list that is written out holds constants only: write `||` instead");
                sound = false;
                continue;
            };
            let (first, this) = (*element.get_or_insert(constant.ty()), constant.ty());
            match (first, this) {
                (Type::Int, Type::Double) => element = Some(Type::Double),
                (Type::Double, Type::Int) => {}
                _ if first == this => {}
                _ => {
                    let types = format!("{} beside {}", this.with_article(), first.with_article());
                    self.note(ast.span, format!("the elements of a list are of one type: {types}"));
                    sound = false;
                }
            }
            constants.push((constant, ast.span));
        }
        let element = element.unwrap_or(Type::Dynamic);
        let constants = constants.into_iter().map(|(constant, span)| match element {
            Type::Double => self.as_double(constant, span),
            _ => Some(constant),
        });
        let constants = constants.collect::<Option<Box<[_]>>>()?;
        sound.then_some((Collection::Constants(constants), element))
    }

    fn as_double(&mut self, constant: Constant, span: Span) -> Option<Constant> {
        match constant {
            Constant::Int(number) => match super::eval::exact_double(number) {
                Some(double) => Some(Constant::Double(double)),
                None => self.refuse(span, format!("`{number}` cannot be written exactly as a double")),
            },
            other => Some(other),
        }
    }

    fn junction(&mut self, parts: &[Ast], taker: &str) -> Option<Vec<Expr>> {
        let checked: Vec<_> = parts.iter().map(|part| self.boolean(part, taker)).collect();
        checked.into_iter().collect()
    }

    /// Makes a written int a double where its counterpart is one.
    fn bend(&mut self, expr: Expr, toward: Type) -> Option<Expr> {
        match (expr.kind, toward) {
            (Kind::Constant(constant @ Constant::Int(_)), Type::Double) => {
                let constant = self.as_double(constant, expr.span)?;
                Some(Expr { kind: Kind::Constant(constant), ty: Type::Double, span: expr.span })
            }
            (kind, _) => Some(Expr { kind, ..expr }),
        }
    }

    /// Both operands, bent toward each other.
    fn operands(&mut self, sides: &[Ast; 2]) -> Option<(Expr, Expr)> {
        let [left, right] = sides;
        let (left, right) = (self.value(left), self.value(right));
        let (left, right) = (left?, right?);
        let (left_type, right_type) = (left.ty, right.ty);
        let (left, right) = (self.bend(left, right_type), self.bend(right, left_type));
        Some((left?, right?))
    }

    fn compare(&mut self, comparison: Comparison, sign: Span, sides: &[Ast; 2]) -> Option<Kind> {
        let [left, right] = sides;
        if let (AstKind::Null, other) | (other, AstKind::Null) = (&left.kind, &right.kind) {
            let (null, asked) = if matches!(left.kind, AstKind::Null) { (left, right) } else { (right, left) };
            if matches!(other, AstKind::Select(..)) {
                let not = if comparison == Comparison::NotEqual { "" } else { "!" };
                let has = format!("write `{not}has({})`", self.excerpt(asked.span));
                self.meaning(asked);
                return self
                    .refuse(null.span, format!("nothing equals `null`, a null attribute counts as missing: {has}"));
            }
        }
        let (left, right) = self.operands(sides)?;
        if !fits(left.ty, right.ty) {
            let message = format!(
                "`{}` cannot compare {} with {}",
                comparison.sign(),
                left.ty.with_article(),
                right.ty.with_article()
            );
            return self.refuse(sign, message);
        }
        if comparison.orders() && (left.ty == Type::Bool || right.ty == Type::Bool) {
            return self.refuse(sign, format!("`{}` cannot compare bools: they have no order", comparison.sign()));
        }
        Some(Kind::Compare(comparison, Box::new([left, right])))
    }

    fn membership(&mut self, sign: Span, sides: &[Ast; 2]) -> Option<Kind> {
        let [left, right] = sides;
        let (left, right) = (self.value(left), self.many(right, "what stands right of `in`"));
        let (left, mut many) = (left?, right?);
        let left = self.bend(left, many.element)?;
        if let (Type::Double, Type::Int, Collection::Constants(constants)) =
            (left.ty, many.element, &mut many.collection)
        {
            let constants = std::mem::take(constants).into_iter();
            let constants = constants.map(|constant| self.as_double(constant, many.span)).collect::<Option<_>>()?;
            many = Many { span: many.span, element: Type::Double, collection: Collection::Constants(constants) };
        }
        if !fits(left.ty, many.element) {
            let message = format!("`in` cannot look for {} in a list<{}>", left.ty.with_article(), many.element.name());
            return self.refuse(sign, message);
        }
        Some(Kind::In(Box::new(left), many))
    }

    fn negate(&mut self, inner: &Ast) -> Option<(Kind, Type)> {
        let expr = self.value(inner)?;
        let ty = expr.ty;
        if !matches!(ty, Type::Int | Type::Double | Type::Dynamic) {
            return self
                .refuse(inner.span, format!("what `-` turns round must be a number, this is {}", ty.with_article()));
        }
        Some((Kind::Negate(Box::new(expr)), ty))
    }

    fn arithmetic(&mut self, first: &Ast, rest: &[(Operator, Span, Ast)]) -> Option<(Kind, Type)> {
        let first = self.value(first);
        let rest: Vec<_> =
            rest.iter().map(|(operator, sign, ast)| Some((*operator, *sign, self.value(ast)?))).collect();
        let (mut first, rest) = (first?, rest.into_iter().collect::<Option<Vec<_>>>()?);
        if let Some((_, _, second)) = rest.first() {
            first = self.bend(first, second.ty)?;
        }
        let mut ty = first.ty;
        let mut operands = Vec::with_capacity(rest.len());
        for (operator, sign, operand) in rest {
            let operand = self.bend(operand, ty)?;
            let Some(result) = combined(operator, ty, operand.ty) else {
                let (left, right) = (ty.with_article(), operand.ty.with_article());
                return self.refuse(sign, format!("`{}` cannot combine {left} with {right}", operator.sign()));
            };
            ty = result;
            operands.push((operator, operand));
        }
        Some((Kind::Arithmetic(Box::new(first), operands), ty))
    }
}

fn fits(a: Type, b: Type) -> bool {
    a == b || a == Type::Dynamic || b == Type::Dynamic
}

/// The type of `left operator right`, if there is one.
fn combined(operator: Operator, left: Type, right: Type) -> Option<Type> {
    use Operator::{Add, Divide, Multiply, Remainder, Subtract};
    use Type::{Bool, Double, Duration, Dynamic, Int, String, Timestamp};
    match (operator, left, right) {
        (_, Bool, _) | (_, _, Bool) | (Subtract, String, _) | (Subtract, _, String) => None,
        (_, Int, Int) => Some(Int),
        (Remainder, Int | Dynamic, Int | Dynamic)
        | (Add | Subtract | Multiply | Divide, Dynamic, Dynamic | Int | Double)
        | (Add | Subtract | Multiply | Divide, Int | Double, Dynamic)
        | (Add | Subtract, Dynamic, _)
        | (Add | Subtract, _, Dynamic) => Some(Dynamic),
        (Remainder, ..) => None,
        (_, Double, Double) => Some(Double),
        (Add, String, String) => Some(String),
        (Add | Subtract, Timestamp, Duration) | (Add, Duration, Timestamp) => Some(Timestamp),
        (Subtract, Timestamp, Timestamp) | (Add | Subtract, Duration, Duration) => Some(Duration),
        _ => None,
    }
}
