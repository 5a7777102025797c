//! What a matrix is for, by the names that common checkpoints give.

use serde::Serialize;

/// A matrix's part in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Rows for words or positions.
    Embedding,
    /// Queries of attention.
    Query,
    /// Keys of attention.
    Key,
    /// Values of attention.
    Value,
    /// Queries, keys and values in one.
    QueryKeyValue,
    /// What attention's values leave through.
    AttentionOutput,
    /// An MLP's way in.
    Up,
    /// An MLP's gate.
    Gate,
    /// An MLP's gate and way in, in one.
    GateUp,
    /// An MLP's way out.
    Down,
    /// From the last layer to words.
    Head,
    /// A convolution.
    Convolution,
    /// Anything else.
    Other,
}

/// Parts of names, between dots or at an end. The first that a name holds counts.
const NAMES: &[(&str, Kind)] = &[
    // LLaMA, Qwen, Mistral, Phi; Whisper.
    (".q_proj.", Kind::Query),
    (".k_proj.", Kind::Key),
    (".v_proj.", Kind::Value),
    (".qkv_proj.", Kind::QueryKeyValue),
    (".o_proj.", Kind::AttentionOutput),
    (".out_proj.", Kind::AttentionOutput),
    (".gate_proj.", Kind::Gate),
    (".up_proj.", Kind::Up),
    (".gate_up_proj.", Kind::GateUp),
    (".down_proj.", Kind::Down),
    (".fc1.", Kind::Up),
    (".fc2.", Kind::Down),
    (".embed_tokens.", Kind::Embedding),
    (".embed_positions.", Kind::Embedding),
    (".lm_head.", Kind::Head),
    (".proj_out.", Kind::Head),
    // LLaMA as Meta names it.
    (".wq.", Kind::Query),
    (".wk.", Kind::Key),
    (".wv.", Kind::Value),
    (".wo.", Kind::AttentionOutput),
    (".feed_forward.w1.", Kind::Gate),
    (".feed_forward.w2.", Kind::Down),
    (".feed_forward.w3.", Kind::Up),
    (".tok_embeddings.", Kind::Embedding),
    // GPT-NeoX.
    (".query_key_value.", Kind::QueryKeyValue),
    (".attention.dense.", Kind::AttentionOutput),
    (".dense_h_to_4h.", Kind::Up),
    (".dense_4h_to_h.", Kind::Down),
    (".embed_in.", Kind::Embedding),
    (".embed_out.", Kind::Head),
    // GPT-2.
    (".c_attn.", Kind::QueryKeyValue),
    (".attn.c_proj.", Kind::AttentionOutput),
    (".c_fc.", Kind::Up),
    (".mlp.c_proj.", Kind::Down),
    (".wte.", Kind::Embedding),
    (".wpe.", Kind::Embedding),
    // BERT.
    (".query.", Kind::Query),
    (".key.", Kind::Key),
    (".value.", Kind::Value),
    (".attention.output.dense.", Kind::AttentionOutput),
    (".intermediate.dense.", Kind::Up),
    (".output.dense.", Kind::Down),
    (".word_embeddings.", Kind::Embedding),
    (".position_embeddings.", Kind::Embedding),
    (".token_type_embeddings.", Kind::Embedding),
    // Whisper as OpenAI names it.
    (".attn.out.", Kind::AttentionOutput),
    (".cross_attn.out.", Kind::AttentionOutput),
    (".mlp.0.", Kind::Up),
    (".mlp.2.", Kind::Down),
    (".token_embedding.", Kind::Embedding),
    (".positional_embedding.", Kind::Embedding),
];

impl Kind {
    /// By the tensor's name, and whether it has the dimensions of a convolution.
    pub(super) fn of(name: &str, dimensions: usize) -> Self {
        let dotted = format!(".{name}.");
        let named = NAMES.iter().find(|(part, _)| dotted.contains(part));
        match named {
            Some((_, kind)) => *kind,
            None if dimensions > 2 && name.contains("conv") => Self::Convolution,
            None => Self::Other,
        }
    }

