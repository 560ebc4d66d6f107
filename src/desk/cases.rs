//! Cases: what both sides have said on one thing, and what follows from it.
//!
//! No bodies and no persons' names: what is here is derived from numbers, states and digests.

use std::sync::Arc;

use super::Desk;
use super::caller::Access;
use super::errors::DeskError;
use super::read::parse_id;
use crate::exchange::cases::told;
use crate::exchange::clock::timestamp_of_ms;
use crate::exchange::layout::Place;
use crate::exchange::read::ReadError;
use crate::exchange::view::PageError;
use crate::exchange::{Link, LogSide};
use crate::limits::PAGE_MESSAGES_MAX;
use crate::model::MessageId;
use crate::model::workflow::{Folded, Matter, MatterView, Millis, Party, Standing, Step};
use crate::proto::v1;

/// Cases of a page when the request does not say.
const PAGE_CASES: u32 = 50;

impl Desk {
    pub(super) fn list_cases(
        &self,
        access: Access,
        request: &v1::ListCasesRequest,
    ) -> Result<v1::ListCasesResponse, DeskError> {
        let page_size = match request.page_size {
            0 => PAGE_CASES,
            asked if asked > PAGE_MESSAGES_MAX => return Err(PageError::Size { asked }.into()),
            asked => asked,
        };
        let before = match request.page_token.as_str() {
            "" => None,
            token => Some(MessageId::parse(token).map_err(|_| PageError::Token)?),
        };
        if !request.peer.is_empty() && self.exchange.link(&request.peer).is_none() {
            let peer = request.peer.clone();
            return Err(PageError::Peer { peer }.into());
        }
        let now = self.exchange.now();
        let mut page = v1::ListCasesResponse::default();
        // The next case of each link, newest first.
        let mut next: Vec<(MessageId, Arc<Link>)> = Vec::new();
        for link in self.exchange.links() {
            if request.peer.is_empty() || request.peer == link.peer.as_str() {
                let newest = self.case_before(link, before)?;
                next.extend(newest.map(|id| (id, Arc::clone(link))));
            }
        }
        while let Some(at) = newest(&next) {
            let (id, link) = next.swap_remove(at);
            let case = self.exchange.with_cases(&link, |cases| {
                if !cases.has_word_of_a_person(id)? {
                    return Ok(None);
                }
                let folded = cases.folded(id)?;
                let folded = folded.filter(|folded| !folded.messages.is_empty());
                Ok::<_, ReadError>(folded.map(|folded| case_of(&link, id, folded, now)))
            })??;
            let older = self.case_before(&link, Some(id))?;
            next.extend(older.map(|id| (id, link)));
            let Some(case) = case.filter(|case| takes(request, case)) else {
                continue;
            };
            if page.cases.len() == page_size as usize {
                let last = page.cases.last().map(|case| case.thread_id.clone());
                page.next_page_token = last.unwrap_or_default();
                break;
            }
            page.cases.push(case);
        }
        if access == Access::Outline {
            page.cases.iter_mut().for_each(outline);
        }
        Ok(page)
    }

    fn case_before(
        &self,
        link: &Link,
        other: Option<MessageId>,
    ) -> Result<Option<MessageId>, ReadError> {
        let exchange = &self.exchange;
        exchange.with_cases(link, |cases| cases.case_before(other))?
    }

    pub(super) fn get_case(
        &self,
        access: Access,
        request: &v1::GetCaseRequest,
    ) -> Result<v1::GetCaseResponse, DeskError> {
        let id = parse_id("id", &request.id)?;
        let (link, place) = self.exchange.find(id)?.ok_or(DeskError::NotFound { id })?;
        let Place::Log(side, index) = place else {
            // It came ahead of its turn: it is in no case yet.
            return Err(DeskError::NotFound { id });
        };
        let now = self.exchange.now();
        let answer = self.exchange.with_cases(&link, |cases| {
            let Some(thread) = cases.case_at(side, index)? else {
                return Ok(None);
            };
            let folded = cases.folded(thread)?;
            Ok::<_, ReadError>(folded.map(|folded| v1::GetCaseResponse {
                case: Some(case_of(&link, thread, folded, now)),
                messages: messages_of(&link, folded),
            }))
        })??;
        let mut answer = answer.ok_or(DeskError::NotFound { id })?;
        if access == Access::Outline {
            answer.case.iter_mut().for_each(outline);
            for message in &mut answer.messages {
                message.standing = v1::Standing::default().into();
                message.standing_reason.clear();
            }
        }
        Ok(answer)
    }
}

