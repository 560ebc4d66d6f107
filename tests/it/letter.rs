//! Letters on paper: printed by a browser, read back, and checked against log and export.
//!
//! The paper is judged by programs that are not ours: Chromium prints it, poppler's `pdftotext`
//! reads its words, `zbarimg` its code. `scripts/test` installs them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use jiff::tz::TimeZone;
use liaison::audit::lookup::{Wanted, look_up};
use liaison::document::letter::{Letter, LetterError};
use liaison::document::qr::QrText;
use liaison::model::{MessageId, Origin};
use liaison::proto::v1::{self, body::Body};
use liaison::tlog::Hash;
use serde_json::Value;

use crate::evidence::{Way, World, busy_world};
use crate::nodes::{self, LEFT, Node, RIGHT, pair, succeed};

/// Runs a program that is not ours and returns what it says.
fn tool(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{name} ({error}): scripts/test installs it"));
    assert!(
        output.status.success(),
        "{name} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Chromium with a profile of its own, so that tests do not meet.
fn chromium(dir: &Path, arguments: &[&str]) -> String {
    let profile = format!("--user-data-dir={}", dir.join("profile").display());
    let mut all = vec!["--headless", "--no-sandbox", "--disable-gpu", &profile];
    all.extend(arguments);
    tool("chromium", &all)
}

fn to_pdf(dir: &Path, html: &Path) -> PathBuf {
    let pdf = html.with_extension("pdf");
    let to = format!("--print-to-pdf={}", pdf.display());
    let from = format!("file://{}", html.display());
    chromium(dir, &["--no-pdf-header-footer", &to, &from]);
    pdf
}

/// Words of a column of every page, without header and footer. Measures in points; the columns of
/// the two languages meet at 330.
fn column(pdf: &Path, x: u32, width: u32) -> String {
    let (x, width) = (x.to_string(), width.to_string());
    let pdf = pdf.to_str().unwrap();
    let crop = ["-x", &x, "-W", &width, "-y", "57", "-H", "723", pdf, "-"];
    tool("pdftotext", &crop)
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Chinese has no spaces to break lines at.
fn characters(text: &str) -> String {
    text.split_whitespace().collect()
}

/// What the code on the paper says, as a scanner reads it.
fn scan(pdf: &Path) -> String {
    let pages = pdf.with_extension("page");
    let base = pages.to_str().unwrap();
    tool(
        "pdftoppm",
        &["-r", "150", "-png", pdf.to_str().unwrap(), base],
    );
    let dir = pdf.parent().unwrap();
    let name = pages.file_name().unwrap().to_str().unwrap();
    let mut images: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "png"))
        .filter(|path| path.to_str().unwrap().contains(name))
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    images.sort();
    let last = images.last().unwrap();
    tool("zbarimg", &["-q", "--raw", last]).trim().to_owned()
}

fn localized(texts: &[(&str, &str)]) -> v1::LocalizedText {
    let texts = texts
        .iter()
        .map(|(tag, text)| ((*tag).to_owned(), (*text).to_owned()));
    v1::LocalizedText {
        texts: texts.collect(),
    }
}

/// A letter of several pages in both languages.
fn long_letter() -> v1::OfficialLetter {
    let mut vi = vec!["Kính gửi quý cơ quan,".to_owned()];
    let mut zh = vec!["贵单位：".to_owned()];
    for number in 1..=12 {
        vi.push(format!(
            "{number}. Thực hiện biên bản hội đàm định kỳ giữa hai bên, Đồn chúng tôi xin thông báo kết \
             quả công tác phối hợp quản lý, bảo vệ đường biên giới, cột mốc trong quý vừa qua và đề nghị \
             quý cơ quan tiếp tục trao đổi thông tin, cử cán bộ liên lạc phối hợp kiểm tra thực địa.\n\
             a) Mốc {}: tốt;\nb) Mốc {}: cần phát quang.",
            100 + number,
            200 + number
        ));
        zh.push(format!(
            "{number}、根据双方定期会谈纪要，我屯现将上季度边界线及界碑共同管护工作的协作情况通报贵方，并请贵\
             单位继续交换信息，指派联络官共同开展实地核查，并以书面形式予以答复为盼。\n（一）{}号界碑：完好；\n\
             （二）{}号界碑：需清理通视道。",
            100 + number,
            200 + number
        ));
    }
    let mut letter = nodes::letter_body(27);
    letter.common.as_mut().unwrap().languages = vec!["vi".to_owned(), "zh-Hans".to_owned()];
    letter.subject = Some(localized(&[
        ("vi", "Về việc tuần tra chung đoạn mốc 101–104"),
        ("zh-Hans", "关于联合巡逻101至104号界碑段事宜"),
    ]));
    letter.text = Some(localized(&[
        ("vi", &vi.join("\n\n")),
        ("zh-Hans", &zh.join("\n\n")),
    ]));
    letter
}

fn draft_of(letter: v1::OfficialLetter) -> v1::Draft {
    v1::Draft {
        body: Some(v1::Body {
            body: Some(Body::OfficialLetter(letter)),
        }),
        ..nodes::letter(RIGHT, 1)
    }
}

async fn submit(node: &mut Node, draft: v1::Draft) -> String {
    let draft = Some(draft);
    let answer = node.desk().await.submit(v1::SubmitRequest { draft }).await;
    answer.unwrap().into_inner().id
}

/// Checks a code; returns the exit code and the answer.
fn check(arguments: &[&str]) -> (i32, Value) {
    let all = [&["letter", "check", "--json"], arguments].concat();
    let output = nodes::liaison(&all);
    let answer = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code().unwrap(), answer)
}

