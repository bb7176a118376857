//! Who works on tasks: queues, claims, substitutes, approvals, documents, escalation, alerts.

use serde_json::{Value, json};
use workflow_engine_tests::{Session, TestDb, invoice_workflow};

const NONE: &[&str] = &[];

/// A database with these steps as workflow `desk`, the persons anna, bert, carla and boss with login roles of their own,
/// and the queue `clerks` of anna and bert, whose manager is boss. It is Mon 2026-03-02 10:00.
struct Desk {
    db: TestDb,
}

impl std::ops::Deref for Desk {
    type Target = TestDb;
    fn deref(&self) -> &TestDb {
        &self.db
    }
}

impl std::ops::DerefMut for Desk {
    fn deref_mut(&mut self) -> &mut TestDb {
        &mut self.db
    }
}

impl Desk {
    fn new(steps: Value) -> Self {
        Self::at("2026-03-02 10:00", steps)
    }

    fn at(at: &str, steps: Value) -> Self {
        let mut db = TestDb::new();
        db.clock(at);
        db.bind_invoice();
        for person in ["boss", "anna", "bert", "carla"] {
            let role = db.role(person);
            let kind = if person == "boss" { "manager" } else { "agent" };
            db.exec(&format!(
                "SELECT wf.grant_role('\"{role}\"', '{kind}'); \
                 SELECT wf.set_participant('{person}', '{role}', manager => nullif('boss', '{person}'))"
            ));
        }
        db.exec(
            "SELECT wf.set_participant('clerks', manager => 'boss'); SELECT wf.set_members('clerks', '{anna,bert}')",
        );
        db.install(&invoice_workflow("desk", steps));
        db.invoice(1, "2026-04-01", "1000");
        Self { db }
    }

    fn started(steps: Value) -> (Self, i64) {
        let mut desk = Self::new(steps);
        desk.start("desk", 1);
        let task = desk.one("SELECT min(task_id) FROM wf.tasks");
        (desk, task)
    }

    fn person(&mut self, name: &str) -> Session {
        let role: String = self.one(&format!(
            "SELECT trim('\"' FROM role::text) FROM wf.participants WHERE participant = '{name}'"
        ));
        self.connect_as(&role)
    }
}

fn work(name: &str, participant: &str) -> Value {
    json!({"name": name, "kind": "task", "participant": participant, "due": {"anchor": "previous_done", "business_days": 2}})
}

const HANDED: &str = "SELECT event, detail->>'from', detail->>'to', coalesce(detail->>'reason', '-') \
     FROM probe.history() WHERE event LIKE 'task_%'";

#[test]
fn rcv_10_a_queues_task_is_claimed_by_one_of_its_members() {
    let (mut desk, task) = Desk::started(json!([work("check", "clerks")]));
    let (mut anna, mut bert, mut carla) = (
        desk.person("anna"),
        desk.person("bert"),
        desk.person("carla"),
    );
    let mine = "SELECT via, step, participant, claimed_by FROM wf.my_worklist";
    anna.expect(mine, &["queue | check | clerks | null"]);
    bert.expect(mine, &["queue | check | clerks | null"]);
    carla.expect(mine, NONE);

    let claim = format!("SELECT participant, claimed_by FROM wf.claim_task({task})");
    carla
        .expect_error(&claim, "42501", &["not yours", "clerks"])
        .hints("");
    anna.expect(&claim, &["clerks | anna"]);
    // The same call again is no error and leaves no second row.
    anna.expect(&claim, &["clerks | anna"]);
    bert.expect_error(&claim, "55000", &["anna", "already"])
        .hints("");
    bert.expect(mine, NONE);
    anna.expect(mine, &["own | check | clerks | anna"]);
    bert.expect_error(
        &format!("SELECT * FROM wf.complete({task})"),
        "42501",
        &["anna"],
    );
    bert.expect_error(
        &format!("SELECT * FROM wf.release_task({task})"),
        "42501",
        &["anna"],
    );
    desk.expect(HANDED, &["task_claimed | clerks | anna | -"]);

    anna.exec(&format!("SELECT * FROM wf.release_task({task}, 'lunch')"));
    bert.expect(&claim, &["clerks | bert"]);
    bert.exec(&format!("SELECT * FROM wf.complete({task})"));
    desk.expect(
        HANDED,
        &[
            "task_claimed | clerks | anna | -",
            "task_released | anna | clerks | lunch",
            "task_claimed | clerks | bert | -",
        ],
    );
    anna.expect_error(&claim, "55000", &["no longer open"])
        .hints("");
    anna.expect_error("SELECT * FROM wf.claim_task(999999)", "P0002", &["999999"]);
}

