//! One world and one question, for Doorward and for its peers: see README.md.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench may fail loudly")]

pub mod ask;
pub mod files;
pub mod send;
pub mod wire;
pub mod world;

/// The value that this share of all does not exceed.
pub fn at(share: f64, values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}
