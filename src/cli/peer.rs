//! `liaison peer`: cards, and the links that they make.

mod card;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

pub(crate) use self::card::own_card;
use self::card::{as_json, render};
use super::connect::{Target, quoted};
use super::exit::{Done, Exit, Failure, OrExit as _};
use super::print::{Screen, ask};
use super::refused;
use super::table::{Cell, Fit, Style, Table};
use crate::limits::LINKS_MAX;
use crate::link::leaf::Facts;
use crate::link::pki;
use crate::node::config::Config;
use crate::node::document::Document;
use crate::node::links::{CARD_SUFFIX, LINK_SUFFIX, link_text};
use crate::node::peer_card::{CardKey, PeerCard};
use crate::proto::v1;

/// Cards: what the sides give each other when a link is set up.
#[derive(Debug, Subcommand)]
pub(crate) enum Peer {
    Card(Card),
    Show(Show),
    Add(Add),
    AcceptAuthority(AcceptAuthority),
    /// Lists the links of this node.
    List,
}

/// Makes the own card, to be given to the other side. It holds no secrets.
#[derive(Debug, Args)]
pub(crate) struct Card {
    /// Write it to this file, which must not exist; else it is printed.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Shows what a card says, and its fingerprint.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The card.
    file: PathBuf,
}

/// Adds a link with the node whose card this is, once its fingerprint was compared.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The card that the other side gave you.
    file: PathBuf,
    /// The fingerprint as the other side told it; without it, you are asked to compare.
    #[arg(long, value_name = "DIGITS")]
    fingerprint: Option<String>,
}

/// Trusts an authority that a peer has announced, once its fingerprint was compared by voice.
#[derive(Debug, Args)]
pub(crate) struct AcceptAuthority {
    /// The peer.
    peer: String,
    /// The fingerprint as the peer told it: SHA-256 of the certificate, 64 hex digits.
    #[arg(long, value_name = "HEX")]
    fingerprint: String,
}

impl AcceptAuthority {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let config = target.load_config()?;
        let no_link = || Failure::new(Exit::Negative, format!("no link with {}", self.peer));
        let mut links = config.links.iter();
        let link = links.find(|link| link.peer.as_str() == self.peer);
        let link = link.ok_or_else(no_link)?;
        let desk = target.connect().await?;
        let known = desk.keys().list_keys(v1::ListKeysRequest {}).await;
        let known = refused::answer(known)?.links.into_iter();
        let history = known
            .filter(|link| link.peer == self.peer)
            .find_map(|link| link.mirror);
        let typed: String = self
            .fingerprint
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let announced = history.unwrap_or_default().authorities;
        let mut matching = announced.into_iter();
        let matching = matching.find(|known| known.fingerprint.eq_ignore_ascii_case(&typed));
        let matching = matching.ok_or_else(|| {
            let what = format!(
                "{} has announced no authority of this fingerprint",
                self.peer
            );
            Failure::new(Exit::Negative, what)
                .remedy("liaison keys list shows what was announced; if it differs, trust nothing")
        })?;
        let mut card = link.card.clone();
        let der = rustls::pki_types::CertificateDer::from(matching.certificate.to_vec());
        if card.authorities.contains(&der) {
            screen.note("it is trusted already");
            return Ok(Exit::Ok);
        }
        card.authorities.push(der);
        // Whatever is wrong with it is found before it is in the place of a good one.
        PeerCard::parse(&Document::from_text(&link.card_file, &card.to_text()))
            .or_exit(Exit::Data)?;
        let temporary = link.card_file.with_extension("toml.new");
        drop(std::fs::remove_file(&temporary));
        card.write(&temporary).or_exit(Exit::CannotCreate)?;
        std::fs::rename(&temporary, &link.card_file)
            .or_fail(Exit::CannotCreate, || link.card_file.display().to_string())?;
        screen.note(format!(
            "the authority is in {}; a running node takes it up by itself",
            link.card_file.display()
        ));
        Ok(Exit::Ok)
    }
}

impl Peer {
    pub(crate) fn run(self, target: &Target, screen: Screen) -> Done {
        match self {
            Self::Card(card) => card.run(target, screen),
            Self::Show(show) => show.run(screen),
            Self::Add(add) => add.run(target, screen),
            Self::AcceptAuthority(accept) => super::in_turn(accept.run(target, screen)),
            Self::List => list(target, screen),
        }
    }
}

impl Card {
    fn run(self, target: &Target, screen: Screen) -> Done {
        let config = target.load_config()?;
        let card = own_card(&config)?;
        match &self.out {
            Some(file) => {
                card.write(file).or_exit(Exit::CannotCreate)?;
                screen.note(format!(
                    "the card of {} is in {}",
                    card.node,
                    file.display()
                ));
            }
            None => screen.raw(card.to_text().as_bytes())?,
        }
        screen.note(format!(
            "fingerprint, to be compared by voice:  {}",
            card.fingerprint()
        ));
        Ok(Exit::Ok)
    }
}

impl Show {
    fn run(self, screen: Screen) -> Done {
        let card = PeerCard::load(&self.file).or_exit(Exit::Data)?;
        if screen.json {
            screen.json(&as_json(&card))?;
        } else {
            screen.raw(render(&card, screen).as_bytes())?;
        }
        Ok(Exit::Ok)
    }
}

