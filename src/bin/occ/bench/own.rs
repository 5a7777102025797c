//! What this crate offers.

use super::contestants::Contestant;
use super::weights::{Selection, Tensor, Weights};
use occ::{Coordinates, Encoding, Plan, Reader, Result, TensorSource, WriteOptions, Writer};
use rayon::ThreadPool;
use rayon::prelude::*;

/// What those with loss spend, in bits a weight.
const BITS: f64 = 3.0;

/// Those with loss: their axes and effort.
const LOSSY: [(&str, Coordinates, u8); 3] = [
    ("hadamard 8 states", Coordinates::Hadamard, 5),
    ("identity 8 states", Coordinates::Identity, 5),
    ("hadamard 256 states", Coordinates::Hadamard, 9),
];

pub fn contestants<'w>(weights: &'w Weights, pool: &'w ThreadPool) -> Vec<Contestant<'w>> {
    let mut contestants = lossless(&weights.all(), pool);
    let matrices = weights.matrices();
    if matrices.byte_len() > 0 {
        for (name, coordinates, effort) in LOSSY {
            // A budget for each tensor, so that one too small for it is no failure.
            let encoding = Encoding::lossless().bits_for("*", BITS);
            let encoding = encoding.coordinates(coordinates).effort(effort);
            contestants.extend(lossy(name, &encoding, &matrices, pool));
        }
    }
    contestants
}

fn lossless<'w>(original: &Selection<'w>, pool: &'w ThreadPool) -> Vec<Contestant<'w>> {
    let (encoded, decoded) = (original.clone(), original.clone());
    vec![
        Contestant::new("lossless encode", pool, original, move |desk| {
            encode(&encoded, &Plan::default(), &mut desk.coded)
        }),
        Contestant::new("lossless decode", pool, original, move |desk| {
            decode(&desk.coded, &decoded, &mut desk.decoded)
        }),
    ]
}

fn lossy<'w>(
    name: &str,
    encoding: &Encoding,
    original: &Selection<'w>,
    pool: &'w ThreadPool,
) -> Vec<Contestant<'w>> {
    let [planned, encoded, decoded] = [(); 3].map(|()| original.clone());
    let encoding = encoding.clone();
    let plan = Contestant::new(format!("{name} plan"), pool, original, move |desk| {
        desk.plan = plan(&planned, &encoding)?;
        Ok(())
    });
    vec![
        plan.without_ratio(),
        Contestant::new(format!("{name} encode"), pool, original, move |desk| {
            encode(&encoded, &desk.plan, &mut desk.coded)
        }),
        Contestant::new(format!("{name} decode"), pool, original, move |desk| {
            decode(&desk.coded, &decoded, &mut desk.decoded)
        }),
    ]
}

fn plan(original: &Selection<'_>, encoding: &Encoding) -> Result<Plan> {
    let tensors: Vec<(&Tensor, &[u8])> = original.tensors().collect();
    let planned = tensors.into_par_iter().map(|(tensor, bytes)| {
        let source = TensorSource::new(&tensor.name, tensor.dtype, &tensor.shape, &bytes);
        let plan = Plan::of(&source, encoding)?;
        Ok((tensor.name.clone(), plan))
    });
    let mut plan = Plan::default();
    plan.tensors = planned.collect::<Result<_>>()?;
    Ok(plan)
}

/// Writes a file over `coded`; tensors that are not in the plan lose nothing.
fn encode(original: &Selection<'_>, plan: &Plan, coded: &mut Vec<u8>) -> Result<()> {
    coded.clear();
    let mut writer = Writer::new(coded, WriteOptions::default())?;
    let tensors: Vec<(&Tensor, &[u8])> = original.tensors().collect();
    let sources = tensors
        .iter()
        .map(|(tensor, bytes)| TensorSource::new(&tensor.name, tensor.dtype, &tensor.shape, bytes));
    writer.add_all(&sources.collect::<Vec<_>>(), plan)?;
    writer.finish()?;
    Ok(())
}

/// Decodes every tensor to where it lay.
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
