//! Handovers, case by case: asked for, decided person by person, scheduled, recorded, signed by
//! the receiver, closed. With what does not go smoothly, which changes no published figure.

use super::Side;
use super::script::{DAY, HOUR, MINUTE, Ref, Script, at_gate, both, time, without};
use crate::model::sample::{People, handover_persons};
use crate::model::workflow::Millis;
use crate::proto::v1;
use crate::proto::v1::body::Body;
use crate::proto::v1::{ClosureOutcome, HandoverOutcome, Precedence, Stance, Status};

/// Persons of the largest batch.
const BATCH: u32 = 41;

/// Who is in a case beside those who are simply handed over, each the last of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Also {
    Nobody,
    /// Refused: no national.
    Refused,
    /// Taken over, disputed and given back.
    Disputed,
    /// Claims protection, and is protected.
    Claimant,
}

/// Who is among those who are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Among {
    Adults,
    /// The first is an unaccompanied minor.
    Minor,
    /// The first is a victim of trafficking.
    Victim,
}

/// A case as it will go.
#[derive(Debug, Clone, Copy)]
struct Plan {
    holder: Side,
    number: usize,
    at: Millis,
    /// Persons who are handed over for good.
    persons: u32,
    /// Where they begin in the list of invented persons.
    first: usize,
    also: Also,
    among: Among,
}

impl Plan {
    fn all(&self) -> u32 {
        self.persons + u32::from(self.also != Also::Nobody)
    }

    fn last(&self) -> u32 {
        self.all()
    }

    fn office(&self) -> usize {
        1 + self.number % 2
    }

    /// Who goes over the line: everybody but a claimant and whoever is refused.
    fn moved(&self) -> Vec<u32> {
        let goes = matches!(self.also, Also::Nobody | Also::Disputed);
        let last = if goes { self.all() } else { self.persons };
        (1..=last).collect()
    }
}

/// Hands so many persons over in so many cases.
pub(super) fn hand_over(script: &mut Script, holder: Side, cases: usize, persons: u32) {
    let sizes = if persons > 4 * BATCH {
        let mut sizes = script.dice.parts(persons - BATCH, cases - 1, 1);
        sizes.insert(cases * 2 / 3, BATCH);
        sizes
    } else {
        script.dice.parts(persons, cases, 1)
    };
    let mut first = 0;
    for (number, persons) in sizes.into_iter().enumerate() {
        let plan = Plan {
            holder,
            number,
            at: script.office_time(holder, number, cases, 26),
            persons,
            first,
            also: match number % 19 {
                6 | 13 => Also::Refused,
                _ if holder == Side::Cn && number == 30 => Also::Disputed,
                _ if number == 9 => Also::Claimant,
                _ => Also::Nobody,
            },
            among: match number {
                4 => Among::Minor,
                11 => Among::Victim,
                _ => Among::Adults,
            },
        };
        first += usize::try_from(plan.all()).unwrap_or_default();
        case(script, &plan);
    }
}

fn case(script: &mut Script, plan: &Plan) {
    let (holder, asked) = (plan.holder, plan.holder.other());
    let (asking, manifest) = request(script, plan, None, plan.at);
    let noted = script.soon(asked, plan.at, (10, 300));
    let noted = script.acknowledge(&asking, noted, Status::Actual);
    let mut last = noted.at;
    match plan.number % 9 {
        4 => {
            last = script.soon(asked, last, (60, 400));
            let needed = decide(
                script,
                plan,
                &asking,
                last,
                HandoverOutcome::InformationNeeded,
            );
            last = script.soon(holder, needed.at, (120, 900));
            let text = both(
                "Bổ sung lời khai và địa chỉ cư trú (MẪU).",
                "补充陈述及住址（示例）。",
            );
            supplement(script, plan, &needed, last, manifest.0, manifest.1, text);
        }
        7 => {
            last = script.soon(asked, last, (60, 400));
            decide(script, plan, &asking, last, HandoverOutcome::Verifying);
        }
        _ => {}
    }
    if plan.also == Also::Claimant {
        last = script.soon(holder, last, (100, 500));
        claim(script, plan, &asking, last);
    }
    let at = script.in_days(asked, last, (1, 4)).max(last + HOUR);
    let at = script.days(asked).office(at);
    let accepted = decide(script, plan, &asking, at, HandoverOutcome::Accepted);
    let (agreed, moved_at) = schedule(script, plan, &accepted);
    let at = moved_at + script.dice.between(25, 90) * MINUTE;
    let given = record(script, plan, &agreed, at, moved_at, &plan.moved(), holder);
    let at = at + script.dice.between(20, 200) * MINUTE;
    let mut done = given.at.max(at);
    if plan.also == Also::Disputed {
        let reason = both(
            "Vân tay không khớp với hồ sơ (MẪU).",
            "指纹与档案不符（示例）。",
        );
        let person = v1::DisputedPerson {
            number: plan.last(),
            reason: Some(reason),
        };
        let signed = script.countersign(&given, at, vec![person], None);
        let back = script.soon(asked, signed.at, (200, 900));
        let at = back + 40 * MINUTE;
        let given_back = record(script, plan, &given, at, back, &[plan.last()], asked);
        let at = script.soon(holder, given_back.at, (15, 120));
        done = script.countersign(&given_back, at, Vec::new(), None).at;
    } else {
        script.countersign(&given, at, Vec::new(), None);
    }
    if plan.also == Also::Claimant {
        protect(script, plan, &asking, noted.at + 24 * DAY);
    }
    let by = script.a_side();
    let at = script.in_days(by, done + HOUR, (0, 3)).max(done + HOUR);
    if Script::is_in_year(at) {
        let numbers = match plan.also {
            Also::Claimant => plan.moved(),
            _ => (1..=plan.all()).collect(),
        };
        let outcome = ClosureOutcome::Resolved;
        script.close(by, &given, at, outcome, numbers, Status::Actual);
    }
}

