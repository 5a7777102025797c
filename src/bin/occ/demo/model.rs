//! A made-up checkpoint with the statistics of a real one, always the same.

use half::bf16;
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufWriter, Result, Write};
use std::path::Path;

const WIDTH: usize = 512;
const HIDDEN: usize = 2048;
const LAYERS: usize = 4;
const VOCABULARY: usize = 15_360;

/// How a matrix is made: Gaussian noise, a few loud columns, and a part of low rank.
struct Recipe {
    /// Standard deviation of the noise.
    sigma: f64,
    /// Every column with this period is an outlier, ten times as loud; 0 for none.
    outlier_period: usize,
    /// Rank of the part that rows have in common, as loud as the noise.
    rank: usize,
}

struct Tensor {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Writes the checkpoint as safetensors.
pub fn write(path: &Path) -> Result<()> {
    let tensors = tensors();
    let mut header = Map::new();
    header.insert("__metadata__".into(), json!({"format": "pt", "made_by": "occ demo"}));
    let mut end = 0;
    for tensor in &tensors {
        let start = end;
        end += tensor.bytes.len();
        let entry =
            json!({"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [start, end]});
        header.insert(tensor.name.clone(), entry);
    }
    let mut header = Value::Object(header).to_string();
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    for tensor in &tensors {
        file.write_all(&tensor.bytes)?;
    }
    file.flush()
}

fn tensors() -> Vec<Tensor> {
    let mut tensors = Vec::new();
    let mut add = |name: String, dtype, shape: &[usize], bytes| {
        tensors.push(Tensor { name, dtype, shape: shape.to_vec(), bytes });
    };
    let embedding = Recipe { sigma: 0.03, outlier_period: 128, rank: 4 };
    let bytes = bf16s(&matrix(0, VOCABULARY, WIDTH, &embedding));
    add("model.embed_tokens.weight".into(), "BF16", &[VOCABULARY, WIDTH], bytes);
    let plain = Recipe { sigma: 0.02, outlier_period: 0, rank: 0 };
    let attention = Recipe { sigma: 0.04, outlier_period: 0, rank: 8 };
    let mlp = Recipe { sigma: 0.02, outlier_period: 171, rank: 2 };
    for layer in 0..LAYERS {
        let parts = [
            ("self_attn.q_proj", WIDTH, WIDTH, &attention),
            ("self_attn.k_proj", WIDTH, WIDTH, &attention),
            ("self_attn.v_proj", WIDTH, WIDTH, &plain),
            ("self_attn.o_proj", WIDTH, WIDTH, &plain),
            ("mlp.up_proj", HIDDEN, WIDTH, &mlp),
            ("mlp.down_proj", WIDTH, HIDDEN, &mlp),
        ];
        for (part, (name, rows, columns, recipe)) in parts.into_iter().enumerate() {
            let seed = (1 + layer * parts.len() + part) as u64;
            let bytes = bf16s(&matrix(seed, rows, columns, recipe));
            add(format!("model.layers.{layer}.{name}.weight"), "BF16", &[rows, columns], bytes);
        }
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            let gains = matrix(1000 + layer as u64, 1, WIDTH, &Recipe { sigma: 0.1, ..plain });
            let gains: Vec<f32> = gains.iter().map(|gain| 1.0 + gain).collect();
            add(format!("model.layers.{layer}.{norm}.weight"), "BF16", &[WIDTH], bf16s(&gains));
        }
    }
    let bytes = f32s(&matrix(2000, WIDTH, WIDTH, &attention));
    add("projector.weight".into(), "F32", &[WIDTH, WIDTH], bytes);
    let positions = (0..WIDTH as i64).flat_map(i64::to_le_bytes).collect();
    add("model.position_ids".into(), "I64", &[1, WIDTH], positions);
    tensors
}

/// Rows are made on their own, each from its own seed, so that threads do not matter.
fn matrix(seed: u64, rows: usize, columns: usize, recipe: &Recipe) -> Vec<f32> {
    let axes: Vec<f64> = {
        let mut random = Gaussian::new(seed << 32 | 0xffff_ffff);
        (0..recipe.rank * columns).map(|_| random.next()).collect()
    };
    let scale = recipe.sigma / (recipe.rank.max(1) as f64).sqrt();
    let row = |row: usize| -> Vec<f32> {
        let mut random = Gaussian::new(seed << 32 | row as u64);
        let coefficients: Vec<f64> = (0..recipe.rank).map(|_| random.next() * scale).collect();
        let noise = (0..columns).map(|_| random.next() * recipe.sigma);
        let mut values: Vec<f64> = noise.collect();
        for (axis, coefficient) in axes.chunks(columns).zip(&coefficients) {
            for (value, x) in values.iter_mut().zip(axis) {
                *value += coefficient * x;
            }
        }
        if recipe.outlier_period > 0 {
            values.iter_mut().step_by(recipe.outlier_period).for_each(|value| *value *= 10.0);
        }
        values.into_iter().map(|value| value as f32).collect()
    };
    (0..rows).into_par_iter().flat_map_iter(row).collect()
}

fn bf16s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect()
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Standard normal numbers by the polar method (Marsaglia, 1964).
struct Gaussian {
    random: fastrand::Rng,
    spare: Option<f64>,
}

impl Gaussian {
    fn new(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), spare: None }
    }

    fn next(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (u, v) = (2.0 * self.random.f64() - 1.0, 2.0 * self.random.f64() - 1.0);
            let square = u * u + v * v;
            if square > 0.0 && square < 1.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.spare = Some(v * factor);
                return u * factor;
            }
        }
    }
}
