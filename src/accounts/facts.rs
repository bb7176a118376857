//! What the database knows of some rows and their default strategies: one statement for each kind of it, whatever the
//! number of rows. What follows is `strategy`'s.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use workflow_core::document::{Again, Runs};
use workflow_core::game::STOPPED;
use workflow_core::program::Read;
use workflow_core::strategy::Status;

use crate::engine::reads::{read_columns, read_sql};
use crate::engine::versions::{Version, version};
use crate::pg::acting::as_user;
use crate::pg::spi::{self, Plan};
use crate::pg::types::{ToArg, arg, array, array_of};
use crate::subjects::subject::Subject;

/// All that is known of some rows, in their order or by their keys.
pub struct Known {
    pub accounts: Vec<Option<String>>,
    pub settings: Vec<Setting>,
    pub open: HashMap<String, Open>,
    pub earlier: HashMap<String, Earlier>,
    /// The strategies that may start cases now, by workflow.
    pub versions: HashMap<i32, Rc<Version>>,
    keys: Vec<String>,
}

impl Known {
    /// Reads it.
    pub fn read(subject: &Subject, keys: &[&str]) -> Self {
        let accounts = accounts(subject, keys);
        let settings = settings(subject.id, keys, &accounts);
        let wanted: HashSet<i32> = settings.iter().filter_map(|s| s.workflow).collect();
        Self {
            open: open_cases(subject.id, keys),
            earlier: earlier(subject.id, keys),
            versions: startable(&wanted),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            accounts,
            settings,
        }
    }

    /// The account of one of the rows.
    pub fn account_of(&self, key: &str) -> Option<String> {
        let position = self.keys.iter().position(|k| k == key)?;
        self.accounts[position].clone()
    }

    /// The strategy that a row had and has no more, and whether it may have it again.
    pub fn may_have_again(&self, earlier: &Earlier) -> Option<(i32, bool)> {
        let (outcome, _) = earlier.ended.as_ref()?;
        let version = self.versions.get(&earlier.workflow);
        let rule = version.and_then(|v| v.program.document.start.as_ref());
        let again = rule.is_some_and(|rule| rule.again == Again::AfterStop);
        Some((earlier.workflow, again && outcome == STOPPED))
    }
}

/// The open cases about a row.
#[derive(Default)]
pub struct Open {
    /// Of strategies.
    pub strategies: Vec<(i64, Rc<Version>)>,
    /// The first one that its strategy has to give way to.
    pub elsewhere: Option<(i64, String)>,
}

/// Reads them, by key.
pub fn open_cases(subject: i32, keys: &[&str]) -> HashMap<String, Open> {
    let rows = spi::query(
        "SELECT s.key, c.case_id, c.version_id, c.started_at IS NOT NULL
         FROM unnest($2::text[]) AS k(key)
         JOIN wf.case_subjects AS s ON s.key = k.key AND s.subject_id = $1 AND s.slot = 0 AND s.departure IS NULL
         JOIN wf.cases AS c ON c.case_id = s.case_id AND c.ended_at IS NULL
         ORDER BY c.case_id",
        &[arg(subject), array(keys.iter().copied())],
    );
    let mut open: HashMap<String, Open> = HashMap::new();
    for row in rows.iter() {
        let of_key = open.entry(row.must(1)).or_default();
        let (case, version) = (row.must(2), version(row.must(3)));
        let name = &version.program.document.name;
        match version.program.document.runs {
            Runs::Strategy => of_key.strategies.push((case, version)),
            Runs::Parallel | Runs::Exclusive if row.must(4) => {
                of_key.elsewhere.get_or_insert_with(|| (case, name.clone()));
            }
            Runs::Parallel | Runs::Exclusive | Runs::Side => {}
        }
    }
    open
}

/// What is set for a row, the nearest level for each.
#[derive(Default)]
pub struct Setting {
    pub workflow: Option<i32>,
    pub status: Status,
    pub reason: Option<String>,
}

