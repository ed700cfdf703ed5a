use crate::files::{item_path, make_dir, not_the_input, write_atomic};
use crate::{Error, Run, Session};
use image::{DynamicImage, ImageFormat};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use wbc_core::{
    CellMasks, GrayImage, Limits, MaskSource, PixelSize, QualityFlag, RgbImage, Sample, Segmenter, Warning, Warnings,
    read_bytes,
};
use wbc_data::load_masks;
use wbc_morphology::{
    AgreementFigures, Distributions, GivenMasks, MaskAgreement, MeasurementSet, MeasurementTable, Micrometres,
    ThresholdSegmenter, VoteSegmenter,
};

/// Items in memory at a time: bounds memory whatever the size of the input.
const CHUNK: usize = 128;

/// Who finds the cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SegmentMethod {
    /// [`VoteSegmenter`], the accurate one; what runs are trained with.
    #[default]
    Vote,
    /// [`ThresholdSegmenter`], several times faster.
    Threshold,
}

impl SegmentMethod {
    fn build(self) -> Box<dyn Segmenter> {
        match self {
            Self::Vote => Box::new(VoteSegmenter::default()),
            Self::Threshold => Box::new(ThresholdSegmenter::default()),
        }
    }
}

/// How [`segment`] works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentOptions {
    /// Who finds the cell.
    pub method: SegmentMethod,
    /// Compare the masks with those that the input brings.
    pub evaluate: bool,
}

/// How [`measure`] works.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeasureOptions {
    /// Folder with masks `<id>.png`; made where `None`.
    pub masks: Option<PathBuf>,
    /// Who finds the cell where masks are made.
    pub method: SegmentMethod,
    /// Micrometres per pixel of images that do not say.
    pub pixel_size_um: Option<PixelSize>,
    /// SVG with distributions per cell type.
    pub plot: Option<PathBuf>,
    /// Measurements in it, the usual ones where `None`.
    pub plotted: Option<Vec<String>>,
}

/// What [`segment`] did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SegmentSummary {
    /// Images with a mask written.
    pub n: usize,
    /// Of these, images in which no cell was found.
    pub n_no_cell: usize,
    /// Agreement with the masks that the input brings, where that was asked for and there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<AgreementFigures>,
    /// Images that failed.
    pub errors: Vec<Warning>,
}

/// What [`write_views`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ViewsSummary {
    /// Views written.
    pub n: usize,
    /// Of these, views of images in which no cell was found.
    pub n_no_cell: usize,
    /// Side of a view, in pixels.
    pub side: u32,
    /// Images that failed.
    pub errors: Vec<Warning>,
}

/// What [`measure`] did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MeasureSummary {
    /// Rows written.
    pub n: usize,
    /// Of these, rows without values because no cell was found.
    pub n_no_cell: usize,
    /// Number of measurements per row.
    pub n_measurements: usize,
    /// Images that failed.
    pub errors: Vec<Warning>,
}

/// Segments all images of an input: `out/<id>.png` (0 background, 128 cytoplasm, 255 nucleus) and `out/quality.csv`.
/// What fails is listed, the rest is done.
///
/// # Errors
/// [`Error::Dataset`] for an input that cannot be opened, [`Error::Io`] when `out` cannot be written.
pub fn segment(input: &str, out: &Path, options: &SegmentOptions, session: &Session) -> Result<SegmentSummary, Error> {
    let dataset = session.open(input)?;
    make_dir(out)?;
    refuse_overwriting(&dataset.samples, out)?;
    let segmenter = options.method.build();
    let quality_path = out.join("quality.csv");
    let mut quality = csv::Writer::from_writer(Vec::new());
    let csv_failed = |e: csv::Error| Error::Io { path: quality_path.clone(), source: e.into() };
    quality.write_record(["id", "path", "flags"]).map_err(csv_failed)?;
    let warnings = opening_warnings(dataset.warnings);
    let (mut n, mut n_no_cell) = (0, 0);
    let mut agreement = MaskAgreement::default();
    for_each_image(
        &dataset.samples,
        session,
        "segmenting",
        &warnings,
        |sample, image| {
            let found = segmenter.segment(image);
            write_picture(out, sample, &found.masks.to_image().into())?;
            let drawn = if options.evaluate { load_masks(sample, &session.store.limits)? } else { None };
            Ok((found.flags, drawn.map(|drawn| (found.masks, drawn))))
        },
        |sample, (flags, masks)| {
            if let Some((found, drawn)) = masks {
                agreement.add(&found, &drawn)?;
            }
            n += 1;
            n_no_cell += usize::from(flags.contains(QualityFlag::NoCell));
            quality.write_record([&sample.id.0, &shown_path(sample), &flags.to_string()]).map_err(csv_failed)
        },
    )?;
    let content = quality.into_inner().map_err(|e| Error::Data(e.to_string()))?;
    write_atomic(&quality_path, content)?;
    if options.evaluate && agreement.figures().is_none() {
        warnings.push(input, "brings no masks to compare with");
    }
    Ok(SegmentSummary { n, n_no_cell, agreement: agreement.figures(), errors: warnings.sorted() })
}

