//! The kinds of statistics that tensors are coded with.

/// A kind of statistics of the inputs or outputs of a weight matrix, for calibrated coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "encode", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "encode", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum StatisticsKind {
    /// The second moment of the inputs: `gram`.
    Gram,
    /// Input vectors: `inputs`.
    Inputs,
    /// The diagonal of the second moment: `diag`.
    Diag,
    /// The weight of each output: `rows`.
    Rows,
    /// How often each row was read: `counts`.
    Counts,
    /// The diagonal of the second moment, in an importance matrix.
    ImportanceMatrix,
}

impl StatisticsKind {
    /// The name: the last component of the names of entries, and the one in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gram => "gram",
            Self::Inputs => "inputs",
            Self::Diag => "diag",
            Self::Rows => "rows",
            Self::Counts => "counts",
            Self::ImportanceMatrix => "importance_matrix",
        }
    }
}
