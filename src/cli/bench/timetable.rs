//! When calls are due in an open loop, and an alarm that rings then.

use std::io;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// Calls at equal distances, so many a second. Call 0 is due at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timetable {
    /// Calls a second.
    pub rate: NonZeroU32,
}

impl Timetable {
    /// When call `n` is due, since the beginning: to the nanosecond, however many there were before.
    pub fn at(self, n: u64) -> Duration {
        let rate = u64::from(self.rate.get());
        let nanos = (n % rate) * u64::from(NANOS_PER_SECOND) / rate;
        Duration::new(n / rate, u32::try_from(nanos).unwrap_or(0))
    }

    /// How many are due before so much time has gone by.
    pub fn before(self, span: Duration) -> u64 {
        let due = (span.as_nanos() * u128::from(self.rate.get())).div_ceil(u128::from(NANOS_PER_SECOND));
        u64::try_from(due).unwrap_or(u64::MAX)
    }
}

/// Rings to some ten microseconds, where the system can do that. The runtime's own timers count milliseconds, which
/// is longer than an answer takes.
pub struct Alarm {
    #[cfg(target_os = "linux")]
    timer: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

impl Alarm {
    /// Comes back at that time, or at once if it is over.
    pub async fn ring(&self, at: Instant) {
        let wait = at.saturating_duration_since(Instant::now());
        if !wait.is_zero() && self.wait(wait).await.is_err() {
            tokio::time::sleep_until(at.into()).await;
        }
    }
}

#[cfg(target_os = "linux")]
impl Alarm {
    /// To be called in a runtime.
    pub fn new() -> io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[allow(
            deprecated,
            reason = "an OwnedFd is the same one as long as it lives; what is new for others is unsafe"
        )]
        let timer = tokio::io::unix::AsyncFd::with_interest(timer, tokio::io::Interest::READABLE)?;
        Ok(Self { timer })
    }

    async fn wait(&self, wait: Duration) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let after =
            Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX), tv_nsec: wait.subsec_nanos().into() };
        let set = Itimerspec { it_interval: once, it_value: after };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &set)?;
        loop {
            let mut ready = self.timer.readable().await?;
            let rung = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0; 8])?));
            if let Ok(rung) = rung {
                ready.clear_ready();
                return rung.map(drop);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Alarm {
    pub fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    async fn wait(&self, _: Duration) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rate: u32) -> Timetable {
        Timetable { rate: NonZeroU32::new(rate).unwrap() }
    }

    #[test]
    fn calls_are_due_at_equal_distances_and_do_not_drift() {
        assert_eq!(of(4).at(0), Duration::ZERO);
        assert_eq!(of(4).at(3), Duration::from_millis(750));
        assert_eq!(of(4).at(4_000_000_001), Duration::from_millis(1_000_000_000_250));
        // Of three a second, the third of a second that is lost is not lost again with each.
        assert_eq!(of(3).at(1), Duration::from_nanos(333_333_333));
        assert_eq!(of(3).at(2), Duration::from_nanos(666_666_666));
        assert_eq!(of(3).at(3_000_000_000_000), Duration::from_secs(1_000_000_000_000));
        assert_eq!(of(u32::MAX).at(u64::from(u32::MAX) * 7), Duration::from_secs(7));
    }

    #[test]
    fn as_many_are_due_before_a_time_as_the_timetable_says() {
        assert_eq!(of(50).before(Duration::from_secs(2)), 100);
        assert_eq!(of(50).before(Duration::from_millis(1_980)), 99);
        assert_eq!(of(50).before(Duration::ZERO), 0);
        for rate in [1, 3, 7, 50, 999, 1_000_000, u32::MAX] {
            for nanos in [1, 2, 333, 333_333_333, 333_333_334, 999_999_999, 1_000_000_000, 7_777_777_777] {
                let (table, span) = (of(rate), Duration::from_nanos(nanos));
                let count = table.before(span);
                assert!(table.at(count) >= span, "{rate} {nanos}: the next one is not due");
                assert!(count == 0 || table.at(count - 1) < span, "{rate} {nanos}: the last one is");
            }
        }
    }

    #[tokio::test]
    async fn an_alarm_rings_never_too_early_and_again_and_again() {
        let alarm = Alarm::new().unwrap();
        for micros in [0, 50, 3_000, 10] {
            let at = Instant::now() + Duration::from_micros(micros);
            alarm.ring(at).await;
            assert!(Instant::now() >= at, "{micros} µs");
        }
        // What is over is not waited for.
        alarm.ring(Instant::now()).await;
    }
}
