//! `occ demo`: compression and decompression of a model, with sizes, speeds and errors.

mod lossy;
mod model;

use crate::failure::Failure;
use crate::numbers::{Bytes, counted, grouped};
use crate::output::print;
use crate::progress::{Progress, watch_for_interrupts};
use crate::sizes;
use crate::table::{Align, Table};
use crate::timing::timed;
use clap::Args;
use occ::convert::{self, Checkpoint, Target};
use occ::{Plan, Reader, VerifyOptions, WriteOptions, Writer};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Compress and decompress a random model, or another one, and print sizes, speeds and errors.
///
/// Without MODEL a checkpoint of 20 million random weights and random inputs of its matrices are
/// used, always the same. All files are in a temporary folder.
#[derive(Args)]
pub struct DemoArgs {
    /// A .safetensors file or a checkpoint folder
    model: Option<PathBuf>,

    /// Statistics of the model's inputs and outputs, as for compress, in a safetensors file
    #[arg(long, value_name = "FILE", requires = "model")]
    statistics: Option<PathBuf>,
}

pub fn run(args: &DemoArgs) -> Result<(), Failure> {
    watch_for_interrupts();
    let folder = tempfile::tempdir().map_err(occ::Error::from)?;
    let (title, model, statistics) = match &args.model {
        Some(model) => (model.display().to_string(), model.clone(), args.statistics.clone()),
        None => {
            let path = folder.path().join("demo.safetensors");
            let inputs = folder.path().join("inputs.safetensors");
            model::write(&path).map_err(occ::Error::from)?;
            model::write_inputs(&inputs).map_err(occ::Error::from)?;
            ("A random checkpoint".to_owned(), path, Some(inputs))
        }
    };
    let checkpoint = Checkpoint::open(&model)?;
    crate::model::warn(checkpoint.inventory());
    let coded = folder.path().join("demo.occ");
    let back = folder.path().join("back");

    let (_, compressed) = timed(|| compress(&checkpoint, &coded, &Plan::default()))?;
    let ((), verified) = timed(|| verify(&coded))?;
    let ((), restored) = timed(|| restore(&checkpoint, &coded, &back))?;
    let identical = identical(&checkpoint, &back).map_err(occ::Error::from)?;

    let original = checkpoint.file_bytes();
    let weights = grouped(checkpoint.weights());
    let mut text = format!("{title}, {weights} weights. Lossless compression:\n\n");
    text.push_str(&sizes::size_table(&Reader::open(&coded)?, original)?.render());
    let tasks = [("compress", compressed), ("verify --deep", verified), ("decompress", restored)];
    text.push_str(&format!("\n{}\n", speeds(original, &tasks)));
    let bytes = grouped(original);
    if !identical {
        print(&format!(
            "{text}NOT IDENTICAL: the {bytes} restored bytes differ from the original"
        ))?;
        return Err(Failure::Reported);
    }
    text.push_str(&format!(
        "Identical: all {bytes} bytes were restored.\n\nLossy compression:\n\n"
    ));
    text.push_str(&lossy::table(&checkpoint, &model, statistics.as_deref(), folder.path())?);
    print(&text)
}

/// Compresses; returns the SNR in decibels, if a tensor is lossy.
fn compress(checkpoint: &Checkpoint, output: &Path, plan: &Plan) -> Result<Option<f64>, Failure> {
    let progress = Progress::bytes("compressing", Some(checkpoint.tensor_bytes()));
    let mut writer = Writer::create(output, WriteOptions::default())?;
    let encoded =
        checkpoint.write_planned(&mut writer, plan, Some(&mut |bytes| progress.advance(bytes)))?;
    writer.finish()?;
    Ok(encoded.snr_db())
}

/// Speeds, relative to the original size.
fn speeds(original_bytes: u64, tasks: &[(&str, f64)]) -> String {
    let threads = counted(rayon::current_num_threads() as u64, "thread");
    let columns = [("command", Align::Left), ("seconds", Align::Right), ("speed", Align::Right)];
    let mut table = Table::new(&columns);
    for &(task, seconds) in tasks {
        let speed = Bytes((original_bytes as f64 / seconds) as u64);
        table.row([task.into(), format!("{seconds:.2}"), format!("{speed}/s")]);
    }
    format!("{}{threads}, from file to file; bytes of the original per second\n", table.render())
}

fn verify(file: &Path) -> Result<(), Failure> {
    let input = File::open(file).map_err(occ::Error::from)?;
    let report = occ::verify(input, VerifyOptions::default().deep(true))?;
    report.problems.into_iter().next().map_or(Ok(()), |problem| Err(problem.into()))
}

fn restore(checkpoint: &Checkpoint, input: &Path, output: &Path) -> Result<(), Failure> {
    let progress = Progress::bytes("decompressing", Some(checkpoint.tensor_bytes()));
    let target = Target::Path { path: output.to_owned(), overwrite: false };
    convert::decompress(input, target, Some(&mut |bytes| progress.advance(bytes)))?;
    Ok(())
}

/// Whether every file of the checkpoint was restored exactly.
fn identical(checkpoint: &Checkpoint, back: &Path) -> std::io::Result<bool> {
    for (path, name) in checkpoint.paths().zip(checkpoint.file_names()) {
        let restored = if checkpoint.is_sharded() { back.join(name) } else { back.to_owned() };
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
