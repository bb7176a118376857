//! Rows that come into being with a batch, whatever the number of cases: their columns, and what is written into them.
//! They are appended all at once (`pg::append`). What changes rows is in `write`.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use pgrx::pg_sys;
use workflow_core::game::{HistoryRow, MessageRow, MessageState, Token};

use super::batch::Loaded;
use super::partitions;
use crate::pg::append::NewRows;
use crate::pg::append::table::{Type, table};
use crate::pg::arrays::label;
use crate::pg::types::{Json, random_keys};
use crate::settings;
use crate::worker::wake;

const MESSAGE_STATE: &str = "wf.message_state";
const HISTORY_EVENT: &str = "wf.history_event";
const CASE_STATE: &str = "wf.case_state";
const STEP_STATE: &str = "wf.step_state";

table!(CASES "cases" Cases {
    case_id: Type::Of(pg_sys::INT8OID),
    workflow_id: Type::Of(pg_sys::INT4OID),
    version_id: Type::Of(pg_sys::INT4OID),
    state: Type::Enum(CASE_STATE),
    created_at: Type::Of(pg_sys::TIMESTAMPTZOID),
    started_at: Type::Of(pg_sys::TIMESTAMPTZOID),
    ended_at: Type::Of(pg_sys::TIMESTAMPTZOID),
    outcome: Type::Of(pg_sys::TEXTOID),
    reason: Type::Of(pg_sys::TEXTOID),
    key: Type::Of(pg_sys::TEXTOID),
    account: Type::Of(pg_sys::TEXTOID),
    started_by: Type::Of(pg_sys::TEXTOID),
    vars: Type::Of(pg_sys::JSONBOID),
    memory: Type::Of(pg_sys::JSONBOID),
});

table!(SUBJECTS "case_subjects" Subjects {
    case_id: Type::Of(pg_sys::INT8OID),
    subject_id: Type::Of(pg_sys::INT4OID),
    workflow_id: Type::Of(pg_sys::INT4OID),
    slot: Type::Of(pg_sys::INT8OID),
    key: Type::Of(pg_sys::TEXTOID),
    position: Type::Of(pg_sys::INT2OID),
    departure: Type::Of(pg_sys::JSONBOID),
});

table!(STEPS "case_steps" Steps {
    case_id: Type::Of(pg_sys::INT8OID),
    step_no: Type::Of(pg_sys::INT2OID),
    visit: Type::Of(pg_sys::INT2OID),
    state: Type::Enum(STEP_STATE),
    attempts: Type::Of(pg_sys::INT2OID),
    arrived: Type::Of(pg_sys::INT2OID),
    entered_at: Type::Of(pg_sys::TIMESTAMPTZOID),
    run_at: Type::Of(pg_sys::TIMESTAMPTZOID),
    due_at: Type::Of(pg_sys::TIMESTAMPTZOID),
});

table!(OUTBOX "outbox" Outbox numbered by "outbox_message_id_seq" {
    message_id: Type::Of(pg_sys::INT8OID),
    aggregatetype: Type::Of(pg_sys::TEXTOID),
    aggregateid: Type::Of(pg_sys::TEXTOID),
    r#type: Type::Of(pg_sys::TEXTOID),
    payload: Type::Of(pg_sys::JSONOID),
    case_id: Type::Of(pg_sys::INT8OID),
    step_no: Type::Of(pg_sys::INT2OID),
    visit: Type::Of(pg_sys::INT2OID),
    state: Type::Enum(MESSAGE_STATE),
    attempts: Type::Of(pg_sys::INT2OID),
    created_at: Type::Of(pg_sys::TIMESTAMPTZOID),
    not_before: Type::Of(pg_sys::TIMESTAMPTZOID),
    not_after: Type::Of(pg_sys::TIMESTAMPTZOID),
    finished_at: Type::Of(pg_sys::TIMESTAMPTZOID),
    idempotency_key: Type::Of(pg_sys::UUIDOID),
    sender: Type::Of(pg_sys::TEXTOID),
    provider_id: Type::Of(pg_sys::TEXTOID),
    reason: Type::Of(pg_sys::TEXTOID),
    version_id: Type::Of(pg_sys::INT4OID),
});

