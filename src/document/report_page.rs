//! The page of a report: tables by group, bars by month, and what the figures rest on.

use super::chart::{self, Bars};
use super::html::{Frame, Html, page as frame};
use super::report::{Report, Row, value};
use super::words::Label;
use crate::model::report;
use crate::model::report::Group;
use crate::proto::v1;

const TITLE: Label = Label {
    vi: "Báo cáo thống kê",
    zh: "统计报告",
    en: "Statistical report",
};
const PERIOD: Label = Label {
    vi: "Kỳ báo cáo",
    zh: "报告期",
    en: "Period",
};
const ZONE: Label = Label {
    vi: "Múi giờ",
    zh: "时区",
    en: "Time zone",
};
const COUNTED: Label = Label {
    vi: "Số mục đã tính",
    zh: "已计条目",
    en: "Entries counted",
};
const FIGURE: Label = Label {
    vi: "Chỉ tiêu",
    zh: "指标",
    en: "Figure",
};
const BOTH: Label = Label {
    vi: "Hai bên",
    zh: "双方",
    en: "Both",
};
const BY_MONTH: Label = Label {
    vi: "Theo tháng",
    zh: "按月",
    en: "By month",
};
const NOT_COMPUTABLE: Label = Label {
    vi: "Không tính được",
    zh: "无法计算",
    en: "Not computable",
};
const WHAT_COUNTS: Label = Label {
    vi: "Chỉ tính tin thật, không tính tin bị từ chối, rút lại hoặc thay thế; diễn tập và thử tính riêng. Chỉ tiêu của một loại không có vụ nào thì bỏ qua.",
    zh: "仅统计实际信息，被拒收、撤回或被替代的不计；演习与测试单列。无案件的类别从略。",
    en: "Only real messages count, not those refused, withdrawn or superseded; exercises and tests stand apart. Categories without any case are left out.",
};
const NOT_DELIVERED: Label = Label {
    vi: "Mục đã ghi nhưng bên kia chưa nhận, chưa tính",
    zh: "已记录但对方尚未收到、未计入的条目",
    en: "Entries recorded here that the other side does not hold yet, not counted",
};

/// What is drawn month by month: a group, a name, and whether the two sides are told apart.
const DRAWN: [(Group, &str, bool); 7] = [
    (Group::Correspondence, "letters", true),
    (Group::Correspondence, "calls", true),
    (Group::Meetings, "meetings.face-to-face", false),
    (Group::Patrols, "patrols.officers", true),
    (Group::Handover, "handover.persons", true),
    (Group::Cases, "cases.all.cases", true),
    (Group::Alerts, "alerts", true),
];

pub(super) fn page(report: &Report<'_>) -> String {
    let answer = report.answer;
    let title = format!("{} {}", TITLE.en, report.period());
    let footer = format!("{} – {} · {}", answer.node, answer.peer, report.period());
    let surroundings = Frame {
        language: "en",
        title: &title,
        css: include_str!("report.css"),
        class: "report",
        header: "",
        footer: &footer,
    };
    frame(&surroundings, |html| {
        html.element("h1", |html| TITLE.write(html));
        html.class("p", "between", |html| {
            html.isolated(&answer.node);
            html.text(" – ");
            html.isolated(&answer.peer);
        });
        facts(html, report);
        for group in Group::ALL {
            let rows = report.rows(group);
            if !rows.is_empty() {
                html.element("section", |html| section(html, report, group, &rows));
            }
        }
        notes(html, report);
    })
}

fn facts(html: &mut Html, report: &Report<'_>) {
    let answer = report.answer;
    html.class("table", "facts", |html| {
        fact(html, PERIOD, |html| html.text(&report.period()));
        fact(html, ZONE, |html| html.isolated(&answer.time_zone));
        fact(html, COUNTED, |html| {
            for log in &answer.logs {
                html.element("div", |html| {
                    html.isolated(&log.origin);
                    html.text(&format!(": {} · ", log.size));
                    html.class("span", "code", |html| html.text(&hex::encode(&log.root)));
                });
            }
        });
        if answer.not_delivered > 0 {
            fact(html, NOT_DELIVERED, |html| {
                html.text(&answer.not_delivered.to_string());
            });
        }
    });
}

fn fact(html: &mut Html, label: Label, content: impl FnOnce(&mut Html)) {
    html.element("tr", |html| {
        html.element("th", |html| label.write(html));
        html.element("td", content);
    });
}

/// A label of the catalogue in three languages; in a table the last two stand small below.
fn write_label(html: &mut Html, label: &report::Label, apart: bool) {
    html.with("span", &[("lang", "vi")], |html| html.text(&label.vi));
    let others = |html: &mut Html| {
        html.with("span", &[("lang", "zh-Hans")], |html| html.text(&label.zh));
        html.text(" · ");
        html.with("span", &[("lang", "en")], |html| html.text(&label.en));
    };
    if apart {
        html.class("span", "small", others);
    } else {
        html.text(" · ");
        others(html);
    }
}

