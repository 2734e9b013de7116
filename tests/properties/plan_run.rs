//! A plan run over records as a database would: in three values, by what `core::plan` says of each operator,
//! and by nothing of the library's evaluation.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use doorward::core::condition::{Constant, Shape, Type};
use doorward::core::plan::{Field, Operand, Operator};

use crate::oracle::RecordQ;
use crate::oracle::conditions::Attribute;

/// A value, or none.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Time(i64),
    Duration(i64),
    List(Vec<Cell>),
}

/// A record as its caller keeps it: columns by name, those that are null left out.
pub type Row = BTreeMap<String, Attribute>;

/// The same record without what no typed column can hold and is an error if it is sent: a relation list that is no
/// list of texts. (Of a declared field, what is of another type is missing, as a null is.)
pub fn kept(mut record: RecordQ) -> RecordQ {
    let is_text = |user: &Attribute| matches!(user, Attribute::String(_));
    record.attributes.retain(|name, value| match (name.as_str(), value) {
        ("watchers" | "assignees" | "mentioned" | "shared_with", Attribute::List(users)) => users.iter().all(is_text),
        ("watchers" | "assignees" | "mentioned" | "shared_with", value) => *value == Attribute::Null,
        _ => true,
    });
    record
}

/// What a caller keeps of a record (see `core::plan`): its owner as a condition reads it.
pub fn row(record: &RecordQ) -> Row {
    let mut row = record.attributes.clone();
    row.retain(|name, _| !matches!(name.as_str(), "id" | "owner" | "account"));
    row.insert("id".into(), Attribute::String(record.id.clone()));
    let owner = record.owner.as_deref().map(|owner| owner.strip_prefix("user:").unwrap_or(owner));
    for (name, value) in [("owner", owner), ("account", record.account.as_deref())] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            row.insert(name.into(), Attribute::String(value.into()));
        }
    }
    row
}

/// Whether the record passes.
pub fn passes(condition: &Operand, row: &Row) -> bool {
    run(condition, row, &mut Vec::new()) == Cell::Bool(true)
}

fn run(operand: &Operand, row: &Row, variables: &mut Vec<(String, Cell)>) -> Cell {
    match operand {
        Operand::Null => Cell::Null,
        Operand::Value(constant) => cell(constant),
        Operand::List(constants) => Cell::List(constants.iter().map(cell).collect()),
        Operand::Field(field) => read(field, row),
        Operand::Has(field) => Cell::Bool(read(field, row) != Cell::Null),
        Operand::Variable(name, _) => {
            variables.iter().find(|(of, _)| of.as_str() == &**name).map(|(_, value)| value.clone()).unwrap()
        }
        Operand::Expression(Operator::And, parts) => {
            settled(false, parts.iter().map(|part| run(part, row, variables)).collect())
        }
        Operand::Expression(Operator::Or, parts) => {
            settled(true, parts.iter().map(|part| run(part, row, variables)).collect())
        }
        Operand::Expression(operator @ (Operator::Exists | Operator::All), parts) => {
            let [list, Operand::Expression(Operator::Lambda, lambda)] = parts.as_slice() else { panic!("{parts:?}") };
            let [body, Operand::Variable(name, _)] = lambda.as_slice() else { panic!("{lambda:?}") };
            let Cell::List(elements) = run(list, row, variables) else { return Cell::Null };
            let mut ask = |element| {
                variables.push((name.to_string(), element));
                let answer = run(body, row, variables);
                variables.pop();
                answer
            };
            settled(*operator == Operator::Exists, elements.into_iter().map(&mut ask).collect())
        }
        Operand::Expression(operator, parts) => {
            let values: Vec<Cell> = parts.iter().map(|part| run(part, row, variables)).collect();
            if values.contains(&Cell::Null) { Cell::Null } else { strict(*operator, &values) }
        }
    }
}

fn settled(decisive: bool, values: Vec<Cell>) -> Cell {
    if values.contains(&Cell::Bool(decisive)) {
        return Cell::Bool(decisive);
    }
    if values.contains(&Cell::Null) { Cell::Null } else { Cell::Bool(!decisive) }
}

fn strict(operator: Operator, values: &[Cell]) -> Cell {
    use Operator::*;
    match (operator, values) {
        (Not, [Cell::Bool(value)]) => Cell::Bool(!value),
        (Size, [Cell::Text(text)]) => Cell::Int(text.chars().count() as i64),
        (Size, [Cell::List(list)]) => Cell::Int(list.len() as i64),
        (Contains, [Cell::Text(whole), Cell::Text(part)]) => Cell::Bool(whole.contains(part.as_str())),
        (StartsWith, [Cell::Text(whole), Cell::Text(part)]) => Cell::Bool(whole.starts_with(part.as_str())),
        (EndsWith, [Cell::Text(whole), Cell::Text(part)]) => Cell::Bool(whole.ends_with(part.as_str())),
        (In, [element, Cell::List(list)]) => {
            Cell::Bool(list.iter().any(|other| order(element, other) == Ordering::Equal))
        }
        (Eq | Ne | Lt | Le | Gt | Ge, [left, right]) => {
            let order = order(left, right);
            Cell::Bool(match operator {
                Eq => order.is_eq(),
                Ne => order.is_ne(),
                Lt => order.is_lt(),
                Le => order.is_le(),
                Gt => order.is_gt(),
                _ => order.is_ge(),
            })
        }
        (Add | Sub | Mult | Div | Mod, [left, right]) => arithmetic(operator, left, right),
        _ => panic!("{operator:?} of {values:?}"),
    }
}

