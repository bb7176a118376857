//! The case that two sessions meet at: with a task, a message that waits for its sender and one that a sender has, an
//! incident, a date that has come, an event that is waited for, and two rows; so that every call finds something to do.

use serde_json::{Value, json};
use workflow_engine_tests::{Session, TestDb};

/// The workflow of the case. A number in the texts: only with another one is there something to publish.
pub fn workflow(text: u64) -> Value {
    let steps = json!([
        {"name": "all", "kind": "parallel", "branches": ["ring", "mail", "post", "text", "later", "papers"]},
        {"name": "ring", "kind": "task", "participant": "clerk", "due": {"days": 5}, "next": "met"},
        {"name": "mail", "kind": "email", "template": "hello", "next": "met"},
        {"name": "post", "kind": "letter", "template": "hello", "next": "met"},
        {"name": "text", "kind": "sms", "template": "hello", "next": "met"},
        {"name": "later", "kind": "note", "text": "A day later.", "on": {"anchor": "case_start", "days": 1, "roll": "none"}, "next": "met"},
        {"name": "papers", "kind": "event", "signal": "papers", "next": "met"},
        {"name": "met", "kind": "join", "of": "all"},
        {"name": "thanks", "kind": "note", "text": "All done."},
        {"name": "end", "kind": "finish"}
    ]);
    document("pairs", steps, text)
}

/// A workflow about claims, without a start rule.
pub fn document(name: &str, mut steps: Value, text: u64) -> Value {
    for step in steps.as_array_mut().expect("steps") {
        step["description"] = format!("Step {}", step["name"]).into();
    }
    json!({
        "format": 1, "name": name, "subject": "claim", "subjects": "several", "time_zone": "Europe/Amsterdam",
        "money": {"open": "open_amount"},
        "stop": [{"when": "state = 'paid'", "reason": "paid"}],
        "phases": [{"name": "all", "steps": steps}],
        "templates": {"hello": {"subject": "About {{ id }}",
            "body": format!("Text {text}: {{% for c in subjects %}}{{{{ c.id }}}} {{{{ c.open_amount }}}}; {{% endfor %}}")}}
    })
}

/// What the database has besides: claims, and what can be seen of a case, the same for two cases to which the same has
/// happened. Numbers of seven digits or more are ids; of a claim's, the last digit tells which of the case's it is.
const STAGE: &str = r"
    CREATE TABLE claim (id bigint PRIMARY KEY, account text, state text NOT NULL, due_date date, open_amount numeric,
                        email text DEFAULT 'debtor@example.com', phone text, address text DEFAULT 'Damrak 1');
    SELECT wf.bind_subject('claim', 'claim', 'id', account => 'account', email => 'email', phone => 'phone',
                           address => 'address');
    ALTER TABLE wf.cases ALTER COLUMN case_id RESTART 50000000;
    ALTER TABLE wf.tasks ALTER COLUMN task_id RESTART 60000000;
    ALTER TABLE wf.holds ALTER COLUMN hold_id RESTART 30000000;
    ALTER TABLE wf.promises ALTER COLUMN promise_id RESTART 40000000;
    ALTER TABLE wf.disputes ALTER COLUMN dispute_id RESTART 20000000;
    ALTER TABLE wf.outbox ALTER COLUMN message_id RESTART 80000000;

    CREATE FUNCTION probe.plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
        SELECT regexp_replace(regexp_replace($1, '\y9\d{7}(\d)\y', 'claim\1', 'g'), '\d{7,}', '#', 'g') $$;

    CREATE FUNCTION probe.tick() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        IF wf._run_round(true) THEN
            FOR round IN 1..5 LOOP
                EXIT WHEN NOT wf._run_round(false);
            END LOOP;
        END IF;
    END $$;

    CREATE FUNCTION probe.twin(the_case bigint) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    SELECT probe.plain(n.line) FROM (
        SELECT 1 AS part, 0::bigint AS nr, concat_ws(' ', 'case', c.state, c.outcome, c.reason, c.key, c.vars, c.memory) AS line
        FROM wf.cases AS c WHERE c.case_id = the_case
        UNION ALL
        SELECT 2, t.step_no * 100 + t.visit, concat_ws(' ', 'token', s.name, t.visit, t.state, t.attempts, t.arrived, t.run_at, t.due_at)
        FROM wf.case_steps AS t JOIN wf.cases AS c USING (case_id)
        LEFT JOIN wf.steps AS s ON s.version_id = c.version_id AND s.step_no = t.step_no
        WHERE t.case_id = the_case AND t.step_no >= 0
        UNION ALL
        SELECT 3, k.step_no, concat_ws(' ', 'task', k.title, k.visit, k.participant, 'with', k.claimed_by, k.due_at)
        FROM wf.tasks AS k WHERE k.case_id = the_case
        UNION ALL
        -- One that a hold keeps here says so, or the hold alone does; it cannot be leased either way.
        SELECT 4, o.step_no * 100 + o.visit, concat_ws(' ', 'message', o.type, o.visit, o.attempts, o.payload, o.finished_at,
            CASE WHEN o.state IN ('queued', 'deferred') AND EXISTS (
                     SELECT FROM wf.holds AS d WHERE d.case_id = the_case AND d.released_at IS NULL AND 'communication' = ANY (d.blocks))
                 THEN 'kept' ELSE concat_ws(' ', o.state, o.not_before, o.reason) END)
        FROM wf.outbox AS o WHERE o.case_id = the_case
        UNION ALL
        SELECT 5, h.history_id, concat_ws(' ', 'history', s.name, h.visit, h.event, h.outcome, h.due_at, h.detail)
        FROM wf.history AS h LEFT JOIN wf.steps AS s ON s.version_id = h.version_id AND s.step_no = h.step_no
        WHERE h.case_id = the_case
        UNION ALL
        SELECT 6, d.hold_id, concat_ws(' ', 'hold', d.kind, d.reason, d.until, d.held_by, d.released_at, d.released_by)
        FROM wf.holds AS d WHERE d.case_id = the_case
        UNION ALL
        SELECT 7, n.note_id, concat_ws(' ', 'note', n.visit, n.body) FROM wf.notes AS n WHERE n.case_id = the_case
        UNION ALL
        SELECT 8, f.failure_id, concat_ws(' ', 'incident', f.sqlstate, f.message, f.attempts, f.resolved_at IS NOT NULL)
        FROM wf.failures AS f WHERE f.case_id = the_case
        UNION ALL
        SELECT 9, row_number() OVER (ORDER BY m.key), concat_ws(' ', 'row', m.key, m.slot = 0, m.position, m.departure)
        FROM wf.case_subjects AS m WHERE m.case_id = the_case
        UNION ALL
        SELECT 10, p.promise_id, concat_ws(' ', 'promise', p.state, p.amount, p.paid, p.ended_at)
        FROM wf.promises AS p WHERE p.case_id = the_case
        UNION ALL
        SELECT 11, d.dispute_id, concat_ws(' ', 'dispute', d.reason, d.amount, d.outcome)
        FROM wf.disputes AS d WHERE d.case_id = the_case
        UNION ALL
        SELECT 12, 0, concat_ws(' ', 'unread', i.op, i.key)
        FROM wf.inbox AS i JOIN wf.case_subjects AS m ON m.key = i.key WHERE m.case_id = the_case) AS n
    ORDER BY n.part, n.nr $$;
