//! Fills the blanks of a template as a person would: in the text, leaving everything else as it is.

use liaison::model::jsonc;
use liaison::model::sample::Sample;
use liaison::model::template::{Form, fill};
use liaison::model::typed::NOT_APPLICABLE;
use liaison::proto;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Value, json};

const RECIPIENT: &str = "hekou.ni.cn.example";
const OTHER_MESSAGE: &str = "019cb3d0-7a00-7c11-8a2b-6f0c5d4e3b21";

/// A value of the text and where it stands.
struct Node {
    start: usize,
    end: usize,
    inner: Inner,
}

enum Inner {
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    Leaf,
}

/// The template of a kind with everything filled in that must be: from its sample, or where there is
/// none, with something that fits the field.
pub(super) fn filled(form: &Form, sample: Option<&Sample>) -> String {
    let text = fill(form, &json!({}));
    let root = parse(&text);
    let mut edits = Edits {
        text: &text,
        list: Vec::new(),
    };
    edits.set(get(&root, "recipient"), &RECIPIENT.into());
    if form.needs_reply_to {
        edits.set(get(&root, "inReplyTo"), &OTHER_MESSAGE.into());
    }
    if form.needs_supersedes {
        edits.set(get(&root, "supersedes"), &OTHER_MESSAGE.into());
    }
    let kind = get(get(&root, "body"), &form.json_name);
    if let Some(sample) = sample {
        let draft: Value = serde_json::from_str(sample.json).unwrap();
        let said = &draft["body"][&form.json_name];
        let listed: Vec<String> =
            serde_json::from_value(said["common"]["notApplicable"].clone()).unwrap_or_default();
        edits.follow(kind, said, &listed, "");
    } else {
        let pool = DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
        let wrapper = pool.get_message_by_name("liaison.v1.Body").unwrap();
        let field = wrapper.get_field_by_json_name(&form.json_name).unwrap();
        let Kind::Message(message) = field.kind() else {
            panic!("a body is a message")
        };
        let mut hours = 0;
        edits.made_up(kind, &message, &mut hours);
    }
    edits.applied()
}

/// Every blank `""` of a template by its JSON path, with the comment of the field it belongs to.
pub(super) fn leaves(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    collect(&parse(text), String::new(), text, &mut found, "");
    found
}

fn collect(node: &Node, path: String, text: &str, found: &mut Vec<(String, String)>, note: &str) {
    match &node.inner {
        Inner::Object(members) => {
            for (key, member) in members {
                let path = match path.as_str() {
                    "" => key.clone(),
                    texts if texts.rsplit('.').next() == Some("texts") => {
                        format!("{path}[\"{key}\"]")
                    }
                    _ => format!("{path}.{key}"),
                };
                // Parts of a text or a place have no rule of their own: that of the whole holds.
                let own = comment(text, member.start);
                let is_part = matches!(key.as_str(), "texts" | "vi" | "zh-Hans")
                    || note.contains("Optional.")
                    || note.contains("Or \"not");
                let note = if is_part { note } else { own.as_str() };
                collect(member, path, text, found, note);
            }
        }
        Inner::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{path}[{index}]"), text, found, note);
            }
        }
        Inner::Leaf if &text[node.start..node.end] == "\"\"" => {
            found.push((path, note.to_owned()));
        }
        Inner::Leaf => {}
    }
}

/// The comment behind the value on its line, or that on the lines above.
fn comment(text: &str, at: usize) -> String {
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap();
    if let Some((_, behind)) = line.split_once("  // ") {
        return behind.to_owned();
    }
    let above: Vec<&str> = text[..line_start]
        .lines()
        .rev()
        .map_while(|line| line.trim().strip_prefix("// "))
        .collect();
    above.into_iter().rev().collect::<Vec<_>>().join(" ")
}

struct Edits<'a> {
    text: &'a str,
    list: Vec<(usize, usize, String)>,
}

