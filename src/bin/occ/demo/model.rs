//! A random checkpoint with statistics like those of a trained one, always the same.

use crate::gaussian::Gaussian;
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

/// Every column with this period has large weights in an MLP, and small inputs.
const OUTLIER_PERIOD: usize = 171;

/// Input vectors, and the directions that they have in common.
const INPUTS: usize = 512;
const DIRECTIONS: usize = 64;

/// Parameters of a matrix: Gaussian noise, a low-rank part and columns with large RMS.
struct MatrixParameters {
    /// Standard deviation of the noise, and of the low-rank part.
    sigma: f64,
    /// Every column with this period is multiplied by 10; 0 for none.
    outlier_period: usize,
    /// Rank of the low-rank part.
    rank: usize,
}

struct DemoTensor {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

/// Writes the checkpoint as safetensors.
pub fn write(path: &Path) -> Result<()> {
    write_tensors(path, json!({"format": "pt", "made_by": "occ demo"}), &tensors())
}

/// Writes random inputs of the checkpoint's matrices as statistics.
pub fn write_inputs(path: &Path) -> Result<()> {
    let (mut tensors, mut share) = (Vec::new(), Map::new());
    for layer in 0..LAYERS {
        let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
        let of_parts = [
            ("self_attn.q_proj", WIDTH, 0),
            ("self_attn.o_proj", WIDTH, 0),
            ("mlp.up_proj", WIDTH, OUTLIER_PERIOD),
            ("mlp.down_proj", HIDDEN, OUTLIER_PERIOD),
        ];
        for (part, (reader, width, period)) in of_parts.into_iter().enumerate() {
            let seed = (3000 + layer * of_parts.len() + part) as u64;
            let bytes = f32s(&inputs(seed, width, period));
            let name = name(reader) + ".inputs";
            tensors.push(DemoTensor { name, dtype: "F32", shape: vec![INPUTS, width], bytes });
        }
        for reader in ["self_attn.k_proj", "self_attn.v_proj"] {
            share.insert(name(reader), name("self_attn.q_proj").into());
        }
    }
    write_tensors(path, json!({"share": Value::Object(share).to_string()}), &tensors)
}

fn write_tensors(path: &Path, metadata: Value, tensors: &[DemoTensor]) -> Result<()> {
    let mut header = Map::new();
    header.insert("__metadata__".into(), metadata);
    let mut end = 0;
    for tensor in tensors {
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
    for tensor in tensors {
        file.write_all(&tensor.bytes)?;
    }
    file.flush()
}

fn tensors() -> Vec<DemoTensor> {
    let mut tensors = Vec::new();
    let mut add = |name: String, dtype, shape: &[usize], bytes| {
        tensors.push(DemoTensor { name, dtype, shape: shape.to_vec(), bytes });
    };
    let embedding = MatrixParameters { sigma: 0.03, outlier_period: 128, rank: 4 };
    let bytes = bf16s(&matrix(0, VOCABULARY, WIDTH, &embedding));
    add("model.embed_tokens.weight".into(), "BF16", &[VOCABULARY, WIDTH], bytes);
    let plain = MatrixParameters { sigma: 0.02, outlier_period: 0, rank: 0 };
    let attention = MatrixParameters { sigma: 0.04, outlier_period: 0, rank: 8 };
    let mlp = MatrixParameters { sigma: 0.02, outlier_period: OUTLIER_PERIOD, rank: 2 };
    for layer in 0..LAYERS {
        let parts = [
            ("self_attn.q_proj", WIDTH, WIDTH, &attention),
            ("self_attn.k_proj", WIDTH, WIDTH, &attention),
            ("self_attn.v_proj", WIDTH, WIDTH, &plain),
            ("self_attn.o_proj", WIDTH, WIDTH, &plain),
            ("mlp.up_proj", HIDDEN, WIDTH, &mlp),
            ("mlp.down_proj", WIDTH, HIDDEN, &mlp),
        ];
        for (part, (name, rows, columns, parameters)) in parts.into_iter().enumerate() {
            let seed = (1 + layer * parts.len() + part) as u64;
            let bytes = bf16s(&matrix(seed, rows, columns, parameters));
            add(format!("model.layers.{layer}.{name}.weight"), "BF16", &[rows, columns], bytes);
        }
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            let gains =
                matrix(1000 + layer as u64, 1, WIDTH, &MatrixParameters { sigma: 0.1, ..plain });
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

/// Every row has its own seed, so that the result does not depend on the number of threads.
fn matrix(seed: u64, rows: usize, columns: usize, parameters: &MatrixParameters) -> Vec<f32> {
    let basis: Vec<f64> = {
        let mut random = Gaussian::with_seed(seed << 32 | 0xffff_ffff);
        (0..parameters.rank * columns).map(|_| random.next()).collect()
    };
    let scale = parameters.sigma / (parameters.rank.max(1) as f64).sqrt();
    let row = |row: usize| -> Vec<f32> {
        let mut random = Gaussian::with_seed(seed << 32 | row as u64);
        let coefficients: Vec<f64> = (0..parameters.rank).map(|_| random.next() * scale).collect();
        let noise = (0..columns).map(|_| random.next() * parameters.sigma);
        let mut values: Vec<f64> = noise.collect();
        for (vector, coefficient) in basis.chunks(columns).zip(&coefficients) {
            for (value, x) in values.iter_mut().zip(vector) {
                *value += coefficient * x;
            }
        }
        if parameters.outlier_period > 0 {
            values.iter_mut().step_by(parameters.outlier_period).for_each(|value| *value *= 10.0);
        }
        values.into_iter().map(|value| value as f32).collect()
    };
    (0..rows).into_par_iter().flat_map_iter(row).collect()
}

/// Input vectors, by row: noise, and directions whose variance falls with their rank.
fn inputs(seed: u64, columns: usize, small_period: usize) -> Vec<f32> {
    let mut random = Gaussian::with_seed(seed << 32 | 0xffff_ffff);
    let basis: Vec<f64> = (0..DIRECTIONS * columns).map(|_| random.next()).collect();
    let row = |row: usize| -> Vec<f32> {
        let mut random = Gaussian::with_seed(seed << 32 | row as u64);
        let mut values: Vec<f64> = (0..columns).map(|_| random.next()).collect();
        for (rank, vector) in basis.chunks(columns).enumerate() {
            let coefficient = 2.0 * random.next() / (rank + 1) as f64;
            values.iter_mut().zip(vector).for_each(|(value, x)| *value += coefficient * x);
        }
        if small_period > 0 {
            values.iter_mut().step_by(small_period).for_each(|value| *value *= 0.1);
        }
        values.into_iter().map(|value| value as f32).collect()
    };
    (0..INPUTS).into_par_iter().flat_map_iter(row).collect()
}

fn bf16s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect()
}

fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
