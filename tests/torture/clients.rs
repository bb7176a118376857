//! The clients: each does, at random, what an ERP, people and senders do, whatever happens to the server meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use workflow_engine_tests::{Connector, Failure, Random, Session, ids, literal};

/// What the clients share.
pub struct Field {
    pub goes_on: AtomicBool,
    /// The last job's number.
    pub jobs: AtomicI64,
    /// How many cases may be open at a time; then no new jobs come in.
    pub room: i64,
    pub flows: u64,
}

/// What a client knows at the end.
#[derive(Debug, Default)]
pub struct Told {
    /// The calls that the server said had committed, by their numbers.
    pub committed: Vec<i64>,
    /// How often it was refused, and how often the connection broke.
    pub refused: usize,
    pub broken: usize,
    /// How many messages it was handed.
    pub handed: usize,
}

/// A client at work.
pub struct Client {
    id: i64,
    number: i64,
    random: Random,
    connector: Connector,
    session: Session,
    told: Told,
}

/// What the rules and the engine refuse with, when a client asks for what is not possible any more.
const REFUSALS: [&str; 5] = ["55000", "P0002", "42704", "23505", "22023"];

impl Client {
    pub fn new(id: i64, seed: u64, connector: Connector) -> Self {
        let session = connector.connect("shop");
        Self {
            id,
            number: 0,
            random: Random::new(seed),
            connector,
            session,
            told: Told::default(),
        }
    }

    /// Works until the field closes.
    pub fn work(mut self, field: &Arc<Field>) -> Told {
        while field.goes_on.load(Ordering::Relaxed) {
            match self.random.below(10) {
                0 => self.insert(field),
                1..=3 => self.change(field),
                4..=5 => self.send(),
                _ => self.call(),
            }
            sleep(Duration::from_millis(self.random.below(8)));
        }
        self.told
    }

    /// Whether a statement went through. A broken connection is made anew; nobody can say what became of the statement.
    fn went(&mut self, result: Result<(), Failure>) -> bool {
        let Err(failure) = result else { return true };
        if REFUSALS.contains(&failure.sqlstate.as_str()) {
            self.told.refused += 1;
            return false;
        }
        let gone = failure.sqlstate.starts_with("08") || failure.sqlstate.starts_with("57P");
        assert!(
            gone || self.session.is_closed(),
            "unforeseen: {}",
            failure.text()
        );
        self.told.broken += 1;
        self.session = self.connector.connect("shop");
        false
    }

    fn exec(&mut self, sql: &str) -> bool {
        let result = self.session.try_exec(sql);
        self.went(result)
    }

    fn rows(&mut self, sql: &str) -> Vec<Vec<String>> {
        match self.session.try_rows(sql) {
            Ok(rows) => rows,
            Err(failure) => {
                self.went(Err(failure));
                Vec::new()
            }
        }
    }

    fn insert(&mut self, field: &Field) {
        let open = self.rows("SELECT count(*) FROM wf.cases WHERE ended_at IS NULL");
        if open
            .first()
            .is_none_or(|row| row[0].parse().unwrap_or(i64::MAX) > field.room)
        {
            return;
        }
        let first = field.jobs.fetch_add(3, Ordering::Relaxed) + 1;
        let flow = self.random.below(field.flows);
        let ready = self.soon();
        let (c1, email) = (self.random.below(2) == 0, self.email());
        self.exec(&format!(
            "INSERT INTO job (id, flow, state, ready_at, c1, c2, email)
             SELECT n, {flow}, 'posted', {ready}, {c1}, n % 2 = 0, {email} FROM generate_series({first}, {first} + 2) AS n"
        ));
        if self.random.below(3) == 0 {
            self.start(flow, first);
        }
    }

    fn soon(&mut self) -> String {
        match self.random.below(12) {
            0 => "NULL".to_owned(),
            n => format!("now() + interval '{} milliseconds'", n * 200),
        }
    }

    fn email(&mut self) -> String {
        match self.random.below(8) {
            0 => "NULL".to_owned(),
            n => format!("'{n}@example.com'"),
        }
    }

    /// The ERP changes some jobs.
    fn change(&mut self, field: &Field) {
        let last = field.jobs.load(Ordering::Relaxed);
        let id = last
            - self
                .random
                .below(u64::try_from(last.clamp(1, 300)).unwrap_or(1)) as i64;
        let what = match self.random.below(20) {
            0 => "DELETE FROM job".to_owned(),
            1..=2 => "UPDATE job SET state = 'paid'".to_owned(),
            3..=4 => "UPDATE job SET state = 'posted'".to_owned(),
            5..=9 => format!("UPDATE job SET ready_at = {}", self.soon()),
            10..=13 => "UPDATE job SET c1 = NOT c1".to_owned(),
            14..=16 => "UPDATE job SET c2 = NOT c2".to_owned(),
            _ => format!("UPDATE job SET email = {}", self.email()),
        };
        let width = self.random.below(3);
        if self.random.below(4) == 0 {
            // The row is locked for a while, and some of it is undone.
            let pause = self.random.below(30);
            self.exec(&format!(
                "BEGIN; {what} WHERE id = {id}; SAVEPOINT s; UPDATE job SET c1 = NOT c1 WHERE id = {id};
                 ROLLBACK TO s; SELECT pg_sleep({pause} / 1000.0); COMMIT"
            ));
        } else {
            self.exec(&format!("{what} WHERE id BETWEEN {id} AND {id} + {width}"));
        }
    }

