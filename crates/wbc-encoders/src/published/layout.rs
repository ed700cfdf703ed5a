//! Key mappings between our modules and published weights, written once and used both ways.

use super::file::{FloatTensor, WeightFile};
use crate::EncoderError;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use std::collections::{BTreeMap, BTreeSet};

/// Colours of a pixel.
const CHANNELS: usize = 3;

/// How a tensor of ours is stored by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As ours.
    Same,
    /// Matrix `[outputs, inputs]`, ours `[inputs, outputs]`.
    Transposed,
    /// Convolution kernel `[outputs, channels, patch, patch]` of a patch embedding, ours a matrix
    /// `[channels * patch * patch, outputs]`.
    Patches,
    /// As ours after that many leading sides of length 1.
    Leading(usize),
    /// As ours before that many trailing sides of length 1.
    Trailing(usize),
}

/// One line of a mapping: a parameter of ours and where others keep it. `{}` stands for a number, the same on both
/// sides. Several names mean that ours is theirs one after the other along the outputs (query, key and value).
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    ours: String,
    theirs: Vec<String>,
    form: Form,
}

/// A named mapping of a whole architecture.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// What the mapping is called in errors.
    pub(crate) name: &'static str,
    rules: Vec<Rule>,
    /// Tensors of theirs that we know and do not need, with `{}` for numbers and a trailing `*` for anything.
    unused: Vec<String>,
}

impl Layout {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, rules: Vec::new(), unused: Vec::new() }
    }

    /// One parameter.
    pub(crate) fn param(mut self, ours: &str, theirs: &str, form: Form) -> Self {
        self.rules.push(Rule { ours: ours.into(), theirs: vec![theirs.into()], form });
        self
    }

    /// Weight and bias of a linear layer.
    pub(crate) fn linear(self, ours: &str, theirs: &str) -> Self {
        self.linears(ours, &[theirs])
    }

    /// Weight and bias of a linear layer that others keep in parts.
    pub(crate) fn linears(mut self, ours: &str, theirs: &[&str]) -> Self {
        let part = |end: &str| theirs.iter().map(|t| format!("{t}.{end}")).collect();
        self.rules.push(Rule { ours: format!("{ours}.weight"), theirs: part("weight"), form: Form::Transposed });
        self.rules.push(Rule { ours: format!("{ours}.bias"), theirs: part("bias"), form: Form::Same });
        self
    }

    /// Weight and bias of a convolution, or of an embedding table, which has no bias.
    pub(crate) fn plain(self, ours: &str, theirs: &str) -> Self {
        self.param(&format!("{ours}.weight"), &format!("{theirs}.weight"), Form::Same).param(
            &format!("{ours}.bias"),
            &format!("{theirs}.bias"),
            Form::Same,
        )
    }

    /// Scale and offset of a layer normalisation.
    pub(crate) fn norm(self, ours: &str, theirs: &str) -> Self {
        self.param(&format!("{ours}.gamma"), &format!("{theirs}.weight"), Form::Same).param(
            &format!("{ours}.beta"),
            &format!("{theirs}.bias"),
            Form::Same,
        )
    }

    /// Scale, offset and running statistics of a batch normalisation.
    pub(crate) fn batch_norm(self, ours: &str, theirs: &str) -> Self {
        let name = |part: &str| (format!("{ours}.{part}"), format!("{theirs}.{part}"));
        let ((mean, their_mean), (var, their_var)) = (name("running_mean"), name("running_var"));
        self.norm(ours, theirs)
            .param(&mean, &their_mean, Form::Same)
            .param(&var, &their_var, Form::Same)
            .unused(&format!("{theirs}.num_batches_tracked"))
    }

    /// Tensors of theirs that are known and not needed.
    pub(crate) fn unused(mut self, pattern: &str) -> Self {
        self.unused.push(pattern.into());
        self
    }

    fn rule(&self, ours: &str) -> Option<(&Rule, Vec<String>)> {
        self.rules.iter().find_map(|rule| Some((rule, numbers(&rule.ours, ours)?)))
    }

    /// Fills a module with published weights.
    ///
    /// # Errors
    /// [`EncoderError::Tensor`] naming the first tensor that is missing, has another shape, is not finite, or that
    /// nothing explains.
    pub(crate) fn load<M: Module>(&self, module: M, file: &WeightFile, prefix: &str) -> Result<M, EncoderError> {
        let mut loader =
            Loader { layout: self, file, prefix, path: Path::default(), used: BTreeSet::new(), error: None };
        let module = module.map(&mut loader);
        let Loader { used, error, .. } = loader;
        if let Some(error) = error {
            return Err(error);
        }
        let unexplained = file.tensors().keys().find(|name| {
            let known = |own: &str| self.unused.iter().any(|pattern| matches(pattern, own));
            name.strip_prefix(prefix).is_some_and(|own| !used.contains(*name) && !known(own))
        });
        match unexplained {
            Some(name) => Err(file.refused(name, format!("has no place in the layout {}", self.name))),
            None => Ok(module),
        }
    }

    /// The weights of a module under the names and in the form of others.
    ///
    /// # Errors
    /// [`EncoderError::Config`] when the layout has no place for a parameter.
    pub(crate) fn store<M: Module>(
        &self,
        module: &M,
        prefix: &str,
        into: &mut BTreeMap<String, FloatTensor>,
    ) -> Result<(), EncoderError> {
        let mut writer = Writer { layout: self, prefix, path: Path::default(), into, homeless: None };
        module.visit(&mut writer);
        match writer.homeless {
            Some(name) => {
                Err(EncoderError::Config { field: "layout", cause: format!("{} has no place for `{name}`", self.name) })
            }
            None => Ok(()),
        }
    }
}

