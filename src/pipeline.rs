//! Work in parallel, results in order, few of them in flight.

use crate::error::Result;
use rayon::{Scope, Yield};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

/// Maps `inputs` on the current rayon pool and hands the results to `sink` in order.
///
/// `inputs` is pulled, and `sink` called, on this thread; at most two inputs a thread are in
/// flight, so memory stays flat however many there are. Stops at the first error in order.
pub(crate) fn ordered<T, U>(
    inputs: impl Iterator<Item = Result<T>>,
    map: impl Fn(T) -> Result<U> + Sync,
    mut sink: impl FnMut(U) -> Result<()>,
) -> Result<()>
where
    T: Send,
    U: Send,
{
    let mut inputs = inputs.peekable();
    let Some(first) = inputs.next() else { return Ok(()) };
    if inputs.peek().is_none() {
        // Waking another thread takes longer than a small tensor.
        return sink(map(first?)?);
    }
    in_parallel(std::iter::once(first).chain(inputs), map, sink)
}

fn in_parallel<T, U>(
    inputs: impl Iterator<Item = Result<T>>,
    map: impl Fn(T) -> Result<U> + Sync,
    mut sink: impl FnMut(U) -> Result<()>,
) -> Result<()>
where
    T: Send,
    U: Send,
{
    let window = 2 * rayon::current_num_threads();
    rayon::in_place_scope(|scope| {
        let mut pending = VecDeque::with_capacity(window);
        for input in inputs {
            match input {
                Ok(input) => pending.push_back(spawn(scope, input, &map)),
                // What came before the error still counts.
                Err(error) => {
                    return drain(&mut pending, 0, &mut sink).and(Err(error));
                }
            }
            drain(&mut pending, window - 1, &mut sink)?;
        }
        drain(&mut pending, 0, &mut sink)
    })
}

/// What takes its turn in [`one_ahead`].
pub(crate) enum Turn<T> {
    /// So little that waking another thread takes longer.
    Small(T),
    Large(T),
}

/// Hands `sink` what `map` makes of the inputs that `next` names, in order; while one of them is
/// in its hands, other threads map the next large one.
///
/// `next` and `sink` are called on this thread, in an order that depends on the inputs alone: a
/// large input is asked for after all before the last large one have been handed on. Small ones
/// wait for their turn, `SMALL` of them at most. Stops at the first error in order.
pub(crate) fn one_ahead<C, T, U>(
    course: &mut C,
    mut next: impl FnMut(&mut C) -> Option<Result<Turn<T>>>,
    map: impl Fn(T) -> Result<U> + Sync,
    mut sink: impl FnMut(&mut C, U) -> Result<()>,
) -> Result<()>
where
    T: Send,
    U: Send,
{
    let hand_on = |course: &mut C, job: Job<T, U>, sink: &mut dyn FnMut(&mut C, U) -> _| {
        let mapped = match job {
            Job::Here(input) => map(input)?,
            Job::Apart(receiver) => wait(&receiver)?,
        };
        sink(course, mapped)
    };
    rayon::in_place_scope(|scope| {
        let mut jobs = VecDeque::new();
        loop {
            let keep = match next(course) {
                Some(Ok(Turn::Large(input))) => {
                    jobs.push_back(Job::Apart(spawn(scope, input, &map)));
                    1
                }
                Some(Ok(Turn::Small(input))) => {
                    jobs.push_back(Job::Here(input));
                    let is_next = matches!(jobs.front(), Some(Job::Here(_)));
                    if is_next || jobs.len() > SMALL { 0 } else { jobs.len() }
                }
                Some(Err(error)) => {
                    // What came before the error still counts.
                    return jobs
                        .drain(..)
                        .try_for_each(|job| hand_on(course, job, &mut sink))
                        .and(Err(error));
                }
                None => break,
            };
            while jobs.len() > keep {
                let Some(job) = jobs.pop_front() else { break };
                hand_on(course, job, &mut sink)?;
            }
        }
        jobs.into_iter().try_for_each(|job| hand_on(course, job, &mut sink))
    })
}

/// An input that waits for its turn.
enum Job<T, U> {
    Here(T),
    Apart(Receiver<Result<U>>),
}

/// Small inputs that wait behind a large one, at most.
const SMALL: usize = 64;

fn spawn<'s, T, U>(
    scope: &Scope<'s>,
    input: T,
    map: &'s (impl Fn(T) -> Result<U> + Sync),
) -> Receiver<Result<U>>
where
    T: Send + 's,
    U: Send + 's,
{
    let (sender, receiver) = sync_channel(1);
    scope.spawn(move |_| {
        // The receiver is gone when an earlier result was an error.
        let _ = sender.send(map(input));
    });
    receiver
}

