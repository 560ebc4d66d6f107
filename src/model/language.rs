//! Language tags.

/// The languages whose texts are authentic, by their first subtag. Free text that a form requires
/// is given in one of them at least; others, such as English, may stand beside it.
pub const NATIONAL_LANGUAGES: [&str; 2] = ["vi", "zh"];

/// Says whether a tag is well-formed: language, script, region, variants, extensions and private
/// use, in this order. The grandfathered tags without that form are refused.
///
/// Source: RFC 5646 §2.1.
#[must_use]
pub fn is_well_formed(tag: &str) -> bool {
    let is_alphanumeric = |subtag: &&str| {
        (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let subtags: Vec<&str> = tag.split('-').collect();
    if !subtags.iter().all(is_alphanumeric) {
        return false;
    }
    let Some((language, rest)) = subtags.split_first() else {
        return false;
    };
    if language.eq_ignore_ascii_case("x") {
        return !rest.is_empty();
    }
    if !is_alpha(language, 2..=8) {
        return false;
    }
    let mut rest = rest.iter().copied().peekable();
    if language.len() <= 3 {
        for _ in 0..3 {
            let _ = rest.next_if(|subtag| is_alpha(subtag, 3..=3));
        }
    }
    let _ = rest.next_if(|subtag| is_alpha(subtag, 4..=4));
    let _ = rest.next_if(|subtag| is_region(subtag));
    let mut variants = Vec::new();
    while let Some(variant) = rest.next_if(|subtag| is_variant(subtag)) {
        variants.push(variant.to_ascii_lowercase());
    }
    let mut singletons = Vec::new();
    while let Some(singleton) = rest.next() {
        if singleton.len() != 1 {
            return false;
        }
        let singleton = singleton.to_ascii_lowercase();
        if singleton == "x" {
            return rest.peek().is_some() && !has_duplicate(&mut variants);
        }
        singletons.push(singleton);
        let mut parts = 0;
        while rest.next_if(|subtag| subtag.len() >= 2).is_some() {
            parts += 1;
        }
        if parts == 0 {
            return false;
        }
    }
    !has_duplicate(&mut variants) && !has_duplicate(&mut singletons)
}

/// The tag in its customary case, so that equal tags are equal bytes: `zh-Hans-CN`.
///
/// Source: RFC 5646 §2.1.1.
#[must_use]
pub fn customary_case(tag: &str) -> String {
    let mut after_singleton = false;
    let mut shown = Vec::new();
    for (position, subtag) in tag.split('-').enumerate() {
        let lower = subtag.to_ascii_lowercase();
        shown.push(match lower.len() {
            2 if position > 0 && !after_singleton => lower.to_ascii_uppercase(),
            4 if position > 0 && !after_singleton && is_alpha(&lower, 4..=4) => {
                lower[..1].to_ascii_uppercase() + &lower[1..]
            }
            _ => lower,
        });
        after_singleton |= subtag.len() == 1;
    }
    shown.join("-")
}

/// Says whether a tag is of one of the [`NATIONAL_LANGUAGES`].
#[must_use]
pub fn is_national(tag: &str) -> bool {
    let language = tag.split('-').next().unwrap_or_default();
    NATIONAL_LANGUAGES.contains(&language)
}

fn is_alpha(subtag: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphabetic())
}

fn is_region(subtag: &str) -> bool {
    is_alpha(subtag, 2..=2) || (subtag.len() == 3 && subtag.bytes().all(|b| b.is_ascii_digit()))
}

fn is_variant(subtag: &str) -> bool {
    subtag.len() >= 5 || (subtag.len() == 4 && subtag.as_bytes()[0].is_ascii_digit())
}

fn has_duplicate(subtags: &mut [String]) -> bool {
    subtags.sort_unstable();
    subtags.windows(2).any(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_the_rfc() {
        // RFC 5646 appendix A.
        for tag in [
            "vi",
            "zh-Hans",
            "zh-Hant-TW",
            "en",
            "zh-cmn-Hans-CN",
            "sl-rozaj-biske",
            "de-CH-1901",
            "hy-Latn-IT-arevela",
            "es-419",
            "x-whatever",
            "qaa-Qaaa-QM-x-southern",
            "de-Latn-DE",
            "en-US-u-islamcal",
            "zh-CN-a-myext-x-private",
            "en-a-myext-b-another",
            "tyz",
            "yue",
        ] {
            assert!(is_well_formed(tag), "{tag}");
            assert_eq!(customary_case(&tag.to_lowercase()), tag);
            assert_eq!(customary_case(&tag.to_uppercase()), tag);
        }
        for tag in [
            "",
            "v",
            "1",
            "vi-",
            "-vi",
            "vi_VN",
            "de-419-DE",
            "a-DE",
            "ar-a-aaa-b-bbb-a-ccc",
            "x",
            "en-u",
            "vi-x",
            "zh-Hans-Hans",
            "abcdefghi",
            "việt",
            "sl-rozaj-rozaj",
            "vi VN",
            "i-klingon",
        ] {
            assert!(!is_well_formed(tag), "{tag}");
        }
    }

    #[test]
    fn national_languages_are_known_by_their_first_subtag() {
        for (tag, national) in [
            ("vi", true),
            ("zh-Hans", true),
            ("vi-VN", true),
            ("en", false),
            ("vie", false),
        ] {
            assert_eq!(is_national(tag), national, "{tag}");
        }
    }
}
