//! Column names as people give them: a list as in SQL, folded to lower case unless quoted.

/// Splits a comma-separated list of column names. A double-quoted name is exact, another one is trimmed; whether it is
/// folded is up to the look-up, see `matches`. None when a quote is not closed or a name is empty.
pub fn split(list: &str) -> Option<Vec<Name>> {
    let mut names = Vec::new();
    let mut letters = list.chars().peekable();
    loop {
        while letters.next_if(|c| c.is_whitespace()).is_some() {}
        let mut text = String::new();
        let quoted = letters.next_if_eq(&'"').is_some();
        if quoted {
            loop {
                match letters.next()? {
                    '"' if letters.next_if_eq(&'"').is_some() => text.push('"'),
                    '"' => break,
                    other => text.push(other),
                }
            }
            while letters.next_if(|c| c.is_whitespace()).is_some() {}
        } else {
            while let Some(letter) = letters.next_if(|c| *c != ',') {
                text.push(letter);
            }
            text.truncate(text.trim_end().len());
        }
        if text.is_empty() {
            return None;
        }
        names.push(Name { text, quoted });
        match letters.next() {
            None => return Some(names),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

/// One name of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    pub text: String,
    pub quoted: bool,
}

impl Name {
    /// The column that is meant: the folded name as SQL reads it, else the name exactly as it is written, for there is
    /// nothing else that it could mean.
    pub fn find<'a>(&self, columns: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
        let exact = || columns.clone().into_iter().find(|c| *c == self.text);
        if self.quoted {
            return exact();
        }
        let folded = self.text.to_lowercase();
        columns
            .clone()
            .into_iter()
            .find(|c| *c == folded)
            .or_else(exact)
    }
}