fn wrong_parts(answer: &Value) -> Vec<(&str, &str)> {
    let parts = answer["parts"].as_array().unwrap().iter();
    parts
        .map(|part| {
            (
                part["part"].as_str().unwrap(),
                part["verdict"].as_str().unwrap(),
            )
        })
        .filter(|(_, verdict)| *verdict != "matches")
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_paper_says_what_was_sent_and_its_code_is_checked_with_and_without_a_node() {
    let dir = tempfile::tempdir().unwrap();
    let (mut left, mut right) = pair(dir.path());
    left.start();
    let sent = long_letter();
    let id = submit(&mut left, draft_of(sent.clone())).await;
    let print = |node: &Node, id: &str, name: &str| {
        let file = dir.path().join(name);
        let out = file.to_str().unwrap();
        let arguments = [
            "--config",
            &node.config(),
            "letter",
            "print",
            id,
            "--out",
            out,
        ];
        let answer = succeed(&[&arguments[..], &["--json"]].concat());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        (file, answer)
    };

    // Before there is a receipt.
    let (early, answer) = print(&left, &id, "early.html");
    assert_eq!(answer["receipted"], false);
    assert!(
        std::fs::read_to_string(&early)
            .unwrap()
            .contains("No receipt yet")
    );
    let early_code = answer["code"].as_str().unwrap().to_owned();
    assert_eq!(early_code.split(' ').count(), 5);

    right.start();
    let delivered = |link: &v1::LinkStatus| link.delivered_size == 1;
    left.until(RIGHT, "delivered", delivered).await;
    let (file, answer) = print(&left, &id, "long.html");
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(!page.contains("No receipt yet") && page.contains("Electronic receipt"));

    // Word for word.
    let pdf = to_pdf(dir.path(), &file);
    let about = tool("pdfinfo", &[pdf.to_str().unwrap()]);
    let pages = about.lines().find_map(|line| line.strip_prefix("Pages:"));
    let pages: u32 = pages.unwrap().trim().parse().unwrap();
    assert!(about.contains("(A4)") && pages > 1, "{about}");
    let texts = &sent.text.unwrap().texts;
    let (vi, zh) = (column(&pdf, 0, 330), column(&pdf, 330, 265));
    assert!(words(&vi).contains(&words(&texts["vi"])), "{vi}");
    assert!(
        characters(&zh).contains(&characters(&texts["zh-Hans"])),
        "{zh}"
    );
    let whole = characters(&tool("pdftotext", &["-layout", pdf.to_str().unwrap(), "-"]));
    let last_page = format!("{pages}/{pages}");
    for said in [
        "27/MẪU",
        "Nguyễn Văn Mẫu",
        "Đại úy",
        "Điều 1",
        &id,
        &last_page,
    ] {
        assert!(whole.contains(&characters(said)), "{said}: {whole}");
    }

    // The code, through a scanner.
    let code = scan(&pdf);
    assert_eq!(code, answer["code"]);
    let cases = |whom: &[&str]| {
        let (exit, answer) = check(&[&[&*code], whom].concat());
        assert_eq!(
            (exit, &answer["verdict"]),
            (0, &"matches".into()),
            "{answer:#}"
        );
        assert_eq!(answer["message"]["letter_number"], "27/MẪU");
        // In words as well, unquoted.
        let unquoted: Vec<&str> = code.split(' ').chain(whom.iter().copied()).collect();
        assert_eq!(check(&unquoted).0, 0);
        let (exit, answer) = check(&[&[&*early_code], whom].concat());
        assert_eq!(
            (exit, &answer["receipted"]),
            (0, &false.into()),
            "{answer:#}"
        );

        let parsed = QrText::parse(&code).unwrap();
        let tampered = |change: &dyn Fn(&mut QrText)| {
            let mut other = parsed.clone();
            change(&mut other);
            let (exit, answer) = check(&[&[&*other.to_string()], whom].concat());
            assert_eq!(exit, 1, "{answer:#}");
            answer
        };
        let answer = tampered(&|code| code.body_digest = Hash([7; 32]));
        assert_eq!(answer["verdict"], "does_not_match");
        assert_eq!(wrong_parts(&answer), [("body_digest", "does_not_match")]);
        let answer = tampered(&|code| code.checkpoint.as_mut().unwrap().root = Hash([7; 32]));
        assert_eq!(wrong_parts(&answer), [("checkpoint", "does_not_match")]);
        let answer = tampered(&|code| code.origin = code.origin.reversed());
        assert_eq!(wrong_parts(&answer)[0], ("origin", "does_not_match"));
        let answer = tampered(&|code| {
            code.index = 1;
            code.checkpoint.as_mut().unwrap().size = 2;
        });
        assert_eq!(wrong_parts(&answer)[0], ("index", "does_not_match"));
        let stranger = MessageId::parse(&nodes::new_id()).unwrap();
        let answer = tampered(&|code| code.id = stranger);
        assert_eq!(answer["verdict"], "not_known_here");
        assert!(answer["message"].is_null());
        tampered(&|code| code.checkpoint.as_mut().unwrap().size = 900)
    };
    for node in [&left, &right] {
        let beyond = cases(&["--config", &node.config()]);
        assert_eq!(wrong_parts(&beyond), [("checkpoint", "does_not_match")]);
    }
    let export = dir.path().join("export");
    let export = export.to_str().unwrap();
    succeed(&["--config", &right.config(), "audit", "export", export]);
    // The receiving side prints the same code, but for which receipt it names.
    let (_, theirs) = print(&right, &id, "theirs.html");
    let theirs = QrText::parse(theirs["code"].as_str().unwrap()).unwrap();
    assert_eq!(theirs.id.to_string(), id);

    // Not a letter; and one that was taken back.
    let withdrawal = v1::Draft {
        supersedes: id.clone(),
        body: Some(v1::Body {
            body: Some(Body::Withdrawal(v1::Withdrawal {
                common: Some(v1::Common {
                    from_office: "Phòng mẫu".to_owned(),
                    to_office: "示例办公室".to_owned(),
                    legal_basis: vec!["Điều 1".to_owned()],
                    languages: vec!["vi".to_owned()],
                    ..v1::Common::default()
                }),
                reason: Some(localized(&[("vi", "Nhầm số mốc")])),
            })),
        }),
        ..nodes::letter(RIGHT, 2)
    };
    let withdrawal = submit(&mut left, withdrawal).await;
    let config = left.config();
    let refused = nodes::liaison(&["--config", &config, "letter", "print", &withdrawal]);
    assert_eq!(refused.status.code(), Some(1));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("withdrawal"), "{told}");
    let (file, _) = print(&left, &id, "withdrawn.html");
    let page = std::fs::read_to_string(file).unwrap();
    assert!(page.contains("Withdrawn") && page.contains("Nhầm số mốc"));
    let (exit, answer) = check(&[&*code, "--config", &config]);
    assert_eq!((exit, &answer["message"]["withdrawn"]), (0, &true.into()));
    // Nothing is overwritten.
    let out = dir.path().join("long.html");
    let again = ["letter", "print", &id, "--out", out.to_str().unwrap()];
    let again = nodes::liaison(&[&["--config", &config], &again[..]].concat());
    assert_eq!(again.status.code(), Some(73));
    let cards = [left.card(), right.card()];
    left.stop();
    right.stop();

    // No node, no configuration: the export and the cards.
    let [a, b] = cards.each_ref().map(|card| card.to_str().unwrap());
    let beyond = cases(&["--export", export, "--trust", a, "--trust", b]);
    assert_eq!(
        beyond["verdict"], "not_known_here",
        "the export ends before it"
    );
    cases(&["--export", export]);
    let (exit, answer) = check(&[&*code, "--export", export, "--trust", a]);
    assert_eq!(
        (exit, &answer["verdict"]),
        (1, &"export_does_not_verify".into())
    );
    assert!(answer["message"].is_null() && answer["export"]["errors"].as_u64() > Some(0));
    let log = format!("{export}/{LEFT}_{RIGHT}");
    std::fs::write(format!("{log}/bodies/0.bin"), "another letter").unwrap();
    let (exit, answer) = check(&[&*code, "--export", export]);
    assert_eq!(
        (exit, &answer["verdict"]),
        (1, &"export_does_not_verify".into())
    );

    assert_eq!(check(&["LIAISON1 x", "--export", export]).0, 65);
    assert_eq!(check(&[&code[1..], "--export", export]).0, 65);
}

