//! The page of an official letter.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::html::{Frame, Html, page};
use super::letter::{Followed, Letter};
use super::words::{self, Label};
use crate::model::language::{is_national, is_well_formed};
use crate::model::text::escape;
use crate::proto::v1::{self, Level, Status};

const CSS: &str = include_str!("letter.css");

macro_rules! labels {
    ($($name:ident: $vi:literal, $zh:literal, $en:literal;)+) => {$(
        const $name: Label = Label { vi: $vi, zh: $zh, en: $en };
    )+};
}

labels! {
    TITLE: "Công văn", "公函", "Official letter";
    NUMBER: "Số", "编号", "No.";
    WRITTEN: "Ngày lập", "拟制时间", "Written";
    FROM: "Nơi gửi", "发函单位", "From";
    TO: "Nơi nhận", "收函单位", "To";
    SUBJECT: "Về việc", "事由", "Subject";
    LEGAL_BASIS: "Căn cứ", "依据", "Legal basis";
    PLACE: "Địa điểm", "地点", "Place";
    REPLY_BY: "Hạn trả lời", "复函期限", "Reply by";
    PRECEDENCE: "Độ khẩn", "紧急程度", "Precedence";
    HANDLING: "Độ mật", "密级", "Classification";
    STATUS: "Tính chất", "性质", "Status";
    SIGNATORY: "Người ký", "签发人", "Signatory";
    ATTACHMENTS: "Tài liệu kèm theo", "附件", "Attachments";
    RECEIPT: "Biên nhận điện tử", "电子回执", "Electronic receipt";
    NO_RECEIPT: "Chưa có biên nhận", "尚无回执", "No receipt yet";
    REFUSED: "Bị từ chối tiếp nhận", "未被接收", "Refused";
    WITHDRAWN: "Đã thu hồi", "已撤回", "Withdrawn";
    SUPERSEDED: "Đã được thay thế", "已被取代", "Superseded";
    EXERCISE: "Diễn tập – không có thật", "演习 – 非实情", "Exercise – not real";
    TEST: "Thử nghiệm – không có thật", "测试 – 非实情", "Test – not real";
    AUTHENTIC: "Hai văn bản có giá trị như nhau", "两种文本同等作准", "Both texts are equally authentic";
    DELIVERED: "Nhận lúc", "送达时间", "Delivered";
    COSIGNED_BY: "Bên xác nhận", "确认方", "Cosigner";
    MESSAGE: "Thông điệp", "消息", "Message";
    LOG: "Nhật ký", "日志", "Log";
    INDEX: "Vị trí", "序号", "Index";
    BODY_DIGEST: "Mã băm", "正文摘要", "Body digest";
    CHECKPOINT: "Điểm kiểm", "检查点", "Checkpoint";
    ROOT: "Gốc", "根", "Root";
    IN_REPLY_TO: "Trả lời", "答复", "In reply to";
    SUPERSEDES: "Thay thế", "取代", "Supersedes";
    PRINTED: "In lúc", "打印时间", "Printed";
    PAPER: "Giấy tự nó không chứng minh điều gì: hãy kiểm tra mã, rồi đối chiếu văn bản này với văn bản mà mã chỉ đến",
        "纸件本身不证明任何内容：请核验二维码，并将本文与其所指原文核对",
        "Paper proves nothing by itself: check the code, then compare this text with the one it names";
}

/// How a page that is not to be taken at face value is marked.
struct Mark {
    label: Label,
    class: &'static str,
}

/// Writes the page.
pub(super) fn render(letter: &Letter, zones: &[TimeZone], printed_at: Timestamp) -> String {
    let number = escape(&letter.letter.letter_number);
    let mark = mark(letter);
    let frame = Frame {
        language: "vi",
        title: &format!("{} {number}", TITLE.vi),
        css: CSS,
        class: mark.as_ref().map_or("document letter", |mark| mark.class),
        header: &warnings(letter, mark.as_ref()),
        footer: &format!("{} {number} · {}", TITLE.vi, letter.id),
    };
    page(&frame, |html| {
        html.element("main", |html| {
            if let Some(mark) = &mark {
                html.class("p", "band striped", |html| mark.label.write(html));
            }
            bands(html, letter, zones);
            head(html, letter, zones);
            facts(html, letter, zones);
            texts(html, &letter.letter);
            signatory(html, &letter.letter);
            attachments(html, &letter.letter);
            record(html, letter, zones, printed_at);
        });
    })
}

