//! What is in a file besides tensors.

use super::tensor::Tensor;
use crate::error::Result;
use crate::format::ObjectKind;

/// What an attachment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttachmentKind {
    /// The JSON header of a safetensors file, without its length.
    SafetensorsHeader,
    /// A file of the checkpoint.
    File,
}

/// Something in an open file that is not a tensor.
#[derive(Debug)]
pub struct Attachment<'r>(pub(super) Tensor<'r>);

impl Attachment<'_> {
    /// A file name without a folder.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// What it is.
    pub fn kind(&self) -> AttachmentKind {
        match self.0.entry.object.kind {
            ObjectKind::SafetensorsHeader => AttachmentKind::SafetensorsHeader,
            ObjectKind::File | ObjectKind::Tensor => AttachmentKind::File,
        }
    }

    /// Bytes when decoded.
    pub fn decoded_bytes(&self) -> u64 {
        self.0.decoded_bytes()
    }

    /// Bytes of its chunks in the file, their heads included.
    pub fn coded_bytes(&self) -> u64 {
        self.0.coded_bytes()
    }

    /// The attachment's bytes.
    ///
    /// # Errors
    /// As [`Tensor::decode`].
    pub fn decode(&self) -> Result<Vec<u8>> {
        self.0.decode()
    }
}
