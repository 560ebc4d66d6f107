//! Days, shares, the reserve, and what a restart keeps.

use super::*;
use tokio::time::Instant;

const MIB: u64 = 1 << 20;

fn quota() -> Quota {
    Quota {
        messages_per_second: 10,
        burst_messages: 8,
        bytes_per_day: 100 * MIB,
        disk_percent: 50,
    }
}

fn meter() -> Arc<Meter> {
    Arc::new(Meter::new(
        "integration/radar".into(),
        quota(),
        Day::default(),
    ))
}

fn at(day: u64, ms: u64) -> Moment {
    Moment {
        instant: Instant::now(),
        unix_ms: day * DAY_MS + ms,
        free_bytes: 1 << 40,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "kept, it is dropped")]
fn keep(charge: Charge) {
    charge.keep();
}

#[test]
fn a_byte_over_the_day_is_refused_until_midnight() {
    let meter = meter();
    let now = at(20_000, 1_000);
    keep(meter.take(Class::Bulk, 0, 100 * MIB, now).unwrap());
    let over = meter.take(Class::Bulk, 0, 1, now).unwrap_err();
    assert_eq!(over.part, QuotaPart::Bytes);
    assert_eq!((over.limit, over.of), (100 * MIB, 100 * MIB));
    assert_eq!(over.retry_after, Duration::from_millis(DAY_MS - 1_000));
    // What has no bytes is not counted by them.
    keep(meter.take(Class::Bulk, 1, 0, now).unwrap());
    let last = at(20_000, DAY_MS - 1);
    meter.take(Class::Bulk, 0, 1, last).unwrap_err();
    keep(meter.take(Class::Bulk, 0, 1, at(20_001, 0)).unwrap());
}

#[test]
fn what_is_urgent_has_a_quarter_more_and_no_more() {
    let meter = meter();
    let now = at(1, 0);
    keep(meter.take(Class::Bulk, 8, 100 * MIB, now).unwrap());
    meter.take(Class::Bulk, 1, 0, now).unwrap_err();
    keep(meter.take(Class::Urgent, 1, 25 * MIB, now).unwrap());
    let over = meter.take(Class::Urgent, 0, 1, now).unwrap_err();
    assert_eq!(over.part, QuotaPart::Bytes);
    keep(meter.take(Class::Urgent, 1, 0, now).unwrap());
    let over = meter.take(Class::Urgent, 1, 0, now).unwrap_err();
    assert_eq!(over.part, QuotaPart::Messages);
    assert!(over.retry_after <= Duration::from_secs(1), "{over:?}");
}

#[test]
fn the_share_of_the_disk_is_fixed_when_the_day_begins() {
    let meter = Arc::new(Meter::new(
        "peer/a.example".into(),
        Quota {
            bytes_per_day: u64::MAX,
            ..quota()
        },
        Day::default(),
    ));
    let with = |free_bytes| Moment {
        free_bytes,
        ..at(1, 0)
    };
    keep(meter.take(Class::Bulk, 0, 1, with(400 * MIB)).unwrap());
    // 200 MiB (in whole percents of bytes), however much is free later.
    let over = meter.take(Class::Bulk, 0, 200 * MIB, with(1 << 40));
    assert_eq!(over.unwrap_err().part, QuotaPart::Disk);
    keep(meter.take(Class::Bulk, 0, 199 * MIB, with(0)).unwrap());
    // The next day half of what is left; 64 MiB at least, where the floor decides.
    let tomorrow = Moment {
        free_bytes: 1,
        ..at(2, 0)
    };
    keep(
        meter
            .take(Class::Bulk, 0, QUOTA_DAY_BYTES_MIN, tomorrow)
            .unwrap(),
    );
    meter.take(Class::Bulk, 0, 1, tomorrow).unwrap_err();
}

#[test]
fn what_was_not_recorded_is_given_back_and_what_was_is_not() {
    let meter = meter();
    let now = at(1, 0);
    drop(meter.take(Class::Bulk, 0, 100 * MIB, now).unwrap());
    keep(meter.take(Class::Bulk, 0, 100 * MIB, now).unwrap());
    meter.take(Class::Bulk, 0, 1, now).unwrap_err();
    // What was taken yesterday and is given back today is no gift.
    let late = meter.take(Class::Bulk, 0, 60 * MIB, at(2, 0)).unwrap();
    keep(meter.take(Class::Bulk, 0, 60 * MIB, at(3, 0)).unwrap());
    drop(late);
    meter.take(Class::Bulk, 0, 60 * MIB, at(3, 0)).unwrap_err();
}

#[test]
fn a_restart_gives_nothing_back_and_a_clock_set_back_neither() {
    let meter = meter();
    keep(meter.take(Class::Bulk, 0, 100 * MIB, at(7, 5)).unwrap());
    assert!(meter.tell());
    assert!(!meter.tell());
    let (key, value) = meter.row();
    assert_eq!(key, b"qintegration/radar");
    let day = Day::decode(&value).unwrap();
    assert_eq!(day.encode(), value);
    for cut in 0..value.len() {
        assert_eq!(Day::decode(&value[..cut]), None, "{cut}");
    }
    let again = Arc::new(Meter::new("integration/radar".into(), quota(), day));
    assert!(!again.tell());
    again.take(Class::Bulk, 0, 1, at(7, 6)).unwrap_err();
    again.take(Class::Bulk, 0, 1, at(6, 6)).unwrap_err();
    // A clock that was years ahead for a while keeps nobody out for years.
    keep(again.take(Class::Bulk, 0, 1, at(5, 0)).unwrap());
    assert!(again.tell());
}
