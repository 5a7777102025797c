//! The cache of the Hugging Face hub is read as it is, and nothing is written into it.
#![cfg(unix)]

use crate::checkpoints::{file, index};
use crate::command::{Run, Workplace};
use std::os::unix::fs::symlink;

const MODEL: &str = "hub/models--org--tiny-model";

/// A model with a sharded snapshot of links, as `huggingface_hub` lays it out.
fn write_model(place: &Workplace) {
    let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    let index = index(&[("a", names[0]), ("b", names[1])]);
    let (first, second) = (file(&["a"]), file(&["b"]));
    let files: [(&str, &[u8]); 5] = [
        (names[0], &first),
        (names[1], &second),
        ("model.safetensors.index.json", index.as_bytes()),
        ("config.json", b"{}"),
        ("1_Pooling/config.json", b"{\"pooling\": 1}"),
    ];
    let snapshot = place.path(MODEL).join("snapshots/12ab");
    for (number, (name, bytes)) in files.into_iter().enumerate() {
        place.write(&format!("{MODEL}/blobs/{number}"), bytes);
        let link = snapshot.join(name);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        let up = "../".repeat(1 + name.split('/').count());
        symlink(format!("{up}blobs/{number}"), link).unwrap();
    }
    place.write(&format!("{MODEL}/refs/main"), "12ab");
}

fn in_folder(place: &Workplace, folder: &str, args: &[&str]) -> Run {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_occ"));
    let output = command.args(args).current_dir(place.path(folder)).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (code, stdout, stderr) =
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr));
    Run { code, stdout, stderr }
}

#[test]
fn a_model_of_the_cache_is_compressed_to_the_current_folder() {
    let place = Workplace::new();
    write_model(&place);
    let before = place.files();
    let run = place.succeed(&["compress", MODEL]);
    assert!(run.stderr.contains("snapshots/12ab") && !run.stderr.contains("warning"));
    let snapshot = format!("{MODEL}/snapshots/12ab");
    place.succeed(&["compress", &snapshot, "--force"]);
    let mut expected = before.clone();
    expected.push("tiny-model.occ".to_owned());
    expected.sort();
    assert_eq!(place.files(), expected);
    place.succeed(&["decompress", "tiny-model.occ"]);
    for name in ["config.json", "1_Pooling/config.json", "model-00002-of-00002.safetensors"] {
        let original = place.read(&format!("{snapshot}/{name}"));
        assert!(place.read(&format!("tiny-model/{name}")) == original, "{name}");
    }
    // One of its files, and an .occ file that was downloaded.
    let shard = format!("{snapshot}/model-00001-of-00002.safetensors");
    place.succeed(&["compress", &shard]);
    assert!(place.path("model-00001-of-00002.occ").exists());
    let downloaded = format!("{snapshot}/a.occ");
    place.write(&downloaded, place.read("model-00001-of-00002.occ"));
    place.succeed(&["decompress", &downloaded]);
    assert!(place.read("a.safetensors") == file(&["a"]));
    std::fs::remove_file(place.path(&downloaded)).unwrap();
    // Where the current folder is in the cache, and where -o says so.
    for folder in [&snapshot[..], &format!("{MODEL}/blobs")] {
        let run = in_folder(&place, folder, &["compress", place.path(&shard).to_str().unwrap()]);
        assert!(run.code == 2 && run.stderr.contains("-o OUT"), "{}", run.stderr);
    }
    let cached: Vec<_> =
        place.files().into_iter().filter(|name| name.starts_with("hub/")).collect();
    assert_eq!(cached, before);
    place.succeed(&["compress", MODEL, "-o", &format!("{MODEL}/x.occ")]);
    place.fail(&["compress", MODEL, "-o", "y.occ", "--rm"], 2, &["--rm keeps it"]);
}

#[test]
fn a_revision_must_be_clear() {
    let place = Workplace::new();
    write_model(&place);
    let main = format!("{MODEL}/refs/main");
    for text in ["34cd", "", "../snapshots/12ab", "."] {
        place.write(&main, text);
        place.fail(&["compress", MODEL], 2, &["refs/main names no folder"]);
    }
    std::fs::remove_file(place.path(&main)).unwrap();
    place.succeed(&["compress", MODEL]);
    place.write(&format!("{MODEL}/snapshots/34cd/config.json"), "{}");
    place.fail(&["compress", MODEL, "-f"], 2, &["no refs/main", "12ab, 34cd"]);
    place.write(&main, "12ab\n");
    place.succeed(&["compress", MODEL, "-f"]);
}
