//! `liaison status`: the node and its links.

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::connect::{Desk, Target};
use super::exit::{Done, Exit, Failure};
use super::print::Screen;
use super::summary::count;
use super::table::{Cell, Fit, Style, Table};
use super::{refused, when, words};
use crate::model::{json, text};
use crate::proto::v1::{self, LinkState};

/// Shows the state of the node, its links and certificates, and the latest incidents.
///
/// Exits with 1 if the node cannot sign and append, or a link is held, by either side.
#[derive(Debug, Args)]
pub(crate) struct Status {}

impl Status {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let status = get(&desk).await?;
        if screen.json {
            screen.json(&json::to_json_whole(&status))?;
        } else {
            render(&status, screen)?;
        }
        let held = held(&status.links).next().is_some();
        Ok(if status.serving && !held {
            Exit::Ok
        } else {
            Exit::Negative
        })
    }
}

/// The links that one side holds.
fn held(links: &[v1::LinkStatus]) -> impl Iterator<Item = &v1::LinkStatus> {
    links
        .iter()
        .filter(|link| matches!(link.state(), LinkState::Held | LinkState::HeldByPeer))
}

/// Asks for the node's state.
pub(crate) async fn get(desk: &Desk) -> Result<v1::StatusResponse, Failure> {
    refused::answer(desk.desk().status(v1::StatusRequest {}).await)
}

fn render(status: &v1::StatusResponse, screen: Screen) -> Result<(), Failure> {
    let now = when::now();
    let (word, style) = if status.serving {
        ("serving", Style::Good)
    } else {
        ("NOT SERVING", Style::Bad)
    };
    let held_count = held(&status.links).count();
    let alarm = match held_count {
        0 => String::new(),
        _ => format!(
            "{}  ",
            Style::Bad.paint(
                &format!("{} HELD", count(held_count, "link")),
                screen.colour
            )
        ),
    };
    screen.line(format!(
        "{}  {}  {alarm}(liaison {}, {} of disk free)",
        Style::Bold.paint(&text::escape(&status.node), screen.colour),
        style.paint(word, screen.colour),
        text::escape(&status.version),
        words::bytes(status.free_disk_bytes)
    ))?;
    if !status.trouble.is_empty() {
        screen.styled(&format!("  {}", text::escape(&status.trouble)), Style::Bad)?;
    }

    if status.links.is_empty() {
        screen.line("\nno link yet; add one: liaison peer add FILE")?;
    } else {
        screen.line("")?;
        screen.table(&links(&status.links, now))?;
    }
    for link in &status.links {
        if let Some(line) = overdue(link) {
            screen.styled(&line, Style::Bad)?;
        }
    }
    for line in status.links.iter().filter_map(|link| by_hand(link, now)) {
        screen.styled(&line, Style::Warn)?;
    }
    for link in held(&status.links) {
        let peer = text::escape(&link.peer);
        let whose = match link.state() {
            LinkState::Held => "",
            _ => " by the peer",
        };
        screen.note(format!(
            "the link with {peer} is held{whose}; why, and what to do: liaison link show {peer}"
        ));
    }
    if !status.certificates.is_empty() {
        screen.line("")?;
        screen.table(&certificates(&status.certificates))?;
    }
    if !status.incidents.is_empty() {
        screen.line("")?;
        screen.table(&incidents(&status.incidents))?;
    }
    Ok(())
}

/// What is overdue on a link; nothing if nothing is.
fn overdue(link: &v1::LinkStatus) -> Option<String> {
    let exercises = match link.overdue_exercises {
        0 => String::new(),
        count => format!(" (and {count} of exercises)"),
    };
    if link.overdue_own + link.overdue_theirs + link.overdue_exercises == 0 {
        return None;
    }
    let peer = text::escape(&link.peer);
    Some(format!(
        "overdue with {peer}: {} owed by this node, {} by the peer{exercises}; see liaison due",
        link.overdue_own, link.overdue_theirs
    ))
}

/// That what waits for a peer may be carried by hand, once it has waited for a day.
fn by_hand(link: &v1::LinkStatus, now: Timestamp) -> Option<String> {
    const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
    let since = link.waiting_since.as_ref().and_then(when::from_wire)?;
    if link.state() != LinkState::Down || now.duration_since(since) < PATIENCE {
        return None;
    }
    let peer = text::escape(&link.peer);
    Some(format!(
        "{} entries wait for {peer}, the first one since {}; carry them by hand: liaison bundle \
         export {peer} -o FILE",
        link.own_size - link.delivered_size,
        when::full(since)
    ))
}