#[test]
fn arw_03_delegating_lends_a_task_and_reassigning_gives_it_away() {
    let (mut desk, task) = Desk::started(json!([work("check", "anna")]));
    let (mut anna, mut carla, mut boss) = (
        desk.person("anna"),
        desk.person("carla"),
        desk.person("boss"),
    );
    let delegate = |to: &str| format!("SELECT * FROM wf.delegate_task({task}, '{to}', 'knows it')");
    carla.expect_error(&delegate("carla"), "42501", &["not yours", "anna"]);
    anna.expect_error(&delegate("nobody"), "42704", &["nobody"])
        .hints("wf.set_participant");
    anna.expect_error(&delegate("clerks"), "22023", &["queue"])
        .hints("wf.reassign_task");
    anna.exec(&delegate("carla"));
    let mine = "SELECT via, participant, claimed_by FROM wf.my_worklist";
    carla.expect(mine, &["own | anna | carla"]);
    anna.expect(mine, &["delegated | anna | carla"]);
    carla.exec(&format!("SELECT * FROM wf.release_task({task})"));
    anna.expect(mine, &["own | anna | null"]);

    let reassign = format!(
        "SELECT participant, claimed_by FROM wf.reassign_task({task}, 'clerks', 'holiday')"
    );
    anna.expect_error(&reassign, "42501", &["permission denied"]);
    boss.expect(&reassign, &["clerks | null"]);
    let mut bert = desk.person("bert");
    bert.expect(mine, &["queue | clerks | null"]);
    bert.exec(&format!("SELECT * FROM wf.complete({task})"));
    desk.expect(
        HANDED,
        &[
            "task_delegated | anna | carla | knows it",
            "task_released | carla | anna | -",
            "task_reassigned | anna | clerks | holiday",
        ],
    );
    desk.expect(
        "SELECT kind, participant FROM wf.alerts ORDER BY notification_id",
        &["delegated | carla", "reassigned | clerks"],
    );
}

#[test]
fn the_manager_of_a_participant_may_settle_and_release() {
    let (mut desk, task) = Desk::started(json!([work("check", "clerks")]));
    desk.person("anna")
        .exec(&format!("SELECT * FROM wf.claim_task({task})"));
    let mut boss = desk.person("boss");
    boss.exec(&format!("SELECT * FROM wf.release_task({task})"));
    boss.exec(&format!("SELECT * FROM wf.complete({task})"));
    desk.expect("SELECT state FROM probe.cases()", &["completed"]);
}

#[test]
fn an_application_claims_for_persons_without_a_role() {
    let (mut desk, task) = Desk::started(json!([work("check", "team")]));
    desk.exec(
        "SELECT wf.set_participant('team'), wf.set_participant('web_1', kind => 'person'), \
                wf.set_participant('web_2', kind => 'person')",
    );
    desk.exec("SELECT wf.set_members('team', '{web_1}')");
    let claim = |who: &str| format!("SELECT claimed_by FROM wf.claim_task({task}, '{who}')");
    desk.expect_error(&claim("web_2"), "42501", &["web_2", "team"])
        .hints("wf.set_members");
    desk.expect_error(&claim("team"), "22023", &["queue"]);
    desk.expect(&claim("web_1"), &["web_1"]);
    let mut carla = desk.person("carla");
    carla.expect_error(
        &format!("SELECT * FROM wf.claim_task({task}, 'anna')"),
        "42501",
        &["act for", "anna"],
    );
}

#[test]
fn as_26_a_task_has_a_second_executor_a_creator_and_links() {
    let (mut desk, task) = Desk::started(json!([{
        "name": "check", "kind": "task", "participant": "anna", "second": "carla",
        "due": {"anchor": "previous_done", "days": 1},
        "links": [{"label": "Invoice", "url": "https://erp/invoice/{key}?case={case}"}]
    }]));
    desk.expect(
        "SELECT participant, second, created_by, links->0->>'label', \
                links->0->>'url' = 'https://erp/invoice/1?case=' || case_id, overdue FROM wf.worklist",
        &["anna | carla | postgres | Invoice | t | f"],
    );
    desk.at("2026-03-04 10:00");
    desk.expect("SELECT step, overdue FROM wf.worklist", &["check | t"]);
    let mut bert = desk.person("bert");
    bert.expect_error(
        &format!("SELECT * FROM wf.complete({task})"),
        "42501",
        &["anna"],
    );
    let mut carla = desk.person("carla");
    carla.expect("SELECT via FROM wf.my_worklist", &["second"]);
    carla.exec(&format!("SELECT * FROM wf.complete({task})"));
}

