//! A folded condition as a plan's operand (rule 6.6).
//!
//! The types of both sides are known here, which the evaluation finds out for each record: two that do not
//! go together have no value. What the wire cannot say exactly is an error, never another filter.

use std::cell::Cell;

use crate::core::condition::Operator as Sign;
use crate::core::condition::{
    Attribute, Collection, Comparison, Constant, Expr, Kind, Many, Quantifier, RecordPart, Shape, Source, TextTest,
    Type, Variable, exact_double, is_settled,
};

use super::tree::{Field, Operand, Operator, and, not, or, strict};
use super::{PlanError, field, ids};

/// What was told of relations (rule 6.2): the records whose list has a user, or each record with its list.
pub(super) trait Told {
    /// The ids of the records of whose list that user is told.
    fn of_user(&self, part: RecordPart, user: &str) -> Result<Vec<String>, PlanError>;
    /// Every record of whose list anything is told, and the users in it.
    fn all(&self, part: RecordPart) -> Result<Vec<(String, Vec<String>)>, PlanError>;
}

/// What a condition is said with.
pub(super) struct Saying<'s, T> {
    pub(super) told: &'s T,
    /// How many `exists` and `all` are around.
    depth: Cell<u8>,
}

type Said = Result<(Operand, Type), PlanError>;

impl<'s, T: Told> Saying<'s, T> {
    pub(super) fn new(told: &'s T) -> Self {
        Self { told, depth: Cell::new(0) }
    }

    /// What stands where a bool is asked for.
    pub(super) fn test(&self, expr: &Expr) -> Result<Operand, PlanError> {
        let (operand, ty) = self.value(expr)?;
        Ok(if ty == Type::Bool { operand } else { Operand::Null })
    }

    fn value(&self, expr: &Expr) -> Said {
        let bool = |operand| (operand, Type::Bool);
        if let Kind::Constant(constant) = &expr.kind {
            return Ok((Operand::Value(constant.clone()), constant.ty()));
        }
        if is_settled(expr, self.depth.get()) {
            // Of what was folded: an error by itself.
            return Ok(bool(Operand::Null));
        }
        Ok(match &expr.kind {
            Kind::Read(source) => match (of_record(source)?, source.shape) {
                (field, Shape::One(ty)) if ty != Type::Dynamic => (Operand::Field(field), ty),
                _ => return Err(PlanError::Inexpressible("a list as a single value")),
            },
            Kind::Variable(Variable { name, .. }) if expr.ty != Type::Dynamic => {
                (Operand::Variable(name.clone(), expr.ty), expr.ty)
            }
            Kind::Has(source) => bool(match &source.attribute {
                // Every record has an id, and relation lists are empty where there is nothing.
                Attribute::Record(part) if !matches!(part, RecordPart::Owner | RecordPart::Account) => {
                    Operand::truth(true)
                }
                _ => Operand::Has(of_record(source)?),
            }),
            Kind::Not(inner) => bool(not(self.test(inner)?)),
            Kind::All(parts) => bool(and(self.tests(parts)?)),
            Kind::Any(parts) => bool(or(self.tests(parts)?)),
            Kind::Compare(comparison, sides) => bool(self.comparison(*comparison, sides)?),
            Kind::Text(test, sides) => bool(self.text(*test, sides)?),
            Kind::Negate(inner) => {
                let (operand, ty) = self.value(inner)?;
                combined(Sign::Subtract, (Operand::Value(zero(ty)), ty), (operand, ty))
            }
            Kind::Arithmetic(first, rest) => {
                let mut sum = self.value(first)?;
                for (sign, operand) in rest {
                    sum = combined(*sign, sum, self.value(operand)?);
                }
                sum
            }
            Kind::Length(inner) => match self.value(inner)? {
                (operand, Type::String) => (strict(Operator::Size, vec![operand]), Type::Int),
                _ => bool(Operand::Null),
            },
            Kind::Count(many) => (strict(Operator::Size, vec![Operand::Field(list_field(many)?)]), Type::Int),
            Kind::In(element, many) => bool(self.membership(element, many)?),
            Kind::Quantified(quantifier, many, variable, body) => {
                bool(self.quantified(*quantifier, many, variable, body)?)
            }
            Kind::Constant(_) | Kind::Now | Kind::Variable(_) => {
                return Err(PlanError::TooLarge("a list that a condition asks about"));
            }
        })
    }

    fn tests(&self, parts: &[Expr]) -> Result<Vec<Operand>, PlanError> {
        parts.iter().map(|part| self.test(part)).collect()
    }

