//! Shards that are planned and compressed by processes of their own, as on many machines.

use crate::command::Workplace;
use crate::common::{Sample, assert_valid, bf16_weights, f32_weights, safetensors};
use occ::{Dtype, Reader};
use std::process::{Command, Stdio};

const SHARDS: [&str; 3] = ["model-00001-of-00003", "model-00002-of-00003", "model-00003-of-00003"];
const INDEX: &str = "m/model.safetensors.index.json";
const BITS: &str = "3.5";
const WEIGHTS: f64 = (5 * 128 * 256 + 128 * 512 + 3 * 256) as f64;

/// Three shards: matrices of different sizes and scales, a copy of one, and vectors. Most of the last
/// shard is lossless.
fn checkpoint() -> Workplace {
    let place = Workplace::new();
    let sample = |name: &str, dtype, shape: &[usize], bytes| Sample::new(name, dtype, shape, bytes);
    let matrix =
        |name: &str, seed| sample(name, Dtype::Bf16, &[128, 256], bf16_weights(seed, 128 * 256));
    let norm = |name: &str, seed| sample(name, Dtype::F32, &[256], f32_weights(seed, 256));
    let wide = sample("1.wide.weight", Dtype::F32, &[128, 512], f32_weights(7, 128 * 512));
    let shards = [
        vec![matrix("0.up.weight", 1), norm("0.norm", 2), matrix("0.down.weight", 3)],
        vec![wide, matrix("1.up.weight", 4), matrix("1.tied.weight", 4), norm("1.norm", 5)],
        vec![norm("2.norm", 8), matrix("2.up.weight", 6)],
    ];
    let mut entries = Vec::new();
    for (name, samples) in SHARDS.iter().zip(&shards) {
        place.write(&format!("m/{name}.safetensors"), safetensors(samples));
        let entry = |sample: &Sample| format!("\"{}\":\"{name}.safetensors\"", sample.name);
        entries.extend(samples.iter().map(entry));
    }
    place.write(INDEX, format!("{{\"weight_map\":{{{}}}}}", entries.join(",")));
    place
}

fn plan_shard(place: &Workplace, folder: &str, name: &str, threads: &str) {
    let (input, output) = (format!("m/{name}.safetensors"), format!("{folder}/{name}.json"));
    let args = ["plan", &input, "--part", "--bits", BITS, "-o", &output, "--threads", threads];
    place.succeed(&args);
}

fn merge_plans(place: &Workplace, folder: &str) {
    let plans: Vec<String> = SHARDS.iter().map(|name| format!("{folder}/{name}.json")).collect();
    let plans: Vec<&str> = plans.iter().map(String::as_str).collect();
    let output = format!("{folder}/plan.json");
    let options = ["--bits", BITS, "--index", INDEX, "-o", &output];
    place.succeed(&[&["plan", "--merge"], &plans[..], &options].concat());
}

fn compress_args(folder: &str, name: &str, threads: &str) -> Vec<String> {
    let (input, plan) = (format!("m/{name}.safetensors"), format!("{folder}/plan.json"));
    let output = format!("{folder}/{name}.occ");
    ["compress", &input, "--plan", &plan, "-o", &output, "--threads", threads]
        .map(str::to_owned)
        .to_vec()
}

fn compress_shard(place: &Workplace, folder: &str, name: &str, threads: &str) {
    let args = compress_args(folder, name, threads);
    place.succeed(&args.iter().map(String::as_str).collect::<Vec<_>>());
}

fn merge(place: &Workplace, folder: &str) -> Vec<u8> {
    let parts: Vec<String> = SHARDS.iter().map(|name| format!("{folder}/{name}.occ")).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let output = format!("{folder}/model.occ");
    place.succeed(&[&["merge"], &parts[..], &["--index", INDEX, "-o", &output]].concat());
    place.read(&output)
}

/// All steps, shard after shard with two threads.
fn on_one_machine(place: &Workplace) -> Vec<u8> {
    place.write("one/started", "");
    SHARDS.iter().for_each(|name| plan_shard(place, "one", name, "2"));
    merge_plans(place, "one");
    SHARDS.iter().for_each(|name| compress_shard(place, "one", name, "2"));
    merge(place, "one")
}

