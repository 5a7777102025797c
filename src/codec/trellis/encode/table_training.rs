//! Training of profiles: the frequency tables of lattice points.

use super::class_training::row_classes;
use super::row_classifier::RowClassifier;
use super::sample::Sample;
use super::search_input::{MAX_COORDINATE, search_columns};
use crate::arch::Kernel;
use crate::codec::entropy::{Alphabet, MagnitudeCounts, MagnitudeDistribution};
use crate::codec::quantizer::{
    CostTables, Feedback, FeedbackSearch, ROWS, RowGroup, SearchInput, Trellis, ViterbiSearch,
};
use crate::codec::trellis::classes::Classes;
use crate::codec::trellis::reconstruction::{Reconstruction, alphabets};
use rayon::prelude::*;

/// Parameters of the quantiser.
#[derive(Clone, Copy, Debug)]
pub(super) struct QuantizerSettings {
    pub(super) trellis: Trellis,
    pub(super) bypass: u32,
    pub(super) step: f32,
    /// The Lagrange multiplier: the squared error, in squared steps, that equals one bit.
    pub(super) lambda: f32,
}

impl QuantizerSettings {
    fn alphabets(self) -> [Alphabet; 2] {
        alphabets(self.trellis, self.bypass)
    }

    /// The bypass bits with which symbols cover all but a few values.
    pub(super) fn bypass_for(sample: &Sample, trellis: Trellis, step: f32) -> u32 {
        let subset_step = trellis.subset_step(step);
        let mut escaped = [0u32; 9];
        for x in &sample.values {
            let k = (x.abs() / subset_step) as u32;
            for (bypass, count) in escaped.iter_mut().enumerate() {
                *count += u32::from(k >> bypass > 110);
            }
        }
        let few = sample.values.len() as f32 * 4e-4;
        escaped.iter().position(|&count| count as f32 <= few).unwrap_or(8) as u32
    }
}

/// Profiles trained on a sample, with the bits and the squared error of the last search, both per
/// weight.
pub(super) struct TrainedProfiles {
    pub(super) profiles: Vec<MagnitudeDistribution>,
    pub(super) bits: f64,
    pub(super) noise: f64,
}

/// Entropy-constrained training of profiles (Chou, Lookabaugh and Gray, 1989): searches about
/// `weights` weights of a sample, trains the profiles on the result, and repeats this `passes`
/// times. O(passes · weights · states).
pub(super) fn train(
    sample: &Sample,
    classes: &Classes,
    classifier: &RowClassifier,
    quantizer: QuantizerSettings,
    passes: u32,
    weights: usize,
) -> TrainedProfiles {
    let sample = &sample.thinned(weights);
    let row_classes = row_classes(sample, classes, classifier);
    let mut counts = first_counts(sample, classes, &row_classes, quantizer);
    let mut trained = None;
    for _ in 0..passes.max(1) {
        let profiles = profiles(&counts, quantizer);
        let costs = profile_costs(&profiles, quantizer);
        let totals = search_sample(sample, classes, &row_classes, quantizer, &costs);
        let weights = sample.values.len().max(1) as f64;
        let (noise, bits) = (totals.noise / weights, totals.bits / weights);
        counts = totals.counts;
        trained = Some(TrainedProfiles { profiles, bits, noise });
    }
    let TrainedProfiles { bits, noise, .. } =
        trained.unwrap_or_else(|| unreachable!("there is at least one pass"));
    TrainedProfiles { profiles: profiles(&counts, quantizer), bits, noise }
}

/// Magnitude counts after rounding to the nearest lattice points.
fn first_counts(
    sample: &Sample,
    classes: &Classes,
    row_classes: &[u8],
    quantizer: QuantizerSettings,
) -> Vec<MagnitudeCounts> {
    let mut counts = vec![MagnitudeCounts::default(); classes.profile_count()];
    let (inverse, alphabets) = (1.0 / quantizer.step, quantizer.alphabets());
    for (row, &row_class) in sample.rows().zip(row_classes) {
        for (column, x) in row.iter().enumerate() {
            let point = (x * inverse).clamp(-MAX_COORDINATE, MAX_COORDINATE).round() as i32;
            let k = quantizer.trellis.index(point);
            let half = quantizer.trellis.half(point);
            let profile = classes.profile_of(row_class, classes.of_column(column));
            counts[usize::from(profile)].add(alphabets[half].magnitude_of(k));
        }
    }
    counts
}

/// One profile for each set of counts.
fn profiles(
    counts: &[MagnitudeCounts],
    quantizer: QuantizerSettings,
) -> Vec<MagnitudeDistribution> {
    let by_parity = !quantizer.trellis.is_scalar() && quantizer.bypass == 0;
    let mirrored = quantizer.bypass > 0;
    counts
        .iter()
        .map(|counts| MagnitudeDistribution::from_counts(counts, mirrored, by_parity))
        .collect()
}

/// Counts, bits and squared error of searched rows.
struct SearchTotals {
    counts: Vec<MagnitudeCounts>,
    bits: f64,
    noise: f64,
}

impl SearchTotals {
    fn new(classes: &Classes) -> Self {
        let counts = vec![MagnitudeCounts::default(); classes.profile_count()];
        Self { counts, bits: 0.0, noise: 0.0 }
    }