fn links(links: &[v1::LinkStatus], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        ("LINK", Fit::Down(12)),
        ("STATE", Fit::Whole),
        ("SENT", Fit::Right),
        ("DELIVERED", Fit::Right),
        ("RECEIVED", Fit::Right),
        ("HEARD", Fit::Whole),
        ("CLOCK", Fit::Right),
        ("FILES", Fit::Whole),
        ("DETAIL", Fit::Down(10)),
    ]);
    for link in links {
        let (word, style) = words::link_state(link.state());
        let heard = link.heard_at.as_ref().and_then(when::from_wire);
        let heard = heard.map_or_else(|| "never".to_owned(), |at| when::distance(at, now));
        let waiting = link.own_size > link.delivered_size;
        let clock = format!("{:+} ms", link.clock_skew_ms);
        let (files_in, files_out) = (link.attachments_incoming, link.attachments_outgoing);
        let files = if files_in + files_out == 0 {
            Cell::default()
        } else {
            Cell::styled(format!("{files_in} in, {files_out} out"), Style::Warn)
        };
        table.row([
            text::escape(&link.peer).into(),
            Cell::styled(word, style),
            link.own_size.to_string().into(),
            Cell::styled(
                link.delivered_size.to_string(),
                if waiting { Style::Warn } else { Style::Plain },
            ),
            link.mirrored_size.to_string().into(),
            heard.into(),
            if link.clock_skewed {
                Cell::styled(format!("{clock} !"), Style::Bad)
            } else {
                clock.into()
            },
            files,
            text::escape(&link.detail).into(),
        ]);
    }
    table
}

fn certificates(certificates: &[v1::CertificateStatus]) -> Table {
    let mut table = Table::new(&[
        ("CERTIFICATE", Fit::Down(12)),
        ("VALID UNTIL", Fit::Whole),
        ("LEFT", Fit::Right),
        ("WARNING", Fit::Down(10)),
    ]);
    for certificate in certificates {
        let warned = !certificate.warning.is_empty();
        table.row([
            text::escape(&certificate.r#use).into(),
            when::full_wire(certificate.not_after.as_ref()).into(),
            Cell::styled(
                format!("{} d", certificate.days_left),
                if warned { Style::Bad } else { Style::Plain },
            ),
            Cell::styled(text::escape(&certificate.warning), Style::Warn),
        ]);
    }
    table
}

fn incidents(incidents: &[v1::Incident]) -> Table {
    let mut table = Table::new(&[
        ("INCIDENT", Fit::Whole),
        ("PEER", Fit::Down(10)),
        ("WHAT", Fit::Down(20)),
    ]);
    for incident in incidents {
        table.row([
            when::full_wire(incident.at.as_ref()).into(),
            text::escape(&incident.peer).into(),
            Cell::styled(text::escape(&incident.what), Style::Warn),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_waited_for_a_day_may_be_carried() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let link = v1::LinkStatus {
            peer: "hekou.ni.cn.example".to_owned(),
            state: LinkState::Down as i32,
            own_size: 5,
            delivered_size: 2,
            waiting_since: at(1_795_000_000),
            ..v1::LinkStatus::default()
        };
        let on = |seconds: i64| Timestamp::from_second(1_795_000_000 + seconds).unwrap();
        assert_eq!(by_hand(&link, on(24 * 3_600 - 1)), None);
        let told = by_hand(&link, on(24 * 3_600)).unwrap();
        assert!(
            told.starts_with("3 entries wait for hekou.ni.cn.example, "),
            "{told}"
        );
        assert!(
            told.ends_with("liaison bundle export hekou.ni.cn.example -o FILE"),
            "{told}"
        );
        let up = v1::LinkStatus {
            state: LinkState::Up as i32,
            ..link.clone()
        };
        assert_eq!(by_hand(&up, on(1_000_000)), None);
        let nothing = v1::LinkStatus {
            waiting_since: None,
            ..link
        };
        assert_eq!(by_hand(&nothing, on(1_000_000)), None);
    }
}
