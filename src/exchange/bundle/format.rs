//! The file of a bundle, to the byte. Pure: no store, no clock.
//!
//! ```text
//! preamble    text for whoever holds the file: from whom, to whom, of when, what to do with it
//! secret      32 bytes: the HPKE secret, encapsulated to the recipient's log key
//! segments    u32 length (65,552) and as many bytes, sealed; the last one is filled up with zeros
//! u32 0
//! u32 length, statement: a DSSE envelope by the sender's message key over the SHA-256 of all before
//! ```
//!
//! The statement stands last, so that a bundle of any size is written in one pass, in constant memory
//! and without a copy. Within the segments lie pieces: u32 length and a serialized
//! [`v1::BundlePiece`]; a length of zero ends them. Numbers are big-endian.

use std::io::Read;

use bytes::Bytes;
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::crypto::dsse::{self, DsseError};
use crate::crypto::keys::{LogKey, MessageKey};
use crate::crypto::seal::{ENCAPSULATED_BYTES, Opener, SealError, Sealer, TAG_BYTES};
use crate::crypto::vkey::VerifierKey;
use crate::limits::{
    BUNDLE_ANSWERS_MAX, BUNDLE_BYTES_MAX, BUNDLE_PIECE_BYTES_MAX, BUNDLE_PREAMBLE_BYTES_MAX,
    BUNDLE_SEGMENT_BYTES, CHECKPOINT_SIZE_MAX, ENTRY_BYTES_MAX, MESSAGE_PARTS_MAX,
};
use crate::model::{MessageId, NodeName, parts};
use crate::proto::v1;

/// Format version.
pub const VERSION: u32 = 1;
/// The first bytes of every bundle, before the version.
const MAGIC: &str = "liaison bundle ";
/// Bytes of a sealed segment.
const SEALED_BYTES: usize = BUNDLE_SEGMENT_BYTES + TAG_BYTES;

/// What the preamble says after its fields: the same in every bundle.
const INSTRUCTIONS: &str = "\n\
Signed notifications between two authorities, carried by hand while no network joins them. Sealed:\n\
only the node named after \"to\" can open it. Bring it there; its duty officer runs\n\
\x20 liaison bundle import FILE\n\
If you have found it, please hand it to one of the two authorities above.\n\
\n\
Thông báo đã ký giữa hai cơ quan, chuyển bằng tay khi mất kết nối. Đã niêm phong: chỉ nút ghi sau\n\
\"to\" mở được. Nếu nhặt được, xin giao cho một trong hai cơ quan nêu trên.\n\
\n\
两个机关之间的已签名通报，断网期间由专人携带。已加密：只有 \"to\" 后所列节点能够打开。\n\
如有拾获，请交给上述任一机关。\n\
\n";

