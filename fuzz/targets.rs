//! The checks of the fuzz targets, as functions that tests run on the seeds.
#![allow(dead_code)] // each binary uses one of the five targets

pub mod input;

use input::{ArbitraryInput, Bytes, Tensor};
use occ::{
    Attachment, AttachmentKind, Calibration, Error, Limits, Reader, StreamReader, VerifyOptions,
    VerifyReport,
};
use rayon::ThreadPoolBuilder;
use std::cell::{Cell, RefCell};
use std::io::{self, Read};

const LIMITS: Limits = Limits::tight();

/// Parsing: header, index, frame headers and what they expand to. Decodes no chunk.
pub fn open_arbitrary(data: &[u8]) {
    work_on_this_thread();
    let Ok(reader) = Reader::new_with(data, LIMITS) else { return };
    check_file(&reader, data);
    for tensor in reader.tensors().flatten() {
        check_description(&tensor);
        check_coding(&tensor);
        if let Ok(Some(found)) = reader.get(tensor.name()) {
            assert_eq!(found.name(), tensor.name());
        }
    }
    assert!(reader.attachments().flatten().all(|attachment| is_known(attachment.kind())));
}

/// Decoding: each tensor of a file as a whole, in part and converted, and each attachment.
pub fn decode_corrupt(data: &[u8]) {
    work_on_this_thread();
    let Ok(reader) = Reader::new_with(data, LIMITS) else { return };
    OUT.with_borrow_mut(|out| {
        for tensor in reader.tensors().flatten() {
            decode_tensor(&tensor, out);
        }
    });
    for attachment in reader.attachments().flatten() {
        check_attachment(&attachment, false);
    }
}

/// All ways of reading a file agree: streams in pieces of any size, `verify`, and random access.
pub fn stream_arbitrary(data: &[u8]) {
    work_on_this_thread();
    check_reader(data);
    check_pieces(data);
    check_agreement(data);
}

/// Writing and reading of tensors, then of the file with a change.
pub fn roundtrip(data: &[u8]) {
    work_on_this_thread();
    let mut bytes = Bytes::new(data);
    let mut input = ArbitraryInput::read(&mut bytes);
    let file = input.write();
    let decoded_bytes: usize = input.tensors.iter().map(|tensor| tensor.bytes.len()).sum();
    let report = verify(file.as_slice());
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!((report.tensors, report.attachments), (input.tensors.len() as u64, 0));
    assert_eq!(report.decoded_bytes, decoded_bytes as u64);
    assert_eq!(report.file_bytes, file.len() as u64);
    check_reader(&file);
    check_pieces(&file);
    check_agreement(&file);
    let written = (input.tensors, false);
    assert!(read_as_stream(file.as_slice()) == written, "different tensors were read");

    let mut changed = file.clone();
    damage(&mut changed, &mut bytes);
    let detected = !verify(changed.as_slice()).problems.is_empty();
    assert_eq!(detected, changed != file, "verify detects every change");
    check_identity(&changed, &written.0);
}

/// Importance matrices: arbitrary bytes, and the same as a file with one entry of the older kind.
pub fn imatrix(data: &[u8]) {
    let name = b"blk.0.attn_q.weight";
    let header = [1, name.len() as u32].map(u32::to_le_bytes);
    for file in [data.to_vec(), [header.as_flattened(), name, data].concat()] {
        let Ok(calibration) = Calibration::from_imatrix(file) else { continue };
        let entries = calibration.unused([]);
        assert!(!calibration.is_empty() && !entries.is_empty());
        assert!(calibration.unused(entries.iter().copied()).is_empty(), "an entry serves its name");
    }
}

/// Changes one byte or truncates the file. CRCs detect both.
fn damage(file: &mut Vec<u8>, bytes: &mut Bytes<'_>) {
    let (kind, at) = (bytes.byte() % 3, bytes.below(file.len()));
    match (kind, file.get_mut(at)) {
        (0, Some(byte)) => *byte = bytes.byte(),
        (1, Some(byte)) => *byte ^= 1 << (bytes.byte() % 8),
        _ => file.truncate(at),
    }
}

thread_local! {
    /// Decoded tensors.
    static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Whether the work of this thread stays on it.
    static IS_ALONE: Cell<bool> = const { Cell::new(false) };
}

/// Keeps the work that follows on this thread: waking another one takes longer than a small input.
fn work_on_this_thread() {
    if !IS_ALONE.replace(true) {
        let pool = ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        // The thread belongs to its pool until it ends.
        std::mem::forget(pool.expect("a pool of this thread"));
    }
}

