//! Decoding to another float dtype: `decompress --dtype` and `extract --dtype`.

use crate::command::Workplace;
use crate::common::{
    FLOATS, Random, Sample, bf16_weights, f32_sample, float8, safetensors, to_f32,
};
use half::{bf16, f16};
use occ::{Dtype, Reader};
use safetensors::SafeTensors;

/// Weights of FP8 with a standard deviation of 50, and some that are not finite.
pub fn float8_sample(name: &str, dtype: Dtype, shape: &[usize]) -> Sample {
    let mut random = Random(name.len() as u64);
    let count = shape.iter().product::<usize>();
    let weight = |_| float8::from_f64(dtype, (2500.0 * random.weight()).into());
    let mut bytes: Vec<u8> = (0..count).map(weight).collect();
    (bytes[7], bytes[count / 2]) = (0x7f, 0xfc);
    Sample::new(name, dtype, shape, bytes)
}

fn model() -> Vec<Sample> {
    let doubles = [0.1, -3.0, 1e300, f64::INFINITY];
    vec![
        Sample::new("steps", Dtype::I64, &[2], vec![1; 16]),
        Sample::new("d", Dtype::F64, &[4], doubles.map(f64::to_le_bytes).concat()),
        f32_sample("l.k.weight_scale_inv", &[1, 3], &[0.25, 1e-7, 70_000.0]),
        Sample::new("l.v.weight", Dtype::Bf16, &[64, 80], bf16_weights(3, 64 * 80)),
        Sample::new("norm", Dtype::F16, &[3], [1.0, -0.5, 6e-8].map(half_bytes).concat()),
        float8_sample("l.k.weight", Dtype::F8_E4M3, &[100, 96]),
        float8_sample("l.q.weight", Dtype::F8_E5M2, &[64, 96]),
        Sample::new("empty", Dtype::F8_E4M3, &[0, 9], Vec::new()),
        Sample::new("exponents", Dtype::F8_E8M0, &[3], vec![1, 127, 255]),
        Sample::new("bytes", Dtype::U8, &[3], vec![1, 2, 3]),
        Sample::new("flags", Dtype::Bool, &[2], vec![0, 1]),
    ]
}

fn half_bytes(value: f32) -> [u8; 2] {
    f16::from_f32(value).to_le_bytes()
}

/// Elements in another dtype.
fn elements(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    let bytes = |value: &f32| -> Vec<u8> {
        match dtype {
            Dtype::F16 => f16::from_f32(*value).to_le_bytes().into(),
            Dtype::Bf16 => bf16::from_f32(*value).to_le_bytes().into(),
            _ => value.to_le_bytes().into(),
        }
    };
    values.iter().flat_map(bytes).collect()
}

fn is_same(dtype: Dtype, a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (to_f32(dtype, a), to_f32(dtype, b));
    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    a.len() == b.len() && a.iter().zip(&b).all(same)
}

#[test]
fn all_floats_of_a_lossless_file_are_converted() {
    let (place, samples) = (Workplace::new(), model());
    place.write("m.safetensors", safetensors(&samples));
    place.succeed(&["compress", "m.safetensors"]);
    let file = place.read("m.occ");
    for (argument, dtype, overflowed) in
        [("f32", Dtype::F32, 1), ("BF16", Dtype::Bf16, 1), ("f16", Dtype::F16, 2)]
    {
        let run = place.succeed(&["decompress", "m.occ", "-f", "--dtype", argument]);
        let values_lost = if overflowed == 1 { "1 value\n" } else { "2 values\n" };
        let warning = format!("warning: too large for {dtype}, now infinite: {values_lost}");
        assert!(run.stderr.contains(&warning), "{}", run.stderr);
        assert!(run.stderr.contains("another dtype of floats: 1 tensor\n"), "{}", run.stderr);
        let bytes = place.read("m.safetensors");
        let found = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(found.len(), samples.len());
        for Sample { name, dtype: own, shape, bytes } in &samples {
            let tensor = found.tensor(name).unwrap();
            let is_float = FLOATS.contains(own);
            let expected_dtype = if is_float { dtype } else { *own };
            assert_eq!(tensor.dtype().to_string(), expected_dtype.name(), "{name}");
            assert_eq!(tensor.shape(), shape);
            if is_float {
                let expected = elements(dtype, &to_f32(*own, bytes));
                assert!(is_same(dtype, tensor.data(), &expected), "{name}");
            } else {
                assert_eq!(tensor.data(), bytes, "{name}");
            }
        }
        // Through pipes, and without a safetensors header in the file.
        let piped = ["decompress", "-", "-o", "p.safetensors", "-f", "--dtype", argument];
        place.succeed_with_input(&piped, &file);
        assert!(place.read("p.safetensors") == bytes);
    }
    place.fail(&["decompress", "m.occ", "-o", "x", "--dtype", "i8"], 2, &["f32, bf16, f16"]);
    assert!(!place.path("x").exists());
}

