//! Training of profiles: the frequency tables of lattice points.

use super::class_training::row_classes;
use super::magnitude_counts::{CountTables, ESCAPED, round_signed};
use super::row_classifier::RowClassifier;
use super::sample::Sample;
use super::search_input::{MAX_COORDINATE, search_columns};
use crate::arch::Kernel;
use crate::codec::entropy::{Alphabet, MagnitudeCounts, MagnitudeDistribution};
use crate::codec::quantizer::{
    CostTables, Feedback, FeedbackSearch, ROWS, RowGroup, SearchInput, Trellis, ViterbiSearch,
};
use crate::codec::trellis::classes::Classes;
use crate::codec::trellis::parameters::MAX_BYPASS;
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
    /// The magnitude of a point that determines its code length; [`ESCAPED`] for points without a
    /// symbol. It is that of [`Alphabet::magnitude_of`].
    #[inline]
    fn magnitude(self, point: i16) -> u8 {
        let point = i32::from(point);
        let symbols = -127..=127;
        let k = if self.trellis.is_scalar() { point } else { point >> 1 };
        let q = k >> self.bypass;
        let magnitude = match self.bypass {
            0 => point.abs(),
            _ => q ^ (q >> 31),
        };
        if symbols.contains(&q) { magnitude as u8 } else { ESCAPED }
    }

    fn alphabets(self) -> [Alphabet; 2] {
        alphabets(self.trellis, self.bypass)
    }
}

/// The settings of the quantiser with the bypass bits that need the fewest bits in total: with more of
/// them fewer integers are escaped, but small integers take more bits. O(n) for n weights of the
/// sample if none is escaped without bypass bits.
pub(super) fn quantizer_settings(
    sample: &Sample,
    classes: &Classes,
    classifier: &RowClassifier,
    trellis: Trellis,
    step: f32,
    lambda: f32,
) -> QuantizerSettings {
    let settings = |bypass| QuantizerSettings { trellis, bypass, step, lambda };
    let subset_step = trellis.subset_step(step);
    let largest = sample.values.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let escapes = |bypass: u32| largest / subset_step >= (LARGEST << bypass) as f32;
    // The fewest bypass bits without escapes.
    let most = (0..MAX_BYPASS).find(|&bypass| !escapes(bypass)).unwrap_or(MAX_BYPASS);
    if most == 0 {
        return settings(0);
    }
    let row_classes = row_classes(sample, classes, classifier);
    let cost = |&bypass: &u32| -> f64 {
        let quantizer = settings(bypass);
        let counts = first_counts(sample, classes, &row_classes, quantizer);
        let profiles = profiles(&counts, quantizer);
        profiles.iter().zip(&counts).map(|(profile, counts)| bits(profile, counts, quantizer)).sum()
    };
    let costs = (0..=most).map(|bypass| (cost(&bypass), bypass));
    let best = costs.min_by(|a, b| a.0.total_cmp(&b.0));
    settings(best.map_or(most, |(_, bypass)| bypass))
}

/// Integers that the search may choose without an escape, a few below the largest one with a symbol.
const LARGEST: u32 = 110;

/// Profiles trained on a sample, with the bits and the squared error of the points of the last search,
/// both per weight.
pub(super) struct TrainedProfiles {
    pub(super) profiles: Vec<MagnitudeDistribution>,
    pub(super) bits: f64,
    pub(super) noise: f64,
}

/// Entropy-constrained training of profiles (Chou, Lookabaugh and Gray, 1989): searches a sample,
/// trains the profiles on the result, and repeats this `passes` times. O(passes · n · states) for n
/// weights of the sample.
pub(super) fn train(
    sample: &Sample,
    classes: &Classes,
    classifier: &RowClassifier,
    quantizer: QuantizerSettings,
    passes: u32,
) -> TrainedProfiles {
    let row_classes = row_classes(sample, classes, classifier);
    let mut counts = first_counts(sample, classes, &row_classes, quantizer);
    let mut noise = 0.0;
    for _ in 0..passes.max(1) {
        let costs = profile_costs(&profiles(&counts, quantizer), quantizer);
        let totals = search_sample(sample, classes, &row_classes, quantizer, &costs);
        (counts, noise) = (totals.counts, totals.noise);
    }
    let profiles = profiles(&counts, quantizer);
    let bits: f64 = profiles
        .iter()
        .zip(&counts)
        .map(|(profile, counts)| bits(profile, counts, quantizer))
        .sum();
    let weights = sample.values.len().max(1) as f64;
    TrainedProfiles { profiles, bits: bits / weights, noise: noise / weights }
}

