//! `liaison letter check`: whether the code on a printed letter says what is on record.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use tonic::Code;

use super::{followers, is_withdrawal};
use crate::audit::Verdict;
use crate::audit::lookup::{Found, Wanted, look_up};
use crate::cli::audit::{read_trusted, render_verdict};
use crate::cli::connect::{Target, quoted};
use crate::cli::exit::{Done, Exit, Failure, OrExit as _};
use crate::cli::print::{Bar, Screen};
use crate::cli::table::{Style, pad};
use crate::cli::{in_turn, refused, summary, when, words};
use crate::document::check::{Compared, OnRecord, Part, RootThen, Word, compare, overall};
use crate::document::qr::QrText;
use crate::model::{MessageId, Origin};
use crate::proto::v1::{self, Level, body::Body};
use crate::tlog::Hash;

/// More than any code says; what is longer is refused by its parser.
const INPUT_BYTES_MAX: u64 = 4 << 10;

/// Says whether the code on a printed letter is of a letter as it was sent.
///
/// From the node's log, or from an export (--export), which needs no node. The code speaks for the
/// letter on record, not for the paper around it: compare the text as well.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// What the code says, as a scanner reads it; - reads it from standard input.
    #[arg(required = true, num_args = 1.., value_name = "QR-TEXT")]
    text: Vec<String>,
    /// Look in this export instead of asking the node; it is verified first.
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Of the export, believe only these keys: the card of a side, or a file with one vkey a line;
    /// may be given several times, so once for each side's card.
    #[arg(long, value_name = "FILE", requires = "export")]
    trust: Vec<PathBuf>,
}

/// A message that is known here.
#[derive(Debug)]
struct Known {
    record: OnRecord,
    kind: i32,
    created_at: Option<prost_types::Timestamp>,
    body: Option<v1::Body>,
    refused: bool,
    withdrawn: bool,
    superseded_by: Option<String>,
}

impl Check {
    pub(crate) fn run(self, target: &Target, screen: Screen) -> Done {
        let text = self.text()?;
        let code = QrText::parse(text.trim()).or_fail(Exit::Data, || {
            "this is no code of a printed letter".to_owned()
        })?;
        match &self.export {
            None => in_turn(from_node(&code, target, screen)),
            Some(dir) => from_export(&code, dir, &self.trust, screen),
        }
    }

    fn text(&self) -> Result<String, Failure> {
        if self.text != ["-"] {
            return Ok(self.text.join(" "));
        }
        let mut text = String::new();
        std::io::stdin()
            .take(INPUT_BYTES_MAX)
            .read_to_string(&mut text)
            .or_fail(Exit::Data, || "standard input".to_owned())?;
        Ok(text)
    }
}

async fn from_node(code: &QrText, target: &Target, screen: Screen) -> Done {
    let desk = target.connect().await?;
    let id = code.id.to_string();
    let request = v1::GetRequest {
        id: id.clone(),
        ..v1::GetRequest::default()
    };
    let message = match desk.desk().get(request).await {
        Err(status) if status.code() == Code::NotFound => {
            return tell(code, None, None, "this node", screen);
        }
        other => refused::answer(other)?.message.unwrap_or_default(),
    };
    let older = || "the node tells too little; bring node and command to one version".to_owned();
    let origin = Origin::parse(&message.origin).or_fail(Exit::Internal, older)?;
    let body_digest = Hash::from_slice(&message.body_digest).or_fail(Exit::Internal, older)?;

    let mut root = RootThen::Unknown;
    // The root of another log would say nothing.
    if let Some(checkpoint) = code.checkpoint.filter(|_| origin == code.origin) {
        let request = v1::ProofRequest {
            id,
            root_at: checkpoint.size,
        };
        root = match desk.audit().proof(request).await {
            Ok(proof) => {
                Hash::from_slice(&proof.get_ref().root).map_or(RootThen::NoSuchSize, RootThen::Root)
            }
            // No receipt here yet.
            Err(status) if status.code() == Code::FailedPrecondition => RootThen::Unknown,
            Err(status) => return Err(refused::failure(&status)),
        };
    }
    let followers = followers(&desk, &message).await?;
    let replaced = followers.iter().rev().find(|answer| !is_withdrawal(answer));
    let known = Known {
        record: OnRecord {
            origin,
            index: message.index,
            body_digest,
            root,
        },
        kind: message.kind_number,
        created_at: message.created_at,
        refused: message.level() == Level::Refused,
        withdrawn: followers.iter().any(is_withdrawal),
        superseded_by: replaced.map(|answer| answer.id.clone()),
        body: message.body,
    };
    tell(code, Some(&known), None, "this node", screen)
}

