//! Every figure there is: its name, whose it is, its unit, and its labels in three languages.
//!
//! Names are for ever: period reports that both sides have signed carry them. A figure that is
//! counted in another way gets another name. Definitions in words: docs/statistics.md.

use std::sync::LazyLock;

use super::Whose;
use crate::model::workflow::Party;
use crate::proto::v1::{ActivityType, CaseCategory};

/// What a figure counts or measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// So many.
    Count,
    /// Seconds.
    Seconds,
    /// Working days.
    WorkingDays,
    /// Thousandths.
    Permille,
}

impl Unit {
    /// Its name in JSON and CSV.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Seconds => "seconds",
            Self::WorkingDays => "working-days",
            Self::Permille => "permille",
        }
    }
}

/// Whether a figure is of each side or of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sides {
    Each,
    /// Of each side, and what they add up to.
    EachAndSum,
    Both,
}

/// What figures stand together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Letters and calls.
    Correspondence,
    /// Talks and meetings.
    Meetings,
    /// Joint patrols.
    Patrols,
    /// Persons handed over.
    Handover,
    /// Cases by category.
    Cases,
    /// Alerts and hazards.
    Alerts,
    /// Education and exchanges.
    Activities,
    /// Who persons are.
    Verification,
    /// Persons who take note.
    Acknowledgement,
    /// What is not counted above.
    NotCounted,
}

impl Group {
    /// Every group, in order.
    pub const ALL: [Self; 10] = [
        Self::Correspondence,
        Self::Meetings,
        Self::Patrols,
        Self::Handover,
        Self::Cases,
        Self::Alerts,
        Self::Activities,
        Self::Verification,
        Self::Acknowledgement,
        Self::NotCounted,
    ];

    /// Its heading.
    #[must_use]
    pub fn label(self) -> Label {
        match self {
            Self::Correspondence => {
                label("Công văn và điện thoại", "公函与热线", "Letters and calls")
            }
            Self::Meetings => label("Hội đàm và gặp gỡ", "会谈与会晤", "Talks and meetings"),
            Self::Patrols => label("Tuần tra chung", "联合巡逻", "Joint patrols"),
            Self::Handover => label("Trao trả người", "人员移交", "Handovers of persons"),
            Self::Cases => label("Vụ việc theo loại", "按类别案件", "Cases by category"),
            Self::Alerts => label("Cảnh báo và hiểm họa", "警报与灾害", "Alerts and hazards"),
            Self::Activities => label(
                "Tuyên truyền và giao lưu",
                "宣传与交流",
                "Education and exchanges",
            ),
            Self::Verification => label("Xác minh nhân thân", "身份核查", "Verification"),
            Self::Acknowledgement => label("Xác nhận tiếp nhận", "签收确认", "Acknowledgement"),
            Self::NotCounted => label("Không tính ở trên", "以上未计", "Not counted above"),
        }
    }
}

/// A label in three languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Vietnamese.
    pub vi: String,
    /// Chinese, simplified.
    pub zh: String,
    /// English.
    pub en: String,
}

/// What a figure is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name, in words of `a-z`, digits and hyphens joined by dots.
    pub name: String,
    /// Where it stands.
    pub group: Group,
    /// Its unit.
    pub unit: Unit,
    /// Its labels.
    pub label: Label,
    pub(super) sides: Sides,
}

impl Definition {
    /// Whose figures of this name there are.
    pub fn whose(&self) -> impl Iterator<Item = Whose> {
        let (sides, both) = match self.sides {
            Sides::Each => (true, false),
            Sides::EachAndSum => (true, true),
            Sides::Both => (false, true),
        };
        [
            (sides, Whose::Side(Party::A)),
            (sides, Whose::Side(Party::B)),
            (both, Whose::Both),
        ]
        .into_iter()
        .filter_map(|(is, whose)| is.then_some(whose))
    }
}

