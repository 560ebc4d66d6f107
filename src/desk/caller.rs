//! Who calls, and what each role may do.

use std::fmt;

use tonic::Extensions;

use crate::exchange::Author;
use crate::link::connection::ConnectInfo;
use crate::link::identity::Identity;

pub use crate::link::identity::Role;

/// The calls of the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// Signs and records, one or many.
    Submit,
    /// One message.
    Get,
    /// Messages, page by page.
    List,
    /// The same, by words in the bodies.
    Search,
    /// What happens.
    Watch,
    /// A person has taken note.
    Acknowledge,
    /// The node's state.
    Status,
    /// Stores a file.
    UploadAttachment,
    /// Reads a file of a message.
    DownloadAttachment,
    /// Lets a held link go on.
    ReleaseLink,
    /// Cases, page by page.
    ListCases,
    /// One case.
    GetCase,
    /// The figures of a period.
    Report,
    /// A receipt.
    Proof,
    /// The logs as evidence.
    Export,
    /// What is owed.
    ListDue,
    /// Working-day calendars.
    ListCalendars,
    /// Evidence that the peer is late.
    Lateness,
    /// Every key of this node and its peers.
    ListKeys,
    /// Changes this node's keys.
    ChangeKeys,
    /// Copies the files of keys.
    CopyKeys,
    /// Destroys the keys that nothing here uses.
    PruneKeys,
    /// Puts a case on legal hold, or lifts that.
    Hold,
    /// What is on hold, and what the rules will erase.
    ListRetention,
    /// Why a link is held, and was.
    ShowLink,
    /// The file that proves that a key signed two logs.
    LinkEvidence,
    /// Destroying a body for ever.
    Erase,
    /// Everything that the node keeps, and its files.
    Backup,
    /// What waits for a peer, as a file.
    ExportBundle,
    /// Such a file of a peer.
    ImportBundle,
    /// Who did what on this node.
    ListJournal,
    /// The same as files that can be judged.
    ExportJournal,
    /// Goes on witnessing a peer's journal that was set back.
    AcceptJournal,
    /// Sends a message on to another peer.
    Forward,
    /// What the node has counted of its own work.
    GetFigures,
}

impl Method {
    /// Every call.
    pub const ALL: [Self; 35] = [
        Self::Submit,
        Self::Get,
        Self::List,
        Self::Search,
        Self::Watch,
        Self::Acknowledge,
        Self::Status,
        Self::UploadAttachment,
        Self::DownloadAttachment,
        Self::ReleaseLink,
        Self::ListCases,
        Self::GetCase,
        Self::Report,
        Self::Proof,
        Self::Export,
        Self::ListDue,
        Self::ListCalendars,
        Self::Lateness,
        Self::ListKeys,
        Self::ChangeKeys,
        Self::CopyKeys,
        Self::PruneKeys,
        Self::Hold,
        Self::ListRetention,
        Self::ShowLink,
        Self::LinkEvidence,
        Self::Erase,
        Self::Backup,
        Self::ExportBundle,
        Self::ImportBundle,
        Self::ListJournal,
        Self::ExportJournal,
        Self::AcceptJournal,
        Self::Forward,
        Self::GetFigures,
    ];

    /// Its name in the proto, and what is asked of it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "Submit",
            Self::Get => "Get",
            Self::List => "List",
            Self::Search => "List with words",
            Self::Watch => "Watch",
            Self::Acknowledge => "Acknowledge",
            Self::Status => "Status",
            Self::UploadAttachment => "UploadAttachment",
            Self::DownloadAttachment => "DownloadAttachment",
            Self::ReleaseLink => "ReleaseLink",
            Self::ListCases => "ListCases",
            Self::GetCase => "GetCase",
            Self::Report => "Report",
            Self::Proof => "Proof",
            Self::Export => "Export",
            Self::ListDue => "ListDue",
            Self::ListCalendars => "ListCalendars",
            Self::Lateness => "Lateness",
            Self::ListKeys => "ListKeys",
            Self::ChangeKeys => "ChangeKeys",
            Self::CopyKeys => "CopyKeys",
            Self::PruneKeys => "PruneKeys",
            Self::Hold => "Hold",
            Self::ListRetention => "ListRetention",
            Self::ShowLink => "ShowLink",
            Self::LinkEvidence => "LinkEvidence",
            Self::Erase => "Erase",
            Self::Backup => "Backup",
            Self::ExportBundle => "ExportBundle",
            Self::ImportBundle => "ImportBundle",
            Self::ListJournal => "ListJournal",
            Self::ExportJournal => "ExportJournal",
            Self::AcceptJournal => "AcceptJournal",
            Self::Forward => "Forward",
            Self::GetFigures => "GetFigures",
        }
    }
}

/// How far a role may use a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Not at all.
    Denied,
    /// For what the caller itself submitted, and to submit what its configuration names. Of a
    /// backup and of the journal: on the node's own machine, by the node's own user.
    Own,
    /// Without bodies, and without anything that is taken from one.
    Outline,
    /// Wholly.
    Full,
}

