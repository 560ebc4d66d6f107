//! docs/notifications.md, and the pages about the kinds, say what the code does.

use liaison::limits;
use liaison::model::{sample, template};
use liaison::proto;
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor};

const PAGE: &str = include_str!("../../../docs/notifications.md");

/// The page, and that of every kind.
fn pages() -> String {
    let kinds = template::forms().iter().map(template::page);
    kinds.fold(PAGE.to_owned() + &template::index_page(), |all, page| {
        all + &page
    })
}

#[test]
fn the_pages_show_every_sample_as_it_is() {
    let pages = pages();
    for sample in sample::SAMPLES {
        let block = format!("```json\n{}```\n", sample.json);
        assert!(pages.contains(&block), "{} is in no page", sample.name);
    }
    assert_eq!(pages.matches("```json\n").count(), sample::SAMPLES.len());
}

fn assert_named(pages: &str, message: &MessageDescriptor) {
    for field in message.fields() {
        let name = format!("`{}`", field.json_name());
        assert!(pages.contains(&name), "{} is in no page", field.full_name());
        if let Kind::Message(inner) = field.kind()
            && inner.full_name().starts_with("liaison.")
            && !matches!(inner.name(), "LocalizedText" | "Place")
        {
            assert_named(pages, &inner);
        }
    }
}

#[test]
fn the_pages_name_every_field_of_every_kind() {
    let pool = DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
    assert_named(
        &pages(),
        &pool.get_message_by_name("liaison.v1.Draft").unwrap(),
    );
}

#[test]
fn the_page_tells_the_limits_as_they_are() {
    assert_eq!(limits::DESK_MESSAGE_BYTES_MAX, 4 << 20);
    assert_eq!(limits::DRAFT_DEPTH_MAX, 32);
    assert_eq!(limits::LINE_BYTES_MAX, 512);
    assert_eq!(limits::TEXT_BYTES_MAX, 64 << 10);
    assert_eq!(limits::LANGUAGES_MAX, 8);
    assert_eq!(limits::BODY_BYTES_MAX, 1 << 20);
    assert_eq!(limits::ATTACHMENTS_MAX, 64);
    assert_eq!(limits::ATTACHMENT_BYTES_MAX, 1 << 30);
    assert_eq!(limits::HANDOVER_PERSONS_MAX, 500);
    assert_eq!(limits::REPEATED_MAX, 256);
    assert_eq!(limits::NOT_APPLICABLE_MAX, 8_000);
}

#[test]
fn faults_shown_on_the_page_are_those_of_the_code() {
    let mut json: serde_json::Value =
        serde_json::from_str(sample::find("handover-request").unwrap().json).unwrap();
    let persons = &mut json["body"]["handoverRequest"]["persons"];
    let line = persons[0]["document"]["mrz"][1]
        .as_str()
        .unwrap()
        .to_owned();
    persons[0]["document"]["mrz"][1] = (line[..9].to_owned() + "9" + &line[10..]).into();
    persons[1]["screening"]["receivingGuardian"] = "".into();
    let draft = liaison::model::json::from_json(&json.to_string()).unwrap();
    let faults = liaison::model::check::check_draft(&draft).unwrap_err();
    let shown = PAGE.split("```text\n").nth(1).unwrap();
    let shown = shown.split("```").next().unwrap();
    for line in shown.lines() {
        assert!(
            faults.iter().any(|fault| fault.to_string() == line),
            "{faults:#?}"
        );
    }
}
