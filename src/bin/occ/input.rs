//! Inputs that are .occ files, or URLs of such files.

use crate::failure::{Failure, usage};
use occ::convert::{self, DecompressReport, Progress, Target};
use occ::{Dtype, Reader};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The URL that an input is: `scheme://…`. Schemes have at least two letters, unlike drives.
fn url(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    let (scheme, _) = text.split_once("://")?;
    let is_scheme = scheme.len() > 1
        && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    is_scheme.then_some(text)
}

pub fn is_url(path: &Path) -> bool {
    url(path).is_some()
}

/// An input as messages show it: a URL without its query, which may be a signature.
pub fn shown(input: &Path) -> &Path {
    match url(input).and_then(|url| url.split(['?', '#']).next()) {
        Some(url) => Path::new(url),
        None => input,
    }
}

/// The last part of a URL, without its query.
pub fn file_name(url: &Path) -> Result<PathBuf, Failure> {
    match shown(url).to_str().and_then(|url| url.rsplit('/').next()) {
        Some(name) if !matches!(name, "" | "." | "..") => Ok(name.into()),
        _ => usage("a URL without the name of a file needs -o OUT"),
    }
}

/// Opens an .occ file.
pub fn open(input: &Path) -> Result<Reader<'static>, Failure> {
    match url(input) {
        Some(url) => remote::open(url),
        None => Ok(Reader::open(input)?),
    }
}

/// An .occ file from front to back, and its length.
pub fn stream(input: &Path) -> Result<(Box<dyn Read>, u64), Failure> {
    if let Some(url) = url(input) {
        return remote::stream(url);
    }
    let open = || {
        let file = File::open(input)?;
        let length = file.metadata()?.len();
        Ok((Box::new(file) as Box<dyn Read>, length))
    };
    Ok(open().map_err(|error: std::io::Error| occ::Error::from(error).in_file(input))?)
}

/// Decompresses an .occ file, and converts floats if there is a dtype.
pub fn decompress(
    input: &Path,
    target: Target<'_>,
    dtype: Option<Dtype>,
    progress: &mut Progress<'_>,
) -> Result<DecompressReport, Failure> {
    Ok(match (url(input), dtype) {
        (Some(url), dtype) => return remote::decompress(url, target, dtype, progress),
        (None, None) => convert::decompress(input, target, Some(progress))?,
        (None, Some(dtype)) => convert::decompress_as(input, target, dtype, Some(progress))?,
    })
}

#[cfg(feature = "remote")]
mod remote {
    use super::*;
    use occ::SequentialReader;
    use occ::convert::decompress_source;
    use occ::remote::RemoteFile;
    use std::sync::Arc;

    pub(super) fn open(url: &str) -> Result<Reader<'static>, Failure> {
        Ok(occ::remote::open(url)?)
    }

    pub(super) fn stream(url: &str) -> Result<(Box<dyn Read>, u64), Failure> {
        let file = RemoteFile::open(url)?;
        let length = occ::ReadAt::size(&file);
        let named = |error| occ::Error::from(error).in_file(file.name());
        Ok((Box::new(SequentialReader::new(file.clone()).map_err(named)?), length))
    }

    pub(super) fn decompress(
        url: &str,
        target: Target<'_>,
        dtype: Option<Dtype>,
        progress: &mut Progress<'_>,
    ) -> Result<DecompressReport, Failure> {
        let file = RemoteFile::open(url)?;
        let done = decompress_source(Arc::new(file.clone()), target, dtype, Some(progress));
        Ok(done.map_err(|error| error.in_file(file.name()))?)
    }
}

#[cfg(not(feature = "remote"))]
mod remote {
    use super::*;

    fn missing<T>() -> Result<T, Failure> {
        usage(
            "this command was built without the feature `remote`, which reads from URLs: \
             cargo install occ --features remote",
        )
    }

    pub(super) fn open(_: &str) -> Result<Reader<'static>, Failure> {
        missing()
    }

    pub(super) fn stream(_: &str) -> Result<(Box<dyn Read>, u64), Failure> {
        missing()
    }

    pub(super) fn decompress(
        _: &str,
        _: Target<'_>,
        _: Option<Dtype>,
        _: &mut Progress<'_>,
    ) -> Result<DecompressReport, Failure> {
        missing()
    }
}
