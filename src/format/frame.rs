//! The header and the footer of a frame.

use super::geometry::Geometry;
use super::layout::{CRC_BYTES, FRAME_TAG, FrameFooter, FrameHead};
use super::object::{Object, ObjectKind, PayloadLayout};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::limits::Limits;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

/// Bytes at the start of a frame that contain the length of its header.
pub(crate) const PREFIX_BYTES: usize = 8;

/// An object and the parameters for decoding its chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) object: Object,
    /// Codec parameters.
    pub(crate) parameters: Vec<u8>,
    /// CRC-32 of each chunk in the contiguous layout; empty in the chunked one.
    pub(crate) chunk_crcs: Vec<u32>,
}

/// The length of the frame header that starts with these 8 bytes.
///
/// # Errors
/// `Corrupt` or `LimitExceeded`.
pub(crate) fn header_length(prefix: &[u8; PREFIX_BYTES], limits: &Limits) -> Result<usize> {
    let [tag @ .., l0, l1, l2, l3] = *prefix;
    if tag != FRAME_TAG {
        return Err(Error::corrupt("file: neither a frame nor the index"));
    }
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    if (length as usize) < size_of::<FrameHead>() + CRC_BYTES {
        return Err(Error::corrupt("frame header: too short"));
    }
    Error::check_limit("a frame header", length.into(), limits.frame_header_bytes)?;
    Ok(length as usize)
}

impl FrameHeader {
    /// Bytes of the header.
    pub(crate) fn length(&self) -> usize {
        size_of::<FrameHead>()
            + size_of_val(self.object.geometry.shape())
            + self.object.name.len()
            + self.parameters.len()
            + self.chunk_crcs.len() * CRC_BYTES
            + CRC_BYTES
    }

    /// # Errors
    /// `InvalidArgument` if the header exceeds 4 GiB or the rank 65,535.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let object = &self.object;
        let too_long = |_| Error::invalid("frame header: name, shape or parameters too long");
        let length = self.length();
        let head = FrameHead {
            tag: FRAME_TAG,
            header_length: u32::try_from(length).map_err(too_long)?.into(),
            kind: object.kind as u8,
            dtype: object.geometry.dtype().id(),
            codec: object.codec,
            layout: object.layout as u8,
            rank: u16::try_from(object.geometry.shape().len()).map_err(too_long)?.into(),
            reserved: 0.into(),
            name_length: u32::try_from(object.name.len()).map_err(too_long)?.into(),
            parameters_length: u32::try_from(self.parameters.len()).map_err(too_long)?.into(),
            chunk_elements: object.geometry.chunk_elements().into(),
        };
        let mut out = Vec::with_capacity(length);
        out.extend_from_slice(head.as_bytes());
        out.extend(object.geometry.shape().iter().flat_map(|size| size.to_le_bytes()));
        out.extend_from_slice(object.name.as_bytes());
        out.extend_from_slice(&self.parameters);
        out.extend(self.chunk_crcs.iter().flat_map(|crc| crc.to_le_bytes()));
        out.extend(crc32fast::hash(&out).to_le_bytes());
        Ok(out)
    }

    /// Reads a whole frame header, whose length is that of [`header_length`].
    ///
    /// # Errors
    /// `ChecksumMismatch`, `Corrupt`, `Unsupported` or `LimitExceeded`.
    pub(crate) fn parse(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let mismatch = || Error::corrupt("frame header: length does not match its parts");
        let (covered, crc) = bytes.split_last_chunk().ok_or_else(mismatch)?;
        Error::check_crc(u32::from_le_bytes(*crc), crc32fast::hash(covered))?;
        let (head, rest) = FrameHead::read_from_prefix(covered).map_err(|_| mismatch())?;
        let (shape, rest) = <[U64]>::ref_from_prefix_with_elems(rest, head.rank.get().into())
            .map_err(|_| mismatch())?;
        let name_length = head.name_length.get() as usize;
        let (name, rest) = rest.split_at_checked(name_length).ok_or_else(mismatch)?;
        let parameters_length = head.parameters_length.get() as usize;
        let (parameters, rest) = rest.split_at_checked(parameters_length).ok_or_else(mismatch)?;
        let chunk_crcs = <[U32]>::ref_from_bytes(rest).map_err(|_| mismatch())?;
        if head.reserved != 0 {
            return Err(Error::corrupt("frame header: reserved bytes are not zero"));
        }
        let object = object_from_parts(
            [head.kind, head.dtype, head.codec, head.layout],
            name,
            shape,
            head.chunk_elements.get(),
            limits,
        )?;
        let crcs_expected = match object.layout {
            PayloadLayout::Chunked => 0,
            PayloadLayout::Contiguous => object.geometry.chunk_count(),
        };
        if chunk_crcs.len() as u64 != crcs_expected {
            return Err(mismatch().in_tensor(&object.name));
        }
        Ok(Self {
            object,
            parameters: parameters.to_vec(),
            chunk_crcs: chunk_crcs.iter().map(|crc| crc.get()).collect(),
        })
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
    pub(crate) const BYTES: usize = size_of::<FrameFooter>();

    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut footer = FrameFooter {
            decoded_crc: self.decoded_crc.into(),
            signal: self.signal.into(),
            noise: self.noise.into(),
            crc: 0.into(),
        };
        footer.crc = crc32fast::hash(&footer.as_bytes()[..Self::BYTES - CRC_BYTES]).into();
        zerocopy::transmute!(footer)
    }

    /// # Errors
    /// `ChecksumMismatch`; `Corrupt` for sums of squares that are negative or not finite.
    pub(crate) fn parse(bytes: &[u8; Self::BYTES]) -> Result<Self> {
        let footer: FrameFooter = zerocopy::transmute!(*bytes);
        Error::check_crc(footer.crc.get(), crc32fast::hash(&bytes[..Self::BYTES - CRC_BYTES]))?;
        let (signal, noise) = (footer.signal.get(), footer.noise.get());
        let possible = |sum: f64| sum.is_finite() && sum.is_sign_positive();
        if !(possible(signal) && possible(noise)) {
            return Err(Error::corrupt("frame footer: sum of squares is negative or not finite"));
        }
        Ok(Self { decoded_crc: footer.decoded_crc.get(), signal, noise })
    }
}