    /// A call that notes itself in its own transaction.
    fn noted(&mut self, case: Option<i64>, sql: &str, call: &Value) {
        self.number += 1;
        let call = literal(&call.to_string());
        let (id, number) = (self.id, self.number);
        let note = match case {
            Some(case) => format!(
                "{sql}; INSERT INTO call (client, number, case_id, call) VALUES ({id}, {number}, {case}, {call})"
            ),
            None => format!(
                "INSERT INTO call (client, number, case_id, call)
                 SELECT {id}, {number}, s.case_id, {call} FROM (SELECT DISTINCT case_id FROM {sql}) AS s"
            ),
        };
        // Several statements in one message are one transaction.
        if self.exec(&note) {
            self.told.committed.push(self.number);
        }
    }

    fn start(&mut self, flow: u64, job: i64) {
        let vars = json!({"n": self.random.below(100)});
        let call = json!({"op": "start", "vars": vars});
        let vars = literal(&vars.to_string());
        self.noted(
            None,
            &format!("wf.start('flow_{flow}', {job}::bigint, {vars})"),
            &call,
        );
    }

    /// Somebody does something about an open step.
    fn call(&mut self) {
        let open = self.rows(
            "SELECT t.case_id, coalesce(s.name, 'start'), t.state, coalesce(k.task_id, 0), coalesce(k.outcomes[1 + (random() * (array_length(k.outcomes, 1) - 1))::int], 'A'), (ARRAY['first', 'second'])[1 + random()::int]
             FROM (SELECT * FROM wf.case_steps WHERE step_no >= 0 ORDER BY random() LIMIT 1) AS t
             JOIN wf.cases AS c ON c.case_id = t.case_id
             LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = t.step_no
             LEFT JOIN wf.tasks AS k ON k.case_id = t.case_id AND k.step_no = t.step_no AND k.visit = t.visit",
        );
        let Some([case, step, state, task, outcome, phase]) = open.first().map(|row| &row[..])
        else {
            return;
        };
        let op = match (state.as_str(), self.random.below(100)) {
            (_, 0) => "cancel",
            (_, 1..=4) => "hold",
            (_, 5..=6) => "cancel_phase",
            (_, 7..=10) => "cancel_step",
            (_, 11..=14) => "skip",
            (_, 15..=17) => "release",
            (_, 18..=20) => "signal",
            (_, 21..=22) => "branch",
            ("open", 23..=40) => "complete_step",
            ("open", _) => "complete",
            ("waiting", _) => "signal",
            ("failed", _) => "retry",
            ("held", _) => "release",
            ("scheduled", 23..=50) => "advance",
            _ => return,
        };
        let case = case.parse().expect("a case's number");
        self.ask(case, op, step, task, outcome, phase);
    }

    /// Makes a call of this name.
    pub fn ask(&mut self, case: i64, op: &str, step: &str, task: &str, outcome: &str, phase: &str) {
        let why = format!("client {}", self.id);
        let data = json!({"n": self.random.below(100)});
        let reason = literal(&why);
        let (sql, call) = match op {
            "complete" => (
                format!(
                    "wf.complete({task}, {}, {})",
                    literal(outcome),
                    literal(&data.to_string())
                ),
                json!({"op": op, "task": task.parse::<i64>().unwrap_or(0), "outcome": outcome, "data": data}),
            ),
            "complete_step" => (
                format!(
                    "wf.complete_step({case}, {}, {})",
                    literal(step),
                    literal(outcome)
                ),
                json!({"op": op, "step": step, "outcome": outcome}),
            ),
            "branch" => (
                format!("wf.branch({case}, {}, {})", literal(step), literal(outcome)),
                json!({"op": op, "step": step, "leg": outcome}),
            ),
            "advance" | "retry" => (
                format!("wf.{op}({case}, {})", literal(step)),
                json!({"op": op, "step": step}),
            ),
            "skip" | "cancel_step" => (
                format!("wf.{op}({case}, {}, {reason})", literal(step)),
                json!({"op": op, "step": step, "reason": why}),
            ),
            "cancel_phase" => (
                format!("wf.cancel_phase({case}, {}, {reason})", literal(phase)),
                json!({"op": op, "phase": phase, "reason": why}),
            ),
            "cancel" => (
                format!("wf.cancel({case}, {reason})"),
                json!({"op": op, "reason": why}),
            ),
            "signal" => (
                format!("wf.signal({case}, 'go', {})", literal(&data.to_string())),
                json!({"op": op, "data": data}),
            ),
            "hold" => {
                let until = match self.random.below(3) {
                    0 => "NULL".to_owned(),
                    n => format!("now() + interval '{n} seconds'"),
                };
                let kind = ["hold", "investigation"][self.random.below(2) as usize];
                (
                    format!("wf.hold({case}, {reason}, {until}, '{kind}')"),
                    json!({"op": op}),
                )
            }
            "release" => (format!("wf.release({case})"), json!({"op": op})),
            other => panic!("no call {other}"),
        };
        self.noted(Some(case), &format!("SELECT count(*) FROM {sql}"), &call);
    }

