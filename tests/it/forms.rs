//! Forms to fill in: every template may be sent once its blanks are filled; what is wrong with a draft is
//! told at once, with its place; the pages about the kinds are up to date.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use liaison::limits;
use liaison::model::json::JsonError;
use liaison::model::sample::{self, Sample};
use liaison::model::template::{self, Answered, Form, fill, forms, prefill};
use liaison::model::typed::{self, Located};
use liaison::proto::v1;
use serde_json::json;

#[path = "forms/filler.rs"]
mod filler;
#[path = "forms/program.rs"]
mod program;

use filler::{filled, leaves};

fn people() -> impl Iterator<Item = &'static Form> {
    forms().iter().filter(|form| !form.is_system)
}

fn judge(text: &str) -> Vec<Located> {
    typed::read(text).unwrap().judge().err().unwrap_or_default()
}

/// The sample of a kind: the one of its name, or the first of its name with more behind it.
fn sample_of(form: &Form) -> Option<&'static Sample> {
    sample::find(&form.word).or_else(|| {
        let begin = format!("{}-", form.word);
        let mut named = sample::SAMPLES.iter();
        named
            .find(|sample| sample.name.starts_with(&begin) && template::find(sample.name).is_none())
    })
}

#[test]
fn every_template_may_be_sent_once_its_blanks_are_filled() {
    let mut wrong = Vec::new();
    for form in people() {
        let text = filled(form, sample_of(form));
        let faults = judge(&text);
        if !faults.is_empty() {
            let hint = match sample_of(form) {
                Some(_) => "",
                None => " (there is no sample of it: add one to samples/ and to model::sample)",
            };
            wrong.push(format!("{}{hint}: {faults:#?}\n{text}", form.word));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_is_left_blank_is_refused_by_name() {
    for form in people() {
        let text = fill(form, &json!({}));
        let faults = judge(&text);
        assert!(!faults.is_empty(), "{} may be sent blank", form.word);
        let named: BTreeSet<&str> = faults.iter().map(|l| l.fault.field.as_str()).collect();
        // Whatever the template says must be filled in is named, or the part it belongs to is.
        for (path, note) in leaves(&text) {
            if note.contains("Optional.")
                || !note.contains("Required") && !note.contains("Or \"not")
            {
                continue;
            }
            let is_named = named.iter().any(|field| {
                path.strip_prefix(field)
                    .or_else(|| field.strip_prefix(path.as_str()))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            });
            assert!(
                is_named,
                "{}: {path} is blank and not named in {named:#?}",
                form.word
            );
        }
        for located in &faults {
            assert!(located.place.is_some(), "{}: {located:?}", form.word);
        }
    }
}

#[test]
fn a_template_has_every_field_of_its_kind() {
    let elsewhere = ["languages", "attachments", "notApplicable"];
    for form in people() {
        let text = fill(form, &json!({}));
        let page = template::page(form);
        for line in page.lines().filter(|line| line.starts_with("| `")) {
            let name = line[3..].split('`').next().unwrap();
            let is_choice = name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
            if !is_choice && !elsewhere.contains(&name) {
                assert!(
                    text.contains(&format!("\"{name}\"")),
                    "{}: {name}",
                    form.word
                );
            }
        }
    }
}

#[test]
fn not_applicable_stands_in_place_of_a_value() {
    let form = template::find("handover-request").unwrap();
    let text = filled(form, sample_of(form));
    let typed = typed::read(&text).unwrap();
    let Some(v1::body::Body::HandoverRequest(request)) = typed.draft.body.unwrap().body else {
        panic!("it is a handover request")
    };
    let listed = request.common.unwrap().not_applicable;
    assert!(
        listed.contains(&"persons[0].careNeeds".to_owned()),
        "{listed:?}"
    );
    // It is a text like any other where texts are, and no answer to what applies to everybody.
    let odd = r#"{"recipient": "a.b", "body": {"withdrawal": {
      "common": {"fromOffice": "not applicable"},
      "reason": {"texts": {"vi": "not applicable"}}}}, "supersedes": "not applicable"}"#;
    let faults = judge(odd);
    let fields: Vec<&str> = faults.iter().map(|l| l.fault.field.as_str()).collect();
    assert_eq!(fields, ["body.withdrawal.common.fromOffice", "supersedes"]);
    assert_eq!(faults[0].place, Some((2, 32)));
}

