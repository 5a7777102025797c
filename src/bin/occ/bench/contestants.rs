//! What is measured.

use super::weights::{Selection, Weights};
use occ::{Plan, Result};
use rayon::ThreadPool;

/// What contestants work with, and leave to the next: they have their turns in order. What one
/// writes to is used again in every round, so that no fresh memory is measured.
pub struct Desk {
    pub plan: Plan,
    pub coded: Vec<u8>,
    /// As long as the original.
    pub decoded: Vec<u8>,
}

impl Desk {
    pub fn new(weights: &Weights) -> Self {
        Self { plan: Plan::default(), coded: Vec::new(), decoded: vec![0; weights.bytes.len()] }
    }
}

/// One step of one way to code weights.
pub struct Contestant<'w> {
    pub name: String,
    pub pool: &'w ThreadPool,
    /// Bytes of the original.
    pub bytes: u64,
    pub weights: u64,
    /// Whether it writes or reads what is coded.
    pub codes: bool,
    turn: Box<Turn<'w>>,
}

type Turn<'w> = dyn Fn(&mut Desk) -> Result<()> + Send + Sync + 'w;

impl<'w> Contestant<'w> {
    /// One that writes or reads what is coded.
    pub fn new(
        name: impl Into<String>,
        pool: &'w ThreadPool,
        original: &Selection<'w>,
        turn: impl Fn(&mut Desk) -> Result<()> + Send + Sync + 'w,
    ) -> Self {
        let (name, turn) = (name.into(), Box::new(turn));
        let (bytes, weights) = (original.byte_len(), original.weights());
        Self { name, pool, bytes, weights, codes: true, turn }
    }

    /// The same, if it does not.
    pub fn without_ratio(self) -> Self {
        Self { codes: false, ..self }
    }

    pub fn take_turn(&self, desk: &mut Desk) -> Result<()> {
        (self.turn)(desk)
    }
}
