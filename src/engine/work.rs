//! One tick: inbox, due steps, messages whose window opens, holds that run out. Idle, it reads and writes nothing.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::careful::{self, Careful};
use super::chores::Chores;
use super::due::{ACTS_AT, Place};
use super::{as_engine, deferred, due, inbox};
use crate::collections;
use crate::outbox::acknowledged;
use crate::pg::limit;
use crate::pg::spi;
use crate::pg::subtransaction::Failure;
use crate::pg::types::{arg, instant_from_pg};
use crate::worker::wake;

/// Runs a body in a transaction (or subtransaction) of its own; gives the failure back after rolling it back.
pub type Run<'a> = dyn FnMut(&mut dyn FnMut()) -> Result<(), Failure> + 'a;

/// What to do after a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There may be more to do at once.
    More,
    /// Nothing to do until then; None: nothing is planned, or the clock stands still.
    Idle(Option<Duration>),
}

/// How long to leave alone what somebody else is at.
pub const BUSY: Duration = Duration::from_millis(200);

/// What a worker remembers between ticks.
pub struct WorkerState {
    /// Due step runs before this place have been claimed, but for those that `wake` or a sweep brings back. With an old
    /// snapshot held open, the dead entries before it need not be walked again.
    pub frontier: Place,
    /// Inbox rows of transactions before this one have been read.
    pub inbox_frontier: i64,
    /// Rows of wf.acknowledged of transactions before this one have been seen to.
    pub acknowledged_frontier: i64,
    /// Inbox rows, by transaction and number, that have cost much time of late: the others are read before them.
    pub last_in_line: HashSet<(i64, i64)>,
    /// Something has ended a worker or the server in the middle of its work.
    pub careful: Option<Careful>,
    last_now: DateTime<Utc>,
    swept: Option<(Instant, Duration)>,
    pub chores: Chores,
}

impl Default for WorkerState {
    fn default() -> Self {
        Self::new()
    }
}

impl WorkerState {
    /// Knows nothing: the first tick looks at everything.
    pub fn new() -> Self {
        Self {
            frontier: Place::FIRST,
            inbox_frontier: 0,
            acknowledged_frontier: 0,
            last_in_line: HashSet::new(),
            careful: None,
            last_now: DateTime::<Utc>::MIN_UTC,
            swept: None,
            chores: Chores::new(),
        }
    }
}

/// Does one batch of each kind of work, with the limit on the SQL of steps in force.
pub fn tick(state: &mut WorkerState, run: &mut Run<'_>) -> Next {
    limit::in_force(|| turn(state, run))
}

fn turn(state: &mut WorkerState, run: &mut Run<'_>) -> Next {
    if let Some(from) = wake::take_wake_from() {
        state.frontier = state.frontier.min(Place::of_time(instant_from_pg(from)));
    }
    state.chores.now_and_then(run);
    let mut look = Look::default();
    let looked = run(&mut || look = as_engine(|| look_around(state)));
    if looked.is_err() {
        return Next::Idle(Some(Duration::from_secs(1)));
    }
    if look.now < state.last_now {
        // The clock was set back: what lay behind the frontier may lie ahead again.
        state.frontier = Place::FIRST;
    }
    state.last_now = look.now;
    let mut worked = false;
    if let Some(careful) = state.careful {
        worked |= careful::leftovers(careful, run);
        careful::end_in_time(state, run);
    }
    if look.promises {
        worked |= collections::settle_due(run);
    }
    if look.holds {
        worked |= release_holds(run);
    }
    if look.inbox {
        worked |= inbox::work(state, run);
    }
    state.acknowledged_frontier = look.acknowledged_from;
    if look.acknowledged {
        worked |= acknowledged::work(state, run);
    }
    // Always asked, for the inbox may have made something due.
    if look.due || worked {
        worked |= due::work(state, run);
    }
    if look.escalations {
        worked |= escalate(run);
    }
    if look.closing {
        worked |= deferred::close_windows(run);
    }
    if look.deferred || worked {
        worked |= deferred::work(state.careful, run);
    }
    if worked {
        return Next::More;
    }
    if look.inbox || look.due || look.deferred || look.acknowledged {
        // Somebody else is at it, or holds a lock that we will not wait for.
        return Next::Idle(Some(BUSY));
    }
    sweep(state, look)
}

/// What there is to do, and when the next thing is.
#[derive(Clone, Copy, Default)]
struct Look {
    now: DateTime<Utc>,
    inbox: bool,
    due: bool,
    deferred: bool,
    closing: bool,
    holds: bool,
    escalations: bool,
    promises: bool,
    acknowledged: bool,
    /// The transaction from which on there may be rows of wf.acknowledged.
    acknowledged_from: i64,
    next: Option<DateTime<Utc>>,
    /// A test has frozen the clock: no time passes while a worker sleeps.
    frozen: bool,
}

