//! Images that somebody says show no such cell.

use super::Without;
use crate::cells::opening_warnings;
use crate::{Error, Session};
use wbc_core::{Sample, Warnings};

/// Kind of given images that nothing tells apart, and what the names of the others begin with: places that were cut from
/// fields are kinds of their own.
const GIVEN: &str = "given";

/// Opens the images of an input, to be compared with the cells of another.
pub(super) fn given(input: &str, cells: &str, session: &Session, warnings: &Warnings) -> Result<Without, Error> {
    let dataset = session.open(input)?;
    opening_warnings(dataset.warnings).sorted().into_iter().for_each(|w| warnings.push(w.item, w.cause));
    let is_folder = session.store.is_folder(input);
    let kinds = dataset.samples.iter().map(|sample| kind(sample, is_folder)).collect();
    let mut samples = dataset.samples;
    if !session.store.same_source(input, cells) {
        samples.iter_mut().for_each(|sample| own_group(sample, input));
    }
    Ok(Without { samples, kinds })
}

/// By the subfolder that an image of a folder lies in, under its own name, else by its label.
fn kind(sample: &Sample, is_folder: bool) -> String {
    let name = match is_folder {
        true => sample.id.0.split_once('/').map(|(folder, _)| folder),
        false => sample.annotation.cell_type.as_ref().map(|label| label.as_str()),
    };
    name.map_or_else(|| GIVEN.to_owned(), |name| format!("{GIVEN}:{name}"))
}

/// Patient 1 of one table is not patient 1 of another.
fn own_group(sample: &mut Sample, input: &str) {
    sample.group = sample.group.take().map(|group| format!("{input}: {group}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use wbc_core::RgbImage;

    /// Images in a folder.
    fn images(folder: &std::path::Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            RgbImage::new(4, 3).save(path).unwrap();
        }
    }

    fn opened(input: &str, cells: &str) -> Without {
        let warnings = Warnings::new();
        let found = given(input, cells, &Session::default(), &warnings).unwrap();
        assert!(warnings.is_empty(), "{:?}", warnings.sorted());
        found
    }

    #[test]
    fn kinds_of_a_folder_are_its_subfolders_by_their_own_names() {
        let folder = tempfile::tempdir().unwrap();
        // all of them names of cell types
        images(folder.path(), &["Platelets/dark/1.png", "PLT/2.png", "Neutrophils/3.png"]);
        let name = folder.path().display().to_string();
        assert_eq!(opened(&name, "bccd").kinds, ["given:Neutrophils", "given:PLT", "given:Platelets"]);
        images(folder.path(), &["4.png", "blank/5.png"]);
        let kinds = opened(&name, "bccd").kinds;
        assert_eq!(kinds, ["given", "given:Neutrophils", "given:PLT", "given:Platelets", "given:blank"]);
    }

    #[test]
    fn kinds_of_a_manifest_are_its_labels_and_groups_of_another_one_its_own() {
        let folder = tempfile::tempdir().unwrap();
        images(folder.path(), &["smears/1.png", "smears/2.png"]);
        let manifest = folder.path().join("given.csv");
        let table = "path,label,group,split\nsmears/1.png,Red cells,patient 1,a\nsmears/2.png,,,a\n";
        std::fs::write(&manifest, table).unwrap();
        let name = manifest.display().to_string();
        let groups = |found: &Without| found.samples.iter().map(|s| s.group.clone()).collect::<Vec<_>>();
        let own = opened(&name, &format!("{name}:b"));
        let label = wbc_core::CellType::new("Red cells");
        assert_eq!(own.kinds, [format!("given:{label}"), "given".into()]);
        assert_eq!(groups(&own), [Some("patient 1".to_owned()), None]);
        let other = groups(&opened(&name, "cells.csv"));
        assert!(
            other[0].as_ref().is_some_and(|group| group != "patient 1" && group.ends_with("patient 1")),
            "{other:?}"
        );
        assert_eq!(other[1], None);
    }
}
