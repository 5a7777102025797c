use super::*;

#[test]
fn vocabularies_and_normalised_inputs_are_known_by_name() {
    for name in [
        "model.embed_tokens.weight",
        "embeddings.word_embeddings.weight",
        "transformer.wte.weight",
        "decoder.token_embedding.weight",
        "shared.weight",
        "lm_head.weight",
    ] {
        let role = Role::of(name, 2);
        assert!(role.is_vocabulary(32_000, 4096), "{name}");
        assert!(!role.is_vocabulary(4096, 32_000), "transposed {name}");
        assert!(!role.reads_normalised_input(), "{name}");
    }
    for name in [
        "model.layers.0.self_attn.v_proj.weight",
        "model.layers.0.mlp.up_proj.weight",
        "model.layers.0.mlp.gate_up_proj.weight",
        "model.layers.0.self_attn.qkv_proj.weight",
        "encoder.layer.3.attention.self.query.weight",
        "encoder.layer.3.intermediate.dense.weight",
        "gpt_neox.layers.1.attention.query_key_value.weight",
        "gpt_neox.layers.1.mlp.dense_h_to_4h.weight",
        "layers.7.attention.wq.weight",
        "layers.7.feed_forward.w1.weight",
        "layers.7.feed_forward.w3.weight",
        "encoder.blocks.2.mlp.0.weight",
        "transformer.blocks.0.attn.Wqkv.weight",
        "blocks.0.attn.in_proj_weight",
        "backbone.layers.3.mixer.in_proj.weight",
    ] {
        assert!(Role::of(name, 2).reads_normalised_input(), "{name}");
        assert!(has_normalised_columns(TensorRole::of(name, 2), name, 576, 1536), "{name}");
    }
    for name in [
        "model.layers.0.self_attn.o_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
        "encoder.layer.3.attention.output.dense.weight",
        "encoder.layer.3.output.dense.weight",
        "gpt_neox.layers.1.mlp.dense_4h_to_h.weight",
        "model.decoder.embed_positions.weight",
        "model.decoder.layers.0.fc2.weight",
        "layers.7.feed_forward.w2.weight",
        "conv1.weight",
        "memory.keys.weight",
        "valued.weight",
    ] {
        let role = Role::of(name, 2);
        assert!(!role.reads_normalised_input() && !role.is_vocabulary(32_000, 4096), "{name}");
    }
}

/// GPT-2 stores inputs × outputs; StarCoder uses the same names for outputs × inputs.
#[test]
fn columns_of_transposed_matrices_are_outputs() {
    assert!(!has_normalised_columns(
        TensorRole::of("h.0.attn.c_attn.weight", 2),
        "h.0.attn.c_attn.weight",
        768,
        2304
    ));
    assert!(!has_normalised_columns(
        TensorRole::of("h.0.mlp.c_fc.weight", 2),
        "h.0.mlp.c_fc.weight",
        768,
        3072
    ));
    assert!(has_normalised_columns(
        TensorRole::of("h.0.mlp.c_fc.weight", 2),
        "h.0.mlp.c_fc.weight",
        3072,
        768
    ));
    assert!(has_normalised_columns(
        TensorRole::of("layers.0.self_attn.k_proj.weight", 2),
        "layers.0.self_attn.k_proj.weight",
        192,
        576
    ));
}

