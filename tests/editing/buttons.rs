//! Buttons and their events; stages and their numbers.

use super::{FLOW, NONE, saved, small};

const BUTTON: &str = r#"SELECT findings FROM wf.add_step('w', 'call back', 'button',
    '{"description": "Customer wants to be called", "participant": "clerk", "label": "Call back"}', after => 'second')"#;

#[test]
fn cs_15_17_a_button_brings_the_event_that_it_was_pushed() {
    let mut db = small();
    db.expect(BUTTON, &[0]);
    db.expect(
        FLOW,
        &[
            "first | done | second",
            "second | done | call back",
            "call back | pushed | call back pushed",
            "call back pushed | done | end",
        ],
    );
    db.exec(r#"SELECT wf.add_step('w', 'noted', 'note', '{"description": "N", "text": "They want a call"}', after => 'call back pushed')"#);
    db.exec("SELECT wf.save('w'); SELECT wf.enable('w')");
    db.invoice(1, "2026-04-01", "10");
    db.start("w", 1);
    db.settle("first", None);
    db.expect(
        "SELECT step, kind, participant FROM wf.worklist",
        &["call back | button | clerk"],
    );
    let task = db.task("call back");
    db.expect_error(
        &format!("SELECT wf.complete({task}, 'pulled')"),
        "42704",
        &["pulled", "pushed"],
    );
    db.settle("call back", Some("pushed"));
    db.expect(
        "SELECT step, kind, outcome FROM probe.history() WHERE event = 'step_done' ORDER BY history_id",
        &[
            "first | task | done",
            "second | note | done",
            "call back | button | pushed",
            "call back pushed | event | done",
            "noted | note | done",
            "end | finish | done",
        ],
    );
}

#[test]
fn cs_15_a_button_takes_its_event_along() {
    let mut db = small();
    db.exec(BUTTON);
    db.exec(r#"SELECT wf.set_step('w', 'call back', '{"name": "ring"}')"#);
    db.exec("SELECT wf.move_step('w', 'ring', before => 'second')");
    db.expect(
        FLOW,
        &[
            "first | done | ring",
            "ring | pushed | ring pushed",
            "ring pushed | done | second",
            "second | done | end",
        ],
    );
    db.exec("SELECT wf.remove_step('w', 'ring')");
    db.expect(FLOW, &["first | done | second", "second | done | end"]);
    db.expect("SELECT * FROM wf.validate('w')", NONE);
}

#[test]
fn cs_08_09_10_stages_are_numbered_by_themselves_and_stay_within_a_version() {
    let mut db = saved();
    let stages = "SELECT v.number, string_agg(s.name || ' ' || s.stage, ', ' ORDER BY s.step_no) FROM wf.steps AS s
                  JOIN wf.versions AS v USING (version_id) GROUP BY v.number ORDER BY v.number";
    db.expect(stages, &["1 | first 1, second 1, end 1"]);
    db.invoice(1, "2026-04-01", "10");
    let case = db.start("w", 1);
    db.exec(BUTTON);
    db.exec(
        r#"SELECT wf.add_step('w', 'zeroth', 'task', '{"description": "Z", "participant": "clerk", "due": {"days": 1}}', before => 'first')"#,
    );
    let both = [
        "1 | first 1, second 1, end 1",
        "2 | zeroth 1, first 2, second 2, call back 2, call back pushed 3, end 3",
    ];
    db.expect(stages, &both);
    db.exec("SELECT wf.save('w')");
    db.expect(stages, &both);
    db.expect(
        &format!("SELECT version, stage, stages FROM wf.case_progress WHERE case_id = {case}"),
        &["1 | 1 | 1"],
    );
}
