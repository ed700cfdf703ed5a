//! How wide and how bent the nucleus is along its longest path.

use super::graph::Graph;

/// Half the stretch over which positions are averaged and directions compared, in working pixels.
const STRETCH: usize = 5;

/// The longest path of a skeleton.
pub(super) struct Path {
    /// Smallest / largest width, without the ends where the outline narrows the nucleus.
    pub width_ratio: f64,
    /// Angle between the directions at the two ends, followed along the path, in radians.
    pub turning: f64,
}

impl Path {
    pub(super) fn of(graph: &Graph) -> Option<Self> {
        let path = graph.longest_path();
        let nodes: Vec<_> = path.iter().map(|n| &graph.nodes[*n]).collect();
        nodes.first()?;
        let mut along = vec![0.0];
        for pair in path.windows(2) {
            along.push(along[along.len() - 1] + graph.step(pair[0], pair[1]));
        }
        let inner = along[along.len() - 1];

        // Towards an end the outline narrows the nucleus: widths count between the widest places near both ends.
        let widest = |near_end: &mut dyn Iterator<Item = usize>| {
            near_end.fold(None, |best: Option<usize>, i| match best {
                Some(b) if nodes[b].radius >= nodes[i].radius => Some(b),
                _ => Some(i),
            })
        };
        let count = nodes.len();
        let from = widest(&mut (0..count).take_while(|i| along[*i] <= nodes[*i].radius)).unwrap_or(0);
        let to = widest(&mut (0..count).rev().take_while(|i| inner - along[*i] <= nodes[*i].radius)).unwrap_or(from);
        let radii = || nodes[from.min(to)..=from.max(to)].iter().map(|n| n.radius);
        let width_ratio = radii().fold(f64::INFINITY, f64::min) / radii().fold(0.0, f64::max);

        let smooth: Vec<(f64, f64)> = (0..nodes.len())
            .map(|i| {
                let reach = STRETCH.min(i).min(nodes.len() - 1 - i);
                let part = &nodes[i - reach..=i + reach];
                let count = part.len() as f64;
                (part.iter().map(|n| n.x).sum::<f64>() / count, part.iter().map(|n| n.y).sum::<f64>() / count)
            })
            .collect();
        let corners: Vec<(f64, f64)> = smooth.into_iter().step_by(STRETCH).collect();
        let headings: Vec<f64> = corners.windows(2).map(|w| (w[1].1 - w[0].1).atan2(w[1].0 - w[0].0)).collect();
        let turns = headings.windows(2).map(|h| {
            let turn = h[1] - h[0];
            turn - std::f64::consts::TAU * (turn / std::f64::consts::TAU).round()
        });
        Some(Self { width_ratio, turning: turns.sum::<f64>().abs() })
    }
}
