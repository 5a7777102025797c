//! The report of `occ toy` as text.

use super::conclusions::{decibels, sentences};
use super::experiment::{CaseResult, Experiment};
use super::representation::{BITS, RatePoint, Representation};
use crate::numbers::{grouped, percent};
use crate::table::{Align, Table};

/// Description of the experiment.
const METHOD: [&str; 4] = [
    "A function f(t) = Σ a·sin(2πft + φ) of six sinusoids is sampled at 4,096 points. The \
     frequencies are distinct integers from 1 to 8; they are low because networks learn high \
     frequencies slowly (Rahaman et al., 2019). In case A one amplitude is 1 and all others are \
     0.01; in case B amplitudes are log-uniform between 0.01 and 1. 30 % of the samples are held \
     out. Errors are measured on these only: energy of the error over energy of the function, in \
     dB.",
    "The function is represented by its parameters (amplitudes, frequencies, phases), by the \
     largest coefficients of its Fourier transform, and by the weights of networks with two hidden \
     layers. The Fourier transform uses the same training samples as the networks: held-out \
     samples are interpolated linearly, which limits its accuracy. The frequency of each \
     coefficient takes 2 bytes in addition.",
    "Every vector and every matrix has its own uniform quantiser, symmetric over the range of \
     values, whose step takes 4 bytes; levels are coded with rANS. Each coded stream has a fixed \
     cost of about 130 bytes, which dominates the size of short vectors. “Rotated” means that each \
     row of a matrix is multiplied by a Hadamard matrix (a matrix of one column as a whole), \
     quantised, and rotated back. The column f32 is without quantisation.",
    "Outliers are measured on the hidden matrix, width × width: its peak over its norm and over \
     its RMS, the share of weights beyond three standard deviations (0.27 % for Gaussian weights), \
     kurtosis (3), the share of the energy in the largest 1 % (8.4 %), and the share of weights \
     below a tenth of the RMS (8 %).",
];

pub fn to_text(experiment: &Experiment) -> String {
    let mut text = format!(
        "Seed {}; each network is trained for {} steps with batches of 64 samples.\n\n",
        experiment.seed,
        grouped(experiment.steps.into()),
    );
    let paragraph = |text: &str| wrapped(text) + "\n";
    text.extend(METHOD.map(paragraph));
    for case in &experiment.cases {
        text += &format!("Case {:?}: error on held-out samples in dB\n\n", case.case);
        text += &errors(case);
        text += &format!("\nCase {:?}: bytes, coded / entropy\n\n", case.case);
        text += &(bytes(case) + "\n");
    }
    text += &format!("Hidden matrices\n\n{}\n", outliers(experiment));
    text +=
        &format!("Weights that are quantised to zero\n\n{}\nConclusions\n\n", zeros(experiment));
    let conclusions: Vec<String> = sentences(experiment).iter().map(|text| wrapped(text)).collect();
    text + &conclusions.join("\n")
}

/// All representations of a function, in groups.
fn groups(case: &CaseResult) -> [Vec<&Representation>; 4] {
    [
        vec![&case.parameters],
        case.fourier.iter().collect(),
        case.networks.iter().map(|network| &network.plain.coded).collect(),
        case.networks.iter().map(|network| &network.rotated.coded).collect(),
    ]
}

fn quantiser_table(first: &'static str) -> Table {
    let columns = ["f32", "2 bits", "3 bits", "4 bits", "6 bits", "8 bits"];
    debug_assert_eq!(columns.len(), 1 + BITS.len());
    let mut all = vec![(first, Align::Left), ("numbers", Align::Right)];
    all.extend(columns.map(|column| (column, Align::Right)));
    Table::new(&all)
}

/// A table of all representations in groups.
fn grouped_table(case: &CaseResult, cells: impl Fn(&Representation) -> Vec<String>) -> String {
    let mut table = quantiser_table("representation");
    for (number, group) in groups(case).into_iter().enumerate() {
        if number > 0 {
            table.rule();
        }
        for coded in group {
            let name = [coded.name.clone(), grouped(coded.numbers as u64)];
            table.cells(name.into_iter().chain(cells(coded)).collect());
        }
    }
    table.render_unlimited()
}

fn errors(case: &CaseResult) -> String {
    grouped_table(case, |coded| {
        let points = std::iter::once(&coded.exact).chain(&coded.quantised);
        points.map(|point| decibels(point.error_db)).collect()
    })
}

fn bytes(case: &CaseResult) -> String {
    grouped_table(case, |coded| {
        let both = |point: &RatePoint| {
            let entropy = grouped(point.entropy_bytes.round() as u64);
            format!("{} / {entropy}", grouped(point.bytes as u64))
        };
        let exact = grouped(coded.exact.bytes as u64);
        std::iter::once(exact).chain(coded.quantised.iter().map(both)).collect()
    })
}

fn outliers(experiment: &Experiment) -> String {
    let columns = [
        ("network", Align::Left),
        ("peak/norm", Align::Right),
        ("peak/RMS", Align::Right),
        ("> 3 σ", Align::Right),
        ("kurtosis", Align::Right),
        ("top 1 %", Align::Right),
        ("< RMS/10", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for (number, case) in experiment.cases.iter().enumerate() {
        if number > 0 {
            table.rule();
        }
        for weights in case.networks.iter().flat_map(|network| [&network.plain, &network.rotated]) {
            let outliers = &weights.outliers;
            table.row([
                format!("{:?} {}", case.case, weights.coded.name),
                format!("{:.4}", outliers.peak_to_norm),
                format!("{:.2}", outliers.peak_to_rms),
                percent(outliers.beyond_3_sigma),
                format!("{:.2}", outliers.kurtosis),
                percent(weights.top_percent),
                percent(weights.near_zero),
            ]);
        }
    }
    table.render_unlimited()
}

/// Shares of weights that are quantised to zero.
fn zeros(experiment: &Experiment) -> String {
    let mut table = quantiser_table("network");
    for (number, case) in experiment.cases.iter().enumerate() {
        if number > 0 {
            table.rule();
        }
        for network in &case.networks {
            for coded in [&network.plain.coded, &network.rotated.coded] {
                let points = std::iter::once(&coded.exact).chain(&coded.quantised);
                let shares = points.map(|point| format!("{:.1} %", 100.0 * point.zeros));
                let name = format!("{:?} {}", case.case, coded.name);
                let name = [name, grouped(coded.numbers as u64)];
                table.cells(name.into_iter().chain(shares).collect());
            }
        }
    }
    table.render_unlimited()
}

/// Lines of at most 100 characters.
fn wrapped(text: &str) -> String {
    let (mut out, mut width) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > 100 {
            out.push('\n');
            width = 0;
        } else if width > 0 {
            out.push(' ');
            width += 1;
        }
        out.push_str(word);
        width += length;
    }
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_wrapped_between_words() {
        let text = "word ".repeat(45);
        let lines = wrapped(text.trim_end());
        assert!(lines.lines().map(str::len).eq([99, 99, 24]), "{lines}");
    }
}
