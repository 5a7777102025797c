//! What can be learned of one tensor before it is coded: its axes, and a sample in them.

use super::classes::Classes;
use super::encoder::{Encoder, EncoderSettings};
use super::parameters::{
    LowRankPart, MAX_BASIS, MAX_RANK, Parameters, put_i16s, write_column_scales, write_transform,
};
use super::reconstruction::Model;
use super::scales::{Scales, Scaling};
use super::training::{Quantiser, RowClassifier, Sample, Trained, classify, train};
use crate::arch::Kernel;
use crate::codec::entropy::{Alphabet, BitWriter, Coset, MagnitudeCounts, MagnitudeDistribution};
use crate::codec::quantizer::Trellis;
use crate::codec::transform::{
    BAND, ForwardTransform, Gram, Hadamard, Identity, LowRank, LowRankProjector, Subspace,
    Transform,
};
use crate::coordinates::{BlockTransform, Coordinates};
use crate::dtype::Dtype;
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A matrix that can be read by rows, more than once, from several threads.
pub(crate) trait Rows: Sync {
    fn rows(&self) -> usize;
    fn columns(&self) -> usize;
    /// Puts whole rows in place of what `out` holds.
    fn read(&self, rows: Range<usize>, out: &mut Vec<f32>) -> Result<()>;
}

/// How a tensor is coded, up to what can be learned again from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransformChoice {
    pub(crate) transform: BlockTransform,
    /// Whether a mean row is taken away.
    pub(crate) mean: bool,
    /// How many axes' coefficients are coded apart.
    pub(crate) rank: usize,
}

/// How hard to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effort {
    pub(crate) states_log2: u32,
    /// Searches of the sample before tables are final.
    pub(crate) passes: u32,
    /// Weights in a sample, about.
    pub(crate) sample: usize,
}

/// λ in squared lattice steps: what a bit is worth, near the slope of the rate.
fn lambda(trellis: Trellis) -> f32 {
    if trellis.is_scalar() { 0.115 } else { 0.4 }
}

/// One tensor under study.
pub(crate) struct TransformSearch<'r> {
    source: &'r dyn Rows,
    /// The root mean square of a sample's weights, without the few that are out of all proportion.
    rms: f64,
    scales: Arc<Scales>,
    /// Rows evenly spread over the tensor, divided by their scales.
    sample: Vec<f32>,
    sampled: usize,
    /// Weights beyond are out of all proportion: they are stored as they are, and count for 0.
    outlier_threshold: f32,
    /// The share of the sample's weights that is stored so, or not finite.
    outlier_share: f64,
    subspace: OnceLock<Subspace>,
}

/// A rate, in bits a weight with everything that goes with it, and a mean squared error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    pub(crate) bits: f64,
    pub(crate) noise: f64,
    /// Bits a weight besides those of the lattice.
    pub(crate) side: f64,
}

/// Rows whose sums are added up before those of others: few enough to share, many enough that
/// sums do not fill memory.
const SHARES: usize = 4;