    /// As in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
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
            Self::Convolution => "convolution",
            Self::Other => "other",
        }
    }
}

/// The stack of layers that a name tells of, and the number in it: the first part that is one.
pub(super) fn layer(name: &str) -> Option<(&str, u64)> {
    let mut start = 0;
    for part in name.split('.') {
        if let Ok(number) = part.parse() {
            return Some((name[..start].trim_end_matches('.'), number));
        }
        start += part.len() + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_kinds_and_layers() {
        for (name, kind, depth) in [
            ("model.embed_tokens.weight", Kind::Embedding, None),
            ("model.layers.0.self_attn.q_proj.weight", Kind::Query, Some(("model.layers", 0))),
            (
                "model.layers.31.self_attn.o_proj.weight",
                Kind::AttentionOutput,
                Some(("model.layers", 31)),
            ),
            ("model.layers.3.mlp.gate_proj.weight", Kind::Gate, Some(("model.layers", 3))),
            (
                "model.layers.3.mlp.experts.7.down_proj.weight",
                Kind::Down,
                Some(("model.layers", 3)),
            ),
            ("lm_head.weight", Kind::Head, None),
            ("layers.7.attention.wk.weight", Kind::Key, Some(("layers", 7))),
            ("layers.7.feed_forward.w3.weight", Kind::Up, Some(("layers", 7))),
            ("gpt_neox.embed_in.weight", Kind::Embedding, None),
            (
                "gpt_neox.layers.1.attention.query_key_value.weight",
                Kind::QueryKeyValue,
                Some(("gpt_neox.layers", 1)),
            ),
            (
                "gpt_neox.layers.1.attention.dense.weight",
                Kind::AttentionOutput,
                Some(("gpt_neox.layers", 1)),
            ),
            (
                "gpt_neox.layers.1.mlp.dense_4h_to_h.weight",
                Kind::Down,
                Some(("gpt_neox.layers", 1)),
            ),
            ("embed_out.weight", Kind::Head, None),
            ("wte.weight", Kind::Embedding, None),
            ("h.11.attn.c_attn.weight", Kind::QueryKeyValue, Some(("h", 11))),
            (
                "transformer.h.11.attn.c_proj.weight",
                Kind::AttentionOutput,
                Some(("transformer.h", 11)),
            ),
            ("h.11.mlp.c_proj.weight", Kind::Down, Some(("h", 11))),
            ("embeddings.word_embeddings.weight", Kind::Embedding, None),
            (
                "encoder.layer.5.attention.self.value.weight",
                Kind::Value,
                Some(("encoder.layer", 5)),
            ),
            (
                "encoder.layer.5.attention.output.dense.weight",
                Kind::AttentionOutput,
                Some(("encoder.layer", 5)),
            ),
            ("encoder.layer.5.intermediate.dense.weight", Kind::Up, Some(("encoder.layer", 5))),
            ("encoder.layer.5.output.dense.weight", Kind::Down, Some(("encoder.layer", 5))),
            ("pooler.dense.weight", Kind::Other, None),
            (
                "model.decoder.layers.2.encoder_attn.out_proj.weight",
                Kind::AttentionOutput,
                Some(("model.decoder.layers", 2)),
            ),
            ("model.decoder.layers.2.fc1.weight", Kind::Up, Some(("model.decoder.layers", 2))),
            ("decoder.blocks.2.mlp.2.weight", Kind::Down, Some(("decoder.blocks", 2))),
            (
                "decoder.blocks.2.cross_attn.out.weight",
                Kind::AttentionOutput,
                Some(("decoder.blocks", 2)),
            ),
            ("0.weight", Kind::Other, Some(("", 0))),
        ] {
            assert_eq!((Kind::of(name, 2), layer(name)), (kind, depth), "{name}");
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert_eq!(Kind::of("model.encoder.conv1.weight", 3), Kind::Convolution);
        assert_eq!(Kind::of("model.encoder.conv1.weight", 2), Kind::Other);
    }
}
