//! The encode pipeline: from tensor sources to the frames of a file.
//!
//! A source goes through three stages. The plan and the rate controller decide how it is encoded.
//! A task prepares it: statistics, or transform and tables. Its chunks are encoded by tasks of
//! their own and written in order. Sources that follow are prepared meanwhile.
//!
//! The bytes written do not depend on the number of threads: a decision uses the sizes of those
//! frames only that a [`Window`] of source weights has left behind.

use super::buffers::BufferPool;
use super::frame_writer::FrameWriter;
use super::job::EncodeJob;
use super::lossy_tensor::LossyTensor;
use super::options::WriteOptions;
use super::plan::{Learned, LossyPlan, Plan};
use super::rate_control::{BitBudget, RateController};
use super::reference::{References, WrittenTarget};
use super::source::TensorSource;
use super::tensor_stats::TensorStats;
use super::written::{Observer, Written};
use crate::codec::{Codec, EncodedChunk, SquaredError};
use crate::error::{Error, Result};
use crate::format::chunk_crc;
use crate::parallel::{OrderedQueue, Window, tasks_in_flight};
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The most bytes of sources between decision and frame: enough to keep many threads busy.
const MAX_AHEAD: u64 = 32 << 20;

/// With a budget, these fractions of all sources, and of those without a decision, are the most between
/// decision and frame: the size of a frame has to be known while later tensors can still compensate
/// for it.
const CONTROLLED_FRACTION: u64 = 16;
const UNDECIDED_FRACTION: u64 = 8;

/// Lossless sources of fewer bytes are processed by the writing thread: waking another one takes
/// longer.
const SMALL_SOURCE: u64 = 1 << 17;

/// How a source is encoded.
enum EncodeMode {
    Lossless,
    /// At the step of the plan, or within its error bound.
    Planned(LossyPlan),
    /// At a step at which the file has a length in this range.
    FileBytes(LossyPlan, RangeInclusive<u64>),
    /// As a reference to another source.
    Reference(usize),
}

/// A source after its preparation.
enum Prepared<'s> {
    /// A reference to another source.
    Reference(TensorSource<'s>, usize),
    Job(EncodeJob<'s>),
    /// The step depends on the length of the file before it.
    FileBytes(Box<LossyTensor<'s>>, LossyPlan, RangeInclusive<u64>),
}

/// One chunk to encode.
struct ChunkTask<'s> {
    job: Arc<EncodeJob<'s>>,
    number: u64,
}

/// Writes all sources, tensors as planned. When the plan has a budget and spans just these
/// tensors, the file keeps to it. Returns the size and the error of every tensor.
///
/// # Errors
/// `Io`; `InvalidArgument` when the budget does not suffice; what `observe` returns.
pub(super) fn write_sources<'s>(
    writer: &mut FrameWriter<'_>,
    options: &WriteOptions,
    sources: &[TensorSource<'s>],
    plan: &Plan,
    observe: &mut Observer<'_>,
) -> Result<Vec<TensorStats>> {
    plan.check()?;
    for source in sources {
        let planned = plan.get(source.name).filter(|_| source.is_tensor());
        if planned.is_some_and(|planned| planned.weights != source.elements()) {
            let error = Error::invalid("the plan is for another number of weights");
            return Err(source.locate(error));
        }
    }
    let budget = budget(sources, plan);
    let references = &References::find(sources, plan)?;
    let mut decisions = Decisions::new(sources, plan, references, budget);
    let buffers = &BufferPool::default();
    let prepare = |(number, source, mode): (usize, TensorSource<'s>, EncodeMode)| {
        let nothing = Learned::default();
        let learned = plan.get(source.name).map_or(&nothing, |tensor| &tensor.learned);
        let prepared = prepare(source, mode, learned, options, buffers);
        prepared.map(|prepared| (number, prepared)).map_err(|error| source.locate(error))
    };
    let encode = |ChunkTask { job, number }: ChunkTask<'s>| {
        let encoded = job.encode(number, buffers).map_err(|error| job.source().locate(error))?;
        // Here, because the bytes are in the cache and the tasks are parallel.
        let crc = (job.codec() != Codec::Raw).then(|| chunk_crc(&encoded.bytes));
        Ok((encoded, crc))
    };
    let mut frames = Frames::new(writer, observe, buffers);
    rayon::in_place_scope_fifo(|scope| {
        let mut preparing = OrderedQueue::new(scope, &prepare);
        let mut encoding = OrderedQueue::new(scope, &encode);
        let window = tasks_in_flight();
        loop {
            while let Some((number, source, mode, weight)) = decisions.next(&frames)? {
                preparing.push((number, source, mode), weight);
            }
            if decisions.is_done() {
                break;
            }
            while !decisions.oldest_is_written(&frames) {
                let more = encoding.window().total() < window && !preparing.is_empty();
                if !(encoding.is_empty() || more && preparing.is_ready()) {
                    encoding.pop().map_or(Ok(()), |chunk| frames.write_chunk(chunk?))?;
                    continue;
                }
                let Some(prepared) = preparing.pop() else { break };
                let (number, prepared) = prepared?;
                let mut job = match prepared {
                    Prepared::Job(job) => job,
                    Prepared::Reference(source, target) => {
                        frames.add(OpenFrame::Reference(source, target))?;
                        continue;
                    }
                    Prepared::FileBytes(tensor, plan, length) => {
                        encoding.drain(&mut |chunk| frames.write_chunk(chunk))?;
                        let before = frames.writer.finished_length();
                        let bytes = |length: &u64| length.saturating_sub(before);
                        let allowed = bytes(length.start())..=bytes(length.end());
                        let overhead = |header: &_| frames.writer.object_overhead(header);
                        let job = tensor.job_within(&plan, allowed, overhead, buffers);
                        job.map_err(|error| tensor.source().locate(error))?
                    }
                };
                job.set_referenced(references.is_referenced(number));
                let job = Arc::new(job);
                frames.add(OpenFrame::Job(number, Arc::clone(&job)))?;
                let small = !job.is_lossy() && job.source().data.size() < SMALL_SOURCE;
                let weight = u64::from(!small);
                for number in 0..job.geometry().chunk_count() {
                    encoding.push(ChunkTask { job: Arc::clone(&job), number }, weight);
                    while weight == 0 || encoding.window().total() > window - 1 {
                        let Some(chunk) = encoding.pop() else { break };
                        frames.write_chunk(chunk?)?;
                    }
                }
            }
        }
        encoding.drain(&mut |chunk| frames.write_chunk(chunk))
    })?;
    let stats = frames.stats;
    match budget.and_then(|budget| writer.finished_length().checked_sub(budget)) {
        Some(excess @ 1..) => Err(too_small(excess)),
        _ => Ok(stats),
    }
}

