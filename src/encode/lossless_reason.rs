//! Tensors that stay lossless although others are coded lossily, and why.

use super::matrix::{MIN_WEIGHTS, matrix_shape};
use crate::dtype::{Dtype, number};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Why a tensor is stored losslessly by an [`Encoding`](crate::Encoding) that codes others lossily.
///
/// All but `Requested`, `FewValues`, `Smaller` and `Range` follow from names, dtypes and shapes, and
/// do not apply to tensors that [`Encoding::bits_for`](crate::Encoding::bits_for) names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LosslessReason {
    /// The encoding asks for it, by name or for all tensors.
    Requested,
    /// The dtype is not a float of at least 16 bits, F8_E4M3 or F8_E5M2.
    Dtype,
    /// The tensor has fewer than two dimensions.
    Vector,
    /// The tensor has fewer than 4,096 elements.
    Small,
    /// The shape has no suitable rows: they have fewer than 8 elements, or are too long and have
    /// no divisor of a suitable size.
    Shape,
    /// A scale, a zero point or another parameter of a tensor that is quantised already.
    QuantizationParameter,
    /// The router of a mixture of experts: a small error changes which experts are used.
    Router,
    /// A table of a rotary position encoding, which was computed and not learned.
    RotaryTable,
    /// A mask, by its name.
    Mask,
    /// The tensor has at most four different values.
    FewValues,
    /// The lossless form takes no more bytes than the lossy one.
    Smaller,
    /// The values are constant, not finite, or out of the range of the lossy codec.
    Range,
}

impl LosslessReason {
    /// The reason in words, for tables and messages.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Dtype => "dtype",
            Self::Vector => "vector",
            Self::Small => "small",
            Self::Shape => "shape",
            Self::QuantizationParameter => "quantization parameter",
            Self::Router => "router",
            Self::RotaryTable => "rotary table",
            Self::Mask => "mask",
            Self::FewValues => "few values",
            Self::Smaller => "smaller losslessly",
            Self::Range => "range of values",
        }
    }

    /// Whether the lossy codec does not apply to the tensor.
    pub(super) const fn is_inevitable(self) -> bool {
        matches!(self, Self::Dtype | Self::Vector | Self::Small | Self::Shape)
    }

    /// The reasons of tensors, in order, as far as they follow from names, dtypes and shapes. A
    /// tensor may be a parameter of another one. O(bytes of names) expected.
    ///
    /// ```
    /// use occ::{Dtype, LosslessReason};
    /// let tensors = [
    ///     ("layers.0.mlp.weight", Dtype::F8_E4M3, &[4096, 4096][..]),
    ///     ("layers.0.mlp.weight_scale_inv", Dtype::F32, &[128, 128]),
    ///     ("embed_tokens.weight", Dtype::Bf16, &[4096, 512]),
    /// ];
    /// let reasons = LosslessReason::of_all(tensors);
    /// assert_eq!(reasons, [None, Some(LosslessReason::QuantizationParameter), None]);
    /// ```
    pub fn of_all<'t>(
        tensors: impl IntoIterator<Item = (&'t str, Dtype, &'t [usize])>,
    ) -> Vec<Option<Self>> {
        let tensors: Vec<_> = tensors.into_iter().collect();
        // By module and whether they are floats: the most elements of a tensor of quantised weights.
        let mut quantized = HashMap::<(&str, bool), u64>::new();
        for (name, dtype, shape) in &tensors {
            if shape.len() >= 2 && holds_quantized_weights(*dtype) {
                let most = quantized.entry((module(name), number::is_float(*dtype))).or_default();
                *most = elements(shape).max(*most);
            }
        }
        let reason = |(name, dtype, shape): (&str, Dtype, &[usize])| {
            Self::of_dtype_and_shape(dtype, shape).or_else(|| {
                let of = |floats| quantized.get(&(module(name), floats)).copied().unwrap_or(0);
                // A module may have several matrices of FP8.
                let floats = if holds_quantized_weights(dtype) { 0 } else { of(true) };
                Self::of_name(name, shape, elements(shape) < floats.max(of(false)))
            })
        };
        tensors.into_iter().map(reason).collect()
    }

    /// The reason why the lossy codec does not apply.
    fn of_dtype_and_shape(dtype: Dtype, shape: &[usize]) -> Option<Self> {
        if !number::is_float(dtype) {
            Some(Self::Dtype)
        } else if shape.len() < 2 {
            Some(Self::Vector)
        } else if elements(shape) < MIN_WEIGHTS {
            Some(Self::Small)
        } else if !has_suitable_rows(dtype, shape) {
            Some(Self::Shape)
        } else {
            None
        }
    }

    /// The reason that a name gives. `beside_quantized`: there is a larger tensor of quantised weights
    /// in the same module.
    fn of_name(name: &str, shape: &[usize], beside_quantized: bool) -> Option<Self> {
        let last = name.rsplit('.').next().unwrap_or(name);
        if beside_quantized || QUANTIZATION_ENDINGS.iter().any(|ending| ends_with(last, ending)) {
            return Some(Self::QuantizationParameter);
        }
        let components = || name.split('.');
        let has = |words: &[&str]| components().any(|component| words.contains(&component));
        if has(&ROTARY_COMPONENTS) || components().any(|c| c.starts_with("rotary_")) {
            return Some(Self::RotaryTable);
        }
        if has(&MASK_COMPONENTS) || last.ends_with("_mask") {
            return Some(Self::Mask);
        }
        // The word gate names a matrix of an MLP, too. That of a mixture of experts has one row, or
        // one column, for each expert.
        let experts = [shape.first(), shape.last()].into_iter().flatten().min();
        let is_narrow =
            experts.is_some_and(|&n| n <= MAX_EXPERTS && 4 * (n * n) as u64 <= elements(shape));
        if has(&ROUTER_COMPONENTS) || has(&["gate"]) && is_narrow {
            return Some(Self::Router);
        }
        None
    }
}

