//! A folder with all that belongs to a model becomes one file, and the folder again.

use crate::checkpoints::{FIRST, INDEX, SECOND, file, write_sharded};
use crate::command::Workplace;
use crate::common::{Sample, bf16_weights, safetensors};
use occ::Dtype;

/// A sentence encoder: files of all kinds, also empty and binary ones, and one in a subfolder.
const FILES: [(&str, &[u8]); 8] = [
    ("1_Pooling/config.json", b"{\"pooling\": \"mean\"}"),
    ("LICENSE", b"Apache"),
    ("README.md", b"---\nlicense: apache-2.0\n---\r\n"),
    ("config.json", b"{\"hidden_size\": 32}\n"),
    ("empty.txt", b""),
    ("modeling_x.py", b"import torch\n"),
    ("tokenizer.model", b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02\xff\xfe\0"),
    ("vocab \u{fc}.json", b"{}"),
];

fn write_files(place: &Workplace, folder: &str) {
    for (name, bytes) in FILES {
        place.write(&format!("{folder}/{name}"), bytes);
    }
}

/// The files below a folder, relative to it, with their bytes.
fn contents(place: &Workplace, folder: &str) -> Vec<(String, Vec<u8>)> {
    let names = place.files().into_iter();
    let below = names.filter_map(|name| name.strip_prefix(folder).map(str::to_owned));
    below.map(|name| (name.clone(), place.read(&format!("{folder}{name}")))).collect()
}

#[test]
fn a_folder_becomes_one_file_and_comes_back() {
    for sharded in [false, true] {
        let place = Workplace::new();
        match sharded {
            true => write_sharded(&place, "model"),
            false => place.write("model/model.safetensors", file(&["a"])),
        }
        write_files(&place, "model");
        let expected = contents(&place, "model/");
        let run = place.succeed(&["compress", "model"]);
        assert!(!run.stderr.contains("warning"), "{}", run.stderr);
        place.succeed(&["verify", "model.occ", "--deep"]);
        std::fs::rename(place.path("model"), place.path("original")).unwrap();
        place.succeed(&["decompress", "model.occ"]);
        assert!(contents(&place, "model/") == expected, "{:?}", place.files());
        // From a pipe, too.
        let bytes = place.read("model.occ");
        place.succeed_with_input(&["decompress", "-", "-o", "piped"], &bytes);
        assert!(contents(&place, "piped/") == expected, "{:?}", place.files());
        // Files that exist are not replaced, and none are written.
        std::fs::remove_file(place.path("piped/LICENSE")).unwrap();
        place.fail(&["decompress", "model.occ", "-o", "piped"], 2, &["--force"]);
        assert!(!place.path("piped/LICENSE").exists());
        // Equal input gives an equal file, whatever the folder is called.
        place.succeed(&["compress", "original", "-o", "again.occ"]);
        assert!(place.read("again.occ") == bytes);
    }
}

#[test]
fn files_are_listed_and_written_one_by_one() {
    let place = Workplace::new();
    place.write("model/model.safetensors", file(&["config.json"]));
    write_files(&place, "model");
    place.succeed(&["compress", "model"]);
    let table = place.succeed(&["inspect", "model.occ"]).stdout;
    assert!(table.contains("(file tokenizer.model)"), "{table}");
    let json = place.succeed(&["inspect", "model.occ", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let attachments = json["attachments"].as_array().unwrap().iter();
    let files = attachments.filter(|one| one["kind"] == "file");
    let files: Vec<_> = files.map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(files, FILES.map(|(name, _)| name));
    for (name, bytes) in FILES {
        place.succeed(&["extract", "model.occ", "--attachment", name, "-o", "out", "--force"]);
        assert!(place.read("out") == bytes, "{name}");
    }
    // A name without the option is that of a tensor first.
    place.succeed(&["extract", "model.occ", "config.json", "-o", "out", "--force"]);
    assert_eq!(place.read("out").len(), 1024);
    place.succeed(&["extract", "model.occ", "LICENSE", "-o", "out", "--force"]);
    assert_eq!(place.read("out"), b"Apache");
    place.fail(&["extract", "model.occ", "--attachment", "licence", "-o", "x"], 1, &["licence"]);
    place.fail(&["extract", "model.occ", "-o", "x"], 2, &["NAME"]);
    place.fail(
        &["extract", "model.occ", "a", "--attachment", "b", "-o", "x"],
        2,
        &["--attachment"],
    );
}

#[test]
fn what_is_left_out_is_named() {
    let place = Workplace::new();
    write_sharded(&place, "model");
    for name in [
        "pytorch_model.bin",
        "model.gguf",
        "optimizer.PT",
        "old.occ",
        "onnx/model.onnx",
        "onnx/quantize_config.json",
        "eval/deep/results.json",
    ] {
        place.write(&format!("model/{name}"), b"x");
    }
    place.write("model/.gitattributes", "hidden");
    place.write("model/.git/config", "hidden");
    place.write("model/__pycache__/a.pyc", "compiled");
    place.write("model/eval/shallow.json", "{}");
    let run = place.succeed(&["compress", "model"]);
    for name in ["pytorch_model.bin", "model.gguf", "optimizer.PT", "old.occ"] {
        let line = run.stderr.lines().find(|line| line.contains(name));
        assert!(line.is_some_and(|line| line.contains("another format")), "{name}: {}", run.stderr);
    }
    for name in ["onnx/model.onnx", "onnx/quantize_config.json", "eval/deep"] {
        let line = run.stderr.lines().find(|line| line.contains(name));
        assert!(line.is_some_and(|line| line.contains("in a subfolder")), "{name}: {}", run.stderr);
    }
    assert!(!run.stderr.contains("git") && !run.stderr.contains("__pycache__"));
    place.succeed(&["decompress", "model.occ", "-o", "back/"]);
    let names: Vec<_> = contents(&place, "back/").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["config.json", "eval/shallow.json", FIRST, SECOND, INDEX]);

    place.succeed(&["compress", "model", "--no-files", "-o", "weights.occ"]);
    place.succeed(&["decompress", "weights.occ", "-o", "weights/"]);
    assert_eq!(contents(&place, "weights/").len(), 3);
    // Files that were named have no folder.
    place.succeed(&["compress", &format!("model/{INDEX}"), "-o", "index.occ"]);
    assert!(place.read("index.occ") == place.read("weights.occ"));
}

#[cfg(unix)]
#[test]
fn special_files_and_links_are_left_out_or_read() {
    use std::os::unix::{fs::symlink, net::UnixListener};
    let place = Workplace::new();
    place.write("model/model.safetensors", file(&["a"]));
    place.write("blobs/1", "{\"linked\": true}");
    place.write("blobs/more/2", "{}");
    let model = place.path("model");
    symlink("../blobs/1", model.join("config.json")).unwrap();
    symlink("../blobs/gone", model.join("vocab.json")).unwrap();
    symlink("../blobs/more", model.join("linked_folder")).unwrap();
    std::fs::write(model.join("a\\b.txt"), "x").unwrap();
    let _socket = UnixListener::bind(model.join("socket")).unwrap();
    let run = place.succeed(&["compress", "model"]);
    for (name, reason) in [
        ("vocab.json", "does not exist"),
        ("linked_folder", "subfolder"),
        ("a\\b.txt", "cannot be stored"),
        ("socket", "not a file"),
    ] {
        let line = run.stderr.lines().find(|line| line.contains(name));
        assert!(line.is_some_and(|line| line.contains(reason)), "{name}: {}", run.stderr);
    }
    place.succeed(&["decompress", "model.occ", "-o", "back/"]);
    let names: Vec<_> = contents(&place, "back/").into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["config.json", "model.safetensors"]);
    assert_eq!(place.read("back/config.json"), b"{\"linked\": true}");
}

#[test]
fn a_single_output_is_the_weights_and_the_rest_is_named() {
    let place = Workplace::new();
    let weights = file(&["a", "b"]);
    place.write("model/weights.safetensors", &weights);
    write_files(&place, "model");
    place.succeed(&["compress", "model"]);
    let coded = place.read("model.occ");
    for (output, run) in [
        ("1.safetensors", place.succeed(&["decompress", "model.occ", "-o", "1.safetensors"])),
        (
            "2.safetensors",
            place.succeed_with_input(&["decompress", "-", "-o", "2.safetensors"], &coded),
        ),
    ] {
        assert!(place.read(output) == weights);
        assert!(
            run.stderr.contains("not written") && run.stderr.contains("README.md"),
            "{}",
            run.stderr
        );
    }
    let args = ["decompress", "model.occ", "-o", "3.safetensors", "--rm"];
    place.fail(&args, 2, &["--rm", "README.md"]);
    assert!(place.path("model.occ").exists());
    // Converted, too: other files stay as they are.
    place.succeed(&["decompress", "model.occ", "-o", "f32/", "--dtype", "F32"]);
    assert!(place.read("f32/weights.safetensors").len() > weights.len());
    assert!(place.read("f32/config.json") == place.read("model/config.json"));
    write_sharded(&place, "model");
    std::fs::remove_file(place.path("model/weights.safetensors")).unwrap();
    place.succeed(&["compress", "model", "--force"]);
    place.succeed(&["decompress", "model.occ", "-o", "sharded/", "--dtype", "F32"]);
    assert!(place.read("sharded/README.md") == place.read("model/README.md"));
    assert!(place.read(&format!("sharded/{INDEX}")) != place.read(&format!("model/{INDEX}")));
}

#[test]
fn whole_models_are_removed_when_their_copy_is_equal() {
    let place = Workplace::new();
    write_sharded(&place, "model");
    write_files(&place, "model");
    let expected = contents(&place, "model/");
    place.succeed(&["compress", "model", "--rm"]);
    assert_eq!(place.files(), ["model.occ"]);
    place.succeed(&["decompress", "model.occ", "--rm"]);
    assert!(contents(&place, "model/") == expected);
    assert!(!place.path("model.occ").exists());
}

/// What `--rm` relies on.
#[test]
fn files_that_differ_from_their_copy_are_found() {
    let place = Workplace::new();
    place.write("model/model.safetensors", file(&["a"]));
    write_files(&place, "model");
    place.succeed(&["compress", "model"]);
    let check = || occ::convert::check_restored(place.path("model.occ"), place.path("model"), None);
    check().unwrap();
    for (name, bytes) in FILES {
        let name = format!("model/{name}");
        place.write(&name, [bytes, b"x"].concat());
        check().unwrap_err();
        std::fs::remove_file(place.path(&name)).unwrap();
        check().unwrap_err();
        place.write(&name, bytes);
        check().unwrap();
    }
}

/// A budget is that of the whole file, files included.
#[test]
fn a_budget_includes_files() {
    let place = Workplace::new();
    let weights = Sample::new("w", Dtype::Bf16, &[256, 256], bf16_weights(1, 1 << 16));
    place.write("model/model.safetensors", safetensors(&[weights]));
    place.write("model/tokenizer.model", crate::common::Random(5).bytes(4000));
    let bits = |name: &str| 8.0 * place.read(name).len() as f64 / 65536.0;
    place.succeed(&["compress", "model", "--bits", "4"]);
    place.succeed(&["compress", "model", "--bits", "4", "--no-files", "-o", "weights.occ"]);
    for name in ["model.occ", "weights.occ"] {
        assert!((3.9..=4.0).contains(&bits(name)), "{name}: {}", bits(name));
    }
    // More than the budget.
    place.write("model/tokenizer.model", crate::common::Random(5).bytes(40_000));
    place.fail(
        &["compress", "model", "--bits", "4", "--force"],
        2,
        &["headers and other files 4."],
    );
}

#[test]
fn a_tree_keeps_files_with_their_weights() {
    let place = Workplace::new();
    place.write("pipe/model_index.json", "{}");
    place.write("pipe/scheduler/scheduler_config.json", "{}");
    place.write("pipe/vae/config.json", "{\"vae\": 1}");
    place.write("pipe/vae/vae.safetensors", file(&["a"]));
    place.write("pipe/vae/vae.fp16.safetensors", file(&["b"]));
    place.write("pipe/vae/old.bin", "x");
    write_sharded(&place, "pipe/unet");
    let run = place.succeed(&["compress", "-r", "pipe", "-o", "out"]);
    let copied = run.stderr.lines().find(|line| line.contains("not copied")).unwrap();
    assert!(copied.ends_with("not copied: model_index.json, scheduler/scheduler_config.json"));
    assert!(run.stderr.contains("another format: pipe/vae/old.bin"), "{}", run.stderr);
    place.succeed(&["decompress", "-r", "out", "-o", "back"]);
    let mut expected = contents(&place, "pipe/");
    let left_out = ["model_index.json", "scheduler/scheduler_config.json", "vae/old.bin"];
    expected.retain(|(name, _)| !left_out.contains(&&name[..]));
    assert!(contents(&place, "back/") == expected, "{:?}", place.files());
    let run = place.succeed(&["compress", "-r", "pipe", "-o", "bare", "--no-files"]);
    assert!(run.stderr.contains("vae/config.json"), "{}", run.stderr);
}
