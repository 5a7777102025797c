//! Training of row and column classes, and the assignment of profiles to them.

use super::row_classifier::{MIN_SPACING, RowClassifier, class, class_range};
use super::sample::Sample;
use crate::codec::entropy::{MAX_MAGNITUDE, MagnitudeCounts};
use crate::codec::trellis::classes::Classes;
use crate::codec::trellis::row_table::RowTable;
use rayon::prelude::*;

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

/// The classes of the layout with the least cost, and the estimated bits of all rows of the tensor,
/// classes and profiles included, when coordinates are rounded to multiples of `subset_step`.
///
/// Layouts are compared on rows that the classes were not trained with, which avoids overfitting.
pub(super) fn classify(sample: &Sample, subset_step: f32) -> (Classes, RowClassifier, f64) {
    let training = sample.part(0, 2);
    let validation = if sample.rows().len() > 1 { sample.part(1, 2) } else { sample.part(0, 1) };
    let evaluate = |layout| (layout, classes_from(&training, &validation, layout, subset_step).2);
    let evaluated: Vec<_> = ClassLayout::ALL.into_par_iter().map(evaluate).collect();
    let best = evaluated.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
    let (layout, bits) = best.unwrap_or_else(|| unreachable!("there are four layouts"));
    let (classes, classifier, _) = classes_from(sample, sample, layout, subset_step);
    (classes, classifier, bits)
}

/// Classes trained with one sample, and their bits in another.
fn classes_from(
    sample: &Sample,
    validation: &Sample,
    layout: ClassLayout,
    subset_step: f32,
) -> (Classes, RowClassifier, f64) {
    let columns = sample.columns;
    let mut squares = vec![0.0f32; columns];
    for row in sample.rows() {
        squares.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * x);
    }
    let rows = sample.rows().len().max(1) as f32;
    // Columns far below the step round to 0: they need no classes of their own.
    let floor = (0.15 * subset_step).powi(2);
    let mean_squares = || squares.iter().map(|sum| (sum / rows).max(floor));
    let mut classes = Classes::none();
    let mut weights = vec![1.0f32; columns];
    if layout.columns {
        let log2_rms: Vec<f32> = mean_squares().map(|square| 0.5 * square.log2()).collect();
        let (base, spacing) = class_range(&log2_rms);
        classes.columns = log2_rms.iter().map(|&l| class(l, base, spacing)).collect();
        weights = mean_squares().map(|square| 1.0 / square).collect();
    }
    let mut classifier = RowClassifier { weights, base: 0.0, spacing: MIN_SPACING };
    if layout.rows {
        let log2_rms: Vec<f32> = sample.rows().map(|row| classifier.log2_rms(row)).collect();
        (classifier.base, classifier.spacing) = class_range(&log2_rms);
        let row_classes: Vec<u8> = sample.rows().map(|row| classifier.class(row)).collect();
        classes.rows = Some(RowTable::new(&row_classes));
    } else {
        classifier.weights.clear();
    }
    let bits = assign_profiles(validation, &mut classes, &classifier, subset_step);
    (classes, classifier, bits)
}

/// Merges the profiles of neighbouring sums of classes while that saves bits, the best pair first.
/// Returns the estimated bits of all rows of the tensor. O(sample + sums² · magnitudes).
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
    // Each group of neighbouring sums: the last sum, the counts, and the bits.
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

/// The class of each row of a sample.
pub(super) fn row_classes(
    sample: &Sample,
    classes: &Classes,
    classifier: &RowClassifier,
) -> Vec<u8> {
    let class = |row: &[f32]| match &classes.rows {
        Some(table) => table.nearest(classifier.class(row)),
        None => 0,
    };
    sample.rows().map(class).collect()
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