/// Ends of the last component of names of scales, zero points and tables of quantised weights:
/// FP8 (DeepSeek, vLLM, compressed-tensors), GPTQ and AWQ, MLX, bitsandbytes, MXFP4, AQLM.
const QUANTIZATION_ENDINGS: [&str; 18] = [
    "absmax",
    "block_scale",
    "codebook",
    "codebooks",
    "input_scale",
    "k_scale",
    "qscales",
    "qzeros",
    "quant_map",
    "scale_inv",
    "scale_inverse",
    "scales",
    "v_scale",
    "weight_scale",
    "weight_scale_2",
    "weight_zero_point",
    "zero_point",
    "zero_points",
];

const ROUTER_COMPONENTS: [&str; 6] =
    ["router", "gate_network", "gating", "moe_gate", "router_proj", "shared_expert_gate"];

/// The largest number of experts of a router that is named gate.
const MAX_EXPERTS: usize = 1024;

const ROTARY_COMPONENTS: [&str; 14] = [
    "cos",
    "cos_cached",
    "cos_sin_cache",
    "freqs",
    "freqs_cis",
    "freqs_cos",
    "freqs_sin",
    "inv_freq",
    "rope",
    "rope_freqs",
    "rotary",
    "rotary_emb",
    "sin",
    "sin_cached",
];

const MASK_COMPONENTS: [&str; 3] = ["mask", "causal_mask", "masked_bias"];

/// Whether weights of this dtype are quantised: integers of up to 32 bits, and packed in them, and
/// floats of at most 8 bits. Positions have 64 bits.
fn holds_quantized_weights(dtype: Dtype) -> bool {
    let integers = [Dtype::I16, Dtype::U16, Dtype::I32, Dtype::U32];
    integers.contains(&dtype) || dtype.bits() <= 8 && dtype != Dtype::Bool
}

/// The name without its last component.
fn module(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(module, _)| module)
}

/// Whether `text` is `ending`, or ends with it after an underscore.
fn ends_with(text: &str, ending: &str) -> bool {
    text.strip_suffix(ending).is_some_and(|before| before.is_empty() || before.ends_with('_'))
}

fn has_suitable_rows(dtype: Dtype, shape: &[usize]) -> bool {
    let shape: Vec<u64> = shape.iter().map(|&size| size as u64).collect();
    matrix_shape(dtype, &shape).is_some()
}

/// The number of elements, or `u64::MAX` when it overflows.
fn elements(shape: &[usize]) -> u64 {
    shape.iter().fold(1, |product: u64, &size| product.saturating_mul(size as u64))
}

#[cfg(test)]
mod tests {
    use super::LosslessReason as Reason;
    use super::*;

    /// The reasons of tensors that are in one checkpoint.
    fn reasons(tensors: &[(&str, Dtype, &[usize])]) -> Vec<Option<Reason>> {
        Reason::of_all(tensors.iter().copied())
    }

    fn reason(name: &str, shape: &[usize]) -> Option<Reason> {
        reasons(&[(name, Dtype::Bf16, shape)])[0]
    }

