//! Machine-readable zones of passports and identity cards.
//!
//! Three formats: TD1 (cards, 3 lines of 30), TD2 (2 of 36), TD3 (passports, 2 of 44). Visas have
//! zones of their own (part 7) and are not read here: they identify no one.
//!
//! Source: ICAO Doc 9303, eighth edition, parts 3 to 6.

mod write;

use std::ops::Range;

use super::text;

pub use self::write::{Fields, td1, td2, td3};

/// The size of a document, and so the layout of its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A card, 3 lines of 30 characters.
    Td1,
    /// 2 lines of 36 characters.
    Td2,
    /// A passport booklet, 2 lines of 44 characters.
    Td3,
}

impl Format {
    /// Its name as ICAO gives it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Td1 => "TD1",
            Self::Td2 => "TD2",
            Self::Td3 => "TD3",
        }
    }

    /// Characters of a line.
    #[must_use]
    pub fn line_chars(self) -> usize {
        match self {
            Self::Td1 => 30,
            Self::Td2 => 36,
            Self::Td3 => 44,
        }
    }
}

/// What a zone says; every check digit was right. Filler is removed at the end of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Which layout.
    pub format: Format,
    /// For example `P` or `ID`.
    pub document_code: String,
    /// Issuing state or organisation.
    pub issuer: String,
    /// Document number, put together where it is split between two fields.
    pub number: String,
    /// Three letters, or `D` for Germany.
    pub nationality: String,
    /// `YYMMDD`; pairs that are not known are `<<`.
    pub birth_date: String,
    /// `F`, `M`, `<` or `X`.
    pub sex: char,
    /// `YYMMDD`.
    pub expiry_date: String,
    /// What the issuer adds: a personal number, for example.
    pub optional: Vec<String>,
    /// Primary and secondary identifier, with fillers between.
    pub name: String,
}

/// What is wrong with a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneFault {
    /// Index of the line, from 0.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub remedy: String,
}

/// Reads a zone and verifies its check digits.
///
/// # Errors
/// Every fault; one that changes the layout hides those behind it.
pub fn parse(lines: &[String]) -> Result<Zone, Vec<ZoneFault>> {
    let format = format_of(lines)?;
    let mut reader = Reader {
        lines,
        faults: Vec::new(),
    };
    let zone = match format {
        Format::Td1 => reader.td1(),
        Format::Td2 | Format::Td3 => reader.td2_or_td3(format),
    };
    if reader.faults.is_empty() {
        Ok(zone)
    } else {
        Err(reader.faults)
    }
}

/// The check digit of a field: weights 7, 3, 1; letters count from A = 10, filler is 0.
///
/// Source: ICAO Doc 9303-3 §4.9.
#[must_use]
pub fn check_digit(field: &str) -> char {
    let sum: u32 = field
        .chars()
        .zip([7, 3, 1].into_iter().cycle())
        .map(|(c, weight)| c.to_digit(36).unwrap_or(0) * weight)
        .sum();
    char::from_digit(sum % 10, 10).unwrap_or('0')
}

fn format_of(lines: &[String]) -> Result<Format, Vec<ZoneFault>> {
    let fault = |line, reason: String, remedy: &str| ZoneFault {
        line,
        reason,
        remedy: remedy.to_owned(),
    };
    let format = match lines {
        [_, _, _] => Format::Td1,
        [first, second] => match (first.len(), second.len()) {
            (44, _) | (_, 44) => Format::Td3,
            (36, _) | (_, 36) => Format::Td2,
            _ if first.starts_with('P') => Format::Td3,
            _ => Format::Td2,
        },
        _ => {
            return Err(vec![fault(
                0,
                format!("the zone has {} lines", lines.len()),
                "give 3 lines of 30 characters (TD1), 2 of 36 (TD2) or 2 of 44 (TD3)",
            )]);
        }
    };
    let mut faults = Vec::new();
    for (line, zone_line) in lines.iter().enumerate() {
        let outside = zone_line
            .chars()
            .position(|c| !matches!(c, 'A'..='Z' | '0'..='9' | '<'));
        let found = zone_line.chars().count();
        if let Some(position) = outside {
            faults.push(fault(
                line,
                format!("character {} is none of A-Z, 0-9 and <", position + 1),
                "copy the line as it is printed, in capitals, with < for every filler",
            ));
        } else if found != format.line_chars() {
            faults.push(fault(
                line,
                format!(
                    "the line has {found} characters, a line of {} has {}",
                    format.name(),
                    format.line_chars()
                ),
                "copy the whole line, with every < up to its end",
            ));
        }
    }
    if faults.is_empty() {
        Ok(format)
    } else {
        Err(faults)
    }
}

/// Reads fields out of lines whose alphabet and lengths are right.
struct Reader<'a> {
    lines: &'a [String],
    faults: Vec<ZoneFault>,
}

impl<'a> Reader<'a> {
    /// Doc 9303-5 §4.2.
    fn td1(&mut self) -> Zone {
        let composite = [
            self.at(0, 5..30),
            self.at(1, 0..7),
            self.at(1, 8..15),
            self.at(1, 18..29),
        ]
        .concat();
        let (number, rest) = self.number(0, 5, 15..30);
        let zone = Zone {
            format: Format::Td1,
            document_code: self.code("ACI"),
            issuer: self.letters("the issuing state", 0, 2..5),
            number,
            birth_date: self.date("the date of birth", 1, 0),
            sex: self.sex(1, 7),
            expiry_date: self.date("the date of expiry", 1, 8),
            nationality: self.letters("the nationality", 1, 15..18),
            optional: vec![rest, trimmed(self.at(1, 18..29))],
            name: self.letters("the name", 2, 0..30),
        };
        self.composite(29, &composite);
        zone
    }

