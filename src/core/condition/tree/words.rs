//! The closed sets of words in the tree, each with the way it is written.

use std::cmp::Ordering;
use std::fmt;

/// The type of a single value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Known only when evaluated: attributes that nobody declared.
    Dynamic,
    /// True or false.
    Bool,
    /// A 64-bit integer.
    Int,
    /// A finite 64-bit float.
    Double,
    /// Text.
    String,
    /// An instant, in milliseconds.
    Timestamp,
    /// A difference of instants, in milliseconds.
    Duration,
}

impl Type {
    /// The type's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dynamic => "dynamic",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::String => "string",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
        }
    }

    /// The name with its article, for sentences.
    pub(in crate::core::condition) fn with_article(self) -> String {
        match self {
            Self::Dynamic => "an undeclared attribute".to_owned(),
            Self::Int => "an int".to_owned(),
            _ => format!("a {}", self.name()),
        }
    }
}

/// What an attribute holds: one value, or a list of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A single value; of type [`Type::Dynamic`] it may turn out to be a list.
    One(Type),
    /// A list of such values.
    Many(Type),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(ty) => f.write_str(ty.name()),
            Self::Many(ty) => write!(f, "list<{}>", ty.name()),
        }
    }
}

/// What a record has besides its declared fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordPart {
    /// Its id.
    Id,
    /// The id of its owner, `service:ID` for a service account. May be missing.
    Owner,
    /// Its account. May be missing.
    Account,
    /// Ids of the users that follow it (rule 6.2, as for the next three).
    Watchers,
    /// Ids of the users that work on it.
    Assignees,
    /// Ids of the users that were named in it.
    Mentioned,
    /// Ids of the users it was shared with.
    SharedWith,
}

impl RecordPart {
    /// All of them. None can be declared as a field (rule 6.2).
    pub const ALL: [Self; 7] =
        [Self::Id, Self::Owner, Self::Account, Self::Watchers, Self::Assignees, Self::Mentioned, Self::SharedWith];

    /// The name after `record.`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Owner => "owner",
            Self::Account => "account",
            Self::Watchers => "watchers",
            Self::Assignees => "assignees",
            Self::Mentioned => "mentioned",
            Self::SharedWith => "shared_with",
        }
    }

    /// What it holds.
    #[must_use]
    pub fn shape(self) -> Shape {
        match self {
            Self::Id | Self::Owner | Self::Account => Shape::One(Type::String),
            Self::Watchers | Self::Assignees | Self::Mentioned | Self::SharedWith => Shape::Many(Type::String),
        }
    }
}

/// What is known of the principal, besides attributes, groups and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserPart {
    /// Its id, `service:ID` for a service account.
    Id,
    /// Its e-mail address. A service account has none.
    Email,
    /// `internal`, `external` or `service`.
    Kind,
    /// Its account.
    Account,
    /// The id of its manager. May be missing.
    Manager,
}

impl UserPart {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Id, Self::Email, Self::Kind, Self::Account, Self::Manager];

    /// The name after `user.`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Email => "email",
            Self::Kind => "kind",
            Self::Account => "account",
            Self::Manager => "manager",
        }
    }
}

/// Which reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reports {
    /// `user.direct_reports`: those whose manager the user is.
    Direct,
    /// `user.all_reports`: also theirs, and so on.
    All,
}

impl Reports {
    /// The name after `user.`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct_reports",
            Self::All => "all_reports",
        }
    }
}

/// `== != < <= > >=`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// The sign.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether it holds of two values of which the first stands so to the second.
    #[inline]
    #[must_use]
    pub fn admits(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::NotEqual => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }

    /// The same with its sides exchanged: `<` as `>`, and so on.
    #[must_use]
    pub fn turned(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    /// Whether it asks for more than equality.
    #[must_use]
    pub fn orders(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}

/// `+ - * / %`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`, of ints
    Remainder,
}

impl Operator {
    /// The sign.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// Questions about a text, in bytes and case-sensitive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextTest {
    /// `startsWith`
    StartsWith,
    /// `endsWith`
    EndsWith,
    /// `contains`
    Contains,
}

impl TextTest {
    /// Whether it holds of a text and what is looked for.
    #[inline]
    #[must_use]
    pub fn holds(self, whole: &str, part: &str) -> bool {
        match self {
            Self::StartsWith => whole.starts_with(part),
            Self::EndsWith => whole.ends_with(part),
            Self::Contains => whole.contains(part),
        }
    }

    /// The method's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StartsWith => "startsWith",
            Self::EndsWith => "endsWith",
            Self::Contains => "contains",
        }
    }
}

/// How the answers for a list's elements combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// As `||` does.
    Exists,
    /// As `&&` does.
    All,
}

impl Quantifier {
    /// The method's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::All => "all",
        }
    }

    /// The answer that settles the matter alone.
    #[must_use]
    pub fn decisive(self) -> bool {
        self == Self::Exists
    }
}
