//! The content of a backup's packed files: entries, checkpoints, rows and names of files.
//!
//! Each is a sequence of items without header or end; the manifest says how many there are.
//! Numbers are big-endian.

use std::io::{self, Read};

use crate::limits::{KEY_BYTES_MAX, LINE_BYTES_MAX, VALUE_BYTES_MAX};

/// A length is beyond what any item may have, or an item breaks off.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It ends within an item, or an item has a length that none may have.
    #[error("it is no sequence of whole items")]
    Malformed,
}

/// An entry as packed: the record, and who submitted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedEntry {
    /// The record as the store keeps it.
    pub record: Vec<u8>,
    /// Who submitted an own entry; empty where nobody is kept.
    pub author: String,
}

/// A checkpoint as packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedNote {
    /// A dated one; else a receipt, or a checkpoint that this node cosigned.
    pub is_dated: bool,
    /// Its size.
    pub size: u64,
    /// The signed note, verbatim.
    pub note: Vec<u8>,
}

/// What is known of a file that messages name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileUse {
    /// An entry or body too large for its record: without it the log is not whole.
    Record,
    /// An attachment that has come.
    Attachment,
    /// An attachment that lies sealed: the SHA-256 of what is in it. The file is kept as it lies.
    Sealed([u8; 32]),
    /// An attachment that had not come, or was damaged; it is not in the backup.
    Awaited,
}

/// A file as packed: its use, digest and size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackedFile {
    /// What it is to the node.
    pub used: FileUse,
    /// SHA-256 of its content.
    pub sha256: [u8; 32],
    /// Its length in bytes.
    pub size: u64,
}

/// An item of a packed file.
pub trait Packed: Sized {
    /// Its bytes.
    fn pack(&self, out: &mut Vec<u8>);

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// [`PackError`].
    fn unpack(from: &mut dyn Read) -> Result<Option<Self>, PackError>;
}

impl Packed for PackedEntry {
    fn pack(&self, out: &mut Vec<u8>) {
        long(out, &self.record);
        short(out, self.author.as_bytes());
    }

    fn unpack(from: &mut dyn Read) -> Result<Option<Self>, PackError> {
        let Some(first) = first(from)? else {
            return Ok(None);
        };
        let rest: [u8; 3] = array(from)?;
        let length = u32::from_be_bytes([first, rest[0], rest[1], rest[2]]);
        let record = bytes(from, length, VALUE_BYTES_MAX)?;
        let length = u16::from_be_bytes(array(from)?);
        let author = bytes(from, u32::from(length), LINE_BYTES_MAX)?;
        let author = String::from_utf8(author).map_err(|_| PackError::Malformed)?;
        Ok(Some(Self { record, author }))
    }
}

impl Packed for PackedNote {
    fn pack(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_dated));
        out.extend_from_slice(&self.size.to_be_bytes());
        long(out, &self.note);
    }

    fn unpack(from: &mut dyn Read) -> Result<Option<Self>, PackError> {
        let is_dated = match first(from)? {
            None => return Ok(None),
            Some(0) => false,
            Some(1) => true,
            Some(_) => return Err(PackError::Malformed),
        };
        let size = u64::from_be_bytes(array(from)?);
        let length = u32::from_be_bytes(array(from)?);
        let note = bytes(from, length, VALUE_BYTES_MAX)?;
        Ok(Some(Self {
            is_dated,
            size,
            note,
        }))
    }
}

impl Packed for (Vec<u8>, Vec<u8>) {
    fn pack(&self, out: &mut Vec<u8>) {
        short(out, &self.0);
        long(out, &self.1);
    }

    fn unpack(from: &mut dyn Read) -> Result<Option<Self>, PackError> {
        let Some(first) = first(from)? else {
            return Ok(None);
        };
        let [second] = array(from)?;
        let length = u16::from_be_bytes([first, second]);
        let key = bytes(from, u32::from(length), KEY_BYTES_MAX)?;
        let length = u32::from_be_bytes(array(from)?);
        let value = bytes(from, length, VALUE_BYTES_MAX)?;
        Ok(Some((key, value)))
    }
}

