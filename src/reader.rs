//! Random access to an `.occ` file in memory or mapped.

use crate::chunks::ChunkDecoder;
use crate::codec::Codec;
use crate::container::{
    Chunk, FORMAT_VERSION, FrameHeader, Header, Index, IndexEntry, Kind, Layout, Trailer,
    header_length, parse_chunk,
};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::io::Map;
use crate::limits::Limits;
use rayon::prelude::*;
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// An open `.occ` file.
///
/// Opening checks the header, the trailer and the index's checksum, and allocates nothing per
/// tensor; tensors are looked at when asked for.
///
/// ```no_run
/// let file = occ::Reader::open("model.occ")?;
/// let tensor = file.tensor("model.embed_tokens.weight")?;
/// println!("{} {:?}: {} bytes", tensor.dtype(), tensor.shape(), tensor.coded_bytes());
/// let rows = tensor.decode_rows(100..164)?; // reads only the chunks that hold them
/// # Ok::<(), occ::Error>(())
/// ```
pub struct Reader<'a> {
    bytes: Bytes<'a>,
    header: Header,
    index: Range<usize>,
    limits: Limits,
}

enum Bytes<'a> {
    Mapped(Map),
    Borrowed(&'a [u8]),
}

impl Bytes<'_> {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Borrowed(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensors = self.index().len();
        f.debug_struct("Reader").field("objects", &tensors).finish_non_exhaustive()
    }
}

impl Reader<'static> {
    /// Maps a file into memory and opens it.
    ///
    /// The file must not be truncated or changed in place while the reader lives: reading a
    /// vanished page kills the process, as with every memory map. Replacing it by renaming another
    /// over it, as [`Writer`](crate::Writer) does, is safe.
    ///
    /// # Errors
    /// `Io`, `NotOcc`, `UnsupportedVersion`, `Truncated`, `ChecksumMismatch`, `Corrupt`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Limits::default())
    }

    /// [`open`](Self::open) with other limits.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, limits: Limits) -> Result<Self> {
        let path = path.as_ref();
        let open = || Self::with_bytes(Bytes::Mapped(Map::open(path)?), limits);
        open().map_err(|error: Error| error.in_file(path))
    }
}

impl<'a> Reader<'a> {
    /// Opens a file that is in memory already.
    ///
    /// # Errors
    /// As [`open`](Reader::open), without `Io`.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self> {
        Self::from_bytes_with(bytes, Limits::default())
    }

    /// [`from_bytes`](Self::from_bytes) with other limits.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes).
    pub fn from_bytes_with(bytes: &'a [u8], limits: Limits) -> Result<Self> {
        Self::with_bytes(Bytes::Borrowed(bytes), limits)
    }

    fn with_bytes(bytes: Bytes<'a>, limits: Limits) -> Result<Self> {
        let file = bytes.as_slice();
        let header = Header::parse(file)?;
        let index = Trailer::index_range(file)?;
        Index::parse(&file[index.clone()]).map_err(|error| error.at_offset(index.start as u64))?;
        Ok(Self { bytes, header, index, limits })
    }

    fn file(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The bytes in `range`, if the file has them.
    fn slice(&self, range: Range<u64>) -> Option<&[u8]> {
        let start = usize::try_from(range.start).ok()?;
        self.file().get(start..usize::try_from(range.end).ok()?)
    }

    fn index(&self) -> Index<'_> {
        match Index::parse(&self.file()[self.index.clone()]) {
            Ok(index) => index,
            Err(_) => unreachable!("parsed when the file was opened"),
        }
    }

    /// Bytes of the whole file.
    pub fn file_bytes(&self) -> u64 {
        self.file().len() as u64
    }

    /// Bytes of the index.
    pub fn index_bytes(&self) -> u64 {
        self.index.len() as u64
    }

    /// The file's format version.
    pub fn format_version(&self) -> u16 {
        FORMAT_VERSION // the only one that opens
    }

    /// Tensors stored raw start at multiples of this many bytes.
    pub fn alignment(&self) -> u64 {
        self.header.alignment()
    }

    /// The tensor of this name: binary search, O(log n) in the number of tensors.
    ///
    /// # Errors
    /// `InvalidArgument` when there is none; `Corrupt`, `Unsupported` or `LimitExceeded` when the
    /// index describes it badly.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        self.get(name)?.ok_or_else(|| Error::invalid("no such tensor").in_tensor(name))
    }

    /// The tensor of this name, if there is one.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor), but for the missing one.
    pub fn get(&self, name: &str) -> Result<Option<Tensor<'_>>> {
        let position = self.index().find(Kind::Tensor, name)?;
        position.map(|position| self.at(position)).transpose()
    }

    /// All tensors, in the order they lie in the file.
    pub fn tensors(&self) -> impl Iterator<Item = Result<Tensor<'_>>> {
        self.objects(|kind| kind == Kind::Tensor)
    }

    /// What is not a tensor: headers of the safetensors files that the tensors came from, and
    /// files of the checkpoint.
    pub fn attachments(&self) -> impl Iterator<Item = Result<Attachment<'_>>> {
        self.objects(|kind| kind != Kind::Tensor).map(|object| object.map(Attachment))
    }

    fn objects(&self, wanted: impl Fn(Kind) -> bool) -> impl Iterator<Item = Result<Tensor<'_>>> {
        let index = self.index();
        (0..index.len()).filter_map(move |position| match index.kind(position) {
            Ok(kind) if wanted(kind) => Some(self.at(position)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        })
    }

    fn at(&self, position: usize) -> Result<Tensor<'_>> {
        let entry = self.index().entry(position, &self.limits)?;
        Tensor::new(self, entry)
    }
}

