//! Everything that wf.bind_subject and wf.watch refuse, before anything is changed.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::{self, Oid};
use pgrx::spi::{quote_identifier, quote_qualified_identifier};

use super::config::BoundColumn;
use super::keys;
use super::names::{self, Name};
use crate::definitions::expression::is_single;
use crate::engine::as_engine;
use crate::pg::acting::{acts_for, as_user};
use crate::pg::raise::raise_as;
use crate::pg::spi::{self, Plan};
use crate::pg::subtransaction::{Failure, attempt};
use crate::pg::types::arg;

/// Raises a refusal of an argument.
pub fn refuse(
    code: PgSqlErrorCode,
    message: String,
    detail: impl Into<String>,
    hint: impl Into<String>,
) -> ! {
    raise_as(code, message, Some(detail.into()), Some(hint.into()))
}

/// A table's present columns.
pub struct Table {
    pub oid: Oid,
    pub schema: String,
    pub name: String,
    pub partitioned: bool,
    /// Name, number, base type.
    pub columns: Vec<(String, i16, Oid)>,
}

impl Table {
    /// The table as a quoted name.
    pub fn quoted(&self) -> String {
        quote_qualified_identifier(&self.schema, &self.name)
    }

    pub fn column_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.columns.iter().map(|(name, ..)| name.as_str())
    }

    /// A column as it is passed to a trigger.
    pub fn bound(&self, column: &str) -> Option<BoundColumn> {
        self.columns
            .iter()
            .find(|(name, ..)| name == column)
            .map(|(name, number, oid)| BoundColumn(name.clone(), *number, keys::type_name(*oid)))
    }

    fn list(&self) -> String {
        let names: Vec<String> = self.column_names().map(quote_identifier).collect();
        format!(
            "Table {} has the columns {}.",
            self.quoted(),
            names.join(", ")
        )
    }
}

/// The table that may be bound or watched by the role: an ordinary or partitioned, permanent table that it owns or has
/// the TRIGGER privilege on.
pub fn table(relation: Oid, caller: Oid, verb: &str) -> Table {
    let found = as_engine(|| {
        spi::query(
            "SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relkind, c.relpersistence, \
                    c.relowner \
             FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
             WHERE c.oid OPERATOR(pg_catalog.=) $1",
            &[arg(relation)],
        )
        .first()
        .map(|row| {
            let kind: crate::pg::types::Char = row.must(3);
            let persistence: crate::pg::types::Char = row.must(4);
            (
                row.must::<String>(1),
                row.must::<String>(2),
                kind.0,
                persistence.0,
                row.must::<Oid>(5),
            )
        })
    });
    let Some((schema, name, kind, persistence, owner)) = found else {
        refuse(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("there is no relation with the oid {}", relation.to_u32()),
            "It has been dropped.",
            "Name a table that exists.",
        );
    };
    let quoted = quote_qualified_identifier(&schema, &name);
    let wrong = |what: &str, hint: &str| -> ! {
        refuse(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("cannot {verb} {quoted}: it is {what}"),
            "Changes are noticed by row triggers, which only permanent tables of this database have.",
            hint,
        )
    };
    match kind {
        b'r' | b'p' => {}
        b'v' | b'm' => wrong(
            "a view",
            "Bind the table whose rows change, and give the view as details.",
        ),
        b'f' => wrong(
            "a foreign table",
            "Bind a table of this database, such as one that replication fills.",
        ),
        _ => wrong("not a table", "Bind the table whose rows change."),
    }
    if persistence == b't' {
        wrong("a temporary table", "Bind a permanent table.");
    }
    if matches!(schema.as_str(), "pg_catalog" | "information_schema" | "wf") {
        wrong("a table of the system", "Bind a table of your application.");
    }
    // SAFETY: plain catalogue look-up of an existing relation.
    let may_trigger = unsafe {
        pg_sys::pg_class_aclcheck(relation, caller, pg_sys::ACL_TRIGGER as pg_sys::AclMode)
            == pg_sys::AclResult::ACLCHECK_OK
    };
    if !may_trigger && !acts_for(caller, owner) {
        refuse(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("permission denied to {verb} {quoted}"),
            format!(
                "Role {} neither owns the table nor has the TRIGGER privilege on it.",
                crate::pg::acting::role_name(caller)
            ),
            format!(
                "Have its owner run: GRANT TRIGGER, SELECT ON {quoted} TO {};",
                quote_identifier(crate::pg::acting::role_name(caller))
            ),
        );
    }
    Table {
        oid: relation,
        partitioned: kind == b'p',
        columns: columns(relation),
        schema,
        name,
    }
}

