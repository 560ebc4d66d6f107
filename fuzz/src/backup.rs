//! The files of a backup in the hands of somebody who made them up.

use liaison::exchange::backup::manifest::Manifest;
use liaison::exchange::backup::pack::{Packed, PackedEntry, PackedFile, PackedNote};

/// The first byte says which file it is; what is read of the rest, written again, is the same to the
/// byte.
pub fn backup(data: &[u8]) {
    let [which, rest @ ..] = data else { return };
    match which % 5 {
        0 => {
            if let Ok(manifest) = Manifest::decode(rest) {
                assert_eq!(manifest.encode().as_deref(), Ok(rest));
                assert_eq!(
                    manifest.logs().count(),
                    2 * manifest.links.len(),
                    "both logs of each link"
                );
            }
        }
        1 => items::<PackedEntry>(rest),
        2 => items::<PackedNote>(rest),
        3 => items::<(Vec<u8>, Vec<u8>)>(rest),
        _ => items::<PackedFile>(rest),
    }
}

fn items<T: Packed>(bytes: &[u8]) {
    let mut from = bytes;
    let mut again = Vec::new();
    while let Ok(Some(item)) = T::unpack(&mut from) {
        item.pack(&mut again);
        assert_eq!(again, bytes[..bytes.len() - from.len()]);
    }
}
