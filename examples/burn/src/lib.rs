//! A store of [burn](https://burn.dev) modules in `.occ` files: copy this file into your program.
//!
//! ```no_run
//! use burn_core::module::Module;
//! use burn_store::{ModuleSnapshot, PyTorchToBurnAdapter};
//! use occ_burn_example::OccStore;
//! # fn load<M: ModuleSnapshot>(mut module: M) -> occ::Result<()> {
//! // Weights of a safetensors file that PyTorch wrote.
//! let mut store = OccStore::new("model.occ").from_adapter(PyTorchToBurnAdapter);
//! let result = module.load_from(&mut store)?;
//! assert!(result.missing.is_empty());
//!
//! // Weights of burn, at four bits each.
//! let mut store = OccStore::new("again.occ").encoding(occ::Encoding::bits(4.0));
//! module.save_into(&mut store)?;
//! # Ok(())
//! # }
//! ```

use burn_core::tensor::{BoolStore, Bytes, DType};
use burn_pack::Tensor;
use burn_store::{ApplyResult, ModuleAdapter, ModuleSnapshot, ModuleStore};
use occ::{Dtype, Encoding, Error, Plan, Reader, Result, TensorSource, WriteOptions, Writer};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

/// An `.occ` file that modules are loaded from and saved to.
pub struct OccStore {
    path: PathBuf,
    encoding: Encoding,
    from_adapter: Option<Box<dyn ModuleAdapter>>,
    /// The tensors of the file, which are decoded when their bytes are asked for.
    tensors: Option<BTreeMap<String, Tensor>>,
}

impl OccStore {
    /// A store at a path. Nothing is opened yet. Modules are saved losslessly.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            encoding: Encoding::lossless(),
            from_adapter: None,
            tensors: None,
        }
    }

    /// How tensors are encoded when a module is saved.
    #[must_use]
    pub fn encoding(self, encoding: Encoding) -> Self {
        Self { encoding, ..self }
    }

    /// Converts tensors that are loaded, for example from the layout of PyTorch.
    #[must_use]
    pub fn from_adapter(self, adapter: impl ModuleAdapter + 'static) -> Self {
        Self { from_adapter: Some(Box::new(adapter)), ..self }
    }
}

impl ModuleStore for OccStore {
    type Error = Error;

    fn collect_from<M: ModuleSnapshot>(&mut self, module: &M) -> Result<()> {
        self.tensors = None;
        let tensors = module.collect(None, None, true);
        let deferred: Vec<Deferred> =
            tensors.into_iter().map(Deferred::new).collect::<Result<_>>()?;
        let source = |tensor: &'_ Deferred| -> (Dtype, Vec<usize>) {
            (tensor.dtype, tensor.tensor.shape.iter().copied().collect())
        };
        let described: Vec<_> = deferred.iter().map(source).collect();
        let sources: Vec<TensorSource<'_>> = described
            .iter()
            .zip(&deferred)
            .map(|((dtype, shape), data)| TensorSource::new(&data.tensor.name, *dtype, shape, data))
            .collect();
        let plan = Plan::of_tensors(&sources, &self.encoding)?;
        let mut writer = Writer::create(&self.path, WriteOptions::default())?;
        writer.add_all(&sources, &plan)?;
        writer.finish()?;
        Ok(())
    }

    fn apply_to<M: ModuleSnapshot>(&mut self, module: &mut M) -> Result<ApplyResult> {
        let tensors = self.get_all_tensors()?.values().cloned().collect();
        Ok(module.apply(tensors, None, self.from_adapter.clone(), true))
    }

    fn get_tensor(&mut self, name: &str) -> Result<Option<&Tensor>> {
        Ok(self.get_all_tensors()?.get(name))
    }

    fn get_all_tensors(&mut self) -> Result<&BTreeMap<String, Tensor>> {
        let tensors = match self.tensors.take() {
            Some(tensors) => tensors,
            None => Reader::open(&self.path)?
                .tensors()
                .map(|tensor| deferred(tensor?))
                .collect::<Result<_>>()?,
        };
        Ok(self.tensors.insert(tensors))
    }

    fn keys(&mut self) -> Result<Vec<String>> {
        Ok(self.get_all_tensors()?.keys().cloned().collect())
    }
}

/// A tensor of burn, which is decoded when its bytes are asked for.
fn deferred(tensor: occ::Tensor<'static>) -> Result<(String, Tensor)> {
    let name = tensor.name().to_owned();
    let dtype = burn_dtype(tensor.dtype()).ok_or_else(|| unsupported(&name, tensor.dtype()))?;
    let (shape, length) = (tensor.shape().to_vec(), tensor.decoded_bytes() as usize);
    let decode = move || {
        let bytes =
            tensor.decode().map_err(|error| burn_pack::Error::IoError(error.to_string()))?;
        Ok(Bytes::from_bytes_vec(bytes))
    };
    Ok((name.clone(), Tensor::deferred(name, dtype, shape, None, length, decode)))
}

/// A tensor of a module, read back from its device when it is planned or written.
struct Deferred {
    tensor: Tensor,
    dtype: Dtype,
}

impl Deferred {
    fn new(tensor: Tensor) -> Result<Self> {
        let own = |&dtype: &Dtype| burn_dtype(dtype) == Some(tensor.dtype);
        let dtype = Dtype::ALL.iter().copied().find(own);
        let dtype =
            dtype.ok_or_else(|| unsupported(&tensor.name, format!("{:?}", tensor.dtype)))?;
        Ok(Self { tensor, dtype })
    }
}

impl occ::ReadAt for Deferred {
    fn size(&self) -> u64 {
        self.tensor.byte_len() as u64
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        let bytes = self.tensor.to_bytes().map_err(|error| io::Error::other(error.to_string()))?;
        let part = bytes.get(range.start as usize..range.end as usize);
        buffer.clear();
        buffer.extend_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(buffer)
    }
}

/// The dtype of burn with the same elements.
fn burn_dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::Bf16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::Bool => DType::Bool(BoolStore::Native),
        _ => return None,
    })
}

fn unsupported(name: &str, dtype: impl std::fmt::Display) -> Error {
    let what = format!("{name}: dtype {dtype}, which the other side does not have");
    io::Error::new(io::ErrorKind::Unsupported, what).into()
}
