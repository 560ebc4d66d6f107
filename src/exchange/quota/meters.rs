//! Every meter of a node, made when its identity is first seen.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Charge, Class, Day, Meter, Moment, OverQuota, Quota, QuotaPart};
use crate::exchange::command::Command;
use crate::exchange::hold::Incident;
use crate::exchange::{Exchange, Link, layout};
use crate::limits::METERS_MAX;
use crate::model::NodeName;
use crate::store::StoreError;

/// The meters of a node's identities.
#[derive(Debug)]
pub(crate) struct Meters {
    by_name: Mutex<BTreeMap<String, Arc<Meter>>>,
    peer: Mutex<Terms>,
}

/// What holds for every peer.
#[derive(Debug, Clone, Copy)]
struct Terms {
    quota: Quota,
    /// Free space that no identity has a share of.
    floor_bytes: u64,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            by_name: Mutex::default(),
            peer: Mutex::new(Terms {
                quota: Quota::PEER,
                floor_bytes: 0,
            }),
        }
    }

    fn terms(&self) -> Terms {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange {
    /// Sets what each peer may take, and how much of the disk nobody has a share of.
    pub fn limit_peers(&self, quota: Quota, floor_bytes: u64) {
        let mut peer = self.meters.peer.lock();
        let peer = peer.as_mut().unwrap_or_else(|poisoned| poisoned.get_mut());
        **peer = Terms { quota, floor_bytes };
    }

    /// The meter of an identity, which may take `quota`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn meter(&self, name: &str, quota: Quota) -> Result<Arc<Meter>, StoreError> {
        let by_name = &self.meters.by_name;
        let mut meters = by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = meters.get(name) {
            meter.limit(quota);
            return Ok(Arc::clone(meter));
        }
        if meters.len() >= METERS_MAX {
            // Those that nobody uses now. Their day is kept in the store.
            meters.retain(|_, meter| Arc::strong_count(meter) > 1);
        }
        let kept = self.store.get(&layout::quota(name))?;
        let day = kept.as_deref().and_then(Day::decode).unwrap_or_default();
        let meter = Arc::new(Meter::new(name.to_owned(), quota, day));
        meters.insert(name.to_owned(), Arc::clone(&meter));
        Ok(meter)
    }

    /// The meter of a link's peer.
    pub(crate) fn peer_meter(&self, link: &Link) -> Result<Arc<Meter>, StoreError> {
        let quota = self.meters.terms().quota;
        self.meter(&format!("peer/{}", link.peer), quota)
    }

    /// Takes from a meter now.
    ///
    /// # Errors
    /// [`OverQuota`]
    pub fn take(
        &self,
        meter: &Arc<Meter>,
        class: Class,
        messages: u64,
        bytes: u64,
    ) -> Result<Charge, OverQuota> {
        meter.take(class, messages, bytes, self.now_here())
    }

    /// Notes for the administrator, once a day for each identity, that its quota of the day is used
    /// up. `who` is how the incident names it, `of` the node that it belongs to.
    pub async fn tell_used_up(
        &self,
        meter: &Arc<Meter>,
        of: &NodeName,
        who: &str,
        over: &OverQuota,
    ) {
        if over.part == QuotaPart::Messages || !meter.tell() {
            return;
        }
        let incident = Incident {
            at_ms: self.clock.unix_ms(),
            peer: of.to_string(),
            what: format!(
                "the quota of {who} is used up: {over}. What is ordinary waits or is refused until \
                 then; what is urgent has a reserve. If it is honest work, raise the quota under \
                 [limits] in the configuration and restart the node"
            ),
            evidence: Vec::new(),
        };
        self.note_incident(incident).await;
        self.recorder
            .send(Command::KeepUsage(Arc::clone(meter)))
            .await;
    }

    fn now_here(&self) -> Moment {
        let floor = self.meters.terms().floor_bytes;
        // A disk that cannot be asked refuses the commit, in its own words.
        let free = self.store.free_bytes().unwrap_or(u64::MAX);
        Moment {
            instant: tokio::time::Instant::now(),
            unix_ms: self.clock.unix_ms(),
            free_bytes: free.saturating_sub(floor),
        }
    }

    /// Takes a part of a file from the quota of the peer that brings it. It is written with what the
    /// peer says next.
    ///
    /// # Errors
    /// When the store cannot be read; within, that the quota is used up.
    pub fn charge_file(
        &self,
        link: &Link,
        bytes: usize,
    ) -> Result<Result<(), OverQuota>, StoreError> {
        let meter = self.peer_meter(link)?;
        let taken = self.take(&meter, Class::Bulk, 0, bytes as u64);
        Ok(taken.map(|charge| {
            charge.keep();
        }))
    }

    /// Keeps a charge for what no message records, such as a file.
    pub async fn keep_charge(&self, charge: Charge) {
        let meter = Arc::clone(charge.keep());
        self.recorder.send(Command::KeepUsage(meter)).await;
    }
}
