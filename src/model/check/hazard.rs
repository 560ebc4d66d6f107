//! Rules for hazard notices.

use super::{Faults, cap, place};
use crate::proto::v1;

/// A CAP 1.2 alert is embedded or attached or neither, never both: two could differ.
pub(super) fn check(notice: &v1::HazardNotice, at: &str, faults: &mut Faults) {
    place::check(notice.place.as_ref(), &format!("{at}.place"), faults);
    if !notice.cap_xml.is_empty()
        && let Err(reason) = cap::judge(&notice.cap_xml)
    {
        faults.add(
            format!("{at}.capXml"),
            reason,
            "give the CAP 1.2 alert as the warning system wrote it, or attach it as a file and \
             give capSha256",
        );
    }
    let digest = notice.cap_sha256.as_ref();
    if digest.is_empty() {
        return;
    }
    let field = format!("{at}.capSha256");
    if !notice.cap_xml.is_empty() {
        faults.add(
            field.as_str(),
            "an alert is embedded in capXml as well",
            "keep one of the two",
        );
    }
    let attachments = notice.common.iter().flat_map(|common| &common.attachments);
    if digest.len() != 32 {
        faults.add(
            field,
            format!("has {} bytes, a SHA-256 has 32", digest.len()),
            "give the SHA-256 of the whole file in base64",
        );
    } else if !attachments.into_iter().any(|file| file.sha256 == digest) {
        faults.add(
            field,
            "no attachment has this SHA-256",
            "attach the CAP 1.2 alert and give the SHA-256 of the file",
        );
    }
}
