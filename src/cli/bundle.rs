//! `liaison bundle`: what waits for a peer as a file that is carried by hand.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tokio_stream::wrappers::ReceiverStream;

use super::connect::{Desk, Target, quoted};
use super::exit::{Done, Exit, Failure, OrExit as _};
use super::print::{Bar, Screen};
use super::{refused, when, words};
use crate::crypto::vkey::VerifierKey;
use crate::exchange::bundle::format::{FormatError, Reader};
use crate::limits::{BUNDLE_READ_BYTES, CHUNK_BYTES_MAX};
use crate::model::json;
use crate::node::peer_card::PeerCard;
use crate::proto::v1;

/// Carries what waits for a peer by hand, while no network joins the two nodes.
#[derive(Debug, Subcommand)]
pub(crate) enum Bundle {
    Export(Export),
    Import(Import),
    Show(Show),
}

/// Writes what waits for a peer, and the receipts for what it sent, into one sealed file.
///
/// Only the peer's node can open it. Making one changes nothing: what it holds goes over the network
/// all the same when the link is up.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The peer's node name.
    peer: String,
    /// The file; there must be none of that name.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    from: FromWhere,
}

#[derive(Debug, Clone, Copy, Args)]
#[group(multiple = false)]
struct FromWhere {
    /// From the first entry without a receipt; this is the default.
    #[arg(long)]
    since_receipt: bool,
    /// Every entry of the log.
    #[arg(long)]
    all: bool,
    /// From this entry on, as the other side's import asked for it.
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
}

/// Takes a bundle that a peer made.
///
/// The same one may be taken twice, and an older one after a newer one. A session with the peer is
/// stopped for it and goes on by itself.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file.
    file: PathBuf,
    /// Write the bundle that goes back, with the receipts, into this file.
    #[arg(long, value_name = "OUT")]
    reply: Option<PathBuf>,
}

/// Tells what a bundle is and whether its signature holds. Needs no running node, and opens nothing.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The file.
    file: PathBuf,
    /// The card of its sender; without it, the one in the configuration.
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
}

impl Bundle {
    pub(crate) fn run(self, target: &Target, screen: Screen) -> Done {
        match self {
            Self::Export(export) => super::in_turn(export.run(target, screen)),
            Self::Import(import) => super::in_turn(import.run(target, screen)),
            Self::Show(show) => show.run(target, screen),
        }
    }
}

impl Export {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let start_index = match self.from {
            FromWhere { all: true, .. } => Some(0),
            FromWhere { from, .. } => from,
        };
        let statement = export_to(&desk, &self.peer, start_index, &self.out).await?;
        if screen.json {
            screen.json(&json::to_json_whole(&statement))?;
        } else {
            tell_statement(&statement, screen)?;
            tell_next(&statement, &self.out, screen);
        }
        Ok(Exit::Ok)
    }
}

