//! The cache of the Hugging Face hub: `models--OWNER--NAME/{blobs,refs,snapshots}`.

use crate::failure::{Failure, in_file, usage};
use crate::names::listed;
use crate::paths::{file_name, folder_of};
use crate::progress::is_quiet;
use std::fs;
use std::path::{Path, PathBuf};

/// The branch whose snapshot is used.
const BRANCH: &str = "main";

/// Whether a path is in `models--OWNER--NAME/blobs`, `…/refs` or `…/snapshots`: other programs rely on
/// the files there.
pub fn is_in_cache(path: &Path) -> bool {
    repository_of(path).is_some()
}

/// The name of the folder `models--OWNER--NAME` in whose parts a path is.
fn repository_of(path: &Path) -> Option<String> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
    let pair = names.windows(2).find(|pair| {
        let is_repository =
            ["models--", "datasets--", "spaces--"].iter().any(|prefix| pair[0].starts_with(prefix));
        is_repository && matches!(&*pair[1], "blobs" | "refs" | "snapshots")
    });
    Some(pair?[0].clone().into_owned())
}

/// The snapshot of the main branch if `input` is the folder of a model in the cache, which is said;
/// else `input`.
pub fn resolved(input: &Path) -> Result<PathBuf, Failure> {
    let name = input.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_owned()));
    let is_model = name.is_some_and(|name| name.to_string_lossy().starts_with("models--"));
    let snapshots = input.join("snapshots");
    if !is_model || !snapshots.is_dir() {
        return Ok(input.to_owned());
    }
    let snapshot = snapshots.join(revision(input, &snapshots)?);
    if !is_quiet() {
        eprintln!("reading the snapshot {}", snapshot.display());
    }
    Ok(snapshot)
}

/// The revision of the main branch; without a main branch the only one.
fn revision(repository: &Path, snapshots: &Path) -> Result<String, Failure> {
    let reference = repository.join("refs").join(BRANCH);
    if reference.exists() {
        let text = fs::read_to_string(&reference).map_err(|error| in_file(&reference, error))?;
        let revision = text.trim();
        let is_name = !revision.is_empty() && revision.bytes().all(|b| b.is_ascii_alphanumeric());
        if !is_name || !snapshots.join(revision).is_dir() {
            let (reference, snapshots) = (reference.display(), snapshots.display());
            return usage(&format!("{reference} names no folder in {snapshots}"));
        }
        return Ok(revision.to_owned());
    }
    let entries = fs::read_dir(snapshots).map_err(|error| in_file(snapshots, error))?;
    let folders = entries.flatten().filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> =
        folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    match (names.pop(), names.is_empty()) {
        (Some(only), true) => Ok(only),
        (last, _) => {
            names.extend(last);
            let (repository, names) = (repository.display(), listed(&names));
            usage(&format!("{repository}: no refs/{BRANCH}; name one of its snapshots: {names}"))
        }
    }
}

/// A default output, or the same name in the current folder where it would be in the cache. That of a
/// snapshot has the name of the model, as that of the revision says nothing.
pub fn outside_of_cache(output: PathBuf, input: &Path) -> Result<PathBuf, Failure> {
    let Some(repository) = repository_of(folder_of(&output)) else { return Ok(output) };
    if is_in_cache(Path::new(".")) {
        return usage("nothing is written into the cache of the Hugging Face hub without -o OUT");
    }
    let name = file_name(&output).to_owned();
    let is_snapshot =
        input.is_dir() && input.parent().is_some_and(|parent| parent.ends_with("snapshots"));
    if !is_snapshot {
        return Ok(name.into());
    }
    let model = repository.rsplit("--").next().unwrap_or(&repository);
    Ok(format!("{model}.occ").into())
}
