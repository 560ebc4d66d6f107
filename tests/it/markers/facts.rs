//! What the cases know of a message lies sealed as its body does, and is gone when its key is.

use liaison::model::MessageId;
use liaison::model::workflow::Standing;
use liaison::proto::v1::body::Body;
use liaison::store::{Direction, KeyAddress, Store as _};

use super::{Markers, body_mut, draft, in_days};
use crate::sides::{Side, join, link_of, quiet, sides, submit};

/// First byte of facts that are sealed; of others it is their version.
const SEALED: u8 = 0xff;

/// The facts of a side that lie sealed, and how many do not.
fn facts(side: &Side) -> (Vec<KeyAddress>, usize) {
    let rows = side.store.scan(b"K", b"L", 100_000, Direction::Forward);
    let rows = rows.unwrap();
    let first = rows.iter().filter(|(key, _)| key.len() == 28);
    let sealed: Vec<KeyAddress> = first
        .clone()
        .filter(|(_, value)| value[0] == SEALED)
        .map(|(_, value)| KeyAddress::decode(value[1..7].try_into().unwrap()))
        .collect();
    let open = first.count() - sealed.len();
    (sealed, open)
}

fn standings(exchange: &liaison::exchange::Exchange, case: MessageId) -> (Vec<Standing>, usize) {
    let link = link_of(exchange);
    let told = exchange.with_cases(&link, |cases| {
        let folded = cases.folded(case).unwrap().unwrap();
        let messages = folded.messages.iter();
        let standings = messages.map(|judged| judged.standing.clone()).collect();
        (standings, folded.matters.len())
    });
    told.unwrap()
}

#[tokio::test]
async fn what_a_message_said_is_gone_with_its_key_and_nobody_is_blamed_for_it() {
    let (a, b) = sides();
    let (left, right) = (a.open(&b), b.open(&a));
    let running = join(&left, &right);
    let mut markers = Markers::default();
    let request = markers.fill(&draft("handover-request", b.name.as_str(), ""));
    let id = submit(&left, request).await.unwrap().id;
    quiet(&left, &right).await;
    let mut reply = draft("handover-reply", a.name.as_str(), &id.to_string());
    if let Body::HandoverReply(reply) = body_mut(&mut reply) {
        for decision in &mut reply.decisions {
            decision.outcome = liaison::proto::v1::HandoverOutcome::Accepted.into();
            decision.reason = None;
            decision.valid_until = Some(in_days(3_000));
        }
    }
    submit(&right, reply).await.unwrap();
    quiet(&left, &right).await;
    assert_eq!(standings(&left, id), (vec![Standing::Applied; 2], 1));
    let (sealed, open) = facts(&a);
    assert_eq!((sealed.len(), open), (2, 0), "one of each message");
    drop(running.end().await);
    drop((left, right));

    // They are read back as they were.
    let left = a.open(&b);
    assert_eq!(standings(&left, id), (vec![Standing::Applied; 2], 1));
    drop(left);

    // The request is erased: nothing of it is left, and the answer to it is no breach of the rules.
    assert_eq!(a.vault().destroy(&sealed[..1]).unwrap(), 1);
    let left = a.open(&b);
    let (found, matters) = standings(&left, id);
    assert_eq!(matters, 0);
    assert_eq!(found[0], Standing::Applied);
    assert!(matches!(found[1], Standing::Crossed(_)), "{found:?}");
    assert_eq!(left.incidents(10).unwrap(), Vec::new());
}
