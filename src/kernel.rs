//! Which instructions the kernels use. All kernels find the same bits; portable ones are the truth.

use std::sync::OnceLock;

/// Proof that the processor has AVX2 and POPCNT.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

/// A set of instructions that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Portable code.
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

impl Kernel {
    /// All that this machine has, the fastest last.
    pub(crate) fn all() -> Vec<Self> {
        #[allow(unused_mut, reason = "other processors have but one")]
        let mut all = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2")
            && std::arch::is_x86_feature_detected!("popcnt")
        {
            all.push(Self::Avx2(Avx2(())));
        }
        all
    }

    /// The fastest, unless the environment variable `OCC_KERNEL` is `scalar`; decided once.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        *BEST.get_or_init(|| {
            let scalar = std::env::var_os("OCC_KERNEL").is_some_and(|name| name == "scalar");
            let fastest = Self::all().pop();
            fastest.filter(|_| !scalar).unwrap_or(Self::Scalar)
        })
    }
}
