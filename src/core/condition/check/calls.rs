//! Functions and methods: each once, with the way it is written.

use super::{Checker, Meaning};
use crate::core::condition::MAX_QUANTIFIERS;
use crate::core::condition::ast::{Ast, AstKind, Call};
use crate::core::condition::literal::{parse_duration, parse_timestamp};
use crate::core::condition::near::did_you_mean;
use crate::core::condition::tree::{Collection, Constant, Kind, Quantifier, Span, TextTest, Type, Variable};

const KNOWN: [&str; 9] =
    ["startsWith", "endsWith", "contains", "size", "exists", "all", "has", "timestamp", "duration"];

type Typing = (Kind, Type);

impl Checker<'_> {
    pub(super) fn call(&mut self, call: &Call, span: Span) -> Option<Typing> {
        match (call.name.as_str(), call.receiver.as_deref(), call.arguments.as_slice()) {
            ("startsWith", Some(text), [part]) => self.text(TextTest::StartsWith, text, part),
            ("endsWith", Some(text), [part]) => self.text(TextTest::EndsWith, text, part),
            ("contains", Some(text), [part]) => self.text(TextTest::Contains, text, part),
            ("startsWith" | "endsWith" | "contains", ..) => self.written(call, "text.NAME(part)"),
            ("size", Some(of), []) | ("size", None, [of]) => self.size(of),
            ("size", ..) => self.written(call, "NAME(list)` or `list.NAME()"),
            ("exists", Some(of), [variable, body]) => self.quantified(Quantifier::Exists, of, variable, body, span),
            ("all", Some(of), [variable, body]) => self.quantified(Quantifier::All, of, variable, body, span),
            ("exists" | "all", ..) => self.written(call, "list.NAME(x, x == …)"),
            ("has", None, [of]) => self.has(of),
            ("has", ..) => self.written(call, "NAME(record.field)"),
            ("timestamp", None, [text]) => {
                let read =
                    |text: &str| Ok((Kind::Constant(Constant::Timestamp(parse_timestamp(text)?)), Type::Timestamp));
                self.written_out(call, text, read)
            }
            ("timestamp", ..) => self.written(call, "NAME(\"2026-01-31T12:00:00Z\")"),
            ("duration", None, [text]) => {
                let read = |text: &str| Ok((Kind::Constant(Constant::Duration(parse_duration(text)?)), Type::Duration));
                self.written_out(call, text, read)
            }
            ("duration", ..) => self.written(call, "NAME(\"1h30m\")"),
            ("matches", ..) => {
                self.refuse(call.name_span, "`matches` is not supported: use `startsWith`, `endsWith` or `contains`")
            }
            ("exists_one" | "map" | "filter", ..) => {
                self.refuse(call.name_span, format!("`{}` is not supported: use `exists` or `all`", call.name))
            }
            (name, ..) => {
                self.refuse(call.name_span, format!("unknown function `{name}`{}", did_you_mean(name, KNOWN)))
            }
        }
    }

    /// Refuses a call of something known in another form than its own.
    fn written(&mut self, call: &Call, form: &str) -> Option<Typing> {
        let form = form.replace("NAME", &call.name);
        self.refuse(call.name_span, format!("`{}` is written `{form}`", call.name))
    }

    fn text(&mut self, test: TextTest, whole: &Ast, part: &Ast) -> Option<Typing> {
        let name = test.name();
        if test == TextTest::Contains && self.is_list(whole) {
            return self.refuse(whole.span, "`contains` is of texts: write `x in list`");
        }
        let whole = self.string(whole, &format!("what `{name}` is asked of"));
        let part = self.string(part, &format!("what `{name}` looks for"));
        Some((Kind::Text(test, Box::new([whole?, part?])), Type::Bool))
    }

    /// What a path means, if it is one. Notes no mistake.
    fn glimpse(&mut self, ast: &Ast) -> Option<Meaning> {
        let before = self.mistakes.len();
        let path = matches!(ast.kind, AstKind::Name(_) | AstKind::Select(..));
        let meaning = if path { self.meaning(ast) } else { None };
        self.mistakes.truncate(before);
        meaning
    }

    fn is_list(&mut self, ast: &Ast) -> bool {
        matches!(ast.kind, AstKind::List(_))
            || matches!(self.glimpse(ast), Some(Meaning::Many(..) | Meaning::Groups | Meaning::Reports(_)))
    }

    fn size(&mut self, of: &Ast) -> Option<Typing> {
        if self.is_list(of) || matches!(self.glimpse(of), Some(Meaning::One(_, Type::Dynamic))) {
            let many = self.many(of, "what `size` counts")?;
            if let Collection::Reports(_) = many.collection {
                return self.only_right_of_in(of.span);
            }
            return Some((Kind::Count(many), Type::Int));
        }
        let text = self.value(of)?;
        if !matches!(text.ty, Type::String | Type::Dynamic) {
            let message = format!("what `size` counts must be a list or a string, this is {}", text.ty.with_article());
            return self.refuse(of.span, message);
        }
        Some((Kind::Length(Box::new(text)), Type::Int))
    }

    fn has(&mut self, of: &Ast) -> Option<Typing> {
        if !matches!(of.kind, AstKind::Select(..)) {
            return self.refuse(of.span, "`has` asks for a field: write `has(record.field)`");
        }
        match self.meaning(of)? {
            Meaning::One(source, _) | Meaning::Many(source, _) => Some((Kind::Has(source), Type::Bool)),
            Meaning::Reports(_) => self.only_right_of_in(of.span),
            Meaning::Groups | Meaning::Value(..) => {
                let excerpt = self.excerpt(of.span);
                self.refuse(of.span, format!("`{excerpt}` is never missing"))
            }
        }
    }

    fn written_out(
        &mut self,
        call: &Call,
        text: &Ast,
        read: impl Fn(&str) -> Result<Typing, &'static str>,
    ) -> Option<Typing> {
        let AstKind::Constant(Constant::String(literal)) = &text.kind else {
            return self.refuse(text.span, format!("`{}` takes a text in quotes only", call.name));
        };
        match read(literal) {
            Ok(typing) => Some(typing),
            Err(reason) => {
                let excerpt = self.excerpt(text.span);
                self.refuse(text.span, format!("`{excerpt}` {reason}"))
            }
        }
    }

    fn quantified(
        &mut self,
        quantifier: Quantifier,
        of: &Ast,
        variable: &Ast,
        body: &Ast,
        span: Span,
    ) -> Option<Typing> {
        let name = quantifier.name();
        if self.variables.len() == MAX_QUANTIFIERS {
            return self.refuse(span, format!("`exists` and `all` nest no more than {MAX_QUANTIFIERS} deep"));
        }
        let many = self.many(of, &format!("what `{name}` asks about"));
        if matches!(&many, Some(many) if matches!(many.collection, Collection::Reports(_))) {
            return self.only_right_of_in(of.span);
        }
        let AstKind::Name(variable_name) = &variable.kind else {
            return self.refuse(variable.span, format!("the first argument of `{name}` is the name of a variable"));
        };
        let taken = matches!(variable_name.as_str(), "record" | "user" | "context" | "now")
            || self.variables.iter().any(|(other, _)| **other == **variable_name);
        if taken {
            return self
                .refuse(variable.span, format!("`{variable_name}` means something already: choose another name"));
        }
        // Without its list, the variable is of no known type: what the body says of it is not judged.
        let element = many.as_ref().map_or(Type::Dynamic, |many| many.element);
        self.variables.push((variable_name.as_str().into(), element));
        let body = self.boolean(body, &format!("what `{name}` asks"));
        self.variables.pop();
        let depth = u8::try_from(self.variables.len()).unwrap_or(u8::MAX);
        let variable = Variable { depth, name: variable_name.as_str().into() };
        Some((Kind::Quantified(quantifier, many?, variable, Box::new(body?)), Type::Bool))
    }
}