";

/// A case and what can be done to it.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The case.
    pub case: i64,
    /// The number of its workflow's version.
    pub version: i32,
    /// The claim that carries it; the next one belongs to it, too, and the one behind that to nobody.
    pub claim: i64,
    /// Its open task.
    pub task: i64,
    /// The message that a sender has.
    pub leased: i64,
    /// Makes what is written different from all before.
    pub nonce: u64,
}

/// A database with the workflow, in two versions of different structure.
pub fn database() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-05-04 09:00");
    db.exec(STAGE);
    let mut first = workflow(1_000_000);
    let steps = first["phases"][0]["steps"].as_array_mut().expect("steps");
    steps.retain(|step| step["name"] != "thanks");
    db.install(&first);
    db.define(&workflow(1_000_001));
    db.exec("SELECT wf.publish('pairs')");
    let other = json!([
        {"name": "ask", "kind": "task", "participant": "clerk", "due": {"days": 5}},
        {"name": "end", "kind": "finish"}
    ]);
    db.install(&document("other", other, 1_000_000));
    db
}

/// Clears the stage and sets it again: a new case on Monday, and now it is Wednesday.
pub fn set(db: &mut Session, nonce: u64, held: bool) -> Scene {
    let claim = 900_000_001 + i64::try_from(nonce).expect("not so many") * 10;
    let hold = if held {
        "SELECT wf.hold(max(case_id), 'before') FROM wf.cases;"
    } else {
        ""
    };
    db.exec(&format!(
        "SELECT wf.cancel(c.case_id, 'over') FROM wf.cases AS c WHERE c.ended_at IS NULL;
         SELECT probe.tick();
         SELECT wf.set_clock('2026-05-04 09:00 Europe/Amsterdam');
         INSERT INTO claim VALUES ({claim}, 'A-{nonce}', 'open', '2026-05-01', 100), ({claim} + 1, 'A-{nonce}', 'open', '2026-05-01', 100),
                                  ({claim} + 2, 'A-{nonce}', 'open', '2026-05-01', 100);
         SELECT wf.start('pairs', ARRAY[{claim}, {claim} + 1]::bigint[]);
         SELECT probe.tick();
         SELECT wf.lease_messages('letter', 10, '30 days');
         {hold}
         SELECT wf.set_clock('2026-05-06 09:00 Europe/Amsterdam')"
    ));
    let row = db.rows(
        "SELECT c.case_id, v.number, k.task_id, o.message_id FROM wf.cases AS c JOIN wf.versions AS v USING (version_id)
         LEFT JOIN wf.tasks AS k USING (case_id) LEFT JOIN wf.outbox AS o ON o.case_id = c.case_id AND o.type = 'letter'
         WHERE c.ended_at IS NULL",
    );
    assert_eq!(row.len(), 1, "one open case: {row:?}\n{}", db.story());
    let number = |column: usize| {
        let text = &row[0][column];
        text.parse::<i64>()
            .unwrap_or_else(|_| panic!("a number in {row:?}"))
    };
    Scene {
        case: number(0),
        version: i32::try_from(number(1)).expect("a small number"),
        claim,
        task: number(2),
        leased: number(3),
        nonce,
    }
}

/// Everything that can be seen of the case, after all that is due has been done.
pub fn look(db: &mut Session, scene: &Scene) -> Vec<String> {
    db.exec("SELECT probe.tick()");
    db.lines(&format!("SELECT * FROM probe.twin({})", scene.case))
}
