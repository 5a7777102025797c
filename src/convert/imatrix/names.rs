//! The names of weights in GGUF files for those of Hugging Face checkpoints.

use super::sums::Part;

/// What stands before the number of a layer. Towers for images and sound and layers that predict
/// several tokens have layers with the same parts but other inputs; they are not listed.
const LAYERS: &[&str] = &[
    "model.layers",
    "model.language_model.layers",
    "language_model.model.layers",
    "language_model.layers",
    "model.text_model.layers",
    "layers",
    "transformer.h",
    "h",
    "transformer.blocks",
    "transformer.layers",
    "gpt_neox.layers",
    "backbone.layers",
    "model.layers.layers",
];

/// Weights outside of layers. The inputs of an embedding are indices; only as the head of a model
/// with tied embeddings does it have others.
const MODEL: &[(&[&str], &[&str])] = &[
    (
        &["output", "token_embd"],
        &[
            "lm_head",
            "language_model.lm_head",
            "model.language_model.lm_head",
            "embed_out",
            "output",
            "lm_head.linear",
        ],
    ),
    (
        &["token_embd"],
        &[
            "model.embed_tokens",
            "model.language_model.embed_tokens",
            "language_model.model.embed_tokens",
            "model.text_model.embed_tokens",
            "embed_tokens",
            "model.tok_embeddings",
            "tok_embeddings",
            "transformer.wte",
            "wte",
            "transformer.word_embeddings",
            "word_embeddings",
            "gpt_neox.embed_in",
            "backbone.embeddings",
        ],
    ),
];

