//! Bytes on the wire between nodes: one frame of each kind, as `tests/vectors/wire/frames.txt` has
//! them. A line there is never changed: nodes out there speak these bytes.

use liaison::proto::v1::{self, Frame, frame};
use prost::Message as _;

fn frames() -> Vec<(&'static str, frame::Frame)> {
    let at = Some(prost_types::Timestamp {
        seconds: 1_774_000_000,
        nanos: 123_000_000,
    });
    let item = v1::Item {
        entry: vec![1, 2, 3].into(),
        salt: vec![4; 32].into(),
        body: vec![5, 6].into(),
        erased: false,
    };
    let hello = v1::Hello {
        version_min: 1,
        version_max: 2,
        node: "laocai.bg.vn.example".to_owned(),
        own_checkpoint: "own\n".to_owned(),
        own_size: 7,
        mirrored_size: 8,
        mirrored_checkpoint: "mirrored\n".to_owned(),
        sent_at: at,
        restoring: 0,
        witnesses_journals: true,
    };
    let push = v1::Push {
        start_index: 9,
        items: vec![item.clone()],
        checkpoint: "note\n".to_owned(),
    };
    let fault = v1::Fault {
        code: v1::FaultCode::RootMismatch as i32,
        origin: "a.example/b.example".to_owned(),
        index: 10,
        text: "why".to_owned(),
        ..v1::Fault::default()
    };
    vec![
        ("hello", frame::Frame::Hello(hello)),
        ("push", frame::Frame::Push(push)),
        (
            "cosigned",
            frame::Frame::Cosigned(v1::Cosigned {
                checkpoint: "note\n".to_owned(),
            }),
        ),
        (
            "express",
            frame::Frame::Express(v1::Express {
                index: 11,
                item: Some(item),
            }),
        ),
        (
            "heartbeat",
            frame::Frame::Heartbeat(v1::Heartbeat {
                checkpoint: "note\n".to_owned(),
                sent_at: at,
            }),
        ),
        ("fault", frame::Frame::Fault(fault)),
    ]
}

#[test]
fn frames_are_what_they_were() {
    let golden = include_str!("../vectors/wire/frames.txt");
    let made = frames();
    let mut other = Vec::new();
    for (name, inner) in &made {
        let frame = Frame {
            frame: Some(inner.clone()),
        };
        let bytes = v1::SessionRequest {
            frame: Some(frame.clone()),
        }
        .encode_to_vec();
        let line = format!("{name}: {}", hex::encode(&bytes));
        if !golden.lines().any(|known| known == line) {
            other.push(line);
        }
        // Both directions are the same bytes.
        let back = v1::SessionResponse::decode(&bytes[..]).unwrap();
        assert_eq!(back.frame, Some(frame));
    }
    assert!(other.is_empty(), "new or changed:\n{}", other.join("\n"));
    assert_eq!(golden.lines().count(), made.len());
}
