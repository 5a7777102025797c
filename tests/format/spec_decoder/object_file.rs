//! Files with one object, whose parameters and chunks need not be valid.

use super::{CHUNKED_LOSSY, CONTIGUOUS, END_MAGIC, FRAME_TAG, HEADER_MAGIC, INDEX_TAG, crc32};

/// A file with one object of rank 2, named `w`.
#[derive(Clone)]
pub struct ObjectFile {
    /// Kind, dtype, codec, layout.
    pub kinds: [u8; 4],
    pub shape: [u64; 2],
    /// As stored: 0 for at most one chunk.
    pub chunk_elements: u64,
    pub params: Vec<u8>,
    pub chunks: Vec<Vec<u8>>,
    /// Signal and noise.
    pub footer: [f64; 2],
}

impl ObjectFile {
    /// The bytes of the file, with the CRC of `decoded` as decoded CRC.
    pub fn file(&self, decoded: &[u8]) -> Vec<u8> {
        let mut file = [&HEADER_MAGIC[..], &[0; 52]].concat();
        put_crc(&mut file, 0);
        let mut body = self.kinds.to_vec();
        put_varint(&mut body, 2);
        self.shape.iter().for_each(|&size| put_varint(&mut body, size));
        put_varint(&mut body, self.chunk_elements);
        body.extend([0, 1, b'w']);
        put_varint(&mut body, self.params.len() as u64);
        body.extend(&self.params);
        file.push(FRAME_TAG);
        put_varint(&mut file, body.len() as u64 + 4);
        file.extend(body);
        put_crc(&mut file, 64);
        let mut starts = Vec::new();
        for chunk in &self.chunks {
            starts.extend((file.len() as u64).to_le_bytes());
            let len = (chunk.len() as u32).to_le_bytes();
            file.extend(len);
            file.extend(crc32(&[&len, chunk.as_slice()].concat()).to_le_bytes());
            file.extend(chunk);
        }
        let footer = file.len();
        if self.kinds[3] != CONTIGUOUS {
            file.extend(crc32(decoded).to_le_bytes());
        }
        if self.kinds[3] == CHUNKED_LOSSY {
            file.extend(self.footer.map(f64::to_le_bytes).concat());
            put_crc(&mut file, footer);
        }
        let index = file.len();
        file.extend(INDEX_TAG);
        let counts = [1, 1, 2, self.chunks.len() as u32, 1];
        file.extend(counts.map(u32::to_le_bytes).concat());
        file.extend(64u64.to_le_bytes());
        file.extend([0, crc32(decoded), 0, 0].map(u32::to_le_bytes).concat());
        file.extend(self.chunk_elements.to_le_bytes());
        file.extend([0, 0, 0, 0, 2, 0]);
        file.extend(self.kinds);
        file.extend(self.shape.map(u64::to_le_bytes).concat());
        file.extend(starts);
        file.push(b'w');
        let trailer = file.len();
        let numbers = [index, trailer - index, trailer + 40];
        file.extend(numbers.iter().flat_map(|n| (*n as u64).to_le_bytes()));
        file.extend(crc32(&file[index..trailer]).to_le_bytes());
        put_crc(&mut file, trailer);
        file.extend(END_MAGIC);
        file
    }
}

/// Appends the CRC of all bytes from `start` on.
fn put_crc(file: &mut Vec<u8>, start: usize) {
    let crc = crc32(&file[start..]);
    file.extend(crc.to_le_bytes());
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}
