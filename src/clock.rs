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

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the seam")]
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
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |text, byte| format!("{text}{byte:02x}"))
}
