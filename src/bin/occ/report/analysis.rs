//! The page of `occ analyze`.

use super::glossary::{self, glossary};
use super::matrix::portrait;
use super::page::{self, LISTED};
use super::{file_name, findings, label};
use crate::analyze::{tables, text};
use crate::charts::{Axis, Bar, Bars, Lines, Picture, Series};
use crate::numbers::{DECIBELS_A_BIT, grouped};
use maud::{Markup, html};
use occ::Coordinates;
use occ::Result;
use occ::analysis::{
    Analysis, CoordinateSummary, LayerSummary, MatrixAnalysis, SUMMARY_COORDINATES,
};
use std::path::Path;

/// So many matrices are all drawn in every system; of more, three.
const PORTRAITS: usize = 6;

/// Bars in a picture.
const BARS: usize = 40;

/// Stacks of layers that have pictures.
const STACKS: usize = 4;

/// A page of its own about what was found in a model.
pub fn analysis(analysis: &Analysis, model: &Path) -> Result<String> {
    let title = format!("{} in several coordinate systems", file_name(model));
    if analysis.matrices.is_empty() {
        let summary = format!("{}, {}.", text::tensors(analysis), text::NO_MATRIX);
        return Ok(page::page(&title, &summary, &html! {}));
    }
    let summary = format!(
        "{}. Bits are bits a weight at {} dB, side information included.",
        text::summary(analysis),
        analysis.snr_db,
    );
    let body = html! {
        (regimes(analysis))
        (rate_distortion(analysis)?)
        (bits(analysis)?)
        (portraits(analysis)?)
        (groups(analysis)?)
        (all(analysis))
        (glossary(glossary::ANALYSIS))
    };
    Ok(page::page(&title, &summary, &body))
}

fn regimes(analysis: &Analysis) -> Markup {
    page::section(
        "Three regimes",
        &html! {
            (page::table(&tables::regimes(&analysis.coordinates)))
            (page::list(&findings::sentences(analysis)))
        },
    )
}

fn rate_distortion(analysis: &Analysis) -> Result<Markup> {
    if analysis.rate_distortion.is_empty() {
        return Ok(html! {});
    }
    let points = |bits: fn(&occ::analysis::RatePoint) -> f64| {
        analysis.rate_distortion.iter().map(|point| (bits(point), point.snr_db)).collect()
    };
    let mut bound: Vec<(f64, f64)> = points(|point| point.shannon_bits);
    bound.insert(0, (0.0, 0.0));
    let lines = Lines {
        title: "The whole model: bits, and signal to noise".into(),
        x: Axis::linear("bits a weight"),
        y: Axis::linear("signal to noise, dB"),
        series: vec![
            Series::new("all tensors", points(|point| point.bits)).dotted(),
            Series::new("matrices alone", points(|point| point.matrix_bits)).dotted(),
            Series::new("Gaussian bound", bound).reference(),
        ],
    };
    Ok(page::section(
        "Rate and distortion",
        &html! {
            p {
                "What the file would take with every matrix at the same signal to noise, each in "
                "the coordinates that take least. Rates are planned, not coded."
            }
            (page::figures(&[lines.draw()?]))
            (page::table(&tables::curve(analysis)))
        },
    ))
}

/// What each of the largest matrices takes.
fn bits(analysis: &Analysis) -> Result<Markup> {
    let least = |matrix: &MatrixAnalysis| {
        let coded = matrix.coordinates.iter().filter_map(|found| found.rates.coded);
        coded.map(|coded| coded.bits).min_by(f64::total_cmp)
    };
    let coded = analysis.matrices.iter().filter_map(|matrix| Some((matrix, least(matrix)?)));
    let mut coded: Vec<(&MatrixAnalysis, f64)> = coded.collect();
    if coded.is_empty() {
        return Ok(html! {});
    }
    let title = match coded.len() {
        count if count > BARS => {
            format!("The {BARS} largest of {} matrices", grouped(count as u64))
        }
        _ => "All matrices".to_owned(),
    };
    coded.sort_by_key(|(matrix, _)| std::cmp::Reverse(matrix.weights));
    coded.truncate(BARS);
    let bar = |(matrix, bits): &(&MatrixAnalysis, f64)| Bar {
        label: label(&matrix.name),
        values: vec![*bits],
    };
    let bars = Bars {
        title,
        x: Axis::linear("bits a weight"),
        series: vec!["bits a weight".into()],
        groups: coded.iter().map(bar).collect(),
        reference: Some(("Gaussian bound".into(), analysis.snr_db / DECIBELS_A_BIT)),
        format: |bits| format!("{bits:.3}"),
    };
    Ok(page::section(
        "Bits by matrix",
        &html! {
            p { "At " (analysis.snr_db) " dB, in the coordinates that take least." }
            (page::figures(&[bars.draw()?]))
        },
    ))
}

