//! Which instructions the kernels use. All kernels find the same bits; portable ones are the truth.
//!
//! Some kernels are written with intrinsics, beside the portable code. Others are the portable code
//! itself, compiled once more: [`Kernel::run`].
#![allow(unsafe_code)]

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

#[cfg(target_arch = "x86_64")]
impl Avx2 {
    fn run<R>(self, work: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2,popcnt")]
        fn compiled_for_avx2<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: this is proof of AVX2 and POPCNT.
        unsafe { compiled_for_avx2(work) }
    }
}

impl Kernel {
    /// Does portable work as it is compiled for these instructions: `work`, and what is inlined
    /// into it. Rust never fuses or reorders floating-point operations, so results are the same.
    #[inline(always)]
    pub(crate) fn run<R>(self, work: impl FnOnce() -> R) -> R {
        match self {
            Self::Scalar => work(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => proof.run(work),
        }
    }

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
