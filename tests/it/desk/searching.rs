//! Words in bodies: found by those who may read them, page by page, and never written down.

use liaison::limits::{SEARCH_BODIES_MAX, SEARCH_TEXT_BYTES_MAX, SEARCH_WORDS_MAX};
use liaison::proto::v1::body::Body;
use liaison::store::{Direction, KeyAddress, Store as _};

use super::*;
use crate::sides::quiet;

fn asking(text: &str) -> v1::ListRequest {
    v1::ListRequest {
        text: text.to_owned(),
        ..v1::ListRequest::default()
    }
}

/// Ids of everything that is found, over all pages; and how many pages there were.
async fn found(desk: &mut Caller, mut request: v1::ListRequest) -> (Vec<String>, usize) {
    let (mut ids, mut pages) = (Vec::new(), 0);
    loop {
        let page = desk.list(request.clone()).await.unwrap().into_inner();
        pages += 1;
        ids.extend(page.messages.into_iter().map(|message| message.id));
        if page.next_page_token.is_empty() {
            return (ids, pages);
        }
        request.page_token = page.next_page_token;
    }
}

fn saying(counter: &Counter, number: usize, text: &str) -> v1::Draft {
    let mut draft = counter.letter(number);
    let body = draft.body.as_mut().unwrap().body.as_mut().unwrap();
    let Body::OfficialLetter(letter) = body else {
        panic!("no letter");
    };
    let texts = &mut letter.text.as_mut().unwrap().texts;
    texts.insert("vi".to_owned(), text.to_owned());
    draft
}

#[tokio::test]
async fn words_are_found_in_what_both_sides_say_newest_first() {
    let counter = Counter::open().await;
    let peer = counter.peer.open(&counter.side);
    let running = crate::sides::join(&counter.exchange, &peer);
    let mut operator = counter.operator().await;
    let mut say = async |text| {
        let draft = Some(saying(&counter, 1, text));
        let answer = operator.submit(v1::SubmitRequest { draft }).await;
        answer.unwrap().into_inner().id
    };
    let first = say("Đề nghị gặp tại cầu Hồ Kiều").await;
    say("Không có gì").await;
    let last = say("两岸在胡乔桥会面 (Hồ Kiều)").await;
    let theirs = crate::sides::letter(&counter.side, 7);
    let theirs = crate::sides::submit(&peer, theirs).await.unwrap().id;
    quiet(&counter.exchange, &peer).await;

    let mut operator = counter.operator().await;
    let mut auditor = counter.caller("auditor/kt-1").await;
    for (text, ids) in [
        ("hồ kiều", vec![&last, &first]),
        ("HO KIEU", vec![&last, &first]),
        ("胡乔 kieu", vec![&last]),
        ("gap hotau", vec![]),
    ] {
        let ids: Vec<String> = ids.into_iter().cloned().collect();
        for caller in [&mut operator, &mut auditor] {
            assert_eq!(
                found(caller, asking(text)).await,
                (ids.clone(), 1),
                "{text}"
            );
        }
    }
    let of_theirs = v1::ListRequest {
        side: v1::Side::Peer.into(),
        ..asking("mẫu")
    };
    let ids = vec![theirs.to_string()];
    assert_eq!(found(&mut operator, of_theirs).await, (ids, 1));

    drop(running.end().await);

    // What was erased is not found any more.
    let rows = counter.side.store.scan(b"K", b"L", 100, Direction::Forward);
    let keys = rows.unwrap().into_iter();
    let keys: Vec<KeyAddress> = keys
        .map(|(_, value)| KeyAddress::decode(value[1..7].try_into().unwrap()))
        .collect();
    assert_eq!(counter.side.vault().destroy(&keys).unwrap(), 4);
    assert_eq!(found(&mut operator, asking("hồ kiều")).await, (vec![], 1));
    assert_eq!(found(&mut operator, asking("mẫu")).await, (vec![], 1));
}

#[tokio::test]
async fn a_long_search_comes_page_by_page_also_when_it_finds_nothing() {
    let counter = Counter::open().await;
    for number in 0..=SEARCH_BODIES_MAX {
        let letter = saying(&counter, number, &format!("Số {number} hết"));
        crate::sides::submit(&counter.exchange, letter)
            .await
            .unwrap();
    }
    let mut operator = counter.operator().await;
    assert_eq!(found(&mut operator, asking("chẳng-có")).await, (vec![], 2));
    let (ids, pages) = found(&mut operator, asking("so hết")).await;
    assert_eq!(
        (ids.len(), pages),
        (SEARCH_BODIES_MAX + 1, ids.len().div_ceil(50))
    );
    let (ids, _) = found(&mut operator, asking("số 0 hết")).await;
    assert!(ids.len() > 300, "parts of words as well: {}", ids.len());
}

#[tokio::test]
async fn who_may_read_no_bodies_may_search_none() {
    let counter = Counter::open().await;
    for name in ["admin/qt-1", "integration/radar", "integration/registry"] {
        let mut caller = counter.caller(name).await;
        let answer = caller.list(asking("kiều")).await;
        assert_refused(answer, Code::PermissionDenied, "ROLE_DENIED");
        // Without words they list what they may.
        caller.list(v1::ListRequest::default()).await.unwrap();
    }
}

#[tokio::test]
async fn each_limit_holds_to_the_byte() {
    let counter = Counter::open().await;
    let mut operator = counter.operator().await;
    let long = "a".repeat(SEARCH_TEXT_BYTES_MAX);
    let many = vec!["a"; SEARCH_WORDS_MAX].join(" ");
    for text in [&long, &many] {
        operator.list(asking(text)).await.unwrap();
    }
    for text in [format!("{long}a"), format!("{many} a"), " ".to_owned()] {
        assert_field(operator.list(asking(&text)).await, "text");
    }
}

#[tokio::test]
async fn that_somebody_searched_is_journalled_and_never_for_what() {
    let counter = Counter::open().await;
    let mut auditor = counter.caller("auditor/kt-1").await;
    auditor.list(v1::ListRequest::default()).await.unwrap();
    for text in ["Nguyễn-Mẫu-Tám", "示例八"] {
        auditor.list(asking(text)).await.unwrap();
    }
    // A token hides nothing: it goes with one search, and each search is noted, whatever its token.
    for number in 1..=3 {
        let letter = counter.letter(number);
        crate::sides::submit(&counter.exchange, letter)
            .await
            .unwrap();
    }
    let one = |page_token: &str, text| v1::ListRequest {
        page_size: 1,
        page_token: page_token.to_owned(),
        ..asking(text)
    };
    let first = auditor.list(one("", "mẫu")).await.unwrap().into_inner();
    let token = first.next_page_token;
    for text in ["示例八", "Nguyễn", "Tám"] {
        assert_field(auditor.list(one(&token, text)).await, "pageToken");
    }
    for _ in 0..5 {
        auditor.list(one(&token, "mẫu")).await.unwrap();
    }
    let found = counter.journal.list(&crate::journal::all()).unwrap();
    let searches = found.deeds.iter().map(|(_, entry)| entry);
    let searches: Vec<_> = searches
        .filter(|entry| entry.act() == v1::JournalAct::Searched)
        .collect();
    assert_eq!(searches.len(), 2 + 1 + 3 + 1);
    for entry in &searches {
        assert_eq!(entry.who, "auditor/kt-1");
    }
    let told = format!("{:?}", found.deeds);
    assert!(!told.contains("Nguy") && !told.contains('示'), "{told}");
}