/// What does not end in a handover: refused for all, withdrawn, replaced and withdrawn.
pub(super) fn special(script: &mut Script) {
    for number in 0..5 {
        let holder = Side::BOTH[number % 2];
        let plan = Plan {
            holder,
            number,
            at: script.office_time(holder, number, 5, 40),
            persons: 2,
            first: 900 + 2 * number,
            also: Also::Nobody,
            among: Among::Adults,
        };
        let (asking, _) = request(script, &plan, None, plan.at);
        let asked = holder.other();
        let noted = script.soon(asked, plan.at, (10, 300));
        script.acknowledge(&asking, noted, Status::Actual);
        if number < 2 {
            let at = script.in_days(asked, noted, (2, 4)).max(noted + HOUR);
            let refused = decide(script, &plan, &asking, at, HandoverOutcome::Refused);
            let at = script.soon(holder, refused.at, (100, 900));
            let outcome = ClosureOutcome::NothingFurther;
            script.close(holder, &refused, at, outcome, Vec::new(), Status::Actual);
            continue;
        }
        let mut last = asking;
        let mut at = script.soon(holder, noted, (100, 600));
        if number == 4 {
            (last, _) = request(script, &plan, Some(&last), at);
            at = script.soon(holder, at, (300, 900));
        }
        let reason = both(
            "Những người này đã tự xuất cảnh hợp pháp (MẪU).",
            "上述人员已自行合法出境（示例）。",
        );
        script.withdraw(&last, at, reason);
    }
}

type Manifest = (v1::HandoverPerson, Vec<String>);

/// Asks, and gives back the first person with the fields that do not apply.
fn request(
    script: &mut Script,
    plan: &Plan,
    replaces: Option<&Ref>,
    at: Millis,
) -> (Ref, Manifest) {
    let by = plan.holder;
    // They are nationals of the side that is asked.
    let people = match by {
        Side::Vn => People::Chinese,
        Side::Cn => People::Vietnamese,
    };
    let count = usize::try_from(plan.all()).unwrap_or_default();
    let mut not_applicable = Vec::new();
    let mut persons = handover_persons(people, plan.first, count, &mut not_applicable);
    let first = &mut persons[0];
    match plan.among {
        Among::Adults => {}
        Among::Minor => {
            first.document = None;
            "2011".clone_into(&mut first.birth_date);
            not_applicable.retain(|field| !field.starts_with("persons[0].document"));
            not_applicable.push("persons[0].document".to_owned());
            if let Some(screening) = &mut first.screening {
                screening.minor = true;
                screening.unaccompanied = true;
                GUARDIAN.clone_into(&mut screening.receiving_guardian);
            }
        }
        Among::Victim => {
            first.route = v1::HandoverRoute::Victim.into();
            if let Some(screening) = &mut first.screening {
                screening.trafficking_indicator = true;
            }
        }
    }
    let of_first = not_applicable.iter();
    let of_first = of_first.filter(|field| field.starts_with("persons[0]."));
    let manifest = (persons[0].clone(), of_first.cloned().collect());
    let office = plan.office();
    let body = Body::HandoverRequest(v1::HandoverRequest {
        common: Some(v1::Common {
            not_applicable,
            ..script.common(by, office)
        }),
        persons,
        circumstances: Some(both(
            &format!("{count} người không có giấy tờ cư trú hợp lệ (MẪU)."),
            &format!("{count}人，均无有效居留证件（示例）。"),
        )),
        evidence: Some(both(
            "Giấy tờ tùy thân và lời khai, kèm theo từng người.",
            "身份证件及本人陈述，详见各人条目。",
        )),
        proposed_at: Some(time(script.days(by).office(at + 9 * DAY))),
        proposed_gate: Some(at_gate(script.gate(office))),
        transport: Some(both("Xe khách", "客车")),
        escorts: vec![script.cast.officer(by, plan.number, office)],
    });
    let mut draft = v1::Draft {
        precedence: Precedence::Priority.into(),
        handling: Some(restricted()),
        respond_by: Some(time(script.days(by).office(at + 10 * DAY))),
        ..script.draft(by, body)
    };
    if let Some(before) = replaces {
        draft.supersedes.clone_from(&before.id);
    }
    (script.say(at, by, draft), manifest)
}

