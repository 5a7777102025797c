//! `occ analyze`.

use super::*;

#[test]
fn json_has_exactly_the_documented_fields() {
    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }
    let folder = lossy_folder();
    let report = json(&folder.run(&["analyze", "l.safetensors", "--json", "--snr", "12"]));
    let top = [
        "coordinates",
        "layers",
        "matrices",
        "matrix_weights",
        "rate_distortion",
        "roles",
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
        "layer",
        "name",
        "not_finite",
        "role",
        "rows",
        "shape",
        "spectrum",
        "stack",
        "weights",
    ];
    assert_eq!(keys(matrix), matrix_keys);
    assert_eq!((&matrix["name"], &matrix["dtype"]), (&"b.weight".into(), &"F16".into()));
    assert!(matrix["layer"].is_null() && matrix["role"] == "other");
    let systems: Vec<&Value> = matrix["coordinates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| &found["coordinates"])
        .collect();
    assert_eq!(
        systems,
        [
            "identity",
            "random_rotation",
            "hadamard",
            "hadamard_both_sides",
            "dct",
            "klt",
            "klt_blocks"
        ]
    );
    let original = &matrix["coordinates"][0];
    assert_eq!(
        keys(original),
        ["block", "coordinates", "distribution", "outliers", "rates", "top_energy"]
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
    assert!(
        matrix["coordinates"][4]["rates"]["coded"].is_null(),
        "the codec does not implement the DCT"
    );
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
    let summary = [
        "coded_bits",
        "coordinates",
        "entropy",
        "median_kurtosis",
        "median_peak_to_rms",
        "median_top_1_percent",
        "worst_kurtosis",
        "worst_matrix",
        "worst_peak_to_rms",
        "worst_top_1_percent",
    ];
    assert_eq!(keys(&report["coordinates"][2]), summary);
    assert_eq!(report["coordinates"][1]["coordinates"], "hadamard");
    assert_eq!(keys(&report["roles"][0]), ["coordinates", "matrices", "role", "weights"]);
    assert!(report["layers"].as_array().unwrap().is_empty());
    let point = ["bits", "matrix_bits", "shannon_bits", "snr_db"];
    assert_eq!(keys(&report["rate_distortion"][4]), point);
}

#[test]
fn text_lists_coordinates_roles_and_matrices() {
    let folder = lossy_folder();
    let text = |args: &[&str]| {
        let output = folder.run(&[&["analyze", "l.safetensors"], args].concat());
        String::from_utf8(succeeded(&output).to_vec()).unwrap()
    };
    let all = text(&[]);
    for needed in ["hadamard", "klt", "other", "b.weight", "30 dB", "2 matrices in 3"] {
        assert!(all.contains(needed), "{needed} in\n{all}");
    }
    let one = text(&["--tensor", "b.*"]);
    assert!(one.contains("klt blocks") && one.contains("b.weight: 96 × 128"), "{one}");
    assert!(!one.contains("a.weight") && one.contains("1 matrix in 1 tensor"), "{one}");
    assert!(text(&["--tensor", "*norm"]).contains("1 tensor, 320 weights, no weight matrix"));
    // An .occ file is a model as well.
    folder.lossy(&["--snr", "30"]);
    succeeded(&folder.run(&["analyze", "l.occ"]));
    failed(&folder.run(&["analyze", "l.safetensors", "--tensor", "c*"]), 2, "matches `c*`");
    failed(
        &folder.run(&["analyze", "l.safetensors", "--snr", "nan"]),
        2,
        "must be a positive number",
    );
    failed(&folder.run(&["analyze", "none"]), 1, "none: ");
    failed(&folder.run(&["analyze", "-"]), 2, "cannot read a pipe");
    fs::write(folder.path("bad"), "this file is not a model file").unwrap();
    failed(&folder.run(&["analyze", "bad"]), 1, "bad: ");
}
