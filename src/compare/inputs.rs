//! Which inputs belong to which weight, and how that weight takes them.

use super::pair::Pair;
use crate::convert::model::Stored;
use crate::dtype::number::is_number;
use crate::error::{Error, Result};
use std::collections::HashMap;

/// What a weight's inputs were given as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inputs {
    /// The inputs themselves.
    Batch {
        /// How many there are.
        vectors: u64,
    },
    /// Their Gram matrix XᵀX.
    Gram,
}

/// What follows the weight's name where an entry says which of both it is.
const SUFFIXES: [(&str, Form); 2] = [(".gram", Form::Gram), (".inputs", Form::Batch)];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Batch,
    Gram,
}

/// How a weight acts: it makes `outputs` numbers of `width`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MatrixLayout {
    pub(super) outputs: usize,
    pub(super) width: usize,
    /// Whether it is stored as inputs × outputs.
    pub(super) transposed: bool,
}

impl MatrixLayout {
    /// The outermost dimension is that of the outputs, unless only the other one fits.
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

/// Inputs for a weight.
#[derive(Clone, Copy)]
pub(super) struct Given<'m> {
    pub(super) entry: &'m Stored<'m>,
    /// Where the name says it.
    pub(super) form: Option<Form>,
    pub(super) layout: MatrixLayout,
}

/// The inputs of each pair, and the names of the entries that belong to none.
///
/// # Errors
/// `InvalidArgument` for widths that do not fit, for Gram matrices that are not square and where a
/// weight has two entries; `Unsupported` for dtypes that are no numbers.
pub(super) fn assign<'m>(
    pairs: &[Pair<'_>],
    entries: &'m [Stored<'m>],
) -> Result<(Vec<Option<Given<'m>>>, Vec<String>)> {
    let operators = pairs.iter().enumerate().filter(|(_, pair)| pair.is_operator());
    let operators: HashMap<&str, usize> =
        operators.map(|(at, pair)| (pair.a.name.as_str(), at)).collect();
    let (mut given, mut unused) = (vec![None; pairs.len()], Vec::new());
    for entry in entries {
        let Some((at, form)) = owner(&entry.name, &operators) else {
            unused.push(entry.name.clone());
            continue;
        };
        let inputs = Given::new(entry, form, &pairs[at].a.shape);
        if given[at].replace(inputs.map_err(|error| entry.here(error))?).is_some() {
            return Err(entry.here(Error::invalid("the same weight has other inputs, too")));
        }
    }
    Ok((given, unused))
}

/// The weight that an entry is for: that of its name, or of its name without a suffix.
fn owner(entry: &str, operators: &HashMap<&str, usize>) -> Option<(usize, Option<Form>)> {
    if let Some(&at) = operators.get(entry) {
        return Some((at, None));
    }
    SUFFIXES.iter().find_map(|&(suffix, form)| {
        let &at = operators.get(entry.strip_suffix(suffix)?)?;
        Some((at, Some(form)))
    })
}

impl<'m> Given<'m> {
    fn new(entry: &'m Stored<'m>, form: Option<Form>, weight: &[usize]) -> Result<Self> {
        if !is_number(entry.dtype) {
            return Err(Error::unsupported(format!("inputs of dtype {}", entry.dtype)));
        }
        let Some(&width) = entry.shape.last() else {
            return Err(Error::invalid("inputs without dimensions"));
        };
        if form == Some(Form::Gram) && entry.shape != [width, width] {
            return Err(Error::invalid(format!(
                "a Gram matrix must be square, not {:?}",
                entry.shape
            )));
        }
        let layout = MatrixLayout::of(weight, width).ok_or_else(|| {
            Error::invalid(format!("inputs of width {width} for a weight of shape {weight:?}"))
        })?;
        Ok(Self { entry, form, layout })
    }

    /// How many rows there are, all dimensions but the last taken as one.
    pub(super) fn rows(&self) -> usize {
        let (_, leading) = self.entry.shape.split_last().unwrap_or((&0, &[]));
        leading.iter().fold(1, |rows: usize, &size| rows.saturating_mul(size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_of_the_inputs_tells_the_layout() {
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
