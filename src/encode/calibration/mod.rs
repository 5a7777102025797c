//! Calibration: statistics of the inputs and outputs of weight matrices.
//!
//! [`Calibration`] holds entries by name, which are read when a tensor is planned and encoded, so
//! that memory stays that of the tensors in work; those with the same inputs share them. `resolve` turns the entries of a matrix into the
//! [`Sensitivity`](crate::codec::trellis::Sensitivity) of the codec.

mod diagonals;
mod entry;
mod input_cache;
mod resolve;

use crate::dtype::Dtype;
use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::statistics_kind::StatisticsKind as Kind;
pub(crate) use diagonals::Diagonals;
#[cfg(feature = "convert")]
pub(crate) use diagonals::WeightShape;
use entry::Entry;
use input_cache::InputCache;
pub(super) use resolve::{Calibrated, LossUnit};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
#[cfg(feature = "convert")]
use std::path::Path;
use std::sync::Arc;

/// Statistics of the inputs and outputs of weight matrices, for calibrated coding.
///
/// The weights of a matrix `W` multiply inputs `x`. Statistics say which errors of `W` change its
/// outputs `y = W x`, and by how much an error of each output counts. For the weight `name`, an
/// m × n matrix of outputs × inputs, entries are called:
///
/// - `name.gram`, n × n: the second moment `E[x xᵀ]` of the inputs, at any scale;
/// - `name.inputs`, any number of rows × n: input vectors;
/// - `name.diag`, n: the diagonal of the second moment alone, at any scale;
/// - `name.rows`, m: the weight of a squared error of each output: the mean squared gradient of the
///   loss at this output. Its scale counts: it compares tensors;
/// - `name.counts`, m: how often each row of a vocabulary was read, at any scale.
///
/// Without `rows`, errors are relative to the energy of the outputs of a tensor.
///
/// Inputs that several matrices [share](Self::share) are stored once: the metadata entry `share` of
/// a safetensors file contains a JSON object that names, for a weight, another one with the same
/// inputs. Of several entries for the inputs of a weight, the first in the list above applies; an
/// entry of its own comes before a shared one of the same kind.
///
/// ```
/// use occ::{Calibration, Dtype, Encoding, Plan, TensorSource};
/// let inputs: Vec<u8> = (0..256 * 96u32).flat_map(|i| (i as f32).cos().to_le_bytes()).collect();
/// let mut calibration = Calibration::default();
/// calibration.add("w.inputs", Dtype::F32, &[256, 96], inputs)?;
/// # let data: Vec<u8> = (0..64 * 96u32).flat_map(|i| (i as f32 * 0.7).sin().to_le_bytes()).collect();
/// let source = TensorSource::new("w", Dtype::F32, &[64, 96], &data);
/// let plan = Plan::of(&source, &Encoding::bits(3.0).calibration(calibration))?;
/// # assert!(plan.lossy.is_some());
/// # Ok::<(), occ::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Calibration {
    entries: BTreeMap<String, Entry>,
    /// The weight whose inputs serve this one too.
    owners: BTreeMap<String, String>,
    /// Statistics with other names, which serve weights without entries.
    others: Vec<Arc<dyn Diagonals>>,
    inputs: Arc<InputCache>,
}

impl fmt::Debug for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calibration").field("entries", &self.entries.keys()).finish_non_exhaustive()
    }
}

/// The kinds with entries of their own.
const OF_ENTRIES: [Kind; 5] = [Kind::Gram, Kind::Inputs, Kind::Diag, Kind::Rows, Kind::Counts];

/// The weight and the kind of an entry.
fn split(name: &str) -> Option<(&str, Kind)> {
    let (weight, last) = name.rsplit_once('.')?;
    Some((weight, OF_ENTRIES.into_iter().find(|kind| kind.name() == last)?))
}

impl Calibration {
    /// Adds an entry. The data are read when a plan is made and when the tensor is encoded.
    ///
    /// # Errors
    /// `InvalidArgument` when the name does not end in `.gram`, `.inputs`, `.diag`, `.rows` or
    /// `.counts`, when it is taken, or when dtype and shape do not give the length of the data;
    /// `Unsupported` for a dtype that is not a float of 16 bits or more.
    pub fn add(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        data: impl ReadAt + 'static,
    ) -> Result<()> {
        self.insert(name, Entry::new(dtype, shape, Arc::new(data))?)
            .map_err(|error| error.in_tensor(name))
    }

    /// [`add`](Self::add) of data from a file, which errors name.
    #[cfg(feature = "convert")]
    pub(crate) fn add_from_file(
        &mut self,
        path: &Path,
        name: &str,
        (dtype, shape): (Dtype, &[usize]),
        data: impl ReadAt + 'static,
    ) -> Result<()> {
        let add = || self.insert(name, Entry::new(dtype, shape, Arc::new(data))?.in_file(path));
        add().map_err(|error| error.in_tensor(name).in_file(path))
    }

    fn insert(&mut self, name: &str, entry: Entry) -> Result<()> {
        if split(name).is_none() {
            let suffixes = OF_ENTRIES.map(|kind| format!(".{}", kind.name()));
            return Err(Error::invalid(format!(
                "the name of statistics must end in one of {}",
                suffixes.join(", ")
            )));
        }
        match self.entries.insert(name.to_owned(), entry) {
            Some(_) => Err(Error::invalid("second entry of statistics with this name")),
            None => Ok(()),
        }
    }

    /// Takes the inputs of `owner` for the weight `name`, too.
    pub fn share(&mut self, name: &str, owner: &str) {
        self.owners.insert(name.to_owned(), owner.to_owned());
    }

    /// Adds statistics with other names.
    #[cfg(feature = "convert")]
    pub(crate) fn add_diagonals(&mut self, diagonals: impl Diagonals + 'static) {
        self.others.push(Arc::new(diagonals));
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.others.is_empty()
    }

    /// The entries that belong to none of these weights.
    pub fn unused<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Vec<&str> {
        let names: BTreeSet<&str> = names.into_iter().collect();
        let owners = names.iter().filter_map(|&name| self.owners.get(name));
        let used: BTreeSet<&str> =
            names.iter().copied().chain(owners.map(String::as_str)).collect();
        let entries = self.entries.keys().map(String::as_str);
        let is_unused = |entry: &&str| split(entry).is_none_or(|(name, _)| !used.contains(name));
        let others = self.others.iter().flat_map(|other| other.unused(&names));
        entries.filter(is_unused).chain(others).collect()
    }

    /// The entry of a kind for a weight. Inputs may be those of another weight.
    fn entry(&self, name: &str, kind: Kind) -> Option<(String, &Entry)> {
        let own = format!("{name}.{}", kind.name());
        if let Some(entry) = self.entries.get(&own) {
            return Some((own, entry));
        }
        let is_shared = matches!(kind, Kind::Gram | Kind::Inputs | Kind::Diag);
        let owner = self.owners.get(name).filter(|_| is_shared)?;
        let shared = format!("{owner}.{}", kind.name());
        let entry = self.entries.get(&shared)?;
        Some((shared, entry))
    }
}
