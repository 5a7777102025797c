//! `occ inspect`.

mod contents;
mod json;
mod metadata;

pub use contents::{
    Contents, StoredTensor, kind_names, statistics_names, storage_name, stored_bytes,
    transform_name,
};

use crate::failure::{Failure, usage};
use crate::input;
use crate::listing::{Attached, ListedTensor, each, grouped_by_name, tensor_table};
use crate::model::{decoded_bytes, warn};
use crate::numbers::{Bytes, bits_per_weight, counted, grouped, ratio};
use crate::output::{print, print_json};
use crate::paths::is_dash;
use clap::Args;
use contents::kind_name;
use json::{CheckpointJson, FileJson};
use occ::convert::Checkpoint;
use occ::{AttachmentKind, Error, Reader, TensorSource};
use std::path::{Path, PathBuf};
use wildmatch::WildMatch;

/// List the tensors of an .occ file, a safetensors file or a checkpoint folder.
///
/// For each tensor: dtype, shape and size, and in .occ files coordinates, error and the statistics
/// used. Of more than 40 tensors, those whose names differ only in numbers and that have the same
/// dtype and shape are one row, with the ranges of numbers and the number of tensors.
///
/// No weights are read, so none are counted: `occ compare FILE FILE` counts those that are NaN or
/// infinite, and `occ analyze FILE` those of matrices.
#[derive(Args)]
pub struct InspectArgs {
    /// An .occ file or the URL of one, a .safetensors file, an index of shards or a checkpoint folder
    file: PathBuf,

    /// List only tensors whose names match (* and ?)
    #[arg(long, value_name = "GLOB")]
    tensor: Option<String>,

    /// List each tensor, however many there are
    #[arg(short, long, conflicts_with_all = ["groups", "json"])]
    all: bool,

    /// List tensors in groups, however few there are
    #[arg(long, conflicts_with = "json")]
    groups: bool,

    /// Print JSON with each tensor. Of .occ files: format_version, file_bytes, index_bytes,
    /// alignment (bytes), weights, bits_per_weight (of the file; null with --tensor), tensors,
    /// attachments. Of others: file_bytes, weights, files, metadata, tensors
    #[arg(long)]
    json: bool,
}

pub fn run(args: &InspectArgs) -> Result<(), Failure> {
    if is_dash(&args.file) {
        return usage("inspect needs a file: it cannot read a pipe");
    }
    if input::is_url(&args.file) {
        return inspect_occ(args, &input::open(&args.file)?);
    }
    match open(&args.file)? {
        Model::Occ(file) => inspect_occ(args, &file),
        Model::Safetensors(checkpoint) => inspect_checkpoint(args, &checkpoint),
    }
}

enum Model {
    Occ(Reader<'static>),
    Safetensors(Box<Checkpoint>),
}

/// Opens a model of either format.
fn open(path: &Path) -> occ::Result<Model> {
    if path.is_dir() || path.extension().is_some_and(|extension| extension == "json") {
        return Checkpoint::open(path).map(|checkpoint| Model::Safetensors(Box::new(checkpoint)));
    }
    match Reader::open(path) {
        Ok(reader) => Ok(Model::Occ(reader)),
        Err(not_occ @ Error::NotOcc { .. }) => match Checkpoint::open(path) {
            Ok(checkpoint) => Ok(Model::Safetensors(Box::new(checkpoint))),
            Err(Error::NotSafetensors { .. }) => Err(not_occ),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

fn inspect_occ(args: &InspectArgs, file: &Reader<'_>) -> Result<(), Failure> {
    let contents = Contents::read(file, args.tensor.as_deref())?;
    check_matches(args, contents.tensors().len())?;
    if args.json {
        return print_json(&FileJson::new(&contents));
    }
    let listed: Vec<ListedTensor<'_>> =
        contents.tensors().iter().map(StoredTensor::listed).collect();
    let attached = |attachment: &occ::Attachment<'_>| Attached {
        name: format!("({} {})", kind_name(attachment), attachment.name().escape_debug()),
        bytes: attachment.decoded_bytes(),
        stored: attachment.coded_bytes(),
    };
    let attached: Vec<Attached> = contents.attachments.iter().map(attached).collect();
    let weights = contents.weights();
    let size = match contents.is_filtered() {
        true => format!("of a file of {}", Bytes(file.file_bytes())),
        false => {
            let (original, stored) = (original_bytes(file)?, file.file_bytes());
            format!(
                "{:.3} bits per weight\n{} of {}, ratio {:.4}",
                bits_per_weight(stored, weights),
                Bytes(stored),
                Bytes(original),
                ratio(stored, original),
            )
        }
    };
    let mut metadata = metadata::Lines::default();
    let headers = contents.attachments.iter();
    for header in headers.filter(|one| one.kind() == AttachmentKind::SafetensorsHeader) {
        metadata.add(&header.decode()?);
    }
    print(&format!(
        "{}\n{}, {} weights, {size}, format version {}, index {}\n{metadata}",
        table(args, &listed, &attached),
        counted(contents.tensor_count(), "tensor"),
        grouped(weights),
        file.format_version(),
        Bytes(file.index_bytes()),
    ))
}

fn inspect_checkpoint(args: &InspectArgs, checkpoint: &Checkpoint) -> Result<(), Failure> {
    warn(checkpoint.inventory());
    let pattern = args.tensor.as_deref().map(WildMatch::new);
    let is_wanted = |tensor: &TensorSource<'_>| {
        pattern.as_ref().is_none_or(|pattern| pattern.matches(tensor.name))
    };
    let tensors: Vec<TensorSource<'_>> = checkpoint.sources().filter(is_wanted).collect();
    check_matches(args, tensors.len())?;
    if args.json {
        return print_json(&CheckpointJson::new(checkpoint, &tensors));
    }
    let listed: Vec<ListedTensor<'_>> = tensors.iter().map(ListedTensor::source).collect();
    let weights = listed.iter().map(ListedTensor::weights).fold(0, u64::saturating_add);
    let of = if pattern.is_some() { "of " } else { "" };
    let mut metadata = metadata::Lines::default();
    checkpoint.headers().for_each(|header| metadata.add(header));
    print(&format!(
        "{}\n{}, {} weights, {of}{} in {}\n{metadata}",
        table(args, &listed, &[]),
        counted(listed.len() as u64, "tensor"),
        grouped(weights),
        Bytes(checkpoint.file_bytes()),
        counted(checkpoint.paths().count() as u64, "file"),
    ))
}

fn check_matches(args: &InspectArgs, found: usize) -> Result<(), Failure> {
    match args.tensor.as_ref().filter(|_| found == 0) {
        Some(pattern) => usage(&format!("no tensor has a name that matches {pattern}")),
        None => Ok(()),
    }
}

fn table(args: &InspectArgs, tensors: &[ListedTensor<'_>], attached: &[Attached]) -> String {
    let groups = if args.all { each(tensors) } else { grouped_by_name(tensors, args.groups) };
    tensor_table(&groups, attached, "coded").render()
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