#[test]
fn rcv_11_a_file_step_needs_a_document_of_an_allowed_type() {
    let (mut desk, task) = Desk::started(json!([
        {"name": "contract", "kind": "file", "participant": "anna", "types": ["pdf", "jpg"],
         "due": {"anchor": "previous_done", "days": 3}, "otherwise": "ask"},
        {"name": "thanks", "kind": "note", "text": "Got it.", "next": "end"},
        {"name": "ask", "kind": "note", "text": "Nothing came."},
        {"name": "end", "kind": "finish", "merge": true}
    ]));
    desk.expect("SELECT outcomes FROM wf.worklist", &["{done,missing}"]);
    let complete = |outcome: &str, data: &str| {
        format!("SELECT state FROM wf.complete({task}, '{outcome}', {data})")
    };
    desk.expect_error(
        &complete("done", "NULL"),
        "22023",
        &["contract", "document"],
    )
    .hints("document");
    desk.expect_error(
        &complete("done", "'{\"document\": \"x.exe\"}'"),
        "22023",
        &["contract", "exe", "pdf"],
    )
    .hints("");
    desk.expect_error(
        &complete("done", "'{\"document\": 7}'"),
        "22023",
        &["reference"],
    );
    // Not by another door either.
    let case: i64 = desk.one("SELECT case_id FROM wf.cases");
    desk.expect_error(
        &format!("SELECT * FROM wf.branch({case}, 'contract', 'done')"),
        "22023",
        &["document"],
    );
    desk.expect_error(
        &format!("SELECT * FROM wf.complete_step({case}, 'contract', 'done')"),
        "22023",
        &["document"],
    );
    desk.expect("SELECT count(*) FROM wf.documents", &[0]);
    desk.expect(
        &complete(
            "done",
            "'{\"document\": {\"reference\": \"dms:4711\", \"name\": \"Contract.PDF\"}}'",
        ),
        &["completed"],
    );
    desk.expect(
        "SELECT reference, name, kind, actor FROM wf.documents",
        &["dms:4711 | Contract.PDF | pdf | postgres"],
    );
    desk.expect("SELECT body FROM wf.notes", &["Got it."]);

    desk.exec("INSERT INTO invoice VALUES (2, 'INV-2', 1, 'posted', '2026-04-01', 5, 'EUR')");
    desk.start("desk", 2);
    desk.settle("contract", Some("missing"));
    desk.expect(
        "SELECT body FROM wf.notes ORDER BY note_id",
        &["Got it.", "Nothing came."],
    );
}

fn four_eyes() -> Value {
    json!([
        work("pay out", "clerks"),
        {"name": "release", "kind": "approval", "of": "pay out", "participant": "clerks", "rejected": "pay out"},
        {"name": "end", "kind": "finish", "outcome": "paid out"}
    ])
}

#[test]
fn s23_an_approval_is_refused_to_whoever_did_what_it_approves() {
    let (mut desk, task) = Desk::started(four_eyes());
    let (mut anna, mut bert) = (desk.person("anna"), desk.person("bert"));
    anna.exec(&format!("SELECT * FROM wf.complete({task})"));
    let task = desk.task("release");
    let case: i64 = desk.one("SELECT case_id FROM wf.cases");
    for call in [
        format!("SELECT * FROM wf.complete({task}, 'approved')"),
        format!("SELECT * FROM wf.complete({task}, 'rejected')"),
        format!("SELECT * FROM wf.complete_step({case}, 'release', 'approved')"),
        format!("SELECT * FROM wf.branch({case}, 'release', 'approved')"),
    ] {
        anna.expect_error(&call, "42501", &["release", "pay out", "anna"])
            .hints("somebody else");
    }
    // Claiming it makes no difference.
    anna.exec(&format!("SELECT * FROM wf.claim_task({task})"));
    anna.expect_error(
        &format!("SELECT * FROM wf.complete({task}, 'approved')"),
        "42501",
        &["anna"],
    );
    anna.exec(&format!("SELECT * FROM wf.release_task({task})"));

    bert.exec(&format!("SELECT * FROM wf.complete({task}, 'rejected')"));
    let again = desk.task("pay out");
    bert.exec(&format!("SELECT * FROM wf.complete({again})"));
    let approval = desk.task("release");
    bert.expect_error(
        &format!("SELECT * FROM wf.complete({approval}, 'approved')"),
        "42501",
        &["bert"],
    );
    anna.exec(&format!(
        "SELECT * FROM wf.complete({approval}, 'approved')"
    ));
    desk.expect(
        "SELECT state, outcome FROM probe.cases()",
        &["completed | paid out"],
    );
}

