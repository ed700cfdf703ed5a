use crate::{Augmentation, DataError, ViewSet};
use rand::seq::SliceRandom;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wbc_core::seeded_rng;

/// Tells the streams of a seed apart.
const SHUFFLE: u64 = 0x5348_5546;
const AUGMENT: u64 = 0x4155_474D;
const TURNS: u64 = 0x5455_524E;

/// Which rows each step of training sees: every epoch a new permutation, which depends only on seed and epoch, of all rows
/// or, [with turns](Self::with_turns), of some.
///
/// ```
/// let plan = wbc_data::BatchPlan::new(10, 4, 7)?;
/// assert_eq!(plan.steps_per_epoch(), 2); // a short last batch is dropped
/// assert_eq!(plan.rows(3, 1), plan.rows(3, 1));
/// # Ok::<(), wbc_data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPlan {
    n: usize,
    batch_size: usize,
    seed: u64,
    /// Rows from here on take turns, so many in each epoch.
    turns: Option<(usize, usize)>,
}

impl BatchPlan {
    /// A plan over `n` rows. With fewer rows than `batch_size` each epoch is one batch of `n`.
    ///
    /// # Errors
    /// [`DataError::Option`] for `n` or `batch_size` 0.
    pub fn new(n: usize, batch_size: usize, seed: u64) -> Result<Self, DataError> {
        for (field, value) in [("n", n), ("batch_size", batch_size)] {
            if value == 0 {
                return Err(DataError::Option { field, cause: "0, expected at least 1".into() });
            }
        }
        Ok(Self { n, batch_size, seed, turns: None })
    }

    /// The same plan with rows from `first` on, shifted copies for instance, seen less often: an epoch has `per_epoch` of
    /// them, and the next epochs those that follow, until all have had their turn and it begins again; where it does, a row
    /// can be twice in an epoch. What is left over by whole batches has had its turn, too. No change where there are no
    /// more, or where an epoch would have no row at all.
    pub fn with_turns(mut self, first: usize, per_epoch: usize) -> Self {
        self.turns = (1..self.n).contains(&first.saturating_add(per_epoch)).then_some((first, per_epoch));
        self
    }

    /// Number of rows.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Rows of an epoch.
    fn per_epoch(&self) -> usize {
        self.turns.map_or(self.n, |(first, per_epoch)| first + per_epoch)
    }

    /// Rows per batch, never more than an epoch has.
    pub fn batch_size(&self) -> usize {
        self.batch_size.min(self.per_epoch())
    }

    /// Number of batches in an epoch, at least 1.
    pub fn steps_per_epoch(&self) -> usize {
        self.per_epoch() / self.batch_size()
    }

    /// All rows of one epoch, in its order.
    pub fn permutation(&self, epoch: u64) -> Vec<usize> {
        let mut rows: Vec<usize> = match self.turns {
            None => (0..self.n).collect(),
            Some((first, per_epoch)) => (0..first).chain(self.turn(epoch, first, per_epoch)).collect(),
        };
        rows.shuffle(&mut seeded_rng(&[SHUFFLE, self.seed, epoch]));
        rows
    }

    /// The rows from `first` on whose turn it is: rounds over all of them, each in an order of its own, one after the other.
    fn turn(&self, epoch: u64, first: usize, per_epoch: usize) -> Vec<usize> {
        let n = self.n - first;
        let round = |round: u64| {
            let mut rows: Vec<usize> = (first..self.n).collect();
            rows.shuffle(&mut seeded_rng(&[TURNS, self.seed, round]));
            rows
        };
        let begin = epoch as u128 * per_epoch as u128;
        let (now, skipped) = ((begin / n as u128) as u64, (begin % n as u128) as usize);
        // `per_epoch` is below `n`: an epoch is in two rounds at most
        let mut rows = round(now).split_off(skipped);
        if rows.len() < per_epoch {
            rows.extend(round(now + 1));
        }
        rows.truncate(per_epoch);
        rows
    }

    /// Rows of one batch; empty for a step beyond the epoch.
    pub fn rows(&self, epoch: u64, step: usize) -> Vec<usize> {
        self.slice(&self.permutation(epoch), step).to_vec()
    }

    fn slice<'a>(&self, permutation: &'a [usize], step: usize) -> &'a [usize] {
        permutation.chunks_exact(self.batch_size()).nth(step).unwrap_or_default()
    }
}

