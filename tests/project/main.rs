//! The source tree: layers, imports, file lengths, the example in the README, the version of Rust.

mod architecture;
mod readme;
mod rust_version;