impl Add {
    fn run(self, target: &Target, screen: Screen) -> Done {
        let config = target.load_config()?;
        let card = PeerCard::load(&self.file).or_exit(Exit::Data)?;
        refuse(&config, &card)?;
        let fingerprint = card.fingerprint();
        match &self.fingerprint {
            Some(typed) if fingerprint.matches(typed) => {}
            Some(_) => {
                return Err(Failure::new(
                    Exit::Negative,
                    format!(
                        "the card of {} has another fingerprint: {fingerprint}",
                        card.node
                    ),
                )
                .remedy(
                    "do not use this card; ask the other side for theirs again, by another way",
                ));
            }
            None => {
                screen.note(render(&card, screen).trim_end());
                compare(&card, &fingerprint.to_string())?;
            }
        }
        let files = add(&config, &card)?;
        screen.line(format!("The link with {} is added:", card.node))?;
        for file in &files {
            screen.line(format!("  {}", file.display()))?;
        }
        screen.line(format!(
            "Restart the node if it is running; else start it: liaison --config {} node run",
            quoted(&config.file)
        ))?;
        Ok(Exit::Ok)
    }
}

/// Has a person compare the fingerprint by voice.
fn compare(card: &PeerCard, fingerprint: &str) -> Result<(), Failure> {
    let question = format!(
        "\nCall an officer of {} whom you know, on a number that you did not get with the card. Have \
         the fingerprint read to you:\n\n    {fingerprint}\n\nIs every group the same? Type yes:",
        card.node
    );
    let answer = ask(&question).map_err(|failure| {
        failure.remedy("give the fingerprint that you were told with --fingerprint")
    })?;
    if answer.eq_ignore_ascii_case("yes") {
        Ok(())
    } else {
        Err(Failure::new(Exit::Negative, "not compared, so not added"))
    }
}

/// Refuses a card that cannot make a link here.
fn refuse(config: &Config, card: &PeerCard) -> Result<(), Failure> {
    if card.node == config.node {
        return Err(
            Failure::new(Exit::Data, format!("{} is this node itself", card.node))
                .remedy("give the other side's card"),
        );
    }
    card.check_known_use().map_err(|reason| {
        Failure::new(Exit::Data, format!("the card of {}: {reason}", card.node))
    })?;
    if config.links.iter().any(|link| link.peer == card.node) {
        let what = format!("there is a link with {} already", card.node);
        let card_file = config.links_dir.join(format!("{}{CARD_SUFFIX}", card.node));
        return Err(Failure::new(Exit::CannotCreate, what).remedy(format!(
            "to replace its card, compare the new one (liaison peer show FILE) and put it in {}",
            card_file.display()
        )));
    }
    if config.links.len() >= LINKS_MAX {
        return Err(Failure::new(
            Exit::Data,
            format!("a node has at most {LINKS_MAX} links"),
        ));
    }
    let is_example = |der: &[u8]| Facts::read(der).is_ok_and(|facts| facts.is_example);
    if !config.allow_example_ca && card.authorities.iter().any(|der| is_example(der)) {
        return Err(Failure::new(
            Exit::Data,
            format!(
                "the card of {} rests on the example generator, which anyone can use",
                card.node
            ),
        )
        .remedy(
            "ask for a card with a real authority, or set allow_example_ca = true for a trial",
        ));
    }
    for link in &config.links {
        let known = |key: &CardKey| {
            link.card
                .keys
                .iter()
                .any(|k| k.vkey.public() == key.vkey.public())
        };
        if card.keys.iter().any(known) {
            let what = format!("a key of {} is a key of {} as well", card.node, link.peer);
            return Err(
                Failure::new(Exit::Data, what).remedy("two nodes never share a key; ask both")
            );
        }
    }
    Ok(())
}

/// Writes card and settings of a new link. The settings come last: they are what makes the link.
pub(crate) fn add(config: &Config, card: &PeerCard) -> Result<[PathBuf; 2], Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let dir = &config.links_dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .or_fail(Exit::CannotCreate, || {
            format!("the directory {}", dir.display())
        })?;
    let card_name = format!("{}{CARD_SUFFIX}", card.node);
    let files = [
        dir.join(&card_name),
        dir.join(format!("{}{LINK_SUFFIX}", card.node)),
    ];
    card.write(&files[0]).or_exit(Exit::CannotCreate)?;
    pki::write_public(&files[1], &link_text(&card.node, &card_name)).or_exit(Exit::CannotCreate)?;
    Ok(files)
}

fn list(target: &Target, screen: Screen) -> Done {
    let config = target.load_config()?;
    if screen.json {
        let links: Vec<_> = config
            .links
            .iter()
            .map(|link| {
                json!({
                    "peer": link.peer.as_str(),
                    "dial": link.dial,
                    "endpoints": link.endpoints.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "classificationMax": link.classification_max.as_str_name(),
                    "card": link.card_file,
                    "fingerprint": link.card.fingerprint().to_string(),
                })
            })
            .collect();
        screen.json(&json!({ "node": config.node.as_str(), "links": links }))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&[
        ("PEER", Fit::Whole),
        ("DIALLED", Fit::Whole),
        ("AT", Fit::Down(10)),
        ("UP TO", Fit::Whole),
        ("FINGERPRINT", Fit::Whole),
    ]);
    for link in &config.links {
        let endpoints: Vec<_> = link.endpoints.iter().map(ToString::to_string).collect();
        table.row([
            Cell::styled(link.peer.as_str(), Style::Bold),
            if link.dial { "from here" } else { "no" }.into(),
            endpoints.join(", ").into(),
            link.classification_max
                .as_str_name()
                .trim_start_matches("CLASSIFICATION_")
                .into(),
            link.card.fingerprint().to_string().into(),
        ]);
    }
    if table.is_empty() {
        screen.note("no link yet; add one: liaison peer add FILE");
    } else {
        screen.table(&table)?;
    }
    Ok(Exit::Ok)
}