    /// Adds the points of up to 16 rows.
    fn count(
        &mut self,
        points: &[[i16; ROWS]],
        classes: &Classes,
        row_classes: &[u8],
        quantizer: QuantizerSettings,
        costs: &CostTables,
    ) {
        let alphabets = quantizer.alphabets();
        for (column, points) in points.iter().enumerate() {
            for (&point, &row_class) in points.iter().zip(row_classes) {
                let point = i32::from(point);
                let half = quantizer.trellis.half(point);
                let k = quantizer.trellis.index(point);
                let profile = usize::from(classes.profile_of(row_class, classes.of_column(column)));
                self.counts[profile].add(alphabets[half].magnitude_of(k));
                self.bits += f64::from(costs.of(costs.start(profile), point) / quantizer.lambda);
            }
        }
    }
}

/// Rows that are searched together with feedback: its factors are read from memory for them once.
const FEEDBACK_ROWS: usize = 4 * ROWS;

/// Searches a sample, a few rows at a time, in parallel. Totals are added in the order of rows: the
/// result does not depend on the number of threads.
fn search_sample(
    sample: &Sample,
    classes: &Classes,
    row_classes: &[u8],
    quantizer: QuantizerSettings,
    costs: &CostTables,
) -> SearchTotals {
    let feedback = sample.feedback.as_deref();
    let together = if feedback.is_some() { FEEDBACK_ROWS } else { ROWS };
    let rows = sample.values.par_chunks(together * sample.columns);
    let search = |(rows, row_classes): (&[f32], &[u8])| match feedback {
        Some(feedback) => {
            search_with_feedback(rows, feedback, classes, row_classes, quantizer, costs)
        }
        None => search_rows(rows, classes, row_classes, quantizer, costs),
    };
    let parts: Vec<SearchTotals> = rows.zip(row_classes.par_chunks(together)).map(search).collect();
    let mut total = SearchTotals::new(classes);
    for part in parts {
        total.bits += part.bits;
        total.noise += part.noise;
        for (counts, more) in total.counts.iter_mut().zip(&part.counts) {
            counts.merge(more);
        }
    }
    total.noise *= f64::from(quantizer.step).powi(2);
    total
}

/// Searches up to 16 rows; the squared error is in squared steps.
fn search_rows(
    rows: &[f32],
    classes: &Classes,
    row_classes: &[u8],
    quantizer: QuantizerSettings,
    costs: &CostTables,
) -> SearchTotals {
    let columns = rows.len() / row_classes.len();
    let values = search_columns(rows, columns, 1.0 / quantizer.step);
    let starts = starts(classes, row_classes, costs);
    let input = SearchInput { values: &values, costs, starts: &starts, classes: &classes.columns };
    let mut points = vec![[0; ROWS]; columns];
    ViterbiSearch::new(quantizer.trellis, Kernel::best()).run(&input, &mut points);
    let mut totals = SearchTotals::new(classes);
    totals.count(&points, classes, row_classes, quantizer, costs);
    for (points, values) in points.iter().zip(&values) {
        for (&point, value) in points.iter().zip(values).take(row_classes.len()) {
            totals.noise += f64::from((value - f32::from(point)).powi(2));
        }
    }
    totals
}

/// Searches rows with feedback of errors; the squared error is that of outputs, in squared steps.
fn search_with_feedback(
    rows: &[f32],
    feedback: &Feedback,
    classes: &Classes,
    row_classes: &[u8],
    quantizer: QuantizerSettings,
    costs: &CostTables,
) -> SearchTotals {
    let columns = rows.len() / row_classes.len();
    let parts = rows.chunks(ROWS * columns).zip(row_classes.chunks(ROWS));
    let group = |(rows, row_classes): (&[f32], &[u8])| {
        let values = search_columns(rows, columns, 1.0 / quantizer.step);
        RowGroup::new(values, starts(classes, row_classes, costs), row_classes.len())
    };
    let mut groups: Vec<RowGroup> = parts.map(group).collect();
    let search = FeedbackSearch::new(feedback, quantizer.trellis, Kernel::best());
    search.run(&mut groups, costs, &classes.columns);
    let mut totals = SearchTotals::new(classes);
    for (group, row_classes) in groups.iter().zip(row_classes.chunks(ROWS)) {
        totals.count(&group.points, classes, row_classes, quantizer, costs);
        totals.noise += group.cost;
    }
    totals.noise -= f64::from(quantizer.lambda) * totals.bits;
    totals
}

/// By class of column and row: the start of the cost table. Missing rows have class 0.
fn starts(classes: &Classes, row_classes: &[u8], costs: &CostTables) -> Vec<[u32; ROWS]> {
    let class = |row| row_classes.get(row).copied().unwrap_or(0);
    let lane_classes: [u8; ROWS] = std::array::from_fn(class);
    classes.of_profiles(&lane_classes, |profile| costs.start(profile.into())).to_vec()
}

/// The cost of lattice points with each profile: λ times their bits.
fn profile_costs(profiles: &[MagnitudeDistribution], quantizer: QuantizerSettings) -> CostTables {
    let alphabets = quantizer.alphabets();
    let bits = |profile| {
        let tables =
            alphabets.map(|alphabet| MagnitudeDistribution::frequencies(profile, alphabet));
        move |point: i32| {
            let half = quantizer.trellis.half(point);
            let k = quantizer.trellis.index(point);
            profile.bits(&tables[half], alphabets[half], k) + quantizer.bypass as f32
        }
    };
    CostTables::new(260 << quantizer.bypass, profiles.iter().map(bits), quantizer.lambda)
}

/// The cost of lattice points with each profile of a tensor.
pub(super) fn costs(reconstruction: &Reconstruction, lambda: f32) -> CostTables {
    let parameters = &reconstruction.parameters;
    let (trellis, bypass, step) = (parameters.trellis, parameters.bypass, parameters.step);
    profile_costs(&parameters.profiles, QuantizerSettings { trellis, bypass, step, lambda })
}
