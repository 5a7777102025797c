//! `occ inspect`.

use crate::args::{Inspect, is_dash};
use crate::failure::{Failure, usage};
use crate::table::{Align, Bytes, Table, bits_per_weight, counted, grouped, ratio, shape};
use occ::{Attachment, AttachmentKind, Codec, Reader, Tensor};
use serde_json::{Value, json};

pub fn run(args: &Inspect) -> Result<(), Failure> {
    if is_dash(&args.file) {
        return usage("inspect reads the index at the end of a file: it cannot read a pipe");
    }
    let file = Reader::open(&args.file)?;
    let tensors = file.tensors().collect::<occ::Result<Vec<_>>>()?;
    let attachments = file.attachments().collect::<occ::Result<Vec<_>>>()?;
    if args.json {
        return crate::print(&to_json(&file, &tensors, &attachments).to_string());
    }
    crate::print(&to_text(&file, &tensors, &attachments))
}

fn to_json(file: &Reader<'_>, tensors: &[Tensor<'_>], attachments: &[Attachment<'_>]) -> Value {
    let weights = weights(tensors);
    let tensors: Vec<Value> = tensors
        .iter()
        .map(|tensor| {
            json!({
                "name": tensor.name(),
                "dtype": tensor.dtype().name(),
                "shape": tensor.shape(),
                "stored": stored(tensor),
                "chunks": tensor.chunks(),
                "decoded_bytes": tensor.decoded_bytes(),
                "coded_bytes": tensor.coded_bytes(),
                "decoded_crc": tensor.decoded_crc(),
            })
        })
        .collect();
    let attachments: Vec<Value> = attachments
        .iter()
        .map(|attachment| {
            json!({
                "name": attachment.name(),
                "kind": kind(attachment),
                "decoded_bytes": attachment.decoded_bytes(),
                "coded_bytes": attachment.coded_bytes(),
            })
        })
        .collect();
    json!({
        "format_version": file.format_version(),
        "file_bytes": file.file_bytes(),
        "index_bytes": file.index_bytes(),
        "alignment": file.alignment(),
        "weights": weights,
        "bits_per_weight": bits_per_weight(file.file_bytes(), weights),
        "tensors": tensors,
        "attachments": attachments,
    })
}

fn to_text(file: &Reader<'_>, tensors: &[Tensor<'_>], attachments: &[Attachment<'_>]) -> String {
    let mut table = Table::new(&[
        ("tensor", Align::Left),
        ("dtype", Align::Left),
        ("shape", Align::Left),
        ("stored", Align::Left),
        ("bytes", Align::Right),
        ("coded", Align::Right),
        ("ratio", Align::Right),
    ]);
    for tensor in tensors {
        let (decoded, coded) = (tensor.decoded_bytes(), tensor.coded_bytes());
        table.row([
            tensor.name().escape_debug().to_string(),
            tensor.dtype().to_string(),
            shape(tensor.shape()),
            stored(tensor),
            grouped(decoded),
            grouped(coded),
            format!("{:.3}", ratio(coded, decoded)),
        ]);
    }
    for attachment in attachments {
        let (decoded, coded) = (attachment.decoded_bytes(), attachment.coded_bytes());
        table.row([
            format!("({} {})", kind(attachment), attachment.name().escape_debug()),
            String::new(),
            String::new(),
            String::new(),
            grouped(decoded),
            grouped(coded),
            format!("{:.3}", ratio(coded, decoded)),
        ]);
    }
    let weights = weights(tensors);
    format!(
        "{}\n{}, {} weights, {}, {:.2} bits a weight\nformat version {}, index {}\n",
        table.render(),
        counted(tensors.len() as u64, "tensor"),
        grouped(weights),
        Bytes(file.file_bytes()),
        bits_per_weight(file.file_bytes(), weights),
        file.format_version(),
        Bytes(file.index_bytes()),
    )
}

fn weights(tensors: &[Tensor<'_>]) -> u64 {
    tensors.iter().fold(0, |sum: u64, tensor| sum.saturating_add(tensor.elements()))
}

fn kind(attachment: &Attachment<'_>) -> &'static str {
    match attachment.kind() {
        AttachmentKind::SafetensorsHeader => "safetensors_header",
        _ => "file",
    }
}

fn stored(tensor: &Tensor<'_>) -> String {
    tensor.stored().map_or("unknown", Codec::name).to_owned()
}
