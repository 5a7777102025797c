//! Classes of rows and columns, which select the profile of each weight.

use super::row_table::RowTable;
use crate::codec::entropy::BitReader;
use crate::error::{Error, Result};

/// Rows and columns have classes from 0 to 15. Their sum, from 0 to 30, selects a profile.
pub(super) const MAX_CLASS: u8 = 15;
pub(super) const COLUMN_CLASSES: usize = MAX_CLASS as usize + 1;
const SUMS: usize = 2 * MAX_CLASS as usize + 1;

/// The profile of each weight, by the sum of the classes of its row and its column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Classes {
    /// By column; empty when all are 0.
    pub(super) columns: Vec<u8>,
    /// The coding of row classes; `None` when all are 0.
    pub(super) rows: Option<RowTable>,
    /// The profile of each sum of classes; never decreasing.
    pub(super) profiles: [u8; SUMS],
}

impl Classes {
    /// A single class, and a single profile.
    pub(super) fn none() -> Self {
        Self { columns: Vec::new(), rows: None, profiles: [0; SUMS] }
    }

    pub(super) fn profile_count(&self) -> usize {
        usize::from(self.profiles[SUMS - 1]) + 1
    }

    pub(super) fn of_column(&self, column: usize) -> u8 {
        self.columns.get(column).copied().unwrap_or(0)
    }

    /// The profile of a row and a column of these classes.
    #[inline]
    pub(super) fn profile_of(&self, row_class: u8, column_class: u8) -> u8 {
        self.profiles[usize::from(row_class + column_class)]
    }

    /// By column class and row: `number` of the profile.
    pub(super) fn of_profiles<T, const ROWS: usize>(
        &self,
        row_classes: &[u8; ROWS],
        number: impl Fn(u8) -> T,
    ) -> [[T; ROWS]; COLUMN_CLASSES] {
        std::array::from_fn(|column_class| {
            row_classes.map(|class| number(self.profile_of(class, column_class as u8)))
        })
    }

    /// # Errors
    /// `Corrupt` or `Truncated`.
    pub(super) fn read(input: &mut BitReader<'_>, columns: usize) -> Result<Self> {
        let mut classes = Self::none();
        if input.take(1)? == 1 {
            let mut differences = Vec::<i32>::new();
            input.take_row(columns, &mut differences)?;
            let mut class = 0i64;
            for difference in differences {
                class += i64::from(difference);
                let valid = u8::try_from(class).ok().filter(|&class| class <= MAX_CLASS);
                let class = valid.ok_or_else(|| {
                    Error::corrupt("codec parameters: a column class is out of range")
                })?;
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
                return Err(Error::corrupt("codec parameters: a profile has no class"));
            }
        }
        Ok(classes)
    }
}
