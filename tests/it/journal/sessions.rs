//! Witnessing within sessions: both sides, and a hostile one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use liaison::exchange::Exchange;
use liaison::journal::{Act, Deed, Journal};
use liaison::limits::JOURNAL_OFFERS_BURST_MAX;
use liaison::model::NodeName;
use liaison::proto::v1::{self, frame};

use super::of_side;
use crate::hostile::Hostile;
use crate::sides::{Side, join, patiently, sides, up};

async fn note(journal: &Journal, count: u64) {
    for number in 0..count {
        let deed = Deed::new("operator/mai", Act::Read).message(number);
        journal.note(deed).await.unwrap();
    }
}

/// Waits until so many entries of a journal are cosigned by a peer.
async fn cosigned(journal: &Journal, peer: &NodeName, size: u64) {
    patiently(async {
        while journal
            .last_cosigned(peer)
            .unwrap()
            .is_none_or(|(held, _)| held < size)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn incident(exchange: &Exchange, what: &str) -> liaison::exchange::hold::Incident {
    patiently(async {
        loop {
            let incidents = exchange.incidents(100).unwrap();
            if let Some(found) = incidents.into_iter().find(|i| i.what.contains(what)) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

fn open(side: &Side, peer: &Side, journal: &Journal) -> Arc<Exchange> {
    let exchange = side.open(peer);
    exchange.keep_journal(journal.clone(), BTreeSet::new());
    exchange
}

#[tokio::test]
async fn both_sides_witness_each_other_over_sessions_and_restarts() {
    let (a, b) = sides();
    let ((left, _), (right, _)) = (of_side(&a), of_side(&b));
    for end in [3, 300] {
        note(&left, end).await;
        note(&right, end + 1).await;
        let (x, y) = (open(&a, &b, &left), open(&b, &a, &right));
        let running = join(&x, &y);
        cosigned(&left, &b.name, left.size()).await;
        cosigned(&right, &a.name, right.size()).await;
        running.end().await;
        assert_eq!(x.incidents(10).unwrap().len(), 0);
        let keys = x.journal_keys();
        let (_, note) = left.last_cosigned(&b.name).unwrap().unwrap();
        let judged =
            liaison::crypto::journal::verify(&a.name, &note, &keys.own, &keys.witnesses).unwrap();
        assert_eq!(judged.witnessed.len(), 1);
        assert_eq!(judged.checkpoint.root, left.root());
    }
    assert_eq!(right.witnessed().unwrap()[0].0, a.name.as_str());
}

#[tokio::test]
async fn a_journal_that_was_written_anew_is_an_incident_on_both_sides_and_holds_no_link() {
    let (a, b) = sides();
    let ((left, _), (right, _)) = (of_side(&a), of_side(&b));
    note(&left, 20).await;
    let (x, y) = (open(&a, &b, &left), open(&b, &a, &right));
    let running = join(&x, &y);
    cosigned(&left, &b.name, 20).await;
    running.end().await;
    drop((x, y));
    // The node comes back with another journal, which knows of no witness.
    let (anew, _) = of_side(&a);
    note(&anew, 25).await;
    anew.note(Deed::new("node", Act::Begun)).await.unwrap();
    let (x, y) = (open(&a, &b, &anew), open(&b, &a, &right));
    let running = join(&x, &y);
    up(&x, &y).await;
    // Here it is the old size that is wrong: what the peer has cosigned shows whose journal it was.
    let own = incident(&x, "set back").await;
    assert_eq!(own.evidence.len(), 1);
    // And the peer is shown what there is now: it holds both notes, signed by the node.
    let theirs = incident(&y, "set back or written anew").await;
    assert_eq!(theirs.evidence.len(), 2);
    assert!(theirs.evidence[0].contains("\n20\n"));
    assert!(theirs.evidence[1].contains("\n26\n"));
    running.end().await;
    assert!(anew.last_cosigned(&b.name).unwrap().is_none());
    // A shorter one is seen by the peer itself.
    drop((x, y));
    let (short, _) = of_side(&a);
    note(&short, 2).await;
    let (x, y) = (open(&a, &b, &short), open(&b, &a, &right));
    let running = join(&x, &y);
    let theirs = incident(&y, "set back or written anew").await;
    assert_eq!(theirs.evidence.len(), 2);
    assert!(theirs.what.contains("liaison journal accept"));
    up(&x, &y).await;
    running.end().await;
    // Accepted by a person, it is witnessed from there.
    right.accept_anew(&a.name).await.unwrap();
    let running = join(&x, &y);
    cosigned(&short, &b.name, 2).await;
    running.end().await;
}

/// The offer as a frame.
fn framed(offer: liaison::journal::Offer) -> frame::Frame {
    let consistency = offer.consistency.iter().map(|h| h.0.to_vec().into());
    frame::Frame::JournalOffer(v1::JournalOffer {
        checkpoint: offer.note,
        old_size: offer.old_size,
        consistency: consistency.collect(),
    })
}

async fn answered(hostile: &mut Hostile<'_>) -> v1::JournalAnswer {
    loop {
        match patiently(hostile.next()).await {
            Some(frame::Frame::JournalAnswer(answer)) => return answer,
            Some(_) => {}
            None => panic!("the session has ended"),
        }
    }
}

#[tokio::test]
async fn who_is_told_what_was_cosigned_and_shows_nothing_that_extends_it_is_an_incident() {
    let (me, node) = sides();
    let (journal, _) = of_side(&node);
    let exchange = open(&node, &me, &journal);
    let key = me.keys().log;
    let (mine, _) = of_side(&me);
    note(&mine, 5).await;
    let mut hostile = Hostile::meet(&me, &node, &exchange).await;
    hostile.send(framed(mine.offer(&key, 0).unwrap())).await;
    assert!(!answered(&mut hostile).await.cosigned.is_empty());
    // Another journal that has grown past what was cosigned, from an older past that both have.
    let (other, _) = of_side(&me);
    note(&other, 9).await;
    hostile.send(framed(other.offer(&key, 2).unwrap())).await;
    let answer = answered(&mut hostile).await;
    assert_eq!((answer.known_size, answer.contradiction), (5, false));
    assert_eq!(exchange.incidents(10).unwrap().len(), 0);
    hostile.hang_up().await;
    let told = incident(&exchange, "has not shown that it extends them").await;
    assert_eq!(told.evidence.len(), 2);
    assert!(told.evidence[1].contains("\n9\n"));
}

#[tokio::test]
async fn who_was_witnessed_and_shows_no_journal_any_more_is_one_incident() {
    let (me, node) = sides();
    let (journal, _) = of_side(&node);
    let exchange = open(&node, &me, &journal);
    let (mine, _) = of_side(&me);
    note(&mine, 5).await;
    let mut hostile = Hostile::meet(&me, &node, &exchange).await;
    let offer = mine.offer(&me.keys().log, 0).unwrap();
    hostile.send(framed(offer)).await;
    assert!(!answered(&mut hostile).await.cosigned.is_empty());
    hostile.hang_up().await;
    assert_eq!(exchange.incidents(10).unwrap().len(), 0);
    // Its Hello says that it takes no part.
    for _ in 0..2 {
        hostile.connect();
        hostile.greet().await;
        incident(&exchange, "no longer shown").await;
        hostile.hang_up().await;
    }
    assert_eq!(exchange.incidents(10).unwrap().len(), 1);
}

#[tokio::test]
async fn where_it_is_switched_off_nothing_is_offered_nor_taken() {
    let (a, b) = sides();
    let ((left, _), (right, _)) = (of_side(&a), of_side(&b));
    note(&left, 4).await;
    note(&right, 4).await;
    let (x, y) = (a.open(&b), open(&b, &a, &right));
    x.keep_journal(left.clone(), [b.name.clone()].into());
    let running = join(&x, &y);
    crate::sides::submit(&x, crate::sides::letter(&b, 1))
        .await
        .unwrap();
    crate::sides::quiet(&x, &y).await;
    running.end().await;
    assert!(left.cosigned().unwrap().is_empty());
    assert!(right.cosigned().unwrap().is_empty());
    assert!(left.witnessed().unwrap().is_empty());
}

#[tokio::test]
async fn a_hostile_peer_gets_so_many_offers_looked_at_and_harms_nothing() {
    let (me, node) = sides();
    let (journal, _) = of_side(&node);
    let exchange = open(&node, &me, &journal);
    let mut hostile = Hostile::meet(&me, &node, &exchange).await;
    let (mine, _) = of_side(&me);
    // Nonsense of all kinds, and more than is looked at.
    for offer in [
        v1::JournalOffer::default(),
        v1::JournalOffer {
            checkpoint: "x".repeat(1 << 20),
            ..v1::JournalOffer::default()
        },
        v1::JournalOffer {
            consistency: vec![vec![7; 31].into(); 70_000 / 31],
            ..v1::JournalOffer::default()
        },
    ] {
        hostile.send(frame::Frame::JournalOffer(offer)).await;
    }
    for answer in [
        v1::JournalAnswer::default(),
        v1::JournalAnswer {
            known_size: u64::MAX,
            known: "no note".to_owned(),
            contradiction: true,
            ..v1::JournalAnswer::default()
        },
    ] {
        hostile.send(frame::Frame::JournalAnswer(answer)).await;
    }
    let key = me.keys().log;
    let mut old_size = 0;
    for _ in 0..10 {
        note(&mine, 1).await;
        let offer = mine.offer(&key, old_size).unwrap();
        old_size = mine.size();
        let offer = v1::JournalOffer {
            checkpoint: offer.note,
            old_size: offer.old_size,
            consistency: offer
                .consistency
                .iter()
                .map(|h| h.0.to_vec().into())
                .collect(),
        };
        hostile.send(frame::Frame::JournalOffer(offer)).await;
    }
    // The link works on.
    let letters = hostile.letters(3);
    let push = hostile.append(letters);
    hostile.send(frame::Frame::Push(push)).await;
    let mut answers = 0;
    loop {
        match patiently(hostile.next()).await {
            Some(frame::Frame::Cosigned(_)) => break,
            Some(frame::Frame::JournalAnswer(_)) => answers += 1,
            Some(frame::Frame::JournalOffer(_)) => panic!("it never said that it witnesses"),
            Some(_) => {}
            None => panic!("the session has ended"),
        }
    }
    assert!(answers <= JOURNAL_OFFERS_BURST_MAX, "{answers}");
    hostile.hang_up().await;
    let seen = journal.witnessed().unwrap();
    let last = seen.first().map_or(0, |(_, kept)| {
        let line = kept.note.lines().nth(1).unwrap();
        line.parse::<u32>().unwrap()
    });
    assert!(last <= JOURNAL_OFFERS_BURST_MAX, "{last}");
    assert_eq!(exchange.incidents(10).unwrap().len(), 0);
}
