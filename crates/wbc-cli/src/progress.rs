use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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
            let left = self.bar.eta().as_secs();
            eprintln_line(&format!("{} {}{total}, {left} s left {}", self.name, self.bar.position(), self.message));
            self.last_line = Instant::now();
        }
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
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {msg}, {eta} left") {
            bar.set_style(style);
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