    /// Doc 9303-6 §4.2 and 9303-4 §4.2.
    fn td2_or_td3(&mut self, format: Format) -> Zone {
        let last = format.line_chars() - 1;
        let composite = [self.at(1, 0..10), self.at(1, 13..20), self.at(1, 21..last)].concat();
        let (number, optional, codes) = if format == Format::Td3 {
            let personal = self.at(1, 28..42);
            // An empty personal number may have `<` for its check digit.
            if self.at(1, 42..43) != "<" || personal.contains(|c| c != '<') {
                self.digit("the personal number", 1, 42, personal);
            }
            let number = self.at(1, 0..9);
            self.digit("the document number", 1, 9, number);
            (trimmed(number), trimmed(personal), "P")
        } else {
            let (number, rest) = self.number(1, 0, 28..35);
            (number, rest, "ACI")
        };
        if number.is_empty() {
            self.fault(1, "the document number is empty".to_owned());
        }
        let zone = Zone {
            format,
            document_code: self.code(codes),
            issuer: self.letters("the issuing state", 0, 2..5),
            number,
            nationality: self.letters("the nationality", 1, 10..13),
            birth_date: self.date("the date of birth", 1, 13),
            sex: self.sex(1, 20),
            expiry_date: self.date("the date of expiry", 1, 21),
            optional: vec![optional],
            name: self.letters("the name", 0, 5..format.line_chars()),
        };
        self.composite(last, &composite);
        zone
    }

    fn at(&self, line: usize, range: Range<usize>) -> &'a str {
        let lines: &'a [String] = self.lines;
        &lines[line][range]
    }

    fn fault(&mut self, line: usize, reason: String) {
        self.faults.push(ZoneFault {
            line,
            reason,
            remedy: "compare the line with the document".to_owned(),
        });
    }

    fn digit(&mut self, what: &str, line: usize, position: usize, field: &str) {
        let printed = self.at(line, position..position + 1);
        let right = check_digit(field);
        if !printed.starts_with(right) {
            self.faults.push(ZoneFault {
                line,
                reason: format!(
                    "the check digit of {what}, character {}, is {printed} and should be {right}",
                    position + 1
                ),
                remedy: "compare the line with the document; one of the characters that the \
                         digit covers, or the digit, was misread"
                    .to_owned(),
            });
        }
    }

    /// The digit over the other digits and their fields. Where one of those is wrong, this one
    /// proves nothing and would only accuse a second place.
    fn composite(&mut self, position: usize, fields: &str) {
        if self.faults.is_empty() {
            self.digit("the composite", 1, position, fields);
        }
    }

    /// A document number of nine characters with its check digit; a longer one goes on in the
    /// optional data, which a filler in the digit's place announces (Doc 9303-5 §4.2.2.1 note j).
    fn number(&mut self, line: usize, start: usize, optional: Range<usize>) -> (String, String) {
        let number = self.at(line, start..start + 9);
        let digit = start + 9;
        let optional_data = self.at(line, optional.clone());
        if self.at(line, digit..digit + 1) != "<" {
            self.digit("the document number", line, digit, number);
            return (trimmed(number), trimmed(optional_data));
        }
        let split = optional_data.find('<').unwrap_or(optional_data.len());
        let (rest, after) = optional_data.split_at(split);
        if number.contains('<') || rest.len() < 2 {
            self.digit("the document number", line, digit, number);
            return (trimmed(number), trimmed(optional_data));
        }
        let (rest, _) = rest.split_at(rest.len() - 1);
        let whole = format!("{number}{rest}");
        self.digit(
            "the document number",
            line,
            optional.start + rest.len(),
            &whole,
        );
        (whole, trimmed(after.trim_start_matches('<')))
    }

    fn code(&mut self, first: &str) -> String {
        let code = self.at(0, 0..2);
        if !code.starts_with(|c| first.contains(c)) {
            let known = first.chars().map(String::from).collect::<Vec<_>>();
            self.fault(
                0,
                format!(
                    "the document code begins with {}, and not with {}",
                    text::excerpt(&code[..1], 1),
                    known.join(", ")
                ),
            );
        }
        trimmed(code)
    }

    fn letters(&mut self, what: &str, line: usize, range: Range<usize>) -> String {
        let field = self.at(line, range);
        if field.starts_with('<') {
            self.fault(line, format!("{what} is empty"));
        } else if field.contains(|c: char| c.is_ascii_digit()) {
            self.fault(line, format!("{what} contains a digit"));
        }
        trimmed(field)
    }

    fn date(&mut self, what: &str, line: usize, start: usize) -> String {
        let date = self.at(line, start..start + 6);
        self.digit(what, line, start + 6, date);
        let pair = |at: usize, range: Range<u32>| {
            let pair = &date[at..at + 2];
            pair == "<<" || pair.parse().is_ok_and(|number| range.contains(&number))
        };
        if !(pair(0, 0..100) && pair(2, 1..13) && pair(4, 1..32)) {
            self.fault(line, format!("{what}, {date}, is no date YYMMDD"));
        }
        date.to_owned()
    }

    fn sex(&mut self, line: usize, position: usize) -> char {
        let sex = self.at(line, position..position + 1);
        if !matches!(sex, "F" | "M" | "<" | "X") {
            self.fault(line, format!("the sex is {sex}, and not F, M or <"));
        }
        sex.chars().next().unwrap_or('<')
    }
}

fn trimmed(field: &str) -> String {
    field.trim_end_matches('<').to_owned()
}

#[cfg(test)]
mod tests;
