//! What weights look like in several coordinate systems: outliers, concentration, rates.
//!
//! [`analyze`] looks at every weight matrix of a model:
//!
//! ```no_run
//! use occ::Coordinates;
//! use occ::analysis::{AnalyzeOptions, analyze};
//! use std::ops::ControlFlow;
//! let options = AnalyzeOptions::default();
//! let analysis = analyze("model.safetensors", &options, &mut |_| ControlFlow::Continue(()))?;
//! for matrix in &analysis.matrices {
//!     let [before, after] = [Coordinates::Identity, Coordinates::Hadamard]
//!         .map(|system| matrix.in_system(system).map(|found| found.outliers.peak_to_rms));
//!     println!("{}: {before:?} to {after:?}", matrix.name);
//! }
//! # Ok::<(), occ::Error>(())
//! ```
//!
//! Its measures serve for any numbers:
//!
//! ```
//! use occ::analysis::{Outliers, Uniform, concentration};
//! let weights: Vec<f32> = (0..4096).map(|i| (i as f32 * 0.7).sin()).collect();
//! let outliers = Outliers::of(&weights);
//! assert!((outliers.peak_to_rms - 2f64.sqrt()).abs() < 1e-3);
//! assert!(concentration::top_energy(&weights, 41) < 0.03); // no weight stands out
//! let four_bits = Uniform::symmetric(&weights, 4);
//! assert!(four_bits.entropy(&weights) < 4.0);
//! ```

mod blocks;
mod coded;
pub mod concentration;
mod distribution;
mod kinds;
mod marchenko_pastur;
mod matrix;
mod model;
mod moments;
mod numbers;
mod outliers;
mod quantised;
mod rates;
mod rotation;
mod spectrum;
mod summary;
mod uniform;
mod weights;

pub use concentration::TopEnergy;
pub use distribution::{Distribution, Tail};
pub use kinds::Kind;
pub use matrix::{InCoordinates, MatrixAnalysis};
pub use model::{Analysis, AnalyzeOptions, RatePoint, analyze};
pub use outliers::Outliers;
pub use rates::{CodedRate, Rates, StepRate, UniformRate};
pub use spectrum::{SingularValue, Spectrum};
pub use summary::{KindSummary, LayerSummary, Regime, RegimeSummary};
pub use uniform::Uniform;
