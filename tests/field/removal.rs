//! `--rm` removes inputs only when all outputs are complete and equal.

use crate::checkpoints::{FIRST, INDEX, SECOND, file, index, write_sharded};
use crate::command::Workplace;
use crate::common::{Sample, bf16_weights, safetensors};
use occ::Dtype;
use occ::convert::{Checkpoint, check_restored};

#[test]
fn inputs_are_removed_and_come_back() {
    let place = Workplace::new();
    let original = file(&["a", "b"]);
    place.write("m.safetensors", &original);
    place.succeed(&["compress", "m.safetensors", "--rm"]);
    assert_eq!(place.files(), ["m.occ"]);
    place.succeed(&["decompress", "m.occ", "--rm"]);
    assert_eq!(place.files(), ["m.safetensors"]);
    assert!(place.read("m.safetensors") == original);
}

/// Of a folder, the files that were read, and no others.
#[test]
fn only_files_that_were_read_are_removed() {
    let place = Workplace::new();
    write_sharded(&place, "model");
    place.write("model/lone.safetensors", file(&["z"]));
    place.write("model/config.json", "{}");
    place.write(&format!("model/{INDEX}"), index(&[("a", FIRST), ("c", SECOND)]));
    let shards = [FIRST, SECOND, INDEX].map(|name| place.read(&format!("model/{name}")));
    place.succeed(&["compress", "model", "-o", "m.occ", "--rm"]);
    assert_eq!(place.files(), ["m.occ", "model/lone.safetensors"]);
    place.succeed(&["decompress", "m.occ", "-o", "model", "--rm"]);
    assert!(shards == [FIRST, SECOND, INDEX].map(|name| place.read(&format!("model/{name}"))));
    assert_eq!(place.files().len(), 5);

    place.write("tree/x/a.safetensors", file(&["a"]));
    place.write("tree/y/b.safetensors", file(&["b"]));
    place.succeed(&["compress", "-r", "tree", "-o", "coded", "--rm"]);
    place.succeed(&["decompress", "-r", "coded", "-o", "tree", "--rm"]);
    let files = place.files();
    let tree: Vec<_> = files.iter().filter(|name| !name.starts_with("model/")).collect();
    assert_eq!(tree, ["tree/x/a.safetensors", "tree/y/b.safetensors"]);
}

#[test]
fn nothing_is_removed_if_one_of_the_outputs_fails() {
    let place = Workplace::new();
    place.write("a.safetensors", file(&["a"]));
    place.write("b.safetensors", "damaged");
    let args = ["a.safetensors", "b.safetensors", "-o", "out", "--rm"];
    place.fail(&[&["compress"], &args[..]].concat(), 1, &["b.safetensors"]);
    assert_eq!(place.files(), ["a.safetensors", "b.safetensors", "out/a.occ"]);
    place.write("a.occ", "exists");
    place.fail(&["compress", "a.safetensors", "--rm"], 2, &["a.occ exists"]);
    let coded = place.read("out/a.occ");
    place.write("out/b.occ", &coded[..coded.len() - 9]);
    place.fail(&["decompress", "out/a.occ", "out/b.occ", "-o", "x", "--rm"], 1, &["b.occ"]);
    assert!(place.files().contains(&"out/a.occ".to_owned()));
}

#[test]
fn weights_that_cannot_be_restored_are_removed_with_force_only() {
    let place = Workplace::new();
    let weights = Sample::new("w", Dtype::Bf16, &[64, 96], bf16_weights(1, 64 * 96));
    place.write("m.safetensors", safetensors(&[weights]));
    let args = ["compress", "m.safetensors", "--bits", "6", "--rm"];
    place.fail(&args, 2, &["--rm", "--force"]);
    assert_eq!(place.files(), ["m.safetensors"]);
    place.succeed(&[&args[..], &["--force"]].concat());
    assert_eq!(place.files(), ["m.occ"]);
    // What is decoded is all that the file holds.
    place.succeed(&["decompress", "m.occ", "--rm"]);
    assert_eq!(place.files(), ["m.safetensors"]);
}

#[test]
fn streams_are_no_files_to_remove() {
    let place = Workplace::new();
    let bytes = file(&["a"]);
    place.write("m.safetensors", &bytes);
    place.fail(&["compress", "m.safetensors", "-o", "-", "--rm"], 2, &["--rm needs files"]);
    place.fail_with_input(&["compress", "-", "-o", "x", "--rm"], &bytes, 2, &["--rm needs files"]);
    place.fail(&["compress", "m.safetensors", "--dry-run", "--rm"], 2, &["cannot be used with"]);
    assert_eq!(place.files(), ["m.safetensors"]);
}

#[cfg(unix)]
#[test]
fn links_and_cached_files_are_kept() {
    use std::os::unix::fs::symlink;
    let place = Workplace::new();
    place.write("m.safetensors", file(&["a"]));
    symlink("m.safetensors", place.path("link.safetensors")).unwrap();
    place.fail(&["compress", "link.safetensors", "--rm"], 2, &["link.safetensors: a symbolic"]);
    std::fs::hard_link(place.path("m.safetensors"), place.path("n.safetensors")).unwrap();
    place.fail(&["compress", "m.safetensors", "--rm"], 2, &["m.safetensors: ", "hard links"]);
    let cached = "hub/models--a--b/snapshots/12ab/model.safetensors";
    place.write(cached, file(&["a"]));
    place.fail(&["compress", cached, "-o", "x.occ", "--rm"], 2, &[cached, "cache"]);
    let folder = "hub/models--a--b/snapshots/12ab";
    place.fail(&["compress", folder, "-o", "x.occ", "--rm"], 2, &[cached, "cache"]);
    let names = [cached, "link.safetensors", "m.safetensors", "n.safetensors"];
    assert_eq!(place.files(), names);
}

/// What `--rm` relies on: every byte of the original and of the copy counts.
#[test]
fn every_difference_is_found() {
    let place = Workplace::new();
    let original = file(&["a", "b"]);
    place.write("m.safetensors", &original);
    place.succeed(&["compress", "m.safetensors"]);
    check_restored(place.path("m.occ"), place.path("m.safetensors"), None).unwrap();
    let mut found = 0;
    for position in 8..original.len() {
        let mut other = original.clone();
        other[position] ^= 1;
        place.write("other.safetensors", &other);
        let path = place.path("other.safetensors");
        // A header may be damaged so that it is no header.
        if let Ok(checkpoint) = Checkpoint::open(&path) {
            checkpoint.check_copy(place.path("m.occ"), None).unwrap_err();
            found += 1;
        }
        check_restored(place.path("m.occ"), &path, None).unwrap_err();
    }
    assert!(found > original.len() / 4);
    for other in [file(&["a"]), file(&["a", "b", "c"])] {
        place.write("other.safetensors", &other);
        check_restored(place.path("m.occ"), place.path("other.safetensors"), None).unwrap_err();
    }
}

/// A file that no safetensors file was made into has no header to compare.
#[test]
fn files_of_other_programs_are_restored_and_removed() {
    let place = Workplace::new();
    let mut writer = occ::Writer::create(place.path("w.occ"), Default::default()).unwrap();
    writer.add("w", Dtype::F32, &[2], &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    writer.finish().unwrap();
    place.succeed(&["decompress", "w.occ", "--rm"]);
    assert_eq!(place.files(), ["w.safetensors"]);
}