#[test]
fn s23_a_migration_does_not_make_anybody_fit_to_approve_their_own_work() {
    let (mut desk, task) = Desk::started(four_eyes());
    desk.person("anna")
        .exec(&format!("SELECT * FROM wf.complete({task})"));
    let mut steps = four_eyes();
    steps[0]["name"] = "prepare".into();
    steps[1]["of"] = "prepare".into();
    steps[1]["rejected"] = "prepare".into();
    desk.define(&invoice_workflow("desk", steps));
    desk.exec("SELECT wf.publish('desk')");
    desk.exec(
        "SELECT * FROM wf.migrate('desk', 1, 2, '{\"pay out\": \"prepare\"}', dry_run => false)",
    );
    desk.expect(
        "SELECT v.number FROM wf.cases AS c JOIN wf.versions AS v USING (version_id)",
        &[2],
    );
    let task = desk.task("release");
    desk.person("anna").expect_error(
        &format!("SELECT * FROM wf.complete({task}, 'approved')"),
        "42501",
        &["prepare", "anna"],
    );
}

#[test]
fn s23_a_changed_role_does_not_make_another_person() {
    let (mut desk, task) = Desk::started(four_eyes());
    let group = desk.role("group");
    let anna: String =
        desk.one("SELECT role::text FROM wf.participants WHERE participant = 'anna'");
    desk.exec(&format!(
        "GRANT \"{group}\" TO {anna}; SELECT wf.grant_role('\"{group}\"', 'agent'); \
         SELECT wf.set_participant('group', '{group}', kind => 'queue'); SELECT wf.set_participant('clerks', '{group}')"
    ));
    let mut anna = desk.person("anna");
    anna.exec(&format!(
        "SET ROLE \"{group}\"; SELECT * FROM wf.complete({task}); RESET ROLE"
    ));
    let task = desk.task("release");
    anna.expect_error(
        &format!("SELECT * FROM wf.complete({task}, 'approved')"),
        "42501",
        &["anna"],
    );
}

#[test]
fn s23_approvals_and_people_fields_are_checked_before_publishing() {
    let mut desk = Desk::new(json!([work("a", "anna")]));
    for (step, parts) in [
        (
            json!({"name": "x", "kind": "approval", "of": "nothing", "participant": "p", "rejected": "a"}),
            vec!["\"x\"", "nothing", "does not exist"],
        ),
        (
            json!({"name": "x", "kind": "approval", "of": "n", "participant": "p", "rejected": "a"}),
            vec!["\"x\"", "nobody settles"],
        ),
        (
            json!({"name": "x", "kind": "approval", "of": "z", "participant": "p", "rejected": "n"}),
            vec!["\"x\"", "does not come before"],
        ),
        (
            json!({"name": "x", "kind": "note", "text": "t", "second": "p"}),
            vec!["\"x\"", "automatic", "second"],
        ),
        (
            json!({"name": "x", "kind": "note", "text": "t", "notify": true}),
            vec!["\"x\"", "automatic", "notify"],
        ),
        (
            json!({"name": "x", "kind": "note", "text": "t", "escalate": {}}),
            vec!["\"x\"", "automatic", "escalate"],
        ),
        (
            json!({"name": "x", "kind": "question", "participant": "p", "escalate": {}, "options": [{"name": "y"}, {"name": "n"}]}),
            vec!["\"x\"", "deadline"],
        ),
        (
            json!({"name": "x", "kind": "notify", "to": " ", "text": "t"}),
            vec!["\"x\"", "to is empty"],
        ),
        (
            json!({"name": "x", "kind": "assign", "as": "", "to": "p"}),
            vec!["\"x\"", "as is empty"],
        ),
        (
            json!({"name": "x", "kind": "notify", "to": "{{ nix }}", "text": "t"}),
            vec!["\"x\"", "nix"],
        ),
        (
            json!({"name": "x", "kind": "file", "participant": "p", "types": [""], "due": {"days": 1}}),
            vec!["\"x\"", "types"],
        ),
        (
            json!({"name": "x", "kind": "file", "participant": "p"}),
            vec!["\"x\"", "needs a date"],
        ),
        (
            json!({"name": "x", "kind": "approval", "of": "a", "rejected": "a"}),
            vec!["\"x\"", "participant"],
        ),
    ] {
        let document = invoice_workflow(
            "bad",
            json!([work("a", "anna"), {"name": "n", "kind": "note", "text": "t"}, step, work("z", "anna")]),
        );
        desk.define(&document);
        let failure = desk.expect_error("SELECT wf.publish('bad')", "22023", &parts);
        failure.hints("");
    }
}