/// Anything but real traffic is marked, what is not known as well.
fn mark(letter: &Letter) -> Option<Mark> {
    let (label, class) = match Status::try_from(letter.message.status) {
        Ok(Status::Actual) => return None,
        Ok(Status::Exercise) => (EXERCISE, "document letter unreal exercise"),
        Ok(Status::Test | Status::Unspecified) | Err(_) => (TEST, "document letter unreal test"),
    };
    Some(Mark { label, class })
}

/// What stands at the top of every page, so that no page alone is taken for more than it is.
fn warnings(letter: &Letter, mark: Option<&Mark>) -> String {
    let standing = [
        (is_refused(letter), REFUSED),
        (is_withdrawn(letter), WITHDRAWN),
        (letter.superseded_by.is_some(), SUPERSEDED),
        (lacks_receipt(letter), NO_RECEIPT),
    ];
    let standing = standing.into_iter().filter(|(is, _)| *is);
    let labels = mark.map(|mark| mark.label).into_iter();
    let lines: Vec<_> = labels
        .chain(standing.map(|(_, label)| label))
        .map(Label::line)
        .collect();
    lines.join(" — ")
}

fn is_refused(letter: &Letter) -> bool {
    letter.message.level() == Level::Refused
}

fn is_withdrawn(letter: &Letter) -> bool {
    letter.message.level() == Level::Withdrawn || letter.withdrawn_by.is_some()
}

/// A letter that was refused has no receipt to wait for.
fn lacks_receipt(letter: &Letter) -> bool {
    letter.receipt.is_none() && !is_refused(letter)
}

/// What a reader must know before reading on.
fn bands(html: &mut Html, letter: &Letter, zones: &[TimeZone]) {
    if is_refused(letter) {
        band(html, "band grave", REFUSED, |html| {
            let refusal = letter.message.refusal.as_ref();
            let reason = refusal.map(|refusal| {
                let reason = words::value(refusal.reason().as_str_name(), "REFUSAL_REASON_");
                (reason.to_lowercase(), &refusal.detail)
            });
            html.text("The other side's node has not admitted this letter");
            if let Some((reason, detail)) = reason {
                html.text(": ");
                html.isolated(&format!("{reason}. {detail}"));
            }
        });
    }
    if is_withdrawn(letter) {
        band(html, "band grave", WITHDRAWN, |html| {
            html.text("Its author has taken this letter back");
            if let Some(followed) = &letter.withdrawn_by {
                follows(html, followed, zones);
            }
        });
    }
    if let Some(followed) = &letter.superseded_by {
        band(html, "band grave", SUPERSEDED, |html| {
            html.text("Its author has replaced this letter");
            follows(html, followed, zones);
        });
    }
    if lacks_receipt(letter) {
        band(html, "band", NO_RECEIPT, |html| {
            html.text("The other side has not confirmed that it holds this letter. Print it again when it shows as delivered.");
        });
    }
}

fn band(html: &mut Html, class: &'static str, label: Label, within: impl FnOnce(&mut Html)) {
    html.class("div", class, |html| {
        html.class("p", "word", |html| label.write(html));
        html.with("p", &[("lang", "en")], within);
    });
}

fn follows(html: &mut Html, followed: &Followed, zones: &[TimeZone]) {
    if let Some(at) = followed.created_at.as_ref().and_then(words::of_wire) {
        html.text(&format!(" on {}", words::moment(at, zones)));
    }
    html.text(" with message ");
    html.class("span", "code", |html| html.text(&followed.id.to_string()));
    html.text(".");
    for (tag, text) in texts_of(followed.reason.as_ref(), &[]) {
        html.text(" ");
        html.isolated_in(tag, text);
    }
}

