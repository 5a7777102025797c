//! Messages for files that are not what they should be. Each names the file.

use crate::checkpoints::file;
use crate::command::Workplace;
use crate::common::{f32_sample, safetensors, safetensors_with_header};

/// First bytes of files of other kinds, and a word of the message.
const OTHERS: &[(&[u8], &str)] = &[
    (b"", "empty"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 12\n", "git lfs pull"),
    (b"<!DOCTYPE html><html><head><title>Sign in</title>", "web page"),
    (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code>", "XML"),
    (b"PK\x03\x04\x14\0\0\0\0\0archive/data.pkl", "zip"),
    (b"\x80\x02}q\0X\x01\0\0\0w", "pickle"),
    (b"\x93NUMPY\x01\0v\0{'descr': '<f4'", "NumPy"),
    (b"GGUF\x03\0\0\0\0\0\0\0\0\0\0\0", "GGUF"),
    (b"\x89HDF\r\n\x1a\n\0\0\0\0", "HDF5"),
    (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "gzip"),
    (b"Entry not found", "text"),
    (b"\x7fELF\x02\x01\x01\0\0\0\0\0", "unknown"),
];

#[test]
fn other_formats_are_named() {
    let place = Workplace::new();
    let tar = [&[b'x'; 257][..], b"ustar\x0000", &[0; 300]].concat();
    let tar = [(&tar[..], "tar archive")];
    for (bytes, text) in OTHERS.iter().chain(&tar) {
        place.write("f.safetensors", bytes);
        for args in [
            &["compress", "f.safetensors", "-o", "x"][..],
            &["analyze", "f.safetensors"],
            &["demo", "f.safetensors"],
            &["bench", "f.safetensors"],
            &["compare", "f.safetensors", "f.safetensors"],
            &["decompress", "f.safetensors", "-o", "x"],
            &["inspect", "f.safetensors"],
        ] {
            place.fail(args, 1, &["f.safetensors: not a", text]);
        }
        let verified = place.run(&["verify", "f.safetensors"]);
        let what = "f.safetensors: not an .occ file: ";
        assert!(verified.stdout.starts_with(what), "{}", verified.stdout);
        assert!(verified.code == 1 && verified.stdout.contains(text), "{}", verified.stdout);
        place.fail_with_input(&["decompress", "-", "-o", "x"], bytes, 1, &["not an .occ", text]);
        place.fail_with_input(&["compress", "-", "-o", "x"], bytes, 1, &["not a safet", text]);
    }
    assert_eq!(place.files(), ["f.safetensors"]);
}

#[test]
fn both_formats_are_recognised_where_the_other_is_expected() {
    let place = Workplace::new();
    place.write("m.safetensors", file(&["a"]));
    place.succeed(&["compress", "m.safetensors"]);
    place.fail(&["compress", "m.occ", "-o", "x"], 1, &["m.occ: not a safetensors", "decompress"]);
    let texts = ["m.safetensors: not an .occ file", "`occ compress`"];
    place.fail(&["decompress", "m.safetensors"], 1, &texts);
}

#[test]
fn faults_of_headers_are_named_with_their_tensor() {
    let entry = |name: &str, dtype: &str, shape: &str, start: u32, end: u32| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let (a, b) = (entry("a", "U8", "[4]", 0, 4), entry("b", "U8", "[4]", 4, 8));
    let cases = [
        (format!("{a},{a}"), 4, "two entries", "`a`"),
        (format!("{a},{}", entry("a", "U8", "[4]", 4, 8)), 8, "two entries", "`a`"),
        (format!("{a},{}", entry("b", "U8", "[4]", 2, 6)), 6, "overlap", "`b`"),
        (format!("{a},{}", entry("b", "U8", "[4]", 7, 11)), 11, "3 bytes before", "`b`"),
        (entry("a", "U8", "[4]", 1, 5), 5, "1 bytes before", "`a`"),
        (entry("a", "F32", "[1000, 1000]", 0, 4), 4, "takes 4000000 bytes", "`a`"),
        (entry("a", "F32", "[4294967296, 4294967296, 4]", 0, 4), 4, "too many", "`a`"),
        (entry("a", "F4", "[3]", 0, 2), 2, "whole number of bytes", "`a`"),
        (entry("a", "U8", "[4]", 4, 0), 4, "before their start", "`a`"),
        (entry("a", "U8", "[-4]", 0, 4), 4, "integer `-4`", "`a`"),
        (entry("a", "X9", "[4]", 0, 4), 4, "dtype `X9`", "`a`"),
        (r#""a":{"dtype":"U8","shape":[4]}"#.to_owned(), 4, "missing field", "`a`"),
        (format!(r#""__metadata__":{{"step":1}},{a}"#), 4, "not a string", "`step`"),
        (format!("{a},{b}"), 12, "4 bytes after", "`b`"),
        (format!("{a},{b}"), 5, "3 bytes are missing", "byte"),
    ];
    let place = Workplace::new();
    for (entries, bytes, text, tensor) in cases {
        let file = safetensors_with_header(&format!("{{{entries}}}"), &vec![0; bytes]);
        place.write("f.safetensors", file);
        place.fail(&["compress", "f.safetensors"], 1, &["f.safetensors: ", text, tensor]);
    }
    let bom = safetensors_with_header(&format!("\u{feff}{{{a}}}"), &[0; 4]);
    place.write("f.safetensors", bom);
    place.fail(&["compress", "f.safetensors"], 1, &["f.safetensors: ", "byte order mark"]);
    let long = [&100_000_001u64.to_le_bytes()[..], b"{"].concat();
    place.write("f.safetensors", long);
    place.fail(&["compress", "f.safetensors"], 1, &["f.safetensors: ", "limit of 100000000"]);
}

#[test]
fn errors_name_the_file_that_they_are_about() {
    let place = Workplace::new();
    place.write("m.safetensors", file(&["a"]));
    place.write("bad.json", "{}");
    let with_plan = ["compress", "m.safetensors", "-o", "x", "--plan", "bad.json"];
    place.fail(&with_plan, 2, &["bad.json: "]);
    place.succeed(&["compress", "m.safetensors"]);
    place.fail(&["decompress", "m.occ", "-o", "none/x"], 1, &["none/x: its folder"]);
    let coded = place.read("m.occ");
    place.write("cut.occ", &coded[..coded.len() / 2]);
    for command in ["inspect", "decompress"] {
        place.fail(&[command, "cut.occ"], 1, &["cut.occ: truncated"]);
    }
    assert!(place.run(&["verify", "cut.occ"]).stdout.starts_with("cut.occ: truncated"));
    place.fail_with_input(&["decompress", "-", "-o", "x"], &coded[..99], 1, &["input: truncated"]);
}

/// A full disk is a fault of the output, and not of the input.
#[test]
fn a_full_disk_is_blamed_on_the_output() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    let place = Workplace::new();
    // More than the write buffer, so that writing fails in the middle.
    let names: Vec<String> = (0..1200).map(|number| format!("t{number}")).collect();
    place.write("m.safetensors", file(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    place.succeed(&["compress", "m.safetensors"]);
    for args in [
        &["compress", "m.safetensors", "-f", "-o", "/dev/full"][..],
        &["decompress", "m.occ", "-f", "-o", "/dev/full"],
        &["compress", "m.safetensors", "-f", "--save-plan", "/dev/full"],
    ] {
        place.fail(args, 1, &["error: /dev/full: "]);
    }
}

#[test]
fn models_that_cannot_be_compared_are_an_error() {
    let place = Workplace::new();
    place.write("a.safetensors", file(&["x", "y"]));
    place.write("b.safetensors", file(&["z"]));
    place.write("c.safetensors", file(&["x"]));
    let both = ["compare", "a.safetensors", "b.safetensors"];
    place.fail(&both, 1, &["no tensor in common", "(x, y)", "(z)"]);
    place.succeed(&["compare", "a.safetensors", "c.safetensors"]);
    let bounded = |b: &'static str, bound: &'static str| {
        ["compare", "a.safetensors", b, "--max-rel-error", bound]
    };
    place.fail(&bounded("c.safetensors", "1"), 1, &["not within", "1 tensor (y)"]);
    place.succeed(&bounded("a.safetensors", "0"));
    place.fail(&bounded("a.safetensors", "-1"), 2, &["negative"]);
    place.fail(&bounded("a.safetensors", "nan"), 2, &["negative"]);
    // 0.1 = 0.5 ÷ √(3² + 4²)
    for (name, last) in [("exact.safetensors", 4.0), ("near.safetensors", 4.5)] {
        let samples = [f32_sample("same", &[1], &[1.0]), f32_sample("w", &[2], &[3.0, last])];
        place.write(name, safetensors(&samples));
    }
    let near = ["compare", "exact.safetensors", "near.safetensors", "--max-rel-error"];
    place.fail(&[&near[..], &["0.09"]].concat(), 1, &["error of 0.09: 1 tensor (w)"]);
    place.succeed(&[&near[..], &["0.11"]].concat());
    let inputs = ["compare", "a.safetensors", "c.safetensors", "--inputs", "b.safetensors"];
    place.fail(&inputs, 2, &["b.safetensors: none of its entries", "(z)"]);
}

#[test]
fn a_summary_is_printed_unless_the_command_is_quiet() {
    let place = Workplace::new();
    place.write("a.safetensors", file(&["a"]));
    let run = place.succeed(&["compress", "a.safetensors"]);
    assert!(run.stderr.starts_with("a.occ: ") && run.stderr.lines().count() == 1, "{}", run.stderr);
    let run = place.succeed(&["decompress", "a.occ", "-o", "b.safetensors", "--quiet"]);
    assert!(run.stderr.is_empty() && run.stdout.is_empty(), "{}", run.stderr);
    place.fail(&["decompress", "a.occ", "-q", "-o", "b.safetensors"], 2, &["--force"]);
}
