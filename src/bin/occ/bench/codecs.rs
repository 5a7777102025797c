//! The codecs of this crate.

use super::data::{BenchData, BenchTensor, Selection};
use super::task::{BenchTask, Buffers};
use occ::convert::Checkpoint;
use occ::{Coordinates, Encoding, Plan, Reader, Result, TensorSource, WriteOptions, Writer};
use rayon::ThreadPool;
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use std::io::Read;

/// Bits per weight of lossy tasks.
const BITS: u32 = 3;

/// Bits per weight at which decoding is measured, too.
const OTHER_BITS: [u32; 2] = [2, 4];

/// The whole command codes matrices of so many weights: small ones may not fit the budget of a file.
const COMMAND_WEIGHTS: u64 = 1 << 16;

/// Names, coordinates and efforts of lossy tasks.
const LOSSY: [(&str, Coordinates, u8); 3] = [
    ("hadamard 8 states", Coordinates::Hadamard, 5),
    ("identity 8 states", Coordinates::Identity, 5),
    ("hadamard 256 states", Coordinates::Hadamard, 9),
];

pub fn tasks<'d>(data: &'d BenchData, pool: &'d ThreadPool) -> Vec<BenchTask<'d>> {
    let mut tasks = lossless(&data.all(), pool);
    let matrices = data.matrices();
    if matrices.byte_len() > 0 {
        tasks.extend(command(&matrices.of_at_least(COMMAND_WEIGHTS), pool));
        for (name, coordinates, effort) in LOSSY {
            tasks.extend(lossy(name, &encoding(BITS, coordinates, effort), &matrices, pool));
        }
        let (name, coordinates, effort) = LOSSY[0];
        for bits in OTHER_BITS {
            let (encoding, original) = (encoding(bits, coordinates, effort), matrices.clone());
            let decode = decoding(&format!("{bits} bits {name}"), &matrices, pool);
            tasks.push(decode.prepared_by(move |buffers| {
                buffers.plan = plan(&original, &encoding)?;
                encode(&original, &buffers.plan, &mut buffers.coded)
            }));
        }
    }
    tasks
}

/// A budget per tensor, because tensors that are too small for it do not fail then.
fn encoding(bits: u32, coordinates: Coordinates, effort: u8) -> Encoding {
    let encoding = Encoding::lossless().bits_for("*", bits.into());
    encoding.coordinates(coordinates).effort(effort)
}

fn lossless<'d>(original: &Selection<'d>, pool: &'d ThreadPool) -> Vec<BenchTask<'d>> {
    let (encoded, decoded) = (original.clone(), original.clone());
    vec![
        BenchTask::new("lossless encode", pool, original, move |buffers| {
            encode(&encoded, &Plan::default(), &mut buffers.coded)
        }),
        BenchTask::new("lossless decode", pool, original, move |buffers| {
            decode(&buffers.coded, &decoded, &mut buffers.decoded)
        }),
    ]
}

/// The whole command `compress`: planning with all coordinates, and encoding. `None` without matrices.
fn command<'d>(original: &Selection<'d>, pool: &'d ThreadPool) -> Option<BenchTask<'d>> {
    let file = original.clone();
    let task = BenchTask::new(format!("compress --bits {BITS}"), pool, original, move |buffers| {
        let Some(checkpoint) = &buffers.checkpoint else { return Ok(()) };
        let plan = checkpoint.plan(&Encoding::bits(BITS.into()), None)?;
        buffers.coded.clear();
        let mut writer = Writer::new(&mut buffers.coded, WriteOptions::default())?;
        checkpoint.write_planned(&mut writer, &plan, None)?;
        writer.finish()?;
        Ok(())
    });
    let task = task.prepared_by(move |buffers| {
        // An unnamed file that is in the page cache.
        let checkpoint = Checkpoint::spool(safetensors(&file), std::env::temp_dir(), None)?;
        buffers.checkpoint = Some(checkpoint);
        Ok(())
    });
    (original.byte_len() > 0).then_some(task)
}

