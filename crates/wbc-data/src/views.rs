use crate::cache::{StoredView, ViewKey};
use crate::{DataError, HospitalShift, ViewCache};
use ndarray::Array2;
use rayon::prelude::*;
use wbc_core::{
    CancelToken, CellViewer, CoreError, ImageSource, Limits, Progress, QualityFlags, RgbImage, Sample, Warnings,
    decode_image, image, read_bytes, seed_from_id, seeded_rng,
};

/// How views are made.
#[derive(Clone, Debug)]
pub struct ViewOptions {
    /// Whether each cell itself is among the rows, before its shifted copies.
    pub unshifted: bool,
    /// Simulated other hospitals per cell.
    pub shifted_copies: u32,
    /// How other hospitals are simulated.
    pub shift: HospitalShift,
    /// Seed of the shifts.
    pub seed: u64,
    /// Whether pixels are kept in memory; measurements always are.
    pub keep_pixels: bool,
    /// Threads at work; one per core where `None`. Results do not depend on it.
    pub threads: Option<usize>,
    /// Bounds on the images.
    pub limits: Limits,
}

impl Default for ViewOptions {
    /// The cells themselves without shifted copies, pixels kept, all cores.
    fn default() -> Self {
        Self {
            unshifted: true,
            shifted_copies: 0,
            shift: HospitalShift::default(),
            seed: 0,
            keep_pixels: true,
            threads: None,
            limits: Limits::default(),
        }
    }
}

impl ViewOptions {
    /// Numbers of the copies that are made of each cell; 0 is the cell itself.
    fn copies(&self) -> std::ops::RangeInclusive<u32> {
        u32::from(!self.unshifted)..=self.shifted_copies
    }
}

/// Views of many samples in memory; rows are ordered by copy, then by sample.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewSet {
    /// Index of each row's sample.
    pub samples: Vec<usize>,
    /// 0 for the image itself, 1… for simulated other hospitals.
    pub copies: Vec<u32>,
    /// Side of the square views in pixels.
    pub side: usize,
    /// `[n, side, side, 3]`, 8-bit RGB; `None` where pixels were not kept.
    pub pixels: Option<Vec<u8>>,
    /// `[n, n_measurements]`, NaN for undefined; `None` where the viewer makes none.
    pub measurements: Option<Array2<f32>>,
    /// `[n, feature_width]`: what a frozen encoder answered for each row's pixels; filled in by whoever has one.
    pub features: Option<Array2<f32>>,
    /// What makes each view doubtful.
    pub flags: Vec<QualityFlags>,
}

impl ViewSet {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Number of rows that show images as they are; these come first.
    pub fn n_unshifted(&self) -> usize {
        self.copies.partition_point(|copy| *copy == 0)
    }

    /// A copy of the first `n` rows.
    pub fn first_rows(&self, n: usize) -> Self {
        let n = n.min(self.len());
        let table = |t: &Array2<f32>| t.slice(ndarray::s![..n, ..]).to_owned();
        Self {
            samples: self.samples[..n].to_vec(),
            copies: self.copies[..n].to_vec(),
            side: self.side,
            pixels: self.pixels.as_ref().map(|p| p[..n * self.side * self.side * 3].to_vec()),
            measurements: self.measurements.as_ref().map(table),
            features: self.features.as_ref().map(table),
            flags: self.flags[..n].to_vec(),
        }
    }

    /// Pixels `[side, side, 3]` of one row; `None` where pixels were not kept or the row does not exist.
    pub fn pixels_of(&self, row: usize) -> Option<&[u8]> {
        let size = self.side * self.side * 3;
        self.pixels.as_ref()?.get(row * size..(row + 1) * size)
    }
}

