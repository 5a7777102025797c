//! `occ compare`.

use super::*;
use crate::common::f32_sample;

/// `a.safetensors` and a `b.occ` with tensors that are equal, similar, different and missing.
fn two_models() -> Folder {
    let folder = Folder::new();
    let same = f32_sample("same", &[2], &[1.0, 2.0]);
    let a = [
        f32_sample("near", &[2], &[3.0, 4.0]),
        same.clone(),
        f32_sample("nan", &[1], &[1.0]),
        f32_sample("transposed", &[2, 1], &[1.0, 2.0]),
        f32_sample("lo\nst", &[], &[1.0]),
    ];
    let b = [
        same,
        f32_sample("near", &[2], &[3.0, 4.5]),
        f32_sample("nan", &[1], &[f32::NAN]),
        f32_sample("transposed", &[1, 2], &[1.0, 2.0]),
        f32_sample("new", &[], &[1.0]),
    ];
    fs::write(folder.path("a.safetensors"), safetensors(&a)).unwrap();
    fs::write(folder.path("b.occ"), common::written(&b, occ::WriteOptions::default())).unwrap();
    folder
}

#[test]
fn json_has_all_errors() {
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
            "non_finite": {
                "nan_a": 0, "infinite_a": 0, "nan_b": 0, "infinite_b": 0, "differing": 0,
            },
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
    assert_eq!(fields(&tensors[2]), json!(["nan", true, false, null, null, null]));
    assert_eq!(fields(&tensors[3]), json!(["transposed", false, false, null, null, null]));
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
fn text_lists_differences_and_the_exit_code_is_0() {
    let folder = two_models();
    let output = folder.run(&["compare", "a.safetensors", "b.occ"]);
    let text = String::from_utf8(succeeded(&output).to_vec()).unwrap();
    let starts: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let rule = starts[1];
    let names = ["tensor", rule, "near", "same", "nan", "transposed", rule, "total"];
    assert_eq!(starts[..8], names, "in the order of A:\n{text}");
    for needed in [
        "1.00e-1",
        "20.00",
        "identical",
        "∞",
        "shape differs",
        "transposed: [2, 1] → [1, 2]",
        "4 tensors, 5 weights; 1 identical",
        "only in a.safetensors:\n  lo\\nst\n",
        "only in b.occ:\n  new",
        "only weights were compared",
    ] {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
    assert!(output.stderr.is_empty(), "no output to a pipe");
    failed(&folder.run(&["compare", "a.safetensors", "none"]), 1, "none: ");
    failed(&folder.run(&["compare", "a.safetensors", "-"]), 2, "pipe");
    failed(&folder.run(&["compare", "a.safetensors"]), 2, "Usage");
}

/// Two models of three matrices, the last one inputs × outputs, and inputs for them.
fn two_models_and_inputs() -> Folder {
    let model = |last: f32| {
        [
            f32_sample("batch", &[2, 2], &[1.0, 2.0, 3.0, last]),
            f32_sample("gram", &[2, 2], &[1.0, 2.0, 3.0, last]),
            f32_sample("transposed", &[1, 2], &[3.0, last]),
        ]
    };
    let inputs = [
        f32_sample("batch.inputs", &[1, 2], &[1.0, 0.0]),
        f32_sample("gram", &[2, 2], &[1.0, 0.0, 0.0, 1.0]),
        f32_sample("transposed", &[3, 1], &[1.0, 2.0, 2.0]),
        f32_sample("lo\nst", &[1, 1], &[1.0]),
    ];
    let folder = Folder(tempfile::tempdir().unwrap());
    fs::write(folder.path("a.safetensors"), safetensors(&model(4.0))).unwrap();
    fs::write(folder.path("b.safetensors"), safetensors(&model(4.5))).unwrap();
    fs::write(folder.path("x.safetensors"), safetensors(&inputs)).unwrap();
    folder
}

#[test]
fn outputs_are_compared_with_inputs() {
    let folder = two_models_and_inputs();
    let models = ["compare", "a.safetensors", "b.safetensors", "--inputs"];
    let run = |more: &[&str]| folder.run(&[&models[..], more].concat());
    let text = String::from_utf8(succeeded(&run(&["x.safetensors"])).to_vec()).unwrap();
    for needed in [
        " op. error  op. SNR dB",
        "operator error (op.): 3 tensors, 10 weights; 2 batches, 1 Gram matrices",
        "transposed: the inputs fit only inputs × outputs:\n  transposed\n",
        "square, interpreted as outputs × inputs:\n  batch\n  gram\n",
        "unused inputs:\n  lo\\nst",
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
    // Energies of errors: ¼ and ¼ · 9; of outputs: 10, 30 and 25 · 9.
    let total = report["total"]["operator_rel_error"].as_f64().unwrap();
    assert!((total - (2.5f64 / 265.0).sqrt()).abs() < 1e-12, "{total}");
    assert_eq!(report["unused_inputs"], serde_json::json!(["lo\nst"]));
    failed(&run(&["-"]), 2, "pipe");
    failed(&run(&["none"]), 1, "none: ");
    failed(&run(&["a.safetensors", "--bad"]), 2, "Usage");
    let wide =
        folder.run(&["compare", "x.safetensors", "x.safetensors", "--inputs", "a.safetensors"]);
    failed(&wide, 2, "tensor `transposed`");
}

/// Files of statistics for `compress` are inputs, too.
#[test]
fn diagonals_are_counted() {
    let folder = two_models_and_inputs();
    let inputs = [
        f32_sample("batch.inputs", &[1, 2], &[1.0, 0.0]),
        f32_sample("gram.diag", &[2], &[1.0, 1.0]),
        f32_sample("gram.rows", &[2], &[1.0, 1.0]),
    ];
    fs::write(folder.path("x.safetensors"), safetensors(&inputs)).unwrap();
    let models = ["compare", "a.safetensors", "b.safetensors", "--inputs", "x.safetensors"];
    let text = String::from_utf8(succeeded(&folder.run(&models)).to_vec()).unwrap();
    let needed = "2 tensors, 8 weights; 1 batches, 0 Gram matrices, 1 diagonals\n";
    assert!(text.contains(needed) && !text.contains("unused"), "{text}");
    let report = folder.run(&[&models[..], &["--json"]].concat());
    let report: Value = serde_json::from_slice(succeeded(&report)).unwrap();
    assert_eq!(report["tensors"][1]["inputs"], "diagonal");
    assert_eq!(report["tensors"][1]["input_vectors"], Value::Null);
    assert_eq!(report["tensors"][1]["operator_rel_error"], report["tensors"][1]["rel_error"]);
}

#[test]
fn nan_and_infinite_weights_are_counted() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let model = |last| {
        let values = [f32::NAN, f32::INFINITY, last, 1.0];
        safetensors(&[f32_sample("w", &[4], &values), f32_sample("v", &[1], &[1.0])])
    };
    fs::write(folder.path("a"), model(1.0)).unwrap();
    fs::write(folder.path("b"), model(f32::NEG_INFINITY)).unwrap();
    let text =
        |a, b| String::from_utf8(succeeded(&folder.run(&["compare", a, b])).to_vec()).unwrap();
    let same = "A 1 NaN, 1 infinite; B 1 NaN, 1 infinite; all agree";
    let needed = format!("weights that are NaN or infinite: {same}:\n  w: {same}\n");
    assert!(text("a", "a").contains(&needed), "{}", text("a", "a"));
    let differ = "  w: A 1 NaN, 1 infinite; B 1 NaN, 2 infinite; 1 differ\n";
    assert!(text("a", "b").contains(differ), "{}", text("a", "b"));
    let report = folder.run(&["compare", "a", "b", "--json"]);
    let report: Value = serde_json::from_slice(succeeded(&report)).unwrap();
    let counts = |nan_a, infinite_a, nan_b, infinite_b, differing| {
        serde_json::json!({
            "nan_a": nan_a, "infinite_a": infinite_a, "nan_b": nan_b, "infinite_b": infinite_b,
            "differing": differing,
        })
    };
    let tensors = report["tensors"].as_array().unwrap();
    let of =
        |name: &str| &tensors.iter().find(|tensor| tensor["name"] == name).unwrap()["non_finite"];
    assert_eq!((of("v"), of("w")), (&counts(0, 0, 0, 0, 0), &counts(1, 1, 1, 2, 1)));
    assert_eq!(report["total"]["non_finite"], counts(1, 1, 1, 2, 1));
}
