//! Two sessions at one case: the first one acts and waits, the second one acts meanwhile, then the first one commits or
//! rolls back. What comes of it is held against the same calls one after the other, on a twin of the case.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use workflow_engine_tests::{Failure, Session, TestDb};

use crate::actions::{Action, TICK};
use crate::stage::{self, Scene};

/// At which level both sessions run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Isolation {
    fn sql(self) -> &'static str {
        match self {
            Self::ReadCommitted => "READ COMMITTED",
            Self::RepeatableRead => "REPEATABLE READ",
            Self::Serializable => "SERIALIZABLE",
        }
    }
}

/// What a call may be refused with, by docs/: unknown (42704, P0002), another state than needed (55000), a row that has an
/// open case already (23505), an argument (22023), somebody else's (42501).
const REFUSALS: [&str; 6] = ["42704", "P0002", "55000", "23505", "22023", "42501"];

/// What an action gave: its rows, or the SQLSTATE that it was refused with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Rows(Vec<String>),
    Refused(String),
}

impl Answer {
    fn of(result: Result<Vec<Vec<String>>, Failure>) -> Self {
        match result {
            Ok(rows) => Self::Rows(rows.iter().map(|row| row.join(" | ")).collect()),
            Err(failure) => Self::Refused(failure.sqlstate),
        }
    }

    fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// A second answer to somebody who has come back.
    fn and(self, more: Self) -> Self {
        match (self, more) {
            (Self::Rows(mut rows), Self::Rows(more)) => {
                rows.extend(more);
                rows.sort();
                Self::Rows(rows)
            }
            (refused @ Self::Refused(_), _) | (_, refused) => refused,
        }
    }
}

/// What has come of a meeting: what each was told, and how the case looks. None: what it did was undone.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    answers: [Option<Answer>; 2],
    case: Vec<String>,
}

impl Outcome {
    fn text(&self) -> String {
        format!(
            "    {:?}\n      {}",
            self.answers,
            self.case.join("\n      ")
        )
    }
}

/// A session that works in a thread of its own, so that it may wait.
struct Fighter {
    pid: i32,
    orders: Sender<String>,
    answers: Receiver<Answer>,
    /// It has been told to do something and has not answered.
    busy: bool,
}

impl Fighter {
    fn new(mut session: Session) -> Self {
        session.exec("SET deadlock_timeout = '200ms'; SET lock_timeout = '30s'");
        let pid = session.pid();
        let (orders, todo) = channel::<String>();
        let (done, answers) = channel();
        std::thread::spawn(move || {
            while let Ok(sql) = todo.recv() {
                if done.send(Answer::of(session.try_rows(&sql))).is_err() {
                    break;
                }
            }
        });
        Self {
            pid,
            orders,
            answers,
            busy: false,
        }
    }

    fn tell(&mut self, sql: String) {
        assert!(!self.busy, "it is still at the last order");
        self.orders.send(sql).expect("the thread lives");
        self.busy = true;
    }

    /// The answer, if it comes without anybody else's doing; None: it waits for a lock.
    fn answer_or_wait(&mut self, referee: &mut Session) -> Option<Answer> {
        let start = Instant::now();
        loop {
            match self.answers.recv_timeout(Duration::from_millis(2)) {
                Ok(answer) => {
                    self.busy = false;
                    return Some(answer);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let waits: bool = referee.one::<String>(&format!(
                        "SELECT cardinality(pg_blocking_pids({})) > 0",
                        self.pid
                    )) == "t";
                    if waits {
                        return None;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => panic!("a session's thread has ended"),
            }
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "it neither answers nor waits"
            );
        }
    }

    /// The answer, now that nothing is in its way.
    fn answer(&mut self) -> Answer {
        let answer = self.answers.recv_timeout(Duration::from_secs(60));
        self.busy = false;
        answer.expect("an answer within a minute")
    }

    fn does(&mut self, sql: String) -> Answer {
        self.tell(sql);
        self.answer()
    }

    /// Ends its transaction, which gave this answer; what stands in the end.
    fn end(&mut self, answer: Answer, commit: bool) -> Answer {
        let commit = commit && !answer.is_refused();
        let ended = self.does(if commit { "COMMIT" } else { "ROLLBACK" }.to_owned());
        if ended.is_refused() { ended } else { answer }
    }
}

fn begin(action: &Action, scene: &Scene, isolation: Isolation) -> String {
    format!(
        "BEGIN ISOLATION LEVEL {}; {}",
        isolation.sql(),
        (action.sql)(scene)
    )
}

/// The two that meet, and a worker.
type Three<'a> = [&'a Action; 3];

