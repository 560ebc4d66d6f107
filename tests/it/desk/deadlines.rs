//! Deadlines before two nodes and a clock that is set: what is due is told once, in order, and
//! lateness is proven by what the late side signed itself.

use std::path::Path;

use liaison::audit::verify::verify_export;
use liaison::exchange::LogSide;
use liaison::exchange::clock::Clock as _;
use liaison::model::calendar::find_sample;
use liaison::proto::v1::{DueState, OwedThing, WatchEvent};

use super::following::{follow, until_caught_up};
use super::*;
use crate::sides::{Running, join, link_of, patiently, quiet, submit, up};

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;

/// 2026-11-18T11:06:40Z, a Wednesday: where the clocks of tests start.
const START: u64 = 1_795_000_000_000;

/// Two nodes with a link, and a desk before the first. It is Lào Cai's; the peer is Hekou.
struct Pair {
    counter: Counter,
    theirs: Arc<Exchange>,
    running: Option<Running>,
}

impl Pair {
    async fn open() -> Self {
        let counter = Counter::open().await;
        let theirs = counter.peer.open(&counter.side);
        let running = join(&counter.exchange, &theirs);
        up(&counter.exchange, &theirs).await;
        Self {
            counter,
            theirs,
            running: Some(running),
        }
    }

    fn ours(&self) -> &Arc<Exchange> {
        &self.counter.exchange
    }

    /// Sends as this node, and waits for the receipt.
    async fn ask(&self, draft: v1::Draft) -> String {
        let recorded = submit(self.ours(), draft).await.unwrap();
        quiet(self.ours(), &self.theirs).await;
        recorded.id.to_string()
    }

    /// Sends as the peer, and waits for the receipt.
    async fn answer(&self, mut draft: v1::Draft, to: &str) -> String {
        draft.id.clear();
        draft.recipient = self.counter.side.name.to_string();
        to.clone_into(&mut draft.in_reply_to);
        draft.thread_id.clear();
        let recorded = submit(&self.theirs, draft).await.unwrap();
        quiet(self.ours(), &self.theirs).await;
        recorded.id.to_string()
    }

    fn set_clocks(&self, ms: u64) {
        for side in [&self.counter.side, &self.counter.peer] {
            side.clock.advance(ms - ms_of(side));
        }
    }

    /// What the nodes do by themselves now and then.
    async fn turn(&self) {
        for exchange in [self.ours(), &self.theirs] {
            exchange.turn(&link_of(exchange)).await.unwrap();
        }
    }