/// The code length of counted magnitudes in bits.
fn bits(
    profile: &MagnitudeDistribution,
    counts: &MagnitudeCounts,
    quantizer: QuantizerSettings,
) -> f64 {
    let alphabets = quantizer.alphabets();
    let tables = alphabets.map(|alphabet| profile.frequencies(alphabet));
    let counts = counts.0.iter().enumerate().filter(|(_, count)| **count > 0);
    let bits = counts.map(|(magnitude, &count)| {
        // With bypass bits both cosets have the same table.
        let (coset, k) = match (quantizer.bypass, quantizer.trellis.is_scalar()) {
            (0, true) => (0, magnitude),
            (0, false) => (magnitude % 2, magnitude / 2),
            (bypass, _) => (0, magnitude << bypass),
        };
        let bits = profile.bits(&tables[coset], alphabets[coset], k as i32);
        count as f64 * f64::from(bits + quantizer.bypass as f32)
    });
    bits.sum()
}

/// Magnitude counts after rounding to the nearest lattice points.
fn first_counts(
    sample: &Sample,
    classes: &Classes,
    row_classes: &[u8],
    quantizer: QuantizerSettings,
) -> Vec<MagnitudeCounts> {
    let mut counts = CountTables::new(classes.profile_count());
    let inverse = 1.0 / quantizer.step;
    let mut magnitudes = vec![0; sample.columns];
    for (row, &row_class) in sample.rows().zip(row_classes) {
        for (magnitude, x) in magnitudes.iter_mut().zip(row) {
            let point = (x * inverse).clamp(-MAX_COORDINATE, MAX_COORDINATE);
            *magnitude = quantizer.magnitude(round_signed(point));
        }
        counts.add_row(&magnitudes, &classes.columns, |class| classes.profile_of(row_class, class));
    }
    counts.totals()
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

/// Counts and squared error of searched rows.
struct SearchTotals {
    counts: Vec<MagnitudeCounts>,
    noise: f64,
}

/// Magnitude counts of the points of up to 16 rows.
fn count_points(
    points: &[[i16; ROWS]],
    classes: &Classes,
    row_classes: &[u8],
    quantizer: QuantizerSettings,
) -> Vec<MagnitudeCounts> {
    let mut counts = CountTables::new(classes.profile_count());
    let mut lanes = [0; ROWS];
    lanes[..row_classes.len()].copy_from_slice(row_classes);
    let profiles = classes.of_profiles(&lanes, |profile| profile);
    for (column, points) in points.iter().enumerate() {
        let magnitudes = points.map(|point| quantizer.magnitude(point));
        let profiles = profiles[usize::from(classes.of_column(column))];
        counts.add_each(&magnitudes[..row_classes.len()], profiles.into_iter());
    }
    counts.totals()
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
    let counts = vec![MagnitudeCounts::default(); classes.profile_count()];
    let mut total = SearchTotals { counts, noise: 0.0 };
    for part in parts {
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
    let counts = count_points(&points, classes, row_classes, quantizer);
    let mut noise = 0.0;
    for (points, values) in points.chunks(SUMMED_COLUMNS).zip(values.chunks(SUMMED_COLUMNS)) {
        let mut sums = [0f32; ROWS];
        for (points, values) in points.iter().zip(values) {
            for ((sum, &point), value) in sums.iter_mut().zip(points).zip(values) {
                *sum += (value - f32::from(point)).powi(2);
            }
        }
        noise += f64::from(sums[..row_classes.len()].iter().sum::<f32>());
    }
    SearchTotals { counts, noise }
}

/// Columns whose squared errors are summed in single precision.
const SUMMED_COLUMNS: usize = 64;

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
    let counts = vec![MagnitudeCounts::default(); classes.profile_count()];
    let mut totals = SearchTotals { counts, noise: 0.0 };
    for (group, row_classes) in groups.iter().zip(row_classes.chunks(ROWS)) {
        let counts = count_points(&group.points, classes, row_classes, quantizer);
        totals.counts.iter_mut().zip(&counts).for_each(|(sum, counts)| sum.merge(counts));
        totals.noise += group.cost;
        // The cost of a group is that of errors and bits.
        let starts = starts(classes, row_classes, costs);
        for (column, points) in group.points.iter().enumerate() {
            let starts = &starts[usize::from(classes.of_column(column))];
            for (&point, &start) in points.iter().zip(starts).take(row_classes.len()) {
                totals.noise -= f64::from(costs.of(start, point.into()));
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_of_points_are_those_of_their_alphabets() {
        for states_log2 in [0, 3] {
            for bypass in [0, 1, 5] {
                let trellis = Trellis::new(states_log2).unwrap();
                let quantizer = QuantizerSettings { trellis, bypass, step: 1.0, lambda: 0.1 };
                let alphabets = quantizer.alphabets();
                for point in -9000..9000i16 {
                    let (half, k) = (trellis.half(point.into()), trellis.index(point.into()));
                    let expected = alphabets[half].magnitude_of(k);
                    assert_eq!(usize::from(quantizer.magnitude(point)), expected, "{point}");
                }
            }
        }
    }
}
