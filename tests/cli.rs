//! The command, as a shell sees it.
#![cfg(feature = "cli")]

mod common;

use common::{few, menagerie, safetensors};
use occ::Dtype;
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

struct Folder(tempfile::TempDir);

impl Folder {
    /// A folder with `m.safetensors` in it.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.path("m.safetensors"), safetensors(&menagerie())).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_occ"));
        command.args(args).current_dir(self.0.path());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs with `input` on standard input.
    fn pipe(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            // A command that fails early stops reading: that is not this thread's failure.
            scope.spawn(move || stdin.write_all(input).unwrap_or(()));
            child.wait_with_output().unwrap()
        })
    }
}

fn succeeded(output: &Output) -> &[u8] {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    &output.stdout
}

fn failed(output: &Output, code: i32, message: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(message), "{stderr}");
}

#[test]
fn there_and_back_quietly_with_default_names() {
    let folder = Folder::new();
    let original = folder.read("m.safetensors");
    let output = folder.run(&["compress", "m.safetensors"]);
    assert!(succeeded(&output).is_empty() && output.stderr.is_empty(), "quiet in a pipe");
    fs::remove_file(folder.path("m.safetensors")).unwrap();
    succeeded(&folder.run(&["decompress", "m.occ"]));
    assert!(folder.read("m.safetensors") == original);
    assert_eq!(folder.names(), ["m.occ", "m.safetensors"]);
}

