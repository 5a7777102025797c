//! Reconstruction of weights from lattice integers. The arithmetic is fully specified, so that all
//! decoders return the same bits.

use super::parameters::{LowRankPart, Parameters};
use super::scales::scale;
use crate::arch::Kernel;
use crate::codec::entropy::rans::{DecodeTables, SlotTable};
use crate::codec::entropy::{Alphabet, Coset, Frequencies, MagnitudeDistribution};
use crate::codec::quantizer::Trellis;
use crate::codec::transform::{BAND, Integers, first_of, transpose_i16, transpose_i32};
use crate::dtype::{Dtype, number};
use std::ops::Range;
use zerocopy::IntoBytes;

/// Codec parameters with the factors, classes and tiles that follow from them.
pub(super) struct Reconstruction {
    pub(super) parameters: Parameters,
    /// By column: the value of an integer of the inverse transform, and of the low-rank part.
    units: Vec<f32>,
    part_units: Vec<f32>,
    column_classes: Vec<u8>,
    /// One more than the largest class of a column.
    pub(super) column_class_count: usize,
    tiles: Vec<Range<usize>>,
}

/// Side information of up to 32 rows: everything but their lattice points.
pub(super) struct RowSideInfo {
    pub(super) lanes: usize,
    /// By lane: the byte of the row's scale, and the row's class.
    pub(super) scales: [u8; BAND],
    pub(super) classes: [u8; BAND],
    /// By basis vector of the low-rank part and lane.
    pub(super) coefficients: Vec<[i16; BAND]>,
}

/// The lattice points of up to 32 rows in one tile, in a buffer for the widest tile.
pub(super) struct TilePoints {
    /// An upper bound on the magnitude of all points.
    pub(super) largest: u32,
    /// By column and lane.
    pub(super) columns: Vec<[i16; BAND]>,
}

impl TilePoints {
    pub(super) fn new(columns: usize) -> Self {
        Self { largest: 0, columns: vec![[0; BAND]; columns] }
    }
}

/// Buffers for the integers and values of up to 32 rows in one tile, as long as the widest tile so far that
/// needed them.
#[derive(Default)]
pub(super) struct TileBuffers {
    /// By column and lane.
    wide: Vec<[i32; BAND]>,
    /// Elements of 16 bits, by column and lane.
    rounded: Vec<[i16; BAND]>,
    /// Row by row.
    short_rows: Vec<i16>,
    rows: Vec<i32>,
    part_rows: Vec<i32>,
    values: Vec<f32>,
}

/// The order of the frequency tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableLayout {
    profiles: usize,
}

impl TableLayout {
    /// The table of lattice points of a profile in one half of the lattice.
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

    pub(super) fn coefficient(self, vector: usize) -> usize {
        2 * self.profiles + 2 + vector
    }
}

/// The alphabets of the two halves of a trellis's lattice.
pub(super) fn alphabets(trellis: Trellis, bypass: u32) -> [Alphabet; 2] {
    let cosets = match trellis.is_scalar() {
        true => [Coset::Whole; 2],
        false => [Coset::Even, Coset::Odd],
    };
    cosets.map(|coset| Alphabet { coset, bypass })
}

impl Reconstruction {
    pub(super) fn new(parameters: Parameters) -> Self {
        let units = parameters.transform.as_orthogonal().units();
        let mut units: Vec<f32> = units.iter().map(|unit| parameters.step * unit).collect();
        let part_scale = parameters.low_rank.as_ref().map(|low_rank| low_rank.part.scale());
        let mut part_units = vec![part_scale.unwrap_or(0.0); parameters.columns];
        if let Some(bytes) = &parameters.column_scales {
            for ((unit, part_unit), &byte) in units.iter_mut().zip(&mut part_units).zip(bytes) {
                *unit *= scale(byte);
                *part_unit *= scale(byte);
            }
        }
        let classes = &parameters.classes;
        let column_classes: Vec<u8> =
            (0..parameters.columns).map(|c| classes.of_column(c)).collect();
        let column_class_count =
            column_classes.iter().max().map_or(0, |&most| usize::from(most) + 1);
        let tiles = parameters.transform.as_orthogonal().tiles();
        Self { parameters, units, part_units, column_classes, column_class_count, tiles }
    }

    /// The alphabets of lattice points in the two halves of the lattice.
    pub(super) fn alphabets(&self) -> [Alphabet; 2] {
        alphabets(self.parameters.trellis, self.parameters.bypass)
    }

    pub(super) fn table_layout(&self) -> TableLayout {
        TableLayout { profiles: self.parameters.profiles.len() }
    }

