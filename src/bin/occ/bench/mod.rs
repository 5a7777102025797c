//! `occ bench`: coding speed on this machine, compared with baselines.

mod baselines;
mod codecs;
mod data;
mod machine;
mod results;
mod rounds;
mod sample;
mod task;

use crate::failure::{Failure, usage};
use crate::output::{print, print_json};
use crate::progress::Progress;
use clap::Args;
use data::BenchData;
use rayon::{ThreadPool, ThreadPoolBuilder};
use results::{Lines, ResultJson};
use std::path::PathBuf;
use task::{BenchTask, Buffers};

/// Measure the speed of coding on this machine, compared with memcpy and zstd.
///
/// All data are in memory. Each task is measured for about two seconds, with memcpy in the same
/// rounds, and a line is printed with the medians. Lossy tasks code the float matrices at 3 bits per
/// weight; decoding is also measured at 2 and 4 bits. The task `compress --bits 3` is the whole
/// command, from planning to the file. Without FILE the data are 34 million random Gaussian BF16
/// weights, always the same. zstd needs the cargo feature `zstd`.
#[derive(Args)]
pub struct BenchArgs {
    /// A .safetensors file or a checkpoint folder. Up to 64 MiB of each dtype are used: whole tensors,
    /// and the first rows of large ones, spread evenly over the file. Dtypes of less than 1 % of the
    /// bytes are left out
    file: Option<PathBuf>,

    /// Number of measured rounds of each task, after one warm-up round; fewer if they take longer than
    /// two seconds
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,

    /// Print a JSON list at the end: name, dtype, bytes, threads, rounds, gb_per_s (10^9 bytes of the
    /// original per second), mweights_per_s (10^6 weights per second), ratio (compressed to original
    /// size, or null), of_memcpy (speed divided by that of memcpy in the same rounds)
    #[arg(long)]
    json: bool,
}

pub fn run(args: &BenchArgs) -> Result<(), Failure> {
    let samples = match &args.file {
        Some(file) => sample::of_checkpoint(file)?,
        None => vec![BenchData::random()],
    };
    if let ([], Some(file)) = (&samples[..], &args.file) {
        return usage(&format!("{} holds no weights", file.display()));
    }
    let pools = thread_pools()?;
    let tasks: Vec<_> = samples.iter().map(|data| tasks(data, &pools)).collect();
    let count = tasks.iter().map(Vec::len).sum::<usize>() as u64;
    let progress = Progress::percentage("measuring", count);
    let mut found = Vec::new();
    let show = |line: String| match args.json {
        true => Ok(()),
        false => progress.suspended(|| print(&line)),
    };
    show(results::conditions(args.rounds))?;
    for (data, tasks) in samples.iter().zip(&tasks) {
        let (lines, mut buffers) = (Lines::new(tasks), Buffers::new(data));
        show(format!("\n{}\n\n{}", data.describe(), lines.titles()))?;
        let Some(memcpy) = tasks.first() else { continue };
        let mut threads = 0;
        for task in tasks {
            let result = rounds::measure(task, memcpy, &mut buffers, args.rounds)?;
            if result.threads() != threads {
                threads = result.threads();
                show(lines.rule())?;
            }
            show(lines.result(&result))?;
            found.push(ResultJson::new(data.dtype, &result));
            // An interrupt ends the process at once: no file has a name yet.
            let _ = progress.advance(1);
        }
    }
    if args.json { print_json(&found) } else { Ok(()) }
}

/// A pool of one thread and, if that is more, one as large as the global pool.
fn thread_pools() -> Result<Vec<ThreadPool>, Failure> {
    let mut counts = vec![1, rayon::current_num_threads()];
    counts.dedup();
    let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build();
    Ok(counts.into_iter().map(pool).collect::<Result<_, _>>()?)
}

/// The baselines with one thread, memcpy first, and the codecs of this crate with each pool.
fn tasks<'d>(data: &'d BenchData, pools: &'d [ThreadPool]) -> Vec<BenchTask<'d>> {
    let baselines = baselines::tasks(data, &pools[0]);
    let codecs = pools.iter().flat_map(|pool| codecs::tasks(data, pool));
    baselines.into_iter().chain(codecs).collect()
}
