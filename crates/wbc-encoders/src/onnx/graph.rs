use super::proto::{
    AttributeProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto,
    tensor_proto, tensor_shape_proto, type_proto,
};
use crate::EncoderError;
use burn::tensor::Tensor;
use std::collections::BTreeMap;

/// Largest message that protobuf's readers accept, in bytes; ONNX keeps the weights inside the message.
pub(crate) const MAX_BYTES: u64 = (1 << 31) - 1;

/// A tensor of an [`OnnxGraph`], by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnnxValue(pub(super) String);

/// Type of the elements of an input or of a cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnnxType {
    /// 32-bit float.
    Float,
    /// 64-bit integer.
    Int,
    /// Truth value.
    Bool,
}

impl OnnxType {
    fn code(self) -> i32 {
        let code = match self {
            Self::Float => tensor_proto::DataType::Float,
            Self::Int => tensor_proto::DataType::Int64,
            Self::Bool => tensor_proto::DataType::Bool,
        };
        code.into()
    }
}

/// One dimension of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnnxDim {
    /// Always that many.
    Fixed(usize),
    /// Any number; the same wherever the name is the same.
    Named(&'static str),
}

/// Attribute of a node; which ones an operator has stands in ONNX's `Operators.md`.
#[derive(Clone, Debug, PartialEq)]
pub enum OnnxAttribute {
    /// A number.
    Float(f32),
    /// A whole number.
    Int(i64),
    /// Whole numbers.
    Ints(Vec<i64>),
}

/// A graph of ONNX operators (version 17 of the operator set) that is built node by node, parameters included.
///
/// Nodes are named by their scope ([`Self::within`]) and operator, parameters by scope and field, in the order in which
/// they are added: the same model gives the same bytes.
#[derive(Debug, Default)]
pub struct OnnxGraph {
    proto: GraphProto,
    scope: Vec<String>,
    /// Nodes per scope and operator so far.
    named: BTreeMap<String, usize>,
    /// Constants by content.
    constants: BTreeMap<String, OnnxValue>,
    /// Bytes of all parameters.
    n_bytes: u64,
    limit: u64,
    failed: Option<EncoderError>,
}

impl OnnxGraph {
    pub(super) fn new(name: &str) -> Self {
        Self::limited(name, MAX_BYTES)
    }

    /// A graph whose file may have at most that many bytes.
    pub(super) fn limited(name: &str, limit: u64) -> Self {
        Self { proto: GraphProto { name: Some(name.into()), ..GraphProto::default() }, limit, ..Self::default() }
    }

    /// The finished graph.
    ///
    /// # Errors
    /// [`EncoderError::OnnxTooLarge`], or why a parameter could not be read.
    pub(super) fn finish(self) -> Result<GraphProto, EncoderError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        check_size(self.n_bytes, self.limit)?;
        Ok(self.proto)
    }

    /// Adds an input; `doc` says what it holds.
    pub(super) fn input(&mut self, name: &str, kind: OnnxType, dims: &[OnnxDim], doc: &str) -> OnnxValue {
        self.proto.input.push(described(name, kind, dims, doc));
        OnnxValue(name.into())
    }

    /// Makes a value an output of that name.
    pub(super) fn output(&mut self, name: &str, value: &OnnxValue, kind: OnnxType, dims: &[OnnxDim], doc: &str) {
        self.proto.node.push(NodeProto {
            input: vec![value.0.clone()],
            output: vec![name.into()],
            name: Some(format!("{name}/Identity")),
            op_type: Some("Identity".into()),
            ..NodeProto::default()
        });
        self.proto.output.push(described(name, kind, dims, doc));
    }

    /// Adds what `part` adds, named below `scope`.
    pub fn within<T>(&mut self, scope: impl Into<String>, part: impl FnOnce(&mut Self) -> T) -> T {
        self.scope.push(scope.into());
        let answer = part(self);
        self.scope.pop();
        answer
    }

    /// Adds a node with one output.
    pub fn node(&mut self, op: &str, inputs: &[&OnnxValue], attributes: &[(&str, OnnxAttribute)]) -> OnnxValue {
        let [value] = self.nodes(op, inputs, attributes);
        value
    }

    /// Adds a node with `N` outputs.
    pub fn nodes<const N: usize>(
        &mut self,
        op: &str,
        inputs: &[&OnnxValue],
        attributes: &[(&str, OnnxAttribute)],
    ) -> [OnnxValue; N] {
        let base = self.path(op);
        let n = self.named.entry(base.clone()).or_default();
        let name = if *n == 0 { base } else { format!("{base}_{n}") };
        *n += 1;
        let outputs: [OnnxValue; N] =
            std::array::from_fn(|i| OnnxValue(if i == 0 { name.clone() } else { format!("{name}:{i}") }));
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|v| v.0.clone()).collect(),
            output: outputs.iter().map(|v| v.0.clone()).collect(),
            name: Some(name),
            op_type: Some(op.into()),
            attribute: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
            ..NodeProto::default()
        });
        outputs
    }

    /// Adds a parameter, named by scope and `name`, which is to be unique there.
    pub fn parameter<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> OnnxValue {
        let name = self.path(name);
        let dims = tensor.dims();
        self.n_bytes += dims.iter().product::<usize>() as u64 * size_of::<f32>() as u64;
        // what cannot be written any more is counted, but not kept
        if self.n_bytes <= self.limit && self.failed.is_none() {
            match tensor.into_data().convert::<f32>().try_to_vec::<f32>() {
                Ok(values) => {
                    let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                    self.initialiser(&name, OnnxType::Float, &dims, raw);
                }
                Err(e) => {
                    self.failed = Some(EncoderError::Onnx { cause: format!("parameter `{name}` is unreadable: {e:?}") })
                }
            }
        }
        OnnxValue(name)
    }

    /// Whole numbers, `[n]`; the same ones are kept once.
    pub fn ints(&mut self, values: &[i64]) -> OnnxValue {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let listed: Vec<String> = values.iter().map(ToString::to_string).collect();
        self.constant(format!("ints/{}", listed.join(",")), OnnxType::Int, &[values.len()], raw)
    }

    /// One whole number, `[]`.
    pub fn int(&mut self, value: i64) -> OnnxValue {
        self.constant(format!("int/{value}"), OnnxType::Int, &[], value.to_le_bytes().to_vec())
    }

    /// One number, `[]`.
    pub fn float(&mut self, value: f32) -> OnnxValue {
        self.constant(format!("float/{value:e}"), OnnxType::Float, &[], value.to_le_bytes().to_vec())
    }

    /// Numbers of a shape; the same ones are kept once.
    ///
    /// # Panics
    /// If there are not as many as the shape holds.
    pub fn floats(&mut self, values: &[f32], shape: &[usize]) -> OnnxValue {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "as many numbers as the shape holds");
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let listed: Vec<String> = values.iter().map(|v| format!("{v:e}")).collect();
        let sides: Vec<String> = shape.iter().map(ToString::to_string).collect();
        let name = format!("floats/{}/{}", sides.join("x"), listed.join(","));
        self.constant(name, OnnxType::Float, shape, raw)
    }

    fn constant(&mut self, name: String, kind: OnnxType, dims: &[usize], raw: Vec<u8>) -> OnnxValue {
        if let Some(known) = self.constants.get(&name) {
            return known.clone();
        }
        self.initialiser(&name, kind, dims, raw);
        self.constants.insert(name.clone(), OnnxValue(name.clone()));
        OnnxValue(name)
    }

    fn initialiser(&mut self, name: &str, kind: OnnxType, dims: &[usize], raw: Vec<u8>) {
        self.proto.initializer.push(TensorProto {
            dims: dims.iter().map(|d| *d as i64).collect(),
            data_type: Some(kind.code()),
            name: Some(name.into()),
            raw_data: Some(raw),
            ..TensorProto::default()
        });
    }

    /// A value as another type.
    pub fn cast(&mut self, x: &OnnxValue, kind: OnnxType) -> OnnxValue {
        self.node("Cast", &[x], &[("to", OnnxAttribute::Int(kind.code().into()))])
    }

    fn path(&self, name: &str) -> String {
        let mut path: String = self.scope.iter().flat_map(|s| [s.as_str(), "."]).collect();
        path.push_str(name);
        path
    }
}

