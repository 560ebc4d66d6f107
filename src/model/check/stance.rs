//! Rules for how a side stands to what the other has said: responses, countersignatures.

use super::numbers::Numbers;
use super::{Faults, languages};
use crate::proto::v1;
use crate::proto::v1::{CountersignatureStance, Stance};

/// Whoever does not agree says why.
pub(super) fn check_response(response: &v1::Response, at: &str, faults: &mut Faults) {
    let field = format!("{at}.statement");
    let has_statement = languages::is_given(response.statement.as_ref(), &field, faults);
    if let Ok(stance @ (Stance::Declined | Stance::Differs)) = Stance::try_from(response.stance)
        && !has_statement
    {
        faults.add(
            field,
            format!("{} needs a statement", stance.as_str_name()),
            "say why it is declined, or how your own account differs",
        );
    }
}

/// A countersignature names what it signs; whoever does not sign says why.
pub(super) fn check_countersignature(
    countersignature: &v1::Countersignature,
    at: &str,
    faults: &mut Faults,
) {
    let bytes = countersignature.body_digest.len();
    if !matches!(bytes, 0 | 32) {
        faults.add(
            format!("{at}.bodyDigest"),
            format!("has {bytes} bytes, a SHA-256 has 32"),
            "copy the body digest in the header of the message that is signed",
        );
    }
    let mut named = Numbers::default();
    for (index, person) in countersignature.disputed.iter().enumerate() {
        let field = format!("{at}.disputed[{index}].number");
        named.take(person.number, field, faults);
    }
    let field = format!("{at}.reason");
    let has_reason = languages::is_given(countersignature.reason.as_ref(), &field, faults);
    match CountersignatureStance::try_from(countersignature.stance) {
        Ok(CountersignatureStance::NotSigned) if !has_reason => faults.add(
            field,
            "COUNTERSIGNATURE_STANCE_NOT_SIGNED needs a reason",
            "say why it is not signed",
        ),
        Ok(CountersignatureStance::Signed) if has_reason => faults.add(
            field,
            "a reason for not signing is given, but it is signed",
            "remove it, or choose COUNTERSIGNATURE_STANCE_NOT_SIGNED",
        ),
        _ => {}
    }
}
