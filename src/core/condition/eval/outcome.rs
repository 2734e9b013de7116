//! What comes of an evaluation: an answer, or the reason why there is none.

use crate::core::condition::tree::{Span, Typed};

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The condition holds.
    True,
    /// It does not.
    False,
    /// It could not be answered, and why.
    Error(Cause),
}

impl Outcome {
    /// Whether an `allow` policy with this condition allows: no error ever opens a record.
    #[must_use]
    pub fn allows(self) -> bool {
        self == Self::True
    }

    /// Whether a `restrict` policy with this condition restricts.
    #[must_use]
    pub fn restricts(self) -> bool {
        self != Self::False
    }
}

/// Why there is no value, and which part of the text had none first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause {
    /// The part.
    pub span: Span,
    /// Why.
    pub failure: Failure,
}

/// Why a part has no value. The texts follow that part's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// The attribute was not given.
    #[error("is missing")]
    Missing,
    /// The attribute was given as null.
    #[error("is null")]
    Null,
    /// The attribute was sent as something else than it is declared to be, and counts as missing.
    #[error("was not sent as what it is declared to be")]
    NotAsDeclared,
    /// Undeclared attributes turned out to be of types that do not go together.
    #[error("is of a type that does not fit here")]
    Mismatch,
    /// `/` or `%` by zero.
    #[error("divides by zero")]
    DivisionByZero,
    /// A number beyond 64 bits, or a text beyond [`crate::core::condition::MAX_JOINED_BYTES`].
    #[error("is out of range")]
    OutOfRange,
    /// More than [`crate::core::condition::MAX_STEPS`].
    #[error("takes too many steps")]
    TooManySteps,
}

impl Typed {
    /// The cause as a sentence, such as "`record.region` is missing".
    #[must_use]
    pub fn describe(&self, cause: Cause) -> String {
        format!("`{}` {}", self.excerpt(cause.span), cause.failure)
    }
}