/// The path of a parameter while a module is walked. Variants of enums are no part of it.
#[derive(Default)]
pub(crate) struct Path(Vec<Option<String>>);

impl Path {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        self.0.push((!container.starts_with("Enum:")).then(|| name.to_owned()));
    }

    pub(crate) fn exit(&mut self) {
        self.0.pop();
    }

    pub(crate) fn name(&self) -> String {
        self.0.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

struct Loader<'a> {
    layout: &'a Layout,
    file: &'a WeightFile,
    prefix: &'a str,
    path: Path,
    used: BTreeSet<String>,
    error: Option<EncoderError>,
}

impl Loader<'_> {
    fn tensor(&mut self, shape: &[usize]) -> Result<Vec<f32>, EncoderError> {
        let ours = self.path.name();
        let (rule, numbers) = self.layout.rule(&ours).ok_or_else(|| {
            self.file.refused(&ours, format!("is in our module, but the layout {} does not name it", self.layout.name))
        })?;
        let mut parts = Vec::new();
        let names: Vec<String> =
            rule.theirs.iter().map(|theirs| format!("{}{}", self.prefix, filled(theirs, &numbers))).collect();
        // shapes first: a file made for another size is refused before its numbers are read
        let shapes = names.iter().map(|name| {
            let info = self.file.tensors().get(name);
            info.map(|i| i.shape.clone()).ok_or_else(|| self.file.refused(name, "is missing"))
        });
        let shapes = shapes.collect::<Result<Vec<_>, _>>()?;
        let expected = expected_shapes(rule.form, shape, names.len());
        for ((name, found), expected) in names.iter().zip(&shapes).zip(&expected) {
            if found != expected {
                return Err(self.file.refused(name, format!("has shape {found:?} where {expected:?} is expected")));
            }
        }
        for name in &names {
            parts.push(self.file.read(name)?);
            self.used.insert(name.clone());
        }
        Ok(ours_from_theirs(rule.form, shape, &parts))
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.error.is_some() {
            return param;
        }
        let shape = param.lazy_shape();
        match self.tensor(&shape) {
            Ok(values) => param.map(|old| {
                let new = Tensor::from_data(TensorData::new(values, shape), &old.device());
                new.set_require_grad(old.is_require_grad())
            }),
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

struct Writer<'a> {
    layout: &'a Layout,
    prefix: &'a str,
    path: Path,
    into: &'a mut BTreeMap<String, FloatTensor>,
    /// The first parameter without a rule.
    homeless: Option<String>,
}

impl ModuleVisitor for Writer<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let ours = self.path.name();
        let Some((rule, numbers)) = self.layout.rule(&ours) else {
            self.homeless.get_or_insert(ours);
            return;
        };
        let values = param.val().into_data().convert::<f32>().try_to_vec().expect("converted to f32");
        let parts = theirs_from_ours(rule.form, &param.shape(), values, rule.theirs.len());
        for (theirs, part) in rule.theirs.iter().zip(parts) {
            self.into.insert(format!("{}{}", self.prefix, filled(theirs, &numbers)), part);
        }
    }
}