    /// Waits for a checkpoint that the peer has dated now.
    async fn heartbeat(&self) {
        let link = link_of(self.ours());
        let now = self.counter.peer.clock.unix_seconds();
        let reader = self.ours().reader(&link, LogSide::Mirror);
        let backward = liaison::store::Direction::Backward;
        let heard = async {
            loop {
                let dated = reader.dated(0, u64::MAX, 64, backward).unwrap();
                let is_now = |note: &str| {
                    let signed = link.mirror_verifier.checkpoint(note).unwrap();
                    signed.authored_at == now
                };
                if dated.iter().any(|(_, note)| is_now(note)) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        patiently(heard).await;
    }

    async fn due(&self, request: v1::ListDueRequest) -> Vec<v1::Due> {
        let mut desk = self.counter.operator().await;
        desk.list_due(request).await.unwrap().into_inner().dues
    }

    async fn all_due(&self) -> Vec<v1::Due> {
        self.due(v1::ListDueRequest::default()).await
    }

    /// The stages that were recorded here, in order.
    fn stages(&self) -> Vec<String> {
        let link = link_of(self.ours());
        let stages = self.ours().stages_from(&link, 0, usize::MAX).unwrap();
        let of = |(_, reached): (u64, liaison::exchange::remind::Reached)| {
            format!("{} of {}", reached.stage, reached.owed.word())
        };
        stages.into_iter().map(of).collect()
    }
}

/// A calendar of the samples as its side publishes it.
fn calendar(name: &str) -> v1::Draft {
    let calendar = find_sample(name).unwrap().read().unwrap();
    let mut content = calendar.to_message(v1::Common {
        from_office: "示例站".to_owned(),
        to_office: "Trạm mẫu".to_owned(),
        languages: vec!["en".to_owned(), "vi".to_owned(), "zh-Hans".to_owned()],
        ..v1::Common::default()
    });
    let names = content.days_off.iter().chain(&content.working_days);
    let tags: BTreeSet<String> = names
        .filter_map(|day| day.name.as_ref())
        .flat_map(|name| name.texts.keys().cloned())
        .collect();
    content.common.as_mut().unwrap().languages = tags.into_iter().collect();
    v1::Draft {
        body: Some(v1::Body {
            body: Some(v1::body::Body::Calendar(content)),
        }),
        ..v1::Draft::default()
    }
}

fn ms_of(side: &Side) -> u64 {
    side.clock.unix_ms()
}

#[expect(clippy::unnecessary_wraps, reason = "times of messages are optional")]
fn at(ms: u64) -> Option<prost_types::Timestamp> {
    Some(liaison::exchange::clock::timestamp_of_ms(ms))
}

/// A letter to be answered so many milliseconds after the start.
fn letter_due(to: &Side, number: usize, after: u64) -> v1::Draft {
    let mut draft = crate::sides::letter(to, number);
    let Some(v1::body::Body::OfficialLetter(letter)) = &mut draft.body.as_mut().unwrap().body
    else {
        unreachable!()
    };
    letter.reply_by = at(START + after);
    let common = letter.common.as_mut().unwrap();
    common.not_applicable.retain(|field| field != "replyBy");
    draft
}

/// The stages that were recorded on a node's one link, in order, each with the index it is about.
fn stages_of(exchange: &Exchange) -> Vec<String> {
    let told = exchange.stages_from(&link_of(exchange), 0, usize::MAX);
    let told = told.unwrap().into_iter();
    told.map(|(_, reached)| format!("{} {}", reached.stage, reached.index))
        .collect()
}

#[tokio::test]
async fn each_stage_falls_once_in_order_whatever_happens_to_the_node() {
    let (side, peer) = sides();
    let (mut ours, theirs) = (side.open(&peer), peer.open(&side));
    let running = join(&ours, &theirs);
    for (number, after) in [(1, 10 * HOUR), (2, 100 * HOUR)] {
        submit(&ours, letter_due(&peer, number, after))
            .await
            .unwrap();
    }
    quiet(&ours, &theirs).await;
    drop(running.end().await);

    // Hours after the start, and what has been told by then: a short term is recalled half-way, a
    // long one a day before.
    let soon = "reminder 0";
    let first = [soon, "overdue 0"];
    let day_after = [soon, "overdue 0", "escalated 0"];
    let all = [soon, "overdue 0", "escalated 0", "reminder 1"];
    let table: [(u64, &[&str]); 5] = [
        (0, &[]),
        (5, &[soon]),
        (10, &first),
        (34, &day_after),
        (76, &all),
    ];
    for (hours, expected) in table {
        side.clock
            .advance(START + hours * HOUR - ms_of(&side) - u64::from(hours > 0));
        ours.turn(&link_of(&ours)).await.unwrap();
        assert!(
            stages_of(&ours).len() < expected.len().max(1),
            "{hours} h, not before"
        );
        // Killed, and up again when the time has come: told all the same, and told once.
        drop(ours);
        side.clock.advance(START + hours * HOUR - ms_of(&side));
        ours = side.open(&peer);
        for _ in 0..3 {
            ours.turn(&link_of(&ours)).await.unwrap();
        }
        assert_eq!(stages_of(&ours), expected, "{hours} h");
    }
    // Away while everything fell: in order; a reminder of what is overdue helps nobody.
    submit(&ours, letter_due(&peer, 3, 90 * HOUR))
        .await
        .unwrap();
    side.clock.advance(200 * HOUR);
    drop(ours);
    ours = side.open(&peer);
    ours.turn(&link_of(&ours)).await.unwrap();
    let late = ["overdue 2", "overdue 1", "escalated 2", "escalated 1"];
    assert_eq!(stages_of(&ours)[4..], late);
}

#[tokio::test]
async fn an_urgent_message_escalates_when_nobody_notes_it_and_is_silent_when_somebody_does() {
    let pair = Pair::open().await;
    pair.ask(crate::sides::flash(&pair.counter.peer, 1)).await;
    let noted = pair.ask(crate::sides::flash(&pair.counter.peer, 2)).await;
    let acknowledgement = pair.counter.sample("acknowledgement");
    pair.answer(acknowledgement, &noted).await;
    pair.set_clocks(START + 60 * SECOND);
    pair.turn().await;
    let told = pair.stages();
    let expected = ["overdue of acknowledgement", "escalated of acknowledgement"];
    assert_eq!(told, expected, "the reminder comes too late to help");
    // Both nodes say so.
    let link = link_of(&pair.theirs);
    let theirs = pair.theirs.stages_from(&link, 0, usize::MAX).unwrap();
    assert_eq!(theirs.len(), 2);
    assert!(theirs.iter().all(|(_, reached)| reached.owed_by_own));
}

#[tokio::test]
async fn a_watcher_that_was_away_is_told_what_was_due_meanwhile() {
    let pair = Pair::open().await;
    let id = pair.ask(letter_due(&pair.counter.peer, 1, 10 * HOUR)).await;
    let mut desk = pair.counter.operator().await;
    let mut stream = follow(&mut desk, "", true).await;
    let before = until_caught_up(&mut stream).await;
    let cursor = before.last().unwrap().cursor.clone();
    drop(stream);
    for hours in [5, 10, 34] {
        pair.set_clocks(START + hours * HOUR);
        pair.turn().await;
    }
    let mut stream = follow(&mut desk, &cursor, false).await;
    let told = until_caught_up(&mut stream).await;
    let events: Vec<_> = told.iter().map(v1::WatchResponse::event).collect();
    let (soon, over, up) = (
        WatchEvent::Reminded,
        WatchEvent::Overdue,
        WatchEvent::Escalated,
    );
    assert_eq!(events, [soon, over, up]);
    for event in &told {
        assert_eq!(event.message.as_ref().unwrap().id, id);
        let stage = event.stage.unwrap();
        assert_eq!(stage.owed(), OwedThing::Reply);
        assert_eq!(stage.owed_by(), v1::Side::Peer);
        assert_eq!(stage.due_at, at(START + 10 * HOUR));
    }
    // Each cursor goes on behind its event.
    let mut stream = follow(&mut desk, &told[1].cursor, false).await;
    let rest = until_caught_up(&mut stream).await;
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].event(), WatchEvent::Escalated);
}

