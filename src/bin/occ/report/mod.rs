//! Reports as pages: one file each, that needs no network and no scripts.

mod analysis;
mod compression;
mod findings;
mod glossary;
mod matrix;
mod page;

pub use analysis::analysis;
pub use compression::{Compression, compression};

use crate::args::is_dash;
use crate::failure::{Failure, exists, in_file, usage};
use crate::table::shortened;
use maud::DOCTYPE;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Refuses what cannot be written, before anything is done; to replace other files than reports,
/// too: a model's name is mistaken for one too easily.
pub fn check(path: &Path, force: bool) -> Result<(), Failure> {
    if is_dash(path) {
        return usage("a report is written to a file, not to standard output");
    }
    if path.is_file() {
        if !force {
            return exists(path);
        }
        if !is_page(path).map_err(|source| in_file(path, source))? {
            return usage(&format!("{} exists and is no report", path.display()));
        }
    }
    Ok(())
}

/// Whether a file begins as pages do, or is empty.
fn is_page(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(DOCTYPE.0.len() as u64).read_to_end(&mut start)?;
    Ok(start.is_empty() || start == DOCTYPE.0.as_bytes())
}

/// Writes a finished page.
pub fn write(path: &Path, html: &str) -> occ::Result<()> {
    std::fs::write(path, html).map_err(|source| in_file(path, source))
}

/// A file's name without its folders, which say more of a machine than of a model.
fn file_name(path: &Path) -> String {
    let resolved = path.canonicalize();
    let name = resolved.as_deref().unwrap_or(path).file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().escape_debug().to_string()
}

/// Characters that fit beside a bar.
const LABEL: usize = 28;

/// A tensor's name as it fits beside a bar: first parts become letters, as many as it takes, so
/// that layers and what is in them are still told apart.
fn label(name: &str) -> String {
    let name = name.strip_suffix(".weight").unwrap_or(name).escape_debug().to_string();
    let mut parts: Vec<&str> = name.split('.').collect();
    let width = |parts: &[&str]| parts.iter().map(|part| part.chars().count() + 1).sum::<usize>();
    for at in 0..parts.len().saturating_sub(1) {
        if width(&parts) <= LABEL + 1 {
            break;
        }
        let is_number = parts[at].bytes().all(|digit| digit.is_ascii_digit());
        if !is_number {
            let end = parts[at].char_indices().nth(1).map_or(parts[at].len(), |(end, _)| end);
            parts[at] = &parts[at][..end];
        }
    }
    shortened(&parts.join("."), LABEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_tell_layers_apart() {
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
            assert!(label.chars().count() <= LABEL, "{label}");
            assert_eq!(label, wanted);
        }
    }
}
