//! What benches see of the inside: one stage at a time, on data of its own. No part of the API.
//!
//! What asks for a kernel has one of [`kernels`]; the other stages are the same for all.

use crate::arch::Kernel;
use crate::codec::entropy::rans::{
    Coded, DecodeTable, DecodeTables, Decoder, EncodeTables, Encoder, LANES, PairedBytes, Run,
    StateMachine,
};
use crate::codec::entropy::{CENTRE, Frequencies, Histogram};
use crate::codec::planes::split::Split;
use crate::codec::quantizer::{Costs, ROWS, Search, Task, Trellis};
use crate::codec::transform::{BAND, Hadamard, OrthogonalTransform, StoredBasis, transpose_i16};
use crate::dtype::Dtype;
use std::array;
use std::hint::black_box;

/// A stage, ready to run again and again.
#[allow(missing_debug_implementations)]
pub struct Stage {
    /// Symbols or weights that one run is over.
    pub items: usize,
    /// Does the work once.
    pub run: Box<dyn FnMut()>,
}

impl Stage {
    fn new(items: usize, run: impl FnMut() + 'static) -> Self {
        Self { items, run: Box::new(run) }
    }
}

/// Symbols or words: those of a chunk.
const SYMBOLS: usize = 1 << 18;

/// Columns of a tile.
const TILE: usize = 256;

/// Columns of a band.
const COLUMNS: usize = 2048;

/// The kernels of this machine, by name.
pub fn kernels() -> Vec<&'static str> {
    Kernel::all().into_iter().map(Kernel::name).collect()
}

fn kernel(name: &str) -> Kernel {
    let named = Kernel::all().into_iter().find(|kernel| kernel.name() == name);
    named.expect("a kernel of this machine")
}

/// Nearly normal numbers of variance 1, always the same: sums of twelve uniform ones.
fn normals() -> impl Iterator<Item = f32> {
    let mut random = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(move || (0..12).map(|_| random.f32()).sum::<f32>() - 6.0)
}

/// Symbols of about three bits each, and no escape.
fn symbols() -> Vec<u8> {
    let symbol = |x: f32| ((2.0 * x).round() as i32 + CENTRE) as u8;
    normals().map(symbol).take(SYMBOLS).collect()
}

fn frequencies(symbols: &[u8]) -> Frequencies {
    let mut histogram = Histogram::default();
    histogram.count(symbols);
    Frequencies::from_histogram(&histogram).expect("symbols that differ")
}

