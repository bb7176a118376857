//! What has to be known of all the rows of a case that concerns several.

use std::collections::BTreeSet;

use super::{Program, Read};
use crate::dates::Anchor;
use crate::document::Subjects;

impl Program {
    /// Whether a case may concern several rows.
    pub fn concerns_several(&self) -> bool {
        self.document.subjects != Subjects::One
    }

    /// What has to be known of each row of a case that may concern several: the stop rules' conditions, the columns that
    /// dates hang on, and those that texts about all rows use. `known` tells which columns there are.
    pub fn member_read(&self, known: &dyn Fn(&str) -> bool) -> Read {
        let mut columns = self.base_columns();
        let words = self.templates.words_of_subjects().into_iter();
        columns.extend(words.filter(|word| known(word)).map(str::to_owned));
        Read {
            conditions: self.stops().iter().map(|s| s.when.clone()).collect(),
            columns: columns.into_iter().collect(),
            ..Read::default()
        }
    }

    /// The columns of the subject that dates count from.
    pub fn anchor_columns(&self) -> BTreeSet<&str> {
        let anchors = self.date_rules().map(|(_, _, rule)| &rule.anchor);
        anchors
            .filter_map(|anchor| match anchor {
                Anchor::Subject(column) => Some(column.as_str()),
                _ => None,
            })
            .collect()
    }
}