const GUARDIAN: &str = "Trung tâm bảo trợ trẻ em (MẪU) / 儿童福利机构（示例）";
const VICTIM_AUTHORITY: &str = "Cơ quan hỗ trợ nạn nhân (MẪU) / 被害人救助机构（示例）";

const fn restricted() -> v1::Handling {
    v1::Handling {
        classification: v1::Classification::Restricted as i32,
        code: v1::HandlingCode::H1 as i32,
    }
}

/// Decides: what is asked or looked into concerns the first person, a refusal everybody, an
/// acceptance everybody but those who are not to go.
fn decide(
    script: &mut Script,
    plan: &Plan,
    asking: &Ref,
    at: Millis,
    outcome: HandoverOutcome,
) -> Ref {
    let by = plan.holder.other();
    let numbers = match outcome {
        HandoverOutcome::InformationNeeded | HandoverOutcome::Verifying => 1..=1,
        _ if plan.also == Also::Claimant => 1..=plan.persons,
        _ => 1..=plan.all(),
    };
    let decisions = numbers.map(|number| {
        let is_refused = plan.also == Also::Refused
            && outcome == HandoverOutcome::Accepted
            && number == plan.last();
        let outcome = if is_refused {
            HandoverOutcome::Refused
        } else {
            outcome
        };
        v1::HandoverDecision {
            number,
            outcome: outcome.into(),
            valid_until: (outcome == HandoverOutcome::Accepted).then(|| time(at + 30 * DAY)),
            reason: match outcome {
                HandoverOutcome::Refused => Some(both(
                    "Không tra cứu được hộ tịch; chưa xác nhận là công dân (MẪU).",
                    "未查到户籍，无法确认国籍（示例）。",
                )),
                HandoverOutcome::InformationNeeded => Some(both(
                    "Đề nghị bổ sung địa chỉ cư trú cuối cùng.",
                    "请补充最后住址。",
                )),
                _ => None,
            },
        }
    });
    let body = Body::HandoverReply(v1::HandoverReply {
        decisions: decisions.collect(),
        common: Some(script.common(by, plan.office())),
        remark: Some(both("Đề nghị bàn giao đúng giờ.", "请按时移交。")),
        decided_by: Some(script.cast.officer(by, plan.number, plan.office())),
    });
    let mut draft = script.answer(by, asking, body);
    draft.handling = Some(restricted());
    script.say(at, by, draft)
}

fn supplement(
    script: &mut Script,
    plan: &Plan,
    to: &Ref,
    at: Millis,
    person: v1::HandoverPerson,
    not_applicable: Vec<String>,
    statement: v1::LocalizedText,
) -> Ref {
    let by = plan.holder;
    let body = Body::HandoverSupplement(v1::HandoverSupplement {
        common: Some(v1::Common {
            not_applicable,
            ..script.common(by, plan.office())
        }),
        persons: vec![person],
        statement: Some(statement),
    });
    let mut draft = script.answer(by, to, body);
    draft.handling = Some(restricted());
    script.say(at, by, draft)
}

/// The last of the manifest claims protection: from now on nobody is told who it is.
fn claim(script: &mut Script, plan: &Plan, asking: &Ref, at: Millis) {
    let claimant = v1::HandoverPerson {
        number: plan.last(),
        sex: v1::Sex::Female.into(),
        screening: Some(v1::ProtectionScreening {
            carried_out: true,
            protection_claim: true,
            ..v1::ProtectionScreening::default()
        }),
        route: v1::HandoverRoute::Return.into(),
        ..v1::HandoverPerson::default()
    };
    let not_applicable = ["persons[0].careNeeds", "persons[0].medicalNeeds"];
    let statement = both(
        "Người này nói là sợ bị trả về; việc bàn giao dừng lại cho đến khi cơ quan có thẩm quyền \
         quyết định.",
        "此人表示害怕被送回，在主管机关作出决定前暂停移交。",
    );
    let not_applicable = not_applicable.map(str::to_owned).to_vec();
    supplement(
        script,
        plan,
        asking,
        at,
        claimant,
        not_applicable,
        statement,
    );
}

