//! Bit budgets of files: used to within half a per cent and never exceeded. Plans stored as JSON.

use crate::common::{Random, Sample, safetensors};
use half::bf16;
use occ::convert::Checkpoint;
use occ::{Dtype, Encoding, Error, Plan, Reader, TensorSource, Weighting, WriteOptions, Writer};
use std::fs;
use std::path::Path;

fn matrix(name: &str, rows: usize, columns: usize, seed: u64) -> Sample {
    let mut random = Random(seed);
    // Rows with different RMS: rates are not those of a Gaussian.
    let row = |row: usize| 0.5 + (row % 7) as f32;
    let bytes = (0..rows * columns)
        .flat_map(|i| bf16::from_f32(random.weight() * row(i / columns)).to_le_bytes())
        .collect();
    Sample::new(name, Dtype::Bf16, &[rows, columns], bytes)
}

fn vector(name: &str, length: usize) -> Sample {
    let bytes = (0..length).flat_map(|i| (1.0 + i as f32 * 1e-3).to_le_bytes()).collect();
    Sample::new(name, Dtype::F32, &[length], bytes)
}

fn checkpoint(folder: &Path, samples: &[Sample]) -> Checkpoint {
    let path = folder.join("model.safetensors");
    fs::write(&path, safetensors(samples)).unwrap();
    Checkpoint::open(path).unwrap()
}

fn planned(checkpoint: &Checkpoint, plan: &Plan) -> occ::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, WriteOptions::default())?;
    checkpoint.write_planned(&mut writer, plan, None)?;
    writer.finish()?;
    Ok(file)
}

fn compressed(checkpoint: &Checkpoint, encoding: &Encoding) -> occ::Result<Vec<u8>> {
    planned(checkpoint, &checkpoint.plan(encoding, None)?)
}

/// Checkpoints that differ in how well the last tensors can compensate for the rate of the others.
fn checkpoints() -> Vec<(&'static str, Vec<Sample>)> {
    let small = |n: usize| matrix(&format!("small.{n}"), 64, 96, n as u64);
    let large = |name: &str| matrix(name, 1500, 256, 77);
    let mut first = vec![large("large"), vector("norm", 256)];
    first.extend((0..6).map(small));
    let mut last: Vec<Sample> = (0..6).map(small).collect();
    last.extend([vector("norm", 256), large("large")]);
    let mut tail = vec![large("large"), small(1)];
    tail.push(vector("z.norm", 300));
    vec![
        ("large first", first),
        ("large last", last),
        ("only large", vec![large("large")]),
        ("many small", (0..40).map(small).collect()),
        ("large, then small", tail),
    ]
}

#[test]
fn budgets_are_used_and_never_exceeded() {
    let folder = tempfile::tempdir().unwrap();
    for (name, samples) in checkpoints() {
        let checkpoint = checkpoint(folder.path(), &samples);
        for bits in [1.5, 3.0, 6.0] {
            for encoding in [
                Encoding::bits(bits).effort(3),
                Encoding::bits(bits).effort(1).weighting(Weighting::RelativeError),
            ] {
                let file = match compressed(&checkpoint, &encoding) {
                    Ok(file) => file,
                    // The headers of forty small tensors take about one bit per weight.
                    Err(Error::InvalidArgument { .. }) if bits < 2.0 && samples.len() > 20 => {
                        continue;
                    }
                    Err(error) => panic!("{name} at {bits}: {error}"),
                };
                let used = file.len() as f64 * 8.0 / checkpoint.weights() as f64;
                assert!(used <= bits, "{name} at {bits}: {used}");
                assert!(used >= 0.995 * bits, "{name} at {bits}: {used}");
            }
        }
    }
}

/// Raw tensors are aligned: the length of the padding depends on all tensors before them.
#[test]
fn padding_at_the_end_is_within_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let noise = |name: &str, seed| Sample::new(name, Dtype::F32, &[900], Random(seed).bytes(3600));
    let samples = [matrix("large", 1500, 256, 77), noise("y", 1), noise("z", 2)];
    let checkpoint = checkpoint(folder.path(), &samples);
    for step in 0..24 {
        let bits = 2.0 + 0.01 * f64::from(step);
        let file = compressed(&checkpoint, &Encoding::bits(bits).effort(1)).unwrap();
        let used = file.len() as f64 * 8.0 / checkpoint.weights() as f64;
        assert!((0.99 * bits..=bits).contains(&used), "{used} of {bits}");
    }
}