fn columns(relation: Oid) -> Vec<(String, i16, Oid)> {
    as_engine(|| {
        spi::query(
            "SELECT a.attname::pg_catalog.text, a.attnum, a.atttypid FROM pg_catalog.pg_attribute AS a \
             WHERE a.attrelid OPERATOR(pg_catalog.=) $1 AND a.attnum OPERATOR(pg_catalog.>) 0 \
               AND NOT a.attisdropped ORDER BY a.attnum",
            &[arg(relation)],
        )
        .iter()
        .map(|row| (row.must(1), row.must(2), keys::base_type(row.must(3))))
        .collect()
    })
}

/// A partition of a table that is bound already would note every change twice.
pub fn not_below_bound(table: &Table) {
    let parent = as_engine(|| {
        spi::query(
            "SELECT s.name FROM pg_catalog.pg_partition_ancestors($1) AS a (relid) \
             JOIN wf.subjects AS s ON s.relation::pg_catalog.oid OPERATOR(pg_catalog.=) a.relid::pg_catalog.oid \
             WHERE a.relid::pg_catalog.oid OPERATOR(pg_catalog.<>) $1 ORDER BY s.name LIMIT 1",
            &[arg(table.oid)],
        )
        .first()
        .map(|row| row.must::<String>(1))
    });
    if let Some(parent) = parent {
        refuse(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!(
                "cannot bind {}: it is a partition of the table of subject \"{parent}\"",
                table.quoted()
            ),
            "The triggers of a partitioned table are on each of its partitions already.",
            format!("Use the subject \"{parent}\"."),
        );
    }
}

/// The names of a list.
pub fn list(argument: &str, text: &str) -> Vec<Name> {
    names::split(text).unwrap_or_else(|| {
        refuse(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("argument {argument} is not a list of column names"),
            format!("It reads: {text}"),
            "Give column names as in SQL, separated by commas; one with capitals or blanks in double quotes.",
        )
    })
}

/// The table's columns that a list names.
pub fn table_columns(table: &Table, argument: &str, text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for name in list(argument, text) {
        let Some(column) = name.find(table.column_names()) else {
            refuse(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!(
                    "argument {argument}: table {} has no column \"{}\"",
                    table.quoted(),
                    name.text
                ),
                table.list(),
                "Name existing columns; one with capitals in double quotes, as in '\"ClaimID\"'.",
            );
        };
        if found.iter().any(|f| f == column) {
            refuse(
                PgSqlErrorCode::ERRCODE_DUPLICATE_COLUMN,
                format!("argument {argument} names column \"{column}\" twice"),
                table.list(),
                "Name each column once.",
            );
        }
        found.push(column.to_owned());
    }
    found
}

