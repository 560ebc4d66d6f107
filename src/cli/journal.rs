//! `liaison journal`: who did what on this node, and whether anybody has changed what stands there.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use super::audit::Folder;
use super::connect::{Desk, Target, quoted};
use super::exit::{Done, Exit, Failure, OrExit as _};
use super::print::Screen;
use super::refused;
use super::table::{Cell, Fit, Style, Table};
use super::when;
use crate::crypto::vkey::{Algorithm, VerifierKey};
use crate::journal::folder::{CHECKPOINT_FILE, HEAD_FILE, Keys, Verdict, Verifier};
use crate::journal::{Act, act_of, word_of};
use crate::limits::JOURNAL_NOTE_BYTES_MAX;
use crate::model::text::escape;
use crate::proto::v1;
use crate::tlog::TILE_WIDTH;
use crate::tlog::path::entries_path;

/// The journal: who did what on this node.
#[derive(Debug, Subcommand)]
pub(crate) enum Journal {
    List(List),
    Verify(Verify),
    Export(Export),
    Witnessed(Witnessed),
    Accept(Accept),
    Begin(Begin),
}

/// Begins another journal in place of one that is lost; the node must not run. What there is of the old one
/// is moved aside.
#[derive(Debug, Args)]
pub(crate) struct Begin {
    /// Why, in one line; it is the first entry of the new one.
    #[arg(long)]
    reason: String,
}

/// Lists what was done, newest first.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Not before this day or time.
    #[arg(long, value_name = "TIME", value_parser = when::parse_moment)]
    since: Option<Timestamp>,
    /// Only by this role, or role and name, such as operator/mai.
    #[arg(long)]
    who: Option<String>,
    /// Only this act, such as read, exported, refused, keys-changed.
    #[arg(long, value_parser = parse_act)]
    act: Option<Act>,
    /// Only with the message of this id.
    #[arg(long, value_name = "ID")]
    message: Option<String>,
    /// How many at most.
    #[arg(long, value_name = "COUNT", default_value = "100")]
    limit: u64,
}

/// Judges a journal: the whole tree is made again from every entry, and compared with what the node has
/// signed and the peers have cosigned.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A folder that `journal export` has written; without it, that of the running node.
    dir: Option<PathBuf>,
    /// A card of the node, or of a peer that witnesses, or a file of vkeys: then only these are believed.
    #[arg(long, value_name = "CARD")]
    trust: Vec<PathBuf>,
    /// A note of this journal that was got elsewhere, as from a peer: liaison journal witnessed.
    #[arg(long, value_name = "NOTE")]
    against: Vec<PathBuf>,
}

/// Writes the journal as a folder that is judged without the node.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// An empty or new directory.
    dir: PathBuf,
}

/// Prints the note of a peer's journal that this node has cosigned last.
#[derive(Debug, Args)]
pub(crate) struct Witnessed {
    /// The peer.
    peer: String,
}

/// Goes on witnessing a peer's journal that was set back or begun anew.
#[derive(Debug, Args)]
pub(crate) struct Accept {
    /// The peer.
    peer: String,
    /// Why, in one line; it stands in this node's journal.
    #[arg(long)]
    reason: String,
}

fn parse_act(word: &str) -> Result<Act, String> {
    // Who submitted what is told by the logs, and never here.
    let is_written = |act: &Act| *act != Act::Submitted;
    act_of(word).filter(is_written).ok_or_else(|| {
        let known: Vec<_> = (1..)
            .map_while(|number| Act::try_from(number).ok())
            .filter(is_written)
            .map(word_of)
            .collect();
        format!("no such act; known: {}", known.join(", "))
    })
}

impl Journal {
    pub(crate) async fn run(self, target: &Target, screen: Screen) -> Done {
        match self {
            Self::List(list) => list.run(target, screen).await,
            Self::Verify(verify) => verify.run(target, screen).await,
            Self::Export(export) => export.run(target, screen).await,
            Self::Witnessed(witnessed) => witnessed.run(target, screen).await,
            Self::Accept(accept) => accept.run(target, screen).await,
            Self::Begin(begin) => begin.run(target, screen).await,
        }
    }
}

