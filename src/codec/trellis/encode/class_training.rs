//! Training of row and column classes, and the assignment of profiles to them.

use super::magnitude_counts::{CountTables, round_magnitude};
use super::row_classifier::{LANES, MIN_SPACING, RowClassifier, class, class_range};
use super::sample::Sample;
use crate::codec::entropy::{MAX_MAGNITUDE, MagnitudeCounts};
use crate::codec::trellis::classes::Classes;
use crate::codec::trellis::row_table::RowTable;

/// The largest number of profiles of a tensor.
const MAX_PROFILES: usize = 16;

/// Whether rows and columns have classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ClassLayout {
    rows: bool,
    columns: bool,
}

impl ClassLayout {
    const ALL: [Self; 4] = [
        Self { rows: false, columns: false },
        Self { rows: true, columns: false },
        Self { rows: false, columns: true },
        Self { rows: true, columns: true },
    ];
}

/// The classes of a sample, and what they take.
pub(super) struct TrainedClasses {
    pub(super) classes: Classes,
    pub(super) classifier: RowClassifier,
    /// The estimated bits of all rows of the tensor, classes and profiles included, when coordinates
    /// are rounded to multiples of the step.
    pub(super) bits: f64,
    /// The mean squared error of the sample with that rounding, in squared steps.
    pub(super) noise: f64,
}

/// Every `stride`-th row of a sample from `first` on.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    stride: usize,
}

impl Part {
    /// All rows.
    const ALL: Self = Self { first: 0, stride: 1 };

    /// These rows of a matrix.
    fn of<T>(self, values: &[T], columns: usize) -> impl Iterator<Item = &[T]> + Clone {
        values.chunks_exact(columns).skip(self.first).step_by(self.stride)
    }
}

/// What magnitudes are lowered by before they are rounded, in steps. The search, too, prefers smaller
/// magnitudes, which take fewer bits.
const DEADZONE: f32 = 0.05;

/// The classes of the layout with the least cost when coordinates are rounded to multiples of
/// `subset_step`.
///
/// Layouts are compared on rows that the classes were not trained with, which avoids overfitting.
/// O(n) for n weights of the sample.
pub(super) fn classify(sample: &Sample, subset_step: f32) -> TrainedClasses {
    let (magnitudes, noise) = round(&sample.values, subset_step);
    let rows = sample.rows().len();
    let (training, validation) = match rows {
        0 | 1 => (Part::ALL, Part::ALL),
        _ => (Part { first: 0, stride: 2 }, Part { first: 1, stride: 2 }),
    };
    let tensor_rows = sample.weight * rows as f64;
    let squares = [training, validation].map(|part| column_squares(sample, part));
    let trainer = |squares| Trainer { sample, squares, subset_step, tensor_rows };
    let trained_on_half = trainer(squares[0].clone());
    let evaluate = |layout: ClassLayout| {
        let (mut classes, classifier) = trained_on_half.train(training, layout);
        let bits = trained_on_half.assign(validation, &magnitudes, &mut classes, &classifier);
        (layout, bits)
    };
    let best = ClassLayout::ALL.map(evaluate).into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let (layout, bits) = best.unwrap_or_else(|| unreachable!("there are four layouts"));
    let trained_on_all = match rows {
        0 | 1 => trained_on_half,
        _ => {
            let [a, b] = &squares;
            trainer(a.iter().zip(b).map(|(a, b)| 0.5 * (a + b)).collect())
        }
    };
    let (mut classes, classifier) = trained_on_all.train(Part::ALL, layout);
    trained_on_all.assign(Part::ALL, &magnitudes, &mut classes, &classifier);
    TrainedClasses { classes, classifier, bits, noise }
}

/// The mean square of coordinates up to which nearly all round to 0: they need no classes of their own.
pub(super) fn rounded_to_zero(subset_step: f32) -> f32 {
    (0.15 * subset_step).powi(2)
}

