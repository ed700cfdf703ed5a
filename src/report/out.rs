//! Where a page may be written.

use crate::files::not_the_input;
use crate::run::{
    CONFIG, ENCODERS, INITIAL, METRICS, PREPROCESS, PROMPTS, READINGS, REFERENCE, REPORT, SCHEMA, TOKENIZER, WEIGHTS,
};
use crate::{Error, Session};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use wbc_core::is_image_path;
use wbc_data::path_of_input;

/// What a run folder holds, see `docs/run-folder.md`.
const OF_A_RUN: [&str; 14] = [
    CONFIG,
    ENCODERS,
    INITIAL,
    WEIGHTS,
    TOKENIZER,
    PREPROCESS,
    PROMPTS,
    SCHEMA,
    READINGS,
    REFERENCE,
    METRICS,
    REPORT,
    "timing.jsonl",
    "checkpoints",
];

/// Refuses, before hours of work, a place where no file can be, and one where a page would replace what it is made from:
/// `files`, a table or an image of `datasets`, a file of the data folder, a file of any run folder.
///
/// # Errors
/// [`Error::Usage`] naming what would be replaced; [`Error::Io`] for a folder that is not there.
pub(super) fn check_out<'f>(
    out: &Path,
    files: impl Iterator<Item = &'f Path>,
    datasets: &'f [String],
    session: &Session,
) -> Result<(), Error> {
    if out.is_dir() {
        return Err(Error::Usage(format!("the output is a folder: {}", out.display())));
    }
    let place = resolved(out)?;
    for file in files.chain(datasets.iter().filter_map(|id| path_of_input(id, &session.store))) {
        not_the_input(out, file)?;
    }
    let refused = |what: &str| Err(Error::Usage(format!("the output would replace {what}: {}", out.display())));
    // pages made before may be replaced wherever they are
    let is_page = out.extension().is_some_and(|e| ["html", "htm"].iter().any(|html| e.eq_ignore_ascii_case(html)));
    if out.exists() && !is_page {
        if is_image_path(out) {
            return refused("an image");
        }
        let root = session.store.root.as_ref().and_then(|root| root.canonicalize().ok());
        if root.is_some_and(|root| place.starts_with(root)) {
            return refused("a file of the data folder");
        }
    }
    if is_of_a_run(&place) {
        return refused("a file of the run folder");
    }
    Ok(())
}

/// Whether a path, its folder resolved, is one of those that a run folder has, present or not.
fn is_of_a_run(place: &Path) -> bool {
    place.ancestors().skip(1).any(|folder| {
        let first = place.strip_prefix(folder).ok().and_then(|below| below.components().next());
        let is_first = |name: &&str| first.is_some_and(|first| first.as_os_str().eq_ignore_ascii_case(name));
        OF_A_RUN.iter().any(is_first) && [CONFIG, PREPROCESS].iter().all(|f| folder.join(f).is_file())
    })
}

/// A path with its folder resolved, whether or not there is a file.
fn resolved(path: &Path) -> Result<PathBuf, Error> {
    let missing = || Error::Io { path: path.to_owned(), source: ErrorKind::NotFound.into() };
    let name = path.file_name().ok_or_else(missing)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(missing());
    }
    Ok(folder.canonicalize().map_err(Error::io(folder))?.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder with a run, a table and an image.
    fn surroundings() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("run/checkpoints/step-00000002")).unwrap();
        for file in ["run/config.toml", "run/preprocess.json", "cells.csv", "cell.png", "page.html", "types.toml"] {
            fs::write(folder.path().join(file), "as it was").unwrap();
        }
        folder
    }

    #[test]
    fn a_page_replaces_nothing_that_it_is_made_from() {
        let folder = surroundings();
        let path = |name: &str| folder.path().join(name);
        let (types, run) = (path("types.toml"), path("run"));
        let check = |name: &str, datasets: &[&str]| {
            let datasets: Vec<String> = datasets.iter().map(|d| path(d).display().to_string()).collect();
            check_out(&path(name), [&*types, &*run].into_iter(), &datasets, &Session::default())
        };
        for (name, part) in [
            ("types.toml", "types.toml"),
            ("cells.csv", "the input"),
            ("cell.png", "an image"),
            ("run", "is a folder"),
            ("run/report.html", "the run folder"),
            ("run/Config.toml", "the run folder"),
            ("run/weights.safetensors", "the run folder"),
            ("run/checkpoints/page.html", "the run folder"),
            ("run/checkpoints/step-00000002/state.json", "the run folder"),
            ("run/../run/report.html", "the run folder"),
        ] {
            let refused = check(name, &["cells.csv:val"]).unwrap_err();
            assert!(refused.is_usage() && refused.to_string().contains(part), "{name}: {refused}");
        }
        for name in ["page.html", "new.html", "report.html", "run/compared.html"] {
            check(name, &["cells.csv"]).unwrap();
        }
        check("cells.csv", &[]).unwrap();
        assert!(matches!(check("nowhere/page.html", &[]), Err(Error::Io { .. })));
    }

    #[test]
    fn files_of_the_data_folder_are_kept() {
        let folder = surroundings();
        let mut session = Session::default();
        session.store.root = Some(folder.path().to_owned());
        let check = |name: &str| check_out(&folder.path().join(name), std::iter::empty(), &[], &session);
        assert!(check("cells.csv").unwrap_err().to_string().contains("data folder"));
        check("new.html").unwrap();
        check("page.html").unwrap();
    }
}