/// One statement that finds out, without a transaction id. The time is asked for once (OFFSET keeps the planner from
/// copying it to each place), and not by wf.now(), which is planned anew with each call.
fn look_around(state: &WorkerState) -> Look {
    let sql = format!(
        "SELECT n.now,
                (SELECT true FROM wf.inbox AS i WHERE i.xid >= $1::text::xid8 AND i.failed_at IS NULL
                 ORDER BY i.xid LIMIT 1) IS TRUE,
                (SELECT true FROM wf.case_steps AS t
                 WHERE t.state = 'scheduled' AND t.run_at IS NOT NULL
                   AND ({ACTS_AT}, t.case_id) >= ($2, $3) AND {ACTS_AT} <= n.now
                 ORDER BY {ACTS_AT}, t.case_id LIMIT 1) IS TRUE,
                (SELECT true FROM wf.outbox AS o JOIN wf.cases AS c ON c.case_id = o.case_id
                 WHERE o.state = 'deferred' AND o.not_before <= n.now AND c.state IN ('running', 'completed')
                 ORDER BY o.not_before LIMIT 1) IS TRUE,
                (SELECT true FROM wf.outbox AS o
                 WHERE o.state = 'queued' AND o.not_after IS NOT NULL AND o.not_after <= n.now
                 ORDER BY o.not_after LIMIT 1) IS TRUE,
                (SELECT true FROM wf.holds AS h WHERE h.released_at IS NULL AND h.until <= n.now
                 ORDER BY h.until LIMIT 1) IS TRUE,
                least((SELECT {ACTS_AT} FROM wf.case_steps AS t
                       WHERE t.state = 'scheduled' AND t.run_at IS NOT NULL AND {ACTS_AT} > n.now
                       ORDER BY {ACTS_AT} LIMIT 1),
                      (SELECT o.not_before FROM wf.outbox AS o
                       WHERE o.state = 'deferred' AND o.not_before > n.now ORDER BY o.not_before LIMIT 1),
                      (SELECT o.not_after FROM wf.outbox AS o
                       WHERE o.state = 'queued' AND o.not_after IS NOT NULL AND o.not_after > n.now
                       ORDER BY o.not_after LIMIT 1),
                      (SELECT h.until FROM wf.holds AS h
                       WHERE h.released_at IS NULL AND h.until > n.now ORDER BY h.until LIMIT 1),
                      (SELECT p.breaks_at FROM wf.promises AS p
                       WHERE p.state = 'open' AND p.breaks_at > n.now ORDER BY p.breaks_at LIMIT 1),
                      (SELECT t.escalate_at FROM wf.tasks AS t
                       WHERE t.escalate_at > n.now ORDER BY t.escalate_at LIMIT 1)),
                EXISTS (SELECT FROM wf.clock),
                (SELECT true FROM wf.tasks AS t JOIN wf.cases AS c ON c.case_id = t.case_id
                 WHERE t.escalate_at <= n.now AND c.state IN ('running', 'planned')
                 ORDER BY t.escalate_at LIMIT 1) IS TRUE,
                (SELECT true FROM wf.promises AS p WHERE p.state = 'open' AND p.breaks_at <= n.now
                 ORDER BY p.breaks_at LIMIT 1) IS TRUE,
                (SELECT a.xid::text::int8 FROM wf.acknowledged AS a WHERE a.xid >= $4::text::xid8 ORDER BY a.xid LIMIT 1),
                pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::text::int8
         FROM (SELECT coalesce((SELECT c.frozen_at FROM wf.clock AS c), pg_catalog.now()) AS now OFFSET 0) AS n"
    );
    let rows = spi::query_in_order(
        &sql,
        &[
            arg(state.inbox_frontier.to_string()),
            arg(state.frontier.at),
            arg(state.frontier.case),
            arg(state.acknowledged_frontier.to_string()),
        ],
    );
    let Some(row) = rows.first() else {
        return Look::default();
    };
    let (acknowledged, oldest_running): (Option<i64>, i64) = (row.get(11), row.must(12));
    Look {
        acknowledged: acknowledged.is_some(),
        // A transaction that is still running may have an earlier row than those that are there.
        acknowledged_from: acknowledged.map_or(oldest_running, |first| first.min(oldest_running)),
        now: row.must(1),
        inbox: row.must(2),
        due: row.must(3),
        deferred: row.must(4),
        closing: row.must(5),
        holds: row.must(6),
        next: row.get(7),
        frozen: row.must(8),
        escalations: row.must(9),
        promises: row.must(10),
    }
}

/// Nothing found from the frontier on. Once in a while everything is looked at, for tokens that came in behind it
/// without a wake-up: from a prepared transaction, or while this worker was starting. The dearer the last such look
/// was, the longer until the next.
fn sweep(state: &mut WorkerState, look: Look) -> Next {
    let due_in = look
        .next
        .filter(|_| !look.frozen)
        .map(|at| (at - look.now).to_std().unwrap_or(Duration::ZERO));
    if state.frontier == Place::FIRST {
        state.frontier = Place::of_time(look.now);
        state.swept = Some((Instant::now(), Duration::ZERO));
        return Next::Idle(state.chores.nap(due_in));
    }
    let (last, pause) = state.swept.unwrap_or((Instant::now(), Duration::ZERO));
    if last.elapsed() >= pause.max(Duration::from_secs(30)) {
        state.frontier = Place::FIRST;
        state.inbox_frontier = 0;
        state.acknowledged_frontier = 0;
        return Next::More;
    }
    Next::Idle(state.chores.nap(due_in))
}

/// Escalates tasks whose deadline has passed.
fn escalate(run: &mut Run<'_>) -> bool {
    let mut escalated = 0;
    let result = run(&mut || escalated = as_engine(crate::people::escalate_overdue));
    result.is_ok() && escalated > 0
}

/// Releases the cases whose hold runs out.
fn release_holds(run: &mut Run<'_>) -> bool {
    let mut released = 0;
    let result = run(&mut || released = as_engine(crate::holds::release_expired));
    result.is_ok() && released > 0
}