/// A tensor in an open file; nothing of it has been read yet.
pub struct Tensor<'r> {
    reader: &'r Reader<'r>,
    entry: IndexEntry<'r>,
    shape: Vec<usize>,
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor")
            .field("name", &self.name())
            .field("dtype", &self.dtype())
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl<'r> Tensor<'r> {
    /// Checks what the index alone cannot: that the payload lies before it, aligned.
    fn new(reader: &'r Reader<'r>, entry: IndexEntry<'r>) -> Result<Self> {
        let outside = entry.payload.offset + entry.payload.length > reader.index.start as u64;
        let aligned = entry.object.layout == Layout::Chunked
            || entry.payload.length == 0
            || entry.payload.offset.is_multiple_of(reader.header.alignment());
        if outside || !aligned {
            let error = Error::corrupt("a payload out of place").at_offset(entry.payload.offset);
            return Err(error.in_tensor(&entry.object.name));
        }
        let shape = entry.object.native_shape()?;
        Ok(Self { reader, entry, shape })
    }

    /// The tensor's name.
    pub fn name(&self) -> &str {
        &self.entry.object.name
    }

    /// The type of its elements.
    pub fn dtype(&self) -> Dtype {
        self.entry.object.geometry.dtype()
    }

    /// Its dimensions, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many elements it has.
    pub fn elements(&self) -> u64 {
        self.entry.object.geometry.elements()
    }

    /// How it is stored, or `None` for a codec this crate does not know.
    pub fn stored(&self) -> Option<Codec> {
        Codec::from_id(self.entry.object.codec)
    }

    /// Bytes of its chunks in the file, their heads included.
    pub fn coded_bytes(&self) -> u64 {
        self.entry.payload.length
    }

    /// Bytes when decoded.
    pub fn decoded_bytes(&self) -> u64 {
        self.entry.object.geometry.decoded_len()
    }

    /// How many chunks it is stored in.
    pub fn chunks(&self) -> u64 {
        self.entry.object.geometry.chunk_count()
    }

    /// CRC32 of the decoded bytes, as stored.
    pub fn decoded_crc(&self) -> u32 {
        self.entry.payload.decoded_crc
    }

    /// The tensor itself, when it is stored raw: a slice of the map, aligned as the file is.
    ///
    /// Checksums are not compared; [`decode`](Self::decode) does that.
    pub fn as_raw(&self) -> Option<&'r [u8]> {
        if self.stored() != Some(Codec::Raw) || self.entry.object.layout != Layout::Contiguous {
            return None;
        }
        let payload = &self.entry.payload;
        self.reader.slice(payload.offset..payload.offset + payload.length)
    }

    /// Decodes the whole tensor: its elements in row-major order, little-endian.
    ///
    /// Chunks are decoded in parallel on the current rayon pool, each after its checksum.
    ///
    /// # Errors
    /// `ChecksumMismatch`, `Corrupt`, `Truncated`, `Unsupported`, `LimitExceeded`.
    pub fn decode(&self) -> Result<Vec<u8>> {
        self.decode_bytes(0..self.decoded_bytes())
    }

    /// Decodes the whole tensor over `out`.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); `InvalidArgument` unless `out` is exactly as long as
    /// [`decoded_bytes`](Self::decoded_bytes). After an error `out` may hold anything.
    pub fn decode_into(&self, out: &mut [u8]) -> Result<()> {
        if out.len() as u64 != self.decoded_bytes() {
            return Err(self.here(Error::invalid("the buffer is not as long as the tensor")));
        }
        self.decode_range(0, out)
    }

    /// Decodes rows of the outermost dimension; only the chunks that hold them are read.
    ///
    /// # Errors
    /// As [`decode`](Self::decode); `InvalidArgument` for a scalar, a range out of bounds, or
    /// rows of a sub-byte dtype that do not start and end on whole bytes.
    pub fn decode_rows(&self, rows: Range<usize>) -> Result<Vec<u8>> {
        self.decode_bytes(self.row_bytes(rows)?)
    }

    /// [`decode_rows`](Self::decode_rows) over `out`, which must be exactly as long as the rows.
    ///
    /// # Errors
    /// As [`decode_rows`](Self::decode_rows) and [`decode_into`](Self::decode_into).
    pub fn decode_rows_into(&self, rows: Range<usize>, out: &mut [u8]) -> Result<()> {
        let range = self.row_bytes(rows)?;
        if out.len() as u64 != range.end - range.start {
            return Err(self.here(Error::invalid("the buffer is not as long as the rows")));
        }
        self.decode_range(range.start, out)
    }

    /// Where rows lie in the decoded bytes.
    fn row_bytes(&self, rows: Range<usize>) -> Result<Range<u64>> {
        let invalid = |what: &'static str| self.here(Error::invalid(what));
        let Some(&count) = self.shape.first() else {
            return Err(invalid("a scalar has no rows"));
        };
        if rows.start > rows.end || rows.end > count {
            return Err(invalid("rows out of bounds"));
        }
        let row = self.elements() / (count as u64).max(1);
        let offset = |rows: usize| self.dtype().byte_len(rows as u64 * row);
        match (offset(rows.start), offset(rows.end)) {
            (Some(start), Some(end)) => Ok(start..end),
            _ => Err(invalid("rows that do not start and end on whole bytes")),
        }
    }

    /// This tensor's name added to an error.
    fn here(&self, error: Error) -> Error {
        error.in_tensor(self.name())
    }

    /// Decodes part of the tensor's bytes; only the chunks that hold them are read.
    pub(crate) fn decode_bytes(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let length = range.end - range.start;
        let limit = self.reader.limits.tensor_bytes;
        Error::check_limit("a tensor", length, limit).map_err(|error| self.here(error))?;
        let mut out = zeroed(length).map_err(|error| self.here(error))?;
        self.decode_range(range.start, &mut out)?;
        Ok(out)
    }

    /// Decodes the bytes from `start` on that `out` has room for.
    fn decode_range(&self, start: u64, out: &mut [u8]) -> Result<()> {
        let decoder = self.decoder().map_err(|error| self.here(error))?;
        let pieces = self.pieces(start, out);
        let decode = |piece| self.decode_piece(&decoder, piece).err();
        let failure = pieces.into_par_iter().find_map_first(decode);
        failure.map_or(Ok(()), |error| Err(self.here(error)))
    }

    fn decode_piece(&self, decoder: &ChunkDecoder, piece: Piece<'_>) -> Result<()> {
        let Piece { number, skip, length, out } = piece;
        let chunk = self.chunk(decoder.header(), number)?;
        if out.len() == length {
            return decoder.decode_into(&chunk, out);
        }
        let whole = decoder.decode(&chunk)?;
        out.copy_from_slice(&whole[skip..skip + out.len()]);
        Ok(())
    }

    /// Finds a chunk in the file.
    fn chunk(&self, header: &FrameHeader, number: u64) -> Result<Chunk<&[u8]>> {
        let misplaced = || Error::corrupt("a chunk out of place").in_chunk(number);
        let extent = self.entry.chunk_extent(number).ok_or_else(misplaced)?;
        let offset = extent.start;
        if offset < self.entry.payload.offset {
            return Err(misplaced().at_offset(offset));
        }
        let bytes = self.reader.slice(extent).ok_or_else(|| misplaced().at_offset(offset))?;
        match self.entry.object.layout {
            Layout::Chunked => parse_chunk(bytes, offset, number),
            Layout::Contiguous => {
                let stored_crc = header.chunk_crcs[number as usize];
                Ok(Chunk::contiguous(number, offset, bytes, stored_crc))
            }
        }
    }

    /// Cuts `out`, which starts at byte `start` of the tensor, at the chunks' borders.
    fn pieces<'o>(&self, start: u64, mut out: &'o mut [u8]) -> Vec<Piece<'o>> {
        let geometry = &self.entry.object.geometry;
        let mut pieces = Vec::new();
        let mut position = start;
        while !out.is_empty() {
            let number = position / geometry.chunk_bytes();
            let range = geometry.chunk_range(number);
            // At most the rest of `out`, which is in memory.
            let length = (range.end - position).min(out.len() as u64) as usize;
            let (part, rest) = std::mem::take(&mut out).split_at_mut(length);
            let skip = (position - range.start) as usize;
            let chunk = (range.end - range.start) as usize;
            pieces.push(Piece { number, skip, length: chunk, out: part });
            position += length as u64;
            out = rest;
        }
        pieces
    }

    /// Reads the frame header and checks that it tells what the index tells.
    fn decoder(&self) -> Result<ChunkDecoder> {
        let decoder = self.frame_header().and_then(ChunkDecoder::new);
        decoder.map_err(|error| error.at_offset(self.entry.payload.frame_offset))
    }

    fn frame_header(&self) -> Result<FrameHeader> {
        let payload = &self.entry.payload;
        let differs = || Error::corrupt("frame and index disagree");
        let frame = self.reader.slice(payload.frame_offset..payload.offset).ok_or_else(differs)?;
        let prefix = frame.first_chunk().ok_or_else(differs)?;
        let length = header_length(prefix, &self.reader.limits)?;
        let bytes = frame.get(..length).ok_or_else(differs)?;
        let header = FrameHeader::parse(bytes, &self.reader.limits)?;
        let gap = (frame.len() - length) as u64;
        let padding = match header.object.layout {
            Layout::Chunked => 0,
            Layout::Contiguous => self.reader.header.alignment() - 1,
        };
        if header.object != self.entry.object || gap > padding {
            return Err(differs());
        }
        Ok(header)
    }
}

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
pub struct Attachment<'r>(Tensor<'r>);

impl Attachment<'_> {
    /// A file name without a folder.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// What it is.
    pub fn kind(&self) -> AttachmentKind {
        match self.0.entry.object.kind {
            Kind::SafetensorsHeader => AttachmentKind::SafetensorsHeader,
            Kind::File | Kind::Tensor => AttachmentKind::File,
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

/// Part of a chunk, and where it goes.
struct Piece<'o> {
    number: u64,
    /// Bytes of the chunk before the part.
    skip: usize,
    /// Decoded bytes of the whole chunk.
    length: usize,
    out: &'o mut [u8],
}

/// A zeroed buffer, or an error where the allocator would abort.
pub(crate) fn zeroed(length: u64) -> Result<Vec<u8>> {
    let out_of_memory = || Error::from(std::io::Error::from(std::io::ErrorKind::OutOfMemory));
    let length = usize::try_from(length).map_err(|_| out_of_memory())?;
    // Asked first, since `vec!` cannot fail softly and only it gets pages that are zero already.
    Vec::<u8>::new().try_reserve_exact(length).map_err(|_| out_of_memory())?;
    Ok(vec![0; length])
}
