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
use crate::failure::{Failure, usage};
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
            return usage(&format!("{} exists; --force replaces it", path.display()));
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

fn in_file(path: &Path, source: std::io::Error) -> occ::Error {
    occ::Error::Io { path: Some(path.to_owned()), source }
}

/// A file's name without its folders, which say more of a machine than of a model.
fn file_name(path: &Path) -> String {
    let resolved = path.canonicalize();
    let name = resolved.as_deref().unwrap_or(path).file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().escape_debug().to_string()
}

/// A tensor's name as it fits beside a bar.
fn label(name: &str) -> String {
    const WIDTH: usize = 24;
    let name = name.strip_suffix(".weight").unwrap_or(name);
    shortened(&name.escape_debug().to_string(), WIDTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_ends_of_names() {
        assert_eq!(label("wte.weight"), "wte");
        let long = label("encoder.layer.11.attention.output.dense.weight");
        assert_eq!(long, "….attention.output.dense");
        assert_eq!(label("a\nb"), "a\\nb");
    }
}
