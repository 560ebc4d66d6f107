//! The only place that prints, asks and shows progress.
//!
//! Answers go to standard output; questions, notes, progress and failures to standard error, so
//! that an answer can be piped. What comes from a peer is escaped before it gets here.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use zeroize::Zeroizing;

use super::exit::{Exit, Failure, OrExit as _, Told};
use super::table::{Style, Table};
use crate::model::text::is_steering;

/// Writes an answer to a new file that only its owner reads; nothing is overwritten.
pub(crate) fn write_private(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let writing = || format!("the file {}", file.display());
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .or_fail(Exit::CannotCreate, writing)?;
    out.write_all(bytes)
        .and_then(|()| out.sync_all())
        .or_fail(Exit::CannotCreate, writing)
}

/// Where the answer goes, and how it is to look there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// Answers as JSON.
    pub(crate) json: bool,
    /// The terminal's width in columns; `None` if standard output is no terminal.
    pub(crate) width: Option<usize>,
    /// Colours are wanted on standard output.
    pub(crate) colour: bool,
}

impl Screen {
    /// The screen that this process was started on.
    pub(crate) fn of_process(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let asked = std::env::var("COLUMNS")
            .ok()
            .and_then(|columns| columns.parse().ok());
        let found = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
        let width = asked.or(if terminal { found.or(Some(80)) } else { None });
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            json,
            width,
            colour: terminal && !plain,
        }
    }

    /// A line of the answer.
    pub(crate) fn line(self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.raw(format!("{}\n", text.as_ref()).as_bytes())
    }

    /// A line of the answer, in a style.
    pub(crate) fn styled(self, text: &str, style: Style) -> Result<(), Failure> {
        self.line(style.paint(text, self.colour))
    }

    /// A table.
    pub(crate) fn table(self, table: &Table) -> Result<(), Failure> {
        self.raw(table.render(self.width, self.colour).as_bytes())
    }

    /// A JSON document, for people to read as well.
    pub(crate) fn json(self, value: &serde_json::Value) -> Result<(), Failure> {
        self.line(plain_json(&format!("{value:#}")))
    }

    /// A JSON document on one line, as one of many.
    pub(crate) fn json_line(self, value: &serde_json::Value) -> Result<(), Failure> {
        self.line(plain_json(&value.to_string()))
    }

    /// Bytes of the answer, as they are.
    #[expect(clippy::unused_self, reason = "whoever prints has a screen")]
    pub(crate) fn raw(self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
                _ => Failure::of(
                    Exit::CannotCreate,
                    anyhow::Error::new(error).context("the answer could not be written"),
                ),
            })
    }

    /// A remark beside the answer.
    #[expect(clippy::unused_self, reason = "whoever prints has a screen")]
    pub(crate) fn note(self, text: impl AsRef<str>) {
        let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
    }

    /// Columns for running text.
    pub(crate) fn text_width(self) -> usize {
        self.width.unwrap_or(100).clamp(40, 120)
    }
}

/// The same JSON, with every character that steers a terminal written as JSON's own escape. They
/// stand in strings only; the line feeds between the lines stay.
fn plain_json(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c != '\n' && is_steering(c);
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(plain, "\\u{unit:04x}");
            }
        } else {
            plain.push(c);
        }
    }
    Cow::Owned(plain)
}

/// Tells why the command failed.
pub(crate) fn failure(told: &Told) {
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = told.text();
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "{}", Style::Bad.paint(first, colour));
    if !rest.is_empty() {
        let _ = writeln!(err, "{rest}");
    }
}

/// Tells of a fault in the program itself; there is nobody to tell if this fails.
pub(crate) fn fault(told: &str) {
    let _ = writeln!(io::stderr().lock(), "{told}");
}

/// Asks a question on the terminal and reads one line.
pub(crate) fn ask(question: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(
            Exit::Usage,
            "this must be asked, and standard input is no terminal",
        ));
    }
    let fault = || "the answer could not be read".to_owned();
    let mut err = io::stderr().lock();
    let _ = write!(err, "{question} ").and_then(|()| err.flush());
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .or_fail(Exit::Internal, fault)?;
    Ok(line.trim().to_owned())
}

/// Asks for a passphrase without showing it.
pub(crate) fn ask_secret(question: &str) -> io::Result<Zeroizing<String>> {
    rpassword::prompt_password(format!("{question}: ")).map(Zeroizing::new)
}

/// A bar for long work, on standard error and only if that is a terminal.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar that counts bytes.
    pub(crate) fn bytes(what: &str, total: u64) -> Self {
        Self::new(
            what,
            total,
            "{msg:24} {bar:30} {bytes:>10}/{total_bytes} {eta:>5}",
        )
    }

    /// A bar that counts things.
    pub(crate) fn items(what: &str, total: u64) -> Self {
        Self::new(
            what,
            total,
            "{msg:24} {bar:30} {human_pos:>10}/{human_len} {eta:>5}",
        )
    }

    fn new(what: &str, total: u64, template: &str) -> Self {
        // indicatif hides it if standard error is no terminal.
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━─"));
        }
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// A spinner for waiting on something of unknown length.
    pub(crate) fn waiting(what: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// So much is done.
    pub(crate) fn at(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Whether nobody sees it.
    pub(crate) fn is_hidden(&self) -> bool {
        self.0.is_hidden()
    }

    /// So much more is done.
    pub(crate) fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    /// There is so much in all.
    pub(crate) fn total(&self, total: u64) {
        self.0.set_length(total);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_steers_no_terminal_and_says_the_same() {
        let value = serde_json::json!({
            "name": "a\u{202E}fdp.exe \u{9b}2J \u{1b}[2J \u{E0041}\u{7f}", "text": "公函\n"
        });
        for text in [value.to_string(), format!("{value:#}")] {
            let plain = plain_json(&text);
            assert!(
                !plain.chars().any(|c| c != '\n' && is_steering(c)),
                "{plain}"
            );
            assert!(plain.contains("公函"));
            let read: serde_json::Value = serde_json::from_str(&plain).unwrap();
            assert_eq!(read, value);
        }
        assert!(matches!(plain_json("{\"a\": 1}"), Cow::Borrowed(_)));
    }
}