#[test]
fn names_determine_roles() {
    for (name, role) in [
        ("model.embed_tokens.weight", Role::Embedding),
        ("model.layers.0.self_attn.q_proj.weight", Role::Query),
        ("model.layers.31.self_attn.o_proj.weight", Role::AttentionOutput),
        ("model.layers.3.mlp.gate_proj.weight", Role::Gate),
        ("model.layers.3.mlp.experts.7.down_proj.weight", Role::Down),
        ("lm_head.weight", Role::Head),
        ("layers.7.attention.wk.weight", Role::Key),
        ("layers.7.attention.wo.weight", Role::AttentionOutput),
        ("layers.7.feed_forward.w1.weight", Role::Gate),
        ("layers.7.feed_forward.w3.weight", Role::Up),
        ("gpt_neox.embed_in.weight", Role::Embedding),
        ("gpt_neox.layers.1.attention.query_key_value.weight", Role::QueryKeyValue),
        ("gpt_neox.layers.1.attention.dense.weight", Role::AttentionOutput),
        ("gpt_neox.layers.1.mlp.dense_4h_to_h.weight", Role::Down),
        ("embed_out.weight", Role::Head),
        ("wte.weight", Role::Embedding),
        ("embedding.weight", Role::Embedding),
        ("encoder.embeddings.weight", Role::Embedding),
        ("wpe.weight", Role::PositionEmbedding),
        ("embed_positions.embedding.weight", Role::PositionEmbedding),
        ("pos_embed", Role::PositionEmbedding),
        ("encoder.pos_embedding", Role::PositionEmbedding),
        ("h.11.attn.c_attn.weight", Role::QueryKeyValue),
        ("transformer.h.11.attn.c_proj.weight", Role::AttentionOutput),
        ("h.11.mlp.c_proj.weight", Role::Down),
        ("embeddings.word_embeddings.weight", Role::Embedding),
        ("encoder.layer.5.attention.self.value.weight", Role::Value),
        ("encoder.layer.5.attention.output.dense.weight", Role::AttentionOutput),
        ("encoder.layer.5.intermediate.dense.weight", Role::Up),
        ("encoder.layer.5.output.dense.weight", Role::Down),
        ("pooler.dense.weight", Role::Other),
        ("model.decoder.layers.2.encoder_attn.out_proj.weight", Role::AttentionOutput),
        ("model.decoder.layers.2.fc1.weight", Role::Up),
        ("decoder.blocks.2.mlp.2.weight", Role::Down),
        ("decoder.blocks.2.cross_attn.out.weight", Role::AttentionOutput),
        ("backbone.layers.3.mixer.in_proj.weight", Role::GateUp),
        ("vit.embeddings.patch_embeddings.projection.weight", Role::InputProjection),
        ("visual.patch_embed.proj.weight", Role::InputProjection),
        ("to_patch_embedding.1.weight", Role::InputProjection),
        ("feature_extractor.conv_layers.0.conv.weight", Role::InputProjection),
        ("feature_extractor.conv_layers.1.conv.weight", Role::Other),
        ("0.weight", Role::Other),
    ] {
        assert_eq!(Role::of(name, 2), role, "{name}");
        assert_eq!(serde_json::to_value(role).unwrap(), role.name());
    }
    assert_eq!(Role::of("model.encoder.conv1.weight", 3), Role::InputProjection);
    assert_eq!(Role::of("model.encoder.conv2.weight", 3), Role::Convolution);
    assert_eq!(Role::of("layer1.0.conv1.weight", 4), Role::Convolution);
    assert_eq!(Role::of("model.encoder.conv1.weight", 2), Role::Other);
}

#[cfg(feature = "analysis")]
#[test]
fn names_determine_layers() {
    for (name, expected) in [
        ("model.embed_tokens.weight", None),
        ("model.layers.31.self_attn.o_proj.weight", Some(("model.layers", 31))),
        ("model.layers.3.mlp.experts.7.down_proj.weight", Some(("model.layers", 3))),
        ("h.11.attn.c_attn.weight", Some(("h", 11))),
        ("decoder.blocks.2.mlp.2.weight", Some(("decoder.blocks", 2))),
        ("0.weight", Some(("", 0))),
    ] {
        assert_eq!(layer(name), expected, "{name}");
    }
}

/// No part of a name stands for two roles.
#[test]
fn table_has_no_duplicates() {
    let mut parts: Vec<&str> = NAMES.iter().flat_map(|(_, parts)| parts.iter().copied()).collect();
    let count = parts.len();
    parts.sort_unstable();
    parts.dedup();
    assert_eq!(parts.len(), count);
}
