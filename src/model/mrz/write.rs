//! Writing zones, for samples.

use super::check_digit;

/// What a zone is made of. Everything is in the zone's own alphabet already; what is too long is
/// cut, as issuers do with names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields<'a> {
    /// For example `P` or `ID`.
    pub document_code: &'a str,
    /// Issuing state.
    pub issuer: &'a str,
    /// At most nine characters.
    pub number: &'a str,
    /// Three letters.
    pub nationality: &'a str,
    /// `YYMMDD`.
    pub birth_date: &'a str,
    /// `F`, `M` or `<`.
    pub sex: char,
    /// `YYMMDD`.
    pub expiry_date: &'a str,
    /// Personal number or other optional data of the first field for it.
    pub optional: &'a str,
    /// For example `NGUYEN<<VAN<AN`.
    pub name: &'a str,
}

/// The zone of a card.
#[must_use]
pub fn td1(fields: &Fields<'_>) -> [String; 3] {
    let first = [
        padded(fields.document_code, 2),
        padded(fields.issuer, 3),
        with_digit(fields.number, 9),
        padded(fields.optional, 15),
    ]
    .concat();
    let birth = with_digit(fields.birth_date, 6);
    let expiry = with_digit(fields.expiry_date, 6);
    let optional = padded("", 11);
    let composite = check_digit(&[&first[5..], &birth, &expiry, &optional].concat());
    let second = format!(
        "{birth}{}{expiry}{}{optional}{composite}",
        fields.sex,
        padded(fields.nationality, 3)
    );
    [first, second, padded(fields.name, 30)]
}

/// The zone of a document of the middle size.
#[must_use]
pub fn td2(fields: &Fields<'_>) -> [String; 2] {
    two_lines(fields, 36, &padded(fields.optional, 7))
}

/// The zone of a passport.
#[must_use]
pub fn td3(fields: &Fields<'_>) -> [String; 2] {
    two_lines(fields, 44, &with_digit(fields.optional, 14))
}

fn two_lines(fields: &Fields<'_>, line_chars: usize, optional: &str) -> [String; 2] {
    let first = [
        padded(fields.document_code, 2),
        padded(fields.issuer, 3),
        padded(fields.name, line_chars - 5),
    ]
    .concat();
    let number = with_digit(fields.number, 9);
    let birth = with_digit(fields.birth_date, 6);
    let expiry = with_digit(fields.expiry_date, 6) + optional;
    let composite = check_digit(&[number.as_str(), &birth, &expiry].concat());
    let second = format!(
        "{number}{}{birth}{}{expiry}{composite}",
        padded(fields.nationality, 3),
        fields.sex
    );
    [first, second]
}

fn padded(field: &str, chars: usize) -> String {
    let cut: String = field.chars().take(chars).collect();
    format!("{cut:<<chars$}")
}

fn with_digit(field: &str, chars: usize) -> String {
    let mut field = padded(field, chars);
    field.push(check_digit(&field));
    field
}
