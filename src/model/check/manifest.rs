//! Rules for a person of a manifest: number, photograph, name, birth date, nationality, document.

use std::collections::HashSet;

use super::Faults;
use crate::model::mrz::{self, Zone};
use crate::model::text;
use crate::proto::v1;

/// Years of birth outside these are slips of the pen.
const BIRTH_YEARS: std::ops::RangeInclusive<i16> = 1850..=2200;

/// What manifests of handover and verification say alike of a person.
#[derive(Debug, Clone, Copy)]
pub(super) struct Particulars<'a> {
    name: Option<&'a v1::PersonName>,
    earlier_names: &'a [v1::PersonName],
    birth_date: &'a str,
    sex: i32,
    nationality: &'a str,
    parents: &'a [v1::PersonName],
    document: Option<&'a v1::TravelDocument>,
    photo_sha256: &'a [u8],
}

macro_rules! particulars_of {
    ($($person:ident),+) => {$(
        impl<'a> From<&'a v1::$person> for Particulars<'a> {
            fn from(person: &'a v1::$person) -> Self {
                Self {
                    name: person.name.as_ref(),
                    earlier_names: &person.earlier_names,
                    birth_date: &person.birth_date,
                    sex: person.sex,
                    nationality: &person.nationality,
                    parents: &person.parents,
                    document: person.document.as_ref(),
                    photo_sha256: &person.photo_sha256,
                }
            }
        }
    )+};
}

particulars_of!(HandoverPerson, VerificationPerson);

/// A request numbers its persons from 1 without gaps, so that the answer can name each.
pub(super) fn check_number(number: u32, expected: u32, at: &str, faults: &mut Faults) {
    if number != expected {
        faults.add(
            format!("{at}.number"),
            format!("the number is {number} and should be {expected}"),
            "number the manifest from 1 without gaps",
        );
    }
}

/// The digests of the files that a message brings along.
pub(super) fn files(common: Option<&v1::Common>) -> HashSet<&[u8]> {
    let attachments = common.into_iter().flat_map(|common| &common.attachments);
    attachments.map(|file| file.sha256.as_ref()).collect()
}

/// A request brings the photographs that it names along.
pub(super) fn check_photo(
    person: Particulars<'_>,
    files: &HashSet<&[u8]>,
    at: &str,
    faults: &mut Faults,
) {
    let digest = person.photo_sha256;
    if !digest.is_empty() && !files.contains(digest) {
        faults.add(
            format!("{at}.photoSha256"),
            "no attachment has this SHA-256",
            "attach the photograph and give the SHA-256 of the file",
        );
    }
}

/// A name is not blank, dates and states exist, and the form says what the document says.
pub(super) fn check(person: Particulars<'_>, at: &str, faults: &mut Faults) {
    let names = person
        .name
        .into_iter()
        // An empty `name` is blank, which the form has told already.
        .filter(|name| **name != v1::PersonName::default())
        .map(|name| (format!("{at}.name"), name))
        .chain(listed(person.earlier_names, at, "earlierNames"))
        .chain(listed(person.parents, at, "parents"));
    for (field, name) in names {
        if name.native.trim().is_empty() && name.transliteration.trim().is_empty() {
            faults.add(
                field,
                "the name is blank",
                "give it in its own script, in Latin letters, or both",
            );
        }
    }
    if !person.birth_date.is_empty() && !is_partial_date(person.birth_date) {
        faults.add(
            format!("{at}.birthDate"),
            format!("{} is no date", text::excerpt(person.birth_date, 40)),
            "give 1990-05-17, or 1990-05 or 1990 where no more is known",
        );
    }
    check_state(person.nationality, &format!("{at}.nationality"), faults);
    if let Some(document) = person.document {
        let at = format!("{at}.document");
        check_state(&document.issuer, &format!("{at}.issuer"), faults);
        if !document.mrz.is_empty() {
            check_zone(person, document, &at, faults);
        }
    }
}

fn listed<'a>(
    names: &'a [v1::PersonName],
    at: &str,
    field: &str,
) -> impl Iterator<Item = (String, &'a v1::PersonName)> {
    let list = format!("{at}.{field}");
    names
        .iter()
        .enumerate()
        .map(move |(index, name)| (format!("{list}[{index}]"), name))
}

pub(super) fn check_state(code: &str, field: &str, faults: &mut Faults) {
    let is_code = code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase());
    if !code.is_empty() && !is_code {
        faults.add(
            field,
            format!("{} is no state", text::excerpt(code, 40)),
            "give three capital letters as in VNM or CHN; XXA stateless, XXB refugee, XXC other \
             refugee, XXX unspecified",
        );
    }
}

