//! What people ask for, and what is refused.

use super::*;

/// A task with three outcomes, then a note on each way.
fn task() -> Play {
    let mut play = workflow(json!([
        {"name": "t", "kind": "task", "participant": "p", "due": {"days": 3},
         "outcomes": [{"name": "yes", "next": "n"}, {"name": "no", "next": "f"}, {"name": "later"}]},
        {"name": "n", "kind": "note", "text": "noted"},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    play
}

#[test]
fn settling_needs_a_known_outcome_and_an_open_step() {
    let mut play = task();
    let error = play.settle("t", Some("perhaps")).unwrap_err();
    assert_eq!(error.code.sqlstate(), "42704");
    assert_eq!(error.message, "step \"t\" has no outcome \"perhaps\"");
    assert_eq!(
        error.detail.as_deref(),
        Some("Its outcomes are \"yes\", \"no\", \"later\".")
    );
    assert_eq!(
        said(play.settle("t", None)),
        "42704: step \"t\" needs an outcome"
    );
    assert_eq!(
        said(play.settle("n", None)),
        "55000: step \"n\" of case 1 is not open"
    );
    assert_eq!(
        said(play.settle("nix", None)),
        "42704: workflow \"w\" has no step \"nix\""
    );
    assert_eq!(
        said(play.settle("start", None)),
        "55000: step \"start\" of case 1 is not open"
    );
    assert_eq!(
        play.open(),
        ["t/1 open"],
        "nothing of this has moved anything"
    );

    play.settle("t", Some("later")).unwrap();
    assert_eq!(play.ended().0, "completed");
    assert_eq!(play.out.notes[0].body, "noted");
}

#[test]
fn data_is_kept_in_vars_and_answers_by_step() {
    let mut play = task();
    assert_eq!(
        said(play.settle_with("t", Some("yes"), Some("[1]"))),
        "22023: data is not a JSON object"
    );
    let malformed = play.settle_with("t", Some("yes"), Some("{")).unwrap_err();
    assert_eq!(malformed.code, ErrorCode::Json);
    assert!(play.case.memory.answers.is_empty());
    play.case.vars = Some("{\"a\": 1, \"b\": 1}".to_owned());
    play.settle_with("t", Some("yes"), Some("{\"b\": 12345678901234567890.10}"))
        .unwrap();
    assert_eq!(
        play.case.vars.as_deref(),
        Some("{\"a\":1,\"b\":12345678901234567890.10}")
    );
    assert_eq!(play.case.memory.answers["t"], "yes");
}

#[test]
fn the_only_open_step_needs_no_name() {
    let mut play = task();
    let take = |play: &mut Play| {
        play.call(None, |case, index, facts, env, out| {
            case.branch(index, "no", facts, env, out)
        })
    };
    take(&mut play).unwrap();
    assert_eq!(play.ended().0, "completed");

    let mut play = super::parallel::two_branches();
    play.start();
    assert_eq!(said(take(&mut play)), "55000: case 1 has 2 open steps");
}

#[test]
fn branching_takes_a_named_leg_of_a_step_that_has_a_choice() {
    let mut play = task();
    assert_eq!(
        said(play.branch("t", "maybe")),
        "42704: step \"t\" has no leg \"maybe\""
    );
    play.branch("t", "no").unwrap();
    assert_eq!(play.ended().0, "completed");
    assert_eq!(play.case.memory.answers["t"], "no");

    let mut play = workflow(json!([
        {"name": "e", "kind": "email", "template": "t", "otherwise": "f", "on": {"days": 1}},
        {"name": "d", "kind": "decision", "on": {"days": 30}, "legs": [{"name": "A", "when": "x", "next": "f"}]},
        {"name": "w", "kind": "wait", "on": {"days": 30}},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    assert_eq!(
        said(play.branch("e", "undeliverable")),
        "55000: step \"e\" has no legs to choose from"
    );
    play.skip("e").unwrap();
    play.branch("d", "otherwise").unwrap();
    assert_eq!(play.open(), ["w/1 scheduled"]);
    assert!(play.case.memory.answers.is_empty(), "only people answer");
}

#[test]
fn advancing_does_now_what_is_scheduled() {
    let mut play = workflow(json!([
        {"name": "w", "kind": "wait", "on": {"days": 30}},
        {"name": "t", "kind": "task", "participant": "p", "due": {"days": 3}},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    play.advance("w").unwrap();
    assert_eq!(play.open(), ["t/1 open"]);
    assert_eq!(
        said(play.advance("t")),
        "55000: step \"t\" of case 1 is open, not scheduled"
    );
}

#[test]
fn arw_24_a_hold_stops_everything_and_release_goes_on() {
    let mut play = workflow(json!([
        {"name": "e", "kind": "email", "template": "t", "on": {"days": 3}},
        {"name": "t", "kind": "task", "participant": "p", "due": {"days": 3}},
        {"name": "n", "kind": "note", "text": "x"},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    play.release().unwrap();
    assert_eq!(play.history(), ["case_started"], "there was no hold to end");
    play.hold().unwrap();
    play.hold().unwrap();
    assert_eq!(play.open(), ["e/1 held"]);
    play.clock(amsterdam("2026-02-01 09:00"));
    assert!(play.out.messages.is_empty());
    for refused in [play.advance("e"), play.retry("e")] {
        assert_eq!(said(refused), "55000: case 1 is on hold");
    }
    play.release().unwrap();
    assert_eq!(
        play.open(),
        ["t/1 open"],
        "what fell due meanwhile happens now"
    );

    play.hold().unwrap();
    play.settle("t", None).unwrap();
    assert_eq!(
        play.open(),
        ["n/1 held"],
        "people may go on working, the engine waits"
    );
    play.release().unwrap();
    assert_eq!(play.ended().0, "completed");
    let holds = play.history().iter().filter(|h| *h == "case_held").count();
    assert_eq!(holds, 2);
}

#[test]
fn a_planned_case_on_hold_stays_planned_afterwards() {
    let mut play = with(
        json!([{"name": "f", "kind": "finish"}]),
        json!({"start": {"when": "c", "on": {"anchor": "subject.d"}}}),
    );
    play.true_conditions.push("c".to_owned());
    play.date("d", "2026-03-02");
    play.enroll().unwrap();
    play.hold().unwrap();
    play.clock(amsterdam("2026-03-01 00:00"));
    play.release().unwrap();
    assert_eq!(play.ended().0, "planned");
    play.clock(amsterdam("2026-03-02 00:00"));
    assert_eq!(play.ended().0, "completed");
}

#[test]
fn a_failed_step_waits_for_retry_or_skip() {
    let document = json!([
        {"name": "e", "kind": "email", "template": "t"},
        {"name": "f", "kind": "finish"}
    ]);
    let mut play = workflow(document.clone());
    play.text("email", " ");
    play.start();
    assert_eq!(play.open(), ["e/1 failed"]);
    assert_eq!(play.out.failures[0].sqlstate, "22004");
    assert!(
        play.out.failures[0]
            .message
            .contains("column \"email\" is empty")
    );
    assert_eq!(
        said(play.settle("e", None)),
        "55000: step \"e\" of case 1 is failed, not open to a person"
    );
    assert_eq!(
        said(play.advance("e")),
        "55000: step \"e\" of case 1 is failed, not scheduled"
    );
    play.retry("e").unwrap();
    assert_eq!(
        (play.open(), play.out.failures.len()),
        (vec!["e/1 failed".to_owned()], 2)
    );
    play.text("email", "ann@example.com");
    play.retry("e").unwrap();
    assert_eq!(play.ended().0, "completed");
    assert_eq!(
        play.out.resolved,
        [(1, 1, 1), (1, 1, 1)],
        "each incident is over"
    );
    assert_eq!(
        said(play.retry("e")),
        "55000: case 1 has ended: it is completed"
    );

    let mut play = workflow(document);
    play.set("email", ColumnType::Text, None);
    play.start();
    play.skip("e").unwrap();
    assert_eq!(play.ended().0, "completed");
    assert_eq!(play.out.resolved, [(1, 1, 1)]);
}

#[test]
fn a_step_that_has_not_failed_cannot_be_retried() {
    let mut play = task();
    assert_eq!(
        said(play.retry("t")),
        "55000: step \"t\" of case 1 has not failed; it is open"
    );
}

#[test]
fn errors_of_the_database_are_tried_again_after_a_doubling_pause() {
    let mut play = workflow(json!([
        {"name": "n", "kind": "note", "text": "x", "on": {"hours": 1}}, {"name": "f", "kind": "finish"}
    ]));
    play.start();
    play.now = play.only().run_at.unwrap();
    let mishap = Mishap {
        sqlstate: "22012",
        message: "division by zero",
        detail: None,
        hint: None,
    };
    for (attempt, minutes) in [(1, 1), (2, 2)] {
        let now = play.now;
        play.ask(&Default::default(), |case, _, env, out| {
            case.attempt_failed(0, &mishap, 3, chrono::TimeDelta::minutes(1), env, out);
        });
        assert_eq!(play.only().attempts, attempt);
        assert_eq!(
            play.only().run_at,
            Some(now + chrono::TimeDelta::minutes(minutes))
        );
    }
    play.ask(&Default::default(), |case, _, env, out| {
        case.attempt_failed(0, &mishap, 3, chrono::TimeDelta::minutes(1), env, out);
    });
    assert_eq!(play.open(), ["n/1 failed"]);
    assert_eq!(
        (play.out.failures[0].attempts, play.out.failures.len()),
        (3, 1)
    );
}

#[test]
fn what_is_nobodys_mistake_is_never_parked_and_waits_for_32_pauses_at_most() {
    let mut play = workflow(json!([
        {"name": "n", "kind": "note", "text": "x", "on": {"hours": 1}}, {"name": "f", "kind": "finish"}
    ]));
    play.start();
    play.now = play.only().run_at.unwrap();
    let mishap = Mishap {
        sqlstate: "53100",
        message: "no space left on device",
        detail: None,
        hint: None,
    };
    for attempt in 1..40 {
        let now = play.now;
        play.ask(&Default::default(), |case, _, env, out| {
            let pause = chrono::TimeDelta::seconds(10);
            case.attempt_failed(0, &mishap, i32::MAX, pause, env, out);
        });
        let pause = 10 * 2i64.pow((attempt - 1).min(5));
        assert_eq!(
            play.only().run_at,
            Some(now + chrono::TimeDelta::seconds(pause))
        );
    }
    assert!(play.out.failures.is_empty());
}

#[test]
fn a_task_whose_date_cannot_be_told_keeps_its_task() {
    let mut play = workflow(json!([
        {"name": "t", "kind": "task", "participant": "p", "due": {"anchor": "subject.d", "days": 3}},
        {"name": "f", "kind": "finish"}
    ]));
    play.date("d", "2026-03-02");
    play.start();
    play.date("d", "infinity");
    play.changed();
    assert_eq!(play.open(), ["t/1 failed"]);
    assert!(play.retry("t").is_err(), "the cause is still there");
    play.date("d", "2026-03-03");
    play.retry("t").unwrap();
    assert_eq!(play.open(), ["t/1 open"]);
    assert_eq!(play.out.tasks.len(), 1);
    assert_eq!(
        play.out.task_moves[0].due_at,
        Some(amsterdam("2026-03-06 00:00"))
    );
    play.settle("t", None).unwrap();
    assert_eq!(play.ended().0, "completed");
}

#[test]
fn a_planned_start_that_failed_is_planned_anew() {
    let mut play = with(
        json!([{"name": "f", "kind": "finish"}]),
        json!({"start": {"when": "c", "on": {"anchor": "subject.d"}}}),
    );
    play.true_conditions.push("c".to_owned());
    play.date("d", "2026-03-02");
    play.enroll().unwrap();
    play.date("d", "infinity");
    play.changed();
    assert_eq!(play.open(), ["start/1 failed"]);
    play.date("d", "2026-03-03");
    play.retry("start").unwrap();
    assert_eq!(play.open(), ["start/1 scheduled"]);
    assert_eq!(play.only().run_at, Some(amsterdam("2026-03-03 00:00")));
}

#[test]
fn arw_21_25_cancelling_is_final() {
    let mut play = workflow(json!([
        {"name": "e", "kind": "email", "template": "t"}, {"name": "f", "kind": "finish"}
    ]));
    play.sender = false;
    play.start();
    assert_eq!(play.open(), ["e/1 sending"]);
    play.cancel("unassigned").unwrap();
    assert_eq!(play.ended(), ("cancelled", "cancelled", "unassigned"));
    assert_eq!(play.out.suppressions[0].reason, "unassigned");
    assert_eq!(
        play.history(),
        [
            "case_started",
            "step_cancelled e/1 unassigned",
            "case_cancelled cancelled"
        ]
    );
    let error = play.cancel("again").unwrap_err();
    assert_eq!(
        error.detail.as_deref(),
        Some("Outcome \"cancelled\", reason \"unassigned\".")
    );
    // What still comes in about its message moves nothing.
    play.came_to(1, 1, crate::kinds::DoneWhen::Delivered);
    assert_eq!(play.out.history.len(), 3);
}

#[test]
fn skipping_needs_one_way_on() {
    let mut play = workflow(json!([
        {"name": "e", "kind": "email", "template": "t"},
        {"name": "q", "kind": "question", "participant": "p", "options": [{"name": "A", "next": "f"}, {"name": "B", "next": "f"}]},
        {"name": "f", "kind": "finish"}
    ]));
    play.sender = false;
    play.start();
    play.skip("e").unwrap();
    assert_eq!(play.out.suppressions[0].step, Some((1, 1)));
    assert_eq!(
        said(play.skip("q")),
        "55000: step \"q\" cannot be skipped: no single step follows it"
    );
    assert_eq!(play.history(), ["case_started", "step_skipped e/1 skipped"]);
}

#[test]
fn a_task_that_follows_is_there_for_whoever_settled_the_one_before() {
    let mut play = workflow(json!([
        {"name": "a", "kind": "task", "participant": "p", "due": {"days": 1}},
        {"name": "b", "kind": "task", "participant": "p", "due": {"days": 1}},
        {"name": "c", "kind": "task", "participant": "p", "due": {"days": 1}, "on": {"days": 5}},
        {"name": "d", "kind": "task", "participant": "p", "due": {"days": 1}, "when": "c1"},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    let mut out = Effects::default();
    let settlement = Settlement {
        outcome: None,
        data: None,
    };
    play.ask(&Default::default(), |case, facts, env, _| {
        case.settle(0, settlement, facts, env, &mut out)
    })
    .unwrap();
    assert_eq!(play.open(), ["b/1 open"], "before anything has fired");
    assert_eq!(out.tasks.len(), 1);
    play.settle("b", None).unwrap();
    assert_eq!(play.open(), ["c/1 scheduled"], "it appears on its date");
    play.advance("c").unwrap();
    play.settle("c", None).unwrap();
    assert_eq!(play.ended().0, "completed", "its condition was not met");
}

#[test]
fn a_planned_case_that_a_stop_rule_would_end_does_not_start() {
    let mut play = with(
        json!([{"name": "f", "kind": "finish"}]),
        json!({"start": {"when": "c", "on": {"anchor": "subject.d"}}, "stop": [{"when": "s", "reason": "paid"}]}),
    );
    play.true_conditions.push("c".to_owned());
    play.date("d", "2026-03-02");
    play.enroll().unwrap();
    play.true_conditions.push("s".to_owned());
    play.clock(amsterdam("2026-03-02 00:00"));
    assert_eq!(play.ended(), ("cancelled", STOPPED, "paid"));
    let starts = |conditions: &[bool]| play.case.program.starts(conditions);
    assert!(starts(&[false, true]));
    assert!(!starts(&[true, true]) && !starts(&[false, false]) && !starts(&[false, true, false]));
}
