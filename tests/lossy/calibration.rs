//! Calibrated coding: errors counted in outputs, with statistics of inputs and outputs.

use crate::common::{Random, Sample, assert_valid, f32_sample, lossy, safetensors};
use occ::convert::Checkpoint;
use occ::{
    Calibration, ColumnScales, CompareOptions, Dtype, Encoding, Error, Plan, Reader, RowScales,
    StatisticsKind, WriteOptions, Writer,
};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const ROWS: usize = 160;
const COLUMNS: usize = 96;

fn weights(name: &str, rows: usize, columns: usize, seed: u64) -> Sample {
    let mut random = Random(seed);
    let values: Vec<f32> = (0..rows * columns).map(|_| random.weight()).collect();
    f32_sample(name, &[rows, columns], &values)
}

/// Input vectors in a few directions, of very different sizes in different columns.
fn inputs(vectors: usize, columns: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    let directions: Vec<f32> = (0..8 * columns).map(|_| random.weight()).collect();
    let mut all = Vec::new();
    for _ in 0..vectors {
        let parts: Vec<f32> = (0..8).map(|_| 50.0 * random.weight()).collect();
        for column in 0..columns {
            let common: f32 = (0..8).map(|k| parts[k] * directions[k * columns + column]).sum();
            let size = if column % 31 == 7 { 40.0 } else { 1.0 };
            all.push(size * (common + 0.2 * random.weight()));
        }
    }
    all
}

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// The second moment of input vectors.
fn gram(inputs: &[f32], columns: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; columns * columns];
    for vector in inputs.chunks_exact(columns) {
        for (i, a) in vector.iter().enumerate() {
            for (j, b) in vector.iter().enumerate() {
                sums[i * columns + j] += f64::from(*a) * f64::from(*b);
            }
        }
    }
    let vectors = (inputs.len() / columns) as f64;
    sums.iter().map(|sum| (sum / vectors) as f32).collect()
}

fn with(entries: &[(&str, &[usize], &[f32])]) -> Arc<Calibration> {
    let mut calibration = Calibration::default();
    for (name, shape, numbers) in entries {
        calibration.add(name, Dtype::F32, shape, bytes(numbers)).unwrap();
    }
    Arc::new(calibration)
}

/// ‖(W − Ŵ) Xᵀ‖ ÷ ‖W Xᵀ‖ for the only tensor, and the bits per weight of the file.
fn output_error(sample: &Sample, encoding: &Encoding, inputs: &[f32]) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let columns = *sample.shape.last().unwrap();
    let name = format!("{}.inputs", sample.name);
    let shape = [inputs.len() / columns, columns];
    fs::write(path("a"), safetensors(std::slice::from_ref(sample))).unwrap();
    fs::write(path("x"), safetensors(&[f32_sample(&name, &shape, inputs)])).unwrap();
    let file = lossy::coded(sample, encoding, WriteOptions::default());
    assert_valid(&file);
    fs::write(path("b"), &file).unwrap();
    let options = CompareOptions::default().inputs(path("x"));
    let comparison = occ::compare(path("a"), path("b"), &options, None).unwrap();
    let bits = 8.0 * file.len() as f64 / (sample.bytes.len() / 4) as f64;
    (comparison.tensors[0].operator.unwrap().rel_error, bits)
}