/// A database with a stage, and sessions that meet there.
pub struct Arena {
    db: TestDb,
    one: Fighter,
    two: Fighter,
    nonce: u64,
    /// What comes of actions one after the other, by the names of those who meet and by their order.
    serial: HashMap<([&'static str; 2], Vec<usize>), Outcome>,
}

impl Arena {
    pub fn new() -> Self {
        let db = stage::database();
        let one = Fighter::new(db.connect());
        let two = Fighter::new(db.connect());
        Self {
            db,
            one,
            two,
            nonce: 0,
            serial: HashMap::new(),
        }
    }

    fn scene(&mut self, three: Three<'_>) -> Scene {
        self.nonce += 1;
        let held = three.iter().any(|action| action.on_hold);
        stage::set(&mut self.db, self.nonce, held)
    }

    /// Those of the two that come back do so, the second one first.
    fn come_back(&mut self, three: Three<'_>, scene: &Scene, answers: &mut [Option<Answer>; 2]) {
        for nth in [1, 0] {
            if three[nth].comes_back {
                let more = self.one.does((three[nth].sql)(scene));
                answers[nth] = Some(match answers[nth].take() {
                    Some(before) => before.and(more),
                    None => more,
                });
            }
        }
    }

    /// What comes of them one after the other, in this order.
    fn in_order(&mut self, three: Three<'_>, order: &[usize]) -> Outcome {
        let key = ([three[0].name, three[1].name], order.to_vec());
        if let Some(known) = self.serial.get(&key) {
            return known.clone();
        }
        let scene = self.scene(three);
        let mut answers = [None, None];
        for nth in order {
            let answer = self.one.does((three[*nth].sql)(&scene));
            if let Some(mine) = answers.get_mut(*nth) {
                *mine = Some(answer);
            }
        }
        self.come_back(three, &scene, &mut answers);
        let case = stage::look(&mut self.db, &scene);
        let outcome = Outcome { answers, case };
        self.serial.insert(key, outcome.clone());
        outcome
    }

    /// The first one does `a`, the second one `b` meanwhile; then the first one commits, or rolls back. What is wrong with
    /// what comes of it.
    pub fn meet(
        &mut self,
        a: &Action,
        b: &Action,
        isolation: Isolation,
        commit: bool,
    ) -> Vec<String> {
        let three = [a, b, &TICK];
        let scene = self.scene(three);
        let first = self.one.does(begin(a, &scene, isolation));
        self.two.tell(begin(b, &scene, isolation));
        let at_once = self.two.answer_or_wait(&mut self.db);
        let waited = at_once.is_none();
        let first = self.one.end(first, commit);
        let second = at_once.unwrap_or_else(|| self.two.answer());
        let second = self.two.end(second, true);
        let what = format!(
            "{} and {} ({isolation:?}, {}, the second one {})",
            a.name,
            b.name,
            if commit { "committed" } else { "rolled back" },
            if waited { "waited" } else { "went on" }
        );
        let mut wrong = Vec::new();
        for answer in [&first, &second] {
            let Answer::Refused(sqlstate) = answer else {
                continue;
            };
            let strict = isolation != Isolation::ReadCommitted && sqlstate == "40001";
            if !strict && !REFUSALS.contains(&sqlstate.as_str()) {
                wrong.push(format!("{what}: SQLSTATE {sqlstate}"));
            }
        }
        // One that could not be serialized has been undone, too.
        let stands =
            |answer: Answer| (answer != Answer::Refused("40001".to_owned())).then_some(answer);
        let mut answers = [stands(first).filter(|_| commit), stands(second)];
        let orders: &[&[usize]] = match &answers {
            [Some(_), Some(_)] => &[&[0, 1], &[1, 0]],
            [Some(_), None] => &[&[0]],
            [None, Some(_)] => &[&[1]],
            [None, None] => &[&[]],
        };
        self.come_back(three, &scene, &mut answers);
        let case = stage::look(&mut self.db, &scene);
        wrong.extend(self.judge(&what, three, Outcome { answers, case }, orders));
        wrong
    }

    /// What is wrong with an outcome, if it is none of those of the orders given.
    fn judge(
        &mut self,
        what: &str,
        three: Three<'_>,
        happened: Outcome,
        orders: &[&[usize]],
    ) -> Option<String> {
        let mut allowed = Vec::new();
        for order in orders {
            let outcome = self.in_order(three, order);
            if outcome == happened {
                return None;
            }
            allowed.push(format!("{order:?}\n{}", outcome.text()));
        }
        Some(format!(
            "{what}\n  came out as\n{}\n  and one after the other as {}",
            happened.text(),
            allowed.join("\n    or ")
        ))
    }

    /// `a`, then `b` while `a` has not ended, then a tick while neither has; then `a` ends, `b` ends, and a worker comes
    /// back.
    pub fn three(&mut self, a: &Action, b: &Action) -> Vec<String> {
        let three = [a, b, &TICK];
        let scene = self.scene(three);
        let level = Isolation::ReadCommitted;
        let first = self.one.does(begin(a, &scene, level));
        self.two.tell(begin(b, &scene, level));
        let at_once = self.two.answer_or_wait(&mut self.db);
        // It must pass over whatever is locked, and wait for nothing.
        self.db
            .exec("SET lock_timeout = '2s'; SELECT probe.tick(); RESET lock_timeout");
        let first = self.one.end(first, true);
        let second = at_once.unwrap_or_else(|| self.two.answer());
        let second = self.two.end(second, true);
        let mut answers = [Some(first), Some(second)];
        self.come_back(three, &scene, &mut answers);
        let case = stage::look(&mut self.db, &scene);
        let orders: &[&[usize]] = &[
            &[0, 1],
            &[1, 0],
            &[2, 0, 1],
            &[0, 2, 1],
            &[2, 1, 0],
            &[1, 2, 0],
        ];
        let what = format!("{}, {} and a tick", a.name, b.name);
        self.judge(&what, three, Outcome { answers, case }, orders)
            .into_iter()
            .collect()
    }
}