#[test]
fn s24_task_deadlines() {
    let mut desk = Desk::at(
        "2026-04-29 10:00",
        json!([{
            "name": "check", "kind": "task", "participant": "anna", "escalate": {},
            "due": {"anchor": "previous_done", "business_days": 2}
        }]),
    );
    desk.person("anna").exec(
        "SELECT wf.set_absence('anna', '2026-04-30 12:00 Europe/Amsterdam', '2026-05-11 09:00 Europe/Amsterdam', 'bert')",
    );
    desk.at("2026-04-30 16:00");
    desk.start("desk", 1);
    // Fri 05-01 is closed in TARGET.
    desk.expect(
        "SELECT participant, substitute, probe.local(due_at), overdue FROM wf.worklist",
        &["anna | bert | Tue 2026-05-05 00:00 | f"],
    );
    let mine = "SELECT via, step FROM wf.my_worklist";
    desk.person("anna").expect(mine, &["own | check"]);
    desk.person("bert").expect(mine, &["substitute | check"]);
    desk.person("carla").expect(mine, NONE);
    desk.at("2026-05-05 23:59");
    desk.expect("SELECT escalated_to FROM wf.worklist", &["null"]);
    desk.expect(
        "SELECT what, probe.local(due_at) FROM wf.upcoming",
        &["escalation | Wed 2026-05-06 00:00"],
    );
    desk.at("2026-05-06 00:00");
    desk.expect(
        "SELECT participant, escalated_to, overdue FROM wf.worklist",
        &["anna | boss | t"],
    );
    desk.expect(HANDED, &["task_escalated | anna | boss | overdue"]);
    desk.expect(
        "SELECT kind, participant, body FROM wf.alerts",
        &["escalated | boss | Step check"],
    );
    desk.person("boss").expect(mine, &["escalated | check"]);
    // Once.
    desk.at("2026-05-08 00:00");
    desk.expect("SELECT count(*) FROM wf.alerts", &[1]);
    let task = desk.task("check");
    desk.person("boss")
        .exec(&format!("SELECT * FROM wf.complete({task})"));
}

#[test]
fn s24_a_task_on_hold_is_not_escalated() {
    let mut desk = Desk::new(json!([{
        "name": "check", "kind": "task", "participant": "anna", "escalate": {"hours": 2, "to": "carla"},
        "due": {"anchor": "previous_done", "hours": 4}
    }]));
    let case = desk.start("desk", 1);
    desk.at("2026-03-02 13:00");
    desk.exec(&format!("SELECT * FROM wf.hold({case}, 'disputed')"));
    desk.at("2026-03-05 09:00");
    desk.expect(HANDED, NONE);
    desk.exec(&format!("SELECT * FROM wf.release({case})"));
    desk.run_due();
    // One hour of the four was left.
    desk.expect(
        "SELECT probe.local(due_at), probe.local(escalate_at) FROM wf.tasks",
        &["Thu 2026-03-05 10:00 | Thu 2026-03-05 12:00"],
    );
    desk.expect(HANDED, NONE);
    desk.at("2026-03-05 12:00");
    desk.expect(HANDED, &["task_escalated | anna | carla | overdue"]);
}

