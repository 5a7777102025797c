//! The results of an analysis as tables.

use crate::numbers::{bits, grouped, percent, short};
use crate::table::{Align, Table};
use occ::Coordinates;
use occ::analysis::{
    Analysis, InCoordinates, KindSummary, LayerSummary, MatrixAnalysis, Regime, RegimeSummary,
};

/// Each regime over all matrices.
pub fn regimes(regimes: &[RegimeSummary]) -> Table {
    let mut table = Table::new(&[
        ("weights", Align::Left),
        ("peak/RMS", Align::Right),
        ("max", Align::Right),
        ("kurtosis", Align::Right),
        ("max", Align::Right),
        ("top 1 %", Align::Right),
        ("bits", Align::Right),
    ]);
    for regime in regimes {
        table.row([
            regime_label(regime.regime),
            short(regime.median_peak_to_rms),
            short(regime.worst_peak_to_rms),
            short(regime.median_kurtosis),
            short(regime.worst_kurtosis),
            percent(regime.median_top_1_percent),
            bits(regime.coded_bits),
        ]);
    }
    table
}

/// The name of a regime and of its coordinate system.
pub fn regime_label(regime: Regime) -> String {
    match regime {
        Regime::Flattened => "flattened (Hadamard)".into(),
        Regime::Concentrated => "concentrated (KLT)".into(),
        _ => regime.name().into(),
    }
}

/// A table that compares the regimes; `first` are the columns that identify a row.
fn comparison_table(first: &[(&'static str, Align)]) -> Table {
    let compared = ["peak/RMS", "Hadamard", "KLT", "kurtosis", "bits", "Hadamard", "KLT"];
    let compared = compared.map(|title| (title, Align::Right));
    Table::new(&[first, &compared].concat())
}

/// Its cells, for several matrices.
fn comparison_cells(regimes: &[RegimeSummary]) -> impl Iterator<Item = String> {
    let peaks = regimes.iter().map(|regime| short(regime.worst_peak_to_rms));
    let kurtosis = regimes.first().map(|regime| short(regime.worst_kurtosis));
    peaks.chain(kurtosis).chain(regimes.iter().map(|regime| bits(regime.coded_bits)))
}

/// A row per kind of matrix.
pub fn kinds(kinds: &[KindSummary]) -> Table {
    let row = |kind: &KindSummary| {
        let name = kind.kind.name().replace('_', " ");
        group_row(name, kind.matrices, kind.weights, &kind.regimes)
    };
    groups("kind", kinds.iter().map(row))
}

/// A row per layer.
pub fn layers(layers: &[LayerSummary]) -> Table {
    let row = |layer: &LayerSummary| {
        let name = format!("{} {}", layer.stack.escape_debug(), layer.layer);
        group_row(name.trim_start().to_owned(), layer.matrices, layer.weights, &layer.regimes)
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
    regimes: &[RegimeSummary],
) -> Vec<String> {
    let mut cells = vec![name, grouped(matrices as u64), grouped(weights)];
    cells.extend(comparison_cells(regimes));
    cells
}

/// A row per matrix.
pub fn matrices<'a>(matrices: impl IntoIterator<Item = &'a MatrixAnalysis>) -> Table {
    let mut table = comparison_table(&[("matrix", Align::Left)]);
    for matrix in matrices {
        let regimes = Regime::ALL.map(|regime| matrix.in_system(regime.system()));
        let mut cells = vec![matrix.name.escape_debug().to_string()];
        cells.extend(regimes.iter().flatten().map(|regime| short(regime.outliers.peak_to_rms)));
        cells.extend(regimes[0].map(|original| short(original.outliers.kurtosis)));
        cells.extend(regimes.iter().flatten().map(|regime| coded_bits(regime)));
        table.cells(cells);
    }
    table
}

/// The matrices in descending order of peak to RMS.
pub fn by_peak(analysis: &Analysis) -> Vec<&MatrixAnalysis> {
    let peak = |matrix: &MatrixAnalysis| {
        matrix
            .in_system(Coordinates::Identity)
            .map_or(0.0, |original| original.outliers.peak_to_rms)
    };
    let mut matrices: Vec<&MatrixAnalysis> = analysis.matrices.iter().collect();
    matrices.sort_by(|a, b| peak(b).total_cmp(&peak(a)));
    matrices
}

/// One matrix, with a row per coordinate system.
pub fn systems(matrix: &MatrixAnalysis) -> Table {
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
    for system in &matrix.coordinates {
        let rates = &system.rates;
        let four = rates.uniform.iter().find(|rate| rate.bits == 4);
        let quarter = rates.fixed_step.iter().find(|rate| rate.step == 0.25);
        table.row([
            system.system.name().replace('_', " "),
            system.block.to_string(),
            short(system.outliers.peak_to_rms),
            short(system.outliers.kurtosis),
            percent(system.outliers.beyond_3_sigma),
            percent(system.top_energy.top_1_percent),
            four.and_then(|rate| rate.snr_db).map_or_else(|| "–".into(), |snr| format!("{snr:.2}")),
            quarter.map_or_else(String::new, |rate| format!("{:.3}", rate.entropy)),
            coded_bits(system),
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

fn coded_bits(system: &InCoordinates) -> String {
    bits(system.rates.coded.map(|coded| coded.bits))
}
