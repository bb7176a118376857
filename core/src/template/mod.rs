//! What a message says: templates with language variants, compiled once and rendered for one case at a time.
//!
//! The language is Jinja as the minijinja project defines it, cut down to what a letter needs; there is no way from a template to a
//! file, another template, the network or unbounded time or memory. Who is written to, and when, is decided elsewhere.

mod filters;
mod findings;
mod formats;
mod lists;
mod locale;
mod machine;
mod money;
pub(crate) mod number;
mod operators;
mod scope;
mod source;
mod syntax;
mod totals;
mod tree;
mod value;
mod variables;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use icu_locale_core::Locale;
use indexmap::IndexMap;

use crate::error::{Error, ErrorCode};
use crate::names;
use findings::{finding, shortened};
use machine::Machine;
use tree::Node;

pub use findings::{Part, TemplateFinding};
pub use scope::{CaseFacts, ENGINE_NAMES, Scope, ToLocal};
pub use source::{LocaleVariant, TemplateSource};

/// The language of base texts for formats, when nothing else is said.
const DEFAULT_LOCALE: &str = "en";

/// What a template may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Size of one source text in bytes.
    pub source_bytes: usize,
    /// Steps of one rendering: an expression, a piece of text and an element of a list take one each, long texts more.
    pub fuel: u64,
    /// Size of a rendered body in bytes.
    pub body_bytes: usize,
    /// Size of a rendered subject line in bytes.
    pub subject_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes: 64 * 1024,
            fuel: 50_000,
            body_bytes: 64 * 1024,
            subject_bytes: 1024,
        }
    }
}

/// A rendered message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// One line, without line breaks or other control characters; None if the template has no subject.
    pub subject: Option<String>,
    /// The text.
    pub body: String,
    /// The variant that was used, as the document writes its tag; None for the base text.
    pub locale: Option<String>,
}

/// One compiled text.
#[derive(Clone, Debug)]
struct Compiled {
    nodes: Box<[Node]>,
    needed: Box<[String]>,
    /// If it walks over the case's rows: every word in it that may be one of their columns.
    of_subjects: Option<Box<[String]>>,
    source_bytes: usize,
}

/// The texts of a template in one language.
#[derive(Clone, Debug)]
struct Variant {
    /// The tag as written and as compared; None for the base text.
    tag: Option<(String, String)>,
    subject: Option<Compiled>,
    body: Compiled,
}

/// All that the workflow has under one name.
#[derive(Clone, Debug)]
enum Entry {
    Ready {
        base: Variant,
        variants: Vec<Variant>,
    },
    /// The template does not compile; its findings said so.
    Broken,
}

/// The templates of a workflow version, compiled. Immutable but for `add_inline`; safe to share between threads.
#[derive(Clone, Debug)]
pub struct Templates {
    entries: BTreeMap<String, Entry>,
    limits: Limits,
    base_locale: String,
}

impl Default for Templates {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            limits: Limits::default(),
            base_locale: DEFAULT_LOCALE.to_owned(),
        }
    }
}

impl Templates {
    /// Compiles all templates of a document with the usual limits, and says what is wrong with them, all at once.
    /// Findings are errors: a template that has one cannot be rendered, the others can.
    pub fn compile(sources: &IndexMap<String, TemplateSource>) -> (Self, Vec<TemplateFinding>) {
        Self::compile_with(sources, Limits::default())
    }

    /// Like `compile`, with other limits.
    pub fn compile_with(
        sources: &IndexMap<String, TemplateSource>,
        limits: Limits,
    ) -> (Self, Vec<TemplateFinding>) {
        let mut templates = Self {
            limits,
            ..Self::default()
        };
        let mut findings = Vec::new();
        for (name, source) in sources {
            let before = findings.len();
            let entry = templates.entry(name, source, &mut findings);
            let entry = entry
                .filter(|_| findings.len() == before)
                .unwrap_or(Entry::Broken);
            templates.entries.insert(name.clone(), entry);
        }
        (templates, findings)
    }

    /// Says which language the base texts are in, for their numbers and dates; English if this is never called.
    #[must_use]
    pub fn with_base_locale(mut self, tag: &str) -> Self {
        self.base_locale = locale::normalize(tag);
        self
    }