#[test]
fn languages_are_those_of_the_texts_unless_they_are_listed() {
    let text = r#"{"body": {"withdrawal": {"common": {}, "reason": {"texts": {"zh-Hans": "a", "vi": "b"}}}}}"#;
    let draft = typed::read(text).unwrap().draft;
    let languages = |draft: v1::Draft| match draft.body.unwrap().body.unwrap() {
        v1::body::Body::Withdrawal(withdrawal) => withdrawal.common.unwrap().languages,
        other => panic!("{other:?}"),
    };
    // A common part of nothing but blanks is still there, being required.
    assert_eq!(languages(draft), ["zh-Hans", "vi"]);
    let listed = text.replace("\"common\": {}", "\"common\": {\"languages\": [\"en\"]}");
    assert_eq!(languages(typed::read(&listed).unwrap().draft), ["en"]);
}

#[test]
fn every_fault_is_told_at_once_in_the_order_of_the_text() {
    let text = "{ // đơn\r\n  \"recipient\": \"x y\",\r\n  \"precedence\": \"FLASH\",\r\n  \"colour\": 1,\r\n  \
        \"body\": {\"crossingAlert\": {\r\n    \"occurredAt\": \"02/03/2026\",\r\n    \"persons\": \"\",\r\n    \
        \"boats\": \"seven\", \"boats\": 1,\r\n    \"place\": {\"gate\": \"a\", \"section\": \"b\"},\r\n    \
        \"means\": \"on foot\", \"description\": {\"texts\": {\"vi\": 7, \"vi\": \"\"}}\r\n  }},\r\n}\r\n";
    let faults = judge(text);
    let told: Vec<(&str, Option<(usize, usize)>)> = faults
        .iter()
        .map(|located| (located.fault.field.as_str(), located.place))
        .collect();
    let at = |field: &str| {
        told.iter()
            .find(|(name, _)| *name == field)
            .unwrap_or_else(|| panic!("{field}: {faults:#?}"))
            .1
    };
    let body = "body.crossingAlert";
    assert_eq!(at("recipient"), Some((2, 16)));
    assert_eq!(at("precedence"), Some((3, 17)));
    assert_eq!(at("colour"), Some((4, 3)));
    assert_eq!(at(&format!("{body}.occurredAt")), Some((6, 19)));
    assert_eq!(at(&format!("{body}.persons")), Some((7, 16)));
    assert_eq!(at(&format!("{body}.boats")), Some((8, 23)));
    assert_eq!(at(&format!("{body}.place.section")), Some((9, 39)));
    assert_eq!(at(&format!("{body}.means")), Some((10, 14)));
    assert_eq!(
        at(&format!("{body}.description.texts[\"vi\"]")),
        Some((10, 60))
    );
    assert_eq!(at(&format!("{body}.incidentType")), None);
    assert!(told.is_sorted_by_key(|(_, place)| place.unwrap_or((usize::MAX, 0))));
    for located in &faults {
        assert!(!located.fault.reason.is_empty() && !located.fault.remedy.is_empty());
    }
}

