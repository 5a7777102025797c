//! From lattice integers to weights: the arithmetic that every decoder does alike.

use super::parameters::{LowRankPart, Parameters};
use super::scales::{SCALE_ONE, scale};
use crate::coordinates::BAND;
use crate::entropy::rans::{DecodeTables, EncodeTable};
use crate::entropy::{Alphabet, Coset, Frequencies, Profile};
use crate::kernel::Kernel;
use crate::quantizer::Trellis;

/// Parameters, and what follows from them.
pub(super) struct Model {
    pub(super) parameters: Parameters,
    /// By column: what a rotated lattice integer counts for, and one of the low-dimensional part.
    units: Vec<f32>,
    part_units: Vec<f32>,
}

/// The integers of up to 32 rows.
pub(super) struct Band {
    /// By column, in every lane: a lattice point; after [`Model::reconstruct`], anything.
    pub(super) lattice: Vec<[i32; BAND]>,
    /// By axis, in every lane.
    pub(super) coefficients: Vec<[i32; BAND]>,
    /// In every lane: the byte of the row's scale.
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

/// The alphabets of indices in the halves of a trellis's lattice.
pub(super) fn alphabets(trellis: Trellis, bypass: u32) -> [Alphabet; 2] {
    let cosets = match trellis.is_scalar() {
        true => [Coset::Whole; 2],
        false => [Coset::Even, Coset::Odd],
    };
    cosets.map(|coset| Alphabet { coset, bypass })
}

impl Model {
    pub(super) fn new(parameters: Parameters) -> Self {
        let units = parameters.rotation.as_coordinates().units();
        let mut units: Vec<f32> = units.iter().map(|unit| parameters.step * unit).collect();
        let part_scale = parameters.low_rank.as_ref().map(|low_rank| low_rank.part.scale());
        let mut part_units = vec![part_scale.unwrap_or(0.0); parameters.columns];
        if let Some(bytes) = &parameters.column_scales {
            for ((unit, part_unit), &byte) in units.iter_mut().zip(&mut part_units).zip(bytes) {
                *unit *= scale(byte);
                *part_unit *= scale(byte);
            }
        }
        Self { parameters, units, part_units }
    }

    /// The alphabets of residual integers in the halves of the lattice.
    pub(super) fn alphabets(&self) -> [Alphabet; 2] {
        alphabets(self.parameters.trellis, self.parameters.bypass)
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
        self.parameters.profiles[profile].frequencies(self.alphabets()[half as usize])
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
    /// Integers up to the last steps: a multiplication for each term, an addition, and where rows
    /// have scales another multiplication, in `f32`, each rounded to nearest. So all machines find
    /// the same.
    pub(super) fn reconstruct(&self, kernel: Kernel, band: &mut Band, out: &mut [f32]) {
        let columns = self.parameters.columns;
        self.parameters.rotation.as_coordinates().inverse(kernel, &mut band.lattice);
        kernel.run(
            #[inline(always)]
            || transpose(&band.lattice, &self.units, out, |out, term| *out = term),
        );
        if let Some(LowRankPart { part, .. }) = self.low_rank() {
            part.product(kernel, &band.coefficients, &mut band.product);
            kernel
                .run(|| transpose(&band.product, &self.part_units, out, |out, term| *out += term));
        }
        if self.parameters.row_scales.is_some() {
            for (row, &byte) in out.chunks_exact_mut(columns).zip(&band.scales) {
                let scale = scale(byte);
                row.iter_mut().for_each(|out| *out *= scale);
            }
        }
    }
}

/// Columns that are turned into pieces of rows at a time: all of them stay in the first-level cache.
const TILE: usize = 16;

/// Hands integers by column, times what they count for, to the places of rows.
#[inline(always)]
fn transpose(
    columns: &[[i32; BAND]],
    units: &[f32],
    rows: &mut [f32],
    put: impl Fn(&mut f32, f32),
) {
    let width = columns.len();
    let tiles = columns.chunks(TILE).zip(units.chunks(TILE)).enumerate();
    for (tile, (columns, units)) in tiles {
        for (lane, row) in rows.chunks_exact_mut(width).enumerate() {
            let row = &mut row[tile * TILE..][..columns.len()];
            for ((out, values), unit) in row.iter_mut().zip(columns).zip(units) {
                put(out, values[lane] as f32 * unit);
            }
        }
    }
}