/// Magnitudes in multiples of a step, and the mean squared error in squared steps. O(n).
fn round(values: &[f32], step: f32) -> (Vec<u8>, f64) {
    let mut magnitudes = vec![0; values.len()];
    let inverse = 1.0 / step;
    let mut squares = 0.0;
    for (values, magnitudes) in values.chunks(LANES * 64).zip(magnitudes.chunks_mut(LANES * 64)) {
        let mut sums = [0f32; LANES];
        for (values, magnitudes) in values.chunks(LANES).zip(magnitudes.chunks_mut(LANES)) {
            for ((sum, &x), magnitude) in sums.iter_mut().zip(values).zip(magnitudes) {
                let scaled = x.abs() * inverse;
                let (byte, rounded) = round_magnitude(scaled - DEADZONE);
                *magnitude = byte;
                // Larger magnitudes are escaped, and rounded as others are.
                let error = if scaled < 255.0 { scaled - rounded } else { 0.5 };
                *sum += error * error;
            }
        }
        squares += f64::from(sums.iter().sum::<f32>());
    }
    (magnitudes, squares / values.len().max(1) as f64)
}

/// The mean square of each column of some rows.
fn column_squares(sample: &Sample, part: Part) -> Vec<f32> {
    let mut squares = vec![0.0f32; sample.columns];
    let mut rows = 0;
    for row in part.of(&sample.values, sample.columns) {
        squares.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * x);
        rows += 1;
    }
    squares.iter_mut().for_each(|sum| *sum /= f32::max(rows as f32, 1.0));
    squares
}

/// Trains the classes of layouts.
struct Trainer<'s> {
    sample: &'s Sample,
    /// The mean squares of columns.
    squares: Vec<f32>,
    subset_step: f32,
    /// The number of rows of the tensor.
    tensor_rows: f64,
}

impl Trainer<'_> {
    /// The classes of a layout, with a single profile.
    fn train(&self, part: Part, layout: ClassLayout) -> (Classes, RowClassifier) {
        let columns = self.sample.columns;
        let floor = rounded_to_zero(self.subset_step);
        let mean_squares = || self.squares.iter().map(|square| square.max(floor));
        let mut classes = Classes::none();
        let mut weights = Vec::new();
        if layout.columns {
            let log2_rms: Vec<f32> = mean_squares().map(|square| 0.5 * square.log2()).collect();
            let (base, spacing) = class_range(&log2_rms);
            classes.columns = log2_rms.iter().map(|&l| class(l, base, spacing)).collect();
            weights = mean_squares().map(|square| 1.0 / square).collect();
        }
        let mut classifier = RowClassifier { weights, base: 0.0, spacing: MIN_SPACING };
        if layout.rows {
            classifier.weights.resize(columns, 1.0);
            let rows = part.of(&self.sample.values, columns);
            let log2_rms: Vec<f32> = rows.map(|row| classifier.log2_rms(row)).collect();
            (classifier.base, classifier.spacing) = class_range(&log2_rms);
            let (base, spacing) = (classifier.base, classifier.spacing);
            let row_classes: Vec<u8> = log2_rms.iter().map(|&l| class(l, base, spacing)).collect();
            classes.rows = Some(RowTable::new(&row_classes));
        } else {
            classifier.weights.clear();
        }
        (classes, classifier)
    }

    /// Assigns profiles to classes by the counts of some rows, whose magnitudes are those of the
    /// sample. Returns the estimated bits of all rows of the tensor. O(part + sums · magnitudes).
    fn assign(
        &self,
        part: Part,
        magnitudes: &[u8],
        classes: &mut Classes,
        classifier: &RowClassifier,
    ) -> f64 {
        let columns = self.sample.columns;
        let rows = part.of(&self.sample.values, columns);
        let row_classes: Vec<u8> = rows.map(|row| row_class(row, classes, classifier)).collect();
        let largest = |classes: &[u8]| usize::from(classes.iter().copied().max().unwrap_or(0));
        let sums = largest(&row_classes) + largest(&classes.columns) + 1;
        let mut counts = CountTables::new(sums);
        for (row, &class) in part.of(magnitudes, columns).zip(&row_classes) {
            counts.add_row(row, &classes.columns, |column_class| class + column_class);
        }
        let weight = self.tensor_rows / row_classes.len().max(1) as f64;
        let side = class_bits(&row_classes) * self.tensor_rows + column_bits(&classes.columns);
        merge_profiles(counts.totals(), weight, &mut classes.profiles) + side
    }
}

