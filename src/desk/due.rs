//! What is owed on either side and when it is due, and the calendars it is counted on.

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::Desk;
use super::caller::Access;
use super::errors::DeskError;
use crate::exchange::Link;
use crate::exchange::clock::timestamp_of_ms;
use crate::exchange::due::{Due, Dues, Listed, Overdue, When};
use crate::exchange::read::ReadError;
use crate::exchange::remind::{Reached, Stage};
use crate::limits::DUES_LISTED_MAX;
use crate::model::deadline::local;
use crate::model::workflow::{Duty, Millis, Owed, Party, Term, calendars_in_force};
use crate::proto::v1;

impl Desk {
    fn links_of(&self, peer: &str) -> Result<Vec<&std::sync::Arc<Link>>, DeskError> {
        if peer.is_empty() {
            return Ok(self.exchange.links().collect());
        }
        let link = self.exchange.link(peer).ok_or_else(|| {
            DeskError::field(
                "peer",
                "no such peer of this node",
                "`status` shows the peers; leave it empty for all",
            )
        })?;
        Ok(vec![link])
    }

    pub(super) fn overdue(&self, link: &Link) -> Result<Overdue, DeskError> {
        let now = self.exchange.now();
        Ok(self.exchange.with_dues(link, |dues| dues.overdue(now))??)
    }

    pub(super) fn list_due(
        &self,
        request: &v1::ListDueRequest,
    ) -> Result<v1::ListDueResponse, DeskError> {
        let now = self.exchange.now();
        let mut listed = First::default();
        for link in self.links_of(&request.peer)? {
            let wanted = |due: &&Due| {
                let own = due.duty.owed_by == link.party();
                let side = match request.owed_by() {
                    v1::Side::Own => own,
                    v1::Side::Peer => !own,
                    v1::Side::Unspecified => true,
                };
                side && (request.all || due.when != When::NoTerm)
            };
            let mut last = None;
            loop {
                // Some cases at a time, so that nobody waits for all of them.
                let page = self.exchange.with_dues(link, |dues| {
                    let zones = self.zones(link, dues);
                    let page = dues.page(last, !request.all)?;
                    last = page.last().map(|(case, _)| *case);
                    for due in page.iter().flat_map(|(_, dues)| dues).filter(wanted) {
                        listed.put(sort_key(due, now), || told(link, dues, due, &zones, now))?;
                    }
                    Ok::<_, ReadError>(())
                })?;
                page?;
                if last.is_none() {
                    break;
                }
            }
        }
        let (dues, left_out) = listed.end();
        Ok(v1::ListDueResponse {
            dues,
            now: Some(wire_time(now)),
            left_out,
        })
    }

    /// The zones of this node's side and of the peer's: of their latest calendars, else of
    /// configuration and card.
    fn zones(&self, link: &Link, dues: &Dues<'_>) -> [TimeZone; 2] {
        let own = link.party();
        [own, own.other()].map(|by| {
            let up = dues.calendars(by).iter().rev();
            let latest = up
                .filter(|listed| listed.published.withdrawn_at.is_none())
                .map(|listed| listed.published.calendar.zone().clone())
                .next();
            let given = || {
                let name = self.facts.zones.get(link.node_of(by).as_str())?;
                TimeZoneDatabase::bundled().get(name).ok()
            };
            latest.or_else(given).unwrap_or(TimeZone::UTC)
        })
    }

    pub(super) fn list_calendars(
        &self,
        access: Access,
        request: &v1::ListCalendarsRequest,
    ) -> Result<v1::ListCalendarsResponse, DeskError> {
        let mut calendars = Vec::new();
        for link in self.links_of(&request.peer)? {
            let own = link.party();
            let of_link = self.exchange.with_dues(link, |dues| {
                let sides = [(own, true), (own.other(), false)];
                let of_side = |(by, is_own): (Party, bool)| {
                    let listed = dues.calendars(by);
                    let published = listed.iter().map(|listed| &listed.published);
                    let in_force = calendars_in_force(published, u64::MAX);
                    let tell = move |listed: &Listed| {
                        let calendar = &listed.published.calendar;
                        let counts = in_force.year(calendar.year()) == Ok(calendar);
                        published_calendar(link, is_own, listed, counts)
                    };
                    listed.iter().map(tell).collect::<Vec<_>>()
                };
                sides.into_iter().flat_map(of_side).collect::<Vec<_>>()
            })?;
            calendars.extend(of_link);
        }
        if access == Access::Outline {
            for calendar in &mut calendars {
                calendar.calendar = calendar.calendar.take().map(outline);
            }
        }
        Ok(v1::ListCalendarsResponse { calendars })
    }
}

