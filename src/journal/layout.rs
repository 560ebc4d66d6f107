//! What the journal's store holds, key by key. Described in `docs/storage.md`.
//!
//! Memory for each row stays for as long as a store is open, so deeds are packed: as soon as a tile is
//! full, its 256 rows become a few.

use crate::limits::VALUE_BYTES_MAX;
use crate::tlog::TILE_WIDTH;

/// Version of this layout.
pub(super) const FORMAT_VERSION: u32 = 1;

pub(super) fn meta() -> Vec<u8> {
    b"M".to_vec()
}

/// Size (8 bytes) and root (32) of all that is committed.
pub(super) fn head() -> Vec<u8> {
    b"H".to_vec()
}

/// One deed of the tile that is not full.
pub(super) fn entry(index: u64) -> Vec<u8> {
    numbered(b'E', index)
}

/// Part of the deeds of a full tile.
pub(super) fn packed(tile: u64, part: u16) -> Vec<u8> {
    let mut key = numbered(b'P', tile);
    key.extend_from_slice(&part.to_be_bytes());
    key
}

/// 256 hashes.
pub(super) fn tile(level: u8, index: u64) -> Vec<u8> {
    let mut key = vec![b'T', level];
    key.extend_from_slice(&index.to_be_bytes());
    key
}

/// The newest checkpoint of a day, by this node's clock, with the cosignature of a peer.
pub(super) fn cosigned(peer: &str, day: u64) -> Vec<u8> {
    of_peer(b'C', peer, day)
}

/// What all keys of a peer's cosigned checkpoints begin with.
pub(super) fn cosigned_by(peer: &str) -> Vec<u8> {
    by_peer(b'C', peer)
}

/// What was cosigned of a peer's journal before what is cosigned of it now, by when that was, Unix seconds.
pub(super) fn witnessed_before(peer: &str, at: u64) -> Vec<u8> {
    of_peer(b'V', peer, at)
}

/// What all keys of these begin with.
pub(super) fn all_witnessed_before(peer: &str) -> Vec<u8> {
    by_peer(b'V', peer)
}

fn of_peer(region: u8, peer: &str, number: u64) -> Vec<u8> {
    let mut key = by_peer(region, peer);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

fn by_peer(region: u8, peer: &str) -> Vec<u8> {
    let mut key = vec![region];
    key.extend_from_slice(peer.as_bytes());
    key.push(0);
    key
}

/// Peer and number of a key of [`cosigned`] or [`witnessed_before`].
pub(super) fn parse_of_peer(key: &[u8]) -> Option<(String, u64)> {
    let (rest, number) = key.get(1..)?.split_last_chunk::<8>()?;
    let peer = rest.strip_suffix(&[0])?;
    Some((
        String::from_utf8(peer.to_vec()).ok()?,
        u64::from_be_bytes(*number),
    ))
}

/// What this node has cosigned of a peer's journal.
pub(super) fn witnessed(peer: &str) -> Vec<u8> {
    let mut key = vec![b'W'];
    key.extend_from_slice(peer.as_bytes());
    key
}

/// The digest of the configuration that was last journalled.
pub(super) fn configuration() -> Vec<u8> {
    b"D".to_vec()
}

/// The range of a region.
pub(super) fn region(first: u8) -> (Vec<u8>, Vec<u8>) {
    (vec![first], vec![first + 1])
}

/// The range of keys that begin so.
pub(super) fn prefix(start: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut end = start.to_vec();
    // The prefixes here end with a number or a zero, never with 0xFF alone.
    while let Some(last) = end.pop() {
        if last < 0xFF {
            end.push(last + 1);
            break;
        }
    }
    (start.to_vec(), end)
}

fn numbered(region: u8, number: u64) -> Vec<u8> {
    let mut key = vec![region];
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The deeds of a full tile in as few values as they fit: each with its length before it, 2 bytes.
pub(super) fn pack(entries: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for entry in entries {
        let needed = 2 + entry.len();
        let fits = parts
            .last()
            .is_some_and(|part| part.len() + needed <= VALUE_BYTES_MAX);
        if !fits {
            parts.push(Vec::new());
        }
        let part = parts.last_mut().expect("one was pushed if there was none");
        let bytes = u16::try_from(entry.len()).expect("a deed has at most JOURNAL_ENTRY_BYTES_MAX");
        part.extend_from_slice(&bytes.to_be_bytes());
        part.extend_from_slice(entry);
    }
    parts
}

/// Takes the parts of a full tile apart; nothing if they are not 256 deeds.
pub(super) fn unpack(parts: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::new();
    for part in parts {
        let mut rest = part.as_slice();
        while let Some((bytes, after)) = rest.split_first_chunk::<2>() {
            let (entry, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*bytes)))?;
            entries.push(entry.to_vec());
            rest = after;
        }
        if !rest.is_empty() {
            return None;
        }
    }
    (entries.len() as u64 == TILE_WIDTH).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again_and_nothing_else_does() {
        let entries: Vec<Vec<u8>> = (0..256).map(|n: usize| vec![7; n * 6]).collect();
        let parts = pack(&entries);
        assert!(parts.iter().all(|part| part.len() <= VALUE_BYTES_MAX));
        assert_eq!(unpack(&parts).unwrap(), entries);
        assert_eq!(unpack(&parts[1..]), None);
        let mut cut = parts.clone();
        cut[2].pop();
        assert_eq!(unpack(&cut), None);
    }

    #[test]
    fn no_peers_cosignatures_are_among_those_of_another() {
        let (start, end) = prefix(&cosigned_by("a.b"));
        assert!((start.clone()..end.clone()).contains(&cosigned("a.b", u64::MAX)));
        assert!(!(start..end).contains(&cosigned("a.bc", 0)));
        assert_eq!(
            parse_of_peer(&cosigned("a.b", 7)),
            Some(("a.b".to_owned(), 7))
        );
    }
}
