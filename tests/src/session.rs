//! A session of a client, with all values as PostgreSQL's text, and failures with all that they say.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use postgres::error::DbError;
use postgres::{Client, SimpleQueryMessage};

/// One connection. Statements go through the simple protocol, so that a `CALL` may commit and everything comes back
/// as text, NULL as `null`.
pub struct Session {
    client: Client,
}

/// What the server said when it refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub sqlstate: String,
    pub message: String,
    pub detail: String,
    pub hint: String,
}

impl Failure {
    fn from_db(error: &DbError) -> Self {
        Self {
            sqlstate: error.code().code().to_owned(),
            message: error.message().to_owned(),
            detail: error.detail().unwrap_or_default().to_owned(),
            hint: error.hint().unwrap_or_default().to_owned(),
        }
    }

    /// Everything in one text, for assertions.
    pub fn text(&self) -> String {
        format!(
            "{}: {}\nDETAIL: {}\nHINT: {}",
            self.sqlstate, self.message, self.detail, self.hint
        )
    }

    /// Asserts the SQLSTATE and that message, detail or hint hold each of the parts.
    #[track_caller]
    pub fn is(&self, sqlstate: &str, parts: &[&str]) -> &Self {
        let text = self.text();
        assert_eq!(
            self.sqlstate, sqlstate,
            "another SQLSTATE than expected in\n{text}"
        );
        for part in parts {
            assert!(text.contains(part), "no {part:?} in\n{text}");
        }
        self
    }

    /// Asserts that there is a hint, and that it holds this part.
    #[track_caller]
    pub fn hints(&self, part: &str) -> &Self {
        assert!(!self.hint.is_empty(), "no hint in\n{}", self.text());
        assert!(
            self.hint.contains(part),
            "no {part:?} in the hint of\n{}",
            self.text()
        );
        self
    }
}

impl From<postgres::Error> for Failure {
    fn from(error: postgres::Error) -> Self {
        error.as_db_error().map_or_else(
            // 08006: the connection broke, and nobody could say why.
            || Self {
                sqlstate: "08006".to_owned(),
                message: error.to_string(),
                detail: String::new(),
                hint: String::new(),
            },
            Self::from_db,
        )
    }
}

impl Session {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Runs a statement or several; the rows of the last one that gave any.
    pub fn try_rows(&mut self, sql: &str) -> Result<Vec<Vec<String>>, Failure> {
        let mut rows = Vec::new();
        for message in self.client.simple_query(sql)? {
            match message {
                SimpleQueryMessage::RowDescription(_) => rows.clear(),
                SimpleQueryMessage::Row(row) => rows.push(
                    (0..row.len())
                        .map(|column| row.get(column).unwrap_or("null").to_owned())
                        .collect(),
                ),
                _ => {}
            }
        }
        Ok(rows)
    }

    /// As [`Self::try_rows`], for statements that must not fail.
    #[track_caller]
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        self.try_rows(sql)
            .unwrap_or_else(|failure| panic!("{sql}\nfailed: {}", failure.text()))
    }

    /// The rows as lines, the columns parted by ` | `.
    #[track_caller]
    pub fn lines(&mut self, sql: &str) -> Vec<String> {
        self.rows(sql).iter().map(|row| row.join(" | ")).collect()
    }

    /// The first column of the only row. Panics on any other number of rows.
    #[track_caller]
    pub fn one<T>(&mut self, sql: &str) -> T
    where
        T: FromStr,
        T::Err: Debug,
    {
        let rows = self.rows(sql);
        assert_eq!(rows.len(), 1, "one row expected of {sql}, got {rows:?}");
        rows[0][0]
            .parse()
            .unwrap_or_else(|error| panic!("{sql}: {:?} is of another type: {error:?}", rows[0][0]))
    }

    /// Runs a statement or several.
    #[track_caller]
    pub fn exec(&mut self, sql: &str) {
        self.rows(sql);
    }

    /// Runs a statement or several, giving the failure back.
    pub fn try_exec(&mut self, sql: &str) -> Result<(), Failure> {
        self.try_rows(sql).map(|_| ())
    }

    /// Runs a statement that must fail.
    #[track_caller]
    pub fn refused(&mut self, sql: &str) -> Failure {
        match self.try_rows(sql) {
            Ok(rows) => panic!("{sql}\nwas to be refused and gave {rows:?}"),
            Err(failure) => failure,
        }
    }

    /// Runs a statement that must fail with this SQLSTATE and say each of the parts in message, detail or hint.
    #[track_caller]
    pub fn expect_error(&mut self, sql: &str, sqlstate: &str, parts: &[&str]) -> Failure {
        let failure = self.refused(sql);
        failure.is(sqlstate, parts);
        failure
    }

    /// Asserts what a query gives, line by line as in [`Self::lines`].
    #[track_caller]
    pub fn expect<T: Display>(&mut self, sql: &str, lines: &[T]) {
        let got = self.lines(sql);
        let expected: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert!(
            got == expected,
            "{sql}\nexpected:\n  {}\ngot:\n  {}",
            expected.join("\n  "),
            got.join("\n  ")
        );
    }

    /// The server process behind this session.
    #[track_caller]
    pub fn pid(&mut self) -> i32 {
        self.one("SELECT pg_backend_pid()")
    }

    /// Whether the connection is known to be broken.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

/// A text as an SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
