//! Bytes understood as a recipe for a small file.

use occ::{Dtype, WriteOptions, Writer};

/// A tensor, before or after.
#[derive(Debug, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// The fuzzer's bytes, one after the other; zeros when they are used up.
pub struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        let digits = [self.byte(), self.byte(), self.byte()];
        digits.iter().fold(0, |number, &digit| number << 8 | usize::from(digit)) % end.max(1)
    }

    /// The next bytes, as many as are left.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// What to write and how.
pub struct Recipe {
    pub tensors: Vec<Tensor>,
    options: WriteOptions,
}

impl Recipe {
    /// One byte each for alignment, chunk size and number of tensors, then the tensors.
    pub fn read(bytes: &mut Bytes<'_>) -> Self {
        let options = WriteOptions {
            alignment: 1 << (bytes.byte() % 13),
            chunk_elements: 1 + 16 * u64::from(bytes.byte()),
            ..WriteOptions::default()
        };
        let count = usize::from(bytes.byte() % 5);
        Self { tensors: (0..count).map(|number| tensor(bytes, number)).collect(), options }
    }

    /// The file.
    pub fn write(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, self.options.clone()).expect("possible options");
        for Tensor { name, dtype, shape, bytes } in &self.tensors {
            // What is refused leaves the writer as it was.
            let long = [bytes.as_slice(), &[0]].concat();
            assert!(writer.add(name, *dtype, shape, &long).is_err(), "a byte too many");
            writer.add(name, *dtype, shape, bytes).expect("a possible tensor");
            assert!(writer.add(name, *dtype, shape, bytes).is_err(), "a name used twice");
        }
        let length = writer.finish().expect("a whole file");
        assert_eq!(length, file.len() as u64);
        file
    }
}

/// One byte each for name and dtype, the shape, then the contents.
fn tensor(bytes: &mut Bytes<'_>, number: usize) -> Tensor {
    // Unlike prefixes: names need not ascend as the file goes on.
    let prefix = ["", "z", "é", "layer."][usize::from(bytes.byte() % 4)];
    let name = format!("{prefix}{}", ["", "1", "2", "3"][number]);
    let dtype = Dtype::ALL[usize::from(bytes.byte()) % Dtype::ALL.len()];
    let (shape, length) = shape(bytes, dtype);
    Tensor { name, dtype, shape, bytes: contents(bytes, length) }
}

/// One byte for the rank and one for each dimension; the bytes that the tensor takes.
fn shape(bytes: &mut Bytes<'_>, dtype: Dtype) -> (Vec<usize>, usize) {
    let rank = usize::from(bytes.byte() % 4);
    let mut dimension = || match (rank, usize::from(bytes.byte())) {
        (1, byte) => 17 * byte,
        (2, byte) => byte % 48,
        (_, byte) => byte % 13,
    };
    let mut shape: Vec<usize> = (0..rank).map(|_| dimension()).collect();
    let elements: usize = shape.iter().product();
    match dtype.byte_len(elements as u64) {
        Some(length) => (shape, length as usize),
        None => {
            // Four elements of any type are whole bytes.
            shape.push(4);
            (shape, 4 * elements * dtype.bits() as usize / 8)
        }
    }
}

/// One byte for the pattern, then what that needs.
fn contents(bytes: &mut Bytes<'_>, length: usize) -> Vec<u8> {
    match bytes.byte() % 5 {
        0 => cycle(bytes.take(length), length),
        1 => {
            let period = 1 + usize::from(bytes.byte() % 16);
            cycle(bytes.take(period), length)
        }
        2 => vec![bytes.byte(); length],
        3 => noise(bytes.byte()).map(skew).take(length).collect(),
        // Every other byte skewed: a coded plane beside a raw one.
        _ => noise(bytes.byte())
            .enumerate()
            .map(|(at, noise)| if at % 2 == 0 { noise as u8 } else { skew(noise) })
            .take(length)
            .collect(),
    }
}

fn cycle(run: &[u8], length: usize) -> Vec<u8> {
    run.iter().copied().chain(run.is_empty().then_some(0)).cycle().take(length).collect()
}

/// Small values, each half as frequent as the one before.
fn skew(noise: u32) -> u8 {
    noise.trailing_zeros() as u8
}

/// Xorshift.
pub fn noise(seed: u8) -> impl Iterator<Item = u32> {
    let mut state = 0x9e37_79b9 ^ u32::from(seed);
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    })
}
