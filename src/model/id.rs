//! The id of a message.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The id of a message: a UUID of version 7, unique for ever.
///
/// It is the idempotency key of a submission. Its leading 48 bits are milliseconds since 1970, so
/// ids sort roughly by age; nothing relies on that but the cost of an index.
///
/// Source: RFC 9562 §5.7.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; 16]);

impl MessageId {
    /// Reads the hyphenated text form, in either case.
    ///
    /// # Errors
    /// Another form, or a UUID of another version.
    pub fn parse(id: &str) -> Result<Self, IdError> {
        // The length leaves only the hyphenated one of the forms that `uuid` reads.
        if id.len() != 36 {
            return Err(IdError::Form);
        }
        let uuid = Uuid::try_parse(id).map_err(|_| IdError::Form)?;
        Self::from_slice(uuid.as_bytes())
    }

    /// Reads the 16-byte form.
    ///
    /// # Errors
    /// Another length, or a UUID of another version or variant.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, IdError> {
        let id: [u8; 16] = bytes
            .try_into()
            .map_err(|_| IdError::Length { bytes: bytes.len() })?;
        if id[6] >> 4 != 7 || id[8] >> 6 != 0b10 {
            return Err(IdError::Version);
        }
        Ok(Self(id))
    }

    /// Makes an id of a time in milliseconds since 1970 and 74 random bits.
    ///
    /// Six of the 80 bits of `random` give way to version and variant.
    #[must_use]
    pub fn from_parts(unix_ms: u64, random: [u8; 10]) -> Self {
        let mut id = [0; 16];
        id[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
        id[6..].copy_from_slice(&random);
        id[6] = (id[6] & 0x0f) | 0x70;
        id[8] = (id[8] & 0x3f) | 0x80;
        Self(id)
    }

    /// The 16 bytes, as headers carry them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Uuid::from_bytes(self.0).hyphenated(), f)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageId {
    type Err = IdError;

    fn from_str(id: &str) -> Result<Self, IdError> {
        Self::parse(id)
    }
}

/// Why something is no message id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not the hyphenated text form.
    #[error("not a UUID in the form 0190f5fe-7c00-7a00-8000-000000000001")]
    Form,
    /// Not 16 bytes.
    #[error("an id has 16 bytes, not {bytes}")]
    Length {
        /// Its length.
        bytes: usize,
    },
    /// Another version or variant.
    #[error("not a UUID of version 7 (RFC 9562)")]
    Version,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer_of_rfc_9562() {
        // RFC 9562 appendix A.6.
        let text = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
        let id = MessageId::parse(text).unwrap();
        assert_eq!(id.to_string(), text);
        let random = *id.as_bytes().last_chunk().unwrap();
        assert_eq!(MessageId::from_parts(0x017F_22E2_79B0, random), id);
        assert_eq!(MessageId::parse(&text.to_uppercase()), Ok(id));
    }

    #[test]
    fn other_forms_are_refused() {
        let v4 = "919108f7-52d1-4320-9bac-f847db4148a8";
        assert_eq!(MessageId::parse(v4), Err(IdError::Version));
        let ncs_variant = "017f22e2-79b0-7cc3-78c4-dc0c0c07398f";
        assert_eq!(MessageId::parse(ncs_variant), Err(IdError::Version));
        for form in [
            "",
            "017f22e279b07cc398c4dc0c0c07398f",
            "{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}",
            "urn:uuid:017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
            "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
            "017f22e2-79b0-7cc3-98c4dc0c0c07398f0-",
        ] {
            assert_eq!(MessageId::parse(form), Err(IdError::Form), "{form}");
        }
        let short = MessageId::from_slice(&[0; 15]);
        assert_eq!(short, Err(IdError::Length { bytes: 15 }));
    }
}