/// Takes out what follows from bodies: states, persons, what is owed and possible, breaches.
fn outline(case: &mut v1::Case) {
    case.breach_count = 0;
    for matter in &mut case.matters {
        matter.state.clear();
        matter.persons.clear();
        matter.duties.clear();
        matter.steps.clear();
    }
}

/// Which of some cases is the newest.
fn newest(cases: &[(MessageId, Arc<Link>)]) -> Option<usize> {
    let cases = cases.iter().enumerate();
    cases.max_by_key(|(_, (id, _))| *id).map(|(at, _)| at)
}

fn takes(request: &v1::ListCasesRequest, case: &v1::Case) -> bool {
    let kinds = &request.kinds;
    let owes = |side: i32| {
        let mut matters = case.matters.iter().filter(|matter| matter.open);
        matters.any(|matter| matter.duties.iter().any(|duty| duty.owed_by == side))
    };
    (!request.open_only || case.open)
        && (request.owed_by == 0 || owes(request.owed_by))
        && (kinds.is_empty()
            || case
                .matters
                .iter()
                .any(|matter| kinds.contains(&matter.kind)))
        && (request.statuses.is_empty() || request.statuses.contains(&case.status))
}

fn case_of(link: &Link, id: MessageId, folded: &Folded, now: Millis) -> v1::Case {
    let views = folded
        .matters
        .iter()
        .map(|matter: &Matter| matter.view(now));
    let matters: Vec<v1::Matter> = views.map(|view| matter_of(link, view)).collect();
    let times = || {
        folded
            .messages
            .iter()
            .map(|message| message.facts.created_at)
    };
    let is_breach = |standing: &Standing| matches!(standing, Standing::Breach(_));
    let breaches = folded.messages.iter().filter(|m| is_breach(&m.standing));
    v1::Case {
        thread_id: id.to_string(),
        peer: link.peer.to_string(),
        status: folded
            .messages
            .first()
            .map_or(0, |first| first.facts.status),
        open: matters.iter().any(|matter| matter.open),
        matters,
        began_at: times().min().map(at),
        latest_at: times().max().map(at),
        message_count: count(folded.messages.len()),
        breach_count: count(breaches.count()),
    }
}

fn matter_of(link: &Link, view: MatterView) -> v1::Matter {
    let step = |step: &Step| v1::NextStep {
        by: side_of(link, step.by).into(),
        kind: v1::Kind::from_str_name(step.kind)
            .unwrap_or_default()
            .into(),
        does: step.does.to_owned(),
    };
    v1::Matter {
        kind: v1::Kind::from_str_name(view.kind)
            .unwrap_or_default()
            .into(),
        opened_by: side_of(link, view.opened_by).into(),
        opening_id: view.opening,
        state: view.state,
        open: view.is_open,
        persons: view
            .persons
            .into_iter()
            .map(|person| v1::MatterPerson {
                number: person.number,
                state: person.state,
                blocked: person.blocked.unwrap_or_default(),
            })
            .collect(),
        duties: view
            .duties
            .iter()
            .map(|duty| v1::OpenDuty {
                owed_by: side_of(link, duty.owed_by).into(),
                owed: duty.owed.to_string(),
                message_id: duty.message.to_string(),
            })
            .collect(),
        steps: view.steps.iter().map(step).collect(),
    }
}

fn messages_of(link: &Link, folded: &Folded) -> Vec<v1::CaseMessage> {
    let messages = folded.messages.iter();
    messages
        .map(|message| {
            let (standing, reason) = told(&message.standing);
            v1::CaseMessage {
                id: message.facts.id.to_string(),
                side: side_of(link, message.by).into(),
                index: message.index,
                kind: message.facts.kind().into(),
                kind_number: message.facts.kind,
                created_at: Some(at(message.facts.created_at)),
                standing: standing.into(),
                standing_reason: reason,
            }
        })
        .collect()
}

/// Which side a party is, seen from this node.
pub(super) fn side_of(link: &Link, party: Party) -> v1::Side {
    if party == link.party_of(LogSide::Own) {
        v1::Side::Own
    } else {
        v1::Side::Peer
    }
}

fn at(millis: Millis) -> prost_types::Timestamp {
    timestamp_of_ms(u64::try_from(millis).unwrap_or_default())
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