    /// All tables, in the order of [`TableLayout`]. Those of points use the alias method.
    pub(super) fn slot_tables(&self) -> Vec<SlotTable> {
        let parameters = &self.parameters;
        let halves = |profile| [0, 1].map(|half| self.table(profile, half));
        let points = (0..parameters.profiles.len()).flat_map(halves);
        let points: Vec<_> = points.map(SlotTable::aliased).collect();
        // A row byte that is not coded has an unused table as a placeholder.
        let classes = parameters.classes.rows.as_ref();
        let row_bytes = [classes, parameters.row_scales.as_ref()].map(|table| {
            let coded = table.and_then(|table| table.frequencies().cloned());
            coded.map_or_else(|| points[0].clone(), SlotTable::contiguous)
        });
        let coefficients = self.coefficients().iter().map(|(bypass, profile)| {
            let alphabet = Alphabet { coset: Coset::Whole, bypass: *bypass };
            SlotTable::contiguous(profile.frequencies(alphabet))
        });
        points.iter().cloned().chain(row_bytes).chain(coefficients).collect()
    }

    fn table(&self, profile: usize, half: u32) -> Frequencies {
        self.parameters.profiles[profile].frequencies(self.alphabets()[half as usize])
    }

    pub(super) fn decode_tables(&self) -> DecodeTables {
        DecodeTables::new(&self.slot_tables())
    }

    /// Bytes of the decoding tables in memory, at most.
    pub(super) fn decode_table_bytes(&self) -> u64 {
        let tables = self.table_layout().coefficient(self.coefficients().len());
        tables as u64 * DecodeTables::BYTES_PER_TABLE
    }

    pub(super) fn low_rank(&self) -> Option<&LowRankPart> {
        self.parameters.low_rank.as_deref()
    }

    /// By basis vector of the low-rank part: bypass bits and profile of its coefficients.
    pub(super) fn coefficients(&self) -> &[(u32, MagnitudeDistribution)] {
        self.low_rank().map_or(&[], |part| &part.coefficients)
    }

    /// The largest magnitude of a lattice point that has a symbol, without bypass bits, in any
    /// profile.
    pub(super) fn reach(&self) -> u32 {
        let profiles = 0..self.parameters.profiles.len() as u8;
        profiles.map(|profile| self.reach_of(profile)).max().unwrap_or(0)
    }

    /// The largest magnitude of a lattice point that has a symbol in one profile.
    pub(super) fn reach_of(&self, profile: u8) -> u32 {
        let [Alphabet { coset, .. }, _] = self.alphabets();
        self.parameters.profiles[usize::from(profile)].reach(coset) as u32
    }

    /// The class of each column.
    pub(super) fn column_classes(&self) -> &[u8] {
        &self.column_classes
    }

    /// Ranges of columns that are decoded together, ascending.
    pub(super) fn tiles(&self) -> &[Range<usize>] {
        &self.tiles
    }

    /// Weights of the rows in `lanes` in a tile; `sink` receives the lane and its values.
    ///
    /// All operations are on integers except the last ones: a multiplication for each term, an
    /// addition, and a multiplication by the row's scale, in `f32`, each rounded to nearest. The
    /// result is therefore the same on all machines.
    pub(super) fn reconstruct(
        &self,
        kernel: Kernel,
        info: &RowSideInfo,
        [tile, lanes]: [&Range<usize>; 2],
        points: &mut TilePoints,
        buffers: &mut TileBuffers,
        mut sink: impl FnMut(usize, &[f32]),
    ) {
        let width = tile.len();
        let TileBuffers { wide, short_rows, rows, part_rows, values, .. } = buffers;
        let TilePoints { largest, columns } = points;
        let points = &mut columns[..width];
        let transform = self.parameters.transform.as_orthogonal();
        let short = match transform.inverse(kernel, tile.clone(), lanes, *largest, points, wide) {
            Integers::I16(columns) => {
                transpose_i16(kernel, columns, first_of(short_rows, BAND * width));
                true
            }
            Integers::I32(columns) => {
                transpose_i32(kernel, columns, first_of(rows, BAND * width));
                false
            }
        };
        let low_rank = self.low_rank();
        if let Some(LowRankPart { part, .. }) = low_rank {
            let wide = first_of(wide, width);
            part.product(kernel, &info.coefficients, lanes, tile.start, wide);
            transpose_i32(kernel, wide, first_of(part_rows, BAND * width));
        }
        let (units, part_units) = (&self.units[tile.clone()], &self.part_units[tile.clone()]);
        let values = first_of(values, width);
        for lane in lanes.clone() {
            let row = lane * width..(lane + 1) * width;
            kernel.run(
                #[inline(always)]
                || {
                    match short {
                        true => scaled(&short_rows[row.clone()], units, values, |out, x| *out = x),
                        false => scaled(&rows[row.clone()], units, values, |out, x| *out = x),
                    }
                    if low_rank.is_some() {
                        scaled(&part_rows[row], part_units, values, |out, x| *out += x);
                    }
                    if self.parameters.row_scales.is_some() {
                        let scale = scale(info.scales[lane]);
                        values.iter_mut().for_each(|value| *value *= scale);
                    }
                },
            );
            sink(lane, values);
        }
    }

