//! One node with links to many, each a process of its own.

use std::path::Path;

use tokio::task::JoinSet;

use crate::cli::bench::load::{Plan, Ways};
use crate::cli::bench::pair::{
    LOCAL_CONNECTIONS_MAX, SENDER, connections, disk_bytes, raise_quotas,
};
use crate::cli::connect::Target;
use crate::cli::demo::process;
use crate::cli::demo::sides::Side;
use crate::cli::exit::{Exit, Failure};

/// A sender and its receivers.
#[derive(Debug)]
pub(super) struct Hub {
    sender: Side,
    receivers: Vec<Side>,
}

impl Hub {
    /// Makes all of them below a directory; none runs.
    pub(super) fn make(dir: &Path, receivers: usize) -> Result<Self, Failure> {
        let sender = Side::make(dir, SENDER, "the sender", "Asia/Ho_Chi_Minh")?;
        let mut made = Vec::with_capacity(receivers);
        for number in 1..=receivers {
            let name = format!("post{number:02}.ni.cn.example");
            let receiver = Side::make(dir, &name, "a receiver", "Asia/Shanghai")?;
            sender.take_card_of(&receiver)?;
            receiver.take_card_of(&sender)?;
            raise_quotas(&receiver.config)?;
            made.push(receiver);
        }
        raise_quotas(&sender.config)?;
        Ok(Self {
            sender,
            receivers: made,
        })
    }

    /// The receivers' names.
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.receivers.iter().map(|side| side.node.to_string());
        names.collect()
    }

    /// Starts the sender, then one receiver after the other until its link is up, and connects to the
    /// sender's desk as often as the plan asks for. Nobody watches the receivers: with many, that would
    /// be measured instead.
    pub(super) async fn start(&mut self, plan: &Plan) -> Result<Ways, Failure> {
        self.sender.start()?;
        self.sender.wait_until(false).await?;
        for receiver in &mut self.receivers {
            receiver.start()?;
            receiver.wait_until(true).await?;
        }
        self.sender.wait_until(true).await?;
        let target = Target::of_config(&self.sender.config);
        Ok(Ways {
            submit: connections(&target, plan.connections(LOCAL_CONNECTIONS_MAX)).await?,
            own: self.sender.desk()?.clone(),
            peer: None,
        })
    }

    /// Bytes that all have on their disks.
    pub(super) fn disk_bytes(&self) -> u64 {
        let all = std::iter::once(&self.sender).chain(&self.receivers);
        let homes = all.filter_map(|side| side.config.parent());
        homes.map(disk_bytes).sum()
    }

    /// Waits for the sender to end by itself, and tells why. What a receiver's end does, the load tells.
    pub(super) async fn ended(&mut self) -> Failure {
        self.sender.ended().await;
        let why = process::tail(&self.sender.log_file());
        Failure::new(Exit::Unavailable, "the node of the sender has ended")
            .remedy(format!("its log says:\n{why}"))
    }

    /// Stops the sender, then all others at once.
    pub(super) async fn stop(mut self) {
        self.sender.stop().await;
        let mut stopping = JoinSet::new();
        for mut receiver in self.receivers {
            stopping.spawn(async move { receiver.stop().await });
        }
        while stopping.join_next().await.is_some() {}
    }
}