/// They are rounded once, from the reconstruction, which is nearer to the weights than FP8.
#[test]
fn lossy_tensors_are_converted_from_their_reconstruction() {
    let place = Workplace::new();
    place.write("m.safetensors", safetensors(&model()));
    place.succeed(&["compress", "m.safetensors", "--rel-error", "0.15"]);
    let file = place.read("m.occ");
    let reader = Reader::new(&file).unwrap();
    place.succeed(&["decompress", "m.occ", "-o", "f32.safetensors", "--dtype", "f32"]);
    place.succeed(&["decompress", "m.occ", "-o", "bf16.safetensors", "--dtype", "bf16"]);
    let (wide, narrow) = (place.read("f32.safetensors"), place.read("bf16.safetensors"));
    let (wide, narrow) =
        (SafeTensors::deserialize(&wide).unwrap(), SafeTensors::deserialize(&narrow).unwrap());
    for name in ["l.k.weight", "l.q.weight"] {
        let sample = model().into_iter().find(|sample| sample.name == name).unwrap();
        let tensor = reader.tensor(name).unwrap();
        assert!(tensor.coding().unwrap().is_some(), "{name} is lossy");
        let found = wide.tensor(name).unwrap();
        assert!(is_same(Dtype::F32, found.data(), &tensor.decode_as(Dtype::F32).unwrap()));
        let found = to_f32(Dtype::F32, found.data());
        let rounded = elements(Dtype::Bf16, &found);
        assert!(is_same(Dtype::Bf16, narrow.tensor(name).unwrap().data(), &rounded));
        let original = to_f32(sample.dtype, &sample.bytes);
        let noise = |decoded: &[f32]| -> f64 {
            let finite = original.iter().zip(decoded).filter(|(x, _)| x.is_finite());
            finite.map(|(x, y)| f64::from(x - y).powi(2)).sum()
        };
        let own = to_f32(sample.dtype, &tensor.decode().unwrap());
        assert!(noise(&found) < noise(&own), "{name}: {} {}", noise(&found), noise(&own));
    }
}

#[test]
fn shards_and_their_index_are_converted() {
    let place = Workplace::new();
    let shards = [
        (
            "model-00001-of-00002.safetensors",
            vec![
                float8_sample("a.weight", Dtype::F8_E4M3, &[64, 64]),
                Sample::new("a.ids", Dtype::I32, &[2], vec![0; 8]),
            ],
        ),
        ("model-00002-of-00002.safetensors", vec![f32_sample("b.scales", &[3], &[1.0, 2.0, 3.0])]),
    ];
    let mut map = serde_json::Map::new();
    for (name, samples) in &shards {
        place.write(&format!("in/{name}"), safetensors(samples));
        map.extend(samples.iter().map(|sample| (sample.name.clone(), (*name).into())));
    }
    let index = |size: u64| {
        let map = serde_json::to_string_pretty(&map).unwrap();
        format!("{{\n  \"metadata\": {{\"total_size\": {size}}},\n  \"weight_map\": {map}\n}}\n")
    };
    place.write("in/model.safetensors.index.json", index(4096 + 8 + 12));
    place.succeed(&["compress", "in", "-o", "m.occ"]);
    place.succeed(&["decompress", "m.occ", "-o", "out/", "--dtype", "bf16"]);
    let file = place.read("m.occ");
    place.succeed_with_input(&["decompress", "-", "-o", "piped/", "--dtype", "bf16"], &file);
    for (name, bytes) in [("out", "piped")] {
        for file in ["model.safetensors.index.json", shards[0].0, shards[1].0] {
            let (a, b) = (format!("{name}/{file}"), format!("{bytes}/{file}"));
            assert!(place.read(&a) == place.read(&b), "{file}");
        }
    }
    let found = String::from_utf8(place.read("out/model.safetensors.index.json")).unwrap();
    assert_eq!(found, index(2 * 4096 + 8 + 6));
    place.succeed(&["compress", "out", "-o", "again.occ"]);
    let shard = place.read("out/model-00002-of-00002.safetensors");
    let shard = SafeTensors::deserialize(&shard).unwrap();
    let expected = elements(Dtype::Bf16, &[1.0, 2.0, 3.0]);
    assert_eq!(shard.tensor("b.scales").unwrap().data(), expected);
}

#[test]
fn a_tensor_is_extracted_in_another_dtype() {
    let place = Workplace::new();
    place.write("m.safetensors", safetensors(&model()));
    place.succeed(&["compress", "m.safetensors"]);
    let extract = |name: &str, dtype: &str| {
        place.succeed(&["extract", "m.occ", name, "-o", "x", "-f", "--dtype", dtype])
    };
    let bytes = model().into_iter().find(|sample| sample.name == "l.k.weight").unwrap().bytes;
    assert!(extract("l.k.weight", "f32").stderr.is_empty());
    let expected = elements(Dtype::F32, &to_f32(Dtype::F8_E4M3, &bytes));
    assert!(is_same(Dtype::F32, &place.read("x"), &expected));
    let run = extract("l.k.weight_scale_inv", "F16");
    assert!(run.stderr.contains("too large for F16, now infinite: 1 value\n"), "{}", run.stderr);
    assert!(place.read("x").ends_with(&half_bytes(f32::INFINITY)));
    let run = extract("l.k.weight_scale_inv", "f8_e4m3");
    assert!(run.stderr.contains("too large for F8_E4M3, now NaN: 1 value\n"), "{}", run.stderr);
}

/// A file of the library, without a safetensors header.
#[test]
fn a_file_without_a_header_is_converted() {
    let place = Workplace::new();
    let samples = model();
    place.write("m.occ", crate::common::written(&samples, occ::WriteOptions::default()));
    place.succeed(&["decompress", "m.occ", "--dtype", "f32"]);
    let bytes = place.read("m.safetensors");
    let found = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(found.tensor("l.v.weight").unwrap().dtype(), safetensors::Dtype::F32);
    assert_eq!(found.tensor("bytes").unwrap().data(), [1, 2, 3]);
}