impl Edits<'_> {
    fn set(&mut self, node: &Node, value: &Value) {
        self.list.push((node.start, node.end, value.to_string()));
    }

    fn follow(&mut self, node: &Node, said: &Value, listed: &[String], path: &str) {
        match (&node.inner, said) {
            // There is no file to attach here.
            _ if path.ends_with("Sha256") => self.set(node, &NOT_APPLICABLE.into()),
            (_, Value::Null) => {
                if listed.iter().any(|listed| listed == path) {
                    self.set(node, &NOT_APPLICABLE.into());
                } else if self.is_number(node, path) {
                    // proto3 JSON leaves out what is zero or false.
                    self.set(node, &zero(path));
                }
            }
            (Inner::Object(members), Value::Object(fields))
                if !fields.contains_key("texts")
                    && fields.keys().all(|key| {
                        matches!(key.as_str(), "languages" | "attachments" | "notApplicable")
                            || members.iter().any(|(name, _)| name == key)
                    }) =>
            {
                for (key, member) in members {
                    let path = match path {
                        "" => key.clone(),
                        _ => format!("{path}.{key}"),
                    };
                    self.follow(member, &said[key], listed, &path);
                }
            }
            (Inner::Array(items), Value::Array(elements))
                if matches!(
                    items.first(),
                    Some(Node {
                        inner: Inner::Object(_),
                        ..
                    })
                ) && elements
                    .first()
                    .is_some_and(|first| first["texts"].is_null()) =>
            {
                self.follow(&items[0], &elements[0], listed, &format!("{path}[0]"));
                // As one copies an element and fills the copy in.
                for (index, element) in elements.iter().enumerate().skip(1) {
                    let copy = copied(element, listed, &format!("{path}[{index}]."));
                    let end = items[0].end;
                    self.list.push((end, end, format!(",\n{copy}")));
                }
            }
            (_, said) => self.set(node, said),
        }
    }

    /// Whether the field says that a number or yes or no is required.
    fn is_number(&self, node: &Node, _path: &str) -> bool {
        let note = comment(self.text, node.start);
        matches!(node.inner, Inner::Leaf)
            && &self.text[node.start..node.end] == "\"\""
            && (note.contains("a number.") || note.contains("true or false"))
    }

    fn made_up(&mut self, node: &Node, message: &MessageDescriptor, hours: &mut u32) {
        let Inner::Object(members) = &node.inner else {
            panic!("a message is an object")
        };
        for (name, member) in members {
            let field = message.get_field_by_json_name(name).unwrap();
            if field.is_list() {
                let Inner::Array(items) = &member.inner else {
                    panic!("a list is an array")
                };
                self.one(&items[0], &field, hours);
            } else {
                self.one(member, &field, hours);
            }
        }
    }

    fn one(&mut self, node: &Node, field: &FieldDescriptor, hours: &mut u32) {
        if matches!(node.inner, Inner::Leaf) && &self.text[node.start..node.end] != "\"\"" {
            return;
        }
        let value = match field.kind() {
            Kind::Message(message) if message.name() == "LocalizedText" => {
                json!({"texts": {"vi": "Mẫu", "zh-Hans": "示例"}})
            }
            Kind::Message(message) if message.name() == "Place" => {
                json!({"markers": {"first": 87, "last": 90}})
            }
            Kind::Message(message) if message.name() == "Timestamp" => {
                *hours += 1;
                json!(format!("2026-03-02T{hours:02}:00:00Z"))
            }
            Kind::Message(message) => return self.made_up(node, &message, hours),
            Kind::Enum(choices) => json!(choices.values().nth(1).unwrap().name()),
            Kind::Bool => json!(field.name() == "carried_out"),
            Kind::Bytes if field.name().contains("sha256") => json!(NOT_APPLICABLE),
            Kind::Bytes => json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
            Kind::String => json!(line(field)),
            _ if field.name() == "year" => json!(2026),
            _ => json!(1),
        };
        self.set(node, &value);
    }

    fn applied(mut self) -> String {
        // From the end on; what goes to one place stands there in its order.
        self.list.reverse();
        self.list
            .sort_by_key(|(start, _, _)| std::cmp::Reverse(*start));
        let mut text = self.text.to_owned();
        for (start, end, value) in self.list {
            text.replace_range(start..end, &value);
        }
        text
    }
}