/// Refuses what protobuf's readers would refuse.
pub(super) fn check_size(bytes: u64, limit: u64) -> Result<(), EncoderError> {
    if bytes <= limit { Ok(()) } else { Err(EncoderError::OnnxTooLarge { bytes, limit }) }
}

fn attribute(name: &str, value: &OnnxAttribute) -> AttributeProto {
    use attribute_proto::AttributeType;
    let mut proto = AttributeProto { name: Some(name.into()), ..AttributeProto::default() };
    let kind = match value {
        OnnxAttribute::Float(v) => {
            proto.f = Some(*v);
            AttributeType::Float
        }
        OnnxAttribute::Int(v) => {
            proto.i = Some(*v);
            AttributeType::Int
        }
        OnnxAttribute::Ints(v) => {
            proto.ints.clone_from(v);
            AttributeType::Ints
        }
    };
    proto.r#type = Some(kind.into());
    proto
}

fn described(name: &str, kind: OnnxType, dims: &[OnnxDim], doc: &str) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let dim = |d: &OnnxDim| Dimension {
        value: Some(match d {
            OnnxDim::Fixed(n) => Value::DimValue(*n as i64),
            OnnxDim::Named(name) => Value::DimParam((*name).into()),
        }),
        denotation: None,
    };
    let tensor = type_proto::Tensor {
        elem_type: Some(kind.code()),
        shape: Some(TensorShapeProto { dim: dims.iter().map(dim).collect() }),
    };
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto { denotation: None, value: Some(type_proto::Value::TensorType(tensor)) }),
        doc_string: Some(doc.into()),
        ..ValueInfoProto::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_model_beyond_the_limit_is_refused_and_not_kept() {
        let device = Device::flex();
        let mut graph = OnnxGraph::limited("large", 100);
        graph.parameter("first", Tensor::<1>::zeros([20], &device));
        graph.parameter("second", Tensor::<2>::zeros([2, 5], &device));
        assert_eq!(graph.proto.initializer.len(), 1);
        let error = graph.finish().unwrap_err();
        assert!(matches!(error, EncoderError::OnnxTooLarge { bytes: 120, limit: 100 }), "{error}");
    }

    #[test]
    fn names_tell_the_place_and_never_repeat() {
        let mut graph = OnnxGraph::new("names");
        let x = graph.float(0.5);
        let (a, b) = graph.within("block.0", |g| (g.node("Relu", &[&x], &[]), g.node("Relu", &[&x], &[])));
        assert_eq!((a.0.as_str(), b.0.as_str()), ("block.0.Relu", "block.0.Relu_1"));
        assert_eq!(graph.float(0.5), x);
        assert_eq!(graph.finish().unwrap().initializer.len(), 1);
    }
}
