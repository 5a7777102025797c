//! Parallel work with results in order and a bounded number of tasks in flight.
//!
//! [`OrderedQueue`] is the one implementation. [`ordered`] is the loop that most callers need.

// Builds without the encoder use the queue only in the stream reader.
#![cfg_attr(not(feature = "encode"), allow(dead_code))]

use crate::error::Result;
use rayon::{ScopeFifo, Yield};
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Maps `inputs` on the current rayon pool and passes the results to `sink` in order.
///
/// `inputs` is advanced and `sink` called on this thread. At most two inputs per thread are in
/// flight, so the memory does not depend on their number.
///
/// # Errors
/// The first error in order, of an input, of `map` or of `sink`. Results before it have been passed
/// on.
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
        // Waking another thread takes longer than mapping a small input.
        return sink(map(first?)?);
    }
    let limit = tasks_in_flight() - 1;
    rayon::in_place_scope_fifo(|scope| {
        let mut queue = OrderedQueue::new(scope, &map);
        for input in std::iter::once(first).chain(inputs) {
            match input {
                Ok(input) => queue.push(input, 1),
                Err(error) => {
                    queue.drain(&mut sink)?;
                    return Err(error);
                }
            }
            while queue.window().total() > limit {
                queue.pop().map_or(Ok(()), |result| sink(result?))?;
            }
        }
        queue.drain(&mut sink)
    })
}

/// Tasks in flight that keep all threads of the current pool busy.
pub(crate) fn tasks_in_flight() -> u64 {
    2 * rayon::current_num_threads() as u64
}

/// A queue of inputs that are mapped by tasks in a rayon scope; results are taken in the order of
/// the inputs. Tasks start in this order, too: otherwise the newest would run before those whose
/// results are waited for.
///
/// An input of weight 0 gets no task: it is mapped by the consuming thread when its turn comes,
/// which is faster for small inputs.
pub(crate) struct OrderedQueue<'q, 'scope, T, U, F> {
    scope: &'q ScopeFifo<'scope>,
    map: &'scope F,
    jobs: VecDeque<Job<T, U>>,
    window: Window,
}

enum Job<T, U> {
    /// An input of weight 0, not mapped yet.
    Deferred(T),
    /// A task that maps an input.
    Task(Receiver<Result<U>>),
    /// The result of a task.
    Done(Result<U>),
}

