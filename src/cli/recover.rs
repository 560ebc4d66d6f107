//! `liaison recover`: the records of a node that lost them, fetched back from its peers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::connect::Target;
use super::exit::{Done, Exit, Failure, OrExit as _};
use super::print::{Bar, Screen};
use super::table::{Cell, Fit, Style, Table};
use crate::model::{NodeName, text};
use crate::node::recover::{
    LinkStep, Outcome, RecoverError, Recovered, State, Step, Wanted, recover,
};

/// Between two lines about a link where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The bar while the store is read; no peer has this name.
const LOOKING: &str = "the store";

/// Fetches back from the peers what this node lost. Stop the node first.
///
/// A store that is damaged, shortened or gone is set aside (never deleted), a new one is made, and both
/// logs of every link are fetched from the peer, with bodies and attachments. Every entry is verified
/// against what this node's own keys signed; nothing is signed. May be interrupted and run again. A store
/// that opens is read from end to end first; if it is sound, it is compared with the peers, and completed
/// if it is an old copy.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Only the link with this peer; may be given several times.
    #[arg(long = "link", value_name = "PEER")]
    links: Vec<String>,
    /// The store is gone and nothing of it is left: make a new one.
    #[arg(long)]
    lost: bool,
    /// Give a link up when nothing has moved on it for so long.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    wait: u64,
}

impl Recover {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let config = target.load_config()?;
        let file = config.file.clone();
        let links = self
            .links
            .iter()
            .map(|peer| NodeName::parse(peer).or_fail(Exit::Usage, || "--link".to_owned()))
            .collect::<Result<_, Failure>>()?;
        let wanted = Wanted {
            links,
            lost: self.lost,
            wait: Duration::from_secs(self.wait),
        };
        let interrupted = async {
            // Whatever was fetched is durable.
            drop(tokio::signal::ctrl_c().await);
        };
        let mut shown = Shown::new(screen);
        let recovered = recover(config, wanted, interrupted, |step| shown.step(step))
            .await
            .map_err(|error| failure(error, &file))?;
        drop(shown);
        if screen.json {
            screen.json(&as_json(&recovered))?;
        } else {
            summary(&recovered, screen)?;
        }
        let whole = recovered
            .links
            .iter()
            .all(|link| link.state == State::Whole);
        Ok(if whole { Exit::Ok } else { Exit::Negative })
    }
}

fn failure(error: RecoverError, config: &std::path::Path) -> Failure {
    match &error {
        RecoverError::NoLink(_) => {
            Failure::of(Exit::Usage, error.into()).remedy("`liaison peer list` shows the peers")
        }
        RecoverError::NoStore(_) => Failure::of(Exit::Config, error.into()).remedy(
            "is its disk mounted, and data_dir right? If the store is gone for good: \
             liaison recover --lost",
        ),
        RecoverError::Node(_) => Failure::of(Exit::Internal, error.into())
            .while_doing(format!("nothing of {} was recovered", config.display())),
    }
}

/// What is shown while it goes on: bars on a terminal, else a line now and then.
struct Shown {
    screen: Screen,
    bars: BTreeMap<String, Bar>,
    lines: BTreeMap<String, (String, Instant)>,
}

impl Shown {
    fn new(screen: Screen) -> Self {
        Self {
            screen,
            bars: BTreeMap::new(),
            lines: BTreeMap::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::SetAside { why, old } => {
                let (why, old) = (text::escape(why), old.display());
                self.screen.note(format!(
                    "the store is not served: {why}\nit lies in {old} now; nothing is deleted"
                ));
            }
            Step::Looked(count) => {
                let bar = self.bars.entry(LOOKING.to_owned());
                bar.or_insert_with(|| Bar::waiting("reading the store to see whether it is sound"))
                    .at(*count);
            }
            Step::Blobs(count) => {
                self.bars.remove(LOOKING);
                let bar = self.bars.entry(String::new());
                bar.or_insert_with(|| Bar::waiting("comparing files with their digests"))
                    .at(*count);
            }
            Step::Salvaged(salvaged) => {
                self.bars.clear();
                if let Some(trouble) = &salvaged.trouble {
                    let trouble = text::escape(trouble);
                    self.screen
                        .note(format!("the old store is not read to its end: {trouble}"));
                }
                self.screen.note(format!(
                    "read out of the old store: {} own entries not receipted yet, {} other records",
                    salvaged.own_entries, salvaged.rows
                ));
            }
            Step::Links(links) => {
                self.bars.remove(LOOKING);
                for link in links {
                    self.link(link);
                }
            }
        }
    }

    fn link(&mut self, link: &LinkStep) {
        let here = link.progress.own.0 + link.progress.mirror.0;
        let total = link.progress.own.1.max(link.progress.own.0)
            + link.progress.mirror.1.max(link.progress.mirror.0);
        let peer = link.peer.to_string();
        let bar = self
            .bars
            .entry(peer.clone())
            .or_insert_with(|| Bar::items(&peer, total));
        bar.total(total);
        bar.at(here);
        let state = told(&link.state, link.files);
        if bar.is_hidden() {
            let line = format!("{peer}: {here} of {total} entries, {state}");
            let known = self.lines.get(&peer);
            let same_state = known.is_some_and(|(before, _)| before.ends_with(&state));
            let is_due = known.is_none_or(|(before, at)| {
                *before != line && (!same_state || at.elapsed() >= LINE_EVERY)
            });
            if is_due {
                self.screen.note(&line);
                self.lines.insert(peer, (line, Instant::now()));
            }
        }
    }
}

