//! Compression and decompression of files, folders and pipes.

use super::*;
use crate::common::small_samples;
use std::path::Path;

#[test]
fn a_file_is_restored_under_default_names() {
    let folder = Folder::new();
    let original = folder.read("m.safetensors");
    let output = folder.run(&["compress", "m.safetensors"]);
    assert!(succeeded(&output).is_empty());
    fs::remove_file(folder.path("m.safetensors")).unwrap();
    succeeded(&folder.run(&["decompress", "m.occ"]));
    assert!(folder.read("m.safetensors") == original);
    assert_eq!(folder.names(), ["m.occ", "m.safetensors"]);
}

#[test]
fn chunks_have_the_requested_size() {
    let folder = Folder::new();
    let original = folder.read("m.safetensors");
    let chunks = |options: &[&str]| {
        let compress = ["compress", "m.safetensors", "--force", "-o", "m.occ"];
        succeeded(&folder.run(&[&compress, options].concat()));
        assert!(succeeded(&folder.run(&["decompress", "m.occ", "-o", "-"])) == original);
        json(&folder.run(&["verify", "m.occ", "--json"]))["chunks"].as_u64().unwrap()
    };
    assert!(chunks(&["--chunk", "100"]) > 2 * chunks(&[]));
    failed(&folder.run(&["compress", "m.safetensors", "--chunk", "0"]), 2, "--chunk");
    // An estimate is for chunks of the default size.
    let output = folder.run(&["compress", "m.safetensors", "--chunk", "100", "--dry-run"]);
    failed(&output, 2, "--dry-run");
}

#[test]
fn pipes_give_the_same_bytes_as_files() {
    let folder = Folder::new();
    let original = folder.read("m.safetensors");
    succeeded(&folder.run(&["compress", "m.safetensors", "-o", "m.occ"]));
    let coded = folder.read("m.occ");
    assert!(succeeded(&folder.pipe(&["compress", "-", "-o", "-"], &original)) == coded);
    assert!(succeeded(&folder.pipe(&["decompress", "-", "-o", "-"], &coded)) == original);
    succeeded(&folder.pipe(&["decompress", "-", "-o", "x.safetensors"], &coded));
    assert!(folder.read("x.safetensors") == original);
    succeeded(&folder.pipe(&["verify", "-", "--deep"], &coded));
    assert_eq!(folder.names(), ["m.occ", "m.safetensors", "x.safetensors"]);
}

#[test]
fn files_are_replaced_only_with_force() {
    let folder = Folder::new();
    fs::write(folder.path("m.occ"), "existing").unwrap();
    failed(&folder.run(&["compress", "m.safetensors"]), 2, "--force");
    assert_eq!(folder.read("m.occ"), b"existing");
    succeeded(&folder.run(&["compress", "m.safetensors", "--force"]));
    failed(&folder.run(&["decompress", "m.occ"]), 2, "--force");
    succeeded(&folder.run(&["decompress", "m.occ", "--force"]));
}

#[cfg(unix)]
#[test]
fn an_input_is_never_overwritten() {
    let folder = Folder::new();
    let original = folder.read("m.safetensors");
    std::os::unix::fs::symlink(folder.path("m.safetensors"), folder.path("link")).unwrap();
    for output in ["m.safetensors", "link"] {
        let output = folder.run(&["compress", "m.safetensors", "--force", "-o", output]);
        failed(&output, 2, "same file");
    }
    assert!(folder.read("m.safetensors") == original);
    succeeded(&folder.run(&["compress", "m.safetensors"]));
    failed(&folder.run(&["decompress", "m.occ", "--force", "-o", "m.occ"]), 2, "same file");
}

#[test]
fn errors_name_the_file() {
    let folder = Folder::new();
    succeeded(&folder.run(&["compress", "m.safetensors"]));
    let coded = folder.read("m.occ");
    fs::write(folder.path("cut.occ"), &coded[..coded.len() / 2]).unwrap();
    failed(&folder.run(&["inspect", "cut.occ"]), 1, "cut.occ: truncated");
    failed(&folder.run(&["compress", "cut.occ", "-o", "x"]), 1, "cut.occ: not a safetensors file");
    failed(&folder.run(&["compress", "m.safetensors", "-o", "no/x"]), 1, "no/x: ");
    failed(&folder.run(&["verify", "."]), 1, ".: ");
    if Path::new("/dev/full").exists() {
        let full = ["compress", "m.safetensors", "--force", "-o", "/dev/full"];
        failed(&folder.run(&full), 1, "/dev/full: ");
    }
}

