//! Groups of tensors whose names differ only in numbers, as those of layers and experts do.

use super::ListedTensor;
use occ::Dtype;
use std::collections::{BTreeSet, HashMap};

/// Lists of more tensors than this are grouped.
const MANY: usize = 40;

/// Ranges of numbers in the name of a group; of more, only the first and the last number.
const MAX_RANGES: usize = 3;

/// Tensors with one dtype and one shape.
pub struct Group<'l, 't> {
    /// With ranges of numbers: `layers.[0-29].norm`.
    pub name: String,
    /// Not empty.
    pub tensors: Vec<&'l ListedTensor<'t>>,
}

/// Each tensor in a group of its own.
pub fn each<'l, 't>(tensors: &'l [ListedTensor<'t>]) -> Vec<Group<'l, 't>> {
    let group = |tensor: &'l ListedTensor<'t>| Group {
        name: tensor.name.escape_debug().to_string(),
        tensors: vec![tensor],
    };
    tensors.iter().map(group).collect()
}

/// Groups the tensors whose names differ only in numbers and that have the same dtype and shape, in
/// the order of their first tensors; few tensors only if `always`. O(bytes of names) expected.
pub fn grouped_by_name<'l, 't>(
    tensors: &'l [ListedTensor<'t>],
    always: bool,
) -> Vec<Group<'l, 't>> {
    if tensors.len() <= MANY && !always {
        return each(tensors);
    }
    // Numbers in words, as in `fc1`, tell tensors of one layer apart, unless they leave many rows.
    let groups = group_at(tensors, Numbers::Separate);
    if groups.len() <= MANY {
        return groups;
    }
    let fewer = group_at(tensors, Numbers::All);
    if fewer.len() <= groups.len() / 2 { fewer } else { groups }
}

fn group_at<'l, 't>(tensors: &'l [ListedTensor<'t>], which: Numbers) -> Vec<Group<'l, 't>> {
    let mut positions = HashMap::<(Vec<&str>, Dtype, &[usize]), usize>::new();
    let mut groups = Vec::<(Vec<&str>, Vec<BTreeSet<u64>>, Vec<&'l ListedTensor<'t>>)>::new();
    for tensor in tensors {
        let (texts, numbers) = split(tensor.name, which);
        let key = (texts.clone(), tensor.dtype, tensor.shape);
        let position = *positions.entry(key).or_insert(groups.len());
        if position == groups.len() {
            groups.push((texts, vec![BTreeSet::new(); numbers.len()], Vec::new()));
        }
        let (_, values, members) = &mut groups[position];
        for (values, number) in values.iter_mut().zip(numbers) {
            values.insert(number);
        }
        members.push(tensor);
    }
    let group =
        |(texts, values, tensors): (Vec<&str>, Vec<BTreeSet<u64>>, Vec<&'l ListedTensor<'t>>)| {
            Group {
                name: match &tensors[..] {
                    [only] => only.name.escape_debug().to_string(),
                    _ => name(&texts, &values),
                },
                tensors,
            }
        };
    groups.into_iter().map(group).collect()
}

/// Which numbers of a name are those of layers.
#[derive(Clone, Copy, PartialEq)]
enum Numbers {
    /// Between `.`, `_`, `/` and the ends of the name.
    Separate,
    All,
}

/// Splits a name at its numbers: the texts around them, one more than there are numbers.
fn split(name: &str, which: Numbers) -> (Vec<&str>, Vec<u64>) {
    let is_border = |c: Option<char>| c.is_none_or(|c| matches!(c, '.' | '_' | '/'));
    let (mut texts, mut numbers) = (Vec::new(), Vec::new());
    let (mut start, mut at) = (0, 0);
    while let Some(found) = name[at..].find(|c: char| c.is_ascii_digit()) {
        let first = at + found;
        let digits = &name[first..];
        let length = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        at = first + length;
        let (before, after) = (name[..first].chars().next_back(), name[at..].chars().next());
        let separate = is_border(before) && is_border(after);
        if let (true, Ok(number)) = (separate || which == Numbers::All, digits[..length].parse()) {
            texts.push(&name[start..first]);
            numbers.push(number);
            start = at;
        }
    }
    texts.push(&name[start..]);
    (texts, numbers)
}