/// Makes the views of all samples, and of their shifted copies, in parallel.
///
/// An image that cannot be read is left out with all its copies and noted in `warnings`. The shift of a copy depends
/// only on the seed, the sample's id and the copy's number. `progress` counts views.
///
/// # Errors
/// [`DataError::Cancelled`] when `cancel` asks for it, [`DataError::Viewer`] for a viewer that breaks its own
/// specification, [`DataError::Option`] for a shift out of range, [`DataError::Threads`] when no threads can be started.
pub fn build_views(
    samples: &[Sample],
    viewer: &dyn CellViewer,
    options: &ViewOptions,
    cache: Option<&ViewCache>,
    progress: &dyn Progress,
    cancel: &CancelToken,
    warnings: &Warnings,
) -> Result<ViewSet, DataError> {
    options.shift.check()?;
    let spec = viewer.spec();
    let (n, n_copies) = (samples.len(), options.copies().count());
    let (side, n_measurements) = (spec.side as usize, spec.measurements.as_ref().map(|m| m.len()));
    let size = side * side * 3;
    if size == 0 {
        return Err(viewer_error(viewer, "views without pixels".into()));
    }
    let mut pixels = vec![0_u8; if options.keep_pixels { n * n_copies * size } else { 0 }];
    // each sample fills its own rows of the final array, one per copy
    let mut slots: Vec<Vec<&mut [u8]>> = (0..n).map(|_| Vec::with_capacity(n_copies)).collect();
    pixels.chunks_exact_mut(size).enumerate().for_each(|(row, slot)| slots[row % n].push(slot));

    let work = Work { viewer, options, cache, progress, cancel, warnings };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads.unwrap_or(0))
        .thread_name(|i| format!("views-{i}"))
        .build()
        .map_err(|source| DataError::Threads { source: source.into() })?;
    progress.start("views", Some((n * n_copies) as u64));
    let made = pool.install(|| {
        samples.par_iter().zip(slots).map(|(sample, slots)| work.sample(sample, slots)).collect::<Result<Vec<_>, _>>()
    });
    progress.finish();
    let made = made?;

    let readable: Vec<usize> = (0..n).filter(|i| made[*i].is_some()).collect();
    let rows: Vec<(usize, usize)> = (0..n_copies).flat_map(|c| readable.iter().map(move |i| (c, *i))).collect();
    let row = |c: usize, i: usize| made[i].as_ref().map(|copies| &copies[c]);
    let measurements = n_measurements.map(|width| {
        let values =
            rows.iter().filter_map(|(c, i)| row(*c, *i)).flat_map(|r| r.measurements.iter().flatten().copied());
        Array2::from_shape_vec((rows.len(), width), values.collect())
    });
    if options.keep_pixels && readable.len() < n {
        for (to, (c, i)) in rows.iter().enumerate() {
            let from = (c * n + i) * size;
            pixels.copy_within(from..from + size, to * size);
        }
        pixels.truncate(rows.len() * size);
    }
    Ok(ViewSet {
        side,
        features: None,
        flags: rows.iter().filter_map(|(c, i)| row(*c, *i)).map(|r| r.flags).collect(),
        pixels: options.keep_pixels.then_some(pixels),
        measurements: measurements.transpose().map_err(|e| viewer_error(viewer, e.to_string()))?,
        samples: rows.iter().map(|(_, i)| *i).collect(),
        copies: rows.iter().map(|(c, _)| *c as u32 + options.copies().start()).collect(),
    })
}

struct Work<'a> {
    viewer: &'a dyn CellViewer,
    options: &'a ViewOptions,
    cache: Option<&'a ViewCache>,
    progress: &'a dyn Progress,
    cancel: &'a CancelToken,
    warnings: &'a Warnings,
}

impl Work<'_> {
    /// All copies of one sample, pixels moved to `slots` where there are any; `None` for an unreadable image.
    fn sample(&self, sample: &Sample, mut slots: Vec<&mut [u8]>) -> Result<Option<Vec<StoredView>>, DataError> {
        let mut image = LazyImage::new(&sample.image, &self.options.limits);
        let id_hash = seed_from_id(&sample.id.0);
        let mut views = Vec::new();
        for (i, copy) in self.options.copies().enumerate() {
            if self.cancel.is_cancelled() {
                return Err(DataError::Cancelled);
            }
            let seeds = [self.options.seed, id_hash, u64::from(copy)];
            let mut view = match self.copy(&mut image, (copy > 0).then_some(&seeds)) {
                Ok(view) => view,
                Err(DataError::Core(error)) => {
                    self.warnings.push_error(sample.id.to_string(), &error);
                    self.progress.advance(u64::from(1 + self.options.shifted_copies - copy));
                    return Ok(None);
                }
                Err(other) => return Err(other),
            };
            if let (Some(slot), Some(pixels)) = (slots.get_mut(i), view.pixels.take()) {
                slot.copy_from_slice(&pixels);
            }
            view.pixels = None;
            views.push(view);
            self.progress.advance(1);
        }
        Ok(Some(views))
    }

    fn copy(&self, image: &mut LazyImage<'_>, seeds: Option<&[u64; 3]>) -> Result<StoredView, DataError> {
        let spec = self.viewer.spec();
        let key = match self.cache {
            Some(_) => {
                let shift = seeds.map(|s| (&self.options.shift, s.as_slice()));
                Some(ViewKey::new(&image.content()?, spec, shift))
            }
            None => None,
        };
        let cached = self.cache.zip(key.as_ref());
        if let Some(view) = cached.and_then(|(cache, key)| cache.get(key, spec, self.options.keep_pixels)) {
            return Ok(view);
        }
        let pixels = image.pixels()?;
        let view = match seeds {
            Some(seeds) => self.viewer.view(&self.options.shift.apply(pixels, &mut seeded_rng(seeds))),
            None => self.viewer.view(pixels),
        };
        // pixels that nobody keeps need not be made
        if self.options.keep_pixels && view.pixels.dimensions() != (spec.side, spec.side) {
            let (w, h) = view.pixels.dimensions();
            return Err(viewer_error(self.viewer, format!("a view of {w} x {h} px, expected side {} px", spec.side)));
        }
        let measurements = match (&spec.measurements, view.measurements) {
            (None, _) => None,
            (Some(schema), None) => Some(vec![f32::NAN; schema.len()]),
            (Some(schema), Some(row)) if row.len() == schema.len() => {
                Some(row.into_iter().map(|m| m.map_or(f32::NAN, |m| m as f32)).collect())
            }
            (Some(schema), Some(row)) => {
                let cause = format!("{} measurements, expected {}", row.len(), schema.len());
                return Err(viewer_error(self.viewer, cause));
            }
        };
        let pixels = self.options.keep_pixels.then(|| view.pixels.into_raw());
        let view = StoredView { pixels, measurements, flags: view.flags };
        if let Some((cache, key)) = cached {
            cache.put(key, spec, &view);
        }
        Ok(view)
    }
}

