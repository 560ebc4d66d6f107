//! Pages and filters.

use super::*;

type Spoil = fn(&mut v1::ListRequest);

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_doubling() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    for number in 0..7 {
        let draft = v1::Draft {
            id: id_of(number),
            ..counter.letter(1)
        };
        desk.submit(submission(draft)).await.unwrap();
        counter.side.clock.advance(1_000);
    }
    let mut seen = Vec::new();
    let mut request = v1::ListRequest {
        page_size: 3,
        ..v1::ListRequest::default()
    };
    let mut pages = 0;
    loop {
        let page = desk.list(request.clone()).await.unwrap().into_inner();
        assert!(page.messages.len() <= 3);
        assert!(page.messages.iter().all(|message| message.body.is_none()));
        seen.extend(page.messages.into_iter().map(|message| message.id));
        pages += 1;
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let newest_first: Vec<_> = (0..7).rev().map(id_of).collect();
    assert_eq!(seen, newest_first);
    assert!(pages >= 3);
}

#[tokio::test]
async fn filters_are_kept_and_nonsense_is_named() {
    let counter = Counter::open().await;
    let mut desk = counter.operator().await;
    desk.submit(submission(counter.letter(1))).await.unwrap();
    desk.submit(submission(counter.alert())).await.unwrap();
    let of_kind = |kind: v1::Kind| v1::ListRequest {
        kinds: vec![kind as i32],
        ..v1::ListRequest::default()
    };
    let page = desk.list(of_kind(v1::Kind::CrossingAlert)).await.unwrap();
    let page = page.into_inner();
    assert_eq!(page.messages.len(), 1);
    assert_eq!(page.messages[0].kind(), v1::Kind::CrossingAlert);
    let theirs = v1::ListRequest {
        side: v1::Side::Peer as i32,
        ..v1::ListRequest::default()
    };
    let page = desk.list(theirs).await.unwrap().into_inner();
    assert!(page.messages.is_empty());

    let cases: [(&str, Spoil); 4] = [
        ("pageSize", |r| r.page_size = 501),
        ("pageToken", |r| r.page_token = "beef".to_owned()),
        ("peer", |r| r.peer = "nowhere.example".to_owned()),
        ("threadId", |r| r.thread_id = "17".to_owned()),
    ];
    for (field, spoil) in cases {
        let mut request = v1::ListRequest::default();
        spoil(&mut request);
        assert_field(desk.list(request).await, field);
    }
    assert_field(desk.get(get("17")).await, "id");
    assert_refused(
        desk.get(get(&id_of(99))).await,
        Code::NotFound,
        "NO_SUCH_MESSAGE",
    );
}