/// A further element of a list as the sample has it, with what does not apply said in place.
fn copied(element: &Value, listed: &[String], path: &str) -> Value {
    let mut copy = element.clone();
    let fields = copy.as_object_mut().unwrap();
    for name in listed.iter().filter_map(|listed| listed.strip_prefix(path)) {
        fields.insert(name.to_owned(), NOT_APPLICABLE.into());
    }
    for (name, value) in fields {
        if name.ends_with("Sha256") {
            *value = NOT_APPLICABLE.into();
        }
    }
    copy
}

fn zero(path: &str) -> Value {
    const YES_OR_NO: [&str; 9] = [
        "minor",
        "unaccompanied",
        "pregnant",
        "traffickingIndicator",
        "protectionClaim",
        "isReturn",
        "isMinutes",
        "consentAsked",
        "sample",
    ];
    if YES_OR_NO.iter().any(|name| path.ends_with(name)) {
        json!(false)
    } else {
        json!(0)
    }
}

/// A line that fits a field by its name.
fn line(field: &FieldDescriptor) -> &'static str {
    match field.name() {
        "nationality" | "issuer" => "VNM",
        "country" => "VN",
        "time_zone" => "Asia/Ho_Chi_Minh",
        "birth_date" => "1990-05-17",
        "date" => "2026-02-16",
        "opens" => "07:00",
        "closes" => "17:00",
        "gate" => "lao-cai/hekou",
        "languages" => "vi",
        "mrz" => "P<CHNWANG<<SHILI<<<<<<<<<<<<<<<<<<<<<<<<<<<<",
        "origin" => "laocai.bg.vn.example/hekou.ni.cn.example",
        "side" => "laocai.bg.vn.example",
        _ => "MẪU",
    }
}

fn get<'a>(node: &'a Node, key: &str) -> &'a Node {
    let Inner::Object(members) = &node.inner else {
        panic!("{key} is in an object")
    };
    let found = members.iter().find(|(name, _)| name == key);
    &found.unwrap_or_else(|| panic!("there is no {key}")).1
}

fn parse(text: &str) -> Node {
    let plain = jsonc::strip(text).unwrap();
    let mut parser = Parser {
        text: plain.as_bytes(),
        at: 0,
    };
    parser.value()
}

/// Of what is known to be JSON.
struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn skip(&mut self) -> u8 {
        while b" \t\r\n,:".contains(&self.text[self.at]) {
            self.at += 1;
        }
        self.text[self.at]
    }

    fn value(&mut self) -> Node {
        let first = self.skip();
        let start = self.at;
        let inner = match first {
            b'{' => {
                self.at += 1;
                let mut members = Vec::new();
                while self.skip() != b'}' {
                    let key = self.value();
                    let key = serde_json::from_slice(&self.text[key.start..key.end]).unwrap();
                    members.push((key, self.value()));
                }
                self.at += 1;
                Inner::Object(members)
            }
            b'[' => {
                self.at += 1;
                let mut items = Vec::new();
                while self.skip() != b']' {
                    items.push(self.value());
                }
                self.at += 1;
                Inner::Array(items)
            }
            b'"' => {
                self.at += 1;
                while self.text[self.at] != b'"' {
                    self.at += 1 + usize::from(self.text[self.at] == b'\\');
                }
                self.at += 1;
                Inner::Leaf
            }
            _ => {
                while !b" \t\r\n,:]}".contains(&self.text[self.at]) {
                    self.at += 1;
                }
                Inner::Leaf
            }
        };
        Node {
            start,
            end: self.at,
            inner,
        }
    }
}