fn viewer_error(viewer: &dyn CellViewer, cause: String) -> DataError {
    DataError::Viewer { cause, viewer: viewer.spec().name.clone() }
}

/// An image that is read, hashed and decoded once, and only as far as somebody asks.
struct LazyImage<'a> {
    source: &'a ImageSource,
    limits: &'a Limits,
    bytes: Option<Vec<u8>>,
    content: Option<blake3::Hash>,
    decoded: Option<RgbImage>,
}

impl<'a> LazyImage<'a> {
    fn new(source: &'a ImageSource, limits: &'a Limits) -> Self {
        Self { source, limits, bytes: None, content: None, decoded: None }
    }

    fn bytes(&mut self, path: &std::path::Path) -> Result<&[u8], CoreError> {
        if self.bytes.is_none() {
            self.bytes = Some(read_bytes(path, self.limits)?);
        }
        Ok(self.bytes.as_deref().unwrap_or_default())
    }

    /// Hash of the file's bytes and the crop, or of size and pixels of an image in memory.
    fn content(&mut self) -> Result<blake3::Hash, CoreError> {
        if let Some(content) = self.content {
            return Ok(content);
        }
        let mut hasher = blake3::Hasher::new();
        match self.source {
            ImageSource::Memory(image) => {
                hasher.update(b"pixels");
                [image.width(), image.height()].iter().for_each(|v| {
                    hasher.update(&v.to_le_bytes());
                });
                hasher.update(image.as_raw());
            }
            ImageSource::File { path, crop } => {
                hasher.update(b"file");
                if let Some(c) = crop {
                    [c.x0, c.y0, c.x1, c.y1].iter().for_each(|v| {
                        hasher.update(&v.to_le_bytes());
                    });
                }
                hasher.update(blake3::hash(self.bytes(path)?).as_bytes());
            }
        }
        Ok(*self.content.insert(hasher.finalize()))
    }

    fn pixels(&mut self) -> Result<&RgbImage, CoreError> {
        let source = self.source;
        match source {
            ImageSource::Memory(image) => Ok(image),
            ImageSource::File { path, crop } => {
                if self.decoded.is_none() {
                    let limits = self.limits;
                    let whole = decode_image(self.bytes(path)?, path, limits)?;
                    self.decoded = Some(match crop {
                        None => whole,
                        // the same bytes that were hashed, cropped by the one place that checks crops
                        Some(c) if c.x0 < c.x1 && c.y0 < c.y1 && c.x1 <= whole.width() && c.y1 <= whole.height() => {
                            image::imageops::crop_imm(&whole, c.x0, c.y0, c.x1 - c.x0, c.y1 - c.y0).to_image()
                        }
                        Some(_) => source.load(limits)?,
                    });
                }
                self.decoded
                    .as_ref()
                    .ok_or_else(|| CoreError::NotAnImage { cause: "image without pixels".into(), path: path.clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests;
