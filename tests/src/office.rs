//! An office in the middle of its work, with rows in every table of the engine: for what must keep all of them.

use serde_json::{Value, json};

use crate::documents::{DUNNING, document, edited, invoice_workflow, step_of};
use crate::erp::BIND_REPORT;
use crate::session::Session;

const COLLECTIONS: [&str; 5] = [
    include_str!("../../examples/collections/investigation.json"),
    include_str!("../../examples/collections/retry.json"),
    include_str!("../../examples/collections/payment-plan.json"),
    include_str!("../../examples/collections/main-outreach.json"),
    include_str!("../../examples/collections/breathing-space.json"),
];

/// Tables that the office has nothing in: their rows are about transactions and workers under way.
const EMPTY: [&str; 4] = [
    "wf.acknowledged",
    "wf.history_gaps",
    "wf.recalled",
    "wf.suspects",
];

/// The end of the office's story.
pub const NOW: &str = "2026-05-11 11:00";

/// Has the office work from Mon 2026-05-04 to Mon 05-11, in a database with the extension, the ERP and the invoice bound.
/// Nobody but this session may act meanwhile. The clock stays at `NOW`. The roles anna, bert, boss and mailer are made.
pub fn busy_office(db: &mut Session) {
    db.clock("2026-05-04 09:12");
    people(db);
    bindings(db);
    workflows(db);
    collections(db);
    claims(db);
    forgotten(db);
    desk(db);
    db.at(NOW);
    trouble(db);
    messages(db);
    unread(db);
}

/// The office in an empty database, with or without the extension.
pub fn office(db: &mut Session) {
    crate::live::prepare(db);
    busy_office(db);
}

fn people(db: &mut Session) {
    db.exec(
        "CREATE ROLE anna LOGIN; CREATE ROLE bert LOGIN; CREATE ROLE boss LOGIN; CREATE ROLE mailer LOGIN; \
         SELECT wf.grant_role('boss', 'manager'), wf.grant_role('anna', 'agent'), wf.grant_role('bert', 'agent'), \
                wf.grant_role('mailer', 'sender', '{email,sms,letter,voice,ticket}'); \
         SELECT wf.set_participant('boss', 'boss'); \
         SELECT wf.set_participant(p, p, manager => 'boss') FROM unnest('{anna,bert}'::text[]) AS p; \
         SELECT wf.set_participant('clerks', manager => 'boss'); SELECT wf.set_members('clerks', '{anna,bert}'); \
         SELECT wf.set_absence('anna', '2026-05-05', '2026-06-01', 'bert'); \
         SELECT wf.load_holidays('OFFICE', 2026, 2027, '{2026-05-22}'::date[], '{Outing}'::text[]); \
         SELECT wf.set_hold_kind('audit', clock => 'shift_business', released_by => 'manager', title => 'Audit'); \
         SELECT wf.set_hold_kind('quiet', '{communication}', released_by => 'manager', title => 'Changed by the office')",
    );
}

fn bindings(db: &mut Session) {
    db.exec(BIND_REPORT);
    // A column that is gone makes the numbers of the others change in a dump.
    db.exec(
        "CREATE TABLE claim (gone int, id text PRIMARY KEY, account text, state text NOT NULL, due_date date, \
                             open_amount numeric, currency text NOT NULL DEFAULT 'EUR', email text DEFAULT 'debtor@example.com'); \
         ALTER TABLE claim DROP COLUMN gone; \
         CREATE TABLE remark (gone int, claim text NOT NULL, text text); \
         ALTER TABLE remark DROP COLUMN gone; \
         SELECT wf.bind_subject('claim', 'claim', 'id', email => 'email', account => 'account'); \
         SELECT wf.watch('claim', 'remark', 'claim'); \
         SELECT wf.watch('invoice', 'payment', 'invoice_id')",
    );
}

fn on_claims(name: &str, head: Value, steps: Value) -> Value {
    let mut document = invoice_workflow(name, steps);
    document["subject"] = "claim".into();
    document["stop"] = json!([{"when": "state = 'paid'", "reason": "paid"}]);
    document["templates"] =
        json!({"hello": {"subject": "Claim {{ id }}", "body": "{{ open_amount }}"}});
    if let Value::Object(head) = head {
        for (field, value) in head {
            document[field] = value;
        }
    }
    document
}

