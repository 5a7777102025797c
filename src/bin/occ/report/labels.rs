//! Names of files and tensors in reports.

use crate::table::shortened;
use std::path::Path;

/// A file's name without its folders, which can be private.
pub fn file_name(path: &Path) -> String {
    let resolved = path.canonicalize();
    let name = resolved.as_deref().unwrap_or(path).file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().escape_debug().to_string()
}

/// Maximum length of a label beside a bar, in characters.
const MAX_LABEL: usize = 28;

/// A tensor's name as a label. If it is too long, its first parts are abbreviated to one letter
/// each, which keeps the layer number and the last part.
pub fn label(name: &str) -> String {
    let name = name.strip_suffix(".weight").unwrap_or(name).escape_debug().to_string();
    let mut parts: Vec<&str> = name.split('.').collect();
    let width = |parts: &[&str]| parts.iter().map(|part| part.chars().count() + 1).sum::<usize>();
    for at in 0..parts.len().saturating_sub(1) {
        if width(&parts) <= MAX_LABEL + 1 {
            break;
        }
        let is_number = parts[at].bytes().all(|digit| digit.is_ascii_digit());
        if !is_number {
            let end = parts[at].char_indices().nth(1).map_or(parts[at].len(), |(end, _)| end);
            parts[at] = &parts[at][..end];
        }
    }
    shortened(&parts.join("."), MAX_LABEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_layer_and_last_part() {
        for (name, wanted) in [
            ("wte.weight", "wte"),
            ("model.layers.3.mlp.up_proj.weight", "model.layers.3.mlp.up_proj"),
            ("encoder.layer.11.attention.output.dense.weight", "e.l.11.a.output.dense"),
            ("model.encoder.layers.5.self_attn.q_proj.weight", "m.e.l.5.self_attn.q_proj"),
            ("..", ".."),
            ("a\nb", "a\\nb"),
            ("a_name_without_any_parts_that_is_long", "…hout_any_parts_that_is_long"),
        ] {
            let label = label(name);
            assert!(label.chars().count() <= MAX_LABEL, "{label}");
            assert_eq!(label, wanted);
        }
    }
}
