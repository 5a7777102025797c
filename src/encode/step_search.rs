//! Tensors to be coded with loss, at a step that is still to be found.

use super::chunks::{BufferPool, MAX_CHUNK_BYTES, encode_chunks};
use super::job::{Coder, Incoming, Ready};
use super::matrix::matrix_shape;
use super::plan::{self, LossyPlan, Prepared, Subject};
use super::writer::WriteOptions;
use crate::codec::trellis::ROW_GROUP;
use crate::codec::{Codec, SquaredError};
use crate::error::Result;
use crate::format::{
    CHUNK_OVERHEAD, FrameHeader, Geometry, Object, ObjectKind, PayloadLayout, object_overhead,
};

/// Lossy chunks take few bytes, so they hold more elements.
const CHUNK_FACTOR: u64 = 2;

/// How often a step is made smaller before nothing is lost instead.
const ATTEMPTS: usize = 10;

/// A tensor whose axes are known, to be coded at any step.
pub(super) struct Adjustable<'i> {
    incoming: Incoming<'i>,
    geometry: Geometry,
    prepared: Prepared,
}

impl<'i> Adjustable<'i> {
    /// Learns what a plan needs of a tensor. `None` when nothing is to be lost.
    pub(super) fn new(
        incoming: &Incoming<'i>,
        plan: &LossyPlan,
        options: &WriteOptions,
    ) -> Result<Option<Self>> {
        let Incoming { dtype, source, .. } = *incoming;
        let Some((rows, columns)) = matrix_shape(dtype, &incoming.shape) else {
            return Ok(None);
        };
        // Chunks are made of whole bands.
        let band = (ROW_GROUP * columns) as u64;
        let target = CHUNK_FACTOR.saturating_mul(options.chunk_elements);
        let target = target.min(MAX_CHUNK_BYTES * 8 / u64::from(dtype.bits()));
        let geometry = incoming.geometry((target / band).max(1) * band)?;
        let subject = Subject { source, dtype, rows, columns, overhead_bits: 0.0 };
        let prepared = plan::prepare(&subject, plan)?;
        Ok(prepared.map(|prepared| Self { incoming: incoming.clone(), geometry, prepared }))
    }

    /// The tensor at a step.
    pub(super) fn ready(&self, step: f32) -> Result<Ready> {
        let (coder, parameters) = self.coder(step)?;
        let (name, geometry) = (self.incoming.name.to_owned(), self.geometry.clone());
        let codec = Codec::Trellis.id();
        let object =
            Object::new(ObjectKind::Tensor, name, geometry, codec, PayloadLayout::Chunked)?;
        let header = FrameHeader { object, parameters, chunk_crcs: Vec::new() };
        Ok(Ready { header, coder })
    }

    /// What codes chunks at a step, and what its decoder needs to know.
    fn coder(&self, step: f32) -> Result<(Coder, Vec<u8>)> {
        let encoder = self.prepared.encoder(step)?;
        let parameters = encoder.parameters();
        Ok((Coder::lossy(encoder, &self.geometry), parameters))
    }

    pub(super) fn weights(&self) -> u64 {
        self.geometry.elements()
    }

    /// Bytes that the tensor takes at a step, all told.
    pub(super) fn bytes_at(&self, step: f32, buffers: &BufferPool) -> Result<u64> {
        let (coder, parameters) = self.coder(step)?;
        let (chunks, _) = self.measure(&coder, buffers)?;
        let frame = object_overhead(self.incoming.shape.len(), self.incoming.name.len());
        Ok(frame + parameters.len() as u64 + chunks)
    }

    /// The step at which a plan's promise holds; `None` when none is found.
    pub(super) fn promised_step(
        &self,
        plan: &LossyPlan,
        buffers: &BufferPool,
    ) -> Result<Option<f32>> {
        match plan.max_noise {
            Some(share) => self.step_within(plan.step, share, buffers),
            None => Ok(Some(plan.step)),
        }
    }

    /// A step, from this one down, whose error is within a share of the tensor's energy; `None`
    /// when none is found.
    fn step_within(&self, mut step: f32, share: f64, buffers: &BufferPool) -> Result<Option<f32>> {
        for attempt in 0..ATTEMPTS {
            let SquaredError { signal, noise } = self.measure(&self.coder(step)?.0, buffers)?.1;
            let allowed = share * signal;
            if noise <= allowed {
                return Ok(Some(step));
            }
            // The error goes with the square of the step, nearly; but hardly with the step at all
            // where nearly nothing of the residual is left, so patience ends.
            let patience = (1.0 - 0.05 * (attempt * attempt) as f64).max(0.25);
            step *= ((allowed / noise).sqrt() * 0.998).min(patience) as f32;
            if !(step.is_normal() && step > 1e-30) {
                break;
            }
        }
        Ok(None)
    }

    /// Codes all chunks and keeps none: their bytes, and how near they come.
    fn measure(&self, coder: &Coder, buffers: &BufferPool) -> Result<(u64, SquaredError)> {
        let (mut bytes, mut squared_error) = (0, SquaredError::default());
        encode_chunks(&self.geometry, self.incoming.source, coder, buffers, |encoded, _| {
            bytes += encoded.bytes.len() as u64 + CHUNK_OVERHEAD;
            squared_error.add(encoded.squared_error);
            buffers.reuse(encoded);
            Ok(())
        })?;
        Ok((bytes, squared_error))
    }
}
