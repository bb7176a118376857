//! What a session may do to the case on stage.

use workflow_engine_tests::{define_sql, literal};

use crate::stage::{Scene, workflow};

/// A call, or something else that a session does.
#[derive(Clone, Copy)]
pub struct Action {
    pub name: &'static str,
    /// Its statements.
    pub sql: fn(&Scene) -> String,
    /// It passes over a case that somebody is at, and comes back later: a worker, a sender, a migration.
    pub comes_back: bool,
    /// It is about a case that is on hold.
    pub on_hold: bool,
}

const fn call(name: &'static str, sql: fn(&Scene) -> String) -> Action {
    Action {
        name,
        sql,
        comes_back: false,
        on_hold: false,
    }
}

const fn comes_back(name: &'static str, sql: fn(&Scene) -> String) -> Action {
    Action {
        comes_back: true,
        ..call(name, sql)
    }
}

/// What a call returns, without what differs from case to case.
fn open_steps(function: &str) -> String {
    format!("SELECT state, step, visit, due_at, task_id IS NOT NULL FROM wf.{function}")
}

/// What a worker does.
pub const TICK: Action = comes_back("tick", |_| "SELECT probe.tick()".to_owned());

/// Those of which every pair is to be tried.
pub const NAMED: &[Action] = &[
    call("complete", |s| open_steps(&format!("complete({})", s.task))),
    call("cancel", |s| {
        open_steps(&format!("cancel({}, 'enough')", s.case))
    }),
    call("hold", |s| open_steps(&format!("hold({}, 'wait')", s.case))),
    Action {
        on_hold: true,
        ..call("release", |s| open_steps(&format!("release({})", s.case)))
    },
    comes_back("migrate", |s| {
        format!(
            "SELECT outcome FROM wf.migrate('pairs', {}, 1, dry_run => false) WHERE outcome <> 'refused'",
            s.version
        )
    }),
    comes_back("lease", |_| {
        "SELECT channel, attempt FROM wf.lease_messages('email', 10)".to_owned()
    }),
    call("ack", |s| {
        format!("SELECT wf.ack_messages(ARRAY[{}]::bigint[])", s.leased)
    }),
    TICK,
    call("pay", |s| {
        format!(
            "UPDATE claim SET state = 'paid' WHERE id = {} RETURNING state",
            s.claim
        )
    }),
];

/// The others.
pub const OTHERS: &[Action] = &[
    call("pay all", |s| {
        format!(
            "UPDATE claim SET state = 'paid' WHERE id IN ({}, {} + 1) RETURNING state",
            s.claim, s.claim
        )
    }),
    call("start again", |s| {
        open_steps(&format!("start('pairs', {}::bigint)", s.claim))
    }),
    call("start other", |s| {
        open_steps(&format!("start('other', {}::bigint)", s.claim))
    }),
    call("retry", |s| {
        open_steps(&format!("retry({}, 'text')", s.case))
    }),
    call("skip", |s| {
        open_steps(&format!("skip({}, 'text', 'no phone')", s.case))
    }),
    call("cancel step", |s| {
        open_steps(&format!("cancel_step({}, 'mail')", s.case))
    }),
    call("cancel phase", |s| {
        open_steps(&format!("cancel_phase({}, 'all')", s.case))
    }),
    call("advance", |s| {
        open_steps(&format!("advance({}, 'later')", s.case))
    }),
    call("signal", |s| {
        open_steps(&format!("signal({}, 'papers', '{{\"n\": 1}}')", s.case))
    }),
    call("join", |s| {
        open_steps(&format!("add_subject({}, {} + 2)", s.case, s.claim))
    }),
    call("leave", |s| {
        open_steps(&format!("remove_subject({}, {} + 1)", s.case, s.claim))
    }),
    call("claim task", |s| {
        format!(
            "SELECT participant, claimed_by FROM wf.claim_task({})",
            s.task
        )
    }),
    call("release task", |s| {
        format!(
            "SELECT participant, claimed_by FROM wf.release_task({})",
            s.task
        )
    }),
    call("delegate", |s| {
        format!(
            "SELECT participant, claimed_by FROM wf.delegate_task({}, 'ar_specialist')",
            s.task
        )
    }),
    call("reassign", |s| {
        format!(
            "SELECT participant, claimed_by FROM wf.reassign_task({}, 'back_office')",
            s.task
        )
    }),
    call("publish", |s| {
        let document = define_sql(&workflow(2_000_000 + s.nonce));
        format!("{document}; SELECT wf.publish('pairs') > 0")
    }),
    call("promise", |s| {
        format!("SELECT wf.promise({}, 10, '2026-05-20') > 0", s.case)
    }),
    call("dispute", |s| {
        format!("SELECT wf.dispute({}, 'wrong') > 0", s.case)
    }),
    call("charge", |s| {
        format!("SELECT wf.charge({}, 5, 'fee') > 0", s.case)
    }),
    call("be quiet", |s| {
        open_steps(&format!("hold({}, 'please', kind => 'quiet')", s.case))
    }),
    call("fail", |s| {
        format!(
            "SELECT wf.fail_messages(ARRAY[{}]::bigint[], {})",
            s.leased,
            literal("no paper")
        )
    }),
    call("bounce", |s| {
        format!("SELECT wf.report_delivery({}, 'bounced')", s.leased)
    }),
];
