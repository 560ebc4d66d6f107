//! A handover request for many persons, the same every time it is made.
//!
//! Sizes as on record: 110 persons were handed over at once in September 2022.

use std::collections::BTreeMap;

use prost_types::Timestamp;

use crate::model::mrz;
use crate::proto::v1;
use crate::proto::v1::body::Body;

/// Whose nationals the persons of a batch are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum People {
    /// Handed over to Viet Nam; the Chinese side asks.
    Vietnamese,
    /// Handed over to China; the Vietnamese side asks.
    Chinese,
}

/// A part of a name: native, Latin letters.
type Part = (&'static str, &'static str);

const VIETNAMESE: ([Part; 6], [Part; 7]) = (
    [
        ("Nguyễn", "NGUYEN"),
        ("Trần", "TRAN"),
        ("Lê", "LE"),
        ("Phạm", "PHAM"),
        ("Hoàng", "HOANG"),
        ("Vũ", "VU"),
    ],
    [
        ("Văn An", "VAN AN"),
        ("Thị Bình", "THI BINH"),
        ("Văn Cường", "VAN CUONG"),
        ("Thị Dung", "THI DUNG"),
        ("Đức Huy", "DUC HUY"),
        ("Thị Lan", "THI LAN"),
        ("Minh Quân", "MINH QUAN"),
    ],
);
const CHINESE: ([Part; 6], [Part; 7]) = (
    [
        ("王", "WANG"),
        ("李", "LI"),
        ("张", "ZHANG"),
        ("刘", "LIU"),
        ("陈", "CHEN"),
        ("杨", "YANG"),
    ],
    [
        ("建国", "JIANGUO"),
        ("秀英", "XIUYING"),
        ("伟", "WEI"),
        ("丽", "LI"),
        ("强", "QIANG"),
        ("敏", "MIN"),
        ("磊", "LEI"),
    ],
);

/// Every tenth person is the child of the one before.
const CHILD_EVERY: usize = 10;
/// Of every seventh person only the year of birth is known, of the next one the month.
const VAGUE_EVERY: usize = 7;
/// 2026-11-27T02:00:00Z.
const PROPOSED_AT_SECONDS: i64 = 1_795_744_800;

/// A handover request for `persons` persons, to be sent to `recipient`.
#[must_use]
pub fn handover_batch(recipient: &str, people: People, persons: usize) -> v1::Draft {
    let mut not_applicable = Vec::new();
    let manifest = handover_persons(people, 0, persons, &mut not_applicable);
    let (from_office, to_office) = match people {
        People::Vietnamese => (
            "河口出入境边防检查站（示例）",
            "Đồn Biên phòng Lào Cai (MẪU)",
        ),
        People::Chinese => (
            "Đồn Biên phòng Lào Cai (MẪU)",
            "河口出入境边防检查站（示例）",
        ),
    };
    let request = v1::HandoverRequest {
        common: Some(v1::Common {
            from_office: from_office.to_owned(),
            to_office: to_office.to_owned(),
            legal_basis: vec!["Hiệp định / 协定 (MẪU 示例)".to_owned()],
            languages: vec!["vi".to_owned(), "zh-Hans".to_owned()],
            not_applicable,
            ..v1::Common::default()
        }),
        persons: manifest,
        circumstances: Some(both(
            &format!("Danh sách mẫu gồm {persons} người không có giấy tờ cư trú hợp lệ."),
            &format!("示例名单，共{persons}人，均无有效居留证件。"),
        )),
        evidence: Some(both(
            "Giấy tờ tùy thân và lời khai, kèm theo từng người.",
            "身份证件及本人陈述，详见各人条目。",
        )),
        proposed_at: Some(Timestamp {
            seconds: PROPOSED_AT_SECONDS,
            nanos: 0,
        }),
        proposed_gate: Some(v1::Place {
            r#where: Some(v1::place::Where::Gate("lao-cai/hekou".to_owned())),
            description: None,
        }),
        transport: Some(both("Ba xe khách", "三辆大客车")),
        escorts: vec![v1::Officer {
            name: "Trần Văn Mẫu / 陈示例".to_owned(),
            rank: "Thiếu tá / 少校".to_owned(),
            office: from_office.to_owned(),
            phone: String::new(),
        }],
    };
    v1::Draft {
        recipient: recipient.to_owned(),
        precedence: v1::Precedence::Priority as i32,
        body: Some(v1::Body {
            body: Some(Body::HandoverRequest(request)),
        }),
        ..v1::Draft::default()
    }
}

/// So many persons, numbered from 1, and the fields of each that do not apply. `first` says where
/// in the endless list of invented persons they begin.
pub(super) fn handover_persons(
    people: People,
    first: usize,
    persons: usize,
    not_applicable: &mut Vec<String>,
) -> Vec<v1::HandoverPerson> {
    (0..persons)
        .map(|at| person(people, at, first + at, not_applicable))
        .collect()
}

