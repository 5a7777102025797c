//! `occ inspect`.

mod contents;
mod json;
mod table;

pub use contents::{Contents, statistics_names, storage_name, stored_bytes};
pub use table::tensor_table;

use crate::failure::{Failure, usage};
use crate::model::decoded_bytes;
use crate::numbers::{Bytes, bits_per_weight, counted, grouped, ratio};
use crate::output::{print, print_json};
use crate::paths::is_dash;
use crate::sizes::size_table;
use clap::Args;
use contents::kind_name;
use json::FileJson;
use occ::{AttachmentKind, Reader};
use serde_json::Value;
use std::path::PathBuf;

/// Characters of a value of the metadata that are shown.
const VALUE_CHARACTERS: usize = 200;

/// List the tensors of an .occ file: dtype, shape, coordinates, size, error and the statistics used.
///
/// No weights are decoded, so none are counted: `occ compare FILE FILE` counts those that are NaN or
/// infinite, and `occ analyze FILE` those of matrices.
#[derive(Args)]
pub struct InspectArgs {
    /// An .occ file
    file: PathBuf,

    /// List only tensors whose names match (* and ?)
    #[arg(long, value_name = "GLOB")]
    tensor: Option<String>,

    /// List sizes by group: tensors whose names differ only in numbers
    #[arg(long, conflicts_with_all = ["tensor", "json"])]
    groups: bool,

    /// Print JSON: format_version, file_bytes, index_bytes, alignment (bytes), weights,
    /// bits_per_weight (of the file; null with --tensor), tensors, attachments
    #[arg(long)]
    json: bool,
}

pub fn run(args: &InspectArgs) -> Result<(), Failure> {
    if is_dash(&args.file) {
        return usage("inspect reads the index at the end of a file: it cannot read a pipe");
    }
    let file = Reader::open(&args.file)?;
    if args.groups {
        return print(&size_table(&file, original_bytes(&file)?)?.render());
    }
    let contents = Contents::read(&file, args.tensor.as_deref())?;
    if let Some(pattern) = args.tensor.as_ref().filter(|_| contents.tensor_count() == 0) {
        return usage(&format!("no tensor has a name that matches {pattern}"));
    }
    if args.json { print_json(&FileJson::new(&contents)) } else { print(&to_text(&contents)?) }
}

/// The length of the files that an .occ file was made from.
fn original_bytes(file: &Reader<'_>) -> occ::Result<u64> {
    let mut bytes = decoded_bytes(file)?;
    for attachment in file.attachments() {
        let attachment = attachment?;
        let is_header = attachment.kind() == AttachmentKind::SafetensorsHeader;
        bytes += attachment.decoded_bytes() + if is_header { 8 } else { 0 };
    }
    Ok(bytes)
}

/// The metadata of the safetensors files that the tensors came from.
fn metadata(contents: &Contents<'_>) -> occ::Result<String> {
    let mut text = String::new();
    let headers = contents.attachments.iter();
    for header in headers.filter(|one| one.kind() == AttachmentKind::SafetensorsHeader) {
        let json: Option<Value> = serde_json::from_slice(&header.decode()?).ok();
        let entries = json.as_ref().and_then(|json| json.get("__metadata__")?.as_object());
        for (key, value) in entries.into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            let end = if value.chars().nth(VALUE_CHARACTERS).is_some() { "…" } else { "" };
            let value: String = value.chars().take(VALUE_CHARACTERS).collect();
            let (key, value) = (key.escape_debug(), value.escape_debug());
            text.push_str(&format!("metadata {key}: {value}{end}\n"));
        }
    }
    Ok(text)
}

fn to_text(contents: &Contents<'_>) -> occ::Result<String> {
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
    let size = match contents.is_filtered() {
        true => format!("of a file of {}", Bytes(file.file_bytes())),
        false => {
            let bits = bits_per_weight(file.file_bytes(), weights);
            format!("{}, {bits:.2} bits per weight", Bytes(file.file_bytes()))
        }
    };
    Ok(format!(
        "{}\n{}, {} weights, {size}\nformat version {}, index {}\n{}",
        table.render(),
        counted(contents.tensor_count(), "tensor"),
        grouped(weights),
        file.format_version(),
        Bytes(file.index_bytes()),
        metadata(contents)?,
    ))
}
