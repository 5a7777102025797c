//! The dtypes of candle.

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use candle_core::DType;

/// The dtype of candle with the same elements. candle has none for U16, which it loads as U32.
///
/// # Errors
/// `Unsupported` for dtypes that candle does not have.
pub(super) fn candle_dtype(dtype: Dtype) -> Result<DType> {
    Ok(match dtype {
        Dtype::U8 => DType::U8,
        Dtype::U16 | Dtype::U32 => DType::U32,
        Dtype::I16 => DType::I16,
        Dtype::I32 => DType::I32,
        Dtype::I64 => DType::I64,
        Dtype::Bf16 => DType::BF16,
        Dtype::F16 => DType::F16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::F8_E4M3 => DType::F8E4M3,
        Dtype::F6_E2M3 => DType::F6E2M3,
        Dtype::F6_E3M2 => DType::F6E3M2,
        Dtype::F4 => DType::F4,
        Dtype::F8_E8M0 => DType::F8E8M0,
        _ => return Err(Error::unsupported(format!("dtype {dtype}, which candle does not have"))),
    })
}

/// The dtype of the elements of a tensor of candle.
///
/// # Errors
/// `Unsupported` for dtypes of later versions of candle.
#[cfg(feature = "encode")]
pub(super) fn stored_dtype(dtype: DType) -> Result<Dtype> {
    let same = |&own: &Dtype| own != Dtype::U16 && candle_dtype(own).ok() == Some(dtype);
    let found = Dtype::ALL.iter().copied().find(same);
    found.ok_or_else(|| Error::unsupported(format!("dtype {} of candle", dtype.as_str())))
}
