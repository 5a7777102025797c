//! The options of lossy compression.

use crate::failure::{Failure, in_file, usage};
use crate::model::examine;
use crate::progress::Progress;
use clap::{ArgGroup, Args, ValueEnum};
use occ::convert::Checkpoint;
use occ::{Calibration, Coordinates, Encoding, Plan, Weighting};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const HEADING: &str = "Lossy compression";

#[derive(Args)]
#[command(group(
    ArgGroup::new("lossy")
        .args(["bits", "snr", "rel_error", "output_error", "bits_for"])
        .multiple(true)
))]
pub struct LossyArgs {
    /// Bit budget in bits per weight for the whole file, met within 0.5 % and never exceeded
    #[arg(long, value_name = "B", group = "target", help_heading = HEADING)]
    bits: Option<f64>,

    /// Minimum signal-to-noise ratio of every matrix in dB, 20·log10(‖W‖/‖W−Ŵ‖)
    #[arg(long, value_name = "DB", group = "target", help_heading = HEADING)]
    snr: Option<f64>,

    /// Maximum relative error ‖W−Ŵ‖/‖W‖ of every matrix
    #[arg(long, value_name = "E", group = "target", help_heading = HEADING)]
    rel_error: Option<f64>,

    /// Maximum relative error of outputs ‖(W−Ŵ)x‖/‖Wx‖ of every matrix, with --statistics of x
    #[arg(long, value_name = "E", group = "target", requires = "statistics", help_heading = HEADING)]
    output_error: Option<f64>,

    /// Keep tensors lossless whose names match (* and ?); can be repeated
    #[arg(long, value_name = "GLOB", requires = "lossy", help_heading = HEADING)]
    keep: Vec<String>,

    /// Bit budget in bits per weight for tensors whose names match (* and ?); can be repeated
    #[arg(long, value_name = "GLOB=B", value_parser = glob_and_bits, help_heading = HEADING)]
    bits_for: Vec<(String, f64)>,

    /// Encoder effort, 1 to 9: 1 is scalar quantisation, 5 a trellis of 8 states, 9 of 256 states
    #[arg(long, value_name = "N", default_value_t = 5, requires = "lossy", help_heading = HEADING,
          value_parser = clap::value_parser!(u8).range(1..=9))]
    effort: u8,

    /// Coordinate system that matrices are quantised in
    #[arg(long, value_name = "SYSTEM", default_value = "auto", requires = "lossy", help_heading = HEADING)]
    coordinates: CoordinatesArg,

    /// Maximum rank of the low-rank part, 0 to 128
    #[arg(long, value_name = "R", default_value_t = 32, requires = "lossy", help_heading = HEADING,
          value_parser = clap::value_parser!(u8).range(0..=128))]
    max_rank: u8,

    /// Scale each row by its RMS, so that rows with small RMS have the same relative error
    #[arg(long, requires = "lossy", help_heading = HEADING)]
    row_scales: bool,

    /// Count errors in outputs, with statistics of inputs and outputs from this file; can be repeated
    ///
    /// A safetensors file, a folder of them or an .occ file. For the weight W it has some of W.gram
    /// (second moment of the inputs), W.inputs (input vectors), W.diag (diagonal of the second
    /// moment), W.rows (weight of each output) and W.counts (reads of each row). Or an importance
    /// matrix of llama.cpp (.gguf; .dat or .imatrix for the older format).
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    statistics: Vec<PathBuf>,

    /// Weighting of errors when the bit budget is distributed
    #[arg(long, value_name = "WEIGHTING", default_value = "operator", requires = "lossy",
          conflicts_with_all = ["snr", "rel_error", "output_error"], help_heading = HEADING)]
    weighting: WeightingArg,

    /// Also write the plan (the encoder settings of each tensor) as JSON
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    save_plan: Option<PathBuf>,

    /// Read the plan from a file instead of computing it
    #[arg(long, value_name = "FILE", help_heading = HEADING,
          conflicts_with_all = ["target", "keep", "bits_for"])]
    plan: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum CoordinatesArg {
    /// For each tensor the system that needs the fewest bits
    Auto,
    /// The columns of the matrix, unchanged
    Identity,
    /// Columns multiplied by Hadamard matrices in blocks
    Hadamard,
    /// Karhunen-Loève transform: an orthogonal basis learned from the tensor and stored with it
    #[value(alias = "aligned")]
    Klt,
}