#[tokio::test]
async fn a_verification_is_due_on_the_calendar_of_the_side_that_answers() {
    let pair = Pair::open().await;
    // Before anybody has published one, nothing is guessed.
    let id = pair.ask(pair.counter.sample("verification-request")).await;
    let dues = pair.all_due().await;
    assert_eq!(dues.len(), 1);
    assert_eq!(dues[0].state(), DueState::NoCalendar);
    assert!(dues[0].missing.contains("calendar"), "{}", dues[0].missing);

    // Ours is not the one that counts.
    let mut ours = calendar("vn-2026");
    ours.recipient = pair.counter.peer.name.to_string();
    pair.ask(ours).await;
    assert_eq!(pair.all_due().await[0].state(), DueState::NoCalendar);
    pair.answer(calendar("cn-2026"), "").await;
    let due = pair.all_due().await.remove(0);
    assert_eq!(due.message_id, id);
    assert_eq!(due.state(), DueState::Known);
    // 18 November, 19:06 in Beijing; 19, 20, 23, 24, 25, 26, 27 November. The 24th is a holiday
    // in Viet Nam only.
    assert_eq!(due.due_peer, "2026-11-27 24:00 +08:00");
    assert_eq!(due.due_own, "2026-11-27 23:00 +07:00");
    assert_eq!(due.owed_by_node, "hekou.ni.cn.example");
    assert_eq!(due.received_at, at(START));
    let count = due.count.clone().unwrap();
    assert_eq!((count.days, count.country.as_str()), (7, "CN"));
    assert_eq!(
        (count.calendars[0].year, count.calendars[0].version),
        (2026, 1)
    );
    assert!(count.sample && !due.overdue);

    // The other side finds the same.
    let link = link_of(&pair.theirs);
    let theirs = pair.theirs.with_dues(&link, |dues| dues.all().unwrap());
    let theirs = theirs.unwrap();
    let liaison::exchange::due::When::At(reckoned) = &theirs[0].when else {
        panic!("{theirs:?}")
    };
    assert_eq!(at(u64::try_from(reckoned.at()).unwrap()), due.due_at);

    // An extension goes on from there; the stages begin again for the new day.
    let extension = pair.counter.sample("deadline-extension");
    pair.answer(extension, &id).await;
    let due = pair.all_due().await.remove(0);
    assert_eq!(due.due_peer, "2026-12-04 24:00 +08:00");
    assert_eq!(due.count.unwrap().extended_by, 5);

    // Answered: nothing is owed.
    pair.answer(pair.counter.sample("verification-reply"), &id)
        .await;
    assert_eq!(pair.all_due().await, []);
}