#[test]
fn a_fault_of_the_text_is_told_once() {
    let text = r#"{"recipient": "a.b", "body": {"withdrawal": {"common": 7, "reason": []}}}"#;
    let fields: Vec<String> = judge(text).into_iter().map(|l| l.fault.field).collect();
    assert_eq!(
        fields,
        [
            "body.withdrawal.common",
            "body.withdrawal.reason",
            "supersedes"
        ]
    );
    let fields: Vec<String> = judge(r#"{"recipient": "a.b", "body": {"withdrawl": {}}}"#)
        .into_iter()
        .map(|l| l.fault.field)
        .collect();
    assert_eq!(fields, ["body.withdrawl"]);
    let fields: Vec<String> = judge("[]").into_iter().map(|l| l.fault.field).collect();
    assert_eq!(fields[0], "(top)");
}

#[test]
fn samples_are_read_here_as_everywhere() {
    for sample in sample::SAMPLES {
        let typed = typed::read(sample.json).unwrap();
        assert_eq!(typed.draft, sample.draft().unwrap(), "{}", sample.name);
        assert_eq!(typed.judge().err(), None, "{}", sample.name);
    }
}

#[test]
fn hostile_texts_are_refused_in_time_and_space() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let syntax = |text: &str| match typed::read(text) {
        Err(JsonError::Syntax {
            line,
            column,
            reason,
        }) => (line, column, reason),
        other => panic!("{other:?}"),
    };
    // One within another, one too deep, and far too deep.
    assert!(typed::read(&nested(limits::DRAFT_DEPTH_MAX)).is_ok());
    let (line, column, reason) = syntax(&nested(limits::DRAFT_DEPTH_MAX + 1));
    assert_eq!((line, column), (1, limits::DRAFT_DEPTH_MAX + 1), "{reason}");
    let deep = limits::DESK_MESSAGE_BYTES_MAX / 2;
    assert_eq!(syntax(&nested(deep)).0, 1);

    // A comment counts: the limit is of the text.
    let padded = |bytes: usize| {
        let text = "{} //".to_owned();
        text.clone() + &"x".repeat(bytes - text.len())
    };
    assert!(typed::read(&padded(limits::DESK_MESSAGE_BYTES_MAX)).is_ok());
    let over = typed::read(&padded(limits::DESK_MESSAGE_BYTES_MAX + 1));
    let bytes = limits::DESK_MESSAGE_BYTES_MAX + 1;
    assert!(matches!(over, Err(JsonError::TooLarge { bytes: b }) if b == bytes));

    for (text, line, column) in [
        ("{\"id\": \"a // b\n}", 1, 15),
        ("{\"id\": \"a", 1, 9),
        ("{ // no end", 1, 11),
        ("{ /* no end", 1, 3),
        ("{\n  /* */ }", 2, 3),
        ("", 1, 0),
        ("// nothing else", 1, 15),
        ("{\"id\": \"a\" / \"b\"}", 1, 12),
        ("{} {}", 1, 4),
        ("{,}", 1, 2),
        ("{\"id\": \"a\",,}", 1, 12),
    ] {
        let (l, c, reason) = syntax(text);
        assert!(
            l == line && c.abs_diff(column) <= 1,
            "{text}: {l}:{c} {reason}"
        );
    }

    // As Windows writes it, with comments in between.
    let windows = "\u{FEFF}{\r\n  // một\r\n  \"recipient\": \"a b\", // hai\r\n}\r\n";
    let faults = judge(windows);
    assert_eq!(faults[0].fault.field, "recipient");
    assert_eq!(faults[0].place, Some((3, 16)));

    // Many faults are counted, not all told.
    let many: Vec<String> = (0..limits::FAULTS_MAX + 500)
        .map(|n| format!("\"x{n}\": 1"))
        .collect();
    let faults = judge(&format!("{{{}}}", many.join(",")));
    assert!(faults.len() >= limits::FAULTS_MAX && faults.len() < limits::FAULTS_MAX + 10);
}

#[test]
fn an_answer_takes_over_what_follows_from_the_message() {
    let draft = sample::find("handover-request").unwrap().draft().unwrap();
    let content = draft.body.clone().unwrap().body.unwrap();
    let message = v1::Message {
        id: "019cb3d0-7a00-7c11-8a2b-6f0c5d4e3b21".to_owned(),
        peer: "laocai.bg.vn.example".to_owned(),
        side: v1::Side::Peer as i32,
        status: v1::Status::Exercise as i32,
        handling: draft.handling,
        thread_id: "019cb3d0-7a00-7c11-8a2b-6f0c5d4e3b22".to_owned(),
        body: draft.body.clone(),
        ..v1::Message::default()
    };
    let answered = Answered {
        message: &message,
        body: Some(&content),
    };
    let reply = template::find("handover-reply").unwrap();
    let text = fill(reply, &prefill(reply, answered));
    let typed = typed::read(&text).unwrap().draft;
    assert_eq!(typed.recipient, message.peer);
    assert_eq!(typed.in_reply_to, message.id);
    assert_eq!(typed.thread_id, message.thread_id);
    assert_eq!(typed.status(), v1::Status::Exercise);
    assert_eq!(typed.handling, message.handling);
    let (Some(v1::body::Body::HandoverReply(reply)), v1::body::Body::HandoverRequest(request)) =
        (typed.body.unwrap().body, &content)
    else {
        panic!("a reply to a request")
    };
    let numbers: Vec<u32> = reply
        .decisions
        .iter()
        .map(|decision| decision.number)
        .collect();
    assert_eq!(numbers, [1, 2]);
    let (ours, theirs) = (reply.common.unwrap(), request.common.as_ref().unwrap());
    assert_eq!(ours.from_office, theirs.to_office);
    assert_eq!(ours.to_office, theirs.from_office);
    assert!(
        text.contains("// 2: 李小示例, LI XIAOSHILI, 2011-09\n"),
        "{text}"
    );
    // A supplement is on those who were asked about, a schedule on those accepted.
    let draft = sample::find("handover-reply").unwrap().draft().unwrap();
    let content = draft.body.unwrap().body.unwrap();
    let answered = Answered {
        message: &message,
        body: Some(&content),
    };
    let supplement = template::find("handover-supplement").unwrap();
    assert_eq!(
        prefill(supplement, answered)["body"]["handoverSupplement"]["persons"],
        json!([{"number": 2}])
    );
    let schedule = template::find("handover-schedule").unwrap();
    assert_eq!(
        prefill(schedule, answered)["body"]["handoverSchedule"]["numbers"],
        json!([1])
    );
    // Who signs names what is signed by its digest.
    let signed = v1::Message {
        body_digest: vec![7; 32].into(),
        ..message.clone()
    };
    let answered = Answered {
        message: &signed,
        body: Some(&content),
    };
    let countersignature = template::find("countersignature").unwrap();
    let text = fill(countersignature, &prefill(countersignature, answered));
    let signature = match typed::read(&text)
        .unwrap()
        .draft
        .body
        .unwrap()
        .body
        .unwrap()
    {
        v1::body::Body::Countersignature(signature) => signature,
        other => panic!("{other:?}"),
    };
    assert_eq!(signature.body_digest, signed.body_digest);
    assert_eq!(signature.disputed, []);
    // An own message is not answered: it gives its case, or is taken back.
    let own = v1::Message {
        side: v1::Side::Own as i32,
        ..message.clone()
    };
    let answered = Answered {
        message: &own,
        body: None,
    };
    let letter = prefill(template::find("official-letter").unwrap(), answered);
    assert_eq!(letter["threadId"], own.thread_id);
    assert!(letter["inReplyTo"].is_null());
    let withdrawal = prefill(template::find("withdrawal").unwrap(), answered);
    assert_eq!(withdrawal["supersedes"], own.id);
    // Any kind may answer any, and whatever is in the message, the form can be read.
    for form in people() {
        for sample in sample::SAMPLES {
            let content = sample.draft().unwrap().body.unwrap().body.unwrap();
            let answered = Answered {
                message: &message,
                body: Some(&content),
            };
            typed::read(&fill(form, &prefill(form, answered))).unwrap();
        }
    }
}

