//! Layouts of checkpoint folders: what is taken is restored byte for byte, what is not is named.

use crate::checkpoints::{FIRST, INDEX, SECOND, file, index, write_sharded};
use crate::command::Workplace;

/// Compresses `model`, restores it to `back` and checks that just these files are the same there,
/// and the configuration of a folder. Returns what the compression printed.
fn round_trip(place: &Workplace, input: &str, names: &[&str]) -> String {
    let has_config = input == "model" && place.path("model/config.json").exists();
    let names = [names, if has_config { &["config.json"] } else { &[] }].concat();
    let run = place.succeed(&["compress", input, "-o", "x.occ"]);
    place.succeed(&["verify", "x.occ", "--deep"]);
    place.succeed(&["decompress", "x.occ", "-o", "back/"]);
    for name in &names {
        assert!(
            place.read(&format!("back/{name}")) == place.read(&format!("model/{name}")),
            "{name}"
        );
    }
    let back = place.files().into_iter().filter(|name| name.starts_with("back/"));
    assert_eq!(back.count(), names.len(), "{:?}", place.files());
    // From a pipe, too, where the number of files is not known in advance.
    let bytes = place.read("x.occ");
    place.succeed_with_input(&["decompress", "-", "-o", "piped/"], &bytes);
    for name in &names {
        assert!(
            place.read(&format!("piped/{name}")) == place.read(&format!("model/{name}")),
            "{name}"
        );
    }
    run.stderr
}

#[test]
fn folders_are_restored_under_their_names() {
    for names in [
        &["model.safetensors"][..],
        &["adapter_model.safetensors"],
        &["diffusion_pytorch_model.fp16.safetensors"],
        &[FIRST, SECOND],
        &["weights.00.safetensors", "weights.01.safetensors", "weights.02.safetensors"],
        &["m.fp16-00000-of-00002.safetensors", "m.fp16-00001-of-00002.safetensors"],
    ] {
        let place = Workplace::new();
        for (number, name) in names.iter().enumerate() {
            place.write(&format!("model/{name}"), file(&[&format!("t{number}")]));
        }
        place.write("model/config.json", "{}");
        let stderr = round_trip(&place, "model", names);
        assert!(!stderr.contains("warning"), "{stderr}");
    }
}

#[test]
fn indexes_have_several_names_and_may_be_the_argument() {
    for name in [
        INDEX,
        "model.safetensors.index.fp16.json",
        "diffusion_pytorch_model.safetensors.index.json",
    ] {
        for input in ["model".to_owned(), format!("model/{name}")] {
            let place = Workplace::new();
            write_sharded(&place, "model");
            std::fs::rename(
                place.path(&format!("model/{INDEX}")),
                place.path(&format!("model/{name}")),
            )
            .unwrap();
            round_trip(&place, &input, &[FIRST, SECOND, name]);
        }
    }
}

#[test]
fn shards_may_be_in_a_subfolder() {
    let place = Workplace::new();
    let names = ["sub/1.safetensors", "sub/deeper/2.safetensors"];
    place.write("model/sub/1.safetensors", file(&["a"]));
    place.write("model/sub/deeper/2.safetensors", file(&["b"]));
    place.write(&format!("model/{INDEX}"), index(&[("a", names[0]), ("b", names[1])]));
    let stderr = round_trip(&place, "model", &[names[0], names[1], INDEX]);
    assert!(!stderr.contains("warning"), "{stderr}");
    // Nothing outside of the folder is read.
    for shard in ["../other.safetensors", "/etc/passwd", "sub/../../x", "sub//1.safetensors"] {
        place.write(&format!("model/{INDEX}"), index(&[("a", shard)]));
        place.fail(&["compress", "model", "-o", "y.occ"], 1, &[INDEX, "relative path", "`a`"]);
    }
}

#[test]
fn files_beside_the_checkpoint_are_named() {
    let place = Workplace::new();
    write_sharded(&place, "model");
    place.write("model/consolidated.safetensors", file(&["a"]));
    place.write("model/model.safetensors", file(&["a"]));
    place.write("model/model-00003-of-00003.safetensors", file(&["d"]));
    place.write("model/original/weights.safetensors", file(&["a"]));
    let stderr = round_trip(&place, "model", &[FIRST, SECOND, INDEX]);
    for name in [
        "not in the index: ",
        "consolidated.safetensors",
        "model.safetensors",
        "model-00003-of-00003.safetensors",
        "in a subfolder: ",
        "weights.safetensors",
    ] {
        assert!(stderr.contains(name), "{name} in {stderr}");
    }
    // Commands that read a model name them, too.
    for args in [&["compare", "model", "x.occ"][..], &["analyze", "model"]] {
        assert!(place.succeed(args).stderr.contains("consolidated.safetensors"), "{args:?}");
    }
}

