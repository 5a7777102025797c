//! What the tables of a tensor are made of: classes and profiles, from a sample of its rows.

use super::classes::{Classes, MAX_CLASS, MAX_PROFILES};
use super::encoder::{MAX_SEARCHED, by_column};
use super::reconstruction::{Model, alphabets};
use super::row_table::RowTable;
use crate::arch::Kernel;
use crate::codec::entropy::{Alphabet, MAX_MAGNITUDE, MagnitudeCounts, MagnitudeDistribution};
use crate::codec::quantizer::{CostTables, ROWS, SearchInput, Trellis, ViterbiSearch};
use rayon::prelude::*;

/// Rows of a tensor in its coordinates.
pub(super) struct Sample {
    pub(super) columns: usize,
    /// Row by row.
    pub(super) values: Vec<f32>,
    /// Rows of the whole tensor for each one here.
    pub(super) weight: f64,
}

impl Sample {
    fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.columns)
    }

    /// Every so-manieth row from `first` on.
    fn part(&self, first: usize, stride: usize) -> Self {
        let rows = self.rows().skip(first).step_by(stride);
        let values: Vec<f32> = rows.flatten().copied().collect();
        let weight = self.weight * self.values.len() as f64 / values.len().max(1) as f64;
        Self { columns: self.columns, values, weight }
    }

    /// As few rows as make this many weights, evenly spread.
    fn thinned(&self, weights: usize) -> Self {
        self.part(0, (self.values.len() / weights.max(1)).max(1))
    }
}

/// Finds a row's class: its deviation, columns made alike, on a logarithmic scale.
#[derive(Clone, Debug, Default)]
pub(super) struct RowClassifier {
    /// One over each column's mean square.
    weights: Vec<f32>,
    /// The logarithm that class 0 begins at, and how many of them make a class.
    base: f32,
    spacing: f32,
}

impl RowClassifier {
    pub(super) fn class(&self, row: &[f32]) -> u8 {
        if self.weights.is_empty() {
            return 0;
        }
        class(self.loudness(row), self.base, self.spacing)
    }

    fn loudness(&self, row: &[f32]) -> f32 {
        let sum: f32 = row.iter().zip(&self.weights).map(|(x, w)| x * x * w).sum();
        0.5 * (sum / row.len().max(1) as f32).max(f32::MIN_POSITIVE).log2()
    }
}

fn class(loudness: f32, base: f32, spacing: f32) -> u8 {
    // NaN and what is below become 0.
    ((loudness - base) / spacing).round().min(f32::from(MAX_CLASS)) as u8
}

/// Logarithms of deviations that make a class: neighbouring classes are a fifth apart.
const SPACING: f32 = 0.25;

/// Which classes a tensor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClassKinds {
    pub(super) rows: bool,
    pub(super) columns: bool,
}

impl ClassKinds {
    pub(super) const ALL: [Self; 4] = [
        Self { rows: false, columns: false },
        Self { rows: true, columns: false },
        Self { rows: false, columns: true },
        Self { rows: true, columns: true },
    ];
}

/// Classes for a sample, of the kinds that cost the least, and about how many bits all rows of
/// the tensor then take, classes and profiles included, when rounded to multiples of `pace`.
///
/// Kinds are judged by rows that classes were not made from: else chance would look like order.
pub(super) fn classify(sample: &Sample, subset_step: f32) -> (Classes, RowClassifier, f64) {
    let half = sample.part(0, 2);
    let other = if sample.rows().len() > 1 { sample.part(1, 2) } else { sample.part(0, 1) };
    let judge = |kinds| (kinds, classes_from(&half, &other, kinds, subset_step).2);
    let judged: Vec<_> = ClassKinds::ALL.into_par_iter().map(judge).collect();
    let best = judged.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let (kinds, bits) = best.unwrap_or_else(|| unreachable!("there are kinds"));
    let (classes, classifier, _) = classes_from(sample, sample, kinds, subset_step);
    (classes, classifier, bits)
}

