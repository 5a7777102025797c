//! Assignment of inputs to weights.

use super::tensor_pair::TensorPair;
use crate::convert::ModelTensor;
use crate::dtype::number::is_number;
use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashMap};

/// Suffixes of entry names that determine the form of the inputs.
const SUFFIXES: [(&str, InputForm); 3] =
    [(".gram", InputForm::Gram), (".inputs", InputForm::Batch), (".diag", InputForm::Diagonal)];

/// Suffixes of statistics of outputs.
const OUTPUT_SUFFIXES: [&str; 2] = [".rows", ".counts"];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InputForm {
    Batch,
    Gram,
    /// The diagonal of a Gram matrix.
    Diagonal,
}

/// A weight as a linear map from `width` inputs to `outputs` outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MatrixLayout {
    pub(super) outputs: usize,
    pub(super) width: usize,
    /// Whether the weight is stored as inputs × outputs.
    pub(super) transposed: bool,
}

impl MatrixLayout {
    /// The first dimension counts outputs, unless only this dimension equals `width`.
    fn of(shape: &[usize], width: usize) -> Option<Self> {
        let (&outermost, rest) = shape.split_first()?;
        let columns = rest.iter().try_fold(1usize, |product, &size| product.checked_mul(size))?;
        if columns == width {
            return Some(Self { outputs: outermost, width, transposed: false });
        }
        let fits = rest.len() == 1 && outermost == width;
        fits.then_some(Self { outputs: columns, width, transposed: true })
    }
}

/// The inputs of a weight.
#[derive(Clone, Copy)]
pub(super) struct AssignedInputs<'m> {
    pub(super) entry: &'m ModelTensor<'m>,
    /// The form, if the entry name has a suffix.
    pub(super) form: Option<InputForm>,
    pub(super) layout: MatrixLayout,
}

/// Returns the inputs of each pair and the names of entries without a pair. `owners` names, for a
/// weight, another one with the same inputs.
///
/// # Errors
/// `InvalidArgument` if a width does not match, a Gram matrix is not square or a weight has two
/// entries; `Unsupported` for dtypes that are not numeric.
pub(super) fn assign<'m>(
    pairs: &[TensorPair<'_>],
    entries: &'m [ModelTensor<'m>],
    owners: &BTreeMap<String, String>,
) -> Result<(Vec<Option<AssignedInputs<'m>>>, Vec<String>)> {
    let weights = Weights::new(pairs, owners);
    let (mut assigned, mut unused) = (vec![None; pairs.len()], Vec::new());
    for entry in entries {
        let Some((served, form)) = weights.served_by(&entry.name) else {
            if !weights.describes_outputs(&entry.name) {
                unused.push(entry.name.clone());
            }
            continue;
        };
        for &Served { at, is_own } in served {
            let inputs = AssignedInputs::new(entry, form, &pairs[at].a.shape);
            let inputs = inputs.map_err(|error| entry.locate(error))?;
            let rank = (form == Some(InputForm::Diagonal), !is_own);
            match &assigned[at] {
                Some((other, _)) if *other < rank => {}
                Some((other, _)) if *other == rank => {
                    let what = "second entry of inputs for the same weight";
                    return Err(entry.locate(Error::invalid(what)));
                }
                _ => assigned[at] = Some((rank, inputs)),
            }
        }
    }
    let assigned = assigned.into_iter().map(|inputs| inputs.map(|(_, inputs)| inputs));
    Ok((assigned.collect(), unused))
}

/// A pair that inputs serve, and whether they have the name of its weight.
struct Served {
    at: usize,
    is_own: bool,
}

/// The compared matrices, by the names of their inputs.
struct Weights<'p>(HashMap<&'p str, Vec<Served>>);

impl<'p> Weights<'p> {
    fn new(pairs: &[TensorPair<'p>], owners: &'p BTreeMap<String, String>) -> Self {
        let mut served: HashMap<&str, Vec<Served>> = HashMap::new();
        for (at, pair) in pairs.iter().enumerate().filter(|(_, pair)| pair.is_operator()) {
            served.entry(&pair.a.name).or_default().push(Served { at, is_own: true });
            if let Some(owner) = owners.get(&pair.a.name) {
                served.entry(owner).or_default().push(Served { at, is_own: false });
            }
        }
        Self(served)
    }

    /// The pairs that an entry serves: those of the same name, or of the name without a suffix.
    fn served_by(&self, entry: &str) -> Option<(&[Served], Option<InputForm>)> {
        if let Some(served) = self.0.get(entry) {
            return Some((served, None));
        }
        SUFFIXES.iter().find_map(|&(suffix, form)| {
            let served = self.0.get(entry.strip_suffix(suffix)?)?;
            Some((&served[..], Some(form)))
        })
    }

    /// Whether an entry describes the outputs of a compared matrix.
    fn describes_outputs(&self, entry: &str) -> bool {
        let mut names = OUTPUT_SUFFIXES.iter().filter_map(|suffix| entry.strip_suffix(suffix));
        names.any(|name| self.0.contains_key(name))
    }
}

impl<'m> AssignedInputs<'m> {
    fn new(entry: &'m ModelTensor<'m>, form: Option<InputForm>, weight: &[usize]) -> Result<Self> {
        if !is_number(entry.dtype) {
            return Err(Error::unsupported(format!("inputs of dtype {}", entry.dtype)));
        }
        let Some(&width) = entry.shape.last() else {
            return Err(Error::invalid("inputs without dimensions"));
        };
        if form == Some(InputForm::Gram) && entry.shape != [width, width] {
            return Err(Error::invalid(format!(
                "Gram matrix is not square: shape {:?}",
                entry.shape
            )));
        }
        if form == Some(InputForm::Diagonal) && entry.shape != [width] {
            return Err(Error::invalid(format!(
                "the diagonal of a Gram matrix is not a vector: shape {:?}",
                entry.shape
            )));
        }
        let layout = MatrixLayout::of(weight, width).ok_or_else(|| {
            Error::invalid(format!("inputs of width {width} for a weight of shape {weight:?}"))
        })?;
        Ok(Self { entry, form, layout })
    }

    /// The product of all dimensions but the last.
    pub(super) fn rows(&self) -> usize {
        let (_, leading) = self.entry.shape.split_last().unwrap_or((&0, &[]));
        leading.iter().fold(1, |rows: usize, &size| rows.saturating_mul(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_width_determines_layout() {
        let layout = |shape: &[usize], width| {
            MatrixLayout::of(shape, width).map(|layout| (layout.outputs, layout.transposed))
        };
        assert_eq!(layout(&[3, 5], 5), Some((3, false)));
        assert_eq!(layout(&[3, 5], 3), Some((5, true)));
        assert_eq!(layout(&[4, 4], 4), Some((4, false)));
        assert_eq!(layout(&[8, 2, 3, 3], 18), Some((8, false)));
        for (shape, width) in
            [(&[3, 5][..], 4), (&[8, 2, 3], 8), (&[2, usize::MAX, 2], 2), (&[], 1)]
        {
            assert_eq!(layout(shape, width), None, "{shape:?}");
        }
    }
}
