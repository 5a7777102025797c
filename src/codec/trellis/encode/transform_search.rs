//! The transform search: candidates for the coordinates of one tensor.

use super::candidate::Candidate;
use super::class_training::rounded_to_zero;
use super::effort::Effort;
use super::learned_transform::LearnedTransform;
use super::low_rank_coding::CodedLowRank;
use super::low_rank_screening::{SCREENING, screened_share};
use super::outliers::{mask_outliers, outlier_threshold};
use super::rate_statistics::RateStatistics;
use super::repeated_values::has_repeated_values;
use super::rows::Rows;
use super::sample::Sample;
use super::scaling::{Scales, Scaling};
use super::sensitivity::Sensitivity;
use super::transform_choice::TransformChoice;
use crate::arch::Kernel;
use crate::codec::transform::{
    BAND, ForwardTransform, Gram, Hadamard, Identity, LeadingDirection, LowRank, Subspace,
    Transform,
};
use crate::codec::trellis::parameters::MAX_RANK;
use crate::coordinates::{BlockTransform, Coordinates};
use crate::error::{Error, Result};
use rayon::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zerocopy::IntoBytes;

/// A search for the coordinates in which a tensor takes the fewest bits.
///
/// It holds a sample of the tensor's rows. [`fit`](Self::fit) makes a [`Candidate`] of each choice;
/// the caller compares their rates. Candidates depend on the tensor, the scaling, the size of the
/// sample and the choice only: not on earlier calls, and not on the number of threads. So an
/// encoder without a [`LearnedTransform`] learns the same as planning.
pub(crate) struct TransformSearch<'r> {
    source: &'r dyn Rows,
    sensitivity: Option<Arc<Sensitivity>>,
    /// The root mean square of the sample without outliers, in the unit of weights that have
    /// quantisation scales.
    rms: f64,
    scales: Arc<Scales>,
    /// Evenly spaced rows of the tensor, divided by their scales; outliers are 0.
    sample: Vec<f32>,
    /// CRC-32 of `sample`.
    sample_crc: u32,
    sampled_rows: usize,
    /// Weights of larger magnitude are outliers.
    outlier_threshold: f32,
    /// The share of outliers, NaN included, in the sample.
    outlier_share: f64,
    /// Whether many weights of the sample are equal.
    repeats: bool,
    /// The energy of outputs per weight; 0 without statistics.
    output_energy: f64,
    /// The mean over rows of the weight of a squared error in scaled coordinates.
    row_weight: f64,
    /// Results of subspace searches, each with its number of basis vectors.
    subspaces: Mutex<Vec<(usize, Arc<Subspace>)>>,
}

fn root_mean_square(values: &[f32]) -> f64 {
    let sum: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum();
    (sum / values.len().max(1) as f64).sqrt()
}

/// Parts of the tensor whose sums are computed in parallel: a constant, because the order of
/// summation must not depend on the number of threads, and few, because each needs memory.
const SHARES: usize = 4;

