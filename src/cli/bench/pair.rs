//! Two nodes as administrators make them, with default settings but for quotas: what is measured is the
//! node, not how much one caller may take of it.

use std::path::Path;

use super::load::{Plan, Ways};
use crate::cli::connect::{Desk, Target};
use crate::cli::demo::process;
use crate::cli::demo::sides::{Side, Sides};
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::refused;
use crate::proto::v1;

/// Connections to the desk's socket that one user may have, less that for watching.
pub(super) const LOCAL_CONNECTIONS_MAX: usize = 63;

/// Who sends.
const SENDER: &str = "laocai.bg.vn.example";
/// Who receives.
pub(super) const RECEIVER: &str = "hekou.ni.cn.example";

/// What is raised under `[limits.desk]` and `[limits.peer]`, to the largest value that each may have.
const QUOTAS: [(&str, u64); 5] = [
    ("messages_per_second", 1_000_000),
    ("burst_messages", 100_000_000),
    ("mib_per_day", 1 << 30),
    ("disk_percent", 100),
    ("in_flight", 4_096),
];

/// A sender and a receiver.
#[derive(Debug)]
pub(super) struct Pair(pub(super) Sides);

impl Pair {
    /// Makes both below a directory; neither runs.
    pub(super) fn make(dir: &Path) -> Result<Self, Failure> {
        let sides = Sides::make_pair(dir, [SENDER, RECEIVER], ["the sender", "the receiver"])?;
        for side in [&sides.vn, &sides.cn] {
            raise_quotas(&side.config)?;
        }
        Ok(Self(sides))
    }

    /// Starts both, and connects to their desks as often as the plan asks for.
    pub(super) async fn start(&mut self, plan: &Plan) -> Result<Ways, Failure> {
        self.0.start().await?;
        let target = Target::of_config(&self.sender().config);
        Ok(Ways {
            submit: connections(&target, plan.connections(LOCAL_CONNECTIONS_MAX)).await?,
            own: self.sender().desk()?.clone(),
            peer: Some(self.receiver().desk()?.clone()),
        })
    }

    /// The side that sends.
    pub(super) fn sender(&self) -> &Side {
        &self.0.vn
    }

    /// The side that receives.
    pub(super) fn receiver(&self) -> &Side {
        &self.0.cn
    }

    /// Bytes that both sides have on their disks.
    pub(super) fn disk_bytes(&self) -> u64 {
        let homes = [self.sender(), self.receiver()].map(|side| side.config.parent());
        homes.into_iter().flatten().map(disk_bytes).sum()
    }

    /// Waits for a node to end by itself, and tells why.
    pub(super) async fn ended(&mut self) -> Failure {
        let side = tokio::select! {
            () = self.0.vn.ended() => &self.0.vn,
            () = self.0.cn.ended() => &self.0.cn,
        };
        let why = process::tail(&side.log_file());
        Failure::new(
            Exit::Unavailable,
            format!("the node of {} has ended", side.place),
        )
        .remedy(format!("its log says:\n{why}"))
    }
}

/// So many connections to the desk of a configuration.
pub(super) async fn connections(target: &Target, count: usize) -> Result<Vec<Desk>, Failure> {
    let mut desks = Vec::with_capacity(count);
    for _ in 0..count {
        desks.push(target.connect().await?);
    }
    Ok(desks)
}

/// What the node has counted of its work; nothing if it does not tell this caller.
pub(super) async fn figures(desk: &Desk) -> Result<Option<v1::GetFiguresResponse>, Failure> {
    match desk.figures().get_figures(v1::GetFiguresRequest {}).await {
        Ok(figures) => Ok(Some(figures.into_inner())),
        Err(status) => match refused::failure(&status) {
            failure if failure.exit() == Exit::NoPermission => Ok(None),
            failure => Err(failure),
        },
    }
}

/// Bytes that the files below a directory take of the disk.
fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
        // In units of 512, whatever the file system's are (stat(2)).
        Ok(meta) => meta.blocks() * 512,
        // It was removed meanwhile.
        Err(_) => 0,
    });
    bytes.sum()
}

fn raise_quotas(config: &Path) -> Result<(), Failure> {
    let failed = || format!("the configuration {}", config.display());
    let text = std::fs::read_to_string(config).or_fail(Exit::Config, failed)?;
    let Some((before, limits)) = text.split_once("\n[limits.desk]\n") else {
        return Err(Failure::new(
            Exit::Internal,
            "the configuration has no [limits.desk]",
        ));
    };
    let mut raised = format!("\n{limits}");
    for (name, value) in QUOTAS {
        raised = raised.replace(&format!("\n#{name} ="), &format!("\n{name} = {value} #"));
    }
    std::fs::write(config, format!("{before}\n[limits.desk]{raised}"))
        .or_fail(Exit::CannotCreate, failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::config::Config;

    #[test]
    fn every_quota_is_raised_and_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let pair = Pair::make(dir.path()).unwrap();
        for side in [pair.sender(), pair.receiver()] {
            let text = std::fs::read_to_string(&side.config).unwrap();
            for (name, value) in QUOTAS {
                let sections = if name == "in_flight" { 1 } else { 2 };
                let line = format!("\n{name} = {value} #");
                assert_eq!(text.matches(&line).count(), sections, "{name}");
            }
            Config::load(&side.config).unwrap();
        }
    }
}