#[test]
fn rules_take_precedence_and_the_budget_still_holds() {
    let folder = tempfile::tempdir().unwrap();
    let samples = [
        matrix("a.weight", 300, 256, 1),
        matrix("keep.weight", 64, 256, 2),
        matrix("own.weight", 200, 256, 3),
        matrix("b.weight", 900, 256, 4),
    ];
    let checkpoint = checkpoint(folder.path(), &samples);
    let encoding = Encoding::bits(3.5).keep("keep.*").bits_for("own.*", 5.0);
    let file = compressed(&checkpoint, &encoding).unwrap();
    let used = file.len() as f64 * 8.0 / checkpoint.weights() as f64;
    assert!((3.5 * 0.995..=3.5).contains(&used), "{used}");
    let reader = Reader::new(&file).unwrap();
    let lossless = reader.tensor("keep.weight").unwrap();
    assert!(lossless.coding().unwrap().is_none() && lossless.decode().unwrap() == samples[1].bytes);
    let own = reader.tensor("own.weight").unwrap();
    let bits = own.coded_bytes() as f64 * 8.0 / own.elements() as f64;
    assert!((bits - 5.0).abs() < 0.1, "{bits}");
}

#[test]
fn impossible_budgets_are_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(folder.path(), &[matrix("w", 64, 96, 1), vector("norm", 4000)]);
    for encoding in [
        Encoding::bits(0.5),
        Encoding::bits(3.0).keep("*"),
        Encoding::bits(f64::NAN),
        Encoding::bits(-1.0),
        Encoding::bits(3.0).bits_for("w", 0.0),
    ] {
        let error = compressed(&checkpoint, &encoding).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    }
}

#[test]
fn a_plan_stored_as_json_gives_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let samples = [matrix("a", 300, 128, 1), vector("norm", 128), matrix("b", 200, 128, 2)];
    let checkpoint = checkpoint(folder.path(), &samples);
    for encoding in [Encoding::bits(3.0), Encoding::snr(25.0), Encoding::lossless()] {
        let plan = checkpoint.plan(&encoding, None).unwrap();
        let again = Plan::from_json(&plan.to_json()).unwrap();
        assert_eq!(plan, again);
        assert!(planned(&checkpoint, &plan).unwrap() == planned(&checkpoint, &again).unwrap());
    }
    assert!(matches!(Plan::from_json("{}").unwrap_err(), Error::InvalidArgument { .. }));
}

/// Shards encoded separately with the plan of the whole checkpoint use its budget together.
#[test]
fn shards_share_a_plan() {
    let folder = tempfile::tempdir().unwrap();
    let samples = [matrix("a", 700, 256, 1), matrix("b", 900, 256, 2)];
    let whole = checkpoint(folder.path(), &samples);
    let plan = whole.plan(&Encoding::bits(3.0), None).unwrap();
    let mut bytes = 0;
    for sample in &samples {
        let shard = tempfile::tempdir().unwrap();
        let shard = checkpoint(shard.path(), std::slice::from_ref(sample));
        let file = planned(&shard, &plan).unwrap();
        let coding = Reader::new(&file).unwrap().tensor(&sample.name).unwrap().coding();
        // The step of the plan: rate control does not change it.
        let step = plan.get(&sample.name).unwrap().lossy.as_ref().unwrap().step;
        assert_eq!(coding.unwrap().unwrap().step, step);
        bytes += file.len();
    }
    let used = bytes as f64 * 8.0 / whole.weights() as f64;
    // Rates are estimated to about a per cent.
    assert!((used - 3.0).abs() < 0.03, "{used}");
}

