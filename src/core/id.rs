//! Identifiers, parsed once at the edge (STYLE: parse, don't validate).
//!
//! Two alphabets exist (FILES.md): [`OpaqueId`] for what callers name (users, service accounts,
//! records) and [`Id`] for everything that operators name. A value of either type is always valid,
//! so nothing behind the edge checks again. Neither is normalised: two ids are equal exactly when
//! their bytes are.

use std::fmt;

/// The longest id of either alphabet, in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// The longest permission name, alias or pattern, in bytes.
pub const MAX_PERMISSION_BYTES: usize = 256;
/// The longest e-mail address, in bytes (RFC 5321).
pub const MAX_EMAIL_BYTES: usize = 254;

/// Why a text is no identifier. The text itself is not repeated: the caller knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// More than the alphabet's limit of bytes.
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// A control character (U+0000 among them) in an opaque id.
    #[error("contains a control character")]
    Control,
    /// Not `[A-Za-z0-9][A-Za-z0-9._/-]*`.
    #[error("must begin with a letter or digit and contain only letters, digits, `.`, `_`, `/` and `-`")]
    Alphabet,
    /// Not two or more dot-separated segments of `[A-Za-z0-9_/-]+`.
    #[error("must be two or more dot-separated segments of letters, digits, `_`, `/` and `-`")]
    PermissionName,
    /// Neither a permission name nor `*` nor `x.*`.
    #[error("must be a permission name, `*`, or a prefix such as `records.*`")]
    Pattern,
    /// Not `user:ID`, `service:ID` or `group:ID`.
    #[error("must be `user:ID`, `service:ID` or `group:ID`")]
    Member,
    /// An e-mail address needs exactly one `@` with text on both sides and no spaces (rule 2.1).
    #[error("is no e-mail address: exactly one `@`, text on both sides, no spaces")]
    Email,
    /// A domain is labels of letters, digits and `-`, separated by dots.
    #[error("is no domain name")]
    Domain,
}

macro_rules! text_newtype {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Parses `text`, refusing what the type does not allow.
            ///
            /// # Errors
            /// See [`IdError`].
            pub fn parse(text: &str) -> Result<Self, IdError> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// Whether `text` would parse, without making anything of it.
            ///
            /// # Errors
            /// See [`IdError`].
            #[inline]
            pub fn check(text: &str) -> Result<(), IdError> {
                $check(text)
            }

            /// The text, as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl<C> minicbor::Encode<C> for $name {
            fn encode<W: minicbor::encode::Write>(
                &self,
                e: &mut minicbor::Encoder<W>,
                _: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                e.str(&self.0)?.ok()
            }
        }

        impl<'b, C> minicbor::Decode<'b, C> for $name {
            fn decode(
                d: &mut minicbor::Decoder<'b>,
                _: &mut C,
            ) -> Result<Self, minicbor::decode::Error> {
                let text = d.str()?;
                Self::parse(text).map_err(|_| minicbor::decode::Error::message("a stored id is invalid"))
            }
        }
    };
}

text_newtype! {
    /// What operators name: organizations, accounts, objects, groups, roles, policies:
    /// `[A-Za-z0-9][A-Za-z0-9._/-]{0,127}`.
    Id, check_id
}
text_newtype! {
    /// What callers name: users, service accounts and records. 1 to 128 bytes of UTF-8 without
    /// control characters; `auth0|x` and URNs are fine.
    OpaqueId, check_opaque
}
text_newtype! {
    /// The name or an alias of a permission. A name has two or more dot-separated segments
    /// (rule 3.1); an alias may be a single one (`CREATE_ORGANIZATION_USERS`).
    PermissionName, check_permission
}
text_newtype! {
    /// What a role or a grant contains: a permission name or alias, `x.*` (every name beginning
    /// `x.`) or `*` (rule 3.2).
    Pattern, check_pattern
}
text_newtype! {
    /// An e-mail address as it was given; compare by [`Email::folded`] (rule 2.1).
    Email, check_email
}
text_newtype! {
    /// An e-mail domain, in lower case.
    Domain, check_domain
}