/// Writes the views of all images of an input that a run's image encoder sees, as `out/<id>.png`: what its exports to
/// other libraries want to be shown. What fails is listed, the rest is done.
///
/// # Errors
/// [`Error::Dataset`] for an input that cannot be opened, [`Error::Usage`] where a view would overwrite a file of the
/// input or the run looks at no pixels.
pub fn write_views(run: &Run, input: &str, out: &Path, session: &Session) -> Result<ViewsSummary, Error> {
    if !run.config.has_pixels() {
        return Err(Error::Usage("the run looks at measurements alone, there are no views".into()));
    }
    let dataset = session.open(input)?;
    make_dir(out)?;
    refuse_overwriting(&dataset.samples, out)?;
    let warnings = opening_warnings(dataset.warnings);
    let (mut n, mut n_no_cell) = (0, 0);
    for_each_image(
        &dataset.samples,
        session,
        "views",
        &warnings,
        |sample, image| {
            let view = run.viewer.view(image);
            write_picture(out, sample, &view.pixels.into())?;
            Ok(view.flags)
        },
        |_, flags| {
            n += 1;
            n_no_cell += usize::from(flags.contains(QualityFlag::NoCell));
            Ok(())
        },
    )?;
    Ok(ViewsSummary { n, n_no_cell, side: run.config.view.side, errors: warnings.sorted() })
}

/// Measures all images of an input into a table (`.csv`, `.parquet` or `.jsonl`), one row per cell. Where a pixel size is
/// known, columns in micrometres follow. What fails is listed, the rest is done.
///
/// # Errors
/// [`Error::Dataset`] for an input that cannot be opened, [`Error::Usage`] when an output is the input or a pixel size
/// not above 0, [`Error::Morphology`] for a measurement that cannot be plotted, [`Error::Table`] when `out` cannot be
/// written or its format is unknown.
pub fn measure(input: &str, out: &Path, options: &MeasureOptions, session: &Session) -> Result<MeasureSummary, Error> {
    let set = MeasurementSet::all();
    if let Some(PixelSize(um)) = options.pixel_size_um.filter(|p| !(p.0.is_finite() && p.0 > 0.0)) {
        return Err(Error::Usage(format!("a pixel of {um} µm")));
    }
    let dataset = session.open(input)?;
    not_the_input(out, input)?;
    let pixel_size = |s: &Sample| s.optics.pixel_size_um.or(options.pixel_size_um);
    let micrometres = Micrometres::of(set.schema());
    let micrometres = dataset.samples.iter().any(|s| pixel_size(s).is_some()).then_some(micrometres);
    let schema = micrometres.as_ref().map_or(set.schema(), Micrometres::schema);
    let mut plot = match &options.plot {
        Some(path) => {
            not_the_input(path, input)?;
            Some((path, Distributions::new(schema, options.plotted.as_deref())?))
        }
        None => None,
    };
    let mut table = MeasurementTable::create(out, schema)?;
    let segmenter = options.method.build();
    let warnings = opening_warnings(dataset.warnings);
    let (mut n, mut n_no_cell) = (0, 0);
    for_each_image(
        &dataset.samples,
        session,
        "measuring",
        &warnings,
        |sample, image| {
            let found = match &options.masks {
                None => segmenter.segment(image),
                Some(folder) => {
                    let masks = read_masks(&item_path(folder, &sample.id.0, "png")?, image, &session.store.limits)?;
                    GivenMasks::new(masks).segment(image)
                }
            };
            let mut row = set.measure(image, &found.masks);
            if let Some(micrometres) = &micrometres {
                micrometres.extend(&mut row, pixel_size(sample));
            }
            Ok((row, found.flags))
        },
        |sample, (row, flags)| {
            n += 1;
            n_no_cell += usize::from(flags.contains(QualityFlag::NoCell));
            if let Some((_, plot)) = &mut plot {
                plot.add(sample.annotation.cell_type.as_ref(), &row);
            }
            Ok(table.write(&sample.id.0, &shown_path(sample), flags, &row)?)
        },
    )?;
    table.finish()?;
    if let Some((path, plot)) = plot {
        write_atomic(path, plot.to_svg()?)?;
    }
    Ok(MeasureSummary { n, n_no_cell, n_measurements: schema.len(), errors: warnings.sorted() })
}

