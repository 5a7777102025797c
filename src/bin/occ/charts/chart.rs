//! A finished chart.

use super::theme::palette;

pub struct Chart {
    /// View box and role.
    pub(super) attributes: String,
    /// The title element and all shapes.
    pub(super) content: String,
}

impl Chart {
    /// The SVG element, for a page that defines the colours with [`palette`].
    pub fn inline(&self) -> String {
        format!("<svg {}>\n{}</svg>\n", self.attributes, self.content)
    }

    /// A complete SVG file.
    pub fn file(&self) -> String {
        let style = format!(
            "<style>\n{}svg {{ background: var(--paper); font-family: system-ui, sans-serif }}\n\
             </style>\n",
            palette("svg")
        );
        let namespace = "xmlns=\"http://www.w3.org/2000/svg\"";
        format!("<svg {namespace} {}>\n{style}{}</svg>\n", self.attributes, self.content)
    }
}