/// Writes a bundle into a new file; nothing stays of one that is not whole.
async fn export_to(
    desk: &Desk,
    peer: &str,
    start_index: Option<u64>,
    path: &Path,
) -> Result<v1::BundleStatement, Failure> {
    let writing = || format!("the file {}", path.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .or_fail(Exit::CannotCreate, writing)?;
    let written = write_bundle(desk, peer, start_index, &mut file).await;
    let whole = match written {
        Ok(statement) => file
            .sync_all()
            .or_fail(Exit::CannotCreate, writing)
            .map(|()| statement),
        Err(failure) => Err(failure),
    };
    if whole.is_err() {
        // Best effort: what is there is no bundle, and importing it says so.
        let _ = std::fs::remove_file(path);
    }
    whole
}

async fn write_bundle(
    desk: &Desk,
    peer: &str,
    start_index: Option<u64>,
    file: &mut File,
) -> Result<v1::BundleStatement, Failure> {
    let request = v1::ExportBundleRequest {
        peer: peer.to_owned(),
        start_index,
    };
    let mut answers = refused::answer(desk.bundle().export_bundle(request).await)?;
    let bar = Bar::items("writing the bundle", 0);
    loop {
        let answer = answers
            .message()
            .await
            .map_err(|status| refused::failure(&status))?;
        let Some(answer) = answer else {
            let what = "the node ended before the bundle did; nothing was written";
            return Err(Failure::new(Exit::Unavailable, what));
        };
        if let Some(statement) = answer.statement {
            return Ok(statement);
        }
        bar.total(answer.total);
        bar.at(answer.done);
        file.write_all(&answer.chunk)
            .or_fail(Exit::CannotCreate, || "the bundle".to_owned())?;
    }
}

impl Import {
    async fn run(self, target: &Target, screen: Screen) -> Done {
        let desk = target.connect().await?;
        let answer = import_from(&desk, &self.file).await?;
        let statement = answer.statement.clone().unwrap_or_default();
        let reply = match &self.reply {
            None => None,
            Some(out) => Some(
                export_to(&desk, &statement.sender, None, out)
                    .await
                    .map_err(|failure| {
                        failure.while_doing("the bundle was taken, but no reply was written")
                    })?,
            ),
        };
        if screen.json {
            let mut told = json::to_json_whole(&answer);
            if let (Some(reply), Some(told)) = (&reply, told.as_object_mut()) {
                told.insert("reply".to_owned(), json::to_json_whole(reply));
            }
            screen.json(&told)?;
            return Ok(Exit::Ok);
        }
        tell_import(&answer, &statement, screen)?;
        match (&reply, &self.reply) {
            (Some(reply), Some(out)) => {
                screen.line("")?;
                tell_statement(reply, screen)?;
                tell_next(reply, out, screen);
            }
            _ => screen.note(format!(
                "now write what goes back, with the receipts, and carry it there: liaison bundle \
                 export {} -o FILE",
                statement.sender
            )),
        }
        Ok(Exit::Ok)
    }
}

async fn import_from(desk: &Desk, path: &Path) -> Result<v1::ImportBundleResponse, Failure> {
    let failed = || format!("the bundle {}", path.display());
    // What is none is not sent anywhere.
    drop(open(path)?);
    let mut file = File::open(path).or_fail(Exit::Data, failed)?;
    let size = file.metadata().or_fail(Exit::Data, failed)?.len();
    let bar = Bar::bytes("reading the bundle", size);
    let (parts, stream) = tokio::sync::mpsc::channel(2);
    let reading = tokio::task::spawn_blocking(move || {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES_MAX];
            let count = file.read(&mut chunk)?;
            if count == 0 {
                return Ok(());
            }
            chunk.truncate(count);
            bar.advance(count as u64);
            let chunk = chunk.into();
            if parts
                .blocking_send(v1::ImportBundleRequest { chunk })
                .is_err()
            {
                return Ok(()); // the node has ended the call, and says why
            }
        }
    });
    let outcome = desk
        .bundle()
        .import_bundle(ReceiverStream::new(stream))
        .await;
    let read: std::io::Result<()> = reading.await.or_fail(Exit::Internal, failed)?;
    let answer = refused::answer(outcome)?;
    read.or_fail(Exit::Data, failed)?;
    Ok(answer)
}

fn open(path: &Path) -> Result<Reader<BufReader<File>>, Failure> {
    let failed = || format!("{}", path.display());
    let file = File::open(path).or_fail(Exit::Data, failed)?;
    Reader::new(BufReader::with_capacity(BUNDLE_READ_BYTES, file)).or_fail(Exit::Data, failed)
}

impl Show {
    fn run(self, target: &Target, screen: Screen) -> Done {
        let reader = open(&self.file)?;
        let preamble = reader.preamble().clone();
        let card = match &self.card {
            Some(file) => PeerCard::load(file).or_exit(Exit::Data)?,
            None => Self::card_of(target, preamble.from.as_str())?,
        };
        if card.node != preamble.from {
            let what = format!(
                "the bundle is from {}, the card of {}",
                preamble.from, card.node
            );
            return Err(Failure::new(Exit::Data, what));
        }
        let keys = |claimed: &v1::BundleStatement| -> Vec<VerifierKey> {
            let valid = card.message_keys().filter(|key| {
                claimed.own_size >= key.valid_from_index
                    && key
                        .valid_until_index
                        .is_none_or(|last| claimed.own_size <= last)
            });
            valid.map(|key| key.vkey.clone()).collect()
        };
        let statement = reader.statement(keys).map_err(|error| {
            let exit = match &error {
                FormatError::Io(_) => Exit::Data,
                _ => Exit::Negative,
            };
            Failure::of(exit, error.into()).remedy("do not import it; ask the sender for another")
        })?;
        if screen.json {
            screen.json(&json::to_json_whole(&statement))?;
        } else {
            tell_statement(&statement, screen)?;
            screen.line("the sender's signature holds, and the file is whole")?;
        }
        Ok(Exit::Ok)
    }

