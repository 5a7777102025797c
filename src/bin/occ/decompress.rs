//! `occ decompress`.

use crate::dtypes::{ModelDtype, warn_of_overflow};
use crate::failure::{Failure, usage};
use crate::hub::outside_of_cache;
use crate::input;
use crate::model::decoded_bytes;
use crate::names::listed;
use crate::numbers::{Bytes, counted, shape};
use crate::outcome::{ConversionArgs, Outcome};
use crate::paths::{
    check_distinct, create_folder_of, file_name, is_dash, occ_files_below, output_path, piped_input,
};
use crate::progress::{Progress, watch_for_interrupts};
use crate::removal::Originals;
use clap::Args;
use occ::convert::{self, Target};
use occ::{Dtype, Reader};
use std::collections::VecDeque;
use std::io::{BufWriter, stdout};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Restore safetensors files and checkpoint folders from .occ files.
#[derive(Args)]
pub struct DecompressArgs {
    /// .occ files or URLs of such files, or - for standard input
    #[arg(value_name = "IN", required = true)]
    inputs: Vec<PathBuf>,

    /// The file to write, - for standard output, or a folder, in which files have their original
    /// names. A sharded checkpoint, and one with other files such as config.json, is restored to a
    /// folder; if OUT is - or ends with .safetensors, a single safetensors file is written without
    /// the other files
    /// [default: IN with extension .safetensors, or without extension for a folder; outside of the cache
    /// of the Hugging Face hub]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,

    /// Restore all .occ files below the folder IN, to the same relative paths below the folder OUT
    #[arg(short, long, requires = "output")]
    recursive: bool,

    /// Convert all tensors of floats (F64, F32, BF16, F16, F8_E4M3, F8_E5M2) to F32, BF16 or F16.
    /// Lossy tensors are rounded once. Scales of quantised weights are converted, but not multiplied
    /// in; tensors of other dtypes stay as they are. Values that are too large become infinite
    #[arg(long, value_name = "DTYPE", ignore_case = true)]
    dtype: Option<ModelDtype>,

    #[command(flatten)]
    conversion: ConversionArgs,
}

pub fn run(args: &DecompressArgs) -> Result<(), Failure> {
    watch_for_interrupts();
    args.conversion.check(&args.inputs, args.output.as_ref())?;
    let mut originals = Originals::default();
    if args.recursive {
        decompress_tree(args, &mut originals)?;
    } else if let [input] = &args.inputs[..] {
        let output = output_path(args.output.as_ref(), input, default_output)?;
        decompress(args, input, &output, &mut originals)?;
    } else {
        decompress_several(args, &mut originals)?;
    }
    originals.remove()
}

fn decompress_several(args: &DecompressArgs, originals: &mut Originals) -> Result<(), Failure> {
    let Some(folder) = args.output.as_ref().filter(|output| !is_dash(output)) else {
        return usage("several inputs need -o FOLDER");
    };
    if args.inputs.iter().any(|input| is_dash(input)) {
        return usage("standard input must be the only input");
    }
    for input in &args.inputs {
        let output = folder.join(file_name(&default_output(input)?));
        create_folder_of(&output)?;
        decompress(args, input, &output, originals)?;
    }
    Ok(())
}

/// Restores each .occ file below the input folder. Shards and other files go into the folder of
/// their file.
fn decompress_tree(args: &DecompressArgs, originals: &mut Originals) -> Result<(), Failure> {
    let ([root], Some(folder)) = (&args.inputs[..], &args.output) else {
        return usage("-r needs one folder");
    };
    if !root.is_dir() || is_dash(folder) {
        return usage("-r restores a folder to a folder: occ decompress -r IN -o OUT");
    }
    let files = occ_files_below(root)?;
    if files.is_empty() {
        return usage(&format!("no .occ files in {} and below", root.display()));
    }
    for relative in files {
        let input = root.join(&relative);
        let output = folder.join(&relative);
        create_folder_of(&output)?;
        let output = match convert::is_sharded(&Reader::open(&input)?)? {
            true => output.parent().unwrap_or(folder).to_owned(),
            false => output.with_extension("safetensors"),
        };
        decompress(args, &input, &output, originals)?;
    }
    Ok(())
}

