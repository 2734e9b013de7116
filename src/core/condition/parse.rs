//! Tokens to syntax: recursive descent with CEL's precedence.
//!
//! Recursion follows nesting only: a chain of operators or of selections is a loop, whatever its
//! length, and every opening of a parenthesis, bracket or call and every `!` and `-` counts against
//! [`MAX_DEPTH`]. Comparisons do not chain (CEL compares the first answer with the third operand,
//! which nobody means). The first mistake ends it, since what follows one is guesswork.
//!
//! `!a || b == 1 && c` is `Any[Not(a), All[Compare(b, 1), c]]`.
//!
//! The alternative that lost: a table of binding powers. It is shorter, and nests chains.

use super::ast::{Ast, AstKind, Call};
use super::lex::{Token, lex};
use super::tree::{Comparison, Constant, Operator, Span};
use super::{MAX_DEPTH, MAX_ELEMENTS, MAX_LINKS, MAX_NODES, Refusal};

/// CEL keeps these for other uses.
const RESERVED: [&str; 16] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
];

const COMPARISONS: [Comparison; 6] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::LessOrEqual,
    Comparison::GreaterOrEqual,
    Comparison::Less,
    Comparison::Greater,
];

type Parsed = Result<Ast, Refusal>;

pub(super) fn parse(text: &str) -> Parsed {
    let mut parser = Parser { tokens: lex(text)?, at: 0, depth: 0, nodes: 0 };
    if parser.peek() == &Token::End {
        return Err(parser.refusal("the condition is empty"));
    }
    let ast = parser.any()?;
    if parser.peek() != &Token::End {
        return Err(parser.unexpected("an operator or the end"));
    }
    Ok(ast)
}