fn workflows(db: &mut Session) {
    db.exec(
        "SELECT wf.set_contact_policy('decent', '{\"windows\": [{\"days\": \"mon-fri\", \"from\": \"09:00\", \"to\": \"17:00\"}], \
                                                 \"caps\": [{\"at_most\": 3, \"days\": 7}]}')",
    );
    for text in COLLECTIONS {
        db.install(&document(text));
    }
    db.install(&document(DUNNING));
    let reach = json!([
        {"name": "noted", "kind": "note", "text": "'{{ number }}'\n\tis \\ to be reached."},
        {"name": "mail", "kind": "email", "template": "hello"},
        {"name": "late", "kind": "sms", "template": "hello", "on": {"anchor": "previous_done", "days": 5}}
    ]);
    db.install(&edited(invoice_workflow("reach", reach), |doc| {
        doc["contact_policy"] = "decent".into();
    }));
    let task = |name: &str, next: &str| json!({"name": name, "kind": "task", "participant": "clerks", "due": {"anchor": "previous_done", "days": 3}, "next": next});
    for name in ["desk one", "desk two"] {
        let mut visit = invoice_workflow(
            name,
            json!([task("talk", "write"), task("write", "end"), {"name": "end", "kind": "finish"}]),
        );
        visit["sections"] = json!([{"name": "desk", "per": "subject", "steps": ["talk", "write"]}]);
        db.install(&visit);
    }
    db.install(&invoice_workflow(
        "check",
        json!([
            {"name": "is it right", "kind": "question", "participant": "anna",
             "options": [{"name": "yes", "next": "good"}, {"name": "no", "next": "bad"}]},
            {"name": "good", "kind": "finish", "outcome": "right"},
            {"name": "bad", "kind": "finish", "outcome": "wrong"}
        ]),
    ));
    db.install(&invoice_workflow(
        "file",
        json!([
            {"name": "both", "kind": "parallel", "branches": ["contract", "checked"]},
            {"name": "contract", "kind": "file", "participant": "clerks", "types": ["pdf"], "next": "meet",
             "escalate": {"hours": 2, "to": "boss"}, "due": {"anchor": "previous_done", "hours": 4}},
            {"name": "checked", "kind": "sub_workflow", "workflow": "check", "otherwise": "meet",
             "outcomes": [{"name": "right", "next": "meet"}]},
            {"name": "meet", "kind": "join", "of": "both"},
            {"name": "last", "kind": "note", "text": "Over."}
        ]),
    ));
    db.install(&invoice_workflow(
        "odd",
        json!([{"name": "odd", "kind": "note", "text": "Odd.", "when": "1 / (open_amount - open_amount) > 0"}]),
    ));
    // Another text for the cases that run, a draft of something else, and a workflow that nobody wants any more.
    let mut again = document(DUNNING);
    again["title"] = "Reminders, in other words".into();
    db.define(&again);
    db.exec("SELECT wf.publish('dunning')");
    db.define(&edited(
        invoice_workflow(
            "planned",
            json!([{"name": "n", "kind": "note", "text": "x"}]),
        ),
        |doc| {
            step_of(doc, "n")["text"] = "'quoted' {{ number }}".into();
        },
    ));
    db.install(&invoice_workflow(
        "old",
        json!([{"name": "n", "kind": "note", "text": "x"}]),
    ));
    db.exec("SELECT wf.disable('old'); SELECT wf.drop_workflow('old')");
}