#[derive(Clone, Copy, ValueEnum)]
enum WeightingArg {
    /// By likely effect: columns with large RMS, rare tokens and large tensors count less
    Operator,
    /// By relative error, equally for all weights
    RelativeError,
}

fn glob_and_bits(text: &str) -> Result<(String, f64), String> {
    let (glob, bits) = text.rsplit_once('=').ok_or("expected GLOB=B, such as '*embed*=4'")?;
    let bits = bits.parse().map_err(|_| format!("`{bits}` is not a number"))?;
    Ok((glob.to_owned(), bits))
}

impl LossyArgs {
    /// The files that are read besides the checkpoint.
    pub fn inputs(&self) -> impl Iterator<Item = &Path> {
        self.statistics.iter().chain(&self.plan).map(PathBuf::as_path)
    }

    /// The file that the plan is written to.
    pub fn plan_output(&self) -> Option<&Path> {
        self.save_plan.as_deref()
    }

    /// The file that the plan is read from.
    pub fn plan_input(&self) -> Option<&Path> {
        self.plan.as_deref()
    }

    /// The budget of the whole file in bits per weight.
    pub fn bits(&self) -> Option<f64> {
        self.bits
    }

    /// The plan for a checkpoint: computed, or read from a file. It is saved if this is requested.
    pub fn plan(&self, checkpoint: &Checkpoint, force: bool) -> Result<Plan, Failure> {
        self.plan_file(checkpoint, false, force)
    }

    /// The plan for a checkpoint that is one of several files with a common budget.
    pub fn plan_part(&self, checkpoint: &Checkpoint) -> Result<Plan, Failure> {
        self.plan_file(checkpoint, true, false)
    }

    fn plan_file(
        &self,
        checkpoint: &Checkpoint,
        is_part: bool,
        force: bool,
    ) -> Result<Plan, Failure> {
        let plan = match &self.plan {
            Some(path) => {
                let json = std::fs::read_to_string(path).map_err(|error| in_file(path, error))?;
                let mut plan = Plan::from_json(&json).map_err(|error| error.in_file(path))?;
                // Some of them may be in other files of the model.
                let is_planned = |name| plan.get(name).is_some();
                if !plan.tensors.is_empty() && !checkpoint.tensor_names().any(is_planned) {
                    let path = path.display();
                    return usage(&format!(
                        "{path} is a plan for other tensors than those of the input"
                    ));
                }
                if let Some(calibration) = self.calibration(checkpoint)? {
                    plan.set_calibration(&calibration);
                }
                plan
            }
            None => {
                let mut encoding = self.encoding();
                let unused = encoding.unused_patterns(checkpoint.tensor_names());
                // In one of several files a pattern may match nothing.
                if let Some(pattern) = unused.first().filter(|_| !is_part) {
                    return usage(&format!("no tensor has a name that matches {pattern}"));
                }
                if let Some(calibration) = self.calibration(checkpoint)? {
                    encoding = encoding.calibration(calibration);
                }
                if !self.is_planned() {
                    Plan::default()
                } else {
                    let task = if is_part { "planning" } else { "planning (1 of 2)" };
                    let progress = Progress::bytes(task, Some(checkpoint.tensor_bytes()));
                    let mut report = |bytes| progress.advance(bytes);
                    match is_part {
                        true => checkpoint.plan_part(&encoding, Some(&mut report))?,
                        false => checkpoint.plan(&encoding, Some(&mut report))?,
                    }
                }
            }
        };
        self.warn_of_missing_statistics(&plan);
        if let Some(bits) = self
            .bits
            .filter(|_| !is_part && plan.tensors.values().all(|tensor| tensor.lossy.is_none()))
        {
            eprintln!("warning: --bits {bits} suffices to store all tensors losslessly");
        }
        if let Some(path) = &self.save_plan {
            occ::write_file(path, plan.to_json().as_bytes(), force)?;
        }
        Ok(plan)
    }

