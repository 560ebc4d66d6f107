//! Lists about persons: a table to find somebody in, and below it what does not fit into a line.

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value};

use super::Form;
use crate::cli::table::{Cell, Fit, Style, Table};
use crate::cli::{summary, when, words};
use crate::model::text::escape;
use crate::proto::v1;
use crate::proto::v1::body::Body;

/// So many entries are told in full below the table; of more, only what somebody must care for.
const IN_FULL_MAX: usize = 12;

/// What the tables tell already.
const IN_TABLE: [&str; 9] = [
    "number",
    "name",
    "birth_date",
    "sex",
    "nationality",
    "route",
    "screening",
    "outcome",
    "valid_until",
];
/// What is told of everybody, however many they are.
const NEEDS: [&str; 7] = [
    "care_needs",
    "medical_needs",
    "family_numbers",
    "receiving_guardian",
    "victim_authority",
    "condition",
    "belongings",
];

impl Form {
    /// Shows a list about persons; says whether the field is one.
    pub(super) fn persons(
        &mut self,
        field: &str,
        items: &[Value],
        body: &Body,
        indent: usize,
    ) -> bool {
        let is_long = items.len() > IN_FULL_MAX;
        let (what, table) = match (field, body) {
            ("persons", Body::HandoverRequest(request)) => {
                ("person", of_handover(&request.persons))
            }
            ("persons", Body::HandoverSupplement(more)) => ("person", of_handover(&more.persons)),
            ("persons", Body::VerificationRequest(request)) => {
                ("person", of_verification(&request.persons))
            }
            ("persons", Body::HandoverRecord(_)) => ("person", Table::new(&[])),
            ("decisions", Body::HandoverReply(reply)) => {
                ("decision", decisions(&reply.decisions, is_long))
            }
            ("results", Body::VerificationReply(reply)) => {
                ("result", results(&reply.results, is_long))
            }
            ("disputed", Body::Countersignature(_)) => ("disputed person", Table::new(&[])),
            _ => return false,
        };
        self.heading(&summary::count(items.len(), what), indent);
        if !table.is_empty() {
            self.table(&table, indent + 2);
        }
        let needs_only = is_long && !table.is_empty();
        for item in items.iter().filter_map(Value::as_message) {
            self.person(item, needs_only, indent + 2);
        }
        true
    }

    /// What the table does not tell of one.
    fn person(&mut self, person: &DynamicMessage, needs_only: bool, indent: usize) {
        let screening = person.get_field_by_name("screening");
        let screening = screening.as_ref().and_then(|value| value.as_message());
        let told: Vec<_> = [Some(person), screening]
            .into_iter()
            .flatten()
            .flat_map(|part| {
                part.fields()
                    .map(move |(field, value)| (part, field, value))
            })
            .filter(|(part, field, _)| {
                let is_need = NEEDS.contains(&field.name());
                // The table has the screening's flags.
                let of_screening = part.descriptor().name() == "ProtectionScreening";
                let is_rest = !needs_only && !of_screening && !IN_TABLE.contains(&field.name());
                is_need || is_rest
            })
            .collect();
        if told.is_empty() {
            return;
        }
        let number = person.get_field_by_name("number");
        let number = number.and_then(|number| number.as_u32()).unwrap_or(0);
        self.heading(&format!("person {number}"), indent);
        for (_, field, value) in told {
            self.field(&field, value, indent + 2, None);
        }
    }
}

fn of_handover(persons: &[v1::HandoverPerson]) -> Table {
    let mut table = Table::new(&[
        ("NO", Fit::Right),
        ("NAME", Fit::Down(8)),
        ("LATIN LETTERS", Fit::Down(8)),
        ("BORN", Fit::Whole),
        ("SEX", Fit::Whole),
        ("STATE", Fit::Whole),
        ("DOCUMENT", Fit::Down(6)),
        ("ROUTE", Fit::Whole),
        ("SCREENING", Fit::Down(6)),
    ]);
    for person in persons {
        let name = person.name.clone().unwrap_or_default();
        let route = person.route();
        let route_cell = match route {
            v1::HandoverRoute::Unspecified => Cell::default(),
            _ => words::of_enum("HandoverRoute", route.as_str_name()).into(),
        };
        table.row([
            person.number.to_string().into(),
            escape(&name.native).into(),
            escape(&name.transliteration).into(),
            escape(&person.birth_date).into(),
            sex(person.sex()),
            escape(&person.nationality).into(),
            document(person.document.as_ref()),
            route_cell,
            screening(person.screening.as_ref()),
        ]);
    }
    table
}