/// Invoice 1 has agreed to a plan, 2 has promised, 3 is disputed; 4 and 5 have gone some way.
fn collections(db: &mut Session) {
    for id in 1..=5 {
        db.invoice(id, "2026-03-20", "1000.50");
    }
    db.run_due();
    db.exec("SELECT wf.cancel(c.case_id) FROM probe.cases() AS c WHERE c.workflow = 'breathing space' AND c.key IN ('4', '5')");
    let case = |db: &mut Session, key: i64, workflow: &str| -> i64 {
        db.one(&format!(
            "SELECT min(case_id) FROM probe.cases() WHERE key = '{key}' AND workflow = '{workflow}' AND state <> 'cancelled'"
        ))
    };
    for key in 2..=5 {
        db.exec(&format!("SELECT wf.start('main outreach', {key}::bigint)"));
    }
    db.run_due();
    db.at("2026-05-05 10:00");
    let plan = case(db, 1, "breathing space");
    db.exec(&format!(
        "SELECT wf.agree_plan({plan}, '{{2026-06-01,2026-07-01}}', '{{500,500.50}}')"
    ));
    let outreach = case(db, 2, "main outreach");
    db.exec(&format!(
        "SELECT wf.promise({outreach}, 500.25, '2026-05-15', 2)"
    ));
    let outreach = case(db, 3, "main outreach");
    db.exec(&format!("SELECT wf.dispute({outreach}, 'wrong price')"));
    let outreach = case(db, 4, "main outreach");
    db.exec(&format!(
        "SELECT wf.charge({outreach}, 12.345, 'Copies', 'EUR'); \
         SELECT wf.waive_charge(min(charge_id), 'goodwill') FROM wf.charges WHERE case_id = {outreach}; \
         SELECT wf.hold({outreach}, 'audited', '2026-06-01', kind => 'audit'); \
         SELECT wf.log_contact({outreach}, 'voice', 'conversation', detail => 'Called back.'); \
         SELECT wf.assign({outreach}, 'clerk', 'bert'); SELECT wf.assign_account('A-1', 'clerk', 'anna')"
    ));
    db.run_due();
}

/// Claims: a strategy for all, an exclusive case, cases of whole accounts and one of several claims.
fn claims(db: &mut Session) {
    let reminders = json!([
        {"name": "first", "kind": "email", "template": "hello", "on": {"anchor": "subject.due_date", "days": 10}},
        {"name": "second", "kind": "email", "template": "hello", "on": {"anchor": "subject.due_date", "days": 21}}
    ]);
    let work = json!([{"name": "work", "kind": "task", "participant": "clerks", "due": {"anchor": "case_start", "days": 3}}]);
    db.install(&on_claims(
        "mild",
        json!({"runs": "strategy", "start": {"when": "state = 'open'"}}),
        reminders.clone(),
    ));
    db.install(&on_claims(
        "exclusive",
        json!({"runs": "exclusive", "subjects": "several"}),
        work,
    ));
    db.install(&on_claims(
        "collect",
        json!({"subjects": "account", "start": {"when": "state = 'open' and open_amount > 100"}}),
        json!([{"name": "late", "kind": "email", "template": "hello", "on": {"anchor": "case_start", "days": 30}}]),
    ));
    db.exec(
        "SELECT wf.set_strategy('claim', 'mild'); \
         SELECT wf.pause_strategy('claim', account => 'A-2', reason => 'bankrupt'); \
         INSERT INTO claim SELECT 'C' || n, 'A-' || (n % 2 + 1), 'open', date '2026-05-01' + n, 30 * n, 'EUR' FROM generate_series(1, 6) AS n",
    );
    db.run_due();
    db.exec("SELECT wf.start('exclusive', '{C2,C4}'::text[])");
    db.run_due();
    let together: i64 =
        db.one("SELECT min(case_id) FROM probe.cases() WHERE workflow = 'exclusive'");
    db.exec(&format!(
        "SELECT wf.remove_subject({together}, 'C4', 'by itself')"
    ));
    db.run_due();
}

/// History is sealed, and an account whose case has ended is erased from it.
fn forgotten(db: &mut Session) {
    db.exec("INSERT INTO claim VALUES ('P1', 'A-9', 'open', '2026-05-01', 500, 'EUR')");
    db.run_due();
    db.exec(
        "SELECT wf.hold(case_id, 'Ms P. is ill') FROM probe.cases() WHERE key = 'P1'; \
         UPDATE claim SET state = 'paid' WHERE id = 'P1'",
    );
    db.run_due();
    db.exec("SELECT wf.protect_history()");
    db.exec("SELECT wf.seal_history()");
    db.exec("SELECT wf.erase_account('A-9', 'asked by letter')");
    db.exec("SELECT wf.set_retention('10 years'); SELECT wf.set_retention('3 years', 'reach')");
}