#[tokio::test]
async fn overdue_comes_first_and_exercises_are_counted_apart() {
    let pair = Pair::open().await;
    let late = pair.ask(letter_due(&pair.counter.peer, 1, HOUR)).await;
    let later = pair.ask(letter_due(&pair.counter.peer, 2, 3 * HOUR)).await;
    let exercise = v1::Draft {
        status: v1::Status::Exercise as i32,
        ..letter_due(&pair.counter.peer, 3, HOUR)
    };
    let exercise = pair.ask(exercise).await;
    let mut theirs = letter_due(&pair.counter.peer, 4, HOUR / 2);
    theirs.recipient.clear();
    let asked = pair.answer(theirs, "").await;
    pair.set_clocks(START + 2 * HOUR);
    let dues = pair.all_due().await;
    let shown: Vec<_> = dues
        .iter()
        .map(|due| (due.message_id.as_str(), due.overdue))
        .collect();
    assert_eq!(shown[0], (asked.as_str(), true));
    assert_eq!(shown[3], (later.as_str(), false));
    assert!(shown.contains(&(late.as_str(), true)) && shown.contains(&(exercise.as_str(), true)));
    let own = v1::ListDueRequest {
        owed_by: v1::Side::Own as i32,
        ..v1::ListDueRequest::default()
    };
    let own = pair.due(own).await;
    assert_eq!(own.len(), 1);
    assert_eq!(
        (own[0].message_id.as_str(), own[0].side()),
        (asked.as_str(), v1::Side::Peer)
    );
    let mut desk = pair.counter.operator().await;
    let status = desk
        .status(v1::StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    let link = &status.links[0];
    let counted = (
        link.overdue_own,
        link.overdue_theirs,
        link.overdue_exercises,
    );
    assert_eq!(counted, (1, 1, 1));
}

#[tokio::test]
async fn what_has_no_receipt_counts_from_none() {
    let mut pair = Pair::open().await;
    drop(pair.running.take().unwrap().end().await);
    let flash = crate::sides::flash(&pair.counter.peer, 1);
    submit(pair.ours(), flash).await.unwrap();
    let due = pair.all_due().await.remove(0);
    assert_eq!(due.state(), DueState::NotReceived);
    assert_eq!(due.received_at, None);
    pair.set_clocks(START + DAY);
    pair.turn().await;
    assert_eq!(pair.stages(), Vec::<String>::new());
    // Up again: the minute counts from the receipt, and not from when it was written.
    let running = join(pair.ours(), &pair.theirs);
    quiet(pair.ours(), &pair.theirs).await;
    let due = pair.all_due().await.remove(0);
    assert_eq!(due.due_at, at(START + DAY + 60 * SECOND));
    drop(running.end().await);
}

#[tokio::test]
async fn a_time_that_had_passed_when_it_was_asked_makes_nobody_late() {
    let pair = Pair::open().await;
    pair.set_clocks(START + 2 * HOUR);
    // The instant of arrival is as little in time as one before.
    for (number, after) in [(1, HOUR), (2, 2 * HOUR)] {
        let id = pair
            .ask(letter_due(&pair.counter.peer, number, after))
            .await;
        let due = pair.all_due().await.pop().unwrap();
        assert_eq!((&due.message_id, due.overdue), (&id, false));
        pair.answer(pair.counter.letter(10 + number), "").await;
        let dir = tempfile::tempdir().unwrap();
        let refused = lateness(&pair, &id, dir.path()).await.unwrap_err();
        assert!(refused.contains("had the message only at"), "{refused}");
    }
    pair.set_clocks(START + 2 * DAY);
    pair.turn().await;
    assert_eq!(pair.stages(), Vec::<String>::new());
}

/// Writes the evidence into a folder; the refusal's text if there is none.
async fn lateness(pair: &Pair, id: &str, dir: &Path) -> Result<(), String> {
    let mut auditor = pair.counter.auditor().await;
    let request = v1::LatenessRequest {
        id: id.to_owned(),
        ..v1::LatenessRequest::default()
    };
    let mut parts = match auditor.lateness(request).await {
        Ok(parts) => parts.into_inner(),
        Err(status) => {
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.reason, "NOT_LATE");
            return Err(status.message().to_owned());
        }
    };
    let (mut files, mut total, mut content) = (0, 0, Vec::new());
    while let Some(piece) = parts.message().await.unwrap() {
        let part = piece.part.unwrap();
        content.extend_from_slice(&part.chunk);
        total = part.files_total;
        if part.last {
            let path = dir.join(&part.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &content).unwrap();
            content.clear();
            files += 1;
        }
    }
    assert_eq!(files, total, "a progress bar ends at its end");
    Ok(())
}

