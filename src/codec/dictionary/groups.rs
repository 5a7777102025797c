//! The division of the words of a chunk into groups.

use std::ops::Range;

/// Rows of words, and the extent of the groups that these are divided into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Groups {
    /// Words in a row; the last row of a chunk may be shorter.
    pub(super) row: usize,
    /// Rows and columns of a group; those at the end of a chunk or of a row may have fewer.
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// Words that follow one another.
pub(super) enum Segment {
    /// All in one group.
    InGroup(usize),
    /// Each in the group after that of the word before.
    FromGroup(usize),
}

impl Groups {
    /// The groups of a chunk: fewer than twice the words.
    pub(super) fn count(&self, words: usize) -> usize {
        words.div_ceil(self.row).div_ceil(self.rows) * self.across(words)
    }

    /// The groups next to each other.
    fn across(&self, words: usize) -> usize {
        self.row.min(words).div_ceil(self.columns)
    }

    /// Calls `visit` with all segments of a chunk in order.
    #[inline]
    pub(super) fn segments(&self, words: usize, mut visit: impl FnMut(Range<usize>, Segment)) {
        let across = self.across(words);
        let rows = (0..words).step_by(self.row.min(words).max(1)).enumerate();
        for (number, start) in rows {
            let end = words.min(start.saturating_add(self.row));
            let first = number / self.rows * across;
            if self.columns == 1 {
                visit(start..end, Segment::FromGroup(first));
                continue;
            }
            for (number, start) in (start..end).step_by(self.columns).enumerate() {
                let end = end.min(start.saturating_add(self.columns));
                visit(start..end, Segment::InGroup(first + number));
            }
        }
    }
}