fn too_small(bytes: u64) -> Error {
    Error::invalid(format!("the budget is {bytes} bytes too small"))
}

fn prepare<'s>(
    source: TensorSource<'s>,
    mode: EncodeMode,
    learned: &Learned,
    options: &WriteOptions,
    buffers: &BufferPool,
) -> Result<Prepared<'s>> {
    let tensor = |plan| LossyTensor::new(source, plan, learned, options);
    match mode {
        EncodeMode::Lossless => {}
        EncodeMode::Reference(target) => return Ok(Prepared::Reference(source, target)),
        EncodeMode::Planned(plan) => {
            if let Some(tensor) = tensor(&plan)?
                && let Some(job) = tensor.planned_job(&plan, buffers)?
            {
                return Ok(Prepared::Job(job));
            }
        }
        EncodeMode::FileBytes(plan, length) => {
            let tensor =
                tensor(&plan)?.ok_or_else(|| Error::invalid("the plan does not fit the tensor"))?;
            return Ok(Prepared::FileBytes(Box::new(tensor), plan, length));
        }
    }
    EncodeJob::lossless(source, options).map(Prepared::Job)
}

/// Bytes that the file may take; `None` without a budget, or when the plan spans other tensors.
fn budget(sources: &[TensorSource<'_>], plan: &Plan) -> Option<u64> {
    let tensors = || sources.iter().filter(|source| source.is_tensor());
    let planned = tensors().filter(|source| plan.get(source.name).is_some()).count();
    let whole = planned == plan.tensors.len() && planned == tensors().count();
    let weights: u64 = plan.tensors.values().map(|tensor| tensor.weights).sum();
    let bits = plan.bits.filter(|_| whole)?;
    Some((bits * weights as f64 / 8.0) as u64)
}

/// Decides how sources are encoded, in order.
struct Decisions<'d, 's> {
    sources: &'d [TensorSource<'s>],
    /// Sources that are decided.
    decided: usize,
    references: &'d References,
    plan: &'d Plan,
    controller: Option<RateController>,
    /// Bytes of sources between decision and frame, at most.
    limit: u64,
    /// Bytes of sources without a decision.
    undecided: u64,
    /// The sources between decision and frame: their weights, and whether they are tensors.
    in_flight: Window,
    are_tensors: VecDeque<bool>,
    /// Frames that the window has left behind.
    acknowledged: usize,
}

