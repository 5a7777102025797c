//! Baselines, with one thread: memcpy and, with the feature `zstd`, zstd.

use super::data::BenchData;
use super::task::BenchTask;
use rayon::ThreadPool;

pub fn tasks<'d>(data: &'d BenchData, pool: &'d ThreadPool) -> Vec<BenchTask<'d>> {
    let bytes = &data.bytes;
    let memcpy = BenchTask::new("memcpy", pool, &data.all(), |buffers| {
        buffers.decoded.copy_from_slice(bytes);
        Ok(())
    });
    let mut tasks = vec![memcpy.without_ratio()];
    tasks.extend(zstd_tasks(data, pool));
    tasks
}

#[cfg(feature = "zstd")]
fn zstd_tasks<'d>(data: &'d BenchData, pool: &'d ThreadPool) -> Vec<BenchTask<'d>> {
    use zstd::bulk::{Compressor, Decompressor};
    let (all, bytes) = (data.all(), &data.bytes);
    let mut tasks = Vec::new();
    for level in [1, 3] {
        let name = |step: &str| format!("zstd -{level} {step}");
        tasks.push(BenchTask::new(name("compress"), pool, &all, move |buffers| {
            buffers.coded.clear();
            buffers.coded.reserve(zstd::compress_bound(bytes.len()));
            Compressor::new(level)?.compress_to_buffer(bytes, &mut buffers.coded)?;
            Ok(())
        }));
        tasks.push(BenchTask::new(name("decompress"), pool, &all, |buffers| {
            let decoded = buffers.decoded.as_mut_slice();
            Decompressor::new()?.decompress_to_buffer(&buffers.coded, decoded)?;
            Ok(())
        }));
    }
    tasks
}

#[cfg(not(feature = "zstd"))]
fn zstd_tasks<'d>(_: &'d BenchData, _: &'d ThreadPool) -> Vec<BenchTask<'d>> {
    Vec::new()
}
