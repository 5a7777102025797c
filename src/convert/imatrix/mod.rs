//! Importance matrices of llama.cpp: mean squares of the inputs of each weight.
//!
//! `llama-imatrix` writes them as GGUF files (`gguf`), and wrote a format of its own before
//! (`legacy`). They name weights as GGUF files of models do, so that `names` finds the entry of a
//! tensor of a checkpoint.

mod cursor;
mod gguf;
mod legacy;
mod names;
mod sums;

#[cfg(test)]
mod tests;

use crate::encode::{Calibration, Diagonals, WeightShape};
use crate::error::{Error, Result};
use crate::io::{FileSection, ReadAt};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use sums::{Part, Sums};

/// Whether a file is an importance matrix.
///
/// GGUF files have a magic number. Files of the older kind have none: one with the extension `dat`
/// or `imatrix` is of this kind unless it can be a safetensors file. The two cannot be confused:
/// bytes 4 to 8 are the length of the first name, and in a safetensors file zero, since they are
/// the upper half of the length of a header below 4 GiB.
///
/// # Errors
/// `Io`.
pub(super) fn is_imatrix(path: &Path) -> Result<bool> {
    let read = || {
        let file = FileSection::open(path)?;
        let mut buffer = Vec::new();
        let head = file.read_at(0..file.size().min(8), &mut buffer)?.to_vec();
        Ok(head)
    };
    let head: Vec<u8> = read().map_err(|error: std::io::Error| Error::from(error).in_file(path))?;
    if head.starts_with(&gguf::MAGIC) {
        return Ok(true);
    }
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_named = extension.is_some_and(|extension| {
        extension.eq_ignore_ascii_case("dat") || extension.eq_ignore_ascii_case("imatrix")
    });
    Ok(is_named && head.get(4..8).is_none_or(|length| length != [0; 4]))
}

impl Calibration {
    /// Statistics from an importance matrix of llama.cpp: a GGUF file, or one of the older kind
    /// (`.dat`). [`open`](Self::open) accepts these files, too.
    ///
    /// The entries serve the tensors of Hugging Face checkpoints that correspond to them. Query, key
    /// and value have the same inputs, as have gate and up: one serves the others that are missing.
    /// The matrices of experts have numbers of their own; stacked experts get the mean over all
    /// inputs, unless their matrices are square: then the shape does not show which dimension counts
    /// inputs. Tensors with few rows, such as routers, are encoded as other matrices, which use no
    /// numbers. Only the descriptions of entries and their counts are read here.
    ///
    /// ```
    /// let name = b"blk.0.attn_q.weight";
    /// let mut file = vec![1, 0, 0, 0, name.len() as u8, 0, 0, 0];
    /// file.extend(name);
    /// file.extend([1, 0, 0, 0, 2, 0, 0, 0]); // one call, two sums of squares
    /// file.extend([0.5f32, 2.0].map(f32::to_le_bytes).as_flattened());
    /// let calibration = occ::Calibration::from_imatrix(file)?;
    /// assert!(calibration.unused(["model.layers.0.self_attn.q_proj.weight"]).is_empty());
    /// assert_eq!(calibration.unused(["lm_head.weight"]), ["blk.0.attn_q.weight"]);
    /// # Ok::<(), occ::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Truncated`; `Corrupt`; `Unsupported` for GGUF files that are not importance matrices;
    /// `LimitExceeded` for long names; `Io`. Numbers that are negative or not finite are found when
    /// a plan is made (`Corrupt`), as are entries of another size than the weight
    /// (`InvalidArgument`).
    pub fn from_imatrix(source: impl ReadAt + 'static) -> Result<Self> {
        let mut calibration = Self::default();
        let source: Arc<dyn ReadAt> = Arc::new(source);
        calibration.add_diagonals(ImportanceMatrix::parse(&source, None)?);
        Ok(calibration)
    }

    /// Adds an importance matrix.
    pub(super) fn add_imatrix(&mut self, path: &Path) -> Result<()> {
        let open = || {
            let source: Arc<dyn ReadAt> = Arc::new(FileSection::open(path)?);
            ImportanceMatrix::parse(&source, Some(path))
        };
        self.add_diagonals(open().map_err(|error: Error| error.in_file(path))?);
        Ok(())
    }
}

/// The entries of a file, by their names in GGUF files of models.
struct ImportanceMatrix {
    path: Option<PathBuf>,
    entries: BTreeMap<String, Sums>,
}