    #[test]
    fn dtypes_and_shapes_give_reasons() {
        let of = |dtype, shape: &[usize]| reasons(&[("w", dtype, shape)])[0];
        assert_eq!(of(Dtype::I32, &[512, 512]), Some(Reason::Dtype));
        assert_eq!(of(Dtype::F32, &[1 << 20]), Some(Reason::Vector));
        assert_eq!(of(Dtype::F32, &[64, 63]), Some(Reason::Small));
        assert_eq!(of(Dtype::F32, &[1 << 20, 1]), Some(Reason::Shape));
        assert_eq!(of(Dtype::F32, &[64, 64]), None);
        assert_eq!(of(Dtype::F8_E4M3, &[64, 64]), None);
        assert_eq!(of(Dtype::F8_E8M0, &[512, 512]), Some(Reason::Dtype));
    }

    /// As GPTQ, MLX, FP8 checkpoints, bitsandbytes and MXFP4 name them.
    #[test]
    fn parameters_of_quantised_weights_are_known() {
        let parameter = Some(Reason::QuantizationParameter);
        for (quantized, dtype, others) in [
            ("l.qweight", Dtype::I32, &["l.scales", "l.zeros", "l.bias_table"][..]),
            ("l.weight", Dtype::U32, &["l.scales", "l.biases"]),
            ("l.weight", Dtype::F8_E4M3, &["l.weight_scale_inv", "l.weight_scale"]),
            ("l.weight", Dtype::U8, &["l.weight.absmax", "l.weight.nested_absmax"]),
            ("experts.down_blocks", Dtype::U8, &["experts.down_scales", "experts.scale"]),
            ("l.codes", Dtype::I16, &["l.codebooks", "l.table"]),
        ] {
            for other in others {
                let tensors = [
                    (quantized, dtype, &[1024, 1024][..]),
                    (other, Dtype::F16, &[64, 512]),
                    ("other.proj.weight", Dtype::F16, &[64, 512]),
                ];
                assert_eq!(reasons(&tensors)[1..], [parameter, None], "{other}");
            }
        }
        // In another shard than the weights.
        assert_eq!(reason("a.weight_scale_inv", &[512, 512]), parameter);
        // Scales in FP8, and a table, beside packed weights.
        for (scale, dtype) in [("l.weight_scale", Dtype::U8), ("l.table", Dtype::I32)] {
            let tensors =
                [("l.weight", dtype, &[1024, 512][..]), (scale, Dtype::F8_E4M3, &[1024, 64])];
            assert_eq!(reasons(&tensors), [Some(Reason::Dtype), parameter], "{scale}");
        }
        // Matrices of FP8 in one module, with one scale for each row.
        let experts = [
            ("experts.gate_up_proj", Dtype::F8_E4M3, &[8, 512, 1024][..]),
            ("experts.down_proj", Dtype::F8_E4M3, &[8, 256, 512]),
            ("experts.gate_up_proj_scale_inv", Dtype::F32, &[8, 512, 8]),
        ];
        assert_eq!(reasons(&experts), [None, None, parameter]);
        // Biases of other layers, and a table beside 64-bit positions.
        assert_eq!(reason("a.biases", &[512, 512]), None);
        let positions = [
            ("a.position_ids", Dtype::I64, &[4096, 4096][..]),
            ("a.table", Dtype::F32, &[512, 512]),
        ];
        assert_eq!(reasons(&positions)[1], None);
    }

    #[test]
    fn routers_masks_and_rotary_tables_are_known() {
        for (name, shape, expected) in [
            ("model.layers.3.mlp.gate.weight", &[64, 2048][..], Some(Reason::Router)),
            ("model.layers.3.block_sparse_moe.gate.weight", &[8, 4096], Some(Reason::Router)),
            ("model.layers.3.router.proj.weight", &[128, 1024], Some(Reason::Router)),
            ("model.layers.3.mlp.router", &[2048, 32], Some(Reason::Router)),
            ("model.layers.3.mlp.shared_expert_gate.weight", &[1, 8192], Some(Reason::Router)),
            ("model.layers.3.mlp.gate_proj.weight", &[8192, 2048], None),
            ("model.layers.3.mlp.gate.weight", &[8192, 2048], None),
            ("model.rotary_emb.cos_cached", &[1, 1, 2048, 64], Some(Reason::RotaryTable)),
            ("freqs_cos", &[4096, 64], Some(Reason::RotaryTable)),
            ("h.0.attn.causal_mask", &[1024, 1024], Some(Reason::Mask)),
            ("h.0.attn.c_attn.weight", &[768, 2304], None),
            ("scaled.weight", &[64, 64], None),
        ] {
            assert_eq!(reason(name, shape), expected, "{name}");
        }
    }
}
