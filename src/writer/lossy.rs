//! Adding tensors with loss: coders by plan, and measuring before writing.

use super::{Writer, encode_chunks};
use crate::codec::Codec;
use crate::codec::lossy::{Distortion, Encoded, Encoder};
use crate::container::{
    CHUNK_OVERHEAD, FrameHeader, Geometry, Kind, Layout, Object, object_overhead,
};
use crate::dtype::Dtype;
use crate::error::Result;
use crate::io::ByteSource;
use crate::plan::{self, LossyPlan, Subject, matrix_shape};

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
        if self.noise > 0.0 { (self.noise / self.signal).sqrt() } else { 0.0 }
    }

    /// 20 · log10(‖W‖ ÷ ‖W − Ŵ‖) in decibels; `None` when nothing was lost.
    pub fn snr_db(&self) -> Option<f64> {
        (self.noise > 0.0).then(|| 10.0 * (self.signal / self.noise).log10())
    }
}

/// Lossy chunks take few bytes, so they hold more elements.
const CHUNK_FACTOR: u64 = 2;

/// Rows of a band: chunks are made of whole ones.
const BAND: u64 = 32;

/// How often a step is made smaller before nothing is lost instead.
const ATTEMPTS: usize = 6;

impl Writer<'_> {
    /// The encoder of a plan, and the geometry that goes with it, once the plan's promise holds.
    /// `None` when nothing is to be lost.
    pub(super) fn lossy_encoder<S>(
        &self,
        incoming: &Incoming<'_, S>,
        plan: &LossyPlan,
    ) -> Result<Option<(Geometry, Encoder)>>
    where
        S: ByteSource + ?Sized,
    {
        let Some(geometry) = self.lossy_geometry(incoming)? else { return Ok(None) };
        let mut step = plan.step;
        for _ in 0..ATTEMPTS {
            let encoder = self.encoder_at(incoming, plan, step)?;
            let Some(encoder) = encoder else { return Ok(None) };
            let Some(share) = plan.max_noise else { return Ok(Some((geometry, encoder))) };
            let Distortion { signal, noise } = measure(&geometry, incoming.source, &encoder)?.1;
            let allowed = share * signal;
            if noise <= allowed {
                return Ok(Some((geometry, encoder)));
            }
            // The error goes with the square of the step, nearly.
            step *= ((allowed / noise).sqrt() * 0.998) as f32;
            if !(step.is_normal() && step > 0.0) {
                break;
            }
        }
        Ok(None)
    }

    fn encoder_at<S>(
        &self,
        incoming: &Incoming<'_, S>,
        plan: &LossyPlan,
        step: f32,
    ) -> Result<Option<Encoder>>
    where
        S: ByteSource + ?Sized,
    {
        let Incoming { dtype, source, .. } = *incoming;
        let Some((rows, columns)) = matrix_shape(dtype, &incoming.native_shape()) else {
            return Ok(None);
        };
        let subject = Subject { source, dtype, rows, columns, overhead_bits: 0.0 };
        plan::encoder(&subject, plan, step)
    }

    fn lossy_geometry<S>(&self, incoming: &Incoming<'_, S>) -> Result<Option<Geometry>>
    where
        S: ByteSource + ?Sized,
    {
        let Incoming { name, dtype, source, .. } = *incoming;
        let shape = incoming.native_shape();
        let Some((_, columns)) = matrix_shape(dtype, &shape) else { return Ok(None) };
        let band = BAND * columns as u64;
        let target = CHUNK_FACTOR.saturating_mul(self.options.chunk_elements);
        let target = target.min(super::MAX_CHUNK_BYTES * 8 / u64::from(dtype.bits()));
        let chunk_elements = (target / band).max(1) * band;
        self.admit(Kind::Tensor, name, dtype, shape, chunk_elements, source).map(Some)
    }

    /// Bytes that a tensor takes with a plan, all told; `None` when nothing is to be lost.
    pub(crate) fn measure<S>(
        &self,
        incoming: &Incoming<'_, S>,
        plan: &LossyPlan,
    ) -> Result<Option<u64>>
    where
        S: ByteSource + ?Sized,
    {
        let Some((geometry, encoder)) = self.lossy_encoder(incoming, plan)? else {
            return Ok(None);
        };
        let (chunks, _) = measure(&geometry, incoming.source, &encoder)?;
        let frame = object_overhead(incoming.shape.len(), incoming.name.len());
        Ok(Some(frame + encoder.parameters().len() as u64 + chunks))
    }

    pub(super) fn write_lossy<S>(
        &mut self,
        incoming: &Incoming<'_, S>,
        geometry: &Geometry,
        encoder: &Encoder,
        observe: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Added>
    where
        S: ByteSource + ?Sized,
    {
        let name = incoming.name.to_owned();
        let codec = Codec::Trellis.id();
        let object = Object::new(Kind::Tensor, name, geometry.clone(), codec, Layout::Chunked)?;
        let parameters = encoder.parameters().to_vec();
        let header = FrameHeader { object, parameters, chunk_crcs: Vec::new() };
        let encode = |_, chunk: &[u8]| encoder.encode(chunk);
        self.write_frame(header, incoming.source, encode, observe)
    }
}

/// Codes all chunks and keeps none: their bytes, and how near they come.
fn measure<S>(geometry: &Geometry, source: &S, encoder: &Encoder) -> Result<(u64, Distortion)>
where
    S: ByteSource + ?Sized,
{
    let (mut bytes, mut distortion) = (0, Distortion::default());
    let encode = |_, chunk: &[u8]| encoder.encode(chunk);
    encode_chunks(geometry, source, encode, |encoded: Encoded, _| {
        bytes += encoded.bytes.len() as u64 + CHUNK_OVERHEAD;
        distortion.add(encoded.distortion);
        Ok(())
    })?;
    Ok((bytes, distortion))
}