#[test]
fn an_escalation_moves_with_its_deadline_and_goes_with_its_task() {
    let mut desk = Desk::new(json!([{
        "name": "check", "kind": "task", "participant": "clerks", "escalate": {"business_days": 2},
        "due": {"anchor": "subject.due_date", "days": -5}
    }]));
    desk.start("desk", 1);
    let at = "SELECT probe.local(due_at), probe.local(escalate_at) FROM wf.tasks";
    desk.expect(at, &["Fri 2026-03-27 00:00 | Tue 2026-03-31 00:00"]);
    desk.exec("UPDATE invoice SET due_date = '2026-04-08' WHERE id = 1");
    desk.run_due();
    // Good Friday and Easter Monday are closed.
    desk.expect(at, &["Tue 2026-04-07 00:00 | Thu 2026-04-09 00:00"]);
    desk.settle("check", None);
    desk.at("2026-04-10 00:00");
    desk.expect(HANDED, NONE);
}

#[test]
fn an_escalation_with_nobody_to_go_to_is_an_alert_all_the_same() {
    let mut desk = Desk::new(json!([{
        "name": "check", "kind": "task", "participant": "boss", "escalate": {"days": 0},
        "due": {"anchor": "previous_done", "days": 1}
    }]));
    desk.start("desk", 1);
    desk.at("2026-03-03 00:00");
    desk.expect(
        "SELECT kind, participant, step FROM wf.alerts",
        &["escalated | null | check"],
    );
}

#[test]
fn substitutes_of_substitutes_and_rings_of_them() {
    let mut desk = Desk::new(json!([work("check", "anna")]));
    let away = |who: &str, by: &str| {
        format!("SELECT wf.set_absence('{who}', '2026-03-01', '2026-03-20', {by})")
    };
    desk.exec(&away("anna", "'bert'"));
    desk.exec(&away("bert", "'carla'"));
    let substitute = "SELECT coalesce(wf._substitute('anna', wf.now()), 'nobody')";
    desk.expect(substitute, &["carla"]);
    // A ring: nobody is there, and the task stays with whom it was meant for.
    desk.exec(&away("carla", "'anna'"));
    desk.expect(substitute, &["nobody"]);
    desk.start("desk", 1);
    desk.expect(
        "SELECT participant, substitute FROM wf.worklist",
        &["anna | null"],
    );
    // A later absence of the same person counts before an earlier one.
    desk.exec(&away("carla", "'boss'"));
    desk.expect(substitute, &["boss"]);
    desk.exec(&away("boss", "NULL"));
    desk.expect(substitute, &["nobody"]);
    desk.at("2026-03-20 00:00");
    desk.expect(
        "SELECT coalesce(wf._substitute('anna', wf.now()), 'nobody')",
        &["nobody"],
    );
}

#[test]
fn s24_who_falls_ill_hands_over_what_is_open() {
    let (mut desk, task) = Desk::started(json!([work("check", "anna")]));
    let mut carla = desk.person("carla");
    let absence = "SELECT wf.set_absence('anna', wf.now(), wf.now() + interval '3 days', 'carla', open_tasks => true)";
    carla
        .expect_error(absence, "42501", &["anna"])
        .hints("manager");
    desk.person("boss").exec(absence);
    carla.expect("SELECT via FROM wf.my_worklist", &["substitute"]);
    carla.exec(&format!("SELECT * FROM wf.complete({task})"));
    let mut anna = desk.person("anna");
    anna.exec("SELECT wf.cancel_absence(1)");
    desk.expect(
        "SELECT count(*) FROM wf.absences WHERE absent_until > wf.now()",
        &[0],
    );
    for (call, state, part) in [
        ("wf.cancel_absence(99)", "P0002", "99"),
        (
            "wf.set_absence('anna', '2026-05-02', '2026-05-01')",
            "22023",
            "ends before",
        ),
        (
            "wf.set_absence('anna', '2025-05-01', '2025-05-02')",
            "22023",
            "ended already",
        ),
        (
            "wf.set_absence('anna', '2026-05-01', '2026-05-02', 'anna')",
            "22023",
            "themselves",
        ),
        (
            "wf.set_absence('clerks', '2026-05-01', '2026-05-02')",
            "22023",
            "queue",
        ),
        (
            "wf.set_absence('anna', '2026-05-01', '2026-05-02', 'nix')",
            "42704",
            "nix",
        ),
    ] {
        anna.expect_error(&format!("SELECT {call}"), state, &[part])
            .hints("");
    }
}