/// Classes made from one sample, and their bits in another.
fn classes_from(
    sample: &Sample,
    judge: &Sample,
    kinds: ClassKinds,
    subset_step: f32,
) -> (Classes, RowClassifier, f64) {
    let columns = sample.columns;
    let mut squares = vec![0.0f32; columns];
    for row in sample.rows() {
        squares.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * x);
    }
    let rows = sample.rows().len().max(1) as f32;
    // Columns far below the pace are all alike: nothing of them is left.
    let floor = (0.15 * subset_step).powi(2);
    let mean_squares = || squares.iter().map(|sum| (sum / rows).max(floor));
    let mut classes = Classes::none();
    let mut weights = vec![1.0f32; columns];
    if kinds.columns {
        let loudness: Vec<f32> = mean_squares().map(|square| 0.5 * square.log2()).collect();
        let (base, spacing) = scale(&loudness);
        classes.columns = loudness.iter().map(|&l| class(l, base, spacing)).collect();
        weights = mean_squares().map(|square| 1.0 / square).collect();
    }
    let mut classifier = RowClassifier { weights, base: 0.0, spacing: SPACING };
    if kinds.rows {
        let loudness: Vec<f32> = sample.rows().map(|row| classifier.loudness(row)).collect();
        (classifier.base, classifier.spacing) = scale(&loudness);
        let row_classes: Vec<u8> = sample.rows().map(|row| classifier.class(row)).collect();
        classes.rows = Some(RowTable::new(&row_classes));
    } else {
        classifier.weights.clear();
    }
    let bits = assign_profiles(judge, &mut classes, &classifier, subset_step);
    (classes, classifier, bits)
}

/// Where classes begin and how wide they are, so that all but the quietest fit.
fn scale(loudness: &[f32]) -> (f32, f32) {
    let mut sorted = loudness.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let at = |quantile: f32| sorted[((sorted.len() - 1) as f32 * quantile) as usize];
    let (low, high) = (at(0.002), at(0.998));
    let spacing = ((high - low) / f32::from(MAX_CLASS)).max(SPACING);
    (low, spacing)
}

/// Lets sums of classes share profiles where that costs less.
fn assign_profiles(
    sample: &Sample,
    classes: &mut Classes,
    classifier: &RowClassifier,
    subset_step: f32,
) -> f64 {
    let row_classes = row_classes(sample, classes, classifier);
    let sums = classes.profiles.len();
    let mut counts = vec![MagnitudeCounts::default(); sums];
    let inverse = 1.0 / subset_step;
    for (row, &row_class) in sample.rows().zip(&row_classes) {
        for (column, x) in row.iter().enumerate() {
            let magnitude = (x.abs() * inverse + 0.45) as usize;
            counts[usize::from(row_class + classes.of_column(column))].add(magnitude);
        }
    }
    // Each group of neighbouring sums: the last of them, its counts, and its bits.
    let group = |last: usize, counts: MagnitudeCounts| {
        let bits = table_bits(&counts, sample.weight);
        (last, counts, bits)
    };
    let present = counts.into_iter().enumerate().filter(|(_, counts)| counts.total() > 0);
    let mut groups: Vec<_> = present.map(|(sum, counts)| group(sum, counts)).collect();
    loop {
        let merged = groups.windows(2).enumerate().map(|(at, pair)| {
            let mut counts = pair[0].1.clone();
            counts.merge(&pair[1].1);
            let merged = group(pair[1].0, counts);
            (pair[0].2 + pair[1].2 - merged.2, at, merged)
        });
        let best = merged.max_by(|a, b| a.0.total_cmp(&b.0));
        match best {
            Some((saved, at, merged)) if saved > 0.0 || groups.len() > MAX_PROFILES => {
                groups[at] = merged;
                groups.remove(at + 1);
            }
            _ => break,
        }
    }
    let mut profile = 0;
    for (sum, number) in classes.profiles.iter_mut().enumerate() {
        while profile + 1 < groups.len() && sum > groups[profile].0 {
            profile += 1;
        }
        *number = profile as u8;
    }
    let rows = row_classes.len() as f64 * sample.weight;
    let side = class_bits(&row_classes) * rows + column_bits(&classes.columns);
    groups.iter().map(|group| group.2).sum::<f64>() + side
}

fn row_classes(sample: &Sample, classes: &Classes, classifier: &RowClassifier) -> Vec<u8> {
    let class = |row: &[f32]| match &classes.rows {
        Some(table) => table.nearest(classifier.class(row)),
        None => 0,
    };
    sample.rows().map(class).collect()
}

