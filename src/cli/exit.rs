//! How a command ends: exit codes, and failures with what to do about them.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::model::check::FieldFault;

/// What the process tells its caller. The numbers above 64 mean what they mean in `sysexits.h`; 64
/// does not (there it is a bad command line, and 78 bad configuration): it is what other network
/// daemons end with on bad configuration, and service managers are told not to restart on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, and nothing is wrong.
    Ok,
    /// Findings, a negative verdict, or what was asked for did not come about.
    Negative,
    /// The command line makes no sense.
    Usage,
    /// Evidence holds: the holder of a key signed two different logs.
    Proven,
    /// A configuration, key or certificate file is not as it should be.
    Config,
    /// The data given is not as it should be.
    Data,
    /// The node does not answer.
    Unavailable,
    /// A fault of this program, or of the node.
    Internal,
    /// A file cannot be made, in particular because there is one already.
    CannotCreate,
    /// Nothing is wrong, but not now.
    TryLater,
    /// Not allowed.
    NoPermission,
}

/// The table of exit codes, for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
   0  done, nothing is wrong
   1  findings, a negative verdict, or what was asked for did not come about
   2  the command line makes no sense
   3  proven: the holder of a key signed two different logs (audit verify of such a file)
  64  a configuration, key or certificate file is not as it should be
  65  the data given is not as it should be
  69  the node does not answer
  70  a fault of this program or of the node
  73  a file cannot be made, in particular because there is one already
  75  try again later
  77  not allowed

Every read command takes --json. Environment: LIAISON_CONFIG, NO_COLOR, COLUMNS, TZ.";

impl Exit {
    /// Its number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Negative => 1,
            Self::Usage => 2,
            Self::Proven => 3,
            Self::Config => 64,
            Self::Data => 65,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::CannotCreate => 73,
            Self::TryLater => 75,
            Self::NoPermission => 77,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Failure {
    /// Whoever reads the output has seen enough: no failure.
    BrokenPipe,
    /// Something to tell.
    Told(Box<Told>),
}

/// What is told about a failure.
#[derive(Debug)]
pub struct Told {
    /// How the process ends.
    pub exit: Exit,
    /// What happened, with its causes.
    pub error: anyhow::Error,
    /// Field by field, if a form is at fault.
    pub faults: Vec<FieldFault>,
    /// What to do next.
    pub remedy: Option<String>,
}

/// What a command comes to.
pub(crate) type Done = Result<Exit, Failure>;

impl Failure {
    /// A failure in one sentence.
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self::of(exit, anyhow::Error::msg(what.into()))
    }

    /// A failure with its causes.
    pub(crate) fn of(exit: Exit, error: anyhow::Error) -> Self {
        Self::Told(Box::new(Told {
            exit,
            error,
            faults: Vec::new(),
            remedy: None,
        }))
    }

    /// Adds what to do next.
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        if let Self::Told(told) = &mut self {
            told.remedy = Some(remedy.into());
        }
        self
    }

    /// Adds what is wrong with which field.
    pub(crate) fn faults(mut self, faults: Vec<FieldFault>) -> Self {
        if let Self::Told(told) = &mut self {
            told.faults = faults;
        }
        self
    }

    /// Says before the rest what was being done.
    pub(crate) fn while_doing(mut self, what: impl Into<String>) -> Self {
        if let Self::Told(told) = &mut self {
            let error = std::mem::replace(&mut told.error, anyhow::Error::msg(""));
            told.error = error.context(what.into());
        }
        self
    }

    /// How the process ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::BrokenPipe => Exit::Ok,
            Self::Told(told) => told.exit,
        }
    }
}

impl Told {
    /// The whole of it, for a terminal: what happened, causes, fields, what to do.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("liaison: {}", self.error);
        let mut said = self.error.to_string();
        for cause in self.error.chain().skip(1) {
            let cause = cause.to_string();
            // Some errors repeat their source in their own text.
            if !said.contains(&cause) {
                let _ = write!(text, "\n  because: {cause}");
                said = cause;
            }
        }
        for fault in &self.faults {
            let _ = write!(text, "\n  {}\n      reason: {}", fault.field, fault.reason);
            if !fault.remedy.is_empty() {
                let _ = write!(text, "\n      remedy: {}", fault.remedy);
            }
        }
        if let Some(remedy) = &self.remedy {
            let mut lines = remedy.lines();
            let _ = write!(text, "\n  → {}", lines.next().unwrap_or_default());
            for line in lines {
                let _ = write!(text, "\n    {line}");
            }
        }
        text
    }
}

/// Turns errors of other modules into failures.
pub(crate) trait OrExit<T> {
    /// With the exit code that this error has here.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;

    /// The same, saying first what was being done.
    fn or_fail(self, exit: Exit, doing: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::of(exit, error.into()))
    }

    fn or_fail(self, exit: Exit, doing: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::of(exit, error.into().context(doing())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_causes_fields_and_remedy() {
        let inner = std::io::Error::other("disk on fire");
        let failure = Failure::of(Exit::Internal, anyhow::Error::new(inner))
            .while_doing("the export was not written")
            .faults(vec![FieldFault {
                field: "body.officialLetter.subject".to_owned(),
                reason: "missing".to_owned(),
                remedy: "give it".to_owned(),
            }])
            .remedy("call the fire brigade\nthen try again");
        let Failure::Told(told) = failure else {
            unreachable!("it was told")
        };
        assert_eq!(
            told.text(),
            "liaison: the export was not written\n  because: disk on fire\n  \
             body.officialLetter.subject\n      reason: missing\n      remedy: give it\n  \
             → call the fire brigade\n    then try again"
        );
    }

    #[test]
    fn help_lists_every_code() {
        for exit in [
            Exit::Ok,
            Exit::Negative,
            Exit::Usage,
            Exit::Proven,
            Exit::Config,
            Exit::Data,
            Exit::Unavailable,
            Exit::Internal,
            Exit::CannotCreate,
            Exit::TryLater,
            Exit::NoPermission,
        ] {
            let line = format!("\n  {:>2}  ", exit.code());
            assert!(HELP.contains(&line), "{exit:?}");
        }
    }
}
