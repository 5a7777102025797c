//! Peak memory is bounded: a file much larger than the bound is compressed and decompressed.
//!
//! `OCC_MEMORY_MB=4096 cargo test --release --test memory -- --nocapture` tests a larger file.
#![cfg(all(feature = "cli", target_os = "linux"))]

mod common;

use nix::sys::resource::{UsageWho, getrusage};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

/// Two tensors: one that is coded, and one of noise, which is stored raw.
fn write_checkpoint(path: &Path, megabytes: usize) {
    let half = megabytes / 2 * 500_000;
    let header = format!(
        r#"{{"coded":{{"dtype":"BF16","shape":[{},1000],"data_offsets":[0,{}]}},"noise":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}}}}"#,
        half / 1000,
        2 * half,
        2 * half,
        2 * half,
        4 * half
    );
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let weights = common::bf16_weights(1, 500_000);
    let noise = common::Random(2).bytes(1_000_000);
    // Rows that differ, in all of their parts and columns: larger chunks are chosen for repeated ones.
    for block in 0..(megabytes / 2) as u16 {
        for (number, row) in (0u16..).zip(weights.chunks(2000)) {
            let (before, after) = row[4..].split_at(14 * usize::from(block) % 1996);
            file.write_all(&number.to_le_bytes()).unwrap();
            file.write_all(&block.to_le_bytes()).unwrap();
            file.write_all(after).unwrap();
            file.write_all(before).unwrap();
        }
    }
    for _ in 0..megabytes / 2 {
        file.write_all(&noise).unwrap();
    }
    file.flush().unwrap();
}

/// Different tensors of 4 MB each.
fn write_matrices(path: &Path, count: usize) {
    let tensors: Vec<String> = (0..count)
        .map(|i| {
            let (start, end) = (i * 4_000_000, (i + 1) * 4_000_000);
            format!(
                r#""w{i}":{{"dtype":"BF16","shape":[4000,500],"data_offsets":[{start},{end}]}}"#
            )
        })
        .collect();
    let header = format!("{{{}}}", tensors.join(","));
    let mut file = BufWriter::new(File::create(path).unwrap());
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    let weights = common::bf16_weights(1, 2_000_000);
    for number in 0..count as u16 {
        file.write_all(&number.to_le_bytes()).unwrap();
        file.write_all(&weights[2..]).unwrap();
    }
    file.flush().unwrap();
}

/// The largest resident set of any child process so far, in megabytes, including mapped pages.
fn peak_megabytes() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() / 1000
}

#[test]
fn peak_memory_does_not_grow_with_the_file() {
    let megabytes = std::env::var("OCC_MEMORY_MB").map_or(400, |text| text.parse().unwrap());
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = |name: &str| folder.path().join(name);
    write_checkpoint(&path("m.safetensors"), megabytes);
    let run = |args: &[&str], bound: i64| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_occ"));
        // The bound is for four threads: every thread holds a few chunks.
        command.env("RAYON_NUM_THREADS", "4");
        let status = command.args(args).current_dir(folder.path()).status().unwrap();
        assert!(status.success(), "{args:?}");
        let peak = peak_megabytes();
        println!("{megabytes} MB, {args:?}: peak {peak} MB");
        assert!(peak < bound, "{args:?}: {peak} MB");
    };
    run(&["compress", "m.safetensors"], 100);
    run(&["decompress", "m.occ", "-o", "back"], 100);
    run(&["verify", "--deep", "m.occ"], 100);
    run(&["compare", "m.safetensors", "back"], 100);
    let same = Command::new("cmp").args([path("m.safetensors"), path("back")]).status().unwrap();
    assert!(same.success());
    // Lossy compression needs more memory, because eight tensors are analysed at a time, but not
    // more for a file four times as large.
    let lossy = ["compress", "--effort", "1", "--bits", "3", "-f"];
    write_matrices(&path("eight.safetensors"), 8);
    run(&[&lossy[..], &["eight.safetensors"]].concat(), 150);
    let before = peak_megabytes();
    write_matrices(&path("more.safetensors"), 32);
    run(&[&lossy[..], &["more.safetensors"]].concat(), before + 20);
    // The system can reclaim mapped pages, so only the data segment is limited.
    let limited = "ulimit -d 100000 && exec \"$0\" compare m.occ m.safetensors";
    let mut command = Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_occ")]).env("RAYON_NUM_THREADS", "4");
    assert!(command.current_dir(folder.path()).status().unwrap().success());
}
