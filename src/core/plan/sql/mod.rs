//! A plan as SQL: the text of a condition, and the values that are bound to its parameters. No value is ever
//! part of the text.
//!
//! The text is of a boolean over a table whose alias is `record`, with a column for each field (rule 6.6):
//!
//! ```sql
//! SELECT … FROM invoices AS record WHERE <text>
//! ```
//!
//! NULL is what rule 6.3 calls an error, which the plan's operators and SQL's treat alike; where they do not,
//! and where a database raises what is an error of one record only, the text says it the long way. What
//! differs between databases is their [`Speech`], and the only thing that does.
//!
//! An operand that has to be written twice is named first ([`pair`]): a text that grew twofold with each
//! level would have no bound.

mod postgres;
mod sqlite;

use crate::core::condition::{Constant, Shape, Type};
use crate::core::model::Value;

use super::tree::{Field, Operand, Operator};
use super::{Filter, PlanError};

/// Parameters of a text; SQLite takes 32,766.
const MAX_PARAMETERS: usize = 30_000;

/// Whose SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// PostgreSQL from 14, of an UTF-8 database. Columns are `text` (of a deterministic collation), `bigint`,
    /// `double precision` (finite), `boolean`, `timestamptz` (whole milliseconds) and arrays of these.
    /// Parameters are `$1`, `$2` and so on, each with its type beside it.
    PostgreSql,
    /// SQLite from 3.38. Columns are `TEXT`, `INTEGER`, `REAL`, `INTEGER` 0 or 1 for a bool, `INTEGER`
    /// milliseconds since 1970 for an instant, and for a list `TEXT` with a JSON array of these, its bools as
    /// `true` and `false`. Parameters are `?1`, `?2` and so on.
    Sqlite,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::PostgreSql, Self::Sqlite];
}

/// A condition for a database.
#[derive(Debug, Clone, PartialEq)]
pub struct Sql {
    /// The condition, over columns of the alias `record`.
    pub text: String,
    /// What is bound to its parameters, the first to the first.
    pub parameters: Vec<Value>,
}

/// The same filter for a database: `TRUE` and `FALSE` for those that are the same for every record.
///
/// # Errors
/// [`PlanError::Inexpressible`] for a field whose name the database would cut, or an instant that it does not
/// know; [`PlanError::TooLarge`] for too many parameters.
pub fn sql(filter: &Filter, dialect: Dialect) -> Result<Sql, PlanError> {
    let speech: &dyn Speech = match dialect {
        Dialect::PostgreSql => &postgres::PostgreSql,
        Dialect::Sqlite => &sqlite::Sqlite,
    };
    let mut writing = Writing { speech, bound: Vec::new(), variables: Vec::new() };
    let text = match filter {
        Filter::Always => "TRUE".to_owned(),
        Filter::Never(_) => "FALSE".to_owned(),
        Filter::Conditional(condition) => writing.single(condition)?.text,
    };
    if writing.bound.len() > MAX_PARAMETERS {
        return Err(PlanError::TooLarge("what is bound to parameters"));
    }
    Ok(Sql { text, parameters: writing.bound })
}

/// What is bound, in order.
type Bound = Vec<Value>;

/// A single value, written. Its text may stand beside any operator.
#[derive(Clone)]
struct Single {
    text: String,
    ty: Type,
    /// Whether arithmetic made it: of a database that has types of its own for instants, a number of
    /// milliseconds.
    made: bool,
}

/// A list, written.
struct Many {
    text: String,
    of: Type,
    /// How many, of constants; none of a field's.
    count: Option<usize>,
}

/// How a database says what databases say differently.
trait Speech {
    /// A constant, bound.
    fn bind(&self, constant: &Constant, bound: &mut Bound) -> Single;

    /// Constants, of which there is at least one, bound.
    fn bind_all(&self, constants: &[Constant], of: Type, bound: &mut Bound) -> Result<Many, PlanError>;

    /// A field's name, quoted.
    fn name(&self, name: &str) -> Result<String, PlanError>;

    /// The list in a column; NULL if it has a NULL in it.
    fn list(&self, column: &str) -> String;

    /// Keeps a subquery from being dissolved into the one around, which would evaluate its operands where they
    /// are not wanted, and once for each mention.
    fn fence(&self) -> &'static str;

    /// `left sign right`, of types that go together.
    fn compared(&self, sign: &str, left: &Single, right: &Single) -> String;