/// Tasks: claimed, delegated, escalated, with a document; a case that waits for another, a section with a queue.
fn desk(db: &mut Session) {
    db.exec(
        "SELECT wf.start(w, 4::bigint) FROM unnest('{desk one,desk two,file,reach}'::text[]) AS w",
    );
    db.exec("SELECT wf.start('file', 5::bigint); SELECT wf.start('reach', 5::bigint)");
    db.run_due();
    db.exec(
        "SELECT wf.claim_task(min(task_id), 'anna') FROM probe.tasks() WHERE step = 'talk'; \
         SELECT wf.delegate_task(max(task_id), 'bert', 'busy') FROM probe.tasks() WHERE step = 'is it right'",
    );
    let contract: i64 = db.one("SELECT min(task_id) FROM probe.tasks() WHERE step = 'contract'");
    db.exec(&format!(
        "SELECT wf.complete({contract}, 'done', '{{\"document\": {{\"reference\": \"dms:1\", \"name\": \"c.pdf\"}}}}')"
    ));
    db.run_due();
}

/// A step that fails, until it is an incident.
fn trouble(db: &mut Session) {
    db.exec("SET workflow_engine.max_attempts = 1");
    db.exec("SELECT wf.start('odd', 1::bigint)");
    db.run_due();
    db.exec("RESET workflow_engine.max_attempts");
}

/// Messages in each state: sent, leased, queued, deferred, failed; and those who want none.
fn messages(db: &mut Session) {
    db.exec("SELECT wf.opt_out('invoice:5', 'sms', reason => 'said STOP'); SELECT wf.stop_contact('provider is down', 'voice')");
    let leased = db.lease_with("NULL, 4");
    assert_eq!(leased.len(), 4, "{}", db.story());
    db.ack(&leased[..2]);
    db.fail(&leased[2..3], "mailbox full", Some("3 hours"));
    db.exec(&format!(
        "SELECT wf.report_delivery({}, 'delivered')",
        leased[0].id
    ));
    db.run_due();
}

/// What nobody has looked at yet: some rows, and a bulk change that shares one.
fn unread(db: &mut Session) {
    db.invoice(6, "2026-05-01", "7");
    db.exec(
        "UPDATE invoice SET state = 'paid' WHERE id = 5; \
         INSERT INTO payment (invoice_id, amount) VALUES (4, 100); \
         INSERT INTO remark VALUES ('C1', 'Says he has paid.'); \
         INSERT INTO claim SELECT 'B' || n, NULL, 'open', '2026-05-01', 5, 'EUR' FROM generate_series(1, 250) AS n",
    );
}

/// Everything that the engine keeps, line by line: the rows of all its tables, of which none may be empty, and the
/// positions of its sequences.
pub fn everything(db: &mut Session) -> Vec<String> {
    let tables = db.rows(
        "SELECT c.oid::regclass FROM pg_class AS c WHERE c.relnamespace = 'wf'::regnamespace AND c.relkind IN ('r', 'p') \
         AND NOT c.relispartition ORDER BY c.relname",
    );
    let (mut lines, mut empty) = (Vec::new(), Vec::new());
    for table in &tables {
        let rows = db.lines(&format!("SELECT t FROM {} AS t ORDER BY t::text", table[0]));
        if rows.is_empty() && !EMPTY.contains(&table[0].as_str()) {
            empty.push(table[0].clone());
        }
        lines.extend(rows.into_iter().map(|row| format!("{}: {row}", table[0])));
    }
    assert!(empty.is_empty(), "the office has no rows in {empty:?}");
    lines.extend(db.lines(
        "SELECT format('%I.%I', schemaname, sequencename), coalesce(last_value, 0) FROM pg_sequences WHERE schemaname = 'wf' ORDER BY 1",
    ));
    lines
}

/// Asserts that two databases keep the same, and shows the first lines that differ.
#[track_caller]
pub fn assert_same(before: &[String], after: &[String]) {
    let missing: Vec<&String> = before
        .iter()
        .filter(|line| !after.contains(line))
        .take(10)
        .collect();
    let new: Vec<&String> = after
        .iter()
        .filter(|line| !before.contains(line))
        .take(10)
        .collect();
    assert!(
        missing.is_empty() && new.is_empty() && before.len() == after.len(),
        "gone: {missing:#?}\nnew: {new:#?}\n{} lines before, {} after",
        before.len(),
        after.len()
    );
}
