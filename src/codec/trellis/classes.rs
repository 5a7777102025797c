//! Table classes: which profile a weight's row and column ask for.

use super::row_table::RowTable;
use crate::codec::entropy::{BitReader, BitWriter};
use crate::error::{Error, Result};

/// Classes of rows, of columns: 0 to 15. Their sum, 0 to 30, leads to a profile.
pub(super) const MAX_CLASS: u8 = 15;
pub(super) const COLUMN_CLASSES: usize = MAX_CLASS as usize + 1;
const SUMS: usize = 2 * MAX_CLASS as usize + 1;

/// Most profiles a tensor can have.
pub(super) const MAX_PROFILES: usize = 16;

/// Which profile codes a weight: by the sum of its row's class and its column's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Classes {
    /// By column; empty when all are 0.
    pub(super) columns: Vec<u8>,
    /// How classes of rows are coded, where they have any.
    pub(super) rows: Option<RowTable>,
    /// By sum, never falling: the profile's number.
    pub(super) profiles: [u8; SUMS],
}

impl Classes {
    /// One class for all.
    pub(super) fn none() -> Self {
        Self { columns: Vec::new(), rows: None, profiles: [0; SUMS] }
    }

    pub(super) fn profile_count(&self) -> usize {
        usize::from(self.profiles[SUMS - 1]) + 1
    }

    pub(super) fn of_column(&self, column: usize) -> u8 {
        self.columns.get(column).copied().unwrap_or(0)
    }

    /// The profile for a column of a row of this class.
    #[inline]
    pub(super) fn profile(&self, row_class: u8, column: usize) -> u8 {
        self.profile_of(row_class, self.of_column(column))
    }

    /// The profile for a row and a column of these classes.
    #[inline]
    pub(super) fn profile_of(&self, row_class: u8, column_class: u8) -> u8 {
        self.profiles[usize::from(row_class + column_class)]
    }

    /// By class of column: what `number` says of the profile of each row.
    pub(super) fn of_profiles<const ROWS: usize>(
        &self,
        row_classes: &[u8; ROWS],
        number: impl Fn(u8) -> u32,
    ) -> [[u32; ROWS]; COLUMN_CLASSES] {
        std::array::from_fn(|column_class| {
            row_classes.map(|class| number(self.profile_of(class, column_class as u8)))
        })
    }

    pub(super) fn write(&self, out: &mut BitWriter) {
        out.put(u32::from(!self.columns.is_empty()), 1);
        if !self.columns.is_empty() {
            let steps: Vec<i32> = differences(&self.columns).collect();
            out.put_row(&steps);
        }
        out.put(u32::from(self.rows.is_some()), 1);
        if let Some(rows) = &self.rows {
            rows.write(out);
        }
        out.put(self.profile_count() as u32 - 1, 4);
        if self.profile_count() > 1 {
            for pair in self.profiles.windows(2) {
                out.put(u32::from(pair[1] - pair[0]), 1);
            }
        }
    }

    pub(super) fn read(input: &mut BitReader<'_>, columns: usize) -> Result<Self> {
        let mut classes = Self::none();
        if input.take(1)? == 1 {
            let mut steps = Vec::<i32>::new();
            input.take_row(columns, &mut steps)?;
            let mut class = 0i64;
            for step in steps {
                class += i64::from(step);
                let valid = u8::try_from(class).ok().filter(|&class| class <= MAX_CLASS);
                let class = valid.ok_or_else(|| Error::corrupt("a column's class out of range"))?;
                classes.columns.push(class);
            }
        }
        if input.take(1)? == 1 {
            classes.rows = Some(RowTable::read(input, MAX_CLASS)?);
        }
        let last = input.take(4)? as u8;
        if last > 0 {
            for sum in 1..SUMS {
                classes.profiles[sum] = classes.profiles[sum - 1] + input.take(1)? as u8;
            }
            if classes.profiles[SUMS - 1] != last {
                return Err(Error::corrupt("classes that do not lead to all profiles"));
            }
        }
        Ok(classes)
    }
}

fn differences(classes: &[u8]) -> impl Iterator<Item = i32> {
    let before = std::iter::once(&0).chain(classes);
    classes.iter().zip(before).map(|(&class, &before)| i32::from(class) - i32::from(before))
}
