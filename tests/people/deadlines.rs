//! Deadlines, escalation, absence.

use serde_json::json;

use super::*;

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
