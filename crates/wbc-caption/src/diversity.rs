//! How varied a set of texts is.

use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Longest n-gram of [`self_bleu`], as in the papers.
const MAX_N: usize = 4;

/// Diversity of a set of captions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Diversity {
    /// Number of texts.
    pub n: usize,
    /// Distinct single words over all words (Li et al. 2016, distinct-1).
    pub distinct_1: f64,
    /// Distinct word pairs over all word pairs (distinct-2).
    pub distinct_2: f64,
    /// Mean BLEU-4 of each text with all others as references (Zhu et al. 2018, Texygen); 0 for fewer than two texts.
    pub self_bleu: f64,
    /// Mean number of words.
    pub words_mean: f64,
    /// Standard deviation of the number of words.
    pub words_sd: f64,
}

/// Words in lower case and punctuation marks, as BLEU counts them.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut open = false;
    for c in text.to_lowercase().chars() {
        if c.is_alphanumeric() {
            if !open {
                tokens.push(String::new());
            }
            if let Some(last) = tokens.last_mut() {
                last.push(c);
            }
            open = true;
        } else {
            open = false;
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
        }
    }
    tokens
}

type Counts<'t> = HashMap<&'t [String], usize>;
/// Highest count of an n-gram, whose text has it, and the second highest.
type Highest<'t> = HashMap<&'t [String], (usize, usize, usize)>;

fn counts(tokens: &[String], n: usize) -> Counts<'_> {
    let mut counts = HashMap::new();
    for gram in tokens.windows(n) {
        *counts.entry(gram).or_insert(0) += 1;
    }
    counts
}

impl Diversity {
    /// As many texts say how varied a set is; self-BLEU compares each with all others.
    pub const ENOUGH: usize = 1000;

    /// Measures a set of texts.
    pub fn of<T: AsRef<str>>(texts: &[T]) -> Self {
        let all: Vec<Vec<String>> = texts.iter().map(|t| tokens(t.as_ref())).collect();
        let distinct = |n: usize| {
            let grams = all.iter().flat_map(|t| t.windows(n));
            let total = grams.clone().count();
            if total == 0 { 0.0 } else { grams.collect::<HashSet<_>>().len() as f64 / total as f64 }
        };
        let lengths: Vec<f64> = texts.iter().map(|t| t.as_ref().split_whitespace().count() as f64).collect();
        let mean = lengths.iter().sum::<f64>() / lengths.len().max(1) as f64;
        let variance = lengths.iter().map(|l| (l - mean).powi(2)).sum::<f64>() / lengths.len().max(1) as f64;
        Self {
            n: texts.len(),
            distinct_1: distinct(1),
            distinct_2: distinct(2),
            self_bleu: self_bleu_of(&all),
            words_mean: mean,
            words_sd: variance.sqrt(),
        }
    }
}

/// Mean BLEU-4 of each text with all others as references (Texygen's self-BLEU), with method-1 smoothing (Chen and
/// Cherry 2014: a count of zero becomes 0.1) and BLEU's brevity penalty; 0 for fewer than two texts.
pub fn self_bleu<T: AsRef<str>>(texts: &[T]) -> f64 {
    self_bleu_of(&texts.iter().map(|t| tokens(t.as_ref())).collect::<Vec<_>>())
}

fn self_bleu_of(all: &[Vec<String>]) -> f64 {
    if all.len() < 2 {
        return 0.0;
    }
    // Per n-gram the two highest counts over all texts, so that a text can be left out without counting anew.
    let mut highest: Vec<Highest<'_>> = vec![HashMap::new(); MAX_N];
    let own: Vec<Vec<Counts<'_>>> = all.iter().map(|t| (1..=MAX_N).map(|n| counts(t, n)).collect()).collect();
    for (i, grams) in own.iter().enumerate() {
        for (n, counts) in grams.iter().enumerate() {
            for (gram, count) in counts {
                let entry = highest[n].entry(gram).or_insert((0, usize::MAX, 0));
                if *count > entry.0 {
                    *entry = (*count, i, entry.0);
                } else if *count > entry.2 {
                    entry.2 = *count;
                }
            }
        }
    }
    let mut lengths: Vec<usize> = all.iter().map(Vec::len).collect();
    lengths.sort_unstable();
    let score = |i: usize| {
        let length = all[i].len();
        if length == 0 {
            return 0.0;
        }
        let mut log_sum = 0.0;
        for n in 0..MAX_N {
            let total: usize = own[i][n].values().sum();
            let matched: usize = own[i][n]
                .iter()
                .map(|(gram, count)| {
                    let (first, by, second) = highest[n][gram];
                    (*count).min(if by == i { second } else { first })
                })
                .sum();
            if n == 0 && matched == 0 {
                return 0.0; // not a word in common
            }
            // A text shorter than n words has no n-gram: nothing matched of one.
            let matched = if matched == 0 { 0.1 } else { matched as f64 };
            log_sum += (matched / total.max(1) as f64).ln() / MAX_N as f64;
        }
        // The reference whose length is closest, the text itself apart.
        let closest = closest_other(&lengths, length);
        let penalty = if length > closest { 1.0 } else { (1.0 - closest as f64 / length as f64).exp() };
        penalty * log_sum.exp()
    };
    (0..all.len()).map(score).sum::<f64>() / all.len() as f64
}

/// Length closest to `length` among the sorted lengths of all other texts, the shorter of two.
fn closest_other(sorted: &[usize], length: usize) -> usize {
    let from = sorted.partition_point(|l| *l < length);
    let same = sorted[from..].iter().take_while(|l| **l == length).count();
    if same > 1 {
        return length;
    }
    let below = from.checked_sub(1).map(|i| sorted[i]);
    let above = sorted.get(from + same).copied();
    match (below, above) {
        (Some(b), Some(a)) => {
            if length - b <= a - length {
                b
            } else {
                a
            }
        }
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_no_diversity_and_different_ones_much() {
        let same = ["a round nucleus with dense chromatin"; 3];
        assert!((self_bleu(&same) - 1.0).abs() < 1e-12);
        let other =
            ["a round nucleus with dense chromatin", "pink granules fill this big cell", "no vacuoles at all here now"];
        assert!(self_bleu(&other) < 0.05);
        let d = Diversity::of(&same);
        assert!((d.distinct_1 - 6.0 / 18.0).abs() < 1e-12 && d.words_sd == 0.0);
        assert_eq!(Diversity::of::<&str>(&[]), Diversity::default());
    }
}
