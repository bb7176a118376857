//! Specialists of accounts, alerts, and what agents may do.

use serde_json::json;
use workflow_engine_tests::invoice_workflow;

use super::*;

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
