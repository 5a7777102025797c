use super::*;
use crate::dtype::Dtype;
use crate::encode::{Encoding, Plan, TensorPlan, TensorSource};
use crate::statistics_kind::StatisticsKind;
use proptest::prelude::*;
use std::fs;

/// An entry: its name, its sums, and the counts of its matrices.
type Sample<'s> = (&'s str, &'s [f32], &'s [f32]);

fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

/// A tensor of a GGUF file: name, dimensions and numbers.
type Tensor<'t> = (String, Vec<u64>, Vec<f32>);

fn gguf_file(metadata: &[Vec<u8>], tensors: &[Tensor<'_>], alignment: usize) -> Vec<u8> {
    let mut file = [&b"GGUF"[..], &3u32.to_le_bytes()].concat();
    file.extend((tensors.len() as u64).to_le_bytes());
    file.extend((metadata.len() as u64).to_le_bytes());
    file.extend(metadata.concat());
    let mut data = Vec::new();
    for (name, dimensions, numbers) in tensors {
        data.resize(data.len().next_multiple_of(alignment), 0);
        file.extend(text(name));
        file.extend((dimensions.len() as u32).to_le_bytes());
        file.extend(dimensions.iter().flat_map(|size| size.to_le_bytes()));
        file.extend(0u32.to_le_bytes());
        file.extend((data.len() as u64).to_le_bytes());
        data.extend(bytes(numbers));
    }
    file.resize(file.len().next_multiple_of(alignment), 0);
    file.extend(data);
    file
}

/// A pair of metadata: key, type and value.
fn pair(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&text(key)[..], &kind.to_le_bytes(), value].concat()
}

