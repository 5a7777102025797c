//! `occ demo`: there and back, with a table of what it took.

mod model;

use crate::args::Demo;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::table::{Align, Bytes, Table, bits_per_weight, grouped, ratio};
use occ::convert::{self, Checkpoint, Target};
use occ::{Reader, VerifyOptions, WriteOptions, Writer};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

pub fn run(args: &Demo) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(occ::Error::from)?;
    let model = match &args.model {
        Some(model) => model.clone(),
        None => {
            let path = folder.path().join("demo.safetensors");
            model::write(&path).map_err(occ::Error::from)?;
            path
        }
    };
    let checkpoint = Checkpoint::open(&model)?;
    let coded = folder.path().join("demo.occ");
    let back = folder.path().join("back");

    let compressed = timed(|| compress(&checkpoint, &coded))?;
    let verified = timed(|| verify(&coded))?;
    let restored = timed(|| restore(&checkpoint, &coded, &back))?;
    let original =
        if model.is_dir() && !back.is_dir() { model.join("model.safetensors") } else { model };
    let identical = identical(&original, &back)?;

    let file = Reader::open(&coded)?;
    let mut text = sizes(&file, checkpoint.file_bytes())?;
    let mut speeds = Table::new(&[
        ("", Align::Left),
        ("seconds", Align::Right),
        ("of the original", Align::Right),
    ]);
    for (task, seconds) in
        [("compress", compressed), ("verify --deep", verified), ("decompress", restored)]
    {
        let speed = (checkpoint.file_bytes() as f64 / seconds) as u64;
        speeds.row([task.into(), format!("{seconds:.2}"), format!("{}/s", Bytes(speed))]);
    }
    text.push_str(&format!("\n{}\n", speeds.render()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let bytes = grouped(checkpoint.file_bytes());
    if !identical {
        crate::print(&format!("{text}NOT IDENTICAL: the {bytes} bytes that came back differ"))?;
        return Err(Failure::Told);
    }
    crate::print(&format!(
        "{text}Identical: all {bytes} bytes came back. {threads} threads, files on disk."
    ))
}

/// Seconds a task takes.
fn timed(task: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let start = Instant::now();
    task()?;
    Ok(start.elapsed().as_secs_f64())
}

fn compress(checkpoint: &Checkpoint, output: &Path) -> Result<(), Failure> {
    let progress = Progress::new("compressing", checkpoint.tensor_bytes());
    let mut writer = Writer::create(output, WriteOptions::default())?;
    checkpoint.write_to(&mut writer, &mut |bytes| progress.advance(bytes))?;
    writer.finish()?;
    Ok(())
}

fn verify(file: &Path) -> Result<(), Failure> {
    let input = File::open(file).map_err(occ::Error::from)?;
    let report = occ::verify(input, VerifyOptions { deep: true, ..VerifyOptions::default() })?;
    report.problems.into_iter().next().map_or(Ok(()), |problem| Err(problem.into()))
}

fn restore(checkpoint: &Checkpoint, input: &Path, output: &Path) -> Result<(), Failure> {
    let progress = Progress::new("decompressing", checkpoint.tensor_bytes());
    let target = Target::Path { path: output.to_owned(), overwrite: false };
    convert::decompress(input, target, &mut |bytes| progress.advance(bytes))?;
    Ok(())
}

/// Whether every file that came back is, byte for byte, the one it was.
fn identical(original: &Path, back: &Path) -> Result<bool, Failure> {
    let pairs: Vec<(PathBuf, PathBuf)> = if back.is_dir() {
        let names = std::fs::read_dir(back).map_err(occ::Error::from)?;
        let names = names.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<Vec<_>>>();
        let names = names.map_err(occ::Error::from)?;
        names.iter().map(|name| (original.join(name), back.join(name))).collect()
    } else {
        vec![(original.to_owned(), back.to_owned())]
    };
    for (a, b) in pairs {
        if !same_bytes(&a, &b).map_err(occ::Error::from)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_bytes(a: &Path, b: &Path) -> std::io::Result<bool> {
    let (a, b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut a, mut b) =
        (BufReader::with_capacity(1 << 20, a), BufReader::with_capacity(1 << 20, b));
    let (mut x, mut y) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let read = a.read(&mut x)?;
        if read == 0 {
            return Ok(true);
        }
        b.read_exact(&mut y[..read])?;
        if x[..read] != y[..read] {
            return Ok(false);
        }
    }
}

/// Tensors that differ only in a layer's number, together.
#[derive(Default)]
struct Group {
    first: usize,
    tensors: u64,
    dtypes: String,
    weights: u64,
    decoded: u64,
    coded: u64,
}

/// The table of sizes.
fn sizes(file: &Reader<'_>, original_bytes: u64) -> Result<String, Failure> {
    let mut groups = BTreeMap::<String, Group>::new();
    let mut weights = 0;
    for (position, tensor) in file.tensors().enumerate() {
        let tensor = tensor?;
        let group = groups.entry(group_name(tensor.name())).or_insert_with(|| Group {
            first: position,
            dtypes: tensor.dtype().to_string(),
            ..Group::default()
        });
        group.tensors += 1;
        group.weights += tensor.elements();
        group.decoded += tensor.decoded_bytes();
        group.coded += tensor.coded_bytes();
        weights += tensor.elements();
        if group.dtypes != tensor.dtype().name() {
            group.dtypes = "mixed".into();
        }
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| group.first);

    let mut table = Table::new(&[
        ("tensors", Align::Left),
        ("", Align::Right),
        ("dtype", Align::Left),
        ("weights", Align::Right),
        ("original", Align::Right),
        (".occ", Align::Right),
        ("ratio", Align::Right),
        ("bits/weight", Align::Right),
    ]);
    let (mut decoded, mut coded) = (0, 0);
    let numbers = |weights, decoded, coded| {
        let bits = bits_per_weight(coded, weights);
        let cells = [grouped(weights), Bytes(decoded).to_string(), Bytes(coded).to_string()];
        let [a, b, c] = cells;
        (a, b, c, format!("{:.3}", ratio(coded, decoded)), format!("{bits:.2}"))
    };
    for (name, group) in &groups {
        let (a, b, c, d, e) = numbers(group.weights, group.decoded, group.coded);
        let count = if group.tensors > 1 { format!("×{}", group.tensors) } else { String::new() };
        table.row([name.escape_debug().to_string(), count, group.dtypes.clone(), a, b, c, d, e]);
        decoded += group.decoded;
        coded += group.coded;
    }
    let (rest, rest_coded) = (original_bytes - decoded, file.file_bytes() - coded);
    let (_, b, c, d, _) = numbers(0, rest, rest_coded);
    table.row([
        "headers, index, checksums".into(),
        String::new(),
        String::new(),
        String::new(),
        b,
        c,
        d,
        String::new(),
    ]);
    table.rule();
    let (a, b, c, d, e) = numbers(weights, original_bytes, file.file_bytes());
    table.row(["the whole file".into(), String::new(), String::new(), a, b, c, d, e]);
    Ok(table.render())
}

/// A name with its numbers replaced by `*`.
fn group_name(name: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name.split('.').map(|part| if is_number(part) { "*" } else { part });
    parts.collect::<Vec<_>>().join(".")
}
