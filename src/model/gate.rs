//! Gate pairs by name: what displays show for the ids that messages carry.
//!
//! A list of gates is configuration. A message may name any pair that [`is_gate_id`] admits: the
//! two sides may have different lists, and one of them may be older.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use super::language;
use super::text::excerpt;
use crate::limits;

/// A language that names fall back to, and then to any.
const COMMON_LANGUAGE: &str = "en";

/// The list that comes with the program, as a file. A sample: each side confirms its own.
pub const SAMPLE_TOML: &str = include_str!("../../gates/sample.toml");

static SAMPLE: LazyLock<GateList> =
    LazyLock::new(|| GateList::read_toml(SAMPLE_TOML).expect("a test reads the sample"));

/// The list of [`SAMPLE_TOML`].
#[must_use]
pub fn sample() -> &'static GateList {
    &SAMPLE
}

/// Says whether a text names a gate pair: two names joined by `/`, each of words of a-z and 0-9
/// joined by single hyphens, `huu-nghi/youyi-guan`.
#[must_use]
pub fn is_gate_id(id: &str) -> bool {
    let is_word = |word: &str| {
        let is_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        !word.is_empty() && word.bytes().all(is_part)
    };
    let is_name = |name: &str| name.split('-').all(is_word);
    id.len() <= limits::LINE_BYTES_MAX
        && id
            .split_once('/')
            .is_some_and(|(own, other)| is_name(own) && is_name(other))
}

/// Who may pass a gate, by the agreement of the two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateClass {
    /// People and goods of every state.
    International,
    /// People and goods of the two states.
    Bilateral,
    /// Residents of the border area, on a path between two gates.
    CrossingPath,
    /// Published sources differ or say nothing.
    ToBeConfirmed,
}

impl GateClass {
    /// The word for it, as in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::International => "international",
            Self::Bilateral => "bilateral",
            Self::CrossingPath => "crossing-path",
            Self::ToBeConfirmed => "to-be-confirmed",
        }
    }
}

impl fmt::Display for GateClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A pair of gates that face each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    id: String,
    class: GateClass,
    names: BTreeMap<String, String>,
}

impl Gate {
    /// As messages name it; see [`is_gate_id`].
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Who may pass.
    #[must_use]
    pub fn class(&self) -> GateClass {
        self.class
    }

    /// Its names by BCP 47 tag; one at least.
    #[must_use]
    pub fn names(&self) -> &BTreeMap<String, String> {
        &self.names
    }

    /// Its name in a language, else in English, else in any.
    #[must_use]
    pub fn name(&self, language: &str) -> &str {
        self.names
            .get(language)
            .or_else(|| self.names.get(COMMON_LANGUAGE))
            .or_else(|| self.names.values().next())
            .map_or(self.id.as_str(), String::as_str)
    }
}

/// A list of gate pairs, checked.
///
/// Invariants: at most [`limits::GATES_MAX`]; each id once and in its form; each with a name; names
/// are one line, free of characters that steer a display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateList {
    gates: Vec<Gate>,
    source: String,
    is_sample: bool,
}