fn head(html: &mut Html, letter: &Letter, zones: &[TimeZone]) {
    let common = letter.letter.common.clone().unwrap_or_default();
    html.class("header", "parties", |html| {
        for (label, office, node) in [
            (FROM, &common.from_office, letter.origin.sender()),
            (TO, &common.to_office, letter.origin.recipient()),
        ] {
            html.class("div", "party", |html| {
                html.class("p", "label", |html| label.write(html));
                html.class("p", "office", |html| html.isolated(office));
                html.class("p", "node", |html| html.text(node.as_str()));
            });
        }
    });
    html.element("h1", |html| {
        html.with("span", &[("lang", "vi")], |html| html.text(TITLE.vi));
        html.text(" ");
        html.with("span", &[("lang", "zh-Hans")], |html| html.text(TITLE.zh));
    });
    html.class("p", "number", |html| {
        html.class("span", "label", |html| NUMBER.write(html));
        html.text(" ");
        html.isolated(&letter.letter.letter_number);
    });
    if let Some(at) = letter.message.created_at.as_ref().and_then(words::of_wire) {
        html.class("p", "written", |html| {
            html.class("span", "label", |html| WRITTEN.write(html));
            html.text(&format!(" {}", words::moment(at, zones)));
        });
    }
    html.class("p", "marks", |html| {
        let (precedence, handling, status) = marks(&letter.message);
        for (label, word) in [
            (PRECEDENCE, precedence),
            (HANDLING, handling),
            (STATUS, status),
        ] {
            html.class("span", "mark", |html| {
                html.class("span", "label", |html| label.write(html));
                html.text(" ");
                html.element("strong", |html| html.text(&word));
            });
            html.text(" ");
        }
    });
}

/// Precedence, classification with handling code, and status, in the protocol's own words; the
/// number of what this version does not know.
fn marks(message: &v1::Message) -> (String, String, String) {
    let precedence = v1::Precedence::try_from(message.precedence).map_or_else(
        |_| message.precedence.to_string(),
        |known| words::value(known.as_str_name(), "PRECEDENCE_"),
    );
    let status = Status::try_from(message.status).map_or_else(
        |_| message.status.to_string(),
        |known| words::value(known.as_str_name(), "STATUS_"),
    );
    let handling = message.handling.unwrap_or_default();
    let mut class = v1::Classification::try_from(handling.classification).map_or_else(
        |_| handling.classification.to_string(),
        |known| words::value(known.as_str_name(), "CLASSIFICATION_"),
    );
    match v1::HandlingCode::try_from(handling.code) {
        Ok(v1::HandlingCode::Unspecified) => {}
        Ok(code) => {
            class.push(' ');
            class.push_str(&words::value(code.as_str_name(), "HANDLING_CODE_"));
        }
        Err(_) => {
            class.push(' ');
            class.push_str(&handling.code.to_string());
        }
    }
    (precedence, class, status)
}

fn facts(html: &mut Html, letter: &Letter, zones: &[TimeZone]) {
    let (message, letter) = (&letter.message, &letter.letter);
    let common = letter.common.clone().unwrap_or_default();
    html.class("table", "facts", |html| {
        let subjects = texts_of(letter.subject.as_ref(), &common.languages);
        fact(html, SUBJECT, subjects.len(), |html, number| {
            let (tag, text) = subjects[number];
            html.element("strong", |html| html.isolated_in(tag, text));
        });
        fact(
            html,
            LEGAL_BASIS,
            common.legal_basis.len(),
            |html, number| {
                html.isolated(&common.legal_basis[number]);
            },
        );
        if let Some(place) = &letter.place {
            let where_ = words::place(place);
            let texts = texts_of(place.description.as_ref(), &common.languages);
            let first = usize::from(!where_.is_empty());
            fact(
                html,
                PLACE,
                first + texts.len(),
                |html, number| match number.checked_sub(first) {
                    None => html.isolated(&where_),
                    Some(number) => html.isolated_in(texts[number].0, texts[number].1),
                },
            );
        }
        let asked = [letter.reply_by.as_ref(), message.respond_by.as_ref()];
        let mut asked: Vec<_> = asked
            .into_iter()
            .flatten()
            .filter_map(words::of_wire)
            .collect();
        asked.dedup();
        fact(html, REPLY_BY, asked.len(), |html, number| {
            html.text(&words::moment(asked[number], zones));
        });
    });
}

