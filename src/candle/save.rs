//! Files from tensors of candle.

use super::dtype::stored_dtype;
use crate::dtype::Dtype;
use crate::encode::{Encoding, Plan, TensorSource, WriteOptions, Writer};
use crate::error::Error;
use crate::io::ReadAt;
use candle_core::{CpuStorage, Device, Result, Storage, Tensor};
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::path::Path;
use zerocopy::IntoBytes;

/// Writes tensors to an `.occ` file, like `candle_core::safetensors::save`. A file that is there is
/// replaced.
///
/// The targets of `encoding`, such as bits per weight, are for all tensors together. Tensors are written
/// in the order of their names. Those that are on a device, or not contiguous, are copied first; others
/// are read where they are.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use occ::Encoding;
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("model.occ");
/// let tensors = std::collections::HashMap::from([("w", Tensor::arange(0f32, 6f32, &Device::Cpu)?)]);
/// occ::candle::save(&tensors, &path, &Encoding::lossless())?;
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Those of candle for copies; those of [`Plan::of_tensors`], [`Writer::create`] and
/// [`Writer::add_all`]; `Unsupported` for sub-byte dtypes.
pub fn save<K: AsRef<str> + Ord>(
    tensors: &HashMap<K, Tensor>,
    path: impl AsRef<Path>,
    encoding: &Encoding,
) -> Result<()> {
    let mut sorted: Vec<(&str, &Tensor)> =
        tensors.iter().map(|(name, tensor)| (name.as_ref(), tensor)).collect();
    sorted.sort_unstable_by_key(|&(name, _)| name);
    let elements = |&(name, tensor)| Elements::new(name, tensor);
    let elements: Vec<Elements> = sorted.iter().map(elements).collect::<Result<_>>()?;
    let named = sorted.iter().zip(&elements);
    let sources: Vec<TensorSource<'_>> = named
        .map(|(&(name, tensor), data)| TensorSource::new(name, data.dtype, tensor.dims(), data))
        .collect();
    let plan = Plan::of_tensors(&sources, encoding)?;
    let mut writer = Writer::create(path, WriteOptions::default())?;
    writer.add_all(&sources, &plan)?;
    writer.finish()?;
    Ok(())
}

/// The elements of a contiguous tensor in the memory of the CPU.
struct Elements {
    tensor: Tensor,
    dtype: Dtype,
    /// Their bytes, little-endian, and where the first lies in the storage.
    length: u64,
    start: usize,
}

impl Elements {
    fn new(name: &str, tensor: &Tensor) -> Result<Self> {
        let dtype = stored_dtype(tensor.dtype()).map_err(|error| error.in_tensor(name))?;
        let width = tensor.dtype().size_in_bytes();
        if width == 0 {
            let what = format!("dtype {dtype} from candle, which does not know its length");
            return Err(Error::unsupported(what).in_tensor(name).into());
        }
        let tensor = tensor.detach().to_device(&Device::Cpu)?.contiguous()?;
        let start = tensor.layout().start_offset() * width;
        let length = (tensor.elem_count() * width) as u64;
        Ok(Self { tensor, dtype, length, start })
    }
}

impl ReadAt for Elements {
    fn size(&self) -> u64 {
        self.length
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        if range.start > range.end || range.end > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (storage, _) = self.tensor.storage_and_layout();
        let range = self.start + range.start as usize..self.start + range.end as usize;
        buffer.clear();
        match &*storage {
            Storage::Cpu(storage) => copy_bytes(storage, range, buffer)?,
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
        if cfg!(target_endian = "big") {
            let width = self.tensor.dtype().size_in_bytes();
            buffer.chunks_mut(width).for_each(<[u8]>::reverse);
        }
        Ok(buffer)
    }
}

/// Appends bytes of the elements as they lie in memory.
///
/// # Errors
/// `Unsupported` for sub-byte dtypes.
fn copy_bytes(storage: &CpuStorage, range: Range<usize>, buffer: &mut Vec<u8>) -> io::Result<()> {
    let bytes = match storage {
        CpuStorage::U8(elements) | CpuStorage::F8E8M0(elements) => elements,
        CpuStorage::U32(elements) => elements.as_bytes(),
        CpuStorage::I16(elements) => elements.as_bytes(),
        CpuStorage::I32(elements) => elements.as_bytes(),
        CpuStorage::I64(elements) => elements.as_bytes(),
        CpuStorage::BF16(elements) => elements.as_bytes(),
        CpuStorage::F16(elements) => elements.as_bytes(),
        CpuStorage::F32(elements) => elements.as_bytes(),
        CpuStorage::F64(elements) => elements.as_bytes(),
        CpuStorage::F8E4M3(elements) => {
            for element in &elements[range] {
                buffer.push(element.to_bits());
            }
            return Ok(());
        }
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    buffer.extend_from_slice(&bytes[range]);
    Ok(())
}