    /// Changes what rendering may cost, for instance when a setting changed.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds a text of a step, such as a note's, under a name of the caller's choice. It has no subject and no variants.
    ///
    /// # Errors
    /// What is wrong with the text, or that the name is taken.
    pub fn add_inline(&mut self, name: &str, text: &str) -> Result<(), TemplateFinding> {
        if self.entries.contains_key(name) {
            return Err(finding(
                name,
                None,
                Part::Body,
                "there is already a text of that name",
            ));
        }
        let mut findings = Vec::new();
        let body = self.text(name, None, Part::Body, text, &mut findings);
        let entry = body.map_or(Entry::Broken, |body| Entry::Ready {
            base: Variant {
                tag: None,
                subject: None,
                body,
            },
            variants: Vec::new(),
        });
        self.entries.insert(name.to_owned(), entry);
        findings.into_iter().next().map_or(Ok(()), Err)
    }

    /// Whether there is a template or inline text of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The columns that a template needs, over all of its languages: names that are neither the engine's (`ENGINE_NAMES`) nor
    /// given in the text (`set`, `for`), and that the text does not allow to be missing (`is defined`, `default`).
    /// Empty for an unknown name.
    pub fn variables(&self, name: &str) -> BTreeSet<String> {
        let texts = self.texts(name);
        texts.flat_map(|text| text.needed.iter().cloned()).collect()
    }

    /// Whether a template says something of all the rows that the case concerns, in any of its languages.
    pub fn uses_subjects(&self, name: &str) -> bool {
        self.texts(name).any(|text| text.of_subjects.is_some())
    }

    /// Every word in the texts that walk over the case's rows that may be one of their columns. Some are none.
    pub fn words_of_subjects(&self) -> BTreeSet<&str> {
        let texts = self.entries.keys().flat_map(|name| self.texts(name));
        let words = texts.flat_map(|text| text.of_subjects.iter().flat_map(|words| words.iter()));
        words.map(String::as_str).collect()
    }

    fn texts(&self, name: &str) -> impl Iterator<Item = &Compiled> {
        let entry = match self.entries.get(name) {
            Some(Entry::Ready { base, variants }) => Some((base, variants)),
            _ => None,
        };
        entry.into_iter().flat_map(|(base, variants)| {
            let all = std::iter::once(base).chain(variants);
            all.flat_map(|variant| variant.subject.iter().chain([&variant.body]))
        })
    }

    /// Renders a template for one case in the nearest language: the wanted tag, then the same without its last parts
    /// (`nl-BE`, `nl`), then the base text. Tags are compared without regard to case, `nl_NL.UTF-8` is `nl-NL`.
    ///
    /// Numbers and dates are written as the text's own language writes them, in the wanted region's manner if it is the same
    /// language; never in a language other than the text's.
    ///
    /// # Errors
    /// `ErrorCode::Template`: no such template, a name that does not exist, values that do not fit, or a limit exceeded.
    pub fn render(
        &self,
        name: &str,
        wanted: Option<&str>,
        scope: &Scope<'_>,
    ) -> Result<Rendered, Error> {
        let (base, variants) = match self.entries.get(name) {
            Some(Entry::Ready { base, variants }) => (base, variants),
            Some(Entry::Broken) => {
                return Err(Error::new(
                    ErrorCode::Template,
                    format!("template \"{name}\" does not compile"),
                )
                .hint("Validate the workflow to see what is wrong with it."));
            }
            None => {
                let error = Error::new(
                    ErrorCode::Template,
                    format!("template \"{name}\" does not exist"),
                );
                let close = names::did_you_mean(name, self.entries.keys().map(String::as_str));
                return Err(match close {
                    Some(hint) => error.hint(hint),
                    None => error,
                });
            }
        };
        let wanted = wanted.map(locale::normalize).unwrap_or_default();
        let variant = locale::fallbacks(&wanted)
            .find_map(|tag| {
                variants
                    .iter()
                    .find(|variant| variant.tag.as_ref().is_some_and(|(_, own)| own == tag))
            })
            .unwrap_or(base);

        let subject = match variant.subject.as_ref().map(|subject| (subject, variant)) {
            Some(own) => Some(own),
            None => base.subject.as_ref().map(|subject| (subject, base)),
        };
        let subject = subject
            .map(|(subject, variant)| {
                self.run(name, variant, Part::Subject, subject, &wanted, scope)
                    .map(|text| one_line(&text))
            })
            .transpose()?;
        let body = self.run(name, variant, Part::Body, &variant.body, &wanted, scope)?;
        Ok(Rendered {
            subject,
            body,
            locale: variant.tag.as_ref().map(|(written, _)| written.clone()),
        })
    }

