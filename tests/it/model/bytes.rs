//! Ids, names and headers, from any bytes.

use liaison::limits;
use liaison::model::check::with_defaults;
use liaison::model::header::{Header, HeaderError, HeaderParts, body_digest};
use liaison::model::{MessageId, NodeName, Origin, body, sample, text};
use liaison::proto::v1;
use proptest::prelude::*;
use prost::Message as _;
use prost_types::Timestamp;

const NOW: Timestamp = Timestamp {
    seconds: 1_773_799_200,
    nanos: 5,
};

type Edit<'a> = &'a dyn Fn(&mut v1::Header);

fn header_of(draft: &v1::Draft) -> Result<Header, HeaderError> {
    let content = draft.body.clone().unwrap().body.unwrap();
    let id = MessageId::from_parts(1_773_799_200_000, [7; 10]);
    Header::build(&HeaderParts {
        draft,
        id,
        sender: &NodeName::parse("laocai.bg.vn.example").unwrap(),
        recipient: &NodeName::parse("hekou.ni.cn.example").unwrap(),
        created_at: NOW,
        thread_id: id,
        seen_size: 0,
        salt: &[9; limits::SALT_BYTES],
        body: &body::encode(&content),
    })
}

#[test]
fn headers_are_built_of_samples_and_read_again() {
    for sample in sample::SAMPLES {
        let draft = sample.draft().unwrap();
        let header = header_of(&draft).unwrap();
        assert_eq!(Header::parse(&header.wire.encode_to_vec()).unwrap(), header);

        let content = draft.body.clone().unwrap().body.unwrap();
        let bytes = body::encode(&content);
        assert_eq!(header.kind, body::kind_of(&content) as i32);
        assert_eq!(header.schema, body::schema_of(&content));
        assert_eq!(header.body_size as usize, bytes.len());
        assert_eq!(header.body_digest, body_digest(&[9; 32], &bytes));
        let complete = with_defaults(draft);
        assert_eq!(header.wire.handling, complete.handling);
        assert_eq!(
            (header.precedence, header.status),
            (complete.precedence, complete.status)
        );
        assert_eq!(
            header.in_reply_to.is_some(),
            !complete.in_reply_to.is_empty()
        );
        assert_eq!(header.supersedes.is_some(), !complete.supersedes.is_empty());
        let decoded = body::decode(header.kind, &header.schema, &bytes).unwrap();
        assert_eq!(decoded, body::Decoded::Known(complete.body.unwrap()));
    }
}

#[test]
fn the_digest_is_sha_256_of_salt_and_body() {
    // FIPS 180-2 B.1: SHA-256("abc").
    let abc =
        hex::decode("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").unwrap();
    assert_eq!(body_digest(b"a", b"bc").as_slice(), abc);
    assert_eq!(body_digest(b"", b"abc").as_slice(), abc);
}

#[test]
fn each_field_of_a_header_is_judged() {
    let good = header_of(&sample::SAMPLES[0].draft().unwrap())
        .unwrap()
        .wire;
    let with = |edit: Edit<'_>| {
        let mut wire = good.clone();
        edit(&mut wire);
        Header::parse(&wire.encode_to_vec())
    };
    let far = Some(Timestamp {
        seconds: 1,
        nanos: 0,
    });
    let outside: [(&str, Edit<'_>); 21] = [
        ("lacks id", &|h| h.id = bytes::Bytes::new()),
        ("id: an id has 16 bytes, not 3", &|h| {
            h.id = vec![1, 2, 3].into();
        }),
        ("id: not a UUID of version 7", &|h| {
            h.id = vec![0; 16].into();
        }),
        ("sender", &|h| h.sender = "A.b".to_owned()),
        ("recipient", &|h| h.recipient = String::new()),
        ("recipient is its sender", &|h| {
            h.recipient.clone_from(&h.sender);
        }),
        ("lacks created_at", &|h| h.created_at = None),
        ("created_at is outside", &|h| h.created_at = far),
        ("lacks kind", &|h| h.kind = 0),
        ("lacks precedence", &|h| h.precedence = 0),
        ("lacks status", &|h| h.status = 0),
        ("lacks handling", &|h| h.handling = None),
        ("lacks handling.classification", &|h| {
            h.handling = Some(v1::Handling::default());
        }),
        ("lacks thread_id", &|h| h.thread_id = bytes::Bytes::new()),
        ("in_reply_to", &|h| h.in_reply_to = vec![1].into()),
        ("supersedes", &|h| h.supersedes = vec![0; 16].into()),
        ("acknowledge_by", &|h| h.acknowledge_by = far),
        ("respond_by", &|h| h.respond_by = far),
        ("body_digest has 31", &|h| {
            h.body_digest = vec![0; 31].into();
        }),
        ("body_size is 1048577", &|h| h.body_size = 1_048_577),
        ("schema", &|h| h.schema = "liaison..Letter".to_owned()),
    ];
    for (told, edit) in outside {
        let error = with(edit).unwrap_err().to_string();
        assert!(error.contains(told), "{told}: {error}");
    }
    let inside: [Edit<'_>; 7] = [
        &|h| h.kind = 1_000_000,
        &|h| h.precedence = 77,
        &|h| h.status = -1,
        &|h| h.handling.as_mut().unwrap().classification = 99,
        &|h| h.body_size = 1_048_576,
        &|h| h.schema = "liaison.v2.Letter_3".to_owned(),
        &|h| h.acknowledge_by = None,
    ];
    for edit in inside {
        assert!(with(edit).is_ok());
    }
    assert!(Header::parse(b"").is_err());
}

