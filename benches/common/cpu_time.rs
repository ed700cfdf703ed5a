//! Time as criterion measures it, without what other programs take of the processor.

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// CPU time of the calling thread where Linux tells it, wall time elsewhere.
///
/// Linux brings its count up to date at clock ticks (a few milliseconds), so a sample should last tens of them.
pub(crate) struct CpuTime;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let on_cpu = stat.and_then(|s| s.split(' ').next()?.parse().ok());
    on_cpu.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        now()
    }

    fn end(&self, start: Duration) -> Duration {
        now().saturating_sub(start)
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}