/// The person at a place of a manifest; `index` is that of the list of invented persons.
fn person(
    people: People,
    at: usize,
    index: usize,
    not_applicable: &mut Vec<String>,
) -> v1::HandoverPerson {
    let mut leave_out = |field: &str| not_applicable.push(format!("persons[{at}].{field}"));
    for field in ["earlierNames", "photoSha256", "careNeeds"] {
        leave_out(field);
    }
    let has_needs = index % 25 == 4;
    if !has_needs {
        leave_out("medicalNeeds");
    }
    let number = number_of(at);
    // Nobody is the child of somebody who is not listed.
    let is_child = at > 0 && index % CHILD_EVERY == CHILD_EVERY - 1;
    let birth = Birth::of(index, is_child);
    // The given names of the lists alternate between the sexes.
    let sex = if given_name(index).is_multiple_of(2) {
        v1::Sex::Male
    } else {
        v1::Sex::Female
    };
    let document = document(people, index, &birth, sex);
    match &document {
        None => leave_out("document"),
        Some(document) if document.mrz.is_empty() => leave_out("document.mrz"),
        Some(_) => {}
    }
    let name = name(people, index);
    v1::HandoverPerson {
        number,
        earlier_names: Vec::new(),
        birth_date: birth.typed(index),
        birth_place: match people {
            People::Vietnamese => format!("Xã Mẫu {}, tỉnh Lào Cai (MẪU)", index % 9 + 1),
            People::Chinese => format!("云南省红河州示例镇{}", index % 9 + 1),
        },
        sex: sex as i32,
        nationality: state(people).to_owned(),
        parents: vec![v1::PersonName {
            native: format!("{} – cha mẹ / 父母", name.native),
            transliteration: String::new(),
        }],
        last_address: match people {
            People::Vietnamese => format!("Số {} đường Mẫu, tỉnh Lào Cai (MẪU)", index + 1),
            People::Chinese => format!("云南省红河州河口县示例路{}号", index + 1),
        },
        document,
        photo_sha256: bytes::Bytes::new(),
        care_needs: None,
        medical_needs: has_needs
            .then(|| both("Cần thuốc huyết áp hằng ngày.", "每日需服用降压药。")),
        route: v1::HandoverRoute::Return as i32,
        screening: Some(v1::ProtectionScreening {
            carried_out: true,
            minor: is_child,
            family_numbers: if is_child {
                vec![number - 1]
            } else {
                Vec::new()
            },
            ..v1::ProtectionScreening::default()
        }),
        name: Some(name),
    }
}

/// A date of birth, as printed in full and as known to the form.
struct Birth {
    year: usize,
    month: usize,
    day: usize,
}

impl Birth {
    fn of(index: usize, is_child: bool) -> Self {
        let year = if is_child { 2012 } else { 1965 };
        Self {
            year: year + index * 7 % if is_child { 8 } else { 38 },
            month: index * 5 % 12 + 1,
            day: index * 11 % 28 + 1,
        }
    }

    fn typed(&self, index: usize) -> String {
        match index % VAGUE_EVERY {
            5 => format!("{:04}", self.year),
            6 => format!("{:04}-{:02}", self.year, self.month),
            _ => format!("{:04}-{:02}-{:02}", self.year, self.month, self.day),
        }
    }

    fn printed(&self) -> String {
        format!("{:02}{:02}{:02}", self.year % 100, self.month, self.day)
    }
}

/// Passports, cards, border passes without a zone, and nothing at all, in turn.
fn document(
    people: People,
    index: usize,
    birth: &Birth,
    sex: v1::Sex,
) -> Option<v1::TravelDocument> {
    let state = state(people);
    let name = name(people, index).transliteration.replacen(' ', "<<", 1);
    let number = format!("X{index:07}");
    let card_number = format!("001099{index:06}");
    let fields = mrz::Fields {
        document_code: "P",
        issuer: state,
        number: &number,
        nationality: state,
        birth_date: &birth.printed(),
        sex: if sex == v1::Sex::Male { 'M' } else { 'F' },
        expiry_date: "310228",
        optional: "",
        name: &name.replace(' ', "<"),
    };
    let (kind, number, zone) = match (index % 4, people) {
        (0, _) | (1, People::Chinese) => ("passport", number.clone(), mrz::td3(&fields).to_vec()),
        (1, People::Vietnamese) => {
            let card = mrz::Fields {
                document_code: "ID",
                number: &card_number[3..],
                optional: &card_number,
                ..fields
            };
            let zone = mrz::td1(&card).to_vec();
            ("identity card", card_number.clone(), zone)
        }
        (2, _) => ("border pass", format!("GTH{index:05}"), Vec::new()),
        _ => return None,
    };
    Some(v1::TravelDocument {
        r#type: kind.to_owned(),
        number,
        issuer: state.to_owned(),
        mrz: zone,
    })
}

fn name(people: People, index: usize) -> v1::PersonName {
    let (families, given) = match people {
        People::Vietnamese => &VIETNAMESE,
        People::Chinese => &CHINESE,
    };
    let family = families[index % families.len()];
    let given = given[given_name(index)];
    let number = number_of(index);
    let (native, mark) = match people {
        People::Vietnamese => (format!("{} {} (MẪU {number:03})", family.0, given.0), "MAU"),
        People::Chinese => (
            format!("{}{}（示例{number:03}）", family.0, given.0),
            "SHILI",
        ),
    };
    v1::PersonName {
        native,
        transliteration: format!("{} {} {mark}", family.1, given.1),
    }
}

fn given_name(index: usize) -> usize {
    (index / 6 + index) % 7
}

fn number_of(index: usize) -> u32 {
    u32::try_from(index + 1).unwrap_or(u32::MAX)
}

fn state(people: People) -> &'static str {
    match people {
        People::Vietnamese => "VNM",
        People::Chinese => "CHN",
    }
}

fn both(vietnamese: &str, chinese: &str) -> v1::LocalizedText {
    v1::LocalizedText {
        texts: BTreeMap::from([
            ("vi".to_owned(), vietnamese.to_owned()),
            ("zh-Hans".to_owned(), chinese.to_owned()),
        ]),
    }
}
