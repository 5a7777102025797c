//! `occ inspect` and `occ verify`.

use super::*;
use crate::common::small_samples;

#[test]
fn verify_names_the_damaged_chunk() {
    let folder = Folder::new();
    fs::write(folder.path("m.safetensors"), safetensors(&small_samples()[..1])).unwrap();
    succeeded(&folder.run(&["compress", "m.safetensors"]));
    let mut coded = folder.read("m.occ");
    let middle = coded.len() / 2; // within the only tensor's only chunk
    coded[middle] ^= 1;
    fs::write(folder.path("m.occ"), coded).unwrap();
    let output = folder.run(&["verify", "m.occ"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("checksum mismatch") && text.contains("`bf16.coded`, chunk 0"), "{text}");
    failed(&folder.run(&["decompress", "m.occ", "-o", "x"]), 1, "checksum mismatch");
    assert_eq!(folder.names(), ["m.occ", "m.safetensors"]);
}

#[test]
fn inspect_lists_tensors_and_tolerates_a_closed_pipe() {
    let folder = Folder::new();
    succeeded(&folder.run(&["compress", "m.safetensors"]));
    let output = folder.run(&["inspect", "m.occ"]);
    let text = String::from_utf8(succeeded(&output).to_vec()).unwrap();
    for needed in
        ["bf16.coded", "[40, 33]", "planes", "raw", "bits per weight", "ünï \\\"quoted\\\"\\n"]
    {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
    let mut child = folder.command(&["inspect", "m.occ"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn inspect_filters_and_groups() {
    let folder = lossy_folder();
    succeeded(&folder.run(&["compress", "l.safetensors"]));
    let text = |args: &[&str]| {
        let output = folder.run(&[&["inspect", "l.occ"], args].concat());
        String::from_utf8(succeeded(&output).to_vec()).unwrap()
    };
    let all = text(&[]);
    assert!(all.contains("metadata format: pt") && all.contains("bits per weight"), "{all}");
    let some = text(&["--tensor", "a.*"]);
    assert!(some.contains("2 tensors, 12,608 weights, of a file of"), "{some}");
    assert!(!some.contains("b.weight"), "{some}");
    failed(&folder.run(&["inspect", "l.occ", "--tensor", "c*"]), 2, "matches c*");
    let report = json(&folder.run(&["inspect", "l.occ", "--tensor", "b*", "--json"]));
    assert_eq!((&report["weights"], &report["bits_per_weight"]), (&12288.into(), &Value::Null));
    let groups = text(&["--groups"]);
    let size = folder.read("l.safetensors").len() as f64 / 1000.0;
    assert!(
        groups.contains("headers and index") && groups.contains(&format!("{size:.2} kB")),
        "{groups}"
    );
}