/// What an export says of a message is what its entries say.
#[test]
fn a_message_is_found_in_an_export_with_its_root_and_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let world = busy_world(300);
    world.export(&world.b, dir.path());
    let keys = world.keys();
    let origin = world.ab.origin.clone();
    let find = |index: usize, origin: &Origin, size| {
        let wanted = Wanted {
            id: id_of(&world, index),
            origin: origin.clone(),
            size: Some(size),
        };
        let (verdict, found) = look_up(dir.path(), Some(&keys), &wanted, &mut |_| {});
        assert!(verdict.clean, "{:?}", verdict.findings);
        found
    };
    for (index, size) in [(0, 1), (10, 12), (256, 257), (12, 300)] {
        let found = find(index, &origin, size).unwrap();
        assert_eq!((found.index, found.refused), (index as u64, false));
        let mut tree = liaison::tlog::Tree::new();
        for entry in &world.ab.entries[..usize::try_from(size).unwrap()] {
            tree.append(liaison::tlog::leaf_hash(entry), &mut Vec::new());
        }
        assert_eq!(found.root, Some(tree.root()));
        let says = found.body.unwrap().body.unwrap();
        assert!(
            matches!(says, Body::OfficialLetter(letter) if letter.letter_number == format!("{index}/CV"))
        );
    }
    // Of two with one id, the one that was admitted; in another log than asked, it is found as well.
    assert_eq!(find(8, &origin, 300).unwrap().index, 7);
    let elsewhere = find(10, &origin.reversed(), 1).unwrap();
    assert_eq!((elsewhere.origin, elsewhere.root), (origin.clone(), None));
    // Beyond the export there is nothing, and an erased body is not there.
    assert_eq!(find(10, &origin, 301).unwrap().root, None);
    assert_eq!(find(1, &origin, 300).unwrap().body, None);
    assert_eq!(find(300, &origin, 300), None);

    let mut world = World::new();
    let index = world.letter(Way::AToB, "refused");
    world.refuse(Way::AToB, index, v1::RefusalReason::OverLimit);
    for way in [Way::AToB, Way::BToA] {
        world.settle(way);
    }
    let other = tempfile::tempdir().unwrap();
    world.export(&world.a, other.path());
    let wanted = Wanted {
        id: id_of(&world, 0),
        origin: world.ab.origin.clone(),
        size: None,
    };
    let (verdict, found) = look_up(other.path(), Some(&world.keys()), &wanted, &mut |_| {});
    let found = found.unwrap();
    assert!(verdict.clean && found.refused && found.root.is_none());
}