table!(HISTORY "history" History numbered by "history_id_seq" {
    history_id: Type::Of(pg_sys::INT8OID),
    at: Type::Of(pg_sys::TIMESTAMPTZOID),
    case_id: Type::Of(pg_sys::INT8OID),
    version_id: Type::Of(pg_sys::INT4OID),
    step_no: Type::Of(pg_sys::INT2OID),
    visit: Type::Of(pg_sys::INT2OID),
    event: Type::Enum(HISTORY_EVENT),
    outcome: Type::Of(pg_sys::TEXTOID),
    entered_at: Type::Of(pg_sys::TIMESTAMPTZOID),
    due_at: Type::Of(pg_sys::TIMESTAMPTZOID),
    task_id: Type::Of(pg_sys::INT8OID),
    actor: Type::Of(pg_sys::TEXTOID),
    detail: Type::Of(pg_sys::JSONBOID),
});

/// New cases.
pub fn cases(new: &[&Loaded], actor: &str, now: DateTime<Utc>) {
    let rows = NewRows {
        table: &CASES,
        count: new.len(),
        alike: &|row| {
            row.set(Cases::created_at, now);
            row.set(Cases::started_by, actor);
        },
        each: &|number, row| {
            let loaded = new[number];
            let case = &loaded.case;
            row.set(Cases::case_id, case.id);
            row.set(Cases::workflow_id, loaded.version.workflow_id);
            row.set(Cases::version_id, loaded.version.id);
            row.set_label(Cases::state, label(CASE_STATE, case.state.label()));
            row.set_some(Cases::started_at, case.started_at);
            row.set_some(Cases::ended_at, case.outcome.as_ref().map(|_| now));
            row.set_some(Cases::outcome, case.outcome.as_deref());
            row.set_some(Cases::reason, case.reason.as_deref());
            row.set(Cases::key, case.key.as_str());
            row.set_some(Cases::account, loaded.account.as_deref());
            row.set_jsonb(Cases::vars, case.vars.as_deref());
            row.set_jsonb(Cases::memory, loaded.memory_text().as_deref());
        },
    };
    rows.append();
}

/// The rows of the ERP that new cases concern, in the order of their keys: two who start cases of the same rows wait for
/// each other's first one, and never each for what the other has.
pub fn subjects(new: &[&Loaded]) {
    let mut places: Vec<(&str, &Loaded, Option<i16>)> = Vec::with_capacity(new.len());
    for loaded in new {
        places.push((&loaded.case.key, loaded, None));
        let others = loaded.case.members.iter().skip(1);
        places.extend(others.map(|m| (m.key.as_str(), *loaded, Some(m.position))));
    }
    places.sort_unstable_by_key(|(key, loaded, _)| (*key, loaded.version.workflow_id));
    let rows = NewRows {
        table: &SUBJECTS,
        count: places.len(),
        alike: &|row| row.set(Subjects::slot, 0_i64),
        each: &|number, row| {
            let (key, loaded, position) = places[number];
            row.set(Subjects::case_id, loaded.case.id);
            row.set(Subjects::subject_id, loaded.version.subject.id);
            row.set(Subjects::workflow_id, loaded.version.workflow_id);
            row.set(Subjects::key, key);
            row.set_some(Subjects::position, position);
        },
    };
    rows.append();
}