/// One batch of views.
#[derive(Clone, Debug, PartialEq)]
pub struct PixelBatch {
    /// Rows of the view set.
    pub rows: Vec<usize>,
    /// `[batch, 3, side, side]`, 0..1; `None` where the view set has no pixels.
    pub pixels: Option<Vec<f32>>,
}

/// How batches are loaded.
#[derive(Clone, Debug, PartialEq)]
pub struct LoaderOptions {
    /// Changes of the finished views; their randomness depends on the plan's seed, the epoch and the row.
    pub augmentation: Augmentation,
    /// Epoch of the first batch.
    pub epoch: u64,
    /// Step of the first batch within its epoch.
    pub step: usize,
    /// Where to stop: the first epoch that is not loaded; endless where `None`.
    pub end_epoch: Option<u64>,
    /// Threads that prepare batches ahead; with 0 each batch is made when it is asked for.
    pub workers: usize,
}

impl Default for LoaderOptions {
    /// Default augmentation, from the beginning, endless, one worker.
    fn default() -> Self {
        Self { augmentation: Augmentation::default(), epoch: 0, step: 0, end_epoch: None, workers: 1 }
    }
}

/// Batches in order, `(epoch, step, batch)`, prepared ahead by worker threads; the same bits for any number of workers
/// and wherever it starts. Dropping it ends the workers.
#[derive(Debug)]
pub struct BatchLoader {
    maker: Maker,
    plan: BatchPlan,
    end_epoch: Option<u64>,
    /// Position of the next job to hand out and the permutation of its epoch.
    epoch: u64,
    step: usize,
    permutation: Vec<usize>,
    crew: Option<Crew>,
    waited: Duration,
}

impl BatchLoader {
    /// Starts the workers.
    ///
    /// # Errors
    /// [`DataError::Option`] for a plan over more rows than there are views, a step beyond the epoch, or augmentation
    /// out of range; [`DataError::Threads`] when no thread can be started.
    pub fn new(views: Arc<ViewSet>, plan: BatchPlan, options: &LoaderOptions) -> Result<Self, DataError> {
        options.augmentation.check()?;
        let pixels_fit = views.pixels.as_ref().is_none_or(|p| p.len() == views.len() * views.side * views.side * 3);
        if plan.n > views.len() || !pixels_fit {
            let cause = format!("a plan over {} rows for {} views", plan.n, views.len());
            return Err(DataError::Option { field: "n", cause });
        }
        if options.step >= plan.steps_per_epoch() {
            let cause = format!("{}, expected less than {}", options.step, plan.steps_per_epoch());
            return Err(DataError::Option { field: "step", cause });
        }
        let maker = Maker { views, augmentation: options.augmentation, seed: plan.seed };
        let crew = (options.workers > 0).then(|| Crew::start(&maker, options.workers)).transpose()?;
        Ok(Self {
            maker,
            plan,
            end_epoch: options.end_epoch,
            epoch: options.epoch,
            step: options.step,
            permutation: plan.permutation(options.epoch),
            crew,
            waited: Duration::ZERO,
        })
    }

    /// How long [`next`](Iterator::next) has kept the caller waiting so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// The next job in order; `None` at the end.
    fn job(&mut self) -> Option<Job> {
        if self.end_epoch.is_some_and(|end| self.epoch >= end) {
            return None;
        }
        let rows = self.plan.slice(&self.permutation, self.step).to_vec();
        let job = Job { epoch: self.epoch, step: self.step, rows };
        self.step += 1;
        if self.step == self.plan.steps_per_epoch() {
            (self.epoch, self.step) = (self.epoch + 1, 0);
            self.permutation = self.plan.permutation(self.epoch);
        }
        Some(job)
    }

    /// The next batch, with so many jobs handed out that all workers stay busy.
    fn prepared(&mut self) -> Option<(u64, usize, PixelBatch)> {
        while self.crew.as_ref().is_some_and(|crew| crew.room() > 0) {
            let Some(job) = self.job() else { break };
            self.crew.as_mut()?.hand_out(job);
        }
        match &mut self.crew {
            Some(crew) => crew.collect(),
            None => self.job().map(|job| self.maker.make(job)),
        }
    }
}

impl Iterator for BatchLoader {
    type Item = (u64, usize, PixelBatch);

    fn next(&mut self) -> Option<Self::Item> {
        let start = Instant::now();
        let batch = self.prepared();
        self.waited += start.elapsed();
        batch
    }
}

