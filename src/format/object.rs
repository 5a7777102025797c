//! Objects: the content of frames. Frame headers and index entries describe them alike.

use super::geometry::Geometry;
use super::layout::MIN_ALIGNED_BYTES;
use crate::dtype::Dtype;
use crate::error::{Error, Result};

/// The kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum ObjectKind {
    Tensor = 1,
    /// The JSON header of a safetensors file; the object's name is the file's.
    SafetensorsHeader = 2,
    /// A small file of the checkpoint, unchanged.
    File = 3,
}

impl ObjectKind {
    pub(crate) fn from_id(id: u8) -> Result<Self> {
        match id {
            1 => Ok(Self::Tensor),
            2 => Ok(Self::SafetensorsHeader),
            3 => Ok(Self::File),
            _ => Err(Error::unsupported(format!("frame kind {id}"))),
        }
    }
}

/// The layout of the chunks of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum PayloadLayout {
    /// Each chunk follows a head with its length and CRC.
    Chunked = 0,
    /// Chunks are contiguous and have their decoded lengths. Their CRCs are in the frame header.
    Contiguous = 1,
    /// As `Chunked`, for lossy codecs: the footer contains the error.
    ChunkedLossy = 2,
}

impl PayloadLayout {
    pub(crate) fn from_id(id: u8) -> Result<Self> {
        match id {
            0 => Ok(Self::Chunked),
            1 => Ok(Self::Contiguous),
            2 => Ok(Self::ChunkedLossy),
            _ => Err(Error::unsupported(format!("frame layout {id}"))),
        }
    }

    pub(crate) fn is_lossy(self) -> bool {
        self == Self::ChunkedLossy
    }

    pub(crate) fn is_contiguous(self) -> bool {
        self == Self::Contiguous
    }
}

/// A tensor or an attachment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) kind: ObjectKind,
    pub(crate) name: String,
    pub(crate) geometry: Geometry,
    pub(crate) codec: u8,
    pub(crate) layout: PayloadLayout,
}

impl Object {
    /// # Errors
    /// `Corrupt` for an attachment that is not one-dimensional of U8 or whose name is not a relative
    /// path.
    pub(crate) fn new(
        kind: ObjectKind,
        name: String,
        geometry: Geometry,
        codec: u8,
        layout: PayloadLayout,
    ) -> Result<Self> {
        if kind != ObjectKind::Tensor {
            check_relative_path(&name)?;
            if geometry.dtype() != Dtype::U8 || geometry.shape().len() != 1 {
                return Err(Error::corrupt("attachment: not one-dimensional of U8"));
            }
        }
        Ok(Self { kind, name, geometry, codec, layout })
    }

    /// Whether the payload starts at a multiple of the alignment.
    pub(crate) fn is_aligned(&self) -> bool {
        self.layout.is_contiguous() && self.geometry.decoded_len() >= MIN_ALIGNED_BYTES
    }

    /// The shape in integers of this platform.
    ///
    /// # Errors
    /// `Corrupt` if a dimension exceeds them.
    pub(crate) fn native_shape(&self) -> Result<Vec<usize>> {
        let sizes = self.geometry.shape().iter().map(|&size| usize::try_from(size));
        sizes.collect::<Result<_, _>>().map_err(|_| {
            Error::corrupt("shape: a dimension exceeds the address space").in_tensor(&self.name)
        })
    }
}

/// Checks that a name is that of a file in a folder or below it: plain names with `/` between them.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn check_relative_path(path: &str) -> Result<()> {
    let is_plain = |name: &str| !matches!(name, "" | "." | "..");
    if !path.split('/').all(is_plain) || path.contains(['\\', ':', '\0']) {
        return Err(Error::corrupt(format!(
            "file name `{}`: not a relative path without `..`",
            path.escape_debug()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_folder_are_accepted() {
        let plain = ["a", "model-00001-of-00002.safetensors", ".hidden", "é", "...", "a/b/c"];
        for name in plain {
            check_relative_path(name).unwrap();
        }
        let others =
            ["", ".", "..", "/a", "../a", "a/../b", "a/", "a//b", "./a", "a\\b", "c:a", "a\0"];
        for name in others {
            assert!(check_relative_path(name).is_err(), "{name:?}");
        }
    }
}
