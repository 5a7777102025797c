//! Tensors that a checkpoint holds twice: tied embeddings, copies of experts.

use crate::command::Workplace;
use crate::common::{
    Sample, assert_valid, bf16_weights, f32_weights, safetensors, small_chunks, tied_samples,
    written, written_from_plan, written_together,
};
use occ::convert::{Checkpoint, Target, decompress_stream};
use occ::{Codec, Dtype, Encoding, Error, Limits, Reader, StreamReader, WriteOptions, Writer};

#[test]
fn equal_tensors_are_stored_once() {
    let samples = tied_samples();
    for options in [WriteOptions::default(), small_chunks(300)] {
        let file = written_together(&samples, options.clone());
        assert_valid(&file);
        let apart = written(&samples, options);
        // Without the second noise tensor, and two of three equal ones.
        assert!(file.len() + 4096 < apart.len(), "{} of {}", file.len(), apart.len());
        let reader = Reader::new(&file).unwrap();
        let stream = StreamReader::new(file.as_slice()).unwrap().tensors();
        for (sample, streamed) in samples.iter().zip(stream) {
            let tensor = reader.tensor(&sample.name).unwrap();
            assert!(tensor.decode().unwrap() == sample.bytes, "{}", sample.name);
            assert!(streamed.unwrap().bytes == sample.bytes, "{}", sample.name);
            let is_copy = ["head", "noise again", "third"].contains(&sample.name.as_str());
            assert_eq!(tensor.stored() == Some(Codec::Reference), is_copy, "{}", sample.name);
            assert!(tensor.coding().unwrap().is_none());
        }
        let head = reader.tensor("head").unwrap();
        assert!(head.coded_bytes() <= 8 * head.chunks());
        assert_eq!(head.decode_rows(7..40).unwrap(), samples[0].bytes[700..4000]);
        let mut stream = StreamReader::new(file.as_slice()).unwrap();
        while let Some(mut tensor) = stream.next_tensor().unwrap() {
            if tensor.name() == "third" {
                let chunk = tensor.next_chunk().unwrap().unwrap();
                assert_eq!(chunk, samples[0].bytes[..chunk.len()]);
            }
        }
    }
}

#[test]
fn a_checkpoint_with_tied_weights_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.safetensors");
    let weights = bf16_weights(8, 300 * 64);
    let samples = [
        Sample::new("embed_tokens.weight", Dtype::Bf16, &[300, 64], weights.clone()),
        Sample::new("lm_head.weight", Dtype::Bf16, &[300, 64], weights),
    ];
    let original = safetensors(&samples);
    std::fs::write(&input, &original).unwrap();
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, WriteOptions::default()).unwrap();
    Checkpoint::open(&input).unwrap().write_to(&mut writer, None).unwrap();
    writer.finish().unwrap();
    assert!(file.len() < original.len() * 2 / 5, "{} of {}", file.len(), original.len());
    let mut back = Vec::new();
    decompress_stream(file.as_slice(), Target::Stream(&mut back), None).unwrap();
    assert!(back == original);
    // A stream must keep the embedding.
    let limits = Limits::default().tensor_bytes(10_000);
    let mut stream = StreamReader::new_with(file.as_slice(), limits).unwrap();
    let error = loop {
        match stream.next_tensor() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("kept more than the limit"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::LimitExceeded { .. }), "{error}");
}

/// Two equal tensors and another one, written with an encoding: the file, and the decoded bytes.
fn lossy(encoding: &Encoding) -> (Vec<u8>, Vec<Vec<u8>>) {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.safetensors");
    let (tied, other) = (f32_weights(1, 256 * 128), f32_weights(2, 512 * 128));
    let samples = [
        Sample::new("embed_tokens.weight", Dtype::F32, &[256, 128], tied.clone()),
        Sample::new("layers.0.mlp.up_proj.weight", Dtype::F32, &[512, 128], other),
        Sample::new("lm_head.weight", Dtype::F32, &[256, 128], tied),
    ];
    std::fs::write(&input, safetensors(&samples)).unwrap();
    let checkpoint = Checkpoint::open(&input).unwrap();
    let plan = checkpoint.plan(encoding, None).unwrap();
    let file = written_from_plan(&checkpoint, &plan);
    assert_valid(&file);
    let reader = Reader::new(&file).unwrap();
    let decoded = samples.iter().map(|s| reader.tensor(&s.name).unwrap().decode().unwrap());
    let decoded = decoded.collect();
    drop(reader);
    (file, decoded)
}

#[test]
fn tied_weights_stay_tied_under_loss() {
    for encoding in [Encoding::bits(2.0), Encoding::snr(20.0)] {
        let (file, decoded) = lossy(&encoding);
        assert!(decoded[0] == decoded[2]);
        let reader = Reader::new(&file).unwrap();
        let (embedding, head) = (
            reader.tensor("embed_tokens.weight").unwrap(),
            reader.tensor("lm_head.weight").unwrap(),
        );
        assert_eq!(head.stored(), Some(Codec::Reference));
        assert!(head.coding().unwrap().is_some());
        assert_eq!(head.coding().unwrap(), embedding.coding().unwrap());
        assert_eq!(head.decode_as(Dtype::Bf16).unwrap(), embedding.decode_as(Dtype::Bf16).unwrap());
        if encoding == Encoding::bits(2.0) {
            // The budget counts all weights; what the copy does not take is spent on the others.
            let bits = 8.0 * file.len() as f64 / (1024.0 * 128.0);
            assert!(bits <= 2.0 && bits > 1.98, "{bits}");
        }
    }
}

#[test]
fn weights_with_rules_of_their_own_are_not_tied() {
    let (file, decoded) = lossy(&Encoding::bits(9.0).keep("lm_head*"));
    assert!(decoded[0] != decoded[2]);
    let head = Reader::new(&file).unwrap().tensor("lm_head.weight").unwrap();
    assert!(head.coding().unwrap().is_none() && head.stored() != Some(Codec::Reference));
}

#[test]
fn inspect_names_references() {
    let place = Workplace::new();
    place.write("x.occ", lossy(&Encoding::snr(20.0)).0);
    let run = place.succeed(&["inspect", "x.occ"]);
    let row = run.stdout.lines().find(|line| line.starts_with("lm_head.weight")).unwrap();
    assert!(row.contains(" reference "), "{row}");
}
