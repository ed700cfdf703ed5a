use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use wbc_clip::core::Progress;

/// Without a terminal, a line at most this often.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Progress on standard error: a bar on a terminal, a line now and then elsewhere.
#[derive(Default)]
pub(crate) struct Terminal {
    state: Mutex<Option<Stage>>,
}

struct Stage {
    bar: ProgressBar,
    name: String,
    message: String,
    last_line: Instant,
    lines: bool,
}

impl Stage {
    fn line(&mut self, force: bool) {
        if self.lines && (force || self.last_line.elapsed() >= LINE_INTERVAL) {
            let total = self.bar.length().map_or(String::new(), |n| format!("/{n}"));
            let left = seconds_left(self.bar.position(), self.bar.length(), self.bar.elapsed());
            let left = left.map_or(String::new(), |s| format!(", {s} s left"));
            eprintln_line(&format!("{} {}{total}{left} {}", self.name, self.bar.position(), self.message));
            self.last_line = Instant::now();
        }
    }
}

/// At the mean pace since the stage began: work that comes in rare and large pieces would mislead an estimate by the last ones.
fn seconds_left(done: u64, total: Option<u64>, elapsed: Duration) -> Option<u64> {
    let rest = total?.saturating_sub(done);
    (done > 0).then(|| (elapsed.as_secs_f64() * rest as f64 / done as f64).round() as u64)
}

fn write_left(state: &ProgressState, to: &mut dyn Write) {
    if let Some(seconds) = seconds_left(state.pos(), state.len(), state.elapsed()) {
        // a bar that cannot be drawn is no reason to stop
        let _ = write!(to, ", {} left", HumanDuration(Duration::from_secs(seconds)));
    }
}

#[expect(clippy::print_stderr, reason = "the command's own progress")]
fn eprintln_line(text: &str) {
    eprintln!("{text}");
}

impl Terminal {
    fn with(&self, f: impl FnOnce(&mut Stage)) {
        if let Some(stage) = self.state.lock().unwrap_or_else(|e| e.into_inner()).as_mut() {
            f(stage);
        }
    }
}

impl Progress for Terminal {
    fn start(&self, stage: &str, total: Option<u64>) {
        let lines = !std::io::stderr().is_terminal();
        let target = if lines { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(total, target);
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}{left}") {
            bar.set_style(style.with_key("left", write_left));
        }
        bar.set_prefix(stage.to_owned());
        let stage = Stage { bar, name: stage.into(), message: String::new(), last_line: Instant::now(), lines };
        *self.state.lock().unwrap_or_else(|e| e.into_inner()) = Some(stage);
    }

    fn advance(&self, n: u64) {
        self.with(|s| {
            s.bar.inc(n);
            s.line(false);
        });
    }

    fn message(&self, text: &str) {
        self.with(|s| {
            s.message = text.to_owned();
            s.bar.set_message(text.to_owned());
        });
    }

    fn finish(&self) {
        self.with(|s| {
            s.line(true);
            s.bar.finish_and_clear();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_reckoned_at_the_mean_pace() {
        let left = |done, total| seconds_left(done, total, Duration::from_secs(30));
        assert_eq!(left(10, Some(40)), Some(90));
        assert_eq!(left(40, Some(40)), Some(0));
        assert_eq!(left(50, Some(40)), Some(0), "more than was announced");
        assert_eq!((left(0, Some(40)), left(7, None)), (None, None));
    }
}
