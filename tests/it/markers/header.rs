//! What the header may say, which is signed, logged for ever and shown to auditors without the body.

use prost_reflect::Kind;

use super::fill::pool;

/// Every field of the header, and why it tells of no person. One that is added to the proto is added
/// here, by somebody who can say why.
const HEADER: &[(&str, &str)] = &[
    ("Header.id", "drawn at random, with the time it was drawn"),
    ("Header.sender", "name of a node"),
    ("Header.recipient", "name of a node"),
    ("Header.created_at", "the node's clock"),
    ("Header.kind", "one of a list"),
    ("Header.precedence", "one of a list"),
    ("Header.status", "one of a list"),
    ("Header.handling", "two choices of lists"),
    ("Header.thread_id", "an id"),
    ("Header.in_reply_to", "an id"),
    ("Header.supersedes", "an id"),
    ("Header.acknowledge_by", "a time asked for"),
    ("Header.respond_by", "a time asked for"),
    (
        "Header.body_digest",
        "salted with 32 random bytes: nobody can try bodies against it",
    ),
    (
        "Header.body_size",
        "a length; it tells how much was said, and with forms about how many persons",
    ),
    ("Header.schema", "name of the body's form"),
    ("Header.seen_size", "how many entries were mirrored"),
    ("Handling.classification", "one of a list"),
    ("Handling.code", "one of a list"),
];

#[test]
fn the_header_holds_what_is_listed_and_nothing_else() {
    let pool = pool();
    let mut found = Vec::new();
    for name in ["Header", "Handling"] {
        let message = pool
            .get_message_by_name(&format!("liaison.v1.{name}"))
            .unwrap();
        let mut fields: Vec<_> = message.fields().collect();
        fields.sort_by_key(prost_reflect::FieldDescriptor::number);
        for field in fields {
            let inner = match field.kind() {
                Kind::Message(inner) => inner.name().to_owned(),
                _ => String::new(),
            };
            // What it holds within is listed as well.
            assert!(
                ["", "Timestamp", "Handling"].contains(&inner.as_str()),
                "{inner}"
            );
            found.push(format!("{name}.{}", field.name()));
        }
    }
    let listed: Vec<&str> = HEADER.iter().map(|(field, _)| *field).collect();
    assert_eq!(found, listed);
    assert!(HEADER.iter().all(|(_, reason)| !reason.is_empty()));
}

/// The texts of the header are names that have a form: no sentence fits into them.
#[test]
fn no_free_text_fits_into_the_header() {
    use liaison::model::{Header, NodeName};
    use liaison::proto::v1;
    assert!(NodeName::parse("Nguyễn Văn Mẫu").is_err());
    let id = liaison::model::MessageId::parse(&crate::nodes::new_id()).unwrap();
    let good = v1::Header {
        id: id.as_bytes().to_vec().into(),
        thread_id: id.as_bytes().to_vec().into(),
        sender: "a.example".to_owned(),
        recipient: "b.example".to_owned(),
        created_at: Some(super::in_days(0)),
        kind: 8,
        precedence: 1,
        status: 1,
        handling: Some(v1::Handling {
            classification: 1,
            code: 0,
        }),
        body_digest: vec![0; 32].into(),
        body_size: 1,
        schema: "liaison.v1.OfficialLetter".to_owned(),
        ..v1::Header::default()
    };
    let wire = v1::Header {
        schema: "Nguyễn Văn Mẫu".to_owned(),
        ..good.clone()
    };
    let read = |wire: &v1::Header| Header::parse(&prost::Message::encode_to_vec(wire));
    assert!(read(&good).is_ok());
    assert!(read(&wire).is_err());
}