fn fact(html: &mut Html, label: Label, count: usize, value: impl Fn(&mut Html, usize)) {
    if count == 0 {
        return;
    }
    html.element("tr", |html| {
        html.with("th", &[("scope", "row")], |html| label.write(html));
        html.element("td", |html| {
            for number in 0..count {
                html.element("p", |html| value(html, number));
            }
        });
    });
}

/// The texts of a field: the languages that the message lists first, in its order, then others.
fn texts_of<'a>(
    text: Option<&'a v1::LocalizedText>,
    languages: &[String],
) -> Vec<(&'a str, &'a str)> {
    let mut texts: Vec<(&str, &str)> = text
        .into_iter()
        .flat_map(|text| &text.texts)
        .map(|(tag, text)| (&**tag, &**text))
        .collect();
    let place = |tag: &str| languages.iter().position(|listed| listed == tag);
    // Sorting is stable: what is not listed stays in the order of tags, behind.
    texts.sort_by_key(|(tag, _)| (!is_national(tag), place(tag).unwrap_or(usize::MAX)));
    texts
}

fn texts(html: &mut Html, letter: &v1::OfficialLetter) {
    let languages = letter.common.as_ref().map(|common| &common.languages[..]);
    let texts = texts_of(letter.text.as_ref(), languages.unwrap_or_default());
    let national = texts.iter().filter(|(tag, _)| is_national(tag)).count();
    let others = if national == 2 {
        side_by_side(html, texts[0], texts[1]);
        html.class("p", "authentic", |html| AUTHENTIC.write(html));
        &texts[2..]
    } else {
        &texts[..]
    };
    for (tag, text) in others {
        html.with("section", &[("class", "text")], |html| {
            if texts.len() > 1 {
                html.class("h2", "language", |html| html.text(words::language(tag)));
            }
            for paragraph in paragraphs(text) {
                said(html, tag, &paragraph);
            }
        });
    }
}

/// Two texts in two columns, paragraph beside paragraph if there are as many of each.
fn side_by_side(html: &mut Html, left: (&str, &str), right: (&str, &str)) {
    let (left_parts, right_parts) = (paragraphs(left.1), paragraphs(right.1));
    let rows: Vec<(Vec<String>, Vec<String>)> = if left_parts.len() == right_parts.len() {
        let pairs = left_parts.into_iter().zip(right_parts);
        pairs
            .map(|(left, right)| (vec![left], vec![right]))
            .collect()
    } else {
        vec![(left_parts, right_parts)]
    };
    // Chinese takes about four fifths of the room of Vietnamese.
    let class = match (left.0.starts_with("zh"), right.0.starts_with("zh")) {
        (false, true) => "text columns wide-left",
        (true, false) => "text columns wide-right",
        _ => "text columns",
    };
    html.class("section", class, |html| {
        html.class("div", "row", |html| {
            for (tag, _) in [left, right] {
                html.class("h2", "language", |html| html.text(words::language(tag)));
            }
        });
        for (of_left, of_right) in &rows {
            html.class("div", "row", |html| {
                for (tag, parts) in [(left.0, of_left), (right.0, of_right)] {
                    html.class("div", "cell", |html| {
                        for part in parts {
                            said(html, tag, part);
                        }
                    });
                }
            });
        }
    });
}

fn said(html: &mut Html, tag: &str, paragraph: &str) {
    let attributes = [("dir", "auto"), ("lang", tag)];
    let known = if is_well_formed(tag) { 2 } else { 1 };
    html.with("p", &attributes[..known], |html| html.lines(paragraph));
}

/// The paragraphs of a text: what stands between empty lines.
fn paragraphs(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.split('\n').collect();
    lines
        .split(|line| line.trim().is_empty())
        .filter(|part| !part.is_empty())
        .map(|part| part.join("\n"))
        .collect()
}

fn signatory(html: &mut Html, letter: &v1::OfficialLetter) {
    let Some(officer) = &letter.signatory else {
        return;
    };
    html.class("section", "signatory", |html| {
        html.class("p", "label", |html| SIGNATORY.write(html));
        for (class, text) in [
            ("name", &officer.name),
            ("rank", &officer.rank),
            ("office", &officer.office),
            ("phone", &officer.phone),
        ] {
            if !text.is_empty() {
                html.class("p", class, |html| html.isolated(text));
            }
        }
    });
}

