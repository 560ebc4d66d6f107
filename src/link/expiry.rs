//! Warning before a certificate, authority or revocation list runs out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Days before the end at which a warning is given, and again at each smaller one.
pub const WARNING_DAYS: [i64; 4] = [60, 30, 7, 1];
const DAY_SECONDS: i64 = 86_400;

/// What it is that runs out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Use {
    /// The node's certificate towards peers.
    Node,
    /// The desk listener's certificate.
    DeskServer,
    /// A desk client's own certificate.
    DeskClient,
    /// An authority, of which link or of the desk.
    Authority(String),
    /// A revocation list's next update; the file.
    RevocationList(String),
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("node certificate"),
            Self::DeskServer => f.write_str("desk certificate"),
            Self::DeskClient => f.write_str("own desk client certificate"),
            Self::Authority(of) => write!(f, "authority of {of}"),
            Self::RevocationList(file) => write!(f, "revocation list {file}"),
        }
    }
}

/// One thing that runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expires {
    /// What.
    pub of: Use,
    /// The last second, Unix time.
    pub not_after_unix: i64,
}

/// One thing that runs out, seen from now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateInfo {
    /// What.
    pub of: Use,
    /// The last second, Unix time.
    pub not_after_unix: i64,
    /// Whole days left, rounded down; negative when it is over.
    pub days_left: i64,
    /// Set from 60 days before the end on: what runs out, when, and what to do.
    pub warning: Option<String>,
}

/// Every item as it stands at `now_unix`, in the order given.
#[must_use]
pub fn expiry_status(items: &[Expires], now_unix: i64) -> Vec<CertificateInfo> {
    items
        .iter()
        .map(|item| {
            let days_left = item
                .not_after_unix
                .saturating_sub(now_unix)
                .div_euclid(DAY_SECONDS);
            CertificateInfo {
                of: item.of.clone(),
                not_after_unix: item.not_after_unix,
                days_left,
                warning: threshold(days_left).map(|_| warning(&item.of, days_left)),
            }
        })
        .collect()
}

/// The smallest threshold reached; 0 once it is over.
fn threshold(days_left: i64) -> Option<i64> {
    if days_left < 0 {
        return Some(0);
    }
    WARNING_DAYS
        .into_iter()
        .filter(|days| days_left <= *days)
        .min()
}

fn warning(of: &Use, days_left: i64) -> String {
    let remedy = match of {
        Use::Authority(_) => "agree on its successor and exchange peer cards",
        Use::RevocationList(_) => "fetch the newest list and replace the file; it is read at once",
        _ => "get a new certificate and replace the files; they are read at once",
    };
    match days_left {
        ..0 => format!("{of} has run out: {remedy}"),
        0 => format!("{of} runs out within a day: {remedy}"),
        1 => format!("{of} runs out in 1 day: {remedy}"),
        _ => format!("{of} runs out in {days_left} days: {remedy}"),
    }
}

/// Logs each warning once per threshold.
#[derive(Debug, Default)]
pub struct ExpiryLog {
    warned: Mutex<BTreeMap<(Use, i64), i64>>,
}

impl ExpiryLog {
    /// Nothing warned of yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Logs what is newly due and returns it. Call at start, after a reload and every hour.
    pub fn check(&self, items: &[Expires], now_unix: i64) -> Vec<CertificateInfo> {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        for info in expiry_status(items, now_unix) {
            let (Some(reached), Some(text)) = (threshold(info.days_left), &info.warning) else {
                continue;
            };
            // A renewed certificate has another end, and is warned of anew.
            let key = (info.of.clone(), info.not_after_unix);
            if warned.get(&key).is_some_and(|before| *before <= reached) {
                continue;
            }
            tracing::warn!(days_left = info.days_left, "{text}");
            warned.insert(key, reached);
            due.push(info);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: i64 = 2_000_000_000;

    fn items() -> Vec<Expires> {
        vec![Expires {
            of: Use::Node,
            not_after_unix: END,
        }]
    }

    #[test]
    fn each_threshold_is_logged_once() {
        let log = ExpiryLog::new();
        let mut days = Vec::new();
        for hour in (-48..24 * 100).rev() {
            for info in log.check(&items(), END - hour * 3600) {
                days.push(info.days_left);
            }
        }
        assert_eq!(days, [60, 30, 7, 1, -1]);
    }

    #[test]
    fn a_renewed_certificate_is_warned_of_anew() {
        let log = ExpiryLog::new();
        assert_eq!(log.check(&items(), END - 5).len(), 1);
        assert_eq!(log.check(&items(), END - 4).len(), 0);
        let renewed = [Expires {
            of: Use::Node,
            not_after_unix: END + DAY_SECONDS * 10,
        }];
        assert_eq!(log.check(&renewed, END).len(), 1);
    }

    #[test]
    fn status_says_what_to_do() {
        let status = expiry_status(&items(), END - 7 * DAY_SECONDS);
        assert_eq!(status[0].days_left, 7);
        assert_eq!(
            status[0].warning.as_deref(),
            Some(
                "node certificate runs out in 7 days: get a new certificate and replace the \
                 files; they are read at once"
            )
        );
        assert_eq!(
            expiry_status(&items(), END - 61 * DAY_SECONDS)[0].warning,
            None
        );
        assert!(
            expiry_status(&items(), END + 1)[0]
                .warning
                .as_deref()
                .is_some_and(|text| text.starts_with("node certificate has run out"))
        );
    }
}
