//! Decoding of the codec `deflate`: a chunk is a DEFLATE stream (RFC 1951).

use crate::error::{Error, Result};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

/// Decodes a chunk into `out`, whose length is the chunk's decoded length.
///
/// # Errors
/// `Corrupt` unless `coded` is one whole stream of that many bytes.
pub(super) fn decode(coded: &[u8], out: &mut [u8]) -> Result<()> {
    let mut state = Box::<DecompressorOxide>::default();
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    match decompress(&mut state, coded, out, 0, flags) {
        (TINFLStatus::Done, read, written) if (read, written) == (coded.len(), out.len()) => Ok(()),
        _ => Err(Error::corrupt("deflate chunk: not a DEFLATE stream of the chunk's length")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::compress_to_vec;

    #[test]
    fn streams_of_the_right_length_are_decoded() {
        let text = b"\"shape\":[32,32],\"shape\":[32,64],".repeat(20);
        let coded = compress_to_vec(&text, 6);
        let mut out = vec![0; text.len()];
        decode(&coded, &mut out).unwrap();
        assert!(out == text && coded.len() < text.len() / 5);
        for length in [0, text.len() - 1, text.len() + 1] {
            assert!(decode(&coded, &mut vec![0; length]).is_err(), "{length}");
        }
        for length in 0..coded.len() {
            assert!(decode(&coded[..length], &mut out).is_err(), "{length}");
        }
        assert!(decode(&[&coded[..], &[0]].concat(), &mut out).is_err());
        decode(&compress_to_vec(&[], 6), &mut []).unwrap();
    }
}