/// The shape of each of their tensors for one of ours.
fn expected_shapes(form: Form, ours: &[usize], parts: usize) -> Vec<Vec<usize>> {
    let shape = match (form, ours) {
        (Form::Transposed, [inputs, outputs]) => vec![outputs / parts, *inputs],
        (Form::Patches, [inputs, outputs]) => {
            let side = (inputs / CHANNELS).isqrt();
            vec![outputs / parts, CHANNELS, side, side]
        }
        (Form::Leading(n), _) => [&vec![1; n], ours].concat(),
        (Form::Trailing(n), _) => [ours, &vec![1; n]].concat(),
        (_, [first, rest @ ..]) => [&[first / parts], rest].concat(),
        (_, []) => vec![],
    };
    vec![shape; parts]
}

fn ours_from_theirs(form: Form, ours: &[usize], parts: &[FloatTensor]) -> Vec<f32> {
    let joined: Vec<f32> = match parts {
        [one] => one.values.clone(),
        many => many.iter().flat_map(|p| &p.values).copied().collect(),
    };
    match (form, ours) {
        (Form::Transposed | Form::Patches, [inputs, outputs]) => transposed(&joined, *outputs, *inputs),
        _ => joined,
    }
}

fn theirs_from_ours(form: Form, ours: &[usize], values: Vec<f32>, parts: usize) -> Vec<FloatTensor> {
    let values = match (form, ours) {
        (Form::Transposed | Form::Patches, [inputs, outputs]) => transposed(&values, *inputs, *outputs),
        _ => values,
    };
    let shapes = expected_shapes(form, ours, parts);
    let n = values.len() / parts;
    shapes
        .into_iter()
        .enumerate()
        .map(|(i, shape)| FloatTensor { shape, values: values[i * n..(i + 1) * n].to_vec() })
        .collect()
}

/// `[rows, columns]` to `[columns, rows]`.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}

/// The numbers that `{}` stands for, if the path fits the pattern.
fn numbers(pattern: &str, path: &str) -> Option<Vec<String>> {
    let (mut found, mut own) = (Vec::new(), path.split('.'));
    for part in pattern.split('.') {
        let part_of_path = own.next()?;
        if part == "{}" {
            part_of_path.parse::<usize>().ok()?;
            found.push(part_of_path.to_owned());
        } else if part != part_of_path {
            return None;
        }
    }
    own.next().is_none().then_some(found)
}

fn filled(pattern: &str, numbers: &[String]) -> String {
    let mut numbers = numbers.iter();
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(at) = rest.find("{}") {
        out.push_str(&rest[..at]);
        out.push_str(numbers.next().map_or("", String::as_str));
        rest = &rest[at + 2..];
    }
    out + rest
}

/// Whether a name fits a pattern with `{}` for numbers and perhaps a trailing `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => numbers(pattern, name).is_some(),
    }
}