impl Email {
    /// The form in which addresses are compared: Unicode lower case.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }

    /// The domain part in lower case. Empty only if the type's promise was broken.
    #[must_use]
    pub fn domain(&self) -> String {
        self.0.rsplit('@').next().unwrap_or("").to_lowercase()
    }
}

impl PermissionName {
    /// Refuses the single-segment form that only aliases may have.
    ///
    /// # Errors
    /// See [`IdError`].
    pub fn parse_name(text: &str) -> Result<Self, IdError> {
        if !text.contains('.') {
            return Err(if text.is_empty() { IdError::Empty } else { IdError::PermissionName });
        }
        Self::parse(text)
    }
}

impl Pattern {
    /// What the pattern covers.
    #[must_use]
    pub fn coverage(&self) -> Coverage<'_> {
        match self.0.strip_suffix('*') {
            None => Coverage::One(&self.0),
            Some("") => Coverage::All,
            Some(prefix) => Coverage::Prefix(prefix),
        }
    }

    /// The pattern that covers exactly `name`.
    #[must_use]
    pub fn of(name: &PermissionName) -> Self {
        Self(name.0.clone())
    }
}

/// What a [`Pattern`] covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage<'a> {
    /// `*`: everything, also what is added to the catalogue later.
    All,
    /// `x.*`: every name that begins with this prefix, which ends in a dot.
    Prefix(&'a str),
    /// One name or alias.
    One(&'a str),
}

fn bounded(text: &str, limit: usize) -> Result<(), IdError> {
    match text.len() {
        0 => Err(IdError::Empty),
        n if n > limit => Err(IdError::TooLong(limit)),
        _ => Ok(()),
    }
}

fn check_id(text: &str) -> Result<(), IdError> {
    bounded(text, MAX_ID_BYTES)?;
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'-');
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if starts && text.bytes().all(ok) { Ok(()) } else { Err(IdError::Alphabet) }
}

fn check_opaque(text: &str) -> Result<(), IdError> {
    bounded(text, MAX_ID_BYTES)?;
    if has_control(text) { Err(IdError::Control) } else { Ok(()) }
}

/// Whether a character of the text is a control character, which no id has.
#[inline]
#[must_use]
pub fn has_control(text: &str) -> bool {
    // Such a character is below the space, is DEL, or begins with the byte C2 (U+0080 to U+009F).
    let suspect = |b: u8| u8::from(b < b' ') | u8::from(b == 0x7f) | u8::from(b == 0xc2);
    text.bytes().fold(0, |any, b| any | suspect(b)) != 0 && text.chars().any(char::is_control)
}

fn segment(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'/' | b'-'))
}

fn check_permission(text: &str) -> Result<(), IdError> {
    bounded(text, MAX_PERMISSION_BYTES)?;
    if text.split('.').all(segment) { Ok(()) } else { Err(IdError::PermissionName) }
}

fn check_pattern(text: &str) -> Result<(), IdError> {
    bounded(text, MAX_PERMISSION_BYTES)?;
    let body = match text {
        "*" => return Ok(()),
        _ => text.strip_suffix(".*").unwrap_or(text),
    };
    if body.split('.').all(segment) { Ok(()) } else { Err(IdError::Pattern) }
}

fn check_email(text: &str) -> Result<(), IdError> {
    bounded(text, MAX_EMAIL_BYTES)?;
    let bad = |c: char| c.is_control() || c.is_whitespace();
    match text.split_once('@') {
        Some((local, domain))
            if !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !text.contains(bad) =>
        {
            Ok(())
        }
        _ => Err(IdError::Email),
    }
}

fn check_domain(text: &str) -> Result<(), IdError> {
    bounded(text, MAX_EMAIL_BYTES)?;
    let label = |l: &str| !l.is_empty() && l.chars().all(|c| c == '-' || (c.is_alphanumeric() && !c.is_uppercase()));
    if text.split('.').all(label) { Ok(()) } else { Err(IdError::Domain) }
}