/// Why a list of gates cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateListError {
    /// Longer than any list.
    #[error(
        "it has {bytes} bytes, over the limit of {}",
        limits::GATES_FILE_BYTES_MAX
    )]
    TooLong {
        /// Bytes of the file.
        bytes: usize,
    },
    /// It is no TOML, or not in the form of a list of gates.
    #[error("line {line}: {reason}")]
    Form {
        /// Counted from 1; 0 if the file as a whole is meant.
        line: usize,
        /// What is wrong; safe to show on a terminal.
        reason: String,
    },
    /// Values are wrong: each with its place, reason and remedy; safe to show on a terminal.
    #[error("{}", .0.join("\n"))]
    Values(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    sample: bool,
    source: String,
    gates: Vec<FileGate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileGate {
    id: String,
    class: GateClass,
    names: BTreeMap<String, String>,
}

impl GateList {
    /// Reads a list, strictly: a key that is not known is refused, because a misspelt one would
    /// silently be left out.
    ///
    /// # Errors
    /// [`GateListError`]; of values, every one that is wrong.
    pub fn read_toml(text: &str) -> Result<Self, GateListError> {
        let bytes = text.len();
        if bytes > limits::GATES_FILE_BYTES_MAX {
            return Err(GateListError::TooLong { bytes });
        }
        let file: File = toml::from_str(text).map_err(|error| GateListError::Form {
            line: error
                .span()
                .and_then(|span| text.get(..span.start))
                .map_or(0, |before| before.matches('\n').count() + 1),
            reason: excerpt(error.message(), 200),
        })?;
        let faults = judge(&file);
        if !faults.is_empty() {
            return Err(GateListError::Values(faults));
        }
        let gates = file.gates.into_iter().map(|gate| Gate {
            id: gate.id,
            class: gate.class,
            names: gate.names,
        });
        Ok(Self {
            gates: gates.collect(),
            source: file.source,
            is_sample: file.sample,
        })
    }

    /// The gates, in the order of the file.
    #[must_use]
    pub fn gates(&self) -> &[Gate] {
        &self.gates
    }

    /// The gate pair of that id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Gate> {
        self.gates.iter().find(|gate| gate.id == id)
    }

    /// Where the list is from, in words.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether it is to be confirmed before use.
    #[must_use]
    pub fn is_sample(&self) -> bool {
        self.is_sample
    }
}

fn judge(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    if let Some(reason) = line_fault(&file.source) {
        faults.push(format!("source: {reason}; say where the list is from"));
    }
    let count = file.gates.len();
    if !(1..=limits::GATES_MAX).contains(&count) {
        let limit = limits::GATES_MAX;
        faults.push(format!(
            "gates: {count} are listed; list 1 to {limit} of them"
        ));
        return faults;
    }
    for (index, gate) in file.gates.iter().enumerate() {
        let id = excerpt(&gate.id, 60);
        if !is_gate_id(&gate.id) {
            faults.push(format!(
                "gates[{index}].id: \"{id}\" is no gate pair; join two names of a-z, 0-9 and - by /"
            ));
        } else if file.gates[..index].iter().any(|other| other.id == gate.id) {
            faults.push(format!(
                "gates[{index}].id: {id} is listed twice; remove one of the two"
            ));
        }
        if gate.names.is_empty() {
            faults.push(format!(
                "gates[{index}].names: {id} has no name; give one at least"
            ));
        }
        for (tag, name) in &gate.names {
            let at = format!("gates[{index}].names.{}", excerpt(tag, 40));
            if !language::is_well_formed(tag) || language::customary_case(tag) != *tag {
                faults.push(format!(
                    "{at}: is no language; give a BCP 47 tag such as vi, zh-Hans or en"
                ));
            }
            if let Some(reason) = line_fault(name) {
                faults.push(format!("{at}: {reason}; give a name of one line"));
            }
        }
    }
    faults
}