fn of_verification(persons: &[v1::VerificationPerson]) -> Table {
    let mut table = Table::new(&[
        ("NO", Fit::Right),
        ("NAME", Fit::Down(8)),
        ("LATIN LETTERS", Fit::Down(8)),
        ("BORN", Fit::Whole),
        ("SEX", Fit::Whole),
        ("STATE", Fit::Whole),
        ("DOCUMENT", Fit::Down(6)),
    ]);
    for person in persons {
        let name = person.name.clone().unwrap_or_default();
        table.row([
            person.number.to_string().into(),
            escape(&name.native).into(),
            escape(&name.transliteration).into(),
            escape(&person.birth_date).into(),
            sex(person.sex()),
            escape(&person.nationality).into(),
            document(person.document.as_ref()),
        ]);
    }
    table
}

fn sex(sex: v1::Sex) -> Cell {
    match sex {
        v1::Sex::Unspecified => Cell::default(),
        known => words::of_enum("Sex", known.as_str_name()).into(),
    }
}

fn document(document: Option<&v1::TravelDocument>) -> Cell {
    let number = document.map(|document| escape(&document.number).into_owned());
    number.unwrap_or_default().into()
}

fn screening(screening: Option<&v1::ProtectionScreening>) -> Cell {
    let Some(screening) = screening.filter(|screening| screening.carried_out) else {
        return Cell::styled("not carried out", Style::Warn);
    };
    let flags = [
        (screening.protection_claim, "PROTECTION CLAIM"),
        (screening.trafficking_indicator, "trafficking"),
        (screening.minor, "minor"),
        (screening.unaccompanied, "unaccompanied"),
        (screening.pregnant, "pregnant"),
    ];
    let said: Vec<_> = flags
        .into_iter()
        .filter(|(set, _)| *set)
        .map(|(_, word)| word)
        .collect();
    if said.is_empty() {
        Cell::styled("done", Style::Dim)
    } else {
        Cell::styled(said.join(", "), Style::Warn)
    }
}

/// The reasons stand in the table only where they are not told in full below it.
fn decisions(decisions: &[v1::HandoverDecision], with_reasons: bool) -> Table {
    let mut table = Table::new(&[
        ("NO", Fit::Right),
        ("OUTCOME", Fit::Whole),
        ("VALID UNTIL", Fit::Whole),
        ("REASON", Fit::Down(10)),
    ]);
    for decision in decisions {
        let outcome = words::of_enum("HandoverOutcome", decision.outcome().as_str_name());
        let until = decision
            .valid_until
            .as_ref()
            .and_then(when::from_wire)
            .map(when::full);
        let reason = decision.reason.as_ref().filter(|_| with_reasons);
        table.row([
            decision.number.to_string().into(),
            outcome.into(),
            until.unwrap_or_default().into(),
            summary::localized(reason).into(),
        ]);
    }
    table
}

fn results(results: &[v1::VerificationResult], with_details: bool) -> Table {
    let mut table = Table::new(&[
        ("NO", Fit::Right),
        ("OUTCOME", Fit::Whole),
        ("STATE", Fit::Whole),
        ("DETAIL", Fit::Down(10)),
    ]);
    for result in results {
        let outcome = words::of_enum("VerificationOutcome", result.outcome().as_str_name());
        let detail = result.detail.as_ref().filter(|_| with_details);
        table.row([
            result.number.to_string().into(),
            outcome.into(),
            escape(&result.nationality).into(),
            summary::localized(detail).into(),
        ]);
    }
    table
}
