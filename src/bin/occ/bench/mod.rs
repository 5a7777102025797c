//! `occ bench`: coding speed on this machine, compared with baselines.

mod baselines;
mod codecs;
mod data;
mod machine;
mod results;
mod rounds;
mod task;

use crate::failure::{Failure, usage};
use crate::output::{print, print_json};
use clap::Args;
use data::BenchData;
use rayon::{ThreadPool, ThreadPoolBuilder};
use results::ResultJson;
use std::path::PathBuf;
use task::{BenchTask, Buffers};

/// Measure the speed of coding on this machine, compared with memcpy and zstd.
///
/// All data are in memory. Each round runs every task once; the median over rounds is reported.
/// Lossy tasks code the float matrices at 3 bits per weight. Without FILE the data are 34 million
/// random Gaussian BF16 weights, always the same. zstd needs the cargo feature `zstd`.
#[derive(Args)]
pub struct BenchArgs {
    /// A .safetensors file, of which the first tensors are used, up to 256 MiB
    file: Option<PathBuf>,

    /// Number of measured rounds, after one warm-up round
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// Print a JSON list: name, bytes, threads, gb_per_s (10^9 bytes of the original per second),
    /// mweights_per_s (10^6 weights per second), ratio (compressed to original size, or null)
    #[arg(long)]
    json: bool,
}

pub fn run(args: &BenchArgs) -> Result<(), Failure> {
    let data = match &args.file {
        Some(file) => BenchData::open(file)?,
        None => BenchData::random(),
    };
    if data.bytes.is_empty() {
        return usage(&format!("{} holds no weights", data.source));
    }
    let pools = thread_pools()?;
    let tasks = tasks(&data, &pools);
    let results = rounds::measure(&tasks, &mut Buffers::new(&data), args.rounds)?;
    if args.json {
        let results: Vec<ResultJson<'_>> = results.iter().map(ResultJson::new).collect();
        return print_json(&results);
    }
    print(&results::to_text(&data, &results, args.rounds))
}

/// A pool of one thread and, if that is more, one as large as the global pool.
fn thread_pools() -> Result<Vec<ThreadPool>, Failure> {
    let mut counts = vec![1, rayon::current_num_threads()];
    counts.dedup();
    let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build();
    Ok(counts.into_iter().map(pool).collect::<Result<_, _>>()?)
}

/// The baselines with one thread, and the codecs of this crate with each pool.
fn tasks<'d>(data: &'d BenchData, pools: &'d [ThreadPool]) -> Vec<BenchTask<'d>> {
    let baselines = baselines::tasks(data, &pools[0]);
    let codecs = pools.iter().flat_map(|pool| codecs::tasks(data, pool));
    baselines.into_iter().chain(codecs).collect()
}
