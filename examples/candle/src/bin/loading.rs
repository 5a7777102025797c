//! Time to load all tensors of a file as tensors of candle: `.occ` files, and safetensors files by
//! candle's memory map. Files are loaded in turn; the first round is a warm-up.
//!
//! ```sh
//! cargo run --release --manifest-path examples/candle/Cargo.toml --bin loading -- \
//!     model.safetensors lossless.occ 4bits.occ
//! ```

use anyhow::Result;
use candle_core::Device;
use clap::Parser;
use occ_candle_examples::load_all;
use std::path::PathBuf;
use std::time::Instant;

/// Measure the time to load all tensors of files.
#[derive(Parser)]
struct Args {
    /// .safetensors and .occ files
    #[arg(required = true)]
    files: Vec<PathBuf>,

    /// Number of measured rounds
    #[arg(long, default_value_t = 15)]
    rounds: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut times = vec![Vec::new(); args.files.len()];
    for _ in 0..=args.rounds {
        for (file, times) in args.files.iter().zip(&mut times) {
            let began = Instant::now();
            let tensors = load_all(file, &Device::Cpu)?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
            drop(tensors);
        }
    }
    let mut first = None;
    for (file, mut times) in args.files.iter().zip(times) {
        times.remove(0);
        times.sort_by(f64::total_cmp);
        let median = times.get(times.len() / 2).copied().unwrap_or(f64::NAN);
        let ratio = median / *first.get_or_insert(median);
        println!("{median:8.1} ms  {ratio:5.2}  {}", file.display());
    }
    Ok(())
}
