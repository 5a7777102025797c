//! What a tensor's name tells of its use.

/// The part a matrix plays in a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A row for each word, at the way in or out.
    Vocabulary,
    /// Reads activations that many matrices read, behind a norm: queries, keys, values, and the
    /// first matrices of an MLP.
    Reader,
    /// Anything else.
    Other,
}

/// Parts of the names that words' embeddings and output heads go by.
const VOCABULARIES: [&str; 9] = [
    "embed_tokens",
    "word_embed",
    "tok_embed",
    "token_embed",
    "embed_in",
    "embed_out",
    "lm_head",
    "wte",
    "shared.weight",
];

/// Parts of the names that matrices behind a norm go by.
const READERS: [&str; 18] = [
    "q_proj",
    "k_proj",
    "v_proj",
    "qkv",
    "query",
    "key",
    "value",
    "in_proj",
    "gate_proj",
    "up_proj",
    "gate_up",
    "fc1",
    "intermediate.dense",
    "h_to_4h",
    ".wq.",
    ".wk.",
    ".wv.",
    ".w3.",
];

impl Role {
    /// By the name of a matrix of so many rows and columns.
    pub(super) fn of(name: &str, rows: usize, columns: usize) -> Self {
        let is_one_of = |names: &[&str]| names.iter().any(|part| name.contains(part));
        if is_one_of(&VOCABULARIES) && rows >= 2 * columns {
            Self::Vocabulary
        } else if is_one_of(&READERS) {
            Self::Reader
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_roles() {
        let role = |name| Role::of(name, 32_000, 4096);
        for name in [
            "model.embed_tokens.weight",
            "embeddings.word_embeddings.weight",
            "transformer.wte.weight",
            "lm_head.weight",
        ] {
            assert_eq!(role(name), Role::Vocabulary, "{name}");
            assert_eq!(Role::of(name, 4096, 32_000), Role::Other, "transposed {name}");
        }
        for name in [
            "model.layers.0.self_attn.v_proj.weight",
            "model.layers.0.mlp.up_proj.weight",
            "encoder.layer.3.attention.self.query.weight",
            "encoder.layer.3.intermediate.dense.weight",
            "gpt_neox.layers.1.attention.query_key_value.weight",
            "gpt_neox.layers.1.mlp.dense_h_to_4h.weight",
            "layers.7.attention.wq.weight",
        ] {
            assert_eq!(role(name), Role::Reader, "{name}");
        }
        for name in [
            "model.layers.0.self_attn.o_proj.weight",
            "model.layers.0.mlp.down_proj.weight",
            "encoder.layer.3.attention.output.dense.weight",
            "encoder.layer.3.output.dense.weight",
            "gpt_neox.layers.1.mlp.dense_4h_to_h.weight",
            "model.decoder.embed_positions.weight",
            "model.decoder.layers.0.fc2.weight",
            "conv1.weight",
        ] {
            assert_eq!(role(name), Role::Other, "{name}");
        }
    }
}
