//! The transitions of a trellis, as the search uses them.

use crate::codec::quantizer::trellis_code::{State, Trellis};

/// Two states with the same two predecessors.
#[derive(Clone, Copy)]
pub(super) struct Butterfly {
    pub(super) states: [usize; 2],
    /// The predecessors of the first state by an even and an odd `k`; those of the second state are
    /// the same by an odd and an even `k`.
    pub(super) predecessors: [usize; 2],
}

/// The transitions of a trellis.
pub(super) struct Transitions {
    /// The predecessors of each state by an even and an odd `k`.
    pub(super) predecessors: Vec<[usize; 2]>,
    /// None with one state.
    pub(super) butterflies: Vec<Butterfly>,
}

impl Transitions {
    pub(super) fn new(trellis: Trellis) -> Self {
        if trellis.is_scalar() {
            return Self { predecessors: vec![[0, 0]], butterflies: Vec::new() };
        }
        let predecessors = |state| trellis.predecessors(state as State).map(|state| state as usize);
        let predecessors: Vec<[usize; 2]> = (0..trellis.states()).map(predecessors).collect();
        let partner = |[even, odd]: [usize; 2]| predecessors.iter().position(|&p| p == [odd, even]);
        let butterflies = predecessors.iter().enumerate().filter_map(|(state, &predecessors)| {
            let other = partner(predecessors).filter(|&other| other > state)?;
            Some(Butterfly { states: [state, other], predecessors })
        });
        let butterflies: Vec<Butterfly> = butterflies.collect();
        assert_eq!(2 * butterflies.len(), trellis.states(), "states have partners");
        Self { predecessors, butterflies }
    }

    pub(super) fn states(&self) -> usize {
        self.predecessors.len()
    }

    /// Whether there is one state, in which all points are allowed.
    pub(super) fn is_scalar(&self) -> bool {
        self.butterflies.is_empty()
    }
}
