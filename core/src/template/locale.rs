//! Language tags as people and databases write them (`nl-BE`, `nl_NL.UTF-8`, `NL`), and which text of a template they pick.

/// Bytes of the longest tag that is looked at. Tags come from data; a longer text is none.
const MAX_TAG_BYTES: usize = 64;

/// A tag in one spelling: lower case, hyphens, without the encoding or modifier of a POSIX name. Empty for `C`, `POSIX` and
/// what is too long to be a tag.
pub(super) fn normalize(tag: &str) -> String {
    let tag = tag.split(['.', '@']).next().unwrap_or_default().trim();
    if tag.len() > MAX_TAG_BYTES {
        return String::new();
    }
    let tag = tag.to_ascii_lowercase().replace('_', "-");
    if matches!(tag.as_str(), "c" | "posix") {
        String::new()
    } else {
        tag
    }
}

/// The language of a normalized tag.
pub(super) fn language(tag: &str) -> &str {
    tag.split('-').next().unwrap_or_default()
}

/// The region of a normalized tag, `be` in `nl-be`.
pub(super) fn region(tag: &str) -> Option<&str> {
    tag.split('-').skip(1).find(|part| {
        part.len() == 2 || (part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// A normalized tag and what it falls back to, the nearest first: `zh-hant-tw`, `zh-hant`, `zh`.
pub(super) fn fallbacks(tag: &str) -> impl Iterator<Item = &str> {
    std::iter::successors((!tag.is_empty()).then_some(tag), |tag| {
        tag.rsplit_once('-').map(|(shorter, _)| shorter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_locale_are_one() {
        for spelling in [
            "nl-NL",
            "nl_NL",
            "nl_NL.UTF-8",
            "NL-nl",
            "nl_NL@euro",
            " nl_nl ",
        ] {
            assert_eq!(normalize(spelling), "nl-nl", "{spelling}");
        }
        for nothing in ["", "C", "POSIX", "C.UTF-8", &"nl-".repeat(100)] {
            assert_eq!(normalize(nothing), "", "{nothing}");
        }
    }

    #[test]
    fn a_tag_falls_back_part_by_part() {
        assert_eq!(
            fallbacks("zh-hant-tw").collect::<Vec<_>>(),
            ["zh-hant-tw", "zh-hant", "zh"]
        );
        assert_eq!(fallbacks("").count(), 0);
        assert_eq!(region("zh-hant-tw"), Some("tw"));
        assert_eq!(region("es-419"), Some("419"));
        assert_eq!(region("nl"), None);
    }
}
