//! Parameters of a module by name: what trains and what stands still.

use crate::{OptimiserConfig, TrainError};
use burn::module::{Module, ModuleVisitor, Param, ParamGroup};
use burn::tensor::Tensor;

/// The name of a parameter as weight files have it: variants of enums, which begin with a capital, are no part of it.
fn name_in_files(path: &str) -> String {
    let fields = path.split('.').filter(|part| !part.starts_with(|c: char| c.is_ascii_uppercase()));
    fields.collect::<Vec<_>>().join(".")
}

/// The name that a parameter of another member of a committee has in the first, `image.others.1.pixels` in `image.pixels`.
fn name_in_first(name: &str) -> Option<String> {
    let (member, rest) = name.strip_prefix("image.others.")?.split_once('.')?;
    member.parse::<usize>().is_ok().then(|| format!("image.{rest}"))
}

/// Whether a parameter is, or lies below, what a name stands for: `image.pixels` is `image.pixels.norm.beta`, that of every
/// member, and not `image.pixels2`.
pub(crate) fn is_below(path: &str, name: &str) -> bool {
    let own = name_in_files(path);
    let mut paths = name_in_first(&own).into_iter().chain([own]);
    paths.any(|path| path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// Names of all parameters of floating point in the order of the module: names of fields, joined by dots.
pub(crate) fn parameter_paths<M: Module>(module: &M) -> Vec<String> {
    listed(module).into_iter().map(|(path, _)| path).collect()
}

/// Whether any parameter has gradients.
pub(crate) fn trains<M: Module>(module: &M) -> bool {
    listed(module).into_iter().any(|(_, trains)| trains)
}

/// Paths, and whether they have gradients.
fn listed<M: Module>(module: &M) -> Vec<(String, bool)> {
    #[derive(Default)]
    struct List {
        path: Vec<String>,
        found: Vec<(String, bool)>,
    }
    impl ModuleVisitor for List {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.path.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.found.push((self.path.join("."), param.is_require_grad()));
        }
    }
    let mut list = List::default();
    module.visit(&mut list);
    list.found
}

/// Checks that every name stands for at least one of the parameters.
pub(crate) fn check_names(field: &'static str, names: &[String], paths: &[String]) -> Result<(), TrainError> {
    let Some(unknown) = names.iter().find(|name| !paths.iter().any(|path| is_below(path, name))) else {
        return Ok(());
    };
    let mut top: Vec<&str> = paths.iter().filter_map(|path| path.split('.').next()).collect();
    top.dedup();
    let cause = format!("no parameter is called `{unknown}` or begins so; the model consists of {}", top.join(", "));
    Err(TrainError::Config { field, cause })
}

impl OptimiserConfig {
    /// Checks that all names in the configuration stand for parameters of a model.
    ///
    /// # Errors
    /// [`TrainError::Config`] with the first unknown name.
    pub fn check_names<M: Module>(&self, model: &M) -> Result<(), TrainError> {
        let paths = parameter_paths(model);
        check_names("freeze", &self.freeze, &paths)?;
        self.lora.as_ref().map_or(Ok(()), |lora| check_names("lora.targets", &lora.targets, &paths))
    }
}

/// The model with what the configuration freezes: those parameters have no gradients, so a frozen tower costs no
/// backward pass, and batch normalisation below them keeps its statistics.
///
/// # Errors
/// [`TrainError::Config`] for a name that no parameter has.
pub(crate) fn frozen<M: Module>(model: M, config: &OptimiserConfig) -> Result<M, TrainError> {
    if config.freeze.is_empty() {
        return Ok(model);
    }
    let mut paths = parameter_paths(&model);
    check_names("freeze", &config.freeze, &paths)?;
    paths.retain(|path| config.freeze.iter().any(|name| is_below(path, name)));
    Ok(model.freeze_group(ParamGroup::from_paths(paths)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_itself_and_what_lies_below() {
        assert!(is_below("image.pixels.norm.beta", "image.pixels"));
        assert!(is_below("log_scale", "log_scale"));
        assert!(is_below("text.Own.blocks.1.up.bias", "text.blocks.1"), "variants of enums have no names in files");
        assert!(!is_below("text.blocks.10.up.bias", "text.blocks.1"));
        assert!(!is_below("image", "image.pixels"));
        let of_another = "image.others.1.pixels.Published.head.first.bias";
        let names = ["image.pixels", "image.pixels.head", "image.others", "image.others.1.pixels", "image"];
        assert!(names.iter().all(|name| is_below(of_another, name)));
        assert!(["image.others.0", "image.measurements", "others"].iter().all(|name| !is_below(of_another, name)));
    }
}
