//! Finding rows that repeat.

use super::runs::{RUN_BYTES, Rows};
use std::collections::HashMap;

/// A chunk without copies of rows.
pub(crate) struct Distinct {
    /// The number of runs and the runs, as the format stores them.
    pub(crate) runs: Vec<u8>,
    /// The rows that are not copies.
    pub(crate) rows: Vec<u8>,
}

/// Splits a chunk into runs of new rows and of copies. O(bytes).
pub(crate) fn distinct(rows: Rows, chunk: &[u8]) -> Distinct {
    let row = rows.bytes as usize;
    let mut first: HashMap<&[u8], u32> = HashMap::new();
    // The first row that equals each row.
    let equal: Vec<u32> = (0u32..)
        .zip(chunk.chunks(row))
        .map(|(number, bytes)| match bytes.len() == row {
            true => *first.entry(bytes).or_insert(number),
            false => number,
        })
        .collect();
    let mut runs: Vec<[u32; 3]> = vec![[0; 3]];
    let mut distinct = Vec::with_capacity(chunk.len());
    for (number, (&earlier, bytes)) in equal.iter().zip(chunk.chunks(row)).enumerate() {
        let last = runs.len() - 1;
        let [new, copied, source] = &mut runs[last];
        if earlier as usize == number {
            distinct.extend_from_slice(bytes);
            match *copied {
                0 => *new += 1,
                _ => runs.push([1, 0, 0]),
            }
        } else if *copied > 0 && equal[(*source + *copied) as usize] == earlier {
            *copied += 1;
        } else {
            // The row before is a copy that a run of equal rows can go on from.
            let from = if equal[number - 1] == earlier { number as u32 - 1 } else { earlier };
            match *copied {
                0 => (*copied, *source) = (1, from),
                _ => runs.push([0, 1, from]),
            }
        }
    }
    let mut bytes = Vec::with_capacity(size_of::<u32>() + RUN_BYTES * runs.len());
    bytes.extend((runs.len() as u32).to_le_bytes());
    bytes.extend(runs.iter().flatten().flat_map(|number| number.to_le_bytes()));
    Distinct { runs: bytes, rows: distinct }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(row: u32, chunk: &[u8]) -> (usize, usize) {
        let rows = Rows { bytes: row, codec: 0 };
        let Distinct { runs, rows: distinct } = distinct(rows, chunk);
        let parsed = rows.runs(&runs, chunk.len()).unwrap();
        assert_eq!(parsed.distinct, distinct.len());
        let mut out = vec![0xee; chunk.len()];
        parsed.expand(&distinct, &mut out);
        assert!(out == chunk);
        ((runs.len() - 4) / RUN_BYTES, distinct.len() / row as usize)
    }

    #[test]
    fn few_runs_describe_regular_repetition() {
        // One row only; two alternating; a block twice; zeros at the end.
        assert_eq!(round_trip(2, &[7; 40]), (1, 1));
        assert_eq!(round_trip(1, &b"ab".repeat(20)), (1, 2));
        assert_eq!(round_trip(3, &b"abcdefghi".repeat(2)), (1, 3));
        assert_eq!(round_trip(2, &[b"abcdef".as_slice(), &[0; 30]].concat()), (1, 4));
        assert_eq!(round_trip(2, b""), (1, 0));
    }

    proptest! {
        #[test]
        fn any_chunk_round_trips(
            bytes in prop::collection::vec(0u8..3, 0..200), row in 1u32..4
        ) {
            round_trip(row, &bytes);
        }
    }
}
