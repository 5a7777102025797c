//! Files of shards that are merged into one.

use crate::command::Workplace;
use crate::common::{Sample, assert_valid, bf16_weights, f32_weights, safetensors};
use occ::{Codec, Dtype, Reader};

const SHARDS: [&str; 3] = ["model-00001-of-00003", "model-00002-of-00003", "model-00003-of-00003"];

/// A checkpoint of three shards. The last has tensors that are equal to ones of the first and of its
/// own; small and constant ones occur twice.
fn sharded() -> Vec<Vec<Sample>> {
    let sample = |name: &str, dtype, shape: &[usize], bytes| Sample::new(name, dtype, shape, bytes);
    let matrix =
        |name: &str, seed| sample(name, Dtype::Bf16, &[96, 128], bf16_weights(seed, 96 * 128));
    let raw = |name: &str| {
        let bytes = (0..5000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        sample(name, Dtype::U8, &[5000], bytes)
    };
    let zeros = |name: &str| sample(name, Dtype::F32, &[2000], vec![0; 8000]);
    let norm = |name: &str| sample(name, Dtype::F32, &[64], f32_weights(9, 64));
    vec![
        vec![matrix("embed", 1), norm("0.norm"), raw("0.raw"), matrix("0.weight", 2)],
        vec![matrix("1.weight", 3), norm("1.norm"), zeros("1.zeros"), matrix("1.copy", 3)],
        vec![
            matrix("head", 1),
            raw("2.raw"),
            zeros("2.zeros"),
            matrix("2.copy", 1),
            norm("2.norm"),
        ],
    ]
}

/// Writes the shards to the folder `m`, with an index on request.
fn write_shards(place: &Workplace, shards: &[Vec<Sample>], with_index: bool) {
    let mut entries = Vec::new();
    for (name, samples) in SHARDS.iter().zip(shards) {
        place.write(&format!("m/{name}.safetensors"), safetensors(samples));
        let entry = |sample: &Sample| format!("\"{}\":\"{name}.safetensors\"", sample.name);
        entries.extend(samples.iter().map(entry));
    }
    if with_index {
        let index = format!("{{\"weight_map\":{{{}}}}}", entries.join(","));
        place.write("m/model.safetensors.index.json", index);
    }
}

fn compress_each(place: &Workplace, options: &[&str]) {
    for name in SHARDS {
        let (input, output) = (format!("m/{name}.safetensors"), format!("{name}.occ"));
        place.succeed(&[&["compress", &input, "-o", &output, "-f"], options].concat());
    }
}

fn parts() -> Vec<String> {
    SHARDS.iter().map(|name| format!("{name}.occ")).collect()
}

fn merge(place: &Workplace, options: &[&str]) {
    let parts = parts();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    place.succeed(&[&["merge"], &parts[..], &["-o", "merged.occ", "-f"], options].concat());
}

#[test]
fn merged_shards_are_the_file_of_the_folder() {
    for with_index in [false, true] {
        let place = Workplace::new();
        write_shards(&place, &sharded(), with_index);
        place.succeed(&["compress", "m", "-o", "whole.occ"]);
        compress_each(&place, &[]);
        let index = ["--index", "m/model.safetensors.index.json"];
        merge(&place, if with_index { &index } else { &[] });
        let merged = place.read("merged.occ");
        assert_valid(&merged);
        assert!(merged == place.read("whole.occ"), "with index: {with_index}");
        let reader = Reader::new(&merged).unwrap();
        for (name, is_reference) in [
            ("head", true),
            ("2.copy", true),
            ("2.raw", true),
            ("1.copy", true),
            ("2.zeros", false),
        ] {
            let stored = reader.tensor(name).unwrap().stored();
            assert_eq!(stored == Some(Codec::Reference), is_reference, "{name}");
        }
        place.succeed(&["decompress", "merged.occ", "-o", "out"]);
        for name in SHARDS {
            let file = |folder| place.read(&format!("{folder}/{name}.safetensors"));
            assert!(file("out") == file("m"), "{name}");
        }
    }
}

/// Merging is associative, and one file stays as it is.
#[test]
fn merged_files_can_be_merged() {
    let place = Workplace::new();
    write_shards(&place, &sharded(), false);
    compress_each(&place, &[]);
    merge(&place, &[]);
    let [a, b, c] = &parts()[..] else { panic!() };
    place.succeed(&["merge", b, c, "-o", "bc.occ"]);
    place.succeed(&["merge", a, "bc.occ", "-o", "again.occ"]);
    place.succeed(&["merge", a, "-o", "one.occ"]);
    assert!(place.read("again.occ") == place.read("merged.occ"));
    assert!(place.read("one.occ") == place.read(a));
}

#[test]
fn files_that_do_not_fit_are_named() {
    let place = Workplace::new();
    write_shards(&place, &sharded(), true);
    compress_each(&place, &[]);
    let [a, b, _] = &parts()[..] else { panic!() };
    let copy = place.read(a);
    place.write("copy.occ", &copy);
    let before = place.files();
    let index = "m/model.safetensors.index.json";
    place.fail(&["merge", a, "copy.occ", "-o", "x.occ"], 2, &[a, "copy.occ", "embed"]);
    place.fail(&["merge", a, b, "--index", index, "-o", "x.occ"], 1, &[index, "head"]);
    place.fail(&["merge", b, a, "-o", a], 2, &["the same file"]);
    place.fail(&["merge", b, a, "-o", "copy.occ"], 2, &["copy.occ", "exists"]);
    place.fail(&["merge", a, "none.occ", "-o", "x.occ"], 1, &["none.occ"]);
    place.fail(&["merge", a, index, "-o", "x.occ"], 1, &[index]);
    place.fail(&["merge", a, "-", "-o", "x.occ"], 2, &["merge reads"]);
    // Damage within a chunk is found when it is copied; nothing remains of the output.
    let mut damaged = copy;
    damaged[5000] ^= 1;
    place.write("copy.occ", damaged);
    place.fail(&["merge", "copy.occ", b, "-o", "x.occ"], 1, &["copy.occ", "chunk"]);
    assert_eq!(place.files(), before);
}
