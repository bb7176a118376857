//! Kinds of roles: what each may call and what it sees, by functions, by views and by direct SQL.

use serde_json::json;
use workflow_engine_tests::{Session, TestDb, invoice_workflow};

const NONE: &[&str] = &[];

/// Two workflows, of anna's and of bert's work, each with a case: anna's is in the queue of carla, too. Every kind of role.
struct Office {
    db: TestDb,
    /// The case of anna's task, and that of bert's.
    cases: (i64, i64),
}

impl std::ops::Deref for Office {
    type Target = TestDb;
    fn deref(&self) -> &TestDb {
        &self.db
    }
}

impl std::ops::DerefMut for Office {
    fn deref_mut(&mut self) -> &mut TestDb {
        &mut self.db
    }
}

impl Office {
    fn new() -> Self {
        let mut db = TestDb::new();
        db.clock("2026-03-02 10:00");
        db.bind_invoice();
        for person in ["anna", "bert", "carla", "boss"] {
            let role = db.role(person);
            let kind = if person == "boss" { "manager" } else { "agent" };
            db.exec(&format!(
                "SELECT wf.grant_role('\"{role}\"', '{kind}'); SELECT wf.set_participant('{person}', '{role}')"
            ));
        }
        db.exec(
            "SELECT wf.set_participant('clerks'); SELECT wf.set_members('clerks', '{anna,carla}')",
        );
        for kind in ["reader", "sender", "owner"] {
            let role = db.role(kind);
            db.exec(&format!("SELECT wf.grant_role('\"{role}\"', '{kind}')"));
        }
        for (name, participant) in [("hers", "clerks"), ("his", "bert")] {
            db.install(&invoice_workflow(
                name,
                json!([
                    {"name": "noted", "kind": "note", "text": "secret of {{ number }}"},
                    {"name": "check", "kind": "task", "participant": participant, "due": {"anchor": "previous_done", "business_days": 2}},
                    {"name": "mail", "kind": "email", "template": "hello"}
                ]),
            ));
        }
        db.invoice(1, "2026-04-01", "1000");
        db.invoice(2, "2026-04-01", "500");
        let cases = (db.start("hers", 1), db.start("his", 2));
        db.run_due();
        db.exec(&format!(
            "SELECT wf.hold({}, 'one', kind => 'quiet'), wf.hold({}, 'two', kind => 'quiet')",
            cases.0, cases.1
        ));
        Self { db, cases }
    }

    fn of(&mut self, name: &str) -> Session {
        let database = self.name.clone();
        let role: String = format!("{name}_{database}").chars().take(60).collect();
        self.connect_as(&role)
    }
}

/// What shows cases to agents, each with the column that says whose it is.
const SHOWS: [&str; 8] = [
    "worklist",
    "my_worklist",
    "case_progress",
    "case_timeline",
    "tasks",
    "notes",
    "holds",
    "case_members",
];

#[test]
fn arw_04_an_agent_sees_what_is_theirs_or_their_queues_and_nothing_else() {
    let mut office = Office::new();
    let (hers, his) = office.cases;
    for (who, case) in [("anna", hers), ("carla", hers), ("bert", his)] {
        let mut session = office.of(who);
        for relation in SHOWS {
            session.expect(
                &format!("SELECT DISTINCT case_id FROM wf.{relation}"),
                &[case],
            );
        }
    }
    // Once anna has claimed it, it is still carla's queue's; but no longer on carla's desk.
    office
        .of("anna")
        .exec("SELECT wf.claim_task(min(task_id)) FROM wf.my_worklist");
    office
        .of("carla")
        .expect("SELECT step FROM wf.worklist", &["check"]);
    office
        .of("carla")
        .expect("SELECT step FROM wf.my_worklist", NONE);
    // What is assigned to them is theirs, too, and what is settled no longer is.
    office.exec(&format!("SELECT wf.assign({his}, 'clerk', 'anna')"));
    office.of("anna").expect(
        "SELECT case_id FROM wf.case_progress ORDER BY case_id",
        &[hers, his],
    );
    let task = office.one::<i64>(&format!(
        "SELECT task_id FROM wf.tasks WHERE case_id = {hers}"
    ));
    office
        .of("anna")
        .exec(&format!("SELECT * FROM wf.complete({task})"));
    office
        .of("carla")
        .expect("SELECT case_id FROM wf.case_progress", NONE);
    // Documents as well.
    office.exec(&format!(
        "INSERT INTO wf.documents (case_id, step_no, visit, at, actor, reference) VALUES ({his}, 1, 1, now(), 'x', 'a.pdf')"
    ));
    office
        .of("bert")
        .expect("SELECT reference FROM wf.documents", &["a.pdf"]);
    office
        .of("carla")
        .expect("SELECT reference FROM wf.documents", NONE);
}