/// The one table of who may do what. What is not written here is denied.
#[must_use]
pub const fn access(role: Role, method: Method) -> Access {
    use Method as M;
    match (role, method) {
        (
            Role::Operator,
            M::Submit
            | M::Get
            | M::List
            | M::Search
            | M::Watch
            | M::Acknowledge
            | M::Status
            | M::UploadAttachment
            | M::DownloadAttachment
            | M::ReleaseLink
            | M::ListCases
            | M::GetCase
            | M::Report
            | M::Proof
            | M::Export
            | M::ListDue
            | M::ListCalendars
            | M::Lateness
            | M::ListKeys
            | M::Hold
            | M::ListRetention
            | M::ExportBundle
            | M::ImportBundle
            | M::ShowLink
            | M::LinkEvidence
            | M::Forward,
        )
        | (
            Role::Auditor,
            M::Get
            | M::Report
            | M::List
            | M::Search
            | M::ListCases
            | M::GetCase
            | M::Status
            | M::DownloadAttachment
            | M::Proof
            | M::Export
            | M::ListDue
            | M::ListCalendars
            | M::Lateness
            | M::ListKeys
            | M::ListRetention
            | M::ShowLink
            | M::LinkEvidence
            | M::ListJournal
            | M::ExportJournal
            | M::GetFigures,
        )
        | (
            Role::Admin,
            M::Status
            | M::ReleaseLink
            | M::ListDue
            | M::ListKeys
            | M::ChangeKeys
            | M::CopyKeys
            | M::PruneKeys
            | M::Hold
            | M::ListRetention
            | M::ShowLink
            | M::ExportBundle
            | M::ImportBundle
            | M::Erase
            | M::Backup
            | M::ListJournal
            | M::ExportJournal
            | M::AcceptJournal
            | M::GetFigures,
        ) => Access::Full,
        (
            Role::Integration,
            M::Submit | M::Get | M::List | M::Watch | M::UploadAttachment | M::Forward,
        )
        | (
            Role::Operator,
            M::Backup
            | M::CopyKeys
            | M::PruneKeys
            | M::Erase
            | M::ListJournal
            | M::ExportJournal
            | M::AcceptJournal
            | M::GetFigures,
        ) => Access::Own,
        (Role::Admin, M::Get | M::List | M::ListCases | M::GetCase | M::ListCalendars) => {
            Access::Outline
        }
        _ => Access::Denied,
    }
}

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caller {
    /// In which role.
    pub role: Role,
    /// Which one: the name in the certificate, or the user of the Unix socket.
    pub name: String,
}

impl Caller {
    /// The caller as the connection has shown it; `None` for a connection of no one we know.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<Self> {
        match &extensions.get::<ConnectInfo>()?.identity {
            Identity::Desk(desk) => Some(Self {
                role: desk.role,
                name: desk.name.clone(),
            }),
            // The kernel vouches for the user; the socket lets in only the node's own and root.
            Identity::Unix(unix) => Some(Self {
                role: Role::Operator,
                name: format!("uid-{}", unix.uid),
            }),
            Identity::Peer(_) => None,
        }
    }

    /// The caller as an author, as kept beside what it submits.
    #[must_use]
    pub fn author(&self) -> Author {
        Author::new(format!("{}/{}", self.role, self.name))
    }
}

/// For logs: the role, and the name only where it is a program's.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.role {
            Role::Integration => write!(f, "{} {}", self.role, self.name),
            _ => self.role.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_of_the_table_is_as_documented() {
        use Access::{Denied as No, Full, Outline, Own};
        // Rows as in Method::ALL; operator, integration, auditor, admin.
        let table = [
            (Method::Submit, [Full, Own, No, No]),
            (Method::Get, [Full, Own, Full, Outline]),
            (Method::List, [Full, Own, Full, Outline]),
            (Method::Search, [Full, No, Full, No]),
            (Method::Watch, [Full, Own, No, No]),
            (Method::Acknowledge, [Full, No, No, No]),
            (Method::Status, [Full, No, Full, Full]),
            (Method::UploadAttachment, [Full, Own, No, No]),
            (Method::DownloadAttachment, [Full, No, Full, No]),
            (Method::ReleaseLink, [Full, No, No, Full]),
            (Method::ListCases, [Full, No, Full, Outline]),
            (Method::GetCase, [Full, No, Full, Outline]),
            (Method::Report, [Full, No, Full, No]),
            (Method::Proof, [Full, No, Full, No]),
            (Method::Export, [Full, No, Full, No]),
            (Method::ListDue, [Full, No, Full, Full]),
            (Method::ListCalendars, [Full, No, Full, Outline]),
            (Method::Lateness, [Full, No, Full, No]),
            (Method::ListKeys, [Full, No, Full, Full]),
            (Method::ChangeKeys, [No, No, No, Full]),
            (Method::CopyKeys, [Own, No, No, Full]),
            (Method::PruneKeys, [Own, No, No, Full]),
            (Method::Hold, [Full, No, No, Full]),
            (Method::ListRetention, [Full, No, Full, Full]),
            (Method::ShowLink, [Full, No, Full, Full]),
            (Method::LinkEvidence, [Full, No, Full, No]),
            (Method::Erase, [Own, No, No, Full]),
            (Method::Backup, [Own, No, No, Full]),
            (Method::ExportBundle, [Full, No, No, Full]),
            (Method::ImportBundle, [Full, No, No, Full]),
            (Method::ListJournal, [Own, No, Full, Full]),
            (Method::ExportJournal, [Own, No, Full, Full]),
            (Method::AcceptJournal, [Own, No, No, Full]),
            (Method::Forward, [Full, Own, No, No]),
            (Method::GetFigures, [Own, No, Full, Full]),
        ];
        assert_eq!(table.map(|(method, _)| method), Method::ALL);
        for (method, row) in table {
            assert_eq!(
                Role::ALL.map(|role| access(role, method)),
                row,
                "{method:?}"
            );
        }
    }

    #[test]
    fn a_connection_of_no_one_is_no_caller() {
        assert_eq!(Caller::of(&Extensions::default()), None);
    }

    #[test]
    fn only_programs_are_named_in_logs() {
        let caller = |role| Caller {
            role,
            name: "mai".to_owned(),
        };
        assert_eq!(caller(Role::Operator).to_string(), "operator");
        assert_eq!(caller(Role::Integration).to_string(), "integration mai");
        assert_eq!(caller(Role::Operator).author(), Author::new("operator/mai"));
    }
}
