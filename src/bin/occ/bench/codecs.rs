//! The codecs of this crate.

use super::data::{BenchData, BenchTensor, Selection};
use super::task::BenchTask;
use occ::{Coordinates, Encoding, Plan, Reader, Result, TensorSource, WriteOptions, Writer};
use rayon::ThreadPool;
use rayon::prelude::*;

/// Bits per weight of lossy tasks.
const BITS: f64 = 3.0;

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
        for (name, coordinates, effort) in LOSSY {
            // A budget per tensor, because tensors that are too small for it do not fail then.
            let encoding = Encoding::lossless().bits_for("*", BITS);
            let encoding = encoding.coordinates(coordinates).effort(effort);
            tasks.extend(lossy(name, &encoding, &matrices, pool));
        }
    }
    tasks
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

fn lossy<'d>(
    name: &str,
    encoding: &Encoding,
    original: &Selection<'d>,
    pool: &'d ThreadPool,
) -> Vec<BenchTask<'d>> {
    let [planned, encoded, decoded] = [(); 3].map(|()| original.clone());
    let encoding = encoding.clone();
    let plan = BenchTask::new(format!("{name} plan"), pool, original, move |buffers| {
        buffers.plan = plan(&planned, &encoding)?;
        Ok(())
    });
    vec![
        plan.without_ratio(),
        BenchTask::new(format!("{name} encode"), pool, original, move |buffers| {
            encode(&encoded, &buffers.plan, &mut buffers.coded)
        }),
        BenchTask::new(format!("{name} decode"), pool, original, move |buffers| {
            decode(&buffers.coded, &decoded, &mut buffers.decoded)
        }),
    ]
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
