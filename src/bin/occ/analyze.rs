//! `occ analyze`.

use crate::args::{Analyze, is_dash};
use crate::compare::tensor_bytes;
use crate::failure::{Failure, usage};
use crate::progress::{Progress, watch_for_interrupts};
use crate::table::{Align, Table, counted, grouped};
use occ::analysis::{
    Analysis, AnalyzeOptions, InCoordinates, MatrixAnalysis, Regime, RegimeSummary, System, analyze,
};

/// Matrices that are listed without being asked for.
const WORST: usize = 10;

pub fn run(args: &Analyze) -> Result<(), Failure> {
    if is_dash(&args.model) {
        return usage("analyze reads tensors more than once: it cannot read a pipe");
    }
    watch_for_interrupts();
    let options = AnalyzeOptions { tensors: args.tensor.clone(), snr_db: args.snr };
    // How much will match is not known.
    let bytes = if args.tensor.is_none() { tensor_bytes(&args.model) } else { None };
    let progress = Progress::new("analyzing", bytes);
    let analysis = analyze(&args.model, &options, &mut |bytes| progress.advance(bytes))?;
    drop(progress);
    if args.json {
        let json = serde_json::to_string(&analysis).map_err(std::io::Error::other);
        return crate::print(&json.map_err(occ::Error::from)?);
    }
    crate::print(&to_text(&analysis, args))
}

fn to_text(analysis: &Analysis, args: &Analyze) -> String {
    if analysis.matrices.is_empty() {
        return format!(
            "{}, {} weights, none of them in a matrix: that takes floats of at least two \
             dimensions and 4,096 elements",
            counted(analysis.tensors as u64, "tensor"),
            grouped(analysis.weights),
        );
    }
    let matrices = match args.tensor {
        Some(_) => analysis.matrices.iter().map(in_every_system).collect::<Vec<_>>().join("\n"),
        None => format!("By kind:\n{}\n{}", kinds(analysis), worst(analysis)),
    };
    format!(
        "{}\n{matrices}\n{}\n{} in {}, {} weights; bits a weight at {} dB, side information \
         included\n",
        regimes(&analysis.regimes),
        curve(analysis),
        counted(analysis.matrices.len() as u64, "matrix").replace("matrixs", "matrices"),
        counted(analysis.tensors as u64, "tensor"),
        grouped(analysis.matrix_weights),
        analysis.snr_db,
    )
}

/// The three regimes over all matrices.
fn regimes(regimes: &[RegimeSummary]) -> String {
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
            found.regime.name().into(),
            short(found.median_peak_to_rms),
            short(found.worst_peak_to_rms),
            short(found.median_kurtosis),
            short(found.worst_kurtosis),
            percent(found.median_top_1_percent),
            bits(found.coded_bits),
        ]);
    }
    table.render()
}

/// Titles of the columns that compare the regimes, after those that name a row.
fn titles(first: &[(&'static str, Align)]) -> Table {
    let compared = ["peak/rms", "flattened", "conc.", "kurtosis", "bits", "flattened", "conc."];
    let compared = compared.map(|title| (title, Align::Right));
    Table::new(&[first, &compared].concat())
}

fn kinds(analysis: &Analysis) -> String {
    let mut table =
        titles(&[("kind", Align::Left), ("matrices", Align::Right), ("weights", Align::Right)]);
    for kind in &analysis.kinds {
        let mut cells = vec![
            kind.kind.name().replace('_', " "),
            grouped(kind.matrices as u64),
            grouped(kind.weights),
        ];
        cells.extend(kind.regimes.iter().map(|found| short(found.worst_peak_to_rms)));
        cells.extend(kind.regimes.first().map(|found| short(found.worst_kurtosis)));
        cells.extend(kind.regimes.iter().map(|found| bits(found.coded_bits)));
        table.cells(cells);
    }
    table.render()
}

/// The matrices whose largest weights stand out most.
fn worst(analysis: &Analysis) -> String {
    let peak = |matrix: &MatrixAnalysis| {
        matrix.in_system(System::Original).map_or(0.0, |found| found.outliers.peak_to_rms)
    };
    let mut matrices: Vec<&MatrixAnalysis> = analysis.matrices.iter().collect();
    matrices.sort_by(|a, b| peak(b).total_cmp(&peak(a)));
    let mut table = titles(&[("matrix", Align::Left)]);
    for matrix in matrices.iter().take(WORST) {
        let found = Regime::ALL.map(|regime| matrix.in_system(regime.system()));
        let mut cells = vec![matrix.name.escape_debug().to_string()];
        cells.extend(found.iter().flatten().map(|found| short(found.outliers.peak_to_rms)));
        cells.extend(found[0].map(|found| short(found.outliers.kurtosis)));
        cells.extend(found.iter().flatten().map(|found| coded_bits(found)));
        table.cells(cells);
    }
    let rest = analysis.matrices.len().saturating_sub(WORST);
    let more =
        if rest > 0 { format!("and {rest} more: --tensor shows them\n") } else { String::new() };
    format!("Largest peaks:\n{}{more}", table.render())
}

/// One matrix in every system.
fn in_every_system(matrix: &MatrixAnalysis) -> String {
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
            found.system.name().replace('_', " "),
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
    let spectrum = &matrix.spectrum;
    format!(
        "{}: {} × {}, {}\n{}effective rank {} of {}; {} beyond the noise's edge, with {} of the \
         energy\n",
        matrix.name.escape_debug(),
        grouped(matrix.rows as u64),
        grouped(matrix.columns as u64),
        matrix.kind.name().replace('_', " "),
        table.render(),
        short(spectrum.effective_rank),
        grouped(spectrum.count as u64),
        counted(spectrum.above_threshold as u64, "singular value"),
        percent(spectrum.energy_above),
    )
}

fn curve(analysis: &Analysis) -> String {
    if analysis.rate_distortion.is_empty() {
        return String::new();
    }
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
    table.render()
}

fn coded_bits(found: &InCoordinates) -> String {
    bits(found.rates.coded.map(|coded| coded.bits))
}

fn bits(bits: Option<f64>) -> String {
    bits.map_or_else(|| "–".into(), |bits| format!("{bits:.3}"))
}

/// Three digits or so.
fn short(number: f64) -> String {
    match number {
        _ if number >= 1000.0 => grouped(number.round() as u64),
        _ if number >= 100.0 => format!("{number:.0}"),
        _ if number >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
