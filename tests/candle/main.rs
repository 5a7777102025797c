//! candle: tensors and models from `.occ` files are those from safetensors files.

#[path = "../common/mod.rs"]
mod common;
mod loading;
mod model;
mod saving;
mod slices;

use candle_core::{DType, Device, Tensor};

/// The bytes of the elements of a tensor.
fn bytes(tensor: &Tensor) -> Vec<u8> {
    fn of<T: candle_core::WithDType + zerocopy::IntoBytes + zerocopy::Immutable>(
        tensor: &Tensor,
    ) -> Vec<u8> {
        let elements = tensor.flatten_all().unwrap().to_vec1::<T>().unwrap();
        elements.iter().flat_map(|element| element.as_bytes().to_vec()).collect()
    }
    match tensor.dtype() {
        DType::U8 => of::<u8>(tensor),
        DType::U32 => of::<u32>(tensor),
        DType::I16 => of::<i16>(tensor),
        DType::I32 => of::<i32>(tensor),
        DType::I64 => of::<i64>(tensor),
        DType::BF16 => of::<half::bf16>(tensor),
        DType::F16 => of::<half::f16>(tensor),
        DType::F32 => of::<f32>(tensor),
        DType::F64 => of::<f64>(tensor),
        DType::F8E4M3 => of::<f32>(&tensor.to_dtype(DType::F32).unwrap()),
        // candle cannot read the elements of these.
        dtype => dtype.as_str().into(),
    }
}

fn assert_same(name: &str, left: &Tensor, right: &Tensor) {
    assert_eq!(left.dtype(), right.dtype(), "{name}");
    assert_eq!(left.dims(), right.dims(), "{name}");
    assert!(left.device().is_cpu() && right.device().is_cpu());
    assert!(left.is_contiguous());
    assert_eq!(bytes(left), bytes(right), "{name}");
}

fn cpu() -> Device {
    Device::Cpu
}
