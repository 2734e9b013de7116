//! What names mean: `record`, `user`, `context`, `now`, and the variables of `exists` and `all`.

use super::{Checker, Meaning};
use crate::core::condition::MAX_MISTAKES;
use crate::core::condition::ast::{Ast, AstKind};
use crate::core::condition::near::did_you_mean;
use crate::core::condition::tree::{
    Attribute, Kind, RecordPart, Reports, Shape, Source, Span, Type, UserPart, Variable,
};
use crate::core::model::FieldType;

const ROOTS: [&str; 4] = ["record", "user", "context", "now"];
const REPORTS: [Reports; 2] = [Reports::Direct, Reports::All];

/// Whether `record.NAME` means something without a declaration: such a name cannot be declared.
#[must_use]
pub fn is_built_in(field: &str) -> bool {
    RecordPart::ALL.iter().any(|part| part.name() == field)
}

impl Checker<'_> {
    /// What a name or a path of selections means.
    pub(super) fn meaning(&mut self, ast: &Ast) -> Option<Meaning> {
        let mut path = Vec::new();
        let mut base = ast;
        while let AstKind::Select(of, name, span) = &base.kind {
            path.push((name.as_str(), *span));
            base = of;
        }
        path.reverse();
        let AstKind::Name(root) = &base.kind else {
            return self.refuse(ast.span, "only `record`, `user` and `context` have fields");
        };
        if let Some(at) = self.variables.iter().position(|(name, _)| **name == **root) {
            return self.variable(at, path.first().map(|(_, span)| *span));
        }
        match (root.as_str(), path.as_slice()) {
            ("now", []) => Some(Meaning::Value(Kind::Now, Type::Timestamp)),
            ("now", [(_, span), ..]) => self.refuse(*span, "`now` has no fields"),
            ("record" | "user" | "context", []) => {
                self.refuse(base.span, format!("`{root}` is no value by itself: name one of its fields"))
            }
            ("record", [field, rest @ ..]) => {
                let source = self.record(*field)?;
                self.ending(source, rest)
            }
            ("user", [(name, _), rest @ ..]) if user_list(name).is_some() => {
                let meaning = user_list(name)?;
                self.no_further(rest)?;
                Some(meaning)
            }
            (owner @ ("user" | "context"), [("attributes", span)]) => {
                self.refuse(*span, format!("name an attribute: `{owner}.attributes.x`"))
            }
            ("user", [("attributes", _), (name, _), rest @ ..]) => {
                let shape = self.schema.user_attributes.get(*name).map_or(Shape::One(Type::Dynamic), shape);
                self.ending(Source { attribute: Attribute::UserAttribute((*name).into()), shape }, rest)
            }
            ("context", [("attributes", _), (name, _), rest @ ..]) => {
                let shape = Shape::One(Type::Dynamic);
                self.ending(Source { attribute: Attribute::ContextAttribute((*name).into()), shape }, rest)
            }
            ("user", [field, rest @ ..]) => {
                let source = self.user(*field)?;
                self.ending(source, rest)
            }
            ("context", [("channel", _), rest @ ..]) => {
                self.ending(Source { attribute: Attribute::Channel, shape: Shape::One(Type::String) }, rest)
            }
            ("context", [(name, span), ..]) => {
                let near = did_you_mean(name, ["channel", "attributes"]);
                self.refuse(*span, format!("`context` has no field `{name}`{near}"))
            }
            _ => {
                let variables = self.variables.iter().map(|(name, _)| &**name);
                let near = did_you_mean(root, ROOTS.into_iter().chain(variables));
                let near = if near.is_empty() { self.meant_field(root) } else { near };
                self.refuse(base.span, format!("unknown name `{root}`{near}"))
            }
        }
    }

    /// A field that was named without its `record.`
    fn meant_field(&self, name: &str) -> String {
        let known = is_built_in(name) || self.schema.fields.contains_key(name);
        if known { format!(", did you mean `record.{name}`?") } else { String::new() }
    }

    fn variable(&mut self, at: usize, further: Option<Span>) -> Option<Meaning> {
        let (name, ty) = self.variables.get(at)?.clone();
        if let Some(span) = further {
            return self.refuse(span, format!("`{name}` has no fields"));
        }
        let depth = u8::try_from(at).unwrap_or(u8::MAX);
        Some(Meaning::Value(Kind::Variable(Variable { depth, name }), ty))
    }

    fn no_further(&mut self, rest: &[(&str, Span)]) -> Option<()> {
        match rest.first() {
            Some((name, span)) => self.refuse(*span, format!("there is no field `{name}` here: an attribute has none")),
            None => Some(()),
        }
    }

    fn ending(&mut self, source: Source, rest: &[(&str, Span)]) -> Option<Meaning> {
        self.no_further(rest)?;
        Some(match source.shape {
            Shape::One(ty) => Meaning::One(source, ty),
            Shape::Many(element) => Meaning::Many(source, element),
        })
    }

    fn record(&mut self, (name, span): (&str, Span)) -> Option<Source> {
        if let Some(part) = RecordPart::ALL.into_iter().find(|part| part.name() == name) {
            return Some(Source { attribute: Attribute::Record(part), shape: part.shape() });
        }
        let fields = self.schema.fields;
        let found = fields.iter().enumerate().find(|(_, (field, _))| *field == name);
        let Some((slot, (_, declared))) = found else {
            let known = fields.keys().map(String::as_str).chain(RecordPart::ALL.map(RecordPart::name));
            // Looking for near names costs something: not for mistakes that nobody will see.
            let near = if self.mistakes.len() < MAX_MISTAKES { did_you_mean(name, known) } else { String::new() };
            return self.refuse(span, format!("unknown field `{name}`{near}"));
        };
        let Ok(slot) = u16::try_from(slot) else {
            return self.refuse(span, "too many declared fields");
        };
        Some(Source { attribute: Attribute::Field(slot, name.into()), shape: shape(declared) })
    }

    fn user(&mut self, (name, span): (&str, Span)) -> Option<Source> {
        if let Some(part) = UserPart::ALL.into_iter().find(|part| part.name() == name) {
            return Some(Source { attribute: Attribute::User(part), shape: Shape::One(Type::String) });
        }
        let lists = ["groups", "attributes"].into_iter().chain(REPORTS.map(Reports::name));
        let mut near = did_you_mean(name, UserPart::ALL.map(UserPart::name).into_iter().chain(lists));
        if self.schema.user_attributes.contains_key(name) {
            near = format!(", did you mean `user.attributes.{name}`?");
        }
        self.refuse(span, format!("`user` has no field `{name}`{near}"))
    }
}

fn user_list(name: &str) -> Option<Meaning> {
    if name == "groups" {
        return Some(Meaning::Groups);
    }
    REPORTS.into_iter().find(|reports| reports.name() == name).map(Meaning::Reports)
}

fn shape(declared: &FieldType) -> Shape {
    match declared {
        FieldType::List(element) => Shape::Many(scalar(element)),
        single => Shape::One(scalar(single)),
    }
}

/// A list within a list cannot be declared; its elements would be of no type that anything fits.
fn scalar(declared: &FieldType) -> Type {
    match declared {
        FieldType::String => Type::String,
        FieldType::Int => Type::Int,
        FieldType::Double => Type::Double,
        FieldType::Bool => Type::Bool,
        FieldType::Timestamp => Type::Timestamp,
        FieldType::List(_) => Type::Dynamic,
    }
}
