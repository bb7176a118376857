//! A template as the workflow document writes it.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text to send: the base text, and variants of it for other languages. Written in Jinja: `{{ column }}`,
/// `{{ open_amount | money(currency) }}`, `{{ due_date | date("long") }}`, `{% if … %}`, `{% for … %}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TemplateSource {
    /// The subject line of an e-mail or letter. Line breaks in it become blanks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The text itself, for everyone whose language has no variant.
    pub body: String,
    /// Variants by language tag, such as "nl" or "nl-BE". The nearest one is used: "nl-BE", then "nl", then the base text.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub locales: IndexMap<String, LocaleVariant>,
}

/// The text in one language.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LocaleVariant {
    /// The subject line in this language; the base one if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The text in this language.
    pub body: String,
}
