//! A writer of HTML in which text is data, and the frame of a self-contained page.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::model::language::is_well_formed;
use crate::model::text::{escape, escape_lines};

/// The style that every page begins with.
const PAGE_CSS: &str = include_str!("page.css");

/// A part of a page being written. What was opened is closed by construction.
///
/// Names of elements, attributes and classes are the program's own; everything else is escaped
/// twice: characters that steer become visible (`\u{202E}`), and what HTML would read becomes
/// character references.
#[derive(Debug, Clone, Default)]
pub struct Html(String);

/// Attributes: names of the program's own, and values that are escaped.
pub type Attributes<'a> = &'a [(&'static str, &'a str)];

impl Html {
    /// An empty part.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An element with attributes and what is within.
    pub fn with(
        &mut self,
        name: &'static str,
        attributes: Attributes<'_>,
        within: impl FnOnce(&mut Self),
    ) {
        self.open(name, attributes);
        within(self);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// An element of a class, or of several with spaces between.
    pub fn class(
        &mut self,
        name: &'static str,
        class: &'static str,
        within: impl FnOnce(&mut Self),
    ) {
        self.with(name, &[("class", class)], within);
    }

    /// An element without attributes.
    pub fn element(&mut self, name: &'static str, within: impl FnOnce(&mut Self)) {
        self.with(name, &[], within);
    }

    /// An element that has no end tag, such as `br`.
    pub fn void(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.open(name, attributes);
    }

    fn open(&mut self, name: &'static str, attributes: Attributes<'_>) {
        self.0.push('<');
        self.0.push_str(name);
        for (attribute, value) in attributes {
            self.0.push(' ');
            self.0.push_str(attribute);
            self.0.push_str("=\"");
            self.push_escaped(&escape(value));
            self.0.push('"');
        }
        self.0.push('>');
    }

    /// Text of one line.
    pub fn text(&mut self, text: &str) {
        self.push_escaped(&escape(text));
    }

    /// Text whose line feeds and tabs are kept.
    pub fn lines(&mut self, text: &str) {
        self.push_escaped(&escape_lines(text));
    }

    /// Text of one line from elsewhere, on which the direction of its surroundings has no effect, nor
    /// the other way.
    pub fn isolated(&mut self, text: &str) {
        self.element("bdi", |html| html.text(text));
    }

    /// The same, in a language. A tag that is none is left out.
    pub fn isolated_in(&mut self, language: &str, text: &str) {
        if is_well_formed(language) {
            self.with("bdi", &[("lang", language)], |html| html.text(text));
        } else {
            self.isolated(text);
        }
    }

    /// Another part.
    pub fn part(&mut self, part: &Self) {
        self.0.push_str(&part.0);
    }

    /// The part as it stands.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn push_escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
    }
}

/// What surrounds the content of a page.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Language of what stands in none of its own.
    pub language: &'static str,
    /// The title, which becomes the name of a saved file.
    pub title: &'a str,
    /// The document's own style.
    pub css: &'static str,
    /// Classes of the body.
    pub class: &'static str,
    /// On every printed page at the top, where browsers support it.
    pub header: &'a str,
    /// On every printed page at the bottom left; its number stands at the right.
    pub footer: &'a str,
}

/// A whole page: one file without script that loads nothing, in A4.
///
/// Its content security policy allows exactly its own style, by digest.
#[must_use]
pub fn page(frame: &Frame<'_>, content: impl FnOnce(&mut Html)) -> String {
    let style = format!(
        "{PAGE_CSS}{}@page{{@top-center{{content:{}}}@bottom-left{{content:{}}}}}\n",
        frame.css,
        css_string(frame.header),
        css_string(frame.footer)
    );
    let digest = STANDARD.encode(Sha256::digest(style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    );
    let mut html = Html(String::from("<!DOCTYPE html>\n"));
    html.with("html", &[("lang", frame.language)], |html| {
        html.element("head", |html| {
            html.void("meta", &[("charset", "utf-8")]);
            let csp = [
                ("http-equiv", "Content-Security-Policy"),
                ("content", &*policy),
            ];
            html.void("meta", &csp);
            let no_referrer = [("name", "referrer"), ("content", "no-referrer")];
            html.void("meta", &no_referrer);
            let viewport = [
                ("name", "viewport"),
                ("content", "width=device-width, initial-scale=1"),
            ];
            html.void("meta", &viewport);
            html.element("title", |html| html.text(frame.title));
            // Raw text in HTML: only the program's own, and strings of letters and escapes.
            html.element("style", |html| html.0.push_str(&style));
        });
        html.0.push('\n');
        html.class("body", frame.class, content);
    });
    html.0.push('\n');
    html.0
}

/// A string of CSS. Everything but letters, digits and some marks is escaped, so that neither CSS
/// nor HTML can read an end into it.
///
/// Source: CSS Syntax Level 3 §4.3.7.
fn css_string(text: &str) -> String {
    let mut string = String::from("\"");
    for c in escape(text).chars() {
        if c.is_alphanumeric() || " .,:/-–—·()".contains(c) {
            string.push(c);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(string, "\\{:x} ", u32::from(c));
        }
    }
    string.push('"');
    string
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_never_becomes_markup() {
        let mut html = Html::new();
        let hostile = "</p><script>alert(1)</script>&amp;\u{202E}\"'";
        html.with("p", &[("title", hostile)], |html| html.text(hostile));
        let shown = "&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;\\u{202E}&quot;&#39;";
        assert_eq!(html.as_str(), format!("<p title=\"{shown}\">{shown}</p>"));
    }

    #[test]
    fn lines_keep_line_feeds_and_nothing_else() {
        let mut html = Html::new();
        html.lines("a\n\tb\r\u{200B}");
        assert_eq!(html.as_str(), "a\n\tb\\u{D}\\u{200B}");
    }

    #[test]
    fn languages_are_tags_or_nothing() {
        let mut html = Html::new();
        html.isolated_in("zh-Hans", "公函");
        html.isolated_in("x\" onclick=\"", "?");
        assert_eq!(
            html.as_str(),
            "<bdi lang=\"zh-Hans\">公函</bdi><bdi>?</bdi>"
        );
    }

    #[test]
    fn strings_of_css_end_where_they_end() {
        assert_eq!(css_string("27/ĐBP (MẪU)"), "\"27/ĐBP (MẪU)\"");
        assert_eq!(
            css_string("a\"}</style>\\\n"),
            "\"a\\22 \\7d \\3c /style\\3e \\5c \\5c u\\7b A\\7d \""
        );
    }

    #[test]
    fn a_page_allows_its_own_style_and_nothing_else() {
        let frame = Frame {
            language: "en",
            title: "<t>",
            css: "p{}",
            class: "c",
            header: "",
            footer: "</style><script>",
        };
        let page = page(&frame, |html| html.element("p", |html| html.text("x")));
        let style = page.split("<style>").nth(1).unwrap();
        let style = style.split("</style>").next().unwrap();
        let digest = STANDARD.encode(Sha256::digest(style));
        assert!(page.contains(&format!("style-src &#39;sha256-{digest}&#39;")));
        assert_eq!(page.matches("</style>").count(), 1);
        assert!(!page.contains("<script") && page.contains("<title>&lt;t&gt;</title>"));
        assert!(page.ends_with("<body class=\"c\"><p>x</p></body></html>\n"));
    }
}
