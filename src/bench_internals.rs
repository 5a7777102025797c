//! Access of `benches/internals.rs` to single steps of the codecs. Not part of the API.
//!
//! Parameters `kernel_name` take a name from [`kernels`].

use crate::arch::Kernel;
use crate::codec::entropy::rans::{
    DecodeTable, DecodeTables, EncodeTables, GroupRun, LANES, LaneTables, PairedBytes, RansDecoder,
    RansEncoder, SequenceDecoder, SlotTable, StateMachine, StreamCount, TableSymbol, decode_runs,
    put_sequence,
};
use crate::codec::entropy::{CENTRE, ESCAPE, Frequencies, Histogram};
use crate::codec::planes::split::Split;
use crate::codec::quantizer::{
    CostTables, Feedback, FeedbackSearch, ROWS, RowGroup, SearchInput, Trellis, ViterbiSearch,
};
use crate::codec::transform::{BAND, Hadamard, OrthogonalTransform, StoredBasis, transpose_i16};
use crate::dtype::Dtype;
use crate::gaussian::gaussian_noise;
use std::array;
use std::hint::black_box;

/// A benchmark that can run repeatedly.
#[allow(missing_debug_implementations)]
pub struct Benchmark {
    /// Number of symbols or weights that one run processes.
    pub items: usize,
    /// One run.
    pub run: Box<dyn FnMut()>,
}

impl Benchmark {
    fn new(items: usize, run: impl FnMut() + 'static) -> Self {
        Self { items, run: Box::new(run) }
    }
}

/// Symbols or words of a chunk.
const SYMBOLS: usize = 1 << 18;

/// Columns of a tile.
const TILE: usize = 256;

/// Columns of a band.
const COLUMNS: usize = 2048;

/// The names of the kernels of this machine.
pub fn kernels() -> Vec<&'static str> {
    Kernel::all().into_iter().map(Kernel::name).collect()
}

fn kernel(name: &str) -> Kernel {
    let named = Kernel::all().into_iter().find(|kernel| kernel.name() == name);
    named.expect("the name of a kernel of this machine")
}

/// Symbols with an entropy of about 3 bits, without escapes.
fn symbols() -> Vec<u8> {
    let symbol = |x: f32| ((2.0 * x).round() as i32 + CENTRE) as u8;
    gaussian_noise(1).map(symbol).take(SYMBOLS).collect()
}

fn frequencies(symbols: &[u8]) -> Frequencies {
    let mut histogram = Histogram::default();
    histogram.count(symbols);
    Frequencies::from_histogram(&histogram).expect("at least two different symbols")
}

fn encoded(
    tables: &EncodeTables,
    kernel: Kernel,
    put: impl FnOnce(&mut RansEncoder<'_>),
) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut encoder = RansEncoder::new(tables, SYMBOLS, kernel, &mut buffer);
    put(&mut encoder);
    let mut stream = Vec::new();
    encoder.finish(&mut stream).expect("all symbols have a frequency");
    stream
}

fn sequence(tables: &EncodeTables, kernel: Kernel, symbols: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    put_sequence(tables, symbols, StreamCount::Two, kernel, &mut Vec::new(), &mut coded)
        .expect("all symbols have a frequency");
    coded
}

fn decoder(mut coded: &[u8], kernel: Kernel) -> SequenceDecoder<'_> {
    SequenceDecoder::take(&mut coded, kernel).expect("a valid sequence")
}

/// Counting of symbols.
pub fn histogram() -> Benchmark {
    let symbols = symbols();
    Benchmark::new(SYMBOLS, move || {
        let mut histogram = Histogram::default();
        histogram.count(black_box(&symbols));
        black_box(histogram);
    })
}

/// Encoding with one table.
pub fn rans_encode(kernel_name: &str) -> Benchmark {
    let (kernel, symbols) = (kernel(kernel_name), symbols());
    let tables = EncodeTables::new([&frequencies(&symbols)]);
    Benchmark::new(SYMBOLS, move || {
        black_box(sequence(&tables, kernel, black_box(&symbols)));
    })
}

/// High and low bytes of Gaussian BF16 words: exponents, and the other bits.
fn exponents() -> (Vec<u8>, Vec<u8>) {
    let words = gaussian_noise(1).map(|x| ((0.02 * x).to_bits() >> 16) as u16).take(SYMBOLS);
    words.map(|word| ((word >> 7) as u8, word as u8)).unzip()
}

/// Decoding of the high bytes of words with one table, interleaved with the low bytes.
pub fn rans_decode_words(kernel_name: &str) -> Benchmark {
    let kernel = kernel(kernel_name);
    let (high, low) = exponents();
    let frequencies = frequencies(&high);
    let table = DecodeTable::new(&frequencies);
    let tables = EncodeTables::new([&frequencies]);
    let coded = sequence(&tables, kernel, &high);
    let mut out = vec![0; 2 * SYMBOLS];
    Benchmark::new(SYMBOLS, move || {
        let mut decoder = decoder(black_box(&coded), kernel);
        black_box(decoder.decode_words(&table, &low, true, black_box(&mut out)));
    })
}

