//! Mapping between signed integers and byte symbols.

/// The symbol of an integer that is stored separately, outside the entropy-coded stream.
pub(crate) const ESCAPE: u8 = 0;

/// The symbol of the integer 0; integer `k` has symbol `CENTRE + k`.
pub(crate) const CENTRE: i32 = 128;

/// Which lattice points the integers of an alphabet index. It determines their magnitudes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coset {
    /// ℤ: index `k` is the point `k`.
    Whole,
    /// 2ℤ: index `k` is the point `2k`.
    Even,
    /// 2ℤ + 1: index `k` is the point `2k + 1`.
    Odd,
}

/// A mapping of integers to symbols: the symbol encodes the high bits of an integer; its `bypass`
/// low bits are stored uncoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alphabet {
    pub(crate) coset: Coset,
    /// Number of uncoded low bits of each integer.
    pub(crate) bypass: u32,
}

impl Alphabet {
    /// The integer of a symbol, with zero low bits.
    pub(crate) fn integer(self, symbol: u8) -> i32 {
        (i32::from(symbol) - CENTRE) << self.bypass
    }

    /// The magnitude that determines the frequency of a symbol.
    ///
    /// With bypass bits, symbol `q` represents the integers from `q << bypass` to
    /// `(q << bypass) + (1 << bypass) - 1`; their mirror images belong to symbol `-1 - q`.
    pub(super) fn magnitude(self, symbol: u8) -> usize {
        let q = i32::from(symbol) - CENTRE;
        let magnitude = match (self.bypass, self.coset) {
            (0, Coset::Whole) => q.abs(),
            (0, Coset::Even) => (2 * q).abs(),
            (0, Coset::Odd) => (2 * q + 1).abs(),
            _ if q < 0 => -1 - q,
            _ => q,
        };
        magnitude as usize
    }
}
