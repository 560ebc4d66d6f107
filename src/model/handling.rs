//! What a handling code allows: one table, code by use. [`permits`] is the whole of it;
//! `docs/handling.md` says why each cell is as it is, and what the codes mean comes from Europol's.
//!
//! A code goes with a message wherever it goes, and binds its author as well as its reader: whom it
//! protects is the same on both sides. What a node cannot know (the purpose somebody has, whether
//! permission was given) it asks a person for: the use [`Permit::NeedsOverride`], a reason that is
//! recorded.

use std::fmt;

use crate::limits::OVERRIDE_REASON_BYTES_MAX;
use crate::model::check::FieldFault;
use crate::model::text::line_fault;
use crate::proto::v1::{Classification, Handling, HandlingCode, Kind};

/// What somebody wants a message for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// To see it on a screen.
    Read,
    /// To take it out of the node as a file that stands by itself.
    Export,
    /// To make a page of it.
    Print,
    /// To send it on to another authority.
    Forward,
}

impl Use {
    /// Every use, in the order of the table.
    pub const ALL: [Self; 4] = [Self::Read, Self::Export, Self::Print, Self::Forward];

    /// In words, after "it is not": `exported`.
    #[must_use]
    pub const fn done(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Export => "exported",
            Self::Print => "printed",
            Self::Forward => "forwarded",
        }
    }
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Export => "export",
            Self::Print => "print",
            Self::Forward => "forward",
        })
    }
}

/// Whether a use is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Without more ado.
    Allowed,
    /// Only with a person's reason, which is recorded.
    NeedsOverride {
        /// What the code restricts, in words.
        why: &'static str,
    },
}

/// What the number of a handling code allows a use to be. A number that this version does not know is
/// of a newer one, and taken as the strictest.
#[must_use]
pub const fn permits(code: i32, wanted: Use) -> Permit {
    match (known(code), wanted) {
        // Whoever may not read is kept out by roles; the codes say what may be done with it.
        (_, Use::Read)
        | (Some(HandlingCode::Unspecified), _)
        // Paper stays in the office that combats crime, and bears its code.
        | (Some(HandlingCode::H0), Use::Print) => Permit::Allowed,
        (code, _) => Permit::NeedsOverride { why: meaning(code) },
    }
}

const fn known(code: i32) -> Option<HandlingCode> {
    match code {
        0 => Some(HandlingCode::Unspecified),
        1 => Some(HandlingCode::H0),
        2 => Some(HandlingCode::H1),
        3 => Some(HandlingCode::H2),
        4 => Some(HandlingCode::H3),
        _ => None,
    }
}

const fn meaning(code: Option<HandlingCode>) -> &'static str {
    match code {
        Some(HandlingCode::Unspecified) => "no restriction",
        Some(HandlingCode::H0) => "for preventing and combating crime only",
        Some(HandlingCode::H1) => "not in judicial proceedings without permission",
        Some(HandlingCode::H2) => "not to be disseminated without permission",
        Some(HandlingCode::H3) => "other restrictions, which its text states",
        None => "a code of a newer version, restricted as far as this one can tell",
    }
}

/// Whether this version knows a code by this number.
#[must_use]
pub const fn is_known(code: i32) -> bool {
    known(code).is_some()
}

/// A code by its number, as people read it: `H1`; nothing where there is none.
#[must_use]
pub fn code_word(code: i32) -> String {
    match known(code) {
        Some(HandlingCode::Unspecified) => String::new(),
        Some(known) => known
            .as_str_name()
            .trim_start_matches("HANDLING_CODE_")
            .to_owned(),
        None => format!("code {code}"),
    }
}

/// What the number of a code means, in words.
#[must_use]
pub const fn meaning_of(code: i32) -> &'static str {
    meaning(known(code))
}

/// The number of a message's code.
#[must_use]
pub fn code_of(handling: Option<&Handling>) -> i32 {
    handling.map_or(0, |handling| handling.code)
}

