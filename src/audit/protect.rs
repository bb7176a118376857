//! Switching the chain of hashes on and off, and the index that it needs on each month of history.

use pgrx::prelude::*;

use super::{note, take_turn};
use crate::api::{actor, given};
use crate::engine::as_engine;
use crate::pg::spi;
use crate::pg::types::arg;

/// Whether months need the index by which rows that are not sealed are found.
pub fn is_active() -> bool {
    super::seal::top().is_some()
}

/// The index of a month, by the month's name. Only where history is sealed: nobody else asks for rows by their number.
pub fn index_of(name: &str) -> String {
    format!("CREATE INDEX IF NOT EXISTS {name}_id ON wf.{name} (history_id)")
}

/// The months that there are, by the names of their tables.
pub fn months() -> Vec<String> {
    let rows = spi::query(
        "SELECT c.relname::text FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'wf.history'::pg_catalog.regclass AND c.relname ~ '^history_[0-9]{4}_[0-9]{2}$'
           AND c.relnamespace = 'wf'::pg_catalog.regnamespace
         ORDER BY c.relname",
        &[],
    );
    rows.iter().map(|row| row.must(1)).collect()
}

/// Switches sealing on or off. The same again is no error.
#[pg_extern(sql = false)]
fn protect_history(active: Option<bool>) {
    let active = given("active", active);
    let actor = actor();
    as_engine(|| {
        take_turn(true);
        if !active && !is_active() {
            return;
        }
        let changed = spi::query(
            "INSERT INTO wf.history_protection AS p (active, top, since, set_by)
             VALUES ($1, 0, pg_catalog.clock_timestamp(), $2)
             ON CONFLICT (singleton) DO UPDATE SET active = $1, since = excluded.since, set_by = excluded.set_by
             WHERE p.active <> $1
             RETURNING active",
            &[arg(active), arg(actor.as_str())],
        );
        if changed.is_empty() {
            return;
        }
        drop(changed);
        // Months may come into being meanwhile; whoever makes one takes this lock.
        spi::execute_once("LOCK TABLE ONLY wf.history IN SHARE UPDATE EXCLUSIVE MODE");
        for name in months() {
            if active {
                spi::execute_once(&index_of(&name));
            } else {
                spi::execute_once(&format!("DROP INDEX IF EXISTS wf.{name}_id"));
            }
        }
        let act = if active {
            "history protected"
        } else {
            "history no longer protected"
        };
        note(&actor, act, None, None, "{}");
        crate::worker::wake::on_commit();
    });
}
