//! Rules for what becomes the header: names, ids, links between messages.

use super::Faults;
use crate::model::{MessageId, NodeName, body};
use crate::proto::v1;
use crate::proto::v1::Kind;
use crate::proto::v1::body::Body;

pub(super) fn check(draft: &v1::Draft, faults: &mut Faults) {
    if let Err(error) = NodeName::parse(&draft.recipient) {
        faults.add(
            "recipient",
            error.to_string(),
            "give the peer's node name; `liaison status` lists the peers",
        );
    }
    for (field, id) in [
        ("id", &draft.id),
        ("threadId", &draft.thread_id),
        ("inReplyTo", &draft.in_reply_to),
        ("supersedes", &draft.supersedes),
    ] {
        if !id.is_empty()
            && let Err(error) = MessageId::parse(id)
        {
            let remedy = match field {
                "id" => "leave it out, or make a UUID of version 7",
                _ => "copy the id of the message meant, as `liaison list` shows it",
            };
            faults.add(field, error.to_string(), remedy);
        }
    }
    for (field, other) in [
        ("inReplyTo", &draft.in_reply_to),
        ("supersedes", &draft.supersedes),
    ] {
        if !other.is_empty() && other.eq_ignore_ascii_case(&draft.id) {
            faults.add(
                field,
                "the message names itself",
                "name the earlier message meant",
            );
        }
    }
    match draft.body.as_ref().and_then(|body| body.body.as_ref()) {
        None => faults.add(
            "body",
            "there is no body",
            format!("give one of {}", known_kinds().join(", ")),
        ),
        Some(content) => check_links(draft, content, faults),
    }
}

/// The names of the bodies that people and programs send, as JSON has them.
fn known_kinds() -> Vec<String> {
    let mut kinds = body::one_of_each();
    kinds.retain(|kind| !body::is_system(kind));
    kinds.iter().map(body::json_name_of).collect()
}

fn check_links(draft: &v1::Draft, content: &Body, faults: &mut Faults) {
    if let Some(reason) = answers(body::kind_of(content))
        && draft.in_reply_to.is_empty()
    {
        faults.add("inReplyTo", reason, "give the id of that message");
    }
    if matches!(content, Body::Withdrawal(_)) && draft.supersedes.is_empty() {
        faults.add(
            "supersedes",
            "a withdrawal takes back a message",
            "give the id of the own message that is withdrawn",
        );
    }
}

/// What a message of that kind answers, if it makes no sense alone.
fn answers(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::VerificationReply => "a verification reply answers a verification request",
        Kind::DeadlineExtension => "an extension is of the time to answer a message",
        Kind::HandoverReply => "a handover reply answers a handover request",
        Kind::HandoverSupplement => "a supplement belongs to a handover request or its reply",
        Kind::HandoverSchedule => "a schedule follows a handover reply or another schedule",
        Kind::HandoverRecord => "a handover record follows what was agreed",
        Kind::ProtectionDecision => "a protection decision belongs to a handover request",
        Kind::Response => "a response answers a message of the other side",
        Kind::Countersignature => "a countersignature is of a message of the other side",
        Kind::Closure => "a closure ends the matter of a message",
        Kind::Acknowledgement => "an acknowledgement is of a message",
        _ => return None,
    })
}
