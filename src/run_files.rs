use crate::Error;
use crate::run::{CONFIG, PREPROCESS, PROMPTS, SCHEMA, TOKENIZER, WEIGHTS};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use wbc_encoders::MAX_WEIGHTS_BYTES;

/// Larger files than this are not read, weights apart: tables, configurations and logs of a few megabytes.
const MAX_OTHER_BYTES: u64 = 256 << 20;

/// Where the files of a run lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunFiles {
    /// In a folder.
    Folder(PathBuf),
    /// In this program: the model that comes with it.
    #[cfg(feature = "bundled")]
    Bundled,
}

/// The files of the bundled model, without logs.
#[cfg(feature = "bundled")]
macro_rules! bundled {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../models/wbcatt/", $name)).as_slice())),*]
    };
}

#[cfg(feature = "bundled")]
const BUNDLED: [(&str, &[u8]); 8] = bundled!(
    "config.toml",
    "weights.safetensors",
    "tokenizer.json",
    "preprocess.json",
    "prompts.toml",
    "schema.json",
    "reference.json",
    "encoders.json"
);

impl RunFiles {
    /// The files of a folder that holds a finished run.
    ///
    /// # Errors
    /// [`Error::Run`] naming what is missing.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self, Error> {
        let refused = |cause: String| Err(Error::Run { path: folder.to_owned(), cause });
        for name in [CONFIG, PREPROCESS, TOKENIZER, PROMPTS, SCHEMA] {
            if !folder.join(name).is_file() {
                return refused(format!("{name} is missing"));
            }
        }
        if !folder.join(WEIGHTS).is_file() {
            return refused(format!("{WEIGHTS} is missing: the training has not finished, continue it with --resume"));
        }
        Ok(Self::Folder(folder.to_owned()))
    }

    /// A file's content; `None` where there is no such file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Run`] for one that is too large.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, Error> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                if !path.is_file() {
                    return Ok(None);
                }
                let len = std::fs::metadata(&path).map_err(Error::io(&path))?.len();
                let most = max_bytes(name);
                if len > most {
                    let cause = format!("{name}: {len} bytes are more than {most}");
                    return Err(Error::Run { path: folder.clone(), cause });
                }
                std::fs::read(&path).map(|bytes| Some(bytes.into())).map_err(Error::io(path))
            }
            #[cfg(feature = "bundled")]
            Self::Bundled => Ok(BUNDLED.iter().find(|(known, _)| *known == name).map(|(_, bytes)| (*bytes).into())),
        }
    }

    /// A file's content that has to be there.
    ///
    /// # Errors
    /// [`Error::Run`] for a missing file, or as [`Self::read`].
    pub(crate) fn need(&self, name: &str) -> Result<Cow<'static, [u8]>, Error> {
        let missing = || Error::Run { path: self.place(), cause: format!("{name} is missing") };
        self.read(name)?.ok_or_else(missing)
    }

    /// A text file's content; `None` where there is no such file.
    ///
    /// # Errors
    /// [`Error::Run`] for what is no text, or as [`Self::read`].
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Error> {
        let text = |bytes: Cow<'static, [u8]>| String::from_utf8(bytes.into_owned());
        let refused = |e: std::string::FromUtf8Error| Error::Run {
            path: self.place(),
            cause: format!("{name}: it is not UTF-8 ({e})"),
        };
        self.read(name)?.map(text).transpose().map_err(refused)
    }

    /// What messages call it.
    pub(crate) fn place(&self) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.clone(),
            #[cfg(feature = "bundled")]
            Self::Bundled => PathBuf::from("(the bundled model)"),
        }
    }
}

/// Size up to which a file is read.
fn max_bytes(name: &str) -> u64 {
    if name == WEIGHTS { MAX_WEIGHTS_BYTES } else { MAX_OTHER_BYTES }
}

#[cfg(test)]
mod size_tests {
    use super::*;

    #[test]
    fn only_weights_may_be_large() {
        assert!(max_bytes(WEIGHTS) == MAX_WEIGHTS_BYTES && MAX_WEIGHTS_BYTES > MAX_OTHER_BYTES);
        let folder = tempfile::tempdir().unwrap();
        let files = RunFiles::Folder(folder.path().to_owned());
        // files of nothing but a hole, which take no room on the disk
        let put = |name: &str, len: u64| std::fs::File::create(folder.path().join(name)).unwrap().set_len(len).unwrap();
        put(PROMPTS, MAX_OTHER_BYTES + 1);
        let refused = files.text(PROMPTS).unwrap_err();
        assert!(
            matches!(&refused, Error::Run { cause, .. } if cause.contains("prompts.toml: 268435457 bytes")),
            "{refused}"
        );
        put(PROMPTS, 3);
        assert_eq!(files.text(PROMPTS).unwrap().map(|text| text.len()), Some(3));
        put(WEIGHTS, MAX_WEIGHTS_BYTES + 1);
        assert!(files.need(WEIGHTS).is_err());
    }
}

#[cfg(all(test, feature = "bundled", feature = "flex"))]
mod tests {
    use super::*;
    use crate::{Run, Session, classify};

    #[test]
    fn the_bundled_model_is_small_and_needs_no_file() {
        let weights = RunFiles::Bundled.need(WEIGHTS).unwrap();
        assert!(weights.len() <= 8 << 20, "{} bytes", weights.len());
        let card = include_str!("../models/wbcatt/README.md");
        assert!(card.contains("10.1016/j.dib.2020.105474"), "whose images it learned from is named");
        let run = Run::bundled("flex").unwrap();
        assert!(run.trained.space.types().len() >= 5 && run.reference.is_some());
        assert!(run.files.read("metrics.jsonl").unwrap().is_none());
        assert!(run.config.out.is_relative() && run.config.train == "wbcatt:train");
    }

    #[test]
    fn the_bundled_model_knows_real_cells() {
        let Some(data) = std::env::var_os("WBC_CLIP_DATA") else { return };
        let mut session = Session::default();
        session.store.root = Some(data.into());
        let dataset = session.open("wbcatt:val").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut table = String::from("path,id,optics\n");
        let cells: Vec<_> = dataset.samples.iter().step_by(40).collect();
        for (i, sample) in cells.iter().enumerate() {
            std::fs::copy(sample.image.path().unwrap(), folder.path().join(format!("{i}.jpg"))).unwrap();
            table += &format!("{i}.jpg,{},cellavision-dm96-barcelona\n", sample.id);
        }
        let manifest = folder.path().join("cells.csv");
        std::fs::write(&manifest, table).unwrap();
        let run = Run::bundled("flex").unwrap();
        let said = classify(&run, &manifest.display().to_string(), &session).unwrap();
        let right = said.cells.iter().filter(|cell| {
            let sample = cells.iter().find(|s| s.id.0 == cell.id).unwrap();
            sample.annotation.cell_type.as_ref().unwrap().as_str() == cell.cell_type.value
        });
        assert!(said.cells.len() > 20 && right.count() * 20 >= said.cells.len() * 19);
    }
}
