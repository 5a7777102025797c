//! The encoder's view of a trellis: predecessors of states and indices of points.

use crate::codec::quantizer::trellis_code::{State, Trellis};

impl Trellis {
    /// The binary logarithm of the number of states.
    pub(crate) fn states_log2(self) -> u32 {
        self.states().ilog2()
    }

    /// The distance of neighbouring points of one half of the lattice, given the step.
    pub(crate) fn subset_step(self, step: f32) -> f32 {
        if self.is_scalar() { step } else { 2.0 * step }
    }

    /// The index `k` of a lattice point, which must be in the half that the state selects.
    #[inline]
    pub(crate) fn index(self, point: i32) -> i32 {
        if self.is_scalar() { point } else { point >> 1 }
    }

    /// The half of the lattice that contains a point: 1 for odd points; 0 without states.
    #[inline]
    pub(crate) fn half(self, point: i32) -> usize {
        if self.is_scalar() { 0 } else { (point & 1) as usize }
    }

    /// The two states with a transition to `state`: by an even `k`, and by an odd `k`. Both select the
    /// same half of the lattice, the highest bit of `state`.
    pub(in crate::codec::quantizer) fn predecessors(self, state: State) -> [State; 2] {
        let [h0, h1] = self.generators().map(State::from);
        let z0 = state >> (self.states_log2() - 1);
        let even = state ^ (h0 & z0.wrapping_neg());
        [even << 1 | z0, (even ^ h1) << 1 | z0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predecessors_invert_next() {
        for trellis in (2..=8).filter_map(Trellis::new) {
            for state in 0..trellis.states() as State {
                for (odd, previous) in trellis.predecessors(state).into_iter().enumerate() {
                    assert!((previous as usize) < trellis.states());
                    assert_eq!(trellis.next(previous, odd as i32), state);
                    assert_eq!(previous & 1, state >> (trellis.states_log2() - 1));
                }
            }
        }
    }
}
