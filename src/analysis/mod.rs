//! Statistics of weight matrices in several coordinate systems: outliers, energy concentration,
//! singular values and bit rates.
//!
//! [`analyze`] analyses every weight matrix of a model:
//!
//! ```no_run
//! use occ::Coordinates;
//! use occ::analysis::{AnalyzeOptions, analyze};
//! let analysis = analyze("model.safetensors", &AnalyzeOptions::default(), None)?;
//! for matrix in &analysis.matrices {
//!     for coordinates in [Coordinates::Identity, Coordinates::Hadamard] {
//!         if let Some(found) = matrix.in_coordinates(coordinates) {
//!             println!("{} {coordinates} {}", matrix.name, found.outliers.peak_to_rms);
//!         }
//!     }
//! }
//! # Ok::<(), occ::Error>(())
//! ```
//!
//! [`Outliers`], [`concentration`] and [`Uniform`] also apply to any array of numbers:
//!
//! ```
//! use occ::analysis::{Outliers, Uniform, concentration};
//! let weights: Vec<f32> = (0..4096).map(|i| (i as f32 * 0.7).sin()).collect();
//! let outliers = Outliers::of(&weights);
//! assert!((outliers.peak_to_rms - 2f64.sqrt()).abs() < 1e-3);
//! assert!(concentration::top_energy(&weights, 41) < 0.03); // the energy of the largest 1 %
//! let quantizer = Uniform::symmetric(&weights, 4);
//! assert!(quantizer.entropy(&weights) < 4.0);
//! ```

mod blocks;
mod coded_rates;
pub mod concentration;
mod coordinate_transform;
mod distribution;
mod marchenko_pastur;
mod matrix_analysis;
mod model_analysis;
mod moments;
mod outliers;
mod rates;
mod spectrum;
mod summary;
mod uniform;
mod uniform_levels;
mod value_statistics;
mod weights;

pub use concentration::TopEnergy;
pub use distribution::{Distribution, Tail};
pub use matrix_analysis::{CoordinateAnalysis, MatrixAnalysis};
pub use model_analysis::{Analysis, AnalyzeOptions, RatePoint, analyze};
pub use outliers::Outliers;
pub use rates::{CodedRate, Rates, StepRate, UniformRate};
pub use spectrum::{SingularValue, Spectrum};
pub use summary::{CoordinateSummary, LayerSummary, RoleSummary, SUMMARY_COORDINATES};
pub use uniform::Uniform;