/// ISO 8601 at one of three precisions, a date that exists.
fn is_partial_date(date: &str) -> bool {
    let parts: Vec<&str> = date.split('-').collect();
    let number = |part: &str, digits: usize| -> Option<i16> {
        let is_form = part.len() == digits && part.bytes().all(|b| b.is_ascii_digit());
        is_form.then(|| part.parse().ok()).flatten()
    };
    let (year, month, day) = match parts.as_slice() {
        [year] => (number(year, 4), Some(1), Some(1)),
        [year, month] => (number(year, 4), number(month, 2), Some(1)),
        [year, month, day] => (number(year, 4), number(month, 2), number(day, 2)),
        _ => return false,
    };
    let (Some(year), Some(month), Some(day)) = (year, month, day) else {
        return false;
    };
    let small = |number: i16| i8::try_from(number).unwrap_or(0);
    BIRTH_YEARS.contains(&year) && jiff::civil::Date::new(year, small(month), small(day)).is_ok()
}

fn check_zone(
    person: Particulars<'_>,
    document: &v1::TravelDocument,
    at: &str,
    faults: &mut Faults,
) {
    let zone = match mrz::parse(&document.mrz) {
        Ok(zone) => zone,
        Err(found) => {
            for fault in found {
                let field = format!("{at}.mrz[{}]", fault.line);
                faults.add(field, fault.reason, fault.remedy);
            }
            return;
        }
    };
    let mut differs = |what: &str, typed: &str, printed: &str| {
        faults.add(
            format!("{at}.mrz"),
            format!(
                "{what} is {} in the machine-readable zone and {} in the form",
                text::excerpt(printed, 40),
                text::excerpt(typed, 40)
            ),
            "compare both with the document, and correct the one that differs from it",
        );
    };
    if is_partial_date(person.birth_date) && !same_date(person.birth_date, &zone.birth_date) {
        differs("the date of birth", person.birth_date, &zone.birth_date);
    }
    let sex = match v1::Sex::try_from(person.sex) {
        Ok(v1::Sex::Female) => "F",
        Ok(v1::Sex::Male) => "M",
        Ok(v1::Sex::X) => "<X",
        Ok(v1::Sex::Unspecified) | Err(_) => "FM<X",
    };
    if !sex.contains(zone.sex) {
        differs(
            "the sex",
            sex.trim_start_matches('<'),
            &zone.sex.to_string(),
        );
    }
    for (what, typed, printed) in [
        ("the nationality", person.nationality, &zone.nationality),
        ("the issuing state", document.issuer.as_str(), &zone.issuer),
    ] {
        if !typed.is_empty() && !same_state(typed, printed) {
            differs(what, typed, printed);
        }
    }
    if !document.number.is_empty() && !same_number(&document.number, &zone) {
        differs("the document number", &document.number, &zone.number);
    }
}

/// Compares what both know: `YYYY[-MM[-DD]]` with `YYMMDD`, where `<<` is not known.
fn same_date(typed: &str, printed: &str) -> bool {
    typed
        .get(2..)
        .into_iter()
        .flat_map(|rest| rest.split('-'))
        .zip([&printed[..2], &printed[2..4], &printed[4..6]])
        .all(|(typed, printed)| printed == "<<" || typed == printed)
}

/// The zone has D alone for Germany (Doc 9303-3 §5).
fn same_state(typed: &str, printed: &str) -> bool {
    typed == printed || (typed == "DEU" && printed == "D")
}

/// Viet Nam's identity card prints the last nine digits of its number in the field for it, and
/// all twelve in the optional data; so either is the number.
fn same_number(typed: &str, zone: &Zone) -> bool {
    let plain: String = typed
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    plain == zone.number
        || zone.optional.first().is_some_and(|optional| {
            let whole = optional.split('<').next().unwrap_or_default();
            whole == plain && plain.ends_with(zone.number.as_str())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_dates_exist_or_are_refused() {
        for date in [
            "1990-05-17",
            "1990-05",
            "1990",
            "2024-02-29",
            "1850",
            "2200-12-31",
        ] {
            assert!(is_partial_date(date), "{date}");
        }
        for date in [
            "",
            "90",
            "1990-5-17",
            "1990-13",
            "1990-00",
            "1990-02-30",
            "2023-02-29",
            "17/05/1990",
            "1990-05-17T",
            "1849",
            "2201",
            "1990-05-17-01",
            "+199",
            "1990-",
            "1990-05-00",
            "1990-128-01",
        ] {
            assert!(!is_partial_date(date), "{date}");
        }
    }

    #[test]
    fn dates_agree_in_what_both_know() {
        assert!(same_date("1990-05-17", "900517"));
        assert!(same_date("1990-05", "900517"));
        assert!(same_date("1990-05-17", "90<<<<"));
        assert!(same_date("1990", "<<<<<<"));
        assert!(!same_date("1990-05-17", "900518"));
        assert!(!same_date("1991", "900517"));
    }
}