    /// Whether a list has a value; NULL if either has none.
    fn among(&self, element: &Single, list: &Many) -> String;

    /// `contains`, `startsWith`, `endsWith`.
    fn tested(&self, operator: Operator, whole: &str, part: &str) -> String;

    /// A text's code points.
    fn length(&self, text: &str) -> String;

    /// A list's elements.
    fn count(&self, list: &Many) -> String;

    /// The value of two numbers, or of instants and durations, `ty`; NULL where it has none.
    fn arithmetic(&self, operator: Operator, left: &Single, right: &Single, ty: Type) -> String;

    /// Two texts as one, unless it is longer than [`MAX_JOINED_BYTES`](crate::core::condition::MAX_JOINED_BYTES).
    fn joined(&self, left: &str, right: &str) -> String;

    /// A list's elements as something to select from, under that name.
    fn elements(&self, list: &Many, name: &str) -> String;

    /// One of these elements.
    fn element(&self, name: &str, of: Type) -> String;
}

/// `body` of two operands that it may mention more than once, as `p.a` and `p.b`.
fn pair(speech: &dyn Speech, left: &str, right: &str, body: &str) -> String {
    format!("(SELECT {body} FROM (SELECT {left} AS a, {right} AS b{}) AS p)", speech.fence())
}

/// A value as long as that is true of it, which mentions it as `t.v`.
fn checked(speech: &dyn Speech, value: &str, check: &str) -> String {
    format!("(SELECT t.v FROM (SELECT {value} AS v{}) AS t WHERE {check})", speech.fence())
}

struct Writing<'s> {
    speech: &'s dyn Speech,
    bound: Bound,
    /// The elements that are asked about, innermost last: as the plan calls them, as the text does, and of
    /// which type.
    variables: Vec<(Box<str>, String, Type)>,
}

