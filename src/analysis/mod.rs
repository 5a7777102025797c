//! What weights look like in several coordinate systems: outliers, concentration, rates.
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

pub mod concentration;
mod outliers;
mod uniform;

pub use outliers::Outliers;
pub use uniform::Uniform;
