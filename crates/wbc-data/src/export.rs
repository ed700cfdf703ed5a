use crate::masks::load_masks;
use crate::{DataError, Dataset};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use wbc_core::{CropBox, ImageSource, Limits, MaskSource, Sample, Warning, Warnings};

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ExportReport {
    /// The manifest.
    pub manifest: PathBuf,
    /// Cells in it.
    pub n: usize,
    /// Cells that could not be exported.
    pub warnings: Vec<Warning>,
}

/// Writes a manifest with images and masks beside it; opened as a manifest it gives the same cells.
///
/// Whole files are copied as they are, crops and generated cells are written as PNG. `dir` is created where needed.
///
/// # Errors
/// [`DataError::Exists`] where `dir` has a manifest already, [`DataError::Write`]; a single cell that fails is a
/// warning of the report, [`DataError::NoCells`] where all do.
pub fn export(dataset: &Dataset, dir: &Path) -> Result<ExportReport, DataError> {
    let manifest = dir.join("manifest.csv");
    if manifest.exists() {
        return Err(DataError::Exists { path: manifest });
    }
    std::fs::create_dir_all(dir).map_err(|source| DataError::Write { path: dir.to_owned(), source })?;
    let failed = Warnings::new();
    dataset.warnings.iter().for_each(|w| failed.push(w.item.clone(), w.cause.clone()));
    let rows: Vec<Vec<String>> = dataset
        .samples
        .par_iter()
        .filter_map(|s| row_of(dataset, s, dir).map_err(|e| failed.push_error(&s.id.0, &e)).ok())
        .collect();
    if rows.is_empty() {
        return Err(DataError::NoCells { dataset: dataset.id.clone() });
    }
    write_manifest(dataset, &rows, &manifest)?;
    Ok(ExportReport { manifest, n: rows.len(), warnings: failed.sorted() })
}

const COLUMNS: [&str; 8] = ["path", "id", "label", "split", "mask", "group", "pixel_size_um", "optics"];

fn write_manifest(dataset: &Dataset, rows: &[Vec<String>], path: &Path) -> Result<(), DataError> {
    let attributes = dataset.schema.attributes.iter().map(|a| a.name.as_str());
    let header: Vec<_> = COLUMNS.into_iter().chain(attributes).collect();
    let write = || -> Result<(), csv::Error> {
        let mut table = csv::Writer::from_path(path)?;
        table.write_record(&header)?;
        rows.iter().try_for_each(|row| table.write_record(row))?;
        Ok(table.flush()?)
    };
    write().map_err(|e| DataError::Write { path: path.to_owned(), source: e.into() })
}

fn row_of(dataset: &Dataset, sample: &Sample, dir: &Path) -> Result<Vec<String>, DataError> {
    let limits = Limits::default();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut row = vec![
        write_image(sample, dir, &limits)?,
        sample.id.0.clone(),
        sample.annotation.cell_type.as_ref().map(|t| t.as_str().to_owned()).unwrap_or_default(),
        text(&sample.split),
        write_mask(sample, dir, &limits)?,
        text(&sample.group),
        sample.optics.pixel_size_um.map(|p| p.0.to_string()).unwrap_or_default(),
        text(&sample.optics.name),
    ];
    let value = |name: &str| sample.annotation.value(&dataset.schema, name).unwrap_or_default().to_owned();
    row.extend(dataset.schema.attributes.iter().map(|a| value(&a.name)));
    Ok(row)
}

/// Path of the written image, relative to `dir`.
fn write_image(sample: &Sample, dir: &Path, limits: &Limits) -> Result<String, DataError> {
    if let ImageSource::File { path, crop: None } = &sample.image {
        return copy(path, "images", &sample.id.0, dir);
    }
    let image = sample.image.load(limits)?;
    let (relative, path) = target("images", &sample.id.0, "png", dir)?;
    image.save(&path).map_err(|source| DataError::Encode { path, source })?;
    Ok(relative)
}

/// Path of the written mask, relative to `dir`; empty without one.
fn write_mask(sample: &Sample, dir: &Path, limits: &Limits) -> Result<String, DataError> {
    let crop: Option<&CropBox> = match &sample.image {
        ImageSource::File { crop, .. } => crop.as_ref(),
        ImageSource::Memory(_) => None,
    };
    if let (Some(MaskSource::File(path)), None) = (&sample.mask, crop) {
        return copy(path, "masks", &sample.id.0, dir);
    }
    let Some(masks) = load_masks(sample, limits)? else { return Ok(String::new()) };
    let (relative, path) = target("masks", &sample.id.0, "png", dir)?;
    masks.to_image().save(&path).map_err(|source| DataError::Encode { path, source })?;
    Ok(relative)
}

