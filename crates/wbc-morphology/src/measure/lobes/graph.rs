//! The skeleton as a graph of pixels.

use std::f64::consts::SQRT_2;
use wbc_core::Mask;

/// One pixel of the skeleton.
pub(super) struct Node {
    pub x: f64,
    pub y: f64,
    /// Distance to the background: half the width of the nucleus here.
    pub radius: f64,
    pixel: usize,
    neighbours: [usize; 4],
    count: usize,
}

impl Node {
    /// Neighbours along edges, and across corners where no neighbour along an edge joins both: at most four.
    pub(super) fn near(&self) -> &[usize] {
        &self.neighbours[..self.count]
    }
}

/// Nodes in reading order.
pub(super) struct Graph {
    pub nodes: Vec<Node>,
}

impl Graph {
    /// The graph without branches that reach less than `least` beyond the largest disc at their root; shortest first.
    /// `radius` is the distance to the background at a pixel.
    pub(super) fn pruned(mut skeleton: Mask, radius: impl Fn(usize, usize) -> f64, least: f64) -> Self {
        let width = skeleton.width();
        let mut graph = Self { nodes: Vec::new() };
        for (pixel, _) in skeleton.as_slice().iter().enumerate().filter(|(_, set)| **set) {
            let (x, y) = (pixel % width, pixel / width);
            let node = Node { x: x as f64, y: y as f64, radius: radius(x, y), pixel, neighbours: [0; 4], count: 0 };
            graph.nodes.push(node);
        }
        let mut index = vec![0; skeleton.as_slice().len()];
        loop {
            graph.join(&skeleton, &mut index);
            let spurs = (0..graph.nodes.len()).filter(|n| graph.nodes[*n].count == 1);
            let reach = spurs.filter_map(|n| graph.spur(n));
            let shortest = reach.filter(|s| s.1 < least).min_by(|a, b| a.1.total_cmp(&b.1));
            let Some((spur, _)) = shortest else { return graph };
            let pixels = skeleton.as_mut_slice();
            spur.iter().for_each(|n| pixels[graph.nodes[*n].pixel] = false);
            graph.nodes.retain(|n| pixels[n.pixel]);
        }
    }

    /// Finds the neighbours of every node; `index` is room for a number per pixel.
    fn join(&mut self, skeleton: &Mask, index: &mut [usize]) {
        self.nodes.iter().enumerate().for_each(|(n, node)| index[node.pixel] = n);
        for node in &mut self.nodes {
            let (x, y) = (node.x as isize, node.y as isize);
            node.count = 0;
            for (dx, dy) in [(0, -1), (-1, 0), (1, 0), (0, 1), (-1, -1), (1, -1), (-1, 1), (1, 1)] {
                let corner = dx != 0 && dy != 0;
                if skeleton.get(x + dx, y + dy) && !(corner && (skeleton.get(x + dx, y) || skeleton.get(x, y + dy))) {
                    let there = node.pixel.wrapping_add_signed(dy * skeleton.width() as isize + dx);
                    node.neighbours[node.count] = index[there];
                    node.count += 1;
                }
            }
        }
    }

    /// The nodes from an end to before the first branch point, and how far the branch reaches beyond the disc there;
    /// `None` for a line that never branches.
    fn spur(&self, end: usize) -> Option<(Vec<usize>, f64)> {
        let (mut walked, mut length) = (vec![end], 0.0);
        let (mut before, mut here) = (end, self.nodes[end].near()[0]);
        loop {
            length += self.step(before, here);
            match *self.nodes[here].near() {
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
        if a.x != b.x && a.y != b.y { SQRT_2 } else { 1.0 }
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
            for m in self.nodes[n].near() {
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