/// Also if headers take half of the budget, or if the rate hardly depends on the step.
#[test]
fn small_files_and_low_rates_stay_within_their_budgets() {
    let folder = tempfile::tempdir().unwrap();
    let small = [matrix("w", 64, 64, 5)];
    let medium = [matrix("w", 96, 96, 5)];
    let large = [matrix("w", 256, 256, 5)];
    let mixed = [vector("a.norm", 256), matrix("b", 100, 160, 1), matrix("c", 113, 160, 2)];
    for (samples, budgets) in [
        (&small[..], &[2.0, 4.0, 8.0][..]),
        (&medium, &[1.0, 1.5, 2.0, 6.0]),
        (&large, &[0.2, 0.4, 0.7, 1.0, 2.0, 4.0]),
        (&mixed, &[1.5, 2.0, 4.0]),
    ] {
        let checkpoint = checkpoint(folder.path(), samples);
        for bits in budgets {
            let file = compressed(&checkpoint, &Encoding::bits(*bits).effort(2)).unwrap();
            let weights = checkpoint.weights();
            let used = file.len() as f64 * 8.0 / weights as f64;
            // Half a per cent of the smallest files is a few bytes, less than the effect of a step.
            let is_small = weights < 16384 || file.len() < 2048;
            let least = if is_small { 0.99 } else { 0.995 };
            assert!((least * bits..=*bits).contains(&used), "{weights} at {bits}: {used}");
        }
    }
}

/// Tensors that cannot be coded lossily, or only in part. The other tensors compensate for them, or
/// the budget is rejected.
#[test]
fn unusual_tensors_never_exceed_a_budget() {
    let folder = tempfile::tempdir().unwrap();
    let values = |name: &str, value: &dyn Fn(usize, f32) -> f32| {
        let mut random = Random(9);
        let numbers = (0..64 * 96).map(|i| value(i, 50.0 * random.weight()));
        let bytes = numbers.flat_map(f32::to_le_bytes).collect();
        Sample::new(name, Dtype::F32, &[64, 96], bytes)
    };
    let mostly_nan = |i: usize, x: f32| if i % 50 == 3 { x } else { f32::NAN };
    let unusual = [
        values("constant", &|_, _| 0.1),
        values("zero", &|_, _| 0.0),
        values("nan", &|_, _| f32::NAN),
        values("mostly nan", &mostly_nan),
        values("some nan", &|i, x| if i % 50 == 3 { f32::NAN } else { x }),
        values("sparse", &|i, x| if i % 50 == 3 { x } else { 0.0 }),
        values("huge", &|_, x| x * 1e30),
        values("large", &|_, x| x * 1e17),
        values("tiny", &|_, x| x * 1e-29),
        values("outliers", &|i, x| if i % 1000 == 3 { x * 1e25 } else { x }),
        values("heavy tail", &|_, x| x.powi(7)),
        values("near one", &|_, x| 1.0 + x * 1e-5),
    ];
    let mut met = 0;
    for tensor in unusual {
        let name = tensor.name.clone();
        for samples in [
            vec![matrix("a", 256, 128, 5), tensor.clone()],
            vec![tensor.clone(), matrix("z", 256, 128, 5)],
            vec![tensor],
        ] {
            let checkpoint = checkpoint(folder.path(), &samples);
            for bits in [0.5, 3.0, 9.0] {
                match compressed(&checkpoint, &Encoding::bits(bits).effort(1)) {
                    Ok(file) => {
                        let used = file.len() as f64 * 8.0 / checkpoint.weights() as f64;
                        assert!(used <= bits, "{name} at {bits}: {used}");
                        met += 1;
                    }
                    Err(Error::InvalidArgument { .. }) => {}
                    Err(error) => panic!("{name} at {bits}: {error}"),
                }
            }
        }
    }
    assert!(met > 70, "{met}");
}

#[test]
fn tensors_in_memory_stay_within_a_budget() {
    let folder = tempfile::tempdir().unwrap();
    for (name, samples) in checkpoints() {
        let checkpoint = checkpoint(folder.path(), &samples);
        let mut plan = checkpoint.plan(&Encoding::bits(3.0).effort(3), None).unwrap();
        let sources: Vec<TensorSource<'_>> = samples.iter().map(Sample::source).collect();
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
        let added = writer.add_all(&sources, &plan).unwrap();
        writer.finish().unwrap();
        assert_eq!(added.len(), samples.len());
        let used = file.len() as f64 * 8.0 / checkpoint.weights() as f64;
        // The plan reserves room for the header of the safetensors file, which is absent here.
        assert!((0.99 * 3.0..=3.0).contains(&used), "{name}: {used}");

        plan.bits = Some(0.001);
        let mut writer = Writer::new(std::io::sink(), WriteOptions::default()).unwrap();
        let error = writer.add_all(&sources, &plan).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{name}: {error}");
    }
}
