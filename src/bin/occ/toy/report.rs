//! The tables and the text.

use super::coding::{BITS, Coded, Point};
use super::experiment::{CaseResult, Experiment};
use super::found::{decibels, sentences};
use crate::numbers::grouped;
use crate::table::{Align, Table};

/// What has been done, so that numbers can be understood.
const METHOD: [&str; 4] = [
    "A function f(t) = Σ a·sin(2πft + φ) is sampled at 4,096 times; 30 % of the samples are held \
     out, and errors are measured on those alone: energy of the error over energy of the function, \
     in decibels. There are six sinusoids, of \
     whole frequencies from 1 to 8: networks learn high ones hardly at all (Rahaman et al., 2019). In case A one amplitude is 1 and all others 0.01; \
     in case B they are log-uniform between 0.01 and 1.",
    "It is described by its own parameters (amplitudes, frequencies, phases), by the K largest \
     coefficients of its Fourier transform, and by the weights of networks with two hidden layers. \
     The transform sees as much as the networks: what is held out is interpolated linearly first, \
     which sets a floor to its error. Each frequency that is kept takes 2 bytes besides.",
    "Every vector and every matrix has a quantiser of its own, symmetric and uniform from peak to \
     peak, whose step takes 4 bytes; levels are coded with rANS. Each stream has a fixed cost of \
     some 130 bytes, most of what short vectors take. Rotated: each row of a matrix is multiplied \
     by Hadamard's matrix, a matrix of one column as a whole; it is quantised, and rotated back. \
     Under f32 nothing is quantised.",
    "Outliers are those of the hidden matrix, width × width: its peak over its norm and over its \
     root mean square, the share beyond three standard deviations (0.27 % of Gaussian weights), \
     kurtosis (3), energy of the largest 1 % (9 %), and the share below a tenth of the root mean \
     square (8 %).",
];

pub fn to_text(experiment: &Experiment) -> String {
    let mut text = format!(
        "Seed {}; each network learns from {} × 64 samples.\n\n",
        experiment.seed,
        grouped(experiment.steps.into()),
    );
    let paragraph = |text: &str| wrapped(text) + "\n";
    text.extend(METHOD.map(paragraph));
    for case in &experiment.cases {
        text += &format!("Case {:?}: error on samples held out, in decibels\n\n", case.case);
        text += &errors(case);
        text += &format!("\nCase {:?}: bytes, coded / by entropy alone\n\n", case.case);
        text += &(bytes(case) + "\n");
    }
    text += &format!("Hidden matrices\n\n{}\n", outliers(experiment));
    text += &format!("Weights that become zero\n\n{}\nFound in this run\n\n", zeros(experiment));
    let found: Vec<String> = sentences(experiment).iter().map(|text| wrapped(text)).collect();
    text + &found.join("\n")
}

/// All descriptions of a function, in groups.
fn groups(case: &CaseResult) -> [Vec<&Coded>; 4] {
    [
        vec![&case.parameters],
        case.fourier.iter().collect(),
        case.networks.iter().map(|network| &network.plain.coded).collect(),
        case.networks.iter().map(|network| &network.rotated.coded).collect(),
    ]
}

fn table(first: &'static str) -> Table {
    let columns = ["f32", "2 bits", "3 bits", "4 bits", "6 bits", "8 bits"];
    debug_assert_eq!(columns.len(), 1 + BITS.len());
    let mut all = vec![(first, Align::Left), ("numbers", Align::Right)];
    all.extend(columns.map(|column| (column, Align::Right)));
    Table::new(&all)
}

/// A table over groups, whose cells are made of what is coded.
fn grouped_table(case: &CaseResult, cells: impl Fn(&Coded) -> Vec<String>) -> String {
    let mut table = table("");
    for (number, group) in groups(case).into_iter().enumerate() {
        if number > 0 {
            table.rule();
        }
        for coded in group {
            let name = [coded.name.clone(), grouped(coded.numbers as u64)];
            table.cells(name.into_iter().chain(cells(coded)).collect());
        }
    }
    table.render_whole()
}

fn errors(case: &CaseResult) -> String {
    grouped_table(case, |coded| {
        let points = std::iter::once(&coded.exact).chain(&coded.quantised);
        points.map(|point| decibels(point.error_db)).collect()
    })
}

fn bytes(case: &CaseResult) -> String {
    grouped_table(case, |coded| {
        let both = |point: &Point| {
            let entropy = grouped(point.entropy_bytes.round() as u64);
            format!("{} / {entropy}", grouped(point.bytes as u64))
        };
        let exact = grouped(coded.exact.bytes as u64);
        std::iter::once(exact).chain(coded.quantised.iter().map(both)).collect()
    })
}

fn outliers(experiment: &Experiment) -> String {
    let columns = [
        ("", Align::Left),
        ("peak/norm", Align::Right),
        ("peak/rms", Align::Right),
        ("> 3σ", Align::Right),
        ("kurtosis", Align::Right),
        ("top 1 %", Align::Right),
        ("< rms/10", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for (number, case) in experiment.cases.iter().enumerate() {
        if number > 0 {
            table.rule();
        }
        for weights in case.networks.iter().flat_map(|network| [&network.plain, &network.rotated]) {
            let percent = |share: f64| format!("{:.2} %", 100.0 * share);
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
    table.render_whole()
}

/// The share of all weights whose level is zero.
fn zeros(experiment: &Experiment) -> String {
    let mut table = table("");
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
    table.render_whole()
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
    fn lines_are_broken_between_words() {
        let text = "word ".repeat(45);
        let lines = wrapped(text.trim_end());
        assert!(lines.lines().map(str::len).eq([99, 99, 24]), "{lines}");
    }
}