    /// Computes what [`reconstruct`](Self::reconstruct) does, rounded to a dtype of 16 bits, for a tensor
    /// without a low-rank part. `sink` receives the lane and its elements.
    ///
    /// Rounds columns before they become rows: half of the bytes are transposed.
    pub(super) fn reconstruct_16(
        &self,
        (kernel, dtype): (Kernel, Dtype),
        info: &RowSideInfo,
        [tile, lanes]: [&Range<usize>; 2],
        points: &mut TilePoints,
        buffers: &mut TileBuffers,
        mut sink: impl FnMut(usize, &[u8]),
    ) {
        let width = tile.len();
        let TileBuffers { wide, short_rows, rounded, .. } = buffers;
        let TilePoints { largest, columns } = points;
        let (points, rounded) = (&mut columns[..width], first_of(rounded, width));
        let transform = self.parameters.transform.as_orthogonal();
        let units = &self.units[tile.clone()];
        let scales = self.parameters.row_scales.as_ref().map(|_| info.scales.map(scale));
        let round = |values: &[f32], out: &mut [u8]| number::from_f32(kernel, dtype, values, out);
        match transform.inverse(kernel, tile.clone(), lanes, *largest, points, wide) {
            Integers::I16(columns) => round_columns(kernel, columns, units, scales, round, rounded),
            Integers::I32(columns) => round_columns(kernel, columns, units, scales, round, rounded),
        }
        let rows = first_of(short_rows, BAND * width);
        transpose_i16(kernel, rounded, rows);
        for lane in lanes.clone() {
            sink(lane, rows[lane * width..][..width].as_bytes());
        }
    }
}

/// Columns that are rounded together.
const ROUNDED: usize = 16;

/// Multiplies columns of integers by their units and lanes by their scales, and rounds the products.
#[inline(always)]
fn round_columns<N: Copy + Real>(
    kernel: Kernel,
    columns: &[[N; BAND]],
    units: &[f32],
    scales: Option<[f32; BAND]>,
    round: impl Fn(&[f32], &mut [u8]),
    out: &mut [[i16; BAND]],
) {
    let blocks = columns.chunks(ROUNDED).zip(units.chunks(ROUNDED)).zip(out.chunks_mut(ROUNDED));
    // Not in the loop: to fill them takes long.
    let mut values = [[0.0; BAND]; ROUNDED];
    for ((columns, units), out) in blocks {
        kernel.run(
            #[inline(always)]
            || {
                for ((values, integers), unit) in values.iter_mut().zip(columns).zip(units) {
                    // As one value: the compiler cannot know that slices in a closure do not overlap. Not
                    // `integers.map`: it may be compiled as a call, and without the vectors of the kernel.
                    let mut column = [0.0; BAND];
                    for (value, integer) in column.iter_mut().zip(integers) {
                        *value = integer.real() * unit;
                    }
                    if let Some(scales) = &scales {
                        column.iter_mut().zip(scales).for_each(|(value, scale)| *value *= scale);
                    }
                    *values = column;
                }
            },
        );
        round(values[..out.len()].as_flattened(), out.as_mut_bytes());
    }
}

/// Combines each integer times its unit with a value, by `put`.
#[inline(always)]
fn scaled<N: Copy + Real>(
    integers: &[N],
    units: &[f32],
    values: &mut [f32],
    put: impl Fn(&mut f32, f32),
) {
    for ((value, &integer), unit) in values.iter_mut().zip(integers).zip(units) {
        put(value, integer.real() * unit);
    }
}

/// Integers that convert to the nearest `f32`.
trait Real {
    fn real(self) -> f32;
}

impl Real for i16 {
    fn real(self) -> f32 {
        self.into()
    }
}

impl Real for i32 {
    fn real(self) -> f32 {
        self as f32
    }
}