#[derive(Debug)]
struct Job {
    epoch: u64,
    step: usize,
    rows: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Maker {
    views: Arc<ViewSet>,
    augmentation: Augmentation,
    seed: u64,
}

impl Maker {
    fn make(&self, job: Job) -> (u64, usize, PixelBatch) {
        let (side, size) = (self.views.side, self.views.side * self.views.side * 3);
        let pixels = self.views.pixels.as_ref().map(|pixels| {
            let mut batch = vec![0.0; job.rows.len() * size];
            for (row, to) in job.rows.iter().zip(batch.chunks_exact_mut(size.max(1))) {
                let path = [AUGMENT, self.seed, job.epoch, *row as u64];
                self.augmentation.write(&pixels[row * size..(row + 1) * size], side, &path, to);
            }
            batch
        });
        (job.epoch, job.step, PixelBatch { rows: job.rows, pixels })
    }
}

type Made = (u64, (u64, usize, PixelBatch));

/// Workers with their jobs; each job has a number, and batches are given back in the order of numbers.
#[derive(Debug)]
struct Crew {
    jobs: Option<Sender<(u64, Job)>>,
    made: Receiver<Made>,
    early: BTreeMap<u64, (u64, usize, PixelBatch)>,
    handed_out: u64,
    collected: u64,
    depth: u64,
    workers: Vec<JoinHandle<()>>,
}

impl Crew {
    fn start(maker: &Maker, n_workers: usize) -> Result<Self, DataError> {
        let (jobs, queue) = channel::<(u64, Job)>();
        let queue = Arc::new(Mutex::new(queue));
        let (done, made) = channel();
        let workers = (0..n_workers)
            .map(|i| {
                let (maker, queue, done) = (maker.clone(), Arc::clone(&queue), done.clone());
                std::thread::Builder::new().name(format!("batches-{i}")).spawn(move || work(&maker, &queue, &done))
            })
            .collect::<Result<_, _>>()
            .map_err(|source| DataError::Threads { source: source.into() })?;
        Ok(Self {
            jobs: Some(jobs),
            made,
            early: BTreeMap::new(),
            handed_out: 0,
            collected: 0,
            // one batch in the making and one ready per worker
            depth: 2 * n_workers as u64,
            workers,
        })
    }

    fn room(&self) -> u64 {
        self.depth.saturating_sub(self.handed_out - self.collected)
    }

    fn hand_out(&mut self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // fails only when all workers are gone; `collect` then ends the iteration
            let _ = jobs.send((self.handed_out, job));
            self.handed_out += 1;
        }
    }

