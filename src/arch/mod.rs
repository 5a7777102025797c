//! Detection of instruction sets and dispatch to kernels. All kernels produce the same bits as the
//! portable code.
//!
//! A kernel is either a file with intrinsics next to the portable code (for example
//! `codec/entropy/rans/avx2.rs`), or portable code that [`Kernel::run`] compiles a second time for
//! an instruction set. Functions that need an instruction set take a token, for example [`Avx2`],
//! as proof that the processor has it. Only this module creates tokens.
//!
//! To add an instruction set:
//! 1. Add a token type and a variant of [`Kernel`], both only on the target architecture.
//! 2. Detect it in [`Kernel::all`] and name it in [`Kernel::name`].
//! 3. Put kernels into files of their own that take the token, and call them where the compiler
//!    reports a missing match arm.
//! 4. Add these files to the list of files with `unsafe` in `tests/project/architecture.rs`.
//!
//! Unit tests run every kernel of [`Kernel::all`] against the portable code.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
#[cfg(target_arch = "aarch64")]
use std::arch::is_aarch64_feature_detected;
#[cfg(target_arch = "x86_64")]
use std::arch::is_x86_feature_detected;
use std::sync::OnceLock;

/// A token: the processor has AVX2 and POPCNT.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx2(());

/// Other architectures have no such token.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) type Avx2 = std::convert::Infallible;

/// A token: the processor has AVX-512 F, BW, VL, VBMI and VBMI2, AVX2 and POPCNT.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Avx512(Avx2);

/// A token: the processor has NEON and is little-endian.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Neon(());

/// An instruction set that this machine has.
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
    /// Runs `work`, compiled for AVX2 together with everything inlined into it.
    #[inline(always)]
    pub(crate) fn run<R>(self, work: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2,popcnt")]
        fn compiled_for_avx2<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: `self` is proof of AVX2 and POPCNT.
        unsafe { compiled_for_avx2(work) }
    }
}

#[cfg(target_arch = "x86_64")]
impl Avx512 {
    /// Runs `work`, compiled for AVX-512 together with everything inlined into it.
    #[inline(always)]
    pub(crate) fn run<R>(self, work: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,avx512vbmi2,avx2,popcnt")]
        fn compiled_for_avx512<R>(work: impl FnOnce() -> R) -> R {
            work()
        }
        // SAFETY: `self` is proof of these instructions.
        unsafe { compiled_for_avx512(work) }
    }

    /// The instructions include those of AVX2.
    #[inline(always)]
    pub(crate) fn avx2(self) -> Avx2 {
        self.0
    }
}

impl Kernel {
    /// Runs `work`, compiled for this instruction set together with everything inlined into it.
    /// Rust neither fuses nor reorders floating-point operations, so that results are the same.
    #[inline(always)]
    pub(crate) fn run<R>(self, work: impl FnOnce() -> R) -> R {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => proof.run(work),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => proof.run(work),
            // Portable code for AArch64 uses NEON already.
            _ => work(),
        }
    }

    /// The AVX2 token, if this instruction set includes AVX2.
    #[inline(always)]
    pub(crate) fn avx2(self) -> Option<Avx2> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(token) => Some(token),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(token) => Some(token.avx2()),
            _ => None,
        }
    }

    /// All instruction sets of this machine, the fastest last.
    pub(crate) fn all() -> Vec<Self> {
        #[allow(unused_mut, reason = "other architectures have one kernel only")]
        let mut all = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt") {
            all.push(Self::Avx2(Avx2(())));
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vbmi")
                && is_x86_feature_detected!("avx512vbmi2")
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

    /// The name, as in the environment variable `OCC_KERNEL`.
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

    /// The fastest instruction set, or the one that the environment variable `OCC_KERNEL` names if
    /// the machine has it; [`kernel`] reports other names. The choice is made once.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        *BEST.get_or_init(|| {
            let requested = std::env::var_os("OCC_KERNEL");
            let mut all = Self::all();
            let requested =
                all.iter().find(|kernel| requested.as_deref() == Some(kernel.name().as_ref()));
            requested.copied().or_else(|| all.pop()).unwrap_or(Self::Scalar)
        })
    }
}

/// The name of the kernels in use: `scalar`, `avx2`, `avx512` or `neon`. The fastest ones that the
/// machine has, or those that the environment variable `OCC_KERNEL` names. All give the same results.
///
/// # Errors
/// `InvalidArgument` if `OCC_KERNEL` names kernels that this machine does not have. Coding ignores
/// such a name.
///
/// ```
/// println!("coding with {}", occ::kernel()?);
/// # Ok::<(), occ::Error>(())
/// ```
pub fn kernel() -> Result<&'static str> {
    let best = Kernel::best().name();
    match std::env::var_os("OCC_KERNEL") {
        Some(requested) if !requested.is_empty() && requested != best => {
            let names: Vec<&str> = Kernel::all().into_iter().map(Kernel::name).collect();
            Err(Error::invalid(format!(
                "OCC_KERNEL is {}; this machine has {}",
                requested.to_string_lossy(),
                names.join(", ")
            )))
        }
        _ => Ok(best),
    }
}
