//! The report of `occ analyze --html`.

use super::glossary::{self, glossary};
use super::labels::{file_name, label};
use super::page::{self, MAX_BARS, MAX_ROWS};
use super::{findings, matrix};
use crate::analyze::{tables, text};
use crate::charts::{Axis, BarChart, BarGroup, Chart, LineChart, Series};
use crate::numbers::{DECIBELS_PER_BIT, grouped};
use maud::{Markup, html};
use occ::Coordinates;
use occ::analysis::{
    Analysis, CoordinateSummary, LayerSummary, MatrixAnalysis, SUMMARY_COORDINATES,
};
use std::path::Path;

/// Of more matrices than this, only three are shown in detail.
const MAX_DETAILS: usize = 6;

/// Maximum number of layer stacks with charts.
const MAX_STACKS: usize = 4;

/// The report of an analysis as an HTML page.
pub fn analysis(analysis: &Analysis, model: &Path) -> String {
    let title = format!("Analysis of {}", file_name(model));
    if analysis.matrices.is_empty() {
        let summary = format!("{}, {}.", text::tensor_counts(analysis), text::NO_MATRIX);
        return page::page(&title, &summary, &html! {});
    }
    let summary = format!(
        "{}. Bits are bits per weight at an SNR of {} dB, including side information.",
        text::summary(analysis),
        analysis.snr_db,
    );
    let body = html! {
        (coordinates(analysis))
        (rate_distortion(analysis))
        (bits(analysis))
        (details(analysis))
        (groups(analysis))
        (all(analysis))
        (glossary(glossary::ANALYSIS))
    };
    page::page(&title, &summary, &body)
}

fn coordinates(analysis: &Analysis) -> Markup {
    page::section(
        "Coordinate systems of the codec",
        &html! {
            (page::table(&tables::coordinates(&analysis.coordinates)))
            (page::list(&findings::sentences(analysis)))
        },
    )
}

fn rate_distortion(analysis: &Analysis) -> Markup {
    if analysis.rate_distortion.is_empty() {
        return html! {};
    }
    let points = |bits: fn(&occ::analysis::RatePoint) -> f64| {
        analysis.rate_distortion.iter().map(|point| (bits(point), point.snr_db)).collect()
    };
    let mut bound: Vec<(f64, f64)> = points(|point| point.shannon_bits);
    bound.insert(0, (0.0, 0.0));
    let chart = LineChart {
        title: "Rate and distortion of the whole model".into(),
        x: Axis::linear("bits per weight"),
        y: Axis::linear("SNR, dB"),
        series: vec![
            Series::new("all tensors", points(|point| point.bits)).with_dots(),
            Series::new("matrices only", points(|point| point.matrix_bits)).with_dots(),
            Series::new("Gaussian bound", bound).reference(),
        ],
    };
    page::section(
        "Rate and distortion",
        &html! {
            p {
                "The size of the file if all matrices have the same SNR, each in the coordinate "
                "system with the lowest rate. Rates are estimates of the planner."
            }
            (page::charts(&[chart.draw()]))
            (page::table(&tables::curve(analysis)))
        },
    )
}

/// The lowest rates of the largest matrices.
fn bits(analysis: &Analysis) -> Markup {
    let least = |matrix: &MatrixAnalysis| {
        let coded = matrix.coordinates.iter().filter_map(|system| system.rates.coded);
        coded.map(|coded| coded.bits).min_by(f64::total_cmp)
    };
    let coded = analysis.matrices.iter().filter_map(|matrix| Some((matrix, least(matrix)?)));
    let mut coded: Vec<(&MatrixAnalysis, f64)> = coded.collect();
    if coded.is_empty() {
        return html! {};
    }
    let title = match coded.len() {
        count if count > MAX_BARS => {
            format!("The {MAX_BARS} largest of {} matrices", grouped(count as u64))
        }
        _ => "All matrices".to_owned(),
    };
    coded.sort_by_key(|(matrix, _)| std::cmp::Reverse(matrix.weights));
    coded.truncate(MAX_BARS);
    let bar = |(matrix, bits): &(&MatrixAnalysis, f64)| BarGroup {
        label: label(&matrix.name),
        values: vec![*bits],
    };
    let chart = BarChart {
        title,
        x: Axis::linear("bits per weight"),
        series: vec!["bits per weight".into()],
        groups: coded.iter().map(bar).collect(),
        reference: Some(("Gaussian bound".into(), analysis.snr_db / DECIBELS_PER_BIT)),
        format: |bits| format!("{bits:.3}"),
    };
    page::section(
        "Bits per weight by matrix",
        &html! {
            p { "At an SNR of " (analysis.snr_db) " dB, in the coordinates with the lowest rate." }
            (page::charts(&[chart.draw()]))
        },
    )
}