/// The statement of a folder that verifies; what is wrong with it else.
fn judged(dir: &Path) -> Result<String, Vec<liaison::audit::Finding>> {
    let verdict = verify_export(dir, None, &mut |_| ());
    match verdict.claim {
        Some(claim) if verdict.clean => Ok(claim.statement),
        _ => Err(verdict.findings),
    }
}

/// The end of 27 November 2026 in Beijing.
const DUE: u64 = 1_795_795_200_000;

#[tokio::test]
async fn a_deadline_that_passes_brings_a_heartbeat_and_with_it_the_proof() {
    let pair = Pair::open().await;
    pair.answer(calendar("cn-2026"), "").await;
    let id = pair.ask(pair.counter.sample("verification-request")).await;
    pair.answer(pair.counter.letter(5), "").await;
    let dir = tempfile::tempdir().unwrap();
    let too_early = lateness(&pair, &id, dir.path()).await.unwrap_err();
    assert!(
        too_early.contains("is due 2026-11-27T16:00:00Z"),
        "{too_early}"
    );

    pair.set_clocks(DUE);
    pair.turn().await;
    pair.heartbeat().await;
    lateness(&pair, &id, dir.path()).await.unwrap();
    let statement = judged(dir.path()).unwrap();
    let expected = format!(
        "late: no reply to {id} among the 2 entries that hekou.ni.cn.example had signed by \
         2026-11-27T16:00:00Z; due was 2026-11-27T16:00:00Z (7 working days on calendar CN 2026 v1 \
         SAMPLE, received 2026-11-18T11:06:40Z); unless it was taken back at index 1 or later of the \
         log it is in, which is not here: hekou.ni.cn.example holds that log and can show it"
    );
    assert_eq!(statement, expected);
    // Nobody's particulars are in it: the request's body is withheld.
    let own = dir.path().join("laocai.bg.vn.example_hekou.ni.cn.example");
    assert!(!own.join("bodies").exists());
    let theirs = dir.path().join("hekou.ni.cn.example_laocai.bg.vn.example");
    let bodies = std::fs::read_dir(theirs.join("bodies")).unwrap();
    assert_eq!(bodies.count(), 1, "the calendar's");

    // An answer that comes now does not undo it; it is in the log, behind the checkpoint.
    pair.answer(pair.counter.sample("verification-reply"), &id)
        .await;
    let again = tempfile::tempdir().unwrap();
    lateness(&pair, &id, again.path()).await.unwrap();
    assert_eq!(judged(again.path()).unwrap(), expected);
}