/// Each kind of statistics reduces the error of outputs at equal bits. The inputs that measure the
/// error are not those of the statistics.
#[test]
fn statistics_reduce_the_error_of_outputs() {
    let sample = weights("w", ROWS, COLUMNS, 1);
    let all = inputs(1400, COLUMNS, 2);
    let (seen, other) = all.split_at(700 * COLUMNS);
    let moment = gram(seen, COLUMNS);
    let diagonal: Vec<f32> = moment.iter().step_by(COLUMNS + 1).copied().collect();
    for effort in [1, 5] {
        let error = |entry: Option<(&str, &[usize], &[f32])>| {
            let mut encoding = Encoding::bits(4.0).effort(effort);
            if let Some(entry) = entry {
                encoding = encoding.calibration(with(&[entry]));
            }
            let (error, bits) = output_error(&sample, &encoding, other);
            assert!(bits < 4.2, "{bits}");
            error
        };
        let plain = error(None);
        let diagonal = error(Some(("w.diag", &[COLUMNS], &diagonal)));
        let full = error(Some(("w.gram", &[COLUMNS, COLUMNS], &moment)));
        let vectors = error(Some(("w.inputs", &[700, COLUMNS], seen)));
        assert!(diagonal < 0.5 * plain, "effort {effort}: {diagonal} {plain}");
        assert!(full < 0.8 * diagonal, "effort {effort}: {full} {diagonal}");
        assert!((vectors / full - 1.0).abs() < 0.05, "effort {effort}: {vectors} {full}");
    }
}

/// The bound on the error of outputs holds for the inputs of the statistics and is nearly reached.
#[test]
fn errors_of_outputs_keep_to_their_bound() {
    let vectors = inputs(500, COLUMNS, 60);
    let moment = gram(&vectors, COLUMNS);
    let calibration = with(&[("w.gram", &[COLUMNS, COLUMNS], &moment)]);
    for (bound, effort) in [(0.2, 5), (0.003, 1)] {
        let sample = weights("w", 2 * ROWS, COLUMNS, 61);
        let encoding = Encoding::output_error(bound).effort(effort);
        let encoding = encoding.calibration(Arc::clone(&calibration));
        let (error, _) = output_error(&sample, &encoding, &vectors);
        assert!((0.95 * bound..=bound).contains(&error), "{bound}: {error}");
    }
    let sample = weights("w", ROWS, COLUMNS, 61);
    let error = Plan::of(&sample.source(), &Encoding::output_error(0.1)).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
}

/// The rows with the largest weights have the smallest errors: scales are fourth roots.
#[test]
fn errors_of_outputs_follow_the_weights_of_rows() {
    let sample = weights("w", ROWS, COLUMNS, 3);
    let rows: Vec<f32> = (0..ROWS).map(|row| if row % 2 == 0 { 64.0 } else { 1.0 }).collect();
    let encoding = Encoding::bits(4.0).calibration(with(&[("w.rows", &[ROWS], &rows)]));
    let file = lossy::coded(&sample, &encoding, WriteOptions::default());
    let reader = Reader::new(&file).unwrap();
    let decoded = reader.tensor("w").unwrap().decode_vec::<f32>().unwrap();
    let mut errors = [0.0; 2];
    for (at, (a, b)) in sample.bytes.chunks(4).zip(&decoded).enumerate() {
        let a = f32::from_le_bytes(a.try_into().unwrap());
        errors[at / COLUMNS % 2] += f64::from(a - b).powi(2);
    }
    let ratio = errors[1] / errors[0];
    assert!((6.0..10.0).contains(&ratio), "{ratio}");
}

fn checkpoint(folder: &Path, samples: &[Sample]) -> Checkpoint {
    let path = folder.join("model.safetensors");
    fs::write(&path, safetensors(samples)).unwrap();
    Checkpoint::open(path).unwrap()
}

fn encoded(checkpoint: &Checkpoint, plan: &Plan) -> occ::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, WriteOptions::default())?;
    checkpoint.write_planned(&mut writer, plan, None)?;
    writer.finish()?;
    Ok(file)
}