fn section(html: &mut Html, report: &Report<'_>, group: Group, rows: &[Row<'_>]) {
    html.element("h2", |html| write_label(html, &group.label(), false));
    for (_, name, by_side) in DRAWN.iter().filter(|(of, ..)| *of == group) {
        months(html, report, name, *by_side);
    }
    let is_drawn = matches!(group, Group::Handover | Group::Cases);
    let most = rows.iter().map(|row| sum(row)).max().unwrap_or(0);
    html.class("table", "figures", |html| {
        html.element("thead", |html| {
            html.element("tr", |html| {
                html.element("th", |html| FIGURE.write(html));
                for side in [&report.answer.node, &report.answer.peer] {
                    html.class("th", "n", |html| html.isolated(side));
                }
                html.class("th", "n", |html| BOTH.write(html));
                if is_drawn {
                    html.class("th", "draw", |_| {});
                }
            });
        });
        html.element("tbody", |html| {
            for row in rows {
                html.element("tr", |html| {
                    html.element("th", |html| {
                        write_label(html, &row.definition.label, true);
                    });
                    for figure in row.figures {
                        html.class("td", "n", |html| number(html, figure));
                    }
                    if is_drawn {
                        html.class("td", "draw", |html| drawn_row(html, row, most));
                    }
                });
            }
        });
    });
}

fn number(html: &mut Html, figure: Option<&v1::ReportFigure>) {
    let Some(figure) = figure else { return };
    if figure.not_computable.is_empty() {
        html.text(&value(figure));
    } else {
        html.class("span", "missing", |html| html.text("?"));
        let why = [("class", "small")];
        html.with("span", &why, |html| html.text(&figure.not_computable));
    }
}

fn parts(row: &Row<'_>) -> [i64; 2] {
    let [own, peer, _] = row.figures;
    [own, peer].map(|figure| figure.and_then(|figure| figure.value).unwrap_or_default())
}

fn sum(row: &Row<'_>) -> i64 {
    parts(row).into_iter().fold(0, i64::saturating_add)
}

fn drawn_row(html: &mut Html, row: &Row<'_>, most: i64) {
    let [own, peer] = parts(row);
    let description = format!("{}: {own}, {peer}", row.definition.label.en);
    chart::lying(html, &[own, peer], most, &description);
}

/// A figure month by month, if there is anything to draw.
fn months(html: &mut Html, report: &Report<'_>, name: &str, by_side: bool) {
    let answer = report.answer;
    let sides: Vec<&str> = if by_side {
        vec![&answer.node, &answer.peer]
    } else {
        vec![""]
    };
    let figures: Vec<_> = sides.iter().map(|side| report.figure(name, side)).collect();
    let Some(names) = figures
        .iter()
        .flatten()
        .map(|figure| &figure.months)
        .find(|months| months.len() > 1)
    else {
        return;
    };
    let names: Vec<String> = names.iter().map(|month| month.month.clone()).collect();
    let series: Vec<Vec<i64>> = figures
        .iter()
        .map(|figure| {
            let months = figure.map_or(&[][..], |figure| &figure.months);
            months.iter().map(|month| month.value).collect()
        })
        .collect();
    let Some(label) = super::report::label_of(name) else {
        return;
    };
    html.class("div", "drawing", |html| {
        html.element("h3", |html| {
            write_label(html, label, false);
            html.text(" — ");
            BY_MONTH.write(html);
        });
        if by_side {
            html.class("p", "key", |html| {
                for (side, class) in sides.iter().zip(["series0", "series1"]) {
                    let view = [("viewBox", "0 0 1 1"), ("aria-hidden", "true")];
                    html.with("svg", &view, |html| {
                        let rect = [("class", class), ("width", "1"), ("height", "1")];
                        html.with("rect", &rect, |_| {});
                    });
                    html.isolated(side);
                }
            });
        }
        let bars = Bars {
            names: &names,
            series: &series,
            description: &label.en,
        };
        chart::upright(html, &bars);
    });
}

fn notes(html: &mut Html, report: &Report<'_>) {
    html.class("div", "notes", |html| {
        for (language, text) in WHAT_COUNTS.texts() {
            html.with("p", &[("lang", language)], |html| html.text(text));
        }
        let mut told: Vec<&str> = Vec::new();
        for figure in &report.answer.figures {
            let why = figure.not_computable.as_str();
            if !why.is_empty() && !told.contains(&why) {
                told.push(why);
                html.class("p", "missing", |html| {
                    NOT_COMPUTABLE.write(html);
                    html.text(&format!(" ({}): {why}", figure.name));
                });
            }
        }
    });
}
