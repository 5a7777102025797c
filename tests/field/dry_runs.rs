//! What compression would do, without doing it.

use crate::checkpoints::file;
use crate::command::Workplace;
use crate::common::{Sample, bf16_weights, safetensors};
use occ::Dtype;

#[test]
fn a_dry_run_gives_the_size_and_writes_nothing() {
    let place = Workplace::new();
    place.write("a.safetensors", file(&["a"]));
    let dry = place.succeed(&["compress", "a.safetensors", "--dry-run", "--json"]);
    assert!(dry.stderr.contains("dry run"), "{}", dry.stderr);
    assert_eq!(place.files(), ["a.safetensors"]);
    place.succeed(&["compress", "a.safetensors"]);
    let size = place.read("a.occ").len();
    let estimate = output_bytes(&dry.stdout);
    assert!(dry.stdout.contains("\"estimated\":true"), "{}", dry.stdout);
    assert!(estimate.abs_diff(size) <= 64 + size / 100, "{estimate} {size}");
}

fn output_bytes(json: &str) -> usize {
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    json["output_bytes"].as_u64().unwrap().try_into().unwrap()
}

/// The plan is shown in groups, with reasons, and its size is that of the file.
#[test]
fn a_dry_run_shows_the_plan() {
    let place = Workplace::new();
    let mut samples = vec![Sample::new("norm", Dtype::F32, &[5000], vec![7; 20000])];
    for layer in 0..41 {
        let name = format!("layers.{layer}.weight");
        let weights = bf16_weights(layer, 64 * 64);
        samples.push(Sample::new(&name, Dtype::Bf16, &[64, 64], weights));
    }
    place.write("m.safetensors", safetensors(&samples));
    for target in [&["--bits", "3"][..], &["--bits-for", "*.1?.*=4"], &[]] {
        let run =
            |last: &[&str]| place.succeed(&[&["compress", "m.safetensors"], target, last].concat());
        let dry = run(&["--dry-run"]);
        for text in ["estimated", "layers.[0-40].weight"] {
            assert!(dry.stdout.contains(text), "{}", dry.stdout);
        }
        let is_planned = target.first() == Some(&"--bits");
        assert_eq!(dry.stdout.contains("lossless (vector)"), is_planned, "{}", dry.stdout);
        assert!(dry.stderr.contains("m.occ, estimated: "), "{}", dry.stderr);
        let estimate = output_bytes(&run(&["--dry-run", "--json"]).stdout);
        assert!(place.files() == ["m.safetensors"]);
        run(&[]);
        let size = place.read("m.occ").len();
        assert!(estimate.abs_diff(size) <= size / 50, "{target:?}: {estimate} {size}");
        std::fs::remove_file(place.path("m.occ")).unwrap();
    }
    let quiet = place.succeed(&["compress", "m.safetensors", "--dry-run", "--quiet"]);
    assert_eq!((&quiet.stdout[..], &quiet.stderr[..]), ("", ""));
}
