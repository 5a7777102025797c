//! The contents of an .occ file, and the names of how they are stored.

use crate::listing::{ListedTensor, Lossy, Stored};
use occ::{
    Attachment, AttachmentKind, BlockTransform, Codec, Coding, LosslessReason, Reader,
    StatisticsKind, Tensor,
};
use wildmatch::WildMatch;

pub struct Contents<'f> {
    pub file: &'f Reader<'f>,
    tensors: Vec<StoredTensor<'f>>,
    pub attachments: Vec<Attachment<'f>>,
    is_lossy: bool,
    filtered: bool,
}

/// A tensor of an .occ file.
pub struct StoredTensor<'f> {
    pub tensor: Tensor<'f>,
    /// The coding of a lossy tensor.
    pub coding: Option<Coding>,
    /// Why a tensor of a file with lossy ones is lossless, as far as names, dtypes and shapes tell.
    /// It is `None` also for tensors that the user wanted lossless, that take fewer bytes that way,
    /// or that are references.
    pub lossless_reason: Option<LosslessReason>,
}

impl<'f> Contents<'f> {
    /// Reads the index: all tensors, or those whose names match a pattern.
    pub fn read(file: &'f Reader<'f>, pattern: Option<&str>) -> occ::Result<Self> {
        let tensors = file.tensors().collect::<occ::Result<Vec<_>>>()?;
        let is_lossy = tensors.iter().any(|tensor| tensor.stored() == Some(Codec::Trellis));
        // The reason of a tensor can be another tensor, which the pattern need not match.
        let described =
            tensors.iter().map(|tensor| (tensor.name(), tensor.dtype(), tensor.shape()));
        let reasons = match is_lossy {
            true => LosslessReason::of_all(described),
            false => vec![None; tensors.len()],
        };
        let pattern = pattern.map(WildMatch::new);
        let is_wanted = |tensor: &Tensor<'_>| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(tensor.name()))
        };
        let wanted = tensors.into_iter().zip(reasons).filter(|(tensor, _)| is_wanted(tensor));
        let (tensors, reasons): (Vec<_>, Vec<_>) = wanted.unzip();
        let codings = file.codings(&tensors)?;
        let described = tensors.into_iter().zip(codings).zip(reasons);
        let tensors = described
            .map(|((tensor, coding), reason)| StoredTensor::new(tensor, coding, reason))
            .collect();
        let attachments = file.attachments().collect::<occ::Result<Vec<_>>>()?;
        Ok(Self { file, tensors, attachments, is_lossy, filtered: pattern.is_some() })
    }

    /// Whether some tensors may be missing.
    pub fn is_filtered(&self) -> bool {
        self.filtered
    }

    pub fn tensors(&self) -> &[StoredTensor<'f>] {
        &self.tensors
    }

    /// Whether there are lossy tensors in the file.
    pub fn is_lossy(&self) -> bool {
        self.is_lossy
    }

    /// Whether tensors were coded with statistics of inputs or outputs.
    pub fn is_calibrated(&self) -> bool {
        let mut codings = self.tensors.iter().filter_map(|tensor| tensor.coding.as_ref());
        codings.any(|coding| !coding.statistics.is_empty())
    }

    pub fn tensor_count(&self) -> u64 {
        self.tensors.len() as u64
    }

    pub fn weights(&self) -> u64 {
        let weights = self.tensors.iter().map(|stored| stored.tensor.elements());
        weights.fold(0, u64::saturating_add)
    }
}

impl<'f> StoredTensor<'f> {
    fn new(tensor: Tensor<'f>, coding: Option<Coding>, reason: Option<LosslessReason>) -> Self {
        let is_lossless = !matches!(tensor.stored(), Some(Codec::Trellis | Codec::Reference));
        Self { tensor, coding, lossless_reason: reason.filter(|_| is_lossless) }
    }

    /// The tensor as a row of a list.
    pub fn listed(&self) -> ListedTensor<'_> {
        let (tensor, coding) = (&self.tensor, self.coding.as_ref());
        let form = match self.lossless_reason {
            Some(reason) => format!("{} ({})", codec_name(tensor), reason.description()),
            None => storage_name(tensor, coding),
        };
        let lossy = coding.map(|coding| Lossy {
            gain: coding.gain,
            statistics: kind_names(&coding.statistics),
            error: Some((coding.signal, coding.noise)),
        });
        ListedTensor {
            name: tensor.name(),
            dtype: tensor.dtype(),
            shape: tensor.shape(),
            bytes: tensor.decoded_bytes(),
            stored: Some(Stored { form, bytes: stored_bytes(tensor), lossy }),
        }
    }
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
    transform_name(coding.transform, coding.mean, coding.rank)
}

/// A transform, and the parts that are stored separately, as in `klt 384 +mean +12`.
pub fn transform_name(transform: BlockTransform, mean: bool, rank: usize) -> String {
    let mut text = transform.coordinates.name().to_owned();
    if transform.block > 1 {
        text.push_str(&format!(" {}", transform.block));
    }
    if mean {
        text.push_str(" +mean");
    }
    if rank > 0 {
        text.push_str(&format!(" +{rank}"));
    }
    text
}

/// The names of the statistics that a tensor was coded with; nothing for a lossless one.
pub fn statistics_names(coding: Option<&Coding>) -> String {
    coding.map_or_else(String::new, |coding| kind_names(&coding.statistics))
}

/// The names of kinds of statistics.
pub fn kind_names(kinds: &[StatisticsKind]) -> String {
    match kinds {
        [] => "none".to_owned(),
        kinds => kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "),
    }
}

pub fn kind_name(attachment: &Attachment<'_>) -> &'static str {
    match attachment.kind() {
        AttachmentKind::SafetensorsHeader => "safetensors_header",
        _ => "file",
    }
}