impl<'r> TransformSearch<'r> {
    /// Reads a sample of about `weights` weights. With a sensitivity, errors are fed back and
    /// weighted by it.
    ///
    /// # Errors
    /// Those of the source.
    pub(crate) fn new(
        source: &'r dyn Rows,
        scaling: &Scaling,
        sensitivity: Option<Arc<Sensitivity>>,
        weights: usize,
    ) -> Result<Self> {
        let (rows, columns) = (source.rows(), source.columns());
        let min_rows = MIN_SAMPLED_ROWS.min(MAX_SAMPLE / columns);
        let sampled_rows = weights.div_ceil(columns).max(min_rows).next_multiple_of(BAND).min(rows);
        let mut sample = Vec::with_capacity(sampled_rows * columns);
        // The middle row of each of equal parts; 128 bits hold the product.
        let position = |number: usize| {
            ((2 * number + 1) as u128 * rows as u128 / (2 * sampled_rows) as u128) as usize
        };
        if sampled_rows == rows {
            source.read(0..rows, &mut sample)?;
        } else {
            let mut row = Vec::new();
            for at in (0..sampled_rows).map(position) {
                source.read(at..at + 1, &mut row)?;
                sample.extend_from_slice(&row);
            }
        }
        let outlier_threshold = outlier_threshold(&sample);
        let repeats = has_repeated_values(&sample);
        let mut outliers = 0u64;
        mask_outliers(&mut sample, outlier_threshold, |_| outliers += 1);
        let outlier_share = outliers as f64 / sample.len().max(1) as f64;
        let rms = match &scaling.quantization {
            None => root_mean_square(&sample),
            Some(scales) => root_mean_square(&scales.weights(&sample, columns, position)),
        };
        let given = sensitivity.as_deref();
        let energy = given.map_or(0.0, |given| given.output_energy(&sample));
        // The scales change the sample.
        let unscaled = given.map(|_| sample.clone());
        let scales = Arc::new(Scales::new(scaling, given, rows, columns, &mut sample, position));
        let row_weight = given.zip(unscaled).map_or(1.0, |(given, unscaled)| {
            let share = rows as f64 / sampled_rows.max(1) as f64;
            let numbers = (0..sampled_rows).map(position);
            given.row_weight(unscaled, energy, numbers, share, |number| scales.row_scale(number))
        });
        let sample_crc = crc32fast::hash(sample.as_bytes());
        Ok(Self {
            source,
            sensitivity,
            rms,
            scales,
            sample,
            sample_crc,
            sampled_rows,
            outlier_threshold,
            outlier_share,
            repeats,
            output_energy: energy / (sampled_rows.max(1) as f64 * columns as f64),
            row_weight,
            subspaces: Mutex::default(),
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.source.rows()
    }

    pub(crate) fn columns(&self) -> usize {
        self.source.columns()
    }

    pub(crate) fn weights(&self) -> f64 {
        self.rows() as f64 * self.columns() as f64
    }

    /// The estimated number of outliers in the tensor.
    pub(crate) fn outliers(&self) -> f64 {
        self.outlier_share * self.weights()
    }

    /// Whether many weights are equal: the tensor is pruned or quantised.
    pub(crate) fn has_repeated_values(&self) -> bool {
        self.repeats
    }

    /// Statistics of the sample on which its rate depends. O(1) for each of its values.
    pub(crate) fn rate_statistics(&self) -> RateStatistics {
        RateStatistics::of(&self.sample, self.columns())
    }

    /// Whether the statistics of inputs are known.
    pub(crate) fn has_statistics(&self) -> bool {
        self.sensitivity.is_some()
    }

    /// Whether errors are fed back.
    pub(crate) fn has_feedback(&self) -> bool {
        self.sensitivity.as_deref().is_some_and(Sensitivity::has_feedback)
    }

    /// The estimated energy of the outputs per weight; 0 without statistics.
    pub(crate) fn output_energy(&self) -> f64 {
        self.output_energy
    }

    /// The root mean square of the sample divided by its scales.
    pub(crate) fn scaled_rms(&self) -> f64 {
        root_mean_square(&self.sample)
    }

    /// The estimated root mean square of the tensor, outliers excluded.
    pub(crate) fn rms(&self) -> f64 {
        self.rms
    }

    /// Sums over the tensor's rows, or over about `limit` of them, evenly spaced. [`SHARES`] sums are
    /// computed in parallel, each in the order of rows.
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
                mask_outliers(&mut buffer, self.outlier_threshold, |_| ());
                for (row, number) in buffer.chunks_exact_mut(self.columns()).zip(start..) {
                    self.scales.divide_row(number, row);
                }
                add(&mut sums, &buffer);
            }
            Ok(sums)
        };
        (0..SHARES).into_par_iter().map(share).collect()
    }

    /// The mean and the rank, up to `max_rank`, whose savings exceed their own bits.
    ///
    /// O(1) for each weight of the sample; O(rank) for each weight of the tensor where the sample has
    /// a direction that may be worthwhile.
    ///
    /// # Errors
    /// Those of the source.
    pub(crate) fn worthwhile(&self, max_rank: usize) -> Result<(bool, usize)> {
        let (m, n) = (self.source.rows() as f64, self.source.columns() as f64);
        // A direction with a share f of the energy saves about f ÷ (2 ln 2) bits per weight.
        let share_of =
            |bits: f64| bits * LOW_RANK_ENTRY_BITS * 2.0 * std::f64::consts::LN_2 / (m * n);
        let (least_mean, least) = (share_of(n), share_of(m + n));
        let sampled = self.sampled_rows as f64;
        let found = LeadingDirection::of(&self.sample, self.columns());
        // The mean of few rows has energy by chance.
        let mean_by_chance = if sampled < m { 1.0 / sampled } else { 0.0 };
        if found.mean < mean_by_chance + SCREENING * least_mean
            && found.share < screened_share(least, n, m, sampled)
        {
            return Ok((false, 0));
        }
        let search = |max_rank: usize| -> Result<(bool, usize)> {
            let subspace = self.subspace(self.searched_vectors(max_rank))?;
            let mean = subspace.mean_energy_fraction() > least_mean;
            let worthwhile = |k: &usize| subspace.energy_fraction(*k) > least;
            let rank = (0..subspace.rank().min(max_rank)).take_while(worthwhile).count();
            Ok((mean, rank))
        };
        let (mean, rank) = search(max_rank.min(FEW_VECTORS))?;
        if rank < max_rank.min(FEW_VECTORS) || max_rank <= FEW_VECTORS {
            return Ok((mean, rank));
        }
        search(max_rank)
    }

    /// Whether a basis may save more bits than it takes, compared to the identity with classes of
    /// columns, by the determinants of a sample. Learning the basis takes many times as long.
    pub(crate) fn may_save(&self, transform: BlockTransform, step: f32, effort: Effort) -> bool {
        let block = transform.block;
        if transform.coordinates != Coordinates::Klt || self.sampled_rows < 2 * block {
            return true;
        }
        let mut gram = Gram::new(self.columns(), block);
        gram.add(&self.sample);
        let rows = self.rows().min(rows_for_basis(block));
        let floor = rounded_to_zero(effort.trellis().subset_step(step)).into();
        let saved = gram.saved_bits(rows, self.sampled_rows, floor);
        let stored = BASIS_ENTRY_BITS * block as f64 / self.rows() as f64;
        saved.is_none_or(|saved| saved + MAY_SAVE > stored)
    }

    /// Learns the transform and the low-rank part of a choice, and transforms the sample. `None`
    /// when they cannot be stored. The result does not depend on earlier calls.
    ///
    /// O(rows · columns · (block + rank)), with at most [`rows_for_basis`] and [`SUBSPACE_ROWS`]
    /// rows, and O(columns³) for feedback in other coordinates than the identity.
    ///
    /// # Errors
    /// Those of the source; `InvalidArgument` for coordinates that the codec does not implement.
    pub(crate) fn fit(&self, choice: TransformChoice) -> Result<Option<Candidate>> {
        Ok(self.fit_unweighted(choice)?.map(|candidate| self.weigh(candidate)))
    }

    /// [`fit`](Self::fit) without the weights of errors and their feedback.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub(crate) fn fit_unweighted(&self, choice: TransformChoice) -> Result<Option<Candidate>> {
        let (rows, columns) = (self.source.rows(), self.source.columns());
        let low_rank = match choice {
            TransformChoice { mean: false, rank: 0, .. } => None,
            TransformChoice { mean, rank, .. } => {
                let subspace = self.subspace(self.searched_vectors(rank))?;
                let rank = rank.min(subspace.rank());
                let share = (rank as f64 + 0.5) * (rows + columns) as f64 / self.weights();
                let part = LowRank::round(&subspace, rank, mean, share.clamp(0.002, 0.1));
                let Some(part) = part else { return Ok(None) };
                Some(part)
            }
        };
        let mut values = self.sample.clone();
        let low_rank = low_rank.map(|part| CodedLowRank::subtract(part, &mut values));
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
            other => {
                return Err(Error::invalid(format!(
                    "coordinates: {other} is not implemented by the codec"
                )));
            }
        };
        Ok(Some(self.candidate(choice, transform, low_rank, values)))
    }

    /// Sets the weights of errors and their feedback in the coordinates of a candidate.
    pub(crate) fn weigh(&self, mut candidate: Candidate) -> Candidate {
        if let Some(sensitivity) = self.sensitivity.as_deref() {
            let weights = sensitivity.feedback(self.scales.columns(), &candidate.transform);
            candidate.loss_weight = Some(weights.mean);
            candidate.sample.feedback = weights.feedback;
        }
        candidate
    }

    /// [`fit`](Self::fit) with what an earlier search learned, if it was for the same choice and
    /// sample. The result is the same, without the cost of learning.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub(crate) fn fit_learned(
        &self,
        choice: TransformChoice,
        learned: Option<&LearnedTransform>,
    ) -> Result<Option<Candidate>> {
        let is_same = |learned: &&LearnedTransform| {
            learned.choice == choice && learned.sample_crc == self.sample_crc
        };
        let Some(learned) = learned.filter(is_same) else { return self.fit(choice) };
        let mut values = self.sample.clone();
        let low_rank = learned.low_rank.as_ref().map(|part| part.subtract(&mut values));
        let transform = ForwardTransform::new(Arc::clone(&learned.transform));
        let candidate = self.candidate(choice, transform, low_rank, values);
        Ok(Some(self.weigh(candidate)))
    }

    /// The candidate of a transform, without weights. `values` is the sample without the low-rank part.
    fn candidate(
        &self,
        choice: TransformChoice,
        transform: ForwardTransform,
        low_rank: Option<CodedLowRank>,
        mut values: Vec<f32>,
    ) -> Candidate {
        let (rows, columns) = (self.rows(), self.columns());
        let bands = values.par_chunks_mut(BAND * columns);
        bands.for_each(|rows| transform.apply(Kernel::best(), rows));
        let weight = rows as f64 / self.sampled_rows.max(1) as f64;
        Candidate {
            choice,
            sample_crc: self.sample_crc,
            transform,
            low_rank,
            scales: Arc::clone(&self.scales),
            sample: Sample { columns, values, weight, feedback: None },
            loss_weight: None,
            row_weight: self.row_weight,
            rows,
            outlier_threshold: self.outlier_threshold,
        }
    }

    /// The number of basis vectors in the search for a low-rank part of rank `rank`: a function of
    /// the rank and the size of the matrix only, so that planning and encoding agree.
    fn searched_vectors(&self, rank: usize) -> usize {
        let vectors = match rank {
            0..=FEW_VECTORS => 2 * FEW_VECTORS,
            _ => rank.clamp(4 * FEW_VECTORS, MAX_RANK),
        };
        vectors.min(self.rows().min(self.columns()) / 4)
    }

    /// The leading subspace of `vectors` basis vectors, by subspace iteration.
    fn subspace(&self, vectors: usize) -> Result<Arc<Subspace>> {
        // The lock is not held during the search, which runs tasks of the thread pool.
        if let Some((_, subspace)) = lock(&self.subspaces).iter().find(|(n, _)| *n == vectors) {
            return Ok(Arc::clone(subspace));
        }
        let mut subspace = Subspace::new(self.columns(), vectors);
        for _ in 0..SUBSPACE_ITERATIONS {
            let shares = self.fold(SUBSPACE_ROWS, || subspace.clone(), Subspace::add)?;
            shares.iter().for_each(|share| subspace.merge(share));
            subspace.iterate();
        }
        let subspace = Arc::new(subspace);
        lock(&self.subspaces).push((vectors, Arc::clone(&subspace)));
        Ok(subspace)
    }

    /// The Karhunen-Loève basis of the residual, in blocks of `block` columns.
    fn learn_basis(
        &self,
        block: usize,
        low_rank: Option<&CodedLowRank>,
    ) -> Result<Option<ForwardTransform>> {
        let columns = self.source.columns();
        let add = |gram: &mut Gram, rows: &[f32]| match low_rank {
            None => gram.add(rows),
            Some(coded) => {
                let mut rows = rows.to_vec();
                coded.projector.subtract_from(&coded.low_rank.part, &mut rows);
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The smallest number of sampled rows: it determines a column's RMS to about 5 %.
const MIN_SAMPLED_ROWS: usize = 256;

/// The largest number of weights in a sample, approximately.
const MAX_SAMPLE: usize = 1 << 21;

/// The rank up to which a subspace search takes twice as many vectors; beyond, it takes four times as
/// many at least. The last of the vectors found are not exactly the leading ones, so the search takes
/// more than are used.
const FEW_VECTORS: usize = 8;

/// Iterations of a subspace search; each reads the rows once.
const SUBSPACE_ITERATIONS: usize = 4;

/// The largest number of rows in a subspace search, approximately.
const SUBSPACE_ROWS: usize = 1 << 14;

/// The largest number of rows that a basis is learned from: 64 for each column of a block, which is
/// within 0.01 bits per weight of all rows, and at most about 10^11 multiplications.
fn rows_for_basis(block: usize) -> usize {
    let affordable = 50_000_000_000 / (block as u64).pow(2).max(1);
    (64 * block).min(usize::try_from(affordable).unwrap_or(usize::MAX)).max(16 * block)
}

/// The fewest bits of an entry of a stored basis.
const BASIS_ENTRY_BITS: f64 = 5.0;

/// Bits per weight that a basis may save beyond the estimate from a sample.
const MAY_SAVE: f64 = 0.01;

/// Approximate bits of a stored number of the low-rank part.
const LOW_RANK_ENTRY_BITS: f64 = 4.5;