#[test]
fn arw_04_an_agent_looks_into_and_holds_only_their_own_cases() {
    let mut office = Office::new();
    let (hers, his) = office.cases;
    let mut anna = office.of("anna");
    for call in [
        "diagram({}::bigint)",
        "explain({})",
        "hold({}, 'mine')",
        "release({})",
    ] {
        let on = |case: i64| format!("SELECT * FROM wf.{}", call.replace("{}", &case.to_string()));
        anna.exec(&on(hers));
        anna.expect_error(&on(his), "42501", &["is not yours"])
            .hints("");
        anna.expect_error(&on(99_999), "P0002", &["99999"]);
    }
    let hold: i64 = office.one(&format!(
        "SELECT hold_id FROM wf.holds WHERE case_id = {his}"
    ));
    anna.expect_error(
        &format!("SELECT * FROM wf.release_hold({hold})"),
        "42501",
        &["is not yours"],
    );
    anna.expect_error(
        &format!("SELECT * FROM wf.complete_step({his}, 'check')"),
        "42501",
        &["not yours"],
    );
}

#[test]
fn s23_a_specialist_who_edits_is_refused_by_function_and_by_direct_sql() {
    let mut office = Office::new();
    let mut anna = office.of("anna");
    for sql in [
        "SELECT * FROM wf.define('{}')",
        "SELECT wf.publish('hers')",
        "SELECT wf.enable('hers')",
        "SELECT wf.create_workflow('mine', 'invoice')",
        "SELECT wf.set_step('hers', 'check', '{}')",
        "SELECT wf.remove_step('hers', 'check')",
        "SELECT wf.drop_workflow('hers')",
        "SELECT wf.set_contact_policy('x', '{}')",
        "SELECT wf.set_hold_kind('x')",
        "SELECT wf.stop_contact('x')",
        "SELECT wf.cancel(1)",
        "SELECT wf.start('hers', '2')",
        "SELECT wf.set_clock(now())",
        "SELECT wf.grant_role(current_user::regrole, 'manager')",
        "UPDATE wf.versions SET document = '{}'",
        "UPDATE wf.steps SET participant = 'anna'",
        "DELETE FROM wf.transitions",
        "INSERT INTO wf.workflows (name, owner) VALUES ('mine', 10)",
        "UPDATE wf.cases SET state = 'completed'",
        "UPDATE wf.tasks SET participant = 'anna'",
        "DELETE FROM wf.holds",
        "INSERT INTO wf.notes (case_id, at, actor, body) VALUES (1, now(), 'anna', 'x')",
        "UPDATE wf.contact_choices SET choice = 'opt_in'",
        "SELECT * FROM wf.cases",
        "SELECT * FROM wf.outbox",
        "SELECT * FROM wf.history",
        "SELECT * FROM wf.invoice_cases",
        "SELECT wf._every_case()",
        "ALTER TABLE wf.tasks DISABLE ROW LEVEL SECURITY",
        "DROP POLICY only_mine ON wf.tasks",
    ] {
        anna.expect_error(sql, "42501", &[]);
    }
    // Nor does another role help that they are not in.
    let boss: String = office.of("boss").one("SELECT current_user");
    anna.expect_error(&format!("SET ROLE \"{boss}\""), "42501", &[]);
    anna.exec("SET row_security = off");
    anna.expect_error("SELECT * FROM wf.tasks", "42501", &["row-level security"]);
}

