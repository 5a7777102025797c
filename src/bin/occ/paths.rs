//! Paths on the command line, with `-` for standard input or output.

use crate::failure::{Failure, in_file, usage};
use std::ffi::OsStr;
use std::fs;
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
    match (folder_of(path).canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

/// The folder of a file.
pub fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The last part of a path.
pub fn file_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or(path.as_os_str())
}

/// Creates the folder of an output, if it does not exist.
pub fn create_folder_of(output: &Path) -> Result<(), Failure> {
    let folder = folder_of(output);
    Ok(fs::create_dir_all(folder).map_err(|error| in_file(folder, error))?)
}

/// The .occ files below a folder, sorted, relative to it. Links to folders are not followed.
pub fn occ_files_below(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let (mut found, mut queue) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = queue.pop() {
        let path = root.join(&folder);
        let in_folder = |error| in_file(&path, error);
        for entry in fs::read_dir(&path).map_err(in_folder)? {
            let entry = entry.map_err(in_folder)?;
            let relative = folder.join(entry.file_name());
            if entry.file_type().map_err(in_folder)?.is_dir() {
                queue.push(relative);
            } else if relative.extension().is_some_and(|extension| extension == "occ") {
                found.push(relative);
            }
        }
    }
    found.sort();
    Ok(found)
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