#[test]
fn fields_of_a_newer_version_are_passed_over() {
    let header = header_of(&sample::SAMPLES[0].draft().unwrap()).unwrap();
    let mut payload = header.wire.encode_to_vec();
    // Field 99, length-delimited, "new".
    payload.extend_from_slice(b"\x9a\x06\x03new");
    assert_eq!(Header::parse(&payload).unwrap(), header);
}

proptest! {
    #[test]
    fn any_bytes_are_a_header_or_are_refused(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Header::parse(&payload);
    }

    #[test]
    fn any_change_of_a_header_is_read_or_refused(
        at in any::<prop::sample::Index>(), with in any::<u8>(), cut in any::<prop::sample::Index>()
    ) {
        let draft = sample::SAMPLES[0].draft().unwrap();
        let mut payload = header_of(&draft).unwrap().wire.encode_to_vec();
        let at = at.index(payload.len());
        payload[at] = with;
        let _ = Header::parse(&payload);
        payload.truncate(cut.index(payload.len()));
        let _ = Header::parse(&payload);
    }

    #[test]
    fn any_bytes_are_a_body_or_are_refused(kind in 0..30, payload in prop::collection::vec(any::<u8>(), 0..200)) {
        for sample in sample::SAMPLES {
            let content = sample.draft().unwrap().body.unwrap().body.unwrap();
            let _ = body::decode(kind, body::schema_of(&content), &payload);
        }
    }

    #[test]
    fn ids_come_back_and_sort_by_time(ms in 0_u64..1 << 48, later in 1_u64..1 << 20, a: [u8; 10], b: [u8; 10]) {
        let id = MessageId::from_parts(ms, a);
        prop_assert_eq!(MessageId::parse(&id.to_string()), Ok(id));
        prop_assert_eq!(MessageId::from_slice(id.as_bytes()), Ok(id));
        if ms + later < 1 << 48 {
            prop_assert!(id < MessageId::from_parts(ms + later, b));
        }
    }

    #[test]
    fn any_bytes_are_an_id_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..20), text in ".{0,40}") {
        let _ = MessageId::from_slice(&bytes);
        let _ = MessageId::parse(&text);
    }

    #[test]
    fn names_come_back(
        name in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,9}[a-z0-9])?){0,3}\\.[a-z]{1,9}",
        other in ".{0,30}",
    ) {
        let parsed = NodeName::parse(&name).unwrap();
        prop_assert_eq!(parsed.as_str(), &name);
        let origin = Origin::new(parsed.clone(), NodeName::parse("a.b").unwrap());
        prop_assert_eq!(Origin::parse(&origin.to_string()), Ok(origin));
        if let Ok(parsed) = NodeName::parse(&other) {
            prop_assert_eq!(parsed.to_string(), other);
        }
    }

    #[test]
    fn escaped_text_steers_nothing(hostile in any::<String>()) {
        prop_assert!(!text::escape(&hostile).chars().any(text::is_steering));
    }

    #[test]
    fn any_lines_are_a_zone_or_are_refused(
        lines in prop::collection::vec("[A-Z0-9<]{28,46}", 0..4), other in prop::collection::vec(".{0,50}", 0..4)
    ) {
        let _ = liaison::model::mrz::parse(&lines);
        let _ = liaison::model::mrz::parse(&other);
        let cut = |chars: usize| lines.iter().map(|l| format!("{l:<<chars$}")[..chars].to_owned()).collect::<Vec<_>>();
        for chars in [30, 36, 44] {
            let _ = liaison::model::mrz::parse(&cut(chars));
        }
    }
}
