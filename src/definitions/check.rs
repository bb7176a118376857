//! What the database says about a definition: subject, columns, conditions, zones, calendars. Everything is prepared as
//! the workflow's owner and nothing is run.

use std::panic::AssertUnwindSafe;

use pgrx::pg_sys::Oid;
use workflow_core::document::Document;
use workflow_core::finding::{Finding, Findings};
use workflow_core::program::{Program, Read, Roles, Value};
use workflow_core::row::{ColumnType, Columns};
use workflow_core::validate::{ColumnUse, SqlScope, SqlText, sql_texts, subject_columns, validate};

use super::expression;
use crate::engine::context::Context;
use crate::engine::erp_update::update_sql;
use crate::engine::reads::{read_columns, read_sql};
use crate::engine::sql_call::call_sql;
use crate::pg::acting::as_user;
use crate::pg::spi::{self, Plan};
use crate::pg::subtransaction::attempt;
use crate::pg::types::{ToArg, arg};
use crate::subjects::subject::{self, Subject};

/// All findings about a document, as `owner` would run it.
pub fn findings(document: Document, owner: Oid) -> Vec<Finding> {
    let subject = subject::id_of(&document.head.subject).and_then(subject::find);
    let roles = subject
        .as_ref()
        .map_or_else(Roles::default, |s| s.roles.clone());
    let program = Program::compile(document, roles);
    let mut findings = validate(&program);
    surroundings(&program, &mut findings);
    workflows(&program, &mut findings);
    match subject {
        None => findings.error(
            "workflow",
            format!("subject \"{}\" is not bound", program.document.subject),
            "Bind the table with wf.bind_subject.",
        ),
        Some(subject) => match &subject.broken {
            Some(reason) => findings.error(
                "workflow",
                format!(
                    "the binding of subject \"{}\" is out of order: {reason}",
                    subject.name
                ),
                "Repair it with wf.bind_subject.",
            ),
            None => against(&program, &subject, owner, &mut findings),
        },
    }
    findings.0
}

/// Zones and calendars.
fn surroundings(program: &Program, findings: &mut Findings) {
    let context = Context::new();
    let env = context.env();
    if let Some(zone) = &program.document.time_zone
        && let Err(error) = env.zones.to_local(zone, env.now)
    {
        findings.error("workflow", error.message, error.hint.unwrap_or_default());
    }
    crate::contact::check(program, findings);
    let mut seen: Vec<&str> = Vec::new();
    for (step, _, rule) in program.date_rules() {
        if !rule.needs_calendar(program.default_roll()) {
            continue;
        }
        let name = rule
            .calendar
            .as_deref()
            .unwrap_or(program.default_calendar());
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let place = step.map_or_else(|| "start".to_owned(), |s| format!("step \"{}\"", s.name));
        let day = env.now.date_naive();
        let known = env
            .calendars
            .calendar(name)
            .and_then(|calendar| calendar.is_open(day));
        if let Err(error) = known {
            findings.error(place, error.message, error.hint.unwrap_or_default());
        }
    }
}

/// The workflows that steps start. They are looked for when a step is reached, so that they may come later, or be named
/// by each other.
fn workflows(program: &Program, findings: &mut Findings) {
    let own = &program.document;
    for step in &program.steps {
        let Some(name) = step.kind.workflow().filter(|name| *name != own.name) else {
            continue;
        };
        let rows = spi::query(
            "SELECT p.document ->> 'subject' FROM wf.workflows AS w
             LEFT JOIN wf.versions AS p ON p.workflow_id = w.workflow_id AND p.state = 'published'
             WHERE w.name = $1 AND w.dropped_at IS NULL",
            &[arg(name)],
        );
        let missing = match rows.first().map(|row| row.get::<String>(1)) {
            None => format!("workflow \"{name}\" does not exist"),
            Some(None) => format!("workflow \"{name}\" has no published version"),
            Some(Some(subject)) if subject == own.subject => continue,
            Some(Some(subject)) => format!(
                "workflow \"{name}\" is about subject \"{subject}\", not \"{}\"",
                own.subject
            ),
        };
        findings.warning(
            format!("step \"{}\"", step.name),
            missing,
            "Mend that before a case gets to this step, where it would become an incident.",
        );
    }
}

