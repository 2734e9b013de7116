//! The seam to time and randomness: everything else is a function of values.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::core::model::Millis;

/// Time and randomness.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> Millis;

    /// Sixteen bytes that nobody can guess.
    ///
    /// # Errors
    /// The system has no randomness to give.
    fn random(&self) -> Result<[u8; 16], ClockError>;
}

/// The system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random bytes: {0}")]
pub struct ClockError(String);

/// The machine's own clock and randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[allow(clippy::disallowed_methods, reason = "this is the seam")]
impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
    }

    fn random(&self) -> Result<[u8; 16], ClockError> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|e| ClockError(e.to_string()))?;
        Ok(bytes)
    }
}

/// Sixteen bytes as 32 hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |n: u8| DIGITS.get(usize::from(n)).copied().unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
