//! One matrix in all coordinate systems.

use super::page;
use crate::analyze::tables::{self, words};
use crate::analyze::text;
use crate::charts::{Axis, Bins, Chart, Histogram, LineChart, Outline, Series};
use crate::gaussian::{probability, tail_probability};
use maud::{Markup, html};
use occ::Coordinates;
use occ::analysis::{CoordinateAnalysis, MatrixAnalysis, SUMMARY_COORDINATES};

/// The coordinate systems that only the analysis has.
const OTHERS: [Coordinates; 4] = [
    Coordinates::RandomRotation,
    Coordinates::Dct,
    Coordinates::HadamardBothSides,
    Coordinates::KltBlocks,
];

/// Table and charts of a matrix; `reason` is why it was chosen.
pub fn details(matrix: &MatrixAnalysis, reason: &str) -> Markup {
    let charts = [
        histogram("Distribution: identity, Hadamard, KLT", matrix, &SUMMARY_COORDINATES),
        histogram("Distribution: other coordinate systems", matrix, &OTHERS),
        tails(matrix),
        spectrum(matrix),
    ];
    let about = [reason, &text::size_and_role(matrix)].join(" ");
    html! {
        h3 { (matrix.name.escape_debug()) }
        p { (about.trim()) "; " (text::ranks(matrix)) "." }
        (page::table(&tables::all_coordinates(matrix)))
        (page::charts(&charts))
    }
}

/// The number of a system's colour, the same in all charts.
fn colour(system: Coordinates) -> usize {
    match system {
        Coordinates::Identity => 0,
        Coordinates::Hadamard => 1,
        Coordinates::Klt | Coordinates::KltBlocks => 2,
        Coordinates::RandomRotation => 3,
        Coordinates::Dct => 4,
        _ => 5,
    }
}

/// The results of a matrix in some systems.
fn results<'m>(
    matrix: &'m MatrixAnalysis,
    systems: &[Coordinates],
) -> impl Iterator<Item = &'m CoordinateAnalysis> {
    systems.iter().filter_map(|&system| matrix.in_coordinates(system))
}

fn histogram(title: &str, matrix: &MatrixAnalysis, systems: &[Coordinates]) -> Chart {
    let mut range = -8.0..8.0;
    let mut bins = 80;
    let mut outlines = Vec::new();
    for result in results(matrix, systems) {
        let counted = &result.distribution;
        bins = counted.counts.len();
        let start = counted.first - counted.width / 2.0;
        range = start..start + counted.width * bins as f64;
        let total = counted.counts.iter().sum::<u64>() + counted.below + counted.above;
        let bins = Bins::counted(&counted.counts, total, range.clone());
        outlines.push(Outline {
            name: words(result.coordinates.name()),
            bins,
            colour: colour(result.coordinates),
        });
    }
    let histogram = Histogram {
        title: title.into(),
        x_label: "weight ÷ σ".into(),
        outlines,
        reference: Some(("Gaussian".into(), Bins::expected(probability, range, bins))),
    };
    histogram.draw()
}

/// The shares of large magnitudes.
fn tails(matrix: &MatrixAnalysis) -> Chart {
    let mut series = Vec::new();
    for result in results(matrix, &[&SUMMARY_COORDINATES[..], &OTHERS[..]].concat()) {
        let tails = result.distribution.tails.iter();
        let points = tails.filter(|tail| tail.share > 0.0).map(|tail| (tail.sigmas, tail.share));
        let line = Series::new(words(result.coordinates.name()), points.collect());
        let line = line.coloured(colour(result.coordinates));
        series.push(if result.coordinates == Coordinates::KltBlocks {
            line.dashed()
        } else {
            line
        });
    }
    let least = 0.5 / matrix.weights.max(1) as f64;
    let gaussian = (10..=80).map(|tenths| f64::from(tenths) / 10.0);
    let gaussian = gaussian.map(|sigmas| (sigmas, tail_probability(sigmas)));
    let gaussian = gaussian.filter(|point| point.1 >= least).collect();
    series.push(Series::new("Gaussian", gaussian).reference());
    let chart = LineChart {
        title: "Share of large magnitudes".into(),
        x: Axis::log("magnitude ÷ σ"),
        y: Axis::log("share of weights with at least this magnitude").within(least..1.0),
        series,
    };
    chart.draw()
}

/// Singular values, and those of noise.
fn spectrum(matrix: &MatrixAnalysis) -> Chart {
    let spectrum = &matrix.spectrum;
    let points = |value: fn(&occ::analysis::SingularValue) -> f64| {
        spectrum.values.iter().map(|entry| (entry.rank as f64, value(entry))).collect()
    };
    let threshold = spectrum.values.iter().map(|entry| (entry.rank as f64, spectrum.threshold));
    let chart = LineChart {
        title: "Singular values".into(),
        x: Axis::log("rank"),
        y: Axis::log("singular value"),
        series: vec![
            Series::new("this matrix", points(|entry| entry.value)),
            Series::new("noise threshold", threshold.collect()).dashed().coloured(3),
            Series::new("noise (Marchenko–Pastur)", points(|entry| entry.noise)).reference(),
        ],
    };
    chart.draw()
}
