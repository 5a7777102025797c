//! `--verbose` prints a line for each tensor.

use crate::command::Workplace;
use crate::common::{Sample, bf16_weights, f32_weights, safetensors};
use occ::Dtype;

#[test]
fn each_tensor_has_a_line() {
    let place = Workplace::new();
    let samples = [
        Sample::new("w", Dtype::Bf16, &[64, 96], bf16_weights(1, 64 * 96)),
        Sample::new("norm", Dtype::F32, &[96], f32_weights(2, 96)),
        Sample::new("empty", Dtype::F32, &[0], Vec::new()),
    ];
    place.write("m.safetensors", safetensors(&samples));
    let run = place.succeed(&["compress", "m.safetensors", "--bits", "6", "-v"]);
    let line = |name: &str, texts: &[&str]| {
        let start = format!("{name}: ");
        let lines: Vec<_> = run.stderr.lines().filter(|line| line.starts_with(&start)).collect();
        assert!(lines.len() == 1, "{name}: {}", run.stderr);
        for text in texts {
            assert!(lines[0].contains(text), "{text}: {}", lines[0]);
        }
    };
    line("w", &["bits/weight, SNR ", " dB, ", "kB"]);
    line("norm", &["(vector)", "bits/weight, "]);
    line("empty", &["raw (vector)"]);
    assert!(run.stdout.is_empty());

    let run = place.succeed(&["decompress", "m.occ", "-o", "x.safetensors", "--verbose"]);
    let lines: Vec<_> = run.stderr.lines().take(3).collect();
    let expected = ["w: BF16 [64, 96], 12.29 kB", "norm: F32 [96], 384 B", "empty: F32 [0], 0 B"];
    let sorted = |mut lines: Vec<_>| {
        lines.sort_unstable();
        lines
    };
    assert_eq!(sorted(lines), sorted(expected.to_vec()));

    for args in
        [&["compress", "m.safetensors", "-f", "-v", "-q"][..], &["-q", "decompress", "m.occ", "-v"]]
    {
        place.fail(args, 2, &["--verbose and --quiet"]);
    }
    let bytes = place.read("m.occ");
    place.fail_with_input(&["decompress", "-", "-o", "y", "-v"], &bytes, 2, &["standard input"]);
}