/// A name with the ranges of its numbers.
fn name(texts: &[&str], values: &[BTreeSet<u64>]) -> String {
    let mut name = String::new();
    for (position, text) in texts.iter().enumerate() {
        name.push_str(&text.escape_debug().to_string());
        if let Some(values) = values.get(position) {
            name.push_str(&ranges(values));
        }
    }
    name
}

/// `3` for one number, `[0-5,7-29]` for several.
fn ranges(values: &BTreeSet<u64>) -> String {
    let mut ranges = Vec::<(u64, u64)>::new();
    for &value in values {
        match ranges.last_mut() {
            Some((_, last)) if value - 1 == *last => *last = value,
            _ => ranges.push((value, value)),
        }
    }
    let text = |(first, last): (u64, u64)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    match ranges[..] {
        [(first, last)] if first == last => first.to_string(),
        [(first, _), .., (_, last)] if ranges.len() > MAX_RANGES => format!("[{first}…{last}]"),
        _ => format!("[{}]", ranges.into_iter().map(text).collect::<Vec<_>>().join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tensors: &[(&str, &[usize])]) -> Vec<(String, usize)> {
        let listed = |&(name, shape)| ListedTensor {
            name,
            dtype: Dtype::F32,
            shape,
            bytes: 0,
            stored: None,
        };
        let tensors: Vec<_> = tensors.iter().map(listed).collect();
        let groups = grouped_by_name(&tensors, true);
        groups.into_iter().map(|group| (group.name, group.tensors.len())).collect()
    }

    fn numbered(format: impl Fn(u64) -> String, numbers: &[u64]) -> Vec<(String, usize)> {
        let all: Vec<String> = numbers.iter().map(|&number| format(number)).collect();
        let listed: Vec<(&str, &[usize])> = all.iter().map(|name| (&name[..], &[4][..])).collect();
        names(&listed)
    }

    #[test]
    fn tensors_whose_names_differ_in_numbers_are_one_row_for_each_shape() {
        let matrix: &[usize] = &[4, 4];
        let groups = names(&[
            ("embed", &[9]),
            ("h.0.fc1", matrix),
            ("h.0.fc2", matrix),
            ("h.1.fc1", matrix),
            ("h.1.fc2", &[8, 4]),
            ("h.10.fc1", matrix),
        ]);
        let expected = [("embed", 1), ("h.[0-1,10].fc1", 3), ("h.0.fc2", 1), ("h.1.fc2", 1)];
        assert_eq!(groups, expected.map(|(name, count)| (name.to_owned(), count)));
    }

    #[test]
    fn ranges_of_numbers_are_in_the_name() {
        let layers = |number| format!("a_{number}_b.7.w");
        for (numbers, expected) in [
            (&[0, 1, 2][..], "a_[0-2]_b.7.w"),
            (&[5, 3, 4, 9], "a_[3-5,9]_b.7.w"),
            (&[0, 2, 4, 6, 9], "a_[0…9]_b.7.w"),
            (&[u64::MAX - 1, u64::MAX], "a_[18446744073709551614-18446744073709551615]_b.7.w"),
        ] {
            assert_eq!(numbered(layers, numbers), [(expected.to_owned(), numbers.len())]);
        }
    }

    /// Names of which no number is by itself.
    #[test]
    fn many_names_are_grouped_by_the_numbers_in_words() {
        let words = |number| format!("tensor{number:05}x");
        let all: Vec<u64> = (0..200).collect();
        assert_eq!(numbered(words, &all), [("tensor[0-199]x".into(), 200)]);
        assert_eq!(numbered(words, &all[..40]).len(), 40);
        let long = "1".repeat(30);
        assert_eq!(names(&[(&long, &[])]), [(long.clone(), 1)]);
    }
}