impl List {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let mut request = v1::ListJournalRequest {
            since: self.since.map(when::to_wire),
            who: self.who.unwrap_or_default(),
            act: self.act.unwrap_or_default() as i32,
            message_id: self.message.unwrap_or_default(),
            page_size: u32::try_from(self.limit.clamp(1, 500)).unwrap_or(500),
            page_token: String::new(),
        };
        let mut left = self.limit;
        let mut table = Table::new(&[
            ("WHEN", Fit::Whole),
            ("WHO", Fit::Down(16)),
            ("DID", Fit::Whole),
            ("WITH", Fit::Down(24)),
            ("WHY", Fit::Down(16)),
        ]);
        let (size, witnesses) = loop {
            let page = refused::answer(desk.journal().list_journal(request.clone()).await)?;
            for line in page
                .lines
                .iter()
                .take(usize::try_from(left).unwrap_or(usize::MAX))
            {
                left -= 1;
                let entry = line.entry.clone().unwrap_or_default();
                if screen.json {
                    screen.json_line(&line_json(line.index, &entry))?;
                } else {
                    table.row(row(&entry));
                }
            }
            if left == 0 || page.next_page_token.is_empty() {
                break (page.size, page.witnesses);
            }
            request.page_token = page.next_page_token;
        };
        if !screen.json {
            screen.table(&table)?;
            screen.note(format!("{size} entries in all"));
            for standing in witnesses {
                screen.note(format!(
                    "{} has cosigned the first {}, at {}",
                    escape(&standing.peer),
                    standing.size,
                    when::full_wire(standing.at.as_ref())
                ));
            }
        }
        Ok(Exit::Ok)
    }
}

fn row(entry: &v1::JournalEntry) -> [Cell; 5] {
    let act = word_of(entry.act());
    let times = if entry.times > 1 {
        format!("{act} ({} times)", entry.times)
    } else {
        act
    };
    let style = match entry.act() {
        Act::Refused | Act::Overrode | Act::Erased => Style::Bold,
        _ => Style::Plain,
    };
    let with = [&entry.what, &entry.message_id, &entry.peer]
        .into_iter()
        .filter(|text| !text.is_empty())
        .map(|text| escape(text).into_owned())
        .collect::<Vec<_>>()
        .join(" ");
    [
        when::full_wire(entry.at.as_ref()).into(),
        escape(&entry.who).into_owned().into(),
        Cell::styled(times, style),
        with.into(),
        escape(&entry.why).into_owned().into(),
    ]
}

fn line_json(index: u64, entry: &v1::JournalEntry) -> serde_json::Value {
    json!({
        "index": index,
        "at": entry.at.as_ref().map(ToString::to_string),
        "who": entry.who,
        "act": word_of(entry.act()),
        "peer": entry.peer,
        "messageId": entry.message_id,
        "why": entry.why,
        "what": entry.what,
        "digest": hex::encode(&entry.digest),
        "times": entry.times.max(1),
    })
}

impl Export {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        super::audit::refuse_full(&self.dir)?;
        let desk = target.connect().await?;
        let mut folder = Folder::new(&self.dir)?;
        each_part(&desk, |part| folder.take(part)).await?;
        let exported = folder.finish()?;
        if screen.json {
            screen.json(&json!({
                "directory": self.dir, "files": exported.files, "bytes": exported.bytes,
            }))?;
        } else {
            screen.line(format!(
                "{} files in {}",
                exported.files,
                self.dir.display()
            ))?;
            screen.note(format!(
                "check it, on any machine: liaison journal verify {}",
                quoted(&self.dir)
            ));
        }
        Ok(Exit::Ok)
    }
}

/// Writes the journal beside a backup, in place of the one of the backup before: `DIR.journal`.
pub(super) async fn export_beside(desk: &Desk, backup: &Path) -> Result<PathBuf, Failure> {
    // As in `backup .`: the directory has another name.
    let backup = fs::canonicalize(backup);
    let backup = backup.or_fail(Exit::CannotCreate, || {
        "the directory of the backup".to_owned()
    })?;
    let named = |end: &str| {
        let mut name = backup.file_name().unwrap_or_default().to_owned();
        name.push(end);
        backup.with_file_name(name)
    };
    let (place, new, old) = (
        named(".journal"),
        named(".journal.new"),
        named(".journal.old"),
    );
    let remove = |dir: &Path| match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    let failed = || format!("the journal beside the backup, {}", place.display());
    // What an interrupted backup has left.
    remove(&new).or_fail(Exit::CannotCreate, failed)?;
    let mut folder = Folder::new(&new)?;
    each_part(desk, |part| folder.take(part)).await?;
    folder.finish()?;
    remove(&old).or_fail(Exit::CannotCreate, failed)?;
    if place.exists() {
        fs::rename(&place, &old).or_fail(Exit::CannotCreate, failed)?;
    }
    fs::rename(&new, &place).or_fail(Exit::CannotCreate, failed)?;
    remove(&old).or_fail(Exit::CannotCreate, failed)?;
    Ok(place)
}

/// Every part of an export, as it comes.
async fn each_part(
    desk: &Desk,
    mut take: impl FnMut(&v1::ExportResponse) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let request = v1::ExportJournalRequest {};
    let mut parts = refused::answer(desk.journal().export_journal(request).await)?;
    loop {
        let part = parts.message().await.map_err(|status| {
            refused::failure(&status).while_doing("the journal has not come whole")
        })?;
        let Some(part) = part else { return Ok(()) };
        take(&v1::ExportResponse {
            path: part.path,
            chunk: part.chunk,
            last: part.last,
            files_total: 0,
        })?;
    }
}