    fn run(
        &self,
        name: &str,
        variant: &Variant,
        part: Part,
        text: &Compiled,
        wanted: &str,
        scope: &Scope<'_>,
    ) -> Result<String, Error> {
        let own = variant
            .tag
            .as_ref()
            .map_or(self.base_locale.as_str(), |(_, tag)| tag);
        let more_exact = wanted
            .strip_prefix(own)
            .is_some_and(|rest| rest.starts_with('-'));
        let tag = if more_exact { wanted } else { own };
        let max_bytes = if part == Part::Subject {
            self.limits.subject_bytes
        } else {
            self.limits.body_bytes
        };
        let machine = Machine::new(scope, tag, self.limits.fuel, max_bytes);
        machine
            .run(&text.nodes, text.source_bytes + text.source_bytes / 4)
            .map_err(|failure| {
                let language = variant
                    .tag
                    .as_ref()
                    .map(|(written, _)| format!(", locale \"{written}\""))
                    .unwrap_or_default();
                let line = if failure.line > 0 {
                    format!(", line {}", failure.line)
                } else {
                    String::new()
                };
                let message = format!(
                    "template \"{name}\"{language}, {part}{line}: {}",
                    shortened(&failure.message)
                );
                let error = Error::new(ErrorCode::Template, message);
                match failure.hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            })
    }

    fn entry(
        &self,
        name: &str,
        source: &TemplateSource,
        findings: &mut Vec<TemplateFinding>,
    ) -> Option<Entry> {
        let base = self.variant(
            name,
            None,
            source.subject.as_deref(),
            &source.body,
            findings,
        );
        let mut variants: Vec<Variant> = Vec::new();
        for (written, texts) in &source.locales {
            let tag = locale::normalize(written);
            if Locale::try_from_str(&tag).is_err() {
                let message = format!("\"{written}\" is not a language tag");
                let hint = "Write a language, or a language and a region: nl, nl-BE.".to_owned();
                findings.push(TemplateFinding {
                    hint: Some(hint),
                    ..finding(name, Some(written), Part::Locale, message)
                });
            }
            if let Some((twin, _)) = variants
                .iter()
                .filter_map(|v| v.tag.as_ref())
                .find(|(_, other)| *other == tag)
            {
                let message = format!("\"{written}\" and \"{twin}\" are the same language");
                findings.push(finding(name, Some(written), Part::Locale, message));
            }
            let tag = Some((written.clone(), tag));
            variants.extend(self.variant(
                name,
                tag,
                texts.subject.as_deref(),
                &texts.body,
                findings,
            ));
        }
        Some(Entry::Ready {
            base: base?,
            variants,
        })
    }

    fn variant(
        &self,
        name: &str,
        tag: Option<(String, String)>,
        subject: Option<&str>,
        body: &str,
        findings: &mut Vec<TemplateFinding>,
    ) -> Option<Variant> {
        let written = tag.as_ref().map(|(written, _)| written.as_str());
        let subject =
            subject.map(|subject| self.text(name, written, Part::Subject, subject, findings));
        let body = self.text(name, written, Part::Body, body, findings);
        let subject = match subject {
            Some(subject) => Some(subject?),
            None => None,
        };
        Some(Variant {
            subject,
            body: body?,
            tag,
        })
    }

    /// Compiles one text; None and findings if it cannot be rendered.
    fn text(
        &self,
        name: &str,
        locale: Option<&str>,
        part: Part,
        source: &str,
        findings: &mut Vec<TemplateFinding>,
    ) -> Option<Compiled> {
        if source.len() > self.limits.source_bytes {
            let message = format!(
                "the text has {} bytes, {} are allowed",
                source.len(),
                self.limits.source_bytes
            );
            findings.push(finding(name, locale, part, message));
            return None;
        }
        let nodes = match syntax::compile(source) {
            Ok(nodes) => nodes,
            Err(refusal) => {
                let message = format!("line {}: {}", refusal.line, shortened(&refusal.message));
                findings.push(TemplateFinding {
                    hint: refusal.hint,
                    ..finding(name, locale, part, message)
                });
                return None;
            }
        };
        let references = variables::references(&nodes);
        for (line, field) in &references.unknown_case_fields {
            let hint = names::did_you_mean(field, scope::CASE_FIELDS)
                .unwrap_or_else(|| format!("There are {}.", scope::CASE_FIELDS.join(", ")));
            let message = format!("line {line}: case has no field \"{field}\"");
            findings.push(TemplateFinding {
                hint: Some(hint),
                ..finding(name, locale, part, message)
            });
        }
        let needed = references.needed.into_iter().collect();
        let of_subjects = references
            .subjects
            .then(|| references.words.into_iter().collect());
        references
            .unknown_case_fields
            .is_empty()
            .then_some(Compiled {
                nodes: nodes.into(),
                needed,
                of_subjects,
                source_bytes: source.len(),
            })
    }
}

/// A subject line cannot break: a line break in a customer's name would otherwise start a mail header of its own.
fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'))
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
