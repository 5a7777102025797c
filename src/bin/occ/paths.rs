//! Paths on the command line, with `-` for standard input or output.

use crate::failure::{Failure, usage};
use std::io::{IsTerminal, StdinLock, stdin, stdout};
use std::path::{Path, PathBuf};

/// Whether a path means standard input or output.
pub fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Whether a file is at a path, or a link to nothing.
pub fn is_taken(path: &Path) -> bool {
    path.is_file() || path.is_symlink() && !path.exists()
}

/// The path of an output with its folder resolved, to compare it with others. A link at the path
/// itself is replaced, so that it is not resolved.
pub fn resolved(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// The output path: the requested one, or the default for an input with a name.
pub fn output_path(
    requested: Option<&PathBuf>,
    input: &Path,
    default: impl Fn(&Path) -> Result<PathBuf, Failure>,
) -> Result<PathBuf, Failure> {
    let output = match requested {
        Some(output) => output.clone(),
        None if is_dash(input) => return usage("standard input needs -o OUT"),
        None => default(input)?,
    };
    if is_dash(&output) && stdout().is_terminal() {
        return usage("standard output is a terminal");
    }
    Ok(output)
}

/// Standard input, unless it is a terminal.
pub fn piped_input() -> Result<StdinLock<'static>, Failure> {
    if stdin().is_terminal() {
        return usage("standard input is a terminal, not a file");
    }
    Ok(stdin().lock())
}

/// Checks that the output is none of the inputs.
pub fn check_distinct<'p>(
    inputs: impl IntoIterator<Item = &'p Path>,
    output: &Path,
) -> Result<(), Failure> {
    let Ok(output) = output.canonicalize() else { return Ok(()) };
    for input in inputs {
        if input.canonicalize().is_ok_and(|input| input == output) {
            return usage("input and output are the same file");
        }
    }
    Ok(())
}
