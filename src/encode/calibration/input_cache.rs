//! Second moments of inputs that were factorised before.

use crate::codec::trellis::Inputs;
use crate::error::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most bytes of inputs to keep when no tensor needs them. The last ones are kept in any case.
const KEPT_BYTES: usize = 1 << 28;

/// What inputs are known by: the name of their entry, their number and their damping.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct InputKey {
    pub(super) entry: String,
    pub(super) width: usize,
    pub(super) damping: f64,
}

/// The inputs of one key, once they are known.
type Slot = Arc<Mutex<Option<Arc<Inputs>>>>;

/// The inputs that were used last. Tensors which are encoded one after the other often read the same
/// ones, and factorising takes O(n³).
#[derive(Debug, Default)]
pub(super) struct InputCache {
    /// The last used one is the last.
    slots: Mutex<Vec<(InputKey, Slot)>>,
}

impl InputCache {
    /// The inputs of a key; `new` makes them, in one thread only.
    ///
    /// # Errors
    /// Those of `new`, which is called again the next time.
    pub(super) fn get(
        &self,
        key: InputKey,
        new: impl FnOnce() -> Result<Arc<Inputs>>,
    ) -> Result<Arc<Inputs>> {
        let slot = {
            let mut slots = lock(&self.slots);
            let found = slots.iter().position(|(known, _)| *known == key);
            let (key, slot) = found.map_or_else(|| (key, Slot::default()), |at| slots.remove(at));
            slots.push((key, Arc::clone(&slot)));
            slot
        };
        // Threads that need the same inputs wait. Nobody waits for this thread meanwhile: `new` runs no
        // tasks of the thread pool.
        let mut known = lock(&slot);
        let inputs = match &*known {
            Some(inputs) => Arc::clone(inputs),
            None => Arc::clone(known.insert(new()?)),
        };
        drop(known);
        self.trim();
        Ok(inputs)
    }

    /// Forgets the inputs that were not used for the longest time.
    fn trim(&self) {
        let mut slots = lock(&self.slots);
        let mut bytes = 0;
        let mut first = slots.len();
        while first > 0 {
            // Inputs in work do not count yet.
            let size = slots[first - 1]
                .1
                .try_lock()
                .map_or(0, |inputs| inputs.as_ref().map_or(0, |inputs| inputs.bytes()));
            bytes += size;
            if bytes > KEPT_BYTES && first < slots.len() {
                break;
            }
            first -= 1;
        }
        slots.drain(..first);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::trellis::InputMoment;
    use crate::error::Error;

    fn key(entry: &str) -> InputKey {
        InputKey { entry: entry.to_owned(), width: 2, damping: 0.1 }
    }

    fn inputs() -> Result<Arc<Inputs>> {
        let inputs = Inputs::new(InputMoment::Diagonal(vec![1.0, 2.0]), 0.1);
        inputs.map(Arc::new).ok_or_else(|| Error::invalid("not positive"))
    }

    #[test]
    fn the_same_inputs_are_made_once() {
        let cache = InputCache::default();
        let first = cache.get(key("a.gram"), inputs).unwrap();
        let again = cache.get(key("a.gram"), || unreachable!("they are known")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let other = cache.get(key("b.gram"), inputs).unwrap();
        let wider = InputKey { width: 3, ..key("a.gram") };
        assert!(!Arc::ptr_eq(&first, &other));
        assert!(!Arc::ptr_eq(&first, &cache.get(wider, inputs).unwrap()));
    }

    #[test]
    fn an_error_is_not_kept() {
        let cache = InputCache::default();
        assert!(cache.get(key("a.gram"), || Err(Error::invalid("unreadable"))).is_err());
        assert!(cache.get(key("a.gram"), inputs).is_ok());
    }

    #[test]
    fn inputs_that_were_not_used_for_long_are_forgotten() {
        let cache = InputCache::default();
        // Two diagonals, 16 bytes for each input: the cache keeps the last two.
        let large = || {
            let width = KEPT_BYTES / 40;
            Ok(Arc::new(Inputs::new(InputMoment::Diagonal(vec![1.0; width]), 0.1).unwrap()))
        };
        cache.get(key("first"), large).unwrap();
        for number in 0..3 {
            cache.get(key(&number.to_string()), large).unwrap();
            cache.get(key("used"), inputs).unwrap();
        }
        assert!(cache.get(key("used"), || unreachable!("it was used last")).is_ok());
        assert!(cache.get(key("first"), || Err(Error::invalid("forgotten"))).is_err());
    }
}