/// Decodes and works on images in parallel, hands the results on in order; a failure of one is noted, not fatal.
fn for_each_image<R: Send>(
    samples: &[Sample],
    session: &Session,
    stage: &str,
    warnings: &Warnings,
    work: impl Fn(&Sample, &RgbImage) -> Result<R, Error> + Sync,
    mut take: impl FnMut(&Sample, R) -> Result<(), Error>,
) -> Result<(), Error> {
    let pool = session.pool()?;
    session.progress.start(stage, Some(samples.len() as u64));
    for chunk in samples.chunks(CHUNK) {
        if session.cancel.is_cancelled() {
            return Err(Error::Data("stopped".into()));
        }
        let done: Vec<Option<R>> = pool.install(|| {
            chunk
                .par_iter()
                .map(|sample| {
                    let result = sample
                        .image
                        .load(&session.store.limits)
                        .map_err(Error::from)
                        .and_then(|image| work(sample, &image));
                    session.progress.advance(1);
                    result.map_err(|e| warnings.push_error(shown_path(sample), &e)).ok()
                })
                .collect()
        });
        for (sample, result) in chunk.iter().zip(done) {
            if let Some(result) = result {
                take(sample, result)?;
            }
        }
    }
    session.progress.finish();
    Ok(())
}

/// Refuses to put what is written of an image where an image of the input is.
fn refuse_overwriting(samples: &[Sample], out: &Path) -> Result<(), Error> {
    let out = out.canonicalize().map_err(Error::io(out))?;
    let true_mask = |s: &'_ Sample| match &s.mask {
        Some(MaskSource::File(path)) => Some(path.clone()),
        _ => None,
    };
    let files = samples.iter().flat_map(|s| [s.image.path().map(Path::to_owned), true_mask(s)]).flatten();
    let inputs: BTreeSet<PathBuf> = files.filter_map(|p| p.canonicalize().ok()).collect();
    let target = |s: &Sample| item_path(&out, &s.id.0, "png").ok();
    match samples.iter().filter_map(target).find(|t| inputs.contains(t)) {
        Some(input) => Err(Error::Usage(format!(
            "it would overwrite a file of the input, choose another --out: {}",
            input.display()
        ))),
        None => Ok(()),
    }
}

/// Warnings that already hold what could not be opened.
pub(crate) fn opening_warnings(known: Vec<Warning>) -> Warnings {
    let warnings = Warnings::new();
    known.into_iter().for_each(|w| warnings.push(w.item, w.cause));
    warnings
}

/// The file of a sample, or its id where it has none.
pub(crate) fn shown_path(sample: &Sample) -> String {
    sample.image.path().map_or_else(|| sample.id.to_string(), |p| p.display().to_string())
}

fn read_masks(path: &Path, image: &RgbImage, limits: &Limits) -> Result<CellMasks, Error> {
    let bytes = read_bytes(path, limits)?;
    let grey: GrayImage = wbc_core::image::imageops::grayscale(&wbc_core::decode_image(&bytes, path, limits)?);
    if grey.dimensions() != image.dimensions() {
        return Err(Error::Data(format!(
            "the mask is {} x {} px, the image {} x {}: {}",
            grey.width(),
            grey.height(),
            image.width(),
            image.height(),
            path.display()
        )));
    }
    Ok(CellMasks::from_image(&grey))
}

/// Writes `out/<id>.png`.
fn write_picture(out: &Path, sample: &Sample, image: &DynamicImage) -> Result<(), Error> {
    let path = item_path(out, &sample.id.0, "png")?;
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).map_err(|e| Error::Data(e.to_string()))?;
    write_atomic(&path, bytes.into_inner())
}