#[test]
fn tensors_that_the_index_does_not_list_are_taken_and_named() {
    let place = Workplace::new();
    write_sharded(&place, "model");
    place.write(&format!("model/{INDEX}"), index(&[("a", FIRST), ("c", SECOND)]));
    let stderr = round_trip(&place, "model", &[FIRST, SECOND, INDEX]);
    assert!(stderr.contains("does not list") && stderr.contains("1, for example b in"), "{stderr}");
}

#[test]
fn an_index_that_contradicts_the_shards_is_an_error() {
    let place = Workplace::new();
    write_sharded(&place, "model");
    let good = [("a", FIRST), ("b", FIRST), ("c", SECOND)];
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[], "empty"),
        (&[("a", SECOND), ("b", FIRST), ("c", SECOND)], "`a`"),
        (&[good[0], good[1], good[2], ("lost", FIRST)], "`lost`"),
        (&[good[0], good[0], good[2]], "two entries"),
        (&[good[0], ("x", "model-00003-of-00003.safetensors")], "model-00003-of-00003.safetensors"),
    ];
    for (entries, text) in cases {
        place.write(&format!("model/{INDEX}"), index(entries));
        place.fail(&["compress", "model"], 1, &[INDEX, text]);
    }
    assert!(!place.path("model.occ").exists());
    place.write(&format!("model/{INDEX}"), index(&good));
    place.write(&format!("model/{SECOND}"), file(&["a", "c"]));
    place.fail(&["compress", "model"], 1, &[FIRST, SECOND, "`a`"]);
}

#[test]
fn folders_that_are_not_understood_are_described() {
    let place = Workplace::new();
    place.write("pickle/pytorch_model.bin", b"\x80\x02}");
    place.write("pickle/config.json", "{}");
    place.fail(&["compress", "pickle"], 1, &["config.json", "convert pytorch_model.bin"]);
    place.write("empty/sub/nothing.txt", "");
    place.fail(&["compress", "empty"], 1, &["sub/"]);
    place.write("variants/m.safetensors", file(&["a"]));
    place.write("variants/m.fp16.safetensors", file(&["a"]));
    let names = ["m.safetensors", "m.fp16.safetensors", "-r"];
    place.fail(&["compress", "variants"], 2, &names);
    place.fail(&["analyze", "variants"], 2, &names[..2]);
    place.succeed(&["compress", "variants/m.fp16.safetensors", "-o", "fp16.occ"]);
    place.write("partial/model-00001-of-00003.safetensors", file(&["a"]));
    place.write("partial/model-00003-of-00003.safetensors", file(&["b"]));
    place.fail(&["compress", "partial"], 1, &["model-*-of-00003.safetensors", "missing: 2"]);
    place.write("same/model-00001-of-00002.safetensors", file(&["a"]));
    place.write("same/model-00002-of-00002.safetensors", file(&["a"]));
    place.fail(&["compress", "same"], 1, &["both contain", "`a`"]);
    place.write("pipeline/unet/m.safetensors", file(&["a"]));
    place.fail(&["compress", "pipeline"], 2, &["unet/m.safetensors", "-r"]);
}

#[cfg(unix)]
#[test]
fn links_of_a_download_cache_are_followed_and_broken_ones_named() {
    use std::os::unix::fs::symlink;
    let place = Workplace::new();
    place.write("blobs/1234", file(&["a"]));
    std::fs::create_dir(place.path("model")).unwrap();
    symlink("../blobs/1234", place.path("model/model.safetensors")).unwrap();
    symlink("../blobs/gone", place.path("model/other.safetensors")).unwrap();
    let stderr = round_trip(&place, "model", &["model.safetensors"]);
    assert!(stderr.contains("other.safetensors"), "{stderr}");
    symlink("../blobs/gone", place.path("model/model-00001-of-00001.safetensors")).unwrap();
    place.succeed(&["compress", "-r", "model", "-o", "tree"]);
    assert!(place.path("tree/model.occ").exists());
}