fn attachments(html: &mut Html, letter: &v1::OfficialLetter) {
    let common = letter.common.as_ref();
    let files = common
        .map(|common| &common.attachments[..])
        .unwrap_or_default();
    if files.is_empty() {
        return;
    }
    let languages = common
        .map(|common| &common.languages[..])
        .unwrap_or_default();
    html.class("section", "attachments", |html| {
        html.element("h2", |html| ATTACHMENTS.write(html));
        html.element("ol", |html| {
            for file in files {
                html.element("li", |html| {
                    html.element("p", |html| {
                        html.element("strong", |html| html.isolated(&file.name));
                        html.text(&format!(" ({}, ", words::bytes(file.size)));
                        html.isolated(&file.media_type);
                        html.text(")");
                    });
                    let described = texts_of(file.description.as_ref(), languages);
                    if !described.is_empty() {
                        html.element("p", |html| {
                            for (number, (tag, text)) in described.into_iter().enumerate() {
                                if number > 0 {
                                    html.text(" · ");
                                }
                                html.isolated_in(tag, text);
                            }
                        });
                    }
                    html.class("p", "code", |html| {
                        html.text(&format!("SHA-256 {}", hex::encode(&file.sha256)));
                    });
                });
            }
        });
    });
}

/// What a reader needs to check the paper: the code, and the same in words.
fn record(html: &mut Html, letter: &Letter, zones: &[TimeZone], printed_at: Timestamp) {
    html.class("section", "record", |html| {
        html.element("div", |html| letter.qr_text().picture(html));
        html.element("div", |html| {
            let receipted = letter.receipt.is_some();
            let label = if receipted { RECEIPT } else { NO_RECEIPT };
            html.element("h2", |html| label.write(html));
            html.class("table", "facts small", |html| proof(html, letter, zones));
        });
        html.class("div", "notes", |html| {
            html.element("p", |html| {
                PRINTED.write(html);
                html.text(&format!(" {} · ", words::moment(printed_at, zones)));
                html.class("span", "code", |html| html.text("liaison letter check"));
            });
            html.element("p", |html| PAPER.write(html));
        });
    });
}

/// The receipt, or what will be receipted, line by line.
fn proof(html: &mut Html, letter: &Letter, zones: &[TimeZone]) {
    let mut line = |label: Label, class: &'static str, text: &str| {
        html.element("tr", |html| {
            html.with("th", &[("scope", "row")], |html| label.write(html));
            html.class("td", class, |html| html.text(text));
        });
    };
    if let Some(proven) = &letter.receipt {
        let at = words::of_seconds(proven.cosigned_at);
        let at = at.map(|at| words::exact_moment(at, zones));
        line(DELIVERED, "", &at.unwrap_or_default());
        line(COSIGNED_BY, "code", letter.origin.recipient().as_str());
    }
    line(MESSAGE, "code", &letter.id.to_string());
    line(LOG, "code", &letter.origin.to_string());
    line(INDEX, "code", &letter.message.index.to_string());
    line(BODY_DIGEST, "code", &letter.body_digest.to_string());
    if let Some(proven) = &letter.receipt {
        line(CHECKPOINT, "code", &proven.size.to_string());
        line(ROOT, "code", &proven.root);
    }
    let others = [
        (IN_REPLY_TO, &letter.message.in_reply_to),
        (SUPERSEDES, &letter.message.supersedes),
    ];
    for (label, id) in others {
        if !id.is_empty() {
            line(label, "code", id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_stand_between_empty_lines() {
        assert_eq!(
            paragraphs("\na\nb\n\n \n\nc\n"),
            ["a\nb".to_owned(), "c".to_owned()]
        );
        assert!(paragraphs("\n \n").is_empty());
    }

    #[test]
    fn national_texts_come_first_in_the_order_of_the_letter() {
        let text = v1::LocalizedText {
            texts: ["en", "vi", "zh-Hans", "fr"]
                .map(|tag| (tag.to_owned(), tag.to_owned()))
                .into(),
        };
        let languages = ["en", "zh-Hans", "vi"].map(str::to_owned);
        let order = texts_of(Some(&text), &languages);
        let tags: Vec<_> = order.into_iter().map(|(tag, _)| tag).collect();
        assert_eq!(tags, ["zh-Hans", "vi", "en", "fr"]);
    }
}
