//! `occ inspect`.

use crate::args::{Inspect, is_dash};
use crate::failure::{Failure, usage};
use crate::numbers::{Bytes, bits_per_weight, counted, grouped, ratio, shape};
use crate::table::{Align, Table};
use occ::{Attachment, AttachmentKind, Codec, Coding, Reader, Tensor};
use serde_json::{Value, json};

pub fn run(args: &Inspect) -> Result<(), Failure> {
    if is_dash(&args.file) {
        return usage("inspect reads the index at the end of a file: it cannot read a pipe");
    }
    let file = Reader::open(&args.file)?;
    let tensors = file.tensors().collect::<occ::Result<Vec<_>>>()?;
    let attachments = file.attachments().collect::<occ::Result<Vec<_>>>()?;
    let codings = tensors.iter().map(Tensor::coding).collect::<occ::Result<Vec<_>>>()?;
    if args.json {
        return crate::print(&to_json(&file, &tensors, &codings, &attachments).to_string());
    }
    crate::print(&to_text(&file, &tensors, &codings, &attachments))
}

fn to_json(
    file: &Reader<'_>,
    tensors: &[Tensor<'_>],
    codings: &[Option<Coding>],
    attachments: &[Attachment<'_>],
) -> Value {
    let weights = weights(tensors);
    let tensors: Vec<Value> = tensors
        .iter()
        .zip(codings)
        .map(|(tensor, coding)| {
            json!({
                "name": tensor.name(),
                "dtype": tensor.dtype().name(),
                "shape": tensor.shape(),
                "stored": stored(tensor),
                "chunks": tensor.chunks(),
                "decoded_bytes": tensor.decoded_bytes(),
                "coded_bytes": tensor.coded_bytes(),
                "header_bytes": tensor.header_bytes(),
                "decoded_crc": tensor.decoded_crc(),
                "bits_per_weight": bits_per_weight(stored_bytes(tensor), tensor.elements()),
                "lossy": coding.as_ref().map(lossy_json),
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

fn to_text(
    file: &Reader<'_>,
    tensors: &[Tensor<'_>],
    codings: &[Option<Coding>],
    attachments: &[Attachment<'_>],
) -> String {
    let lossy = codings.iter().any(Option::is_some);
    let mut table = table(tensors.iter().zip(codings.iter().map(Option::as_ref)), lossy);
    for attachment in attachments {
        let (decoded, coded) = (attachment.decoded_bytes(), attachment.coded_bytes());
        let mut cells =
            vec![format!("({} {})", kind(attachment), attachment.name().escape_debug())];
        cells.extend([const { String::new() }; 3]);
        cells.extend([grouped(decoded), grouped(coded)]);
        match lossy {
            true => cells.extend([const { String::new() }; 3]),
            false => cells.push(format!("{:.3}", ratio(coded, decoded))),
        }
        table.cells(cells);
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

/// A line for each tensor; with rates and errors where some are `lossy`.
pub fn table<'t, 'f: 't>(
    tensors: impl IntoIterator<Item = (&'t Tensor<'f>, Option<&'t Coding>)>,
    lossy: bool,
) -> Table {
    let mut columns = vec![
        ("tensor", Align::Left),
        ("dtype", Align::Left),
        ("shape", Align::Left),
        ("stored", Align::Left),
        ("bytes", Align::Right),
        ("coded", Align::Right),
    ];
    columns.extend(match lossy {
        false => vec![("ratio", Align::Right)],
        true => vec![("b/w", Align::Right), ("gain", Align::Right), ("dB", Align::Right)],
    });
    let mut table = Table::new(&columns);
    for (tensor, coding) in tensors {
        let (decoded, coded) = (tensor.decoded_bytes(), stored_bytes(tensor));
        let mut cells = vec![
            tensor.name().escape_debug().to_string(),
            tensor.dtype().to_string(),
            shape(tensor.shape()),
            how(tensor, coding),
            grouped(decoded),
            grouped(coded),
        ];
        if lossy {
            cells.push(format!("{:.3}", bits_per_weight(coded, tensor.elements())));
            cells.extend(match coding {
                None => [String::new(), "exact".into()],
                Some(coding) => [format!("{:.2}", coding.gain), decibels(coding)],
            });
        } else {
            cells.push(format!("{:.3}", ratio(coded, decoded)));
        }
        table.cells(cells);
    }
    table
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

/// Bytes of a tensor's chunks and of what is needed to decode them.
pub fn stored_bytes(tensor: &Tensor<'_>) -> u64 {
    tensor.coded_bytes()
        + if tensor.stored() == Some(Codec::Trellis) { tensor.header_bytes() } else { 0 }
}

/// How a tensor is stored: its codec, or the coordinates that it was coded in.
pub fn how(tensor: &Tensor<'_>, coding: Option<&Coding>) -> String {
    coding.map_or_else(|| stored(tensor), axes)
}

/// How a tensor was coded: `hadamard 256`, `aligned 384 +mean +12`.
fn axes(coding: &Coding) -> String {
    let mut text = coding.transform.coordinates.name().to_owned();
    if coding.transform.block > 1 {
        text.push_str(&format!(" {}", coding.transform.block));
    }
    if coding.mean {
        text.push_str(" +mean");
    }
    if coding.rank > 0 {
        text.push_str(&format!(" +{}", coding.rank));
    }
    text
}

fn decibels(coding: &Coding) -> String {
    coding.snr_db().map_or_else(|| "exact".into(), |snr| format!("{snr:.2}"))
}

fn lossy_json(coding: &Coding) -> Value {
    let block = Some(coding.transform.block).filter(|&block| block > 1);
    json!({
        "coordinates": coding.transform.coordinates.name(),
        "block": block,
        "mean": coding.mean,
        "rank": coding.rank,
        "row_scales": coding.row_scales,
        "column_scales": coding.column_scales,
        "states": coding.states,
        "step": coding.step,
        "classes": coding.classes,
        "gain_bits": coding.gain,
        "snr_db": coding.snr_db(),
        "rel_error": coding.rel_error(),
    })
}

fn stored(tensor: &Tensor<'_>) -> String {
    tensor.stored().map_or("unknown", Codec::name).to_owned()
}