impl<'d, 's> Decisions<'d, 's> {
    fn new(
        sources: &'d [TensorSource<'s>],
        plan: &'d Plan,
        references: &'d References,
        budget: Option<u64>,
    ) -> Self {
        let total: u64 = sources.iter().map(|source| source.data.size()).sum();
        let tensors = sources.iter().filter(|source| source.is_tensor());
        let planned: Vec<_> = tensors.filter_map(|source| plan.get(source.name).cloned()).collect();
        Self {
            sources,
            decided: 0,
            references,
            plan,
            controller: budget.map(|budget| RateController::new(budget, planned.into_iter())),
            limit: if budget.is_some() {
                MAX_AHEAD.min(total / CONTROLLED_FRACTION)
            } else {
                MAX_AHEAD
            },
            undecided: total,
            in_flight: Window::default(),
            are_tensors: VecDeque::new(),
            acknowledged: 0,
        }
    }

    /// The next source and how it is encoded, with its weight in the queue; `None` when the window
    /// is full or all sources are decided.
    fn next(
        &mut self,
        frames: &Frames<'_, '_, '_, '_>,
    ) -> Result<Option<(usize, TensorSource<'s>, EncodeMode, u64)>> {
        let limit = match self.controller {
            Some(_) => self.limit.min(self.undecided / UNDECIDED_FRACTION),
            None => self.limit,
        };
        while self.in_flight.is_full(limit) && self.oldest_is_written(frames) {
            self.acknowledge(frames);
        }
        if self.in_flight.is_full(limit) {
            return Ok(None);
        }
        let number = self.decided;
        let Some(&source) = self.sources.get(number) else {
            while !self.in_flight.is_empty() && self.oldest_is_written(frames) {
                self.acknowledge(frames);
            }
            return Ok(None);
        };
        self.decided += 1;
        let mode = self.mode(&source, frames).map_err(|error| source.locate(error))?;
        let mode = self.references.target(number).map_or(mode, EncodeMode::Reference);
        let bytes = source.data.size();
        self.undecided -= bytes;
        let small = match mode {
            EncodeMode::Lossless => bytes < SMALL_SOURCE,
            EncodeMode::Reference(_) => true,
            EncodeMode::Planned(_) | EncodeMode::FileBytes(..) => false,
        };
        let weight = if small { 0 } else { bytes };
        self.in_flight.push(weight);
        self.are_tensors.push_back(source.is_tensor());
        Ok(Some((number, source, mode, weight)))
    }

    fn mode(
        &mut self,
        source: &TensorSource<'_>,
        frames: &Frames<'_, '_, '_, '_>,
    ) -> Result<EncodeMode> {
        if !source.is_tensor() {
            return Ok(EncodeMode::Lossless);
        }
        let budget = match &mut self.controller {
            Some(controller) => {
                controller.next(frames.length_after(self.acknowledged)).map_err(too_small)?
            }
            None => None,
        };
        let planned = || self.plan.get(source.name).and_then(|tensor| tensor.lossy.clone());
        Ok(match budget {
            Some(BitBudget { plan, file_bytes: Some(length) }) => {
                EncodeMode::FileBytes(plan, length)
            }
            Some(BitBudget { plan, file_bytes: None }) => EncodeMode::Planned(plan),
            None => planned().map_or(EncodeMode::Lossless, EncodeMode::Planned),
        })
    }

    /// Whether the frame of the oldest source in the window is written.
    fn oldest_is_written(&self, frames: &Frames<'_, '_, '_, '_>) -> bool {
        frames.written() > self.acknowledged
    }

    /// Removes the oldest source from the window.
    fn acknowledge(&mut self, frames: &Frames<'_, '_, '_, '_>) {
        self.in_flight.pop();
        let before = frames.length_after(self.acknowledged);
        self.acknowledged += 1;
        if self.are_tensors.pop_front() == Some(true)
            && let Some(controller) = &mut self.controller
        {
            controller.written(frames.length_after(self.acknowledged) - before);
        }
    }

    fn is_done(&mut self) -> bool {
        self.decided == self.sources.len() && self.in_flight.is_empty()
    }
}

