//! Bodies: which message belongs to which kind, and their bytes.

use bytes::Bytes;
use prost::Message as _;

use super::check;
use super::parts::{self, Unfit};
use super::shape::{Message, Shape};
use crate::limits::BODY_PARTS_MAX;
use crate::proto::v1;
use crate::proto::v1::body::Body;

/// Every kind this version knows: what people and programs say, and what only nodes say. The name
/// of the message is the name of the kind.
///
/// The one table from which all conversions below are made; a kind added to the proto is added
/// here and the compiler finds the rest.
macro_rules! kinds {
    (people: $($people:ident),+; nodes: $($node:ident),+ $(;)?) => {
        kinds!(@all $($people),+, $($node),+);

        /// What every body of a person says; `None` for the node's own kinds, or if it is missing.
        #[must_use]
        pub fn common(body: &Body) -> Option<&v1::Common> {
            match body {
                $(Body::$people(message) => message.common.as_ref(),)+
                $(Body::$node(_) => None,)+
            }
        }

        /// The same, to be changed; made if it is missing.
        #[must_use]
        pub fn common_mut(body: &mut Body) -> Option<&mut v1::Common> {
            match body {
                $(Body::$people(message) => Some(message.common.get_or_insert_default()),)+
                $(Body::$node(_) => None,)+
            }
        }

        /// Whether only a node says this, never a person.
        #[must_use]
        pub fn is_system(body: &Body) -> bool {
            matches!(body, $(Body::$node(_))|+)
        }

        /// Whether only a node says messages of this kind, never a person.
        #[must_use]
        pub fn is_system_kind(kind: v1::Kind) -> bool {
            matches!(kind, $(v1::Kind::$node)|+)
        }
    };
    (@all $($kind:ident),+) => {
        /// The kind of a body.
        #[must_use]
        pub fn kind_of(body: &Body) -> v1::Kind {
            match body { $(Body::$kind(_) => v1::Kind::$kind,)+ }
        }

        /// The full name of a body's protobuf message.
        #[must_use]
        pub fn schema_of(body: &Body) -> &'static str {
            match body { $(Body::$kind(_) => concat!("liaison.v1.", stringify!($kind)),)+ }
        }

        /// The name of a body's field in the wrapper, as JSON has it.
        #[must_use]
        pub fn json_name_of(body: &Body) -> String {
            let name = match body { $(Body::$kind(_) => stringify!($kind),)+ };
            name[..1].to_ascii_lowercase() + &name[1..]
        }

        /// The bytes of a body: the kind's own message, without the wrapper.
        #[must_use]
        pub fn encode(body: &Body) -> Bytes {
            match body { $(Body::$kind(message) => message.encode_to_vec().into(),)+ }
        }

        /// The first time in a body that no notification may carry, as JSON path in it.
        fn first_bad_time(body: &Body) -> Option<String> {
            match body {
                $(Body::$kind(message) => {
                    let bytes = message.encode_to_vec();
                    check::first_bad_time(&Message::read::<v1::$kind>(&bytes))
                })+
            }
        }

        /// Reads the message of a known kind and schema; `None` if this version knows them not.
        fn decode_known(
            kind: v1::Kind,
            schema: &str,
            body: &[u8],
        ) -> Option<Result<Body, prost::DecodeError>> {
            match (kind, schema) {
                $((v1::Kind::$kind, concat!("liaison.v1.", stringify!($kind))) => {
                    Some(v1::$kind::decode(body).map(Body::$kind))
                })+
                _ => None,
            }
        }

        /// Whether the schema is that of any kind this version knows.
        fn is_known_schema(schema: &str) -> bool {
            matches!(schema, $(concat!("liaison.v1.", stringify!($kind)))|+)
        }

        /// An empty body of each kind, those of nodes last.
        #[must_use]
        pub fn one_of_each() -> Vec<Body> {
            vec![$(Body::$kind(v1::$kind::default()),)+]
        }
    };
}

kinds! {
    people:
    CrossingAlert,
    CaseNotice,
    VerificationRequest,
    VerificationReply,
    DeadlineExtension,
    HandoverRequest,
    HandoverReply,
    HandoverSupplement,
    HandoverSchedule,
    HandoverRecord,
    ProtectionDecision,
    OfficialLetter,
    HotlineCall,
    MeetingProposal,
    MeetingMinutes,
    PatrolPlan,
    PatrolReport,
    GateNotice,
    WorksNotice,
    MarkerReport,
    HazardNotice,
    ActivityReport,
    ExerciseNotice,
    PeriodReport,
    Calendar,
    Roster,
    Acknowledgement,
    Response,
    Countersignature,
    Closure,
    Withdrawal;
    nodes:
    Refusal,
    KeyChange,
    Maintenance,
    AttachmentsReceived,
    ErasureNotice;
}

/// What came of reading a body.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one lives at a time, and nearly always the large one"
)]
pub enum Decoded {
    /// A body of a kind this version knows.
    Known(v1::Body),
    /// A kind or schema of a newer version: kept, mirrored, receipted and shown as such.
    Newer,
}