    fn comparison(&self, comparison: Comparison, sides: &[Expr; 2]) -> Result<Operand, PlanError> {
        let [left, right] = sides;
        let ((left, left_type), (right, right_type)) = (self.value(left)?, self.value(right)?);
        let fits = left_type == right_type && (left_type != Type::Bool || !comparison.orders())
            || is_number(left_type) && is_number(right_type);
        if !fits {
            return Ok(Operand::Null);
        }
        let operator = match comparison {
            Comparison::Equal => Operator::Eq,
            Comparison::NotEqual => Operator::Ne,
            Comparison::Less => Operator::Lt,
            Comparison::LessOrEqual => Operator::Le,
            Comparison::Greater => Operator::Gt,
            Comparison::GreaterOrEqual => Operator::Ge,
        };
        Ok(strict(operator, vec![left, right]))
    }

    fn text(&self, test: TextTest, sides: &[Expr; 2]) -> Result<Operand, PlanError> {
        let [whole, part] = sides;
        let ((whole, whole_type), (part, part_type)) = (self.value(whole)?, self.value(part)?);
        if (whole_type, part_type) != (Type::String, Type::String) {
            return Ok(Operand::Null);
        }
        let operator = match test {
            TextTest::StartsWith => Operator::StartsWith,
            TextTest::EndsWith => Operator::EndsWith,
            TextTest::Contains => Operator::Contains,
        };
        Ok(strict(operator, vec![whole, part]))
    }

    fn membership(&self, element: &Expr, many: &Many) -> Result<Operand, PlanError> {
        let (element, ty) = self.value(element)?;
        if element == Operand::Null {
            return Ok(Operand::Null);
        }
        let source = match &many.collection {
            Collection::Constants(constants) => return Ok(within(element, ty, constants)),
            Collection::Read(source) => source,
            Collection::Groups => return Err(PlanError::Inexpressible("groups as a list of their own")),
            Collection::Reports(_) => return Err(PlanError::TooLarge("the reports of the principal")),
        };
        if let Attribute::Record(part) = source.attribute {
            return self.related(element, ty, part);
        }
        let list = Operand::Field(of_record(source)?);
        let size = || strict(Operator::Size, vec![list.clone()]);
        let compared = |operator| strict(operator, vec![size(), Operand::Value(Constant::Int(0))]);
        // False where there is a list at all.
        let never = || compared(Operator::Lt);
        Ok(match (element, ty, many.element) {
            (element, ty, of) if ty == of => strict(Operator::In, vec![element, list]),
            (Operand::Value(value), _, of @ (Type::Int | Type::Double)) if is_number(ty) => match as_number(&value, of)
            {
                Some(value) => strict(Operator::In, vec![Operand::Value(value), list]),
                None => never(),
            },
            (element, Type::Int | Type::Double, Type::Int | Type::Double) => strict(Operator::In, vec![element, list]),
            // An empty list has nothing; of others, each element is of another type.
            (Operand::Value(_), ..) => and([compared(Operator::Ne), Operand::Null]),
            _ => return Err(PlanError::Inexpressible("a value of one type in a list of another")),
        })
    }

    /// Rule 6.2: the caller's list, empty where there is none, and what was told. Where the caller keeps it there is
    /// nothing else: a list of another type, which is an error if it is sent (6.3), is in no typed column.
    fn related(&self, element: Operand, ty: Type, part: RecordPart) -> Result<Operand, PlanError> {
        if ty != Type::String {
            return Err(PlanError::Inexpressible("what is no text in a relation list"));
        }
        let list = field(part.name(), Shape::Many(Type::String));
        let sent = and([Operand::Has(list.clone()), strict(Operator::In, vec![element.clone(), Operand::Field(list)])]);
        if let Operand::Value(Constant::String(user)) = &element {
            return Ok(or([sent, ids(self.told.of_user(part, user)?)]));
        }
        let told = self.told.all(part)?.into_iter().map(|(id, users)| {
            let users = Operand::List(users.into_iter().map(|user| Constant::String(user.into())).collect());
            and([ids(vec![id]), strict(Operator::In, vec![element.clone(), users])])
        });
        // Without value where the element has none, list or no list.
        let known = strict(Operator::Ne, vec![element.clone(), element.clone()]);
        Ok(or([sent].into_iter().chain(told).chain([known])))
    }

