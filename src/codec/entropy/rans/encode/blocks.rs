//! Encoding of blocks of two groups, which alternate between one or two streams; dispatch to the
//! kernels.

use super::stream::{BLOCK, Stream};
use super::tables::{EncodeTables, OneTable, SymbolTables};
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::arch::Kernel;
use crate::codec::entropy::rans::LANES;

/// Encodes symbols of the first table, the last ones first, until a block of [`BLOCK`] symbols has one
/// of frequency 0. Returns how many are left: a multiple of a block, or all.
///
/// The symbols precede all symbols of earlier calls. Their number must be a multiple of a block, except
/// in the first call.
pub(super) fn put_symbols<const N: usize>(
    tables: &EncodeTables,
    kernel: Kernel,
    streams: &mut [Stream<'_>; N],
    symbols: &[u8],
) -> usize {
    let Some(first) = tables.entries.first_chunk::<256>() else { return symbols.len() };
    let table = OneTable(first);
    let (blocks, rest) = symbols.as_chunks::<BLOCK>();
    if !put_block(streams, rest, table) {
        return symbols.len();
    }
    BLOCK
        * match kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512(token) => {
                streams.iter().for_each(|stream| stream.check_room(BLOCK / N * blocks.len()));
                avx512::encode(token, streams, blocks, &tables.entry_bytes)
            }
            _ => put_blocks(kernel, streams, blocks, table),
        }
}

/// Encodes blocks, the last one first, until one has a symbol of frequency 0. Returns how many are left.
pub(super) fn put_blocks<const N: usize, T: SymbolTables>(
    kernel: Kernel,
    streams: &mut [Stream<'_>; N],
    blocks: &[[T::Symbol; BLOCK]],
    tables: T,
) -> usize {
    streams.iter().for_each(|stream| stream.check_room(BLOCK / N * blocks.len()));
    match kernel.avx2() {
        #[cfg(target_arch = "x86_64")]
        Some(token) => avx2::encode(token, streams, blocks, tables),
        None => {
            let known = blocks.iter().rev().take_while(|block| put_block(streams, *block, tables));
            blocks.len() - known.count()
        }
    }
}

/// Encodes at most one block, unless it has a symbol of frequency 0. Returns whether it did.
pub(super) fn put_block<const N: usize, T: SymbolTables>(
    streams: &mut [Stream<'_>; N],
    block: &[T::Symbol],
    tables: T,
) -> bool {
    let is_known = block.iter().all(|&symbol| tables.entry(symbol).frequency() > 0);
    if is_known {
        for (number, group) in block.chunks(LANES).enumerate().rev() {
            streams[number % N].put_group(group, tables);
        }
    }
    is_known
}
