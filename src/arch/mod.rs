//! Which instructions the kernels use. All kernels find the same bits; portable ones are the truth.
//!
//! Some kernels are written with intrinsics, beside the portable code. Others are the portable code
//! itself, compiled once more: [`Kernel::run`].
#![allow(unsafe_code)]

#[cfg(target_arch = "aarch64")]
use std::arch::is_aarch64_feature_detected;
#[cfg(target_arch = "x86_64")]
use std::arch::is_x86_feature_detected;
use std::sync::OnceLock;

/// Proof that the processor has AVX2 and POPCNT.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

/// There is none on other processors.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) type Avx2 = std::convert::Infallible;

/// Proof that the processor has AVX-512 F, BW and VL besides.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512(Avx2);

/// Proof that the processor has NEON, and puts low bytes first.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neon(());

/// A set of instructions that this machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// Portable code.
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(Avx512),
    #[cfg(target_arch = "aarch64")]
    Neon(Neon),
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
        match self.avx2() {
            #[cfg(target_arch = "x86_64")]
            Some(proof) => proof.run(work),
            // NEON is what portable code is compiled for anyway.
            None => work(),
        }
    }

    /// Proof of AVX2, where these instructions have it.
    #[inline(always)]
    pub(crate) fn avx2(self) -> Option<Avx2> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) | Self::Avx512(Avx512(proof)) => Some(proof),
            _ => None,
        }
    }

    /// All that this machine has, the fastest last.
    pub(crate) fn all() -> Vec<Self> {
        #[allow(unused_mut, reason = "other processors have but one")]
        let mut all = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            all.push(Self::Avx2(Avx2(())));
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
            {
                all.push(Self::Avx512(Avx512(Avx2(()))));
            }
        }
        #[cfg(target_arch = "aarch64")]
        if cfg!(target_endian = "little") && is_aarch64_feature_detected!("neon") {
            all.push(Self::Neon(Neon(())));
        }
        all
    }

    /// As the environment variable `OCC_KERNEL` has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "avx2",
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "avx512",
            #[cfg(target_arch = "aarch64")]
            Self::Neon(_) => "neon",
        }
    }

    /// The fastest, unless the environment variable `OCC_KERNEL` names another that there is;
    /// decided once.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        *BEST.get_or_init(|| {
            let asked = std::env::var_os("OCC_KERNEL");
            let mut all = Self::all();
            let asked = all.iter().find(|kernel| asked.as_deref() == Some(kernel.name().as_ref()));
            asked.copied().or_else(|| all.pop()).unwrap_or(Self::Scalar)
        })
    }
}
