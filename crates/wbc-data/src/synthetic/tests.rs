use super::scene::{BIG_PX, HIGH_FROM, SMALL_PX};
use super::*;
use wbc_core::{CellMasks, RgbImage};

fn cells(n_train: usize) -> Vec<Sample> {
    let options = SyntheticOptions { n_train, n_val: 0, n_test: 0, seed: 3, side_px: 240 };
    synthetic_samples(&options, &AttributeSchema::wbcatt())
}

fn image(sample: &Sample) -> &RgbImage {
    match &sample.image {
        ImageSource::Memory(image) => image,
        ImageSource::File { path, .. } => panic!("{}", path.display()),
    }
}

fn masks(sample: &Sample) -> &CellMasks {
    match sample.mask.as_ref().unwrap() {
        MaskSource::Memory(masks) => masks,
        MaskSource::File(path) => panic!("{}", path.display()),
    }
}

fn fraction(sample: &Sample) -> f64 {
    masks(sample).nucleus().area_px() as f64 / masks(sample).cell().area_px() as f64
}

fn is(sample: &Sample, attribute: &str, value: &str) -> bool {
    sample.annotation.value(&AttributeSchema::wbcatt(), attribute) == Some(value)
}

#[test]
fn a_cell_depends_only_on_seed_split_and_number() {
    let (few, many) = (cells(6), cells(12));
    let serial = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| cells(12));
    for (a, b) in few.iter().zip(&many).chain(serial.iter().zip(&many)) {
        assert_eq!((&a.id, image(a), masks(a), &a.annotation), (&b.id, image(b), masks(b), &b.annotation));
    }
    assert_ne!(image(&many[0]), image(&many[5]));
}

#[test]
fn masks_are_nested_and_inside_the_frame() {
    for sample in cells(50) {
        let (nucleus, cell) = (masks(&sample).nucleus(), masks(&sample).cell());
        assert!(nucleus.as_slice().iter().zip(cell.as_slice()).all(|(n, c)| *c || !n), "{}", sample.id);
        let (x0, y0, x1, y1) = cell.bounds().unwrap();
        assert!(x0 > 0 && y0 > 0 && x1 < 240 && y1 < 240 && nucleus.area_px() > 500, "{}", sample.id);
    }
}

#[test]
fn a_high_ratio_has_the_larger_nucleus_and_a_big_cell_the_larger_area() {
    let all = cells(300);
    let middle_px = std::f64::consts::PI * (f64::from((SMALL_PX[1] + BIG_PX[0]) / 2.0) * 240.0 / 363.0).powi(2);
    for sample in &all {
        let fraction = fraction(sample);
        let high = is(sample, "nuclear_cytoplasmic_ratio", "high");
        assert_eq!(fraction > f64::from(HIGH_FROM), high, "{} {fraction}", sample.id);
        let area = masks(sample).cell().area_px() as f64;
        if is(sample, "cell_size", "big") {
            assert!(area > 0.98 * middle_px, "{} {area}", sample.id);
        } else {
            assert!(area < 1.02 * middle_px, "{} {area}", sample.id);
        }
    }
}

#[test]
fn nuclei_are_darker_than_cytoplasm_and_cytoplasm_than_the_slide() {
    for sample in cells(40).iter().filter(|s| !is(s, "granule_type", "coarse")) {
        let (masks, image) = (masks(sample), image(sample));
        let mean = |inside: &dyn Fn(usize) -> bool| {
            let (sum, n) = image
                .pixels()
                .enumerate()
                .filter(|(i, _)| inside(*i))
                .fold((0.0, 0.0), |(sum, n), (_, p)| (sum + f64::from(p.0[1]), n + 1.0));
            sum / n
        };
        let cytoplasm = masks.cytoplasm();
        let dark = mean(&|i| masks.nucleus().as_slice()[i]);
        let middle = mean(&|i| cytoplasm.as_slice()[i]);
        let light = mean(&|i| !masks.cell().as_slice()[i]);
        assert!(dark + 15.0 < middle && middle + 10.0 < light, "{}: {dark} {middle} {light}", sample.id);
    }
}

#[test]
fn other_schemas_get_the_attributes_they_have() {
    let toml = "name='x'\nversion=1\n[[attribute]]\nname='cell_size'\ntitle='s'\nvalue=[{name='big',phrases=['b']},{name='small',phrases=['s']}]\n\
                [[attribute]]\nname='mood'\ntitle='m'\nvalue=[{name='good',phrases=['g']},{name='bad',phrases=['d']}]";
    let options = SyntheticOptions { n_train: 1, n_val: 0, n_test: 0, ..Default::default() };
    let sample = &synthetic_samples(&options, &AttributeSchema::from_toml(toml).unwrap())[0];
    assert!(sample.annotation.values[0].is_some() && sample.annotation.values[1].is_none());
}