    /// A sender: leases some messages, and acknowledges, fails or forgets them; later it reports on what was sent.
    fn send(&mut self) {
        let messages = match self
            .session
            .try_lease_with("NULL, 10, '1 second', 'sender'")
        {
            Ok(messages) => messages,
            Err(failure) => {
                self.went(Err(failure));
                return;
            }
        };
        self.told.handed += messages.len();
        let (mut sent, mut failed) = (Vec::new(), Vec::new());
        for message in messages {
            match self.random.below(10) {
                0 => {}
                1..=2 => failed.push(message),
                _ => sent.push(message),
            }
        }
        if !sent.is_empty() {
            self.report(
                &format!("wf.ack_messages({})", ids(&sent)),
                &ids(&sent),
                "sent",
            );
        }
        if !failed.is_empty() {
            let pause = self.random.below(400);
            self.exec(&format!(
                "SELECT wf.fail_messages({}, 'the provider is busy', interval '{pause} milliseconds')",
                ids(&failed)
            ));
        }
        let on_the_way = self.rows("SELECT message_id FROM wf.outbox WHERE state = 'sent' AND finished_at > now() - interval '5 seconds' ORDER BY random() LIMIT 1");
        if let Some(row) = on_the_way.first() {
            let status = if self.random.below(5) == 0 {
                "bounced"
            } else {
                "delivered"
            };
            self.report(
                &format!("wf.report_delivery({}, '{status}')", row[0]),
                &format!("'{{{}}}'::bigint[]", row[0]),
                status,
            );
        }
    }

    /// A report, with a note of it in the same transaction.
    fn report(&mut self, sql: &str, messages: &str, report: &str) {
        self.exec(&format!(
            "SELECT {sql}; INSERT INTO provider SELECT o.message_id, o.idempotency_key, '{report}'
             FROM wf.outbox AS o WHERE o.message_id = ANY ({messages}) AND o.state = '{report}'"
        ));
    }

    /// Does all that is open, so that every case comes to its end. Whether there was anything to wait for.
    pub fn play_out(&mut self) -> bool {
        let open = self.rows(
            "SELECT t.case_id, coalesce(s.name, 'start'), CASE c.state WHEN 'held' THEN 'held' ELSE t.state::text END, coalesce(k.task_id, 0), coalesce(k.outcomes[1], 'A'), (ARRAY['first', 'second'])[1 + random()::int]
             FROM wf.case_steps AS t JOIN wf.cases AS c ON c.case_id = t.case_id
             LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = t.step_no
             LEFT JOIN wf.tasks AS k ON k.case_id = t.case_id AND k.step_no = t.step_no AND k.visit = t.visit
             WHERE t.step_no >= 0",
        );
        for row in &open {
            let [case, step, state, task, outcome, phase] = &row[..] else {
                panic!("six columns were asked for")
            };
            let op = match state.as_str() {
                "open" => "complete",
                "waiting" => "signal",
                "failed" => "retry",
                "held" => "release",
                _ => continue,
            };
            self.ask(
                case.parse().expect("a number"),
                op,
                step,
                task,
                outcome,
                phase,
            );
        }
        let leased = self.session.lease_with("NULL, 1000, '5 seconds', 'sender'");
        if !leased.is_empty() {
            self.report(
                &format!("wf.ack_messages({})", ids(&leased)),
                &ids(&leased),
                "sent",
            );
        }
        for row in self.rows(
            "SELECT o.message_id FROM wf.outbox AS o JOIN wf.case_steps AS t
             ON t.case_id = o.case_id AND t.step_no = o.step_no AND t.visit = o.visit
             WHERE o.state = 'sent' AND t.state = 'sending'",
        ) {
            self.report(
                &format!("wf.report_delivery({}, 'delivered')", row[0]),
                &format!("'{{{}}}'::bigint[]", row[0]),
                "delivered",
            );
        }
        !open.is_empty()
    }

    /// What it knows.
    pub fn told(self) -> Told {
        self.told
    }
}
