//! Rules for what becomes the header: names, ids, links between messages.

use super::Faults;
use crate::model::{MessageId, NodeName};
use crate::proto::v1;
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
            "give one of crossingAlert, handoverRequest, handoverReply, officialLetter, \
             acknowledgement, withdrawal",
        ),
        Some(content) => check_links(draft, content, faults),
    }
}

fn check_links(draft: &v1::Draft, content: &Body, faults: &mut Faults) {
    let answers = match content {
        Body::HandoverReply(_) => Some("a handover reply answers a handover request"),
        Body::Acknowledgement(_) => Some("an acknowledgement is of a message"),
        _ => None,
    };
    if let Some(reason) = answers
        && draft.in_reply_to.is_empty()
    {
        faults.add("inReplyTo", reason, "give the id of the peer's message");
    }
    if matches!(content, Body::Withdrawal(_)) && draft.supersedes.is_empty() {
        faults.add(
            "supersedes",
            "a withdrawal takes back a message",
            "give the id of the own message that is withdrawn",
        );
    }
}
