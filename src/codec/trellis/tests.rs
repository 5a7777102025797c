//! Whole tensors, coded and decoded.

use super::*;
use crate::arch::Kernel;
use crate::codec::Scratch;
use crate::coordinates::BlockTransform;
use crate::dtype::Dtype;
use crate::dtype::number;
use crate::error::Result;
use std::ops::Range;

/// A matrix in memory.
struct Matrix {
    columns: usize,
    values: Vec<f32>,
}

impl Rows for Matrix {
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

/// Independent normal numbers, by the inverse of nothing: sums of twelve uniform ones would have
/// no tails, so pairs by Box and Muller (1958).
fn gaussian(rows: usize, columns: usize) -> Matrix {
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
    Matrix { columns, values }
}

const PLAIN: TransformChoice =
    TransformChoice { transform: BlockTransform::IDENTITY, mean: false, rank: 0 };

fn effort(states_log2: u32) -> Effort {
    Effort { states_log2, passes: 4, sample: 1 << 17 }
}

/// Bits a weight, parameters included, and mean squared error, of a matrix coded as F32 and
/// decoded again.
fn coded(matrix: &Matrix, choice: TransformChoice, step: f32, effort: Effort) -> (f64, f64) {
    let study = TransformSearch::new(matrix, Scaling::default(), effort.sample).unwrap();
    let fitted = study.fit(choice).unwrap().unwrap();
    let encoder = fitted.encoder(Dtype::F32, step, effort, 0.0).unwrap();
    let mut bytes = vec![0; matrix.values.len() * 4];
    number::from_f32(Kernel::best(), Dtype::F32, &matrix.values, &mut bytes);
    let decoder = Decoder::new(Dtype::F32, encoder.parameters()).unwrap();
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

#[test]
#[ignore = "prints a table"]
fn gaussian_table() {
    let matrix = gaussian(1024, 4096);
    for states_log2 in [0, 3, 8] {
        for step in [0.95, 0.49, 0.256, 0.130, 0.033, 0.0082] {
            let step = if states_log2 == 0 { 2.0 * step } else { step };
            let start = std::time::Instant::now();
            let (bits, noise) = coded(&matrix, PLAIN, step, effort(states_log2));
            let seconds = start.elapsed().as_secs_f64();
            println!(
                "{:4} states: {bits:.3} b/w, D {noise:.6}, above Shannon {:.4}, {:.1} Mw/s",
                1 << states_log2,
                bits + 0.5 * noise.log2(),
                4.19 / seconds
            );
        }
    }
}
