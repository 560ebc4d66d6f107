//! The fields of a serialized message one after the other, as they lie on the wire.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

/// What stands behind a field's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raw<'a> {
    /// A number of variable length.
    Varint(u64),
    /// Four bytes.
    Four(&'a [u8]),
    /// Eight bytes.
    Eight(&'a [u8]),
    /// A text, bytes, a message or packed numbers.
    Bytes(&'a [u8]),
    /// Where a group begins or ends: what lies in it comes as if the group were not there.
    Group,
}

/// Number and content of each field. Ends at what is no field, as a protobuf reader does in the outermost
/// message; in one within another a reader may go on beyond its end and then give up, see
/// [`Fields::is_whole`].
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    is_whole: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            is_whole: true,
        }
    }

    /// Whether everything up to here was a field. If not, no reader takes the message, nor any that it
    /// stands in.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    fn take(&mut self) -> Option<(u32, Raw<'a>)> {
        let tag = varint(&mut self.rest)?;
        // A number too large for a field is that of none.
        let number = u32::try_from(tag >> 3).unwrap_or(0);
        let raw = match tag & 7 {
            0 => Raw::Varint(varint(&mut self.rest)?),
            1 => Raw::Eight(self.bytes(8)?),
            2 => {
                let length = varint(&mut self.rest)?;
                Raw::Bytes(self.bytes(length)?)
            }
            3 | 4 => Raw::Group,
            5 => Raw::Four(self.bytes(4)?),
            _ => return None,
        };
        Some((number, raw))
    }

    fn bytes(&mut self, length: u64) -> Option<&'a [u8]> {
        let length = usize::try_from(length).ok()?;
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Raw<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.take();
        if field.is_none() {
            (self.rest, self.is_whole) = (&[], false);
        }
        field
    }
}

/// The number at the beginning, which is taken off.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(bytes: &[u8]) -> Vec<(u32, Raw<'_>)> {
        Fields::of(bytes).collect()
    }

    #[test]
    fn fields_of_every_width_come_in_their_order() {
        let bytes = [
            0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8,
            0x2b, 0x2c, 0x12, 0,
        ];
        let expected = [
            (1, Raw::Varint(150)),
            (2, Raw::Bytes(b"hi")),
            (3, Raw::Four(&[1, 2, 3, 4])),
            (4, Raw::Eight(&[1, 2, 3, 4, 5, 6, 7, 8])),
            (5, Raw::Group),
            (5, Raw::Group),
            (2, Raw::Bytes(b"")),
        ];
        assert_eq!(fields(&bytes), expected);
    }

    #[test]
    fn junk_ends_it() {
        let first = [(1, Raw::Varint(1))];
        for junk in [
            &[0x12][..],
            &[0x12, 3, 1, 2],
            &[0x1d, 1, 2, 3],
            &[0x21, 1, 2, 3, 4, 5, 6, 7],
            &[0x0e],
            &[0x0f],
            &[0xff; 11],
            &[0x08, 0xff, 0xff],
            &[
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0,
            ],
        ] {
            let bytes = [&[0x08, 1], junk].concat();
            assert_eq!(fields(&bytes), first, "{junk:?}");
            let mut all = Fields::of(&bytes);
            assert_eq!(all.by_ref().count(), 1);
            assert!(!all.is_whole(), "{junk:?}");
        }
    }
}