fn id_of(world: &World, index: usize) -> MessageId {
    use prost::Message as _;
    let entry = v1::Entry::decode(world.ab.entries[index].clone()).unwrap();
    let header = v1::Header::decode(entry.payload).unwrap();
    MessageId::from_slice(&header.id).unwrap()
}

/// A message as a node gives it.
fn message(letter: v1::OfficialLetter) -> v1::Message {
    v1::Message {
        id: "019d0a94-2c00-7707-8707-070707070707".to_owned(),
        peer: RIGHT.to_owned(),
        side: v1::Side::Own as i32,
        origin: format!("{LEFT}/{RIGHT}"),
        kind: v1::Kind::OfficialLetter as i32,
        kind_number: v1::Kind::OfficialLetter as i32,
        precedence: v1::Precedence::Routine as i32,
        status: v1::Status::Actual as i32,
        level: v1::Level::Recorded as i32,
        body_digest: vec![1; 32].into(),
        body: Some(v1::Body {
            body: Some(Body::OfficialLetter(letter)),
        }),
        ..v1::Message::default()
    }
}

fn page_of(message: &v1::Message, answers: &[v1::Message]) -> String {
    let letter = Letter::of(message, None, answers).unwrap();
    let zones = [TimeZone::fixed(jiff::tz::offset(7))];
    letter.page(&zones, "2026-03-20T10:00:00Z".parse().unwrap())
}

