//! Segments of lossy chunks: the decoder of this crate and that of the specification agree on their rules.

use crate::common::Random;
use crate::spec_decoder::random::{RandomSource, random_chunk};
use crate::spec_lossy::{assert_agreed, worked_example};

/// Changes of a chunk of three bands in two segments: flag, length and first segment, each with whether
/// the result is valid.
#[test]
fn agrees_on_segments() {
    let (mut object, _) = worked_example();
    object.shape = [70, 6];
    let mut random = Random(5);
    let mut generator = || random.next() >> 16;
    let mut random = RandomSource(&mut generator);
    let mut draw = |rows| random_chunk(&object.params, object.kinds[1], rows, &mut random).unwrap();
    let has_two = |chunk: &Vec<u8>| chunk[3] >> 7 == 1;
    let chunk = std::iter::repeat_with(|| draw(70)).find(has_two).unwrap();
    let single = std::iter::repeat_with(|| draw(70)).find(|chunk| !has_two(chunk)).unwrap();
    let one_band = draw(32);
    // Outliers of four bytes follow the flag.
    let at = 4 + 8 * usize::from(chunk[0]);
    let length = u32::from_le_bytes(chunk[at..at + 4].try_into().unwrap());
    let check = |what: &str, valid: bool, rows: u64, chunk: &[u8]| {
        let mut object = object.clone();
        (object.shape[0], object.chunks) = (rows, vec![chunk.to_vec()]);
        assert_eq!(assert_agreed(&mut object.file(&[]), what), valid, "{what}");
    };
    let with_length =
        |length: u32| [&chunk[..at], &length.to_le_bytes(), &chunk[at + 4..]].concat();
    let with_flag = |chunk: &[u8], flag: u8| {
        let mut chunk = chunk.to_vec();
        chunk[3] = flag << 7;
        chunk
    };
    check("two segments", true, 70, &chunk);
    check("one segment", true, 70, &single);
    check("one band", true, 32, &one_band);
    let rest = (chunk.len() - at - 4) as u32;
    let lengths = [0, 1, 3, 4, 131, 132, length - 2, length - 1, length + 1, length + 2];
    let others = [rest - 131, rest - 1, rest, rest + 1, 1 << 31, u32::MAX];
    for wrong in lengths.into_iter().chain(others) {
        check(&format!("length {wrong} of {length}"), false, 70, &with_length(wrong));
    }
    for end in at..chunk.len() {
        check(&format!("{end} bytes"), false, 70, &chunk[..end]);
    }
    check("fewer bands", false, 64, &chunk);
    check("fewer rows", false, 69, &chunk);
    check("more bands", false, 128, &chunk);
    check("two segments without a flag", false, 70, &with_flag(&chunk, 0));
    check("one segment with a flag", false, 70, &with_flag(&single, 1));
    check("one band with a flag", false, 32, &with_flag(&one_band, 1));
    let segments = [&chunk[..at], &0u32.to_le_bytes(), &one_band[4..]].concat();
    check("an empty segment and one band", false, 32, &segments);
}
