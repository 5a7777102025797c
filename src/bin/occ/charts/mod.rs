//! Charts as SVG: lines, histograms, bars.
//!
//! A chart scales to the width of its page. Its colours are CSS variables, so that it is legible
//! on light and dark backgrounds: a page defines them with [`palette`], and a file of its own
//! contains them.

mod axis;
mod bars;
mod canvas;
mod chart;
mod histogram;
mod lines;
mod theme;

pub use axis::Axis;
pub use bars::{BarChart, BarGroup};
pub use chart::Chart;
pub use histogram::{Bins, Histogram, Outline};
pub use lines::{LineChart, Series};
pub use theme::palette;
