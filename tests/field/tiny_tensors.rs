//! Files of very many tensors of a few bytes, as adapters with a scalar for each layer have.

use crate::common::{Random, Sample, assert_valid, safetensors};
use occ::convert::{Checkpoint, Target, decompress_stream};
use occ::{Dtype, Reader, WriteOptions, Writer};

/// Scalars and 4 × 4 matrices.
fn tiny_tensors(count: usize) -> Vec<Sample> {
    let mut random = Random(11);
    let alpha = |number: usize| {
        let name = format!("lora_unet_down_blocks_{number}.lora_{}.alpha", ["A", "B"][number % 2]);
        Sample::new(&name, Dtype::F32, &[], (number as f32).to_le_bytes().into())
    };
    let mut samples: Vec<Sample> = (0..count).map(alpha).collect();
    samples.extend((0..count).map(|number| {
        let bytes = (0..16).flat_map(|_| random.weight().to_le_bytes()).collect();
        Sample::new(&format!("blocks.{number}.w"), Dtype::F32, &[4, 4], bytes)
    }));
    samples
}

fn compressed(original: &[u8]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, original).unwrap();
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
    Checkpoint::open(&path).unwrap().write_to(&mut writer, None).unwrap();
    writer.finish().unwrap();
    file
}

#[test]
fn many_tiny_tensors_do_not_grow() {
    let samples = tiny_tensors(20_000);
    let original = safetensors(&samples);
    let file = compressed(&original);
    assert!(file.len() <= original.len(), "{} bytes of {}", file.len(), original.len());
    assert_valid(&file);
    let reader = Reader::new(&file).unwrap();
    assert_eq!(reader.len(), samples.len());
    for sample in samples.iter().step_by(37) {
        let tensor = reader.tensor(&sample.name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (sample.dtype, &sample.shape[..]));
        assert_eq!(tensor.as_raw(), Some(&sample.bytes[..]));
        assert_eq!(tensor.decode().unwrap(), sample.bytes);
    }
    let mut back = Vec::new();
    decompress_stream(file.as_slice(), Target::Stream(&mut back), None).unwrap();
    assert!(back == original);
}

/// The cost of a tensor beyond its name and its data.
#[test]
fn the_cost_of_a_tensor_is_small() {
    let written = |samples: &[Sample]| {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
        for sample in samples {
            writer.add(&sample.name, sample.dtype, &sample.shape, &sample.bytes).unwrap();
        }
        writer.finish().unwrap();
        file.len()
    };
    let scalar = |name: &str| Sample::new(name, Dtype::F32, &[], vec![1, 2, 3, 4]);
    let scalars = [scalar("layers.0.alpha"), scalar("layers.1.alpha")];
    let added = written(&scalars) - written(&scalars[..1]);
    // The frame has 19 bytes and the index 24; both have the name, the frame only where it differs
    // from the one before.
    let names = "1.alpha".len() + "layers.1.alpha".len();
    assert_eq!(added, 19 + 24 + names + 4);
}
