//! Statistics of weights from files.

use super::checkpoint::Checkpoint;
use super::imatrix;
use crate::encode::Calibration;
use crate::error::{Error, Result};
use crate::io::ReadAt;
use crate::read::Reader;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

impl Calibration {
    /// Statistics from safetensors files, checkpoint folders, `.occ` files and importance matrices
    /// of llama.cpp, all together. Names are those that [`Calibration`] describes, or those of
    /// [`from_imatrix`](Self::from_imatrix).
    ///
    /// The first bytes of a file determine its format. An importance matrix of the older kind has
    /// no magic number: its name must end in `.dat` or `.imatrix`. Only the headers are read here.
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`](crate::convert::Checkpoint::open),
    /// [`Reader::open`](crate::Reader::open) and [`from_imatrix`](Self::from_imatrix);
    /// `InvalidArgument` for names and shapes that [`add`](Self::add) refuses, and for a metadata
    /// entry `share` that is not an object of names.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self> {
        let mut all = Self::default();
        for path in paths {
            all.open_one(path.as_ref())?;
        }
        Ok(all)
    }

    fn open_one(&mut self, path: &Path) -> Result<()> {
        if !path.is_dir() {
            match Reader::open(path) {
                Ok(reader) => return self.add_occ(path, &Arc::new(reader)),
                Err(Error::NotOcc { .. }) => {}
                Err(error) => return Err(error),
            }
            if imatrix::is_imatrix(path)? {
                return self.add_imatrix(path);
            }
        }
        let checkpoint = Checkpoint::open(path)?;
        for (path, name, description, data) in checkpoint.sections() {
            self.add_from_file(path, name, description, data.clone())?;
        }
        for (name, owner) in checkpoint.shared_inputs()? {
            self.share(&name, &owner);
        }
        Ok(())
    }

    fn add_occ(&mut self, path: &Path, reader: &Arc<Reader<'static>>) -> Result<()> {
        for tensor in reader.tensors() {
            let tensor = tensor?;
            let (reader, name) = (Arc::clone(reader), tensor.name().to_owned());
            let size = tensor.decoded_bytes();
            let description = (tensor.dtype(), tensor.shape());
            self.add_from_file(path, tensor.name(), description, Decoded { reader, name, size })?;
        }
        Ok(())
    }
}

/// A tensor of an `.occ` file, decoded when it is read.
struct Decoded {
    reader: Arc<Reader<'static>>,
    name: String,
    size: u64,
}

impl ReadAt for Decoded {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at<'b>(&'b self, range: Range<u64>, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        let tensor = self.reader.tensor(&self.name).map_err(io::Error::other)?;
        *buffer = tensor.decode_bytes(range).map_err(io::Error::other)?;
        Ok(buffer)
    }
}