/// An object from its fields in the file. `ids` are kind, dtype, codec and layout.
pub(super) fn object_from_parts(
    ids: [u8; 4],
    name: &[u8],
    shape: &[U64],
    chunk_elements: u64,
    limits: &Limits,
) -> Result<Object> {
    let name = std::str::from_utf8(name).map_err(|_| Error::corrupt("name: not UTF-8"))?;
    let [kind, dtype, codec, layout] = ids;
    let object = || {
        let known = Dtype::from_id(dtype);
        let dtype = known.ok_or_else(|| Error::unsupported(format!("dtype {dtype}")))?;
        let shape = shape.iter().map(|size| size.get()).collect();
        let geometry = Geometry::new(dtype, shape, chunk_elements, limits)?;
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
        FrameHeader { object: object.unwrap(), parameters: vec![1, 2, 3], chunk_crcs }
    }

    #[test]
    fn frame_headers_round_trip() {
        for frame in
            [header(PayloadLayout::Chunked, vec![]), header(PayloadLayout::Contiguous, vec![7, 8])]
        {
            let bytes = frame.to_bytes().unwrap();
            let prefix = bytes.first_chunk().unwrap();
            assert_eq!(header_length(prefix, &Limits::tight()).unwrap(), bytes.len());
            assert_eq!(FrameHeader::parse(&bytes, &Limits::tight()).unwrap(), frame);
        }
    }

    #[test]
    fn inconsistent_lengths_and_damage_are_rejected() {
        let bytes = header(PayloadLayout::Contiguous, vec![7]).to_bytes().unwrap();
        let error = FrameHeader::parse(&bytes, &Limits::tight()).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "one CRC for two chunks: {error}");
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(FrameHeader::parse(&damaged, &Limits::tight()).is_err(), "byte {at}");
            assert!(FrameHeader::parse(&bytes[..at], &Limits::tight()).is_err(), "cut at {at}");
        }
    }
}
