use crate::probability::{argmax, log_softmax};
use crate::{Candidate, Decision, ExplainError, MeasuredEvidence, Voter};
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use wbc_contrastive::FactSpace;
use wbc_core::{Annotation, TYPE_FACT, Unit};
use wbc_encoders::MeasurementStatistics;

/// How many measurements vote on a fact.
const VOTERS: usize = 8;
/// Measurements that correlate more than this with a better separating one do not vote beside it.
const MOST_CORRELATED: f64 = 0.9;
/// A value with fewer training cells has no distribution to speak of, and takes no part.
pub(crate) const FEWEST: u32 = 3;
/// Smallest standard deviation in a likelihood, in units of all training cells, so that a few alike cells do not decide.
pub(crate) const LEAST_STD: f64 = 0.1;

/// Normalised measurements of a group of training cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMoments {
    /// Cells of the group.
    pub cells: u32,
    /// Per measurement, cells where it is defined.
    pub n: Vec<u32>,
    /// Mean of the defined values, 0 where there are none.
    pub mean: Vec<f32>,
    /// Standard deviation of the defined values, 0 where there are none.
    pub std: Vec<f32>,
}

/// A measurement that separates the values of a fact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Separating {
    /// Column of the measurement.
    pub column: usize,
    /// ANOVA's F: variance between values over variance within values.
    pub f: f32,
}

/// One fact, the type or an attribute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactReference {
    /// `type` or the attribute's name.
    pub name: String,
    /// Its values.
    pub values: Vec<String>,
    /// Training cells per value.
    pub groups: Vec<GroupMoments>,
    /// The best separating measurements, at most eight, best first; no flags.
    pub voters: Vec<Separating>,
    /// Share of the annotated training cells for which [`TrainingReference::vote`] names the annotated value: told by the
    /// cells that it was computed from, so somewhat too good. `None` where there is no vote.
    pub accuracy: Option<f32>,
}

/// How the measurements of the training cells are distributed, overall and per value of every fact. Stored as
/// `reference.json` with a run; all numbers are normalised by the run's [`MeasurementStatistics`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingReference {
    /// Version of this file.
    pub version: u32,
    /// Measurement names, in column order.
    pub measurements: Vec<String>,
    /// All training cells.
    pub overall: GroupMoments,
    /// The type first, then the attributes.
    pub facts: Vec<FactReference>,
}

impl TrainingReference {
    /// The current version of the file format.
    pub const VERSION: u32 = 1;

    /// Computes the reference from training cells: `rows` is `[n, n_measurements]` in original units, NaN where
    /// undefined, `length_scale` and `annotations` have one entry per row.
    ///
    /// # Errors
    /// [`ExplainError::Reference`] when lengths disagree or there is no cell.
    pub fn compute(
        space: &FactSpace,
        statistics: &MeasurementStatistics,
        rows: ArrayView2<'_, f32>,
        length_scale: &[Option<f64>],
        annotations: &[&Annotation],
    ) -> Result<Self, ExplainError> {
        let (n, m) = rows.dim();
        if n == 0 || m != statistics.mean.len() || n != length_scale.len() || n != annotations.len() {
            let cause = format!(
                "{n} rows of {m} measurements, {} scales, {} annotations; {} measurements are expected",
                length_scale.len(),
                annotations.len(),
                statistics.mean.len()
            );
            return Err(ExplainError::Reference { cause });
        }
        let raw: Vec<f32> = rows.iter().copied().collect();
        let (values, mask) = statistics.rows(&raw, length_scale);
        // a flag is 0 or 1: in a few cells of a group it is often never set, and a normal density would be sure of it
        let votes: Vec<bool> = statistics.schema.measurements.iter().map(|d| d.unit != Unit::Flag).collect();
        let table = Table { m, values: &values, mask: &mask };
        let overall = table.moments(&(0..n).collect::<Vec<_>>());
        let codes: Vec<Vec<i16>> = annotations.iter().map(|a| space.encode(a)).collect();
        let types = space.types().iter().map(ToString::to_string).collect();
        let attributes = space.schema().attributes.iter();
        let names = std::iter::once((TYPE_FACT.to_owned(), types))
            .chain(attributes.map(|a| (a.name.clone(), a.values.iter().map(|v| v.name.clone()).collect::<Vec<_>>())));
        let facts = names
            .enumerate()
            .map(|(fact, (name, values))| {
                let groups: Vec<GroupMoments> = (0..values.len())
                    .map(|v| {
                        let own = |i: &usize| codes[*i].get(fact).is_some_and(|c| *c == v as i16);
                        table.moments(&(0..n).filter(own).collect::<Vec<_>>())
                    })
                    .collect();
                let voters = table.separating(&groups, &votes);
                FactReference { name, values, groups, voters, accuracy: None }
            })
            .collect();
        let measurements = statistics.schema.names().map(str::to_owned).collect();
        let mut reference = Self { version: Self::VERSION, measurements, overall, facts };
        for fact in 0..reference.facts.len() {
            reference.facts[fact].accuracy = reference.accuracy(fact, &codes, &table);
        }
        Ok(reference)
    }

