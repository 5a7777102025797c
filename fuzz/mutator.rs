//! Changes of files that reach the code behind the checksums.

#[path = "checksums.rs"]
mod checksums;

use checksums::fix_checksums;

/// Changes a file of `size` bytes in `data`, and recomputes its checksums; one time in 16 it does not, so that
/// the checks of checksums are exercised, too.
///
/// Three changes of four are made within a short part of the file and keep its length: otherwise nearly
/// all offsets in the index would be wrong.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let size = if seed.is_multiple_of(4) || size == 0 {
        libfuzzer_sys::fuzzer_mutate(data, size, max_size)
    } else {
        let start = (seed >> 8) as usize % size;
        let end = size.min(start + (2 << ((seed >> 4) % 8)));
        libfuzzer_sys::fuzzer_mutate(&mut data[start..end], end - start, end - start);
        size
    };
    if !(seed >> 2).is_multiple_of(16) {
        fix_checksums(&mut data[..size]);
    }
    size
}
