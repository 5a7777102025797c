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

/// What takes its turn in [`ahead`].
pub(crate) enum Turn<T> {
    /// So little that waking another thread takes longer.
    Small(T),
    /// What other threads work on, and how much it holds.
    Large(T, u64),
}

/// Hands `sink` what `map` makes of the inputs that `next` names, in order; while one of them is
/// in its hands, other threads map the large ones after it: as many as hold `limit` together, but
/// always one.
///
/// `next` and `sink` are called on this thread, in an order that depends on the inputs alone.
/// Small ones wait for their turn. Stops at the first error in order.
pub(crate) fn ahead<C, T, U>(
    course: &mut C,
    limit: u64,
    mut next: impl FnMut(&mut C) -> Option<Result<Turn<T>>>,
    map: impl Fn(T) -> Result<U> + Sync,
    mut sink: impl FnMut(&mut C, U) -> Result<()>,
) -> Result<()>
where
    T: Send,
    U: Send,
{
    rayon::in_place_scope(|scope| {
        let mut jobs = Jobs::default();
        let mut hand_on = |course: &mut C, jobs: &mut Jobs<T, U>| match jobs.pop() {
            Some(Job::Here(input)) => sink(course, map(input)?),
            Some(Job::Apart(receiver, _)) => sink(course, wait(&receiver)?),
            None => Ok(()),
        };
        let mut end = Ok(());
        while let Some(turn) = next(course) {
            match turn {
                Ok(Turn::Small(input)) => jobs.push(Job::Here(input)),
                Ok(Turn::Large(input, held)) => {
                    jobs.push(Job::Apart(spawn(scope, input, &map), held));
                }
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
            while jobs.is_full(limit) {
                hand_on(course, &mut jobs)?;
            }
        }
        // What came before an error still counts.
        while !jobs.waiting.is_empty() {
            hand_on(course, &mut jobs)?;
        }
        end
    })
}

/// Inputs that wait for their turn, in order.
struct Jobs<T, U> {
    waiting: VecDeque<Job<T, U>>,
    /// How many are large.
    large: usize,
    /// What these hold.
    held: u64,
}

impl<T, U> Default for Jobs<T, U> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), large: 0, held: 0 }
    }
}

impl<T, U> Jobs<T, U> {
    fn push(&mut self, job: Job<T, U>) {
        if let Job::Apart(_, held) = job {
            self.large += 1;
            self.held += held;
        }
        self.waiting.push_back(job);
    }

    fn pop(&mut self) -> Option<Job<T, U>> {
        let job = self.waiting.pop_front();
        if let Some(Job::Apart(_, held)) = job {
            self.large -= 1;
            self.held -= held;
        }
        job
    }

    /// Whether the first is to be handed on before another is asked for.
    fn is_full(&self, limit: u64) -> bool {
        let is_next = matches!(self.waiting.front(), Some(Job::Here(_)));
        is_next || self.waiting.len() > MOST || self.large > 1 && self.held > limit
    }
}

/// An input that waits for its turn.
enum Job<T, U> {
    Here(T),
    /// With how much it holds.
    Apart(Receiver<Result<U>>, u64),
}

/// Inputs that wait, at most.
const MOST: usize = 64;

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

    /// Squares of the first numbers, of which those in `large` are mapped ahead and hold as much
    /// as they are, and what was seen of it: `n` asked for, `-n` handed on.
    fn in_turn(
        count: i64,
        limit: u64,
        large: impl Fn(i64) -> bool,
        fail_at: i64,
    ) -> (Vec<i64>, bool) {
        let mut course = (1..=count, Vec::new());
        let next = |(inputs, seen): &mut (std::ops::RangeInclusive<i64>, Vec<i64>)| {
            let x = inputs.next()?;
            seen.push(x);
            Some(Ok(if large(x) { Turn::Large(x, x as u64) } else { Turn::Small(x) }))
        };
        let map = |x: i64| if x == fail_at { Err(Error::corrupt("x")) } else { Ok((x, x * x)) };
        let result = ahead(&mut course, limit, next, map, |(_, seen), (x, square)| {
            assert_eq!(square, x * x);
            seen.push(-x);
            Ok(())
        });
        (course.1, result.is_ok())
    }

    #[test]
    fn large_ones_are_asked_for_before_those_ahead_are_handed_on() {
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let seen =
                |limit, large: fn(i64) -> bool| pool.install(|| in_turn(5, limit, large, 0).0);
            // Always one, whatever it holds.
            assert_eq!(seen(0, |_| true), [1, 2, -1, 3, -2, 4, -3, 5, -4, -5]);
            assert_eq!(seen(0, |_| false), [1, -1, 2, -2, 3, -3, 4, -4, 5, -5]);
            assert_eq!(seen(0, |x| x % 3 == 1), [1, 2, 3, 4, -1, -2, -3, 5, -4, -5]);
            // As many as hold six together.
            assert_eq!(seen(6, |_| true), [1, 2, 3, 4, -1, -2, -3, 5, -4, -5]);
            assert_eq!(seen(100, |_| true), [1, 2, 3, 4, 5, -1, -2, -3, -4, -5]);
        }
    }

    #[test]
    fn inputs_do_not_pile_up() {
        for large in [|x| x == 1, |_| true] {
            let seen = in_turn(200, u64::MAX, large, 0).0;
            assert_eq!(seen.iter().position(|&x| x < 0), Some(MOST + 1));
        }
    }

    #[test]
    fn ahead_stops_at_the_first_error_in_order() {
        for limit in [0, 7, 100] {
            for large in [|_| true, |_| false, |x| x == 2] {
                let (seen, ok) = in_turn(9, limit, large, 4);
                let handed_on: Vec<i64> = seen.into_iter().filter(|&x| x < 0).collect();
                assert!(!ok && handed_on == [-1, -2, -3]);
            }
        }
    }
}
