//! What the desk notes before it does it, and what it does not do when it cannot be noted.

use liaison::journal::{Act, Query};
use liaison::proto::v1::journal_service_client::JournalServiceClient;
use liaison::store::Failure;

use super::*;

/// Who did what, oldest first, without the logins.
fn deeds(counter: &Counter) -> Vec<(String, Act, v1::JournalEntry)> {
    let query = Query {
        limit: usize::MAX,
        ..Query::default()
    };
    let found = counter
        .journal
        .list(&query)
        .unwrap()
        .deeds
        .into_iter()
        .rev();
    found
        .map(|(_, deed)| (deed.who.clone(), deed.act(), deed))
        .filter(|(_, act, _)| *act != Act::LoggedIn)
        .collect()
}

fn acts(counter: &Counter) -> Vec<(String, Act)> {
    let deeds = deeds(counter).into_iter();
    deeds.map(|(who, act, _)| (who, act)).collect()
}

#[tokio::test]
async fn who_is_shown_a_body_is_noted_and_who_is_not_is_not() {
    let counter = Counter::open().await;
    let mut operator = counter.caller("operator/mai").await;
    let mut radar = counter.caller("integration/radar").await;
    let sent = operator.submit(submission(counter.letter(1))).await;
    let id = sent.unwrap().into_inner().id;
    let alert = radar.submit(submission(counter.alert())).await.unwrap();
    let alert = alert.into_inner().id;
    assert_eq!(acts(&counter), []);
    operator.get(get(&id)).await.unwrap();
    counter
        .caller("auditor/kt-1")
        .await
        .get(get(&id))
        .await
        .unwrap();
    counter
        .caller("admin/qt-1")
        .await
        .get(get(&id))
        .await
        .unwrap();
    radar.get(get(&alert)).await.unwrap();
    operator.list(v1::ListRequest::default()).await.unwrap();
    let noted = [
        ("operator/mai".to_owned(), Act::Read),
        ("auditor/kt-1".to_owned(), Act::Read),
    ];
    assert_eq!(acts(&counter), noted);
    let (_, _, deed) = deeds(&counter).remove(0);
    assert_eq!(
        (deed.message_id, deed.peer),
        (id, counter.peer.name.to_string())
    );
    // One who follows levels only is shown none, and nothing is noted.
    let outline = v1::WatchRequest {
        from_start: true,
        outline: true,
        ..v1::WatchRequest::default()
    };
    let mut events = operator.watch(outline).await.unwrap().into_inner();
    let event = events.message().await.unwrap().unwrap();
    let message = event.message.unwrap();
    assert!(message.body.is_none() && !message.id.is_empty());
    assert_eq!(acts(&counter), noted);
    drop(events);
    // One who follows is shown bodies too.
    let request = v1::WatchRequest {
        from_start: true,
        ..v1::WatchRequest::default()
    };
    let mut events = operator.watch(request).await.unwrap().into_inner();
    let event = events.message().await.unwrap().unwrap();
    assert!(event.message.unwrap().body.is_some());
    assert!(acts(&counter).len() >= 3);
}

#[tokio::test]
async fn each_login_is_noted_once_for_its_connection_and_a_programs_once_an_hour() {
    let counter = Counter::open().await;
    let logins = || {
        let query = Query {
            act: Some(Act::LoggedIn),
            limit: usize::MAX,
            ..Query::default()
        };
        counter.journal.list(&query).unwrap().deeds.len()
    };
    let mut auditor = counter.caller("auditor/kt-1").await;
    for _ in 0..3 {
        auditor.list(v1::ListRequest::default()).await.unwrap();
    }
    assert_eq!(logins(), 1);
    counter
        .caller("auditor/kt-1")
        .await
        .list(v1::ListRequest::default())
        .await
        .unwrap();
    assert_eq!(logins(), 2);
    for _ in 0..3 {
        let mut radar = counter.caller("integration/radar").await;
        radar.list(v1::ListRequest::default()).await.unwrap();
    }
    assert_eq!(logins(), 3);
    counter.side.clock.advance(3_600_000);
    let mut radar = counter.caller("integration/radar").await;
    radar.list(v1::ListRequest::default()).await.unwrap();
    assert_eq!(logins(), 4);
}

#[tokio::test]
async fn every_denial_is_noted_and_a_flood_of_them_is_counted() {
    let counter = Counter::open().await;
    let mut auditor = counter.caller("auditor/kt-1").await;
    for _ in 0..50 {
        let denied = auditor.submit(submission(counter.letter(1))).await;
        assert_refused(denied, Code::PermissionDenied, "ROLE_DENIED");
    }
    assert_eq!(acts(&counter), [("auditor/kt-1".to_owned(), Act::Refused)]);
    counter.side.clock.advance(60_000);
    auditor
        .submit(submission(counter.letter(1)))
        .await
        .unwrap_err();
    let all = deeds(&counter);
    let told: Vec<_> = all
        .iter()
        .map(|(_, _, d)| (d.what.as_str(), d.times))
        .collect();
    assert_eq!(told, [("Submit", 0), ("Submit", 50)]);
    // A kind that a program may not send is a denial too.
    let mut radar = counter.caller("integration/radar").await;
    radar
        .submit(submission(counter.letter(1)))
        .await
        .unwrap_err();
    assert_eq!(acts(&counter).len(), 3);
}

