//! `occ inspect`.

mod contents;
mod json;
mod table;

pub use contents::{Contents, statistics_names, storage_name, stored_bytes};
pub use table::tensor_table;

use crate::failure::{Failure, usage};
use crate::numbers::{Bytes, bits_per_weight, counted, grouped, ratio};
use crate::output::{print, print_json};
use crate::paths::is_dash;
use clap::Args;
use contents::kind_name;
use json::FileJson;
use occ::Reader;
use std::path::PathBuf;

/// List the tensors of an .occ file: dtype, shape, coordinates, size, error and the statistics used.
///
/// No weights are decoded, so none are counted: `occ compare FILE FILE` counts those that are NaN or
/// infinite, and `occ analyze FILE` those of matrices.
#[derive(Args)]
pub struct InspectArgs {
    /// An .occ file
    file: PathBuf,

    /// Print JSON: format_version, file_bytes, index_bytes, alignment (bytes), weights,
    /// bits_per_weight, tensors, attachments
    #[arg(long)]
    json: bool,
}

pub fn run(args: &InspectArgs) -> Result<(), Failure> {
    if is_dash(&args.file) {
        return usage("inspect reads the index at the end of a file: it cannot read a pipe");
    }
    let file = Reader::open(&args.file)?;
    let contents = Contents::read(&file)?;
    if args.json { print_json(&FileJson::new(&contents)) } else { print(&to_text(&contents)) }
}

fn to_text(contents: &Contents<'_>) -> String {
    let (file, lossy) = (contents.file, contents.is_lossy());
    let mut table = tensor_table(contents, contents.tensors());
    for attachment in &contents.attachments {
        let (decoded, coded) = (attachment.decoded_bytes(), attachment.coded_bytes());
        let name = attachment.name().escape_debug();
        let mut cells = vec![format!("({} {name})", kind_name(attachment))];
        cells.extend([const { String::new() }; 3]);
        cells.extend([grouped(decoded), grouped(coded)]);
        match lossy {
            true => cells.extend([const { String::new() }; 3]),
            false => cells.push(format!("{:.3}", ratio(coded, decoded))),
        }
        if contents.is_calibrated() {
            cells.push(String::new());
        }
        table.cells(cells);
    }
    let weights = contents.weights();
    format!(
        "{}\n{}, {} weights, {}, {:.2} bits per weight\nformat version {}, index {}\n",
        table.render(),
        counted(contents.tensor_count(), "tensor"),
        grouped(weights),
        Bytes(file.file_bytes()),
        bits_per_weight(file.file_bytes(), weights),
        file.format_version(),
        Bytes(file.index_bytes()),
    )
}
