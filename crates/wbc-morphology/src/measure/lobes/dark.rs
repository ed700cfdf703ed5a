//! What is as dark as the nucleus, at the resolution of the image.

use crate::measure::context::{CellContext, Compartment};
use crate::ops::{Connectivity, Element, Plane, components, dilate, gaussian_blur};
use wbc_core::Mask;

pub(super) struct Dark {
    pub mask: Mask,
    /// Light that passes, 0 to 2
    pub light: Plane,
    pub nucleus: f64,
    pub cytoplasm: f64,
    pub near: Mask,
}

pub(super) fn dark(cell: &CellContext) -> Option<Dark> {
    let nucleus = cell.mask(Compartment::Nucleus);
    if nucleus.area_px() < 20 {
        return None;
    }
    let (w, h) = (cell.width(), cell.height());
    let [r, g, _] = cell.rgb();
    let data = r.iter().zip(g).map(|(r, g)| r + g).collect();
    let d = cell.cell_diameter_px();
    let light = gaussian_blur(&Plane { width: w, height: h, data }, (0.006 * d) as f32);
    let near = dilate(nucleus, &Element::ellipse((0.03 * d).round() as usize));
    let whole = cell.mask(Compartment::Cell).as_slice();
    let level = |keep: &dyn Fn(usize) -> bool| {
        let mut hist = [0_usize; 256];
        let mut n = 0;
        for i in (0..w * h).filter(|i| keep(*i)) {
            hist[(light.data[i] * 120.0).clamp(0.0, 255.0) as usize] += 1;
            n += 1;
        }
        let mut seen = 0;
        let at = hist.iter().position(|c| {
            seen += c;
            2 * seen >= n
        });
        (n, (at.unwrap_or(0) as f64 + 0.5) / 120.0)
    };
    let (_, n) = level(&|i| nucleus.as_slice()[i]);
    let (count, mut c) = level(&|i| whole[i] && !near.as_slice()[i]);
    if count < nucleus.area_px() / 50 {
        c = level(&|i| near.as_slice()[i] && !nucleus.as_slice()[i]).1;
    }
    let t = (n.max(1e-3) * c.max(1e-3)).sqrt() as f32;
    let mut mask = Mask::from_fn(w, h, |x, y| {
        let i = y * w + x;
        near.as_slice()[i] && whole[i] && light.data[i] < t
    });
    let found = components(&mask, Connectivity::Eight);
    let least = 0.02 * mask.area_px() as f64;
    mask.as_mut_slice().iter_mut().zip(&found.labels).for_each(|(p, l)| *p = *l > 0 && found.parts[*l as usize - 1].area_px as f64 >= least);
    Some(Dark { mask, light, nucleus: n, cytoplasm: c, near })
}