/// Weights of layers: the parts of GGUF names whose inputs serve, best first, and the parts of
/// Hugging Face names, without the numbers of experts. Query, key and value read the same inputs, as
/// do gate and up. The conversion to GGUF permutes rows of query and key, which changes no inputs.
///
/// Not listed:
/// - `linear_attn.out_proj` (`ssm_out`): the conversion permutes the columns of this weight, so the
///   numbers are in another order.
/// - `attn.c_proj` (`attn_output`): this weight is square, and stored as inputs × outputs by GPT-2
///   but as outputs × inputs by others, which its shape does not show.
/// - `attn_k_b` and `attn_v_b`: parts of one weight of the checkpoint with different inputs.
/// - Norms, which multiply no vectors.
const WEIGHTS: &[(&[&str], &[&str])] = &[
    (
        &["attn_q", "attn_k", "attn_v", "attn_qkv"],
        &["self_attn.q_proj", "attention.wq", "attn.q_proj", "attn.attention.q_proj"],
    ),
    (
        &["attn_k", "attn_q", "attn_v", "attn_qkv"],
        &["self_attn.k_proj", "attention.wk", "attn.k_proj", "attn.attention.k_proj"],
    ),
    (
        &["attn_v", "attn_k", "attn_q", "attn_qkv"],
        &["self_attn.v_proj", "attention.wv", "attn.v_proj", "attn.attention.v_proj"],
    ),
    (
        &["attn_qkv", "attn_q", "attn_k", "attn_v"],
        &[
            "self_attn.qkv_proj",
            "self_attn.W_pack",
            "self_attn.query_key_value",
            "self_attention.query_key_value",
            "attention.query_key_value",
            "attention.wqkv",
            "attn.qkv_proj",
            "attn.Wqkv",
            "mixer.Wqkv",
            "attn.c_attn",
        ],
    ),
    (
        &["attn_output"],
        &[
            "self_attn.o_proj",
            "self_attn.out_proj",
            "self_attn.dense",
            "self_attention.dense",
            "attention.dense",
            "attention.wo",
            "attn.out_proj",
            "attn.attention.out_proj",
        ],
    ),
    (&["attn_output", "ssm_out"], &["mixer.out_proj"]),
    (&["ssm_out"], &["mamba.out_proj"]),
    (&["ssm_in"], &["mamba.in_proj", "mixer.in_proj"]),
    // Low-rank attention: both read the inputs of the layer.
    (&["attn_q_a", "attn_kv_a_mqa"], &["self_attn.q_a_proj"]),
    (&["attn_kv_a_mqa", "attn_q_a", "attn_q"], &["self_attn.kv_a_proj_with_mqa"]),
    (&["attn_q_b"], &["self_attn.q_b_proj"]),
    (&["attn_kv_b"], &["self_attn.kv_b_proj"]),
    // Linear attention: all read the inputs of the layer.
    (&["ssm_in", "attn_qkv", "attn_gate"], &["linear_attn.in_proj_qkvz"]),
    (&["attn_qkv", "attn_gate", "ssm_in"], &["linear_attn.in_proj_qkv"]),
    (&["attn_gate", "attn_qkv", "ssm_in"], &["linear_attn.in_proj_z"]),
    (&["ssm_ba", "ssm_in", "attn_qkv"], &["linear_attn.in_proj_ba"]),
    (&["ssm_alpha", "ssm_beta", "attn_qkv"], &["linear_attn.in_proj_a"]),
    (&["ssm_beta", "ssm_alpha", "attn_qkv"], &["linear_attn.in_proj_b"]),
    (&["attn_gate"], &["self_attn.gate_proj", "self_attn.g_proj"]),
    (
        &["ffn_gate", "ffn_up"],
        &[
            "mlp.gate_proj",
            "feed_forward.gate_proj",
            "feed_forward.w1",
            "mlp.w2",
            "mlp.c_fc_0",
            "mlp.language_mlp.gate_proj",
        ],
    ),
    (
        &["ffn_up", "ffn_gate"],
        &[
            "mlp.up_proj",
            "mlp.gate_up_proj",
            "feed_forward.up_proj",
            "feed_forward.w3",
            "ffn.up_proj",
            "mixer.up_proj",
            "mlp.w1",
            "mlp.c_fc",
            "mlp.c_fc_1",
            "mlp.fc1",
            "mlp.fc_in",
            "mlp.dense_h_to_4h",
        ],
    ),
    (
        &["ffn_down"],
        &[
            "mlp.down_proj",
            "feed_forward.down_proj",
            "feed_forward.w2",
            "ffn.down_proj",
            "mixer.down_proj",
            "mlp.c_proj",
            "mlp.fc2",
            "mlp.fc_out",
            "mlp.dense_4h_to_h",
        ],
    ),
    (
        &["ffn_gate_inp"],
        &[
            "mlp.gate",
            "mlp.gate.wg",
            "mlp.router",
            "mlp.router.gate",
            "block_sparse_moe.gate",
            "block_sparse_moe.router.layer",
            "feed_forward.gate",
            "feed_forward.router",
            "router.proj",
            "mixer.gate",
            "moe.gate",
        ],
    ),
    (&["ffn_gate_inp_shexp"], &["mlp.shared_expert_gate"]),
    (
        &["ffn_gate_shexp", "ffn_up_shexp"],
        &[
            "mlp.shared_expert.gate_proj",
            "mlp.shared_experts.gate_proj",
            "mlp.shared_mlp.gate_proj",
            "feed_forward.shared_expert.gate_proj",
            "block_sparse_moe.shared_experts.gate_proj",
        ],
    ),
    (
        &["ffn_up_shexp", "ffn_gate_shexp"],
        &[
            "mlp.shared_expert.up_proj",
            "mlp.shared_experts.up_proj",
            "mlp.shared_mlp.up_proj",
            "mixer.shared_experts.up_proj",
            "feed_forward.shared_expert.up_proj",
            "block_sparse_moe.shared_experts.up_proj",
            "shared_mlp.input_linear",
        ],
    ),
    (
        &["ffn_down_shexp"],
        &[
            "mlp.shared_expert.down_proj",
            "mlp.shared_experts.down_proj",
            "mlp.shared_mlp.down_proj",
            "mixer.shared_experts.down_proj",
            "feed_forward.shared_expert.down_proj",
            "block_sparse_moe.shared_experts.down_proj",
            "shared_mlp.output_linear",
        ],
    ),
    (
        &["ffn_gate_exps", "ffn_up_exps", "ffn_gate_up_exps"],
        &[
            "mlp.experts.gate_proj",
            "block_sparse_moe.experts.w1",
            "feed_forward.experts.w1",
            "feed_forward.experts.gate_proj",
        ],
    ),
    (
        &["ffn_up_exps", "ffn_gate_exps", "ffn_gate_up_exps"],
        &[
            "mlp.experts.up_proj",
            "block_sparse_moe.experts.w3",
            "feed_forward.experts.w3",
            "feed_forward.experts.up_proj",
            "mixer.experts.up_proj",
        ],
    ),
    (
        &["ffn_gate_up_exps", "ffn_gate_exps", "ffn_up_exps"],
        &[
            "mlp.experts.gate_up_proj",
            "experts.gate_up_proj",
            "feed_forward.experts.gate_up_proj",
            "block_sparse_moe.input_linear",
        ],
    ),
    (
        &["ffn_down_exps"],
        &[
            "mlp.experts.down_proj",
            "experts.down_proj",
            "block_sparse_moe.experts.w2",
            "block_sparse_moe.output_linear",
            "feed_forward.experts.w2",
            "feed_forward.experts.down_proj",
            "mixer.experts.down_proj",
        ],
    ),
];