impl Verify {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let given = match self.trust.as_slice() {
            [] => None,
            cards => Some(cards_of(cards)?),
        };
        let mut against = Vec::new();
        for file in &self.against {
            against.push(read_note(file)?);
        }
        let make = move |node: &str| {
            let keys = given.map(|cards| keys_of(&cards, node));
            Verifier::new(keys, against)
        };
        let verdict = match &self.dir {
            Some(dir) => judge_folder(dir, make)?,
            None => judge_node(target, make).await?,
        };
        show(&verdict, screen)
    }
}

/// The log keys of every file, as they stand on cards.
fn cards_of(files: &[PathBuf]) -> Result<Vec<VerifierKey>, Failure> {
    let keys = super::audit::read_trusted(files)?.into_iter();
    Ok(keys
        .filter(|key| key.algorithm() == Algorithm::Cosignature)
        .collect())
}

fn keys_of(cards: &[VerifierKey], node: &str) -> Keys {
    let (own, witnesses) = cards.iter().cloned().partition(|key| key.name() == node);
    Keys {
        own,
        witnesses,
        ended: Vec::new(),
    }
}

fn read_note(file: &Path) -> Result<String, Failure> {
    let named = || format!("the note {}", file.display());
    let meta = fs::metadata(file).or_fail(Exit::Data, named)?;
    if meta.len() > 2 * JOURNAL_NOTE_BYTES_MAX as u64 {
        let what = format!("{} is larger than a note of a journal", file.display());
        return Err(Failure::new(Exit::Data, what));
    }
    fs::read_to_string(file).or_fail(Exit::Data, named)
}

/// Whose journal a head speaks of, before it is believed.
fn node_of(head: &[u8]) -> String {
    let head = std::str::from_utf8(head).ok();
    let head = head.and_then(crate::journal::folder::Head::parse);
    head.map(|head| head.node.to_string()).unwrap_or_default()
}

async fn judge_node(
    target: &Target,
    make: impl FnOnce(&str) -> Verifier,
) -> Result<Verdict, Failure> {
    let desk = target.connect().await?;
    let (mut make, mut verifier) = (Some(make), None::<Verifier>);
    let (mut path, mut content) = (String::new(), Vec::new());
    each_part(&desk, |part| {
        path.clone_from(&part.path);
        content.extend_from_slice(&part.chunk);
        if content.len() > FILE_BYTES_MAX {
            return Err(too_large(&path));
        }
        if part.last {
            let content = std::mem::take(&mut content);
            if let Some(make) = make.take() {
                verifier = Some(make(&node_of(&content)));
            }
            if let Some(verifier) = &mut verifier {
                verifier.file(&path, &content);
            }
        }
        Ok(())
    })
    .await?;
    let verifier =
        verifier.ok_or_else(|| Failure::new(Exit::Internal, "the node has given nothing"))?;
    Ok(verifier.finish())
}

/// A bundle of 256 entries of 64 KiB is not a journal's; one of the largest deeds has 400 KiB.
const FILE_BYTES_MAX: usize = 1 << 20;

fn too_large(path: &str) -> Failure {
    let what = format!("{} is larger than any file of a journal", escape(path));
    Failure::new(Exit::Negative, what)
}

fn read_file(dir: &Path, path: &str) -> Result<Option<Vec<u8>>, Failure> {
    let file = dir.join(path);
    match fs::metadata(&file) {
        Ok(meta) if meta.len() > FILE_BYTES_MAX as u64 => Err(too_large(path)),
        Ok(meta) if meta.is_file() => fs::read(&file).map(Some).or_fail(Exit::CannotCreate, || {
            format!("the file {}", file.display())
        }),
        _ => Ok(None),
    }
}

/// Names in a directory of the folder, sorted; none if it is not there.
fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn judge_folder(dir: &Path, make: impl FnOnce(&str) -> Verifier) -> Result<Verdict, Failure> {
    let Some(head) = read_file(dir, HEAD_FILE)? else {
        let what = format!("{} is no journal: it has no {HEAD_FILE}", dir.display());
        return Err(Failure::new(Exit::Negative, what)
            .remedy("name the folder that liaison journal export has written"));
    };
    let mut verifier = make(&node_of(&head));
    verifier.file(HEAD_FILE, &head);
    if let Some(note) = read_file(dir, CHECKPOINT_FILE)? {
        verifier.file(CHECKPOINT_FILE, &note);
    }
    for peer in names(&dir.join("cosigned")) {
        for size in names(&dir.join("cosigned").join(&peer)) {
            let path = format!("cosigned/{peer}/{size}");
            if let Some(note) = read_file(dir, &path)? {
                verifier.file(&path, &note);
            }
        }
    }
    let size = verifier.head().map_or(0, |head| head.size);
    let mut start = 0;
    while start < size {
        let width = TILE_WIDTH.min(size - start);
        let path = entries_path(start / TILE_WIDTH, width);
        // What is missing is found at the end.
        let Some(bundle) = read_file(dir, &path)? else {
            break;
        };
        verifier.file(&path, &bundle);
        start += width;
    }
    Ok(verifier.finish())
}

