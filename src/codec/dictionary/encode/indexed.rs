//! The indices of a chunk, and what they are made from.

/// A chunk as indices.
#[derive(Default)]
pub(super) struct Indexed {
    /// One for each word.
    pub(super) indices: Vec<u8>,
    /// What the chunk stores for its groups.
    pub(super) groups: Vec<u8>,
    /// The words without an entry, as bytes.
    pub(super) escaped: Vec<u8>,
}

impl Indexed {
    pub(super) fn clear(&mut self) {
        self.indices.clear();
        self.groups.clear();
        self.escaped.clear();
    }

    /// Collects the words of the chunk whose index is `escape`.
    pub(super) fn escape(&mut self, escape: u8, width: usize, chunk: &[u8]) {
        let (indices, escaped) = (self.indices.chunks(64), &mut self.escaped);
        for (indices, words) in indices.zip(chunk.chunks(64 * width)) {
            if indices.contains(&escape) {
                let words = words.chunks_exact(width).zip(indices);
                let words = words.filter(|(_, index)| **index == escape);
                words.for_each(|(word, _)| escaped.extend_from_slice(word));
            }
        }
    }
}
/// Indices minus the indices at a distance before them, or where there are none the ones just before
/// them, modulo 256.
pub(super) fn differences<'b>(
    indices: &'b [u8],
    distance: usize,
    buffer: &'b mut Vec<u8>,
) -> &'b [u8] {
    if distance == 0 {
        return indices;
    }
    let first = &indices[..distance.min(indices.len())];
    buffer.clear();
    buffer.extend_from_slice(&first[..first.len().min(1)]);
    buffer.extend(first.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])));
    let rest = indices[first.len()..].iter().zip(indices);
    buffer.extend(rest.map(|(index, previous)| index.wrapping_sub(*previous)));
    buffer
}

/// A word of at most 8 bytes as a number.
pub(super) fn word_of(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
}

/// Calls `visit` with each word of `width` bytes.
pub(super) fn each_word(width: usize, bytes: &[u8], mut visit: impl FnMut(u64)) {
    match width {
        1 => bytes.iter().for_each(|&byte| visit(byte.into())),
        2 => bytes.as_chunks().0.iter().for_each(|&word| visit(u16::from_le_bytes(word).into())),
        4 => bytes.as_chunks().0.iter().for_each(|&word| visit(u32::from_le_bytes(word).into())),
        _ => bytes.as_chunks().0.iter().for_each(|&word| visit(u64::from_le_bytes(word))),
    }
}