/// The key must be what one unique index or primary key is on.
pub fn unique_key(table: &Table, key: &[String]) {
    let mut numbers: Vec<i16> = table
        .columns
        .iter()
        .filter(|(name, ..)| key.contains(name))
        .map(|(_, number, _)| *number)
        .collect();
    numbers.sort_unstable();
    let unique = as_engine(|| {
        !spi::query(
            "SELECT 1 FROM pg_catalog.pg_index AS i \
             WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisunique AND i.indisvalid \
               AND i.indpred IS NULL AND i.indexprs IS NULL \
               AND ARRAY(SELECT u.n FROM pg_catalog.unnest(i.indkey::pg_catalog.int2[]) WITH ORDINALITY AS u (n, o) \
                         WHERE u.o OPERATOR(pg_catalog.<=) i.indnkeyatts ORDER BY u.n) OPERATOR(pg_catalog.=) $2",
            &[arg(table.oid), crate::pg::types::array(numbers)],
        )
        .is_empty()
    });
    if unique {
        return;
    }
    let columns: Vec<String> = key.iter().map(quote_identifier).collect();
    let columns = columns.join(", ");
    let hint = if table.partitioned {
        format!(
            "A unique index of a partitioned table holds its partition columns: name them in key too, or bind with a \
             key that has one. To make one: CREATE UNIQUE INDEX ON {} ({columns});",
            table.quoted()
        )
    } else {
        format!(
            "Name the columns of its primary key, or make them unique: CREATE UNIQUE INDEX ON {} ({columns});",
            table.quoted()
        )
    };
    refuse(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!(
            "the key ({columns}) of table {} is not unique",
            table.quoted()
        ),
        "No primary key and no unique index without a condition is on exactly these columns.",
        hint,
    );
}

/// Runs a check as the role whose rights it must pass, and gives back what the server said against it.
pub fn as_owner<T>(owner: Oid, body: impl FnOnce() -> T) -> Result<T, Failure> {
    attempt(std::panic::AssertUnwindSafe(|| {
        as_user(owner, || spi::connected(body))
    }))
}

/// The server's words about a failed check.
pub fn words(failure: &Failure) -> String {
    let mut text = format!("PostgreSQL says: {}", failure.message);
    for more in [&failure.detail, &failure.hint].into_iter().flatten() {
        text.push_str(". ");
        text.push_str(more.trim_end_matches('.'));
    }
    text.push('.');
    text
}

/// The FROM item for the details: the table itself, a relation, or a query in parentheses.
pub fn details(table: &Table, owner: Oid, details: Option<&str>) -> String {
    let Some(text) = details else {
        return table.quoted();
    };
    if is_query(text) {
        let text = text.trim().trim_end_matches(';');
        let checked = as_owner(owner, || {
            let plan = Plan::prepare(text, &[]);
            // SAFETY: the query belongs to the plan, which lives here.
            plan.single_query().is_some_and(|query| unsafe {
                (*query).commandType == pg_sys::CmdType::CMD_SELECT
                    && !(*query).hasModifyingCTE
                    && (*query).rowMarks.is_null()
            })
        });
        match checked {
            Ok(true) => {}
            Ok(false) => refuse(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "the details are not one query that only reads".to_owned(),
                format!("They read: {text}"),
                "Give one SELECT without FOR UPDATE and without INSERT, UPDATE or DELETE in WITH.",
            ),
            Err(failure) => refuse(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "the query of the details does not work".to_owned(),
                words(&failure),
                "Write every name with its schema (public.invoice): the query runs with search_path = pg_catalog, pg_temp.",
            ),
        }
        return format!("({text}\n)");
    }
    let regclass = |name: String| {
        as_owner(owner, move || {
            spi::query(
                "SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text, c.relkind \
                 FROM pg_catalog.pg_class AS c \
                 JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace \
                 WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)::pg_catalog.oid",
                &[arg(name.as_str())],
            )
            .first()
            .map(|row| {
                let kind: crate::pg::types::Char = row.must(3);
                (row.must::<String>(1), row.must::<String>(2), kind.0)
            })
        })
    };
    // A name without a schema means the bound table's own: the caller's search_path is not ours to trust.
    let beside = format!("{}.{text}", quote_identifier(&table.schema));
    let found = regclass(text.to_owned())
        .ok()
        .flatten()
        .or_else(|| regclass(beside).ok().flatten());
    match found {
        Some((schema, name, b'r' | b'p' | b'v' | b'm' | b'f')) => {
            quote_qualified_identifier(schema, name)
        }
        _ => refuse(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("the details \"{text}\" are neither a relation nor a query"),
            "There is no such table or view, and the text does not start with SELECT, WITH, VALUES or TABLE.",
            "Write a relation with its schema, as in public.invoice_details.",
        ),
    }
}