/// Matrices in every system: the one with the largest peak, that of most weights, and that which
/// alignment saves most; or all.
fn portraits(analysis: &Analysis) -> Result<Markup> {
    let mut chosen: Vec<(&MatrixAnalysis, &str)> = Vec::new();
    if analysis.matrices.len() <= PORTRAITS {
        chosen.extend(analysis.matrices.iter().map(|matrix| (matrix, "")));
    }
    let worst = tables::by_peak(analysis).into_iter().next();
    let largest = analysis.matrices.iter().rev().max_by_key(|matrix| matrix.weights);
    let aligned = findings::best_aligned(analysis).map(|(matrix, ..)| matrix);
    let typical = [
        (worst, "The largest peak:"),
        (largest, "The most weights:"),
        (aligned, "Alignment saves most:"),
    ];
    for (matrix, why) in typical {
        let Some(matrix) = matrix else { continue };
        if !chosen.iter().any(|(other, _)| other.name == matrix.name) {
            chosen.push((matrix, why));
        }
    }
    let portraits: Result<Vec<Markup>> =
        chosen.iter().map(|(matrix, why)| portrait(matrix, why)).collect();
    Ok(page::section(
        "In every coordinate system",
        &html! {
            @for portrait in portraits? { (portrait) }
        },
    ))
}

/// By kind of matrix, and by depth.
fn groups(analysis: &Analysis) -> Result<Markup> {
    let pictures = depths(&analysis.layers)?;
    Ok(html! {
        (page::section("By kind", &page::table(&tables::kinds(&analysis.roles))))
        @if !pictures.is_empty() {
            (page::section("By depth", &html! {
                (page::figures(&pictures))
                (page::details("All layers", &page::table(&tables::layers(&analysis.layers))))
            }))
        }
    })
}

/// Outliers and rates along each stack of layers.
fn depths(layers: &[LayerSummary]) -> Result<Vec<Picture>> {
    let mut pictures = Vec::new();
    let stacks = layers.chunk_by(|a, b| a.stack == b.stack).filter(|stack| stack.len() > 1);
    for stack in stacks.take(STACKS) {
        let name = label(&stack[0].stack);
        let series = |value: fn(&CoordinateSummary) -> Option<f64>| {
            let line = |(number, regime): (usize, Coordinates)| {
                let point = |layer: &LayerSummary| {
                    let found = layer.coordinates.get(number)?;
                    Some((layer.layer as f64, value(found)?))
                };
                Series::new(regime.name(), stack.iter().filter_map(point).collect()).dotted()
            };
            SUMMARY_COORDINATES.into_iter().enumerate().map(line).collect()
        };
        let peaks = Lines {
            title: format!("{name}: largest peaks"),
            x: Axis::linear("layer"),
            y: Axis::log("peak ÷ rms"),
            series: series(|found| Some(found.worst_peak_to_rms)),
        };
        let rates = Lines {
            title: format!("{name}: bits"),
            x: Axis::linear("layer"),
            y: Axis::linear("bits a weight"),
            series: series(|found| found.coded_bits),
        };
        pictures.extend([peaks.draw()?, rates.draw()?]);
    }
    Ok(pictures)
}

fn all(analysis: &Analysis) -> Markup {
    let matrices = tables::by_peak(analysis);
    let rest = matrices.len().saturating_sub(LISTED);
    let title = match rest {
        0 => "All matrices, by their peaks".to_owned(),
        _ => format!("The {LISTED} matrices with the largest peaks"),
    };
    let lines = tables::matrices(matrices.into_iter().take(LISTED));
    page::listing(&title, &lines, rest, "occ analyze --json lists them all")
}
