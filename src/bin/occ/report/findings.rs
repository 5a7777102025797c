//! The results of an analysis in sentences.

use crate::numbers::{grouped, percent, short, superscript};
use occ::Coordinates;
use occ::analysis::{Analysis, CoordinateSummary, MatrixAnalysis, SUMMARY_COORDINATES};

/// The main results; empty without matrices.
pub fn sentences(analysis: &Analysis) -> Vec<String> {
    let summary = |coordinates| {
        analysis.coordinates.iter().find(|summary| summary.coordinates == coordinates)
    };
    let summaries = SUMMARY_COORDINATES.map(summary);
    let [Some(identity), Some(hadamard), Some(klt)] = summaries else { return Vec::new() };
    let single = analysis.matrices.len() == 1;
    let mut all = vec![outliers(single, identity, hadamard)];
    all.extend(rotation_bound(analysis, identity));
    all.extend(rates(analysis, identity, hadamard, klt));
    if !single {
        all.extend(klt_savings(analysis));
        all.push(structure(&analysis.matrices));
    }
    all.push(norms(&analysis.matrices));
    all
}

/// Outliers are attributed to the coordinates if the peak falls below this share.
const REDUCED: f64 = 0.7;

fn outliers(single: bool, identity: &CoordinateSummary, hadamard: &CoordinateSummary) -> String {
    let (before, after) = (identity.worst_peak_to_rms, hadamard.worst_peak_to_rms);
    let (worst_before, worst_after) = (short(before), short(after));
    let cause = match after < REDUCED * before {
        true => " The outliers depend on the coordinates.",
        false => "",
    };
    if single {
        return format!(
            "The largest weight is {worst_before} times the RMS, and {worst_after} times after \
             Hadamard matrices in blocks of columns.{cause}",
        );
    }
    format!(
        "The largest weight is {} times the RMS in the median matrix and {worst_before} times in \
         the matrix with the largest ratio ({}). After Hadamard matrices in blocks of columns it \
         is {} and {worst_after} times.{cause}",
        short(identity.median_peak_to_rms),
        identity.worst_matrix.escape_debug(),
        short(hadamard.median_peak_to_rms),
    )
}

/// The least peak that a rotation of columns can reach, as it preserves the energy of a block; and
/// the effect of rotating rows as well.
fn rotation_bound(analysis: &Analysis, identity: &CoordinateSummary) -> Option<String> {
    let worst = analysis.matrices.iter().find(|matrix| matrix.name == identity.worst_matrix)?;
    let hadamard = worst.in_coordinates(Coordinates::Hadamard)?;
    let both = worst.in_coordinates(Coordinates::HadamardBothSides)?;
    let least = identity.worst_peak_to_rms / (hadamard.block as f64).sqrt();
    Some(format!(
        "A rotation of {} columns reduces a peak to no less than 1/√{} of it. For the matrix with \
         the largest ratio this is {} times the RMS; Hadamard matrices reach {}, and {} if they \
         also rotate rows.",
        hadamard.block,
        hadamard.block,
        short(least),
        short(hadamard.outliers.peak_to_rms),
        short(both.outliers.peak_to_rms),
    ))
}

/// Smaller relative differences of rates count as none.
const SAME: f64 = 0.002;

fn rates(
    analysis: &Analysis,
    identity: &CoordinateSummary,
    hadamard: &CoordinateSummary,
    klt: &CoordinateSummary,
) -> Option<String> {
    let before = identity.coded_bits?;
    let change = |summary: &CoordinateSummary| {
        let change = summary.coded_bits? / before - 1.0;
        Some(match change {
            _ if change.abs() < SAME => "makes no difference".to_owned(),
            _ if change < 0.0 => format!("saves {}", percent(-change)),
            _ => format!("needs {} more", percent(change)),
        })
    };
    Some(format!(
        "At an SNR of {} dB the original matrices need {before:.3} bits per weight. The Hadamard \
         transform {}, the KLT {}.",
        analysis.snr_db,
        change(hadamard)?,
        change(klt)?,
    ))
}

/// Bits per weight of a matrix in the identity coordinates and in those of the KLT, with the basis
/// included.
fn klt_rates(matrix: &MatrixAnalysis) -> Option<(f64, f64)> {
    let bits = |system| Some(matrix.in_coordinates(system)?.rates.coded?.bits);
    Some((bits(Coordinates::Identity)?, bits(Coordinates::Klt)?))
}

/// The matrix for which the KLT saves most, and its rates without and with it.
pub fn best_for_klt(analysis: &Analysis) -> Option<(&MatrixAnalysis, f64, f64)> {
    let all = analysis.matrices.iter().filter_map(|matrix| {
        let (original, klt) = klt_rates(matrix)?;
        Some((matrix, original, klt))
    });
    let best = all.max_by(|a, b| (a.1 - a.2).total_cmp(&(b.1 - b.2)))?;
    (best.1 > best.2).then_some(best)
}

fn klt_savings(analysis: &Analysis) -> Option<String> {
    let rates = analysis.matrices.iter().filter_map(klt_rates);
    let fewer = rates.clone().filter(|(original, klt)| klt < original).count();
    let count = rates.count();
    let Some((matrix, original, klt)) = best_for_klt(analysis) else {
        return (count > 0)
            .then(|| "No matrix needs fewer bits with the KLT, including its basis.".to_owned());
    };
    Some(format!(
        "{} of {} matrices need fewer bits with the KLT, including its basis. The largest saving \
         is that of {}: {original:.3} bits per weight without and {klt:.3} with the KLT.",
        grouped(fewer as u64),
        grouped(count as u64),
        matrix.name.escape_debug(),
    ))
}

fn structure(matrices: &[MatrixAnalysis]) -> String {
    let structured = matrices.iter().filter(|matrix| matrix.spectrum.above_threshold > 0);
    let mut shares: Vec<f64> = matrices.iter().map(|matrix| matrix.spectrum.energy_above).collect();
    shares.sort_unstable_by(f64::total_cmp);
    format!(
        "{} of {} matrices have singular values above the noise threshold. These singular values \
         hold {} of the energy in the median matrix and {} at most.",
        grouped(structured.count() as u64),
        grouped(matrices.len() as u64),
        percent(shares.get(shares.len() / 2).copied().unwrap_or(0.0)),
        percent(shares.last().copied().unwrap_or(0.0)),
    )
}

/// A check that the coordinate systems are orthogonal.
fn norms(matrices: &[MatrixAnalysis]) -> String {
    let difference = |matrix: &MatrixAnalysis| {
        let norms: Vec<f64> =
            matrix.coordinates.iter().map(|system| system.outliers.norm).collect();
        let original = norms.first().copied().unwrap_or(0.0);
        let most = norms.iter().fold(0f64, |most, norm| most.max((norm - original).abs()));
        if original > 0.0 { most / original } else { 0.0 }
    };
    let most = matrices.iter().map(difference).fold(0.0, f64::max);
    match most {
        0.0 => "All coordinate systems preserve the norm of every matrix.".to_owned(),
        _ => {
            let power = superscript(most.log10().ceil() as i32);
            format!(
                "All coordinate systems preserve the norm of every matrix, with a relative \
                 difference below 10{power}."
            )
        }
    }
}