/// The place of the inputs in a weight, and the matrices of the entry with their width.
enum Layout {
    Columns(std::ops::Range<u64>, usize),
    Rows(std::ops::Range<u64>, usize),
    /// Neither: the encoded matrix has other columns than the tensor, because that has few rows; or
    /// the matrices of experts are square, and some checkpoints store them as inputs × outputs,
    /// which their shape does not show.
    Neither,
}

impl ImportanceMatrix {
    fn parse(source: &Arc<dyn ReadAt>, path: Option<&Path>) -> Result<Self> {
        let mut buffer = Vec::new();
        let head = source.read_at(0..source.size().min(4), &mut buffer)?;
        let entries = match head == gguf::MAGIC {
            true => gguf::parse(source)?,
            false => legacy::parse(source)?,
        };
        Ok(Self { path: path.map(Path::to_owned), entries })
    }

    /// The entry for a weight.
    fn find(&self, weight: &str) -> Option<(&str, &Sums, Part)> {
        if let Some((name, sums)) = self.entries.get_key_value(weight) {
            return Some((name, sums, names::own_part(name)));
        }
        let (names, part) = names::sources(weight)?;
        let (name, sums) = names.iter().find_map(|name| self.entries.get_key_value(name))?;
        Some((name, sums, part))
    }

    /// Computes numbers for a weight, unless `compute` rejects the layout.
    fn numbers(
        &self,
        weight: WeightShape<'_>,
        compute: impl Fn(&Sums, Layout) -> Option<Result<Vec<f64>>>,
    ) -> Result<Option<Vec<f64>>> {
        let Some((name, sums, part)) = self.find(weight.name) else { return Ok(None) };
        let layout = layout(sums, part, weight).ok_or_else(|| {
            Error::invalid(format!(
                "{} numbers of an importance matrix for the weight `{}` of shape {:?}",
                sums.values, weight.name, weight.shape
            ))
        });
        let numbers = layout.and_then(|layout| compute(sums, layout).transpose());
        numbers.map_err(|error| {
            let error = error.in_tensor(name);
            match &self.path {
                Some(path) => error.in_file(path),
                None => error,
            }
        })
    }
}

/// A weight is stored as inputs × outputs if only its rows fit.
fn layout(sums: &Sums, part: Part, weight: WeightShape<'_>) -> Option<Layout> {
    let WeightShape { shape, rows, columns, .. } = weight;
    if shape.last() != Some(&columns) {
        return Some(Layout::Neither);
    }
    let (experts, height) = match (part, shape) {
        (Part::Stacked, &[experts, height, width]) if height == width => {
            sums.matrices(part, width).filter(|found| found.end == experts as u64)?;
            return Some(Layout::Neither);
        }
        (Part::Stacked, &[experts, height, _]) => (Some(experts as u64), height),
        _ => (None, rows),
    };
    let fitting = |width| {
        let matrices = sums.matrices(part, width);
        matrices.filter(|matrices| experts.is_none_or(|experts| matrices.end == experts))
    };
    if let Some(matrices) = fitting(columns) {
        return Some(Layout::Columns(matrices, columns));
    }
    let matrices = fitting(height)?;
    let count = (matrices.end - matrices.start) * height as u64;
    (count == rows as u64).then_some(Layout::Rows(matrices, height))
}

impl Diagonals for ImportanceMatrix {
    fn columns(&self, weight: WeightShape<'_>) -> Result<Option<Vec<f64>>> {
        self.numbers(weight, |sums, layout| match layout {
            Layout::Columns(matrices, width) => Some(sums.mean(matrices, width)),
            Layout::Rows(..) | Layout::Neither => None,
        })
    }

    fn rows(&self, weight: WeightShape<'_>) -> Result<Option<Vec<f64>>> {
        self.numbers(weight, |sums, layout| match layout {
            Layout::Rows(matrices, width) => Some(sums.means(matrices, width)),
            Layout::Columns(..) | Layout::Neither => None,
        })
    }

    fn unused(&self, names: &BTreeSet<&str>) -> Vec<&str> {
        let used: BTreeSet<&str> =
            names.iter().filter_map(|name| self.find(name)).map(|(name, ..)| name).collect();
        self.entries.keys().map(String::as_str).filter(|name| !used.contains(name)).collect()
    }
}
