//! The skeleton as a graph of pixels.

use crate::ops::Plane;
use wbc_core::Mask;

/// One pixel of the skeleton.
pub(super) struct Node {
    pub x: f64,
    pub y: f64,
    /// Distance to the background: half the width of the nucleus here.
    pub radius: f64,
    /// Neighbours along edges, and across corners where no neighbour along an edge joins both.
    pub near: Vec<usize>,
}

/// Nodes in reading order.
pub(super) struct Graph {
    pub nodes: Vec<Node>,
}

impl Graph {
    fn new(skeleton: &Mask, radii: &Plane) -> Self {
        let width = skeleton.width();
        let set: Vec<usize> = (0..skeleton.as_slice().len()).filter(|i| skeleton.as_slice()[*i]).collect();
        let mut index = vec![usize::MAX; skeleton.as_slice().len()];
        set.iter().enumerate().for_each(|(n, i)| index[*i] = n);
        let nodes = set.iter().map(|i| {
            let (x, y) = ((i % width) as isize, (i / width) as isize);
            let mut near = Vec::with_capacity(4);
            for (dx, dy) in [(0, -1), (-1, 0), (1, 0), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1)] {
                let corner = dx != 0 && dy != 0;
                if skeleton.get(x + dx, y + dy) && !(corner && (skeleton.get(x + dx, y) || skeleton.get(x, y + dy))) {
                    near.push(index[i.wrapping_add_signed(dy * width as isize + dx)]);
                }
            }
            Node { x: x as f64, y: y as f64, radius: f64::from(radii.data[*i]), near }
        });
        Self { nodes: nodes.collect() }
    }

    /// The graph without branches that reach less than `least` beyond the largest disc at their root; shortest first.
    pub(super) fn pruned(mut skeleton: Mask, radii: &Plane, least: f64) -> Self {
        loop {
            let graph = Self::new(&skeleton, radii);
            let spurs = (0..graph.nodes.len()).filter(|n| graph.nodes[*n].near.len() == 1);
            let reach = spurs.filter_map(|n| graph.spur(n));
            let shortest = reach.filter(|s| s.1 < least).min_by(|a, b| a.1.total_cmp(&b.1));
            let Some((spur, _)) = shortest else { return graph };
            for n in spur {
                let (x, y) = (graph.nodes[n].x as usize, graph.nodes[n].y as usize);
                skeleton.as_mut_slice()[y * radii.width + x] = false;
            }
        }
    }

    /// The nodes from an end to before the first branch point, and how far the branch reaches beyond the disc there;
    /// `None` for a line that never branches.
    fn spur(&self, end: usize) -> Option<(Vec<usize>, f64)> {
        let (mut walked, mut length) = (vec![end], 0.0);
        let (mut before, mut here) = (end, self.nodes[end].near[0]);
        loop {
            length += self.step(before, here);
            match self.nodes[here].near[..] {
                [a, b] => {
                    walked.push(here);
                    (before, here) = (here, if a == before { b } else { a });
                    if walked.len() > self.nodes.len() {
                        return None;
                    }
                }
                [_] | [] => return None,
                _ => return Some((walked, length + self.nodes[end].radius - self.nodes[here].radius)),
            }
        }
    }

    /// Length of the step between two neighbours.
    pub(super) fn step(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (&self.nodes[a], &self.nodes[b]);
        (a.x - b.x).hypot(a.y - b.y)
    }

    /// Number of nodes with one neighbour.
    pub(super) fn ends(&self) -> usize {
        self.nodes.iter().filter(|n| n.near.len() == 1).count()
    }

    /// Number of places where at least three lines meet: touching nodes are one place.
    pub(super) fn branch_points(&self) -> usize {
        let branches = |n: &usize| self.nodes[*n].near.len() > 2;
        let all = (0..self.nodes.len()).filter(branches);
        all.filter(|n| !self.nodes[*n].near.iter().any(|m| m < n && branches(m))).count()
    }

    /// Length of all lines.
    pub(super) fn length(&self) -> f64 {
        (0..self.nodes.len()).flat_map(|n| self.nodes[n].near.iter().map(move |m| self.step(n, *m))).sum::<f64>() / 2.0
    }

    /// The longest of the shortest paths between two nodes, by two sweeps from every part's first node (exact on trees).
    pub(super) fn longest_path(&self) -> Vec<usize> {
        let mut seen = vec![false; self.nodes.len()];
        let mut best = (Vec::new(), -1.0);
        for start in 0..self.nodes.len() {
            if seen[start] {
                continue;
            }
            let (reached, _) = self.farthest(start);
            reached.iter().for_each(|(n, ..)| seen[*n] = true);
            let Some(far) = reached.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
            let (reached, from) = self.farthest(far.0);
            let Some(end) = reached.iter().max_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
            if end.1 > best.1 {
                let mut path = vec![end.0];
                while let Some(n) = path.last().and_then(|n| from[*n]) {
                    path.push(n);
                }
                best = (path, end.1);
            }
        }
        best.0
    }

    /// Distances from a node to all that it reaches, and where each was reached from.
    fn farthest(&self, start: usize) -> (Vec<(usize, f64)>, Vec<Option<usize>>) {
        let mut distance = vec![f64::INFINITY; self.nodes.len()];
        let mut from = vec![None; self.nodes.len()];
        let mut queue = std::collections::VecDeque::from([start]);
        distance[start] = 0.0;
        while let Some(n) = queue.pop_front() {
            for m in &self.nodes[n].near {
                let d = distance[n] + self.step(n, *m);
                if d < distance[*m] - 1e-9 {
                    distance[*m] = d;
                    from[*m] = Some(n);
                    queue.push_back(*m);
                }
            }
        }
        (distance.iter().copied().enumerate().filter(|(_, d)| d.is_finite()).collect(), from)
    }
}
