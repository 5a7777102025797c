//! What a file is, by its first bytes: people pass many files that are not what their names say.

use std::fmt;

/// The kind of a file that was expected to be another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// No bytes.
    Empty,
    /// An `.occ` file.
    Occ,
    /// Safetensors.
    Safetensors,
    /// A text file in place of a file in Git LFS.
    GitLfsPointer,
    /// A web page.
    Html,
    /// An XML document.
    Xml,
    /// A zip archive: PyTorch, NumPy `.npz`.
    Zip,
    /// A Python pickle: older files of PyTorch.
    Pickle,
    /// NumPy `.npy`.
    Numpy,
    /// GGUF, of llama.cpp.
    Gguf,
    /// HDF5, of Keras.
    Hdf5,
    /// An archive by tar.
    Tar,
    /// Compressed by gzip.
    Gzip,
    /// Compressed by zstd.
    Zstd,
    /// Compressed by xz.
    Xz,
    /// Compressed by bzip2.
    Bzip2,
    /// A JSON document.
    Json,
    /// Other text.
    Text,
    /// Anything else.
    Unknown,
}

/// First bytes at offset 0.
const MAGICS: &[(&[u8], FileKind)] = &[
    (b"version https://git-lfs", FileKind::GitLfsPointer),
    (b"PK\x03\x04", FileKind::Zip),
    (b"\x93NUMPY", FileKind::Numpy),
    (b"GGUF", FileKind::Gguf),
    (b"\x89HDF\r\n\x1a\n", FileKind::Hdf5),
    (b"\x1f\x8b", FileKind::Gzip),
    (b"\x28\xb5\x2f\xfd", FileKind::Zstd),
    (b"\xfd7zXZ\x00", FileKind::Xz),
    (b"BZh", FileKind::Bzip2),
];

/// Where the magic of tar is.
const TAR: (usize, &[u8]) = (257, b"ustar");

impl FileKind {
    /// The number of first bytes that [`of`](Self::of) looks at.
    pub(crate) const PREFIX_BYTES: usize = 512;

    /// The kind of a file with these first bytes. `.occ` files are not recognised here.
    pub(crate) fn of(start: &[u8]) -> Self {
        if start.is_empty() {
            return Self::Empty;
        }
        if is_safetensors(start) {
            return Self::Safetensors;
        }
        if let Some((_, kind)) = MAGICS.iter().find(|(magic, _)| start.starts_with(magic)) {
            return *kind;
        }
        if start.get(TAR.0..).is_some_and(|rest| rest.starts_with(TAR.1)) {
            return Self::Tar;
        }
        // A pickle starts with its protocol, and ends its first instructions with no magic.
        if matches!(start, [0x80, 2..=5, ..]) {
            return Self::Pickle;
        }
        Self::of_text(start).unwrap_or(Self::Unknown)
    }

    fn of_text(start: &[u8]) -> Option<Self> {
        let text = match std::str::from_utf8(start) {
            Ok(text) => text,
            // The last character may be cut.
            Err(error) if error.error_len().is_none() => {
                std::str::from_utf8(&start[..error.valid_up_to()]).ok()?
            }
            Err(_) => return None,
        };
        if text.is_empty() || text.contains(|c: char| c.is_control() && !c.is_whitespace()) {
            return None;
        }
        let text =
            text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).to_ascii_lowercase();
        Some(match text.as_str() {
            html if html.starts_with("<!doctype html") || html.starts_with("<html") => Self::Html,
            xml if xml.starts_with("<?xml") => Self::Xml,
            json if json.starts_with(['{', '[']) => Self::Json,
            _ => Self::Text,
        })
    }

    /// Whether a file of this kind may be safetensors after all, with an unusual or damaged header.
    #[cfg(feature = "convert")]
    pub(crate) fn may_be_safetensors(self) -> bool {
        matches!(self, Self::Safetensors | Self::Unknown)
    }
}

/// Whether a length and a brace follow each other, as no other format here has them.
fn is_safetensors(start: &[u8]) -> bool {
    matches!(start, [_, _, _, _, _, 0, 0, 0, b'{', ..])
}

/// What the file is, and what to do.
impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty; download or write it again",
            Self::Occ => "it is an .occ file; `occ decompress` restores what it was made from",
            Self::Safetensors => {
                "it is a safetensors file; `occ compress` makes an .occ file of it"
            }
            Self::GitLfsPointer => {
                "it is a Git LFS pointer, not the file itself; fetch that with `git lfs pull`"
            }
            Self::Html => "it is a web page; the download failed, perhaps for lack of a login",
            Self::Xml => "it is an XML document; the download failed, perhaps for lack of a login",
            Self::Zip => {
                "it is a zip archive, as PyTorch and NumPy (.npz) write them; convert it to \
                 safetensors first"
            }
            Self::Pickle => {
                "it is a Python pickle, as PyTorch writes them; convert it to safetensors first"
            }
            Self::Numpy => "it is a NumPy array (.npy); convert it to safetensors first",
            Self::Gguf => {
                "it is a GGUF file of llama.cpp; compress the safetensors that it was made from"
            }
            Self::Hdf5 => {
                "it is an HDF5 file, as Keras writes them; convert it to safetensors first"
            }
            Self::Tar => "it is a tar archive; extract it first",
            Self::Gzip => "it is compressed by gzip; decompress it first",
            Self::Zstd => "it is compressed by zstd; decompress it first",
            Self::Xz => "it is compressed by xz; decompress it first",
            Self::Bzip2 => "it is compressed by bzip2; decompress it first",
            Self::Json => "it is a JSON document",
            Self::Text => "it is a text file, perhaps the message of a failed download",
            Self::Unknown => "its format is unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_recognised_by_their_first_bytes() {
        let tar = [&[b'x'; 257][..], b"ustar\x0000"].concat();
        let cases: &[(&[u8], FileKind)] = &[
            (b"", FileKind::Empty),
            (b"\x02\0\0\0\0\0\0\0{}", FileKind::Safetensors),
            (b"version https://git-lfs.github.com/spec/v1\noid", FileKind::GitLfsPointer),
            (b"\n <!DOCTYPE HTML><html>", FileKind::Html),
            (b"<html lang=en>", FileKind::Html),
            (b"<?xml version='1.0'?><Error>", FileKind::Xml),
            (b"PK\x03\x04\x14", FileKind::Zip),
            (b"\x80\x02}q\x00X\x01", FileKind::Pickle),
            (b"\x80\x04\x95\x1a\0\0\0\0\0\0\0", FileKind::Pickle),
            (b"GGUF\x03\0\0\0\0\0\0\0", FileKind::Gguf),
            (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", FileKind::Gzip),
            (&tar, FileKind::Tar),
            (b"{\"metadata\": {}}", FileKind::Json),
            (b"Entry not found", FileKind::Text),
            ("größe: ü".as_bytes(), FileKind::Text),
            (b"\x7fELF\x02\x01", FileKind::Unknown),
            (b"\0\0\0\0", FileKind::Unknown),
        ];
        for (bytes, kind) in cases {
            assert_eq!(FileKind::of(bytes), *kind, "{bytes:?}");
        }
        // A text that is cut within a character.
        let text = "é".repeat(300);
        assert_eq!(FileKind::of(&text.as_bytes()[..511]), FileKind::Text);
    }
}
