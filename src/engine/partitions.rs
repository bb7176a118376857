//! The months of wf.history. A month is made when time gets there, by whoever writes first.

use std::cell::RefCell;
use std::collections::HashSet;

use chrono::{DateTime, Datelike, Months, NaiveDate, TimeDelta, Utc};

use crate::audit::protect;
use crate::pg::spi;
use crate::pg::types::arg;

thread_local! {
    static KNOWN: RefCell<HashSet<(i32, u32)>> = RefCell::default();
}

/// Forgets which months exist.
pub fn forget() {
    KNOWN.with_borrow_mut(HashSet::clear);
}

/// Makes the next month some days before it begins, if there is a present one: whoever is first in a month makes others wait
/// until their own transaction ends, which may be long for a client.
pub fn ensure_ahead(now: DateTime<Utc>) {
    let soon = now + TimeDelta::days(2);
    if soon.month() != now.month() && exists(&name_of(now)) {
        ensure(soon);
    }
}

/// The name of the month, without the schema.
pub fn name_of(at: DateTime<Utc>) -> String {
    format!("history_{:04}_{:02}", at.year(), at.month())
}

fn exists(name: &str) -> bool {
    let sql = "SELECT pg_catalog.to_regclass('wf.' || $1) IS NOT NULL";
    let rows = spi::query(sql, &[arg(name)]);
    rows.first().is_some_and(|row| row.must(1))
}

/// Sees to it that rows of this time have a partition. What exists is remembered until a (sub)transaction is rolled
/// back, which may have made it.
pub fn ensure(at: DateTime<Utc>) {
    let month = (at.year(), at.month());
    if KNOWN.with_borrow(|known| known.contains(&month)) {
        return;
    }
    let name = name_of(at);
    if exists(&name) {
        KNOWN.with_borrow_mut(|known| known.insert(month));
        return;
    }
    let Some(first) = NaiveDate::from_ymd_opt(month.0, month.1, 1) else {
        return;
    };
    let Some(next) = first.checked_add_months(Months::new(1)) else {
        return;
    };
    // Two transactions may get here at once; the second waits for the first and then finds the month. ATTACH takes the same
    // lock. One that has no table behind it would not do: with that of a table come the changes of others to the catalogue.
    spi::execute_once("LOCK TABLE ONLY wf.history IN SHARE UPDATE EXCLUSIVE MODE");
    if exists(&name) {
        return;
    }
    // Made apart and then attached: ATTACH takes a lock that lets readers and writers of the other months go on.
    spi::execute_once(&format!(
        "CREATE TABLE wf.{name} (LIKE wf.history INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
    ));
    spi::execute_once(&format!("CREATE INDEX ON wf.{name} (case_id)"));
    // An API call repeated after the task is done must find out so.
    spi::execute_once(&format!(
        "CREATE INDEX ON wf.{name} (task_id) WHERE task_id IS NOT NULL"
    ));
    if protect::is_active() {
        spi::execute_once(&protect::index_of(&name));
    }
    // The trigger for rows comes with the parent's; one for TRUNCATE does not.
    spi::execute_once(&format!(
        "CREATE TRIGGER keep_rows BEFORE TRUNCATE ON wf.{name} FOR EACH STATEMENT EXECUTE FUNCTION wf._append_only()"
    ));
    spi::execute_once(&format!(
        "ALTER TABLE wf.history ATTACH PARTITION wf.{name} FOR VALUES FROM ('{first} 00:00+00') TO ('{next} 00:00+00')"
    ));
}
