use crate::commands::canonical;
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use wbc_clip::{EvaluateOptions, Session};

/// What `eval` and `report` are asked about a run.
#[derive(Args, Debug)]
pub(crate) struct Asked {
    /// Restrict candidates and cells to these types
    #[arg(long, value_delimiter = ',')]
    classes: Option<Vec<String>>,
    /// Descriptor of `describe fit` to be evaluated beside the run: what words have to beat
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptor: Option<PathBuf>,
    /// Classes by what is typical of them instead of by names, for example configs/described-types.toml: scored beside
    /// the run's types, also for types that it never learned; --classes does not restrict them
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) described: Option<PathBuf>,
    /// Also evaluate under simulated shifts: stain, illumination, scale, blur, jpeg, crop and all together, each at
    /// three strengths, with sizes masked; takes some 21 times as long; --seed draws them anew
    #[arg(long)]
    shifts: bool,
    /// Also whether every word of a caption is understood: one fact changed, denied, said in another tone, combined
    /// as in training or not; --seed draws other tones anew
    #[arg(long)]
    words: bool,
    /// With --words, also by what captions of others say of single facts (a file as caption writes it): are their
    /// sentences understood, too?
    #[arg(long, value_name = "FILE.jsonl", requires = "words")]
    words_of: Option<PathBuf>,
    /// Also which decisions about types to trust: risk over coverage by several scores of confidence
    #[arg(long)]
    selective: bool,
}

impl Asked {
    /// As options; descriptions of classes are opened by whoever knows the run.
    pub(crate) fn options(&self, seed: Option<u64>, session: &Session) -> Result<EvaluateOptions> {
        Ok(EvaluateOptions {
            classes: self.classes.as_ref().map(|names| canonical(names, session)),
            seed: seed.unwrap_or(0),
            descriptor: self.descriptor.as_ref().map(|file| wbc_clip::open_descriptor(file, session)).transpose()?,
            shifts: self.shifts,
            words: self.words,
            words_of: self.words_of.clone(),
            selective: self.selective,
            ..EvaluateOptions::default()
        })
    }
}
