//! How many messages lie within a serialized one, told from the bytes alone.
//!
//! An empty message within another takes two bytes on the wire and some hundred in memory, so
//! that a body of 1 MiB could become several hundred MiB. It is counted before it is parsed.

use prost_reflect::{Kind, MessageDescriptor};

use super::json;

/// Messages within messages that are followed; protobuf readers stop there as well.
const DEPTH_MAX: usize = 100;

/// Whether more than `parts_max` messages lie within the bytes of one. Bytes that are no such
/// message are looked at up to where a reader would give them up.
pub(crate) fn exceed(descriptor: &MessageDescriptor, bytes: &[u8], parts_max: usize) -> bool {
    let mut left = parts_max;
    count(descriptor, bytes, &mut left, DEPTH_MAX).is_none()
}

/// [`exceed`] for a generated message.
pub(crate) fn exceed_in<M: prost::Name>(bytes: &[u8], parts_max: usize) -> bool {
    exceed(&json::descriptor_of::<M>(), bytes, parts_max)
}

/// Takes from `left` what lies within; `None` when it does not suffice.
fn count(
    descriptor: &MessageDescriptor,
    mut bytes: &[u8],
    left: &mut usize,
    depth: usize,
) -> Option<()> {
    const DONE: Option<()> = Some(());
    while !bytes.is_empty() {
        let Some((tag, rest)) = varint(bytes) else {
            return DONE;
        };
        let length = match tag & 7 {
            0 => varint(rest).map(|(_, after)| rest.len() - after.len()),
            1 => Some(8),
            5 => Some(4),
            // A group is walked as if it were not there: that counts too much, never too little.
            3 | 4 => Some(0),
            2 => {
                let Some((length, content)) = varint(rest) else {
                    return DONE;
                };
                let within = usize::try_from(length)
                    .ok()
                    .and_then(|length| content.split_at_checked(length));
                let Some((within, after)) = within else {
                    return DONE;
                };
                bytes = after;
                let number = u32::try_from(tag >> 3).unwrap_or(0);
                let field = descriptor.get_field(number);
                if let Some(Kind::Message(inner)) = field.map(|field| field.kind()) {
                    *left = left.checked_sub(1)?;
                    if depth > 0 {
                        count(&inner, within, left, depth - 1)?;
                    }
                }
                continue;
            }
            _ => None,
        };
        match length.and_then(|length| rest.get(length..)) {
            Some(after) => bytes = after,
            None => return DONE,
        }
    }
    DONE
}

/// The number at the beginning, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::limits::BODY_PARTS_MAX;
    use crate::model::json::descriptor_named;
    use crate::model::sample;
    use crate::proto::v1;

    fn letter() -> MessageDescriptor {
        descriptor_named("liaison.v1.OfficialLetter").unwrap()
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
        assert!(!exceed(&letter(), &bytes, 10));
        assert!(exceed(&letter(), &bytes, 9));
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
            assert!(exceed(&letter(), &bytes, 0), "{front:?}");
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
            assert!(!exceed(&letter(), bytes, 0), "{bytes:?}");
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
        let descriptor = descriptor_named("liaison.v1.HandoverRequest").unwrap();
        assert!(!exceed(
            &descriptor,
            &request.encode_to_vec(),
            BODY_PARTS_MAX / 2
        ));
    }
}
