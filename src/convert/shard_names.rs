//! Names of safetensors files: indexes, shards, and which shards form one checkpoint.

use std::collections::{BTreeMap, BTreeSet};

const EXTENSION: &str = ".safetensors";

/// Whether a file of this name contains tensors.
pub(super) fn is_safetensors(name: &str) -> bool {
    name.ends_with(EXTENSION)
}

/// Whether a file of this name is the index of a sharded checkpoint, such as
/// `model.safetensors.index.json` or `model.safetensors.index.fp16.json`.
pub(super) fn is_index(name: &str) -> bool {
    name.ends_with(".json") && name.contains(".safetensors.index.")
}

/// The name of an index without what makes it one: `model` or `model.fp16`.
pub(super) fn index_stem(name: &str) -> String {
    let name = name.strip_suffix(".json").unwrap_or(name);
    name.replacen(".safetensors.index", "", 1)
}

/// Files that form one checkpoint: a single one, or numbered shards.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShardSet {
    /// The name, with `*` for the numbers.
    pub(super) pattern: String,
    /// The names, in the order of their numbers.
    pub(super) names: Vec<String>,
    /// Numbers of shards that are missing, at most ten.
    pub(super) missing: Vec<u64>,
}

impl ShardSet {
    /// The pattern without extension and numbers: `model` or `model.fp16`.
    pub(super) fn stem(&self) -> String {
        let stem = self.pattern.strip_suffix(EXTENSION).unwrap_or(&self.pattern);
        if let Some((before, after)) = stem.split_once("-*-of-") {
            return format!("{before}{}", after.trim_start_matches(|c: char| c.is_ascii_digit()));
        }
        stem.strip_suffix(".*").unwrap_or(stem).to_owned()
    }

    pub(super) fn missing_message(&self) -> String {
        let missing: Vec<String> = self.missing.iter().map(u64::to_string).collect();
        format!("shards of {} are missing: {}", self.pattern, missing.join(", "))
    }
}

/// Groups files into checkpoints by their names, sorted by pattern.
pub(super) fn shard_sets(names: impl IntoIterator<Item = String>) -> Vec<ShardSet> {
    type Numbered = BTreeSet<(u64, String)>;
    // Shards with the same pattern have the same total, which is part of it.
    let mut sets = BTreeMap::<String, (Option<u64>, Numbered)>::new();
    for name in names {
        let (pattern, total, number) = match ShardName::parse(&name) {
            Some(ShardName { pattern, number, total }) => (pattern, total, number),
            None => (name.clone(), Some(1), 1),
        };
        let (_, shards) = sets.entry(pattern).or_insert((total, Numbered::new()));
        shards.insert((number, name));
    }
    let sets = sets.into_iter().map(|(pattern, (total, shards))| {
        let numbers: Vec<u64> = shards.iter().map(|(number, _)| *number).collect();
        let missing = missing_numbers(&numbers, total);
        ShardSet { pattern, names: shards.into_iter().map(|(_, name)| name).collect(), missing }
    });
    sets.collect()
}

/// Numbers count from 0 or 1, up to the total or, without one, to the largest.
fn missing_numbers(numbers: &[u64], total: Option<u64>) -> Vec<u64> {
    let first = u64::from(!numbers.contains(&0));
    let end = match total {
        Some(total) => first.saturating_add(total),
        None => numbers.last().map_or(0, |last| last.saturating_add(1)),
    };
    (first..end).filter(|number| numbers.binary_search(number).is_err()).take(10).collect()
}

/// The parts of the name of a shard.
struct ShardName {
    pattern: String,
    number: u64,
    total: Option<u64>,
}

impl ShardName {
    /// `model-00001-of-00002.safetensors`, also with a variant before or after the numbers, or
    /// `weights.00.safetensors`.
    fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(EXTENSION)?;
        if let Some((before, after)) = stem.split_once("-of-") {
            let (prefix, number) = before.rsplit_once('-')?;
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            let (total, rest) = after.split_at(digits);
            let pattern = format!("{prefix}-*-of-{total}{rest}{EXTENSION}");
            return Some(Self { pattern, number: parsed(number)?, total: Some(parsed(total)?) });
        }
        let (prefix, number) = stem.rsplit_once('.')?;
        let pattern = format!("{prefix}.*{EXTENSION}");
        Some(Self { pattern, number: parsed(number)?, total: None })
    }
}

/// A number of digits only.
fn parsed(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(names: &[&str]) -> Vec<(String, usize, Vec<u64>)> {
        let sets = shard_sets(names.iter().map(|&name| name.to_owned()));
        sets.into_iter().map(|set| (set.pattern, set.names.len(), set.missing)).collect()
    }

    #[test]
    fn names_say_which_files_form_a_checkpoint() {
        let set = |pattern: &str, files, missing: &[u64]| (pattern.into(), files, missing.into());
        let names = ["m-00002-of-00003.safetensors", "m-00001-of-00003.safetensors"];
        assert_eq!(sets(&names), [set("m-*-of-00003.safetensors", 2, &[3])]);
        let names = ["m-00000-of-00002.safetensors", "m-00001-of-00002.safetensors"];
        assert_eq!(sets(&names), [set("m-*-of-00002.safetensors", 2, &[])]);
        let variants = ["m-1-of-1.fp16.safetensors", "m.fp16-1-of-1.safetensors", "m.safetensors"];
        let expected = [
            set("m-*-of-1.fp16.safetensors", 1, &[]),
            set("m.fp16-*-of-1.safetensors", 1, &[]),
            set("m.safetensors", 1, &[]),
        ];
        assert_eq!(sets(&variants), expected);
        let numbered =
            ["weights.00.safetensors", "weights.01.safetensors", "weights.03.safetensors"];
        assert_eq!(sets(&numbered), [set("weights.*.safetensors", 3, &[2])]);
        let others = ["a.fp16.safetensors", "b-of-c.safetensors", "x-1-of-y.safetensors"];
        assert_eq!(sets(&others).len(), 3);
        // Nothing is lost where a number occurs twice.
        let twice = ["m-1-of-1.safetensors", "m-01-of-1.safetensors"];
        assert_eq!(sets(&twice), [set("m-*-of-1.safetensors", 2, &[])]);
        let huge = ["m-1-of-18446744073709551615.safetensors"];
        assert_eq!(sets(&huge)[0].2.len(), 10);
    }

    #[test]
    fn stems_are_names_without_numbers() {
        for (name, stem) in [
            ("m-00001-of-00001.fp16.safetensors", "m.fp16"),
            ("m.fp16-1-of-1.safetensors", "m.fp16"),
            ("weights.00.safetensors", "weights"),
            ("a.b.safetensors", "a.b"),
        ] {
            assert_eq!(shard_sets([name.to_owned()])[0].stem(), stem);
        }
        assert_eq!(index_stem("model.safetensors.index.json"), "model");
        assert_eq!(index_stem("model.safetensors.index.fp16.json"), "model.fp16");
    }

    #[test]
    fn indexes_have_several_names() {
        for name in ["model.safetensors.index.json", "m.safetensors.index.fp16.json"] {
            assert!(is_index(name) && !is_safetensors(name));
        }
        for name in ["model.safetensors", "index.json", "model.safetensors.json"] {
            assert!(!is_index(name), "{name}");
        }
    }
}
