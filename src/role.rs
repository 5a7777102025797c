//! The role of a tensor in a transformer, from its name.

use serde::Serialize;

/// The role of a tensor in a transformer.
///
/// ```
/// use occ::TensorRole;
/// let role = TensorRole::of("model.layers.0.self_attn.q_proj.weight", 2);
/// assert_eq!((role, role.name()), (TensorRole::Query, "query"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TensorRole {
    /// Token embeddings: one row per token.
    Embedding,
    /// Position embeddings: one row per position.
    PositionEmbedding,
    /// Query projection of an attention layer.
    Query,
    /// Key projection of an attention layer.
    Key,
    /// Value projection of an attention layer.
    Value,
    /// Query, key and value projections in one matrix.
    QueryKeyValue,
    /// Output projection of an attention layer.
    AttentionOutput,
    /// First matrix of an MLP.
    Up,
    /// Gate of an MLP.
    Gate,
    /// Gate and first matrix of an MLP in one matrix.
    GateUp,
    /// Last matrix of an MLP.
    Down,
    /// Output head: one row per token.
    Head,
    /// Projection of the inputs of a model: of the patches of an image or the frames of a recording.
    InputProjection,
    /// Kernel of a convolution.
    Convolution,
    /// Any other tensor.
    Other,
}

use TensorRole as Role;

/// Parts of tensor names: one or more whole components between dots. The longest part that a name
/// contains determines the role.
const NAMES: &[(Role, &[&str])] = &[
    (
        Role::Embedding,
        &[
            "embed_tokens",
            "embed_tokens_per_layer",
            "tok_embeddings",
            "token_embedding",
            "token_embeddings",
            "token_type_embeddings",
            "word_embeddings",
            "embed_in",
            "wte",
            "shared.weight",
        ],
    ),
    (
        Role::PositionEmbedding,
        &[
            "embed_positions",
            "pos_embed",
            "pos_embedding",
            "position_embedding",
            "position_embeddings",
            "positional_embedding",
            "wpe",
        ],
    ),
    (Role::Query, &["q_proj", "wq", "query"]),
    (Role::Key, &["k_proj", "wk", "key"]),
    (Role::Value, &["v_proj", "wv", "value"]),
    (
        Role::QueryKeyValue,
        &[
            "qkv",
            "qkv_proj",
            "to_qkv",
            "wqkv",
            "Wqkv",
            "query_key_value",
            "c_attn",
            "in_proj",
            "in_proj_weight",
        ],
    ),
    (
        Role::AttentionOutput,
        &[
            "o_proj",
            "out_proj",
            "wo",
            "attention.dense",
            "self_attention.dense",
            "attention.output.dense",
            "attn.c_proj",
            "crossattention.c_proj",
            "attn.proj",
            "attn.out",
            "cross_attn.out",
        ],
    ),
    (Role::Up, &["up_proj", "fc1", "w3", "c_fc", "mlp.0", "intermediate.dense", "dense_h_to_4h"]),
    (Role::Gate, &["gate_proj", "w1"]),
    // Mamba's `in_proj` computes the gate as well.
    (Role::GateUp, &["gate_up_proj", "gate_up", "mixer.in_proj", "mamba.in_proj"]),
    (
        Role::Down,
        &[
            "down_proj",
            "fc2",
            "w2",
            "mlp.c_proj",
            "mlp.2",
            "output.dense",
            "dense_4h_to_h",
            "mixer.out_proj",
            "mamba.out_proj",
        ],
    ),
    (Role::Head, &["lm_head", "embed_out", "proj_out"]),
    (
        Role::InputProjection,
        &[
            "patch_embed",
            "patch_embed.proj",
            "patch_embedding",
            "patch_embeddings",
            "patch_embeddings.projection",
            "to_patch_embedding",
            "conv_proj",
            "feature_extractor.conv_layers.0.conv",
        ],
    ),
];

/// Parts of names of embeddings in which nothing else determines a role.
const PLAIN_EMBEDDINGS: [&str; 4] =
    ["embedding.weight", "embeddings.weight", "embed.weight", "emb.weight"];

