//! A run under the simulated shifts of the suite.

use crate::{Error, EvaluateOptions, Run, Session};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wbc_core::{Progress, Sample, Warnings};
use wbc_data::{ShiftCase, ShiftSuite, ViewOptions, ViewSet};
use wbc_eval::{ShiftJudge, ShiftReport};

/// Evaluates the whole image tower on `unshifted`, the samples' own views, and on shifted views of every case, made and
/// dropped one case after another. Only of judged cells views are made.
///
/// # Errors
/// [`Error::Eval`] where nothing is annotated, [`Error::Dataset`] when cancelled.
pub(crate) fn shift_report(
    run: &Run,
    id: &str,
    samples: &[Sample],
    unshifted: ViewSet,
    options: &EvaluateOptions,
    session: &Session,
) -> Result<ShiftReport, Error> {
    let judge = ShiftJudge::new(&run.trained, id, samples, &unshifted.samples, &options.protocol())?;
    let as_they_are = judge.answer(&unshifted)?;
    drop(unshifted);
    let judged: Vec<Sample> = judge.cells().iter().map(|cell| samples[*cell].clone()).collect();
    let suite = ShiftSuite::default();
    let quiet = Session {
        store: session.store.clone(),
        cache: session.cache.clone(),
        threads: session.threads,
        progress: Arc::new(OneBar { inner: Arc::clone(&session.progress), counts: AtomicBool::new(false) }),
        cancel: session.cancel.clone(),
    };
    session.progress.start("simulated shifts", Some((suite.cases.len() * judged.len()) as u64));
    let answer = |case: ShiftCase| {
        session.progress.message(&case.name());
        let options = ViewOptions {
            unshifted: false,
            shifted_copies: 1,
            shift: case.shift.clone(),
            seed: case.seed(options.seed),
            ..ViewOptions::default()
        };
        let mut views = run.views_as(&judged, options, &quiet, &Warnings::new())?;
        views.samples.iter_mut().for_each(|sample| *sample = judge.cells()[*sample]);
        Ok((case, judge.answer(&views)?))
    };
    let answers = suite.cases.into_iter().map(answer).collect::<Result<Vec<_>, Error>>();
    session.progress.finish();
    Ok(judge.report(&as_they_are, &answers?))
}

/// The views of many cases on one bar: other stages are not shown.
struct OneBar {
    inner: Arc<dyn Progress>,
    counts: AtomicBool,
}

impl Progress for OneBar {
    fn start(&self, stage: &str, _total: Option<u64>) {
        self.counts.store(stage == "views", Ordering::Relaxed);
    }

    fn advance(&self, n: u64) {
        if self.counts.load(Ordering::Relaxed) {
            self.inner.advance(n);
        }
    }
}
