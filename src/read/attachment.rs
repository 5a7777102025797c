//! Objects of a file that are not tensors.

use super::tensor::Tensor;
use crate::error::Result;
use crate::format::ObjectKind;

/// The kind of an attachment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttachmentKind {
    /// The JSON header of a safetensors file, without its length.
    SafetensorsHeader,
    /// A file of the checkpoint.
    File,
}

/// An object in an open file that is not a tensor.
#[derive(Clone, Debug)]
pub struct Attachment<'a>(pub(super) Tensor<'a>);

impl Attachment<'_> {
    /// A file name, or a path relative to the folder of the checkpoint, with `/` and without `..`.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Its kind.
    pub fn kind(&self) -> AttachmentKind {
        match self.0.kind() {
            ObjectKind::SafetensorsHeader => AttachmentKind::SafetensorsHeader,
            ObjectKind::File | ObjectKind::Tensor => AttachmentKind::File,
        }
    }

    /// Bytes of the decoded attachment.
    pub fn decoded_bytes(&self) -> u64 {
        self.0.decoded_bytes()
    }

    /// Bytes of the encoded chunks in the file, with their heads.
    pub fn coded_bytes(&self) -> u64 {
        self.0.coded_bytes()
    }

    /// Decodes the attachment.
    ///
    /// # Errors
    /// As [`Tensor::decode`].
    pub fn decode(&self) -> Result<Vec<u8>> {
        self.0.decode()
    }
}