/// All matrices in detail or, of many, those with the largest peak, the most weights and the
/// largest saving by the KLT.
fn details(analysis: &Analysis) -> Markup {
    let mut chosen: Vec<(&MatrixAnalysis, &str)> = Vec::new();
    if analysis.matrices.len() <= MAX_DETAILS {
        chosen.extend(analysis.matrices.iter().map(|matrix| (matrix, "")));
    }
    let largest_peak = tables::by_peak(analysis).into_iter().next();
    let most_weights = analysis.matrices.iter().rev().max_by_key(|matrix| matrix.weights);
    let best_for_klt = findings::best_for_klt(analysis).map(|(matrix, ..)| matrix);
    let candidates = [
        (largest_peak, "The largest peak:"),
        (most_weights, "The most weights:"),
        (best_for_klt, "The largest saving by the KLT:"),
    ];
    for (matrix, reason) in candidates {
        let Some(matrix) = matrix else { continue };
        if !chosen.iter().any(|(other, _)| other.name == matrix.name) {
            chosen.push((matrix, reason));
        }
    }
    page::section(
        "Matrices in all coordinate systems",
        &html! {
            @for (matrix, reason) in chosen { (matrix::details(matrix, reason)) }
        },
    )
}

/// Results by role of the matrix and by layer.
fn groups(analysis: &Analysis) -> Markup {
    let charts = layer_charts(&analysis.layers);
    html! {
        (page::section("By role of the matrix", &page::table(&tables::roles(&analysis.roles))))
        @if !charts.is_empty() {
            (page::section("By layer", &html! {
                (page::charts(&charts))
                (page::details("All layers", &page::table(&tables::layers(&analysis.layers))))
            }))
        }
    }
}

/// Outliers and rates along each stack of layers.
fn layer_charts(layers: &[LayerSummary]) -> Vec<Chart> {
    let mut charts = Vec::new();
    let stacks = layers.chunk_by(|a, b| a.stack == b.stack).filter(|stack| stack.len() > 1);
    for stack in stacks.take(MAX_STACKS) {
        let name = label(&stack[0].stack);
        let series = |value: fn(&CoordinateSummary) -> Option<f64>| {
            let line = |(number, coordinates): (usize, Coordinates)| {
                let point = |layer: &LayerSummary| {
                    let summary = layer.coordinates.get(number)?;
                    Some((layer.layer as f64, value(summary)?))
                };
                let points = stack.iter().filter_map(point).collect();
                Series::new(tables::words(coordinates.name()), points).with_dots()
            };
            SUMMARY_COORDINATES.into_iter().enumerate().map(line).collect()
        };
        let peaks = LineChart {
            title: format!("{name}: largest peak"),
            x: Axis::linear("layer"),
            y: Axis::log("peak ÷ RMS"),
            series: series(|summary| Some(summary.worst_peak_to_rms)),
        };
        let rates = LineChart {
            title: format!("{name}: bits per weight"),
            x: Axis::linear("layer"),
            y: Axis::linear("bits per weight"),
            series: series(|summary| summary.coded_bits),
        };
        charts.extend([peaks.draw(), rates.draw()]);
    }
    charts
}

fn all(analysis: &Analysis) -> Markup {
    let matrices = tables::by_peak(analysis);
    let rest = matrices.len().saturating_sub(MAX_ROWS);
    let title = match rest {
        0 => "All matrices by peak".to_owned(),
        _ => format!("The {MAX_ROWS} matrices with the largest peaks"),
    };
    let rows = tables::matrices(matrices.into_iter().take(MAX_ROWS));
    page::listing(&title, &rows, rest, "occ analyze --json lists them all")
}
