//! Two machines, what lies between them, and what befalls them step by step.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use liaison::exchange::clock::Clock as _;
use liaison::exchange::session::End;
use liaison::exchange::submit::SubmitError;
use liaison::exchange::{Exchange, LogSide, OpenError, RecordError};
use liaison::model::{Header, MessageId};
use liaison::proto::v1;
use liaison::store::{Failure, StoreError};
use prost::Message as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::checker::Known;
use super::dice::Dice;
use super::disk::Defect;
use super::faults::Special;
use super::life::{Ends, Point};
use super::machine::{Machine, Snapshot, Told};
use super::notary::{Notary, Who};
use super::traffic;
use super::wire::{Manners, Net};
use crate::sides::{link_of, quiet, run_end, sides, submit, up};

/// Why a run ends before its time.
#[derive(Debug)]
pub(crate) enum Noticed {
    /// A node does not open, and says why.
    Open(OpenError),
}

/// What a run did, so that a run in which nothing happened is noticed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Figures {
    pub(crate) told: u64,
    pub(crate) refused: u64,
    pub(crate) asked_again: u64,
    pub(crate) sessions: u64,
    pub(crate) crashes: u64,
    pub(crate) failures: u64,
    pub(crate) full: u64,
    pub(crate) partitions: u64,
    pub(crate) holds: u64,
    pub(crate) rollbacks: u64,
    pub(crate) unnoticeable: u64,
    pub(crate) expressed: u64,
    pub(crate) hostile: u64,
    pub(crate) liars: u64,
    pub(crate) refusals: u64,
    pub(crate) notes: u64,
    pub(crate) ends: Ends,
}

/// One end of a session.
struct Running {
    who: Who,
    wire: u64,
    stop: CancellationToken,
    end: JoinHandle<End>,
}

/// A machine that was set back, until that is settled.
struct SetBack {
    who: Who,
    /// What its callers had been told before.
    told: BTreeMap<MessageId, Told>,
    /// Entries of its own log that the peer has.
    mirrored: u64,
}

