//! What the words on the pages mean.

use super::page;
use maud::{Markup, html};

pub type Term = (&'static str, &'static str);

pub const ANALYSIS: &[Term] = &[
    ("σ, rms", "The root mean square of a matrix's weights: the same in all coordinate systems."),
    ("peak/rms", "The largest magnitude over σ. Gaussian weights by the million reach about 5."),
    (
        "kurtosis",
        "The fourth moment over the square of the second: 3 of Gaussian numbers, more with heavy tails.",
    ),
    ("> 3 σ", "The share of numbers beyond three times σ: 0.27 % of Gaussian ones."),
    (
        "top 1 %",
        "The share of the energy, the sum of squares, that the largest 1 % of numbers hold: 8.4 % of Gaussian ones.",
    ),
    (
        "4-bit dB",
        "Signal to noise of a plain quantiser of 4 bits whose outermost levels are at the peak: it is what outliers ruin.",
    ),
    (
        "H at σ/4",
        "The entropy in bits a weight of a quantiser with steps of σ/4: the error is the same in all systems, the rate is not.",
    ),
    (
        "bits",
        "Bits a weight that occ would spend at equal distortion, axes, tables and headers included; – in systems that the codec has not.",
    ),
    (
        "dB",
        "Signal to noise: 20 · log10 of the norm of the weights over the norm of the error. 6 dB halve the error.",
    ),
    (
        "Gaussian bound",
        "What independent Gaussian weights take at least (Shannon, 1959): dB ÷ 6.02.",
    ),
    ("original", "The weights as they are."),
    (
        "hadamard, flattened",
        "Columns mixed by Hadamard matrices with fixed signs, in blocks of 256: every number becomes a mixture of many.",
    ),
    ("hadamard both", "Rows mixed as well. For contrast: the codec mixes columns alone."),
    (
        "aligned, concentrated",
        "Principal axes learned from the matrix: as much as possible in as few as possible. Blocks of at most 1,024 columns; “aligned blocks” has 128.",
    ),
    ("random", "A random rotation of blocks of at most 512 columns."),
    ("dct", "The cosine transform of whole rows. For contrast: the codec has it not."),
    ("block", "Columns that are mixed at once."),
    (
        "effective rank",
        "Over how many singular values the energy is spread: their squares' (Σe)² ÷ Σe².",
    ),
    (
        "noise (Marchenko–Pastur)",
        "The singular values of a matrix of noise whose median is that of this one (Marchenko and Pastur, 1967). What is beyond its edge is structure.",
    ),
];

pub const COMPRESSION: &[Term] = &[
    ("ratio", "The compressed size over the original one."),
    ("b/w", "Bits a weight, headers and tables of the tensor included."),
    (
        "dB",
        "Signal to noise: 20 · log10 of the norm of the weights over the norm of the error. 6 dB halve the error.",
    ),
    (
        "gain",
        "Bits a weight that axes and the low-dimensional part saved, by the encoder's estimate, their own storage counted.",
    ),
    (
        "Gaussian bound",
        "What independent Gaussian weights take at least (Shannon, 1959): dB ÷ 6.02. Weights with structure can be below it.",
    ),
    ("identity", "The tensor's own columns."),
    ("hadamard 256", "Columns mixed by Hadamard matrices in blocks of 256."),
    ("aligned 384", "Principal axes learned from the tensor, in blocks of 384 columns."),
    ("+mean, +12", "A mean row, and a low-dimensional part of 12 axes, are stored apart."),
    ("exact", "Nothing was lost."),
];

/// The terms, for whoever asks.
pub fn glossary(terms: &[Term]) -> Markup {
    page::details(
        "What the words mean",
        &html! {
            dl {
                @for (term, meaning) in terms {
                    dt { (term) }
                    dd { (meaning) }
                }
            }
        },
    )
}
