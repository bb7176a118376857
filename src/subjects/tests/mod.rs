//! Tests of the ERP side inside a server; what needs a commit of its own is tested from outside.

mod binding;
mod bulk;
mod direct;
mod erp;
mod keys;
mod writes;

use pgrx::prelude::*;

use crate::pg::subtransaction::{Failure, attempt};

/// Runs statements as the test's superuser. One test at a time, for they bind the same names: each waits for the
/// others' transactions at its first statement.
fn run(sql: &str) {
    Spi::run("SELECT pg_catalog.pg_advisory_xact_lock(4711)").unwrap();
    Spi::run(sql).unwrap();
}

/// What a statement is refused with.
fn refusal(sql: &str) -> Failure {
    attempt(|| Spi::run(sql).unwrap()).expect_err("should have been refused")
}

fn text(sql: &str) -> Option<String> {
    Spi::get_one(sql).unwrap()
}

/// What has come to the inbox since the last look: `op:key`, `-` for no key, `op*n` for a packed row.
fn inbox() -> String {
    let noted = text(
        "SELECT string_agg(op::text || coalesce('*' || packed, ':' || coalesce(key, watched, '-')), ' ' ORDER BY inbox_id)
         FROM wf.inbox",
    );
    run("DELETE FROM wf.inbox");
    noted.unwrap_or_default()
}

/// What happens before a commit, which a test does not reach.
fn before_commit() {
    super::buffer::flush();
}

/// A table `erp.invoice` that is bound as `invoice`, watching state and due.
fn invoice() {
    run("CREATE SCHEMA erp;
         CREATE TABLE erp.invoice (id bigint PRIMARY KEY, state text, due date, amount numeric, note text);
         SELECT wf.bind_subject('invoice', 'erp.invoice', 'id', watch => 'state, due');");
}
