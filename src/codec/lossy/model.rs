//! From lattice integers to weights: the arithmetic that every decoder does alike.

use super::parameters::{LowRankPart, Parameters};
use crate::coordinates::BAND;
use crate::entropy::rans::{DecodeTables, EncodeTable};
use crate::entropy::{Alphabet, Coset, Frequencies, Profile};

/// Parameters, and what follows from them.
pub(super) struct Model {
    pub(super) parameters: Parameters,
    /// By column: what an integer counts for, the step included.
    factors: Vec<f32>,
}

/// The integers of up to 32 rows.
pub(super) struct Band {
    /// By column, in every lane: a lattice point; after [`Model::reconstruct`], anything.
    pub(super) lattice: Vec<[i32; BAND]>,
    /// By axis, in every lane.
    pub(super) coefficients: Vec<[i32; BAND]>,
    /// In every lane: the row's factor, as a byte.
    pub(super) scales: [u8; BAND],
    /// Scratch for the low-dimensional part.
    product: Vec<[i32; BAND]>,
}

impl Band {
    pub(super) fn clear(&mut self) {
        self.lattice.fill([0; BAND]);
        self.coefficients.fill([0; BAND]);
    }
}

/// The byte of the factor 1.
pub(super) const SCALE_ONE: u8 = 128;

/// A row's factor: eighths between powers of two, (8 + byte mod 8) · 2^(byte div 8 − 19).
pub(super) fn row_factor(byte: u8) -> f32 {
    // The bits of such a number: a biased exponent, and the eighths atop the fraction.
    let (exponent, eighths) = (127 - 16 + u32::from(byte >> 3), u32::from(byte & 7));
    f32::from_bits(exponent << 23 | eighths << 20)
}

/// Which table codes what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableNumbers {
    profiles: usize,
}

impl TableNumbers {
    /// For a weight of this profile in a half of the lattice.
    #[inline]
    pub(super) fn weight(profile: u8, half: u32) -> usize {
        2 * usize::from(profile) + half as usize
    }

    pub(super) fn row_class(self) -> usize {
        2 * self.profiles
    }

    pub(super) fn row_scale(self) -> usize {
        2 * self.profiles + 1
    }

    pub(super) fn coefficient(self, axis: usize) -> usize {
        2 * self.profiles + 2 + axis
    }
}

impl Model {
    pub(super) fn new(parameters: Parameters) -> Self {
        let units = parameters.rotation.as_coordinates().units();
        let factors = units.iter().map(|unit| parameters.step * unit).collect();
        Self { parameters, factors }
    }

    /// The alphabet of residual integers in a half of the lattice.
    pub(super) fn alphabet(&self, half: u32) -> Alphabet {
        let coset = match (self.parameters.trellis.is_scalar(), half) {
            (true, _) => Coset::Whole,
            (false, 0) => Coset::Even,
            (false, _) => Coset::Odd,
        };
        Alphabet { coset, bypass: self.parameters.bypass }
    }

    pub(super) fn numbers(&self) -> TableNumbers {
        TableNumbers { profiles: self.parameters.profiles.len() }
    }

    /// All frequency tables, in the order of their numbers.
    fn frequencies(&self) -> Vec<Frequencies> {
        let parameters = &self.parameters;
        let halves = |profile| [0, 1].map(|half| self.table(profile, half));
        let mut all: Vec<_> = (0..parameters.profiles.len()).flat_map(halves).collect();
        // Where a row's byte is not coded the place is taken by a table that is not used.
        let classes = parameters.classes.rows.as_ref();
        for table in [classes, parameters.row_scales.as_ref()] {
            let coded = table.and_then(|table| table.frequencies().cloned());
            all.push(coded.unwrap_or_else(|| all[0].clone()));
        }
        for (bypass, profile) in self.coefficients() {
            all.push(profile.frequencies(Alphabet { coset: Coset::Whole, bypass: *bypass }));
        }
        all
    }

    fn table(&self, profile: usize, half: u32) -> Frequencies {
        self.parameters.profiles[profile].frequencies(self.alphabet(half))
    }

    pub(super) fn decode_tables(&self) -> DecodeTables {
        DecodeTables::new(&self.frequencies())
    }

    pub(super) fn encode_tables(&self) -> Vec<EncodeTable> {
        self.frequencies().iter().map(EncodeTable::new).collect()
    }

    pub(super) fn low_rank(&self) -> Option<&LowRankPart> {
        self.parameters.low_rank.as_deref()
    }

    /// How the coefficients of each axis are coded: low bits beside the symbols, and the profile.
    pub(super) fn coefficients(&self) -> &[(u32, Profile)] {
        self.low_rank().map_or(&[], |part| &part.coefficients)
    }

    pub(super) fn rank(&self) -> usize {
        self.coefficients().len()
    }

    pub(super) fn band(&self) -> Band {
        let columns = self.parameters.columns;
        Band {
            lattice: vec![[0; BAND]; columns],
            coefficients: vec![[0; BAND]; self.rank()],
            scales: [SCALE_ONE; BAND],
            product: vec![[0; BAND]; if self.low_rank().is_some() { columns } else { 0 }],
        }
    }

    /// Weights of the first rows of a band, as many as `out` has room for, row by row.
    ///
    /// Integers up to the last step: a multiplication for each term, an addition, in `f32`, each
    /// rounded to nearest. So all machines find the same.
    pub(super) fn reconstruct(&self, band: &mut Band, out: &mut [f32]) {
        let columns = self.parameters.columns;
        self.parameters.rotation.as_coordinates().inverse(&mut band.lattice);
        let row_factors = band.scales.map(row_factor);
        for (lane, row) in out.chunks_exact_mut(columns).enumerate() {
            let terms = row.iter_mut().zip(&band.lattice).zip(&self.factors);
            if self.parameters.row_scales.is_none() {
                terms.for_each(|((out, values), &factor)| *out = values[lane] as f32 * factor);
            } else {
                let scale = row_factors[lane];
                terms.for_each(|((out, values), &factor)| {
                    *out = values[lane] as f32 * (factor * scale);
                });
            }
        }
        let Some(LowRankPart { part, .. }) = self.low_rank() else { return };
        part.product(&band.coefficients, &mut band.product);
        let scale = part.scale();
        for (lane, row) in out.chunks_exact_mut(columns).enumerate() {
            for (out, values) in row.iter_mut().zip(&band.product) {
                *out += values[lane] as f32 * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_factors_are_eighths_between_powers_of_two() {
        assert_eq!(row_factor(SCALE_ONE), 1.0);
        for byte in 0..=255u8 {
            let exact = f64::from(8 + byte % 8) * f64::from(byte / 8).exp2() / 524_288.0;
            assert_eq!(f64::from(row_factor(byte)), exact);
        }
    }
}
