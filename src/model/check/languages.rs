//! Rules for languages: what `common.languages` says is what every text has.

use std::collections::BTreeSet;

use super::Faults;
use super::walk::{Found, Path, in_language, walk};
use crate::model::language::{NATIONAL_LANGUAGES, customary_case, is_national, is_well_formed};
use crate::model::shape::Message;
use crate::model::text;
use crate::proto::v1;

/// The texts in all languages are equally authentic, so a message has each of its texts in each
/// of its languages: whoever reads one of them reads the whole.
pub(super) fn check(draft: &Message<'_>, common: &v1::Common, at: &str, faults: &mut Faults) {
    let listed = format!("{at}.common.languages");
    let mut declared = BTreeSet::new();
    for (index, tag) in common.languages.iter().enumerate() {
        let field = || format!("{listed}[{index}]");
        check_tag(tag, field, faults);
        if !declared.insert(tag.as_str()) {
            faults.add(
                field(),
                "the language is listed twice",
                "remove one of the two",
            );
        }
    }
    let mut spoken = BTreeSet::new();
    walk(draft, &mut Path::default(), &mut |path, found| {
        let Found::Localized(texts) = found else {
            return;
        };
        for (tag, _) in texts {
            spoken.insert(*tag);
            if !declared.contains(tag) {
                let field = || in_language(path, tag);
                check_tag(tag, field, faults);
                faults.add(
                    field(),
                    "the language is not listed in common.languages",
                    format!("add it to {listed} and give every text in it, or remove this text"),
                );
            }
        }
        for tag in &declared {
            if texts.binary_search_by_key(tag, |(tag, _)| *tag).is_err() {
                faults.add(
                    path.as_str(),
                    format!(
                        "there is no text in {}, which common.languages lists",
                        text::excerpt(tag, 40)
                    ),
                    format!("write it, or remove the language from {listed} and every text"),
                );
            }
        }
    });
    for (index, tag) in common.languages.iter().enumerate() {
        if !spoken.contains(tag.as_str()) {
            faults.add(
                format!("{listed}[{index}]"),
                "no text of this message is in this language",
                "remove it, or write the texts in it",
            );
        }
    }
}

/// Whether a text that a form leaves free is given. If so, it has a national language.
pub(super) fn is_given(text: Option<&v1::LocalizedText>, field: &str, faults: &mut Faults) -> bool {
    let texts = text.into_iter().flat_map(|text| text.texts.keys());
    require_national(texts, || field, faults);
    text.is_some_and(|text| !text.texts.is_empty())
}

/// Free text that a form requires has a national language. `field` is asked for its path only if
/// there is a fault.
pub(super) fn require_national<T: AsRef<str>, P: Into<String>>(
    tags: impl IntoIterator<Item = T>,
    field: impl Fn() -> P,
    faults: &mut Faults,
) {
    let mut tags = tags.into_iter().peekable();
    if tags.peek().is_some() && !tags.any(|tag| is_national(tag.as_ref())) {
        faults.add(
            field(),
            "the text is in no national language",
            format!(
                "write it in one of {} at least",
                NATIONAL_LANGUAGES.join(", ")
            ),
        );
    }
}

/// What both sides sign is in the language of each: neither signs what it cannot read.
pub(super) fn require_every_national(common: Option<&v1::Common>, at: &str, faults: &mut Faults) {
    let listed = common.map_or(&[][..], |common| &common.languages);
    for language in NATIONAL_LANGUAGES {
        let is_of = |tag: &String| tag.split('-').next() == Some(language);
        if !listed.iter().any(is_of) {
            faults.add(
                format!("{at}.common.languages"),
                format!("both sides sign this, and it is not given in {language}"),
                "write every text in the languages of both sides, vi and zh-Hans, and list both",
            );
        }
    }
}

/// `field` is asked for its path only if there is a fault.
pub(super) fn check_tag<P: Into<String>>(tag: &str, field: impl Fn() -> P, faults: &mut Faults) {
    if !is_well_formed(tag) {
        faults.add(
            field(),
            format!("\"{}\" is no language tag", text::excerpt(tag, 40)),
            "give a BCP 47 tag such as vi, zh-Hans or en",
        );
    } else if customary_case(tag) != tag {
        faults.add(
            field(),
            format!("the language tag {tag} is not in its customary case"),
            format!("write {}", customary_case(tag)),
        );
    }
}
