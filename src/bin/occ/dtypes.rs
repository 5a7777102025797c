//! Dtypes as arguments, and what conversions to them lose.

use crate::numbers::counted;
use clap::builder::PossibleValue;
use occ::Dtype;

/// A dtype by its name in safetensors, in any case.
pub fn parse(name: &str) -> Result<Dtype, occ::Error> {
    name.to_ascii_uppercase().parse()
}

/// The dtypes of whole models that are converted.
#[derive(Clone, Copy, Debug)]
pub enum ModelDtype {
    F32,
    Bf16,
    F16,
}

impl clap::ValueEnum for ModelDtype {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::F32, Self::Bf16, Self::F16]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }))
    }
}

impl From<ModelDtype> for Dtype {
    fn from(dtype: ModelDtype) -> Self {
        match dtype {
            ModelDtype::F32 => Self::F32,
            ModelDtype::Bf16 => Self::Bf16,
            ModelDtype::F16 => Self::F16,
        }
    }
}

/// Says how many values a dtype does not hold.
pub fn warn_of_overflow(values: u64, dtype: Dtype) {
    if values > 0 {
        let became = if dtype == Dtype::F8_E4M3 { "NaN" } else { "infinite" };
        let values = counted(values, "value");
        eprintln!("warning: too large for {dtype}, now {became}: {values}");
    }
}
