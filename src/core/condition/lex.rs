//! A condition's text as words, literals and signs.
//!
//! CEL's lexical grammar without what the language does not have: raw, byte and triple-quoted
//! texts and unsigned numbers are named when refused. Comments (`// …`) are skipped. The bounds on
//! length and count stand here, where one loop runs and nothing recurses.
//!
//! `record.x >= -1.5` is `Name("record") Sign(".") Name("x") Sign(">=") Sign("-") Double(1.5) End`.

use super::tree::Span;
use super::{MAX_TEXT_BYTES, MAX_TOKENS, Refusal};

/// A word, a literal or a sign.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'t> {
    Name(&'t str),
    Text(String),
    /// A whole number without its sign.
    Int(u64),
    Double(f64),
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "(", ")", "[", "]", "{", "}", ".", ",",
    "?", ":", ";",
];

/// The tokens with their places; the last one is [`Token::End`].
pub(super) fn lex(text: &str) -> Result<Vec<(Token<'_>, Span)>, Refusal> {
    if text.len() > MAX_TEXT_BYTES {
        let end = text.floor_char_boundary(MAX_TEXT_BYTES);
        return Err(Refusal::new(Span::new(end, end), format!("longer than {MAX_TEXT_BYTES} bytes")));
    }
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::with_capacity(64);
    loop {
        lexer.skip_space();
        let start = lexer.at;
        let token = lexer.token()?;
        let span = Span::new(start, lexer.at);
        let last = token == Token::End;
        if !last && tokens.len() == MAX_TOKENS {
            return Err(Refusal::new(span, format!("more than {MAX_TOKENS} words, literals and signs")));
        }
        tokens.push((token, span));
        if last {
            return Ok(tokens);
        }
    }
}

/// Whether `text` can stand after a dot.
pub(super) fn is_name(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && text.bytes().all(in_name) && !matches!(text, "true" | "false" | "null" | "in")
}

fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let skipped = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else {
                rest.bytes().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)).count()
            };
            if skipped == 0 {
                return;
            }
            self.at += skipped;
        }
    }

    /// Goes over the bytes that `accepts`, and gives them.
    fn take_while(&mut self, accepts: impl Fn(u8) -> bool) -> &'t str {
        let rest = self.rest();
        let taken = rest.get(..rest.bytes().take_while(|b| accepts(*b)).count()).unwrap_or("");
        self.at += taken.len();
        taken
    }

    fn refuse<T>(&self, start: usize, message: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal::new(Span::new(start, self.at), message))
    }

    fn token(&mut self) -> Result<Token<'t>, Refusal> {
        let rest = self.rest();
        let start = self.at;
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        if first.is_ascii_alphabetic() || first == '_' {
            let name = self.take_while(in_name);
            if matches!(name, "r" | "R" | "b" | "B" | "rb" | "br" | "Rb" | "bR" | "rB" | "Br" | "RB" | "BR")
                && self.rest().starts_with(['"', '\''])
            {
                return self.refuse(start, format!("a text with the prefix `{name}` is not supported"));
            }
            return Ok(Token::Name(name));
        }
        let digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        if digit(rest) || rest.strip_prefix('.').is_some_and(digit) {
            return self.number();
        }
        if matches!(first, '"' | '\'') {
            return self.quoted(first);
        }
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            self.at += sign.len();
            return Ok(Token::Sign(sign));
        }
        self.at += first.len_utf8();
        match first {
            '=' => self.refuse(start, "`=` is no operator: write `==`"),
            '&' => self.refuse(start, "`&` is no operator: write `&&`"),
            '|' => self.refuse(start, "`|` is no operator: write `||`"),
            '“' | '”' | '„' | '‘' | '’' => {
                self.refuse(start, format!("`{first}` is no quotation mark here: write `\"`"))
            }
            _ => self.refuse(start, format!("unexpected character `{}`", first.escape_debug())),
        }
    }

    fn number(&mut self) -> Result<Token<'t>, Refusal> {
        let start = self.at;
        let rest = self.rest();
        if rest.starts_with("0x") || rest.starts_with("0X") {
            self.at += 2;
            let digits = self.take_while(in_name);
            return match u64::from_str_radix(digits, 16) {
                Ok(number) => Ok(Token::Int(number)),
                Err(_) => self.refuse(start, format!("`0x{digits}` is no number of 64 bits")),
            };
        }
        let mut whole = true;
        self.take_while(|b| b.is_ascii_digit());
        if self.rest().strip_prefix('.').is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit())) {
            whole = false;
            self.at += 1;
            self.take_while(|b| b.is_ascii_digit());
        }
        if let Some(exponent) = self.rest().strip_prefix(['e', 'E']) {
            let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if unsigned.starts_with(|c: char| c.is_ascii_digit()) {
                whole = false;
                self.at += 1 + exponent.len() - unsigned.len();
                self.take_while(|b| b.is_ascii_digit());
            }
        }
        let text = self.text.get(start..self.at).unwrap_or("");
        let tail = self.take_while(in_name);
        if matches!(tail, "u" | "U") {
            return self.refuse(start, format!("unsigned numbers are not supported: write `{text}`"));
        }
        if !tail.is_empty() {
            return self.refuse(start, format!("`{text}{tail}` is no number"));
        }
        if whole {
            return text
                .parse()
                .map(Token::Int)
                .or_else(|_| self.refuse(start, "this number does not fit into 64 bits"));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Token::Double(number)),
            _ => self.refuse(start, format!("`{text}` is out of range of a double")),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token<'t>, Refusal> {
        let start = self.at;
        self.at += 1;
        if self.rest().starts_with([quote]) && self.rest().get(1..).is_some_and(|r| r.starts_with(quote)) {
            self.at += 2;
            return self.refuse(start, "triple-quoted texts are not supported");
        }
        let mut text = String::new();
        loop {
            let Some(next) = self.rest().chars().next() else {
                return self.refuse(start, format!("this text has no closing `{quote}`"));
            };
            if matches!(next, '\n' | '\r') {
                return self.refuse(
                    start,
                    format!("this text has no closing `{quote}` on its line: write a line break as `\\n`"),
                );
            }
            self.at += next.len_utf8();
            match next {
                '\\' => text.push(self.escape()?),
                _ if next == quote => return Ok(Token::Text(text)),
                _ => text.push(next),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, Refusal> {
        let start = self.at - 1;
        let Some(letter) = self.rest().chars().next() else {
            return self.refuse(start, "this text ends in the middle of an escape");
        };
        self.at += letter.len_utf8();
        let (digits, radix) = match letter {
            'a' => return Ok('\x07'),
            'b' => return Ok('\x08'),
            'f' => return Ok('\x0c'),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'v' => return Ok('\x0b'),
            '\\' | '?' | '"' | '\'' | '`' => return Ok(letter),
            'x' | 'X' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='3' => {
                self.at -= 1;
                (3, 8)
            }
            _ => return self.refuse(start, format!("`\\{}` is no escape", letter.escape_debug())),
        };
        let code = self.rest().get(..digits).filter(|code| code.chars().all(|c| c.is_digit(radix)));
        self.at += code.map_or(0, str::len);
        match code.and_then(|code| u32::from_str_radix(code, radix).ok()).and_then(char::from_u32) {
            Some(character) => Ok(character),
            None => self.refuse(start, "this escape is no character"),
        }
    }
}
