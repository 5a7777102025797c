//! Charts as SVG: lines, histograms, bars.
//!
//! A picture scales to where it is shown. Its colours are CSS variables, so that one file is
//! readable on light and dark: a page that holds it defines them, a file on its own brings them.

mod axis;
mod bars;
mod canvas;
mod gaussian;
mod histogram;
mod lines;
mod theme;

pub use axis::Axis;
pub use bars::{Bar, Bars};
pub use gaussian::{gaussian_below, gaussian_beyond};
pub use histogram::{Bins, Histogram, Outline};
pub use lines::{Lines, Series};
pub use theme::palette;

/// A finished chart.
pub struct Picture {
    /// The attributes that all have: view box and role.
    attributes: String,
    /// The title, and all that is drawn.
    content: String,
}

impl Picture {
    /// The element, for a page that defines the colours as [`palette`] does.
    pub fn inline(&self) -> String {
        format!("<svg {}>\n{}</svg>\n", self.attributes, self.content)
    }

    /// A file on its own.
    pub fn file(&self) -> String {
        let style = format!(
            "<style>\n{}svg {{ background: var(--paper); font-family: system-ui, sans-serif }}\n\
             </style>\n",
            palette("svg")
        );
        let space = "xmlns=\"http://www.w3.org/2000/svg\"";
        format!("<svg {space} {}>\n{style}{}</svg>\n", self.attributes, self.content)
    }
}