/// A frame that is not complete.
enum OpenFrame<'s> {
    /// A tensor with the number of its source.
    Job(usize, Arc<EncodeJob<'s>>),
    /// A reference to the source with this number.
    Reference(TensorSource<'s>, usize),
}

/// Writes frames, their chunks in order.
struct Frames<'f, 'w, 's, 'o> {
    writer: &'f mut FrameWriter<'w>,
    observe: &'f mut Observer<'o>,
    buffers: &'f BufferPool,
    /// Tensors whose frame is not complete, in order.
    open: VecDeque<OpenFrame<'s>>,
    /// Chunks of the first of them that are written; `None` before its header.
    chunks: Option<u64>,
    error: SquaredError,
    /// The CRC-32 of these chunks, decoded, if later tensors refer to it.
    crcs: Vec<u32>,
    /// What later tensors refer to, by the numbers of sources.
    targets: BTreeMap<usize, WrittenTarget>,
    stats: Vec<TensorStats>,
    /// The length of a file that ends after each frame; first, before all.
    lengths: Vec<u64>,
}

impl<'f, 'w, 's, 'o> Frames<'f, 'w, 's, 'o> {
    fn new(
        writer: &'f mut FrameWriter<'w>,
        observe: &'f mut Observer<'o>,
        buffers: &'f BufferPool,
    ) -> Self {
        let lengths = vec![writer.finished_length()];
        Self {
            writer,
            observe,
            buffers,
            open: VecDeque::new(),
            chunks: None,
            error: SquaredError::default(),
            crcs: Vec::new(),
            targets: BTreeMap::new(),
            stats: Vec::new(),
            lengths,
        }
    }

    /// Frames that are complete.
    fn written(&self) -> usize {
        self.lengths.len() - 1
    }

    /// The length of a file that ends after the first `frames` frames.
    fn length_after(&self, frames: usize) -> u64 {
        self.lengths[frames]
    }

    /// Appends a tensor whose chunks follow.
    fn add(&mut self, frame: OpenFrame<'s>) -> Result<()> {
        self.open.push_back(frame);
        self.advance()
    }

    /// Writes the next chunk of the oldest tensor, whose CRC-32 is known unless it is raw.
    fn write_chunk(&mut self, (encoded, crc): (EncodedChunk, Option<u32>)) -> Result<()> {
        let Some(OpenFrame::Job(_, job)) = self.open.front() else { return Ok(()) };
        let job = Arc::clone(job);
        let number = self.chunks.unwrap_or(0);
        self.error.add(encoded.squared_error);
        self.writer.chunk(&encoded, crc).map_err(|error| job.source().locate(error))?;
        if job.is_referenced() {
            self.crcs.push(encoded.decoded_crc);
        }
        self.buffers.recycle(encoded);
        self.chunks = Some(number + 1);
        (self.observe)(Written::Bytes(job.chunk_bytes(number)))?;
        self.advance()
    }

    /// Begins and ends frames as far as chunks are written.
    fn advance(&mut self) -> Result<()> {
        while let Some(frame) = self.open.front() {
            let (number, job) = match frame {
                OpenFrame::Job(number, job) => (*number, job),
                &OpenFrame::Reference(source, target) => {
                    self.write_reference(&source, target)?;
                    self.open.pop_front();
                    continue;
                }
            };
            let source = job.source();
            let written = match self.chunks {
                Some(written) => written,
                None => {
                    let header = job.header().and_then(|header| self.writer.begin(header));
                    header.map_err(|error| source.locate(error))?;
                    *self.chunks.insert(0)
                }
            };
            if written < job.geometry().chunk_count() {
                break;
            }
            let error = std::mem::take(&mut self.error);
            self.writer.end(error).map_err(|error| source.locate(error))?;
            if job.is_referenced() {
                let (position, geometry) = (self.writer.frames() - 1, job.geometry().clone());
                let (is_lossy, crcs) = (job.is_lossy(), std::mem::take(&mut self.crcs));
                let target = WrittenTarget { position, geometry, is_lossy, crcs, error };
                self.targets.insert(number, target);
            }
            let (weights, codec) = (job.geometry().elements(), job.codec());
            self.chunks = None;
            self.open.pop_front();
            self.end(&source, weights, codec, error)?;
        }
        Ok(())
    }

    /// Writes a reference to the source `target`, which is written.
    fn write_reference(&mut self, source: &TensorSource<'s>, target: usize) -> Result<()> {
        let Some(target) = self.targets.get(&target) else { return Ok(()) };
        target.write(source, self.writer).map_err(|error| source.locate(error))?;
        let (weights, error) = (target.geometry.elements(), target.error);
        (self.observe)(Written::Bytes(source.data.size()))?;
        self.end(source, weights, Codec::Reference, error)
    }

    /// Notes the size and the error of a complete frame.
    fn end(
        &mut self,
        source: &TensorSource<'s>,
        weights: u64,
        codec: Codec,
        SquaredError { signal, noise }: SquaredError,
    ) -> Result<()> {
        let (before, length) = (self.lengths[self.written()], self.writer.finished_length());
        self.lengths.push(length);
        if !source.is_tensor() {
            return Ok(());
        }
        let stats = TensorStats { weights, bytes: length - before, signal, noise };
        self.stats.push(stats);
        (self.observe)(Written::Tensor { name: source.name, codec, stats })
    }
}
