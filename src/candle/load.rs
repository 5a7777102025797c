//! Tensors of candle from tensors of a file.

use super::dtype::candle_dtype;
use crate::dtype::Dtype;
use crate::error::Error;
use crate::read::{Element, Tensor};
use candle_core::{DType, Device, Result, WithDType};
use half::{bf16, f16};
use rayon::prelude::*;
use std::ops::Range;

/// Loads a tensor with the dtype that the file states; U16 becomes U32.
///
/// ```
/// # let mut file = Vec::new();
/// # let mut w = occ::Writer::new(&mut file, occ::WriteOptions::default())?;
/// # w.add("w", occ::Dtype::U8, &[3], &[1, 2, 3])?;
/// # w.finish()?;
/// use candle_core::{Device, safetensors::Load};
/// let tensor = occ::Reader::new(&file)?.tensor("w")?.load(&Device::Cpu)?;
/// assert_eq!(tensor.to_vec1::<u8>()?, [1, 2, 3]);
/// # Ok::<(), candle_core::Error>(())
/// ```
impl candle_core::safetensors::Load for Tensor<'_> {
    fn load(&self, device: &Device) -> Result<candle_core::Tensor> {
        load_elements(self, None, None, device)
    }
}

/// The part of a tensor with these indices of one dimension; the others are whole.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    pub(super) dimension: usize,
    pub(super) range: Range<usize>,
}

/// Loads a tensor or a slice of it, with its dtype or as `dtype`.
///
/// A lossy tensor of F32, BF16, F16 or F8_E4M3 is rounded once, from its reconstruction in F32, to
/// F32, BF16, F16 or F64. Other conversions are those of candle.
pub(super) fn load_elements(
    tensor: &Tensor<'_>,
    slice: Option<&Slice>,
    dtype: Option<DType>,
    device: &Device,
) -> Result<candle_core::Tensor> {
    let own = candle_dtype(tensor.dtype()).map_err(|error| error.in_tensor(tensor.name()))?;
    // Not from F64: by way of F32, it would be rounded twice.
    let from = [DType::F32, DType::BF16, DType::F16, DType::F8E4M3].contains(&own);
    let to = [DType::F32, DType::BF16, DType::F16, DType::F64];
    let decoded = dtype.filter(|dtype| from && to.contains(dtype));
    let loaded = match decoded.unwrap_or(own) {
        DType::U8 => elements::<u8>(tensor, slice, device),
        DType::I16 => elements::<i16>(tensor, slice, device),
        DType::I32 => elements::<i32>(tensor, slice, device),
        DType::I64 => elements::<i64>(tensor, slice, device),
        DType::U32 if tensor.dtype() == Dtype::U16 => words(tensor, slice, device),
        DType::U32 => elements::<u32>(tensor, slice, device),
        DType::BF16 => elements::<bf16>(tensor, slice, device),
        DType::F16 => elements::<f16>(tensor, slice, device),
        DType::F32 => elements::<f32>(tensor, slice, device),
        DType::F64 => elements::<f64>(tensor, slice, device),
        dtype => bytes(tensor, slice, dtype, device),
    }?;
    match dtype {
        Some(dtype) => loaded.to_dtype(dtype),
        None => Ok(loaded),
    }
}

/// Elements that are decoded to the memory of the tensor.
fn elements<T: Element + WithDType>(
    tensor: &Tensor<'_>,
    slice: Option<&Slice>,
    device: &Device,
) -> Result<candle_core::Tensor> {
    let (elements, shape) = decode_elements::<T>(tensor, slice)?;
    candle_core::Tensor::from_vec(elements, shape, device)
}

/// U16, which candle does not have, as U32.
fn words(
    tensor: &Tensor<'_>,
    slice: Option<&Slice>,
    device: &Device,
) -> Result<candle_core::Tensor> {
    let (elements, shape) = decode_elements::<u16>(tensor, slice)?;
    let elements: Vec<u32> = elements.into_iter().map(u32::from).collect();
    candle_core::Tensor::from_vec(elements, shape, device)
}