#[tokio::test]
async fn what_cannot_be_noted_is_not_done() {
    let counter = Counter::open().await;
    let mut operator = counter.caller("operator/mai").await;
    let sent = operator.submit(submission(counter.letter(1))).await;
    let id = sent.unwrap().into_inner().id;
    counter.journal_store.set_full(true);
    let refused = operator.get(get(&id)).await;
    assert_refused(refused, Code::ResourceExhausted, "DISK_FULL");
    counter.journal_store.set_full(false);
    operator.get(get(&id)).await.unwrap();
    counter.journal_store.fail_commit(0, Failure::Before);
    let mut auditor = counter.auditor().await;
    for _ in 0..2 {
        let refused = operator.get(get(&id)).await;
        assert_refused(refused, Code::Unavailable, "JOURNAL_STOPPED");
        let refused = auditor.export(v1::ExportRequest::default()).await;
        assert_refused(refused.map(drop), Code::Unavailable, "JOURNAL_STOPPED");
    }
    // What shows no body, and what must get through, goes on; and it is said that something is wrong.
    let status = operator.status(v1::StatusRequest {}).await.unwrap();
    let status = status.into_inner();
    assert!(
        !status.serving && status.trouble.contains("journal"),
        "{status:?}"
    );
    assert_eq!(status.incidents.len(), 1);
    operator.list(v1::ListRequest::default()).await.unwrap();
    operator.submit(submission(counter.alert())).await.unwrap();
    // Whoever watches is told of everything, without bodies.
    let request = v1::WatchRequest {
        from_start: true,
        ..v1::WatchRequest::default()
    };
    let mut events = operator.watch(request).await.unwrap().into_inner();
    for _ in 0..2 {
        let event = events.message().await.unwrap().unwrap();
        let message = event.message.unwrap();
        assert!(message.body.is_none() && message.body_withheld);
    }
}

#[tokio::test]
async fn a_peers_message_is_acknowledged_while_the_journal_fails() {
    let counter = Counter::open().await;
    let theirs = counter.peer.open(&counter.side);
    let running = crate::sides::join(&counter.exchange, &theirs);
    let said = crate::sides::letter(&counter.side, 1);
    let said = crate::sides::submit(&theirs, said).await.unwrap();
    crate::sides::quiet(&counter.exchange, &theirs).await;
    counter.journal_store.fail_commit(0, Failure::Before);
    let request = v1::AcknowledgeRequest {
        id: said.id.to_string(),
        officer: Some(v1::Officer {
            office: "Trạm 1".to_owned(),
            name: "Sĩ quan Mẫu".to_owned(),
            rank: "Đại úy".to_owned(),
            ..v1::Officer::default()
        }),
        ..v1::AcknowledgeRequest::default()
    };
    let mut operator = counter.caller("operator/mai").await;
    operator.acknowledge(request).await.unwrap();
    running.end().await;
}

#[tokio::test]
async fn a_program_that_asks_without_end_is_counted() {
    let counter = Counter::open().await;
    let mut radar = counter.caller("integration/radar").await;
    let alert = radar.submit(submission(counter.alert())).await.unwrap();
    let print = v1::GetRequest {
        id: alert.into_inner().id,
        purpose: v1::Purpose::Print.into(),
        ..v1::GetRequest::default()
    };
    for _ in 0..40 {
        radar.get(print.clone()).await.unwrap();
    }
    let printed = ("integration/radar".to_owned(), Act::Printed);
    assert_eq!(acts(&counter), std::slice::from_ref(&printed));
    counter.desk.note_counts(true).await;
    assert_eq!(acts(&counter), [printed.clone(), printed]);
    assert_eq!(deeds(&counter)[1].2.times, 39);
}

#[tokio::test]
async fn pages_are_taken_to_their_limit_and_not_one_beyond() {
    let counter = Counter::open().await;
    let channel = counter.channel().await;
    let mut journal = JournalServiceClient::with_interceptor(channel, As("auditor/kt-1"));
    let ask = |page_size, who: usize| v1::ListJournalRequest {
        page_size,
        who: "w".repeat(who),
        ..v1::ListJournalRequest::default()
    };
    journal.list_journal(ask(500, 320)).await.unwrap();
    assert_field(journal.list_journal(ask(501, 0)).await, "pageSize");
    assert_field(journal.list_journal(ask(1, 321)).await, "who");
    let bad = v1::ListJournalRequest {
        page_token: "x".to_owned(),
        ..v1::ListJournalRequest::default()
    };
    assert_field(journal.list_journal(bad).await, "pageToken");
}
