//! Timestamped cosignatures, version 1: type 0x04 of signed notes.
//!
//! Signed: `cosignature/v1\ntime <seconds>\n` and the note text. On the signature line, after the
//! key id: 8 bytes of seconds, big-endian, and 64 of signature.
//! Source: <https://c2sp.org/tlog-cosignature>.

/// Latest time, in Unix seconds, that a cosignature may carry: 2^63 − 1.
pub(super) const UNIX_SECONDS_MAX: u64 = i64::MAX.unsigned_abs();

/// The bytes that are signed. `text` is the whole note text with its final newline.
pub(super) fn message(unix_seconds: u64, text: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {unix_seconds}\n{text}").into_bytes()
}

/// The bytes of the signature line after the key id.
pub(super) fn encode(unix_seconds: u64, signature: &[u8; 64]) -> Vec<u8> {
    [unix_seconds.to_be_bytes().as_slice(), signature].concat()
}

/// Takes the bytes of the signature line apart: time in Unix seconds, and signature.
pub(super) fn decode(bytes: &[u8]) -> Option<(u64, &[u8; 64])> {
    let (time, signature) = bytes.split_first_chunk::<8>()?;
    let time = u64::from_be_bytes(*time);
    let signature = signature.try_into().ok()?;
    (time <= UNIX_SECONDS_MAX).then_some((time, signature))
}
