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
    assert_eq!(text(&["--groups"]), all);
}

fn inspected(folder: &Folder, args: &[&str]) -> String {
    let output = folder.run(&[&["inspect"], args].concat());
    String::from_utf8(succeeded(&output).to_vec()).unwrap()
}

/// Fifty layers of two tensors, two of them with another shape, and an embedding.
fn layers() -> Vec<common::Sample> {
    let mut samples = vec![common::Sample::new("embed", Dtype::U8, &[300], vec![1; 300])];
    for layer in 0..50 {
        let rows = if layer == 7 { 3 } else { 2 };
        for name in ["fc1", "fc2"] {
            let name = format!("layers.{layer}.{name}");
            samples.push(common::Sample::new(&name, Dtype::U8, &[rows, 5], vec![2; rows * 5]));
        }
    }
    samples
}

#[test]
fn many_tensors_are_listed_in_groups_of_layers() {
    let folder = Folder::new();
    fs::write(folder.path("l.safetensors"), safetensors(&layers())).unwrap();
    succeeded(&folder.run(&["compress", "l.safetensors"]));
    for file in ["l.occ", "l.safetensors"] {
        let groups = inspected(&folder, &[file]);
        let rows: Vec<&str> =
            groups.lines().filter_map(|line| line.strip_prefix("layers.")).collect();
        let starts: Vec<String> = rows
            .iter()
            .map(|row| row.split_whitespace().take(3).collect::<Vec<_>>().join(" "))
            .collect();
        let expected =
            ["[0-6,8-49].fc1 ×49 U8", "[0-6,8-49].fc2 ×49 U8", "7.fc1 U8 [3,", "7.fc2 U8 [3,"];
        assert_eq!(starts, expected, "{groups}");
        assert!(groups.contains("101 tensors, 1,310 weights"), "{groups}");
        let all = inspected(&folder, &[file, "--all"]);
        assert_eq!(all.lines().filter(|line| line.starts_with("layers.")).count(), 100, "{all}");
        let some = inspected(&folder, &[file, "--tensor", "layers.1?.fc1"]);
        assert!(some.contains("layers.19.fc1") && some.contains("10 tensors"), "{some}");
        let some = inspected(&folder, &[file, "--tensor", "layers.1?.fc1", "--groups"]);
        assert!(some.contains("layers.[10-19].fc1") && some.contains("×10"), "{some}");
        let report = json(&folder.run(&["inspect", file, "--json"]));
        assert_eq!(report["tensors"].as_array().unwrap().len(), 101);
    }
    failed(&folder.run(&["inspect", "l.occ", "--all", "--groups"]), 2, "cannot be used");
}

#[test]
fn inspect_takes_safetensors_files_and_folders() {
    let folder = lossy_folder();
    let text = inspected(&folder, &["l.safetensors"]);
    for needed in ["a.weight", "[128, 96]", "metadata format: pt", "3 tensors", "in 1 file"] {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
    for absent in ["stored as", "coded", "ratio", "bits/weight"] {
        assert!(!text.contains(absent), "{absent} in\n{text}");
    }
    let report = json(&folder.run(&["inspect", "l.safetensors", "--json"]));
    assert_eq!(report["file_bytes"], folder.read("l.safetensors").len());
    assert_eq!(report["metadata"]["format"], "pt");
    let tensor = &report["tensors"][0];
    assert_eq!((&tensor["name"], &tensor["dtype"]), (&"a.weight".into(), &"BF16".into()));
    assert_eq!((&tensor["shape"][1], &tensor["decoded_bytes"]), (&96.into(), &24576.into()));
    failed(&folder.run(&["inspect", "l.safetensors", "--tensor", "c*"]), 2, "matches c*");

    fs::create_dir(folder.path("shards")).unwrap();
    for (number, samples) in [small_samples(), layers()].iter().enumerate() {
        let name = format!("shards/model-0000{}-of-00002.safetensors", number + 1);
        fs::write(folder.path(&name), safetensors(samples)).unwrap();
    }
    let text = inspected(&folder, &["shards"]);
    assert!(text.contains("in 2 files") && text.contains("layers.[0-6,8-49].fc1"), "{text}");
    // What is the same in all shards is shown once.
    assert_eq!(text.matches("metadata format: pt").count(), 1, "{text}");
    failed(&folder.run(&["inspect", "none"]), 1, "none: ");
}

/// The reason can be a tensor that is not listed: the quantised weights beside a scale.
#[test]
fn reasons_do_not_depend_on_the_filter() {
    let folder = Folder::new();
    let samples = [
        common::Sample::new("a.weight", Dtype::F16, &[96, 128], common::f16_weights(3, 12288)),
        common::Sample::new("q.weight", Dtype::U8, &[128, 128], vec![3; 16384]),
        common::Sample::new("q.biases", Dtype::F16, &[64, 128], common::f16_weights(4, 8192)),
    ];
    fs::write(folder.path("l.safetensors"), safetensors(&samples)).unwrap();
    folder.lossy(&["--snr", "20"]);
    let text = inspected(&folder, &["l.occ", "--tensor", "q.biases"]);
    assert!(text.contains("quantization parameter"), "{text}");
    let report = json(&folder.run(&["inspect", "l.occ", "--tensor", "q.biases", "--json"]));
    assert_eq!(report["tensors"][0]["lossless_reason"], "quantization_parameter");
}

#[cfg(not(feature = "remote"))]
#[test]
fn urls_need_a_feature() {
    let folder = Folder::new();
    let url = "https://localhost/m.occ";
    let commands: [&[&str]; 4] = [
        &["inspect", url],
        &["verify", url],
        &["extract", url, "w", "-o", "x"],
        &["decompress", url, "-o", "x"],
    ];
    for command in commands {
        failed(&folder.run(command), 2, "cargo install occ --features remote");
    }
}
