//! `occ inspect --json`.

use super::contents::{Contents, StoredTensor, codec_name, kind_name, stored_bytes};
use super::metadata;
use crate::numbers::bits_per_weight;
use occ::convert::Checkpoint;
use occ::{Attachment, Coding, Coordinates, LosslessReason, TensorSource};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Serialize)]
pub struct FileJson<'f> {
    format_version: u16,
    file_bytes: u64,
    index_bytes: u64,
    alignment: u64,
    weights: u64,
    bits_per_weight: Option<f64>,
    tensors: Vec<TensorJson<'f>>,
    attachments: Vec<AttachmentJson<'f>>,
}

#[derive(Serialize)]
struct TensorJson<'f> {
    name: &'f str,
    dtype: &'static str,
    shape: &'f [usize],
    stored: &'static str,
    chunks: u64,
    decoded_bytes: u64,
    coded_bytes: u64,
    header_bytes: u64,
    decoded_crc: u32,
    bits_per_weight: f64,
    lossy: Option<CodingJson>,
    /// In files with lossy tensors, why this one is lossless, if that follows from name, dtype or shape.
    lossless_reason: Option<LosslessReason>,
}

#[derive(Serialize)]
struct AttachmentJson<'f> {
    name: &'f str,
    kind: &'static str,
    decoded_bytes: u64,
    coded_bytes: u64,
}

#[derive(Serialize)]
struct CodingJson {
    coordinates: Coordinates,
    block: Option<usize>,
    mean: bool,
    rank: usize,
    row_scales: bool,
    column_scales: bool,
    states: usize,
    step: f32,
    classes: usize,
    gain_bits: f64,
    /// The names of the statistics that the tensor was coded with.
    statistics: Vec<&'static str>,
    snr_db: Option<f64>,
    rel_error: f64,
}

impl<'f> FileJson<'f> {
    pub fn new(contents: &'f Contents<'_>) -> Self {
        let (file, weights) = (contents.file, contents.weights());
        Self {
            format_version: file.format_version(),
            file_bytes: file.file_bytes(),
            index_bytes: file.index_bytes(),
            alignment: file.alignment(),
            weights,
            bits_per_weight: (!contents.is_filtered())
                .then(|| bits_per_weight(file.file_bytes(), weights)),
            tensors: contents.tensors().iter().map(TensorJson::new).collect(),
            attachments: contents.attachments.iter().map(AttachmentJson::new).collect(),
        }
    }
}

impl<'f> TensorJson<'f> {
    fn new(stored: &'f StoredTensor<'_>) -> Self {
        let tensor = &stored.tensor;
        Self {
            name: tensor.name(),
            dtype: tensor.dtype().name(),
            shape: tensor.shape(),
            stored: codec_name(tensor),
            chunks: tensor.chunks(),
            decoded_bytes: tensor.decoded_bytes(),
            coded_bytes: tensor.coded_bytes(),
            header_bytes: tensor.header_bytes(),
            decoded_crc: tensor.decoded_crc(),
            bits_per_weight: bits_per_weight(stored_bytes(tensor), tensor.elements()),
            lossy: stored.coding.as_ref().map(CodingJson::new),
            lossless_reason: stored.lossless_reason,
        }
    }
}

impl<'f> AttachmentJson<'f> {
    fn new(attachment: &'f Attachment<'_>) -> Self {
        Self {
            name: attachment.name(),
            kind: kind_name(attachment),
            decoded_bytes: attachment.decoded_bytes(),
            coded_bytes: attachment.coded_bytes(),
        }
    }
}

impl CodingJson {
    fn new(coding: &Coding) -> Self {
        Self {
            coordinates: coding.transform.coordinates,
            block: Some(coding.transform.block).filter(|&block| block > 1),
            mean: coding.mean,
            rank: coding.rank,
            row_scales: coding.row_scales,
            column_scales: coding.column_scales,
            states: coding.states,
            step: coding.step,
            classes: coding.classes,
            gain_bits: coding.gain,
            statistics: coding.statistics.iter().map(|kind| kind.name()).collect(),
            snr_db: coding.snr_db(),
            rel_error: coding.rel_error(),
        }
    }
}

/// A safetensors file, or the shards of a checkpoint.
#[derive(Serialize)]
pub struct CheckpointJson<'c> {
    file_bytes: u64,
    weights: u64,
    files: Vec<&'c Path>,
    metadata: BTreeMap<String, String>,
    tensors: Vec<SourceJson<'c>>,
}

#[derive(Serialize)]
struct SourceJson<'c> {
    name: &'c str,
    dtype: &'static str,
    shape: &'c [usize],
    decoded_bytes: u64,
    file: Option<&'c Path>,
}

impl<'c> CheckpointJson<'c> {
    pub fn new(checkpoint: &'c Checkpoint, tensors: &[TensorSource<'c>]) -> Self {
        let json = |tensor: &TensorSource<'c>| SourceJson {
            name: tensor.name,
            dtype: tensor.dtype.name(),
            shape: tensor.shape,
            decoded_bytes: tensor.data.size(),
            file: tensor.path(),
        };
        Self {
            file_bytes: checkpoint.file_bytes(),
            weights: tensors.iter().fold(0, |sum, tensor| sum.saturating_add(tensor.elements())),
            files: checkpoint.paths().collect(),
            metadata: checkpoint.headers().flat_map(metadata::entries).collect(),
            tensors: tensors.iter().map(json).collect(),
        }
    }
}