/// Decoding as in [`rans_decode_words`], in pairs.
pub fn rans_decode_pairs(kernel_name: &str) -> Benchmark {
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
    let coded = sequence(&tables, kernel, &pairs);
    let mut out = vec![0; 2 * SYMBOLS];
    Benchmark::new(SYMBOLS, move || {
        let mut decoder = decoder(black_box(&coded), kernel);
        let pairs = PairedBytes { base: most, low_bits: (0, &[]), lower: &[&low] };
        black_box(decoder.decode_pairs(&table, &pairs, black_box(&mut out)));
    })
}

/// Decoding with one table.
pub fn rans_decode(kernel_name: &str) -> Benchmark {
    let (kernel, symbols) = (kernel(kernel_name), symbols());
    let frequencies = frequencies(&symbols);
    let table = DecodeTable::new(&frequencies);
    let tables = EncodeTables::new([&frequencies]);
    let coded = sequence(&tables, kernel, &symbols);
    let mut out = vec![0; SYMBOLS];
    Benchmark::new(SYMBOLS, move || {
        let mut decoder = decoder(black_box(&coded), kernel);
        decoder.decode(&table, black_box(&mut out)).expect("all symbols of the stream");
    })
}

/// Decoding of the lattice points of two segments with a trellis of eight states and four classes of
/// columns with two tables each. Excludes the last groups, which are not decoded in runs.
pub fn rans_decode_run(kernel_name: &str) -> Benchmark {
    let (kernel, symbols) = (kernel(kernel_name), symbols());
    let groups = symbols.as_chunks::<LANES>().0;
    let classes: Vec<u8> = (0..groups.len()).map(|group| group as u8 % 4).collect();
    let machine = StateMachine {
        generators: Trellis::new(3).expect("a trellis of eight states").generators(),
    };
    let mut frequent = symbols.clone();
    frequent.push(ESCAPE);
    let all = vec![SlotTable::aliased(frequencies(&frequent)); 8];
    let mut states = [0u32; LANES];
    let coded: Vec<TableSymbol> = groups
        .iter()
        .zip(&classes)
        .flat_map(|(group, class)| {
            array::from_fn::<_, LANES, _>(|lane| {
                let (symbol, bit) = (group[lane], states[lane] & 1);
                let [by_state, by_symbol] = machine.generators.map(u32::from);
                let odd = u32::from(symbol & 1);
                states[lane] = (states[lane] >> 1) ^ (by_state * bit) ^ (by_symbol * odd);
                TableSymbol::new(2 * class + bit as u8, symbol)
            })
        })
        .collect();
    let tables = EncodeTables::of_slots(&all);
    let stream = encoded(&tables, kernel, |encoder| encoder.put_groups(LANES, &coded));
    let tables = DecodeTables::new(&all);
    let firsts: [_; 4] = array::from_fn(|class| [2 * class as u8; LANES]);
    let lane_tables = LaneTables::new(&tables, &firsts);
    let mut outs = [(); 2].map(|()| vec![[0; LANES]; groups.len()]);
    let mut decode = move || {
        let decoder = || RansDecoder::new(black_box(&stream)).expect("a valid stream");
        let (mut decoders, mut states) = ([decoder(), decoder()], [[0; LANES]; 2]);
        let run = GroupRun { machine, classes: &classes };
        let ([first, second], [a, b], [x, y]) = (&mut decoders, &mut outs, &mut states);
        let streams = [first.run(&lane_tables, x, a), second.run(&lane_tables, y, b)];
        decode_runs(kernel, &tables, &run, black_box(streams))
    };
    let items = 2 * decode() * LANES;
    Benchmark::new(items, move || {
        black_box(decode());
    })
}

/// Inverse Hadamard transform of a tile of a band, in 16-bit integers.
pub fn inverse_hadamard(kernel_name: &str) -> Benchmark {
    let hadamard = Hadamard::with_fixed_signs(Hadamard::MAX_BLOCK_LOG2, TILE);
    // All points are zero. The values do not affect the time.
    inverse(kernel_name, hadamard, TILE)
}

/// Inverse transform of a block of 32 columns of a band with a stored basis.
pub fn inverse_stored_basis(kernel_name: &str) -> Benchmark {
    let block = 32;
    let entries =
        |size| Ok(gaussian_noise(1).map(|x| (6.0 * x) as i16).take(size * size).collect());
    let basis = StoredBasis::new(block, block, 0.03, entries).expect("valid entries");
    inverse(kernel_name, basis, block)
}

fn inverse(
    kernel_name: &str,
    transform: impl OrthogonalTransform + 'static,
    columns: usize,
) -> Benchmark {
    let kernel = kernel(kernel_name);
    let (mut points, mut wide) = (vec![[0; BAND]; columns], Vec::new());
    Benchmark::new(columns * BAND, move || {
        let (points, wide) = (black_box(&mut points), black_box(&mut wide));
        black_box(transform.inverse(kernel, 0..columns, &(0..BAND), 100, points, wide));
    })
}

