//! The figures of the year as each side counts them, and the joint report that both sign.

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;

use super::Pair;
use crate::cli::connect::Desk;
use crate::cli::demo::sides::Side as Member;
use crate::cli::demo::verdict;
use crate::cli::exit::{Exit, Failure, OrExit as _};
use crate::cli::{draft, refused, send, show, when};
use crate::model::report::compare::to_proposal;
use crate::proto::v1::body::Body;
use crate::proto::v1::{self, CountersignatureStance};

/// What both sides have counted, and signed.
#[derive(Debug)]
pub(super) struct Joint {
    /// Of the Vietnamese and of the Chinese side.
    pub(super) reports: [v1::ReportResponse; 2],
    /// Id of the report.
    pub(super) id: String,
}

/// Counts on both sides; then the Vietnamese side proposes and the Chinese side, which counts
/// again, signs.
pub(super) async fn agree(pair: &Pair) -> Result<Joint, Failure> {
    let [vn, cn] = [&pair.sides.vn, &pair.sides.cn];
    let reports = [report(vn).await?, report(cn).await?];
    let [ours, _] = &reports;
    let (from_office, to_office) = (vn.node.to_string(), cn.node.to_string());
    let proposal = Body::PeriodReport(v1::PeriodReport {
        common: Some(v1::Common {
            from_office: from_office.clone(),
            to_office: to_office.clone(),
            ..v1::Common::default()
        }),
        from: ours.from,
        to: ours.to,
        logs: ours.logs.clone(),
        figures: to_proposal(&ours.figures),
    });
    let proposed = say(vn.desk()?, cn, "", proposal).await?;
    verdict::settle(&pair.sides).await?;

    let request = v1::ReportRequest {
        period_report: proposed.clone(),
        ..v1::ReportRequest::default()
    };
    let again = refused::answer(cn.desk()?.desk().report(request).await)?;
    if !again.verdict.unwrap_or_default().equal {
        let what = format!("{} counts otherwise than {}", cn.place, vn.place);
        return Err(Failure::new(Exit::Negative, what)
            .remedy(format!("look: liaison report verify {proposed}")));
    }
    let message = show::get(cn.desk()?, &proposed).await?;
    let signature = Body::Countersignature(v1::Countersignature {
        common: Some(v1::Common {
            from_office: to_office.clone(),
            ..v1::Common::default()
        }),
        body_digest: message.body_digest,
        officer: Some(v1::Officer {
            name: "陈示例".to_owned(),
            rank: "二级警督".to_owned(),
            office: to_office,
            phone: String::new(),
        }),
        stance: CountersignatureStance::Signed.into(),
        disputed: Vec::new(),
        reason: None,
    });
    say(cn.desk()?, vn, &proposed, signature).await?;
    verdict::settle(&pair.sides).await?;
    Ok(Joint {
        reports,
        id: proposed,
    })
}

/// What `report --from 2025-01-01 --to 2025-12-31` shows, by the Vietnamese side's days on both.
async fn report(member: &Member) -> Result<v1::ReportResponse, Failure> {
    let zone = TimeZone::get("Asia/Ho_Chi_Minh").or_exit(Exit::Internal)?;
    let first = |year| -> Result<Timestamp, Failure> {
        let zoned = date(year, 1, 1).to_zoned(zone.clone());
        Ok(zoned.or_exit(Exit::Internal)?.timestamp())
    };
    let request = v1::ReportRequest {
        from: Some(when::to_wire(first(2025)?)),
        to: Some(when::to_wire(first(2026)?)),
        ..v1::ReportRequest::default()
    };
    refused::answer(member.desk()?.desk().report(request).await)
}

async fn say(desk: &Desk, to: &Member, answers: &str, body: Body) -> Result<String, Failure> {
    // The node makes the id, by the clock that it goes by.
    let draft = draft::check(v1::Draft {
        recipient: to.node.to_string(),
        in_reply_to: answers.to_owned(),
        body: Some(v1::Body { body: Some(body) }),
        ..v1::Draft::default()
    })?;
    Ok(send::submit(desk, draft).await?.id)
}