fn tensors(samples: &[Sample<'_>]) -> Vec<Tensor<'static>> {
    let both = samples.iter().flat_map(|&(name, sums, counts)| {
        let (width, matrices) = ((sums.len() / counts.len()) as u64, counts.len() as u64);
        [
            (format!("{name}.in_sum2"), vec![width, matrices], sums.to_vec()),
            (format!("{name}.counts"), vec![1, matrices], counts.to_vec()),
        ]
    });
    both.collect()
}

/// A file as llama-imatrix writes it.
fn gguf(samples: &[Sample<'_>]) -> Vec<u8> {
    let datasets = [&8u32.to_le_bytes()[..], &2u64.to_le_bytes(), &text("a"), &text("")].concat();
    let metadata = [
        pair("general.type", 8, &text("imatrix")),
        pair("imatrix.datasets", 9, &datasets),
        pair("imatrix.chunk_count", 4, &7u32.to_le_bytes()),
    ];
    gguf_file(&metadata, &tensors(samples), 32)
}

/// A file of the older kind, without what follows the entries.
fn legacy(samples: &[(&str, &[f32], i32)]) -> Vec<u8> {
    let mut file = (samples.len() as i32).to_le_bytes().to_vec();
    for (name, sums, calls) in samples {
        file.extend((name.len() as i32).to_le_bytes());
        file.extend(name.as_bytes());
        file.extend(calls.to_le_bytes());
        file.extend((sums.len() as i32).to_le_bytes());
        file.extend(bytes(sums));
    }
    file
}

fn parsed(file: Vec<u8>) -> Result<ImportanceMatrix> {
    let source: Arc<dyn ReadAt> = Arc::new(file);
    ImportanceMatrix::parse(&source, None)
}

fn weight<'w>(name: &'w str, shape: &'w [usize]) -> WeightShape<'w> {
    let columns = *shape.last().unwrap();
    WeightShape { name, shape, rows: shape.iter().product::<usize>() / columns, columns }
}

fn columns(file: &ImportanceMatrix, name: &str, shape: &[usize]) -> Option<Vec<f64>> {
    file.columns(weight(name, shape)).unwrap()
}

const Q: &str = "model.layers.0.self_attn.q_proj.weight";

#[test]
fn sums_are_divided_by_counts() {
    let name = "blk.0.attn_q.weight";
    let new = parsed(gguf(&[(name, &[2.0, 4.0, 0.0], &[4.0])])).unwrap();
    let old = parsed([legacy(&[(name, &[2.0, 4.0, 0.0], 4)]), vec![9; 5]].concat()).unwrap();
    for file in [new, old] {
        assert_eq!(columns(&file, Q, &[5, 3]), Some(vec![0.5, 1.0, 0.0]));
        assert_eq!(columns(&file, "model.layers.1.self_attn.q_proj.weight", &[5, 3]), None);
        assert_eq!(columns(&file, name, &[5, 3]), Some(vec![0.5, 1.0, 0.0]), "its own name");
        assert_eq!(file.rows(weight(Q, &[5, 3])).unwrap(), None);
    }
    // A count of 0 counts as 1, as does a number of calls that is not known.
    let new = parsed(gguf(&[(name, &[2.0, 4.0], &[0.0])])).unwrap();
    let old = parsed(legacy(&[(name, &[2.0, 4.0], 0)])).unwrap();
    for file in [new, old] {
        assert_eq!(columns(&file, Q, &[5, 2]), Some(vec![2.0, 4.0]));
    }
}

#[test]
fn experts_have_inputs_of_their_own() {
    let up = "blk.3.ffn_up_exps.weight";
    let file = parsed(gguf(&[(up, &[2.0, 4.0, 0.0, 0.0, 9.0, 3.0], &[1.0, 0.0, 3.0])])).unwrap();
    let apart = |expert| {
        let gate = format!("model.layers.3.block_sparse_moe.experts.{expert}.w1.weight");
        columns(&file, &gate, &[7, 2])
    };
    assert_eq!(apart(0), Some(vec![2.0, 4.0]));
    assert_eq!(apart(1), Some(vec![0.0, 0.0]));
    assert_eq!(apart(2), Some(vec![3.0, 1.0]));
    let mean = Some(vec![11.0 / 4.0, 7.0 / 4.0]);
    assert_eq!(columns(&file, "model.layers.3.mlp.experts.gate_up_proj", &[3, 5, 2]), mean);
    // Stored as inputs × outputs: rows have their own numbers.
    let stacked = weight("model.layers.3.mlp.experts.gate_up_proj", &[3, 2, 8]);
    assert_eq!(file.columns(stacked).unwrap(), None);
    assert_eq!(file.rows(stacked).unwrap(), Some(vec![2.0, 4.0, 0.0, 0.0, 3.0, 1.0]));
    // Both are possible.
    let square = weight("model.layers.3.mlp.experts.gate_up_proj", &[3, 2, 2]);
    assert_eq!((file.columns(square).unwrap(), file.rows(square).unwrap()), (None, None));
    // The older kind does not contain the number of experts.
    let file = parsed(legacy(&[(up, &[2.0, 4.0, 6.0, 8.0, 10.0, 12.0], 2)])).unwrap();
    let name = "model.layers.3.mlp.experts.2.up_proj.weight";
    assert_eq!(columns(&file, name, &[7, 2]), Some(vec![5.0, 6.0]));
    let stacked = "model.layers.3.mlp.experts.gate_up_proj";
    assert_eq!(columns(&file, stacked, &[3, 5, 2]), Some(vec![3.0, 4.0]));
    for (name, shape) in [
        ("model.layers.3.mlp.experts.3.up_proj.weight", &[7, 2][..]),
        (stacked, &[4, 5, 2]),
        (stacked, &[2, 5, 4]),
    ] {
        let error = file.columns(weight(name, shape)).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{name}: {error}");
    }
}

/// As in GPT-2.
#[test]
fn weights_stored_as_inputs_by_outputs_have_numbers_for_rows() {
    let file = parsed(gguf(&[("blk.0.attn_qkv.weight", &[2.0, 4.0, 6.0], &[2.0])])).unwrap();
    let transposed = weight("transformer.h.0.attn.c_attn.weight", &[3, 9]);
    assert_eq!(file.columns(transposed).unwrap(), None);
    assert_eq!(file.rows(transposed).unwrap(), Some(vec![1.0, 2.0, 3.0]));
    let error = file.rows(weight(Q, &[4, 4])).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }));
    assert_eq!(error.location().unwrap().tensor.as_deref(), Some("blk.0.attn_qkv.weight"));
    assert!(error.to_string().contains(Q), "{error}");
}

