//! What a decompression did.

/// Sizes and counts of a decompression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecompressReport {
    /// Bytes of the `.occ` file.
    pub input_bytes: u64,
    /// Bytes of all files written.
    pub output_bytes: u64,
    /// Files written.
    pub files: u64,
    /// Elements of all tensors.
    pub weights: u64,
    /// Finite elements that became infinite, or NaN, because they are too large for the dtype that
    /// they were converted to.
    pub overflowed: u64,
    /// Tensors that kept their dtype although it is one of floats or scales, when others were
    /// converted: F4, F6_E2M3, F6_E3M2, F8_E8M0 and the FNUZ types.
    pub unconverted: u64,
    /// Files other than safetensors that were not written, because the output is a single file.
    pub left_out: Vec<String>,
}