#[test]
fn hostile_text_stays_text_in_a_browser() {
    const HOSTILE: &str = "</p></bdi><script>document.title='owned'</script><img src=x \
                           onerror=\"document.title='owned'\"><style>*{display:none}</style>\
                           <!--\u{202E}fdp.exe\u{200B}&lt;\"'";
    let hostile = || HOSTILE.to_owned();
    let both = || {
        localized(&[
            ("vi", HOSTILE),
            ("zh-Hans", HOSTILE),
            ("x\" onload=\"", HOSTILE),
        ])
    };
    let mut letter = nodes::letter_body(1);
    letter.letter_number = hostile();
    letter.subject = Some(both());
    letter.text = Some(both());
    letter.place = Some(v1::Place {
        r#where: Some(v1::place::Where::Gate(hostile())),
        description: Some(both()),
    });
    letter.signatory = Some(v1::Officer {
        name: hostile(),
        rank: hostile(),
        office: hostile(),
        phone: hostile(),
    });
    letter.common = Some(v1::Common {
        from_office: hostile(),
        to_office: hostile(),
        legal_basis: vec![hostile()],
        languages: vec![hostile()],
        attachments: vec![v1::Attachment {
            name: hostile(),
            media_type: hostile(),
            size: 1,
            sha256: vec![2; 32].into(),
            description: Some(both()),
        }],
        ..v1::Common::default()
    });
    let mut message = message(letter);
    message.level = v1::Level::Refused as i32;
    message.refusal = Some(v1::Refusal {
        detail: hostile(),
        ..v1::Refusal::default()
    });
    message.in_reply_to = hostile();
    let page = page_of(&message, &[]);
    assert!(!page.contains(['\u{202E}', '\u{200B}']));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hostile.html");
    std::fs::write(&file, page).unwrap();
    let dom = chromium(
        dir.path(),
        &["--dump-dom", &format!("file://{}", file.display())],
    );
    for element in ["<script", "<img", "<!--"] {
        assert!(!dom.contains(element), "{element}: {dom}");
    }
    assert_eq!(dom.matches("<style").count(), 1);
    assert!(!dom.contains("<title>owned"), "{dom}");
    assert!(dom.contains("&lt;script&gt;") && dom.contains("\\u{202E}fdp.exe\\u{200B}&amp;lt;"));
    // Every attribute is one of ours.
    let tags = dom
        .split('<')
        .skip(1)
        .filter_map(|tag| tag.split('>').next());
    assert!(
        !tags
            .into_iter()
            .any(|tag| tag.contains("onload") || tag.contains("onerror"))
    );
}

