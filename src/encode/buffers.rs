//! Reusable buffers for the chunks in flight.

use crate::codec::{EncodedChunk, Scratch};
use std::sync::Mutex;

/// Buffers that go from chunk to chunk: as many as there are chunks in flight.
#[derive(Default)]
pub(super) struct BufferPool {
    /// For reading and encoding a chunk.
    inputs: Mutex<Vec<(Vec<u8>, Scratch)>>,
    /// For encoded chunks.
    outputs: Mutex<Vec<Vec<u8>>>,
}

impl BufferPool {
    /// Buffers to read a chunk into and to encode it.
    pub(super) fn take(&self) -> (Vec<u8>, Scratch) {
        let (bytes, mut scratch) = pop(&self.inputs).unwrap_or_default();
        scratch.out = pop(&self.outputs).unwrap_or_default();
        (bytes, scratch)
    }

    /// Returns what [`take`](Self::take) gave.
    pub(super) fn give_back(&self, buffers: (Vec<u8>, Scratch)) {
        push(&self.inputs, buffers);
    }

    /// Returns the buffer of an encoded chunk that has been written.
    pub(super) fn recycle(&self, chunk: EncodedChunk) {
        push(&self.outputs, chunk.bytes);
    }
}

fn pop<T>(pool: &Mutex<Vec<T>>) -> Option<T> {
    pool.lock().ok()?.pop()
}

fn push<T>(pool: &Mutex<Vec<T>>, buffer: T) {
    if let Ok(mut pool) = pool.lock() {
        pool.push(buffer);
    }
}