/// Something owed, as people see it; `zones` are those of this node's side and of the peer's.
fn told(
    link: &Link,
    dues: &Dues<'_>,
    due: &Due,
    zones: &[TimeZone; 2],
    now: Millis,
) -> Result<v1::Due, ReadError> {
    let side = |by: Party| side_of(by == link.party());
    let kind = v1::Kind::try_from(due.asked.kind).unwrap_or_default();
    let mut told = v1::Due {
        message_id: due.duty.message.to_string(),
        peer: link.peer.to_string(),
        side: side(due.asked.by) as i32,
        index: due.asked.index,
        thread_id: due.case.to_string(),
        kind: kind as i32,
        kind_number: due.asked.kind,
        precedence: due.asked.precedence,
        status: due.asked.status,
        owed: owed(due.duty.owed) as i32,
        owed_by: side(due.duty.owed_by) as i32,
        owed_by_node: link.node_of(due.duty.owed_by).to_string(),
        received_at: due.received_at.map(wire_time),
        overdue: due.is_overdue(now),
        ..v1::Due::default()
    };
    match &due.when {
        When::NoTerm => told.state = v1::DueState::NoTerm as i32,
        When::NotReceived => told.state = v1::DueState::NotReceived as i32,
        When::NoCalendar(error) => {
            told.state = v1::DueState::NoCalendar as i32;
            told.missing = format!("{error}; {}", error.remedy());
        }
        When::At(reckoned) => {
            let at = reckoned.at();
            told.state = v1::DueState::Known as i32;
            told.due_at = Some(wire_time(at));
            let instant = Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX);
            told.due_own = local(instant, &zones[0]).to_string();
            told.due_peer = local(instant, &zones[1]).to_string();
            told.count = reckoned.counted().map(|counted| count(&due.duty, counted));
        }
    }
    let name = |zone: &TimeZone| zone.iana_name().unwrap_or("UTC").to_owned();
    told.zone_own = name(&zones[0]);
    told.zone_peer = name(&zones[1]);
    let due_at = told.due_at;
    told.stages = dues
        .stages_of(due)?
        .into_iter()
        .map(|(reached, at_ms)| v1::ReachedStage {
            stage: stage(reached) as i32,
            at: Some(timestamp_of_ms(at_ms)),
            owed: told.owed,
            owed_by: told.owed_by,
            due_at,
        })
        .collect();
    Ok(told)
}

/// Which calendar it is, without what it says.
fn outline(calendar: v1::Calendar) -> v1::Calendar {
    v1::Calendar {
        year: calendar.year,
        version: calendar.version,
        country: calendar.country,
        time_zone: calendar.time_zone,
        sample: calendar.sample,
        ..v1::Calendar::default()
    }
}

fn published_calendar(
    link: &Link,
    is_own: bool,
    listed: &Listed,
    in_force: bool,
) -> v1::PublishedCalendar {
    let published = &listed.published;
    let mut calendar = published.calendar.to_message(v1::Common::default());
    calendar.common = None;
    v1::PublishedCalendar {
        peer: link.peer.to_string(),
        side: side_of(is_own) as i32,
        message_id: listed.message.to_string(),
        index: published.index,
        published_at: Some(wire_time(listed.said_at)),
        withdrawn: published.withdrawn_at.is_some(),
        in_force,
        calendar: Some(calendar),
    }
}

/// Overdue first, then by instant; what has no instant last, what has no term behind it.
type SortKey = (u8, Millis, String);

/// The first [`DUES_LISTED_MAX`] of any number, in order; the others are counted.
#[derive(Debug, Default)]
struct First<T> {
    /// Sorted when it is cut, at twice as many.
    listed: Vec<(SortKey, T)>,
    /// The last of those that were left when it was cut: what comes behind it is not wanted.
    last: Option<SortKey>,
    left_out: u64,
}

impl<T> First<T> {
    fn put<E>(&mut self, key: SortKey, told: impl FnOnce() -> Result<T, E>) -> Result<(), E> {
        if self.last.as_ref().is_some_and(|last| key > *last) {
            self.left_out += 1;
            return Ok(());
        }
        self.listed.push((key, told()?));
        if self.listed.len() >= 2 * DUES_LISTED_MAX {
            self.cut();
        }
        Ok(())
    }