/// Panics where two types do not go together: a plan has no such operands.
fn order(left: &Cell, right: &Cell) -> Ordering {
    match (left, right) {
        (Cell::Bool(left), Cell::Bool(right)) => left.cmp(right),
        (Cell::Text(left), Cell::Text(right)) => left.as_bytes().cmp(right.as_bytes()),
        (Cell::Int(left), Cell::Int(right))
        | (Cell::Time(left), Cell::Time(right))
        | (Cell::Duration(left), Cell::Duration(right)) => left.cmp(right),
        (Cell::Double(left), Cell::Double(right)) => left.partial_cmp(right).unwrap(),
        (Cell::Int(left), Cell::Double(right)) => mixed(*left, *right),
        (Cell::Double(left), Cell::Int(right)) => mixed(*right, *left).reverse(),
        _ => panic!("{left:?} compared with {right:?}"),
    }
}

/// By way of 128 bits, where every double of this size is exact.
fn mixed(int: i64, double: f64) -> Ordering {
    if double.abs() > 1e30 {
        return if double > 0.0 { Ordering::Less } else { Ordering::Greater };
    }
    let floor = double.floor();
    i128::from(int).cmp(&(floor as i128)).then(if double > floor { Ordering::Less } else { Ordering::Equal })
}

fn arithmetic(operator: Operator, left: &Cell, right: &Cell) -> Cell {
    use Operator::*;
    let whole = |left: i64, right: i64| match operator {
        Add => left.checked_add(right),
        Sub => left.checked_sub(right),
        Mult => left.checked_mul(right),
        Div => left.checked_div(right),
        _ => left.checked_rem(right),
    };
    let float = |left: f64, right: f64| {
        let result = match operator {
            Add => left + right,
            Sub => left - right,
            Mult => left * right,
            _ if right == 0.0 => f64::NAN,
            _ => left / right,
        };
        if result.is_finite() { Cell::Double(result) } else { Cell::Null }
    };
    let exact = |int: i64| (int.unsigned_abs() <= 1 << 53).then_some(int as f64);
    match (left, right) {
        (Cell::Int(left), Cell::Int(right)) => whole(*left, *right).map_or(Cell::Null, Cell::Int),
        (Cell::Double(left), Cell::Double(right)) => float(*left, *right),
        (Cell::Int(left), Cell::Double(right)) => exact(*left).map_or(Cell::Null, |left| float(left, *right)),
        (Cell::Double(left), Cell::Int(right)) => exact(*right).map_or(Cell::Null, |right| float(*left, right)),
        (Cell::Text(left), Cell::Text(right)) => Cell::Text(format!("{left}{right}")),
        (Cell::Time(left), Cell::Time(right)) => whole(*left, *right).map_or(Cell::Null, Cell::Duration),
        (Cell::Duration(left), Cell::Duration(right)) => whole(*left, *right).map_or(Cell::Null, Cell::Duration),
        (Cell::Time(left), Cell::Duration(right)) | (Cell::Duration(left), Cell::Time(right)) => {
            whole(*left, *right).map_or(Cell::Null, Cell::Time)
        }
        _ => panic!("{operator:?} of {left:?} and {right:?}"),
    }
}

fn cell(constant: &Constant) -> Cell {
    match constant {
        Constant::Bool(value) => Cell::Bool(*value),
        Constant::Int(value) => Cell::Int(*value),
        Constant::Double(value) => Cell::Double(*value),
        Constant::String(text) => Cell::Text(text.to_string()),
        Constant::Timestamp(ms) => Cell::Time(*ms),
        Constant::Duration(ms) => Cell::Duration(*ms),
    }
}

/// What a typed column holds of what was sent: null, where that is of another type.
pub fn read(field: &Field, row: &Row) -> Cell {
    let value = row.get(&*field.name).unwrap_or(&Attribute::Null);
    match (field.shape, value) {
        (Shape::One(ty), value) => single(value, ty),
        (Shape::Many(ty), Attribute::List(values)) => {
            let cells: Vec<Cell> = values.iter().map(|value| single(value, ty)).collect();
            if cells.contains(&Cell::Null) { Cell::Null } else { Cell::List(cells) }
        }
        (Shape::Many(_), _) => Cell::Null,
    }
}

fn single(value: &Attribute, ty: Type) -> Cell {
    match (value, ty) {
        (Attribute::Bool(value), Type::Bool) => Cell::Bool(*value),
        (Attribute::Int(value), Type::Int) => Cell::Int(*value),
        (Attribute::Int(value), Type::Double) if value.unsigned_abs() <= 1 << 53 => Cell::Double(*value as f64),
        (Attribute::Double(value), Type::Double) => Cell::Double(*value),
        (Attribute::String(text), Type::String) => Cell::Text(text.clone()),
        (Attribute::Timestamp(ms), Type::Timestamp) => Cell::Time(*ms),
        _ => Cell::Null,
    }
}
