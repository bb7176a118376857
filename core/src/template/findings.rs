//! What can be wrong with a template, as those who wrote it get to see it.

use std::borrow::Cow;
use std::fmt;

/// A part of a template that can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The subject line.
    Subject,
    /// The text.
    Body,
    /// The language tag of a variant.
    Locale,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subject => "subject",
            Self::Body => "body",
            Self::Locale => "locale",
        })
    }
}

/// Something that is wrong with a template; it cannot be rendered until that is put right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFinding {
    /// The template's name.
    pub template: String,
    /// The variant, as the document writes its tag; None for the base text.
    pub locale: Option<String>,
    /// The part of that variant.
    pub part: Part,
    /// What is wrong, beginning with the line where there is one.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A finding without a hint.
pub(super) fn finding(
    template: &str,
    locale: Option<&str>,
    part: Part,
    message: impl Into<String>,
) -> TemplateFinding {
    TemplateFinding {
        template: template.to_owned(),
        locale: locale.map(str::to_owned),
        part,
        message: message.into(),
        hint: None,
    }
}

/// A message that quotes what is wrong may quote a name of any length.
pub(super) fn shortened(message: &str) -> Cow<'_, str> {
    match message.char_indices().nth(300) {
        Some((cut, _)) => format!("{} …", &message[..cut]).into(),
        None => message.into(),
    }
}
