//! Shapes as stretches of pixels within rows, and how these hang together.

use super::Connectivity;
use wbc_core::Mask;

/// Pixels `start..end` of row `y`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) y: i32,
    pub(crate) start: i32,
    pub(crate) end: i32,
}

impl Run {
    pub(crate) fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// The runs of a mask in reading order.
pub(crate) fn runs_of(mask: &Mask) -> Vec<Run> {
    let mut runs = Vec::with_capacity(2 * mask.height());
    for (y, row) in mask.as_slice().chunks_exact(mask.width().max(1)).enumerate() {
        let mut at = 0;
        while let Some(gap) = row[at..].iter().position(|p| *p) {
            let start = at + gap;
            at = row[start..].iter().position(|p| !p).map_or(row.len(), |len| start + len);
            runs.push(Run { y: y as i32, start: start as i32, end: at as i32 });
        }
    }
    runs
}

/// Calls `found(upper, lower)` with the indices of every two runs of neighbouring rows that touch. Runs are in reading
/// order and apart from each other.
pub(crate) fn touching(runs: &[Run], connectivity: Connectivity, mut found: impl FnMut(usize, usize)) {
    let reach = i32::from(connectivity == Connectivity::Eight);
    let mut upper = 0;
    for (lower, run) in runs.iter().enumerate() {
        let passed = |r: &Run| r.y < run.y - 1 || (r.y == run.y - 1 && r.end + reach <= run.start);
        while upper < lower && passed(&runs[upper]) {
            upper += 1;
        }
        for (i, above) in runs.iter().enumerate().take(lower).skip(upper) {
            if above.y != run.y - 1 || above.start >= run.end + reach {
                break;
            }
            found(i, lower);
        }
    }
}

/// For every run the first run of its component.
pub(crate) fn components(runs: &[Run], connectivity: Connectivity) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..runs.len()).collect();
    fn root(parent: &mut [usize], mut i: usize) -> usize {
        while parent[i] != i {
            parent[i] = parent[parent[i]];
            i = parent[i];
        }
        i
    }
    touching(runs, connectivity, |a, b| {
        let (a, b) = (root(&mut parent, a), root(&mut parent, b));
        parent[a.max(b)] = a.min(b);
    });
    for i in 0..parent.len() {
        parent[i] = parent[parent[i]];
    }
    parent
}

/// For every run the first run of its component, and at each first run the component's area in pixels, else 0.
pub(crate) fn component_areas(runs: &[Run], connectivity: Connectivity) -> (Vec<usize>, Vec<usize>) {
    let first = components(runs, connectivity);
    let mut areas = vec![0; runs.len()];
    first.iter().zip(runs).for_each(|(first, run)| areas[*first] += run.len());
    (first, areas)
}

/// Number of components.
pub(crate) fn n_components(runs: &[Run], connectivity: Connectivity) -> usize {
    components(runs, connectivity).iter().enumerate().filter(|(i, first)| i == *first).count()
}

/// The gaps between runs in a box of `width` × `height` pixels with a frame one pixel wide. The gap left of run `i` in
/// row `y` has the index `1 + y + i`.
pub(crate) fn gaps(runs: &[Run], width: i32, height: i32) -> Vec<Run> {
    let mut gaps = Vec::with_capacity(runs.len() + height as usize + 2);
    gaps.push(Run { y: -1, start: -1, end: width + 1 });
    let mut runs = runs.iter().peekable();
    for y in 0..height {
        let mut start = -1;
        while let Some(run) = runs.next_if(|r| r.y == y) {
            gaps.push(Run { y, start, end: run.start });
            start = run.end;
        }
        gaps.push(Run { y, start, end: width + 1 });
    }
    gaps.push(Run { y: height, start: -1, end: width + 1 });
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Areas of the components, smallest first, pixel by pixel.
    fn flooded(mask: &Mask, connectivity: Connectivity) -> Vec<usize> {
        let mut left = mask.clone();
        let mut areas = Vec::new();
        while let Some(start) = left.as_slice().iter().position(|p| *p) {
            let (mut stack, mut area) = (vec![start], 0);
            left.as_mut_slice()[start] = false;
            while let Some(i) = stack.pop() {
                area += 1;
                let (x, y) = ((i % left.width()) as isize, (i / left.width()) as isize);
                for (dx, dy) in [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1)] {
                    if (connectivity == Connectivity::Eight || dx == 0 || dy == 0) && left.get(x + dx, y + dy) {
                        let n = (y + dy) as usize * left.width() + (x + dx) as usize;
                        left.as_mut_slice()[n] = false;
                        stack.push(n);
                    }
                }
            }
            areas.push(area);
        }
        areas.sort_unstable();
        areas
    }

    proptest! {
        #[test]
        fn components_are_those_of_a_flood(data in proptest::collection::vec(any::<bool>(), 15 * 12)) {
            let mask = Mask::from_vec(15, 12, data).unwrap();
            let runs = runs_of(&mask);
            prop_assert_eq!(runs.iter().map(|r| r.len()).sum::<usize>(), mask.area_px());
            for connectivity in [Connectivity::Four, Connectivity::Eight] {
                let expected = flooded(&mask, connectivity);
                prop_assert_eq!(n_components(&runs, connectivity), expected.len());
                let areas = component_areas(&runs, connectivity).1;
                let mut found: Vec<_> = areas.into_iter().filter(|a| *a > 0).collect();
                found.sort_unstable();
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn gaps_fill_the_frame() {
        let runs = [Run { y: 0, start: 0, end: 2 }, Run { y: 0, start: 3, end: 4 }, Run { y: 2, start: 1, end: 4 }];
        let found = gaps(&runs, 4, 3);
        assert_eq!(found.iter().map(|g| g.len()).sum::<usize>(), 6 * 5 - 6);
        assert_eq!(found[1 + 2 + 2], Run { y: 2, start: -1, end: 1 });
    }
}