    fn quantified(
        &self,
        quantifier: Quantifier,
        many: &Many,
        variable: &Variable,
        body: &Expr,
    ) -> Result<Operand, PlanError> {
        let list = match &many.collection {
            Collection::Constants(constants) if many.element != Type::Dynamic => Operand::List(constants.to_vec()),
            Collection::Constants(_) => return Err(PlanError::TooLarge("a list that a condition asks about")),
            _ => Operand::Field(list_field(many)?),
        };
        let around = self.depth.replace(variable.depth + 1);
        let body = self.test(body);
        self.depth.set(around);
        let element = Operand::Variable(variable.name.clone(), many.element);
        let lambda = Operand::Expression(Operator::Lambda, vec![body?, element]);
        let operator = match quantifier {
            Quantifier::Exists => Operator::Exists,
            Quantifier::All => Operator::All,
        };
        Ok(Operand::Expression(operator, vec![list, lambda]))
    }
}

fn of_record(source: &Source) -> Result<Field, PlanError> {
    match &source.attribute {
        Attribute::Field(_, name) => Ok(field(name, source.shape)),
        Attribute::Record(part) => Ok(field(part.name(), source.shape)),
        _ => Err(PlanError::TooLarge("a list that a condition asks about")),
    }
}

/// The list that `size`, `exists` and `all` ask about. What was told of a relation is not in the caller's,
/// and a user may be in both.
fn list_field(many: &Many) -> Result<Field, PlanError> {
    match &many.collection {
        Collection::Read(source) => match &source.attribute {
            Attribute::Record(_) => Err(PlanError::Inexpressible("`size`, `exists` or `all` of a relation list")),
            _ => of_record(source),
        },
        _ => Err(PlanError::TooLarge("a list that a condition asks about")),
    }
}

fn is_number(ty: Type) -> bool {
    matches!(ty, Type::Int | Type::Double)
}

fn zero(ty: Type) -> Constant {
    if ty == Type::Double { Constant::Double(0.0) } else { Constant::Int(0) }
}

/// `element in [constants]`: those of its own type; of the others, none is comparable.
fn within(element: Operand, ty: Type, constants: &[Constant]) -> Operand {
    let comparable = |constant: &&Constant| constant.ty() == ty || is_number(constant.ty()) && is_number(ty);
    let all = constants.iter().all(|constant| comparable(&constant));
    let same = constants.iter().filter(comparable).filter_map(|constant| as_number(constant, ty));
    let found = strict(Operator::In, vec![element, Operand::List(same.collect())]);
    if all { found } else { or([found, Operand::Null]) }
}

/// The same number as of another type; none if there is none, which then equals nothing of that type.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "taken only if nothing was lost")]
fn as_number(constant: &Constant, ty: Type) -> Option<Constant> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    match (constant, ty) {
        (Constant::Int(int), Type::Double) => {
            let double = *int as f64;
            let exact = double < BEYOND && double as i64 == *int;
            exact.then_some(Constant::Double(double))
        }
        (Constant::Double(double), Type::Int) => {
            let whole = double.trunc().to_bits() == double.to_bits() || *double == 0.0;
            let exact = whole && (-BEYOND..BEYOND).contains(double);
            exact.then_some(Constant::Int(*double as i64))
        }
        _ => Some(constant.clone()),
    }
}

/// `left sign right`, by the types that the evaluation combines.
fn combined(sign: Sign, left: (Operand, Type), right: (Operand, Type)) -> (Operand, Type) {
    use Type::{Double, Duration, Int, String, Timestamp};
    let (operator, adds) = match sign {
        Sign::Add => (Operator::Add, true),
        Sign::Subtract => (Operator::Sub, true),
        Sign::Multiply => (Operator::Mult, false),
        Sign::Divide => (Operator::Div, false),
        Sign::Remainder => (Operator::Mod, false),
    };
    let ty = match (sign, left.1, right.1) {
        (_, Int, Int) => Int,
        (Sign::Remainder, ..) => return (Operand::Null, Type::Bool),
        (_, Double | Int, Double | Int) => Double,
        (Sign::Add, String, String) => String,
        (_, Timestamp, Duration) if adds => Timestamp,
        (Sign::Add, Duration, Timestamp) => Timestamp,
        (Sign::Subtract, Timestamp, Timestamp) => Duration,
        (_, Duration, Duration) if adds => Duration,
        _ => return (Operand::Null, Type::Bool),
    };
    // An int becomes a double if it can exactly.
    let side = |(operand, of): (Operand, Type)| match operand {
        Operand::Value(Constant::Int(int)) if ty == Double && of == Int => {
            exact_double(int).map_or(Operand::Null, |double| Operand::Value(Constant::Double(double)))
        }
        operand => operand,
    };
    (strict(operator, vec![side(left), side(right)]), ty)
}
