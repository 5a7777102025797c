//! Costs of neighbouring lattice points, next to each other in memory.

use super::row_group::RowGroup;
use super::rows::{Lanes, WindowTable};
use crate::codec::quantizer::viterbi::CostTables;

/// Cost tables by signed point. With a trellis, even and odd points have tables of their own, so that
/// four neighbouring points that a state allows are next to each other.
pub(super) struct CostWindows {
    /// Points have indices up to this one; other points have the same costs.
    last: usize,
    /// The index of the point 0, or of 1 among odd points.
    middle: usize,
    /// By table and parity: a cost for each index up to `last`, and three more.
    pub(super) table: WindowTable,
    /// By group, class of column and parity: the start of the table of each row.
    starts: Vec<Vec<[Lanes<u32>; 2]>>,
}

impl CostWindows {
    pub(super) fn new(costs: &CostTables, groups: &[RowGroup], is_scalar: bool) -> Self {
        let (spacing, parities) = if is_scalar { (1, 1) } else { (2, 2) };
        let middle = costs.length.div_ceil(spacing) + 2;
        let (last, size) = (2 * middle, 2 * middle + 4);
        let point = |index: usize, parity: usize| {
            (index as i32 - middle as i32) * spacing as i32 + parity as i32
        };
        let tables = (0..costs.count()).map(|table| costs.start(table));
        let halves = tables.flat_map(|start| (0..parities).map(move |parity| (start, parity)));
        let cost = |(start, parity): (u32, usize)| {
            (0..size).map(move |index| costs.of(start, point(index, parity)))
        };
        let all: Vec<f32> = halves.flat_map(cost).collect();
        let move_start = |start: u32, parity: usize| {
            let table = costs.table(start);
            assert_eq!(costs.start(table), start, "the start of a table");
            let moved = (table * parities + parity.min(parities - 1)) * size;
            assert!(moved + size <= all.len(), "every start has a cost table");
            moved as u32
        };
        let of_class =
            |rows: &Lanes<u32>| [0, 1].map(|parity| rows.map(|start| move_start(start, parity)));
        let of_group = |group: &RowGroup| group.starts.iter().map(of_class).collect();
        let starts = groups.iter().map(of_group).collect();
        Self { last, middle, table: WindowTable::new(all), starts }
    }

    /// The starts of a group in a column of a class, by parity.
    pub(super) fn starts(&self, group: usize, class: usize) -> &[Lanes<u32>; 2] {
        &self.starts[group][class]
    }

    /// What has to be added to the second of four neighbouring points, divided by their spacing, and
    /// the largest index.
    pub(super) fn range(&self) -> (f32, f32) {
        ((self.middle as f32) - 1.0, self.last as f32)
    }
}
