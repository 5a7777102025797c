//! Round trips of whole tensors.

use super::*;
use crate::arch::Kernel;
use crate::codec::Scratch;
use crate::codec::trellis::TrellisDecoder;
use crate::codec::trellis::WriterNotes;
use crate::coordinates::BlockTransform;
use crate::dtype::{Dtype, number};
use crate::error::Result;
use crate::limits::Limits;
use std::ops::Range;

/// A matrix in memory.
struct MatrixInMemory {
    columns: usize,
    values: Vec<f32>,
}

impl Rows for MatrixInMemory {
    fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn read(&self, rows: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        out.extend_from_slice(&self.values[rows.start * self.columns..rows.end * self.columns]);
        Ok(())
    }
}

/// Independent standard normal numbers (Box and Muller, 1958).
fn gaussian(rows: usize, columns: usize) -> MatrixInMemory {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut uniform = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = state;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    let values = (0..rows * columns)
        .map(|_| {
            let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
            (radius * (std::f64::consts::TAU * uniform()).cos()) as f32
        })
        .collect();
    MatrixInMemory { columns, values }
}

const UNTRANSFORMED: TransformChoice =
    TransformChoice { transform: BlockTransform::IDENTITY, mean: false, rank: 0 };

fn effort(states_log2: u32) -> Effort {
    Effort { states_log2, passes: 4, sample: 1 << 17 }
}

/// Bits per weight, parameters included, and mean squared error of a matrix of `f32` after a round
/// trip.
fn round_trip(
    matrix: &MatrixInMemory,
    choice: TransformChoice,
    step: f32,
    effort: Effort,
) -> (f64, f64) {
    let search = TransformSearch::new(matrix, &Scaling::default(), None, effort.sample).unwrap();
    let candidate = search.fit(choice).unwrap().unwrap();
    let encoder =
        candidate.encoder(Dtype::F32, step, effort, WriterNotes::default(), None).unwrap();
    let mut bytes = vec![0; matrix.values.len() * 4];
    number::from_f32(Kernel::best(), Dtype::F32, &matrix.values, &mut bytes);
    let decoder =
        TrellisDecoder::new(Dtype::F32, encoder.parameters(), &Limits::default()).unwrap();
    let (mut length, mut noise) = (encoder.parameters().len(), 0.0);
    let rows = (1 << 18) / matrix.columns;
    for (number, chunk) in bytes.chunks(rows * matrix.columns * 4).enumerate() {
        let encoded = encoder
            .encode((number * rows * matrix.columns) as u64, chunk, &mut Scratch::default())
            .unwrap();
        let mut back = vec![0x5a; chunk.len()];
        decoder.decode(&encoded.bytes, &mut back).unwrap();
        assert_eq!(crc32fast::hash(&back), encoded.decoded_crc);
        length += encoded.bytes.len();
        noise += encoded.squared_error.noise;
    }
    let weights = matrix.values.len() as f64;
    (length as f64 * 8.0 / weights, noise / weights)
}

/// D · 4^R of a Gaussian source is 1 at Shannon's limit (1959); its logarithm is the loss in bits.
#[test]
fn gaussian_rates_are_near_the_shannon_limit() {
    let matrix = gaussian(256, 1024);
    for (states_log2, step, max_loss) in [(0, 0.98, 0.28), (3, 0.49, 0.18), (3, 0.13, 0.18)] {
        let (bits, noise) = round_trip(&matrix, UNTRANSFORMED, step, effort(states_log2));
        let loss = bits + 0.5 * noise.log2();
        assert!((0.0..max_loss).contains(&loss), "{states_log2} {step}: {loss}");
    }
}

/// Planning and encoding call the search in different orders.
#[test]
fn candidates_do_not_depend_on_earlier_calls() {
    let mut matrix = gaussian(512, 192);
    for (row, values) in matrix.values.chunks_exact_mut(192).enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            *value += 3.0 * (((row * 7) % 13) as f32 - 6.0) * ((column % 5) as f32 - 2.0);
        }
    }
    let parameters = |search: &TransformSearch<'_>, rank| {
        let choice = TransformChoice { mean: true, rank, ..UNTRANSFORMED };
        let candidate = search.fit(choice).unwrap().unwrap();
        candidate
            .encoder(Dtype::F32, 0.5, effort(0), WriterNotes::default(), None)
            .unwrap()
            .parameters()
            .to_vec()
    };
    let search = || TransformSearch::new(&matrix, &Scaling::default(), None, 1 << 14).unwrap();
    let planned = search();
    let (_, rank) = planned.worthwhile(48).unwrap();
    assert!((1..32).contains(&rank), "{rank}");
    for rank in [rank, 40] {
        assert_eq!(parameters(&planned, rank), parameters(&search(), rank), "{rank}");
    }
}