/// Why a file is no bundle that may be taken.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It does not begin as one.
    #[error("this file is no bundle")]
    NotABundle,
    /// Of another version.
    #[error("the bundle has format version {found}, this program reads {VERSION}")]
    Version {
        /// Its version.
        found: String,
    },
    /// The text at its beginning is not as it was written.
    #[error("the text at the beginning of the bundle is not as it was written: {0}")]
    Preamble(&'static str),
    /// It ends too early.
    #[error("the bundle is cut short: it was not written or copied to its end. Copy it again")]
    Cut,
    /// Something follows its end.
    #[error("something follows the end of the bundle: it is not as it was written")]
    Appended,
    /// Not as it was signed.
    #[error("the bundle was changed on its way: its content is not what the sender signed")]
    Changed,
    /// The signature.
    #[error("the sender's signature does not hold: {0}")]
    Signature(#[from] DsseError),
    /// It does not open.
    #[error("the bundle cannot be opened: {0}")]
    Sealed(#[from] SealError),
    /// The sender wrote what no bundle holds.
    #[error("the bundle is not made as this version makes them: {0}")]
    Malformed(&'static str),
    /// Too large.
    #[error("the bundle has more than {BUNDLE_BYTES_MAX} bytes")]
    TooLarge,
    /// The file cannot be read.
    #[error("the file cannot be read")]
    Io(#[source] std::io::Error),
}

/// The text at the beginning of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preamble {
    /// The sender.
    pub from: NodeName,
    /// The recipient.
    pub to: NodeName,
    /// When it was made: seconds since 1970.
    pub made_at: u64,
    /// Its id.
    pub id: MessageId,
}

impl Preamble {
    /// The text as it stands in the file.
    #[must_use]
    pub fn text(&self) -> String {
        let seconds = i64::try_from(self.made_at).unwrap_or(i64::MAX);
        let made = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
        format!(
            "{MAGIC}{VERSION}\nfrom: {}\nto: {}\nmade: {made}\nid: {}\n{INSTRUCTIONS}",
            self.from, self.to, self.id
        )
    }

    /// What the sealing is bound to.
    fn info(&self) -> Vec<u8> {
        self.text().into_bytes()
    }

    fn read(input: &mut impl Read, hash: &mut Sha256) -> Result<Self, FormatError> {
        let mut taken = 0;
        let mut line = |what: &'static str| {
            let mut line = Vec::new();
            loop {
                let mut byte = [0];
                exactly(input, &mut byte)?;
                hash.update(byte);
                taken += 1;
                if taken > BUNDLE_PREAMBLE_BYTES_MAX {
                    return Err(FormatError::Preamble(what));
                }
                if byte[0] == b'\n' {
                    return String::from_utf8(line).map_err(|_| FormatError::Preamble(what));
                }
                line.push(byte[0]);
            }
        };
        let first = line("its first line").map_err(|error| match error {
            FormatError::Preamble(_) | FormatError::Cut => FormatError::NotABundle,
            other => other,
        })?;
        let version = first.strip_prefix(MAGIC).ok_or(FormatError::NotABundle)?;
        if version != VERSION.to_string() {
            return Err(FormatError::Version {
                found: version
                    .chars()
                    .take(20)
                    .flat_map(char::escape_default)
                    .collect(),
            });
        }
        let mut field = |name: &'static str| {
            let line = line(name)?;
            let value = line.strip_prefix(name).and_then(|v| v.strip_prefix(": "));
            value.map(str::to_owned).ok_or(FormatError::Preamble(name))
        };
        let from = NodeName::parse(&field("from")?).map_err(|_| FormatError::Preamble("from"))?;
        let to = NodeName::parse(&field("to")?).map_err(|_| FormatError::Preamble("to"))?;
        let made: jiff::Timestamp = field("made")?
            .parse()
            .map_err(|_| FormatError::Preamble("made"))?;
        let id = MessageId::parse(&field("id")?).map_err(|_| FormatError::Preamble("id"))?;
        let preamble = Self {
            from,
            to,
            made_at: u64::try_from(made.as_second()).map_err(|_| FormatError::Preamble("made"))?,
            id,
        };
        // One way to write it, so that what a person reads is what was signed.
        let text = preamble.text();
        let rest = text.as_bytes().get(taken..).unwrap_or_default();
        let mut found = vec![0; rest.len()];
        exactly(input, &mut found)?;
        hash.update(&found);
        if found != rest {
            return Err(FormatError::Preamble("what to do with it"));
        }
        Ok(preamble)
    }
}

/// Writes a bundle, piece by piece.
#[derive(Debug)]
pub struct Writer {
    preamble: Preamble,
    sealer: Sealer,
    hash: Sha256,
    bytes: u64,
    /// Pieces not sealed yet. A whole segment waits until more follows, since the last is marked.
    plain: Vec<u8>,
}

impl Writer {
    /// Begins a bundle for the node with this log key; what is to be written goes to `out`.
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn new(
        preamble: Preamble,
        recipient: &VerifierKey,
        out: &mut Vec<u8>,
    ) -> Result<Self, SealError> {
        let (secret, sealer) = Sealer::to(recipient, &preamble.info())?;
        let text = preamble.text();
        let mut writer = Self {
            preamble,
            sealer,
            hash: Sha256::new(),
            bytes: 0,
            plain: Vec::new(),
        };
        writer.put(text.as_bytes(), out);
        writer.put(&secret, out);
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        out.extend_from_slice(bytes);
    }

    /// Bytes of the file so far, without what waits to be sealed.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// [`SealError::Seal`].
    pub fn piece(&mut self, piece: &v1::BundlePiece, out: &mut Vec<u8>) -> Result<(), SealError> {
        let length = u32::try_from(piece.encoded_len()).unwrap_or(u32::MAX);
        self.plain.extend_from_slice(&length.to_be_bytes());
        self.plain.extend_from_slice(&piece.encode_to_vec());
        self.seal_while(|left| left > BUNDLE_SEGMENT_BYTES, false, out)
    }

    fn seal_while(
        &mut self,
        goes_on: impl Fn(usize) -> bool,
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let mut at = 0;
        while goes_on(self.plain.len() - at) {
            let sealed = self
                .sealer
                .seal(&self.plain[at..at + BUNDLE_SEGMENT_BYTES], last)?;
            at += BUNDLE_SEGMENT_BYTES;
            let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
            self.put(&length.to_be_bytes(), out);
            self.put(&sealed, out);
        }
        self.plain.drain(..at);
        Ok(())
    }

    /// Ends the bundle with its statement; what the file itself says of it is filled in here.
    ///
    /// # Errors
    /// When it cannot be sealed or signed.
    pub fn finish(
        mut self,
        statement: v1::BundleStatement,
        key: &MessageKey,
        out: &mut Vec<u8>,
    ) -> Result<v1::BundleStatement, FormatError> {
        self.plain.extend_from_slice(&[0; 4]);
        self.seal_while(|left| left > BUNDLE_SEGMENT_BYTES, false, out)?;
        self.plain.resize(BUNDLE_SEGMENT_BYTES, 0);
        self.seal_while(|left| left > 0, true, out)?;
        self.put(&[0; 4], out);
        let statement = v1::BundleStatement {
            version: VERSION,
            sender: self.preamble.from.to_string(),
            recipient: self.preamble.to.to_string(),
            bundle_id: Bytes::copy_from_slice(self.preamble.id.as_bytes()),
            created_at: Some(prost_types::Timestamp {
                seconds: i64::try_from(self.preamble.made_at).unwrap_or(i64::MAX),
                nanos: 0,
            }),
            content_sha256: self.hash.finalize().to_vec().into(),
            content_bytes: self.bytes,
            ..statement
        };
        let signed = dsse::sign_statement(key, statement.encode_to_vec().into())?;
        let length = u32::try_from(signed.bytes.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&signed.bytes);
        Ok(statement)
    }
}

/// Reads a bundle segment by segment.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    hash: Sha256,
    bytes: u64,
    preamble: Preamble,
    secret: [u8; ENCAPSULATED_BYTES],
    /// Length of the next segment; 0: there is none.
    next_length: usize,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn new(mut input: R) -> Result<Self, FormatError> {
        let mut hash = Sha256::new();
        let preamble = Preamble::read(&mut input, &mut hash)?;
        let bytes = preamble.text().len() as u64;
        let mut reader = Self {
            input,
            hash,
            bytes,
            preamble,
            secret: [0; ENCAPSULATED_BYTES],
            next_length: 0,
        };
        let mut secret = [0; ENCAPSULATED_BYTES];
        reader.take(&mut secret)?;
        reader.secret = secret;
        reader.length()?;
        if reader.next_length == 0 {
            return Err(FormatError::Malformed("it has no content"));
        }
        Ok(reader)
    }

    /// The text at its beginning.
    #[must_use]
    pub fn preamble(&self) -> &Preamble {
        &self.preamble
    }

    fn take(&mut self, buffer: &mut [u8]) -> Result<(), FormatError> {
        exactly(&mut self.input, buffer)?;
        self.hash.update(&*buffer);
        self.bytes += buffer.len() as u64;
        if self.bytes > BUNDLE_BYTES_MAX {
            return Err(FormatError::TooLarge);
        }
        Ok(())
    }

    fn length(&mut self) -> Result<(), FormatError> {
        let mut length = [0; 4];
        self.take(&mut length)?;
        self.next_length = match u32::from_be_bytes(length) as usize {
            0 => 0,
            SEALED_BYTES => SEALED_BYTES,
            _ => return Err(FormatError::Changed),
        };
        Ok(())
    }

    /// The next segment as it lies in the file, and whether it is the last; `None` at the end.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn segment(&mut self) -> Result<Option<(Vec<u8>, bool)>, FormatError> {
        if self.next_length == 0 {
            return Ok(None);
        }
        let mut segment = vec![0; self.next_length];
        self.take(&mut segment)?;
        self.length()?;
        Ok(Some((segment, self.next_length == 0)))
    }

    /// Reads the rest and judges the whole file: the statement's signature by one of the keys that
    /// `keys` gives for it, and that it speaks of this very file.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn statement(
        mut self,
        keys: impl FnOnce(&v1::BundleStatement) -> Vec<VerifierKey>,
    ) -> Result<v1::BundleStatement, FormatError> {
        while self.segment()?.is_some() {}
        let found: [u8; 32] = self.hash.finalize().into();
        let mut length = [0; 4];
        exactly(&mut self.input, &mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > ENTRY_BYTES_MAX {
            return Err(FormatError::Changed);
        }
        let mut envelope = vec![0; length];
        exactly(&mut self.input, &mut envelope)?;
        if self.input.read(&mut [0]).map_err(FormatError::Io)? != 0 {
            return Err(FormatError::Appended);
        }
        let envelope = Bytes::from(envelope);
        // Read before it is verified, only to know which keys may have signed it.
        let claimed = v1::Entry::decode(envelope.clone())
            .ok()
            .and_then(|entry| v1::BundleStatement::decode(entry.payload).ok())
            .ok_or(FormatError::Changed)?;
        let verified = dsse::verify_statement(envelope, &keys(&claimed))?;
        let statement = v1::BundleStatement::decode(verified.payload.clone())
            .map_err(|_| FormatError::Malformed("its statement"))?;
        if statement.content_sha256 != found[..] || statement.content_bytes != self.bytes {
            return Err(FormatError::Changed);
        }
        check_statement(&statement, &self.preamble)?;
        Ok(statement)
    }
}

