//! An encoded chunk and the buffers of its encoder.

use zerocopy::little_endian::U16;

/// An encoded chunk and the error of its decoded values.
pub(crate) struct EncodedChunk {
    pub(crate) bytes: Vec<u8>,
    /// CRC32 of the decoded bytes.
    pub(crate) decoded_crc: u32,
    /// Zero for a lossless codec.
    pub(crate) squared_error: SquaredError,
}

/// Sums of squares over finite elements.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SquaredError {
    /// Sum of the squares of the original elements.
    pub(crate) signal: f64,
    /// Sum of the squared differences between original and decoded elements.
    pub(crate) noise: f64,
}

impl SquaredError {
    pub(crate) fn add(&mut self, other: Self) {
        self.signal += other.signal;
        self.noise += other.noise;
    }

    /// ‖W − Ŵ‖ ÷ ‖W‖; 0 without noise.
    pub(crate) fn rel_error(self) -> f64 {
        if self.noise > 0.0 { (self.noise / self.signal).sqrt() } else { 0.0 }
    }

    /// 20 · log10(‖W‖ ÷ ‖W − Ŵ‖) in decibels; `None` without noise.
    pub(crate) fn snr_db(self) -> Option<f64> {
        (self.noise > 0.0).then(|| 10.0 * (self.signal / self.noise).log10())
    }
}

/// Buffers of an encoder that are reused from chunk to chunk: allocating them for each chunk takes
/// longer than filling them.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(super) symbols: Vec<u8>,
    pub(super) words: Vec<U16>,
    /// The buffer that the next chunk is encoded into.
    pub(crate) out: Vec<u8>,
}

impl Scratch {
    /// An empty output buffer.
    pub(super) fn take_out(&mut self) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        out
    }
}