fn copy(from: &Path, kind: &str, id: &str, dir: &Path) -> Result<String, DataError> {
    let extension = from.extension().map_or("png".into(), |e| e.to_string_lossy());
    let (relative, path) = target(kind, id, &extension, dir)?;
    // not `fs::copy`, which would carry a read-only original's permissions over
    let bytes = std::fs::read(from).map_err(|source| DataError::Read { path: from.to_owned(), source })?;
    std::fs::write(&path, bytes).map_err(|source| DataError::Write { path, source })?;
    Ok(relative)
}

/// Relative and full path of a file to be written, with its folder made.
fn target(kind: &str, id: &str, extension: &str, dir: &Path) -> Result<(String, PathBuf), DataError> {
    let relative = format!("{kind}/{id}.{extension}");
    let path = dir.join(&relative);
    let folder = path.parent().unwrap_or(dir);
    std::fs::create_dir_all(folder).map_err(|source| DataError::Write { path: folder.to_owned(), source })?;
    Ok((relative, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataStore, resolve_input};
    use wbc_core::image::{GrayImage, Luma, Rgb, RgbImage};

    fn cells(dir: &Path) -> Dataset {
        std::fs::create_dir(dir.join("in")).unwrap();
        let picture = RgbImage::from_fn(20, 16, |x, y| Rgb([x as u8 * 9, y as u8 * 9, 77]));
        picture.save(dir.join("in/a.bmp")).unwrap();
        let mask = GrayImage::from_fn(20, 16, |x, y| {
            Luma([if x > 6 && y > 6 {
                255
            } else if x > 3 {
                128
            } else {
                0
            }])
        });
        mask.save(dir.join("in/m.png")).unwrap();
        let csv = "path,id,label,split,mask,x0,y0,x1,y1,group,pixel_size_um,optics,cell_size\n\
                   in/a.bmp,whole,segs,val,in/m.png,,,,,p1,0.1,scope,big\n\
                   in/a.bmp,deep/part,my own type,,in/m.png,2,3,12,13,,,,\n";
        std::fs::write(dir.join("cells.csv"), csv).unwrap();
        resolve_input(dir.join("cells.csv").to_str().unwrap(), &DataStore::new(None)).unwrap()
    }

    #[test]
    fn an_exported_manifest_opens_to_the_same_cells() {
        let dir = tempfile::tempdir().unwrap();
        let before = cells(dir.path());
        let report = export(&before, &dir.path().join("out")).unwrap();
        assert_eq!((report.n, report.warnings.len()), (2, 0));
        let after = resolve_input(report.manifest.to_str().unwrap(), &DataStore::new(None)).unwrap();
        assert_same(&before, &after);
        assert!(matches!(export(&before, &dir.path().join("out")), Err(DataError::Exists { .. })));
    }

    #[test]
    fn generated_cells_survive_an_export() {
        let dir = tempfile::tempdir().unwrap();
        let before = DataStore::new(None).open(&"synthetic:test".parse().unwrap()).unwrap();
        let report = export(&before, dir.path()).unwrap();
        let after = resolve_input(report.manifest.to_str().unwrap(), &DataStore::new(None)).unwrap();
        assert_same(&before, &after);
    }

    fn assert_same(before: &Dataset, after: &Dataset) {
        let limits = Limits::default();
        assert_eq!(before.samples.len(), after.samples.len());
        for (b, a) in before.samples.iter().zip(&after.samples) {
            assert_eq!((&b.id, &b.annotation, &b.split), (&a.id, &a.annotation, &a.split));
            assert_eq!((&b.group, &b.optics), (&a.group, &a.optics));
            assert_eq!(b.image.load(&limits).unwrap(), a.image.load(&limits).unwrap());
            assert_eq!(load_masks(b, &limits).unwrap(), load_masks(a, &limits).unwrap());
        }
    }

    #[test]
    fn a_cell_that_fails_is_named_and_the_rest_is_exported() {
        let dir = tempfile::tempdir().unwrap();
        let mut dataset = cells(dir.path());
        dataset.samples[0].image = ImageSource::File { path: dir.path().join("gone.png"), crop: None };
        let report = export(&dataset, &dir.path().join("out")).unwrap();
        assert_eq!((report.n, report.warnings[0].item.as_str()), (1, "deep/part"));
        assert!(report.warnings[0].cause.contains("gone.png"));
    }
}