impl Packed for PackedFile {
    fn pack(&self, out: &mut Vec<u8>) {
        out.push(match self.used {
            FileUse::Record => 1,
            FileUse::Attachment => 2,
            FileUse::Awaited => 3,
            FileUse::Sealed(_) => 4,
        });
        out.extend_from_slice(&self.sha256);
        out.extend_from_slice(&self.size.to_be_bytes());
        if let FileUse::Sealed(content) = &self.used {
            out.extend_from_slice(content);
        }
    }

    fn unpack(from: &mut dyn Read) -> Result<Option<Self>, PackError> {
        let Some(used) = first(from)? else {
            return Ok(None);
        };
        let sha256 = array(from)?;
        let size = u64::from_be_bytes(array(from)?);
        let used = match used {
            1 => FileUse::Record,
            2 => FileUse::Attachment,
            3 => FileUse::Awaited,
            4 => FileUse::Sealed(array(from)?),
            _ => return Err(PackError::Malformed),
        };
        Ok(Some(Self { used, sha256, size }))
    }
}

fn long(out: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(part);
}

fn short(out: &mut Vec<u8>, part: &[u8]) {
    let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(part);
}

/// The first byte of an item; `None` at the end of the file.
fn first(from: &mut dyn Read) -> Result<Option<u8>, PackError> {
    let mut byte = [0];
    loop {
        match from.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn array<const N: usize>(from: &mut dyn Read) -> Result<[u8; N], PackError> {
    let mut out = [0; N];
    fill(from, &mut out)?;
    Ok(out)
}

fn bytes(from: &mut dyn Read, length: u32, length_max: usize) -> Result<Vec<u8>, PackError> {
    let length = length as usize;
    if length > length_max {
        return Err(PackError::Malformed);
    }
    let mut out = vec![0; length];
    fill(from, &mut out)?;
    Ok(out)
}

fn fill(from: &mut dyn Read, out: &mut [u8]) -> Result<(), PackError> {
    from.read_exact(out).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => PackError::Malformed,
        _ => PackError::Io(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn survives<T: Packed + PartialEq + std::fmt::Debug>(items: &[T]) {
        let mut bytes = Vec::new();
        for item in items {
            item.pack(&mut bytes);
        }
        let mut from = &bytes[..];
        for item in items {
            assert_eq!(T::unpack(&mut from).unwrap().as_ref(), Some(item));
        }
        assert_eq!(T::unpack(&mut from).unwrap(), None);
        for cut in 1..bytes.len() {
            let mut from = &bytes[..cut];
            // Whatever is cut, nothing but whole items comes out, and no panic.
            while let Ok(Some(item)) = T::unpack(&mut from) {
                assert!(items.contains(&item));
            }
        }
    }

    #[test]
    fn items_survive_their_bytes() {
        let entry = |author: &str, length| PackedEntry {
            record: vec![7; length],
            author: author.to_owned(),
        };
        survives(&[entry("", 0), entry("integration/radar", 300)]);
        let note = |is_dated, size| PackedNote {
            is_dated,
            size,
            note: b"note".to_vec(),
        };
        survives(&[note(false, 1), note(true, u64::MAX)]);
        survives(&[(b"key".to_vec(), b"value".to_vec()), (vec![], vec![])]);
        let uses = [
            FileUse::Record,
            FileUse::Attachment,
            FileUse::Awaited,
            FileUse::Sealed([7; 32]),
        ];
        survives(&uses.map(|used| PackedFile {
            used,
            sha256: [9; 32],
            size: 1 << 40,
        }));
    }

    #[test]
    fn lengths_that_no_item_has_take_no_memory() {
        let at = |length: usize| {
            let length = u32::try_from(length).unwrap();
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.resize(4 + VALUE_BYTES_MAX + 2, 0);
            PackedEntry::unpack(&mut &bytes[..])
        };
        assert!(at(VALUE_BYTES_MAX).is_ok());
        assert!(matches!(at(VALUE_BYTES_MAX + 1), Err(PackError::Malformed)));
        assert!(matches!(
            PackedNote::unpack(&mut &[2_u8][..]),
            Err(PackError::Malformed)
        ));
        assert!(matches!(
            PackedFile::unpack(&mut &[0_u8][..]),
            Err(PackError::Malformed)
        ));
    }
}