/// Takes results until at most `keep` are pending.
fn drain<U>(
    pending: &mut VecDeque<Receiver<Result<U>>>,
    keep: usize,
    sink: &mut impl FnMut(U) -> Result<()>,
) -> Result<()> {
    while pending.len() > keep {
        let Some(receiver) = pending.pop_front() else { break };
        sink(wait(&receiver)?)?;
    }
    Ok(())
}

/// Waits for a result; on a thread of the pool itself, by working.
fn wait<U>(receiver: &Receiver<Result<U>>) -> Result<U> {
    loop {
        match receiver.try_recv() {
            Ok(result) => return result,
            Err(TryRecvError::Disconnected) => panic!("a worker panicked"),
            Err(TryRecvError::Empty) => match rayon::yield_now() {
                Some(Yield::Executed) => {}
                Some(Yield::Idle) => std::thread::yield_now(),
                None => match receiver.recv() {
                    Ok(result) => return result,
                    Err(_) => panic!("a worker panicked"),
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn squares(count: u64, fail_at: Option<u64>) -> (Vec<u64>, Result<()>) {
        let mut out = Vec::new();
        let result = ordered(
            (0..count).map(Ok),
            |x| if Some(x) == fail_at { Err(Error::corrupt("x")) } else { Ok(x * x) },
            |x| {
                out.push(x);
                Ok(())
            },
        );
        (out, result)
    }

    #[test]
    fn keeps_order_with_any_pool_from_inside_and_outside() {
        let expected: Vec<u64> = (0..100).map(|x| x * x).collect();
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (out, result) = pool.install(|| squares(100, None));
            assert!(result.is_ok() && out == expected);
        }
        assert_eq!(squares(100, None).0, expected);
    }

    #[test]
    fn stops_at_the_first_error_in_order() {
        let (out, result) = squares(100, Some(40));
        assert!(result.is_err());
        assert_eq!(out.len(), 40);
        let inputs = [Ok(1), Ok(2), Err(Error::corrupt("read"))].into_iter();
        let mut seen = 0;
        let result = ordered(inputs, Ok, |_: u64| {
            seen += 1;
            Ok(())
        });
        assert!(result.is_err() && seen == 2);
    }

    #[test]
    fn few_are_in_flight() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let (live, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        pool.install(|| {
            let inputs = (0..500).map(|x| {
                most.fetch_max(live.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                Ok(x)
            });
            ordered(inputs, Ok, |_: u32| {
                live.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })
            .unwrap();
        });
        assert!(most.into_inner() <= 7);
    }

    /// Squares of the first numbers, of which those in `large` are mapped ahead, and what was seen
    /// of it: `n` asked for, `-n` handed on.
    fn one_by_one(count: i64, large: impl Fn(i64) -> bool, fail_at: i64) -> (Vec<i64>, bool) {
        let mut course = (1..=count, Vec::new());
        let next = |(inputs, seen): &mut (std::ops::RangeInclusive<i64>, Vec<i64>)| {
            let x = inputs.next()?;
            seen.push(x);
            Some(Ok(if large(x) { Turn::Large(x) } else { Turn::Small(x) }))
        };
        let map = |x: i64| if x == fail_at { Err(Error::corrupt("x")) } else { Ok((x, x * x)) };
        let result = one_ahead(&mut course, next, map, |(_, seen), (x, square)| {
            assert_eq!(square, x * x);
            seen.push(-x);
            Ok(())
        });
        (course.1, result.is_ok())
    }

    #[test]
    fn the_next_large_one_is_asked_for_before_the_last_is_handed_on() {
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let seen = |large: fn(i64) -> bool| pool.install(|| one_by_one(5, large, 0).0);
            assert_eq!(seen(|_| true), [1, 2, -1, 3, -2, 4, -3, 5, -4, -5]);
            assert_eq!(seen(|_| false), [1, -1, 2, -2, 3, -3, 4, -4, 5, -5]);
            assert_eq!(seen(|x| x % 3 == 1), [1, 2, 3, 4, -1, -2, -3, 5, -4, -5]);
        }
        // Small ones do not pile up behind a large one.
        let seen = one_by_one(200, |x| x == 1, 0).0;
        assert_eq!(seen.iter().position(|&x| x < 0), Some(SMALL + 1));
    }

    #[test]
    fn one_ahead_stops_at_the_first_error_in_order() {
        for large in [|_| true, |_| false, |x| x == 2] {
            let (seen, ok) = one_by_one(9, large, 4);
            let handed_on: Vec<i64> = seen.into_iter().filter(|&x| x < 0).collect();
            assert!(!ok && handed_on == [-1, -2, -3]);
        }
    }
}
