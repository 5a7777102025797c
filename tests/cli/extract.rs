//! `occ extract`.

use super::*;

#[test]
fn a_tensor_is_written_in_several_formats() {
    let folder = lossy_folder();
    succeeded(&folder.run(&["compress", "l.safetensors"]));
    let run = |name: &str, output: &str, more: &[&str]| {
        folder.run(&[&["extract", "l.occ", name, "-o", output], more].concat())
    };
    let norm = common::f32_weights(2, 320);
    succeeded(&run("a.norm", "n.bin", &[]));
    assert!(folder.read("n.bin") == norm);
    assert!(succeeded(&run("a.norm", "-", &[])) == norm);
    succeeded(&run("a.norm", "n.npy", &[]));
    let npy = folder.read("n.npy");
    let header = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (320,)}";
    assert!(npy.starts_with(header) && npy[128..] == norm && npy[127] == b'\n');
    succeeded(&run("b.weight", "b.safetensors", &[]));
    let bytes = folder.read("b.safetensors");
    let parsed = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let view = parsed.tensor("b.weight").unwrap();
    assert_eq!((view.shape(), view.dtype().to_string()), (&[96, 128][..], "F16".to_owned()));
    assert!(view.data() == common::f16_weights(3, 12288));
    // BF16 values are F32 values with 16 more bits.
    succeeded(&run("a.weight", "a.bin", &["--dtype", "F32"]));
    let wide: Vec<u8> = folder.read("a.bin").chunks(4).flat_map(|x| [x[2], x[3]]).collect();
    assert!(wide == common::bf16_weights(1, 12288));
}

#[test]
fn an_attachment_is_written_and_mistakes_are_named() {
    let folder = lossy_folder();
    succeeded(&folder.run(&["compress", "l.safetensors"]));
    let run = |args: &[&str]| folder.run(&[&["extract", "l.occ"], args].concat());
    succeeded(&run(&["model.safetensors", "-o", "header.json"]));
    let header = folder.read("header.json");
    assert!(folder.read("l.safetensors")[8..].starts_with(&header));
    failed(&run(&["a.wait", "-o", "x"]), 1, "similar: `a.weight`");
    failed(&run(&["a.weight", "-o", "x.npy"]), 2, "--dtype F32");
    failed(&run(&["a.weight", "-o", "x", "--dtype", "I8"]), 2, "not both floats");
    failed(&run(&["a.weight", "-o", "header.json"]), 2, "--force");
    failed(&run(&["a.weight", "-o", "l.occ", "--force"]), 2, "same file");
    succeeded(&run(&["a.weight", "-o", "header.json", "--force"]));
    assert!(!folder.path("x").exists());
}