#[test]
fn many_machines_make_the_file_of_one() {
    let place = checkpoint();
    let one = on_one_machine(&place);
    assert_valid(&one);
    let bits = one.len() as f64 * 8.0 / WEIGHTS;
    assert!((3.45..=3.5).contains(&bits), "{bits}");
    let reader = Reader::new(&one).unwrap();
    let snr = |name| reader.tensor(name).unwrap().coding().unwrap().unwrap().snr_db().unwrap();
    // Matrices of one kind have the same SNR, in whichever shard they are.
    let (first, last) = (snr("0.up.weight"), snr("2.up.weight"));
    assert!((first - last).abs() < 0.3, "{first} and {last} dB");

    // Processes side by side, in another order, one of them killed and started again.
    place.write("many/started", "");
    std::thread::scope(|scope| {
        for name in SHARDS.iter().rev() {
            scope.spawn(|| plan_shard(&place, "many", name, "1"));
        }
    });
    merge_plans(&place, "many");
    let mut killed = Command::new(env!("CARGO_BIN_EXE_occ"));
    killed.args(compress_args("many", SHARDS[1], "1")).current_dir(place.path(""));
    let mut killed = killed.stderr(Stdio::null()).spawn().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    let output = format!("{}.occ", SHARDS[1]);
    if place.files().contains(&format!("many/{output}")) {
        // It was faster: a file that is there is whole.
        std::fs::remove_file(place.path("many").join(output)).unwrap();
    }
    std::thread::scope(|scope| {
        for name in SHARDS.iter().rev() {
            scope.spawn(|| compress_shard(&place, "many", name, "1"));
        }
    });
    assert!(merge(&place, "many") == one);

    place.succeed(&["decompress", "one/model.occ", "-o", "out"]);
    place.succeed(&["compare", "m", "out"]);
}

#[test]
fn steps_check_that_they_belong_to_the_plan() {
    let place = checkpoint();
    place.write("one/started", "");
    SHARDS.iter().for_each(|name| plan_shard(&place, "one", name, "2"));
    merge_plans(&place, "one");
    let before = place.files();
    let [a, b, _] = SHARDS.map(|name| format!("one/{name}.json"));
    let input = format!("m/{}.safetensors", SHARDS[0]);
    let plan = |arguments: &[&str], code, texts: &[&str]| {
        place.fail(&[&["plan", "-o", "x.json"], arguments].concat(), code, texts);
    };
    plan(&["--merge", &a, &a, "--bits", "3"], 2, &[&a, "this tensor, too", "0.down.weight"]);
    plan(&["--merge", &a, "one/plan.json", "--bits", "3"], 2, &["one/plan.json", "--part"]);
    plan(&["--merge", &a, &b], 2, &["--bits"]);
    plan(&["--merge", &a, &b, "--bits", "0.1"], 2, &["too small"]);
    plan(&["--merge", &a, "--bits", "3", "--effort", "3"], 2, &["--effort"]);
    plan(&["--merge", &a, "--bits", "3", "--snr", "3"], 2, &["--snr"]);
    plan(&[&input, "--part", "--snr", "30"], 2, &["bit budget"]);
    plan(&[&input, "--bits", "3", "--plan", &a], 2, &["--plan"]);
    plan(&[&input], 2, &["a plan is lossy"]);
    // A plan that is not merged, and inputs that are no file of the plan.
    place.fail(&["compress", &input, "--plan", &a, "-o", "x.occ"], 2, &["--merge"]);
    place.fail(&["compress", "m", "--plan", "one/plan.json", "-o", "x.occ"], 2, &["merged"]);
    place.write("m/other.safetensors", place.read(&format!("m/{}.safetensors", SHARDS[0])));
    place.succeed(&[
        "compress",
        "m/other.safetensors",
        "--plan",
        "one/plan.json",
        "-o",
        "same.occ",
    ]);
    // Numbers out of range in a merged plan.
    let text = String::from_utf8(place.read("one/plan.json")).unwrap();
    place.write("bad.json", text.replacen("0.norm", "1.norm.more", 1));
    place.fail(
        &["compress", &input, "--plan", "bad.json", "-o", "x.occ"],
        2,
        &["bad.json", "plan"],
    );
    let added = ["bad.json", "m/other.safetensors", "same.occ"];
    let left: Vec<_> = place.files().into_iter().filter(|file| !added.contains(&&**file)).collect();
    assert_eq!(left, before);
}

#[test]
fn a_plan_is_the_one_that_compression_saves() {
    let place = checkpoint();
    place.succeed(&["compress", "m", "--bits", BITS, "--save-plan", "saved.json", "-o", "a.occ"]);
    place.succeed(&["plan", "m", "--bits", BITS, "-o", "plan.json"]);
    assert!(place.read("plan.json") == place.read("saved.json"));
    place.succeed(&["compress", "m", "--plan", "plan.json", "-o", "b.occ"]);
    assert!(place.read("b.occ") == place.read("a.occ"));
}
