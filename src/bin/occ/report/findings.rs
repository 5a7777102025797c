//! What was found in a model, in words that follow the numbers.

use crate::numbers::{grouped, percent, raised, short};
use occ::Coordinates;
use occ::analysis::{Analysis, CoordinateSummary, MatrixAnalysis, SUMMARY_COORDINATES};

/// Sentences for the top of the page; none without matrices.
pub fn sentences(analysis: &Analysis) -> Vec<String> {
    let summary = |wanted| analysis.coordinates.iter().find(|found| found.coordinates == wanted);
    let regimes = SUMMARY_COORDINATES.map(summary);
    let [Some(original), Some(flattened), Some(concentrated)] = regimes else { return Vec::new() };
    let single = analysis.matrices.len() == 1;
    let mut all = vec![outliers(single, original, flattened)];
    all.extend(spread_both_ways(analysis, original));
    all.extend(rates(analysis, original, flattened, concentrated));
    if !single {
        all.extend(alignment(analysis));
        all.push(structure(&analysis.matrices));
    }
    all.push(energy(&analysis.matrices));
    all
}

/// How far peaks must fall for outliers to be said to come from the axes.
const FALLS: f64 = 0.7;

fn outliers(single: bool, original: &CoordinateSummary, flattened: &CoordinateSummary) -> String {
    let (before, after) = (original.worst_peak_to_rms, flattened.worst_peak_to_rms);
    let claim = if after < FALLS * before { "Outliers belong to the axes: the" } else { "The" };
    let (worst_before, worst_after) = (short(before), short(after));
    if single {
        return format!(
            "{claim} largest weight is {worst_before} times the root mean square. Hadamard \
             matrices over blocks of columns make that {worst_after}.",
        );
    }
    format!(
        "{claim} largest weight is {} times the root mean square in the median matrix, \
         {worst_before} times in the worst ({}). Hadamard matrices over blocks of columns make \
         that {} and {worst_after}.",
        short(original.median_peak_to_rms),
        original.worst_matrix.escape_debug(),
        short(flattened.median_peak_to_rms),
    )
}

/// How far a rotation of columns can go at most, as it keeps the energy of a block, and what mixing
/// rows adds.
fn spread_both_ways(analysis: &Analysis, original: &CoordinateSummary) -> Option<String> {
    let worst = analysis.matrices.iter().find(|matrix| matrix.name == original.worst_matrix)?;
    let hadamard = worst.in_coordinates(Coordinates::Hadamard)?;
    let both = worst.in_coordinates(Coordinates::HadamardBothSides)?;
    let floor = original.worst_peak_to_rms / (hadamard.block as f64).sqrt();
    Some(format!(
        "No rotation of {} columns brings a peak below 1/√{} of itself: {} in the worst matrix, \
         where Hadamard matrices leave {}. Mixing rows as well leaves {}.",
        hadamard.block,
        hadamard.block,
        short(floor),
        short(hadamard.outliers.peak_to_rms),
        short(both.outliers.peak_to_rms),
    ))
}

/// Rates that differ by less are called the same.
const SAME: f64 = 0.002;

fn rates(
    analysis: &Analysis,
    original: &CoordinateSummary,
    flattened: &CoordinateSummary,
    concentrated: &CoordinateSummary,
) -> Option<String> {
    let before = original.coded_bits?;
    let change = |regime: &CoordinateSummary| {
        let change = regime.coded_bits? / before - 1.0;
        Some(match change {
            _ if change.abs() < SAME => "changes nothing".to_owned(),
            _ if change < 0.0 => format!("saves {}", percent(-change)),
            _ => format!("costs {} more", percent(change)),
        })
    };
    Some(format!(
        "At {} dB the matrices take {before:.3} bits a weight as they are: flattening {}, \
         alignment {}.",
        analysis.snr_db,
        change(flattened)?,
        change(concentrated)?,
    ))
}

/// Bits a weight that a matrix takes as it is and aligned, the storage of axes counted.
fn by_alignment(matrix: &MatrixAnalysis) -> Option<(f64, f64)> {
    let bits = |system| Some(matrix.in_coordinates(system)?.rates.coded?.bits);
    Some((bits(Coordinates::Identity)?, bits(Coordinates::Klt)?))
}

/// The matrix that alignment saves most, and what it takes as it is and aligned.
pub fn best_aligned(analysis: &Analysis) -> Option<(&MatrixAnalysis, f64, f64)> {
    let all = analysis.matrices.iter().filter_map(|matrix| {
        let (original, aligned) = by_alignment(matrix)?;
        Some((matrix, original, aligned))
    });
    let best = all.max_by(|a, b| (a.1 - a.2).total_cmp(&(b.1 - b.2)))?;
    (best.1 > best.2).then_some(best)
}

fn alignment(analysis: &Analysis) -> Option<String> {
    let coded = analysis.matrices.iter().filter_map(by_alignment);
    let helped = coded.clone().filter(|(original, aligned)| aligned < original).count();
    let coded = coded.count();
    let Some((matrix, original, aligned)) = best_aligned(analysis) else {
        return (coded > 0).then(|| {
            "No matrix takes less along its principal axes, their own storage counted.".to_owned()
        });
    };
    Some(format!(
        "{} of {} matrices take less along their principal axes, whose storage is counted; most \
         of all {}: {original:.3} bits as it is, {aligned:.3} aligned.",
        grouped(helped as u64),
        grouped(coded as u64),
        matrix.name.escape_debug(),
    ))
}

fn structure(matrices: &[MatrixAnalysis]) -> String {
    let stand_out = matrices.iter().filter(|matrix| matrix.spectrum.above_threshold > 0);
    let mut shares: Vec<f64> = matrices.iter().map(|matrix| matrix.spectrum.energy_above).collect();
    shares.sort_unstable_by(f64::total_cmp);
    format!(
        "{} of {} matrices have singular values larger than those of noise; they hold {} of the \
         energy in the median, {} at most.",
        grouped(stand_out.count() as u64),
        grouped(matrices.len() as u64),
        percent(shares.get(shares.len() / 2).copied().unwrap_or(0.0)),
        percent(shares.last().copied().unwrap_or(0.0)),
    )
}

/// That the systems are orthogonal.
fn energy(matrices: &[MatrixAnalysis]) -> String {
    let norms = |matrix: &MatrixAnalysis| {
        let norms: Vec<f64> = matrix.coordinates.iter().map(|found| found.outliers.norm).collect();
        let original = norms.first().copied().unwrap_or(0.0);
        let apart = norms.iter().fold(0f64, |most, norm| most.max((norm - original).abs()));
        if original > 0.0 { apart / original } else { 0.0 }
    };
    let most = matrices.iter().map(norms).fold(0.0, f64::max);
    match most {
        0.0 => "All systems give every matrix the same norm.".to_owned(),
        _ => {
            let power = raised(most.log10().ceil() as i32);
            format!("All systems give every matrix the same norm, to within 10{power} of it.")
        }
    }
}
