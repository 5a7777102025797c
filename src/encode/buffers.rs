//! Reusable buffers for the chunks in flight.

use crate::codec::{EncodedChunk, Scratch};
use std::sync::Mutex;

/// What a chunk is read into, and what its encoder needs.
type Input = (Vec<u8>, Scratch);

/// Buffers that go from chunk to chunk: as many as there are chunks in flight.
pub(super) struct BufferPool {
    /// By thread of the pool; the last ones are those of other threads. A buffer that another thread has
    /// filled is in the cache of another core.
    inputs: Vec<Mutex<Vec<Input>>>,
    /// For encoded chunks.
    outputs: Mutex<Vec<Vec<u8>>>,
}

impl Default for BufferPool {
    fn default() -> Self {
        let threads = rayon::current_num_threads() + 1;
        Self { inputs: (0..threads).map(|_| Mutex::default()).collect(), outputs: Mutex::default() }
    }
}

impl BufferPool {
    /// Buffers to read a chunk into and to encode it.
    pub(super) fn take(&self) -> Input {
        let (bytes, mut scratch) = pop(self.of_this_thread()).unwrap_or_default();
        scratch.out = pop(&self.outputs).unwrap_or_default();
        (bytes, scratch)
    }

    /// Returns what [`take`](Self::take) gave.
    pub(super) fn give_back(&self, buffers: Input) {
        push(self.of_this_thread(), buffers);
    }

    /// Returns the buffer of an encoded chunk that has been written.
    pub(super) fn recycle(&self, chunk: EncodedChunk) {
        push(&self.outputs, chunk.bytes);
    }

    fn of_this_thread(&self) -> &Mutex<Vec<Input>> {
        let last = self.inputs.len() - 1;
        &self.inputs[rayon::current_thread_index().map_or(last, |thread| thread.min(last))]
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
