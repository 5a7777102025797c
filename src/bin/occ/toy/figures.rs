//! What was found, as pictures.

use super::coding::{Coded, Point};
use super::experiment::{CaseResult, Experiment, NetworkResult, WIDTHS, quantised};
use super::network::{Activation, Network};
use super::target::{Case, SAMPLES};
use super::training::answers;
use crate::charts::{
    Axis, Bar, Bars, Bins, Histogram, Lines, Outline, Picture, Series, gaussian_below,
};
use occ::Result;
use occ::analysis::concentration::top_energy;

/// Names of files, and what is in them.
pub fn draw(experiment: &Experiment) -> Result<Vec<(String, Picture)>> {
    let mut pictures = Vec::new();
    for case in &experiment.cases {
        let letter = format!("{:?}", case.case).to_lowercase();
        pictures.push((format!("signal-{letter}.svg"), signal(case)?));
        pictures.push((format!("rate-distortion-{letter}.svg"), rates(case)?));
    }
    pictures.push(("weights.svg".into(), weights(experiment)?));
    pictures.push(("outliers.svg".into(), outliers(experiment)?));
    pictures.push(("concentration.svg".into(), concentration(experiment)?));
    Ok(pictures)
}

/// A function, and what a network says: as trained, and with its weights quantised.
fn signal(case: &CaseResult) -> Result<Picture> {
    const BITS: u32 = 6;
    let result = find(case, Activation::Tanh, WIDTHS[1]);
    let network = &result.network;
    let samples: Vec<usize> = (0..SAMPLES).step_by(8).collect();
    let points = |values: Vec<f64>| {
        let times = samples.iter().map(|&sample| sample as f64 / SAMPLES as f64);
        times.zip(values).collect()
    };
    let says = |network: &Network| points(answers(network, &samples));
    let quantised = |rotated| says(&quantised(network, BITS, rotated));
    let series = vec![
        Series::new(network.name(), says(network)),
        Series::new(format!("at {BITS} bits"), quantised(false)),
        Series::new(format!("at {BITS} bits, rotated"), quantised(true)),
        Series::new("the function", points(samples.iter().map(|&s| case.truth[s]).collect()))
            .reference(),
    ];
    let lines = Lines {
        title: format!("Case {:?}: the function and a network", case.case),
        x: Axis::linear("t").within(0.0..1.0),
        y: Axis::linear("f(t)"),
        series,
    };
    lines.draw()
}

/// Bytes and errors of a case's descriptions.
fn rates(case: &CaseResult) -> Result<Picture> {
    let point = |point: &Point| (point.bytes as f64, point.error_db);
    let curve = |coded: &Coded| coded.quantised.iter().map(point).collect::<Vec<_>>();
    let fourier = case.fourier.iter().filter_map(|coded| coded.quantised.last()).map(point);
    let mut series = vec![
        Series::new("parameters", curve(&case.parameters)).dots(),
        Series::new("FFT, top 1 … 256 at 8 bits", fourier.collect()).dotted(),
    ];
    for (number, width) in WIDTHS.into_iter().enumerate() {
        let network = find(case, Activation::Tanh, width);
        let name = network.network.name();
        let plain = Series::new(name.clone(), curve(&network.plain.coded)).dotted();
        series.push(plain.coloured(2 + number));
        let rotated = Series::new("rotated", curve(&network.rotated.coded)).dashed();
        series.push(rotated.coloured(2 + number));
    }
    let lines = Lines {
        title: format!("Case {:?}: bytes, and the error they leave", case.case),
        x: Axis::log("bytes, coded with 2, 3, 4, 6 and 8 bits"),
        // Above 0 dB a network is worse than none.
        y: Axis::linear("error on samples held out, dB").within(-60.0..10.0),
        series,
    };
    lines.draw()
}

/// Hidden matrices of the largest networks, beside Gauss's curve.
fn weights(experiment: &Experiment) -> Result<Picture> {
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
        title: "Hidden weights of relu 256".into(),
        x_label: "weight ÷ root mean square".into(),
        outlines,
        reference: Some(("Gaussian".into(), Bins::expected(gaussian_below, RANGE, BINS))),
    };
    histogram.draw()
}

/// Peaks before and after rotation.
fn outliers(experiment: &Experiment) -> Result<Picture> {
    let mut groups = Vec::new();
    for case in &experiment.cases {
        groups.extend(case.networks.iter().map(|network| Bar {
            label: format!("{:?} {}", case.case, network.network.name()),
            values: [&network.plain, &network.rotated].map(|w| w.outliers.peak_to_rms).into(),
        }));
    }
    let bars = Bars {
        title: "Hidden matrices: how far the largest weight stands out".into(),
        x: Axis::linear("largest weight ÷ root mean square"),
        series: vec!["as trained".into(), "rotated".into()],
        groups,
        reference: None,
        format: |ratio| format!("{ratio:.1}"),
    };
    bars.draw()
}

/// In how few coordinates the energy lies.
fn concentration(experiment: &Experiment) -> Result<Picture> {
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
            let one = Series::new(name, curve(numbers)).coloured(number);
            series.push(if case.case == Case::A { one } else { one.dashed() });
        }
    }
    let lines = Lines {
        title: "Energy of the largest coordinates (weights: tanh 256)".into(),
        x: Axis::log("share of coordinates").within(1.0 / SAMPLES as f64..1.0),
        y: Axis::linear("share of energy").within(0.0..1.0),
        series,
    };
    lines.draw()
}

fn find(case: &CaseResult, activation: Activation, width: usize) -> &NetworkResult {
    let wanted = |n: &&NetworkResult| n.activation == activation && n.width == width;
    case.networks.iter().find(wanted).unwrap_or_else(|| unreachable!("all are trained"))
}
