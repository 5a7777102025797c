//! The trellises: which lattice points follow one another.
//!
//! Entropy-coded trellis-coded quantisation (Fischer and Wang, 1992; Marcellin, 1994) over the
//! integers split in four cosets of 4ℤ, with Ungerboeck's one-dimensional codes (1982).

/// A state's number.
pub(crate) type State = u32;

/// Parity-check polynomials h1 and h0 by the logarithm of the number of states.
const POLYNOMIALS: [(u32, u32); 9] = [
    (0, 0),
    (0, 0),
    (0o2, 0o5),
    (0o4, 0o13),
    (0o4, 0o23),
    (0o10, 0o45),
    (0o24, 0o103),
    (0o126, 0o235),
    (0o362, 0o515),
];

/// A machine whose state says which half of the lattice the next point is from.
///
/// In state `s` the point is `2k + (s mod 2)`, where `k` is any integer; with one state it is `k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trellis {
    states_log2: u32,
    h1: u32,
    h0: u32,
}

impl Trellis {
    /// With 2^0 states, the plain scalar quantiser, or 2^2 to 2^8.
    pub(crate) fn new(states_log2: u32) -> Option<Self> {
        let &(h1, h0) = POLYNOMIALS.get(states_log2 as usize)?;
        (states_log2 != 1).then_some(Self { states_log2, h1: h1 >> 1, h0: h0 >> 1 })
    }

    pub(crate) fn states_log2(self) -> u32 {
        self.states_log2
    }

    pub(crate) fn states(self) -> usize {
        1 << self.states_log2
    }

    /// Whether points are integers as they are, with no states to tell apart.
    pub(crate) fn is_scalar(self) -> bool {
        self.states_log2 == 0
    }

    /// How far apart points are that a row may choose between, given the step: those of one half.
    pub(crate) fn subset_step(self, step: f32) -> f32 {
        if self.is_scalar() { step } else { 2.0 * step }
    }

    /// The lattice point that `k` stands for in a state.
    #[inline]
    pub(crate) fn point(self, state: State, k: i32) -> i32 {
        if self.is_scalar() { k } else { 2 * k + (state & 1) as i32 }
    }

    /// The `k` of a lattice point, which must be in the state's half.
    #[inline]
    pub(crate) fn index(self, point: i32) -> i32 {
        if self.is_scalar() { point } else { point >> 1 }
    }

    /// The state after `k`.
    #[inline]
    pub(crate) fn next(self, state: State, k: i32) -> State {
        let (z0, z1) = (state & 1, k as u32 & 1);
        (state >> 1) ^ (self.h0 & z0.wrapping_neg()) ^ (self.h1 & z1.wrapping_neg())
    }

    /// What the state's lowest bit, and that of `k`, flip in the next one.
    pub(crate) fn generators(self) -> [u8; 2] {
        [self.h0 as u8, self.h1 as u8]
    }

    /// The two states that lead to `state`: by an even `k`, and by an odd one. Both choose from
    /// the same half of the lattice, which is the highest bit of `state`.
    pub(super) fn previous(self, state: State) -> [State; 2] {
        let z0 = state >> (self.states_log2 - 1);
        let even = state ^ (self.h0 & z0.wrapping_neg());
        [even << 1 | z0, (even ^ self.h1) << 1 | z0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trellises() -> impl Iterator<Item = Trellis> {
        [2, 3, 4, 5, 6, 7, 8].into_iter().filter_map(Trellis::new)
    }

    #[test]
    fn there_are_no_two_states() {
        assert!(Trellis::new(1).is_none() && Trellis::new(9).is_none());
        assert_eq!(Trellis::new(0).unwrap().point(0, -7), -7);
    }

    #[test]
    fn previous_is_the_inverse_of_next() {
        for trellis in trellises() {
            for state in 0..trellis.states() as State {
                for (odd, previous) in trellis.previous(state).into_iter().enumerate() {
                    assert!((previous as usize) < trellis.states());
                    assert_eq!(trellis.next(previous, odd as i32), state);
                    assert_eq!(previous & 1, state >> (trellis.states_log2() - 1));
                }
            }
        }
    }

    /// Twice the free distance of a code is what two paths that part and meet again differ by at
    /// least, squared. Ungerboeck's table (1982) gives 9 to 17 for these codes, in units where
    /// neighbouring points of the lattice are 1 apart.
    #[test]
    fn free_distances_are_those_of_the_literature() {
        let distances: Vec<u32> = trellises().map(free_distance).collect();
        assert_eq!(distances, [9, 10, 11, 13, 14, 16, 16]);
    }

    /// Dijkstra's search over pairs of states, from pairs that just parted back to equal ones.
    fn free_distance(trellis: Trellis) -> u32 {
        let states = trellis.states();
        let mut best = vec![u32::MAX; states * states];
        let mut queue = std::collections::BinaryHeap::new();
        let mut parallel = u32::MAX;
        let squared = |a: i32, b: i32| {
            // The nearest two points of two cosets of 4ℤ.
            let d = (a - b).rem_euclid(4);
            (d.min(4 - d) as u32).pow(2)
        };
        for state in 0..states as State {
            let (a, b) = (trellis.next(state, 0), trellis.next(state, 1));
            let cost = squared(trellis.point(state, 0), trellis.point(state, 1));
            queue.push((std::cmp::Reverse(cost), a, b));
            // Two points of one coset never part: they are 4 apart.
            parallel = parallel.min(16);
        }
        while let Some((std::cmp::Reverse(cost), a, b)) = queue.pop() {
            if a == b {
                return cost.min(parallel);
            }
            let seen = &mut best[a as usize * states + b as usize];
            if *seen <= cost {
                continue;
            }
            *seen = cost;
            for (i, j) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let step = squared(trellis.point(a, i), trellis.point(b, j));
                let next = (trellis.next(a, i), trellis.next(b, j));
                queue.push((std::cmp::Reverse(cost + step), next.0, next.1));
            }
        }
        parallel
    }
}