/// Bits that magnitudes and signs with these counts take, weighted, and their profile.
fn table_bits(counts: &MagnitudeCounts, weight: f64) -> f64 {
    let total = counts.total() as f64;
    let mut bits = 0.0;
    let mut distinct = 0;
    for (magnitude, &count) in counts.0.iter().enumerate().filter(|(_, count)| **count > 0) {
        let count = count as f64;
        bits += count * ((total / count).log2() + f64::from(u8::from(magnitude > 0)));
        distinct += 1;
        if magnitude > MAX_MAGNITUDE {
            bits += count * 16.0;
        }
    }
    bits * weight + 30.0 + 5.0 * f64::from(distinct)
}

/// Bits of one class among these.
fn class_bits(classes: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    classes.iter().for_each(|&class| counts[usize::from(class)] += 1);
    let total = classes.len() as f64;
    let bits = counts.iter().filter(|&&count| count > 0).map(|&count| {
        let share = f64::from(count) / total;
        -share * share.log2()
    });
    bits.sum()
}

fn column_bits(columns: &[u8]) -> f64 {
    if columns.is_empty() {
        return 0.0;
    }
    let steps: Vec<u8> = std::iter::once(&0)
        .chain(columns)
        .zip(columns)
        .map(|(&before, &class)| class.wrapping_sub(before))
        .collect();
    (class_bits(&steps) + 0.3) * columns.len() as f64
}

/// How a sample is quantised.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantiser {
    pub(super) trellis: Trellis,
    pub(super) bypass: u32,
    pub(super) step: f32,
    /// What a bit is worth, in squared steps.
    pub(super) lambda: f32,
}

impl Quantiser {
    fn alphabets(self) -> [Alphabet; 2] {
        alphabets(self.trellis, self.bypass)
    }

    /// Low bits to store apart, so that symbols reach all but a few values.
    pub(super) fn bypass_for(sample: &Sample, trellis: Trellis, step: f32) -> u32 {
        let subset_step = trellis.subset_step(step);
        let mut beyond = [0u32; 9];
        for x in &sample.values {
            let k = (x.abs() / subset_step) as u32;
            for (bypass, count) in beyond.iter_mut().enumerate() {
                *count += u32::from(k >> bypass > 110);
            }
        }
        let few = sample.values.len() as f32 * 4e-4;
        beyond.iter().position(|&count| count as f32 <= few).unwrap_or(8) as u32
    }
}

/// The profiles that suit a sample, found by searching it over and over; bits and squared error
/// of the last search, a weight.
pub(super) struct Trained {
    pub(super) profiles: Vec<MagnitudeDistribution>,
    pub(super) bits: f64,
    pub(super) noise: f64,
}

/// Searches about `weights` weights of a sample `passes` times, with the tables of the time before.
pub(super) fn train(
    sample: &Sample,
    classes: &Classes,
    classifier: &RowClassifier,
    quantiser: Quantiser,
    passes: u32,
    weights: usize,
) -> Trained {
    let sample = &sample.thinned(weights);
    let row_classes = row_classes(sample, classes, classifier);
    let mut counts = first_counts(sample, classes, &row_classes, quantiser);
    let mut trained = None;
    for _ in 0..passes.max(1) {
        let profiles = profiles(&counts, quantiser);
        let costs = profile_costs(&profiles, quantiser);
        let found = search_sample(sample, classes, &row_classes, quantiser, &costs);
        let weights = sample.values.len().max(1) as f64;
        let (noise, bits) = (found.noise / weights, found.bits / weights);
        counts = found.counts;
        trained = Some(Trained { profiles, bits, noise });
    }
    let Trained { bits, noise, .. } = trained.unwrap_or_else(|| unreachable!("one pass at least"));
    Trained { profiles: profiles(&counts, quantiser), bits, noise }
}

/// Counts after plain rounding.
fn first_counts(
    sample: &Sample,
    classes: &Classes,
    row_classes: &[u8],
    quantiser: Quantiser,
) -> Vec<MagnitudeCounts> {
    let mut counts = vec![MagnitudeCounts::default(); classes.profile_count()];
    let (inverse, alphabets) = (1.0 / quantiser.step, quantiser.alphabets());
    for (row, &row_class) in sample.rows().zip(row_classes) {
        for (column, x) in row.iter().enumerate() {
            let point = (x * inverse).clamp(-MAX_SEARCHED, MAX_SEARCHED).round() as i32;
            let k = quantiser.trellis.index(point);
            let half = if quantiser.trellis.is_scalar() { 0 } else { point & 1 };
            let profile = classes.profile(row_class, column);
            counts[usize::from(profile)].add(alphabets[half as usize].magnitude_of(k));
        }
    }
    counts
}

