//! Steps that write something down: note (on the case), update (columns of the ERP's row).

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Firing, StepKind, Then};
use crate::finding::Findings;

/// A note on the case.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// The note's text; placeholders as in templates.
    pub text: String,
}

/// Sets columns of the subject's row, as the workflow's owner.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Column -> SQL expression over the row's own columns, `vars` and `answers`; a text constant needs its quotes.
    pub set: IndexMap<String, String>,
}

impl StepKind for Note {
    fn name(&self) -> &'static str {
        "note"
    }
    fn inline_texts(&self) -> Vec<&str> {
        vec![&self.text]
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Note { text: &self.text }
    }
}

impl StepKind for Update {
    fn name(&self) -> &'static str {
        "update"
    }
    fn writes(&self) -> Vec<(&str, &str)> {
        self.set
            .iter()
            .map(|(column, value)| (column.as_str(), value.as_str()))
            .collect()
    }
    fn check(&self, place: &str, findings: &mut Findings) {
        if self.set.is_empty() {
            findings.error(
                place,
                "the update sets no column",
                "Name at least one column in set.",
            );
        }
    }
    fn fire<'a>(&'a self, _: &Firing<'_>) -> Then<'a> {
        Then::Write
    }
}