    fn card_of(target: &Target, from: &str) -> Result<PeerCard, Failure> {
        let config = target.load_config()?;
        let link = config
            .links
            .into_iter()
            .find(|link| link.peer.as_str() == from);
        link.map(|link| link.card).ok_or_else(|| {
            Failure::new(
                Exit::Negative,
                format!("the bundle says that it is from {from}, with whom there is no link here"),
            )
            .remedy("name its sender's card with --card FILE")
        })
    }
}

fn tell_statement(statement: &v1::BundleStatement, screen: Screen) -> Result<(), Failure> {
    let entries = statement.end_index - statement.start_index;
    let id = crate::model::MessageId::from_slice(&statement.bundle_id);
    let id = id.map(|id| id.to_string()).unwrap_or_default();
    screen.line(format!(
        "bundle {id}\n  from      {}\n  to        {}\n  made      {}",
        statement.sender,
        statement.recipient,
        when::full_wire(statement.created_at.as_ref())
    ))?;
    let how = if statement.under_checkpoints {
        ""
    } else {
        ", without checkpoints: shown there at once, receipted later"
    };
    let range = match entries {
        0 => "none".to_owned(),
        1 => format!("1 (index {}){how}", statement.start_index),
        _ => format!(
            "{entries} ({} to {}){how}",
            statement.start_index,
            statement.end_index - 1
        ),
    };
    screen.line(format!("  entries   {range}"))?;
    screen.line(format!(
        "  receipts  for {} entries of {}",
        statement.mirrored_size, statement.recipient
    ))?;
    screen.line(format!(
        "  files     {}, {}",
        statement.files,
        words::bytes(statement.file_bytes)
    ))?;
    screen.line(format!(
        "  content   {}",
        words::bytes(statement.content_bytes)
    ))
}

fn tell_next(statement: &v1::BundleStatement, out: &Path, screen: Screen) {
    screen.note(format!(
        "{} is sealed: only {} opens it. Carry it there, and have its duty officer run: liaison \
         bundle import FILE --reply OUT",
        quoted(out),
        statement.recipient
    ));
    let left = statement.own_size - statement.end_index;
    if left > 0 {
        screen.note(format!(
            "{left} more entries did not fit: take the reply, then export again"
        ));
    } else if !statement.under_checkpoints && statement.end_index > statement.start_index {
        screen.note(
            "this node has not heard from the peer since it was started, so it signs no checkpoint \
             yet; it does once the reply to this bundle was imported",
        );
    }
}

fn tell_import(
    answer: &v1::ImportBundleResponse,
    statement: &v1::BundleStatement,
    screen: Screen,
) -> Result<(), Failure> {
    screen.line(format!(
        "taken: the bundle of {} of {}",
        statement.sender,
        when::full_wire(statement.created_at.as_ref())
    ))?;
    let count = |count: u64, what: &str| match count {
        0 => Ok(()),
        _ => screen.line(format!("  {count:>6}  {what}")),
    };
    count(answer.entries_recorded, "entries recorded")?;
    count(
        answer.entries_ahead,
        "entries shown ahead of their turn; their receipts come later",
    )?;
    count(answer.entries_known, "entries that were here already")?;
    count(
        answer.entries_left,
        "entries left for their turn: too many wait for it",
    )?;
    count(answer.entries_delivered, "own entries now receipted")?;
    count(answer.files_taken, "attachments")?;
    count(
        answer.files_unwanted,
        "attachments left out: no message admitted here names them",
    )?;
    count(
        answer.files_failed,
        "attachments that could not be kept; import the bundle again",
    )?;
    count(
        answer.entries_waiting,
        "own entries still wait for their receipt",
    )
}
