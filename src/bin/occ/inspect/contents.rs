//! The contents of an .occ file, and the names of how they are stored.

use occ::{Attachment, AttachmentKind, Codec, Coding, LosslessReason, Reader, Tensor};
use std::collections::HashMap;

pub struct Contents<'f> {
    pub file: &'f Reader<'f>,
    tensors: Vec<Tensor<'f>>,
    codings: Vec<Option<Coding>>,
    pub attachments: Vec<Attachment<'f>>,
    /// Why tensors of a file with lossy ones are lossless, as far as names, dtypes and shapes tell.
    reasons: HashMap<String, LosslessReason>,
    filtered: bool,
}

impl<'f> Contents<'f> {
    /// Reads the index: all tensors, or those whose names match a pattern.
    pub fn read(file: &'f Reader<'f>, pattern: Option<&str>) -> occ::Result<Self> {
        let tensors = match pattern {
            None => file.tensors().collect::<occ::Result<Vec<_>>>()?,
            Some(pattern) => file.tensors_matching(pattern).collect::<occ::Result<Vec<_>>>()?,
        };
        let codings = tensors.iter().map(Tensor::coding).collect::<occ::Result<Vec<_>>>()?;
        let attachments = file.attachments().collect::<occ::Result<Vec<_>>>()?;
        let is_lossy = codings.iter().any(Option::is_some);
        let reasons = if is_lossy { reasons(file)? } else { HashMap::new() };
        Ok(Self { file, tensors, codings, attachments, reasons, filtered: pattern.is_some() })
    }

    /// Why a tensor of a file with lossy ones is lossless. It is `None` also for tensors that the user
    /// wanted lossless, that take fewer bytes that way, or that are references.
    pub fn lossless_reason(&self, tensor: &Tensor<'_>) -> Option<LosslessReason> {
        let is_lossless = !matches!(tensor.stored(), Some(Codec::Trellis | Codec::Reference));
        self.reasons.get(tensor.name()).copied().filter(|_| is_lossless)
    }

    /// Whether some tensors may be missing.
    pub fn is_filtered(&self) -> bool {
        self.filtered
    }

    /// Tensors, and the coding of the lossy ones.
    pub fn tensors(&self) -> impl Iterator<Item = (&Tensor<'f>, Option<&Coding>)> {
        self.tensors.iter().zip(self.codings.iter().map(Option::as_ref))
    }

    pub fn is_lossy(&self) -> bool {
        self.codings.iter().any(Option::is_some)
    }

    /// Whether tensors were coded with statistics of inputs or outputs.
    pub fn is_calibrated(&self) -> bool {
        self.codings.iter().flatten().any(|coding| !coding.statistics.is_empty())
    }

    pub fn tensor_count(&self) -> u64 {
        self.tensors.len() as u64
    }

    pub fn weights(&self) -> u64 {
        self.tensors.iter().fold(0, |sum: u64, tensor| sum.saturating_add(tensor.elements()))
    }
}

/// The reasons that follow from the names, dtypes and shapes of all tensors of a file.
fn reasons(file: &Reader<'_>) -> occ::Result<HashMap<String, LosslessReason>> {
    let tensors = file.tensors().collect::<occ::Result<Vec<_>>>()?;
    let described = tensors.iter().map(|tensor| (tensor.name(), tensor.dtype(), tensor.shape()));
    let reasons = LosslessReason::of_all(described);
    let named = tensors.iter().zip(reasons);
    Ok(named.filter_map(|(tensor, reason)| Some((tensor.name().to_owned(), reason?))).collect())
}

/// Bytes of a tensor's chunks and, if lossy, of the parameters that decode them.
pub fn stored_bytes(tensor: &Tensor<'_>) -> u64 {
    let is_lossy = tensor.stored() == Some(Codec::Trellis);
    tensor.coded_bytes() + if is_lossy { tensor.header_bytes() } else { 0 }
}

/// The name of a tensor's codec.
pub fn codec_name(tensor: &Tensor<'_>) -> &'static str {
    tensor.stored().map_or("unknown", Codec::name)
}

/// How a tensor is stored: the name of its codec or, if lossy, its coordinates and the parts that
/// are stored separately, as in `hadamard 256` or `klt 384 +mean +12`.
pub fn storage_name(tensor: &Tensor<'_>, coding: Option<&Coding>) -> String {
    // A reference has the coding of the tensor that it refers to.
    let is_reference = tensor.stored() == Some(Codec::Reference);
    let Some(coding) = coding.filter(|_| !is_reference) else {
        return codec_name(tensor).to_owned();
    };
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

/// The names of the statistics that a tensor was coded with; nothing for a lossless one.
pub fn statistics_names(coding: Option<&Coding>) -> String {
    match coding.map(|coding| &coding.statistics[..]) {
        None => String::new(),
        Some([]) => "none".to_owned(),
        Some(kinds) => kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "),
    }
}

pub fn kind_name(attachment: &Attachment<'_>) -> &'static str {
    match attachment.kind() {
        AttachmentKind::SafetensorsHeader => "safetensors_header",
        _ => "file",
    }
}
