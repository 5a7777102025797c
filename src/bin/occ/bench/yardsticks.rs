//! What everybody has, with one thread.

use super::contestants::Contestant;
use super::weights::Weights;
use rayon::ThreadPool;
use zstd::bulk::{Compressor, Decompressor};

const ZSTD_LEVELS: [i32; 2] = [1, 3];

pub fn contestants<'w>(weights: &'w Weights, pool: &'w ThreadPool) -> Vec<Contestant<'w>> {
    let (all, bytes) = (weights.all(), &weights.bytes);
    let memcpy = Contestant::new("memcpy", pool, &all, |desk| {
        desk.decoded.copy_from_slice(bytes);
        Ok(())
    });
    let mut contestants = vec![memcpy.without_ratio()];
    for level in ZSTD_LEVELS {
        let name = |step: &str| format!("zstd -{level} {step}");
        contestants.push(Contestant::new(name("compress"), pool, &all, move |desk| {
            desk.coded.clear();
            desk.coded.reserve(zstd::compress_bound(bytes.len()));
            Compressor::new(level)?.compress_to_buffer(bytes, &mut desk.coded)?;
            Ok(())
        }));
        contestants.push(Contestant::new(name("decompress"), pool, &all, |desk| {
            Decompressor::new()?.decompress_to_buffer(&desk.coded, desk.decoded.as_mut_slice())?;
            Ok(())
        }));
    }
    contestants
}