#[test]
fn arw_13_later_manual_steps_go_to_the_new_specialist() {
    let mut desk = Desk::new(json!([
        work("first", "specialist"),
        {"name": "hand over", "kind": "assign", "as": "specialist", "to": "{% if open_amount > 500 %}carla{% else %}anna{% endif %}"},
        work("second", "specialist"),
        work("third", "specialist")
    ]));
    let case = desk.start("desk", 1);
    desk.expect(
        "SELECT step, participant FROM wf.worklist",
        &["first | specialist"],
    );
    desk.settle("first", None);
    desk.expect(
        "SELECT step, participant FROM wf.worklist",
        &["second | carla"],
    );
    desk.expect(
        "SELECT detail->>'participant', detail->>'from', detail->>'to', detail->>'scope', actor FROM probe.history() \
         WHERE event = 'assigned'",
        &["specialist | specialist | carla | case | postgres"],
    );
    // By hand; the open task stays.
    desk.exec(&format!(
        "SELECT wf.assign({case}, 'specialist', 'bert', 'on leave')"
    ));
    desk.expect(
        "SELECT step, participant FROM wf.worklist",
        &["second | carla"],
    );
    desk.settle("second", None);
    desk.expect(
        "SELECT step, participant FROM wf.worklist",
        &["third | bert"],
    );
    desk.expect_error(
        &format!("SELECT wf.assign({case}, 'specialist', 'nix')"),
        "42704",
        &["nix"],
    )
    .hints("");
    desk.expect_error(
        "SELECT wf.assign(999, 'specialist', 'bert')",
        "P0002",
        &["999"],
    );
}

#[test]
fn arw_13_the_specialist_of_an_account_is_that_of_all_its_cases() {
    let mut desk = Desk::new(json!([work("first", "specialist")]));
    desk.exec(
        "SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', details => 'public.invoice_details', \
             email => 'email', account => 'customer_id', time_zone => 'time_zone')",
    );
    desk.exec("INSERT INTO invoice VALUES (2, 'INV-2', 2, 'posted', '2026-04-01', 5, 'EUR'), (3, 'INV-3', 1, 'posted', '2026-04-01', 5, 'EUR')");
    desk.install(&invoice_workflow(
        "over",
        json!([{"name": "take", "kind": "assign", "as": "specialist", "to": "carla", "scope": "account"}]),
    ));
    desk.start("over", 1);
    desk.run_due();
    for (key, who) in [(1, "carla"), (2, "specialist"), (3, "carla")] {
        let case = desk.start("desk", key);
        desk.expect(
            &format!("SELECT participant FROM wf.tasks WHERE case_id = {case}"),
            &[who],
        );
    }
    desk.exec("SELECT wf.assign_account('2', 'specialist', 'bert')");
    desk.expect(
        "SELECT wf._assignee(case_id, 'specialist') FROM wf.tasks ORDER BY case_id",
        &["carla", "bert", "carla"],
    );
}

#[test]
fn arw_13_an_assignment_to_nobody_is_an_incident() {
    let mut desk = Desk::new(json!([
        {"name": "hand over", "kind": "assign", "as": "specialist", "to": "{{ customer_name }}"},
        work("next", "specialist")
    ]));
    desk.exec("SET workflow_engine.max_attempts = 1");
    desk.start("desk", 1);
    desk.run_due();
    desk.expect(
        "SELECT step, message FROM wf.incidents",
        &["hand over | workflow \"desk\", step \"hand over\": participant \"Jansen BV\" does not exist"],
    );
    desk.exec("SELECT wf.set_participant('Jansen BV', kind => 'person')");
    desk.exec("SELECT * FROM wf.retry((SELECT case_id FROM wf.cases))");
    desk.run_due();
    desk.expect("SELECT participant FROM wf.worklist", &["Jansen BV"]);
}