    /// How often the vote is right about cells with known values.
    fn accuracy(&self, fact: usize, codes: &[Vec<i16>], table: &Table<'_>) -> Option<f32> {
        let FactReference { name, values, .. } = &self.facts[fact];
        let (mut asked, mut right) = (0_u32, 0_u32);
        let rows = table.values.chunks_exact(table.m).zip(table.mask.chunks_exact(table.m));
        for (code, (row, mask)) in codes.iter().zip(rows) {
            let Some(truth) = code.get(fact).and_then(|c| values.get(usize::try_from(*c).ok()?)) else { continue };
            let Some(vote) = self.vote(name, row, mask) else { continue };
            asked += 1;
            right += u32::from(vote.decision.value == *truth);
        }
        (asked > 0).then(|| right as f32 / asked as f32)
    }

    /// The file's text.
    ///
    /// # Panics
    /// Never: the structure has only strings, numbers and lists.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain structures serialise")
    }

    /// Reads `reference.json`.
    ///
    /// # Errors
    /// [`ExplainError::Format`] for JSON that does not parse, another version, or lists that contradict each other.
    pub fn from_json(text: &str) -> Result<Self, ExplainError> {
        let invalid = |cause: String| ExplainError::Format { what: "training reference", cause };
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| invalid(e.to_string()))?;
        if value["version"] != Self::VERSION {
            return Err(invalid(format!("version {} where {} is expected", value["version"], Self::VERSION)));
        }
        let read: Self = serde_json::from_value(value).map_err(|e| invalid(e.to_string()))?;
        let m = read.measurements.len();
        let whole = |g: &GroupMoments| [g.n.len(), g.mean.len(), g.std.len()] == [m; 3];
        let fits = |f: &FactReference| {
            f.groups.len() == f.values.len() && f.groups.iter().all(whole) && f.voters.iter().all(|v| v.column < m)
        };
        if !whole(&read.overall) || !read.facts.iter().all(fits) {
            return Err(invalid("lists of different length".into()));
        }
        Ok(read)
    }

    /// Fails unless the reference is about these measurements, types and attributes.
    ///
    /// # Errors
    /// [`ExplainError::Reference`] naming the first difference.
    pub fn check_fits(&self, space: &FactSpace, statistics: &MeasurementStatistics) -> Result<(), ExplainError> {
        let differ = |cause: &str| Err(ExplainError::Reference { cause: cause.into() });
        if !self.measurements.iter().map(String::as_str).eq(statistics.schema.names()) {
            return differ("other measurements");
        }
        if self.facts.len() != space.len() || self.facts.first().is_none_or(|f| f.name != TYPE_FACT) {
            return differ("another number of facts");
        }
        if !self.facts[0].values.iter().map(String::as_str).eq(space.types().iter().map(|t| t.as_str())) {
            return differ("other types");
        }
        for (fact, a) in self.facts[1..].iter().zip(&space.schema().attributes) {
            if fact.name != a.name || !fact.values.iter().eq(a.values.iter().map(|v| &v.name)) {
                return differ(&format!("other values of `{}`", a.name));
            }
        }
        Ok(())
    }

    /// One fact by its name.
    pub fn fact(&self, name: &str) -> Option<&FactReference> {
        self.facts.iter().find(|f| f.name == name)
    }

    /// What the measurements alone say about a fact: Gaussian naive Bayes.
    ///
    /// Every value of the fact has a prior, its share of the training cells (plus one cell each), and for each voting
    /// measurement a normal density with the mean and standard deviation of its training cells. Voters are the at most
    /// eight measurements with the highest ratio of variance between values to variance within values (ANOVA's F over
    /// the training cells), taken best first, leaving out flags and any that correlates beyond 0.9 with one already taken.
    /// They are treated as independent, which they are not quite, so the probabilities are on the confident side: read them
    /// as an independent second opinion, not as calibrated ones.
    ///
    /// `values` and `mask` are one normalised row. `None` for an unknown fact, when no voter is known for the cell, or
    /// when fewer than two values occur in training. A value with fewer than three training cells gets no vote.
    pub fn vote(&self, fact: &str, values: &[f32], mask: &[f32]) -> Option<MeasuredEvidence> {
        let fact = self.fact(fact)?;
        let total: f64 = fact.groups.iter().map(|g| f64::from(g.cells)).sum();
        let usable = |column: usize| {
            mask.get(column).is_some_and(|k| *k > 0.0) && present(&fact.groups).all(|g| g.n[column] >= FEWEST)
        };
        let voters: Vec<&Separating> = fact.voters.iter().filter(|v| usable(v.column)).collect();
        if voters.is_empty() || present(&fact.groups).count() < 2 {
            return None;
        }
        // a value that takes no part is impossible, by a finite logarithm so that numbers stay plain
        let prior = |g: &GroupMoments| {
            if g.cells < FEWEST { -1e6 } else { ((f64::from(g.cells) + 1.0) / (total + fact.groups.len() as f64)).ln() }
        };
        let likelihood = |g: &GroupMoments, column: usize| {
            let std = f64::from(g.std[column]).max(LEAST_STD);
            let distance = (f64::from(values[column]) - f64::from(g.mean[column])) / std;
            if g.cells < FEWEST { 0.0 } else { -std.ln() - 0.5 * distance * distance }
        };
        let logits: Vec<f64> = fact
            .groups
            .iter()
            .map(|g| prior(g) + voters.iter().map(|v| likelihood(g, v.column)).sum::<f64>())
            .collect();
        let best = argmax(&logits);
        let others: Vec<&GroupMoments> =
            fact.groups.iter().enumerate().filter(|(i, g)| *i != best && g.cells >= FEWEST).map(|(_, g)| g).collect();
        let log_ratio = |column: usize| {
            let mean = others.iter().map(|g| likelihood(g, column)).sum::<f64>() / others.len().max(1) as f64;
            (likelihood(&fact.groups[best], column) - mean) as f32
        };
        let voters = voters
            .iter()
            .map(|v| Voter {
                measurement: self.measurements[v.column].clone(),
                z: values[v.column],
                f: v.f,
                log_ratio: log_ratio(v.column),
            })
            .collect();
        Some(MeasuredEvidence {
            decision: Decision::between(&fact.values, &logits, None),
            voters,
            accuracy: fact.accuracy,
        })
    }
}

