//! How many messages lie within a serialized one, told from the bytes alone.
//!
//! An empty message within another takes two bytes on the wire and some hundred in memory, so
//! that a body of 1 MiB could become several hundred MiB. It is counted before it is parsed.

use prost::Message as _;
use prost_types::Timestamp;

use super::shape::Shape;
use super::time;
use super::wire::{Fields, Raw};

/// Messages within messages that are followed; protobuf readers stop there as well.
const DEPTH_MAX: usize = 100;

/// What was seen while the messages within one were counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whether a time stands there that no notification may carry. If the bytes are such a message,
    /// none does where this says no. Where it says yes, something after it may have replaced it.
    pub(crate) odd_time: bool,
}

/// Why nothing may be made of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// More messages lie within them.
    TooMany,
    /// A message within them ends in the middle of a field. No reader takes that; but one may read on
    /// beyond its end before it says so, and make messages of what was not counted.
    Broken,
}

/// Counts the messages within the bytes of one. Bytes that are no such message at the outermost level are
/// looked at up to where a reader gives them up.
///
/// # Errors
/// [`Unfit`].
pub(crate) fn look(shape: &'static Shape, bytes: &[u8], parts_max: usize) -> Result<Seen, Unfit> {
    let mut seen = Seen::default();
    let mut left = parts_max;
    count(shape, bytes, &mut left, DEPTH_MAX, &mut seen)?;
    Ok(seen)
}

/// The same of the bytes of a generated message.
///
/// # Errors
/// [`Unfit`].
pub(crate) fn judge_in<M: prost::Name>(bytes: &[u8], parts_max: usize) -> Result<(), Unfit> {
    look(Shape::of::<M>(), bytes, parts_max).map(drop)
}

/// How many messages lie within the bytes of a generated message.
pub(crate) fn count_in<M: prost::Name>(bytes: &[u8]) -> usize {
    let mut left = usize::MAX;
    // Each takes a byte at least: there are never so many.
    let _ = count(
        Shape::of::<M>(),
        bytes,
        &mut left,
        DEPTH_MAX,
        &mut Seen::default(),
    );
    usize::MAX - left
}

/// Takes from `left` what lies within.
fn count(
    shape: &'static Shape,
    bytes: &[u8],
    left: &mut usize,
    depth: usize,
    seen: &mut Seen,
) -> Result<(), Unfit> {
    // A group is walked as if it were not there: that counts too much, never too little.
    let mut fields = Fields::of(bytes);
    for (number, raw) in fields.by_ref() {
        let Raw::Bytes(within) = raw else { continue };
        let Some(inner) = shape.field(number).and_then(|(_, field)| field.inner()) else {
            continue;
        };
        *left = left.checked_sub(1).ok_or(Unfit::TooMany)?;
        if inner.is_time {
            // A time that is given in pieces has no proper second in one of them, or proper ones in
            // all: the last one counts, and is proper then as well.
            let at = Timestamp::decode(within);
            seen.odd_time |= !at.is_ok_and(|at| time::in_range(&at));
        } else if depth > 0 {
            count(inner, within, left, depth - 1, seen)?;
        }
    }
    if depth < DEPTH_MAX && !fields.is_whole() {
        return Err(Unfit::Broken);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BODY_PARTS_MAX;
    use crate::model::sample;
    use crate::proto::v1;

    fn letter() -> &'static Shape {
        Shape::of::<v1::OfficialLetter>()
    }

    fn exceed(shape: &'static Shape, bytes: &[u8], parts_max: usize) -> bool {
        look(shape, bytes, parts_max) == Err(Unfit::TooMany)
    }

    /// A message within that claims more than the one it stands in has: prost reads on behind it, where
    /// nothing was counted, before it refuses.
    #[test]
    fn a_message_that_reaches_beyond_its_own_is_broken() {
        let many = [0x12, 0].repeat(10_000);
        let mut claimed = Vec::new();
        prost::encoding::encode_varint(many.len() as u64, &mut claimed);
        // SessionRequest { frame: 4 bytes { push: claims all that follows } }
        let bytes = [&[0x0a, 4, 0x12], &claimed[..], &many].concat();
        assert_eq!(claimed.len(), 3);
        let shape = Shape::of::<v1::SessionRequest>();
        assert_eq!(look(shape, &bytes, 131_072), Err(Unfit::Broken));
        assert!(v1::SessionRequest::decode(&bytes[..]).is_err());
    }

    #[test]
    fn what_lies_within_is_counted_to_one() {
        let common = v1::Common {
            attachments: vec![v1::Attachment::default(); 9],
            ..v1::Common::default()
        };
        let letter_of_ten = v1::OfficialLetter {
            common: Some(common),
            ..v1::OfficialLetter::default()
        };
        let bytes = letter_of_ten.encode_to_vec();
        assert!(!exceed(letter(), &bytes, 10));
        assert!(exceed(letter(), &bytes, 9));
        assert_eq!(count_in::<v1::OfficialLetter>(&bytes), 10);
        assert_eq!(count_in::<v1::OfficialLetter>(&[]), 0);
    }

    #[test]
    fn nothing_in_front_hides_what_follows() {
        let common = [0x0a, 0];
        // A group, numbers of every width, an unknown field: then the message.
        for front in [
            &[0xa3, 0x3f, 0xa4, 0x3f][..],
            &[0xa0, 0x3f, 0x80, 0x01],
            &[0xa1, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0xa5, 0x3f, 0, 0, 0, 0],
            &[0xa2, 0x3f, 2, 0x0a, 0],
        ] {
            let bytes = [front, &common].concat();
            assert!(exceed(letter(), &bytes, 0), "{front:?}");
        }
    }

    #[test]
    fn junk_is_looked_at_without_harm() {
        for bytes in [
            &[0x0a][..],
            &[0x0a, 0xff],
            &[0xff; 40],
            &[0x09, 1],
            &[0x0f],
            &[
                0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
        ] {
            assert!(!exceed(letter(), bytes, 0), "{bytes:?}");
        }
    }

    #[test]
    fn the_largest_honest_body_stays_far_below() {
        let draft = sample::find("handover-request").unwrap().draft().unwrap();
        let Some(v1::body::Body::HandoverRequest(mut request)) = draft.body.unwrap().body else {
            panic!("the sample is a handover request");
        };
        let one = request.persons[0].clone();
        request
            .persons
            .resize(crate::limits::HANDOVER_PERSONS_MAX, one);
        assert!(!exceed(
            Shape::of::<v1::HandoverRequest>(),
            &request.encode_to_vec(),
            BODY_PARTS_MAX / 2
        ));
    }
}