#[test]
fn pipes_carry_the_same_bytes() {
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
fn nothing_is_replaced_unless_forced() {
    let folder = Folder::new();
    fs::write(folder.path("m.occ"), "precious").unwrap();
    failed(&folder.run(&["compress", "m.safetensors"]), 2, "--force");
    assert_eq!(folder.read("m.occ"), b"precious");
    succeeded(&folder.run(&["compress", "m.safetensors", "--force"]));
    failed(&folder.run(&["decompress", "m.occ"]), 2, "--force");
    succeeded(&folder.run(&["decompress", "m.occ", "--force"]));
}

#[cfg(unix)]
#[test]
fn a_file_is_never_written_over_itself() {
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
fn errors_name_the_file_that_is_wrong() {
    let folder = Folder::new();
    succeeded(&folder.run(&["compress", "m.safetensors"]));
    let coded = folder.read("m.occ");
    fs::write(folder.path("cut.occ"), &coded[..coded.len() / 2]).unwrap();
    failed(&folder.run(&["inspect", "cut.occ"]), 1, "cut.occ: truncated");
    failed(
        &folder.run(&["compress", "cut.occ", "-o", "x"]),
        1,
        "cut.occ: corrupt data: not a safe",
    );
    failed(&folder.run(&["compress", "m.safetensors", "-o", "no/x"]), 1, "no/x: ");
    failed(&folder.run(&["inspect", "."]), 1, ".: not a regular file");
    if Path::new("/dev/full").exists() {
        let full = ["compress", "m.safetensors", "--force", "-o", "/dev/full"];
        failed(&folder.run(&full), 1, "/dev/full: ");
    }
}

#[test]
fn exit_codes_tell_bad_data_from_bad_usage() {
    let folder = Folder::new();
    fs::write(folder.path("bad"), "not a model at all, whatever one tries").unwrap();
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
fn json_has_the_promised_fields() {
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
        let weights: usize = menagerie().iter().map(|s| s.shape.iter().product::<usize>()).sum();
        assert_eq!(report["weights"], weights);
        assert_eq!(report["bits_per_weight"], 8.0 * coded as f64 / weights as f64);
        assert!(report["seconds"].as_f64().unwrap() > 0.0);
    }
    let report = folder.run(&["inspect", "m.occ", "--json"]);
    let report: Value = serde_json::from_slice(succeeded(&report)).unwrap();
    assert_eq!(report["tensors"].as_array().unwrap().len(), menagerie().len());
    for (tensor, sample) in report["tensors"].as_array().unwrap().iter().zip(menagerie()) {
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
fn verify_names_what_is_damaged() {
    let folder = Folder::new();
    fs::write(folder.path("m.safetensors"), safetensors(&few()[..1])).unwrap();
    succeeded(&folder.run(&["compress", "m.safetensors"]));
    let mut coded = folder.read("m.occ");
    let middle = coded.len() / 2; // within the only tensor's only chunk
    coded[middle] ^= 1;
    fs::write(folder.path("m.occ"), coded).unwrap();
    let output = folder.run(&["verify", "m.occ"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("checksum mismatch") && told.contains("`bf16.coded`, chunk 0"), "{told}");
    failed(&folder.run(&["decompress", "m.occ", "-o", "x"]), 1, "checksum mismatch");
    assert_eq!(folder.names(), ["m.occ", "m.safetensors"]);
}

#[test]
fn inspect_is_readable_and_survives_a_closed_pipe() {
    let folder = Folder::new();
    succeeded(&folder.run(&["compress", "m.safetensors"]));
    let output = folder.run(&["inspect", "m.occ"]);
    let text = String::from_utf8(succeeded(&output).to_vec()).unwrap();
    for needed in
        ["bf16.coded", "[40, 33]", "planes", "raw", "bits a weight", "ünï \\\"quoted\\\"\\n"]
    {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
    let mut child = folder.command(&["inspect", "m.occ"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

/// `a.safetensors`, and a `b.occ` of tensors that are the same, near, far and absent.
fn two_models() -> Folder {
    let folder = Folder::new();
    let single = |name: &str, shape: &[usize], values: &[f32]| {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        common::Sample::new(name, occ::Dtype::F32, shape, bytes)
    };
    let same = single("same", &[2], &[1.0, 2.0]);
    let a = [
        single("near", &[2], &[3.0, 4.0]),
        same.clone(),
        single("broken", &[1], &[1.0]),
        single("turned", &[2, 1], &[1.0, 2.0]),
        single("lo\nst", &[], &[1.0]),
    ];
    let b = [
        same,
        single("near", &[2], &[3.0, 4.5]),
        single("broken", &[1], &[f32::NAN]),
        single("turned", &[1, 2], &[1.0, 2.0]),
        single("new", &[], &[1.0]),
    ];
    fs::write(folder.path("a.safetensors"), safetensors(&a)).unwrap();
    fs::write(folder.path("b.occ"), common::written(&b, occ::WriteOptions::default())).unwrap();
    folder
}

#[test]
fn compare_reports_as_json() {
    use serde_json::json;
    let folder = two_models();
    let output = folder.run(&["compare", "a.safetensors", "b.occ", "--json"]);
    let report: Value = serde_json::from_slice(succeeded(&output)).unwrap();
    assert_eq!(
        report["tensors"][0],
        json!({
            "name": "near", "dtype": "F32", "dtype_b": "F32", "shape": [2], "shape_b": [2],
            "weights": 2, "comparable": true, "identical": false,
            "rel_error": 0.1, "snr_db": 20.0, "max_abs_error": 0.5,
            "cosine": report["tensors"][0]["cosine"], "inputs": null, "input_vectors": null,
            "transposed": false, "operator_rel_error": null, "operator_snr_db": null,
        })
    );
    let cosine = report["tensors"][0]["cosine"].as_f64().unwrap();
    assert!((cosine - 27.0 / (5.0 * 29.25f64.sqrt())).abs() < 1e-12);
    let fields = |tensor: &Value| {
        let names = ["name", "comparable", "identical", "rel_error", "snr_db", "max_abs_error"];
        Value::from(names.map(|name| tensor[name].clone()).to_vec())
    };
    let tensors = report["tensors"].as_array().unwrap();
    assert_eq!(fields(&tensors[1]), json!(["same", true, true, 0.0, null, 0.0]));
    assert_eq!(fields(&tensors[2]), json!(["broken", true, false, null, null, null]));
    assert_eq!(fields(&tensors[3]), json!(["turned", false, false, null, null, null]));
    assert_eq!((&tensors[3]["shape"], &tensors[3]["shape_b"]), (&json!([2, 1]), &json!([1, 2])));
    assert_eq!(tensors.len(), 4);
    let total = &report["total"];
    assert_eq!(fields(total), json!([null, null, false, null, null, null]));
    assert_eq!(total["weights"], 5);
    assert_eq!(report["only_in_a"], json!(["lo\nst"]));
    assert_eq!(report["only_in_b"], json!(["new"]));
    assert_eq!((&report["only_weights"], &report["unused_inputs"]), (&json!(true), &json!([])));
    assert_eq!((&total["operator_weights"], &total["operator_snr_db"]), (&json!(0), &Value::Null));
}

#[test]
fn compare_is_readable_and_differences_are_no_failure() {
    let folder = two_models();
    let output = folder.run(&["compare", "a.safetensors", "b.occ"]);
    let text = String::from_utf8(succeeded(&output).to_vec()).unwrap();
    let starts: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let rule = starts[1];
    let names = ["tensor", rule, "near", "same", "broken", "turned", rule, "total"];
    assert_eq!(starts[..8], names, "in the order of A:\n{text}");
    for needed in [
        "1.00e-1",
        "20.00",
        "identical",
        "∞",
        "shape differs",
        "turned: [2, 1] → [1, 2]",
        "4 tensors, 5 weights; 1 identical",
        "only in a.safetensors:\n  lo\\nst\n",
        "only in b.occ:\n  new",
        "only weights were compared",
    ] {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
    assert!(output.stderr.is_empty(), "quiet in a pipe");
    failed(&folder.run(&["compare", "a.safetensors", "none"]), 1, "none: ");
    failed(&folder.run(&["compare", "a.safetensors", "-"]), 2, "pipe");
    failed(&folder.run(&["compare", "a.safetensors"]), 2, "Usage");
}

/// Two models of three matrices, the last as inputs × outputs, and inputs for them.
fn two_models_and_inputs() -> Folder {
    let single = |name: &str, shape: &[usize], values: &[f32]| {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        common::Sample::new(name, Dtype::F32, shape, bytes)
    };
    let model = |last: f32| {
        [
            single("blind", &[2, 2], &[1.0, 2.0, 3.0, last]),
            single("plain", &[2, 2], &[1.0, 2.0, 3.0, last]),
            single("turned", &[1, 2], &[3.0, last]),
        ]
    };
    let inputs = [
        single("blind.inputs", &[1, 2], &[1.0, 0.0]),
        single("plain", &[2, 2], &[1.0, 0.0, 0.0, 1.0]),
        single("turned", &[3, 1], &[1.0, 2.0, 2.0]),
        single("lo\nst", &[1, 1], &[1.0]),
    ];
    let folder = Folder(tempfile::tempdir().unwrap());
    fs::write(folder.path("a.safetensors"), safetensors(&model(4.0))).unwrap();
    fs::write(folder.path("b.safetensors"), safetensors(&model(4.5))).unwrap();
    fs::write(folder.path("x.safetensors"), safetensors(&inputs)).unwrap();
    folder
}

#[test]
fn compare_tells_what_becomes_of_inputs() {
    let folder = two_models_and_inputs();
    let models = ["compare", "a.safetensors", "b.safetensors", "--inputs"];
    let run = |more: &[&str]| folder.run(&[&models[..], more].concat());
    let text = String::from_utf8(succeeded(&run(&["x.safetensors"])).to_vec()).unwrap();
    for needed in [
        " op err  op dB",
        "operator error (op): 3 tensors, 10 weights; batches 2, Gram matrices 1",
        "transposed, since only as inputs × outputs they fit:\n  turned\n",
        "square, taken as outputs × inputs:\n  blind\n  plain\n",
        "inputs not used:\n  lo\\nst",
    ] {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
    assert!(!text.contains("only weights"), "{text}");
    let report: Value =
        serde_json::from_slice(succeeded(&run(&["x.safetensors", "--json"]))).unwrap();
    let fields = |value: &Value| {
        let names = ["inputs", "input_vectors", "transposed", "operator_rel_error"];
        Value::from(names.map(|name| value[name].clone()).to_vec())
    };
    let tensors = report["tensors"].as_array().unwrap();
    assert_eq!(fields(&tensors[0]), serde_json::json!(["batch", 1, false, 0.0]));
    let of_weights = &tensors[1]["rel_error"];
    assert_eq!(fields(&tensors[1]), serde_json::json!(["gram", null, false, of_weights]));
    assert_eq!(fields(&tensors[2]), serde_json::json!(["batch", 3, true, 0.1]));
    assert_eq!(tensors[2]["operator_snr_db"], 20.0);
    assert_eq!(
        (&report["only_weights"], &report["total"]["operator_weights"]),
        (&false.into(), &10.into())
    );
    // Errors ¼ and ¼ · 9; outputs 10, 30 and 25 · 9.
    let total = report["total"]["operator_rel_error"].as_f64().unwrap();
    assert!((total - (2.5f64 / 265.0).sqrt()).abs() < 1e-12, "{total}");
    assert_eq!(report["unused_inputs"], serde_json::json!(["lo\nst"]));
    failed(&run(&["-"]), 2, "pipe");
    failed(&run(&["none"]), 1, "none: ");
    failed(&run(&["a.safetensors", "--bad"]), 2, "Usage");
    let wide =
        folder.run(&["compare", "x.safetensors", "x.safetensors", "--inputs", "a.safetensors"]);
    failed(&wide, 2, "tensor `turned`");
}

#[test]
fn a_folder_becomes_one_file_and_a_folder_again() {
    let folder = Folder::new();
    let model = folder.path("model");
    fs::create_dir(&model).unwrap();
    let index = br#"{"weight_map":{"bf16.coded":"a.safetensors"}}"#;
    fs::write(model.join("model.safetensors.index.json"), index).unwrap();
    fs::write(model.join("a.safetensors"), safetensors(&few()[..1])).unwrap();
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
fn demo_of_a_model_of_ones_own() {
    let folder = Folder::new();
    let output = folder.run(&["demo", "m.safetensors"]);
    let text = String::from_utf8(succeeded(&output).to_vec()).unwrap();
    assert!(text.contains("Identical") && text.contains("the whole file"), "{text}");
    assert_eq!(folder.names(), ["m.safetensors"], "nothing is left behind");
}

/// Ctrl-C in the middle: no half file, no temporary one.
#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing_behind() {
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

/// A folder with an `l.safetensors` of two matrices and a vector, 24 896 weights.
fn lossy_folder() -> Folder {
    let folder = Folder::new();
    let samples = [
        common::Sample::new("a.weight", Dtype::Bf16, &[128, 96], common::bf16_weights(1, 12288)),
        common::Sample::new("a.norm", Dtype::F32, &[320], common::f32_weights(2, 320)),
        common::Sample::new("b.weight", Dtype::F16, &[96, 128], common::f16_weights(3, 12288)),
    ];
    fs::write(folder.path("l.safetensors"), safetensors(&samples)).unwrap();
    folder
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(succeeded(output)).unwrap()
}

/// Portable code writes and reads the same bytes as the kernels of this machine.
#[test]
fn kernels_are_not_to_be_told_apart() {
    let folder = lossy_folder();
    let both = |args: &[&str], file: &str| {
        ["", "scalar"].map(|kernel| {
            succeeded(&folder.command(args).env("OCC_KERNEL", kernel).output().unwrap());
            folder.read(file)
        })
    };
    for loss in [&["--bits-for", "none=1"][..], &["--snr", "12"]] {
        let compress = ["compress", "l.safetensors", "-o", "l.occ", "-f"];
        let [fast, portable] = both(&[&compress, loss].concat(), "l.occ");
        assert!(fast == portable);
        let [fast, portable] = both(&["decompress", "l.occ", "-o", "back", "-f"], "back");
        assert!(fast == portable);
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    let folder = lossy_folder();
    let with_each = |args: &[&str], file: &str| {
        ["1", "3"].map(|threads| {
            succeeded(&folder.run(&[args, &["--threads", threads]].concat()));
            folder.read(file)
        })
    };
    for loss in [&["--bits-for", "none=1"][..], &["--bits", "4"]] {
        let compress = ["compress", "l.safetensors", "-o", "l.occ", "-f"];
        let [one, three] = with_each(&[&compress, loss].concat(), "l.occ");
        assert!(one == three, "{loss:?}");
        let [one, three] = with_each(&["decompress", "l.occ", "-o", "back", "-f"], "back");
        assert!(one == three, "{loss:?}");
    }
    succeeded(&folder.run(&["--threads", "2", "verify", "l.occ"]));
    for none in ["0", "many", "65535"] {
        failed(&folder.run(&["verify", "l.occ", "--threads", none]), 2, "--threads");
    }
}

impl Folder {
    /// A short `occ bench` as JSON, and names and threads of its figures.
    fn bench(&self, file: &str) -> (Vec<Value>, Vec<(String, u64)>) {
        let args = ["bench", file, "--json", "--rounds", "1", "--threads", "2"];
        let figures = json(&self.run(&args)).as_array().unwrap().clone();
        let name = |figure: &Value| {
            (figure["name"].as_str().unwrap().to_owned(), figure["threads"].as_u64().unwrap())
        };
        let names = figures.iter().map(name).collect();
        (figures, names)
    }
}

const YARDSTICKS: [&str; 5] =
    ["memcpy", "zstd -1 compress", "zstd -1 decompress", "zstd -3 compress", "zstd -3 decompress"];

/// What is to be measured: the yardsticks, and ours with one thread and two.
fn contestants(own: &[String]) -> Vec<(String, u64)> {
    let yardsticks = YARDSTICKS.map(|name| (name.to_owned(), 1));
    let own = [1, 2].into_iter().flat_map(|threads| own.iter().cloned().map(move |n| (n, threads)));
    yardsticks.into_iter().chain(own).collect()
}

#[test]
fn bench_measures_every_contestant() {
    let folder = lossy_folder();
    let lossy = ["hadamard 8 states", "identity 8 states", "hadamard 256 states"];
    let steps = |name| ["plan", "encode", "decode"].map(|step| format!("{name} {step}"));
    let mut own = vec!["lossless encode".to_owned(), "lossless decode".to_owned()];
    own.extend(lossy.into_iter().flat_map(steps));
    let (figures, names) = folder.bench("l.safetensors");
    assert_eq!(names, contestants(&own));
    for figure in figures {
        let keys: Vec<&String> = figure.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["bytes", "gb_per_s", "mweights_per_s", "name", "ratio", "threads"]);
        for speed in ["gb_per_s", "mweights_per_s"] {
            assert!(figure[speed].as_f64().unwrap() > 0.0, "{figure}");
        }
        let name = figure["name"].as_str().unwrap();
        let is_lossy = name.contains("states");
        // Without the vector of F32.
        assert_eq!(figure["bytes"], if is_lossy { 49152 } else { 49152 + 4 * 320 });
        match figure["ratio"].as_f64() {
            None => assert!(name == "memcpy" || name.ends_with("plan"), "{figure}"),
            Some(ratio) if is_lossy => assert!((0.15..0.25).contains(&ratio), "{figure}"),
            Some(ratio) => assert!((0.5..1.1).contains(&ratio), "{figure}"),
        }
    }
    let text = folder.run(&["bench", "l.safetensors", "--rounds", "2", "--threads", "1"]);
    let text = String::from_utf8_lossy(succeeded(&text)).into_owned();
    for needed in ["l.safetensors: ", "BF16, F16, F32, 24,896 weights", "kernel", "2 rounds"] {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
    assert!(text.contains("of memcpy") && text.contains("100.0 %"), "{text}");
}

#[test]
fn bench_of_files_without_matrices() {
    let folder = Folder::new();
    let save = |name: &str, samples: &[common::Sample]| {
        fs::write(folder.path(name), safetensors(samples)).unwrap();
    };
    let positions = (0..4096i64).flat_map(i64::to_le_bytes).collect();
    save("i", &[common::Sample::new("positions", Dtype::I64, &[64, 64], positions)]);
    let (_, names) = folder.bench("i");
    assert_eq!(names, contestants(&["lossless encode".into(), "lossless decode".into()]));
    save("0", &[common::Sample::new("nothing", Dtype::Bf16, &[4, 0], Vec::new())]);
    failed(&folder.run(&["bench", "0"]), 2, "0 holds no weights");
    fs::write(folder.path("bad"), "not a model at all, whatever one tries").unwrap();
    failed(&folder.run(&["bench", "bad"]), 1, "bad: ");
    failed(&folder.run(&["bench", "none"]), 1, "none: ");
    failed(&folder.run(&["bench", "i", "--rounds", "0"]), 2, "--rounds");
}

impl Folder {
    /// Compresses `l.safetensors` to `l.occ` and reports.
    fn lossy(&self, options: &[&str]) -> Value {
        json(&self.run(&[&["compress", "l.safetensors", "--force", "--json"], options].concat()))
    }

    /// What `inspect` tells of the tensors of `l.occ`.
    fn tensors(&self) -> Vec<Value> {
        let report = json(&self.run(&["inspect", "l.occ", "--json"]));
        report["tensors"].as_array().unwrap().clone()
    }
}

#[test]
fn loss_is_as_promised_and_reported() {
    let folder = lossy_folder();
    let report = folder.lossy(&["--bits", "4"]);
    let (bits, bytes) = (&report["bits_per_weight"], folder.read("l.occ").len());
    assert_eq!(bits, 8.0 * bytes as f64 / 24896.0);
    assert!((4.0 * 0.97..=4.0).contains(&bits.as_f64().unwrap()), "{report}");
    let snr = report["snr_db"].as_f64().unwrap();
    let error = report["rel_error"].as_f64().unwrap();
    assert!(snr > 10.0 && (20.0 * error.log10() + snr).abs() < 1e-9, "{report}");

    folder.lossy(&["--snr", "20"]);
    let tensors = folder.tensors();
    assert!(tensors[1]["lossy"].is_null() && tensors[1]["stored"] != "trellis");
    for tensor in [&tensors[0], &tensors[2]] {
        assert_eq!(tensor["stored"], "trellis");
        let snr = tensor["lossy"]["snr_db"].as_f64().unwrap();
        assert!((20.0..20.5).contains(&snr), "{tensor}");
    }
    let total = |report: &Value| report["total"]["rel_error"].as_f64().unwrap();
    let report = folder.lossy(&["--rel-error", "0.2"]);
    let compared = json(&folder.run(&["compare", "l.safetensors", "l.occ", "--json"]));
    for tensor in compared["tensors"].as_array().unwrap() {
        assert!(tensor["rel_error"].as_f64().unwrap() <= 0.2, "{tensor}");
        assert_eq!(tensor["identical"], tensor["name"] == "a.norm");
    }
    // Of all tensors here, of those that lost something there.
    assert!(total(&compared) > 0.15 && total(&compared) <= report["rel_error"].as_f64().unwrap());

    let report = json(&folder.run(&["compress", "l.safetensors", "--force", "--json"]));
    assert_eq!((&report["snr_db"], &report["rel_error"]), (&Value::Null, &0.0.into()));
    let text = folder.run(&["inspect", "l.occ"]);
    assert!(!String::from_utf8_lossy(succeeded(&text)).contains("gain"));
    folder.lossy(&["--bits", "3", "--coordinates", "hadamard", "--max-rank", "0"]);
    let text = folder.run(&["inspect", "l.occ"]);
    let text = String::from_utf8_lossy(succeeded(&text)).into_owned();
    for needed in ["hadamard", "gain", "dB", "exact"] {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
}

#[test]
fn options_reach_the_codec() {
    let folder = lossy_folder();
    let kept = ["--bits", "9", "--keep", "b.*", "--bits-for", "*.weight=2"];
    folder.lossy(&kept);
    let tensors = folder.tensors();
    assert!(tensors[2]["lossy"].is_null(), "what is to be kept is kept, whatever else matches");
    let bits = tensors[0]["bits_per_weight"].as_f64().unwrap();
    assert!((1.8..2.2).contains(&bits), "{bits}");
    folder.lossy(&["--bits-for", "a.*=3"]);
    let tensors = folder.tensors();
    assert!(tensors[0]["lossy"].is_object() && tensors[2]["lossy"].is_null());
    for (effort, states) in [("1", 1), ("2", 4), ("9", 256)] {
        folder.lossy(&["--snr", "12", "--effort", effort, "--row-scales"]);
        let lossy = &folder.tensors()[0]["lossy"];
        assert_eq!((&lossy["states"], &lossy["row_scales"]), (&states.into(), &true.into()));
    }
    for axes in ["identity", "hadamard", "aligned"] {
        let more = ["--snr", "12", "--coordinates", axes, "--weighting", "relative-error"];
        folder.lossy(&more);
        assert_eq!(folder.tensors()[0]["lossy"]["coordinates"], axes);
    }
}

#[test]
fn a_saved_plan_makes_the_same_file() {
    let folder = lossy_folder();
    folder.lossy(&["--bits", "9", "--keep", "b.*", "--save-plan", "plan.json"]);
    let (file, plan) = (folder.read("l.occ"), folder.read("plan.json"));
    let parsed: Value = serde_json::from_slice(&plan).unwrap();
    assert_eq!(parsed["bits"], 9.0);
    assert!(parsed["tensors"]["b.weight"]["lossy"].is_null());
    folder.lossy(&["--plan", "plan.json", "--save-plan", "again.json"]);
    assert!(folder.read("l.occ") == file && folder.read("again.json") == plan);
    fs::write(folder.path("bad.json"), "{\"tensors\": 1}").unwrap();
    let with = |plan| folder.run(&["compress", "l.safetensors", "--force", "--plan", plan]);
    failed(&with("bad.json"), 2, "a plan");
    failed(&with("none.json"), 1, "none.json");
    assert!(folder.read("l.occ") == file, "a failure leaves what was there");
}

#[test]
fn contradictions_and_nonsense_are_wrong_usage() {
    let folder = lossy_folder();
    let names = folder.names();
    for options in [
        &["--bits", "3", "--snr", "20"][..],
        &["--snr", "20", "--rel-error", "0.1"],
        &["--bits", "3", "--rel-error", "0.1"],
        &["--plan", "l.safetensors", "--bits", "3"],
        &["--plan", "l.safetensors", "--keep", "x"],
        &["--plan", "l.safetensors", "--bits-for", "x=1"],
        &["--bits", "0"],
        &["--bits", "-1"],
        &["--bits", "nan"],
        &["--bits", "inf"],
        &["--bits", "many"],
        &["--bits", "0.1"],
        &["--snr", "nan"],
        &["--snr", "inf"],
        &["--rel-error", "0"],
        &["--rel-error", "-inf"],
        &["--bits-for", "x"],
        &["--bits-for", "x=y"],
        &["--bits-for", "x=-3"],
        &["--bits", "3", "--effort", "0"],
        &["--bits", "3", "--effort", "10"],
        &["--bits", "3", "--max-rank", "129"],
        &["--bits", "3", "--coordinates", "polar"],
        &["--bits", "3", "--weighting", "none"],
        &["--bits", "3", "--keep", "*"],
    ] {
        let output = folder.run(&[&["compress", "l.safetensors"], options].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {stderr}");
        assert!(!stderr.is_empty() && output.stdout.is_empty(), "{options:?}");
        assert_eq!(folder.names(), names, "{options:?} leaves nothing");
    }
}

#[test]
fn pipes_carry_lossy_files_too() {
    let folder = lossy_folder();
    let original = folder.read("l.safetensors");
    folder.lossy(&["--bits", "3"]);
    let coded = folder.read("l.occ");
    let output = folder.pipe(&["compress", "-", "-o", "-", "--bits", "3", "--json"], &original);
    assert!(succeeded(&output) == coded);
    let report: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(report["output_bytes"], coded.len());
    succeeded(&folder.pipe(&["verify", "-", "--deep"], &coded));
    let back = folder.pipe(&["decompress", "-", "-o", "-"], &coded);
    succeeded(&folder.run(&["decompress", "l.occ", "-o", "back"]));
    assert!(*succeeded(&back) == folder.read("back") && back.stdout != original);
    // The header and what is not to be lost are still exact; so is a second pass without loss.
    assert_eq!(back.stdout.len(), original.len());
    let compared = json(&folder.run(&["compare", "l.occ", "back", "--json"]));
    assert_eq!(compared["total"]["identical"], true);
}

/// The fields that are documented, no more and no less.
#[test]
fn analyses_have_the_fields_that_are_documented() {
    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }
    let folder = lossy_folder();
    let report = json(&folder.run(&["analyze", "l.safetensors", "--json", "--snr", "12"]));
    let top = [
        "kinds",
        "layers",
        "matrices",
        "matrix_weights",
        "rate_distortion",
        "regimes",
        "snr_db",
        "tensors",
        "weights",
    ];
    assert_eq!(keys(&report), top);
    assert_eq!((&report["tensors"], &report["snr_db"]), (&3.into(), &12.0.into()));
    let matrix = &report["matrices"][1];
    let matrix_keys = [
        "columns",
        "coordinates",
        "dtype",
        "kind",
        "layer",
        "name",
        "not_finite",
        "rows",
        "shape",
        "spectrum",
        "stack",
        "weights",
    ];
    assert_eq!(keys(matrix), matrix_keys);
    assert_eq!((&matrix["name"], &matrix["dtype"]), (&"b.weight".into(), &"F16".into()));
    assert!(matrix["layer"].is_null() && matrix["kind"] == "other");
    let systems: Vec<&Value> =
        matrix["coordinates"].as_array().unwrap().iter().map(|found| &found["system"]).collect();
    assert_eq!(
        systems,
        ["original", "random", "hadamard", "hadamard_both", "dct", "aligned", "aligned_blocks"]
    );
    let original = &matrix["coordinates"][0];
    assert_eq!(
        keys(original),
        ["block", "distribution", "outliers", "rates", "system", "top_energy"]
    );
    let outliers = ["beyond_3_sigma", "kurtosis", "norm", "peak", "peak_to_norm", "peak_to_rms"];
    assert_eq!(keys(&original["outliers"]), outliers);
    let top = ["top_1", "top_10_percent", "top_1_percent", "top_32", "top_8"];
    assert_eq!(keys(&original["top_energy"]), top);
    let distribution = &original["distribution"];
    assert_eq!(keys(distribution), ["above", "below", "counts", "first", "tails", "width"]);
    assert_eq!(distribution["counts"].as_array().unwrap().len(), 81);
    assert_eq!(keys(&distribution["tails"][0]), ["share", "sigmas"]);
    let rates = [
        "coded",
        "entropy_gain",
        "fixed_step",
        "sampled_weights",
        "uniform",
        "variance_gain",
        "variance_gain_of_noise",
    ];
    assert_eq!(keys(&original["rates"]), rates);
    assert_eq!(keys(&original["rates"]["coded"]), ["bits", "block", "side_bits"]);
    assert_eq!(keys(&original["rates"]["uniform"][0]), ["bits", "entropy", "snr_db", "step"]);
    assert_eq!(keys(&original["rates"]["fixed_step"][0]), ["entropy", "snr_db", "step"]);
    assert!(matrix["coordinates"][4]["rates"]["coded"].is_null(), "the codec has no cosines");
    let spectrum = [
        "above_threshold",
        "columns",
        "count",
        "effective_rank",
        "energy_above",
        "noise_edge",
        "noise_sigma",
        "rows",
        "stable_rank",
        "threshold",
        "values",
    ];
    assert_eq!(keys(&matrix["spectrum"]), spectrum);
    assert_eq!(keys(&matrix["spectrum"]["values"][0]), ["noise", "rank", "value"]);
    let regime = [
        "coded_bits",
        "entropy",
        "median_kurtosis",
        "median_peak_to_rms",
        "median_top_1_percent",
        "regime",
        "worst_kurtosis",
        "worst_matrix",
        "worst_peak_to_rms",
        "worst_top_1_percent",
    ];
    assert_eq!(keys(&report["regimes"][2]), regime);
    assert_eq!(report["regimes"][1]["regime"], "flattened");
    assert_eq!(keys(&report["kinds"][0]), ["kind", "matrices", "regimes", "weights"]);
    assert!(report["layers"].as_array().unwrap().is_empty());
    let point = ["bits", "matrix_bits", "shannon_bits", "snr_db"];
    assert_eq!(keys(&report["rate_distortion"][4]), point);
}

#[test]
fn analyses_read_well() {
    let folder = lossy_folder();
    let text = |args: &[&str]| {
        let output = folder.run(&[&["analyze", "l.safetensors"], args].concat());
        String::from_utf8(succeeded(&output).to_vec()).unwrap()
    };
    let all = text(&[]);
    for needed in ["flattened", "concentrated", "other", "b.weight", "30 dB", "2 matrices in 3"] {
        assert!(all.contains(needed), "{needed} in\n{all}");
    }
    let one = text(&["--tensor", "b.*"]);
    assert!(one.contains("aligned blocks") && one.contains("b.weight: 96 × 128"), "{one}");
    assert!(!one.contains("a.weight") && one.contains("1 matrix in 1 tensor"), "{one}");
    assert!(text(&["--tensor", "*norm"]).contains("1 tensor, 320 weights, none of them"));
    // An .occ file is a model like any other.
    folder.lossy(&["--snr", "30"]);
    succeeded(&folder.run(&["analyze", "l.occ"]));
    failed(&folder.run(&["analyze", "l.safetensors", "--tensor", "c*"]), 2, "matches `c*`");
    failed(&folder.run(&["analyze", "l.safetensors", "--snr", "nan"]), 2, "not a positive number");
    failed(&folder.run(&["analyze", "none"]), 1, "none: ");
    failed(&folder.run(&["analyze", "-"]), 2, "cannot read a pipe");
    fs::write(folder.path("bad"), "not a model at all, whatever one tries").unwrap();
    failed(&folder.run(&["analyze", "bad"]), 1, "bad: ");
}

/// A short `occ toy`, twice: with any number of threads the same text, networks and figures.
#[test]
fn toy_is_always_the_same() {
    let folder = Folder::new();
    let run = |out: &str, threads: &str| {
        let args = ["toy", "--steps", "2", "--out", out, "--threads", threads];
        String::from_utf8(succeeded(&folder.run(&args)).to_vec()).unwrap()
    };
    let text = run("one", "1");
    assert_eq!(text, run("three", "3"));
    let names = [
        "concentration.svg",
        "networks.safetensors",
        "outliers.svg",
        "rate-distortion-a.svg",
        "rate-distortion-b.svg",
        "signal-a.svg",
        "signal-b.svg",
        "toy.txt",
        "weights.svg",
    ];
    for name in names {
        let [one, three] = ["one", "three"].map(|out| folder.read(&format!("{out}/{name}")));
        assert!(one == three, "{name}");
        assert_eq!(one.starts_with(b"<svg "), name.ends_with(".svg"), "{name}");
    }
    assert_eq!(fs::read_dir(folder.path("one")).unwrap().count(), names.len());
    assert_eq!(folder.read("one/toy.txt"), text.as_bytes());
    for needed in ["Case B: bytes", "relu 256, rotated", "kurtosis", "Found in this run"] {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
    // Networks are an ordinary model.
    succeeded(&folder.run(&["compress", "one/networks.safetensors", "-o", "n.occ"]));
    let tensors = json(&folder.run(&["inspect", "n.occ", "--json"]));
    assert_eq!(tensors["tensors"].as_array().unwrap().len(), 2 * 3 * 2 * 6);
    failed(&folder.run(&["toy", "--steps", "2", "--out", "one"]), 2, "--force");
}

#[test]
fn toy_reports_as_json() {
    let folder = Folder::new();
    let report = json(&folder.run(&["toy", "--steps", "1", "--seed", "7", "--json"]));
    assert_eq!((&report["seed"], &report["samples"]), (&7.into(), &4096.into()));
    let cases = report["cases"].as_array().unwrap();
    assert_eq!((&cases[0]["case"], &cases[1]["case"]), (&"A".into(), &"B".into()));
    let network = &cases[1]["networks"][5];
    assert_eq!((&network["activation"], &network["width"]), (&"tanh".into(), &256.into()));
    for coordinates in ["plain", "rotated"] {
        let weights = &network[coordinates];
        assert!(weights["outliers"]["peak_to_rms"].as_f64().unwrap() > 1.0);
        let points = weights["coded"]["quantised"].as_array().unwrap();
        assert_eq!(points.iter().map(|p| p["bits"].as_u64().unwrap()).sum::<u64>(), 23);
        for pair in points.windows(2) {
            assert!(pair[0]["bytes"].as_u64() < pair[1]["bytes"].as_u64(), "{weights}");
        }
    }
}
