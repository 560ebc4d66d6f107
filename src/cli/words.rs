//! The words of the protocol's enums, as people type and read them: `crossing-alert`, `FLASH`.

use super::table::Style;
use crate::proto::v1::{
    self, HandlingCode, Kind, Level, LinkState, OwedThing, Precedence, Side, Status,
};

/// The word of an enum value: its name without the enum's own, lower case, with hyphens.
fn word(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix)
        .unwrap_or(name)
        .to_lowercase()
        .replace('_', "-")
}

/// The name of an enum value from a word, or from the name itself.
fn name(typed: &str, prefix: &str) -> String {
    let upper = typed.to_uppercase().replace(['-', ' '], "_");
    if upper.starts_with(prefix) {
        upper
    } else {
        format!("{prefix}{upper}")
    }
}

macro_rules! words {
    ($($parse:ident, $known:ident: $enum:ident, $prefix:literal, $last:literal;)+) => {$(
        /// Reads the word.
        pub(crate) fn $parse(typed: &str) -> Result<$enum, String> {
            $enum::from_str_name(&name(typed, $prefix))
                .filter(|value| *value as i32 != 0)
                .ok_or_else(|| format!("known are {}", $known().join(", ")))
        }

        /// Every word, in order.
        fn $known() -> Vec<String> {
            (1..=$last)
                .filter_map(|number| $enum::try_from(number).ok())
                .map(|value| word(value.as_str_name(), $prefix))
                .collect()
        }
    )+};
}

words! {
    parse_kind, kinds: Kind, "KIND_", 255;
    parse_precedence, precedences: Precedence, "PRECEDENCE_", 4;
    parse_status, statuses: Status, "STATUS_", 3;
    parse_level, levels: Level, "LEVEL_", 6;
    parse_handling_code, handling_codes: HandlingCode, "HANDLING_CODE_", 4;
}

/// The kind as people read it; its number if this version does not know it.
pub(crate) fn kind(number: i32) -> String {
    match Kind::try_from(number) {
        Ok(kind) if kind != Kind::Unspecified => {
            word(kind.as_str_name(), "KIND_").replace('-', " ")
        }
        _ => format!("kind {number} (newer)"),
    }
}

/// The precedence, as the radio operators' manuals write it.
pub(crate) fn precedence(number: i32) -> (String, Style) {
    match Precedence::try_from(number) {
        Ok(Precedence::Flash) => ("FLASH".to_owned(), Style::Bad),
        Ok(Precedence::Immediate) => ("IMMEDIATE".to_owned(), Style::Warn),
        Ok(Precedence::Priority) => ("PRIORITY".to_owned(), Style::Plain),
        Ok(Precedence::Routine | Precedence::Unspecified) => ("ROUTINE".to_owned(), Style::Dim),
        Err(_) => (format!("precedence {number}"), Style::Warn),
    }
}

/// The status; empty for real traffic, which needs no word.
pub(crate) fn status(number: i32) -> String {
    match Status::try_from(number) {
        Ok(Status::Actual | Status::Unspecified) => String::new(),
        Ok(other) => other.as_str_name().trim_start_matches("STATUS_").to_owned(),
        Err(_) => format!("status {number}"),
    }
}

/// Classification and code: `RESTRICTED H1`.
pub(crate) fn handling(handling: v1::Handling) -> String {
    let classification = handling
        .classification()
        .as_str_name()
        .trim_start_matches("CLASSIFICATION_")
        .to_owned();
    match handling.code() {
        HandlingCode::Unspecified => classification,
        code => {
            let code = code.as_str_name().trim_start_matches("HANDLING_CODE_");
            format!("{classification} {code}")
        }
    }
}

/// How far a message has come.
pub(crate) fn level(level: Level) -> (&'static str, Style) {
    match level {
        Level::Unspecified => ("unknown", Style::Warn),
        Level::Recorded => ("recorded", Style::Dim),
        Level::Delivered => ("delivered", Style::Plain),
        Level::Acknowledged => ("acknowledged", Style::Good),
        Level::Replied => ("replied", Style::Good),
        Level::Refused => ("REFUSED", Style::Bad),
        Level::Withdrawn => ("withdrawn", Style::Warn),
    }
}

/// What is owed.
pub(crate) fn owed(owed: OwedThing) -> &'static str {
    match owed {
        OwedThing::Unspecified => "something newer",
        OwedThing::Acknowledgement => "acknowledgement",
        OwedThing::Reply => "reply",
        OwedThing::Decision => "decision",
        OwedThing::Information => "information",
        OwedThing::Agreement => "agreement or counter-proposal",
        OwedThing::Countersignature => "countersignature",
        OwedThing::Record => "record",
        OwedThing::Closure => "closure",
    }
}

/// Where a link stands.
pub(crate) fn link_state(state: LinkState) -> (&'static str, Style) {
    match state {
        LinkState::Unspecified => ("unknown", Style::Warn),
        LinkState::Down => ("down", Style::Warn),
        LinkState::Up => ("up", Style::Good),
        LinkState::Held => ("HELD", Style::Bad),
        LinkState::HeldByPeer => ("HELD BY PEER", Style::Bad),
        LinkState::Restoring => ("restoring", Style::Warn),
    }
}

/// An arrow: to the peer or from it.
pub(crate) fn arrow(side: Side) -> &'static str {
    match side {
        Side::Own => "→",
        Side::Peer => "←",
        Side::Unspecified => "?",
    }
}

/// A value of any other enum as people read it: `INCIDENT_TYPE_PERSONS_CROSSING` is
/// `persons crossing`.
pub(crate) fn of_enum(enum_name: &str, value_name: &str) -> String {
    let mut prefix = String::new();
    for char in enum_name.chars() {
        if char.is_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(char.to_ascii_uppercase());
    }
    prefix.push('_');
    let rest = value_name.strip_prefix(&prefix).unwrap_or(value_name);
    // Grades and codes such as A, 1 or H0 are names already.
    if rest.len() <= 2 {
        rest.to_owned()
    } else {
        rest.to_lowercase().replace('_', " ")
    }
}

/// A size in bytes as people read it.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_form() {
        for typed in [
            "crossing-alert",
            "CROSSING_ALERT",
            "Crossing Alert",
            "KIND_CROSSING_ALERT",
        ] {
            assert_eq!(parse_kind(typed), Ok(Kind::CrossingAlert));
        }
        assert_eq!(parse_level("delivered"), Ok(Level::Delivered));
        assert_eq!(parse_precedence("flash"), Ok(Precedence::Flash));
        assert_eq!(parse_status("exercise"), Ok(Status::Exercise));
        let error = parse_kind("letter").unwrap_err();
        assert!(error.contains("official-letter"), "{error}");
        assert!(parse_kind("unspecified").is_err());
    }

    #[test]
    fn enums_are_shown_as_words() {
        assert_eq!(kind(8), "official letter");
        assert_eq!(kind(77), "kind 77 (newer)");
        assert_eq!(
            of_enum("IncidentType", "INCIDENT_TYPE_PERSONS_CROSSING"),
            "persons crossing"
        );
        assert_eq!(of_enum("SourceGrade", "SOURCE_GRADE_A"), "A");
        let handling_h1 = v1::Handling {
            classification: 3,
            code: 2,
        };
        assert_eq!(handling(handling_h1), "RESTRICTED H1");
    }
}