/// Whether a classification, by its number, is above a ceiling. None stated is no lower than any: it
/// counts as RESTRICTED, as in drafts. A number of a newer version is above every ceiling.
#[must_use]
pub fn is_above(classification: i32, ceiling: Classification) -> bool {
    let stated = if classification == Classification::Unspecified as i32 {
        Classification::Restricted as i32
    } else {
        classification
    };
    stated > ceiling as i32
}

/// The lower of a classification and a ceiling: for what is said of a message and holds nothing of it.
#[must_use]
pub fn within(classification: i32, ceiling: Classification) -> i32 {
    if is_above(classification, ceiling) {
        ceiling as i32
    } else {
        classification
    }
}

/// Why messages of a kind cannot be forwarded; nothing if they can.
///
/// Forwarding says the same again under one's own signature to somebody else. That is honest for what
/// tells of the world and asks for no step of a case. A request for a handover said again would be a
/// request by whoever forwards it.
#[must_use]
pub const fn not_forwarded(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::CrossingAlert
        | Kind::CaseNotice
        | Kind::OfficialLetter
        | Kind::MarkerReport
        | Kind::HazardNotice
        | Kind::ActivityReport => None,
        Kind::Unspecified => Some("this version does not know the kind"),
        _ => Some(
            "it is a step in a case between two sides, or speaks for one of them; said again it would \
             be this side's own step",
        ),
    }
}

/// Checks the reason for an override as it was typed: one line, not empty, of at most
/// [`OVERRIDE_REASON_BYTES_MAX`] bytes; without blanks around it.
///
/// # Errors
/// The fault, of the field `overrideReason`.
pub fn check_reason(typed: &str) -> Result<&str, FieldFault> {
    let reason = typed.trim();
    let Some(fault) = line_fault(reason, OVERRIDE_REASON_BYTES_MAX) else {
        return Ok(reason);
    };
    Err(FieldFault {
        field: "overrideReason".to_owned(),
        reason: fault,
        remedy:
            "say in one line who permitted it or why it is lawful, without names of persons in \
                 the message; it is recorded"
                .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_as_written() {
        let allowed = |code| Use::ALL.map(|wanted| permits(code, wanted) == Permit::Allowed);
        // Read, export, print, forward.
        assert_eq!(allowed(0), [true, true, true, true]);
        assert_eq!(allowed(1), [true, false, true, false]);
        for code in [2, 3, 4, 5, -1, i32::MAX] {
            assert_eq!(allowed(code), [true, false, false, false], "{code}");
        }
    }

    #[test]
    fn every_code_of_the_protocol_is_in_the_table() {
        for number in 0..100 {
            let found = HandlingCode::try_from(number).ok();
            assert_eq!(known(number), found, "{number}");
            if let Some(code) = found {
                assert_eq!(known(code as i32), Some(code));
            }
        }
        assert_eq!(code_word(4), "H3");
        assert_eq!(code_word(0), "");
        assert_eq!(code_word(9), "code 9");
    }

    #[test]
    fn what_is_not_classified_counts_as_restricted() {
        use Classification as C;
        assert!(!is_above(0, C::Restricted));
        assert!(is_above(0, C::Internal));
        assert!(is_above(C::Confidential as i32, C::Restricted));
        assert!(!is_above(C::Confidential as i32, C::Confidential));
        assert!(is_above(5, C::Confidential), "a newer one");
        assert_eq!(within(4, C::Restricted), 3);
        assert_eq!(within(1, C::Restricted), 1);
        assert_eq!(within(0, C::Internal), 2);
    }

    #[test]
    fn a_reason_is_one_line_of_some_length() {
        let longest = "ề".repeat(OVERRIDE_REASON_BYTES_MAX / 3) + "xx";
        assert_eq!(longest.len(), OVERRIDE_REASON_BYTES_MAX);
        assert_eq!(check_reason(&format!("  {longest} ")), Ok(&*longest));
        for wrong in [
            format!("{longest}x"),
            "a\nb".to_owned(),
            "a\u{202E}b".to_owned(),
            " ".to_owned(),
            String::new(),
        ] {
            let fault = check_reason(&wrong).unwrap_err();
            assert_eq!(fault.field, "overrideReason");
        }
    }
}
