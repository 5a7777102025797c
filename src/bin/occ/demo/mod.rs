//! `occ demo`: there and back, with a table of what it took.

mod model;

use crate::args::Demo;
use crate::failure::Failure;
use crate::numbers::{Bytes, bits_per_weight, counted, grouped, ratio};
use crate::progress::{Progress, watch_for_interrupts};
use crate::table::{Align, Table};
use occ::convert::{self, Checkpoint, Target};
use occ::{Encoding, Reader, VerifyOptions, WriteOptions, Writer};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::time::Instant;

pub fn run(args: &Demo) -> Result<(), Failure> {
    watch_for_interrupts();
    let folder = tempfile::tempdir().map_err(occ::Error::from)?;
    let (title, model) = match &args.model {
        Some(model) => (model.display().to_string(), model.clone()),
        None => {
            let path = folder.path().join("demo.safetensors");
            model::write(&path).map_err(occ::Error::from)?;
            ("A made-up checkpoint".to_owned(), path)
        }
    };
    let checkpoint = Checkpoint::open(&model)?;
    let coded = folder.path().join("demo.occ");
    let back = folder.path().join("back");

    let compressed = timed(|| compress(&checkpoint, &coded))?;
    let verified = timed(|| verify(&coded))?;
    let restored = timed(|| restore(&checkpoint, &coded, &back))?;
    let identical = identical(&checkpoint, &back).map_err(occ::Error::from)?;

    let original = checkpoint.file_bytes();
    let weights = grouped(checkpoint.weights());
    let mut text = format!("{title}, {weights} weights, compressed without loss and restored:\n\n");
    text.push_str(&sizes(&Reader::open(&coded)?, original)?);
    let tasks = [("compress", compressed), ("verify --deep", verified), ("decompress", restored)];
    text.push_str(&format!("\n{}\n", speeds(original, &tasks)));
    let bytes = grouped(original);
    if !identical {
        crate::print(&format!("{text}NOT IDENTICAL: the {bytes} bytes that came back differ"))?;
        return Err(Failure::Told);
    }
    text.push_str(&format!("Identical: all {bytes} bytes came back.\n\n"));
    text.push_str(&lossy(&checkpoint, folder.path())?);
    crate::print(&text)
}

/// Bits a weight that the demo spends.
const BUDGETS: [f64; 3] = [4.0, 3.0, 2.0];

