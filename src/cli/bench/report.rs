//! The whole result, as `--json` prints it: `liaison-bench/1`.

use serde::Serialize;

use super::bounds::{Bounds, Ratios};
use super::limits::Limits;

/// What the file says it is.
pub(super) const FORMAT: &str = "liaison-bench/1";

/// The result of a run of this command.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// [`FORMAT`].
    pub(super) format: &'static str,
    /// Version of this program.
    pub(super) program: &'static str,
    /// Where it was measured.
    pub(super) machine: Machine,
    /// What that can do at best.
    pub(super) limits: Limits,
    /// What was measured.
    pub(super) runs: Vec<Measured>,
    /// The scenario of a series that did not come to its end: only what is above was finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failed: Option<&'static str>,
}

/// A machine.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    /// Processors that this process may use.
    pub(super) cores: usize,
    /// What they are; empty if the system does not say.
    pub(super) model: String,
    /// The kernel's release.
    pub(super) kernel: String,
}

impl Machine {
    /// This one.
    pub(super) fn here() -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map(|(_, model)| model.trim().to_owned());
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            model: model.unwrap_or_default(),
            kernel: kernel.trim().to_owned(),
        }
    }
}

/// What one scenario came to.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Measured {
    /// A load.
    Load(Box<Run>),
    /// Alerts while letters drain.
    Flash(FlashRun),
    /// Inclusion proofs.
    Proof(ProofRun),
    /// Verification of an export.
    Verify(VerifyRun),
}

/// Scenario `flash`. Times of all rounds together.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FlashRun {
    /// Which.
    pub(super) scenario: &'static str,
    /// Bytes of the body of a letter.
    pub(super) payload_bytes: usize,
    /// Letters that drain in a round.
    pub(super) count: u64,
    /// Rounds.
    pub(super) rounds: usize,
    /// Letters a second while they drain, alerts between them, from the start of the receiver.
    pub(super) drained_per_second: f64,
    /// Alerts on the idle link.
    pub(super) alerts_idle: u64,
    /// Alerts that were sent while letters were still to be delivered.
    pub(super) alerts_draining: u64,
    /// From Submit until shown in the peer's Watch, on the idle link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shown_idle: Option<Latency>,
    /// The same while letters drain; absent if they had drained before the first alert was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shown_draining: Option<Latency>,
    /// Ratio of their p99.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p99_to_idle: Option<f64>,
}

/// Scenario `proof`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ProofRun {
    /// Which.
    pub(super) scenario: &'static str,
    /// Bytes of the body of a letter.
    pub(super) payload_bytes: usize,
    /// Entries of the log.
    pub(super) entries: u64,
    /// Proofs that were asked for over the desk, of that many entries.
    pub(super) proofs: u64,
    /// From asking the node until the proof is here, with checkpoint, keys and entry.
    pub(super) over_desk: Latency,
    /// Making the proof from the store, in this process.
    pub(super) in_process: Latency,
}

/// Scenario `verify`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VerifyRun {
    /// Which.
    pub(super) scenario: &'static str,
    /// Bytes of the body of a letter.
    pub(super) payload_bytes: usize,
    /// Entries of the export, both logs.
    pub(super) entries: u64,
    /// How often it was verified.
    pub(super) rounds: usize,
    /// Entries a second, the median.
    pub(super) per_second: f64,
    /// cores ÷ strict verification, every core busy.
    pub(super) bound_per_second: f64,
    /// What was reached of it.
    pub(super) of_bound: f64,
}

/// One load with its rounds. What could not be known is absent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    /// Which.
    pub(super) scenario: &'static str,
    /// How drafts went to the node: `stream` or `calls`.
    pub(super) by: &'static str,
    /// Notifications on their way at a time.
    pub(super) window: usize,
    /// Until when one is: `receipt` or `recorded`.
    pub(super) window_until: &'static str,
    /// Bytes of a body, serialized.
    pub(super) payload_bytes: usize,
    /// Kinds sent.
    pub(super) mix: &'static str,
    /// Links of the sender.
    pub(super) links: usize,
    /// The real peer that it was sent to; absent if both nodes were started for the purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) peer: Option<String>,
    /// What the receiver's Watch showed: `outline` or `bodies`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) watch: Option<&'static str>,
    /// Entries of the sender's log before the first round, behind the warm-up.
    pub(super) entries_before: u64,
    /// Notifications sent before it, which are in no figure.
    pub(super) warm_up: u64,
    /// Notifications of each round.
    pub(super) count: u64,
    /// Receipts verified in all rounds together.
    pub(super) receipts: u64,
    /// Rounds; every figure is the median of theirs.
    pub(super) rounds: usize,
    /// Notifications a second, from the first Submit to the last verified receipt.
    pub(super) per_second: f64,
    /// The same of each round.
    pub(super) per_second_of_rounds: Vec<f64>,
    /// Submit was answered.
    pub(super) recorded: Latency,
    /// Shown in the peer's Watch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delivered: Option<Latency>,
    /// The own Watch says that it is receipted.
    pub(super) receipt_verified: Latency,
    /// Processor time for a notification.
    pub(super) cpu_micros: Cpu,
    /// Calls of fdatasync and fsync for a notification.
    pub(super) syncs: Sides,
    /// Commits of the stores for a notification.
    pub(super) commits: Sides,
    /// Bytes on the link, both directions, TLS included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wire_bytes_per_payload_byte: Option<f64>,
    /// Bytes that both sides had written to their disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disk_written_per_payload_byte: Option<f64>,
    /// Bytes by which the files of both sides grew, over all rounds: no median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) disk_kept_per_payload_byte: Option<f64>,
    /// What this machine allows with both sides on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bounds: Option<Bounds>,
    /// What was reached of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ratios: Option<Ratios>,
}

/// Percentiles in microseconds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Latency {
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

/// Microseconds of processor time.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Cpu {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sender: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) receiver: Option<f64>,
    pub(super) generator: f64,
}

/// A number of each side.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sides {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sender: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) receiver: Option<f64>,
}
