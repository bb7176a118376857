//! What settling a step needs: a document, another pair of eyes.

use serde_json::{Value, json};
use workflow_engine_tests::invoice_workflow;

use super::*;

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