impl<'r> TransformSearch<'r> {
    /// Reads about `weights` of a tensor's weights.
    pub(crate) fn new(source: &'r dyn Rows, scaling: Scaling, weights: usize) -> Result<Self> {
        let (rows, columns) = (source.rows(), source.columns());
        // Enough rows to tell how loud columns are, unless that is too much to hold.
        let enough = ENOUGH_ROWS.min(MAX_SAMPLE / columns);
        let sampled = weights.div_ceil(columns).max(enough).next_multiple_of(BAND).min(rows);
        let mut sample = Vec::with_capacity(sampled * columns);
        let mut row = Vec::new();
        // In the middle of equal parts; 128 bits hold any product.
        let place = |number: usize| {
            ((2 * number + 1) as u128 * rows as u128 / (2 * sampled) as u128) as usize
        };
        for at in (0..sampled).map(place) {
            source.read(at..at + 1, &mut row)?;
            sample.extend_from_slice(&row);
        }
        let outlier_threshold = proportion(&sample);
        let outlier_share =
            mask_outliers(&mut sample, outlier_threshold) as f64 / sample.len().max(1) as f64;
        let sum: f64 = sample.iter().map(|&x| f64::from(x).powi(2)).sum();
        let rms = (sum / sample.len().max(1) as f64).sqrt();
        let scales = Arc::new(Scales::new(scaling, rows, columns, &mut sample, place));
        let subspace = OnceLock::new();
        Ok(Self {
            source,
            rms,
            scales,
            sample,
            sampled,
            outlier_threshold,
            outlier_share,
            subspace,
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.source.rows()
    }

    pub(crate) fn columns(&self) -> usize {
        self.source.columns()
    }

    fn weights(&self) -> f64 {
        self.rows() as f64 * self.columns() as f64
    }

    /// Weights of the tensor that are stored as they are, about.
    pub(crate) fn outliers(&self) -> f64 {
        self.outlier_share * self.weights()
    }

    /// The root mean square of the tensor's weights, about.
    pub(crate) fn rms(&self) -> f64 {
        self.rms
    }

    /// Sums over the tensor's rows, or over about `limit` of them, evenly spread: each share's in
    /// order, shares in parallel.
    fn fold<T: Send>(
        &self,
        limit: usize,
        new: impl Fn() -> T + Sync,
        add: impl Fn(&mut T, &[f32]) + Sync,
    ) -> Result<Vec<T>> {
        let rows = self.rows();
        let piece = (1usize << 16).div_ceil(self.columns()).clamp(1, rows.max(1));
        let pieces = rows.div_ceil(piece);
        let wanted = limit.div_ceil(piece).clamp(1, pieces.max(1));
        let share = |number: usize| {
            let (mut sums, mut buffer) = (new(), Vec::new());
            for at in wanted * number / SHARES..wanted * (number + 1) / SHARES {
                let start = at * pieces / wanted * piece;
                self.source.read(start..(start + piece).min(rows), &mut buffer)?;
                mask_outliers(&mut buffer, self.outlier_threshold);
                for (row, number) in buffer.chunks_exact_mut(self.columns()).zip(start..) {
                    self.scales.divide_row(number, row);
                }
                add(&mut sums, &buffer);
            }
            Ok(sums)
        };
        (0..SHARES).into_par_iter().map(share).collect()
    }

    /// The loudest axes of the tensor: so many, at least, if it has as many, when asked for the
    /// first time.
    fn subspace(&self, axes: usize) -> Result<&Subspace> {
        if let Some(known) = self.subspace.get() {
            return Ok(known);
        }
        let (rows, columns) = (self.source.rows(), self.source.columns());
        let rank = axes.clamp(USUAL_AXES, MAX_RANK).min(rows.min(columns) / 4);
        let mut subspace = Subspace::new(columns, rank);
        for _ in 0..SUBSPACE_TURNS {
            let shares = self.fold(ENOUGH_FOR_AXES, || subspace.clone(), Subspace::add)?;
            shares.iter().for_each(|share| subspace.merge(share));
            subspace.iterate();
        }
        Ok(self.subspace.get_or_init(|| subspace))
    }

    /// The mean and the axes that are worth their bits, if there are any.
    pub(crate) fn worthwhile(&self, max_rank: usize) -> Result<(bool, usize)> {
        let (m, n) = (self.source.rows() as f64, self.source.columns() as f64);
        let subspace = self.subspace(max_rank)?;
        // A share f of the energy is worth about f / (2 ln 2) bits a weight.
        let worth = |share: f64| share / (2.0 * std::f64::consts::LN_2) * m * n;
        let mean = worth(subspace.mean_energy_fraction()) > STORED_BITS * n;
        let axes = (0..subspace.rank().min(max_rank))
            .take_while(|&k| worth(subspace.energy_fraction(k)) > STORED_BITS * (m + n))
            .count();
        Ok((mean, axes))
    }

    /// Learns the axes of a choice, and turns the sample into them. `None` when they cannot be
    /// stored.
    pub(crate) fn fit(&self, choice: TransformChoice) -> Result<Option<Candidate>> {
        let (rows, columns) = (self.source.rows(), self.source.columns());
        let low_rank = match choice {
            TransformChoice { mean: false, rank: 0, .. } => None,
            TransformChoice { mean, rank, .. } => {
                let subspace = self.subspace(rank)?;
                let rank = rank.min(subspace.rank());
                let share = (rank as f64 + 0.5) * (rows + columns) as f64 / self.weights();
                let part = LowRank::round(subspace, rank, mean, share.clamp(0.002, 0.1));
                let Some(part) = part else { return Ok(None) };
                Some(part)
            }
        };
        let mut values = self.sample.clone();
        let low_rank = low_rank.map(|part| take_away(part, &mut values));
        let BlockTransform { coordinates, block, signed } = choice.transform;
        let forward = |transform| ForwardTransform::new(Arc::new(transform));
        let transform = match coordinates {
            Coordinates::Identity => forward(Transform::Identity(Identity { columns })),
            Coordinates::Hadamard => forward(Transform::Hadamard(match signed {
                false => Hadamard::new(block.ilog2(), vec![false; columns]),
                true => Hadamard::with_fixed_signs(block.ilog2(), columns),
            })),
            Coordinates::Klt => match self.learn_basis(block, low_rank.as_ref())? {
                Some(learned) => learned,
                None => return Ok(None),
            },
            other => return Err(Error::invalid(format!("{other}: not coordinates of the codec"))),
        };
        let bands = values.par_chunks_mut(BAND * columns);
        bands.for_each(|rows| transform.apply(Kernel::best(), rows));
        let transform = Arc::clone(transform.transform());
        let weight = rows as f64 / self.sampled.max(1) as f64;
        let sample = Sample { columns, values, weight };
        let (scales, outlier_threshold) = (Arc::clone(&self.scales), self.outlier_threshold);
        Ok(Some(Candidate { transform, low_rank, scales, sample, rows, outlier_threshold }))
    }

    fn learn_basis(
        &self,
        block: usize,
        low_rank: Option<&FittedLowRank>,
    ) -> Result<Option<ForwardTransform>> {
        let columns = self.source.columns();
        let add = |gram: &mut Gram, rows: &[f32]| match low_rank {
            None => gram.add(rows),
            Some(fitted) => {
                let mut rows = rows.to_vec();
                fitted.projector.subtract_from(&fitted.part.part, &mut rows);
                gram.add(&rows);
            }
        };
        let limit = rows_for_basis(block);
        let mut shares = self.fold(limit, || Gram::new(columns, block), add)?.into_iter();
        let Some(mut gram) = shares.next() else { return Ok(None) };
        shares.for_each(|share| gram.merge(&share));
        Ok(ForwardTransform::learn(&gram))
    }
}

/// A column's deviation is known to a twentieth from so many rows.
const ENOUGH_ROWS: usize = 256;

/// Weights in a sample, at most about.
const MAX_SAMPLE: usize = 1 << 21;

/// So many times the typical weight is out of all proportion.
const EXTREME: f32 = 1e4;

/// What weights beyond are out of all proportion: beside them, or in a row with them, all others
/// would seem silent.
fn proportion(sample: &[f32]) -> f32 {
    let mut magnitudes: Vec<f32> =
        sample.iter().map(|x| x.abs()).filter(|x| x.is_finite()).collect();
    if magnitudes.is_empty() {
        return f32::MAX;
    }
    let at = magnitudes.len() * 9 / 10;
    let (_, typical, _) = magnitudes.select_nth_unstable_by(at, f32::total_cmp);
    if *typical > 0.0 { *typical * EXTREME } else { f32::MAX }
}

/// Puts zeros in place of what is beyond or not a number; returns how many.
fn mask_outliers(weights: &mut [f32], outlier_threshold: f32) -> usize {
    let beyond = weights.iter_mut().filter(|x| x.is_nan() || x.abs() > outlier_threshold);
    beyond.map(|x| *x = 0.0).count()
}

/// Axes that are looked for, at least: the last of those found are not quite the loudest.
const USUAL_AXES: usize = 32;

/// Times all rows are read to find the loudest axes.
const SUBSPACE_TURNS: usize = 4;

/// Rows that are read to find them, at most about: the loudest axes show in few.
const ENOUGH_FOR_AXES: usize = 1 << 14;

/// Rows that a basis is learned from, at most: with 64 for each column of a block it is within a
/// hundredth of a bit of the best, and no more than some 10^11 multiplications are spent on it.
fn rows_for_basis(block: usize) -> usize {
    (64 * block).min(50_000_000_000 / (block * block).max(1)).max(16 * block)
}

/// Bits of a stored number of the low-dimensional part, about.
const STORED_BITS: f64 = 4.5;

/// A low-dimensional part, and the bits of a row's coefficients.
struct FittedLowRank {
    part: Arc<LowRankPart>,
    projector: LowRankProjector,
    row_bits: f64,
}

fn take_away(part: LowRank, rows: &mut [f32]) -> FittedLowRank {
    let projector = LowRankProjector::new(&part);
    let all = projector.subtract_from(&part, rows);
    let mut row_bits = 0.0;
    let coefficients = (0..part.rank())
        .map(|axis| {
            let (bypass, profile, bits) = coefficient_table(all.iter().map(|row| row[axis].into()));
            row_bits += bits;
            (bypass, profile)
        })
        .collect();
    FittedLowRank { part: Arc::new(LowRankPart { part, coefficients }), projector, row_bits }
}

/// How coefficients like these are coded: low bits apart, the profile, bits of one.
fn coefficient_table(
    values: impl Iterator<Item = i32> + Clone,
) -> (u32, MagnitudeDistribution, f64) {
    let beyond = |bypass: u32| values.clone().filter(|k| (k >> bypass).abs() > 60).count();
    let total = values.clone().count();
    let bypass = (0..8).find(|&bypass| beyond(bypass) * 64 <= total).unwrap_or(8);
    let alphabet = Alphabet { coset: Coset::Whole, bypass };
    let mut counts = MagnitudeCounts::default();
    values.clone().for_each(|k| counts.add(alphabet.magnitude_of(k)));
    let profile = MagnitudeDistribution::from_counts(&counts, bypass > 0, false);
    let table = profile.frequencies(alphabet);
    let bits: f64 = values.map(|k| f64::from(profile.bits(&table, alphabet, k))).sum();
    (bypass, profile, bits / total.max(1) as f64 + f64::from(bypass))
}

/// What a sample's points are coded by.
struct Tables {
    classes: Classes,
    classifier: RowClassifier,
    quantiser: Quantiser,
    trained: Trained,
}

/// A tensor's sample in the axes of a choice.
pub(crate) struct Candidate {
    transform: Arc<Transform>,
    low_rank: Option<FittedLowRank>,
    scales: Arc<Scales>,
    sample: Sample,
    rows: usize,
    outlier_threshold: f32,
}

impl Candidate {
    /// The best kinds of classes at a step, and about what the whole tensor then takes.
    fn classes(&self, step: f32, trellis: Trellis) -> (Classes, RowClassifier, f64) {
        classify(&self.sample, trellis.subset_step(step))
    }

    /// Bits a weight at a step, about, without a search: to compare axes at equal distortion.
    pub(crate) fn estimate(&self, step: f32, effort: Effort) -> f64 {
        let trellis = trellis(effort);
        let subset_step = f64::from(trellis.subset_step(step));
        let (_, _, bits) = self.classes(step, trellis);
        let noise: f64 = self
            .sample
            .values
            .iter()
            .map(|&x| {
                let x = f64::from(x.abs());
                (x - (x / subset_step + 0.45).floor() * subset_step).powi(2)
            })
            .sum();
        let noise = noise / self.sample.values.len().max(1) as f64 / (subset_step * subset_step);
        bits / self.weights() + self.side_bits() + 0.5 * noise.max(1e-9).log2()
    }

    fn weights(&self) -> f64 {
        self.rows as f64 * self.sample.columns as f64
    }

    /// Bits a weight of what goes with the axes.
    fn side_bits(&self) -> f64 {
        let mut out = BitWriter::default();
        write_transform(&self.transform, &mut out);
        let mut bits = 8.0 * out.finish().len() as f64;
        if let Some(fitted) = &self.low_rank {
            let mut out = BitWriter::default();
            let LowRankPart { part, coefficients } = &*fitted.part;
            part.rows().for_each(|row| put_i16s(row, &mut out));
            coefficients.iter().for_each(|(_, profile)| profile.write(&mut out));
            bits += 8.0 * out.finish().len() as f64 + fitted.row_bits * self.rows as f64;
        }
        bits / self.weights()
    }

    /// The rate at a step, all told, and the error, as the sample has it.
    pub(crate) fn rate(&self, step: f32, effort: Effort, overhead_bits: f64) -> Rate {
        let Tables { classes, trained, .. } = self.tables(step, effort);
        let mut out = BitWriter::default();
        classes.write(&mut out);
        trained.profiles.iter().for_each(|profile| profile.write(&mut out));
        if let Some(bytes) = self.scales.columns() {
            write_column_scales(bytes, &mut out);
        }
        let mut side = 8.0 * out.finish().len() as f64 + overhead_bits;
        for table in [classes.rows.as_ref(), self.scales.rows()] {
            side += 2.0 * self.rows as f64 * f64::from(u8::from(table.is_some()));
        }
        let side = self.side_bits() + side / self.weights();
        Rate { bits: trained.bits + side, noise: trained.noise, side }
    }

    /// Classes and profiles for a step.
    fn tables(&self, step: f32, effort: Effort) -> Tables {
        let trellis = trellis(effort);
        let (classes, classifier, _) = self.classes(step, trellis);
        let bypass = Quantiser::bypass_for(&self.sample, trellis, step);
        let quantiser = Quantiser { trellis, bypass, step, lambda: lambda(trellis) };
        let trained =
            train(&self.sample, &classes, &classifier, quantiser, effort.passes, effort.sample);
        Tables { classes, classifier, quantiser, trained }
    }

    /// The encoder of the tensor at a step. `gain` is what the axes save, in bits a weight.
    pub(crate) fn encoder(
        &self,
        dtype: Dtype,
        step: f32,
        effort: Effort,
        gain: f64,
    ) -> Result<Encoder> {
        let Tables { classes, classifier, quantiser, trained } = self.tables(step, effort);
        let parameters = Parameters {
            columns: self.sample.columns,
            step,
            trellis: quantiser.trellis,
            bypass: quantiser.bypass,
            transform: Arc::clone(&self.transform),
            low_rank: self.low_rank.as_ref().map(|fitted| Arc::clone(&fitted.part)),
            row_scales: self.scales.rows().cloned(),
            column_scales: self.scales.columns().map(<[u8]>::to_vec),
            classes,
            profiles: trained.profiles,
            gain: (gain * 256.0).round() as i16,
        };
        let scales = Arc::clone(&self.scales);
        let settings = EncoderSettings {
            classifier,
            scales,
            lambda: quantiser.lambda,
            outlier_threshold: self.outlier_threshold,
        };
        Encoder::new(dtype, &Model::new(parameters), settings)
    }
}

fn trellis(effort: Effort) -> Trellis {
    Trellis::new(effort.states_log2).unwrap_or_else(|| unreachable!("efforts have trellises"))
}

/// Axes that are worth a try for a matrix of this size.
pub(crate) fn candidate_transforms(rows: usize, columns: usize) -> Vec<BlockTransform> {
    let mut axes = vec![BlockTransform::IDENTITY];
    let block_log2 = columns.max(1).ilog2().min(Hadamard::MAX_BLOCK_LOG2);
    if block_log2 > 0 {
        axes.push(BlockTransform::hadamard(1 << block_log2, false));
        axes.push(BlockTransform::hadamard(1 << block_log2, true));
    }
    for block in [columns, 128, 32] {
        // About six bits an entry: more than half a bit a weight never comes back.
        if block <= columns && block <= MAX_BASIS && block * 10 <= rows && block > 1 {
            axes.push(BlockTransform::klt(block));
        }
    }
    axes.dedup();
    axes
}
