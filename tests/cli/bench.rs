//! `occ bench`.

use super::*;

impl Folder {
    /// The results of a short `occ bench` as JSON, and names and threads of its tasks.
    fn bench(&self, file: &str) -> (Vec<Value>, Vec<(String, u64)>) {
        let args = ["bench", file, "--json", "--rounds", "1", "--threads", "2"];
        let results = json(&self.run(&args)).as_array().unwrap().clone();
        let name = |result: &Value| {
            (result["name"].as_str().unwrap().to_owned(), result["threads"].as_u64().unwrap())
        };
        let names = results.iter().map(name).collect();
        (results, names)
    }
}

/// The baselines. zstd is an optional feature.
fn baselines() -> Vec<&'static str> {
    let zstd = ["zstd -1 compress", "zstd -1 decompress", "zstd -3 compress", "zstd -3 decompress"];
    let zstd = zstd.into_iter().filter(|_| cfg!(feature = "zstd"));
    std::iter::once("memcpy").chain(zstd).collect()
}

/// The expected tasks: baselines with one thread, and codecs with one and two threads.
fn tasks(codecs: &[String]) -> Vec<(String, u64)> {
    let baselines = baselines().into_iter().map(|name| (name.to_owned(), 1));
    let codecs =
        [1, 2].into_iter().flat_map(|threads| codecs.iter().cloned().map(move |n| (n, threads)));
    baselines.chain(codecs).collect()
}

#[test]
fn bench_measures_every_task() {
    let folder = lossy_folder();
    let lossy = ["hadamard 8 states", "identity 8 states", "hadamard 256 states"];
    let steps = |name| ["plan", "encode", "decode"].map(|step| format!("{name} {step}"));
    let mut codecs = vec!["lossless encode".to_owned(), "lossless decode".to_owned()];
    codecs.extend(lossy.into_iter().flat_map(steps));
    let (results, names) = folder.bench("l.safetensors");
    assert_eq!(names, tasks(&codecs));
    for result in results {
        let keys: Vec<&String> = result.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["bytes", "gb_per_s", "mweights_per_s", "name", "ratio", "threads"]);
        for speed in ["gb_per_s", "mweights_per_s"] {
            assert!(result[speed].as_f64().unwrap() > 0.0, "{result}");
        }
        let name = result["name"].as_str().unwrap();
        let is_lossy = name.contains("states");
        // Lossy tasks do not code the F32 vector.
        assert_eq!(result["bytes"], if is_lossy { 49152 } else { 49152 + 4 * 320 });
        match result["ratio"].as_f64() {
            None => assert!(name == "memcpy" || name.ends_with("plan"), "{result}"),
            Some(ratio) if is_lossy => assert!((0.15..0.25).contains(&ratio), "{result}"),
            Some(ratio) => assert!((0.5..1.1).contains(&ratio), "{result}"),
        }
    }
    let text = folder.run(&["bench", "l.safetensors", "--rounds", "2", "--threads", "1"]);
    let text = String::from_utf8_lossy(succeeded(&text)).into_owned();
    for needed in ["l.safetensors: ", "BF16, F16, F32, 24,896 weights", "kernel", "2 rounds"] {
        assert!(text.contains(needed), "{needed} in\n{text}");
    }
    assert!(text.contains("of memcpy") && text.contains("100.0 %"), "{text}");
    assert_eq!(text.contains("zstd: not built in"), !cfg!(feature = "zstd"), "{text}");
}

#[test]
fn bench_accepts_files_without_matrices() {
    let folder = Folder::new();
    let save = |name: &str, samples: &[common::Sample]| {
        fs::write(folder.path(name), safetensors(samples)).unwrap();
    };
    let positions = (0..4096i64).flat_map(i64::to_le_bytes).collect();
    save("i", &[common::Sample::new("positions", Dtype::I64, &[64, 64], positions)]);
    let (_, names) = folder.bench("i");
    assert_eq!(names, tasks(&["lossless encode".into(), "lossless decode".into()]));
    save("0", &[common::Sample::new("nothing", Dtype::Bf16, &[4, 0], Vec::new())]);
    failed(&folder.run(&["bench", "0"]), 2, "0 holds no weights");
    fs::write(folder.path("bad"), "this file is not a model file").unwrap();
    failed(&folder.run(&["bench", "bad"]), 1, "bad: ");
    failed(&folder.run(&["bench", "none"]), 1, "none: ");
    failed(&folder.run(&["bench", "i", "--rounds", "0"]), 2, "--rounds");
}