struct Parser<'t> {
    /// Ends with [`Token::End`], beyond which `at` never moves.
    tokens: Vec<(Token<'t>, Span)>,
    at: usize,
    depth: usize,
    nodes: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> &Token<'t> {
        self.tokens.get(self.at).map_or(&Token::End, |(token, _)| token)
    }

    fn span(&self) -> Span {
        self.tokens.get(self.at).map_or(Span::default(), |(_, span)| *span)
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len().saturating_sub(1));
    }

    /// Goes over a sign, if it is the next, and says where it stood.
    fn eat(&mut self, sign: &str) -> Option<Span> {
        let span = self.span();
        let found = matches!(self.peek(), Token::Sign(next) if *next == sign);
        if found {
            self.advance();
        }
        found.then_some(span)
    }

    fn expect(&mut self, sign: &str) -> Result<Span, Refusal> {
        self.eat(sign).ok_or_else(|| self.unexpected(&format!("`{sign}`")))
    }

    fn refusal(&self, message: impl Into<String>) -> Refusal {
        Refusal::new(self.span(), message)
    }

    fn unexpected(&self, instead: &str) -> Refusal {
        let found = match self.peek() {
            Token::Name("and" | "AND") => return self.refusal("`and` is no operator: write `&&`"),
            Token::Name("or" | "OR") => return self.refusal("`or` is no operator: write `||`"),
            Token::Name("not" | "NOT") => return self.refusal("`not` is no operator: write `!`"),
            Token::Sign("?") => return self.refusal("`?` is not supported: write `&&` and `||`"),
            Token::End => "the end".to_owned(),
            Token::Name(name) => format!("`{name}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Text(_) => "a text".to_owned(),
            Token::Int(_) | Token::Double(_) => "a number".to_owned(),
        };
        self.refusal(format!("expected {instead}, found {found}"))
    }

    fn node(&mut self, span: Span, kind: AstKind) -> Parsed {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Refusal::new(span, format!("more than {MAX_NODES} parts")));
        }
        Ok(Ast { span, kind })
    }

    /// Runs `inner` one level deeper.
    fn nested<T>(&mut self, at: Span, inner: impl FnOnce(&mut Self) -> Result<T, Refusal>) -> Result<T, Refusal> {
        if self.depth == MAX_DEPTH {
            return Err(Refusal::new(at, format!("nested more than {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        let parsed = inner(self)?;
        self.depth -= 1;
        Ok(parsed)
    }

    fn any(&mut self) -> Parsed {
        self.junction("||", Self::all, AstKind::Any)
    }

    fn all(&mut self) -> Parsed {
        self.junction("&&", Self::relation, AstKind::All)
    }

    fn junction(&mut self, sign: &str, part: fn(&mut Self) -> Parsed, kind: fn(Vec<Ast>) -> AstKind) -> Parsed {
        let first = part(self)?;
        if self.eat(sign).is_none() {
            return Ok(first);
        }
        let mut span = first.span;
        let mut parts = vec![first];
        loop {
            let next = part(self)?;
            span = span.to(next.span);
            parts.push(next);
            if self.eat(sign).is_none() {
                return self.node(span, kind(parts));
            }
        }
    }

    /// A comparison's operator, or none for `in`.
    fn relation_sign(&mut self) -> Option<(Option<Comparison>, Span)> {
        if self.peek() == &Token::Name("in") {
            let span = self.span();
            self.advance();
            return Some((None, span));
        }
        COMPARISONS.into_iter().find_map(|comparison| Some((Some(comparison), self.eat(comparison.sign())?)))
    }

    fn relation(&mut self) -> Parsed {
        let left = self.sum()?;
        let Some((comparison, sign)) = self.relation_sign() else { return Ok(left) };
        let right = self.sum()?;
        if let Some((_, second)) = self.relation_sign() {
            return Err(Refusal::new(second, "comparisons do not chain: write `&&` between them, or parentheses"));
        }
        let (span, sides) = (left.span.to(right.span), Box::new([left, right]));
        match comparison {
            Some(comparison) => self.node(span, AstKind::Compare(comparison, sign, sides)),
            None => self.node(span, AstKind::In(sign, sides)),
        }
    }

    fn sum(&mut self) -> Parsed {
        self.chain(Self::product, &[Operator::Add, Operator::Subtract])
    }

    fn product(&mut self) -> Parsed {
        self.chain(Self::unary, &[Operator::Multiply, Operator::Divide, Operator::Remainder])
    }

    fn chain(&mut self, operand: fn(&mut Self) -> Parsed, operators: &[Operator]) -> Parsed {
        let first = operand(self)?;
        let mut span = first.span;
        let mut rest = Vec::new();
        while let Some((operator, sign)) = operators.iter().find_map(|op| Some((*op, self.eat(op.sign())?))) {
            let next = operand(self)?;
            span = span.to(next.span);
            rest.push((operator, sign, next));
        }
        if rest.is_empty() { Ok(first) } else { self.node(span, AstKind::Arithmetic(Box::new(first), rest)) }
    }

    fn unary(&mut self) -> Parsed {
        if let Some(sign) = self.eat("!") {
            let inner = self.nested(sign, Self::unary)?;
            return self.node(sign.to(inner.span), AstKind::Not(Box::new(inner)));
        }
        let Some(sign) = self.eat("-") else { return self.member() };
        // A sign right before a number belongs to it: the smallest int has no positive counterpart.
        let constant = match *self.peek() {
            Token::Int(number) => Some(Constant::Int(self.int(0_i64.checked_sub_unsigned(number))?)),
            Token::Double(number) => Some(Constant::Double(-number)),
            _ => None,
        };
        if let Some(constant) = constant {
            let span = sign.to(self.span());
            self.advance();
            let number = self.node(span, AstKind::Constant(constant))?;
            return self.links(number);
        }
        let inner = self.nested(sign, Self::unary)?;
        self.node(sign.to(inner.span), AstKind::Negate(Box::new(inner)))
    }

    fn int(&self, number: Option<i64>) -> Result<i64, Refusal> {
        number.ok_or_else(|| self.refusal("this number does not fit into 64 bits"))
    }

    fn member(&mut self) -> Parsed {
        let primary = self.primary()?;
        self.links(primary)
    }

    /// The selections and calls after `ast`.
    fn links(&mut self, mut ast: Ast) -> Parsed {
        let mut count = 0;
        loop {
            let start = self.span();
            let selected = if self.eat(".").is_some() {
                self.selected(ast)?
            } else if self.eat("[").is_some() {
                self.indexed(ast)?
            } else {
                return Ok(ast);
            };
            count += 1;
            if count > MAX_LINKS {
                return Err(Refusal::new(start, format!("more than {MAX_LINKS} selections in a row")));
            }
            ast = selected;
        }
    }

    fn selected(&mut self, of: Ast) -> Parsed {
        let name_span = self.span();
        let Token::Name(name) = *self.peek() else { return Err(self.unexpected("a name")) };
        if matches!(name, "in" | "true" | "false" | "null") {
            return Err(self.refusal(format!("`{name}` is a reserved word: write `[\"{name}\"]`")));
        }
        self.advance();
        if let Some(open) = self.eat("(") {
            return self.call(name, name_span, Some(of), open);
        }
        self.node(of.span.to(name_span), AstKind::Select(Box::new(of), name.to_owned(), name_span))
    }

    fn indexed(&mut self, of: Ast) -> Parsed {
        let name_span = self.span();
        let Token::Text(name) = self.peek().clone() else {
            return Err(self.refusal("an index must be a name in quotes"));
        };
        self.advance();
        let close = self.expect("]")?;
        self.node(of.span.to(close), AstKind::Select(Box::new(of), name, name_span))
    }

    fn call(&mut self, name: &str, name_span: Span, receiver: Option<Ast>, open: Span) -> Parsed {
        let (arguments, close) = self.nested(open, |parser| parser.expressions(")"))?;
        let start = receiver.as_ref().map_or(name_span, |receiver| receiver.span);
        let receiver = receiver.map(Box::new);
        self.node(start.to(close), AstKind::Call(Call { name: name.to_owned(), name_span, receiver, arguments }))
    }

    /// What stands before `close`, separated by commas, and where that is.
    fn expressions(&mut self, close: &str) -> Result<(Vec<Ast>, Span), Refusal> {
        let mut list = Vec::new();
        if let Some(end) = self.eat(close) {
            return Ok((list, end));
        }
        loop {
            if list.len() == MAX_ELEMENTS {
                return Err(self.refusal(format!("more than {MAX_ELEMENTS} elements")));
            }
            list.push(self.any()?);
            if let Some(end) = self.eat(close) {
                return Ok((list, end));
            }
            if self.eat(",").is_none() {
                return Err(self.unexpected(&format!("`,` or `{close}`")));
            }
        }
    }

    fn primary(&mut self) -> Parsed {
        let span = self.span();
        let kind = match self.peek().clone() {
            Token::Sign("(") => {
                self.advance();
                let mut inner = self.nested(span, Self::any)?;
                inner.span = span.to(self.expect(")")?);
                return Ok(inner);
            }
            Token::Sign("[") => {
                self.advance();
                let (list, close) = self.nested(span, |parser| parser.expressions("]"))?;
                return self.node(span.to(close), AstKind::List(list));
            }
            Token::Text(text) => AstKind::Constant(Constant::String(text.into())),
            Token::Int(number) => AstKind::Constant(Constant::Int(self.int(i64::try_from(number).ok())?)),
            Token::Double(number) => AstKind::Constant(Constant::Double(number)),
            Token::Name("true") => AstKind::Constant(Constant::Bool(true)),
            Token::Name("false") => AstKind::Constant(Constant::Bool(false)),
            Token::Name("null") => AstKind::Null,
            Token::Name(name) if RESERVED.contains(&name) || matches!(name, "while" | "in") => {
                return Err(self.refusal(format!("`{name}` is a reserved word")));
            }
            Token::Name(name) => {
                self.advance();
                if let Some(open) = self.eat("(") {
                    return self.call(name, span, None, open);
                }
                // `and`, `or` and `not` are names until what follows shows what was meant.
                if name.eq_ignore_ascii_case("not") && !matches!(self.peek(), Token::Sign(_) | Token::End) {
                    return Err(Refusal::new(span, "`not` is no operator: write `!`"));
                }
                return self.node(span, AstKind::Name(name.to_owned()));
            }
            Token::Sign("{") => return Err(self.refusal("maps are not supported")),
            Token::Sign(_) | Token::End => return Err(self.unexpected("a value")),
        };
        self.advance();
        self.node(span, kind)
    }
}