fn check_statement(
    statement: &v1::BundleStatement,
    preamble: &Preamble,
) -> Result<(), FormatError> {
    let made_at = statement.created_at.as_ref().map(|at| at.seconds);
    if statement.version != VERSION
        || statement.sender != preamble.from.as_str()
        || statement.recipient != preamble.to.as_str()
        || statement.bundle_id[..] != preamble.id.as_bytes()[..]
        || made_at != i64::try_from(preamble.made_at).ok()
    {
        return Err(FormatError::Malformed(
            "its statement and its first lines say different things",
        ));
    }
    if statement.start_index > statement.end_index
        || statement.end_index > statement.own_size
        || statement.own_size > CHECKPOINT_SIZE_MAX
        || statement.mirrored_size > CHECKPOINT_SIZE_MAX
    {
        return Err(FormatError::Malformed("its ranges"));
    }
    if statement.answers.len() > BUNDLE_ANSWERS_MAX
        || statement
            .answers
            .iter()
            .any(|id| MessageId::from_slice(id).is_err())
    {
        return Err(FormatError::Malformed("the bundles that it answers"));
    }
    Ok(())
}

/// The pieces of a bundle, opened.
#[derive(Debug)]
pub struct Pieces<R> {
    reader: Reader<R>,
    opener: Opener,
    plain: Vec<u8>,
    at: usize,
    last: bool,
    ended: bool,
}