/// With `--rm`, compares the output and adds the input to `originals`.
fn decompress(
    args: &DecompressArgs,
    input: &Path,
    output: &Path,
    originals: &mut Originals,
) -> Result<(), Failure> {
    let start = Instant::now();
    let dtype = args.dtype.map(Dtype::from);
    check_distinct([input], output)?;
    if args.conversion.remove {
        if dtype.is_some() {
            return usage("--rm with --dtype: the input cannot be made of converted tensors again");
        }
        if input::is_url(input) {
            return usage("--rm needs files, not URLs");
        }
        originals.add([input])?;
    }
    if args.conversion.verbose && is_dash(input) {
        return usage(
            "--verbose lists tensors from the index of a file: standard input has none yet",
        );
    }
    let mut stream = BufWriter::with_capacity(1 << 16, stdout());
    let target = if is_dash(output) {
        Target::Stream(&mut stream)
    } else {
        Target::Path { path: output.to_owned(), overwrite: args.conversion.force }
    };
    let done = if is_dash(input) {
        let progress = Progress::bytes("decompressing", None);
        let (input, mut advance) = (piped_input()?, |n| progress.advance(n));
        match dtype {
            None => convert::decompress_stream(input, target, Some(&mut advance))?,
            Some(dtype) => convert::decompress_stream_as(input, target, dtype, Some(&mut advance))?,
        }
    } else {
        let reader = input::open(input)?;
        let progress = Progress::bytes("decompressing", Some(decoded_bytes(&reader)?));
        let mut lines = TensorLines::new(&reader, args.conversion.verbose)?;
        drop(reader);
        let mut advance = |bytes| {
            lines.advance(bytes, &progress);
            progress.advance(bytes)
        };
        let done = input::decompress(input, target, dtype, &mut advance)?;
        lines.advance(0, &progress);
        done
    };
    if let Some(dtype) = dtype {
        warn_of_overflow(done.overflowed, dtype);
        if done.unconverted > 0 {
            let tensors = counted(done.unconverted, "tensor");
            eprintln!("warning: not converted, of another dtype of floats: {tensors}");
        }
    }
    if !done.left_out.is_empty() {
        let names: Vec<_> = done.left_out.iter().map(|name| name.escape_debug()).collect();
        let names = listed(&names);
        if args.conversion.remove {
            return usage(&format!(
                "--rm keeps the input, of which files are not written: {names}"
            ));
        }
        eprintln!("warning: not written beside a single safetensors file: {names}");
    }
    if args.conversion.remove {
        let progress = Progress::bytes("comparing", Some(decoded_bytes(&Reader::open(input)?)?));
        convert::check_restored(input, output, Some(&mut |bytes| progress.advance(bytes)))?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let outcome =
        Outcome::decompressed([done.input_bytes, done.output_bytes], done.weights, seconds);
    outcome.print(&args.conversion, output)
}

/// The lines of tensors that `--verbose` prints when they are restored.
struct TensorLines {
    /// With the bytes of all tensors up to this one.
    rest: VecDeque<(u64, String)>,
    restored: u64,
}

impl TensorLines {
    /// The lines for all tensors of a file if they are `wanted`.
    fn new(file: &Reader<'_>, wanted: bool) -> occ::Result<Self> {
        let (mut rest, mut end) = (VecDeque::new(), 0u64);
        for tensor in file.tensors().filter(|_| wanted) {
            let tensor = tensor?;
            end = end.saturating_add(tensor.decoded_bytes());
            let (name, shape) = (tensor.name().escape_debug(), shape(tensor.shape()));
            let (dtype, bytes) = (tensor.dtype(), Bytes(tensor.decoded_bytes()));
            rest.push_back((end, format!("{name}: {dtype} {shape}, {bytes}")));
        }
        Ok(Self { rest, restored: 0 })
    }

    /// Prints the tensors that are complete with these further bytes.
    fn advance(&mut self, bytes: u64, progress: &Progress) {
        self.restored += bytes;
        while self.rest.front().is_some_and(|(end, _)| *end <= self.restored) {
            if let Some((_, line)) = self.rest.pop_front() {
                progress.print(&line);
            }
        }
    }
}

/// `model.safetensors` for `model.occ`, or a folder `model` for a checkpoint of several files; for a URL
/// in the current folder.
fn default_output(input: &Path) -> Result<PathBuf, Failure> {
    let is_folder = convert::is_sharded(&input::open(input)?)?;
    let name = match input::is_url(input) {
        true => input::file_name(input)?,
        false => input.to_owned(),
    };
    if !is_folder {
        return outside_of_cache(name.with_extension("safetensors"), input);
    }
    if name.extension().is_none() {
        return usage("an input without extension needs -o OUT");
    }
    outside_of_cache(name.with_extension(""), input)
}
