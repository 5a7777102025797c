//! Files with one object, whose parameters and chunks need not be valid.

use super::{END_MAGIC, FRAME_TAG, HEADER_MAGIC, INDEX_TAG, crc32};

/// A file with one object of rank 2, named `w`, in the chunked layout.
#[derive(Clone)]
pub struct ObjectFile {
    /// Kind, dtype, codec, layout.
    pub kinds: [u8; 4],
    pub shape: [u64; 2],
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
        let dims = self.shape.map(u64::to_le_bytes).concat();
        let header_len = 32 + dims.len() + 1 + self.params.len() + 4;
        file.extend(FRAME_TAG);
        file.extend((header_len as u32).to_le_bytes());
        file.extend(self.kinds);
        file.extend([2, 0, 0, 0, 1, 0, 0, 0]);
        file.extend((self.params.len() as u32).to_le_bytes());
        file.extend(self.chunk_elements.to_le_bytes());
        file.extend([&dims, &b"w"[..], &self.params].concat());
        put_crc(&mut file, 64);
        let payload = file.len();
        let mut ends = Vec::new();
        for chunk in &self.chunks {
            let len = (chunk.len() as u32).to_le_bytes();
            file.extend(len);
            file.extend(crc32(&[&len, chunk.as_slice()].concat()).to_le_bytes());
            file.extend(chunk);
            ends.push(file.len());
        }
        let footer = file.len();
        file.extend(crc32(decoded).to_le_bytes());
        file.extend(self.footer.map(f64::to_le_bytes).concat());
        put_crc(&mut file, footer);
        let index = file.len();
        file.extend([INDEX_TAG, &[0; 4]].concat());
        let counts = [1, 2, ends.len(), 1];
        let places = [64, payload, footer - payload, self.chunk_elements as usize, 0, 0, 0];
        file.extend(counts.into_iter().chain(places).flat_map(|n| (n as u64).to_le_bytes()));
        file.extend(1u32.to_le_bytes());
        file.extend(crc32(decoded).to_le_bytes());
        file.extend(self.kinds);
        file.extend([2, 0, 0, 0]);
        file.extend(0u32.to_le_bytes());
        file.extend(dims);
        file.extend(ends.iter().flat_map(|end| (*end as u64).to_le_bytes()));
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