fn told(state: &State, files: usize) -> String {
    match state {
        State::Waiting(why) if why.is_empty() => "waiting for the peer".to_owned(),
        State::Waiting(why) => format!("waiting for the peer: {}", text::escape(why)),
        State::Records => "fetching entries".to_owned(),
        State::Files => format!("entries whole, {files} attachments still to come"),
        State::Whole => "whole".to_owned(),
        State::Held(why) => format!("HELD: {}", text::escape(why)),
    }
}

fn summary(recovered: &Recovered, screen: Screen) -> Result<(), Failure> {
    let mut table = Table::new(&[
        ("LOG", Fit::Down(20)),
        ("ENTRIES", Fit::Right),
        ("FETCHED", Fit::Right),
        ("ROOT", Fit::Whole),
    ]);
    for link in &recovered.links {
        let came = link.restored.clone().unwrap_or_default();
        for ((origin, size, root), fetched) in [
            (&link.own, came.own_fetched),
            (&link.mirror, came.mirror_fetched),
        ] {
            table.row([
                Cell::from(text::escape(origin)),
                size.to_string().into(),
                fetched.to_string().into(),
                short(&root.to_string()).into(),
            ]);
        }
    }
    screen.table(&table)?;
    screen.line("")?;
    for link in &recovered.links {
        let style = match link.state {
            State::Whole => Style::Good,
            State::Held(_) => Style::Bad,
            _ => Style::Warn,
        };
        let peer = text::escape(link.peer.as_str()).into_owned();
        screen.styled(&format!("{peer}: {}", told(&link.state, link.files)), style)?;
        for (line, style) in details(link) {
            screen.styled(&format!("  {line}"), style)?;
        }
    }
    screen.line("")?;
    if let Some(old) = &recovered.old {
        screen.line(format!(
            "the old store lies in {}; keep it until someone has looked",
            old.display()
        ))?;
    }
    let is_whole = recovered
        .links
        .iter()
        .all(|link| link.state == State::Whole);
    let is_held = |link: &Outcome| matches!(link.state, State::Held(_));
    screen.line(if is_whole {
        "Next: start the node (liaison node run). What was appended again is sent then."
    } else if recovered.links.iter().any(is_held) {
        "Next: call the peer of a link that is held and agree what is missing; nothing is signed on \
         it. Then start the node (liaison node run) and release the link: \
         liaison link release PEER --reason TEXT"
    } else {
        "Next: run it again when the peer can be reached (it goes on where it was), or start the \
         node (liaison node run): it goes on by itself, and nothing is signed on a link before it \
         is whole."
    })
}

fn details(link: &Outcome) -> Vec<(String, Style)> {
    let Some(came) = &link.restored else {
        return Vec::new();
    };
    let counted = [
        (
            came.appended,
            "recorded here and not known to the peer: appended again, sent when the node runs",
            Style::Plain,
        ),
        (
            came.aside,
            "set aside: their ids are those of other messages now; send them anew",
            Style::Bad,
        ),
        (
            came.spoiled,
            "set aside: the file with their text is gone or spoiled; ask for them to be sent anew",
            Style::Bad,
        ),
        (
            came.key_ended,
            "set aside: the key that signed them has ended; ask for them to be sent anew",
            Style::Bad,
        ),
        (
            came.bodies_absent,
            "own messages whose body the peer does not keep (refused, or erased)",
            Style::Warn,
        ),
        (
            came.lost,
            "LOST: recorded here once and neither here nor at the peer. They were never receipted, \
             or the peer lost them as well",
            Style::Bad,
        ),
    ];
    counted
        .into_iter()
        .filter(|(count, ..)| *count > 0)
        .map(|(count, what, style)| (format!("{count} {what}"), style))
        .collect()
}

/// As much of a root as people compare.
fn short(root: &str) -> String {
    root.chars().take(16).collect()
}

fn as_json(recovered: &Recovered) -> serde_json::Value {
    let log = |(origin, size, root): &(String, u64, crate::tlog::Hash)| json!({"origin": origin, "size": size, "root": root.to_string()});
    let links = recovered.links.iter().map(|link| {
        json!({
            "peer": link.peer.to_string(),
            "state": match &link.state {
                State::Waiting(_) => "waiting",
                State::Records => "records",
                State::Files => "files",
                State::Whole => "whole",
                State::Held(_) => "held",
            },
            "detail": told(&link.state, link.files),
            "own": log(&link.own),
            "mirror": log(&link.mirror),
            "restored": link.restored,
            "filesMissing": link.files,
        })
    });
    json!({
        "oldStore": recovered.old,
        "salvaged": recovered.salvaged.as_ref().map(|s| json!({
            "ownEntries": s.own_entries,
            "spoiled": s.spoiled,
            "rows": s.rows,
            "trouble": s.trouble,
        })),
        "links": links.collect::<Vec<_>>(),
    })
}
