//! `occ bench`: how fast weights are coded on this machine, beside yardsticks.

mod contestants;
mod machine;
mod own;
mod report;
mod rounds;
mod weights;
mod yardsticks;

use crate::args::Bench;
use crate::failure::{Failure, usage};
use contestants::{Contestant, Desk};
use rayon::{ThreadPool, ThreadPoolBuilder};
use weights::Weights;

pub fn run(args: &Bench) -> Result<(), Failure> {
    let weights = match &args.file {
        Some(file) => Weights::open(file)?,
        None => Weights::made_up(),
    };
    if weights.bytes.is_empty() {
        return usage(&format!("{} holds no weights to measure with", weights.source));
    }
    let pools = pools()?;
    let contestants = contestants(&weights, &pools);
    let figures = rounds::hold(&contestants, &mut Desk::new(&weights), args.rounds)?;
    crate::print(&if args.json {
        report::to_json(&figures)
    } else {
        report::to_text(&weights, &figures, args.rounds)
    })
}

/// Pools of one thread and, where that is more, of as many as the global pool has.
fn pools() -> Result<Vec<ThreadPool>, Failure> {
    let mut counts = vec![1, rayon::current_num_threads()];
    counts.dedup();
    let pool = |threads| ThreadPoolBuilder::new().num_threads(threads).build();
    let pools = counts.into_iter().map(pool).collect::<Result<_, _>>();
    pools.map_err(|error| occ::Error::from(std::io::Error::other(error)).into())
}

/// The yardsticks with one thread, our own with each pool.
fn contestants<'w>(weights: &'w Weights, pools: &'w [ThreadPool]) -> Vec<Contestant<'w>> {
    let yardsticks = yardsticks::contestants(weights, &pools[0]);
    let own = pools.iter().flat_map(|pool| own::contestants(weights, pool));
    yardsticks.into_iter().chain(own).collect()
}
