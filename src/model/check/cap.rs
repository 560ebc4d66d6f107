//! Whether a text is a CAP 1.2 alert by its looks.
//!
//! Elements are balanced, the outermost is an alert in the namespace of CAP 1.2, and nothing is
//! declared that a reader would have to expand or fetch: no document type, no entities of its
//! own. Deliberately absent: the schema. What the alert says is for the system that reads it.
//!
//! Source: OASIS Common Alerting Protocol 1.2 §3; XML 1.0 §2, §4.

/// The namespace of CAP 1.2.
pub(super) const NAMESPACE: &str = "urn:oasis:names:tc:emergency:cap:1.2";

/// Judges the text; the error says what is wrong first.
pub(super) fn judge(xml: &str) -> Result<(), &'static str> {
    if !xml.starts_with("<?xml") && !xml.starts_with("<alert") {
        return Err("it begins neither with an XML declaration nor with <alert");
    }
    let mut rest = xml;
    let mut open: Vec<&str> = Vec::new();
    let mut has_root = false;
    while let Some(start) = rest.find('<') {
        content(&rest[..start], open.is_empty())?;
        let markup = &rest[start..];
        rest = if let Some(comment) = markup.strip_prefix("<!--") {
            comment.split_once("-->").ok_or("a comment does not end")?.1
        } else if let Some(section) = markup.strip_prefix("<![CDATA[") {
            if open.is_empty() {
                return Err("there is text outside the alert");
            }
            section
                .split_once("]]>")
                .ok_or("a CDATA section does not end")?
                .1
        } else if let Some(instruction) = markup.strip_prefix("<?") {
            instruction
                .split_once("?>")
                .ok_or("a processing instruction does not end")?
                .1
        } else if markup.starts_with("<!") {
            return Err("it declares a document type or an entity");
        } else {
            let end = tag_end(markup).ok_or("a tag does not end")?;
            tag(&markup[1..end], &mut open, &mut has_root)?;
            &markup[end + 1..]
        };
    }
    content(rest, true)?;
    match (has_root, open.is_empty()) {
        (false, _) => Err("there is no alert in it"),
        (true, false) => Err("an element is not closed"),
        (true, true) => Ok(()),
    }
}

/// What stands between tags: references only to characters, and nothing outside the alert.
fn content(text: &str, outside: bool) -> Result<(), &'static str> {
    if outside && !text.trim().is_empty() {
        return Err("there is text outside the alert");
    }
    for (at, _) in text.match_indices('&') {
        let name = text[at + 1..].split_once(';').map(|(name, _)| name);
        let is_known = name.is_some_and(|name| {
            matches!(name, "amp" | "lt" | "gt" | "quot" | "apos")
                || name
                    .strip_prefix("#x")
                    .map(|digits| is_number(digits, 16))
                    .or_else(|| name.strip_prefix('#').map(|digits| is_number(digits, 10)))
                    .unwrap_or(false)
        });
        if !is_known {
            return Err("it refers to an entity that XML does not define by itself");
        }
    }
    Ok(())
}

fn is_number(digits: &str, radix: u32) -> bool {
    !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix))
}

/// Where the tag at the beginning of `markup` ends; quoted values may contain `>`.
fn tag_end(markup: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in markup.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// One tag, without its angle brackets.
fn tag<'a>(
    inside: &'a str,
    open: &mut Vec<&'a str>,
    has_root: &mut bool,
) -> Result<(), &'static str> {
    if let Some(name) = inside.strip_prefix('/') {
        return match open.pop() {
            Some(opened) if opened == name.trim_end() => Ok(()),
            _ => Err("an element is closed that was not open"),
        };
    }
    let (inside, is_empty) = match inside.strip_suffix('/') {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let name = inside
        .split(|c: char| c.is_ascii_whitespace())
        .next()
        .unwrap_or_default();
    if !is_name(name) {
        return Err("a tag has no name");
    }
    if inside[name.len()..].contains('<') {
        return Err("a tag does not end");
    }
    content(inside, false)?;
    if open.is_empty() {
        if *has_root {
            return Err("there is more than one outermost element");
        }
        *has_root = true;
        if name.rsplit(':').next() != Some("alert") {
            return Err("its outermost element is no alert");
        }
        if !inside.contains(NAMESPACE) {
            return Err("its alert is not in the namespace urn:oasis:names:tc:emergency:cap:1.2");
        }
    }
    if !is_empty {
        open.push(name);
    }
    Ok(())
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alert(inside: &str) -> String {
        format!("<alert xmlns=\"{NAMESPACE}\">{inside}</alert>")
    }

    #[test]
    fn alerts_in_any_usual_dress_pass() {
        let plain = alert("<info><event>Cháy rừng &amp; khói &#x1F525; &#10;</event></info>");
        for xml in [
            plain.clone(),
            format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<!-- a > b -->\n{plain}\n"),
            format!("<?xml version='1.0'?><c:alert xmlns:c='{NAMESPACE}'><c:x/></c:alert>"),
            alert("<a b=\"1 > 0\" /><![CDATA[<not a tag> & no entity]]><a></a >"),
            format!("<alert xmlns=\"{NAMESPACE}\"/>"),
        ] {
            assert_eq!(judge(&xml), Ok(()), "{xml}");
        }
    }

    #[test]
    fn what_is_no_alert_is_told() {
        for (xml, reason) in [
            (String::new(), "begins neither"),
            (format!(" {}", alert("")), "begins neither"),
            ("<?xml version=\"1.0\"?>".to_owned(), "no alert in it"),
            (
                format!("<?xml version=\"1.0\"?><feed xmlns=\"{NAMESPACE}\"/>"),
                "outermost element is no alert",
            ),
            (
                "<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.1\"/>".to_owned(),
                "namespace",
            ),
            (
                format!("<alert><a xmlns=\"{NAMESPACE}\"/></alert>"),
                "namespace",
            ),
            (
                format!("<?xml version=\"1.0\"?><!DOCTYPE alert []>{}", alert("")),
                "document type",
            ),
            (
                format!("<?xml version=\"1.0\"?><!ENTITY a \"b\">{}", alert("")),
                "document type",
            ),
            (alert("&boom;"), "entity"),
            (alert("a & b"), "entity"),
            (alert("&#xZZ;"), "entity"),
            (alert("&#;"), "entity"),
            (alert("<a href=\"&boom;\"/>"), "entity"),
            (alert("<a>"), "was not open"),
            (alert("</a>"), "was not open"),
            (alert("<a></b>"), "was not open"),
            (format!("<alert xmlns=\"{NAMESPACE}\">"), "not closed"),
            (
                format!("<alert xmlns=\"{NAMESPACE}\""),
                "a tag does not end",
            ),
            (alert("<a <b/>"), "a tag does not end"),
            (alert("< a/>"), "no name"),
            (alert("<!-- "), "comment"),
            (alert("<![CDATA["), "CDATA"),
            (alert("<? "), "instruction"),
            (format!("{}text", alert("")), "outside"),
            (format!("{}<![CDATA[text]]>", alert("")), "outside"),
            (format!("{0}{0}", alert("")), "more than one"),
        ] {
            let told = judge(&xml).unwrap_err();
            assert!(told.contains(reason), "{xml}: {told}");
        }
    }

    proptest! {
        #[test]
        fn junk_is_judged_without_harm(junk in "[<>/!?&;#x \\[\\]\"'=a:é-]{0,80}") {
            let _ = judge(&junk);
            let _ = judge(&format!("<alert {junk}"));
            let _ = judge(&alert(&junk));
        }
    }
}
