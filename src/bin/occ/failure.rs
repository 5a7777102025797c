//! How a run can fail, and with which exit code.

use std::io::{ErrorKind, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

/// Why the command ends without success.
pub enum Failure {
    /// The data are bad, or could not be read or written: exit code 1.
    Data(occ::Error),
    /// Already told, in the command's own output: exit code 1.
    Told,
    /// The command line asks for something that is not done: exit code 2.
    Usage(String),
}

/// A refusal of what the command line asks for.
pub fn usage<T>(message: &str) -> Result<T, Failure> {
    Err(Failure::Usage(message.to_owned()))
}

/// A refusal to replace a file.
pub fn exists<T>(path: &Path) -> Result<T, Failure> {
    usage(&format!("{} exists; --force replaces it", path.display()))
}

/// What went wrong with a file of the command's own.
pub fn in_file(path: &Path, source: std::io::Error) -> occ::Error {
    occ::Error::Io { path: Some(path.to_owned()), source }
}

impl From<occ::Error> for Failure {
    fn from(error: occ::Error) -> Self {
        match error {
            occ::Error::Io { path, source } if source.kind() == ErrorKind::AlreadyExists => {
                let path = path.map_or("the output".into(), |path| path.display().to_string());
                Self::Usage(format!("{path} exists; --force replaces it"))
            }
            occ::Error::InvalidArgument { .. } => Self::Usage(error.to_string()),
            error => Self::Data(error),
        }
    }
}

impl Failure {
    /// Says why on standard error.
    pub fn report(self) -> ExitCode {
        match self {
            Self::Told => ExitCode::from(1),
            Self::Data(occ::Error::Cancelled) => {
                complain("interrupted; nothing is left behind", 130)
            }
            Self::Data(error) => complain(&error.to_string(), 1),
            Self::Usage(message) => complain(&message, 2),
        }
    }
}

fn complain(message: &str, code: u8) -> ExitCode {
    if std::io::stderr().is_terminal() {
        eprintln!("\x1b[1;31merror:\x1b[0m {message}");
    } else {
        eprintln!("error: {message}");
    }
    ExitCode::from(code)
}
