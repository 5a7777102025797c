//! Adding tensors with loss: coders by plan, and measuring before writing.

use super::{Writer, encode_chunks};
use crate::codec::lossy::{BAND, Distortion, Encoded, Encoder};
use crate::codec::{Codec, Scratch};
use crate::container::{
    CHUNK_OVERHEAD, FrameHeader, Geometry, Kind, Layout, Object, object_overhead,
};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::io::ByteSource;
use crate::plan::{self, LossyPlan, Prepared, Subject, matrix_shape};

/// A tensor to be added.
pub(crate) struct Incoming<'i, S: ?Sized> {
    pub(crate) name: &'i str,
    pub(crate) dtype: Dtype,
    pub(crate) shape: &'i [usize],
    pub(crate) source: &'i S,
}

impl<S: ByteSource + ?Sized> Incoming<'_, S> {
    pub(super) fn native_shape(&self) -> Vec<u64> {
        self.shape.iter().map(|&size| size as u64).collect()
    }
}

/// What became of a tensor that was added.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Added {
    /// Its elements.
    pub weights: u64,
    /// Bytes that the file grew by, its part of the index included.
    pub bytes: u64,
    /// The sum of its elements' squares; 0 when nothing was lost.
    pub signal: f64,
    /// The sum of the squares of what decoded elements differ by.
    pub noise: f64,
}

impl Added {
    /// ‖W − Ŵ‖ ÷ ‖W‖; 0 when nothing was lost.
    pub fn rel_error(&self) -> f64 {
        self.distortion().rel_error()
    }

    /// 20 · log10(‖W‖ ÷ ‖W − Ŵ‖) in decibels; `None` when nothing was lost.
    pub fn snr_db(&self) -> Option<f64> {
        self.distortion().snr_db()
    }

    fn distortion(&self) -> Distortion {
        Distortion { signal: self.signal, noise: self.noise }
    }
}

/// Lossy chunks take few bytes, so they hold more elements.
const CHUNK_FACTOR: u64 = 2;

/// How often a step is made smaller before nothing is lost instead.
const ATTEMPTS: usize = 10;

/// A tensor that is ready to be coded at any step.
pub(crate) struct Ready {
    geometry: Geometry,
    columns: usize,
    prepared: Prepared,
}

impl Writer<'_> {
    /// Learns what a plan needs of a tensor. `None` when nothing is to be lost.
    pub(crate) fn prepare<S>(
        &self,
        incoming: &Incoming<'_, S>,
        plan: &LossyPlan,
    ) -> Result<Option<Ready>>
    where
        S: ByteSource + ?Sized,
    {
        let Incoming { name, dtype, source, .. } = *incoming;
        let shape = incoming.native_shape();
        let Some((rows, columns)) = matrix_shape(dtype, &shape) else { return Ok(None) };
        // Chunks are made of whole bands.
        let band = (BAND * columns) as u64;
        let target = CHUNK_FACTOR.saturating_mul(self.options.chunk_elements);
        let target = target.min(super::MAX_CHUNK_BYTES * 8 / u64::from(dtype.bits()));
        let chunk_elements = (target / band).max(1) * band;
        let geometry = self.admit(Kind::Tensor, name, dtype, shape, chunk_elements, source)?;
        let subject = Subject { source, dtype, rows, columns, overhead_bits: 0.0 };
        let prepared = plan::prepare(&subject, plan)?;
        Ok(prepared.map(|prepared| Ready { geometry, columns, prepared }))
    }

    /// Adds a tensor as planned, once the plan's promise holds; `None` when it cannot be kept and
    /// nothing is to be lost.
    pub(super) fn add_lossy<S>(
        &mut self,
        incoming: &Incoming<'_, S>,
        plan: &LossyPlan,
        observe: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<Added>>
    where
        S: ByteSource + ?Sized,
    {
        let Some(ready) = self.prepare(incoming, plan)? else { return Ok(None) };
        let step = match plan.max_noise {
            Some(share) => ready.step_within(incoming.source, plan.step, share)?,
            None => Some(plan.step),
        };
        let Some(step) = step else { return Ok(None) };
        self.add_ready(incoming, &ready, step, observe).map(Some)
    }

    /// Bytes that a tensor takes at a step, all told.
    pub(crate) fn measure<S>(
        &self,
        incoming: &Incoming<'_, S>,
        ready: &Ready,
        step: f32,
    ) -> Result<u64>
    where
        S: ByteSource + ?Sized,
    {
        let encoder = ready.prepared.encoder(step)?;
        let (chunks, _) = ready.measure(incoming.source, &encoder)?;
        let frame = object_overhead(incoming.shape.len(), incoming.name.len());
        Ok(frame + encoder.parameters().len() as u64 + chunks)
    }

    /// Adds a tensor at a step.
    pub(crate) fn add_ready<S>(
        &mut self,
        incoming: &Incoming<'_, S>,
        ready: &Ready,
        step: f32,
        observe: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Added>
    where
        S: ByteSource + ?Sized,
    {
        let encoder = ready.prepared.encoder(step)?;
        let (name, geometry) = (incoming.name.to_owned(), ready.geometry.clone());
        let codec = Codec::Trellis.id();
        let object = Object::new(Kind::Tensor, name, geometry, codec, Layout::Chunked)?;
        let parameters = encoder.parameters().to_vec();
        let header = FrameHeader { object, parameters, chunk_crcs: Vec::new() };
        self.write_frame(header, incoming.source, ready.coding(&encoder), observe)
    }
}

impl Ready {
    /// A step, from this one down, whose error is within a share of the tensor's energy; `None`
    /// when none is found.
    fn step_within<S>(&self, source: &S, mut step: f32, share: f64) -> Result<Option<f32>>
    where
        S: ByteSource + ?Sized,
    {
        for attempt in 0..ATTEMPTS {
            let encoder = self.prepared.encoder(step)?;
            let Distortion { signal, noise } = self.measure(source, &encoder)?.1;
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

    /// Codes the chunk of a number.
    fn coding(
        &self,
        encoder: &Encoder,
    ) -> impl Fn(u64, &[u8], &mut Scratch) -> Result<Encoded> + Sync {
        let rows = self.geometry.chunk_elements() as usize / self.columns;
        move |number, chunk, scratch| encoder.encode(number as usize * rows, chunk, scratch)
    }

    /// Codes all chunks and keeps none: their bytes, and how near they come.
    fn measure<S>(&self, source: &S, encoder: &Encoder) -> Result<(u64, Distortion)>
    where
        S: ByteSource + ?Sized,
    {
        let (mut bytes, mut distortion) = (0, Distortion::default());
        encode_chunks(&self.geometry, source, self.coding(encoder), |encoded: &Encoded, _| {
            bytes += encoded.bytes.len() as u64 + CHUNK_OVERHEAD;
            distortion.add(encoded.distortion);
            Ok(())
        })?;
        Ok((bytes, distortion))
    }
}