/// The table of what fewer bits lead to.
fn lossy(checkpoint: &Checkpoint, folder: &Path) -> Result<String, Failure> {
    let columns = [
        ("with loss", Align::Left),
        ("bits a weight", Align::Right),
        (".occ", Align::Right),
        ("ratio", Align::Right),
        ("error", Align::Right),
        ("seconds", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for bits in BUDGETS {
        let coded = folder.join("lossy.occ");
        let mut snr = None;
        let compressed = timed(|| {
            snr = compress_to(checkpoint, &coded, &Encoding::bits(bits))?;
            Ok(())
        });
        let seconds = match compressed {
            // Of a model with hardly a matrix, headers and vectors alone take more.
            Err(Failure::Usage(_)) => {
                let none = String::new;
                table.row([
                    format!("--bits {bits}"),
                    "more".into(),
                    none(),
                    none(),
                    none(),
                    none(),
                ]);
                continue;
            }
            other => other?,
        };
        verify(&coded)?;
        let bytes = std::fs::metadata(&coded).map_err(occ::Error::from)?.len();
        table.row([
            format!("--bits {bits}"),
            format!("{:.3}", bits_per_weight(bytes, checkpoint.weights())),
            Bytes(bytes).to_string(),
            format!("{:.3}", ratio(bytes, checkpoint.file_bytes())),
            snr.map_or_else(|| "exact".into(), |snr| format!("−{snr:.1} dB")),
            format!("{seconds:.2}"),
        ]);
    }
    Ok(table.render())
}

/// Compresses as asked; returns the signal-to-noise ratio in decibels, if anything was lost.
fn compress_to(
    checkpoint: &Checkpoint,
    output: &Path,
    encoding: &Encoding,
) -> Result<Option<f64>, Failure> {
    let options = WriteOptions::default();
    let mut writer = Writer::create(output, options)?;
    let progress = Progress::new("planning", Some(checkpoint.tensor_bytes()));
    let plan = checkpoint.plan(encoding, Some(&mut |bytes| progress.advance(bytes)))?;
    drop(progress);
    let progress = Progress::new("compressing", Some(checkpoint.tensor_bytes()));
    let encoded =
        checkpoint.write_planned(&mut writer, &plan, Some(&mut |bytes| progress.advance(bytes)))?;
    writer.finish()?;
    Ok(encoded.snr_db())
}

/// The table of speeds.
fn speeds(original_bytes: u64, tasks: &[(&str, f64)]) -> String {
    let threads = counted(rayon::current_num_threads() as u64, "thread");
    let columns = [("", Align::Left), ("seconds", Align::Right), ("of the original", Align::Right)];
    let mut table = Table::new(&columns);
    for &(task, seconds) in tasks {
        let speed = Bytes((original_bytes as f64 / seconds) as u64);
        table.row([task.into(), format!("{seconds:.2}"), format!("{speed}/s")]);
    }
    format!("{}with {threads}, to and from files\n", table.render())
}

/// Seconds a task takes.
fn timed(task: impl FnOnce() -> Result<(), Failure>) -> Result<f64, Failure> {
    let start = Instant::now();
    task()?;
    Ok(start.elapsed().as_secs_f64())
}

fn compress(checkpoint: &Checkpoint, output: &Path) -> Result<(), Failure> {
    let progress = Progress::new("compressing", Some(checkpoint.tensor_bytes()));
    let mut writer = Writer::create(output, WriteOptions::default())?;
    checkpoint.write_to(&mut writer, Some(&mut |bytes| progress.advance(bytes)))?;
    writer.finish()?;
    Ok(())
}

fn verify(file: &Path) -> Result<(), Failure> {
    let input = File::open(file).map_err(occ::Error::from)?;
    let report = occ::verify(input, VerifyOptions::default().deep(true))?;
    report.problems.into_iter().next().map_or(Ok(()), |problem| Err(problem.into()))
}

fn restore(checkpoint: &Checkpoint, input: &Path, output: &Path) -> Result<(), Failure> {
    let progress = Progress::new("decompressing", Some(checkpoint.tensor_bytes()));
    let target = Target::Path { path: output.to_owned(), overwrite: false };
    convert::decompress(input, target, Some(&mut |bytes| progress.advance(bytes)))?;
    Ok(())
}

/// Whether every file of the checkpoint came back as it was.
fn identical(checkpoint: &Checkpoint, back: &Path) -> std::io::Result<bool> {
    for path in checkpoint.paths() {
        let name = path.file_name().filter(|_| checkpoint.is_sharded());
        let restored = name.map_or(back.to_owned(), |name| back.join(name));
        if !same_bytes(path, &restored)? {
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
        ("bits", Align::Right),
    ]);
    let (mut decoded, mut coded) = (0, 0);
    for (name, group) in &groups {
        let count = if group.tensors > 1 { format!("×{}", group.tensors) } else { String::new() };
        let [weights, original, occ, ratio, bits] =
            numbers(group.weights, group.decoded, group.coded);
        let name = name.escape_debug().to_string();
        table.row([name, count, group.dtypes.clone(), weights, original, occ, ratio, bits]);
        decoded += group.decoded;
        coded += group.coded;
    }
    let none = String::new;
    let [_, rest, rest_coded, ..] = numbers(0, original_bytes - decoded, file.file_bytes() - coded);
    let name = "header and index".into();
    table.row([name, none(), none(), none(), rest, rest_coded, none(), none()]);
    table.rule();
    let [weights, original, occ, ratio, bits] = numbers(weights, original_bytes, file.file_bytes());
    table.row(["the whole file".into(), none(), none(), weights, original, occ, ratio, bits]);
    Ok(table.render())
}

/// Cells for weights, bytes before and after, their ratio, and bits a weight.
fn numbers(weights: u64, decoded: u64, coded: u64) -> [String; 5] {
    [
        grouped(weights),
        Bytes(decoded).to_string(),
        Bytes(coded).to_string(),
        format!("{:.3}", ratio(coded, decoded)),
        format!("{:.2}", bits_per_weight(coded, weights)),
    ]
}

/// A name with its numbers replaced by `*`.
fn group_name(name: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name.split('.').map(|part| if is_number(part) { "*" } else { part });
    parts.collect::<Vec<_>>().join(".")
}
