//! The results of an analysis as tables.

use crate::numbers::{bits, grouped, percent, short};
use crate::table::{Align, Table};
use occ::Coordinates;
use occ::analysis::{
    Analysis, CoordinateAnalysis, CoordinateSummary, LayerSummary, MatrixAnalysis, RoleSummary,
    SUMMARY_COORDINATES,
};

/// All matrices, with a row per coordinate system of the codec.
pub fn coordinates(summaries: &[CoordinateSummary]) -> Table {
    let mut table = Table::new(&[
        ("coordinates", Align::Left),
        ("peak/RMS", Align::Right),
        ("max", Align::Right),
        ("kurtosis", Align::Right),
        ("max", Align::Right),
        ("top 1 %", Align::Right),
        ("bits", Align::Right),
    ]);
    for summary in summaries {
        table.row([
            words(summary.coordinates.name()),
            short(summary.median_peak_to_rms),
            short(summary.worst_peak_to_rms),
            short(summary.median_kurtosis),
            short(summary.worst_kurtosis),
            percent(summary.median_top_1_percent),
            bits(summary.coded_bits),
        ]);
    }
    table
}

/// The name of a coordinate system or a role as words.
pub fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A table that compares the coordinate systems of the codec; `first` are the columns that identify
/// a row.
fn comparison_table(first: &[(&'static str, Align)]) -> Table {
    let compared = ["peak/RMS", "Hadamard", "KLT", "kurtosis", "bits", "Hadamard", "KLT"];
    let compared = compared.map(|title| (title, Align::Right));
    Table::new(&[first, &compared].concat())
}

/// Cells of a row of [`comparison_table`] that summarises several matrices.
fn comparison_cells(summaries: &[CoordinateSummary]) -> impl Iterator<Item = String> {
    let peaks = summaries.iter().map(|summary| short(summary.worst_peak_to_rms));
    let kurtosis = summaries.first().map(|summary| short(summary.worst_kurtosis));
    peaks.chain(kurtosis).chain(summaries.iter().map(|summary| bits(summary.coded_bits)))
}

/// A row per role of matrices.
pub fn roles(roles: &[RoleSummary]) -> Table {
    let row = |role: &RoleSummary| {
        group_row(words(role.role.name()), role.matrices, role.weights, &role.coordinates)
    };
    groups("role", roles.iter().map(row))
}

/// A row per layer.
pub fn layers(layers: &[LayerSummary]) -> Table {
    let row = |layer: &LayerSummary| {
        let name = format!("{} {}", layer.stack.escape_debug(), layer.layer);
        group_row(name.trim_start().to_owned(), layer.matrices, layer.weights, &layer.coordinates)
    };
    groups("layer", layers.iter().map(row))
}

/// A row per group of matrices.
fn groups(title: &'static str, rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = comparison_table(&[
        (title, Align::Left),
        ("matrices", Align::Right),
        ("weights", Align::Right),
    ]);
    rows.for_each(|row| table.cells(row));
    table
}

fn group_row(
    name: String,
    matrices: usize,
    weights: u64,
    summaries: &[CoordinateSummary],
) -> Vec<String> {
    let mut cells = vec![name, grouped(matrices as u64), grouped(weights)];
    cells.extend(comparison_cells(summaries));
    cells
}

/// A row per matrix.
pub fn matrices<'a>(matrices: impl IntoIterator<Item = &'a MatrixAnalysis>) -> Table {
    let mut table = comparison_table(&[("matrix", Align::Left)]);
    for matrix in matrices {
        let results = SUMMARY_COORDINATES.map(|coordinates| matrix.in_coordinates(coordinates));
        let mut cells = vec![matrix.name.escape_debug().to_string()];
        cells.extend(results.iter().flatten().map(|result| short(result.outliers.peak_to_rms)));
        cells.extend(results[0].map(|identity| short(identity.outliers.kurtosis)));
        cells.extend(results.iter().flatten().map(|result| coded_bits(result)));
        table.cells(cells);
    }
    table
}

/// The matrices in descending order of peak to RMS.
pub fn by_peak(analysis: &Analysis) -> Vec<&MatrixAnalysis> {
    let peak = |matrix: &MatrixAnalysis| {
        matrix
            .in_coordinates(Coordinates::Identity)
            .map_or(0.0, |identity| identity.outliers.peak_to_rms)
    };
    let mut matrices: Vec<&MatrixAnalysis> = analysis.matrices.iter().collect();
    matrices.sort_by(|a, b| peak(b).total_cmp(&peak(a)));
    matrices
}

/// One matrix, with a row per coordinate system.
pub fn all_coordinates(matrix: &MatrixAnalysis) -> Table {
    let mut table = Table::new(&[
        ("coordinates", Align::Left),
        ("block", Align::Right),
        ("peak/RMS", Align::Right),
        ("kurtosis", Align::Right),
        ("> 3 σ", Align::Right),
        ("top 1 %", Align::Right),
        ("4-bit SNR", Align::Right),
        ("entropy σ/4", Align::Right),
        ("bits", Align::Right),
    ]);
    for result in &matrix.coordinates {
        let rates = &result.rates;
        let four = rates.uniform.iter().find(|rate| rate.bits == 4);
        let quarter = rates.fixed_step.iter().find(|rate| rate.step == 0.25);
        table.row([
            words(result.coordinates.name()),
            result.block.to_string(),
            short(result.outliers.peak_to_rms),
            short(result.outliers.kurtosis),
            percent(result.outliers.beyond_3_sigma),
            percent(result.top_energy.top_1_percent),
            four.and_then(|rate| rate.snr_db).map_or_else(|| "–".into(), |snr| format!("{snr:.2}")),
            quarter.map_or_else(String::new, |rate| format!("{:.3}", rate.entropy)),
            coded_bits(result),
        ]);
    }
    table
}

/// The rate-distortion curve, with a row per point.
pub fn curve(analysis: &Analysis) -> Table {
    let mut table = Table::new(&[
        ("SNR", Align::Left),
        ("bits/weight", Align::Right),
        ("matrices only", Align::Right),
        ("Gaussian bound", Align::Right),
    ]);
    for point in &analysis.rate_distortion {
        table.row([
            format!("{} dB", point.snr_db),
            format!("{:.3}", point.bits),
            format!("{:.3}", point.matrix_bits),
            format!("{:.3}", point.shannon_bits),
        ]);
    }
    table
}

fn coded_bits(result: &CoordinateAnalysis) -> String {
    bits(result.rates.coded.map(|coded| coded.bits))
}