/// The end of the parts of GGUF names with several experts.
const EXPERTS: &str = "_exps";

/// The GGUF names whose inputs serve a weight, best first, and the part of their matrices.
pub(super) fn sources(weight: &str) -> Option<(Vec<String>, Part)> {
    // Stacked experts are parameters without this suffix.
    let weight = weight.strip_suffix(".weight").unwrap_or(weight);
    if let Some(parts) = row(MODEL, weight) {
        let names = parts.iter().map(|part| format!("{part}.weight"));
        return Some((names.collect(), Part::Single));
    }
    let (layer, weight) = LAYERS.iter().find_map(|&layers| {
        let (layer, weight) = weight.strip_prefix(layers)?.strip_prefix('.')?.split_once('.')?;
        is_number(layer).then_some((layer, weight))
    })?;
    let (weight, expert) = without_expert(weight);
    let parts = row(WEIGHTS, &weight)?;
    let part = match (parts[0].ends_with(EXPERTS), expert) {
        (true, Some(expert)) => Part::Expert(expert),
        (true, None) => Part::Stacked,
        (false, None) => Part::Single,
        (false, Some(_)) => return None,
    };
    Some((parts.iter().map(|part| format!("blk.{layer}.{part}.weight")).collect(), part))
}

/// The part of the matrices of an entry that a tensor with its own name has.
pub(super) fn own_part(name: &str) -> Part {
    match name.strip_suffix(".weight").unwrap_or(name).ends_with(EXPERTS) {
        true => Part::Stacked,
        false => Part::Single,
    }
}

fn row(
    table: &[(&'static [&'static str], &[&str])],
    weight: &str,
) -> Option<&'static [&'static str]> {
    table.iter().find(|(_, names)| names.contains(&weight)).map(|&(parts, _)| parts)
}

/// Removes the number of an expert: `mlp.experts.3.up_proj` becomes `mlp.experts.up_proj`.
fn without_expert(weight: &str) -> (String, Option<u64>) {
    let found = weight.split_once("experts.").and_then(|(before, after)| {
        let (expert, after) = after.split_once('.')?;
        let expert = Some(expert).filter(|expert| is_number(expert))?.parse().ok()?;
        Some((format!("{before}experts.{after}"), Some(expert)))
    });
    found.unwrap_or_else(|| (weight.to_owned(), None))
}

/// Whether a component of a name is a number as programs write it.
fn is_number(text: &str) -> bool {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits && (text == "0" || !text.starts_with('0')) && !text.is_empty()
}