fn show(verdict: &Verdict, screen: Screen) -> Done {
    let good = verdict.findings.is_empty();
    if screen.json {
        let witnessed: Vec<_> = verdict
            .witnessed
            .iter()
            .map(|(peer, (size, at))| json!({ "peer": peer, "size": size, "unixSeconds": at }))
            .collect();
        screen.json(&json!({
            "node": verdict.node,
            "size": verdict.size,
            "root": verdict.root.map(|root| root.to_string()),
            "witnessed": witnessed,
            "unwitnessed": verdict.unwitnessed(),
            "keysWereGiven": verdict.keys_were_given,
            "findings": verdict.findings,
            "notes": verdict.notes,
            "good": good,
        }))?;
        return Ok(if good { Exit::Ok } else { Exit::Negative });
    }
    for finding in &verdict.findings {
        screen.styled(&format!("wrong: {}", escape(finding)), Style::Bold)?;
    }
    if good {
        screen.line(format!(
            "the journal of {} is whole: {} entries, as the node has signed them",
            escape(&verdict.node),
            verdict.size
        ))?;
    }
    for (peer, (size, at)) in &verdict.witnessed {
        let at = i64::try_from(*at).ok();
        let at = at.and_then(|at| Timestamp::from_second(at).ok());
        let (peer, on) = (escape(peer), at.map_or_else(String::new, when::full));
        if verdict.keys_were_given && good {
            screen.line(format!(
                "{peer} has cosigned the first {size} on {on}: nobody can have changed them since"
            ))?;
        } else {
            screen.line(format!(
                "the first {size} bear a cosignature of {peer}, dated {on}"
            ))?;
        }
    }
    for note in &verdict.notes {
        screen.note(escape(note));
    }
    if verdict.unwitnessed() > 0 {
        screen.note(format!(
            "{} entries are cosigned by no peer yet: for them there is the node's own word only",
            verdict.unwitnessed()
        ));
    }
    if !verdict.keys_were_given {
        screen.note(
            "the keys are those that the journal itself names, and whoever wrote it anew could name others. \
             Who has signed and cosigned it is known only with the cards of the node and of the peers: \
             --trust CARD --trust CARD",
        );
    }
    Ok(if good { Exit::Ok } else { Exit::Negative })
}

impl Witnessed {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let wanted = format!("witnessed/{}", self.peer);
        let mut found = None;
        each_part(&desk, |part| {
            if part.path == wanted && part.chunk.len() <= 2 * JOURNAL_NOTE_BYTES_MAX {
                found = Some(part.chunk.clone());
            }
            Ok(())
        })
        .await?;
        let Some(note) = found else {
            let what = format!(
                "nothing of the journal of {} was cosigned here",
                escape(&self.peer)
            );
            return Err(Failure::new(Exit::Negative, what));
        };
        if screen.json {
            screen.json(&json!({ "peer": self.peer, "note": String::from_utf8_lossy(&note) }))?;
        } else {
            screen.raw(&note)?;
        }
        Ok(Exit::Ok)
    }
}

impl Accept {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let request = v1::AcceptJournalRequest {
            peer: self.peer.clone(),
            reason: self.reason,
        };
        refused::answer(desk.journal().accept_journal(request).await)?;
        if screen.json {
            screen.json(&json!({ "peer": self.peer, "accepted": true }))?;
        } else {
            screen.line(format!(
                "the journal of {} is witnessed anew from what it shows next",
                self.peer
            ))?;
        }
        Ok(Exit::Ok)
    }
}

impl Begin {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let config = target.load_config()?;
        let aside = crate::node::begin_journal(&config, &self.reason).await;
        let aside = aside.or_exit(Exit::Negative)?;
        if screen.json {
            screen.json(&json!({ "directory": config.journal_dir, "old": aside }))?;
            return Ok(Exit::Ok);
        }
        screen.line(format!("a new journal in {}", config.journal_dir.display()))?;
        if let Some(aside) = aside {
            screen.note(format!("what was there is kept in {}", aside.display()));
        }
        screen.note(
            "each peer that has witnessed the old one must accept it: liaison journal accept",
        );
        Ok(Exit::Ok)
    }
}
