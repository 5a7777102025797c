//! Lossy compression.

use super::*;
use crate::common::f32_sample;

#[test]
fn portable_code_and_kernels_give_the_same_bytes() {
    let folder = lossy_folder();
    let both = |args: &[&str], file: &str| {
        ["", "scalar"].map(|kernel| {
            succeeded(&folder.command(args).env("OCC_KERNEL", kernel).output().unwrap());
            folder.read(file)
        })
    };
    for loss in [&[][..], &["--snr", "12"]] {
        let compress = ["compress", "l.safetensors", "-o", "l.occ", "-f"];
        let [fast, portable] = both(&[&compress, loss].concat(), "l.occ");
        assert!(fast == portable);
        let [fast, portable] = both(&["decompress", "l.occ", "-o", "back", "-f"], "back");
        assert!(fast == portable);
    }
}

#[test]
fn output_does_not_depend_on_the_number_of_threads() {
    let folder = lossy_folder();
    let with_each = |args: &[&str], file: &str| {
        ["1", "3"].map(|threads| {
            succeeded(&folder.run(&[args, &["--threads", threads]].concat()));
            folder.read(file)
        })
    };
    for loss in [&[][..], &["--bits", "4"]] {
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

#[test]
fn errors_meet_the_target_and_are_reported() {
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
    // `compare` covers all tensors, `compress` only the lossy ones.
    assert!(total(&compared) > 0.15 && total(&compared) <= report["rel_error"].as_f64().unwrap());

    let report = json(&folder.run(&["compress", "l.safetensors", "--force", "--json"]));
    assert_eq!((&report["snr_db"], &report["rel_error"]), (&Value::Null, &0.0.into()));
    let text = folder.run(&["inspect", "l.occ"]);
    assert!(!String::from_utf8_lossy(succeeded(&text)).contains("gain"));
    folder.lossy(&["--bits", "3", "--coordinates", "hadamard", "--max-rank", "0"]);
    let text = folder.run(&["inspect", "l.occ"]);
    let text = String::from_utf8_lossy(succeeded(&text)).into_owned();
    for needed in ["hadamard", "gain", "dB", "lossless"] {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
}

#[test]
fn options_reach_the_codec() {
    let folder = lossy_folder();
    let kept = ["--bits", "9", "--keep", "b.*", "--bits-for", "*.weight=2"];
    folder.lossy(&kept);
    let tensors = folder.tensors();
    assert!(tensors[2]["lossy"].is_null(), "--keep has priority");
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
    for (coordinates, name) in
        [("identity", "identity"), ("hadamard", "hadamard"), ("klt", "klt"), ("aligned", "klt")]
    {
        let more = ["--bits", "9", "--coordinates", coordinates, "--weighting", "relative-error"];
        folder.lossy(&more);
        assert_eq!(folder.tensors()[0]["lossy"]["coordinates"], name);
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
    assert!(folder.read("l.occ") == file, "a failure does not change the output");
}

#[test]
fn statistics_count_errors_in_outputs() {
    let folder = lossy_folder();
    let entry = |name: &str, length| {
        let numbers: Vec<f32> = (0..length).map(|i| if i % 8 == 0 { 900.0 } else { 1.0 }).collect();
        f32_sample(name, &[length], &numbers)
    };
    let entries = [entry("a.weight.diag", 96), entry("c.weight.diag", 128)];
    fs::write(folder.path("x.safetensors"), safetensors(&entries)).unwrap();
    let run = |options: &[&str]| {
        let common = ["compress", "l.safetensors", "--force", "--statistics", "x.safetensors"];
        folder.run(&[&common[..], options].concat())
    };
    let output = run(&["--bits", "10", "--save-plan", "plan.json", "--report", "r.html"]);
    succeeded(&output);
    let report = String::from_utf8(folder.read("r.html")).unwrap();
    assert!(report.contains("Statistics of inputs and outputs") && report.contains(">diag<"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("c.weight.diag") && stderr.contains("b.weight"), "{stderr}");
    // The file says itself what each tensor was coded with.
    let tensors = &json(&folder.run(&["inspect", "l.occ", "--json"]))["tensors"];
    let named =
        |name: &str| tensors.as_array().unwrap().iter().find(|tensor| tensor["name"] == name);
    let statistics = |name| named(name).unwrap()["lossy"]["statistics"].to_string();
    assert_eq!(
        (statistics("a.weight"), statistics("b.weight")),
        ("[\"diag\"]".into(), "[]".into())
    );
    let inspected = folder.run(&["inspect", "l.occ"]);
    let table = String::from_utf8(succeeded(&inspected).to_vec()).unwrap();
    let ends_with = |name: &str, cell: &str| {
        table.lines().any(|line| line.starts_with(name) && line.trim_end().ends_with(cell))
    };
    assert!(ends_with("a.weight", " diag") && ends_with("b.weight", " none"), "{table}");
    let file = folder.read("l.occ");
    succeeded(&run(&["--plan", "plan.json"]));
    assert!(folder.read("l.occ") == file);
    let without = ["compress", "l.safetensors", "--force", "--plan", "plan.json"];
    failed(&folder.run(&without), 2, "statistics");
    succeeded(&run(&["--output-error", "0.1"]));
    let compared = ["compare", "l.safetensors", "l.occ", "--inputs", "x.safetensors", "--json"];
    let report = json(&folder.run(&compared));
    let error = report["tensors"][0]["operator_rel_error"].as_f64().unwrap();
    assert!((0.09..=0.1).contains(&error), "{error}");
    fs::write(folder.path("bad.safetensors"), safetensors(&[entry("a.weight.diag", 95)])).unwrap();
    let options = ["--bits", "10", "--statistics", "bad.safetensors", "--force"];
    let output = folder.run(&[&["compress", "l.safetensors"], &options[..]].concat());
    failed(&output, 2, "bad.safetensors");
    failed(&output, 2, "a.weight.diag");
}

/// No output of a compression replaces one of its inputs or another output, even with --force.
#[test]
fn outputs_replace_neither_inputs_nor_each_other() {
    let folder = lossy_folder();
    folder.lossy(&["--bits", "9", "--save-plan", "plan.json"]);
    let (original, plan) = (folder.read("l.safetensors"), folder.read("plan.json"));
    let names = folder.names();
    for options in [
        &["--bits", "9", "--save-plan", "l.safetensors"][..],
        &["--bits", "9", "--save-plan", "./l.safetensors"],
        &["--bits", "9", "--report", "l.safetensors"],
        &["--bits", "9", "-o", "l.safetensors"],
        &["--plan", "plan.json", "-o", "plan.json"],
        &["--plan", "plan.json", "--report", "plan.json"],
        &["--bits", "9", "--statistics", "l.occ", "-o", "l.occ"],
        &["--bits", "9", "--save-plan", "x", "--report", "x"],
        &["--bits", "9", "--save-plan", "x", "-o", "x"],
    ] {
        let output = folder.run(&[&["compress", "l.safetensors", "--force"], options].concat());
        failed(&output, 2, "error: ");
        assert_eq!(folder.names(), names, "{options:?}");
        assert!(folder.read("l.safetensors") == original && folder.read("plan.json") == plan);
    }
    let again = ["compress", "l.safetensors", "-o", "y.occ", "--save-plan", "plan.json"];
    failed(&folder.run(&again), 2, "plan.json");
    // A lossless plan is saved, too.
    folder.lossy(&["--save-plan", "lossless.json"]);
    let plan: Value = serde_json::from_slice(&folder.read("lossless.json")).unwrap();
    assert_eq!(plan["tensors"], serde_json::json!({}));
}

#[test]
fn contradictory_and_invalid_options_are_wrong_usage() {
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
        // Without effect.
        &["--bits", "3", "--keep", "nothing.*"],
        &["--bits-for", "nothing.*=3"],
        &["--keep", "a.*"],
        &["--effort", "3"],
        &["--max-rank", "3"],
        &["--coordinates", "klt"],
        &["--row-scales"],
        &["--weighting", "relative-error"],
        &["--snr", "20", "--weighting", "relative-error"],
        &["--rel-error", "0.1", "--weighting", "operator"],
        &["--plan", "l.safetensors", "--effort", "3"],
        &["--rel-error", "1"],
        &["--rel-error", "2"],
        &["--snr", "0"],
        &["--snr", "-3"],
        &["--output-error", "0.1"],
        &["--statistics", "l.safetensors"],
        &["--snr", "20", "--statistics", "l.safetensors"],
    ] {
        let output = folder.run(&[&["compress", "l.safetensors"], options].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options:?}: {stderr}");
        assert!(!stderr.is_empty() && output.stdout.is_empty(), "{options:?}");
        assert_eq!(folder.names(), names, "{options:?} writes nothing");
    }
}

/// What a budget amounts to, and kernels that do not exist.
#[test]
fn requests_without_effect_are_named() {
    let folder = lossy_folder();
    let output = folder.run(&["compress", "l.safetensors", "--bits", "40"]);
    succeeded(&output);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("--bits 40") && stderr.contains("lossless"), "{stderr}");
    let inspect = |kernel| folder.command(&["inspect", "l.occ"]).env("OCC_KERNEL", kernel).output();
    failed(&inspect("sse9").unwrap(), 2, "sse9");
    // A plan for another model.
    folder.lossy(&["--bits", "9", "--save-plan", "plan.json"]);
    let other = [f32_sample("other.weight", &[64, 64], &[0.5; 4096])];
    fs::write(folder.path("o.safetensors"), safetensors(&other)).unwrap();
    let output = folder.run(&["compress", "o.safetensors", "--plan", "plan.json"]);
    failed(&output, 2, "plan.json");
    assert!(!folder.names().contains(&"o.occ".into()));
    succeeded(&inspect("").unwrap());
}

#[test]
fn pipes_work_with_lossy_files() {
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
    // The header and lossless tensors are restored exactly. Decoding twice gives the same values.
    assert_eq!(back.stdout.len(), original.len());
    let compared = json(&folder.run(&["compare", "l.occ", "back", "--json"]));
    assert_eq!(compared["total"]["identical"], true);
}
