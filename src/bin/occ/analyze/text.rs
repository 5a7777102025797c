//! What an analysis found, on a terminal.

use super::tables;
use crate::numbers::{counted, grouped, percent, short};
use occ::analysis::{Analysis, MatrixAnalysis};

/// Matrices that are listed without being asked for.
const WORST: usize = 10;

/// A summary, or `each` matrix in all coordinate systems.
pub fn to_text(analysis: &Analysis, each: bool) -> String {
    if analysis.matrices.is_empty() {
        return format!("{}, {}", tensors(analysis), NO_MATRIX);
    }
    let matrices = match each {
        true => analysis.matrices.iter().map(in_every_system).collect::<Vec<_>>().join("\n"),
        false => {
            format!("By kind:\n{}\n{}", tables::kinds(&analysis.roles).render(), worst(analysis))
        }
    };
    let curve = match analysis.rate_distortion.is_empty() {
        true => String::new(),
        false => tables::curve(analysis).render(),
    };
    format!(
        "{}\n{matrices}\n{curve}\n{}; bits a weight at {} dB, side information included\n",
        tables::regimes(&analysis.coordinates).render(),
        summary(analysis),
        analysis.snr_db,
    )
}

/// Why there is nothing to say.
pub const NO_MATRIX: &str =
    "none of them in a matrix: that takes floats of at least two dimensions and 4,096 elements";

/// What was looked at: `12 matrices in 20 tensors, 1,000,000 weights`.
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

/// What was looked at, where there are no matrices.
pub fn tensors(analysis: &Analysis) -> String {
    let tensors = counted(analysis.tensors as u64, "tensor");
    format!("{tensors}, {} weights", grouped(analysis.weights))
}

/// The matrices whose largest weights stand out most.
fn worst(analysis: &Analysis) -> String {
    let matrices = tables::by_peak(analysis);
    let table = tables::matrices(matrices.iter().copied().take(WORST));
    let rest = matrices.len().saturating_sub(WORST);
    let more =
        if rest > 0 { format!("and {rest} more: --tensor shows them\n") } else { String::new() };
    format!("Largest peaks:\n{}{more}", table.render())
}

/// One matrix in every system.
fn in_every_system(matrix: &MatrixAnalysis) -> String {
    format!(
        "{}: {}\n{}{}\n",
        matrix.name.escape_debug(),
        what(matrix),
        tables::systems(matrix).render(),
        ranks(matrix),
    )
}

/// Size and kind of a matrix.
pub fn what(matrix: &MatrixAnalysis) -> String {
    format!(
        "{} × {}, {}",
        grouped(matrix.rows as u64),
        grouped(matrix.columns as u64),
        matrix.role.name().replace('_', " "),
    )
}

/// What a matrix's singular values say.
pub fn ranks(matrix: &MatrixAnalysis) -> String {
    let spectrum = &matrix.spectrum;
    format!(
        "effective rank {} of {}; {} beyond the noise's edge, with {} of the energy",
        short(spectrum.effective_rank),
        grouped(spectrum.count as u64),
        counted(spectrum.above_threshold as u64, "singular value"),
        percent(spectrum.energy_above),
    )
}