fn protect(script: &mut Script, plan: &Plan, asking: &Ref, at: Millis) {
    let by = plan.holder;
    let at = script.days(by).office(at);
    let (authority, number) = match by {
        Side::Vn => ("Cơ quan xét đơn xin bảo vệ (MẪU)", "12/QĐ-BV (MẪU)"),
        Side::Cn => ("保护申请审查机关（示例）", "〔2025〕12号（示例）"),
    };
    let body = Body::ProtectionDecision(v1::ProtectionDecision {
        common: Some(script.common(by, plan.office())),
        numbers: vec![plan.last()],
        authority: authority.to_owned(),
        decision_number: number.to_owned(),
        decided_at: Some(time(at - 2 * HOUR)),
        outcome: v1::ProtectionOutcome::Protected.into(),
        remark: Some(both(
            "Người này ở lại và không được bàn giao.",
            "此人留下，不予移交。",
        )),
    });
    let mut draft = script.answer(by, asking, body);
    draft.handling = Some(restricted());
    script.say(at, by, draft);
}

/// Proposes when, counters now and then, agrees; with when it was agreed to be.
fn schedule(script: &mut Script, plan: &Plan, accepted: &Ref) -> (Ref, Millis) {
    let (holder, asked) = (plan.holder, plan.holder.other());
    let at = script.soon(holder, accepted.at, (60, 900));
    let is_short = plan.number % 31 == 17;
    let lead = if is_short { 26 * HOUR } else { 3 * DAY };
    let mut moved_at = script.days(holder).office(at + lead);
    let mut table = propose(script, plan, holder, accepted, (at, moved_at), is_short);
    if script.dice.chance(15) {
        let at = script.soon(asked, at, (60, 400));
        moved_at = script.days(asked).office(at + 4 * DAY);
        table = propose(script, plan, asked, &table, (at, moved_at), false);
    }
    let minutes = if is_short { (10, 40) } else { (40, 400) };
    let at = table.at + script.dice.between(minutes.0, minutes.1) * MINUTE;
    script.respond(&table, at, Stance::Agreed, None);
    (table, moved_at.max(at + HOUR))
}

fn propose(
    script: &mut Script,
    plan: &Plan,
    by: Side,
    to: &Ref,
    (at, moved_at): (Millis, Millis),
    is_short: bool,
) -> Ref {
    let numbers = match plan.also {
        Also::Refused | Also::Claimant => (1..=plan.persons).collect(),
        _ => plan.moved(),
    };
    let office = plan.office();
    let body = Body::HandoverSchedule(v1::HandoverSchedule {
        common: Some(without(script.common(by, office), &[])),
        numbers,
        scheduled_at: Some(time(moved_at)),
        gate: Some(at_gate(script.gate(office))),
        transport: Some(both("Xe khách", "客车")),
        escorts: vec![script.cast.officer(plan.holder, plan.number, office)],
        short_notice_reason: is_short.then(|| both("Người cần chữa bệnh sớm.", "有人急需就医。")),
    });
    let draft = script.answer(by, to, body);
    script.say(at, by, draft)
}

/// The giver records who was handed over, or given back.
fn record(
    script: &mut Script,
    plan: &Plan,
    to: &Ref,
    at: Millis,
    moved_at: Millis,
    numbers: &[u32],
    giver: Side,
) -> Ref {
    let office = plan.office();
    let persons = numbers.iter().map(|number| v1::HandedOverPerson {
        number: *number,
        condition: Some(both("Khỏe, không có thương tích.", "健康，无外伤。")),
        belongings: vec!["một túi vải / 布袋一个".to_owned()],
        receiving_guardian: match plan.among {
            Among::Minor if *number == 1 => GUARDIAN.to_owned(),
            _ => String::new(),
        },
        victim_authority: match plan.among {
            Among::Victim if *number == 1 => VICTIM_AUTHORITY.to_owned(),
            _ => String::new(),
        },
    });
    let body = Body::HandoverRecord(v1::HandoverRecord {
        common: Some(without(script.common(giver, office), &["remark"])),
        handed_over_at: Some(time(moved_at + 10 * MINUTE)),
        gate: Some(at_gate(script.gate(office))),
        given_by: Some(script.cast.officer(giver, plan.number, office)),
        received_by: Some(script.cast.officer(giver.other(), plan.number, office)),
        persons: persons.collect(),
        is_return: giver != plan.holder,
        remark: None,
    });
    let mut draft = script.answer(giver, to, body);
    draft.handling = Some(restricted());
    script.say(at, giver, draft)
}
