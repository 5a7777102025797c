//! What an analysis found, as tables.

use crate::numbers::{bits, grouped, percent, short};
use crate::table::{Align, Table};
use occ::Coordinates;
use occ::analysis::{
    Analysis, CoordinateAnalysis, CoordinateSummary, LayerSummary, MatrixAnalysis, RoleSummary,
    SUMMARY_COORDINATES,
};

/// The three regimes over all matrices.
pub fn regimes(regimes: &[CoordinateSummary]) -> Table {
    let mut table = Table::new(&[
        ("weights", Align::Left),
        ("peak/rms", Align::Right),
        ("worst", Align::Right),
        ("kurtosis", Align::Right),
        ("worst", Align::Right),
        ("top 1 %", Align::Right),
        ("bits", Align::Right),
    ]);
    for found in regimes {
        table.row([
            found.coordinates.name().into(),
            short(found.median_peak_to_rms),
            short(found.worst_peak_to_rms),
            short(found.median_kurtosis),
            short(found.worst_kurtosis),
            percent(found.median_top_1_percent),
            bits(found.coded_bits),
        ]);
    }
    table
}

/// Titles of the columns that compare the regimes, after those that name a row.
fn titles(first: &[(&'static str, Align)]) -> Table {
    let compared = ["peak/rms", "flattened", "conc.", "kurtosis", "bits", "flattened", "conc."];
    let compared = compared.map(|title| (title, Align::Right));
    Table::new(&[first, &compared].concat())
}

/// What comes under these titles, of several matrices.
fn compared(regimes: &[CoordinateSummary]) -> impl Iterator<Item = String> {
    let peaks = regimes.iter().map(|found| short(found.worst_peak_to_rms));
    let kurtosis = regimes.first().map(|found| short(found.worst_kurtosis));
    peaks.chain(kurtosis).chain(regimes.iter().map(|found| bits(found.coded_bits)))
}

/// A line for each kind of matrix.
pub fn kinds(kinds: &[RoleSummary]) -> Table {
    let line = |kind: &RoleSummary| {
        let name = kind.role.name().replace('_', " ");
        group(name, kind.matrices, kind.weights, &kind.coordinates)
    };
    groups("kind", kinds.iter().map(line))
}

/// A line for each layer.
pub fn layers(layers: &[LayerSummary]) -> Table {
    let line = |layer: &LayerSummary| {
        let name = format!("{} {}", layer.stack.escape_debug(), layer.layer);
        group(name.trim_start().to_owned(), layer.matrices, layer.weights, &layer.coordinates)
    };
    groups("layer", layers.iter().map(line))
}

/// A line for each group of matrices.
fn groups(title: &'static str, lines: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table =
        titles(&[(title, Align::Left), ("matrices", Align::Right), ("weights", Align::Right)]);
    lines.for_each(|line| table.cells(line));
    table
}

fn group(
    name: String,
    matrices: usize,
    weights: u64,
    regimes: &[CoordinateSummary],
) -> Vec<String> {
    let mut cells = vec![name, grouped(matrices as u64), grouped(weights)];
    cells.extend(compared(regimes));
    cells
}

/// A line for each matrix.
pub fn matrices<'a>(matrices: impl IntoIterator<Item = &'a MatrixAnalysis>) -> Table {
    let mut table = titles(&[("matrix", Align::Left)]);
    for matrix in matrices {
        let found = SUMMARY_COORDINATES.map(|coordinates| matrix.in_coordinates(coordinates));
        let mut cells = vec![matrix.name.escape_debug().to_string()];
        cells.extend(found.iter().flatten().map(|found| short(found.outliers.peak_to_rms)));
        cells.extend(found[0].map(|found| short(found.outliers.kurtosis)));
        cells.extend(found.iter().flatten().map(|found| coded_bits(found)));
        table.cells(cells);
    }
    table
}

/// The matrices in falling order of how far their largest weights stand out.
pub fn by_peak(analysis: &Analysis) -> Vec<&MatrixAnalysis> {
    let peak = |matrix: &MatrixAnalysis| {
        matrix.in_coordinates(Coordinates::Identity).map_or(0.0, |found| found.outliers.peak_to_rms)
    };
    let mut matrices: Vec<&MatrixAnalysis> = analysis.matrices.iter().collect();
    matrices.sort_by(|a, b| peak(b).total_cmp(&peak(a)));
    matrices
}

/// One matrix, a line for each system.
pub fn systems(matrix: &MatrixAnalysis) -> Table {
    let mut table = Table::new(&[
        ("system", Align::Left),
        ("block", Align::Right),
        ("peak/rms", Align::Right),
        ("kurtosis", Align::Right),
        ("> 3 σ", Align::Right),
        ("top 1 %", Align::Right),
        ("4-bit dB", Align::Right),
        ("H at σ/4", Align::Right),
        ("bits", Align::Right),
    ]);
    for found in &matrix.coordinates {
        let rates = &found.rates;
        let four = rates.uniform.iter().find(|rate| rate.bits == 4);
        let quarter = rates.fixed_step.iter().find(|rate| rate.step == 0.25);
        table.row([
            found.coordinates.name().replace('_', " "),
            found.block.to_string(),
            short(found.outliers.peak_to_rms),
            short(found.outliers.kurtosis),
            percent(found.outliers.beyond_3_sigma),
            percent(found.top_energy.top_1_percent),
            four.and_then(|rate| rate.snr_db).map_or_else(|| "–".into(), |snr| format!("{snr:.2}")),
            quarter.map_or_else(String::new, |rate| format!("{:.3}", rate.entropy)),
            coded_bits(found),
        ]);
    }
    table
}

/// What the model takes, by error; a line for each point.
pub fn curve(analysis: &Analysis) -> Table {
    let mut table = Table::new(&[
        ("all tensors at", Align::Left),
        ("bits a weight", Align::Right),
        ("matrices alone", Align::Right),
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

fn coded_bits(found: &CoordinateAnalysis) -> String {
    bits(found.rates.coded.map(|coded| coded.bits))
}
