//! How far the keys had come, written down beside the store and not beside the keys.
//!
//! ```text
//! <data>/key-marks   JSON: node, name of the storage key, and by month the first leaf that no body has
//! ```
//!
//! An older file of keys that was put back would give numbers a second time that bodies of the store
//! have already; keys that vanished would be made anew. Both are noticed here. Written after a block of
//! keys is begun and before one of them is given: the marks are never behind what the store holds.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Period, StoreError, disk};

/// The file's name in the directory of the data.
const FILE: &str = "key-marks";

/// How far the keys had come.
#[derive(Debug, Clone)]
pub struct KeyMarks {
    path: PathBuf,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    node: String,
    storage_key: String,
    months: BTreeMap<String, u32>,
}

impl KeyMarks {
    /// Reads the marks of a store; `None` when nothing was sealed there yet.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Io`].
    pub fn read(data_dir: &Path) -> Result<Option<Self>, StoreError> {
        let path = data_dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(StoreError::io("read", &path, e)),
        };
        let content = serde_json::from_slice::<Content>(&bytes)
            .map_err(|e| StoreError::corrupt(&path, e.to_string()))?;
        if content
            .months
            .keys()
            .any(|name| Period::parse(name).is_none())
        {
            return Err(StoreError::corrupt(&path, "it names a month that is none"));
        }
        Ok(Some(Self { path, content }))
    }

    /// Marks of a store in which nothing was sealed. They are written when they first change.
    pub(super) fn new(data_dir: &Path, node: &str) -> Self {
        Self {
            path: data_dir.join(FILE),
            content: Content {
                node: node.to_owned(),
                storage_key: String::new(),
                months: BTreeMap::new(),
            },
        }
    }

    /// Name of the storage key under which the keys lay.
    #[must_use]
    pub fn storage_key(&self) -> &str {
        &self.content.storage_key
    }

    /// By month, the first leaf that no body has.
    pub fn months(&self) -> impl Iterator<Item = (Period, u32)> + '_ {
        let months = self.content.months.iter();
        months.filter_map(|(name, end)| Some((Period::parse(name)?, *end)))
    }

    /// Notes the storage key and how far months have come; durable. What is not new is not written.
    pub(super) fn raise(
        &mut self,
        storage_key: &str,
        ends: &[(Period, u32)],
    ) -> Result<(), StoreError> {
        let mut content = self.content.clone();
        storage_key.clone_into(&mut content.storage_key);
        for (period, end) in ends {
            let mark = content.months.entry(period.to_string()).or_default();
            *mark = (*mark).max(*end);
        }
        if content == self.content {
            return Ok(());
        }
        let bytes = serde_json::to_vec_pretty(&content)
            .map_err(|e| StoreError::corrupt(&self.path, e.to_string()))?;
        disk::replace(&self.path, &bytes)?;
        self.content = content;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_last_and_never_go_back() {
        let dir = tempfile::tempdir().unwrap();
        assert!(KeyMarks::read(dir.path()).unwrap().is_none());
        let (november, december) = (
            Period::of_ms(1_795_000_000_000),
            Period::of_ms(1_797_000_000_000),
        );
        let mut marks = KeyMarks::new(dir.path(), "a.example");
        marks
            .raise("aa", &[(november, 8_192), (december, 4_096)])
            .unwrap();
        marks.raise("bb", &[(november, 4_096)]).unwrap();
        let marks = KeyMarks::read(dir.path()).unwrap().unwrap();
        assert_eq!(marks.storage_key(), "bb");
        let months: Vec<_> = marks.months().collect();
        assert_eq!(months, [(november, 8_192), (december, 4_096)]);
        fs::write(dir.path().join(FILE), "{}").unwrap();
        assert!(KeyMarks::read(dir.path()).is_err());
    }
}
