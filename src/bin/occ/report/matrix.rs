//! One matrix, in every coordinate system.

use super::page;
use crate::analyze::{tables, text};
use crate::charts::{
    Axis, Bins, Histogram, Lines, Outline, Picture, Series, gaussian_below, gaussian_beyond,
};
use maud::{Markup, html};
use occ::Coordinates;
use occ::Result;
use occ::analysis::{CoordinateAnalysis, MatrixAnalysis};

/// Systems that are told apart in pictures: the three regimes first, the same colours everywhere.
const REGIMES: [Coordinates; 3] = [Coordinates::Identity, Coordinates::Hadamard, Coordinates::Klt];
const OTHERS: [Coordinates; 4] = [
    Coordinates::RandomRotation,
    Coordinates::Dct,
    Coordinates::HadamardBothSides,
    Coordinates::KltBlocks,
];

/// Table and pictures of a matrix; `why` it was chosen.
pub fn portrait(matrix: &MatrixAnalysis, why: &str) -> Result<Markup> {
    let pictures = [
        histogram("As they are, flattened, concentrated", matrix, &REGIMES)?,
        histogram("In other systems", matrix, &OTHERS)?,
        tails(matrix)?,
        spectrum(matrix)?,
    ];
    let about = [why, &text::what(matrix)].join(" ");
    Ok(html! {
        h3 { (matrix.name.escape_debug()) }
        p { (about.trim()) "; " (text::ranks(matrix)) "." }
        (page::table(&tables::systems(matrix)))
        (page::figures(&pictures))
    })
}

/// The number of a system's colour.
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

fn name(system: Coordinates) -> String {
    system.name().replace('_', " ")
}

/// What a matrix looks like in some systems.
fn found<'m>(
    matrix: &'m MatrixAnalysis,
    systems: &[Coordinates],
) -> impl Iterator<Item = &'m CoordinateAnalysis> {
    systems.iter().filter_map(|&system| matrix.in_coordinates(system))
}

fn histogram(title: &str, matrix: &MatrixAnalysis, systems: &[Coordinates]) -> Result<Picture> {
    let mut range = -8.0..8.0;
    let mut bins = 80;
    let mut outlines = Vec::new();
    for found in found(matrix, systems) {
        let counted = &found.distribution;
        bins = counted.counts.len();
        let start = counted.first - counted.width / 2.0;
        range = start..start + counted.width * bins as f64;
        let total = counted.counts.iter().sum::<u64>() + counted.below + counted.above;
        let bins = Bins::counted(&counted.counts, total, range.clone());
        outlines.push(Outline {
            name: name(found.coordinates),
            bins,
            colour: colour(found.coordinates),
        });
    }
    let histogram = Histogram {
        title: title.into(),
        x_label: "number ÷ σ".into(),
        outlines,
        reference: Some(("Gaussian".into(), Bins::expected(gaussian_below, range, bins))),
    };
    histogram.draw()
}

/// How rare numbers are that stand out.
fn tails(matrix: &MatrixAnalysis) -> Result<Picture> {
    let mut series = Vec::new();
    for found in found(matrix, &[&REGIMES[..], &OTHERS[..]].concat()) {
        let tails = found.distribution.tails.iter();
        let points = tails.filter(|tail| tail.share > 0.0).map(|tail| (tail.sigmas, tail.share));
        let one = Series::new(name(found.coordinates), points.collect())
            .coloured(colour(found.coordinates));
        series.push(if found.coordinates == Coordinates::KltBlocks { one.dashed() } else { one });
    }
    let least = 0.5 / matrix.weights.max(1) as f64;
    let gaussian = (10..=80).map(|tenths| f64::from(tenths) / 10.0);
    let gaussian = gaussian.map(|sigmas| (sigmas, gaussian_beyond(sigmas)));
    let gaussian = gaussian.filter(|point| point.1 >= least).collect();
    series.push(Series::new("Gaussian", gaussian).reference());
    let lines = Lines {
        title: "How rare large numbers are".into(),
        x: Axis::log("at least so many σ"),
        y: Axis::log("share of all numbers").within(least..1.0),
        series,
    };
    lines.draw()
}

/// Singular values, beside those of noise.
fn spectrum(matrix: &MatrixAnalysis) -> Result<Picture> {
    let spectrum = &matrix.spectrum;
    let points = |value: fn(&occ::analysis::SingularValue) -> f64| {
        spectrum.values.iter().map(|found| (found.rank as f64, value(found))).collect()
    };
    let edge = spectrum.values.iter().map(|found| (found.rank as f64, spectrum.threshold));
    let lines = Lines {
        title: "Singular values".into(),
        x: Axis::log("rank"),
        y: Axis::log("singular value"),
        series: vec![
            Series::new("this matrix", points(|found| found.value)),
            Series::new("beyond noise", edge.collect()).dashed().coloured(3),
            Series::new("noise (Marchenko–Pastur)", points(|found| found.noise)).reference(),
        ],
    };
    lines.draw()
}
