//! Who speaks: two pairs of authorities, their offices and officers. All of them are invented.

use super::Side;
use crate::model::NodeName;
use crate::proto::v1;

/// A pair.
#[derive(Debug)]
pub(super) struct Cast {
    /// For people.
    pub(super) pair: &'static str,
    /// The Vietnamese and the Chinese side.
    pub(super) sides: [Member; 2],
}

/// One side of a pair.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) place: &'static str,
    node: &'static str,
    /// The sample calendar of 2025.
    pub(super) calendar: &'static str,
    /// The sample calendar of 2026.
    pub(super) next_calendar: &'static str,
    /// The command first, then posts.
    pub(super) offices: &'static [&'static str],
    pub(super) officers: &'static [(&'static str, &'static str)],
    pub(super) phone: &'static str,
    /// What stands around the number of a letter.
    pub(super) letters: (&'static str, &'static str),
    pub(super) basis: &'static str,
}

impl Member {
    pub(super) fn node_name(&self) -> NodeName {
        NodeName::parse(self.node).expect("the names of the samples are node names")
    }
}

impl Cast {
    pub(super) const fn of(&self, side: Side) -> &Member {
        &self.sides[side.slot()]
    }

    /// An officer of a side at one of its offices.
    pub(super) fn officer(&self, side: Side, number: usize, office: usize) -> v1::Officer {
        let member = self.of(side);
        let (name, rank) = member.officers[number % member.officers.len()];
        v1::Officer {
            name: name.to_owned(),
            rank: rank.to_owned(),
            office: self.office(side, office).to_owned(),
            phone: format!("{}{}", member.phone, number % member.officers.len() + 1),
        }
    }

    pub(super) fn office(&self, side: Side, number: usize) -> &'static str {
        let offices = self.of(side).offices;
        offices[number % offices.len()]
    }
}

const VN_BASIS: &str = "Hiệp định về Quy chế quản lý biên giới trên đất liền Việt Nam – Trung Quốc \
                        (viện dẫn mẫu)";
const CN_BASIS: &str = "《中越陆地边界管理制度协定》（示例引用）";

const VN_OFFICERS: &[(&str, &str)] = &[
    ("Trần Văn Mẫu", "Trung tá"),
    ("Lê Thị Thí Dụ", "Đại úy"),
    ("Nguyễn Văn Mẫu", "Thiếu tá"),
    ("Hoàng Thị Mẫu", "Thượng úy"),
    ("Phạm Văn Thí Dụ", "Đại tá"),
];
const CN_OFFICERS: &[(&str, &str)] = &[
    ("陈示例", "二级警督"),
    ("王样本", "一级警司"),
    ("周范例", "一级警督"),
    ("李样本", "二级警司"),
    ("黄示例", "三级警监"),
];

const fn vn(
    place: &'static str,
    node: &'static str,
    offices: &'static [&'static str],
    letters: (&'static str, &'static str),
) -> Member {
    Member {
        place,
        node,
        calendar: "vn-2025",
        next_calendar: "vn-2026",
        offices,
        officers: VN_OFFICERS,
        phone: "+84 000 000 00",
        letters,
        basis: VN_BASIS,
    }
}

const fn cn(
    place: &'static str,
    node: &'static str,
    offices: &'static [&'static str],
    letters: (&'static str, &'static str),
) -> Member {
    Member {
        place,
        node,
        calendar: "cn-2025",
        next_calendar: "cn-2026",
        offices,
        officers: CN_OFFICERS,
        phone: "+86 000 0000 000",
        letters,
        basis: CN_BASIS,
    }
}

pub(super) const LANGSON_GUANGXI: Cast = Cast {
    pair: "Lạng Sơn–Guangxi",
    sides: [
        vn(
            "Lạng Sơn",
            "langson.bg.vn.example",
            &[
                "Bộ Chỉ huy Bộ đội Biên phòng tỉnh Lạng Sơn (MẪU)",
                "Đồn Biên phòng Cửa khẩu quốc tế Hữu Nghị (MẪU)",
                "Đồn Biên phòng Cửa khẩu Chi Ma (MẪU)",
                "Đồn Biên phòng Bình Nghi (MẪU)",
            ],
            ("", "/2025/CV-BCHBP (MẪU)"),
        ),
        cn(
            "Guangxi",
            "guangxi.ni.cn.example",
            &[
                "广西出入境边防检查总站（示例）",
                "友谊关出入境边防检查站（示例）",
                "爱店出入境边防检查站（示例）",
                "平而关边境管理站（示例）",
            ],
            ("桂边检函〔2025〕", "号（示例）"),
        ),
    ],
};

pub(super) const LAOCAI_HONGHE: Cast = Cast {
    pair: "Lào Cai–Honghe",
    sides: [
        vn(
            "Lào Cai",
            "laocai.bg.vn.example",
            &[
                "Bộ Chỉ huy Bộ đội Biên phòng tỉnh Lào Cai (MẪU)",
                "Đồn Biên phòng Cửa khẩu quốc tế Lào Cai (MẪU)",
                "Đồn Biên phòng Si Ma Cai (MẪU)",
            ],
            ("", "/2025/CV-BPLC (MẪU)"),
        ),
        cn(
            "Honghe",
            "honghe.ni.cn.example",
            &[
                "红河边境管理支队（示例）",
                "河口出入境边防检查站（示例）",
                "金平边境管理大队（示例）",
            ],
            ("红边函〔2025〕", "号（示例）"),
        ),
    ],
};
