//! What a file says about the work of its writer.

use crate::codec::entropy::BitReader;
#[cfg(feature = "encode")]
use crate::codec::entropy::BitWriter;
use crate::error::Result;
use crate::statistics_kind::StatisticsKind as Kind;

/// What a file says about the work of its writer. Decoding does not depend on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WriterNotes {
    /// The estimated gain of the coordinates over the identity, in bits per weight.
    pub(crate) gain: f64,
    /// The statistics that the tensor was coded with: of its inputs, then of its outputs.
    pub(crate) statistics: Vec<Kind>,
}

/// The unit of the stored gain, and its largest magnitude in this unit.
const GAIN_UNIT: f64 = 1.0 / 128.0;
#[cfg(feature = "encode")]
const MAX_GAIN: f64 = 1023.0;

/// Kinds of statistics of inputs and of outputs, by their number from 1 on. Other numbers are those of
/// kinds that are not known yet.
const OF_INPUTS: [Kind; 4] = [Kind::Gram, Kind::Inputs, Kind::Diag, Kind::ImportanceMatrix];
const OF_OUTPUTS: [Kind; 2] = [Kind::Rows, Kind::Counts];

impl WriterNotes {
    /// # Errors
    /// `Truncated`.
    pub(super) fn read(input: &mut BitReader<'_>) -> Result<Self> {
        let gain = input.take(11)?;
        let (inputs, outputs) = (input.take(3)? as usize, input.take(2)? as usize);
        // Two's complement.
        let gain = f64::from(gain) - if gain >= 1 << 10 { f64::from(1 << 11) } else { 0.0 };
        let kind = |kinds: &[Kind], number: usize| kinds.get(number.checked_sub(1)?).copied();
        let statistics = [kind(&OF_INPUTS, inputs), kind(&OF_OUTPUTS, outputs)];
        Ok(Self { gain: gain * GAIN_UNIT, statistics: statistics.into_iter().flatten().collect() })
    }

    #[cfg(feature = "encode")]
    pub(super) fn write(&self, out: &mut BitWriter) {
        // Not a number becomes 0.
        let gain = (self.gain / GAIN_UNIT).round().clamp(-MAX_GAIN, MAX_GAIN) as i32;
        out.put(gain as u32 & 0x7ff, 11);
        let number = |kinds: &[Kind]| {
            let found = kinds.iter().position(|kind| self.statistics.contains(kind));
            found.map_or(0, |at| at as u32 + 1)
        };
        out.put(number(&OF_INPUTS), 3);
        out.put(number(&OF_OUTPUTS), 2);
    }
}

#[cfg(all(test, feature = "encode"))]
mod tests {
    use super::*;

    fn round_trip(notes: &WriterNotes) -> WriterNotes {
        let mut out = BitWriter::default();
        notes.write(&mut out);
        let bytes = out.finish();
        assert_eq!(bytes.len(), 2);
        WriterNotes::read(&mut BitReader::new(&bytes)).unwrap()
    }

    #[test]
    fn notes_are_read_as_they_were_written() {
        let inputs = OF_INPUTS.into_iter().map(Some).chain([None]);
        for inputs in inputs {
            for outputs in OF_OUTPUTS.into_iter().map(Some).chain([None]) {
                for gain in [0.0, 0.25, -1.5, 7.9921875, -7.9921875] {
                    let statistics = [inputs, outputs].into_iter().flatten().collect();
                    let notes = WriterNotes { gain, statistics };
                    assert_eq!(round_trip(&notes), notes);
                }
            }
        }
    }

    #[test]
    fn gains_are_limited() {
        let gain = |gain| round_trip(&WriterNotes { gain, statistics: Vec::new() }).gain;
        assert_eq!((gain(100.0), gain(-1e300)), (7.9921875, -7.9921875));
        assert_eq!((gain(f64::NAN), gain(f64::INFINITY)), (0.0, 7.9921875));
    }

    #[test]
    fn unknown_kinds_are_left_out() {
        let notes = WriterNotes::read(&mut BitReader::new(&[0x00, 0xf8])).unwrap();
        assert_eq!(notes, WriterNotes::default());
    }
}
