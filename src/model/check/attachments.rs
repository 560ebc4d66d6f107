//! Rules for attachments. The name of a file is data and never a path.

use std::collections::HashSet;

use super::Faults;
use crate::limits;
use crate::proto::v1;

pub(super) fn check(attachments: &[v1::Attachment], at: &str, faults: &mut Faults) {
    let mut names = HashSet::new();
    let mut digests = HashSet::new();
    for (index, attachment) in attachments.iter().enumerate() {
        let at = format!("{at}.common.attachments[{index}]");
        check_one(attachment, &at, faults);
        // Compared as file systems that fold case would.
        if !attachment.name.is_empty() && !names.insert(attachment.name.to_lowercase()) {
            faults.add(
                format!("{at}.name"),
                "another attachment has this name",
                "give each file a name of its own",
            );
        }
        if !attachment.sha256.is_empty() && !digests.insert(&attachment.sha256) {
            faults.add(
                format!("{at}.sha256"),
                "another attachment is the same file",
                "attach a file once",
            );
        }
    }
}

fn check_one(attachment: &v1::Attachment, at: &str, faults: &mut Faults) {
    if let Some(reason) = path_part(&attachment.name) {
        faults.add(
            format!("{at}.name"),
            reason,
            "give the file's own name without any folder, such as bien-ban.pdf",
        );
    }
    if !attachment.media_type.is_empty() && !is_media_type(&attachment.media_type) {
        faults.add(
            format!("{at}.mediaType"),
            "is no media type",
            "give type/subtype without parameters, such as application/pdf or image/jpeg",
        );
    }
    if attachment.size == 0 {
        faults.add(
            format!("{at}.size"),
            "the file is empty",
            "attach a file with content, and give its length in bytes",
        );
    }
    if attachment.size > limits::ATTACHMENT_BYTES_MAX {
        faults.add(
            format!("{at}.size"),
            format!(
                "the file has {} bytes, over the limit of {}",
                attachment.size,
                limits::ATTACHMENT_BYTES_MAX
            ),
            "split the file or send it on another way",
        );
    }
    if !attachment.sha256.is_empty() && attachment.sha256.len() != 32 {
        faults.add(
            format!("{at}.sha256"),
            format!("has {} bytes, a SHA-256 has 32", attachment.sha256.len()),
            "give the SHA-256 of the whole file in base64",
        );
    }
}

/// What in a file name could lead elsewhere. Control characters are refused in every field.
fn path_part(name: &str) -> Option<&'static str> {
    if name.contains(['/', '\\']) {
        Some("the name contains a slash")
    } else if name.starts_with('.') {
        Some("the name begins with a dot")
    } else if name.contains('\0') {
        Some("the name contains a NUL character")
    } else if name.contains(':') {
        // Drives and alternate streams on Windows.
        Some("the name contains a colon")
    } else if name.trim() != name || name.ends_with('.') {
        Some("the name begins or ends with a blank, or ends with a dot")
    } else {
        None
    }
}

/// Source: RFC 6838 §4.2.
fn is_media_type(media_type: &str) -> bool {
    let is_name = |name: &str| {
        name.len() <= 127
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    media_type
        .split_once('/')
        .is_some_and(|(top, sub)| is_name(top) && is_name(sub))
}
