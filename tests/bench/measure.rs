//! What the benches share: spreads, and what the machine says of this process.

#![allow(dead_code, reason = "each bench uses a part of it")]

/// Measurements of one thing.
#[derive(Default)]
pub struct Spread {
    values: Vec<f64>,
}

impl Spread {
    pub fn add(&mut self, value: f64) {
        self.values.push(value);
    }

    pub fn extend(&mut self, values: impl IntoIterator<Item = f64>) {
        self.values.extend(values);
    }

    /// The value that this share of all does not exceed.
    pub fn at(&self, share: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
    }

    pub fn line(&self) -> String {
        format!("p50 {:.0}, p99 {:.0}", self.at(0.5), self.at(0.99))
    }
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// Resident memory of this process.
pub fn resident_mb() -> i64 {
    resident_mb_of("self")
}

/// The same, in kB.
pub fn resident_kb() -> i64 {
    status_kb("self", "VmRSS:")
}

/// The most that was ever resident of this process.
pub fn high_water_mb() -> i64 {
    status_kb("self", "VmHWM:") / 1024
}

/// Resident memory of the process with this id.
pub fn resident_mb_of(process: &str) -> i64 {
    status_kb(process, "VmRSS:") / 1024
}

/// -1 where the system says nothing of it.
fn status_kb(process: &str, name: &str) -> i64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(name));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<i64>().ok()).unwrap_or(-1)
}