fn from_export(code: &QrText, dir: &Path, trust: &[PathBuf], screen: Screen) -> Done {
    if !dir.is_dir() {
        let what = format!("{} is not a directory", dir.display());
        return Err(Failure::new(Exit::Data, what)
            .remedy("name the folder that liaison audit export has written"));
    }
    let trusted = if trust.is_empty() {
        None
    } else {
        Some(read_trusted(trust)?)
    };
    let wanted = Wanted {
        id: code.id,
        origin: code.origin.clone(),
        size: code.checkpoint.map(|checkpoint| checkpoint.size),
    };
    let bar = Bar::items("verifying", 0);
    let (verdict, found) = look_up(dir, trusted.as_deref(), &wanted, &mut |progress| {
        bar.total(progress.total);
        bar.at(progress.done);
    });
    drop(bar);
    let place = format!("the export {}", quoted(dir));
    let known = found.map(known_of);
    tell(code, known.as_ref(), Some(&verdict), &place, screen)
}

fn known_of(found: Found) -> Known {
    Known {
        record: OnRecord {
            // An export ends at a receipt; the log itself goes on.
            root: found.root.map_or(RootThen::Unknown, RootThen::Root),
            origin: found.origin,
            index: found.index,
            body_digest: Hash(found.header.body_digest),
        },
        kind: found.header.kind,
        created_at: found.header.wire.created_at,
        body: found.body,
        refused: found.refused,
        withdrawn: found.withdrawn_by.is_some(),
        superseded_by: found.superseded_by.as_ref().map(MessageId::to_string),
    }
}

/// What is said of the code, and of the export if one was asked.
fn tell(
    code: &QrText,
    known: Option<&Known>,
    export: Option<&Verdict>,
    place: &str,
    screen: Screen,
) -> Done {
    // What an export that does not hold says of the letter counts for nothing.
    let holds = export.is_none_or(|verdict| verdict.clean);
    let parts = match known {
        Some(known) if holds => compare(code, &known.record),
        _ => Vec::new(),
    };
    let word = overall(&parts);
    if screen.json {
        screen.json(&as_json(code, known.filter(|_| holds), &parts, export))?;
    } else {
        let text = as_text(code, known.filter(|_| holds), &parts, export, place, screen);
        screen.raw(text.as_bytes())?;
    }
    Ok(if word == Word::Matches {
        Exit::Ok
    } else {
        Exit::Negative
    })
}

/// The word of the whole, for programs. That of an export that does not hold is its own: nothing
/// is known of the letter then.
fn verdict_word(parts: &[Compared], export: Option<&Verdict>) -> Value {
    match export {
        Some(verdict) if !verdict.clean => json!("export_does_not_verify"),
        _ => json!(overall(parts)),
    }
}

fn as_json(
    code: &QrText,
    known: Option<&Known>,
    parts: &[Compared],
    export: Option<&Verdict>,
) -> Value {
    let mut value = json!({
        "verdict": verdict_word(parts, export),
        "id": code.id.to_string(),
        "receipted": code.checkpoint.is_some(),
        "parts": parts,
    });
    if let Some(known) = known {
        let mut message = json!({
            "kind": words::kind(known.kind),
            "refused": known.refused,
            "withdrawn": known.withdrawn,
        });
        if let Some(id) = &known.superseded_by {
            message["superseded_by"] = json!(id);
        }
        if let Some(at) = known.created_at.as_ref().and_then(when::from_wire) {
            message["created_at"] = json!(at.to_string());
        }
        if let Some(letter) = letter_of(known) {
            message["letter_number"] = json!(letter.letter_number);
            message["subject"] = json!(letter.subject.as_ref().map(|subject| &subject.texts));
        }
        value["message"] = message;
    }
    if let Some(verdict) = export {
        value["export"] = json!(verdict);
    }
    value
}

fn letter_of(known: &Known) -> Option<&v1::OfficialLetter> {
    match known.body.as_ref()?.body.as_ref()? {
        Body::OfficialLetter(letter) => Some(letter),
        _ => None,
    }
}

