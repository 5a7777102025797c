//! Standard output.

use crate::failure::{Failure, in_file};
use serde::Serialize;
use std::io::{ErrorKind, Write, stdout};
use std::path::Path;

/// Prints text and a newline. A closed pipe is not an error.
pub fn print(text: &str) -> Result<(), Failure> {
    match writeln!(stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(in_file(Path::new("standard output"), error).into())
        }
        _ => Ok(()),
    }
}

/// Prints a value as one line of JSON.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print(&json(value)?)
}

/// A value as JSON. Numbers that are not finite become null.
pub fn json(value: &impl Serialize) -> occ::Result<String> {
    Ok(serde_json::to_string(value).map_err(std::io::Error::other)?)
}
