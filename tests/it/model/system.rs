//! What nodes say by themselves.

use liaison::limits;
use liaison::model::check::check_body;
use liaison::proto::v1;
use liaison::proto::v1::body::Body;
use prost_types::Timestamp;

/// Fields below the kind's own message, with the reasons of their faults.
fn told(content: &Body) -> Vec<(String, String)> {
    let name = liaison::model::body::json_name_of(content);
    let faults = check_body(content, v1::Precedence::Routine);
    let told = faults.into_iter().map(|fault| {
        assert!(!fault.remedy.is_empty());
        let field = fault.field.strip_prefix(&format!("body.{name}.")).unwrap();
        (field.to_owned(), fault.reason)
    });
    told.collect()
}

fn fields(content: &Body) -> Vec<String> {
    told(content).into_iter().map(|(field, _)| field).collect()
}

const OLD: &str = "laocai.bg.vn.example+0123abcd+AbC+/9==";
const NEW: &str = "laocai.bg.vn.example+89abcdef+XyZ";

fn key_change(old: &str, new: &str, signature_bytes: usize) -> Body {
    Body::KeyChange(v1::KeyChange {
        role: v1::KeyRole::Message as i32,
        action: v1::KeyAction::Add as i32,
        old_vkey: old.to_owned(),
        new_vkey: new.to_owned(),
        new_key_signature: vec![1; signature_bytes].into(),
        ..v1::KeyChange::default()
    })
}

#[test]
fn a_change_of_keys_has_a_form() {
    assert_eq!(told(&key_change(OLD, NEW, 64)), []);
    for (old, new, bytes, field) in [
        (OLD, "laocai.bg.vn.example", 64, "newVkey"),
        ("+0123abcd+AbC", NEW, 64, "oldVkey"),
        (OLD, "laocai.bg.vn.example+0123abc+AbC", 64, "newVkey"),
        (OLD, "laocai.bg.vn.example+0123ABCD+AbC", 64, "newVkey"),
        (OLD, "laocai.bg.vn.example+0123abcd+", 64, "newVkey"),
        (OLD, "laocai.bg.vn.example+0123abcd+a b", 64, "newVkey"),
        (OLD, OLD, 64, "newVkey"),
        (OLD, NEW, 63, "newKeySignature"),
        (OLD, NEW, 65, "newKeySignature"),
    ] {
        assert_eq!(fields(&key_change(old, new, bytes)), [field], "{old} {new}");
    }
    let empty = Body::KeyChange(v1::KeyChange::default());
    assert_eq!(fields(&empty), ["role", "action"]);
}

#[test]
fn a_verifier_key_of_the_largest_size_is_one() {
    let of = |bytes: usize| {
        let key = "A".repeat(bytes - NEW.len() + 3);
        NEW.replace("XyZ", &key)
    };
    // A line of text ends sooner; the key itself is judged by its own limit.
    let reasons = |bytes| {
        let told = told(&key_change(OLD, &of(bytes), 64));
        told.into_iter()
            .map(|(_, reason)| reason)
            .collect::<Vec<_>>()
    };
    assert_eq!(reasons(limits::LINE_BYTES_MAX), Vec::<String>::new());
    assert!(reasons(limits::LINE_BYTES_MAX + 1)[0].contains("513 bytes"));
    let no_key = |bytes| reasons(bytes).contains(&"is no verifier key".to_owned());
    assert!(!no_key(limits::VKEY_BYTES_MAX));
    assert!(no_key(limits::VKEY_BYTES_MAX + 1));
}

#[test]
fn maintenance_ends_after_it_began() {
    let time = |seconds| Some(Timestamp { seconds, nanos: 0 });
    let maintenance = |from, to| Body::Maintenance(v1::Maintenance { from, to });
    let begin = 1_795_744_800;
    assert_eq!(told(&maintenance(time(begin), time(begin + 1))), []);
    assert_eq!(fields(&maintenance(time(begin), time(begin))), ["to"]);
    assert_eq!(fields(&maintenance(time(begin), time(begin - 1))), ["to"]);
    assert_eq!(fields(&maintenance(None, None)), ["from", "to"]);
    assert_eq!(fields(&maintenance(time(0), time(begin))), ["from"]);
}

#[test]
fn an_erasure_says_when_and_under_what() {
    let notice = |seconds: Option<i64>, authority: &str| {
        Body::ErasureNotice(v1::ErasureNotice {
            erased_at: seconds.map(|seconds| Timestamp { seconds, nanos: 0 }),
            authority: authority.to_owned(),
        })
    };
    assert_eq!(told(&notice(Some(1_795_744_800), "Nghị định (MẪU)")), []);
    assert_eq!(fields(&notice(None, " ")), ["erasedAt", "authority"]);
    let hidden = notice(Some(1_795_744_800), "a\u{202e}b");
    assert_eq!(fields(&hidden), ["authority"]);
}