#[test]
fn arw_12_a_notify_step_alerts_whoever_stands_in_for_the_participant() {
    let mut desk = Desk::new(json!([
        {"name": "tell", "kind": "notify", "to": "specialist", "text": "Reminder for {{ number }} starts."},
        {"name": "later", "kind": "wait", "on": {"anchor": "previous_done", "days": 1}},
        {"name": "tell again", "kind": "notify", "to": "specialist", "text": "Done."}
    ]));
    let case = desk.start("desk", 1);
    desk.run_due();
    desk.exec(&format!("SELECT wf.assign({case}, 'specialist', 'anna')"));
    desk.at("2026-03-03 10:00");
    desk.expect(
        "SELECT participant, kind, body, step FROM wf.alerts ORDER BY notification_id",
        &[
            "specialist | notify | Reminder for INV-1 starts. | tell",
            "anna | notify | Done. | tell again",
        ],
    );
    desk.expect(
        "SELECT participant, body FROM wf.take_alerts(participant => 'anna')",
        &["anna | Done."],
    );
    desk.expect(
        "SELECT body FROM wf.take_alerts()",
        &["Reminder for INV-1 starts."],
    );
    desk.expect("SELECT body FROM wf.take_alerts()", NONE);
    desk.expect(
        "SELECT taken_by FROM wf.notifications",
        &["postgres", "postgres"],
    );
}

#[test]
fn arw_28_a_status_alerts_its_manager_when_it_is_set() {
    let mut desk = Desk::new(json!([work("check", "anna")]));
    let mut document = invoice_workflow(
        "status",
        json!([{"name": "tell", "kind": "notify", "to": "boss", "text": "{{ number }} is {{ state }}."}]),
    );
    document["start"] = json!({"when": "state = 'disputed'", "again": "never"});
    desk.install(&document);
    desk.exec("UPDATE invoice SET state = 'disputed' WHERE id = 1");
    desk.run_due();
    desk.expect(
        "SELECT participant, body FROM wf.alerts",
        &["boss | INV-1 is disputed."],
    );
}

#[test]
fn cs_01_a_follow_up_stands_in_the_worklist_and_alerts_the_back_office() {
    let mut desk = Desk::new(json!([
        {"name": "call back", "kind": "task", "participant": "clerks", "notify": true, "due": {"anchor": "previous_done", "days": 1}},
        {"name": "confirm", "kind": "task", "participant": "anna", "notify": true, "due": {"anchor": "previous_done", "days": 1}}
    ]));
    desk.start("desk", 1);
    desk.expect(
        "SELECT step, participant FROM wf.worklist",
        &["call back | clerks"],
    );
    desk.expect(
        "SELECT kind, participant, body FROM wf.take_alerts()",
        &["task | clerks | Step call back"],
    );
    // CS-03: the one that depends on it comes when it is settled.
    desk.settle("call back", None);
    desk.expect(
        "SELECT kind, participant, body FROM wf.take_alerts()",
        &["task | anna | Step confirm"],
    );
}

#[test]
fn agents_take_part_and_do_not_manage() {
    let mut desk = Desk::new(json!([work("check", "clerks")]));
    let mut anna = desk.person("anna");
    for call in [
        "wf.set_participant('x')",
        "wf.set_members('clerks', '{carla}')",
        "wf.assign(1, 'specialist', 'anna')",
        "wf.assign_account('1', 'specialist', 'anna')",
        "wf.take_alerts()",
        "wf.reassign_task(1, 'anna')",
    ] {
        anna.expect_error(&format!("SELECT {call}"), "42501", &["permission denied"]);
    }
    for table in [
        "tasks",
        "participants",
        "members",
        "notifications",
        "assignments",
        "documents",
    ] {
        anna.expect_error(
            &format!("DELETE FROM wf.{table}"),
            "42501",
            &["permission denied"],
        );
    }
    let mut boss = desk.person("boss");
    boss.exec("SELECT wf.set_members('clerks', '{carla}')");
    desk.expect("SELECT member FROM wf.members", &["carla"]);
    for (call, state, part) in [
        ("wf.set_members('nix', '{carla}')", "42704", "nix"),
        ("wf.set_members('clerks', '{nix}')", "42704", "nix"),
        ("wf.set_members('anna', '{carla}')", "22023", "anna"),
        ("wf.set_members('clerks', '{clerks}')", "22023", "clerks"),
    ] {
        desk.expect_error(&format!("SELECT {call}"), state, &[part])
            .hints("");
    }
    for (call, state, part) in [
        ("wf.set_participant('x', 'no role')", "42704", "no role"),
        ("wf.set_participant('x', manager => 'nix')", "42704", "nix"),
        ("wf.set_participant('x', kind => 'robot')", "22023", "robot"),
    ] {
        desk.expect_error(&format!("SELECT {call}"), state, &[part])
            .hints("");
    }
}