/// Tensors with a second moment, with a shared one, with weights of rows, and with nothing.
fn model() -> (Vec<Sample>, Calibration) {
    let samples = vec![
        weights("embed_tokens.weight", 320, COLUMNS, 10),
        weights("a.q_proj.weight", ROWS, COLUMNS, 11),
        weights("a.k_proj.weight", 64, COLUMNS, 12),
        weights("b.weight", ROWS, COLUMNS, 13),
    ];
    let moment = gram(&inputs(600, COLUMNS, 14), COLUMNS);
    let counts: Vec<f32> = (0..320).map(|row| (row % 5) as f32).collect();
    let rows: Vec<f32> = (0..ROWS).map(|row| 1e-7 * (1 + row % 9) as f32).collect();
    let mut calibration = Calibration::default();
    let square = [COLUMNS, COLUMNS];
    calibration.add("a.q_proj.weight.gram", Dtype::F32, &square, bytes(&moment)).unwrap();
    calibration.add("a.q_proj.weight.rows", Dtype::F32, &[ROWS], bytes(&rows)).unwrap();
    calibration.add("embed_tokens.weight.counts", Dtype::F32, &[320], bytes(&counts)).unwrap();
    calibration.share("a.k_proj.weight", "a.q_proj.weight");
    (samples, calibration)
}

#[test]
fn files_are_the_same_for_any_number_of_threads_and_keep_to_their_budget() {
    let folder = tempfile::tempdir().unwrap();
    let (samples, calibration) = model();
    let (checkpoint, calibration) = (checkpoint(folder.path(), &samples), Arc::new(calibration));
    let encoding = Encoding::bits(3.5).calibration(Arc::clone(&calibration));
    let files = [1, 2, 8].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| encoded(&checkpoint, &checkpoint.plan(&encoding, None).unwrap()).unwrap())
    });
    let weights: usize = samples.iter().map(|sample| sample.bytes.len() / 4).sum();
    let bits = 8.0 * files[0].len() as f64 / weights as f64;
    assert!((3.45..=3.5).contains(&bits), "{bits}");
    assert!(files.iter().all(|file| *file == files[0]));
    assert_valid(&files[0]);
}

/// A plan from JSON needs the statistics again; with them it gives the same file.
#[test]
fn plans_say_which_tensors_are_calibrated() {
    let folder = tempfile::tempdir().unwrap();
    let (samples, calibration) = model();
    let (checkpoint, calibration) = (checkpoint(folder.path(), &samples), Arc::new(calibration));
    let encoding = Encoding::bits(3.5).calibration(Arc::clone(&calibration));
    let plan = checkpoint.plan(&encoding, None).unwrap();
    let scales = |name: &str| {
        let lossy = plan.get(name).unwrap().lossy.as_ref().unwrap();
        (lossy.row_scales, lossy.column_scales, lossy.is_calibrated())
    };
    let kinds = |name: &str| plan.get(name).unwrap().lossy.as_ref().unwrap().statistics.clone();
    assert_eq!(kinds("embed_tokens.weight"), [StatisticsKind::Counts]);
    assert_eq!(kinds("a.q_proj.weight"), [StatisticsKind::Gram, StatisticsKind::Rows]);
    assert_eq!(kinds("a.k_proj.weight"), [StatisticsKind::Gram]);
    assert!(kinds("b.weight").is_empty());
    let (rows, columns) = (RowScales::Statistics, ColumnScales::Statistics);
    assert_eq!(scales("embed_tokens.weight"), (rows, columns, true));
    assert_eq!(scales("a.q_proj.weight"), (rows, columns, true));
    assert_eq!(scales("a.k_proj.weight"), (RowScales::None, columns, true));
    assert_eq!(scales("b.weight"), (RowScales::None, ColumnScales::None, false));
    let mut again = Plan::from_json(&plan.to_json()).unwrap();
    let error = encoded(&checkpoint, &again).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    assert_eq!(error.location().unwrap().tensor.as_deref(), Some("embed_tokens.weight"));
    again.set_calibration(&calibration);
    assert_eq!(encoded(&checkpoint, &again).unwrap(), encoded(&checkpoint, &plan).unwrap());
}

