//! What the examples have in common: a model in an `.occ` file or in a folder, and measurements.

use anyhow::{Context, Result};
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use occ::Reader;
use occ::candle::OccTensors;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A model: an `.occ` file, or a folder with `model.safetensors`. The configuration and the tokenizer are
/// in the `.occ` file, as `occ compress FOLDER` writes it, or in the folder.
pub enum ModelFiles {
    /// One file, and the folder that contains it.
    Occ(Reader<'static>, PathBuf),
    /// A folder.
    Folder(PathBuf),
}

impl ModelFiles {
    /// Opens an `.occ` file or a folder.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(match path.is_dir() {
            true => Self::Folder(path.to_owned()),
            false => Self::Occ(Reader::open(path)?, path.with_file_name("")),
        })
    }

    /// The content of a file of the model, such as `config.json`.
    pub fn file(&self, name: &str) -> Result<Vec<u8>> {
        let folder = match self {
            Self::Occ(reader, folder) => match reader.attachment(name)? {
                Some(file) => return Ok(file.decode()?),
                None => folder,
            },
            Self::Folder(folder) => folder,
        };
        let path = folder.join(name);
        fs::read(&path).with_context(|| path.display().to_string())
    }

    /// The weights of the model, for the constructors of candle-transformers.
    pub fn weights(&self, dtype: DType, device: &Device) -> Result<VarBuilder<'static>> {
        Ok(match self {
            Self::Occ(reader, _) => {
                let tensors = OccTensors::from_readers(vec![reader.clone()])?;
                VarBuilder::from_backend(Box::new(tensors), dtype, device.clone())
            }
            Self::Folder(folder) => {
                let path = folder.join("model.safetensors");
                // SAFETY: nothing modifies the file while the example runs.
                #[allow(unsafe_code)]
                let weights =
                    unsafe { VarBuilder::from_mmaped_safetensors(&[path], dtype, device) };
                weights?
            }
        })
    }

    /// Bytes of the `.occ` file or of `model.safetensors`.
    pub fn bytes(&self) -> Result<u64> {
        Ok(match self {
            Self::Occ(reader, _) => reader.file_bytes(),
            Self::Folder(folder) => fs::metadata(folder.join("model.safetensors"))?.len(),
        })
    }
}

/// Prints what it took to load a model since `began`.
pub fn print_loading(files: &ModelFiles, began: Instant) -> Result<()> {
    println!("file:             {}", megabytes(files.bytes()?));
    println!("loaded in:        {:.0} ms", began.elapsed().as_secs_f64() * 1e3);
    if let Some(bytes) = peak_resident_bytes() {
        println!("resident, peak:   {}", megabytes(bytes));
    }
    Ok(())
}

/// The largest resident memory of the process so far in bytes, on Linux.
fn peak_resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Bytes as megabytes (10⁶ bytes).
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// All tensors of `model.safetensors` or of an `.occ` file.
pub fn load_all(path: &Path, device: &Device) -> Result<HashMap<String, candle_core::Tensor>> {
    if path.extension().is_some_and(|extension| extension == "occ") {
        return Ok(occ::candle::load(path, device)?);
    }
    // SAFETY: nothing modifies the file while the example runs.
    #[allow(unsafe_code)]
    let file = unsafe { candle_core::safetensors::MmapedSafetensors::new(path) }?;
    let load = |(name, _): (String, _)| Ok((name.clone(), file.load(&name, device)?));
    file.tensors().into_iter().map(load).collect()
}
