//! Assignment of inputs to weights.

use super::tensor_pair::TensorPair;
use crate::convert::ModelTensor;
use crate::dtype::number::is_number;
use crate::error::{Error, Result};
use std::collections::HashMap;

/// Suffixes of entry names that determine the form of the inputs.
const SUFFIXES: [(&str, InputForm); 2] =
    [(".gram", InputForm::Gram), (".inputs", InputForm::Batch)];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InputForm {
    Batch,
    Gram,
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

/// Returns the inputs of each pair and the names of entries without a pair.
///
/// # Errors
/// `InvalidArgument` if a width does not match, a Gram matrix is not square or a weight has two
/// entries; `Unsupported` for dtypes that are not numeric.
pub(super) fn assign<'m>(
    pairs: &[TensorPair<'_>],
    entries: &'m [ModelTensor<'m>],
) -> Result<(Vec<Option<AssignedInputs<'m>>>, Vec<String>)> {
    let operators = pairs.iter().enumerate().filter(|(_, pair)| pair.is_operator());
    let operators: HashMap<&str, usize> =
        operators.map(|(at, pair)| (pair.a.name.as_str(), at)).collect();
    let (mut assigned, mut unused) = (vec![None; pairs.len()], Vec::new());
    for entry in entries {
        let Some((at, form)) = weight_of(&entry.name, &operators) else {
            unused.push(entry.name.clone());
            continue;
        };
        let inputs = AssignedInputs::new(entry, form, &pairs[at].a.shape);
        if assigned[at].replace(inputs.map_err(|error| entry.locate(error))?).is_some() {
            return Err(entry.locate(Error::invalid("second entry of inputs for the same weight")));
        }
    }
    Ok((assigned, unused))
}

/// The weight of an entry: the one with the same name, or with the name without a suffix.
fn weight_of(entry: &str, operators: &HashMap<&str, usize>) -> Option<(usize, Option<InputForm>)> {
    if let Some(&at) = operators.get(entry) {
        return Some((at, None));
    }
    SUFFIXES.iter().find_map(|&(suffix, form)| {
        let &at = operators.get(entry.strip_suffix(suffix)?)?;
        Some((at, Some(form)))
    })
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