    fn cut(&mut self) {
        self.listed.sort_by(|a, b| a.0.cmp(&b.0));
        let over = self.listed.len().saturating_sub(DUES_LISTED_MAX);
        if over > 0 {
            self.left_out += over as u64;
            self.listed.truncate(DUES_LISTED_MAX);
            self.last = self.listed.last().map(|(key, _)| key.clone());
        }
    }

    fn end(mut self) -> (Vec<T>, u64) {
        self.cut();
        let listed = self.listed.into_iter().map(|(_, told)| told);
        (listed.collect(), self.left_out)
    }
}

fn sort_key(due: &Due, now: Millis) -> SortKey {
    let (rank, at) = match &due.when {
        When::At(reckoned) => (u8::from(!due.is_overdue(now)), reckoned.at()),
        When::NoCalendar(_) => (2, due.asked.created_at),
        When::NotReceived => (3, due.asked.created_at),
        When::NoTerm => (4, due.asked.created_at),
    };
    (rank, at, due.duty.message.to_string())
}

fn count(duty: &Duty, counted: &crate::model::deadline::Due) -> v1::DueCount {
    let extended_by = match duty.term {
        Some(Term::WorkingDays { extended_by, .. }) => u32::from(extended_by),
        _ => 0,
    };
    let versions = counted.calendar_versions.iter();
    v1::DueCount {
        days: u32::try_from(counted.counted.len()).unwrap_or(u32::MAX),
        extended_by,
        country: counted.country.to_string(),
        calendars: versions
            .map(|(year, version)| v1::CalendarVersion {
                year: i32::from(*year),
                version: *version,
            })
            .collect(),
        sample: counted.sample,
        received_on: counted.received_on.to_string(),
        last_day: counted.last_day.to_string(),
    }
}

/// A stage that was reached, as a watcher is told of it.
pub(super) fn reached_stage(reached: &Reached) -> v1::ReachedStage {
    v1::ReachedStage {
        stage: stage(reached.stage) as i32,
        at: Some(timestamp_of_ms(reached.at_ms)),
        owed: owed(reached.owed) as i32,
        owed_by: side_of(reached.owed_by_own) as i32,
        due_at: Some(wire_time(reached.due_ms)),
    }
}

fn side_of(is_own: bool) -> v1::Side {
    if is_own {
        v1::Side::Own
    } else {
        v1::Side::Peer
    }
}

fn stage(stage: Stage) -> v1::DueStage {
    match stage {
        Stage::Reminder => v1::DueStage::Reminder,
        Stage::Overdue => v1::DueStage::Overdue,
        Stage::Escalation => v1::DueStage::Escalation,
    }
}

fn owed(owed: Owed) -> v1::OwedThing {
    match owed {
        Owed::Acknowledgement => v1::OwedThing::Acknowledgement,
        Owed::Reply => v1::OwedThing::Reply,
        Owed::Decision => v1::OwedThing::Decision,
        Owed::Information => v1::OwedThing::Information,
        Owed::Agreement => v1::OwedThing::Agreement,
        Owed::Countersignature => v1::OwedThing::Countersignature,
        Owed::Record => v1::OwedThing::Record,
        Owed::Closure => v1::OwedThing::Closure,
    }
}

fn wire_time(at: Millis) -> prost_types::Timestamp {
    timestamp_of_ms(u64::try_from(at).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever order they come in: the first ones in order, and how many more there are.
    #[test]
    fn only_the_first_are_listed_and_the_others_counted() {
        for count in [
            DUES_LISTED_MAX,
            DUES_LISTED_MAX + 1,
            5 * DUES_LISTED_MAX + 7,
        ] {
            let mut first = First::default();
            let mut told = 0;
            for number in 0..count {
                // Every number once: 7,919 is a prime that divides none of the counts.
                let at = number * 7_919 % count;
                let key = (0, Millis::try_from(at).unwrap(), String::new());
                let tell = || {
                    told += 1;
                    Ok::<_, ()>(at)
                };
                first.put(key, tell).unwrap();
            }
            let (listed, left_out) = first.end();
            assert!(listed.into_iter().eq(0..DUES_LISTED_MAX), "{count}");
            assert_eq!(left_out, (count - DUES_LISTED_MAX) as u64);
            assert!(told <= count);
        }
    }
}
