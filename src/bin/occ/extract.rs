//! `occ extract`.

use crate::dtypes;
use crate::failure::{Failure, in_file, usage};
use crate::input;
use crate::names::listed;
use crate::paths::{check_distinct, is_dash};
use clap::Args;
use occ::{Dtype, Reader};
use serde_json::json;
use std::io::{self, Write, stdout};
use std::path::{Path, PathBuf};

/// Write one tensor or attachment of an .occ file to a file.
///
/// The extension of OUT selects the format: .safetensors, .npy (NumPy), or else the bytes of the
/// elements in row-major order, little-endian.
#[derive(Args)]
pub struct ExtractArgs {
    /// An .occ file or the URL of one
    file: PathBuf,

    /// The name of a tensor, or else of an attachment, as `inspect` lists them
    #[arg(required_unless_present = "attachment")]
    name: Option<String>,

    /// Write the attachment of this name, such as config.json or the header of a safetensors file
    #[arg(long, value_name = "NAME", conflicts_with_all = ["name", "dtype"])]
    attachment: Option<String>,

    /// The file to write, or - for the bytes on standard output
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,

    /// Convert a tensor of floats to F32, BF16, F16, F64, F8_E4M3 or F8_E5M2; a lossy one from its
    /// reconstruction before it was rounded to its own dtype. Scales are not multiplied in
    #[arg(long, value_name = "DTYPE", value_parser = dtypes::parse)]
    dtype: Option<Dtype>,

    /// Replace an existing file
    #[arg(short, long)]
    force: bool,
}

/// A decoded tensor.
struct Decoded<'t> {
    name: &'t str,
    dtype: Dtype,
    shape: &'t [usize],
    bytes: Vec<u8>,
}

pub fn run(args: &ExtractArgs) -> Result<(), Failure> {
    if is_dash(&args.file) {
        return usage("extract reads the index at the end of a file: it cannot read a pipe");
    }
    check_distinct([args.file.as_path()], &args.output)?;
    let bytes = extracted(args, &input::open(&args.file)?)?;
    if is_dash(&args.output) {
        let write = || stdout().write_all(&bytes).and_then(|()| stdout().flush());
        return Ok(write().map_err(|error| in_file(Path::new("standard output"), error))?);
    }
    if input::is_url(&args.file) {
        return Ok(occ::write_file(&args.output, &bytes, args.force)?);
    }
    Ok(occ::write_file_like(&args.output, &bytes, args.force, &args.file)?)
}

/// The bytes of the output.
fn extracted(args: &ExtractArgs, file: &Reader<'_>) -> Result<Vec<u8>, Failure> {
    let name = args.name.as_deref().or(args.attachment.as_deref()).unwrap_or_default();
    let tensor = if args.attachment.is_none() { file.get(name)? } else { None };
    let Some(tensor) = tensor else {
        return match (file.attachment(name)?, args.dtype) {
            (Some(attachment), None) => Ok(attachment.decode()?),
            (Some(_), Some(_)) => usage("an attachment has no dtype"),
            (None, _) if args.attachment.is_some() => {
                no_attachment(file, input::shown(&args.file), name)
            }
            // The error with similar names.
            (None, _) => Err(file.tensor(name).map_or_else(Failure::from, |_| Failure::Reported)),
        };
    };
    let dtype = args.dtype.unwrap_or(tensor.dtype());
    let (bytes, overflowed) = tensor.decode_counting(dtype)?;
    dtypes::warn_of_overflow(overflowed, dtype);
    let decoded = Decoded { name: tensor.name(), dtype, shape: tensor.shape(), bytes };
    match args.output.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => decoded.into_safetensors(),
        Some("npy") => decoded.into_npy(),
        _ => Ok(decoded.bytes),
    }
}

/// The error for a name that no attachment has, with those that there are.
fn no_attachment(file: &Reader<'_>, path: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let attachments = file.attachments().collect::<occ::Result<Vec<_>>>()?;
    let names: Vec<_> = attachments.iter().map(|one| one.name().escape_debug()).collect();
    let there_are = match names.is_empty() {
        true => "it has none".to_owned(),
        false => format!("it has {}", listed(&names)),
    };
    let what = format!("no attachment `{}`: {there_are}", name.escape_debug());
    let not_found = io::Error::new(io::ErrorKind::NotFound, what);
    Err(in_file(path, not_found).into())
}

impl Decoded<'_> {
    fn into_safetensors(self) -> Result<Vec<u8>, Failure> {
        let (dtype, end) = (self.dtype.name(), self.bytes.len());
        let entry = json!({"dtype": dtype, "shape": self.shape, "data_offsets": [0, end]});
        let mut header = json!({ self.name: entry }).to_string();
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        let length = (header.len() as u64).to_le_bytes();
        Ok([&length[..], header.as_bytes(), &self.bytes].concat())
    }

    /// Version 1.0 of the format, in which data start at a multiple of 64 bytes.
    fn into_npy(self) -> Result<Vec<u8>, Failure> {
        let Some(descr) = numpy_name(self.dtype) else {
            let dtype = self.dtype;
            return usage(&format!("NumPy has no {dtype}; --dtype F32 converts floats"));
        };
        let sizes: String = self.shape.iter().map(|size| format!("{size},")).collect();
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({sizes})}}");
        let start = 10; // magic, version, and the length of the header
        let padded = (start + header.len() + 1).next_multiple_of(64);
        header.push_str(&" ".repeat(padded - start - header.len() - 1));
        header.push('\n');
        let Ok(length) = u16::try_from(header.len()) else {
            return usage("too many dimensions for NumPy");
        };
        let magic = b"\x93NUMPY\x01\x00";
        Ok([&magic[..], &length.to_le_bytes(), header.as_bytes(), &self.bytes].concat())
    }
}

/// The type in NumPy, little-endian.
fn numpy_name(dtype: Dtype) -> Option<&'static str> {
    Some(match dtype {
        Dtype::Bool => "|b1",
        Dtype::U8 => "|u1",
        Dtype::I8 => "|i1",
        Dtype::U16 => "<u2",
        Dtype::I16 => "<i2",
        Dtype::F16 => "<f2",
        Dtype::U32 => "<u4",
        Dtype::I32 => "<i4",
        Dtype::F32 => "<f4",
        Dtype::U64 => "<u8",
        Dtype::I64 => "<i8",
        Dtype::F64 => "<f8",
        Dtype::C64 => "<c8",
        _ => return None,
    })
}
