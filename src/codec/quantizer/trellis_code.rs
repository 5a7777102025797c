//! Trellis codes over the integers.
//!
//! Entropy-coded trellis-coded quantisation (Fischer and Wang, 1992; Marcellin, 1994) with the four
//! cosets of 4ℤ and the one-dimensional codes of Ungerboeck (1982).

/// A state's number.
pub(crate) type State = u32;

/// Parity-check polynomials h1 and h0 by the binary logarithm of the number of states.
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

/// A state machine that restricts the sequence of lattice points.
///
/// In state `s` the next point is `2k + (s mod 2)` for any integer `k`. With one state, which is the
/// plain scalar quantiser, it is `k`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trellis {
    states_log2: u32,
    h1: u32,
    h0: u32,
}

impl Trellis {
    /// A code with 2^`states_log2` states. `None` unless `states_log2` is 0 or 2 to 8.
    pub(crate) fn new(states_log2: u32) -> Option<Self> {
        let &(h1, h0) = POLYNOMIALS.get(states_log2 as usize)?;
        (states_log2 != 1).then_some(Self { states_log2, h1: h1 >> 1, h0: h0 >> 1 })
    }

    pub(crate) fn states(self) -> usize {
        1 << self.states_log2
    }

    /// Whether this is the plain scalar quantiser, with one state.
    pub(crate) fn is_scalar(self) -> bool {
        self.states_log2 == 0
    }

    /// The lattice point of index `k` in a state.
    #[inline]
    pub(crate) fn point(self, state: State, k: i32) -> i32 {
        if self.is_scalar() { k } else { 2 * k + (state & 1) as i32 }
    }

    /// The state after `k`.
    #[inline]
    pub(crate) fn next(self, state: State, k: i32) -> State {
        let (z0, z1) = (state & 1, k as u32 & 1);
        (state >> 1) ^ (self.h0 & z0.wrapping_neg()) ^ (self.h1 & z1.wrapping_neg())
    }

    /// The generators of the state machine: bits that the lowest bit of the state, and of `k`, flip
    /// in the next state.
    pub(crate) fn generators(self) -> [u8; 2] {
        [self.h0 as u8, self.h1 as u8]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trellises() -> impl Iterator<Item = Trellis> {
        [2, 3, 4, 5, 6, 7, 8].into_iter().filter_map(Trellis::new)
    }

    #[test]
    fn other_numbers_of_states_are_rejected() {
        assert!(Trellis::new(1).is_none() && Trellis::new(9).is_none());
        assert_eq!(Trellis::new(0).unwrap().point(0, -7), -7);
    }

    /// The squared free distance: the least squared distance of two paths that diverge and merge
    /// again, for a lattice of step 1 (Ungerboeck, 1982).
    #[test]
    fn free_distances_match_the_literature() {
        let distances: Vec<u32> = trellises().map(free_distance).collect();
        assert_eq!(distances, [9, 10, 11, 13, 14, 16, 16]);
    }

    /// Dijkstra's algorithm (1959) over pairs of states, from diverging to equal states.
    fn free_distance(trellis: Trellis) -> u32 {
        let states = trellis.states();
        let mut best = vec![u32::MAX; states * states];
        let mut queue = std::collections::BinaryHeap::new();
        let mut parallel = u32::MAX;
        let squared = |a: i32, b: i32| {
            // The least distance of points of two cosets of 4ℤ.
            let d = (a - b).rem_euclid(4);
            (d.min(4 - d) as u32).pow(2)
        };
        for state in 0..states as State {
            let (a, b) = (trellis.next(state, 0), trellis.next(state, 1));
            let cost = squared(trellis.point(state, 0), trellis.point(state, 1));
            queue.push((std::cmp::Reverse(cost), a, b));
            // Two points of the same coset lead to the same state; their distance is 4.
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
