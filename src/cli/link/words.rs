//! Holds in plain words: the same for both sides' operators.

use crate::model::text::escape;
use crate::proto::v1::{self, FaultCode};

/// A hold, seen from one of the two sides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) hold: &'a v1::LinkHold,
    /// The side that holds the link.
    pub(super) holder: &'a str,
    /// The other one.
    pub(super) other: &'a str,
    /// This node, one of the two.
    pub(super) here: &'a str,
}

impl Seen<'_> {
    /// Whose log or word is at fault, as the holder has it.
    fn at_fault(&self) -> &str {
        // Whose log it is says more than the code, where its own key contradicts itself.
        if self.is_of_two_logs() {
            let sender = self.hold.origin.split('/').next().unwrap_or_default();
            return if sender == self.holder {
                self.holder
            } else {
                self.other
            };
        }
        match self.hold.code() {
            FaultCode::RolledBack => self.holder,
            _ => self.other,
        }
    }

    fn is_of_two_logs(&self) -> bool {
        self.hold.code() == FaultCode::Equivocation
    }

    /// What happened, in a sentence or two.
    pub(super) fn what(&self) -> String {
        let who = escape(self.at_fault());
        if self.is_of_two_logs() {
            return format!(
                "The log key of {who} signed two different logs, which cannot both be true. Its node \
                 ran twice with the same keys (a copy, a snapshot put back), or someone else has its \
                 key."
            );
        }
        match self.hold.code() {
            FaultCode::BadCheckpoint => format!(
                "A checkpoint of {who} does not verify, or does not fit the entries it came with."
            ),
            FaultCode::RootMismatch => {
                format!("The entries that {who} sent are not those that it signed.")
            }
            FaultCode::IndexGap => {
                format!("{who} sent entries that do not begin where the mirror of its log ends.")
            }
            FaultCode::ExpressMismatch => format!(
                "{who} sent an urgent entry ahead of its turn, and another one in its place. Both \
                 are kept; signatures alone do not prove it to others."
            ),
            FaultCode::Protocol => format!("{who} sent what the protocol does not allow."),
            FaultCode::RolledBack => format!(
                "The store of {who} holds less than what it has signed, or may have signed: it lost \
                 records, or an old backup or snapshot was put back."
            ),
            FaultCode::BadCosignature => format!(
                "A receipt that {who} gave does not verify, or is for another log than the one sent."
            ),
            FaultCode::Held => format!(
                "{} holds the link since before this session; its reason stands below.",
                escape(self.holder)
            ),
            _ => "For a reason that this version does not know; it stands below.".to_owned(),
        }
    }

    /// What to do, step by step.
    pub(super) fn steps(&self) -> Vec<String> {
        let (here, peer) = (self.here, escape(self.peer()).into_owned());
        let call = format!(
            "Call an officer of {peer} whom you know, on a number that did not come over the link."
        );
        let mut steps = Vec::new();
        if self.is_of_two_logs() && self.at_fault() == here {
            steps.push(
                "Look for a second copy of this node: a clone, a snapshot, a standby machine. Stop \
                 it; delete none of its data."
                    .to_owned(),
            );
            steps.push(call);
            steps.push(
                "If there is no second copy, someone else has this node's log key: stop the node and \
                 tell whoever answers for its keys."
                    .to_owned(),
            );
        } else if self.is_of_two_logs() {
            steps.push(call);
            steps.push(
                "Do not rely on what came after the smaller of the two sizes until that is \
                 explained."
                    .to_owned(),
            );
        } else if self.at_fault() == here && self.hold.code() == FaultCode::RolledBack {
            steps.push(
                "Is there a data directory with later records (on the former disk or machine)? Then \
                 stop the node and put it back before anything is released."
                    .to_owned(),
            );
            steps.push(call);
        } else {
            steps.push(call);
            steps.push(
                "Both sides export and compare: liaison audit export DIR, liaison audit reconcile \
                 DIR_A DIR_B."
                    .to_owned(),
            );
        }
        if self.hold.proven && self.holder == here {
            steps.push(format!(
                "Keep the proof where it is safe: liaison link evidence {peer} -o FILE"
            ));
        }
        if self.holder == here {
            steps.push(format!(
                "When it is explained: liaison link release {peer} --reason TEXT. If it is found \
                 again, the link is held again."
            ));
        } else {
            steps.push(format!(
                "Only {peer} can release it; this node goes on trying, and comes up by itself then."
            ));
        }
        steps
    }

    fn peer(&self) -> &str {
        if self.holder == self.here {
            self.other
        } else {
            self.holder
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: &str = "laocai.bg.vn.example";
    const THEM: &str = "hekou.ni.cn.example";

    fn hold(code: FaultCode, origin: &str, proven: bool) -> v1::LinkHold {
        v1::LinkHold {
            code: code as i32,
            origin: origin.to_owned(),
            proven,
            ..v1::LinkHold::default()
        }
    }

    #[test]
    fn both_sides_read_the_same_of_who_is_at_fault() {
        let theirs = format!("{THEM}/{US}");
        for code in (1..=12).filter_map(|code| FaultCode::try_from(code).ok()) {
            let hold = hold(code, &theirs, false);
            let seen = |here| Seen {
                hold: &hold,
                holder: US,
                other: THEM,
                here,
            };
            assert_eq!(seen(US).what(), seen(THEM).what());
            assert!(seen(US).steps().last().unwrap().contains("link release"));
            let theirs = seen(THEM).steps();
            assert!(!theirs.iter().any(|step| step.contains("link release")));
        }
    }

    #[test]
    fn the_side_whose_key_it_was_is_told_to_look_for_the_copy() {
        let hold = hold(FaultCode::Equivocation, &format!("{THEM}/{US}"), true);
        let seen = |here| Seen {
            hold: &hold,
            holder: US,
            other: THEM,
            here,
        };
        assert!(seen(THEM).steps()[0].contains("second copy"));
        assert!(!seen(US).steps()[0].contains("second copy"));
        assert!(
            seen(US)
                .steps()
                .iter()
                .any(|step| step.contains("link evidence"))
        );
    }
}