/// Elements of up to 8 bits that are no integers.
fn bytes(
    tensor: &Tensor<'_>,
    slice: Option<&Slice>,
    dtype: DType,
    device: &Device,
) -> Result<candle_core::Tensor> {
    if slice.is_some() && tensor.dtype().bits() < 8 {
        // An index need not be that of a byte.
        let what = format!("slices of dtype {}", tensor.dtype());
        return Err(Error::unsupported(what).in_tensor(tensor.name()).into());
    }
    let (bytes, shape) =
        decode(tensor, slice, || tensor.decode(), |rows| tensor.decode_rows(rows))?;
    candle_core::Tensor::from_raw_buffer(&bytes, dtype, &shape, device)
}

fn decode_elements<T: Element>(
    tensor: &Tensor<'_>,
    slice: Option<&Slice>,
) -> crate::Result<(Vec<T>, Vec<usize>)> {
    decode(tensor, slice, || tensor.decode_vec_as(), |rows| tensor.decode_rows_as(rows))
}

/// Decodes a tensor by `whole`, or a slice of it by `rows` of the outermost dimension. Also returns the
/// shape.
fn decode<T: Element>(
    tensor: &Tensor<'_>,
    slice: Option<&Slice>,
    whole: impl FnOnce() -> crate::Result<Vec<T>>,
    rows: impl Fn(Range<usize>) -> crate::Result<Vec<T>> + Sync,
) -> crate::Result<(Vec<T>, Vec<usize>)> {
    let mut shape = tensor.shape().to_vec();
    let Some(Slice { dimension, range }) = slice else {
        return Ok((whole()?, shape));
    };
    check_slice(tensor, *dimension, range)?;
    shape[*dimension] = range.len();
    let elements = match dimension {
        0 => rows(range.clone())?,
        _ => decode_columns(tensor, *dimension, range, rows)?,
    };
    Ok((elements, shape))
}

/// Decodes the elements with indices in `range` of a dimension other than the outermost. Decodes by
/// `decode_rows` of the outermost dimension, about a chunk of them at a time.
fn decode_columns<T: Element>(
    tensor: &Tensor<'_>,
    dimension: usize,
    range: &Range<usize>,
    decode_rows: impl Fn(Range<usize>) -> crate::Result<Vec<T>> + Sync,
) -> crate::Result<Vec<T>> {
    let shape = tensor.shape();
    let inner: usize = shape[dimension + 1..].iter().product();
    let run = shape[dimension] * inner;
    let (rows, row) = (shape[0], shape[1..].iter().product::<usize>());
    let wanted = range.start * inner..range.end * inner;
    let kept = row.checked_div(run).unwrap_or(0) * wanted.len();
    let mut out = tensor.zeroed::<T>((rows * kept) as u64)?;
    if kept == 0 {
        return Ok(out);
    }
    let group = usize::try_from(tensor.chunk_elements()).map_or(rows, |chunk| (chunk / row).max(1));
    let decode = |(number, out): (usize, &mut [T])| -> crate::Result<()> {
        let rows = number * group..(number * group + out.len() / kept);
        let decoded = decode_rows(rows)?;
        for (run, out) in decoded.chunks_exact(run).zip(out.chunks_exact_mut(wanted.len())) {
            out.copy_from_slice(&run[wanted.clone()]);
        }
        Ok(())
    };
    let groups = out.par_chunks_mut(group * kept).enumerate();
    groups.map(decode).find_map_first(crate::Result::err).map_or(Ok(()), Err)?;
    Ok(out)
}

/// # Errors
/// `InvalidArgument` for a slice that the tensor does not have.
fn check_slice(tensor: &Tensor<'_>, dimension: usize, range: &Range<usize>) -> crate::Result<()> {
    let size = tensor.shape().get(dimension);
    match size.is_some_and(|&size| range.start <= range.end && range.end <= size) {
        true => Ok(()),
        false => {
            let shape = tensor.shape();
            let what = format!("indices {range:?} of dimension {dimension} of {shape:?}");
            Err(Error::invalid(what).in_tensor(tensor.name()))
        }
    }
}