/// What statistics save in other tensors is shared with a tensor that has none: at the same budget
/// its error is smaller than without any statistics.
#[test]
fn tensors_without_statistics_gain_from_those_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let samples = vec![
        weights("a.q_proj.weight", 4 * ROWS, COLUMNS, 50),
        weights("a.k_proj.weight", 4 * ROWS, COLUMNS, 51),
        weights("embed_positions.weight", ROWS, COLUMNS, 52),
    ];
    let checkpoint = checkpoint(folder.path(), &samples);
    let moment = gram(&inputs(600, COLUMNS, 53), COLUMNS);
    let mut calibration = Calibration::default();
    let square = [COLUMNS, COLUMNS];
    calibration.add("a.q_proj.weight.gram", Dtype::F32, &square, bytes(&moment)).unwrap();
    calibration.share("a.k_proj.weight", "a.q_proj.weight");
    for bits in [3.0, 5.0] {
        let encoding = Encoding::bits(bits);
        let errors =
            [encoding.clone(), encoding.calibration(calibration.clone())].map(|encoding| {
                let plan = checkpoint.plan(&encoding, None).unwrap();
                let file = encoded(&checkpoint, &plan).unwrap();
                let reader = Reader::new(&file).unwrap();
                let tensor = reader.get("embed_positions.weight").unwrap().unwrap();
                tensor.coding().unwrap().unwrap().rel_error()
            });
        let gain = (errors[0] / errors[1]).log2();
        assert!((0.3..1.2).contains(&gain), "{bits} bits: {gain}");
    }
}

#[test]
fn files_of_statistics_have_entries_and_shared_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("statistics.safetensors");
    let moment = gram(&inputs(300, COLUMNS, 20), COLUMNS);
    let entry = f32_sample("q.gram", &[COLUMNS, COLUMNS], &moment);
    let file = String::from_utf8_lossy(&safetensors(std::slice::from_ref(&entry))).into_owned();
    let header_end = file.find("}}").unwrap() + 2;
    let header = file[8..header_end]
        .replace("\"__metadata__\":{", "\"__metadata__\":{\"share\":\"{\\\"k\\\":\\\"q\\\"}\",");
    let write = |header: &str| {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(header.as_bytes());
        file.extend_from_slice(&entry.bytes);
        fs::write(&path, file).unwrap();
    };
    write(&header);
    let calibration = Calibration::open([&path]).unwrap();
    assert!(calibration.unused(["k"]).is_empty());
    assert_eq!(calibration.unused(["v"]), ["q.gram"]);
    let k = weights("k", ROWS, COLUMNS, 21);
    let plan = Plan::of(&k.source(), &Encoding::bits(3.0).calibration(calibration)).unwrap();
    assert!(plan.lossy.unwrap().is_calibrated());
    write(&header.replace("{\\\"k\\\":\\\"q\\\"}", "[1]"));
    let error = Calibration::open([&path]).unwrap_err();
    assert!(error.to_string().contains("share"), "{error}");
    // The same entries in an .occ file.
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
    writer.add("k.gram", Dtype::F32, &[COLUMNS, COLUMNS], &entry.bytes).unwrap();
    writer.finish().unwrap();
    fs::write(&path, file).unwrap();
    let calibration = Calibration::open([&path]).unwrap();
    let plan = Plan::of(&k.source(), &Encoding::bits(3.0).calibration(calibration)).unwrap();
    assert!(plan.lossy.unwrap().is_calibrated());
}

