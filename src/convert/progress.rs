//! Progress reports and cancellation.

use crate::error::{Error, Result};
use std::ops::ControlFlow;

/// A function that long operations call repeatedly with the number of tensor bytes processed since
/// the last call. [`ControlFlow::Break`] cancels the operation, which returns [`Error::Cancelled`].
///
/// ```no_run
/// use std::ops::ControlFlow;
/// # let checkpoint = occ::convert::Checkpoint::open("model.safetensors")?;
/// let mut bytes = 0;
/// let mut add = |more| {
///     bytes += more;
///     ControlFlow::Continue(())
/// };
/// checkpoint.plan(&occ::Encoding::bits(3.0), Some(&mut add))?;
/// # Ok::<(), occ::Error>(())
/// ```
pub type Progress<'p> = dyn FnMut(u64) -> ControlFlow<()> + 'p;

/// Reports to a [`Progress`], if there is one.
pub(crate) struct Reporter<'r, 'p>(pub(crate) Option<&'r mut Progress<'p>>);

impl Reporter<'_, '_> {
    /// # Errors
    /// `Cancelled` if the function returns `Break`.
    pub(crate) fn report(&mut self, bytes: u64) -> Result<()> {
        match self.0.as_mut().map_or(ControlFlow::Continue(()), |progress| progress(bytes)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        }
    }
}
