//! A candidate transform: its rate at a step, and its encoder.

use super::class_training::{TrainedClasses, classify};
use super::effort::{Effort, lambda};
use super::encoder::{EncoderSettings, TrellisEncoder};
use super::learned_transform::{LearnedLowRank, LearnedTransform};
use super::low_rank_coding::CodedLowRank;
use super::parameter_writer::{put_i16s, write_transform};
use super::sample::Sample;
use super::scaling::Scales;
use super::sensitivity::Sensitivity;
use super::table_training::{QuantizerSettings, TrainedProfiles, quantizer_settings, train};
use super::transform_choice::TransformChoice;
use crate::codec::entropy::{BitWriter, MagnitudeDistribution};
use crate::codec::quantizer::Trellis;
use crate::codec::transform::{ForwardTransform, Transform};
use crate::codec::trellis::classes::Classes;
use crate::codec::trellis::parameters::{LowRankPart, Parameters};
use crate::codec::trellis::reconstruction::Reconstruction;
use crate::codec::trellis::writer_notes::WriterNotes;
use crate::dtype::Dtype;
use crate::error::Result;
use std::sync::Arc;

/// A rate and the mean squared error at that rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    /// Bits per weight, side information and container included.
    pub(crate) bits: f64,
    /// Mean squared error; with feedback, that of outputs, relative to the mean weight of columns.
    pub(crate) noise: f64,
    /// Bits per weight that are not those of lattice points.
    pub(crate) side: f64,
}

/// A candidate transform: its data, and a sample of the tensor in its coordinates.
pub(crate) struct Candidate {
    pub(super) choice: TransformChoice,
    /// CRC-32 of the sample before the transform.
    pub(super) sample_crc: u32,
    pub(super) transform: ForwardTransform,
    pub(super) low_rank: Option<CodedLowRank>,
    pub(super) scales: Arc<Scales>,
    pub(super) sample: Sample,
    pub(super) rows: usize,
    pub(super) outlier_threshold: f32,
    /// The mean over columns of the loss of a unit error, if the inputs are known.
    pub(super) loss_weight: Option<f64>,
    /// The mean over rows of the weight of the loss.
    pub(super) row_weight: f64,
}

impl Candidate {
    /// What was learned, without the sample; `None` when nothing has to be learned.
    pub(crate) fn learned(&self) -> Option<LearnedTransform> {
        if self.low_rank.is_none()
            && !matches!(**self.transform.transform(), Transform::StoredBasis(_))
        {
            return None;
        }
        Some(LearnedTransform {
            choice: self.choice,
            sample_crc: self.sample_crc,
            transform: Arc::clone(self.transform.transform()),
            low_rank: self.low_rank.as_ref().map(LearnedLowRank::new),
        })
    }

    /// The classes with the least cost at a step.
    fn classes(&self, step: f32, trellis: Trellis) -> TrainedClasses {
        classify(&self.sample, trellis.subset_step(step))
    }

    /// The loss of a unit error in coordinates, as a mean over rows and columns, if statistics
    /// are known: a common step divided by its root makes the slopes of all tensors equal.
    pub(crate) fn sensitivity(&self) -> Option<f64> {
        self.loss_weight.map(|weight| weight * self.row_weight)
    }

    /// The energy of the outputs per weight at a squared error of 1 per coordinate.
    pub(crate) fn loss_weight(&self) -> Option<f64> {
        self.loss_weight
    }

    /// An estimate of the bits per weight at a step, corrected to equal distortion, for comparing
    /// candidates: rounding instead of a lattice search, unless errors are fed back. O(sample).
    pub(crate) fn estimate(&self, step: f32, effort: Effort) -> f64 {
        if let Some(loss_weight) = self.loss_weight.filter(|_| self.sample.feedback.is_some()) {
            let Rate { bits, noise, .. } = self.rate(step, Effort { passes: 1, ..effort }, 0.0);
            return bits + 0.5 * (loss_weight * noise).max(f64::MIN_POSITIVE).log2();
        }
        let TrainedClasses { bits, noise, .. } = self.classes(step, effort.trellis());
        bits / self.weights() + self.side_bits() + 0.5 * noise.max(1e-9).log2()
    }

    fn weights(&self) -> f64 {
        self.rows as f64 * self.sample.columns as f64
    }