/// Decodes a tensor to `out`, which is kept for the next one.
fn decode_tensor(tensor: &occ::Tensor<'_>, out: &mut Vec<u8>) {
    if tensor.decoded_bytes() > LIMITS.tensor_bytes {
        assert!(matches!(tensor.decode(), Err(Error::LimitExceeded { .. })));
        return;
    }
    out.clear();
    out.resize(tensor.decoded_bytes() as usize, 0xa5);
    if tensor.decode_into(out).is_ok() {
        let rows = tensor.shape().first().copied().unwrap_or(0);
        check_rows(tensor, out, rows / 3..rows - rows / 3);
        check_converted(tensor, out);
    }
}

/// The tensors before the first error, and whether there was an error.
type Outcome = (Vec<Tensor>, bool);

fn collect(tensors: impl Iterator<Item = occ::Result<Tensor>>) -> Outcome {
    let mut failed = false;
    let tensors = tensors.map_while(|tensor| tensor.inspect_err(|_| failed = true).ok()).collect();
    (tensors, failed)
}

fn read_by_index(file: &[u8]) -> Outcome {
    match Reader::new_with(file, LIMITS) {
        Ok(reader) => collect(reader.tensors().map(|tensor| decode(&tensor?))),
        Err(_) => (Vec::new(), true),
    }
}

fn decode(tensor: &occ::Tensor<'_>) -> occ::Result<Tensor> {
    Ok(Tensor {
        name: tensor.name().to_owned(),
        dtype: tensor.dtype(),
        shape: tensor.shape().to_vec(),
        bytes: tensor.decode()?,
    })
}

fn read_as_stream(input: impl Read) -> Outcome {
    match StreamReader::new_with(input, LIMITS) {
        Ok(stream) => collect(stream.tensors().map(|tensor| {
            let occ::DecodedTensor { name, dtype, shape, bytes, .. } = tensor?;
            Ok(Tensor { name, dtype, shape, bytes })
        })),
        Err(_) => (Vec::new(), true),
    }
}

fn verify(input: impl Read) -> VerifyReport {
    occ::verify(input, VerifyOptions::default().deep(true).limits(LIMITS))
        .expect("reading from memory does not fail")
}

/// Both readers return the same tensors from a valid file.
fn check_agreement(file: &[u8]) {
    if !verify(file).problems.is_empty() {
        return;
    }
    let outcome = read_by_index(file);
    assert!(outcome == read_as_stream(file), "the readers disagree");
    let reader = Reader::new_with(file, LIMITS).expect("a valid file");
    for tensor in &outcome.0 {
        let found = reader.tensor(&tensor.name).and_then(|found| decode(&found));
        assert!(found.expect("a valid tensor") == *tensor, "a name yields another tensor");
    }
    for attachment in reader.attachments() {
        check_attachment(&attachment.expect("a valid attachment"), true);
    }
}

/// Everything that can be decoded equals what was written.
fn check_identity(file: &[u8], written: &[Tensor]) {
    for tensor in read_as_stream(file).0 {
        assert!(written.contains(&tensor), "the stream yields a different tensor: {}", tensor.name);
    }
    let Ok(reader) = Reader::new_with(file, LIMITS) else { return };
    let by_name = written.iter().map(|tensor| reader.tensor(&tensor.name));
    for tensor in reader.tensors().chain(by_name) {
        if let Ok(tensor) = tensor.and_then(|tensor| decode(&tensor)) {
            assert!(
                written.contains(&tensor),
                "the reader yields a different tensor: {}",
                tensor.name
            );
        }
    }
}

/// The result of streaming does not depend on the sizes of reads.
fn check_pieces(file: &[u8]) {
    assert!(read_as_stream(file) == read_as_stream(Pieces::new(file)), "pieces change the tensors");
    let (whole, pieces) = (verify(file), verify(Pieces::new(file)));
    assert_eq!(format!("{whole:?}"), format!("{pieces:?}"), "pieces change the report");
}

/// A reader that returns pieces with lengths derived from the file's bytes, with some interruptions.
struct Pieces<'a> {
    rest: &'a [u8],
    interrupted: bool,
}

impl<'a> Pieces<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest, interrupted: false }
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let next = self.rest.first().copied().unwrap_or(0);
        self.interrupted = next % 4 == 0 && !self.interrupted;
        if self.interrupted {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = out.len().min(1 + usize::from(next % 32));
        self.rest.read(&mut out[..length])
    }
}

/// All values that a reader returns are consistent.
fn check_reader(file: &[u8]) {
    let Ok(reader) = Reader::new_with(file, LIMITS) else { return };
    check_file(&reader, file);
    for tensor in reader.tensors().flatten() {
        check_tensor(&tensor);
    }
    for attachment in reader.attachments().flatten() {
        check_attachment(&attachment, false);
    }
}

