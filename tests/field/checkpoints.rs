//! Small checkpoints in the layouts that people have.

use crate::command::Workplace;
use crate::common::{Sample, bf16_weights, safetensors};
use occ::Dtype;

/// A matrix whose values depend on its name.
pub fn tensor(name: &str) -> Sample {
    let seed = name.bytes().fold(7, |seed: u64, byte| seed * 31 % 1_000_003 + u64::from(byte));
    Sample::new(name, Dtype::Bf16, &[16, 32], bf16_weights(seed, 512))
}

pub fn file(names: &[&str]) -> Vec<u8> {
    safetensors(&names.iter().map(|name| tensor(name)).collect::<Vec<_>>())
}

/// An index: tensors and their shards.
pub fn index(entries: &[(&str, &str)]) -> String {
    let entries = entries.iter().map(|(name, shard)| format!("    \"{name}\": \"{shard}\""));
    let entries = entries.collect::<Vec<_>>().join(",\n");
    format!(
        "{{\n  \"metadata\": {{\"total_size\": 1}},\n  \"weight_map\": {{\n{entries}\n  }}\n}}\n"
    )
}

pub const FIRST: &str = "model-00001-of-00002.safetensors";
pub const SECOND: &str = "model-00002-of-00002.safetensors";
pub const INDEX: &str = "model.safetensors.index.json";

/// Writes a sharded checkpoint with the tensors a, b and c to a folder.
pub fn write_sharded(place: &Workplace, folder: &str) {
    place.write(&format!("{folder}/{FIRST}"), file(&["a", "b"]));
    place.write(&format!("{folder}/{SECOND}"), file(&["c"]));
    let index = index(&[("a", FIRST), ("b", FIRST), ("c", SECOND)]);
    place.write(&format!("{folder}/{INDEX}"), index);
    place.write(&format!("{folder}/config.json"), "{}");
}