/// A safetensors file of the tensors.
fn safetensors<'d>(original: &Selection<'d>) -> impl Read + use<'d> {
    let (mut header, mut end) = (Map::new(), 0);
    for (tensor, bytes) in original.tensors() {
        let (dtype, shape, start) = (tensor.dtype.name(), &tensor.shape, end);
        end += bytes.len();
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] });
        header.insert(tensor.name.clone(), entry);
    }
    let header = Value::from(header).to_string().into_bytes();
    let head = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
    let start: Box<dyn Read + 'd> = Box::new(std::io::Cursor::new(head));
    original.tensors().fold(start, |read, (_, bytes)| Box::new(read.chain(bytes)))
}

fn lossy<'d>(
    name: &str,
    encoding: &Encoding,
    original: &Selection<'d>,
    pool: &'d ThreadPool,
) -> Vec<BenchTask<'d>> {
    let [planned, encoded] = [(); 2].map(|()| original.clone());
    let (encoding, name) = (encoding.clone(), format!("{BITS} bits {name}"));
    let plan = BenchTask::new(format!("{name} plan"), pool, original, move |buffers| {
        buffers.plan = plan(&planned, &encoding)?;
        Ok(())
    });
    vec![
        plan.without_ratio(),
        BenchTask::new(format!("{name} encode"), pool, original, move |buffers| {
            encode(&encoded, &buffers.plan, &mut buffers.coded)
        }),
        decoding(&name, original, pool),
    ]
}

/// Decodes what an earlier task encoded.
fn decoding<'d>(name: &str, original: &Selection<'d>, pool: &'d ThreadPool) -> BenchTask<'d> {
    let decoded = original.clone();
    BenchTask::new(format!("{name} decode"), pool, original, move |buffers: &mut Buffers| {
        decode(&buffers.coded, &decoded, &mut buffers.decoded)
    })
}

fn plan(original: &Selection<'_>, encoding: &Encoding) -> Result<Plan> {
    let tensors: Vec<(&BenchTensor, &[u8])> = original.tensors().collect();
    let planned = tensors.into_par_iter().map(|(tensor, bytes)| {
        let source = TensorSource::new(&tensor.name, tensor.dtype, &tensor.shape, &bytes);
        let plan = Plan::of(&source, encoding)?;
        Ok((tensor.name.clone(), plan))
    });
    let mut plan = Plan::default();
    plan.tensors = planned.collect::<Result<_>>()?;
    Ok(plan)
}

/// Replaces `coded` by an .occ file. Tensors that are not in the plan are lossless.
fn encode(original: &Selection<'_>, plan: &Plan, coded: &mut Vec<u8>) -> Result<()> {
    coded.clear();
    let mut writer = Writer::new(coded, WriteOptions::default())?;
    let tensors: Vec<(&BenchTensor, &[u8])> = original.tensors().collect();
    let sources = tensors
        .iter()
        .map(|(tensor, bytes)| TensorSource::new(&tensor.name, tensor.dtype, &tensor.shape, bytes));
    writer.add_all(&sources.collect::<Vec<_>>(), plan)?;
    writer.finish()?;
    Ok(())
}

/// Decodes every tensor to its position in the original.
fn decode(coded: &[u8], original: &Selection<'_>, decoded: &mut [u8]) -> Result<()> {
    let mut outputs = Vec::new();
    let (mut rest, mut start) = (decoded, 0);
    for (tensor, _) in original.tensors() {
        let (_, after) = rest.split_at_mut(tensor.range.start - start);
        let (output, after) = after.split_at_mut(tensor.range.len());
        outputs.push((tensor.name.as_str(), output));
        (rest, start) = (after, tensor.range.end);
    }
    Reader::new(coded)?.decode_all_into(outputs)
}
