//! What is measured.

use super::data::{BenchData, Selection};
use occ::convert::Checkpoint;
use occ::{Plan, Result};
use rayon::ThreadPool;

/// Inputs and outputs of tasks. Tasks run in order, and a task can use the output of an earlier
/// one. All rounds use the same buffers, so that no page faults of fresh memory are measured.
pub struct Buffers {
    pub checkpoint: Option<Checkpoint>,
    pub plan: Plan,
    pub coded: Vec<u8>,
    /// As long as the original.
    pub decoded: Vec<u8>,
}

impl Buffers {
    pub fn new(data: &BenchData) -> Self {
        let (plan, decoded) = (Plan::default(), vec![0; data.bytes.len()]);
        Self { checkpoint: None, plan, coded: Vec::new(), decoded }
    }
}

/// One step of a codec or baseline, such as encoding.
pub struct BenchTask<'d> {
    pub name: String,
    pub pool: &'d ThreadPool,
    /// Bytes of the original.
    pub bytes: u64,
    pub weights: u64,
    /// Whether it writes or reads coded data.
    pub has_ratio: bool,
    preparation: Option<Box<Work<'d>>>,
    work: Box<Work<'d>>,
}

type Work<'d> = dyn Fn(&mut Buffers) -> Result<()> + Send + Sync + 'd;

impl<'d> BenchTask<'d> {
    /// A task that writes or reads coded data.
    pub fn new(
        name: impl Into<String>,
        pool: &'d ThreadPool,
        original: &Selection<'d>,
        work: impl Fn(&mut Buffers) -> Result<()> + Send + Sync + 'd,
    ) -> Self {
        let (name, work) = (name.into(), Box::new(work));
        let (bytes, weights) = (original.byte_len(), original.weights());
        Self { name, pool, bytes, weights, has_ratio: true, preparation: None, work }
    }

    /// The same for a task that does neither.
    pub fn without_ratio(self) -> Self {
        Self { has_ratio: false, ..self }
    }

    /// The same after other work, which is not measured.
    pub fn prepared_by(
        self,
        preparation: impl Fn(&mut Buffers) -> Result<()> + Send + Sync + 'd,
    ) -> Self {
        Self { preparation: Some(Box::new(preparation)), ..self }
    }

    /// Prepares the buffers for [`run`](Self::run).
    pub fn prepare(&self, buffers: &mut Buffers) -> Result<()> {
        match &self.preparation {
            Some(prepare) => self.pool.install(|| prepare(buffers)),
            None => Ok(()),
        }
    }

    /// Does the work in the pool of the task.
    pub fn run(&self, buffers: &mut Buffers) -> Result<()> {
        self.pool.install(|| (self.work)(buffers))
    }
}
