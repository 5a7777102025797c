//! Decompression of `.occ` files to safetensors.

use super::decompress_report::DecompressReport;
use super::dtype_conversion::DtypeConversion;
use super::progress::{Progress, Reporter};
use super::restored_files::RestoredFiles;
use super::safetensors_header;
use super::target::Target;
use super::unpacker::Unpacker;
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::io::{ReadAt, SequentialReader, permission_bits};
use crate::read::{Reader, StreamReader};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The name of streams in errors.
const INPUT: &str = "input";

/// Decompresses the `.occ` file `input` to the files that it was made from.
///
/// New files have the permissions of `input` that the umask leaves.
///
/// Other files of the folder, such as the configuration, are restored with the weights. If the target
/// is a stream, or a path that ends with `.safetensors` where no folder is, a single safetensors file
/// is written without them, and [`DecompressReport::left_out`] names them.
///
/// A file without a safetensors header, as [`Writer`](crate::Writer) makes them, becomes a
/// safetensors file of its tensors in file order. `progress` receives decoded tensor bytes.
///
/// ```no_run
/// use occ::convert::{Target, decompress};
/// let target = Target::Path { path: "model.safetensors".into(), overwrite: false };
/// let report = decompress("model.occ", target, None)?;
/// println!("{} bytes", report.output_bytes);
/// # Ok::<(), occ::Error>(())
/// ```
///
/// # Errors
/// Any format violation; `Io`, also if a file exists and must not be replaced; `InvalidArgument` if
/// the target of a sharded checkpoint is a stream; `Cancelled`.
pub fn decompress(
    input: impl AsRef<Path>,
    target: Target<'_>,
    progress: Option<&mut Progress<'_>>,
) -> Result<DecompressReport> {
    decompress_file(input.as_ref(), target, None, progress)
}

/// [`decompress`], with all tensors of floats converted to `dtype`.
///
/// These are tensors of F64, F32, BF16, F16, F8_E4M3 and F8_E5M2, scales of quantised weights
/// included, which are not multiplied in. Others keep their dtype. Values are rounded as by
/// [`Tensor::decode_as`](crate::Tensor::decode_as): a lossy tensor once, from its reconstruction in
/// F32. Headers describe the converted tensors; so does the total size in an index.
///
/// # Errors
/// Those of [`decompress`]; `InvalidArgument` if `dtype` is not one of these; `Unsupported` for a file
/// of more than 2^64 bytes.
pub fn decompress_as(
    input: impl AsRef<Path>,
    target: Target<'_>,
    dtype: Dtype,
    progress: Option<&mut Progress<'_>>,
) -> Result<DecompressReport> {
    let conversion = DtypeConversion::new(dtype)?;
    decompress_file(input.as_ref(), target, Some(conversion), progress)
}

/// [`decompress`] for any source with positioned reads, such as a remote file, which is read from front
/// to back after its index. With a `dtype`, tensors of floats are converted as by [`decompress_as`].
///
/// ```no_run
/// use occ::convert::{Target, decompress_source};
/// use std::sync::Arc;
/// # let source: Arc<dyn occ::ReadAt> = Arc::new(Vec::new());
/// // let source = Arc::new(occ::remote::RemoteFile::open("https://example.com/model.occ")?);
/// let target = Target::Path { path: "model.safetensors".into(), overwrite: false };
/// decompress_source(source, target, None, None)?;
/// # Ok::<(), occ::Error>(())
/// ```
///
/// # Errors
/// Those of [`decompress`] and [`decompress_as`], without the name of the input.
pub fn decompress_source(
    source: Arc<dyn ReadAt>,
    target: Target<'_>,
    dtype: Option<Dtype>,
    progress: Option<&mut Progress<'_>>,
) -> Result<DecompressReport> {
    let conversion = dtype.map(DtypeConversion::new).transpose()?;
    let unpacker = Unpacker::new(target, None, conversion, Reporter(progress));
    let reader = Reader::from_source(Arc::clone(&source))?;
    unpack(unpacker, reader, SequentialReader::new(source)?)
}

fn decompress_file(
    path: &Path,
    target: Target<'_>,
    conversion: Option<DtypeConversion>,
    progress: Option<&mut Progress<'_>>,
) -> Result<DecompressReport> {
    let decompress = || {
        let (reader, file) = (Reader::open(path)?, File::open(path)?);
        let mode = permission_bits(&file)?;
        unpack(Unpacker::new(target, mode, conversion, Reporter(progress)), reader, file)
    };
    decompress().map_err(|error: Error| error.in_file(path))
}

/// Writes the files of a file that is read by its index and from front to back.
fn unpack(
    mut unpacker: Unpacker<'_, '_, '_>,
    reader: Reader<'_>,
    stream: impl Read,
) -> Result<DecompressReport> {
    let (header, contents) = (missing_header(&reader)?, RestoredFiles::of(&reader)?);
    drop(reader);
    unpacker.without_files &= contents == RestoredFiles::OneAndOthers;
    if contents != RestoredFiles::One && !unpacker.without_files {
        unpacker.open_folder()?;
    }
    unpacker.run(StreamReader::new(stream)?, header)
}

/// Decompresses an `.occ` stream in one pass, as [`decompress`] does.
///
/// # Errors
/// Those of [`decompress`]; `Unsupported` if the stream has no safetensors header, because a header
/// can only be written when all tensors are known.
pub fn decompress_stream(
    input: impl Read,
    target: Target<'_>,
    progress: Option<&mut Progress<'_>>,
) -> Result<DecompressReport> {
    unpack_stream(input, target, None, progress)
}

/// [`decompress_stream`], with conversion as by [`decompress_as`].
///
/// # Errors
/// Those of both.
pub fn decompress_stream_as(
    input: impl Read,
    target: Target<'_>,
    dtype: Dtype,
    progress: Option<&mut Progress<'_>>,
) -> Result<DecompressReport> {
    unpack_stream(input, target, Some(DtypeConversion::new(dtype)?), progress)
}

fn unpack_stream(
    input: impl Read,
    target: Target<'_>,
    conversion: Option<DtypeConversion>,
    progress: Option<&mut Progress<'_>>,
) -> Result<DecompressReport> {
    let stream = StreamReader::new(input).map_err(|error| error.in_file(INPUT))?;
    let unpacker = Unpacker::new(target, None, conversion, Reporter(progress));
    unpacker.run(stream, None).map_err(|error| error.in_file(INPUT))
}

/// A header for a file without one; `None` for other files.
fn missing_header(reader: &Reader<'_>) -> Result<Option<Vec<u8>>> {
    if reader.attachments().next().is_some() {
        return Ok(None);
    }
    let tensors = reader.tensors().collect::<Result<Vec<_>>>()?;
    let entries = tensors.iter().map(|t| (t.name(), t.dtype(), t.shape(), t.decoded_bytes()));
    safetensors_header::write_header(entries).map(Some)
}
