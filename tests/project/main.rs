//! The source tree: layers, imports, file lengths, and the example in the README.

mod architecture;
mod readme;