fn check_file(reader: &Reader<'_>, file: &[u8]) {
    assert_eq!(reader.file_bytes(), file.len() as u64);
    assert!(reader.index_bytes() <= reader.file_bytes());
    assert!(reader.alignment().is_power_of_two());
}

fn is_known(kind: AttachmentKind) -> bool {
    matches!(kind, AttachmentKind::SafetensorsHeader | AttachmentKind::File)
}

fn check_attachment(attachment: &Attachment<'_>, valid: bool) {
    assert!(is_known(attachment.kind()));
    match attachment.decode() {
        Ok(bytes) => assert_eq!(bytes.len() as u64, attachment.decoded_bytes()),
        Err(Error::LimitExceeded { .. }) => {}
        Err(error) => assert!(!valid, "{error}"),
    }
}

fn check_description(tensor: &occ::Tensor<'_>) {
    assert_eq!(tensor.dtype().byte_len(tensor.elements()), Some(tensor.decoded_bytes()));
    let elements = match tensor.shape().contains(&0) {
        true => 0, // the product of the others may overflow
        false => tensor.shape().iter().product(),
    };
    assert_eq!(elements as u64, tensor.elements());
    assert_eq!(tensor.chunks() == 0, tensor.elements() == 0);
}

fn check_tensor(tensor: &occ::Tensor<'_>) {
    check_description(tensor);
    let decoded = tensor.decode();
    if tensor.decoded_bytes() > LIMITS.tensor_bytes {
        assert!(matches!(decoded, Err(Error::LimitExceeded { .. })));
        return;
    }
    check_decode_into(tensor, decoded.as_deref().ok());
    check_coding(tensor);
    let Ok(decoded) = decoded else { return };
    check_converted(tensor, &decoded);
    if let Some(raw) = tensor.as_raw() {
        assert!(raw == decoded, "the raw bytes differ");
        assert!(!raw.is_empty() || tensor.elements() == 0);
    }
    let rows = tensor.shape().first().copied().unwrap_or(0);
    for rows in [0..rows, rows / 3..rows - rows / 3, rows / 2..rows / 2] {
        check_rows(tensor, &decoded, rows);
    }
}

/// The description of the coding is plausible.
fn check_coding(tensor: &occ::Tensor<'_>) {
    if let Ok(Some(coding)) = tensor.coding() {
        assert!(coding.signal >= 0.0 && coding.noise >= 0.0 && coding.step > 0.0);
        assert!(coding.states.is_power_of_two() && coding.rank <= 128);
    }
}

/// Conversion preserves the number of elements, and F32.
fn check_converted(tensor: &occ::Tensor<'_>, decoded: &[u8]) {
    if let Ok(numbers) = tensor.decode_as(occ::Dtype::F32) {
        assert_eq!(numbers.len() as u64, 4 * tensor.elements());
        assert!(tensor.dtype() != occ::Dtype::F32 || numbers == decoded);
    }
}

/// Decoding overwrites the whole buffer, and requires one of the right length.
fn check_decode_into(tensor: &occ::Tensor<'_>, decoded: Option<&[u8]>) {
    let length = tensor.decoded_bytes() as usize;
    for before in [0x00, 0xff] {
        let mut out = vec![before; length];
        let into = tensor.decode_into(&mut out).ok().map(|()| out.as_slice());
        assert!(into == decoded, "decode and decode_into differ");
    }
    assert!(tensor.decode_into(&mut vec![0; length + 1]).is_err());
}

fn check_rows(tensor: &occ::Tensor<'_>, decoded: &[u8], rows: std::ops::Range<usize>) {
    let row = tensor.elements() / tensor.shape().first().map_or(1, |&rows| rows.max(1) as u64);
    let offset = |rows: usize| tensor.dtype().byte_len(rows as u64 * row);
    let expected = match (offset(rows.start), offset(rows.end)) {
        (Some(start), Some(end)) if !tensor.shape().is_empty() => {
            Some(&decoded[start as usize..end as usize])
        }
        _ => None,
    };
    let decoded_rows = tensor.decode_rows(rows.clone());
    assert!(decoded_rows.ok().as_deref() == expected, "rows {rows:?} differ");
    if let Some(expected) = expected {
        let mut out = vec![0xff; expected.len()];
        tensor.decode_rows_into(rows, &mut out).expect("the same rows decode again");
        assert!(out == expected, "decode_rows and decode_rows_into differ");
    }
}
