//! A JSON text as a tree that remembers where everything stands.
//!
//! Built only of text that a parser has found to be JSON, so it knows brackets, strings and commas and
//! need not know more. Its depth is bounded, so walking and dropping it may recurse.

use crate::limits::DRAFT_DEPTH_MAX;

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node<'a> {
    /// Bytes from the start of the text.
    pub(super) at: usize,
    pub(super) value: Value<'a>,
}

/// What the value is.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Object(Vec<Member<'a>>),
    Array(Vec<Node<'a>>),
    /// A string, number, `true`, `false` or `null`, as it stands in the text.
    Leaf(&'a str),
}

/// A field of an object.
#[derive(Debug)]
pub(super) struct Member<'a> {
    /// Where its key begins.
    pub(super) at: usize,
    pub(super) key: String,
    pub(super) node: Node<'a>,
}

impl Node<'_> {
    /// The text of a string, if it is one.
    pub(super) fn text(&self) -> Option<String> {
        match self.value {
            Value::Leaf(raw) => serde_json::from_str(raw).ok(),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value, Value::Leaf("null"))
    }

    /// Whether nothing has been written into it: `""`, `null`, or nothing but those.
    pub(super) fn is_blank(&self) -> bool {
        match &self.value {
            Value::Object(members) => members.iter().all(|member| member.node.is_blank()),
            Value::Array(items) => items.iter().all(Node::is_blank),
            Value::Leaf(_) => {
                self.is_null() || self.text().is_some_and(|text| text.trim().is_empty())
            }
        }
    }
}

/// The tree of `json`, or where it is nested more deeply than [`DRAFT_DEPTH_MAX`].
pub(super) fn build(json: &str) -> Result<Node<'_>, usize> {
    Builder { json, at: 0 }.value(0)
}

struct Builder<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Builder<'a> {
    /// The next byte that is no blank; NUL at the end.
    fn peek(&mut self) -> u8 {
        let rest = &self.json.as_bytes()[self.at..];
        let blanks = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
            .count();
        self.at += blanks;
        rest.get(blanks).copied().unwrap_or(0)
    }

    fn value(&mut self, depth: usize) -> Result<Node<'a>, usize> {
        let first = self.peek();
        let at = self.at;
        if matches!(first, b'{' | b'[') && depth == DRAFT_DEPTH_MAX {
            return Err(at);
        }
        let value = match first {
            b'{' => Value::Object(self.until(b'}', |builder| builder.member(depth + 1))?),
            b'[' => Value::Array(self.until(b']', |builder| builder.value(depth + 1))?),
            _ => Value::Leaf(self.leaf()),
        };
        Ok(Node { at, value })
    }

    fn until<T>(
        &mut self,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<T, usize>,
    ) -> Result<Vec<T>, usize> {
        let mut items = Vec::new();
        self.at += 1;
        loop {
            match self.peek() {
                byte if byte == close || byte == 0 => {
                    self.at = self.json.len().min(self.at + 1);
                    return Ok(items);
                }
                b',' => self.at += 1,
                _ => items.push(item(self)?),
            }
        }
    }

    fn member(&mut self, depth: usize) -> Result<Member<'a>, usize> {
        let _ = self.peek();
        let at = self.at;
        let key = serde_json::from_str(self.leaf()).unwrap_or_default();
        if self.peek() == b':' {
            self.at += 1;
        }
        let node = self.value(depth)?;
        Ok(Member { at, key, node })
    }

    fn leaf(&mut self) -> &'a str {
        let rest = &self.json.as_bytes()[self.at..];
        let length = if rest.first() == Some(&b'"') {
            let mut end = 1;
            while end < rest.len() && rest[end] != b'"' {
                end += 1 + usize::from(rest[end] == b'\\');
            }
            end + 1
        } else {
            rest.iter()
                .position(|byte| b",:]} \t\n\r".contains(byte))
                .unwrap_or(rest.len())
                .max(1)
        };
        let end = self.json.len().min(self.at + length);
        let leaf = self.json.get(self.at..end).unwrap_or_default();
        self.at = end;
        leaf
    }
}