/// Where a process is to end, when nothing is left to the dice.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) who: Who,
    /// The point of its life, from 0.
    pub(crate) point: u64,
    pub(crate) power_lost: bool,
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) machines: [Machine; 2],
    pub(crate) notary: Notary,
    pub(crate) net: Net,
    pub(crate) special: Special,
    pub(crate) figures: Figures,
    running: Vec<Running>,
    wires: u64,
    submitted: usize,
    snapshot: Option<Snapshot>,
    set_back: Option<SetBack>,
    /// Entries whose caller lost them with the disk: no machine can know.
    pub(crate) forgiven: Vec<MessageId>,
    pub(crate) verified: Known,
    /// Ends of processes, each of the next one of its machine; then nobody falls by chance.
    pub(crate) orders: Option<Vec<Order>>,
    power_lost: [bool; 2],
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let (a, b) = sides();
        let notary = Notary::of(&a, &b);
        let mut dice = Dice::new(seed);
        let special = Special::draw(&mut dice);
        Self {
            dice,
            machines: [Machine::new(a), Machine::new(b)],
            net: Net::new(notary.clone()),
            notary,
            special,
            figures: Figures::default(),
            running: Vec::new(),
            wires: 0,
            submitted: 0,
            snapshot: None,
            set_back: None,
            forgiven: Vec::new(),
            verified: Known::default(),
            orders: None,
            power_lost: [false; 2],
        }
    }

    /// Every node of this world lacks a line.
    pub(crate) fn with_defect(mut self, defect: Option<Defect>) -> Self {
        if defect.is_some() {
            self.special = Special::None;
        }
        for machine in &self.machines {
            machine.disk.set_defect(defect);
        }
        self
    }

    /// Starts a node if it is down; one whose store failed is restarted.
    pub(crate) async fn start(&mut self, who: Who) -> Result<(), Noticed> {
        let is_over = self.machines[who].life.is_over();
        let failed = |process: &Arc<Exchange>| is_over || process.trouble().is_some();
        if self.machines[who].process.as_ref().is_some_and(failed) {
            self.figures.failures += u64::from(!is_over);
            let power_lost = self.is_power_lost(who);
            self.kill(who, power_lost).await;
        }
        if self.machines[who].process.is_some() {
            return Ok(());
        }
        // Some fall while they open.
        let fuse = match &mut self.orders {
            None => self.dice.one_in(8).then(|| self.dice.below(6)),
            Some(orders) => {
                let next = orders.iter().position(|order| order.who == who);
                let order = next.map(|at| orders.remove(at));
                self.power_lost[who] = order.is_some_and(|order| order.power_lost);
                order.map(|order| order.point)
            }
        };
        let [a, b] = &mut self.machines;
        let (machine, peer) = if who == 0 { (a, b) } else { (b, a) };
        let opened = machine.open(&peer.side, fuse);
        if self.orders.is_none() {
            machine.life.light(u64::MAX);
        }
        match opened {
            Ok(()) => {}
            // A disk that is full may not let a node start; it is tried again later.
            Err(OpenError::Store(StoreError::Full { .. })) => return Ok(()),
            // The failure that was ordered hit while opening: start once more.
            Err(OpenError::Store(StoreError::OutcomeUnknown { .. } | StoreError::Io { .. })) => {
                let power_lost = self.is_power_lost(who);
                self.kill(who, power_lost).await;
                return Ok(());
            }
            Err(OpenError::Read(_)) if machine.life.is_over() => {
                let power_lost = self.is_power_lost(who);
                self.kill(who, power_lost).await;
                return Ok(());
            }
            Err(error) => return Err(Noticed::Open(error)),
        }
        for draft in std::mem::take(&mut self.machines[who].unanswered) {
            self.figures.asked_again += 1;
            self.submit(who, draft).await;
        }
        Ok(())
    }

    /// Ends a node's process as SIGKILL does; with `power_lost` the machine under it.
    pub(crate) async fn kill(&mut self, who: Who, power_lost: bool) {
        self.figures.crashes += 1;
        let machine = &mut self.machines[who];
        machine.life.kill();
        self.figures.ends.note(machine.life.ended_at());
        for running in self.running.extract_if(.., |running| running.who == who) {
            running.end.abort();
            judge_end(running.end.await);
        }
        self.machines[who].bury(power_lost);
        if power_lost && self.has_liar(who) {
            self.forgive_the_unmarked(who);
        }
    }

    fn is_power_lost(&mut self, who: Who) -> bool {
        match self.orders {
            None => self.dice.one_in(2),
            Some(_) => self.power_lost[who],
        }
    }

    /// Whether the disk of one says that it is done when it is not.
    pub(crate) fn has_liar(&self, who: Who) -> bool {
        self.special == Special::LyingDisk(who)
    }

    /// A disk that lied lost what was told in the moment before its mark was written: that no node
    /// can know, and nothing of it was signed.
    fn forgive_the_unmarked(&mut self, who: Who) {
        let machine = &self.machines[who];
        let origin = machine.side.origin_to(&self.machines[1 - who].side);
        let machine = &mut self.machines[who];
        let held = machine.disk.held().own;
        if machine.disk.marked(&origin.to_string()) > held {
            return;
        }
        machine.told.retain(|id, told| {
            let is_kept = told.index < held;
            if !is_kept {
                self.forgiven.push(*id);
            }
            is_kept
        });
    }

    pub(crate) async fn hang_up(&mut self) {
        for running in self.running.drain(..) {
            running.end.abort();
            judge_end(running.end.await);
        }
    }

    /// Puts away whoever has died, and the sessions that have ended.
    async fn look_round(&mut self) {
        for who in [0, 1] {
            if self.machines[who].process.is_some() && self.machines[who].life.is_over() {
                let power_lost = self.is_power_lost(who);
                self.kill(who, power_lost).await;
            }
        }
        let ended: Vec<_> = self
            .running
            .extract_if(.., |running| running.end.is_finished())
            .collect();
        for running in ended {
            judge_end(running.end.await);
        }
        self.look_at_what_came_ahead();
        self.notary.assert_clean();
    }

    /// What was delivered ahead of its turn is shown, unless the session ended over it.
    fn look_at_what_came_ahead(&mut self) {
        for (who, wire, id) in self.net.take_arrived() {
            let machine = &self.machines[who];
            let Some(process) = &machine.process else {
                continue;
            };
            if self.stands(who, wire, process) && !machine.life.is_over() {
                let found = process.find(id).unwrap();
                assert!(
                    found.is_some(),
                    "came ahead of its turn and is not shown: {id}"
                );
                self.figures.expressed += 1;
            }
        }
    }

    /// Whether a session takes what arrives. One that has ended lets the peer read its last word and
    /// takes nothing meanwhile, though it still runs: what arrives then comes again with the next.
    fn stands(&self, who: Who, wire: u64, process: &Exchange) -> bool {
        let link = link_of(process);
        // The link shows as up for the newest session only.
        let newest = self.running.iter().rfind(|running| running.who == who);
        newest.is_some_and(|newest| newest.wire == wire && !newest.stop.is_cancelled())
            && link.presence().up
            && process.held(&link).is_none()
            && process.trouble().is_none()
    }

    /// Lets time pass; ends sooner when somebody dies.
    pub(crate) async fn nap(&mut self, ms: u64) {
        let [a, b] = [0, 1].map(|who| self.machines[who].life.clone());
        let down = [0, 1].map(|who| self.machines[who].process.is_none());
        tokio::select! {
            biased;
            () = a.over(), if !down[0] => {}
            () = b.over(), if !down[1] => {}
            () = tokio::time::sleep(Duration::from_millis(ms)) => {}
        }
        self.look_round().await;
    }

    pub(crate) async fn submit(&mut self, who: Who, draft: Arc<v1::Draft>) {
        let is_set_back = self.set_back.as_ref().is_some_and(|set| set.who == who);
        let machine = &mut self.machines[who];
        let Some(process) = machine.process.clone() else {
            return;
        };
        if !machine.life.pass(Point::Submitted) {
            return;
        }
        let id = MessageId::parse(&draft.id).unwrap();
        let result = submit(&process, (*draft).clone()).await;
        drop(process);
        match result {
            Ok(recorded) => {
                assert_eq!(recorded.id, id);
                let told = Told {
                    index: recorded.index,
                    draft: Arc::clone(&draft),
                };
                let before = machine.told.insert(id, told.clone());
                assert!(
                    is_set_back || before.is_none_or(|before| before == told),
                    "told two things of one message: {id}"
                );
                self.figures.told += 1;
                machine.life.pass(Point::Told);
            }
            Err(SubmitError::Record(RecordError::Full { .. })) => self.figures.full += 1,
            Err(SubmitError::Record(RecordError::Stopped { .. })) => {
                machine.unanswered.push(draft);
            }
            Err(_) if machine.life.is_over() => machine.unanswered.push(draft),
            Err(SubmitError::IdUsed { .. }) => {
                // Another content has the id, or may have it: its caller waits for the answer.
                let same = |other: &v1::Draft| other.id == draft.id && *other != *draft;
                let rival = machine.told.get(&id).is_some_and(|told| same(&told.draft))
                    || machine.unanswered.iter().any(|other| same(other));
                assert!(rival, "an id that nobody used is used: {id}");
                self.figures.refused += 1;
            }
            // Its records are coming back; the caller asks again.
            Err(SubmitError::Record(RecordError::Restoring)) => {
                machine.unanswered.push(draft);
            }
            Err(error) => {
                assert!(!traffic::is_always_possible(&draft), "{error}");
                assert!(
                    matches!(
                        error,
                        SubmitError::Impossible { .. } | SubmitError::Faults(_)
                    ),
                    "{error}"
                );
                let told = machine.told.get(&id);
                assert!(told.is_none_or(|told| told.draft != draft), "{error}");
                self.figures.refused += 1;
            }
        }
    }

    async fn submit_new(&mut self, who: Who) {
        self.submitted += 1;
        let ids = |machine: &Machine| machine.told.keys().copied().collect::<Vec<_>>();
        let (mine, theirs) = (ids(&self.machines[who]), ids(&self.machines[1 - who]));
        let unix_ms = self.machines[who].clock.unix_ms();
        let recipient = &self.machines[1 - who].side;
        let number = self.submitted;
        let draft = traffic::draft(&mut self.dice, recipient, number, unix_ms, &mine, &theirs);
        let rival = self.dice.one_in(12).then(|| v1::Draft {
            id: draft.id.clone(),
            ..traffic::draft(&mut self.dice, recipient, number + 5_000, unix_ms, &[], &[])
        });
        self.submit(who, Arc::new(draft)).await;
        if let Some(rival) = rival {
            self.submit(who, Arc::new(rival)).await;
        }
    }

    /// A caller that asks again although it was told.
    async fn submit_again(&mut self, who: Who) {
        let told = &self.machines[who].told;
        if told.is_empty() {
            return;
        }
        let at = self.dice.index(told.len());
        let draft = Arc::clone(&told.values().nth(at).unwrap().draft);
        self.figures.asked_again += 1;
        self.submit(who, draft).await;
    }

    /// Connects both nodes, dialled by either, unless the network lets nobody through.
    pub(crate) fn connect(&mut self, reliable: bool) {
        let [Some(a), Some(b)] = [0, 1].map(|who| self.machines[who].process.clone()) else {
            return;
        };
        if !self.net.is_whole() {
            return;
        }
        self.figures.sessions += 1;
        self.wires += 1;
        let dialler = if self.dice.one_in(2) { &a } else { &b };
        let manners = if reliable {
            Manners {
                lifetime: u64::MAX,
                slow: false,
                meddled: false,
            }
        } else {
            Manners {
                lifetime: self.dice.below(40),
                slow: self.dice.one_in(2),
                meddled: self.special == Special::Meddling && self.dice.one_in(2),
            }
        };
        let hosts = [self.machines[0].host(), self.machines[1].host()];
        let (left, right) = self.net.lay(self.wires, &hosts, manners, &mut self.dice);
        let stop = CancellationToken::new();
        for (who, exchange, channel) in [(0, &a, left), (1, &b, right)] {
            self.running.push(Running {
                who,
                wire: self.wires,
                end: run_end(exchange, dialler.node(), channel, &stop),
                stop: stop.clone(),
            });
        }
    }

    /// One thing that happens.
    pub(crate) async fn step(&mut self) -> Result<(), Noticed> {
        let who = self.dice.index(2);
        match self.dice.below(26) {
            0..=7 => self.submit_new(who).await,
            8 => self.submit_again(who).await,
            9..=11 => self.connect(false),
            12..=14 => {
                let ms = self.dice.below(5_000);
                self.nap(ms).await;
            }
            15..=19 => {
                // It falls where the fuse burns out, between any two steps.
                let points = self.dice.below(24);
                self.machines[who].life.light(points);
            }
            20 => {
                let power_lost = self.dice.one_in(2);
                self.kill(who, power_lost).await;
            }
            21 => {
                let failure = match self.dice.below(3) {
                    0 => Failure::Before,
                    1 => Failure::Volatile,
                    _ => Failure::After,
                };
                let in_commits = self.dice.below(6);
                self.machines[who].disk.fail_commit(in_commits, failure);
            }
            22 => {
                let full = self.dice.one_in(2);
                self.machines[who].disk.set_full(full);
            }
            23 => self.upset(who).await,
            24 => {
                // An operator ends a session in order; or the special of this seed strikes.
                if self.dice.one_in(4) {
                    for running in &self.running {
                        running.stop.cancel();
                    }
                } else {
                    self.strike().await?;
                }
            }
            _ => {
                for who in [0, 1] {
                    self.start(who).await?;
                }
                self.connect(false);
            }
        }
        self.look_round().await;
        // Whoever lies dead is started by its supervisor, mostly soon.
        for who in [0, 1] {
            if self.machines[who].process.is_none() && !self.dice.one_in(3) {
                self.start(who).await?;
                if self.dice.one_in(2) {
                    self.connect(false);
                }
            }
        }
        Ok(())
    }

    /// The network parts, or the clock jumps.
    async fn upset(&mut self, who: Who) {
        if self.dice.one_in(3) {
            const YEAR_MS: u64 = 365 * 24 * 3_600_000;
            let span = [1_000, 3_600_000, 5 * YEAR_MS][self.dice.index(3)];
            let ms = i64::try_from(self.dice.below(span)).unwrap();
            let ms = if self.dice.one_in(2) { ms } else { -ms };
            self.machines[who].clock.jump(ms);
            return;
        }
        let both = self.dice.one_in(2);
        self.figures.partitions += 1;
        self.net.set_blocked(who, true);
        self.net.set_blocked(1 - who, both);
        // Beyond three minutes a session that hears nothing gives up.
        let ms = self.dice.below(400_000);
        self.nap(ms).await;
        for who in [0, 1] {
            self.net.set_blocked(who, false);
        }
    }

    async fn strike(&mut self) -> Result<(), Noticed> {
        match self.special {
            Special::Rollback(who) if self.set_back.is_none() => match self.snapshot.take() {
                None => self.snapshot = Some(self.machines[who].snapshot()),
                Some(snapshot) => self.set_back(who, &snapshot).await?,
            },
            Special::Meddling => self.release_excused().await,
            Special::LyingDisk(who) => {
                self.machines[who].disk.set_lies(true);
                self.notary.set_believes(who, false);
            }
            _ => {}
        }
        Ok(())
    }

    /// The operators look at links that are held, and let them go on.
    async fn release_excused(&mut self) {
        for who in [0, 1] {
            let Some(process) = self.machines[who].process.clone() else {
                continue;
            };
            let link = link_of(&process);
            if let Some(held) = process.held(&link) {
                assert!(
                    self.special.excuses(held.code),
                    "held without reason: {held:?}"
                );
                self.figures.holds += 1;
                drop(
                    process
                        .release(&link, "looked at", &liaison::exchange::Author::new("sim"))
                        .await,
                );
            }
        }
    }

    /// Puts an old state of the whole machine in the place of the current one.
    async fn set_back(&mut self, who: Who, snapshot: &Snapshot) -> Result<(), Noticed> {
        self.kill(who, true).await;
        // What was on its way arrives.
        self.hang_up().await;
        let (peer, old) = (1 - who, snapshot.disk.held());
        let stands = |process: &Arc<Exchange>| process.trouble().is_none();
        if !self.machines[peer].process.as_ref().is_some_and(stands) {
            // What it can read and what is durable there are the same after that.
            self.kill(peer, true).await;
        }
        let known = self.machines[peer].disk.copy().held();
        if self.machines[peer]
            .disk
            .knows_beyond(known.mirror.max(old.own))
        {
            // It would sign what contradicts a note or an entry that the peer keeps without having
            // mirrored it: that is a fork, found when its turn comes, and no run goes on from there.
            self.figures.unnoticeable += 1;
            return Ok(());
        }
        let machine = &mut self.machines[who];
        let told = machine.told.clone();
        machine.set_back(snapshot);
        let mirrored = known.mirror;
        let is_lost = |told: &Told| told.index >= old.own;
        if mirrored <= old.own {
            // Nobody can know: those entries were on this machine only.
            self.figures.unnoticeable += 1;
            let lost: Vec<_> = told.iter().filter(|(_, told)| is_lost(told)).collect();
            for (id, _) in lost {
                machine.told.remove(id);
                self.forgiven.push(*id);
            }
            self.notary.forget_beyond(who, mirrored.max(old.own));
            self.notary.doubt();
            return Ok(());
        }
        self.figures.rollbacks += 1;
        machine.told.retain(|_, told| !is_lost(told));
        // Nobody holds what it signed beyond that.
        self.notary.forget_beyond(who, mirrored);
        self.notary.doubt();
        self.set_back = Some(SetBack {
            who,
            told,
            mirrored,
        });
        self.start(who).await
    }

    /// A machine that was set back has met its peer, and both are quiet: what the peer had is back
    /// where it was, and what was told since lies behind it. What only this machine had is lost.
    fn settle_rollback(&mut self) {
        let Some(SetBack {
            who,
            told,
            mirrored,
        }) = self.set_back.take()
        else {
            return;
        };
        let machine = &mut self.machines[who];
        let process = machine.process.as_ref().unwrap();
        let indices = indices(process);
        for (id, since) in &mut machine.told {
            // Recorded again: at another index. One that is not there is found by the checker.
            if !told.contains_key(id) {
                since.index = indices.get(id).copied().unwrap_or(since.index);
            }
        }
        for (id, told) in told {
            if told.index < mirrored {
                machine.told.insert(id, told);
            } else if !machine.told.contains_key(&id) {
                self.forgiven.push(id);
            }
        }
    }

    /// Ends the storm: the network is whole, disks have space, both nodes run, the wire holds.
    pub(crate) async fn calm(&mut self) -> Result<(), Noticed> {
        for who in [0, 1] {
            self.machines[who].disk.set_full(false);
            self.net.set_blocked(who, false);
            self.machines[who].life.light(u64::MAX);
        }
        // Failures may still be ordered: until both stand, start them again.
        for _ in 0..20 {
            self.hang_up().await;
            for who in [0, 1] {
                self.start(who).await?;
                self.machines[who].life.light(u64::MAX);
            }
            self.release_excused().await;
            self.connect(true);
            let [Some(a), Some(b)] = [0, 1].map(|who| self.machines[who].process.clone()) else {
                continue;
            };
            let troubled = async {
                let (mut x, mut y) = (a.watch_trouble(), b.watch_trouble());
                tokio::select! {
                    biased;
                    _ = x.wait_for(Option::is_some) => {}
                    _ = y.wait_for(Option::is_some) => {}
                }
            };
            let notary = self.notary.clone();
            let ends = self
                .running
                .iter()
                .map(|running| running.end.abort_handle());
            let ends: Vec<_> = ends.collect();
            let ended = async {
                while !ends.iter().any(tokio::task::AbortHandle::is_finished) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            let stands = tokio::select! {
                biased;
                () = notary.alarm() => false,
                () = ended => false,
                () = troubled => false,
                () = async { up(&a, &b).await; quiet(&a, &b).await } => true,
            };
            drop((a, b));
            self.look_round().await;
            if stands {
                self.settle_rollback();
                self.check(false);
                return Ok(());
            }
        }
        panic!("the nodes never stand");
    }
}

/// Where each message of the own log lies.
pub(crate) fn indices(exchange: &Exchange) -> BTreeMap<MessageId, u64> {
    let link = link_of(exchange);
    let reader = exchange.reader(&link, LogSide::Own);
    let stored = reader.entries(0, u64::MAX, usize::MAX).unwrap();
    let id_of = |entry: &[u8]| {
        let entry = v1::Entry::decode(entry).unwrap();
        Header::parse(&entry.payload).unwrap().id
    };
    stored
        .iter()
        .map(|at| (id_of(&at.entry), at.index))
        .collect()
}

/// A session may end in many ways; not by a panic, and not because its own store is not whole.
pub(crate) fn judge_end(end: Result<End, tokio::task::JoinError>) {
    match end {
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Ok(End::Unreadable(error)) => {
            // A dead process reads nothing more.
            let text = error.to_string();
            assert!(text.contains("last commit"), "{text}");
        }
        _ => {}
    }
}