/// Tokens, each with its case.
pub fn tokens(tokens: &[(i64, &Token)]) {
    let rows = NewRows {
        table: &STEPS,
        count: tokens.len(),
        alike: &|_| {},
        each: &|number, row| {
            let (case, token) = tokens[number];
            row.set(Steps::case_id, case);
            row.set(Steps::step_no, token.step);
            row.set(Steps::visit, token.visit);
            row.set_label(Steps::state, label(STEP_STATE, token.state.label()));
            row.set(Steps::attempts, token.attempts);
            row.set(Steps::arrived, token.arrived);
            row.set(Steps::entered_at, token.entered_at);
            row.set_some(Steps::run_at, token.run_at);
            row.set_some(Steps::due_at, token.due_at);
        },
    };
    rows.append();
}

/// Messages of cases of the batch.
pub fn messages(cases: &[Loaded], messages: &[MessageRow], now: DateTime<Utc>) {
    if messages.is_empty() {
        return;
    }
    let by_id: HashMap<i64, &Loaded> = cases.iter().map(|c| (c.case.id, c)).collect();
    let keys = random_keys(messages.len());
    let deferred = label(MESSAGE_STATE, "deferred");
    let queued = label(MESSAGE_STATE, "queued");
    let rows = NewRows {
        table: &OUTBOX,
        count: messages.len(),
        alike: &|row| {
            row.set(Outbox::attempts, 0_i16);
            row.set(Outbox::created_at, now);
        },
        each: &|number, row| {
            let message = &messages[number];
            let of = by_id.get(&message.case_id);
            let state = match message.state {
                MessageState::Deferred => deferred,
                MessageState::Queued => queued,
            };
            row.set(
                Outbox::aggregatetype,
                of.map_or("", |c| &c.version.subject.name),
            );
            row.set(Outbox::aggregateid, of.map_or("", |c| &c.case.key));
            row.set(Outbox::r#type, message.channel);
            row.set_some(Outbox::payload, message.payload.as_deref().map(Json));
            row.set(Outbox::case_id, message.case_id);
            row.set(Outbox::step_no, message.step);
            row.set(Outbox::visit, message.visit);
            row.set_label(Outbox::state, state);
            row.set(Outbox::not_before, message.not_before);
            row.set_some(Outbox::not_after, message.not_after);
            row.set(Outbox::idempotency_key, keys[number]);
        },
    };
    rows.append();
    wake::on_commit();
}

/// What has happened.
pub fn history(happened: &[HistoryRow], actor: &str, now: DateTime<Utc>) {
    if happened.is_empty() {
        return;
    }
    partitions::ensure(now);
    // What the engine does by itself has no other reason than the workflow.
    let reason = if actor == "engine" {
        None
    } else {
        settings::reason()
    };
    let rows = NewRows {
        table: &HISTORY,
        count: happened.len(),
        alike: &|row| {
            row.set(History::at, now);
            row.set(History::actor, actor);
        },
        each: &|number, row| {
            let happened = &happened[number];
            let detail = match &reason {
                Some(reason) => with_reason(happened.detail.as_deref(), reason).map(Cow::Owned),
                None => happened.detail.as_deref().map(Cow::Borrowed),
            };
            row.set(History::case_id, happened.case_id);
            row.set(History::version_id, happened.version_id);
            row.set_some(History::step_no, happened.step);
            row.set_some(History::visit, happened.visit);
            row.set_label(History::event, label(HISTORY_EVENT, happened.event.label()));
            row.set_some(History::outcome, happened.outcome.as_deref());
            row.set_some(History::entered_at, happened.entered_at);
            row.set_some(History::due_at, happened.due_at);
            row.set_some(History::task_id, happened.task_id);
            row.set_jsonb(History::detail, detail.as_deref());
        },
    };
    rows.append_to_partition(&partitions::name_of(now));
}

/// The detail of a row of history with the reason that the caller's session gives, unless it has one of its own.
fn with_reason(detail: Option<&str>, reason: &str) -> Option<String> {
    let fields = detail.map_or_else(|| Ok(serde_json::Map::new()), serde_json::from_str);
    let Ok(mut fields) = fields else {
        return detail.map(str::to_owned);
    };
    fields.entry("reason").or_insert_with(|| reason.into());
    Some(serde_json::Value::Object(fields).to_string())
}