fn profiles(counts: &[MagnitudeCounts], quantiser: Quantiser) -> Vec<MagnitudeDistribution> {
    let by_parity = !quantiser.trellis.is_scalar() && quantiser.bypass == 0;
    let mirrored = quantiser.bypass > 0;
    counts
        .iter()
        .map(|counts| MagnitudeDistribution::from_counts(counts, mirrored, by_parity))
        .collect()
}

struct Found {
    counts: Vec<MagnitudeCounts>,
    bits: f64,
    noise: f64,
}

impl Found {
    fn new(classes: &Classes) -> Self {
        let counts = vec![MagnitudeCounts::default(); classes.profile_count()];
        Self { counts, bits: 0.0, noise: 0.0 }
    }
}

/// Searches a sample, 16 rows at a time, in parallel; sums are added up in their order.
fn search_sample(
    sample: &Sample,
    classes: &Classes,
    row_classes: &[u8],
    quantiser: Quantiser,
    costs: &CostTables,
) -> Found {
    let rows = sample.values.par_chunks(ROWS * sample.columns).zip(row_classes.par_chunks(ROWS));
    let found: Vec<Found> = rows
        .map(|(rows, row_classes)| search_rows(rows, classes, row_classes, quantiser, costs))
        .collect();
    let mut total = Found::new(classes);
    for found in found {
        total.bits += found.bits;
        total.noise += found.noise;
        for (counts, more) in total.counts.iter_mut().zip(&found.counts) {
            counts.merge(more);
        }
    }
    total.noise *= f64::from(quantiser.step).powi(2);
    total
}

/// Searches up to 16 rows; the squared error is in steps.
fn search_rows(
    rows: &[f32],
    classes: &Classes,
    row_classes: &[u8],
    quantiser: Quantiser,
    costs: &CostTables,
) -> Found {
    let (columns, alphabets) = (rows.len() / row_classes.len(), quantiser.alphabets());
    let values = by_column(rows, columns, 1.0 / quantiser.step);
    // Beyond the last row there are zeros, of any class.
    let class = |row| row_classes.get(row).copied().unwrap_or(0);
    let all: [u8; ROWS] = std::array::from_fn(class);
    let starts = classes.of_profiles(&all, |profile| costs.start(profile.into()));
    let task = SearchInput { values: &values, costs, starts: &starts, classes: &classes.columns };
    let mut points = vec![[0; ROWS]; columns];
    ViterbiSearch::new(quantiser.trellis, Kernel::best()).run(&task, &mut points);
    let mut found = Found::new(classes);
    for (column, (points, values)) in points.iter().zip(&values).enumerate() {
        for (row, &row_class) in row_classes.iter().enumerate() {
            let point = i32::from(points[row]);
            let half = if quantiser.trellis.is_scalar() { 0 } else { point & 1 };
            let k = quantiser.trellis.index(point);
            let profile = usize::from(classes.profile(row_class, column));
            found.counts[profile].add(alphabets[half as usize].magnitude_of(k));
            found.bits += f64::from(costs.of(costs.start(profile), point) / quantiser.lambda);
            found.noise += f64::from((values[row] - point as f32).powi(2));
        }
    }
    found
}

/// What lattice points cost by each profile, λ times their bits.
fn profile_costs(profiles: &[MagnitudeDistribution], quantiser: Quantiser) -> CostTables {
    let alphabets = quantiser.alphabets();
    let scalar = quantiser.trellis.is_scalar();
    let bits = |profile| {
        let tables =
            alphabets.map(|alphabet| MagnitudeDistribution::frequencies(profile, alphabet));
        move |point: i32| {
            let half = if scalar { 0 } else { (point & 1) as usize };
            let k = quantiser.trellis.index(point);
            profile.bits(&tables[half], alphabets[half], k) + quantiser.bypass as f32
        }
    };
    CostTables::new(260 << quantiser.bypass, profiles.iter().map(bits), quantiser.lambda)
}

/// What lattice points cost by each profile of a model.
pub(super) fn costs(model: &Model, lambda: f32) -> CostTables {
    let parameters = &model.parameters;
    let (trellis, bypass, step) = (parameters.trellis, parameters.bypass, parameters.step);
    profile_costs(&parameters.profiles, Quantiser { trellis, bypass, step, lambda })
}