impl Decision {
    /// Softmax over logits, one per value; `cosines` are noted where given.
    pub(crate) fn between(values: &[String], logits: &[f64], cosines: Option<&[f64]>) -> Self {
        let logs = log_softmax(logits);
        let candidates: Vec<Candidate> = values
            .iter()
            .zip(&logs)
            .enumerate()
            .map(|(i, (value, log))| Candidate {
                value: value.clone(),
                probability: log.exp() as f32,
                cosine: cosines.map(|c| c[i] as f32),
            })
            .collect();
        let best = argmax(logits);
        let (value, probability) =
            candidates.get(best).map_or((String::new(), 0.0), |c| (c.value.clone(), c.probability));
        Self { value, probability, candidates }
    }
}

/// Normalised values with their mask, `[n, m]` row-major.
struct Table<'t> {
    m: usize,
    values: &'t [f32],
    mask: &'t [f32],
}

impl Table<'_> {
    fn moments(&self, rows: &[usize]) -> GroupMoments {
        let mut moments = GroupMoments { cells: rows.len() as u32, n: vec![], mean: vec![], std: vec![] };
        for column in 0..self.m {
            let known = || {
                rows.iter()
                    .map(|r| r * self.m + column)
                    .filter(|i| self.mask[*i] > 0.0)
                    .map(|i| f64::from(self.values[i]))
            };
            let n = known().count();
            let mean = known().sum::<f64>() / n.max(1) as f64;
            let variance = known().map(|v| (v - mean).powi(2)).sum::<f64>() / n.max(1) as f64;
            moments.n.push(n as u32);
            moments.mean.push(mean as f32);
            moments.std.push(variance.sqrt() as f32);
        }
        moments
    }

    /// The best separating measurements among those that may vote.
    fn separating(&self, groups: &[GroupMoments], votes: &[bool]) -> Vec<Separating> {
        let columns = (0..self.m).filter(|column| votes[*column]);
        let mut all: Vec<Separating> =
            columns.filter_map(|column| Some(Separating { column, f: anova_f(groups, column)? })).collect();
        all.sort_by(|a, b| b.f.total_cmp(&a.f).then(a.column.cmp(&b.column)));
        let mut taken: Vec<Separating> = Vec::new();
        for candidate in all {
            if taken.len() == VOTERS {
                break;
            }
            if taken.iter().all(|t| self.correlation(t.column, candidate.column).abs() <= MOST_CORRELATED) {
                taken.push(candidate);
            }
        }
        taken
    }

    /// Pearson's correlation over rows where both are known; 0 where undefined.
    fn correlation(&self, a: usize, b: usize) -> f64 {
        let pairs = || {
            let rows = self.values.chunks_exact(self.m).zip(self.mask.chunks_exact(self.m));
            rows.filter(|(_, k)| k[a] > 0.0 && k[b] > 0.0).map(|(v, _)| (f64::from(v[a]), f64::from(v[b])))
        };
        let n = pairs().count().max(1) as f64;
        let (x, y) = pairs().fold((0.0, 0.0), |(x, y), (u, v)| (x + u / n, y + v / n));
        let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
        for (u, v) in pairs() {
            xx += (u - x).powi(2);
            yy += (v - y).powi(2);
            xy += (u - x) * (v - y);
        }
        if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
    }
}