/// Parts of names of convolutions that project the inputs of a model, outside of numbered layers.
const INPUT_CONVOLUTIONS: [&str; 5] = ["conv1", "conv_in", "conv_stem", "_conv_stem", "stem.conv"];

/// Components of matrices that GPT-2 stores as inputs × outputs.
const GPT2_MATRICES: [&str; 2] = ["c_attn", "c_fc"];

impl TensorRole {
    /// The role of the tensor `name` with a number of dimensions. Convolutions have at least three.
    pub fn of(name: &str, dimensions: usize) -> Self {
        let mut found = (0, Self::Other);
        for &(role, parts) in NAMES {
            for part in parts {
                if part.len() > found.0 && has_components(name, part) {
                    found = (part.len(), role);
                }
            }
        }
        let contains = |parts: &[&str]| parts.iter().any(|part| has_components(name, part));
        match found {
            (0, _) if contains(&PLAIN_EMBEDDINGS) => Self::Embedding,
            (0, _) if dimensions > 2 && name.contains("conv") => match is_input_convolution(name) {
                true => Self::InputProjection,
                false => Self::Convolution,
            },
            (_, role) => role,
        }
    }

    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::PositionEmbedding => "position_embedding",
            Self::Query => "query",
            Self::Key => "key",
            Self::Value => "value",
            Self::QueryKeyValue => "query_key_value",
            Self::AttentionOutput => "attention_output",
            Self::Up => "up",
            Self::Gate => "gate",
            Self::GateUp => "gate_up",
            Self::Down => "down",
            Self::Head => "head",
            Self::InputProjection => "input_projection",
            Self::Convolution => "convolution",
            Self::Other => "other",
        }
    }

    /// Whether a matrix of this role and shape has one row for each token of a large vocabulary: it
    /// has at least twice as many rows as columns.
    pub const fn is_vocabulary(self, rows: usize, columns: usize) -> bool {
        matches!(self, Self::Embedding | Self::Head) && rows / 2 >= columns
    }

    /// Whether rows of a matrix of this role are read one by one: embeddings of tokens, and output
    /// heads, which are often equal to them.
    pub const fn is_read_by_row(self) -> bool {
        matches!(self, Self::Embedding | Self::Head)
    }

    /// Whether a matrix of this role multiplies the output of a normalisation layer: queries, keys,
    /// values, and the first matrices of an MLP.
    pub const fn reads_normalised_input(self) -> bool {
        matches!(
            self,
            Self::Query
                | Self::Key
                | Self::Value
                | Self::QueryKeyValue
                | Self::Up
                | Self::Gate
                | Self::GateUp
        )
    }
}

/// Whether the columns of the matrix `name`, which has this role, multiply a normalised input. They do not where a matrix
/// is stored as inputs × outputs, as in GPT-2; then it has more columns than rows.
pub(crate) fn has_normalised_columns(
    role: TensorRole,
    name: &str,
    rows: usize,
    columns: usize,
) -> bool {
    let stored_by_inputs =
        rows < columns && GPT2_MATRICES.iter().any(|part| has_components(name, part));
    role.reads_normalised_input() && !stored_by_inputs
}

/// The stack of layers in a tensor name and the index of the layer in it: the first component that
/// is a number, and what precedes it.
#[cfg(feature = "analysis")]
pub(crate) fn layer(name: &str) -> Option<(&str, u64)> {
    let mut start = 0;
    for component in name.split('.') {
        if let Ok(number) = component.parse() {
            return Some((name[..start].trim_end_matches('.'), number));
        }
        start += component.len() + 1;
    }
    None
}

fn is_input_convolution(name: &str) -> bool {
    let is_in_layer = name.split('.').any(|component| component.parse::<u64>().is_ok());
    !is_in_layer && INPUT_CONVOLUTIONS.iter().any(|part| has_components(name, part))
}

/// Whether `name` contains `part` as whole components between dots.
fn has_components(name: &str, part: &str) -> bool {
    name.match_indices(part).any(|(at, _)| {
        let (before, after) = (&name[..at], &name[at + part.len()..]);
        (before.is_empty() || before.ends_with('.')) && (after.is_empty() || after.starts_with('.'))
    })
}

#[cfg(test)]
mod tests;
