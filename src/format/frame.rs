//! The header and the footer of a frame.

use super::geometry::Geometry;
use super::layout::{CRC_BYTES, FRAME_TAG, LossyFooter, MAX_SHARED_BYTES, REFERENCED};
use super::object::{Object, ObjectKind, PayloadLayout};
use super::varint;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::limits::Limits;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

/// Bytes at the start of a frame that contain the length of its header. Every frame and every index
/// has more.
pub(crate) const PREFIX_BYTES: usize = 6;

/// An object and the parameters for decoding its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) object: Object,
    /// Codec parameters.
    pub(crate) parameters: Vec<u8>,
    /// CRC-32 of each chunk in the contiguous layout; empty in the chunked one.
    pub(crate) chunk_crcs: Vec<u32>,
    /// Whether a later object may be a reference to this one. A reader of a stream then keeps its
    /// chunks.
    pub(crate) referenced: bool,
}

/// The length of the frame header that starts with these bytes.
///
/// # Errors
/// `Corrupt` or `LimitExceeded`.
pub(crate) fn header_length(prefix: &[u8; PREFIX_BYTES], limits: &Limits) -> Result<usize> {
    let [tag, length @ ..] = prefix;
    if *tag != FRAME_TAG {
        return Err(Error::corrupt("file: neither a frame nor the index"));
    }
    let (length, rest) = varint::take(length)
        .filter(|&(length, _)| length <= u32::MAX.into())
        .ok_or_else(|| Error::corrupt("frame header: bad length"))?;
    Error::check_limit("a frame header", length, limits.frame_header_bytes)?;
    Ok(PREFIX_BYTES - rest.len() + length as usize)
}

impl FrameHeader {
    /// Bytes in memory, approximately.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(self.object.geometry.shape())
            + self.object.name.len()
            + self.parameters.len()
            + size_of_val(&self.chunk_crcs[..])
    }

    /// The bytes of the header after a frame whose object is named `before`.
    ///
    /// # Errors
    /// `InvalidArgument` if the header exceeds 4 GiB or the rank 65,535.
    pub(crate) fn to_bytes(&self, before: &str) -> Result<Vec<u8>> {
        let object = &self.object;
        let (geometry, name) = (&object.geometry, object.name.as_bytes());
        let too_long = |_| Error::invalid("frame header: name, shape or parameters too long");
        u16::try_from(geometry.shape().len()).map_err(too_long)?;
        let layout = object.layout as u8 | if self.referenced { REFERENCED } else { 0 };
        let mut body = vec![object.kind as u8, geometry.dtype().id(), object.codec, layout];
        varint::put(&mut body, geometry.shape().len() as u64);
        geometry.shape().iter().for_each(|&size| varint::put(&mut body, size));
        varint::put(&mut body, geometry.stored_chunk_elements());
        let both = name.iter().zip(before.as_bytes()).take(MAX_SHARED_BYTES);
        let shared = both.take_while(|(a, b)| a == b).count();
        body.push(shared as u8);
        varint::put(&mut body, (name.len() - shared) as u64);
        body.extend_from_slice(&name[shared..]);
        varint::put(&mut body, self.parameters.len() as u64);
        body.extend_from_slice(&self.parameters);
        body.extend(self.chunk_crcs.iter().flat_map(|crc| crc.to_le_bytes()));
        let length = u32::try_from(body.len() + CRC_BYTES).map_err(too_long)?;
        let mut out = vec![FRAME_TAG];
        varint::put(&mut out, length.into());
        out.extend_from_slice(&body);
        out.extend(crc32fast::hash(&out).to_le_bytes());
        Ok(out)
    }

    /// Reads a whole frame header, whose length is that of [`header_length`]. `before` is the name
    /// of the object of the preceding frame, or any other name that starts like this object's.
    ///
    /// # Errors
    /// `ChecksumMismatch`, `Corrupt`, `Unsupported` or `LimitExceeded`.
    pub(crate) fn parse(bytes: &[u8], before: &str, limits: &Limits) -> Result<Self> {
        let (covered, crc) = bytes.split_last_chunk().ok_or_else(mismatch)?;
        Error::check_crc(u32::from_le_bytes(*crc), crc32fast::hash(covered))?;
        let mut fields = Fields(covered);
        fields.bytes(1)?;
        fields.number()?;
        let [kind, dtype, codec, layout] = *fields.bytes(4)?.first_chunk().ok_or_else(mismatch)?;
        let ids = [kind, dtype, codec, layout & !REFERENCED];
        let rank = u16::try_from(fields.number()?)
            .map_err(|_| Error::corrupt("frame header: more than 65,535 dimensions"))?;
        let shape = (0..rank).map(|_| fields.number()).collect::<Result<Vec<u64>>>()?;
        let chunk_elements = fields.number()?;
        let name = fields.name(before)?;
        let length = fields.number()?;
        let parameters = fields.bytes(length)?.to_vec();
        let chunk_crcs = <[U32]>::ref_from_bytes(fields.0).map_err(|_| mismatch())?;
        let object = object_from_parts(ids, &name, shape, chunk_elements, limits)?;
        let crcs_expected = match object.layout.is_contiguous() {
            true => object.geometry.chunk_count(),
            false => 0,
        };
        if chunk_crcs.len() as u64 != crcs_expected {
            return Err(mismatch().in_tensor(&object.name));
        }
        let chunk_crcs = chunk_crcs.iter().map(|crc| crc.get()).collect();
        let referenced = layout & REFERENCED != 0;
        Ok(Self { object, parameters, chunk_crcs, referenced })
    }
}

