//! Facts in few bytes: golden bytes, every variant there and back, and damage that is seen.

use liaison::model::workflow::facts::{Decision, HandedOver, Person};
use liaison::model::workflow::{Facts, Said};

use super::language::{facts, id};

/// One of every variant, with the extremes of its numbers.
fn every() -> Vec<Said> {
    let person = |number| Person {
        number,
        claims_protection: true,
        has_particulars: false,
        is_minor_alone: true,
        has_guardian: false,
        is_trafficking_victim: true,
        route: -1,
    };
    vec![
        Said::Alert {
            incident: i32::MIN,
            persons: u32::MAX,
        },
        Said::Cases {
            category: 1,
            to: i64::MIN,
            cases: 2,
            persons: 3,
            suspects: 4,
            prosecutions: u32::MAX,
        },
        Said::VerificationRequest(vec![0, 1, u32::MAX]),
        Said::VerificationReply {
            results: vec![(1, -1), (u32::MAX, i32::MAX)],
            decided_by_person: true,
        },
        Said::Extension,
        Said::HandoverRequest(vec![person(1), person(u32::MAX)]),
        Said::HandoverReply {
            decisions: vec![
                Decision {
                    number: 1,
                    outcome: 2,
                    valid_until: Some(i64::MAX),
                },
                Decision {
                    number: 2,
                    outcome: i32::MIN,
                    valid_until: None,
                },
            ],
            decided_by_person: false,
        },
        Said::HandoverSupplement(vec![person(9)]),
        Said::HandoverSchedule {
            numbers: vec![7],
            at: -1,
            short_notice: true,
        },
        Said::HandoverRecord {
            persons: vec![HandedOver {
                number: 3,
                has_guardian: false,
                has_victim_authority: true,
            }],
            at: 1,
            is_return: true,
        },
        Said::ProtectionDecision {
            numbers: vec![],
            by_named_authority: true,
            outcome: 3,
        },
        Said::Letter {
            reply_by: Some(1_767_225_600_000),
        },
        Said::Letter { reply_by: None },
        Said::Call { at: 5 },
        Said::MeetingProposal { level: 1, at: 6 },
        Said::MeetingMinutes { level: 2, at: 7 },
        Said::PatrolPlan { at: 8 },
        Said::PatrolReport {
            at: 9,
            officers: 10,
        },
        Said::Gate {
            gate: "Hữu Nghị – 友谊关".to_owned(),
            status: 2,
            from: 1,
            until: Some(2),
        },
        Said::Works {
            consent_asked: true,
        },
        Said::Marker {
            marker: 1116,
            is_minutes: true,
        },
        Said::Hazard,
        Said::Activity {
            activity: 1,
            to: 2,
            events: 3,
            participants: 4,
        },
        Said::Exercise,
        Said::Period,
        Said::Calendar {
            year: -5,
            version: u32::MAX,
        },
        Said::Roster { version: 3 },
        Said::Acknowledgement,
        Said::Response { stance: 1 },
        Said::Countersignature {
            body_digest: vec![7; 40],
            stance: 1,
            disputed: vec![4, 5],
        },
        Said::Closure {
            outcome: 2,
            numbers: vec![1],
        },
        Said::Withdrawal,
        Said::Refusal { index: u64::MAX },
        Said::System,
        Said::Unknown,
    ]
}

fn all() -> Vec<Facts> {
    let mut all = Vec::new();
    for (said, number) in every().into_iter().zip(1..) {
        let mut of = facts(number, said);
        if number % 2 == 0 {
            of.thread = id(900);
            of.in_reply_to = Some(id(901));
            of.supersedes = Some(id(902));
            of.acknowledge_by = Some(i64::MIN);
            of.respond_by = Some(i64::MAX);
            of.seen_size = u64::MAX;
            of.kind = i32::MIN;
            of.body_digest = [0xab; 32];
        }
        all.push(of);
    }
    all
}

#[test]
fn every_variant_comes_back_as_it_was() {
    for of in all() {
        let packed = of.pack();
        assert_eq!(Facts::unpack(of.thread, &packed).as_ref(), Some(&of));
        for end in 0..packed.len() {
            assert_eq!(Facts::unpack(of.thread, &packed[..end]), None, "cut short");
        }
        let longer = [&packed[..], &[0]].concat();
        assert_eq!(Facts::unpack(of.thread, &longer), None, "longer");
        let other = [&[packed[0] + 1], &packed[1..]].concat();
        assert_eq!(Facts::unpack(of.thread, &other), None, "another version");
    }
}

/// Nothing that is on a disk makes it panic or take memory.
#[test]
fn no_damage_does_harm() {
    for of in all() {
        let packed = of.pack();
        for bit in 0..packed.len() * 8 {
            let mut damaged = packed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Some(read) = Facts::unpack(of.thread, &damaged) {
                assert_ne!(read, of);
            }
        }
    }
    // A list that says to have more elements than there are bytes.
    let mut long = facts(1, Said::VerificationRequest(vec![1])).pack();
    long.truncate(long.len() - 2);
    long.extend([0xff, 0xff, 0xff, 0xff, 0x0f, 1]);
    assert_eq!(Facts::unpack(id(1), &long), None);
}

/// The bytes of version 1: what is kept today is read for ever, or the version changes.
#[test]
fn golden_bytes() {
    let mut letter = facts(
        1,
        Said::Letter {
            reply_by: Some(1_767_225_600_000),
        },
    );
    letter.created_at = 1_767_225_600_000;
    letter.seen_size = 300;
    letter.body_digest = [0x11; 32];
    letter.in_reply_to = Some(id(2));
    let hex = hex::encode(letter.pack());
    assert_eq!(
        hex,
        "0102019b76daa8027000800000000000000280a0d5edee66ac021002021111111111111111111111\
         1111111111111111111111111111111111111111110c0180a0d5edee66"
    );
    let plain = facts(1, Said::Letter { reply_by: None }).pack();
    assert!(plain.len() < 64, "{} bytes of a letter", plain.len());
}