/// Transposition of a band of 16-bit integers from columns to rows.
pub fn transpose(kernel_name: &str) -> Benchmark {
    let (kernel, columns) = (kernel(kernel_name), vec![[1; BAND]; TILE]);
    let mut rows = vec![0; TILE * BAND];
    Benchmark::new(TILE * BAND, move || {
        transpose_i16(kernel, black_box(&columns), black_box(&mut rows));
    })
}

/// Forward Hadamard transform of rows. Repetition preserves their norms.
pub fn forward_hadamard(kernel_name: &str) -> Benchmark {
    let hadamard = Hadamard::with_fixed_signs(Hadamard::MAX_BLOCK_LOG2, COLUMNS);
    let kernel = kernel(kernel_name);
    let mut rows: Vec<f32> = gaussian_noise(1).take(ROWS * COLUMNS).collect();
    Benchmark::new(ROWS * COLUMNS, move || hadamard.forward(kernel, black_box(&mut rows)))
}

/// Viterbi search of 16 rows with a trellis of 2^`states_log2` states, at about 3 bits per weight.
pub fn viterbi_search(kernel_name: &str, states_log2: u32) -> Benchmark {
    let trellis = Trellis::new(states_log2).expect("a valid number of states");
    let mut search = ViterbiSearch::new(trellis, kernel(kernel_name));
    let mut values = gaussian_noise(1).map(|x| 3.0 * x);
    let values: Vec<[f32; ROWS]> =
        (0..COLUMNS).map(|_| array::from_fn(|_| values.next().unwrap_or_default())).collect();
    let classes: Vec<u8> = (0..COLUMNS).map(|column| column as u8 % 4).collect();
    let costs =
        CostTables::new(20, (0..4).map(|class| move |n| 1.0 + (n * class) as f32 * 0.2), 0.4);
    let starts: [_; 4] = array::from_fn(|class| [costs.start(class); ROWS]);
    let mut out = vec![[0; ROWS]; COLUMNS];
    Benchmark::new(ROWS * COLUMNS, move || {
        let input =
            SearchInput { values: &values, costs: &costs, starts: &starts, classes: &classes };
        search.run(black_box(&input), black_box(&mut out));
    })
}

/// Lattice search of 64 rows with feedback of errors.
pub fn feedback_search(kernel_name: &str, states_log2: u32, columns: usize) -> Benchmark {
    let trellis = Trellis::new(states_log2).expect("a valid number of states");
    // Inputs with a correlation of 0.9 between neighbours.
    let moment = |i: usize, j: usize| 0.9f64.powi(i.abs_diff(j) as i32);
    let moment = faer::Mat::from_fn(columns, columns, moment);
    let feedback = Feedback::new(moment).expect("a positive definite matrix");
    let kernel = kernel(kernel_name);
    let costs = CostTables::new(260, [|n: i32| 1.0 + 1.2 * (n as f32).sqrt()], 0.4);
    let mut values = gaussian_noise(1).map(|x| 3.0 * x);
    let groups: usize = 4;
    let values: Vec<Vec<[f32; ROWS]>> = (0..groups)
        .map(|_| {
            let column = |_| array::from_fn(|_| values.next().unwrap_or_default());
            (0..columns).map(column).collect()
        })
        .collect();
    Benchmark::new(groups * columns * ROWS, move || {
        let starts = vec![[costs.start(0); ROWS]];
        let group = |values: &Vec<_>| RowGroup::new(values.clone(), starts.clone(), ROWS);
        let mut groups: Vec<RowGroup> = values.iter().map(group).collect();
        let search = FeedbackSearch::new(&feedback, trellis, kernel);
        search.run(&mut groups, &costs, &[]);
        black_box(&groups);
    })
}

/// Splitting of BF16 words into two planes.
pub fn split(kernel_name: &str) -> Benchmark {
    let (kernel, split) = (kernel(kernel_name), Split::of(Dtype::Bf16));
    let (words, mut plane) = (vec![1; 2 * SYMBOLS], vec![0; SYMBOLS]);
    Benchmark::new(SYMBOLS, move || {
        for number in 0..2 {
            split.extract(kernel, number, black_box(&words), black_box(&mut plane));
        }
    })
}

/// Joining of two planes to BF16 words.
pub fn join(kernel_name: &str) -> Benchmark {
    let (kernel, split) = (kernel(kernel_name), Split::of(Dtype::Bf16));
    let (planes, mut words) = ([vec![1; SYMBOLS], vec![2; SYMBOLS]], vec![0; 2 * SYMBOLS]);
    Benchmark::new(SYMBOLS, move || {
        let [low, high] = black_box(&planes);
        split.join(kernel, &[low, high], black_box(&mut words));
    })
}