#[test]
fn bad_statistics_are_invalid_arguments_that_name_the_entry() {
    let sample = weights("w", ROWS, COLUMNS, 30);
    let n = COLUMNS;
    let mut indefinite: Vec<f32> =
        (0..n * n).map(|at| f32::from(u8::from(at % (n + 1) == 0))).collect();
    let mut asymmetric = indefinite.clone();
    asymmetric[1] = 0.5;
    // Correlations of −0.9 between all of three columns are impossible.
    for (i, j) in [(0, 1), (1, 2), (0, 2)] {
        (indefinite[i * n + j], indefinite[j * n + i]) = (-0.9, -0.9);
    }
    let ones = vec![1.0f32; n * n];
    let mut negative = ones.clone();
    negative[3] = -1.0;
    let mut not_a_number = ones.clone();
    not_a_number[5] = f32::NAN;
    let cases: [(&str, &[usize], &[f32]); 9] = [
        ("w.gram", &[n, n], &indefinite),
        ("w.gram", &[n, n], &asymmetric),
        ("w.gram", &[n, n], &not_a_number),
        ("w.gram", &[n - 1, n - 1], &ones[..(n - 1) * (n - 1)]),
        ("w.inputs", &[2, n - 1], &ones[..2 * (n - 1)]),
        ("w.diag", &[n], &negative[..n]),
        ("w.diag", &[n - 1], &ones[..n - 1]),
        ("w.rows", &[n], &ones[..n]),
        ("w.counts", &[1, ROWS], &ones[..ROWS]),
    ];
    for (name, shape, numbers) in cases {
        let encoding = Encoding::bits(3.0).calibration(with(&[(name, shape, numbers)]));
        let error = Plan::of(&sample.source(), &encoding).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{name}: {error}");
        let tensor = error.location().unwrap().tensor.clone().unwrap();
        assert!(tensor == name || tensor == "w", "{tensor}");
    }
    let mut calibration = Calibration::default();
    let add = |calibration: &mut Calibration, name: &str, dtype, shape: &[usize]| {
        calibration.add(name, dtype, shape, vec![0; 16]).unwrap_err()
    };
    assert!(matches!(add(&mut calibration, "w", Dtype::F32, &[4]), Error::InvalidArgument { .. }));
    assert!(matches!(
        add(&mut calibration, "w.diag", Dtype::F32, &[5]),
        Error::InvalidArgument { .. }
    ));
    assert!(matches!(add(&mut calibration, "w.diag", Dtype::I32, &[4]), Error::Unsupported { .. }));
    for encoding in
        [Encoding::snr(20.0), Encoding::bits(3.0).row_scales(true), Encoding::lossless()]
    {
        let encoding = encoding.calibration(Calibration::default());
        let error = Plan::of(&sample.source(), &encoding).unwrap_err();
        assert!(error.to_string().contains("statistics"), "{error}");
    }
}

/// Weights that are outliers stay exact, also where a single input has most of the energy.
#[test]
fn extreme_inputs_and_weights_are_kept() {
    let mut sample = weights("w", ROWS, COLUMNS, 40);
    sample.bytes[400..404].copy_from_slice(&1e9f32.to_le_bytes());
    sample.bytes[8000..8004].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let mut vectors = inputs(400, COLUMNS, 41);
    vectors.iter_mut().skip(7).step_by(COLUMNS).for_each(|x| *x *= 1e4);
    let encoding =
        Encoding::bits(5.0).calibration(with(&[("w.inputs", &[400, COLUMNS], &vectors)]));
    let file = lossy::coded(&sample, &encoding, WriteOptions::default());
    assert_valid(&file);
    let reader = Reader::new(&file).unwrap();
    let decoded = reader.tensor("w").unwrap().decode().unwrap();
    for at in [400, 8000] {
        assert_eq!(decoded[at..at + 4], sample.bytes[at..at + 4]);
    }
}

/// A matrix that is stored as inputs × outputs uses the diagonal.
#[test]
fn transposed_matrices_are_calibrated() {
    let sample = weights("w", COLUMNS, 2 * COLUMNS, 50);
    let sizes: Vec<f32> = (0..COLUMNS).map(|row| if row % 2 == 0 { 1.0 } else { 0.01 }).collect();
    let encoding = Encoding::bits(3.0).calibration(with(&[("w.diag", &[COLUMNS], &sizes)]));
    let plan = Plan::of(&sample.source(), &encoding).unwrap().lossy.unwrap();
    assert_eq!(plan.row_scales, RowScales::Statistics);
}