#[test]
fn arw_03_managers_readers_and_owners_see_all_senders_nothing() {
    let mut office = Office::new();
    let (hers, his) = office.cases;
    for who in ["boss", "reader", "owner"] {
        let mut session = office.of(who);
        for relation in ["worklist", "case_progress", "case_timeline", "case_members"] {
            session.expect(
                &format!("SELECT DISTINCT case_id FROM wf.{relation} ORDER BY case_id"),
                &[hers, his],
            );
        }
        session.exec(&format!(
            "SELECT * FROM wf.explain({his}); SELECT * FROM wf.invoice_cases"
        ));
    }
    let mut boss = office.of("boss");
    boss.expect("SELECT count(*) FROM wf.tasks", &[2]);
    boss.expect("SELECT count(*) FROM wf.notes", &[2]);
    boss.exec(&format!("SELECT * FROM wf.hold({hers}, 'boss says so')"));

    let mut reader = office.of("reader");
    for sql in [
        format!("SELECT * FROM wf.hold({hers})"),
        "SELECT * FROM wf.complete(1)".to_owned(),
        "SELECT * FROM wf.lease_messages()".to_owned(),
        "SELECT wf.opt_out('x')".to_owned(),
        "DELETE FROM wf.notes".to_owned(),
    ] {
        reader.expect_error(&sql, "42501", &["permission denied"]);
    }

    let mut sender = office.of("sender");
    sender.exec("SELECT * FROM wf.lease_messages(); SELECT wf.opt_out('nobody', 'sms')");
    for sql in [
        "SELECT * FROM wf.outbox",
        "SELECT * FROM wf.worklist",
        "SELECT * FROM wf.case_progress",
        "SELECT * FROM wf.tasks",
        "SELECT * FROM wf.notes",
        "SELECT * FROM wf.contact_choices",
        "UPDATE wf.outbox SET state = 'sent'",
        "SELECT * FROM wf.explain(1)",
        "SELECT * FROM wf.complete(1)",
    ] {
        sender.expect_error(sql, "42501", &["permission denied"]);
    }
}

#[test]
fn a_role_of_two_kinds_has_the_rights_of_both_and_loses_them_together() {
    let mut office = Office::new();
    let (hers, his) = office.cases;
    let anna: String = office.of("anna").one("SELECT current_user");
    office.exec(&format!("SELECT wf.grant_role('\"{anna}\"', 'reader')"));
    office.of("anna").expect(
        "SELECT case_id FROM wf.case_progress ORDER BY case_id",
        &[hers, his],
    );
    office.exec(&format!("SELECT wf.revoke_role('\"{anna}\"')"));
    office
        .of("anna")
        .expect_error("SELECT * FROM wf.case_progress", "42501", &[]);
}

#[test]
fn the_engine_bypasses_row_level_security() {
    let mut office = Office::new();
    office.expect(
        "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity FROM pg_class AS c
         WHERE c.oid IN ('wf.tasks'::regclass, 'wf.notes'::regclass, 'wf.documents'::regclass, 'wf.holds'::regclass) ORDER BY 1",
        &["documents | t | f", "holds | t | f", "notes | t | f", "tasks | t | f"],
    );
    // bert settles his task: the engine writes what he does not see.
    let task: i64 = office.of("bert").one("SELECT task_id FROM wf.my_worklist");
    office
        .of("bert")
        .exec(&format!("SELECT * FROM wf.complete({task})"));
    office.run_due();
    office.expect("SELECT count(*) FROM wf.tasks", &[1]);
}

/// A view that holds back an agent's functions holds back join conditions as well; LATERAL lets them through.
#[test]
fn a_lateral_join_with_the_views_looks_its_case_up() {
    let mut office = Office::new();
    office.exec(
        "INSERT INTO wf.cases (workflow_id, version_id, state, created_at, started_at, key, started_by)
         SELECT c.workflow_id, c.version_id, c.state, c.created_at, c.started_at, (1000000 + n)::text, c.started_by
         FROM wf.cases AS c, generate_series(1, 20000) AS n;
         INSERT INTO wf.case_subjects (case_id, subject_id, workflow_id, key)
         SELECT c.case_id, s.subject_id, s.workflow_id, c.key
         FROM wf.cases AS c JOIN (SELECT DISTINCT subject_id, workflow_id FROM wf.case_subjects) AS s USING (workflow_id) WHERE c.key::int > 1000000;
         ANALYZE",
    );
    for who in ["reader", "anna"] {
        let mut session = office.of(who);
        let mut looked_up = |sql: &str| {
            let plan = session.lines(&format!("EXPLAIN {sql}")).join("\n");
            for table in ["cases", "case_subjects"] {
                assert!(
                    !plan.contains(&format!("Seq Scan on {table}")),
                    "{sql}\n{plan}"
                );
            }
        };
        for view in ["case_progress", "case_timeline", "case_members"] {
            looked_up(&format!("SELECT * FROM wf.{view} WHERE case_id = 7"));
            looked_up(&format!("SELECT * FROM wf.{view} WHERE key = '7'"));
            looked_up(&format!(
                "SELECT * FROM (VALUES (1::bigint), (2)) AS mine (case_id)
                 CROSS JOIN LATERAL (SELECT * FROM wf.{view} AS v WHERE v.case_id = mine.case_id OFFSET 0) AS v"
            ));
        }
    }
}
