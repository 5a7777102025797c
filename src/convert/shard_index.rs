//! The index of a sharded checkpoint, and its agreement with the shards.

use super::folder::bounded;
use super::json_entries::JsonEntries;
use crate::encode::TensorSource;
use crate::error::{Error, Result};
use crate::format::{ObjectKind, check_relative_path};
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The file with the index of a sharded checkpoint.
#[derive(Debug)]
pub(super) struct IndexFile {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) index: ShardIndex,
    /// The length of the file, as the shape of an attachment.
    shape: [usize; 1],
}

impl IndexFile {
    /// # Errors
    /// `Io`; `Corrupt` as [`ShardIndex::parse`].
    pub(super) fn read(name: &str, path: &Path) -> Result<Self> {
        let read = || {
            let index = ShardIndex::parse(fs::read(path)?)?;
            let (name, path, shape) = (name.to_owned(), path.to_owned(), [index.bytes.len()]);
            Ok(Self { name, path, index, shape })
        };
        read().map_err(|error: Error| error.in_file(path))
    }

    /// [`read`](Self::read) with the name of the path.
    ///
    /// # Errors
    /// As [`read`](Self::read); `InvalidArgument` if the path has no name in UTF-8.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str());
        let unnamed = || Error::invalid("the name of the file is not UTF-8").in_file(path);
        Self::read(name.ok_or_else(unnamed)?, path)
    }

    /// The file as an attachment.
    pub(super) fn source(&self) -> TensorSource<'_> {
        let Self { name, path, index, shape } = self;
        TensorSource::attachment(ObjectKind::File, name, shape, &index.bytes).in_file(path)
    }
}

/// An index: which shard has which tensor.
#[derive(Debug)]
pub(super) struct ShardIndex {
    /// The bytes of the file.
    pub(super) bytes: Vec<u8>,
    /// Tensors and the relative paths of their shards.
    weight_map: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct IndexJson {
    weight_map: JsonEntries<String>,
}

impl ShardIndex {
    /// # Errors
    /// `Corrupt` if the bytes are not an index, if it lists nothing or a tensor twice, or if a shard
    /// is not in the folder of the index or below it.
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Self> {
        let bad = |what: String| Error::corrupt(format!("index of shards: {what}"));
        let index: IndexJson =
            serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if let Some(name) = index.weight_map.repeated_name() {
            return Err(bad("two entries have this name".into()).in_tensor(name));
        }
        let JsonEntries(weight_map) = index.weight_map;
        if weight_map.is_empty() {
            return Err(bad("the weight_map is empty".into()));
        }
        for (name, shard) in &weight_map {
            check_relative_path(shard).map_err(|error| error.in_tensor(name))?;
        }
        Ok(Self { bytes, weight_map })
    }

    /// The relative paths of the shards, sorted.
    pub(super) fn shards(&self) -> BTreeSet<String> {
        self.weight_map.iter().map(|(_, shard)| shard.clone()).collect()
    }

    /// Checks that all shards exist.
    ///
    /// # Errors
    /// `Io` with `NotFound`, for the first that is missing.
    pub(super) fn check_shards(&self, folder: &Path) -> Result<()> {
        let shards = self.shards();
        let missing: Vec<String> =
            shards.iter().filter(|name| !folder.join(name).exists()).cloned().collect();
        match missing.len() {
            0 => Ok(()),
            count => {
                let (total, names) = (shards.len(), bounded(missing).join(", "));
                let what = format!("{count} of {total} shards in the index do not exist: {names}");
                Err(io::Error::new(io::ErrorKind::NotFound, what).into())
            }
        }
    }

    /// Checks that each tensor of the index is in its shard, given the shards of all tensors.
    /// Returns the tensors that the index does not list, sorted, with their shards.
    ///
    /// # Errors
    /// `Corrupt` with the first tensor that is in no shard or another one.
    pub(super) fn check_tensors(
        &self,
        owners: &HashMap<&str, &str>,
    ) -> Result<Vec<(String, String)>> {
        let is_wrong = |(name, shard): &&(String, String)| owners.get(&**name) != Some(&&**shard);
        let mut wrong = self.weight_map.iter().filter(is_wrong);
        if let Some((name, shard)) = wrong.next() {
            let where_else = match owners.get(name.as_str()) {
                Some(other) => format!("it is in {other}"),
                None => "no shard has it".to_owned(),
            };
            let more = match wrong.count() {
                0 => String::new(),
                count => format!(", and {count} more tensors are not where the index has them"),
            };
            let what = format!("the index has this tensor in {shard}, but {where_else}{more}");
            return Err(Error::corrupt(what).in_tensor(name));
        }
        let listed: BTreeSet<&str> = self.weight_map.iter().map(|(name, _)| &**name).collect();
        let unlisted = owners.iter().filter(|(name, _)| !listed.contains(**name));
        let mut unlisted: Vec<_> =
            unlisted.map(|(name, shard)| ((*shard).to_owned(), (*name).to_owned())).collect();
        unlisted.sort_unstable();
        Ok(unlisted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_unique_and_below_the_folder() {
        let index = br#"{"metadata":{},"weight_map":{"a":"2","b":"1","c":"2","d":"sub/1"}}"#;
        let index = ShardIndex::parse(index.to_vec()).unwrap();
        assert_eq!(index.shards().into_iter().collect::<Vec<_>>(), ["1", "2", "sub/1"]);
        for index in [
            "",
            "{}",
            r#"{"weight_map":{}}"#,
            r#"{"weight_map":{"a":1}}"#,
            r#"{"weight_map":{"a":"1","a":"2"}}"#,
            r#"{"weight_map":{"a":"../x"}}"#,
            r#"{"weight_map":{"a":"/etc/x"}}"#,
        ] {
            assert!(ShardIndex::parse(index.into()).is_err(), "{index}");
        }
    }

    #[test]
    fn every_tensor_must_be_in_its_shard() {
        let index = br#"{"weight_map":{"a":"1","b":"2"}}"#;
        let index = ShardIndex::parse(index.to_vec()).unwrap();
        let check = |owners: &[(&'static str, &'static str)]| {
            index.check_tensors(&owners.iter().copied().collect())
        };
        assert_eq!(check(&[("a", "1"), ("b", "2")]).unwrap(), []);
        let unlisted = check(&[("a", "1"), ("b", "2"), ("c", "2")]).unwrap();
        assert_eq!(unlisted, [("2".to_owned(), "c".to_owned())]);
        for owners in [&[("a", "1")][..], &[("a", "1"), ("b", "1")]] {
            let error = check(owners).unwrap_err();
            assert_eq!(error.location().unwrap().tensor.as_deref(), Some("b"), "{error}");
        }
    }
}
