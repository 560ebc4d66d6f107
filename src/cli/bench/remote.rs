//! `--peer`: the running node sends to its real peer. What is sent stays in both logs for ever, so
//! somebody has to want it.

use super::drafts::Mix;
use super::load::{Plan, Ways};
use super::pair::{LOCAL_CONNECTIONS_MAX, connections};
use super::rounds::warm_up_count;
use crate::cli::connect::Target;
use crate::cli::exit::{Exit, Failure};
use crate::cli::print::{self, Screen};
use crate::cli::status;
use crate::model::text::escape;
use crate::proto::v1::LinkState;

/// Connections over the network that one person may have at a desk, less that for watching.
const REMOTE_CONNECTIONS_MAX: usize = 15;

/// The ways to the node; its peer's desk is not ours to look at.
pub(super) async fn ways(target: &Target, peer: &str, plan: &Plan) -> Result<Ways, Failure> {
    let own = target.connect().await?;
    let links = status::get(&own).await?.links;
    let Some(link) = links.iter().find(|link| link.peer == peer) else {
        let peers: Vec<&str> = links.iter().map(|link| link.peer.as_str()).collect();
        let remedy = if peers.is_empty() {
            "this node has none; without --peer, two nodes are started for the purpose".to_owned()
        } else {
            format!("choose from {}", peers.join(", "))
        };
        let what = format!("--peer {peer}: no such peer of this node");
        return Err(Failure::new(Exit::Usage, what).remedy(remedy));
    };
    if link.state() != LinkState::Up {
        let what = format!("the link with {peer} is not up: {}", escape(&link.detail));
        return Err(Failure::new(Exit::Unavailable, what).remedy("see: liaison status"));
    }
    let most = if target.is_local() {
        LOCAL_CONNECTIONS_MAX
    } else {
        REMOTE_CONNECTIONS_MAX
    };
    Ok(Ways {
        submit: connections(target, plan.connections(most)).await?,
        own,
        peer: None,
    })
}

/// What will be sent, and to whom.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) peer: &'a str,
    pub(super) mix: Mix,
    pub(super) payload_bytes: usize,
    /// Of each round.
    pub(super) count: u64,
    pub(super) rounds: usize,
}

impl Asked<'_> {
    fn words(&self) -> String {
        let (warm_up, peer) = (warm_up_count(self.count), self.peer);
        format!(
            "{} notifications marked as a TEST will be sent to {peer}: {}, of {} bytes each; {warm_up} of \
             them to warm up, then {} in each of {} {}. They stay in both logs for ever and count against \
             the quotas of this node's user.",
            warm_up + self.count * self.rounds as u64,
            self.mix.words(),
            self.payload_bytes,
            self.count,
            self.rounds,
            if self.rounds == 1 { "round" } else { "rounds" },
        )
    }
}

/// Says what will stay, and asks unless that was answered.
pub(super) fn consent(asked: &Asked<'_>, yes: bool, screen: Screen) -> Result<(), Failure> {
    screen.note(asked.words());
    if yes || print::ask("Type \"send\" to go on:")? == "send" {
        return Ok(());
    }
    Err(Failure::new(Exit::Negative, "nothing was sent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_says_what_is_sent_and_how_many_in_all() {
        let asked = Asked {
            peer: "hekou.ni.cn.example",
            mix: Mix::Alerts,
            payload_bytes: 700,
            count: 2_000,
            rounds: 3,
        };
        let words = asked.words();
        assert!(
            words.starts_with(
                "6200 notifications marked as a TEST will be sent to hekou.ni.cn.example: crossing \
                 alerts, IMMEDIATE, of 700 bytes each; 200 of them to warm up, then 2000 in each of 3 \
                 rounds."
            ),
            "{words}"
        );
    }
}