#[test]
fn what_a_peer_wrote_cannot_break_out_of_a_comment() {
    let mut request = match sample::find("handover-request")
        .unwrap()
        .draft()
        .unwrap()
        .body
        .unwrap()
        .body
    {
        Some(v1::body::Body::HandoverRequest(request)) => request,
        other => panic!("{other:?}"),
    };
    request.persons[0].name.as_mut().unwrap().native =
        "x\r\n\"outcome\": 1, // \u{2028}\u{202e}".to_owned();
    request.common.as_mut().unwrap().from_office = "\u{202e}\"}\n".to_owned();
    let content = v1::body::Body::HandoverRequest(request);
    let message = v1::Message {
        peer: "\n\"\u{202e}".to_owned(),
        ..v1::Message::default()
    };
    let form = template::find("handover-reply").unwrap();
    let text = fill(
        form,
        &prefill(
            form,
            Answered {
                message: &message,
                body: Some(&content),
            },
        ),
    );
    assert!(!text.contains(['\u{202e}', '\u{2028}', '\r']));
    let draft = typed::read(&text).unwrap().draft;
    assert_eq!(draft.recipient, message.peer);
}

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// `LIAISON_BLESS=1 cargo test --test tests forms::pages` writes them.
#[test]
fn pages_of_kinds_are_up_to_date() {
    let dir = docs().join("kinds");
    let mut pages = vec![("README.md".to_owned(), template::index_page())];
    for form in forms() {
        pages.push((format!("{}.md", form.word), template::page(form)));
    }
    if std::env::var_os("LIAISON_BLESS").is_some() {
        for (name, text) in &pages {
            std::fs::write(dir.join(name), text).unwrap();
        }
    }
    for (name, text) in &pages {
        let committed = std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        assert!(
            committed == *text,
            "docs/kinds/{name} is not what the proto says: run the tests with LIAISON_BLESS=1, and look at it"
        );
    }
    let there: BTreeSet<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let wanted: BTreeSet<String> = pages.into_iter().map(|(name, _)| name).collect();
    assert_eq!(there, wanted);
    for entry in std::fs::read_dir(docs().join("workflows")).unwrap() {
        let picture = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let is_shown = forms()
            .iter()
            .any(|form| template::workflow_of(&form.word) == Some(&picture));
        assert!(is_shown, "a picture that no kind shows:\n{picture}");
    }
}

#[test]
fn every_kind_has_a_sample() {
    let without: Vec<&str> = people()
        .filter(|form| sample_of(form).is_none())
        .map(|form| form.word.as_str())
        .collect();
    assert!(
        without.is_empty(),
        "add to samples/ and to model::sample: {without:?}"
    );
}