fn against(program: &Program, subject: &Subject, owner: Oid, findings: &mut Findings) {
    let columns = match attempt(AssertUnwindSafe(|| subject.details_columns().to_vec())) {
        Ok(columns) => columns,
        Err(failure) => {
            findings.error(
                "workflow",
                format!(
                    "the details of subject \"{}\" cannot be read: {}",
                    subject.name, failure.message
                ),
                failure
                    .hint
                    .unwrap_or_else(|| "Mend the details view or the binding.".to_owned()),
            );
            return;
        }
    };
    for used in subject_columns(program) {
        let known = columns.iter().find(|(name, _)| *name == used.column);
        let names: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        match known {
            None => findings.error(
                used.place,
                format!(
                    "the details of subject \"{}\" have no column \"{}\" ({})",
                    subject.name, used.column, used.used_as
                ),
                format!("Columns are {}.", names.join(", ")),
            ),
            Some((_, kind)) if used.used_as == ColumnUse::Anchor && !is_date(*kind) => findings
                .error(
                    used.place,
                    format!(
                        "column \"{}\" is no date or timestamp, but a date counts from it",
                        used.column
                    ),
                    "Use a column of type date, timestamp or timestamptz.",
                ),
            Some(_) => {}
        }
    }
    addresses(program, subject, findings);
    for text in sql_texts(program) {
        sql(&text, subject, owner, findings);
    }
    if let Some(eligible) = &subject.eligible {
        let text = SqlText {
            place: "start".to_owned(),
            sql: eligible.clone(),
            scope: SqlScope::Start,
        };
        sql(&text, subject, owner, findings);
    }
}

fn is_date(kind: ColumnType) -> bool {
    matches!(
        kind,
        ColumnType::Date | ColumnType::Timestamp | ColumnType::TimestampTz
    )
}

/// A message step needs to know whom to write to.
fn addresses(program: &Program, subject: &Subject, findings: &mut Findings) {
    use workflow_core::kinds::Channel;
    for step in &program.steps {
        let Some(channel) = step.kind.channel() else {
            continue;
        };
        let argument = match channel {
            Channel::Email => "email",
            Channel::Sms | Channel::Voice => "phone",
            Channel::Letter | Channel::Ticket => continue,
        };
        if program.address_column(channel).is_none() {
            findings.error(
                format!("step \"{}\"", step.name),
                format!(
                    "subject \"{}\" names no column for {} addresses",
                    subject.name,
                    channel.name()
                ),
                format!("Name the column: wf.bind_subject(…, {argument} => 'column')."),
            );
        }
    }
}

/// Prepares one condition or expression the way it will run, and gives the catalogue's own words if it cannot be.
fn sql(text: &SqlText, subject: &Subject, owner: Oid, findings: &mut Findings) {
    let prepared = attempt(AssertUnwindSafe(|| {
        if !expression::is_single(&text.sql) {
            return false;
        }
        let sql = match &text.scope {
            SqlScope::Start | SqlScope::Subject => {
                let read = Read {
                    conditions: vec![text.sql.clone()],
                    ..Read::default()
                };
                read_sql(subject, &read, &Columns::default())
            }
            SqlScope::Value { kind } => {
                let value = Value {
                    name: "value".to_owned(),
                    sql: text.sql.clone(),
                    kind: *kind,
                };
                let read = Read {
                    values: vec![value],
                    ..Read::default()
                };
                read_sql(subject, &read, &read_columns(subject, &read))
            }
            SqlScope::Call { json } => call_sql(subject, &text.sql, *json),
            SqlScope::Write { column } => update_sql(subject, &[(column, &text.sql)]),
        };
        let types = [<&str>::ARRAY_OID, <&str>::ARRAY_OID, <&str>::ARRAY_OID];
        as_user(owner, || drop(Plan::prepare(&sql, &types)));
        true
    }));
    match prepared {
        Ok(true) => {}
        Ok(false) => findings.error(
            text.place.clone(),
            format!("\"{}\" is not a single SQL expression", text.sql),
            "Write one condition, as after WHERE; no statements.",
        ),
        Err(failure) if failure.is_interrupt() => failure.raise(),
        Err(failure) => {
            let hint = failure.hint.or(failure.detail).unwrap_or_else(|| {
                format!("Conditions see the columns of the details of subject \"{}\", vars and answers.", subject.name)
            });
            findings.error(
                text.place.clone(),
                format!("{} in \"{}\"", failure.message, text.sql),
                hint,
            );
        }
    }
}