#[test]
fn weights_with_the_same_inputs_serve_each_other() {
    let file = parsed(gguf(&[
        ("blk.0.attn_k.weight", &[1.0], &[1.0]),
        ("blk.0.attn_v.weight", &[2.0], &[1.0]),
        ("blk.0.ffn_up.weight", &[3.0], &[1.0]),
        ("blk.1.attn_k.weight", &[4.0], &[1.0]),
        ("blk.1.ssm_out.weight", &[5.0], &[1.0]),
        ("output.weight", &[6.0], &[1.0]),
    ]))
    .unwrap();
    let layer = |part: &str| columns(&file, &format!("model.layers.0.{part}.weight"), &[1, 1]);
    assert_eq!(layer("self_attn.k_proj"), Some(vec![1.0]));
    assert_eq!(layer("self_attn.q_proj"), Some(vec![1.0]));
    assert_eq!(layer("self_attn.v_proj"), Some(vec![2.0]));
    assert_eq!(layer("self_attn.qkv_proj"), Some(vec![1.0]));
    assert_eq!(layer("mlp.gate_proj"), Some(vec![3.0]));
    assert_eq!(layer("mlp.gate_up_proj"), Some(vec![3.0]));
    assert_eq!(layer("mlp.down_proj"), None);
    assert_eq!(columns(&file, "lm_head.weight", &[1, 1]), Some(vec![6.0]));
    assert_eq!(columns(&file, "model.embed_tokens.weight", &[1, 1]), None);
    let mut calibration = Calibration::default();
    calibration.add_diagonals(file);
    assert!(!calibration.is_empty());
    let names =
        [Q, "model.layers.0.mlp.down_proj.weight", "model.layers.0.self_attn.v_proj.weight"];
    assert_eq!(
        calibration.unused(names),
        ["blk.0.ffn_up.weight", "blk.1.attn_k.weight", "blk.1.ssm_out.weight", "output.weight"]
    );
}