/// Reads a body as its header describes it.
///
/// Proves form only: fields, times that can be written down. Whether it makes sense is for
/// [`check::check_body`], and a peer's body is taken as it is.
///
/// # Errors
/// A known kind with the schema of another, bytes that are no such message or hold too many
/// others, or a time outside what RFC 3339 can express.
pub fn decode(kind: i32, schema: &str, body: &[u8]) -> Result<Decoded, BodyError> {
    // Before anything is made of it.
    let shape = is_known_schema(schema).then(|| Shape::named(schema));
    let odd_time = match shape.flatten() {
        Some(shape) => {
            let seen = parts::look(shape, body, BODY_PARTS_MAX);
            let unfit = |unfit| match unfit {
                Unfit::TooMany => BodyError::TooManyParts,
                Unfit::Broken => BodyError::Broken {
                    schema: schema.to_owned(),
                },
            };
            seen.map_err(unfit)?.odd_time
        }
        None => false,
    };
    let decoded = match v1::Kind::try_from(kind) {
        Ok(kind) => decode_known(kind, schema, body),
        Err(_) => None,
    };
    match decoded {
        Some(Ok(known)) => {
            // Rarely so, and then worth a second look: which one, and whether it is still there.
            if odd_time && let Some(field) = first_bad_time(&known) {
                return Err(BodyError::Time { field });
            }
            Ok(Decoded::Known(v1::Body { body: Some(known) }))
        }
        Some(Err(source)) => Err(BodyError::Malformed {
            schema: schema.to_owned(),
            source,
        }),
        None if is_known_schema(schema) => Err(BodyError::OtherKind {
            schema: schema.to_owned(),
            kind,
        }),
        None => Ok(Decoded::Newer),
    }
}

/// Reads a body that was admitted before, or is this node's own; `None` if this version does not
/// know its kind. See [`decode`] for one that has just come.
#[must_use]
pub fn read(kind: i32, schema: &str, body: &[u8]) -> Option<Body> {
    let kind = v1::Kind::try_from(kind).ok()?;
    decode_known(kind, schema, body)?.ok()
}

/// The files that a body names.
#[must_use]
pub fn attachments(body: &Body) -> &[v1::Attachment] {
    common(body).map_or(&[], |common| &common.attachments)
}

/// The body of an acknowledgement by `officer`, with the form filled in around it.
#[must_use]
pub fn acknowledgement(
    officer: v1::Officer,
    remark: Option<v1::LocalizedText>,
    acknowledged_at: prost_types::Timestamp,
) -> Body {
    let languages = remark
        .iter()
        .flat_map(|text| text.texts.keys().cloned())
        .collect();
    Body::Acknowledgement(v1::Acknowledgement {
        common: Some(v1::Common {
            from_office: officer.office.clone(),
            languages,
            ..v1::Common::default()
        }),
        officer: Some(officer),
        acknowledged_at: Some(acknowledged_at),
        remark,
    })
}

/// Why bytes are no body of the kind their header says.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BodyError {
    /// The schema belongs to another kind than the header says.
    #[error("the schema {schema} is not that of kind number {kind}")]
    OtherKind {
        /// As in the header.
        schema: String,
        /// As in the header.
        kind: i32,
    },
    /// No message of that schema.
    #[error("the body is no {schema}: {source}")]
    Malformed {
        /// As in the header.
        schema: String,
        /// What protobuf says.
        source: prost::DecodeError,
    },
    /// A message within it does not end where it should.
    #[error("the body is no {schema}: a message within it ends in the middle of a field")]
    Broken {
        /// As in the header.
        schema: String,
    },
    /// More messages within it than any body needs.
    #[error("the body holds more than {BODY_PARTS_MAX} messages within it")]
    TooManyParts,
    /// A time that cannot be.
    #[error("the time in {field} is outside the years 2000 to 2200")]
    Time {
        /// JSON path in the body, for example `occurredAt`.
        field: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_in_the_table_and_comes_back() {
        let mut kinds = Vec::new();
        for body in one_of_each() {
            let kind = kind_of(&body);
            let decoded = decode(kind as i32, schema_of(&body), &encode(&body)).unwrap();
            assert_eq!(decoded, Decoded::Known(v1::Body { body: Some(body) }));
            kinds.push(kind as i32);
        }
        kinds.sort_unstable();
        let all: Vec<i32> = (1..=1_000)
            .filter(|number| v1::Kind::try_from(*number).is_ok())
            .collect();
        assert_eq!(kinds, all);
    }

    #[test]
    fn newer_kinds_and_schemas_are_told_apart_from_contradictions() {
        let newer = decode(77, "liaison.v1.KindOfTomorrow", b"\xff");
        assert_eq!(newer, Ok(Decoded::Newer));
        let newer = decode(1, "liaison.v2.CrossingAlert", b"\xff");
        assert_eq!(newer, Ok(Decoded::Newer));
        let other = decode(1, "liaison.v1.OfficialLetter", b"");
        assert!(matches!(other, Err(BodyError::OtherKind { .. })));
        let other = decode(77, "liaison.v1.OfficialLetter", b"");
        assert!(matches!(other, Err(BodyError::OtherKind { .. })));
        let malformed = decode(1, "liaison.v1.CrossingAlert", b"\xff");
        assert!(matches!(malformed, Err(BodyError::Malformed { .. })));
    }

    #[test]
    fn times_that_cannot_be_written_down_are_refused() {
        let alert = v1::CrossingAlert {
            occurred_at: Some(prost_types::Timestamp {
                seconds: i64::MAX,
                nanos: -1,
            }),
            ..v1::CrossingAlert::default()
        };
        let result = decode(1, "liaison.v1.CrossingAlert", &alert.encode_to_vec());
        let field = "occurredAt".to_owned();
        assert_eq!(result, Err(BodyError::Time { field }));
    }
}