#[test]
fn exit_code_is_1_for_bad_data_and_2_for_wrong_usage() {
    let folder = Folder::new();
    fs::write(folder.path("bad"), "this file is not a model file").unwrap();
    failed(&folder.run(&["compress", "bad"]), 1, "safetensors");
    failed(&folder.run(&["decompress", "bad", "-o", "x"]), 1, "not an .occ file");
    failed(&folder.run(&["inspect", "bad"]), 1, "not an .occ file");
    assert_eq!(folder.run(&["verify", "bad"]).status.code(), Some(1));
    failed(&folder.run(&["inspect", "none"]), 1, "none");
    failed(&folder.run(&["compress", "-"]), 2, "-o OUT");
    failed(&folder.run(&["compress"]), 2, "Usage");
    failed(&folder.run(&["expand"]), 2, "Usage");
    assert_eq!(folder.names(), ["bad", "m.safetensors"]);
}

#[test]
fn json_has_the_documented_fields() {
    let folder = Folder::new();
    for args in [["compress", "m.safetensors", "--json"], ["decompress", "m.occ", "--json"]] {
        let mut args = args.to_vec();
        args.extend(["-o", if args[0] == "compress" { "m.occ" } else { "x" }]);
        let report: Value = serde_json::from_slice(succeeded(&folder.run(&args))).unwrap();
        let size = |name: &str| fs::metadata(folder.path(name)).unwrap().len();
        let (original, coded) = (size("m.safetensors"), size("m.occ"));
        let (input, output) =
            if args[0] == "compress" { (original, coded) } else { (coded, original) };
        assert_eq!(
            (&report["input_bytes"], &report["output_bytes"]),
            (&input.into(), &output.into())
        );
        assert_eq!(report["ratio"], coded as f64 / original as f64);
        let weights: usize =
            varied_samples().iter().map(|s| s.shape.iter().product::<usize>()).sum();
        assert_eq!(report["weights"], weights);
        assert_eq!(report["bits_per_weight"], 8.0 * coded as f64 / weights as f64);
        assert!(report["seconds"].as_f64().unwrap() > 0.0);
    }
    let report = folder.run(&["inspect", "m.occ", "--json"]);
    let report: Value = serde_json::from_slice(succeeded(&report)).unwrap();
    assert_eq!(report["tensors"].as_array().unwrap().len(), varied_samples().len());
    for (tensor, sample) in report["tensors"].as_array().unwrap().iter().zip(varied_samples()) {
        assert_eq!(tensor["name"], sample.name);
        assert_eq!(tensor["dtype"], sample.dtype.name());
        assert_eq!(tensor["shape"], serde_json::json!(sample.shape));
        assert_eq!(tensor["decoded_bytes"], sample.bytes.len());
    }
    assert_eq!(report["attachments"][0]["kind"], "safetensors_header");
    let report = folder.run(&["verify", "m.occ", "--deep", "--json"]);
    let report: Value = serde_json::from_slice(succeeded(&report)).unwrap();
    assert_eq!((&report["ok"], &report["problems"]), (&true.into(), &serde_json::json!([])));
}

#[test]
fn a_sharded_checkpoint_is_restored() {
    let folder = Folder::new();
    let model = folder.path("model");
    fs::create_dir(&model).unwrap();
    let index = br#"{"weight_map":{"bf16.coded":"a.safetensors"}}"#;
    fs::write(model.join("model.safetensors.index.json"), index).unwrap();
    fs::write(model.join("a.safetensors"), safetensors(&small_samples()[..1])).unwrap();
    succeeded(&folder.run(&["compress", "model/"]));
    fs::rename(&model, folder.path("original")).unwrap();
    succeeded(&folder.run(&["decompress", "model.occ"]));
    let same = |name: &str| {
        folder.read(&format!("model/{name}")) == folder.read(&format!("original/{name}"))
    };
    assert!(same("a.safetensors") && same("model.safetensors.index.json"));
    failed(&folder.run(&["decompress", "model.occ", "-o", "-"]), 2, "needs a folder");
}

#[test]
fn demo_accepts_a_model() {
    let folder = Folder::new();
    let output = folder.run(&["demo", "m.safetensors"]);
    let text = String::from_utf8(succeeded(&output).to_vec()).unwrap();
    assert!(text.contains("Identical") && text.contains("total"), "{text}");
    assert_eq!(folder.names(), ["m.safetensors"], "no files are left");
}

/// Ctrl-C leaves neither an incomplete file nor a temporary one.
#[cfg(unix)]
#[test]
fn an_interrupt_leaves_no_files() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    let folder = Folder::new();
    let weights = common::bf16_weights(1, 4096).repeat(4096);
    let big = common::Sample::new("w", occ::Dtype::Bf16, &[4096, 4096], weights);
    fs::write(folder.path("m.safetensors"), safetensors(&[big])).unwrap();
    let mut child = folder.command(&["compress", "m.safetensors"]).spawn().unwrap();
    let begun = |folder: &Path| fs::read_dir(folder).unwrap().count() > 1;
    while !begun(folder.0.path()) && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(folder.names(), ["m.safetensors"]);
}