/// A pipeline of diffusers: each part is a checkpoint in a folder of its own.
#[test]
fn a_tree_is_mirrored() {
    let place = Workplace::new();
    place.write("pipe/model_index.json", "{}");
    place.write("pipe/unet/config.json", "{}");
    place.write("pipe/vae/vae.safetensors", file(&["a"]));
    place.write("pipe/vae/vae.fp16.safetensors", file(&["a"]));
    place.write("pipe/mlx/weights.00.safetensors", file(&["a"]));
    place.write("pipe/mlx/weights.01.safetensors", file(&["b"]));
    write_sharded(&place, "pipe/unet");
    let run = place.succeed(&["compress", "-r", "pipe", "-o", "out"]);
    assert!(run.stderr.contains("not copied: model_index.json\n"), "{}", run.stderr);
    let coded = ["mlx/weights", "unet/model", "vae/vae.fp16", "vae/vae"];
    let out: Vec<_> = place.files().into_iter().filter(|name| name.starts_with("out/")).collect();
    assert_eq!(out, coded.map(|name| format!("out/{name}.occ")));
    place.succeed(&["decompress", "-r", "out", "-o", "back"]);
    let mut restored = 0;
    for name in place.files() {
        if let Some(relative) = name.strip_prefix("back/") {
            assert!(place.read(&name) == place.read(&format!("pipe/{relative}")), "{name}");
            restored += 1;
        }
    }
    assert_eq!(restored, 8, "{:?}", place.files());
    // Nothing is replaced unless requested, and nothing is written before that is known.
    place.fail(&["compress", "-r", "pipe", "-o", "out"], 2, &["--force"]);
    place.succeed(&["compress", "-r", "pipe", "-o", "out", "--force"]);
    place.write("pipe/vae/vae.safetensors.index.json", index(&[("a", "vae.fp16.safetensors")]));
    // As in a single folder, the index counts, and the other file is named.
    let run = place.succeed(&["compress", "-r", "pipe", "-o", "out2"]);
    assert!(run.stderr.contains("not copied: ") && run.stderr.contains("vae/vae.safetensors"));
    place.succeed(&["decompress", "out2/vae/vae.occ", "-o", "vae/"]);
    assert!(place.path("vae/vae.fp16.safetensors").exists());
}

#[test]
fn several_inputs_go_to_a_folder() {
    let place = Workplace::new();
    place.write("a.safetensors", file(&["a"]));
    place.write("sub/b.safetensors", file(&["b"]));
    let inputs = ["a.safetensors", "sub/b.safetensors"];
    let with = |first: &[&'static str], last: &[&'static str]| [first, &inputs[..], last].concat();
    place.fail(&with(&["compress"], &[]), 2, &["-o FOLDER"]);
    place.fail(&with(&["compress"], &["-o", "out", "--report", "r.html"]), 2, &["single input"]);
    place.fail(&["compress", inputs[0], inputs[0], "-o", "out"], 2, &["out/a.occ"]);
    place.succeed(&with(&["compress"], &["-o", "out"]));
    place.succeed(&["decompress", "out/a.occ", "out/b.occ", "-o", "back"]);
    assert!(place.read("back/a.safetensors") == place.read(inputs[0]));
    assert!(place.read("back/b.safetensors") == place.read(inputs[1]));
    // One input, and a folder that exists.
    place.succeed(&["compress", inputs[0], "-o", "back"]);
    assert!(place.read("back/a.occ") == place.read("out/a.occ"));
}

/// The inventory as data.
#[test]
fn the_library_returns_what_is_left_out() {
    use occ::convert::{Checkpoint, LeftOutReason};
    let place = Workplace::new();
    write_sharded(&place, "model");
    place.write("model/lone.safetensors", file(&["a"]));
    place.write(&format!("model/{INDEX}"), index(&[("a", FIRST), ("c", SECOND)]));
    let checkpoint = Checkpoint::open(place.path("model")).unwrap();
    let inventory = checkpoint.inventory();
    let path = |name: &str| place.path("model").join(name);
    assert_eq!(inventory.shards, [path(FIRST), path(SECOND)]);
    let left_out: Vec<_> =
        inventory.left_out.iter().map(|file| (&file.path, file.reason)).collect();
    assert_eq!(left_out, [(&path("lone.safetensors"), LeftOutReason::NotInIndex)]);
    assert_eq!(inventory.unlisted, [(path(FIRST), "b".to_owned())]);
    assert_eq!(checkpoint.file_names().collect::<Vec<_>>(), [INDEX, FIRST, SECOND]);
}