    fn collect(&mut self) -> Option<(u64, usize, PixelBatch)> {
        if self.collected == self.handed_out {
            return None;
        }
        loop {
            if let Some(batch) = self.early.remove(&self.collected) {
                self.collected += 1;
                return Some(batch);
            }
            let (number, batch) = self.made.recv().ok()?;
            self.early.insert(number, batch);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.jobs = None; // closes the queue, so that idle workers end
        while self.made.recv().is_ok() {} // until the last worker has gone
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
    }
}

fn work(maker: &Maker, queue: &Mutex<Receiver<(u64, Job)>>, done: &Sender<Made>) {
    loop {
        let job = queue.lock().unwrap_or_else(|e| e.into_inner()).recv();
        let Ok((number, job)) = job else { return };
        if done.send((number, maker.make(job))).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn views(n: usize, side: usize) -> Arc<ViewSet> {
        Arc::new(ViewSet {
            samples: (0..n).collect(),
            copies: vec![0; n],
            side,
            pixels: Some((0..n * side * side * 3).map(|i| (i * 31 % 256) as u8).collect()),
            measurements: None,
            features: None,
            flags: vec![Default::default(); n],
        })
    }

    fn options(epoch: u64, step: usize, workers: usize) -> LoaderOptions {
        LoaderOptions { epoch, step, workers, end_epoch: Some(4), ..Default::default() }
    }

    proptest! {
        #[test]
        fn an_epoch_shows_no_row_twice(n in 1_usize..60, batch_size in 1_usize..20, seed: u64, epoch: u64) {
            let plan = BatchPlan::new(n, batch_size, seed).unwrap();
            let mut all = plan.permutation(epoch);
            let seen: Vec<usize> = (0..plan.steps_per_epoch()).flat_map(|s| plan.rows(epoch, s)).collect();
            prop_assert_eq!(&all[..seen.len()], &seen[..]);
            prop_assert_eq!(seen.len(), if n < batch_size { n } else { n / batch_size * batch_size });
            all.sort_unstable();
            prop_assert_eq!(all, (0..n).collect::<Vec<_>>());
            prop_assert!(plan.rows(epoch, plan.steps_per_epoch()).is_empty());
        }

        #[test]
        fn rows_that_take_turns_are_all_seen_before_any_is_seen_again(
            first in 0_usize..20, copies in 2_usize..30, part in 0.0..1.5_f64, seed: u64,
        ) {
            let per_epoch = ((copies as f64 * part) as usize).max(1);
            let n = first + copies;
            let plan = BatchPlan::new(n, 4, seed).unwrap().with_turns(first, per_epoch);
            let mut seen = vec![0_usize; n];
            for epoch in 0..40 {
                let mut rows = plan.permutation(epoch);
                prop_assert_eq!(rows.len(), if per_epoch < copies { first + per_epoch } else { n });
                rows.iter().for_each(|r| seen[*r] += 1);
                rows.sort_unstable();
                prop_assert_eq!(&rows[..first], &(0..first).collect::<Vec<_>>()[..], "cells themselves are in every epoch");
                let turns = &seen[first..];
                prop_assert!(turns.iter().max().unwrap() - turns.iter().min().unwrap() <= 1, "{:?}", turns);
            }
            prop_assert_eq!(plan.permutation(7), plan.permutation(7));
        }
    }

    #[test]
    fn any_number_of_workers_gives_the_same_batches() {
        let plan = BatchPlan::new(23, 4, 9).unwrap();
        let load = |workers| BatchLoader::new(views(23, 6), plan, &options(0, 0, workers)).unwrap().collect::<Vec<_>>();
        let serial = load(0);
        assert_eq!(serial.len(), 4 * 5);
        for workers in [1, 2, 5] {
            assert_eq!(load(workers), serial, "{workers} workers");
        }
    }

    #[test]
    fn a_resumed_loader_goes_on_as_if_nothing_had_happened() {
        let plan = BatchPlan::new(23, 4, 9).unwrap();
        let whole: Vec<_> = BatchLoader::new(views(23, 6), plan, &options(0, 0, 2)).unwrap().collect();
        let resumed: Vec<_> = BatchLoader::new(views(23, 6), plan, &options(1, 3, 1)).unwrap().collect();
        assert_eq!(&whole[8..], &resumed[..]);
    }

    #[test]
    fn an_endless_loader_stops_when_dropped() {
        let plan = BatchPlan::new(8, 3, 1).unwrap();
        let endless = LoaderOptions { workers: 3, ..Default::default() };
        let mut loader = BatchLoader::new(views(8, 4), plan, &endless).unwrap();
        assert!(loader.by_ref().take(5).all(|(_, _, batch)| batch.rows.len() == 3));
        assert!(loader.waited() > Duration::ZERO);
        drop(loader);
        drop(BatchLoader::new(views(8, 4), plan, &endless).unwrap());
    }

    #[test]
    fn views_without_pixels_give_rows() {
        let bare = Arc::new(ViewSet { pixels: None, ..views(5, 4).as_ref().clone() });
        let loader = BatchLoader::new(bare, BatchPlan::new(5, 8, 1).unwrap(), &options(3, 0, 1)).unwrap();
        let batches: Vec<_> = loader.collect();
        assert_eq!(batches.len(), 1);
        assert!(batches[0].2.pixels.is_none() && batches[0].2.rows.len() == 5);
    }

    #[test]
    fn turns_of_more_rows_than_there_are_change_nothing_and_turns_of_none_leave_them_out() {
        let plan = BatchPlan::new(9, 4, 3).unwrap();
        assert_eq!(plan.with_turns(4, 5), plan);
        assert_eq!(plan.with_turns(4, usize::MAX), plan);
        let alone = plan.with_turns(4, 0);
        assert!((0..9).all(|epoch| alone.permutation(epoch).iter().all(|r| *r < 4)));
        assert_eq!((alone.steps_per_epoch(), alone.batch_size()), (1, 4));
        assert_eq!(plan.with_turns(0, 0), plan, "an epoch of nothing");
    }

    #[test]
    fn impossible_plans_are_refused() {
        assert!(BatchPlan::new(0, 4, 1).is_err() && BatchPlan::new(4, 0, 1).is_err());
        let plan = BatchPlan::new(9, 3, 1).unwrap();
        assert!(BatchLoader::new(views(8, 4), plan, &options(0, 0, 1)).is_err());
        assert!(BatchLoader::new(views(9, 4), plan, &options(0, 3, 1)).is_err());
    }
}