/// Every figure, in the order in which reports show them.
#[must_use]
pub fn all() -> &'static [Definition] {
    static ALL: LazyLock<Vec<Definition>> = LazyLock::new(build);
    &ALL
}

/// The figure of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Definition> {
    all().iter().find(|definition| definition.name == name)
}

/// Name of a category of cases within names of figures. One of a newer version has one name for
/// all of them: what it says is counted, if not under its own heading.
#[must_use]
pub(super) fn category_name(category: i32) -> &'static str {
    let known = CATEGORIES
        .iter()
        .find(|(number, ..)| *number as i32 == category);
    known.map_or("unknown", |(_, name, _)| name)
}

/// Name of a type of activity within names of figures.
#[must_use]
pub(super) fn activity_name(activity: i32) -> &'static str {
    let known = ACTIVITIES
        .iter()
        .find(|(number, ..)| *number as i32 == activity);
    known.map_or("unknown", |(_, name, _)| name)
}

type Texts = (&'static str, &'static str, &'static str);

fn label(vi: &str, zh: &str, en: &str) -> Label {
    Label {
        vi: vi.to_owned(),
        zh: zh.to_owned(),
        en: en.to_owned(),
    }
}

/// Figures that stand for themselves.
#[rustfmt::skip] // one figure a line
const SINGLE: &[(Group, &str, Sides, Unit, Texts)] = {
    use Group as G;
    use Sides::{Both, Each, EachAndSum};
    use Unit::{Count, Permille, Seconds, WorkingDays};
    &[
        (G::Correspondence, "letters", EachAndSum, Count, ("Công văn đã gửi", "发出公函", "Official letters sent")),
        (G::Correspondence, "letters.replied", EachAndSum, Count, ("Công văn của bên kia đã trả lời", "已复对方公函", "Letters of the other side answered")),
        (G::Correspondence, "letters.reply-time.median", Each, Seconds, ("Thời gian trả lời công văn, trung vị", "复函时间中位数", "Time to answer a letter, median")),
        (G::Correspondence, "letters.reply-time.p90", Each, Seconds, ("Thời gian trả lời công văn, 90%", "复函时间第90百分位", "Time to answer a letter, 90th percentile")),
        (G::Correspondence, "letters.reply-due", EachAndSum, Count, ("Công văn đến hạn trả lời", "到期应复公函", "Answers to letters that were due")),
        (G::Correspondence, "letters.on-time", EachAndSum, Count, ("Công văn trả lời đúng hạn", "按时复函", "Letters answered on time")),
        (G::Correspondence, "letters.on-time.share", Each, Permille, ("Tỷ lệ trả lời công văn đúng hạn", "按时复函率", "Share of letters answered on time")),
        (G::Correspondence, "calls", EachAndSum, Count, ("Cuộc gọi đường dây nóng đã ghi", "记录的热线通话", "Hotline calls noted")),
        (G::Correspondence, "calls.confirmed", EachAndSum, Count, ("Cuộc gọi được bên kia xác nhận", "对方确认的通话", "Of these confirmed by the other side")),
        (G::Correspondence, "calls.differing", EachAndSum, Count, ("Cuộc gọi bên kia ghi khác", "对方记录不同的通话", "Of these noted differently by the other side")),
        (G::Meetings, "meetings.talks", Both, Count, ("Hội đàm", "会谈", "Talks")),
        (G::Meetings, "meetings.talks.cosigned", Both, Count, ("Hội đàm có biên bản hai bên ký", "双方签署纪要的会谈", "Talks with minutes signed by both")),
        (G::Meetings, "meetings.face-to-face", Both, Count, ("Gặp gỡ", "会晤", "Face-to-face meetings")),
        (G::Meetings, "meetings.face-to-face.cosigned", Both, Count, ("Gặp gỡ có biên bản hai bên ký", "双方签署纪要的会晤", "Face-to-face meetings with minutes signed by both")),
        (G::Meetings, "meetings.liaison", Both, Count, ("Gặp cán bộ liên lạc", "联络官会面", "Meetings of liaison officers")),
        (G::Meetings, "meetings.liaison.cosigned", Both, Count, ("Gặp cán bộ liên lạc có biên bản hai bên ký", "双方签署纪要的联络官会面", "Meetings of liaison officers with minutes signed by both")),
        (G::Meetings, "meetings.unknown", Both, Count, ("Cuộc gặp cấp khác", "其他级别会面", "Meetings of a level of a newer version")),
        (G::Patrols, "patrols", Both, Count, ("Cuộc tuần tra chung", "联合巡逻次数", "Joint patrols")),
        (G::Patrols, "patrols.reported-by-both", Both, Count, ("Hai bên đều báo cáo", "双方均已报告", "Of these reported by both sides")),
        (G::Patrols, "patrols.officers", EachAndSum, Count, ("Lượt cán bộ tham gia", "参加人次", "Officers who took part")),
        (G::Handover, "handover.persons", EachAndSum, Count, ("Người đã trao trả", "已移交人数", "Persons handed over")),
        (G::Handover, "handover.cases", EachAndSum, Count, ("Vụ trao trả", "移交起数", "Cases of handover")),
        (G::Handover, "handover.requests", EachAndSum, Count, ("Đề nghị tiếp nhận đã gửi", "发出移交请求", "Requests to take persons over")),
        (G::Handover, "handover.requested", EachAndSum, Count, ("Người được đề nghị tiếp nhận", "请求移交人数", "Persons in these requests")),
        (G::Handover, "handover.accepted", EachAndSum, Count, ("Trong đó được chấp nhận", "其中同意接收", "Of these accepted")),
        (G::Handover, "handover.refused", EachAndSum, Count, ("Trong đó bị từ chối", "其中拒绝接收", "Of these refused")),
        (G::Handover, "handover.pending", EachAndSum, Count, ("Trong đó chưa quyết định", "其中尚未决定", "Of these not decided yet")),
        (G::Handover, "handover.protected", EachAndSum, Count, ("Trong đó được bảo hộ", "其中受保护", "Of these protected and not handed over")),
        (G::Alerts, "alerts", EachAndSum, Count, ("Cảnh báo qua biên", "越境警报", "Crossing alerts")),
        (G::Alerts, "hazards", EachAndSum, Count, ("Thông báo hiểm họa", "灾害通报", "Hazard notices")),
        (G::Verification, "verification.requests", EachAndSum, Count, ("Yêu cầu xác minh đã gửi", "发出核查请求", "Verification requests sent")),
        (G::Verification, "verification.persons", EachAndSum, Count, ("Người cần xác minh", "请求核查人数", "Persons in these requests")),
        (G::Verification, "verification.replied", EachAndSum, Count, ("Yêu cầu của bên kia đã trả lời đủ", "已全部答复对方请求", "Requests of the other side answered in full")),
        (G::Verification, "verification.reply-days.median", Each, WorkingDays, ("Số ngày làm việc để trả lời, trung vị", "答复所用工作日中位数", "Working days to answer, median")),
        (G::Verification, "verification.reply-days.p90", Each, WorkingDays, ("Số ngày làm việc để trả lời, 90%", "答复所用工作日第90百分位", "Working days to answer, 90th percentile")),
        (G::Verification, "verification.reply-due", EachAndSum, Count, ("Yêu cầu đến hạn trả lời", "到期应答复请求", "Answers that were due")),
        (G::Verification, "verification.on-time", EachAndSum, Count, ("Trả lời đúng hạn 7 ngày làm việc", "7个工作日内按时答复", "Answered within 7 working days")),
        (G::Verification, "verification.on-time.share", Each, Permille, ("Tỷ lệ trả lời đúng hạn", "按时答复率", "Share answered on time")),
        (G::Acknowledgement, "acknowledgement.given", EachAndSum, Count, ("Tin của bên kia đã được cán bộ xác nhận", "人员已签收的对方信息", "Messages of the other side that a person took note of")),
        (G::Acknowledgement, "acknowledgement.time.median", Each, Seconds, ("Thời gian xác nhận, trung vị", "签收时间中位数", "Time to acknowledge, median")),
        (G::Acknowledgement, "acknowledgement.time.p90", Each, Seconds, ("Thời gian xác nhận, 90%", "签收时间第90百分位", "Time to acknowledge, 90th percentile")),
        (G::Acknowledgement, "acknowledgement.due", EachAndSum, Count, ("Tin phải xác nhận có thời hạn", "限时应签收的信息", "Acknowledgements that were due")),
        (G::Acknowledgement, "acknowledgement.on-time", EachAndSum, Count, ("Xác nhận đúng hạn", "按时签收", "Acknowledged on time")),
        (G::Acknowledgement, "acknowledgement.on-time.share", Each, Permille, ("Tỷ lệ xác nhận đúng hạn", "按时签收率", "Share acknowledged on time")),
        (G::NotCounted, "not-counted.exercise-and-test", EachAndSum, Count, ("Tin diễn tập và thử", "演习与测试信息", "Messages of exercises and tests")),
    ]
};

/// Categories of cases; the first is all of them together.
#[rustfmt::skip] // one figure a line
const CATEGORIES: [(CaseCategory, &str, Texts); 11] = {
    use CaseCategory as C;
    [
        (C::IllegalEntryExit, "illegal-entry-exit", ("Xuất nhập cảnh trái phép", "非法出入境", "Illegal entry or exit")),
        (C::OrganisingIllegalEntryExit, "organising-illegal-entry-exit", ("Tổ chức xuất nhập cảnh trái phép", "组织非法出入境", "Organising illegal entry or exit")),
        (C::UnlawfulResidence, "unlawful-residence", ("Cư trú trái phép", "非法居留", "Unlawful residence")),
        (C::IllegalLabour, "illegal-labour", ("Lao động trái phép", "非法务工", "Illegal labour")),
        (C::Smuggling, "smuggling", ("Buôn lậu", "走私", "Smuggling")),
        (C::Drugs, "drugs", ("Ma túy", "毒品", "Drugs")),
        (C::Arms, "arms", ("Vũ khí", "武器", "Arms")),
        (C::HumanTrafficking, "human-trafficking", ("Mua bán người", "拐卖人口", "Human trafficking")),
        (C::OnlineFraud, "online-fraud", ("Lừa đảo trực tuyến", "网络诈骗", "Online fraud")),
        (C::Fireworks, "fireworks", ("Pháo nổ", "烟花爆竹", "Fireworks")),
        (C::Other, "other", ("Loại khác", "其他", "Other")),
    ]
};

#[rustfmt::skip] // one figure a line
const ACTIVITIES: [(ActivityType, &str, Texts); 5] = {
    use ActivityType as A;
    [
        (A::LegalEducation, "legal-education", ("Tuyên truyền pháp luật", "法治宣传", "Legal education")),
        (A::Twinning, "twinning", ("Kết nghĩa", "结对共建", "Twinning")),
        (A::CulturalExchange, "cultural-exchange", ("Giao lưu văn hóa", "文化交流", "Cultural exchange")),
        (A::YouthExchange, "youth-exchange", ("Giao lưu thanh niên", "青年交流", "Youth exchange")),
        (A::Other, "other", ("Hoạt động khác", "其他活动", "Other activities")),
    ]
};

const ALL_CATEGORIES: Texts = ("Mọi vụ việc", "全部案件", "All cases");
const ALL_ACTIVITIES: Texts = ("Mọi hoạt động", "全部活动", "All activities");
const OF_A_NEWER_VERSION: Texts = ("Loại mới chưa biết", "新版本类别", "Of a newer version");

const CASE_MEASURES: [(&str, Texts); 4] = [
    ("cases", ("số vụ", "案件", "cases")),
    ("persons", ("số người", "人员", "persons")),
    ("suspects", ("nghi phạm", "嫌疑人", "suspects")),
    ("prosecutions", ("khởi tố", "起诉", "prosecutions")),
];

const ACTIVITY_MEASURES: [(&str, Texts); 2] = [
    ("events", ("số lần", "场次", "events")),
    (
        "participants",
        ("người tham gia", "参加人数", "participants"),
    ),
];

fn build() -> Vec<Definition> {
    let mut all = Vec::new();
    for group in Group::ALL {
        for (of, name, sides, unit, (vi, zh, en)) in SINGLE {
            if *of == group {
                all.push(Definition {
                    name: (*name).to_owned(),
                    group,
                    unit: *unit,
                    label: label(vi, zh, en),
                    sides: *sides,
                });
            }
        }
        if group == Group::Cases {
            let named = CATEGORIES.iter().map(|(_, name, texts)| (*name, *texts));
            let subjects = [("all", ALL_CATEGORIES)].into_iter().chain(named);
            let subjects = subjects.chain([("unknown", OF_A_NEWER_VERSION)]);
            product(group, "cases", subjects, &CASE_MEASURES, &mut all);
        }
        if group == Group::Activities {
            let named = ACTIVITIES.iter().map(|(_, name, texts)| (*name, *texts));
            let subjects = [("all", ALL_ACTIVITIES)].into_iter().chain(named);
            let subjects = subjects.chain([("unknown", OF_A_NEWER_VERSION)]);
            product(group, "activities", subjects, &ACTIVITY_MEASURES, &mut all);
        }
    }
    all
}

/// One figure for each subject and measure.
fn product(
    group: Group,
    prefix: &str,
    subjects: impl Iterator<Item = (&'static str, Texts)>,
    measures: &[(&str, Texts)],
    all: &mut Vec<Definition>,
) {
    for (subject, of) in subjects {
        for (measure, what) in measures {
            all.push(Definition {
                name: format!("{prefix}.{subject}.{measure}"),
                group,
                unit: Unit::Count,
                label: Label {
                    vi: format!("{}: {}", of.0, what.0),
                    zh: format!("{}：{}", of.1, what.1),
                    en: format!("{}: {}", of.2, what.2),
                },
                sides: Sides::EachAndSum,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::limits::REPORT_FIGURES_MAX;

    #[test]
    fn names_are_words_and_there_once() {
        let names: BTreeSet<&str> = all().iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names.len(), all().len());
        for name in names {
            let is_part = |part: &str| {
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                !part.is_empty() && part.bytes().all(plain)
            };
            assert!(name.split('.').all(is_part), "{name}");
        }
    }

    #[test]
    fn every_figure_fits_a_period_report() {
        let figures: usize = all().iter().map(|d| d.whose().count()).sum();
        assert!(figures <= REPORT_FIGURES_MAX, "{figures}");
    }

    #[test]
    fn every_category_and_activity_has_a_name() {
        for number in 1..=11 {
            assert_ne!(category_name(number), "unknown", "{number}");
            assert!(CaseCategory::try_from(number).is_ok());
        }
        assert!(CaseCategory::try_from(12).is_err());
        for number in 1..=5 {
            assert_ne!(activity_name(number), "unknown", "{number}");
        }
        assert!(ActivityType::try_from(6).is_err());
        assert_eq!(
            (category_name(99), activity_name(0)),
            ("unknown", "unknown")
        );
    }

    #[test]
    fn every_label_is_in_three_languages() {
        let groups = Group::ALL.map(Group::label);
        for label in all().iter().map(|d| &d.label).chain(&groups) {
            assert!(!label.vi.is_ascii(), "{label:?}");
            assert!(
                label
                    .zh
                    .chars()
                    .any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
            );
            assert!(label.en.is_ascii() && !label.en.is_empty());
        }
    }
}
