//! Information on cases, in counts that add up to what was published.

use super::dice::by_weight;
use super::script::{DAY, MINUTE, Script, both, time, without};
use super::{BEGINS_AT, Side};
use crate::model::workflow::Millis;
use crate::proto::v1;
use crate::proto::v1::CaseCategory;
use crate::proto::v1::body::Body;

/// Cases, persons, prosecutions and suspects of one notice.
type Counts = [u32; 4];

/// Tells of illegal entry and exit in so many notices: cases, persons, prosecutions, suspects.
pub(super) fn tell_of_entry(script: &mut Script, notices: usize, totals: Counts) {
    let [cases, persons, prosecutions, suspects] = totals;
    let cases = script.dice.parts(cases, notices, 1);
    let weights = |of: &[u32]| of.iter().map(|part| u64::from(*part)).collect::<Vec<_>>();
    // At least a person for each case, the rest by size.
    let rest = persons - cases.iter().sum::<u32>();
    let persons = by_weight(rest, &weights(&cases));
    let prosecutions = by_weight(prosecutions, &weights(&cases));
    let suspects = by_weight(suspects, &weights(&prosecutions));
    for number in 0..notices {
        let counts = [
            cases[number],
            cases[number] + persons[number],
            prosecutions[number],
            suspects[number],
        ];
        tell(
            script,
            CaseCategory::IllegalEntryExit,
            number,
            notices,
            counts,
        );
    }
}

/// Tells of other cases in so many notices: cases, and the suspects in them.
pub(super) fn tell_of_goods(
    script: &mut Script,
    category: CaseCategory,
    notices: usize,
    [cases, suspects]: [u32; 2],
) {
    let cases = script.dice.parts(cases, notices, 1);
    let weights: Vec<u64> = cases.iter().map(|part| u64::from(*part)).collect();
    let rest = suspects - cases.iter().sum::<u32>();
    let more = by_weight(rest, &weights);
    for number in 0..notices {
        let suspects = cases[number] + more[number];
        let counts = [cases[number], suspects, 0, suspects];
        tell(script, category, number, notices, counts);
    }
}

fn tell(script: &mut Script, category: CaseCategory, number: usize, of: usize, counts: Counts) {
    let [cases, persons, prosecutions, suspects] = counts;
    let by: Side = script.a_side();
    let at = script.office_time(by, number, of, 4);
    let to = at - script.dice.between(30, 600) * MINUTE;
    let from: Millis = (to - 7 * DAY).max(BEGINS_AT);
    let office = script.dice.below(4);
    let common = without(script.common(by, office), &["place", "request"]);
    let body = Body::CaseNotice(v1::CaseNotice {
        common: Some(common),
        category: category.into(),
        from: Some(time(from)),
        to: Some(time(to)),
        place: None,
        cases,
        persons,
        suspects,
        prosecutions,
        description: Some(both(
            "Số liệu trong tuần; chi tiết từng vụ được trao đổi riêng (MẪU).",
            "本周数据，各案详情另行通报（示例）。",
        )),
        request: None,
    });
    let draft = script.draft(by, body);
    let sent = script.say(at, by, draft);
    if script.dice.chance(60) {
        let at = script.soon(by.other(), at, (15, 400));
        script.acknowledge(&sent, at, v1::Status::Actual);
    }
}
