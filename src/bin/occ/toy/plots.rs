//! Plots of the results.

use super::experiment::{CaseResult, Experiment, NetworkResult, WIDTHS, quantised};
use super::network::{Activation, Network};
use super::representation::{RatePoint, Representation};
use super::target::{Case, SAMPLES};
use super::training::predict;
use crate::charts::{Axis, BarChart, BarGroup, Bins, Chart, Histogram, LineChart, Outline, Series};
use crate::gaussian::probability;
use occ::analysis::concentration::top_energy;

/// All plots, with names of files.
pub fn draw(experiment: &Experiment) -> Vec<(String, Chart)> {
    let mut plots = Vec::new();
    for case in &experiment.cases {
        let letter = format!("{:?}", case.case).to_lowercase();
        plots.push((format!("signal-{letter}.svg"), signal(case)));
        plots.push((format!("rate-distortion-{letter}.svg"), rates(case)));
    }
    plots.push(("weights.svg".into(), weights(experiment)));
    plots.push(("outliers.svg".into(), outliers(experiment)));
    plots.push(("concentration.svg".into(), concentration(experiment)));
    plots
}

/// A function and the output of a network, as trained and with quantised weights.
fn signal(case: &CaseResult) -> Chart {
    const BITS: u32 = 6;
    let result = find(case, Activation::Tanh, WIDTHS[1]);
    let network = &result.network;
    let samples: Vec<usize> = (0..SAMPLES).step_by(8).collect();
    let points = |values: Vec<f64>| {
        let times = samples.iter().map(|&sample| sample as f64 / SAMPLES as f64);
        times.zip(values).collect()
    };
    let output = |network: &Network| points(predict(network, &samples));
    let quantised = |rotated| output(&quantised(network, BITS, rotated));
    let series = vec![
        Series::new(network.name(), output(network)),
        Series::new(format!("{BITS} bits"), quantised(false)),
        Series::new(format!("{BITS} bits, rotated"), quantised(true)),
        Series::new("function", points(samples.iter().map(|&s| case.truth[s]).collect()))
            .reference(),
    ];
    let chart = LineChart {
        title: format!("Case {:?}: function and network", case.case),
        x: Axis::linear("t").within(0.0..1.0),
        y: Axis::linear("f(t)"),
        series,
    };
    chart.draw()
}

/// Bytes and errors of the representations of a function.
fn rates(case: &CaseResult) -> Chart {
    let point = |point: &RatePoint| (point.bytes as f64, point.error_db);
    let curve = |coded: &Representation| coded.quantised.iter().map(point).collect::<Vec<_>>();
    let fourier = case.fourier.iter().filter_map(|coded| coded.quantised.last()).map(point);
    let mut series = vec![
        Series::new("parameters", curve(&case.parameters)).only_dots(),
        Series::new("1 to 256 Fourier coefficients, 8 bits", fourier.collect()).with_dots(),
    ];
    for (number, width) in WIDTHS.into_iter().enumerate() {
        let network = find(case, Activation::Tanh, width);
        let name = network.network.name();
        let plain = Series::new(name.clone(), curve(&network.plain.coded)).with_dots();
        series.push(plain.coloured(2 + number));
        let rotated = Series::new("rotated", curve(&network.rotated.coded)).dashed();
        series.push(rotated.coloured(2 + number));
    }
    let chart = LineChart {
        title: format!("Case {:?}: size and error", case.case),
        x: Axis::log("bytes, quantised to 2, 3, 4, 6 and 8 bits"),
        // Above 0 dB the error is larger than the function.
        y: Axis::linear("error on held-out samples, dB").within(-60.0..10.0),
        series,
    };
    chart.draw()
}

/// Distributions of hidden matrices, compared with the normal distribution.
fn weights(experiment: &Experiment) -> Chart {
    const RANGE: std::ops::Range<f64> = -8.0..8.0;
    const BINS: usize = 64;
    let bins = |hidden: &[f32]| {
        let square = hidden.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
        let rms = (square / hidden.len() as f64).sqrt();
        Bins::of(hidden.iter().map(|&x| f64::from(x) / rms), RANGE, BINS)
    };
    let mut outlines = Vec::new();
    for case in &experiment.cases {
        let network = find(case, Activation::Relu, WIDTHS[2]);
        for (how, weights) in [("as trained", &network.plain), ("rotated", &network.rotated)] {
            let name = format!("{:?} {how}", case.case);
            let bins = bins(&weights.hidden);
            outlines.push(Outline { name, bins, colour: outlines.len() });
        }
    }
    let histogram = Histogram {
        title: "Hidden matrix of relu 256".into(),
        x_label: "weight ÷ RMS".into(),
        outlines,
        reference: Some(("Gaussian".into(), Bins::expected(probability, RANGE, BINS))),
    };
    histogram.draw()
}

/// Peaks before and after the rotation.
fn outliers(experiment: &Experiment) -> Chart {
    let mut groups = Vec::new();
    for case in &experiment.cases {
        groups.extend(case.networks.iter().map(|network| BarGroup {
            label: format!("{:?} {}", case.case, network.network.name()),
            values: [&network.plain, &network.rotated].map(|w| w.outliers.peak_to_rms).into(),
        }));
    }
    let chart = BarChart {
        title: "Peak to RMS of hidden matrices".into(),
        x: Axis::linear("largest magnitude ÷ RMS"),
        series: vec!["as trained".into(), "rotated".into()],
        groups,
        reference: None,
        format: |ratio| format!("{ratio:.1}"),
    };
    chart.draw()
}

/// Share of the energy in the largest coordinates.
fn concentration(experiment: &Experiment) -> Chart {
    let curve = |numbers: &[f32]| {
        let mut counts: Vec<usize> = (0..=24)
            .map(|step| (numbers.len() as f64).powf(f64::from(step) / 24.0).round() as usize)
            .collect();
        counts.dedup();
        let share = |&k: &usize| (k as f64 / numbers.len() as f64, top_energy(numbers, k));
        counts.iter().map(share).collect::<Vec<_>>()
    };
    let mut series = Vec::new();
    for case in &experiment.cases {
        let samples: Vec<f32> = case.truth.iter().map(|&x| x as f32).collect();
        let network = find(case, Activation::Tanh, WIDTHS[2]);
        let (plain, rotated) = (&network.plain.hidden, &network.rotated.hidden);
        let all = [
            ("Fourier", &case.coordinates),
            ("samples", &samples),
            ("weights", plain),
            ("rotated", rotated),
        ];
        for (number, (name, numbers)) in all.into_iter().enumerate() {
            let name = format!("{:?} {name}", case.case);
            let line = Series::new(name, curve(numbers)).coloured(number);
            series.push(if case.case == Case::A { line } else { line.dashed() });
        }
    }
    let chart = LineChart {
        title: "Energy of the largest coordinates (weights of tanh 256)".into(),
        x: Axis::log("share of coordinates").within(1.0 / SAMPLES as f64..1.0),
        y: Axis::linear("share of energy").within(0.0..1.0),
        series,
    };
    chart.draw()
}

fn find(case: &CaseResult, activation: Activation, width: usize) -> &NetworkResult {
    let wanted = |n: &&NetworkResult| n.activation == activation && n.width == width;
    case.networks.iter().find(wanted).unwrap_or_else(|| unreachable!("all networks are trained"))
}