fn mismatch() -> Error {
    Error::corrupt("frame header: length does not match its parts")
}

/// The fields of a frame header that have not been read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, length: u64) -> Result<&'a [u8]> {
        let length = usize::try_from(length).map_err(|_| mismatch())?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(mismatch)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u64> {
        let bad = || Error::corrupt("frame header: bad number");
        let (number, rest) = varint::take(self.0).ok_or_else(bad)?;
        self.0 = rest;
        Ok(number)
    }

    /// A name, which may start like the name `before`.
    fn name(&mut self, before: &str) -> Result<Vec<u8>> {
        let shared = usize::from(self.bytes(1)?[0]);
        let length = self.number()?;
        let start = before.as_bytes().get(..shared);
        let start = start.ok_or_else(|| Error::corrupt("name: the name before is too short"))?;
        Ok([start, self.bytes(length)?].concat())
    }
}

/// The values at the end of a frame, which depend on all its chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Footer {
    /// CRC-32 of the decoded bytes.
    pub(crate) decoded_crc: u32,
    /// Sum of squares of the original elements; 0 for lossless codecs.
    pub(crate) signal: f64,
    /// Sum of squares of the errors of the decoded elements; 0 for lossless codecs.
    pub(crate) noise: f64,
}

impl Footer {
    /// The length of the footer.
    pub(crate) fn length(layout: PayloadLayout) -> usize {
        match layout {
            PayloadLayout::Contiguous => 0,
            PayloadLayout::Chunked => CRC_BYTES,
            PayloadLayout::ChunkedLossy => size_of::<LossyFooter>(),
        }
    }

    pub(crate) fn to_bytes(self, layout: PayloadLayout) -> Vec<u8> {
        match layout {
            PayloadLayout::Contiguous => Vec::new(),
            PayloadLayout::Chunked => self.decoded_crc.to_le_bytes().to_vec(),
            PayloadLayout::ChunkedLossy => {
                let mut footer = LossyFooter {
                    decoded_crc: self.decoded_crc.into(),
                    signal: self.signal.into(),
                    noise: self.noise.into(),
                    crc: 0.into(),
                };
                footer.crc = footer.computed_crc().into();
                footer.as_bytes().to_vec()
            }
        }
    }

