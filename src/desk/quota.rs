//! What each caller may take: so much at a time, a second and a day, and nothing of what is left on
//! the disk for what is urgent.

use std::collections::BTreeMap;

use super::Desk;
use super::caller::{Caller, Role};
use super::errors::DeskError;
use super::seats::Seat;
use crate::exchange::quota::{Charge, Class, Quota};
use crate::exchange::submit::goes_ahead;
use crate::limits::{BULK_FLOORS, CALLER_SUBMITS_MAX, SUBMITS_BY_STREAMS_MAX, SUBMITS_MAX};
use crate::model::body::kind_of;
use crate::proto::v1;

/// What one person or program may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeskQuota {
    /// By the second and by the day.
    pub quota: Quota,
    /// Messages handed in and not yet answered.
    pub in_flight: usize,
}

impl Default for DeskQuota {
    fn default() -> Self {
        Self {
            quota: Quota::DESK,
            in_flight: CALLER_SUBMITS_MAX,
        }
    }
}

/// What each person and program may take.
#[derive(Debug, Clone, Default)]
pub struct DeskQuotas {
    /// Everyone of whom nothing else is said; each by itself.
    pub everyone: DeskQuota,
    /// Programs, by the name in their certificates.
    pub programs: BTreeMap<String, DeskQuota>,
}

impl DeskQuotas {
    fn of(&self, caller: &Caller) -> DeskQuota {
        let own = match caller.role {
            Role::Integration => self.programs.get(&caller.name),
            _ => None,
        };
        own.copied().unwrap_or(self.everyone)
    }
}

/// What a message costs beside its draft: header, signature, leaf and indices.
const AROUND_BYTES: u64 = 1 << 10;

/// How urgent a draft is. One that does not say becomes ROUTINE.
pub(super) fn class_of(draft: &v1::Draft) -> Class {
    let body = draft.body.as_ref().and_then(|body| body.body.as_ref());
    let kind = body.map_or(v1::Kind::Unspecified, kind_of);
    if goes_ahead(kind as i32, draft.precedence) {
        Class::Urgent
    } else {
        Class::Bulk
    }
}

/// The right to have one message recorded.
#[derive(Debug)]
pub(super) struct Admission {
    /// Until the call is answered.
    pub(super) seat: Seat,
    /// Goes with the message.
    pub(super) charge: Charge,
}

impl Desk {
    /// Lets a message in, of so many bytes as a draft.
    pub(super) async fn let_in(
        &self,
        caller: &Caller,
        class: Class,
        draft_bytes: usize,
    ) -> Result<Admission, DeskError> {
        if self.stop.is_cancelled() {
            return Err(DeskError::Stopping);
        }
        let (in_flight, all) = self.places(caller, class, SUBMITS_MAX);
        let seat = self.submits.take_up_to(caller, in_flight, all);
        let seat = seat.ok_or(DeskError::InFlight { in_flight })?;
        self.let_in_seated(caller, class, draft_bytes, seat).await
    }

    /// A place in flight, as soon as there is one: for who sends no more meanwhile. The last ones stay
    /// with those who do not wait.
    ///
    /// # Errors
    /// [`DeskError::InFlight`] for a caller who may have none at all.
    pub(super) async fn seat_in_turn(
        &self,
        caller: &Caller,
        class: Class,
    ) -> Result<Seat, DeskError> {
        let (in_flight, all) = self.places(caller, class, SUBMITS_BY_STREAMS_MAX);
        if in_flight == 0 {
            return Err(DeskError::InFlight { in_flight });
        }
        Ok(self.submits.wait_up_to(caller, in_flight, all).await)
    }

    /// As [`Desk::let_in`], with a place in flight.
    pub(super) async fn let_in_seated(
        &self,
        caller: &Caller,
        class: Class,
        draft_bytes: usize,
        seat: Seat,
    ) -> Result<Admission, DeskError> {
        if self.stop.is_cancelled() {
            return Err(DeskError::Stopping);
        }
        self.check_room(class)?;
        let bytes = AROUND_BYTES + draft_bytes as u64;
        let charge = self.charge(caller, class, 1, bytes).await?;
        Ok(Admission { seat, charge })
    }

    /// How many messages may be in flight: of the caller, and in all, of which `all_max` ordinary ones.
    fn places(&self, caller: &Caller, class: Class, all_max: usize) -> (usize, usize) {
        let places = |places: usize| match class {
            Class::Bulk => places,
            Class::Urgent => places + places.div_ceil(4),
        };
        let quota = self.rules.quotas.of(caller);
        (places(quota.in_flight), places(all_max))
    }

    /// Takes from a caller's quota.
    pub(super) async fn charge(
        &self,
        caller: &Caller,
        class: Class,
        messages: u64,
        bytes: u64,
    ) -> Result<Charge, DeskError> {
        let quota = self.rules.quotas.of(caller).quota;
        let meter = self.exchange.meter(caller.author().as_str(), quota)?;
        match self.exchange.take(&meter, class, messages, bytes) {
            Ok(charge) => Ok(charge),
            Err(over) => {
                // By role alone where it is a person: incidents name none.
                let who = caller.to_string();
                let own = self.exchange.node();
                self.exchange.tell_used_up(&meter, own, &who, &over).await;
                Err(DeskError::OverQuota {
                    whose: meter.name().to_owned(),
                    over,
                })
            }
        }
    }

    /// What is ordinary stops earlier than the disk does.
    pub(super) fn check_room(&self, class: Class) -> Result<(), DeskError> {
        if class == Class::Urgent {
            return Ok(()); // the store's own floor
        }
        let floor = self.facts.disk_free_bytes_min;
        let needed = floor.saturating_mul(BULK_FLOORS);
        let free = self.exchange.free_bytes()?;
        if free < needed {
            return Err(DeskError::Reserved { free, needed });
        }
        Ok(())
    }
}