impl<R: Read> Pieces<R> {
    /// Opens a bundle with the recipient's log key.
    ///
    /// # Errors
    /// [`FormatError::Sealed`].
    pub fn new(reader: Reader<R>, key: &LogKey) -> Result<Self, FormatError> {
        let opener = Opener::with(key, &reader.secret, &reader.preamble.info())?;
        Ok(Self {
            reader,
            opener,
            plain: Vec::new(),
            at: 0,
            last: false,
            ended: false,
        })
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn piece(&mut self) -> Result<Option<v1::BundlePiece>, FormatError> {
        if self.ended {
            return Ok(None);
        }
        let mut length = [0; 4];
        self.plain(4)?.copy_to(&mut length);
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 {
            self.ended = true;
            let only_zeros = self.plain[self.at..].iter().all(|byte| *byte == 0);
            if !self.last || !only_zeros {
                return Err(FormatError::Malformed("something follows its last piece"));
            }
            return Ok(None);
        }
        if length > BUNDLE_PIECE_BYTES_MAX {
            return Err(FormatError::Malformed("a piece is larger than any may be"));
        }
        let piece = self.plain(length)?.0;
        if parts::judge_in::<v1::BundlePiece>(&piece, MESSAGE_PARTS_MAX).is_err() {
            return Err(FormatError::Malformed(
                "a piece holds more messages than any may, or one that does not end",
            ));
        }
        v1::BundlePiece::decode(piece)
            .map(Some)
            .map_err(|_| FormatError::Malformed("a piece does not parse"))
    }

    /// The next bytes of the opened content.
    fn plain(&mut self, count: usize) -> Result<Plain, FormatError> {
        while self.plain.len() - self.at < count {
            if self.last {
                return Err(FormatError::Malformed("it ends within a piece"));
            }
            let (segment, last) = self.reader.segment()?.ok_or(FormatError::Cut)?;
            let opened = self.opener.open(&segment, last)?;
            self.last = last;
            self.plain.drain(..self.at);
            self.at = 0;
            self.plain.extend_from_slice(&opened);
        }
        let bytes = Bytes::copy_from_slice(&self.plain[self.at..self.at + count]);
        self.at += count;
        Ok(Plain(bytes))
    }

    /// The reader, to judge the whole file after its last piece.
    #[must_use]
    pub fn into_reader(self) -> Reader<R> {
        self.reader
    }
}

struct Plain(Bytes);

impl Plain {
    fn copy_to(&self, out: &mut [u8]) {
        out.copy_from_slice(&self.0);
    }
}

fn exactly(input: &mut impl Read, buffer: &mut [u8]) -> Result<(), FormatError> {
    input
        .read_exact(buffer)
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => FormatError::Cut,
            _ => FormatError::Io(error),
        })
}
