//! Definitions of the terms on the pages.

use super::page;
use maud::{Markup, html};

pub type Term = (&'static str, &'static str);

const DECIBELS: Term = (
    "SNR",
    "Signal-to-noise ratio in dB: 20 · log10 of the norm of the weights over the norm of the error. Each 6 dB halve the error.",
);

const IDENTITY: Term = ("identity", "The columns of the matrix, unchanged.");

pub const ANALYSIS: &[Term] = &[
    (
        "σ, RMS",
        "The root mean square of a matrix's weights. It is the same in all coordinate systems.",
    ),
    (
        "peak/RMS",
        "The largest magnitude divided by the RMS: about 5 for millions of Gaussian weights. The table of coordinate systems has the median over matrices, and the maximum in the column after it.",
    ),
    (
        "kurtosis",
        "The fourth moment divided by the square of the second: 3 for Gaussian numbers, more for heavy tails.",
    ),
    ("> 3 σ", "The share of numbers beyond 3 σ: 0.27 % for Gaussian numbers."),
    (
        "top 1 %",
        "The share of the energy (sum of squares) in the largest 1 % of the numbers: 8.4 % for Gaussian numbers.",
    ),
    (
        "4-bit SNR",
        "The SNR of a uniform 4-bit quantiser whose range ends at the peak. Outliers make it worse.",
    ),
    (
        "entropy σ/4",
        "The entropy in bits per weight of a uniform quantiser with step σ/4. The error is about the same in all coordinate systems, the entropy is not.",
    ),
    (
        "bits",
        "The bits per weight that occ needs at the given SNR, including basis, tables and headers; – for coordinate systems that the codec does not implement.",
    ),
    DECIBELS,
    (
        "Gaussian bound",
        "The minimum rate for independent Gaussian weights, SNR ÷ 6.02 (Shannon, 1959).",
    ),
    IDENTITY,
    (
        "hadamard",
        "Columns multiplied by Hadamard matrices with fixed random signs, in blocks of at most 256 columns: every number becomes a mixture of many.",
    ),
    (
        "hadamard both sides",
        "Rows multiplied by Hadamard matrices as well. For comparison: the codec transforms columns only.",
    ),
    (
        "klt",
        "The Karhunen–Loève transform: the principal components of the matrix, which concentrate the energy in few coordinates. Blocks of at most 1,024 columns; “klt blocks” has blocks of 128.",
    ),
    ("random rotation", "A random rotation of blocks of at most 512 columns. For comparison."),
    ("dct", "The discrete cosine transform of whole rows. For comparison."),
    ("block", "The number of columns that are transformed together."),
    (
        "effective rank",
        "The number of singular values that hold most of the energy: (Σs²)² ÷ Σs⁴ of the singular values s.",
    ),
    (
        "noise (Marchenko–Pastur)",
        "The singular values of a random matrix with the same median singular value (Marchenko and Pastur, 1967). Larger singular values are structure.",
    ),
];

pub const COMPRESSION: &[Term] = &[
    ("ratio", "The compressed size divided by the original size."),
    ("bits/weight", "Bits per weight, including the tensor's headers and tables."),
    DECIBELS,
    (
        "gain",
        "The bits per weight that the transform and the low-rank part save, estimated by the encoder, with their side information included.",
    ),
    (
        "Gaussian bound",
        "The minimum rate for independent Gaussian weights, SNR ÷ 6.02 (Shannon, 1959). Weights with structure can be below it.",
    ),
    IDENTITY,
    ("hadamard 256", "Columns multiplied by Hadamard matrices in blocks of 256 columns."),
    (
        "klt 384",
        "The Karhunen–Loève transform: an orthogonal basis learned from the tensor and stored with it, here for blocks of 384 columns.",
    ),
    ("+mean, +12", "A mean row and a low-rank part, here of rank 12, are stored separately."),
    ("lossless", "The tensor is restored bit by bit."),
];

/// The terms as a collapsed list.
pub fn glossary(terms: &[Term]) -> Markup {
    page::details(
        "Glossary",
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