/// Groups with enough cells to take part.
pub(crate) fn present(groups: &[GroupMoments]) -> impl Iterator<Item = &GroupMoments> {
    groups.iter().filter(|g| g.cells >= FEWEST)
}

/// One-way ANOVA's F from group moments; `None` where a group with cells has too few values, or nothing varies.
fn anova_f(groups: &[GroupMoments], column: usize) -> Option<f32> {
    let present: Vec<&GroupMoments> = present(groups).collect();
    if present.len() < 2 || present.iter().any(|g| g.n[column] < FEWEST) {
        return None;
    }
    let n = |g: &GroupMoments| f64::from(g.n[column]);
    let total: f64 = present.iter().map(|g| n(g)).sum();
    let mean = present.iter().map(|g| n(g) * f64::from(g.mean[column])).sum::<f64>() / total;
    let between = present.iter().map(|g| n(g) * (f64::from(g.mean[column]) - mean).powi(2)).sum::<f64>();
    let within = present.iter().map(|g| n(g) * f64::from(g.std[column]).powi(2)).sum::<f64>();
    let (between, within) = (between / (present.len() - 1) as f64, within / (total - present.len() as f64));
    // a floor on the variance within keeps a perfect separation finite
    (between > 0.0).then(|| (between / within.max(1e-6)) as f32)
}