    /// Whether tensors may be lossy.
    pub fn is_lossy(&self) -> bool {
        self.plan.is_some() || !self.encoding().is_lossless()
    }

    /// Whether a plan is computed.
    pub fn is_planned(&self) -> bool {
        let is_lossless = self.encoding().is_lossless() && self.statistics.is_empty();
        self.plan.is_none() && !is_lossless
    }

    fn encoding(&self) -> Encoding {
        let mut encoding = match (self.bits, self.snr, self.rel_error) {
            (Some(bits), ..) => Encoding::bits(bits),
            (_, Some(snr), _) => Encoding::snr(snr),
            (.., Some(error)) => Encoding::rel_error(error),
            _ => self.output_error.map_or(Encoding::lossless(), Encoding::output_error),
        };
        encoding = encoding
            .effort(self.effort)
            .max_rank(self.max_rank.into())
            .row_scales(self.row_scales)
            .coordinates(match self.coordinates {
                CoordinatesArg::Auto => None,
                CoordinatesArg::Identity => Some(Coordinates::Identity),
                CoordinatesArg::Hadamard => Some(Coordinates::Hadamard),
                CoordinatesArg::Klt => Some(Coordinates::Klt),
            })
            .weighting(match self.weighting {
                WeightingArg::Operator => Weighting::Operator,
                WeightingArg::RelativeError => Weighting::RelativeError,
            });
        for (pattern, bits) in &self.bits_for {
            encoding = encoding.bits_for(pattern, *bits);
        }
        // The last matching rule applies: --keep has priority over --bits-for.
        self.keep.iter().fold(encoding, |encoding, pattern| encoding.keep(pattern))
    }

    /// The statistics; warns of those that match no tensor.
    fn calibration(&self, checkpoint: &Checkpoint) -> Result<Option<Arc<Calibration>>, Failure> {
        if self.statistics.is_empty() {
            return Ok(None);
        }
        for folder in self.statistics.iter().filter(|path| path.is_dir()) {
            examine(folder);
        }
        let calibration = Calibration::open(&self.statistics)?;
        let unused = calibration.unused(checkpoint.tensor_names());
        if let Some(first) = unused.first() {
            let count = unused.len();
            eprintln!("warning: statistics without a tensor: {count}, for example {first}");
        }
        Ok(Some(Arc::new(calibration)))
    }

    /// Warns of lossy tensors without statistics, if there are statistics.
    fn warn_of_missing_statistics(&self, plan: &Plan) {
        let lossy = plan.tensors.iter().filter_map(|(name, tensor)| {
            tensor.lossy.as_ref().filter(|lossy| !lossy.is_calibrated()).map(|_| name)
        });
        let missing: Vec<&String> = lossy.filter(|_| !self.statistics.is_empty()).collect();
        if let Some(first) = missing.first() {
            let count = missing.len();
            eprintln!("warning: lossy tensors without statistics: {count}, for example {first}");
        }
    }

    /// The target in words.
    pub fn target(&self) -> String {
        match (&self.plan, self.bits, self.snr, self.rel_error) {
            (Some(_), ..) => "with a plan from a file".into(),
            (_, Some(bits), ..) => format!("at most {bits} bits per weight"),
            (_, _, Some(snr), _) => format!("an SNR of at least {snr} dB in every matrix"),
            (.., Some(error)) => format!("a relative error of at most {error} in every matrix"),
            _ => match self.output_error {
                Some(error) => {
                    format!("a relative error of outputs of at most {error} in every matrix")
                }
                None if !self.bits_for.is_empty() => "some tensors lossy".into(),
                None => "lossless".into(),
            },
        }
    }
}