/// A group of neighbouring sums of classes that share a profile.
struct Group {
    /// The last sum.
    last: usize,
    counts: MagnitudeCounts,
    bits: f64,
    /// The bits that merging it with the next group saves, and what results.
    merged: Option<(f64, MagnitudeCounts)>,
}

/// Merges the profiles of neighbouring sums of classes while that saves bits, the best pair first.
/// Returns the estimated bits of all magnitudes, each counted `weight` times, and of profiles.
/// O(sums² + sums · magnitudes).
fn merge_profiles(counts: Vec<MagnitudeCounts>, weight: f64, profiles: &mut [u8]) -> f64 {
    let present = counts.into_iter().enumerate().filter(|(_, counts)| counts.total() > 0);
    let group = |(last, counts)| {
        let bits = table_bits(&counts, weight);
        Group { last, counts, bits, merged: None }
    };
    let mut groups: Vec<Group> = present.map(group).collect();
    let merge = |groups: &mut [Group], at: usize| {
        if let [first, second, ..] = &mut groups[at..] {
            let mut counts = first.counts.clone();
            counts.merge(&second.counts);
            first.merged = Some((first.bits + second.bits - table_bits(&counts, weight), counts));
        }
    };
    (0..groups.len()).for_each(|at| merge(&mut groups, at));
    loop {
        let saved = groups.iter().map(|group| group.merged.as_ref().map(|(saved, _)| *saved));
        let pairs = saved.enumerate().filter_map(|(at, saved)| Some((saved?, at)));
        match pairs.max_by(|a, b| a.0.total_cmp(&b.0)) {
            Some((saved, at)) if saved > 0.0 || groups.len() > MAX_PROFILES => {
                let Some((_, counts)) = groups[at].merged.take() else { break };
                let bits = groups[at].bits + groups[at + 1].bits - saved;
                groups[at] = Group { last: groups[at + 1].last, counts, bits, merged: None };
                groups.remove(at + 1);
                merge(&mut groups, at);
                if let Some(before) = at.checked_sub(1) {
                    merge(&mut groups, before);
                }
            }
            _ => break,
        }
    }
    let mut profile = 0;
    for (sum, number) in profiles.iter_mut().enumerate() {
        while profile + 1 < groups.len() && sum > groups[profile].last {
            profile += 1;
        }
        *number = profile as u8;
    }
    groups.iter().map(|group| group.bits).sum()
}

/// The class of each row of a sample.
pub(super) fn row_classes(
    sample: &Sample,
    classes: &Classes,
    classifier: &RowClassifier,
) -> Vec<u8> {
    sample.rows().map(|row| row_class(row, classes, classifier)).collect()
}

fn row_class(row: &[f32], classes: &Classes, classifier: &RowClassifier) -> u8 {
    match &classes.rows {
        Some(table) => table.nearest(classifier.class(row)),
        None => 0,
    }
}

/// Bits of magnitudes and signs with these counts, times `weight`, and of their profile.
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

/// The entropy of classes, in bits a class.
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

/// Bits of the column classes.
fn column_bits(columns: &[u8]) -> f64 {
    if columns.is_empty() {
        return 0.0;
    }
    let differences: Vec<u8> = std::iter::once(&0)
        .chain(columns)
        .zip(columns)
        .map(|(&before, &class)| class.wrapping_sub(before))
        .collect();
    (class_bits(&differences) + 0.3) * columns.len() as f64
}