impl Writing<'_> {
    fn single(&mut self, operand: &Operand) -> Result<Single, PlanError> {
        let test = |text: String| Single { text, ty: Type::Bool, made: false };
        Ok(match operand {
            // Of a bool's type.
            Operand::Null => test("(1 = NULL)".to_owned()),
            Operand::List(_) => return Err(LONE),
            Operand::Value(Constant::Bool(truth)) => test(if *truth { "TRUE" } else { "FALSE" }.to_owned()),
            Operand::Value(constant) => self.speech.bind(constant, &mut self.bound),
            Operand::Field(field) => Single { text: self.column(field)?, ty: of(field.shape), made: false },
            Operand::Has(field) => test(format!("({} IS NOT NULL)", self.column(field)?)),
            Operand::Variable(name, _) => {
                let known = self.variables.iter().rev().find(|(of, ..)| of == name).ok_or(LONE)?;
                Single { text: self.speech.element(&known.1, known.2), ty: known.2, made: false }
            }
            Operand::Expression(operator, operands) => match (operator, operands.as_slice()) {
                (Operator::And, parts) => test(self.junction("AND", "TRUE", parts)?),
                (Operator::Or, parts) => test(self.junction("OR", "FALSE", parts)?),
                (Operator::Not, [inner]) => test(format!("(NOT {})", self.single(inner)?.text)),
                (Operator::In, [element, list]) => test(self.among(element, list)?),
                (Operator::Size, [Operand::Field(Field { shape: Shape::Many(_), .. })]) => {
                    let list = self.many(operands.first().unwrap_or(&Operand::Null))?;
                    Single { text: self.speech.count(&list), ty: Type::Int, made: false }
                }
                (Operator::Size, [text]) => {
                    let text = self.single(text)?.text;
                    Single { text: self.speech.length(&text), ty: Type::Int, made: false }
                }
                (Operator::Exists, [list, lambda]) => test(self.asked_of_each(list, lambda, true)?),
                (Operator::All, [list, lambda]) => test(self.asked_of_each(list, lambda, false)?),
                (operator, [left, right]) => {
                    let (left, right) = (self.single(left)?, self.single(right)?);
                    self.both(*operator, &left, &right)?
                }
                _ => return Err(LONE),
            },
        })
    }

    fn both(&self, operator: Operator, left: &Single, right: &Single) -> Result<Single, PlanError> {
        let sign = match operator {
            Operator::Eq => "=",
            Operator::Ne => "<>",
            Operator::Lt => "<",
            Operator::Le => "<=",
            Operator::Gt => ">",
            Operator::Ge => ">=",
            Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
                let text = self.speech.tested(operator, &left.text, &right.text);
                return Ok(Single { text, ty: Type::Bool, made: false });
            }
            Operator::Add | Operator::Sub | Operator::Mult | Operator::Div | Operator::Mod => {
                let ty = result(operator, left.ty, right.ty);
                let text = match ty {
                    Type::String => self.speech.joined(&left.text, &right.text),
                    _ => self.speech.arithmetic(operator, left, right, ty),
                };
                return Ok(Single { text, ty, made: true });
            }
            _ => return Err(LONE),
        };
        Ok(Single { text: self.speech.compared(sign, left, right), ty: Type::Bool, made: false })
    }

    /// In halves: a database that parses a chain as one branch has a limit to its depth.
    fn junction(&mut self, sign: &str, nothing: &str, parts: &[Operand]) -> Result<String, PlanError> {
        Ok(match parts {
            [] => nothing.to_owned(),
            [only] => self.single(only)?.text,
            _ => {
                let (left, right) = parts.split_at(parts.len() / 2);
                let (left, right) = (self.junction(sign, nothing, left)?, self.junction(sign, nothing, right)?);
                format!("({left} {sign} {right})")
            }
        })
    }

    fn among(&mut self, element: &Operand, list: &Operand) -> Result<String, PlanError> {
        let element = self.single(element)?;
        if matches!(list, Operand::List(constants) if constants.is_empty()) {
            return Ok(format!("(CASE WHEN {} IS NOT NULL THEN FALSE END)", element.text));
        }
        let list = self.many(list)?;
        Ok(self.speech.among(&element, &list))
    }

    /// `exists`, or `all`, as SQL's own quantifiers would not say it: NULL where an element that could have
    /// settled it gave no answer.
    fn asked_of_each(&mut self, list: &Operand, lambda: &Operand, exists: bool) -> Result<String, PlanError> {
        let Operand::Expression(Operator::Lambda, lambda) = lambda else { return Err(LONE) };
        let [body, Operand::Variable(variable, _)] = lambda.as_slice() else { return Err(LONE) };
        if matches!(list, Operand::List(constants) if constants.is_empty()) {
            return Ok(if exists { "FALSE" } else { "TRUE" }.to_owned());
        }
        let list = self.many(list)?;
        let name = format!("e{}", self.variables.len());
        self.variables.push((variable.clone(), name.clone(), list.of));
        let body = self.single(body);
        self.variables.pop();
        let elements = self.speech.elements(&list, &name);
        let (body, fence) = (body?.text, self.speech.fence());
        let (decisive, settled, otherwise) =
            if exists { ("t.v", "TRUE", "FALSE") } else { ("NOT t.v", "FALSE", "TRUE") };
        let answer = format!(
            "(SELECT CASE WHEN count(CASE WHEN {decisive} THEN 1 END) > 0 THEN {settled} \
             WHEN count(t.v) = count(*) THEN {otherwise} END FROM (SELECT {body} AS v FROM {elements}{fence}) AS t)"
        );
        Ok(if list.count.is_some() {
            answer
        } else {
            format!("(CASE WHEN {} IS NOT NULL THEN {answer} END)", list.text)
        })
    }

    fn many(&mut self, list: &Operand) -> Result<Many, PlanError> {
        match list {
            Operand::Field(field) => Ok(Many { text: self.column(field)?, of: of(field.shape), count: None }),
            Operand::List(constants) => {
                let of = constants.first().map_or(Type::Bool, Constant::ty);
                self.speech.bind_all(constants, of, &mut self.bound)
            }
            _ => Err(LONE),
        }
    }

    fn column(&self, field: &Field) -> Result<String, PlanError> {
        let column = format!("record.{}", self.speech.name(&field.name)?);
        Ok(if let Shape::Many(_) = field.shape { self.speech.list(&column) } else { column })
    }
}

/// No plan has an operator with other operands than its own.
const LONE: PlanError = PlanError::Inexpressible("an operand out of its place");

fn of(shape: Shape) -> Type {
    match shape {
        Shape::One(ty) | Shape::Many(ty) => ty,
    }
}

/// The type of what arithmetic makes of two operands of a plan, which go together.
fn result(operator: Operator, left: Type, right: Type) -> Type {
    use Type::{Double, Duration, Timestamp};
    match (left, right) {
        (Timestamp, Timestamp) if operator == Operator::Sub => Duration,
        (Timestamp, _) | (_, Timestamp) => Timestamp,
        (Double, _) | (_, Double) => Double,
        (same, _) => same,
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