    /// Reads the footer of a frame from `bytes`, which have its length.
    ///
    /// # Errors
    /// `ChecksumMismatch`; `Corrupt` for sums of squares that are negative or not finite.
    pub(crate) fn parse(bytes: &[u8], header: &FrameHeader) -> Result<Self> {
        let decoded_crc = match header.object.layout {
            PayloadLayout::Contiguous => {
                header.object.geometry.combine_crcs(header.chunk_crcs.iter().copied())
            }
            PayloadLayout::Chunked => {
                U32::read_from_bytes(bytes).map_err(|_| Error::truncated())?.get()
            }
            PayloadLayout::ChunkedLossy => {
                let footer = LossyFooter::read_from_bytes(bytes).map_err(|_| Error::truncated())?;
                Error::check_crc(footer.crc.get(), footer.computed_crc())?;
                let (signal, noise) = (footer.signal.get(), footer.noise.get());
                let possible = |sum: f64| sum.is_finite() && sum.is_sign_positive();
                if !(possible(signal) && possible(noise)) {
                    let what = "frame footer: sum of squares is negative or not finite";
                    return Err(Error::corrupt(what));
                }
                return Ok(Self { decoded_crc: footer.decoded_crc.get(), signal, noise });
            }
        };
        Ok(Self { decoded_crc, ..Self::default() })
    }
}

impl LossyFooter {
    fn computed_crc(&self) -> u32 {
        crc32fast::hash(&self.as_bytes()[..size_of::<Self>() - CRC_BYTES])
    }
}

/// An object from its fields in the file. `ids` are kind, dtype, codec and layout.
pub(super) fn object_from_parts(
    ids: [u8; 4],
    name: &[u8],
    shape: Vec<u64>,
    chunk_elements: u64,
    limits: &Limits,
) -> Result<Object> {
    let name = std::str::from_utf8(name).map_err(|_| Error::corrupt("name: not UTF-8"))?;
    let [kind, dtype, codec, layout] = ids;
    let object = || {
        let known = Dtype::from_id(dtype);
        let dtype = known.ok_or_else(|| Error::unsupported(format!("dtype {dtype}")))?;
        let geometry = Geometry::from_stored(dtype, shape, chunk_elements, limits)?;
        Object::new(
            ObjectKind::from_id(kind)?,
            name.to_owned(),
            geometry,
            codec,
            PayloadLayout::from_id(layout)?,
        )
    };
    object().map_err(|error| error.in_tensor(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(layout: PayloadLayout, chunk_crcs: Vec<u32>) -> FrameHeader {
        let geometry = Geometry::new(Dtype::F16, vec![2, 3], 4, &Limits::tight()).unwrap();
        let object = Object::new(ObjectKind::Tensor, "wé".into(), geometry, 1, layout);
        let referenced = layout == PayloadLayout::Contiguous;
        FrameHeader { object: object.unwrap(), parameters: vec![1, 2, 3], chunk_crcs, referenced }
    }

    #[test]
    fn frame_headers_round_trip() {
        for frame in
            [header(PayloadLayout::Chunked, vec![]), header(PayloadLayout::Contiguous, vec![7, 8])]
        {
            for before in ["", "v", "w", "wè", "wé", "wé.b"] {
                let bytes = frame.to_bytes(before).unwrap();
                let prefix = bytes.first_chunk().unwrap();
                assert_eq!(header_length(prefix, &Limits::tight()).unwrap(), bytes.len());
                for before in [before, "wé"] {
                    let parsed = FrameHeader::parse(&bytes, before, &Limits::tight());
                    assert_eq!(parsed.unwrap(), frame);
                }
            }
        }
    }

    #[test]
    fn names_share_the_start_of_the_name_before() {
        let frame = header(PayloadLayout::Chunked, vec![]);
        let length = |before| frame.to_bytes(before).unwrap().len();
        // Two letters in UTF-8 may share their first byte.
        assert_eq!(["", "w", "wè", "wé"].map(length), [23, 22, 21, 20]);
        let bytes = frame.to_bytes("wé").unwrap();
        let error = FrameHeader::parse(&bytes, "w", &Limits::tight()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }

    #[test]
    fn inconsistent_lengths_and_damage_are_rejected() {
        let bytes = header(PayloadLayout::Contiguous, vec![7]).to_bytes("").unwrap();
        let error = FrameHeader::parse(&bytes, "", &Limits::tight()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "one CRC for two chunks: {error}");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(FrameHeader::parse(&damaged, "", &Limits::tight()).is_err(), "byte {at}");
            assert!(FrameHeader::parse(&bytes[..at], "", &Limits::tight()).is_err(), "cut at {at}");
        }
    }
}