fn as_text(
    code: &QrText,
    known: Option<&Known>,
    parts: &[Compared],
    export: Option<&Verdict>,
    place: &str,
    screen: Screen,
) -> String {
    let mut out = String::new();
    let mut line = |name: &str, text: &str| {
        let name = Style::Dim.paint(&pad(name, 14), screen.colour).into_owned();
        let _ = writeln!(out, "{name}{text}");
    };
    line("message", &code.id.to_string());
    if let Some(known) = known {
        line("kind", &words::kind(known.kind));
        if let Some(body) = known.body.as_ref().and_then(|body| body.body.as_ref()) {
            line("says", &summary::of(body));
        }
        line("created", &when::full_wire(known.created_at.as_ref()));
        let bad = |text: &str| Style::Bad.paint(text, screen.colour).into_owned();
        if known.refused {
            line("standing", &bad("REFUSED by the other node"));
        }
        if known.withdrawn {
            line("standing", &bad("WITHDRAWN by its author"));
        }
        if let Some(id) = &known.superseded_by {
            let id = crate::model::text::escape(id);
            line("standing", &bad(&format!("SUPERSEDED by {id}")));
        }
    }
    for part in parts {
        let (text, style) = match part.verdict {
            Word::Matches => ("matches", Style::Good),
            Word::DoesNotMatch => ("DOES NOT MATCH", Style::Bad),
            Word::NotKnownHere => ("not known here", Style::Warn),
        };
        line(part_name(part.part), &style.paint(text, screen.colour));
        if part.verdict != Word::Matches {
            line("", &format!("printed    {}", part.printed));
            if let Some(on_record) = &part.on_record {
                line("", &format!("on record  {on_record}"));
            }
        }
    }
    if let Some(verdict) = export.filter(|verdict| !verdict.clean) {
        out.push('\n');
        out.push_str(&render_verdict(verdict, "", screen));
    }
    let (text, style) = conclusion(code, known, parts, export, place);
    let _ = writeln!(out, "\n{}", style.paint(&text, screen.colour));
    let claimed = export.is_some_and(|verdict| verdict.rests_on.iter().any(|key| !key.pinned));
    if claimed && known.is_some() {
        out.push_str(
            "This rests on keys that the export itself names. Name the cards that the sides gave \
             each other: --trust CARD --trust CARD\n",
        );
    }
    out
}

fn part_name(part: Part) -> &'static str {
    match part {
        Part::Origin => "log",
        Part::Index => "index",
        Part::BodyDigest => "body digest",
        Part::Checkpoint => "checkpoint",
    }
}

/// What to take from it, and what to do next.
fn conclusion(
    code: &QrText,
    known: Option<&Known>,
    parts: &[Compared],
    export: Option<&Verdict>,
    place: &str,
) -> (String, Style) {
    if export.is_some_and(|verdict| !verdict.clean) {
        let text = "The export itself does not verify: what it says of the letter counts for \
                    nothing. Take another export.";
        return (text.to_owned(), Style::Bad);
    }
    match overall(parts) {
        Word::Matches => {
            let mut text = "Matches: the code is of this letter as it was sent.".to_owned();
            if code.checkpoint.is_none() {
                text.push_str(" It was printed before there was a receipt.");
            }
            text.push_str(
                "\nThe paper around the code may still say something else: compare its text with",
            );
            let _ = write!(text, " liaison letter print {}", code.id);
            if export.is_some() {
                text.push_str(" or the export's notifications");
            }
            (text, Style::Good)
        }
        Word::DoesNotMatch => {
            let wrong = parts
                .iter()
                .filter(|part| part.verdict == Word::DoesNotMatch);
            let wrong: Vec<_> = wrong.map(|part| part_name(part.part)).collect();
            let text = format!(
                "Does not match ({}): the code was not printed from this letter as it is on record.",
                wrong.join(", ")
            );
            (text, Style::Bad)
        }
        Word::NotKnownHere if known.is_none() => {
            let text = format!("Not known here: {place} holds no message with this id.");
            (text, Style::Bad)
        }
        Word::NotKnownHere if export.is_some() => {
            let text =
                "Not known here (checkpoint): the export ends before it. Take a later export.";
            (text.to_owned(), Style::Warn)
        }
        Word::NotKnownHere => {
            let text = "Not known here (checkpoint): this node has no receipt of the letter yet. \
                        Check it again when it shows as delivered.";
            (text.to_owned(), Style::Warn)
        }
    }
}
