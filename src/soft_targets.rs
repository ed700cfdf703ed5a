//! How far second annotators of the training cells put the first in doubt.

use crate::{ContrastTargets, Error, RunConfig, Session};
use wbc_contrastive::{FactSpace, SoftTargets};
use wbc_core::Annotation;
use wbc_data::Dataset;

/// What contrast sets are trained towards, where a configuration asks for more than the annotated values. Only cells of
/// the training dataset count, whatever else second annotators read.
///
/// # Errors
/// [`Error::Config`] where second annotators are asked for and read no cell of it; [`Error::Dataset`] for a table of
/// theirs that cannot be read.
pub(crate) fn soft_targets(
    config: &RunConfig,
    training: &Dataset,
    space: &FactSpace,
    session: &Session,
) -> Result<Option<SoftTargets>, Error> {
    match config.contrast_targets {
        ContrastTargets::Annotated => return Ok(None),
        ContrastTargets::SecondReaders => {}
    }
    let unread = || Error::Config {
        place: "contrast_targets".into(),
        cause: format!("second annotators are known for no cell of {}", training.id),
    };
    let readers = session.store.second_readers(&training.id)?.ok_or_else(unread)?;
    let readings: Vec<(&Annotation, &Annotation)> = training
        .samples
        .iter()
        .filter_map(|s| Some((&s.annotation, readers.annotation(readers.position(&s.id)?))))
        .collect();
    let soft = SoftTargets::from_readings(space, readings.iter().copied()).ok_or_else(unread)?;
    tracing::info!("second annotators read {} of {} training cells", readings.len(), training.samples.len());
    for (i, attribute) in space.schema().attributes.iter().enumerate() {
        // the type is fact 0
        let kept = attribute.values.iter().zip(soft.diagonal(i + 1).unwrap_or_default());
        let kept: Vec<String> = kept.map(|(value, share)| format!("{} {share:.3}", value.name)).collect();
        tracing::info!("confirmed by second annotators, smoothed, of {}: {}", attribute.name, kept.join(", "));
    }
    Ok(Some(soft))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use wbc_core::{ImageSource, Optics, Sample, SampleId};
    use wbc_data::DataStore;

    fn config(train: &str) -> RunConfig {
        let text = format!(
            "out = 'not-made'\ntrain = '{train}'\nvalidation = 'synthetic:val'\ncontrast_targets = 'second_readers'"
        );
        RunConfig::parse(&text, &[], "test").unwrap()
    }

    /// Ten big cells to train with and ten to validate with; `second` tells what second annotators call which of them.
    fn session(root: &Path, second: &[(&str, &str)]) -> Session {
        let folder = root.join("wbcatt");
        std::fs::create_dir_all(&folder).unwrap();
        let table = |name: &str, rows: String| {
            std::fs::write(folder.join(name), format!("img_name,label,cell_size,path\n{rows}")).unwrap();
        };
        let rows = |part: &str, size: &str| {
            (0..10).map(|i| format!("{part}{i}.jpg,Monocyte,{size},X/{part}{i}.jpg\n")).collect::<String>()
        };
        table("pbc_attr_v1_train.csv", rows("t", "big"));
        table("pbc_attr_v1_val.csv", rows("v", "big"));
        table("pbc_attr_reannotations.csv", second.iter().map(|(part, size)| rows(part, size)).collect());
        Session { store: DataStore::new(Some(root.to_owned())), ..Session::default() }
    }

    /// A dataset of big cells, as opened; their images are not looked for.
    fn opened(id: &str, parts: &[&str], session: &Session) -> Dataset {
        let schema = session.store.schema.clone();
        let mut annotation = Annotation::unknown(&schema);
        annotation.set(&schema, "cell_size", "big").unwrap();
        let sample = |name: String| Sample {
            image: ImageSource::File { path: format!("{name}.jpg").into(), crop: None },
            id: SampleId(name),
            annotation: annotation.clone(),
            split: None,
            group: None,
            optics: Optics::default(),
            mask: None,
        };
        let samples = parts.iter().flat_map(|part| (0..10).map(move |i| format!("{part}{i}"))).map(sample).collect();
        Dataset { id: id.into(), samples, schema, classes: Vec::new(), warnings: Vec::new(), notes: Vec::new() }
    }

    fn estimated(dataset: &Dataset, session: &Session) -> Result<Option<SoftTargets>, Error> {
        let space = FactSpace::new(Vec::new(), dataset.schema.clone());
        soft_targets(&config(&dataset.id), dataset, &space, session)
    }

    /// Share of big cells that stay big.
    fn kept(dataset: &Dataset, session: &Session) -> f64 {
        let (attribute, big) = dataset.schema.locate("cell_size", "big").unwrap();
        let soft = estimated(dataset, session).unwrap().unwrap();
        soft.diagonal(attribute + 1).unwrap()[big]
    }

    #[test]
    fn what_second_annotators_say_of_validation_cells_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let session = session(folder.path(), &[("t", "big"), ("v", "small")]);
        assert_eq!(kept(&opened("wbcatt:train", &["t"], &session), &session), 1.0);
        // nor where the name of the dataset covers them: its cells decide
        assert_eq!(kept(&opened("wbcatt", &["t"], &session), &session), 1.0);
        let both = kept(&opened("wbcatt", &["t", "v"], &session), &session);
        assert!((both - 15.0 / 25.0).abs() < 1e-12, "they would have been seen: {both}");
    }

    #[test]
    fn training_cells_that_nobody_read_again_are_an_error_that_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let session = session(folder.path(), &[("v", "small")]);
        for (id, parts) in [("wbcatt:train", ["t"]), ("wbcatt", ["t"]), ("bccd:train", ["t"]), ("cells.csv", ["v"])] {
            let refused = estimated(&opened(id, &parts, &session), &session).unwrap_err();
            assert!(
                matches!(&refused, Error::Config { place, .. } if place == "contrast_targets") && refused.is_usage()
            );
            assert!(refused.to_string().ends_with(id), "{refused}");
        }
        assert!(estimated(&opened("wbcatt:val", &["v"], &session), &session).unwrap().is_some());
    }

    #[test]
    fn a_training_without_second_annotators_begins_nothing() {
        let refused = crate::train(&config("synthetic:train"), false, &Session::default()).unwrap_err();
        assert!(refused.is_usage() && refused.to_string().contains("synthetic:train"), "{refused}");
        assert!(!Path::new("not-made").exists());
    }

    #[test]
    fn annotated_values_alone_need_no_second_annotators() {
        let session = Session::default();
        let dataset = opened("synthetic:train", &["t"], &session);
        let plain = RunConfig { contrast_targets: ContrastTargets::Annotated, ..config("synthetic:train") };
        let space = FactSpace::new(Vec::new(), dataset.schema.clone());
        assert_eq!(soft_targets(&plain, &dataset, &space, &session).unwrap(), None);
    }

    /// What the publishers' tables say; needs WBC_CLIP_DATA.
    #[test]
    fn annotators_of_wbcatt_confuse_lobes_more_than_chromatin() {
        let Some(root) = std::env::var_os("WBC_CLIP_DATA") else { return };
        let session = Session { store: DataStore::new(Some(root.into())), ..Session::default() };
        let dataset = session.open("wbcatt:train").unwrap();
        let soft = estimated(&dataset, &session).unwrap().unwrap();
        // counted from both tables by other means: of 38 cells 26 again, of 244 cells 218, of 498 all
        for (attribute, value, expected) in [
            ("nucleus_shape", "segmented-multilobed", 31.0 / 43.0),
            ("cell_size", "big", 223.0 / 249.0),
            ("chromatin_density", "densely", 1.0),
        ] {
            let (fact, value) = dataset.schema.locate(attribute, value).unwrap();
            let kept = soft.diagonal(fact + 1).unwrap()[value];
            assert!((kept - expected).abs() < 1e-9, "{attribute}: {kept}");
        }
    }
}
