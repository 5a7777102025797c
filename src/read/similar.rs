//! Suggestions for a name that was not found.

use std::cmp::Reverse;

/// The number of suggestions, at most.
const SUGGESTIONS: usize = 3;

/// The normalised Levenshtein similarity that a suggestion has at least.
const MIN_SIMILARITY: f64 = 0.6;

/// Products of name lengths that are compared, at most: a fraction of a second.
const MAX_WORK: usize = 1 << 26;

/// The names that are most similar to `wanted`, best first: by edit distance, or because one
/// contains the other.
pub(super) fn similar_names<'n>(
    wanted: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Vec<String> {
    let mut work = 0usize;
    let mut found: Vec<(u64, &str)> = Vec::new();
    for name in names {
        work = work.saturating_add(wanted.len().saturating_mul(name.len().max(1)));
        if work > MAX_WORK {
            break;
        }
        let contains = !wanted.is_empty()
            && (name.contains(wanted) || (name.len() > 2 && wanted.contains(name)));
        let similarity = strsim::normalized_levenshtein(wanted, name);
        if contains || similarity >= MIN_SIMILARITY {
            // Names that contain one another come after near misspellings.
            let score = similarity.max(if contains { MIN_SIMILARITY } else { 0.0 });
            found.push(((score * 1e9) as u64, name));
        }
    }
    // Stable: names of equal similarity stay in file order.
    found.sort_by_key(|&(score, _)| Reverse(score));
    found.into_iter().take(SUGGESTIONS).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = [
        "model.embed_tokens.weight",
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.1.self_attn.q_proj.weight",
        "model.norm.weight",
        "b",
    ];

    #[test]
    fn misspelled_names_come_first() {
        assert_eq!(similar_names("model.norm.wieght", NAMES)[0], "model.norm.weight");
        assert_eq!(
            similar_names("model.layers.1.self_attn.qproj.weight", NAMES)[0],
            "model.layers.1.self_attn.q_proj.weight"
        );
    }

    #[test]
    fn names_without_their_prefix_are_found() {
        assert_eq!(similar_names("norm.weight", NAMES)[0], "model.norm.weight");
        assert_eq!(similar_names("transformer.model.norm.weight", NAMES)[0], "model.norm.weight");
    }

    #[test]
    fn unrelated_names_are_not_suggested() {
        assert!(similar_names("transformer.wte", NAMES).is_empty());
        assert!(similar_names("", NAMES).is_empty());
        assert!(similar_names("x", []).is_empty());
    }

    #[test]
    fn work_is_bounded() {
        let long = "x".repeat(1 << 20);
        assert!(similar_names(&long, [long.as_str(); 3]).is_empty());
    }
}
