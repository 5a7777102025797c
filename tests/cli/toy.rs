//! `occ toy`.

use super::*;

/// Text, networks and plots do not depend on the number of threads.
#[test]
fn toy_is_deterministic() {
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
    for needed in ["Case B: bytes", "relu 256, rotated", "kurtosis", "Conclusions"] {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
    // The networks can be compressed like any model.
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
