//! A case takes so many messages of each side; and however many a hostile side sends, little is
//! done for each.

use liaison::limits::{CASE_LOOKBACK_MAX, CASE_MESSAGES_MAX};
use liaison::model::workflow::{Party, Said, Standing};
use liaison::proto::v1::Stance;

use super::language::{About, World, response, to};

const A: Party = Party::A;
const B: Party = Party::B;

fn letter() -> Said {
    Said::Letter { reply_by: None }
}

#[test]
fn a_case_takes_so_many_messages_of_each_side_and_not_one_more() {
    let mut world = World::new();
    world.says(A, "first", letter(), &About::default()).unwrap();
    for _ in 1..CASE_MESSAGES_MAX {
        let facts = world.facts(A, letter(), &to("first"));
        world.book.judge(A, &facts).unwrap();
        world.insists(A, "more", facts);
    }
    let facts = world.facts(A, letter(), &to("first"));
    let impossible = world.book.judge(A, &facts).unwrap_err();
    assert!(impossible.reason.contains("begin another"));
    world.now += 1;
    let thread = facts.thread;
    world.book.take(A, Some(facts.clone()));
    let folded = world.book.folded(thread).unwrap();
    assert_eq!(folded.messages.len(), CASE_MESSAGES_MAX);
    let last = folded.all_messages().last().unwrap();
    assert_eq!(last.facts.id, facts.id);
    assert_eq!(last.standing, Standing::Breach(impossible));
    // The other side still has its word.
    world
        .says(B, "ack", Said::Acknowledgement, &to("first"))
        .unwrap();
    let view = world.view("first");
    assert_eq!(view.messages.len(), CASE_MESSAGES_MAX + 2);
    assert_eq!(view.matters.len(), CASE_MESSAGES_MAX);
}

/// When too much would have to be looked at, the author is believed: what is not possible has no
/// effect either way.
#[test]
fn beyond_the_limit_of_looking_back_nobody_is_blamed() {
    let mut world = World::new();
    world.says(A, "first", letter(), &About::default()).unwrap();
    for _ in 0..100 {
        world.says(A, "more", letter(), &to("first")).unwrap();
    }
    // None of it is possible, and it says to have seen only the first.
    let about = About {
        seen: Some(1),
        ..to("first")
    };
    let mut blamed = 0_usize;
    let mut looked_at = 0;
    for sent in 0..CASE_MESSAGES_MAX {
        let facts = world.facts(B, response(Stance::Agreed), &about);
        let standing = world.insists(B, "no", facts);
        looked_at += 1 + sent;
        match standing {
            Standing::Breach(_) => blamed += 1,
            Standing::Crossed(_) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(looked_at > CASE_LOOKBACK_MAX);
    assert!(blamed > 50, "{blamed}");
}
