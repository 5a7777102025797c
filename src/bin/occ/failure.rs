//! Failures of the command, and their exit codes.

use std::io::{ErrorKind, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

/// Why the command fails.
pub enum Failure {
    /// Invalid data or an I/O error: exit code 1. An interrupt: exit code 130.
    Data(occ::Error),
    /// Models differ where they must not: exit code 1.
    Unequal(String),
    /// The output of the command already describes the failure: exit code 1.
    Reported,
    /// The arguments cannot be used: exit code 2.
    Usage(String),
}

/// Rejects the arguments.
pub fn usage<T>(message: &str) -> Result<T, Failure> {
    Err(Failure::Usage(message.to_owned()))
}

/// Refuses to replace a file.
pub fn exists<T>(path: &Path) -> Result<T, Failure> {
    usage(&exists_message(&path.display().to_string()))
}

fn exists_message(path: &str) -> String {
    format!("{path} exists; --force replaces it")
}

/// An I/O error with the file's path.
pub fn in_file(path: &Path, source: std::io::Error) -> occ::Error {
    occ::Error::Io { path: Some(path.to_owned()), source }
}

impl From<occ::Error> for Failure {
    fn from(error: occ::Error) -> Self {
        match error {
            occ::Error::Io { path, source } if source.kind() == ErrorKind::AlreadyExists => {
                let path = path.map_or("the output".into(), |path| path.display().to_string());
                Self::Usage(exists_message(&path))
            }
            occ::Error::InvalidArgument { .. } | occ::Error::SeveralCheckpoints { .. } => {
                Self::Usage(error.to_string())
            }
            error => Self::Data(error),
        }
    }
}

/// The system does not allow that many threads.
impl From<rayon::ThreadPoolBuildError> for Failure {
    fn from(error: rayon::ThreadPoolBuildError) -> Self {
        Self::Data(std::io::Error::other(error).into())
    }
}

impl Failure {
    /// Prints the message to standard error; returns the exit code.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Reported => ExitCode::from(1),
            Self::Data(occ::Error::Cancelled) => {
                print_error("interrupted; no incomplete output remains", 130)
            }
            Self::Data(error) => print_error(&error.to_string(), 1),
            Self::Unequal(message) => print_error(&message, 1),
            Self::Usage(message) => print_error(&message, 2),
        }
    }
}

fn print_error(message: &str, code: u8) -> ExitCode {
    // https://no-color.org
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stderr().is_terminal() && !no_color {
        eprintln!("\x1b[1;31merror:\x1b[0m {message}");
    } else {
        eprintln!("error: {message}");
    }
    ExitCode::from(code)
}