/// What is set for these rows.
fn settings(subject: i32, keys: &[&str], accounts: &[Option<String>]) -> Vec<Setting> {
    let rows = spi::query(
        "SELECT (array_agg(x.workflow_id ORDER BY x.level) FILTER (WHERE x.workflow_id IS NOT NULL))[1],
                (array_agg(x.status ORDER BY x.level) FILTER (WHERE x.status IS NOT NULL))[1],
                (array_agg(x.reason ORDER BY x.level) FILTER (WHERE x.status IS NOT NULL))[1]
         FROM ROWS FROM (unnest($2::text[]), unnest($3::text[])) WITH ORDINALITY AS k(key, account, n)
         LEFT JOIN LATERAL (
             SELECT 1 AS level, s.workflow_id, s.status, s.reason FROM wf.strategy_settings AS s
             WHERE s.key = k.key AND s.subject_id = $1
             UNION ALL
             SELECT 2, s.workflow_id, s.status, s.reason FROM wf.strategy_settings AS s
             WHERE s.key IS NULL AND s.account = k.account AND s.subject_id = $1
             UNION ALL
             SELECT 3, s.workflow_id, s.status, s.reason FROM wf.strategy_settings AS s
             WHERE s.key IS NULL AND s.account IS NULL AND s.subject_id = $1) AS x ON true
         GROUP BY k.n ORDER BY k.n",
        &[
            arg(subject),
            array(keys.iter().copied()),
            array_of(accounts.iter().map(Option::as_deref)),
        ],
    );
    rows.iter()
        .map(|row| Setting {
            workflow: row.get(1),
            status: row
                .get::<String>(2)
                .and_then(|label| Status::from_label(&label))
                .unwrap_or_default(),
            reason: row.get(3),
        })
        .collect()
}

/// The accounts that rows belong to, read as the subject's owner.
pub fn accounts(subject: &Subject, keys: &[&str]) -> Vec<Option<String>> {
    let mut accounts = vec![None; keys.len()];
    let Some(column) = subject.roles.account.clone() else {
        return accounts;
    };
    let read = Read {
        columns: vec![column],
        ..Read::default()
    };
    let sql = read_sql(subject, &read, &read_columns(subject, &read));
    let nothing = || array_of(keys.iter().map(|_| None::<&str>));
    let args = [array(keys.iter().copied()), nothing(), nothing()];
    let types = [<&str>::ARRAY_OID; 3];
    let rows = as_user(subject.owner, || Plan::prepare(&sql, &types).execute(&args));
    for row in rows.iter() {
        let position = usize::try_from(row.must::<i32>(1) - 1).unwrap_or(0);
        accounts[position] = row.get(3);
    }
    accounts
}

/// The strategy that a row had last.
pub struct Earlier {
    pub case: i64,
    pub workflow: i32,
    /// Its case has ended: how, and why.
    pub ended: Option<(String, Option<String>)>,
}

fn earlier(subject: i32, keys: &[&str]) -> HashMap<String, Earlier> {
    let rows = spi::query(
        "SELECT s.key, c.workflow_id, c.ended_at IS NOT NULL, c.outcome, c.reason, c.case_id
         FROM wf.strategies AS s JOIN wf.cases AS c ON c.case_id = s.case_id
         WHERE s.key = ANY ($2) AND s.subject_id = $1",
        &[arg(subject), array(keys.iter().copied())],
    );
    rows.iter()
        .map(|row| {
            let outcome: Option<String> = row.get(4);
            let ended = row.must::<bool>(3).then(|| outcome.unwrap_or_default());
            let earlier = Earlier {
                case: row.must(6),
                workflow: row.must(2),
                ended: ended.map(|outcome| (outcome, row.get(5))),
            };
            (row.must(1), earlier)
        })
        .collect()
}

/// The published versions of strategies that are on.
fn startable(workflows: &HashSet<i32>) -> HashMap<i32, Rc<Version>> {
    let rows = spi::query(
        "SELECT v.version_id FROM wf.workflows AS w JOIN wf.versions AS v ON v.workflow_id = w.workflow_id
         WHERE w.workflow_id = ANY ($1) AND w.enabled AND w.dropped_at IS NULL AND v.state = 'published'",
        &[array(workflows.iter().copied())],
    );
    let versions = rows.iter().map(|row| version(row.must(1)));
    versions
        .filter(|v| v.program.document.runs == Runs::Strategy)
        .map(|v| (v.workflow_id, v))
        .collect()
}
