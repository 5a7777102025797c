//! HTML reports: single files without scripts or external resources.

mod analysis;
mod compression;
mod findings;
mod glossary;
mod labels;
mod matrix;
mod page;

pub use analysis::analysis;
pub use compression::{Compression, compression};

use crate::failure::{Failure, exists, in_file, usage};
use crate::paths::{is_dash, is_taken};
use maud::DOCTYPE;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Checks a report's path before any work. Only reports are replaced, never other files, so that
/// the path of a model given by mistake does no harm.
pub fn check(path: &Path, force: bool) -> Result<(), Failure> {
    if is_dash(path) {
        return usage("a report is written to a file, not to standard output");
    }
    if is_taken(path) {
        if !force {
            return exists(path);
        }
        if path.is_file() && !is_page(path).map_err(|source| in_file(path, source))? {
            return usage(&format!("{} exists and is not a report", path.display()));
        }
    }
    Ok(())
}

/// Whether a file starts like a report, or is empty.
fn is_page(path: &Path) -> std::io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(DOCTYPE.0.len() as u64).read_to_end(&mut start)?;
    Ok(start.is_empty() || start == DOCTYPE.0.as_bytes())
}

/// Writes a report.
pub fn write(path: &Path, html: &str, force: bool) -> occ::Result<()> {
    occ::write_file(path, html.as_bytes(), force)
}