impl<'q, 'scope, T, U, F> OrderedQueue<'q, 'scope, T, U, F>
where
    T: Send + 'scope,
    U: Send + 'scope,
    F: Fn(T) -> Result<U> + Sync,
{
    pub(crate) fn new(scope: &'q ScopeFifo<'scope>, map: &'scope F) -> Self {
        Self { scope, map, jobs: VecDeque::new(), window: Window::default() }
    }

    /// Appends an input. A task maps it unless its weight is 0.
    pub(crate) fn push(&mut self, input: T, weight: u64) {
        self.window.push(weight);
        if weight == 0 {
            self.jobs.push_back(Job::Deferred(input));
            return;
        }
        let (sender, receiver) = sync_channel(1);
        let map = self.map;
        self.scope.spawn_fifo(move |_| {
            // The receiver is gone when an earlier result was an error.
            let _ = sender.send(map(input));
        });
        self.jobs.push_back(Job::Task(receiver));
    }

    /// The result of the oldest input; waits for it. `None` when the queue is empty.
    pub(crate) fn pop(&mut self) -> Option<Result<U>> {
        self.window.pop();
        Some(match self.jobs.pop_front()? {
            Job::Deferred(input) => (self.map)(input),
            Job::Task(receiver) => wait(&receiver),
            Job::Done(result) => result,
        })
    }

    /// Whether [`pop`](Self::pop) would return without waiting for a task.
    pub(crate) fn is_ready(&mut self) -> bool {
        if let Some(Job::Task(receiver)) = self.jobs.front()
            && let Ok(result) = receiver.try_recv()
        {
            self.jobs[0] = Job::Done(result);
        }
        !matches!(self.jobs.front(), Some(Job::Task(_)))
    }

    /// Passes all remaining results to `sink`.
    pub(crate) fn drain(&mut self, sink: &mut impl FnMut(U) -> Result<()>) -> Result<()> {
        while let Some(result) = self.pop() {
            sink(result?)?;
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// The inputs in the queue.
    pub(crate) fn window(&self) -> &Window {
        &self.window
    }
}

/// The weights of inputs in flight, in order: limits how many there are.
#[derive(Default)]
pub(crate) struct Window {
    weights: VecDeque<u64>,
    /// How many weights are not 0.
    tasks: usize,
    total: u64,
}

/// The maximum number of inputs in flight, independent of their weights.
const MAX_INPUTS: usize = 64;

impl Window {
    pub(crate) fn push(&mut self, weight: u64) {
        self.tasks += usize::from(weight > 0);
        self.total += weight;
        self.weights.push_back(weight);
    }

    /// Removes the oldest weight.
    pub(crate) fn pop(&mut self) {
        if let Some(weight) = self.weights.pop_front() {
            self.tasks -= usize::from(weight > 0);
            self.total -= weight;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }

    /// The sum of all weights.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Whether the oldest input has to be finished before another one is added: it has weight 0,
    /// there are too many inputs, or there are several tasks of a weight above `limit` together.
    pub(crate) fn is_full(&self, limit: u64) -> bool {
        self.weights.front() == Some(&0)
            || self.weights.len() > MAX_INPUTS
            || self.tasks > 1 && self.total > limit
    }
}

/// How long a thread of the pool sleeps when it waits for a result and there is no other task.
const PAUSE: Duration = Duration::from_micros(50);

/// Waits for a result. A thread of the pool executes other tasks meanwhile, so that a pool of one
/// thread makes progress; without tasks it sleeps.
fn wait<U>(receiver: &Receiver<Result<U>>) -> Result<U> {
    loop {
        if let Ok(result) = receiver.try_recv() {
            return result;
        }
        let result = match rayon::yield_now() {
            Some(Yield::Executed) => continue,
            Some(Yield::Idle) => receiver.recv_timeout(PAUSE),
            // Not a thread of the pool.
            None => receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match result {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => panic!("a worker panicked"),
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
    fn results_are_in_order_inside_and_outside_of_any_pool() {
        let expected: Vec<u64> = (0..100).map(|x| x * x).collect();
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (out, result) = pool.install(|| squares(100, None));
            assert!(result.is_ok() && out == expected);
        }
        assert_eq!(squares(100, None).0, expected);
    }

    #[test]
    fn the_first_error_in_order_ends_the_work() {
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
    fn few_inputs_are_in_flight() {
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

    /// Pushes the numbers from 1 to `count` with these weights, taking results while the queue is
    /// full. Returns what happened in order, `n` for a push and `-n` for a result, and whether
    /// there was no error; `fail_at` is the number that fails.
    fn trace(
        count: i64,
        limit: u64,
        weight: impl Fn(i64) -> u64,
        fail_at: i64,
    ) -> (Vec<i64>, bool) {
        let map = |x: i64| if x == fail_at { Err(Error::corrupt("x")) } else { Ok(x) };
        let mut seen = Vec::new();
        let result = rayon::in_place_scope_fifo(|scope| {
            let mut queue = OrderedQueue::new(scope, &map);
            for x in 1..=count {
                seen.push(x);
                queue.push(x, weight(x));
                while queue.window().is_full(limit) {
                    queue.pop().map_or(Ok(()), |x| x.map(|x| seen.push(-x)))?;
                }
            }
            queue.drain(&mut |x| {
                seen.push(-x);
                Ok(())
            })
        });
        (seen, result.is_ok())
    }

    #[test]
    fn inputs_are_pushed_up_to_the_limit() {
        for threads in [1, 2, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let seen =
                |limit, weight: fn(i64) -> u64| pool.install(|| trace(5, limit, weight, 0).0);
            // At least one task, also if its weight exceeds the limit.
            assert_eq!(seen(0, |x| x as u64), [1, 2, -1, 3, -2, 4, -3, 5, -4, -5]);
            assert_eq!(seen(0, |_| 0), [1, -1, 2, -2, 3, -3, 4, -4, 5, -5]);
            let weight = |x| if x % 3 == 1 { x as u64 } else { 0 };
            assert_eq!(seen(0, weight), [1, 2, 3, 4, -1, -2, -3, 5, -4, -5]);
            // A weight of six together.
            assert_eq!(seen(6, |x| x as u64), [1, 2, 3, 4, -1, -2, -3, 5, -4, -5]);
            assert_eq!(seen(100, |x| x as u64), [1, 2, 3, 4, 5, -1, -2, -3, -4, -5]);
        }
    }

    #[test]
    fn the_number_of_inputs_is_bounded() {
        for weight in [|x| u64::from(x == 1), |_| 1] {
            let seen = trace(200, u64::MAX, weight, 0).0;
            assert_eq!(seen.iter().position(|&x| x < 0), Some(MAX_INPUTS + 1));
        }
    }

    #[test]
    fn an_error_ends_the_queue_in_order() {
        for limit in [0, 7, 100] {
            for weight in [|x| x as u64, |_| 0, |x| u64::from(x == 2)] {
                let (seen, ok) = trace(9, limit, weight, 4);
                let results: Vec<i64> = seen.into_iter().filter(|&x| x < 0).collect();
                assert!(!ok && results == [-1, -2, -3]);
            }
        }
    }
}
