//! The results of an analysis as text.

use super::tables;
use crate::numbers::{counted, grouped, percent, short};
use occ::analysis::{Analysis, MatrixAnalysis};

/// Number of matrices in the summary.
const LISTED: usize = 10;

/// A summary of all matrices or, if `each`, all coordinate systems of each matrix.
pub fn to_text(analysis: &Analysis, each: bool) -> String {
    if analysis.matrices.is_empty() {
        return format!("{}, {}", tensor_counts(analysis), NO_MATRIX);
    }
    let matrices = match each {
        true => analysis.matrices.iter().map(all_systems).collect::<Vec<_>>().join("\n"),
        false => {
            format!(
                "By role:\n{}\n{}",
                tables::roles(&analysis.roles).render(),
                largest_peaks(analysis)
            )
        }
    };
    let curve = match analysis.rate_distortion.is_empty() {
        true => String::new(),
        false => tables::curve(analysis).render(),
    };
    format!(
        "{}\n{matrices}\n{curve}\n{}; bits per weight at an SNR of {} dB, with side information\n{}",
        tables::coordinates(&analysis.coordinates).render(),
        summary(analysis),
        analysis.snr_db,
        not_finite(analysis),
    )
}

/// How many weights of matrices are NaN or infinite, and in which ones.
fn not_finite(analysis: &Analysis) -> String {
    let found = analysis.matrices.iter().filter(|matrix| matrix.not_finite > 0);
    let lines = found.map(|matrix| {
        format!("  {}: {}\n", matrix.name.escape_debug(), grouped(matrix.not_finite))
    });
    let lines: String = lines.collect();
    match lines.is_empty() {
        true => "no weight of a matrix is NaN or infinite\n".into(),
        false => format!("weights of matrices that are NaN or infinite, taken as 0:\n{lines}"),
    }
}

/// Why there are no results.
pub const NO_MATRIX: &str =
    "no weight matrix: a matrix has floats, at least two dimensions and 4,096 elements";

/// Counts, as in `12 matrices in 20 tensors, 1,000,000 weights`.
pub fn summary(analysis: &Analysis) -> String {
    let matrices = match analysis.matrices.len() {
        1 => "1 matrix".to_owned(),
        count => format!("{} matrices", grouped(count as u64)),
    };
    format!(
        "{matrices} in {}, {} weights",
        counted(analysis.tensors as u64, "tensor"),
        grouped(analysis.matrix_weights),
    )
}

/// Counts without matrices.
pub fn tensor_counts(analysis: &Analysis) -> String {
    let tensors = counted(analysis.tensors as u64, "tensor");
    format!("{tensors}, {} weights", grouped(analysis.weights))
}

/// The matrices with the largest ratio of peak to RMS.
fn largest_peaks(analysis: &Analysis) -> String {
    let matrices = tables::by_peak(analysis);
    let table = tables::matrices(matrices.iter().copied().take(LISTED));
    let rest = matrices.len().saturating_sub(LISTED);
    let more = if rest > 0 {
        format!("and {rest} more; --tensor GLOB lists them\n")
    } else {
        String::new()
    };
    format!("Largest peaks:\n{}{more}", table.render())
}

/// One matrix in all coordinate systems.
fn all_systems(matrix: &MatrixAnalysis) -> String {
    format!(
        "{}: {}\n{}{}\n",
        matrix.name.escape_debug(),
        size_and_role(matrix),
        tables::all_coordinates(matrix).render(),
        ranks(matrix),
    )
}

/// Size and role of a matrix.
pub fn size_and_role(matrix: &MatrixAnalysis) -> String {
    format!(
        "{} × {}, {}",
        grouped(matrix.rows as u64),
        grouped(matrix.columns as u64),
        tables::words(matrix.role.name()),
    )
}

/// Ranks of a matrix, from its singular values.
pub fn ranks(matrix: &MatrixAnalysis) -> String {
    let spectrum = &matrix.spectrum;
    format!(
        "effective rank {} of {}; {} above the noise threshold, with {} of the energy",
        short(spectrum.effective_rank),
        grouped(spectrum.count as u64),
        counted(spectrum.above_threshold as u64, "singular value"),
        percent(spectrum.energy_above),
    )
}
