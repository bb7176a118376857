//! Kinds of holds: what each stops, what it does to dates, and who may end it.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::Oid;
use pgrx::prelude::*;
use workflow_core::game::{Block, Clock, parse_blocks};
use workflow_core::{Error, ErrorCode};

use crate::api::given;
use crate::engine::as_engine;
use crate::people::is_manager;
use crate::pg::acting::role_name;
use crate::pg::raise::{OrRaise, internal, raise, raise_as};
use crate::pg::spi;
use crate::pg::types::{arg, optional};

/// A kind of hold.
pub struct Kind {
    pub name: String,
    pub blocks: Vec<Block>,
    pub clock: Clock,
}

/// The kind of this name. Raises 42704 with those there are.
pub fn named(name: &str) -> Kind {
    let rows = spi::query(
        "SELECT k.kind, pg_catalog.array_to_string(k.blocks, ','), k.clock
         FROM wf.hold_kinds AS k WHERE k.kind = $1",
        &[arg(name)],
    );
    let Some(row) = rows.first() else {
        let known = spi::query_planned_freely(
            "SELECT coalesce(pg_catalog.string_agg(k.kind, ', ' ORDER BY k.kind), 'none') FROM wf.hold_kinds AS k",
            &[],
        );
        let known: String = known.first().map_or_else(String::new, |row| row.must(1));
        raise(
            Error::new(
                ErrorCode::Unknown,
                format!("there is no kind of hold \"{name}\""),
            )
            .detail(format!("The kinds are {known}."))
            .hint("Name one of these, or make it with wf.set_hold_kind."),
        );
    };
    let blocks: String = row.must(2);
    Kind {
        name: row.must(1),
        blocks: blocks.split(',').filter_map(Block::from_label).collect(),
        clock: Clock::from_label(&row.must::<String>(3))
            .unwrap_or_else(|| internal("an unknown clock of a kind of hold")),
    }
}

/// Refuses whoever may not end a hold of a kind that only managers may end.
pub fn refuse_agents(kind: &str, reason: &str, case: i64, caller: Oid) {
    if is_manager(caller) {
        return;
    }
    raise_as(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("the hold \"{reason}\" on case {case} is not yours to end"),
        Some(format!(
            "Holds of kind \"{kind}\" end at their time or are ended by a manager; you are {}.",
            role_name(caller)
        )),
        Some("Ask a manager.".to_owned()),
    )
}

/// Defines a kind of hold, or changes one; holds that there are stay as they are.
#[pg_extern(sql = false)]
fn set_hold_kind(
    kind: Option<&str>,
    blocks: Option<Vec<Option<String>>>,
    clock: Option<&str>,
    title: Option<&str>,
    released_by: Option<&str>,
) {
    let kind = given("kind", kind);
    let blocks: Vec<String> = given("blocks", blocks)
        .into_iter()
        .map(|block| given("blocks", block))
        .collect();
    let (clock, by) = (given("clock", clock), given("released_by", released_by));
    let refused =
        |message: String, hint: String| raise(Error::new(ErrorCode::Input, message).hint(hint));
    if kind.trim().is_empty() {
        refused(
            "the kind of hold has no name".to_owned(),
            "Name it, for example dispute.".to_owned(),
        );
    }
    let blocks = parse_blocks(&blocks).or_raise();
    if Clock::from_label(clock).is_none() {
        let known: Vec<&str> = Clock::ALL.iter().map(|c| c.label()).collect();
        refused(
            format!("there is no clock policy \"{clock}\""),
            format!("The policies are {}.", known.join(", ")),
        );
    }
    if clock != Clock::RunOn.label() && !blocks.contains(&Block::Steps) {
        refused(
            format!("a hold that does not stop steps has no use for the clock policy \"{clock}\""),
            "Dates move with a case whose steps are stopped: add steps to blocks, or leave clock out.".to_owned(),
        );
    }
    if by != "agent" && by != "manager" {
        refused(
            format!("released_by is \"{by}\""),
            "Say agent (whoever may call wf.release) or manager.".to_owned(),
        );
    }
    let labels: Vec<&str> = blocks.iter().map(|b| b.label()).collect();
    as_engine(|| {
        spi::query(
            "INSERT INTO wf.hold_kinds (kind, title, blocks, clock, released_by)
             VALUES ($1, $2, pg_catalog.string_to_array($3, ','), $4, $5)
             ON CONFLICT (kind) DO UPDATE
                 SET title = excluded.title, blocks = excluded.blocks, clock = excluded.clock,
                     released_by = excluded.released_by, shipped = false",
            &[
                arg(kind),
                optional(title),
                arg(labels.join(",")),
                arg(clock),
                arg(by),
            ],
        );
    });
}
