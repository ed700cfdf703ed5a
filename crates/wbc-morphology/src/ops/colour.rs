use super::Plane;
use std::sync::LazyLock;
use wbc_core::RgbImage;

const GAMMA_BITS: u32 = 3;
const MATRIX_BITS: u32 = 12;
const ROOT_BITS: u32 = 15;
const HSV_BITS: u32 = 12;

/// Tables of OpenCV's fixed-point RGB → Lab (`color_lab.cpp`): sRGB primaries, D65.
struct LabTables {
    linear: [i32; 256],
    root: Box<[i32]>,
    matrix: [[i32; 3]; 3],
}

static LAB: LazyLock<LabTables> = LazyLock::new(|| {
    let linear = std::array::from_fn(|i| {
        let v = i as f64 / 255.0;
        let v = if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) };
        (f64::from(255 << GAMMA_BITS) * v).round() as i32
    });
    let root = (0..256 * 3 / 2 * (1 << GAMMA_BITS))
        .map(|i| {
            let v = f64::from(i) / f64::from(255 << GAMMA_BITS);
            let v = if v < 0.008856 { v * 7.787 + 16.0 / 116.0 } else { v.cbrt() };
            (f64::from(1 << ROOT_BITS) * v).round() as i32
        })
        .collect();
    let xyz = [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]];
    let white = [0.950456, 1.0, 1.088754];
    let matrix = std::array::from_fn(|i| {
        std::array::from_fn(|j| (f64::from(1 << MATRIX_BITS) * xyz[i][j] / white[i]).round() as i32)
    });
    LabTables { linear, root, matrix }
});

fn descale(v: i32, bits: u32) -> i32 {
    (v + (1 << (bits - 1))) >> bits
}

/// RGB → Lab on OpenCV's 8-bit scale (L * 255 / 100, a + 128, b + 128) for pixels whose levels are mapped first.
pub(crate) struct LabConverter {
    /// Per channel and level, its part of X, Y and Z.
    parts: Box<[[[i32; 3]; 256]; 3]>,
}

impl LabConverter {
    /// `map` has, per channel, the 8-bit level that each level stands for.
    pub(crate) fn new(map: &[[u8; 256]; 3]) -> Self {
        let tables = &*LAB;
        let part = |c: usize, v: usize| {
            let linear = tables.linear[usize::from(map[c][v])];
            tables.matrix.map(|row| row[c] * linear)
        };
        Self { parts: Box::new(std::array::from_fn(|c| std::array::from_fn(|v| part(c, v)))) }
    }

    #[inline]
    pub(crate) fn convert(&self, [r, g, b]: [u8; 3]) -> [u8; 3] {
        let (r, g, b) =
            (&self.parts[0][usize::from(r)], &self.parts[1][usize::from(g)], &self.parts[2][usize::from(b)]);
        let root = &LAB.root;
        let last = root.len() - 1;
        let root = |v: i32| root[(descale(v, MATRIX_BITS) as usize).min(last)];
        let (fx, fy, fz) = (root(r[0] + g[0] + b[0]), root(r[1] + g[1] + b[1]), root(r[2] + g[2] + b[2]));
        let half = 128 << ROOT_BITS;
        let l = descale((116 * 255 + 50) / 100 * fy - (16 * 255 * (1 << ROOT_BITS) + 50) / 100, ROOT_BITS);
        let a = descale(500 * (fx - fy) + half, ROOT_BITS);
        let b = descale(200 * (fy - fz) + half, ROOT_BITS);
        [l.clamp(0, 255) as u8, a.clamp(0, 255) as u8, b.clamp(0, 255) as u8]
    }
}

/// L, a, b on OpenCV's 8-bit scale: L * 255 / 100, a + 128, b + 128, whole numbers.
pub(crate) fn lab_u8_from_rgb(image: &RgbImage) -> [Plane; 3] {
    let same = [std::array::from_fn(|v| v as u8); 3];
    let converter = LabConverter::new(&same);
    planes(image, |rgb| converter.convert(rgb).map(f32::from))
}

/// `(whole << 12) / v`, rounded.
fn reciprocals(whole: i32) -> [i32; 256] {
    std::array::from_fn(|v| if v == 0 { 0 } else { (f64::from(whole << HSV_BITS) / v as f64).round() as i32 })
}

static SATURATION: LazyLock<[i32; 256]> = LazyLock::new(|| reciprocals(255));
static HUE: LazyLock<[i32; 256]> = LazyLock::new(|| reciprocals(30));

/// Hue 0..180, saturation and value 0..255: OpenCV's 8-bit scale.
#[inline]
pub(crate) fn hsv_u8(rgb: [u8; 3]) -> [u8; 3] {
    let (r, g, b) = (i32::from(rgb[0]), i32::from(rgb[1]), i32::from(rgb[2]));
    let (v, low) = (r.max(g).max(b), r.min(g).min(b));
    let spread = v - low;
    let angle = if v == r {
        g - b
    } else if v == g {
        b - r + 2 * spread
    } else {
        r - g + 4 * spread
    };
    let h = descale(angle * HUE[spread as usize], HSV_BITS);
    let s = descale(spread * SATURATION[v as usize], HSV_BITS);
    [if h < 0 { h + 180 } else { h } as u8, s as u8, v as u8]
}

/// [`hsv_u8`] of each pixel, whole numbers.
pub(crate) fn hsv_u8_from_rgb(image: &RgbImage) -> [Plane; 3] {
    planes(image, |rgb| hsv_u8(rgb).map(f32::from))
}

fn planes(image: &RgbImage, convert: impl Fn([u8; 3]) -> [f32; 3]) -> [Plane; 3] {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let mut out: [Plane; 3] = std::array::from_fn(|_| Plane::new(width, height));
    let [a, b, c] = &mut out;
    let targets = a.data.iter_mut().zip(&mut b.data).zip(&mut c.data);
    for (rgb, ((a, b), c)) in image.as_raw().as_chunks::<3>().0.iter().zip(targets) {
        [*a, *b, *c] = convert(*rgb);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURS: [[u8; 3]; 8] = [
        [0, 0, 0],
        [255, 255, 255],
        [128, 10, 200],
        [10, 200, 128],
        [255, 0, 0],
        [0, 255, 0],
        [0, 0, 255],
        [30, 30, 40],
    ];

    fn converted(convert: fn(&RgbImage) -> [Plane; 3]) -> Vec<[f32; 3]> {
        let image = RgbImage::from_fn(8, 1, |x, _| image::Rgb(COLOURS[x as usize]));
        let [a, b, c] = convert(&image);
        (0..8).map(|i| [a.data[i], b.data[i], c.data[i]]).collect()
    }

    #[test]
    fn colours_are_those_of_opencv() {
        // cv2 5.0.0, COLOR_RGB2LAB and COLOR_RGB2HSV of uint8
        let lab = [
            [0, 128, 128],
            [255, 128, 128],
            [92, 199, 58],
            [182, 70, 153],
            [136, 208, 195],
            [224, 42, 211],
            [82, 207, 20],
            [29, 131, 121],
        ];
        let hsv = [
            [0, 0, 0],
            [0, 0, 255],
            [139, 242, 200],
            [79, 242, 200],
            [0, 255, 255],
            [60, 255, 255],
            [120, 255, 255],
            [120, 64, 40],
        ];
        assert_eq!(converted(lab_u8_from_rgb), lab.map(|c| c.map(|v| v as f32)));
        assert_eq!(converted(hsv_u8_from_rgb), hsv.map(|c| c.map(|v| v as f32)));
    }
}