fn encoded(tables: &EncodeTables, kernel: Kernel, put: impl FnOnce(&mut Encoder<'_>)) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut encoder = Encoder::new(tables, SYMBOLS, kernel, &mut buffer);
    put(&mut encoder);
    let mut stream = Vec::new();
    encoder.finish(&mut stream).expect("symbols of the tables");
    stream
}

/// Counts symbols.
pub fn histogram() -> Stage {
    let symbols = symbols();
    Stage::new(SYMBOLS, move || {
        let mut histogram = Histogram::default();
        histogram.count(black_box(&symbols));
        black_box(histogram);
    })
}

/// Codes symbols by one table.
pub fn rans_encode(kernel_name: &str) -> Stage {
    let (kernel, symbols) = (kernel(kernel_name), symbols());
    let tables = EncodeTables::new([&frequencies(&symbols)]);
    Stage::new(SYMBOLS, move || {
        black_box(encoded(&tables, kernel, |encoder| encoder.put(black_box(&symbols))));
    })
}

/// Exponents of normal numbers, and bytes that go with them.
fn exponents() -> (Vec<u8>, Vec<u8>) {
    let words = normals().map(|x| ((0.02 * x).to_bits() >> 16) as u16).take(SYMBOLS);
    words.map(|word| ((word >> 7) as u8, word as u8)).unzip()
}

/// Decodes the high bytes of words by one table, and joins them to the low ones.
pub fn rans_decode_words(kernel_name: &str) -> Stage {
    let kernel = kernel(kernel_name);
    let (high, low) = exponents();
    let frequencies = frequencies(&high);
    let table = DecodeTable::new(&frequencies);
    let tables = EncodeTables::new([&frequencies]);
    let stream = encoded(&tables, kernel, |encoder| encoder.put(&high));
    let mut out = vec![0; 2 * SYMBOLS];
    Stage::new(SYMBOLS, move || {
        let mut decoder = Decoder::new(black_box(&stream), kernel).expect("a stream");
        black_box(decoder.decode_words(&table, &low, true, black_box(&mut out)));
    })
}

/// The same in pairs.
pub fn rans_decode_pairs(kernel_name: &str) -> Stage {
    let kernel = kernel(kernel_name);
    let (high, low) = exponents();
    let most = high.iter().copied().max().unwrap_or(0);
    let nibble = |byte: u8| most.wrapping_sub(byte).min(15);
    let pairs: Vec<u8> = high
        .as_chunks::<{ 2 * LANES }>()
        .0
        .iter()
        .flat_map(|block| (0..LANES).map(|i| nibble(block[i]) | nibble(block[LANES + i]) << 4))
        .collect();
    let frequencies = frequencies(&pairs);
    let table = DecodeTable::new(&frequencies);
    let tables = EncodeTables::new([&frequencies]);
    let stream = encoded(&tables, kernel, |encoder| encoder.put(&pairs));
    let mut out = vec![0; 2 * SYMBOLS];
    Stage::new(SYMBOLS, move || {
        let mut decoder = Decoder::new(black_box(&stream), kernel).expect("a stream");
        let pairs = PairedBytes { base: most, low: low.as_chunks().0, rotated: true };
        black_box(decoder.decode_pairs(&table, &pairs, black_box(&mut out)));
    })
}

/// Decodes symbols by one table.
pub fn rans_decode(kernel_name: &str) -> Stage {
    let (kernel, symbols) = (kernel(kernel_name), symbols());
    let frequencies = frequencies(&symbols);
    let table = DecodeTable::new(&frequencies);
    let tables = EncodeTables::new([&frequencies]);
    let stream = encoded(&tables, kernel, |encoder| encoder.put(&symbols));
    let mut out = vec![0; SYMBOLS];
    Stage::new(SYMBOLS, move || {
        let mut decoder = Decoder::new(black_box(&stream), kernel).expect("a stream");
        decoder.decode(&table, black_box(&mut out)).expect("all its symbols");
    })
}

/// Decodes lattice points of an eight-state trellis, by four classes of columns with two tables
/// each, up to the last few, which are not decoded in runs.
pub fn rans_decode_run(kernel_name: &str) -> Stage {
    let (kernel, symbols) = (kernel(kernel_name), symbols());
    let groups = symbols.as_chunks::<LANES>().0;
    let classes: Vec<u8> = (0..groups.len()).map(|group| group as u8 % 4).collect();
    let machine = StateMachine { generators: Trellis::new(3).expect("eight states").generators() };
    let all = vec![frequencies(&symbols); 8];
    let mut states = [0u32; LANES];
    let coded: Vec<Coded> = groups
        .iter()
        .zip(&classes)
        .flat_map(|(group, class)| {
            array::from_fn::<_, LANES, _>(|lane| {
                let (symbol, bit) = (group[lane], states[lane] & 1);
                let [by_state, by_symbol] = machine.generators.map(u32::from);
                let odd = u32::from(symbol & 1);
                states[lane] = (states[lane] >> 1) ^ (by_state * bit) ^ (by_symbol * odd);
                Coded::new(2 * class + bit as u8, symbol)
            })
        })
        .collect();
    let tables = EncodeTables::new(&all);
    let stream = encoded(&tables, kernel, |encoder| encoder.put_groups(LANES, &coded));
    let tables = DecodeTables::new(&all);
    let starts: [_; 4] = array::from_fn(|class| [DecodeTables::base(2 * class); LANES]);
    let mut out = vec![[0; LANES]; groups.len()];
    let mut decode = move || {
        let mut decoder = Decoder::new(black_box(&stream), kernel).expect("a stream");
        let run = Run { machine, starts: &starts, classes: &classes };
        decoder.decode_run(&tables, &run, &mut [0; LANES], black_box(&mut out))
    };
    let items = decode() * LANES;
    Stage::new(items, move || {
        black_box(decode());
    })
}

/// Takes a band of a tile back from a Hadamard rotation, in short integers.
pub fn inverse_hadamard(kernel_name: &str) -> Stage {
    let rotation = Hadamard::with_fixed_signs(Hadamard::MAX_BLOCK_LOG2, TILE);
    // They stay zero; what they are takes no other time.
    inverse(kernel_name, rotation, TILE)
}

/// Takes a band of a block of 32 columns back from a stored basis.
pub fn stored_basis(kernel_name: &str) -> Stage {
    let block = 32;
    let entries: Vec<i16> = normals().map(|x| (6.0 * x) as i16).take(block * block).collect();
    let basis = StoredBasis::new(block, block, 0.03, &entries).expect("entries that fit");
    inverse(kernel_name, basis, block)
}

fn inverse(kernel_name: &str, axes: impl OrthogonalTransform + 'static, columns: usize) -> Stage {
    let kernel = kernel(kernel_name);
    let (mut points, mut wide) = (vec![[0; BAND]; columns], vec![[0; BAND]; columns]);
    Stage::new(columns * BAND, move || {
        let (points, wide) = (black_box(&mut points), black_box(&mut wide));
        black_box(axes.inverse(kernel, 0..columns, 100, points, wide));
    })
}

/// Turns a band's short integers from columns to rows.
pub fn transposition(kernel_name: &str) -> Stage {
    let (kernel, columns) = (kernel(kernel_name), vec![[1; BAND]; TILE]);
    let mut rows = vec![0; TILE * BAND];
    Stage::new(TILE * BAND, move || {
        transpose_i16(kernel, black_box(&columns), black_box(&mut rows));
    })
}

/// Rotates rows by Hadamard matrices; again and again, which keeps their norms.
pub fn forward_hadamard(kernel_name: &str) -> Stage {
    let rotation = Hadamard::with_fixed_signs(Hadamard::MAX_BLOCK_LOG2, COLUMNS);
    let kernel = kernel(kernel_name);
    let mut rows: Vec<f32> = normals().take(ROWS * COLUMNS).collect();
    Stage::new(ROWS * COLUMNS, move || rotation.forward(kernel, black_box(&mut rows)))
}

/// Searches 16 rows for the best points by a trellis of 2^`states_log2` states, as rows of three
/// bits a weight.
pub fn search(kernel_name: &str, states_log2: u32) -> Stage {
    let trellis = Trellis::new(states_log2).expect("such a trellis");
    let mut search = Search::new(trellis, kernel(kernel_name));
    let mut values = normals().map(|x| 3.0 * x);
    let values: Vec<[f32; ROWS]> =
        (0..COLUMNS).map(|_| array::from_fn(|_| values.next().unwrap_or_default())).collect();
    let classes: Vec<u8> = (0..COLUMNS).map(|column| column as u8 % 4).collect();
    let costs = Costs::new(20, (0..4).map(|class| move |n| 1.0 + (n * class) as f32 * 0.2), 0.4);
    let starts: [_; 4] = array::from_fn(|class| [costs.start(class); ROWS]);
    let mut out = vec![[0; ROWS]; COLUMNS];
    Stage::new(ROWS * COLUMNS, move || {
        let task = Task { values: &values, costs: &costs, starts: &starts, classes: &classes };
        search.run(black_box(&task), black_box(&mut out));
    })
}

/// Splits BF16 words into both planes.
pub fn split(kernel_name: &str) -> Stage {
    let (kernel, split) = (kernel(kernel_name), Split::of(Dtype::Bf16));
    let (words, mut plane) = (vec![1; 2 * SYMBOLS], vec![0; SYMBOLS]);
    Stage::new(SYMBOLS, move || {
        for number in 0..2 {
            split.extract(kernel, number, black_box(&words), black_box(&mut plane));
        }
    })
}

/// Joins both planes of BF16 words.
pub fn join(kernel_name: &str) -> Stage {
    let (kernel, split) = (kernel(kernel_name), Split::of(Dtype::Bf16));
    let (planes, mut words) = ([vec![1; SYMBOLS], vec![2; SYMBOLS]], vec![0; 2 * SYMBOLS]);
    Stage::new(SYMBOLS, move || {
        let [low, high] = black_box(&planes);
        split.join(kernel, &[low, high], black_box(&mut words));
    })
}
