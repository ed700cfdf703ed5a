//! Connected parts of a small mask by its runs: far fewer than its pixels.

use wbc_core::Mask;

/// A stretch of a row with one value.
struct Run {
    start: usize,
    end: usize,
    part: usize,
}

/// Areas of the parts with one value in scan order of their first run, and the part of every run of that value.
pub(super) struct Parts {
    pub areas: Vec<usize>,
    rows: Vec<Vec<Run>>,
}

impl Parts {
    /// Parts of the pixels that are `value`; `diagonal` tells whether corners join.
    pub(super) fn of(mask: &Mask, value: bool, diagonal: bool) -> Self {
        let mut rows: Vec<Vec<Run>> = Vec::with_capacity(mask.height());
        let mut parent: Vec<usize> = Vec::new();
        let reach = usize::from(diagonal);
        for row in mask.as_slice().chunks_exact(mask.width().max(1)) {
            let mut runs = Vec::new();
            let mut at = 0;
            let mut above = 0;
            while let Some(start) = row[at..].iter().position(|p| *p == value).map(|n| at + n) {
                let end = row[start..].iter().position(|p| *p != value).map_or(row.len(), |n| start + n);
                at = end;
                let part = parent.len();
                parent.push(part);
                if let Some(last) = rows.last() {
                    while above < last.len() && last[above].end + reach <= start {
                        above += 1;
                    }
                    let touching = last[above..].iter().take_while(|r| r.start < end + reach);
                    for touched in touching {
                        let (a, b) = (root(&mut parent, part), root(&mut parent, touched.part));
                        parent[a.max(b)] = a.min(b);
                    }
                }
                runs.push(Run { start, end, part });
            }
            rows.push(runs);
        }
        let mut areas = Vec::new();
        let mut number = vec![0; parent.len()];
        for run in rows.iter_mut().flatten() {
            let first = root(&mut parent, run.part);
            if first == run.part {
                number[first] = areas.len();
                areas.push(0);
            }
            run.part = number[first];
            areas[run.part] += run.end - run.start;
        }
        Self { areas, rows }
    }

    /// Gives all pixels of some parts a value.
    pub(super) fn paint(&self, mask: &mut Mask, value: bool, which: impl Fn(usize) -> bool) {
        let width = mask.width().max(1);
        for (runs, row) in self.rows.iter().zip(mask.as_mut_slice().chunks_exact_mut(width)) {
            runs.iter().filter(|r| which(r.part)).for_each(|r| row[r.start..r.end].fill(value));
        }
    }
}

fn root(parent: &mut [usize], mut n: usize) -> usize {
    while parent[n] != n {
        parent[n] = parent[parent[n]];
        n = parent[n];
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{Connectivity, components};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_are_the_connected_components(data in proptest::collection::vec(any::<bool>(), 13 * 9)) {
            let mask = Mask::from_vec(13, 9, data).unwrap();
            for (diagonal, connectivity) in [(false, Connectivity::Four), (true, Connectivity::Eight)] {
                let mut expected: Vec<_> = components(&mask, connectivity).parts.iter().map(|p| p.area_px).collect();
                let found = Parts::of(&mask, true, diagonal);
                let mut painted = Mask::new(13, 9);
                found.paint(&mut painted, true, |_| true);
                prop_assert_eq!(&painted, &mask);
                let mut areas = found.areas;
                expected.sort_unstable();
                areas.sort_unstable();
                prop_assert_eq!(areas, expected);
            }
        }
    }
}
