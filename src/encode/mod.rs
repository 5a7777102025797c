//! From tensors to an `.occ` file: statistics, transform search, plan, rate control, pipeline, writer.

mod chunks;
mod encoding;
mod job;
mod matrix;
mod pipeline;
mod plan;
mod rate_control;
mod statistics;
mod step_search;
mod tensor_statistics;
mod writer;

pub use encoding::{Encoding, Weighting};
pub(crate) use job::Incoming;
pub(crate) use matrix::matrix_shape;
pub(crate) use pipeline::Part;
pub(crate) use plan::plan;
pub use plan::{LossyPlan, Plan, TensorPlan, TensorSource};
#[cfg(feature = "analysis")]
pub(crate) use plan::{Rated, rates};
pub use tensor_statistics::TensorStats;
pub use writer::{WriteOptions, Writer};