fn is_query(text: &str) -> bool {
    let start = text.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
    if start.starts_with("--") || start.starts_with("/*") {
        return true;
    }
    let word: String = start
        .chars()
        .take_while(|c| c.is_ascii_alphabetic())
        .collect();
    let rest = &start[word.len()..];
    matches!(
        word.to_ascii_uppercase().as_str(),
        "SELECT" | "WITH" | "VALUES" | "TABLE"
    ) && rest.starts_with(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
}

/// The details' columns, as the owner may read them.
pub fn details_columns(details: &str, owner: Oid) -> Vec<String> {
    let columns = as_owner(owner, || {
        let plan = Plan::prepare(&format!("SELECT d.* FROM {details} AS d WHERE false"), &[]);
        // executing it checks the right to read, without reading
        plan.execute(&[]);
        plan.columns()
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<String>>()
    });
    match columns {
        Ok(columns) => columns,
        Err(failure) if failure.sqlstate == "42501" => refuse(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            "the details may not be read".to_owned(),
            words(&failure),
            format!(
                "The engine reads them as role {}: grant it SELECT on what they read.",
                crate::pg::acting::role_name(owner)
            ),
        ),
        Err(failure) => refuse(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "the details do not work".to_owned(),
            words(&failure),
            "Write every name with its schema (public.invoice).",
        ),
    }
}

/// The details must show the key, under the same names and comparable types.
pub fn details_key(details: &str, owner: Oid, key: &[(String, Oid)], columns: &[String]) {
    for (name, oid) in key {
        let shown: Vec<String> = columns.iter().map(quote_identifier).collect();
        if !columns.contains(name) {
            refuse(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!("the details lack the key column \"{name}\""),
                format!("They have the columns {}.", shown.join(", ")),
                "Let the details show every key column under its own name.",
            );
        }
        let compared = as_owner(owner, || {
            Plan::prepare(
                &format!(
                    "SELECT 1 FROM {details} AS d WHERE {} {} $1::{}",
                    keys::column_sql("d", name),
                    keys::equality_sql(*oid),
                    keys::type_name(*oid)
                ),
                &[pg_sys::TEXTOID],
            );
        });
        if let Err(failure) = compared {
            refuse(
                PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                format!(
                    "the key column \"{name}\" of the details does not compare with the table's"
                ),
                words(&failure),
                format!("Let the details show it as {}.", keys::type_name(*oid)),
            );
        }
    }
}

/// A column of the details named by an argument such as email.
pub fn details_column(argument: &str, text: Option<&str>, columns: &[String]) -> Option<String> {
    let text = text?;
    let names = list(argument, text);
    let found = match names.as_slice() {
        [name] => name.find(columns.iter().map(String::as_str)),
        _ => None,
    };
    if found.is_none() {
        let shown: Vec<String> = columns.iter().map(quote_identifier).collect();
        refuse(
            PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            format!("argument {argument}: the details have no column {text}"),
            format!("They have the columns {}.", shown.join(", ")),
            "Name one column of the details, or leave the argument out.",
        );
    }
    found.map(str::to_owned)
}

/// The condition on rows that may have a case.
pub fn eligible(details: &str, owner: Oid, condition: &str, columns: &[String]) {
    let checked = as_owner(owner, || {
        // By itself, too: it is put into other queries than this one.
        let single = is_single(condition);
        let sql = format!("SELECT 1 FROM {details} AS d WHERE ({condition}\n)");
        single && Plan::prepare(&sql, &[]).single_query().is_some()
    });
    let failure = match checked {
        Ok(true) => return,
        Ok(false) => "It is not one expression.".to_owned(),
        Err(failure) => words(&failure),
    };
    let shown: Vec<String> = columns.iter().map(quote_identifier).collect();
    refuse(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        "argument eligible is not a condition over the details".to_owned(),
        failure,
        format!("The details have the columns {}.", shown.join(", ")),
    );
}