#[test]
fn what_a_reader_must_know_stands_above_the_letter() {
    let own = message(nodes::letter_body(1));
    let page = page_of(&own, &[]);
    assert!(page.contains("No receipt yet") && !page.contains("unreal exercise"));
    for band in ["Withdrawn", "Superseded", "Refused"] {
        assert!(!page.contains(band), "{band}");
    }

    for (status, word) in [
        (v1::Status::Exercise, "Exercise – not real"),
        (v1::Status::Test, "Test – not real"),
    ] {
        let mut unreal = own.clone();
        unreal.status = status as i32;
        let page = page_of(&unreal, &[]);
        // In a band, and at the top of every page.
        assert!(
            page.matches(word).count() > 1 && page.contains("band striped"),
            "{word}"
        );
    }

    let follower = |kind: v1::Kind, id: &str| v1::Message {
        id: id.to_owned(),
        side: own.side,
        supersedes: own.id.clone(),
        kind: kind as i32,
        ..v1::Message::default()
    };
    let correction = follower(
        v1::Kind::OfficialLetter,
        "019d0a94-2c00-7707-8707-070707070708",
    );
    let page = page_of(&own, std::slice::from_ref(&correction));
    assert!(page.contains("Superseded") && page.contains(&correction.id));
    let withdrawal = follower(v1::Kind::Withdrawal, "019d0a94-2c00-7707-8707-070707070709");
    assert!(page_of(&own, std::slice::from_ref(&withdrawal)).contains("Withdrawn"));
    // The other side cannot take it back.
    let mut theirs = withdrawal;
    theirs.side = v1::Side::Peer as i32;
    assert!(!page_of(&own, &[theirs]).contains("Withdrawn"));

    let mut refused = own.clone();
    refused.level = v1::Level::Refused as i32;
    refused.refusal = Some(v1::Refusal {
        reason: v1::RefusalReason::OverLimit as i32,
        detail: "too long".to_owned(),
        ..v1::Refusal::default()
    });
    let page = page_of(&refused, &[]);
    assert!(
        page.contains("Refused") && page.contains("over limit. too long"),
        "{page}"
    );
}

#[test]
fn only_whole_letters_are_printed() {
    let good = message(nodes::letter_body(1));
    let mut other = good.clone();
    other.kind = v1::Kind::CrossingAlert as i32;
    other.body = None;
    let error = Letter::of(&other, None, &[]).unwrap_err();
    assert!(error.to_string().contains("crossing alert"), "{error}");
    let mut withheld = good.clone();
    withheld.body = None;
    assert_eq!(Letter::of(&withheld, None, &[]), Err(LetterError::NoBody));
    withheld.needs_newer_version = true;
    assert_eq!(Letter::of(&withheld, None, &[]), Err(LetterError::Newer));
    let mut older = good.clone();
    older.body_digest = Vec::new().into();
    assert_eq!(Letter::of(&older, None, &[]), Err(LetterError::NoDigest));
    // A receipt that says nothing is none.
    let proof = v1::ProofResponse::default();
    let error = Letter::of(&good, Some(&proof), &[]).unwrap_err();
    assert!(matches!(error, LetterError::Receipt { .. }), "{error}");
}
