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

/// The expected tasks of a dtype: baselines with one thread, and codecs with one and two threads.
fn tasks(codecs: &[String]) -> Vec<(String, u64)> {
    let baselines = baselines().into_iter().map(|name| (name.to_owned(), 1));
    let codecs =
        [1, 2].into_iter().flat_map(|threads| codecs.iter().cloned().map(move |n| (n, threads)));
    baselines.chain(codecs).collect()
}

#[test]
fn bench_measures_every_task_for_each_dtype() {
    let folder = lossy_folder();
    let lossy = ["hadamard 8 states", "identity 8 states", "hadamard 256 states"];
    let steps = |name| ["plan", "encode", "decode"].map(|step| format!("3 bits {name} {step}"));
    let lossless = ["lossless encode", "lossless decode"].map(String::from);
    let mut codecs = lossless.to_vec();
    codecs.extend(lossy.into_iter().flat_map(steps));
    codecs.extend([2, 4].map(|bits| format!("{bits} bits hadamard 8 states decode")));
    let (results, names) = folder.bench("l.safetensors");
    // The tensor of F32 is a vector.
    assert_eq!(names, [tasks(&codecs), tasks(&codecs), tasks(&lossless)].concat());
    for result in results {
        let keys: Vec<&String> = result.as_object().unwrap().keys().collect();
        let expected = ["bytes", "dtype", "gb_per_s", "mweights_per_s", "name", "of_memcpy"];
        assert_eq!(keys, [&expected[..], &["ratio", "rounds", "threads"]].concat());
        for speed in ["gb_per_s", "mweights_per_s", "of_memcpy"] {
            assert!(result[speed].as_f64().unwrap() > 0.0, "{result}");
        }
        assert_eq!(result["rounds"], 1);
        let bytes = if result["dtype"] == "F32" { 4 * 320 } else { 2 * 12288 };
        assert_eq!(result["bytes"], bytes);
        let name = result["name"].as_str().unwrap();
        match (result["ratio"].as_f64(), name.split_once(" bits ")) {
            (None, _) => assert!(name == "memcpy" || name.ends_with("plan"), "{result}"),
            (Some(ratio), Some((bits, _))) => {
                let expected = bits.parse::<f64>().unwrap() / 16.0;
                assert!((expected * 0.8..expected * 1.3).contains(&ratio), "{result}");
            }
            (Some(ratio), None) => assert!((0.5..1.2).contains(&ratio), "{result}"),
        }
    }
    let output = folder.run(&["bench", "l.safetensors", "--rounds", "2", "--threads", "1"]);
    let text = String::from_utf8_lossy(succeeded(&output)).into_owned();
    for dtype in ["12,288 weights of BF16", "12,288 weights of F16", "320 weights of F32"] {
        assert!(text.contains(&format!("l.safetensors: {dtype}")), "{dtype} in\n{text}");
    }
    assert!(text.contains("kernel") && text.contains("at most 2 rounds"), "{text}");
    assert!(text.contains("of memcpy"), "{text}");
    assert_eq!(text.contains("zstd: not built in"), !cfg!(feature = "zstd"), "{text}");
}

#[test]
fn bench_codes_matrices_as_the_command_does() {
    let folder = Folder::new();
    let weights = common::bf16_weights(1, 1 << 16);
    let matrix = common::Sample::new("w", Dtype::Bf16, &[256, 256], weights);
    fs::write(folder.path("w"), safetensors(&[matrix])).unwrap();
    let (results, _) = folder.bench("w");
    let command = results.iter().filter(|result| result["name"] == "compress --bits 3");
    let ratios: Vec<f64> = command.map(|result| result["ratio"].as_f64().unwrap()).collect();
    assert_eq!(ratios.len(), 2);
    assert!(ratios.iter().all(|ratio| (0.17..=3.0 / 16.0).contains(ratio)), "{ratios:?}");
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