fn line_fault(line: &str) -> Option<&'static str> {
    if line.trim().is_empty() {
        Some("it is blank")
    } else if line.len() > limits::LINE_BYTES_MAX {
        Some("it is longer than 512 bytes")
    } else if line.chars().any(super::text::is_steering) {
        Some("it contains a control, direction or invisible character")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list with one gate, of these lines.
    fn list_of(gate: &str) -> String {
        format!("sample = true\nsource = \"x\"\n[[gates]]\n{gate}\n")
    }

    const GOOD: &str = "id = \"a/b\"\nclass = \"bilateral\"\nnames = { vi = \"A\" }";

    #[test]
    fn the_sample_is_marked_and_has_the_gates_of_the_border() {
        let list = sample();
        assert!(list.is_sample());
        assert_eq!(list.gates().len(), 12);
        let gate = list.find("huu-nghi/youyi-guan").unwrap();
        assert_eq!(gate.class(), GateClass::International);
        assert_eq!(gate.name("vi"), "Hữu Nghị – Hữu Nghị Quan");
        assert_eq!(gate.name("zh-Hans"), "友谊—友谊关");
        let path = list.find("po-to/cua-cai").unwrap();
        assert_eq!(
            path.name("zh-Hans"),
            "Po To–Cua Cai",
            "not known for certain"
        );
        assert!(list.find("nowhere/elsewhere").is_none());
    }

    #[test]
    fn ids_have_one_spelling() {
        for id in ["lao-cai/hekou", "a/b", "gate-7/8", "a-pa-chai/longfu"] {
            assert!(is_gate_id(id), "{id}");
        }
        for id in [
            "",
            "/",
            "a",
            "a/",
            "/b",
            "a/b/c",
            "A/b",
            "a /b",
            "a-/b",
            "-a/b",
            "a--b/c",
            "a_b/c",
            "hữu-nghị/b",
        ] {
            assert!(!is_gate_id(id), "{id}");
        }
    }

    #[test]
    fn what_is_not_known_or_missing_is_refused_with_its_line() {
        assert!(GateList::read_toml(&list_of(GOOD)).is_ok());
        for (bad, line, reason) in [
            (list_of(&format!("{GOOD}\ncolour = 1")), 7, "colour"),
            (list_of(&GOOD.replace("bilateral", "closed")), 5, "closed"),
            (list_of(&GOOD.replace("id = \"a/b\"\n", "")), 3, "id"),
            (list_of(GOOD).replace("sample = true\n", ""), 1, "sample"),
            ("sample = ".to_owned(), 1, ""),
        ] {
            match GateList::read_toml(&bad) {
                Err(GateListError::Form {
                    line: told,
                    reason: said,
                }) => {
                    assert_eq!(told, line, "{said}");
                    assert!(said.contains(reason), "{said}");
                }
                other => panic!("{bad}: {other:?}"),
            }
        }
    }

    #[test]
    fn every_wrong_value_is_told() {
        let names = |names: &str| list_of(&GOOD.replace("{ vi = \"A\" }", names));
        for (bad, told) in [
            (
                list_of(GOOD).replace("\"x\"", "\" \""),
                "source: it is blank",
            ),
            (
                list_of(&GOOD.replace("a/b", "A/b")),
                "gates[0].id: \"A/b\" is no gate pair",
            ),
            (
                list_of(&format!("{GOOD}\n[[gates]]\n{GOOD}")),
                "gates[1].id: a/b is listed twice",
            ),
            (names("{}"), "gates[0].names: a/b has no name"),
            (names("{ VI = \"A\" }"), "gates[0].names.VI: is no language"),
            (names("{ vi = \"\" }"), "gates[0].names.vi: it is blank"),
            (
                names("{ vi = \"a\\nb\" }"),
                "gates[0].names.vi: it contains a control",
            ),
            (
                names(&format!("{{ vi = \"{}\" }}", "x".repeat(513))),
                "longer than 512",
            ),
            (
                "sample = true\nsource = \"x\"\ngates = []".to_owned(),
                "gates: 0 are listed",
            ),
        ] {
            match GateList::read_toml(&bad) {
                Err(GateListError::Values(faults)) => {
                    assert!(faults.iter().any(|f| f.contains(told)), "{faults:?}");
                }
                other => panic!("{bad}: {other:?}"),
            }
        }
        let two = GateList::read_toml(&names("{ VI = \" \" }")).unwrap_err();
        assert!(matches!(two, GateListError::Values(faults) if faults.len() == 2));
    }

    #[test]
    fn limits_are_one_over_refused() {
        let many = |count: usize| {
            let gates: String = (0..count)
                .map(|index| list_of(&GOOD.replace("a/b", &format!("a/b{index}"))))
                .map(|list| list.replace("sample = true\nsource = \"x\"\n", ""))
                .collect();
            format!("sample = true\nsource = \"x\"\n{gates}")
        };
        assert!(GateList::read_toml(&many(limits::GATES_MAX)).is_ok());
        let over = GateList::read_toml(&many(limits::GATES_MAX + 1));
        assert!(matches!(over, Err(GateListError::Values(_))), "{over:?}");
        let padded = |bytes: usize| {
            let text = list_of(GOOD);
            let pad = "#".repeat(bytes - text.len());
            text + &pad
        };
        assert!(GateList::read_toml(&padded(limits::GATES_FILE_BYTES_MAX)).is_ok());
        let bytes = limits::GATES_FILE_BYTES_MAX + 1;
        assert_eq!(
            GateList::read_toml(&padded(bytes)),
            Err(GateListError::TooLong { bytes })
        );
    }
}