#[tokio::test]
async fn who_has_answered_in_time_is_not_late() {
    let pair = Pair::open().await;
    pair.answer(calendar("cn-2026"), "").await;
    let id = pair.ask(pair.counter.sample("verification-request")).await;
    let reply = pair.counter.sample("verification-reply");
    pair.answer(reply, &id).await;
    pair.set_clocks(DUE + DAY);
    pair.turn().await;
    let dir = tempfile::tempdir().unwrap();
    let refused = lateness(&pair, &id, dir.path()).await.unwrap_err();
    assert!(
        refused.contains("index 1 of the peer's log answers it (KIND_VERIFICATION_REPLY"),
        "{refused}"
    );
    // Nor is one who was asked nothing by a time, or who has not got the message.
    let notice = pair.ask(pair.counter.letter(7)).await;
    let refused = lateness(&pair, &notice, dir.path()).await;
    let refused = refused.unwrap_err();
    assert!(refused.contains("no answer by a time"), "{refused}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_extension_counts_if_it_was_taken_in_time() {
    let pair = Pair::open().await;
    pair.answer(calendar("cn-2026"), "").await;
    let id = pair.ask(pair.counter.sample("verification-request")).await;
    let extension = pair.counter.sample("deadline-extension");
    pair.answer(extension, &id).await;
    pair.set_clocks(DUE + DAY);
    pair.turn().await;
    let dir = tempfile::tempdir().unwrap();
    let refused = lateness(&pair, &id, dir.path()).await.unwrap_err();
    assert!(refused.contains("2026-12-04T16:00:00Z"), "{refused}");
    pair.set_clocks(DUE + 7 * DAY);
    pair.turn().await;
    pair.heartbeat().await;
    lateness(&pair, &id, dir.path()).await.unwrap();
    let statement = judged(dir.path()).unwrap();
    assert!(
        statement.contains("7 working days and 5 of the extension"),
        "{statement}"
    );
}

#[tokio::test]
async fn what_its_author_took_back_in_time_is_owed_no_answer() {
    let pair = Pair::open().await;
    pair.answer(calendar("cn-2026"), "").await;
    let id = pair.ask(pair.counter.sample("verification-request")).await;
    let mut withdrawal = pair.counter.sample("withdrawal");
    withdrawal.supersedes.clone_from(&id);
    withdrawal.in_reply_to.clear();
    withdrawal.thread_id.clear();
    pair.ask(withdrawal).await;
    assert_eq!(pair.all_due().await, []);
    pair.answer(pair.counter.letter(5), "").await;
    pair.set_clocks(DUE + DAY);
    pair.answer(pair.counter.letter(6), "").await;
    let dir = tempfile::tempdir().unwrap();
    let refused = lateness(&pair, &id, dir.path()).await.unwrap_err();
    assert!(refused.contains("withdrew"), "{refused}");
}

#[tokio::test]
async fn what_was_taken_back_too_late_must_be_shown_to_be() {
    let pair = Pair::open().await;
    pair.answer(calendar("cn-2026"), "").await;
    let [hidden, shown] = [(), ()].map(|()| pair.counter.sample("verification-request"));
    let hidden = pair.ask(hidden).await;
    let shown = pair
        .ask(v1::Draft {
            id: String::new(),
            ..shown
        })
        .await;
    let withdrawal = |id: &str| v1::Draft {
        id: String::new(),
        supersedes: id.to_owned(),
        in_reply_to: String::new(),
        thread_id: String::new(),
        ..pair.counter.sample("withdrawal")
    };
    pair.set_clocks(DUE + DAY);
    // No receipt is dated between the deadline and this one.
    pair.ask(withdrawal(&hidden)).await;
    // That withdrawal's own receipt is: it does not cover the next.
    pair.ask(withdrawal(&shown)).await;
    pair.answer(pair.counter.letter(6), "").await;
    let dir = tempfile::tempdir().unwrap();
    let refused = lateness(&pair, &hidden, dir.path()).await.unwrap_err();
    assert!(
        refused.contains("no receipt of the log without"),
        "{refused}"
    );
    lateness(&pair, &shown, dir.path()).await.unwrap();
    let statement = judged(dir.path()).unwrap();
    assert!(!statement.contains("unless"), "{statement}");

    // Without that receipt it is not shown any more.
    let own = "laocai.bg.vn.example_hekou.ni.cn.example";
    forge(dir.path(), &format!("{own}/checkpoints/3"), |_| None);
    let verdict = verify_export(dir.path(), None, &mut |_| ());
    assert!(!verdict.clean && verdict.claim.is_none());
}

/// What a forger makes of a file; nothing: it is gone.
type Bend = Box<dyn FnOnce(Vec<u8>) -> Option<Vec<u8>>>;

/// Changes a file and puts its digest into the manifest, as a forger would.
fn forge(dir: &Path, path: &str, bend: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    use sha2::Digest as _;
    let manifest = dir.join("MANIFEST.json");
    let mut listed: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    let files = listed["files"].as_object_mut().unwrap();
    let before = std::fs::read(dir.join(path)).unwrap();
    if let Some(after) = bend(before) {
        files[path] = hex::encode(sha2::Sha256::digest(&after)).into();
        std::fs::write(dir.join(path), after).unwrap();
    } else {
        files.remove(path).unwrap();
        std::fs::remove_file(dir.join(path)).unwrap();
    }
    let known: liaison::audit::format::Manifest = serde_json::from_value(listed).unwrap();
    std::fs::write(manifest, known.encode().unwrap()).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn replaced(from: &'static str, to: &'static str) -> impl FnOnce(Vec<u8>) -> Option<Vec<u8>> {
    move |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        Some(text.replacen(from, to, 1).into_bytes())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a file may be bent or taken away")]
fn bit_flipped(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    Some(bytes)
}

#[tokio::test]
async fn each_piece_that_is_changed_is_found() {
    let pair = Pair::open().await;
    pair.answer(calendar("cn-2026"), "").await;
    let id = pair.ask(pair.counter.sample("verification-request")).await;
    // Two checkpoints of one size, dated before and after the deadline.
    pair.turn().await;
    let early = {
        let link = link_of(&pair.theirs);
        let reader = pair.theirs.reader(&link, LogSide::Own);
        reader.latest_checkpoint().unwrap().unwrap().1
    };
    pair.set_clocks(DUE);
    pair.turn().await;
    pair.heartbeat().await;
    let good = tempfile::tempdir().unwrap();
    lateness(&pair, &id, good.path()).await.unwrap();
    judged(good.path()).unwrap();

    let own = "laocai.bg.vn.example_hekou.ni.cn.example";
    let peer = "hekou.ni.cn.example_laocai.bg.vn.example";
    let dated = format!("{peer}/dated/1");
    let early: String = {
        // Without the mirror's line.
        let lines: Vec<&str> = early.lines().collect();
        lines[..lines.len() - 1].join("\n") + "\n"
    };
    let calendar = format!("{peer}/bodies/0.bin");
    let bundle = format!("{peer}/tile/entries/000.p/1");
    let receipt = format!("{own}/checkpoints/1");
    let claim = "claims/lateness.json".to_owned();
    let proof = "claims/receipt.tlog-proof".to_owned();
    let gone = || -> Bend { Box::new(|_| None) };
    let flipped = || -> Bend { Box::new(bit_flipped) };
    let table: Vec<(&str, &str, Bend)> = vec![
        (
            "another statement",
            &claim,
            Box::new(replaced("late: no reply", "late: No reply")),
        ),
        (
            "another due time",
            &claim,
            Box::new(replaced(
                "\"due_at\": \"2026-11-27",
                "\"due_at\": \"2026-11-20",
            )),
        ),
        (
            "another checkpoint",
            &claim,
            Box::new(replaced("\"checkpoint_size\": 1", "\"checkpoint_size\": 0")),
        ),
        (
            "another message",
            &claim,
            Box::new(replaced(
                "\"index\": 0,\n  \"id\"",
                "\"index\": 1,\n  \"id\"",
            )),
        ),
        ("no claim, but its receipt", &claim, gone()),
        ("no receipt", &proof, gone()),
        ("a bent receipt", &proof, flipped()),
        ("no dated checkpoint", &dated, gone()),
        ("a bent dated checkpoint", &dated, flipped()),
        (
            "a checkpoint dated before",
            &dated,
            Box::new(move |_| Some(early.into_bytes())),
        ),
        ("no calendar", &calendar, gone()),
        ("a bent calendar", &calendar, flipped()),
        ("a bent entry", &bundle, flipped()),
        ("no receipt in the log", &receipt, gone()),
        ("a bent receipt in the log", &receipt, flipped()),
    ];
    for (what, path, bend) in table {
        let dir = tempfile::tempdir().unwrap();
        copy(good.path(), dir.path());
        forge(dir.path(), path, bend);
        let verdict = verify_export(dir.path(), None, &mut |_| ());
        assert!(
            !verdict.clean && verdict.claim.is_none(),
            "{what} was not found"
        );
    }
}

#[tokio::test]
async fn a_breach_of_the_peer_is_noted_once() {
    let (side, peer) = sides();
    let mut ours = side.open(&peer);
    let mut hostile = crate::hostile::Hostile::meet(&peer, &side, &ours).await;
    // It answers what nobody has asked, in a case of its own.
    let mut forge = hostile.forge();
    let first = forge.sign(&peer);
    let asked = forge.header.id.clone();
    forge = hostile.forge();
    forge.header.thread_id.clone_from(&asked);
    forge.header.in_reply_to = asked;
    let reply = sample::find("response").unwrap().draft();
    let content = reply.unwrap().body.unwrap().body.unwrap();
    forge.header.kind = liaison::model::body::kind_of(&content) as i32;
    liaison::model::body::schema_of(&content).clone_into(&mut forge.header.schema);
    forge.body = liaison::model::body::encode(&content).to_vec();
    let second = forge.state_body().sign(&peer);
    hostile.push(vec![first, second]).await;
    let incidents = |exchange: &Exchange| {
        let all = exchange.incidents(100).unwrap();
        let of = all
            .into_iter()
            .filter(|i| i.what.contains("not possible in its case"));
        of.map(|incident| incident.what).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        ours.turn(&link_of(&ours)).await.unwrap();
    }
    let noted = incidents(&ours);
    assert_eq!(noted.len(), 1, "{noted:?}");
    assert!(noted[0].contains("(index 1)"), "{}", noted[0]);
    drop(hostile);
    drop(ours);
    ours = side.open(&peer);
    ours.turn(&link_of(&ours)).await.unwrap();
    assert_eq!(incidents(&ours), noted);
}