#[test]
fn names_follow_the_table() {
    let best = |name: &str| names::sources(name).map(|(names, part)| (names[0].clone(), part));
    for (name, gguf) in [
        ("model.layers.12.self_attn.v_proj.weight", "blk.12.attn_v.weight"),
        ("language_model.model.layers.0.self_attn.o_proj.weight", "blk.0.attn_output.weight"),
        ("model.language_model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
        ("model.layers.0.self_attn.qkv_proj.weight", "blk.0.attn_qkv.weight"),
        ("gpt_neox.layers.4.attention.query_key_value.weight", "blk.4.attn_qkv.weight"),
        ("gpt_neox.layers.4.mlp.dense_h_to_4h.weight", "blk.4.ffn_up.weight"),
        ("transformer.h.5.attn.c_attn.weight", "blk.5.attn_qkv.weight"),
        ("h.5.mlp.c_proj.weight", "blk.5.ffn_down.weight"),
        ("transformer.blocks.5.attn.Wqkv.weight", "blk.5.attn_qkv.weight"),
        ("model.layers.1.mlp.gate.weight", "blk.1.ffn_gate_inp.weight"),
        ("model.layers.1.mlp.shared_expert.up_proj.weight", "blk.1.ffn_up_shexp.weight"),
        ("model.layers.1.linear_attn.in_proj_qkvz.weight", "blk.1.ssm_in.weight"),
        ("lm_head.weight", "output.weight"),
        ("model.embed_tokens.weight", "token_embd.weight"),
    ] {
        assert_eq!(best(name), Some((gguf.into(), Part::Single)), "{name}");
    }
    for (name, gguf, part) in [
        ("model.layers.1.mlp.experts.12.gate_proj.weight", "ffn_gate_exps", Part::Expert(12)),
        ("model.layers.1.block_sparse_moe.experts.0.w2.weight", "ffn_down_exps", Part::Expert(0)),
        ("model.layers.1.mlp.experts.gate_up_proj", "ffn_gate_up_exps", Part::Stacked),
        ("model.layers.1.mlp.experts.down_proj", "ffn_down_exps", Part::Stacked),
    ] {
        assert_eq!(best(name), Some((format!("blk.1.{gguf}.weight"), part)), "{name}");
    }
    for name in [
        "",
        "model.layers.0.linear_attn.out_proj.weight",
        "transformer.h.0.attn.c_proj.weight",
        "model.layers.0.self_attn.q_proj.bias",
        "model.layers.0.input_layernorm.weight",
        "model.layers.00.self_attn.q_proj.weight",
        "model.layers.x.self_attn.q_proj.weight",
        "model.layers.0.mlp.experts.x.up_proj.weight",
        "model.layers.0.mlp.experts.99999999999999999999.up_proj.weight",
        "vision_tower.vision_model.encoder.layers.0.self_attn.q_proj.weight",
        "model.visual.blocks.0.mlp.up_proj.weight",
        "mtp.layers.0.self_attn.q_proj.weight",
    ] {
        assert_eq!(best(name), None, "{name}");
    }
}

/// An error of a file with a bad number has file, entry and offset.
#[test]
fn bad_numbers_are_located() {
    let folder = tempfile::tempdir().unwrap();
    let name = "blk.0.attn_q.weight";
    let data: Vec<u8> =
        (0..64 * 64u32).flat_map(|i| (i as f32 * 0.7).sin().to_le_bytes()).collect();
    let source = TensorSource::new(Q, Dtype::F32, &[64, 64], &data);
    for bad in [-1.0, f32::NAN, f32::INFINITY] {
        let mut sums = [1.0; 64];
        sums[40] = bad;
        for (file, extension) in
            [(gguf(&[(name, &sums, &[1.0])]), "gguf"), (legacy(&[(name, &sums, 1)]), "dat")]
        {
            let at = file.windows(4).position(|word| word == bad.to_le_bytes()).unwrap();
            let path = folder.path().join("x").with_extension(extension);
            fs::write(&path, &file).unwrap();
            let calibration = Calibration::open([&path]).unwrap();
            let encoding = Encoding::bits(3.0).calibration(calibration);
            let error = Plan::of(&source, &encoding).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{error}");
            let location = error.location().unwrap();
            assert_eq!(location.tensor.as_deref(), Some(name));
            assert_eq!(location.file.as_deref(), Some(path.as_path()));
            assert_eq!(location.offset, Some(at as u64));
        }
        let file = gguf(&[(name, &[1.0, 2.0], &[bad])]);
        let at = file.windows(4).position(|word| word == bad.to_le_bytes()).unwrap();
        let path = folder.path().join("counts.gguf");
        fs::write(&path, &file).unwrap();
        let error = Calibration::open([&path]).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        let location = error.location().unwrap();
        assert_eq!(location.file.as_deref(), Some(path.as_path()));
        assert_eq!(location.offset, Some(at as u64));
    }
}

/// The plan is that for the same numbers as entries of a model file.
#[test]
fn plans_use_the_numbers() {
    let sums: Vec<f32> = (0..64).map(|i| 1.0 + (i * i) as f32).collect();
    let data: Vec<u8> =
        (0..96 * 64u32).flat_map(|i| (i as f32 * 0.7).sin().to_le_bytes()).collect();
    let plan = |shape: &[usize], calibration: Calibration| {
        let source = TensorSource::new(Q, Dtype::F32, shape, &data);
        Plan::of(&source, &Encoding::bits(3.0).calibration(calibration)).unwrap()
    };
    let imatrix = || {
        let file = gguf(&[("blk.0.attn_q.weight", &sums, &[2.0])]);
        Calibration::from_imatrix(file).unwrap()
    };
    let halves: Vec<f32> = sums.iter().map(|sum| sum / 2.0).collect();
    let mut same = Calibration::default();
    same.add(&format!("{Q}.diag"), Dtype::F32, &[64], bytes(&halves)).unwrap();
    let mut found = plan(&[96, 64], imatrix());
    let mut expected = plan(&[96, 64], same);
    let statistics =
        |plan: &mut TensorPlan| std::mem::take(&mut plan.lossy.as_mut().unwrap().statistics);
    assert_eq!(statistics(&mut found), [StatisticsKind::ImportanceMatrix]);
    assert_eq!(statistics(&mut expected), [StatisticsKind::Diag]);
    assert_eq!(found, expected);
    assert_ne!(found, plan(&[96, 64], Calibration::default()));
    // Rows of a weight that is stored as inputs × outputs.
    assert_ne!(plan(&[64, 96], imatrix()), plan(&[64, 96], Calibration::default()));
    // Few rows are encoded as a matrix with other columns.
    let file = legacy(&[("blk.0.attn_q.weight", &[2.0; 96 * 8], 1)]);
    let few = plan(&[8, 96 * 8], Calibration::from_imatrix(file).unwrap());
    assert_eq!(few, plan(&[8, 96 * 8], Calibration::default()));
}

#[test]
fn content_and_extension_determine_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let name = "blk.0.attn_q.weight";
    let (new, old) = (gguf(&[(name, &[1.0], &[1.0])]), legacy(&[(name, &[1.0], 1)]));
    let open = |file: &str, bytes: &[u8]| {
        let path = folder.path().join(file);
        fs::write(&path, bytes).unwrap();
        let opened = Calibration::open([path]);
        opened.map(|found| found.unused([]).iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    for file in ["a.gguf", "a.imatrix", "a.dat", "a"] {
        assert_eq!(open(file, &new).unwrap(), [name], "{file}");
    }
    for file in ["b.dat", "b.IMATRIX"] {
        assert_eq!(open(file, &old).unwrap(), [name], "{file}");
    }
    assert!(open("b", &old).unwrap_err().to_string().contains("not a safetensors file"));
    let header = br#"{"w.diag":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let other = [&(header.len() as u64).to_le_bytes(), &header[..], &[0; 4]].concat();
    assert_eq!(open("c.dat", &other).unwrap(), ["w.diag"]);
    assert!(matches!(open("empty.dat", b""), Err(Error::Truncated { .. })));
    let model = gguf_file(&[pair("general.type", 8, &text("model"))], &[], 32);
    let error = open("model.gguf", &model).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error}");
}

const SAMPLES: [Sample<'_>; 2] = [
    ("blk.0.attn_q.weight", &[1.0, 2.0, 3.0], &[2.0]),
    ("blk.0.ffn_up_exps.weight", &[1.0, 2.0, 3.0, 4.0], &[2.0, 0.0]),
];

#[test]
fn truncated_files_give_errors() {
    for file in [gguf(&SAMPLES), legacy(&SAMPLES.map(|(name, sums, _)| (name, sums, 3)))] {
        parsed(file.clone()).unwrap();
        for length in 0..file.len() {
            let error = parsed(file[..length].to_vec()).err().expect("an entry is missing");
            let truncated = matches!(error, Error::Truncated { .. });
            assert!(truncated, "{length} of {} bytes: {error}", file.len());
            assert_eq!(error.location().unwrap().offset, Some(length as u64));
        }
    }
}

/// Lengths beyond the file are found before memory is allocated for them.
#[test]
fn huge_lengths_are_refused() {
    let (new, old) = (gguf(&SAMPLES), legacy(&[SAMPLES[0]].map(|(name, sums, _)| (name, sums, 3))));
    for at in 0..new.len() - 8 {
        for huge in [u64::MAX, 1 << 62, 1 << 40, u64::from(u32::MAX)] {
            let mut file = new.clone();
            file[at..at + 8].copy_from_slice(&huge.to_le_bytes());
            let _ = parsed(file);
        }
    }
    for at in 0..old.len() - 4 {
        for huge in [i32::MAX, i32::MIN, -1, 0] {
            let mut file = old.clone();
            file[at..at + 4].copy_from_slice(&huge.to_le_bytes());
            let _ = parsed(file);
        }
    }
    let array = [&8u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat();
    let numbers = [&10u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat();
    for value in [array, numbers] {
        let file = gguf_file(&[pair("k", 9, &value)], &tensors(&SAMPLES), 32);
        assert!(matches!(parsed(file), Err(Error::Truncated { .. })));
    }
    let long = gguf_file(&[pair(&"k".repeat(1 << 17), 7, &[0])], &[], 32);
    assert!(matches!(parsed(long), Err(Error::LimitExceeded { .. })));
    // Arrays in arrays.
    let deep = [9u32.to_le_bytes().to_vec(), 1u64.to_le_bytes().to_vec()].concat().repeat(9);
    let file = gguf_file(&[pair("k", 9, &deep)], &tensors(&SAMPLES), 32);
    assert!(matches!(parsed(file), Err(Error::Unsupported { .. })));
}

#[test]
fn invalid_gguf_files_are_refused() {
    let good = tensors(&SAMPLES);
    let file = |tensors: &[Tensor<'_>]| gguf_file(&[], tensors, 32);
    let refused = |file: Vec<u8>, message: &str| {
        let error = parsed(file).err().expect(message);
        assert!(error.to_string().contains(message), "{error}");
        error
    };
    parsed(file(&good)).unwrap();
    parsed(gguf_file(&[pair("general.alignment", 4, &8u32.to_le_bytes())], &good, 8)).unwrap();
    let bad = pair("general.alignment", 4, &24u32.to_le_bytes());
    refused(gguf_file(&[bad], &good, 8), "the alignment is 24");
    refused(gguf_file(&[pair("k", 13, &[])], &good, 32), "type 13");
    refused(file(&[]), "not an importance matrix");
    refused(file(&good[..1]), "no counts");
    refused(file(&[good[0].clone(), good[0].clone(), good[1].clone()]), "second tensor");
    let mut other = good.clone();
    other[1].1 = vec![1, 2];
    other[1].2 = vec![1.0, 1.0];
    let error = refused(file(&other), "3 sums for 2 counts");
    assert_eq!(error.location().unwrap().tensor.as_deref(), Some("blk.0.attn_q.weight.in_sum2"));
    other[1].1 = vec![1, 0];
    other[1].2 = vec![];
    refused(file(&other), "3 sums for 0 counts");
    other[1].1 = vec![1; 5];
    refused(file(&other), "5 dimensions");
    other[1].1 = vec![1 << 33, 1 << 33];
    refused(file(&other), "too large");
    // Overlapping tensors could count the same bytes often.
    let mut file = file(&good);
    let offset = file.windows(8).position(|word| word == 32u64.to_le_bytes()).unwrap();
    file[offset] = 0;
    refused(file, "does not follow");
    let mut version = gguf(&SAMPLES);
    version[4] = 1;
    refused(version, "version 1");
    let twice = legacy(&[("a", &[1.0], 1), ("a", &[1.0], 1)]);
    refused(twice, "second entry");
    refused(legacy(&[("a", &[], 1)]), "the number of sums is 0");
    refused(legacy(&[("", &[1.0], 1)]), "the length of a name is 0");
    refused(legacy(&[]), "the number of entries is 0");
}

proptest! {
    /// Arbitrary bytes, also after a valid beginning, and changed bytes of a valid file.
    #[test]
    fn arbitrary_bytes_do_not_panic(
        (noise, keep) in (prop::collection::vec(any::<u8>(), 0..300), 0usize..400),
        (at, byte, is_gguf) in (any::<prop::sample::Index>(), any::<u8>(), any::<bool>()),
    ) {
        let valid = match is_gguf {
            true => gguf(&SAMPLES),
            false => legacy(&SAMPLES.map(|(name, sums, _)| (name, sums, 3))),
        };
        let beginning = [&valid[..keep.min(valid.len())], &noise].concat();
        let mut changed = valid.clone();
        changed[at.index(valid.len())] = byte;
        for file in [noise, beginning, changed] {
            let Ok(file) = parsed(file) else { continue };
            for shape in [&[4, 3][..], &[2, 5, 2], &[2, 2, 5], &[0, 0]] {
                for name in [Q, "model.layers.0.mlp.experts.up_proj", "blk.0.attn_q.weight"] {
                    let columns = *shape.last().unwrap();
                    let rows = shape.iter().product::<usize>().checked_div(columns).unwrap_or(0);
                    let weight = WeightShape { name, shape, rows, columns };
                    let (by_columns, by_rows) = (file.columns(weight), file.rows(weight));
                    if let (Ok(Some(_)), Ok(Some(_))) = (by_columns, by_rows) {
                        prop_assert!(false, "both layouts");
                    }
                }
            }
        }
    }
}
