use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
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
    /// Where it stood after the first piece, and when.
    begun: Option<(u64, Instant)>,
    lines: bool,
}

impl Stage {
    /// What is left, from the first piece on: what comes at once, an earlier call's work for instance, says nothing of the
    /// pace.
    fn left(&self) -> Option<u64> {
        let (before, since) = self.begun?;
        seconds_left(
            self.bar.position().saturating_sub(before),
            self.bar.length()?.saturating_sub(before),
            since.elapsed(),
        )
    }

    fn line(&mut self, force: bool) {
        if self.lines && (force || self.last_line.elapsed() >= LINE_INTERVAL) {
            let total = self.bar.length().map_or(String::new(), |n| format!("/{n}"));
            let left = self.left().map_or(String::new(), |s| format!(", {s} s left"));
            eprintln_line(&format!("{} {}{total}{left} {}", self.name, self.bar.position(), self.message));
            self.last_line = Instant::now();
        }
    }

    fn show(&self) {
        if self.lines {
            return;
        }
        let left = self.left().map(|s| format!(", {} left", HumanDuration(Duration::from_secs(s))));
        self.bar.set_message(format!("{}{}", self.message, left.unwrap_or_default()));
    }
}

/// At the mean pace: work that comes in rare and large pieces would mislead an estimate by the last ones.
fn seconds_left(done: u64, total: u64, elapsed: Duration) -> Option<u64> {
    let rest = total.saturating_sub(done);
    (done > 0).then(|| (elapsed.as_secs_f64() * rest as f64 / done as f64).round() as u64)
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
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}") {
            bar.set_style(style);
        }
        bar.set_prefix(stage.to_owned());
        let stage =
            Stage { bar, name: stage.into(), message: String::new(), last_line: Instant::now(), begun: None, lines };
        *self.state.lock().unwrap_or_else(|e| e.into_inner()) = Some(stage);
    }

    fn advance(&self, n: u64) {
        self.with(|s| {
            s.bar.inc(n);
            if s.begun.is_none() {
                s.begun = Some((s.bar.position(), Instant::now()));
            }
            s.show();
            s.line(false);
        });
    }

    fn message(&self, text: &str) {
        self.with(|s| {
            s.message = text.to_owned();
            s.show();
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
        assert_eq!(left(10, 40), Some(90));
        assert_eq!(left(40, 40), Some(0));
        assert_eq!(left(50, 40), Some(0), "more than was announced");
        assert_eq!(left(0, 40), None);
    }

    #[test]
    fn what_an_earlier_call_has_done_does_not_count_as_pace() {
        let progress = Terminal::default();
        progress.start("training", Some(3000));
        progress.advance(2000);
        progress.with(|s| {
            assert_eq!(s.left(), None);
            s.begun = s.begun.map(|(at, _)| (at, Instant::now() - Duration::from_secs(10)));
        });
        progress.advance(50);
        progress.with(|s| assert_eq!(s.left(), Some(190), "50 in 10 s, and 950 are left"));
    }
}