    /// Bits per weight of the transform and the low-rank part.
    fn side_bits(&self) -> f64 {
        let mut out = BitWriter::default();
        write_transform(self.transform.transform(), &mut out);
        let mut bits = 8.0 * out.finish().len() as f64;
        if let Some(coded) = &self.low_rank {
            let mut out = BitWriter::default();
            let LowRankPart { part, coefficients } = &*coded.low_rank;
            part.rows().for_each(|row| put_i16s(row, &mut out));
            coefficients.iter().for_each(|(_, profile)| profile.write(&mut out));
            bits += 8.0 * out.finish().len() as f64 + coded.row_bits * self.rows as f64;
        }
        bits / self.weights()
    }

    /// Rate and error at a step, from a lattice search of the sample. `overhead_bits` are the bits
    /// that the container adds to the tensor.
    pub(crate) fn rate(&self, step: f32, effort: Effort, overhead_bits: f64) -> Rate {
        let [rate] = self.rates([step], effort, overhead_bits);
        rate
    }

    /// [`rate`](Self::rate) at several steps, with the classes of the middle one.
    pub(crate) fn rates<const N: usize>(
        &self,
        steps: [f32; N],
        effort: Effort,
        overhead_bits: f64,
    ) -> [Rate; N] {
        let classes = self.classes(steps[N / 2], effort.trellis());
        let sample = self.sample.thinned(effort.sample);
        steps.map(|step| {
            let quantizer = self.quantizer(&classes, step, effort.trellis());
            let TrainedClasses { classes, classifier, .. } = &classes;
            let trained = train(&sample, classes, classifier, quantizer, effort.passes);
            self.rate_of(quantizer, classes.clone(), trained, overhead_bits)
        })
    }

    /// The rate of trained tables.
    fn rate_of(
        &self,
        quantizer: QuantizerSettings,
        classes: Classes,
        trained: TrainedProfiles,
        overhead_bits: f64,
    ) -> Rate {
        let TrainedProfiles { profiles, bits, noise } = trained;
        let row_tables = [classes.rows.is_some(), self.scales.rows().is_some()];
        let parameters = self.parameters(quantizer, classes, profiles, WriterNotes::default());
        let mut side = 8.0 * parameters.to_bytes().len() as f64 + overhead_bits;
        side += self.low_rank.as_ref().map_or(0.0, |coded| coded.row_bits * self.rows as f64);
        // Classes and scales of rows take about two bits each.
        side +=
            row_tables.map(|stored| 2.0 * self.rows as f64 * f64::from(stored)).iter().sum::<f64>();
        let side = side / self.weights();
        Rate { bits: bits + side, noise, side }
    }

    /// The parameters of the codec.
    fn parameters(
        &self,
        quantizer: QuantizerSettings,
        classes: Classes,
        profiles: Vec<MagnitudeDistribution>,
        notes: WriterNotes,
    ) -> Parameters {
        Parameters {
            columns: self.sample.columns,
            step: quantizer.step,
            trellis: quantizer.trellis,
            bypass: quantizer.bypass,
            transform: Arc::clone(self.transform.transform()),
            low_rank: self.low_rank.as_ref().map(|coded| Arc::clone(&coded.low_rank)),
            row_scales: self.scales.rows().cloned(),
            column_scales: self.scales.columns().map(<[u8]>::to_vec),
            classes,
            profiles,
            notes,
        }
    }

    fn quantizer(
        &self,
        trained: &TrainedClasses,
        step: f32,
        trellis: Trellis,
    ) -> QuantizerSettings {
        let TrainedClasses { classes, classifier, .. } = trained;
        quantizer_settings(&self.sample, classes, classifier, trellis, step, lambda(trellis))
    }

    /// The encoder of the tensor at a step. With `outputs`, errors of outputs are measured.
    pub(crate) fn encoder(
        &self,
        dtype: Dtype,
        step: f32,
        effort: Effort,
        notes: WriterNotes,
        outputs: Option<Arc<Sensitivity>>,
    ) -> Result<TrellisEncoder> {
        let classes = self.classes(step, effort.trellis());
        let quantizer = self.quantizer(&classes, step, effort.trellis());
        let TrainedClasses { classes, classifier, .. } = classes;
        let sample = self.sample.thinned(effort.sample);
        let trained = train(&sample, &classes, &classifier, quantizer, effort.passes);
        let parameters = self.parameters(quantizer, classes, trained.profiles, notes);
        let scales = Arc::clone(&self.scales);
        let settings = EncoderSettings {
            classifier,
            scales,
            lambda: quantizer.lambda,
            outlier_threshold: self.outlier_threshold,
            feedback: self.sample.feedback.clone(),
            outputs,
        };
        TrellisEncoder::new(dtype, &Reconstruction::new(parameters), settings)
    }
}
