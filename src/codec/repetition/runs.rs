//! Runs of new rows and of copies.

use crate::error::{Error, Result};
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

/// The length of a row, and the codec of the rows that are not copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// Bytes of a row; the last one of a chunk may be shorter.
    pub(crate) bytes: u32,
    pub(crate) codec: u8,
}

/// Bytes of a run: new rows, copies, and the row that the first of these is a copy of.
pub(super) const RUN_BYTES: usize = 3 * size_of::<u32>();

/// The runs of a chunk.
pub(crate) struct Runs<'c> {
    row: usize,
    runs: &'c [[U32; 3]],
    /// Bytes of the rows that are not copies.
    pub(crate) distinct: usize,
    /// The rest of the chunk: those rows, coded.
    pub(crate) coded: &'c [u8],
}

impl Rows {
    /// Reads the head of the parameters; the parameters of the other codec follow.
    ///
    /// # Errors
    /// `Truncated`; `Corrupt` for rows without bytes.
    pub(crate) fn read(parameters: &[u8]) -> Result<(Self, &[u8])> {
        let (&[b0, b1, b2, b3, codec], rest) =
            parameters.split_first_chunk().ok_or_else(Error::truncated)?;
        match u32::from_le_bytes([b0, b1, b2, b3]) {
            0 => Err(Error::corrupt("repetition: rows without bytes")),
            bytes => Ok((Self { bytes, codec }, rest)),
        }
    }

    /// Reads and checks the runs of a chunk of `length` decoded bytes.
    ///
    /// # Errors
    /// `Truncated`; `Corrupt` for runs that do not have as many rows, or copies of rows that are not
    /// earlier.
    pub(crate) fn runs<'c>(&self, coded: &'c [u8], length: usize) -> Result<Runs<'c>> {
        let bad = || Error::corrupt("repetition: runs do not fit the chunk");
        let (count, rest) = coded.split_first_chunk().ok_or_else(Error::truncated)?;
        let count = u32::from_le_bytes(*count) as usize;
        let bytes = count.checked_mul(RUN_BYTES).ok_or_else(bad)?;
        let (runs, coded) = rest.split_at_checked(bytes).ok_or_else(Error::truncated)?;
        let runs = <[[U32; 3]]>::ref_from_bytes(runs).map_err(|_| bad())?;
        let row = self.bytes as usize;
        let (mut at, mut copies) = (0u64, 0u64);
        for [new, copied, source] in runs {
            let [new, copied, source] = [new, copied, source].map(|number| u64::from(number.get()));
            at += new;
            if copied > 0 && source >= at {
                return Err(bad());
            }
            at += copied;
            copies += copied;
        }
        // Only whole rows are copied: a shorter one is the last, and new.
        let whole = (length / row) as u64;
        let last_is_new = runs.last().is_none_or(|[_, copied, _]| copied.get() == 0);
        if at != length.div_ceil(row) as u64 || copies > whole || at > whole && !last_is_new {
            return Err(bad());
        }
        // At most the length of the chunk.
        let distinct = length - copies as usize * row;
        Ok(Runs { row, runs, distinct, coded })
    }
}

impl Runs<'_> {
    /// Writes the chunk, given the rows that are not copies. O(bytes).
    pub(crate) fn expand(&self, mut distinct: &[u8], out: &mut [u8]) {
        let mut at = 0;
        for run in self.runs {
            let [new, copied, source] = run.map(|number| number.get() as usize * self.row);
            let length = new.min(distinct.len());
            let (rows, rest) = distinct.split_at(length);
            out[at..at + length].copy_from_slice(rows);
            (distinct, at) = (rest, at + length);
            // Copies may overlap: a single row may be repeated.
            for start in (source..source + copied).step_by(self.row) {
                out.copy_within(start..start + self.row, at);
                at += self.row;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunk(runs: &[[u32; 3]]) -> Vec<u8> {
        let mut out = (runs.len() as u32).to_le_bytes().to_vec();
        out.extend(runs.iter().flatten().flat_map(|number| number.to_le_bytes()));
        out
    }

    fn expanded(runs: &[[u32; 3]], row: u32, distinct: &[u8], length: usize) -> Option<Vec<u8>> {
        let chunk = chunk(runs);
        let runs = Rows { bytes: row, codec: 0 }.runs(&chunk, length).ok()?;
        assert_eq!(runs.distinct, distinct.len());
        let mut out = vec![0xee; length];
        runs.expand(distinct, &mut out);
        Some(out)
    }

    #[test]
    fn known_runs() {
        let out = expanded(&[[2, 3, 1], [0, 2, 0], [1, 0, 0]], 2, b"abcdef", 16);
        assert_eq!(out.unwrap(), b"abcdcdcdcdabcdef");
        // The last row is shorter.
        assert_eq!(expanded(&[[1, 1, 0], [1, 0, 0]], 3, b"abcd", 7).unwrap(), b"abcabcd");
        assert_eq!(expanded(&[], 3, b"", 0).unwrap(), b"");
    }

    #[test]
    fn runs_that_do_not_fit_are_rejected() {
        let fits = |runs: &[[u32; 3]], length| {
            Rows { bytes: 3, codec: 0 }.runs(&chunk(runs), length).is_ok()
        };
        assert!(fits(&[[1, 1, 0]], 6));
        for (runs, length) in [
            (&[[1, 1, 1]][..], 6),
            (&[[0, 2, 0]], 6),
            (&[[1, 2, 0]], 6),
            (&[[1, 1, 0]], 9),
            // A copy of a row that is not whole.
            (&[[1, 1, 0]], 5),
            (&[[u32::MAX, u32::MAX, 0]], 6),
            (&[], 6),
        ] {
            assert!(!fits(runs, length), "{runs:?} {length}");
        }
        assert!(Rows { bytes: 3, codec: 0 }.runs(&chunk(&[[1, 1, 0]])[..15], 6).is_err());
        assert!(Rows::read(&[0, 0, 0, 0, 1]).is_err() && Rows::read(&[1, 0, 0, 0]).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_runs_never_panic(
            runs in prop::collection::vec(prop::array::uniform3(0u32..6), 0..6),
            row in 1u32..5,
            length in 0usize..80,
        ) {
            let chunk = chunk(&runs);
            if let Ok(runs) = (Rows { bytes: row, codec: 0 }).runs(&chunk, length) {
                let distinct: Vec<u8> = (0..runs.distinct as u8).collect();
                let mut out = vec![0xee; length];
                runs.expand(&distinct, &mut out);
                prop_assert!(!out.contains(&0xee), "all bytes are written");
            }
        }
    }
}
