//! Events: signals in time, early and late, conditions that become true, and the first of several.

use super::*;

/// A task, a signal, a task.
fn papers() -> Play {
    workflow(json!([
        {"name": "ask", "kind": "task", "participant": "p", "due": {"days": 1}},
        {"name": "papers", "kind": "event", "signal": "papers in"},
        {"name": "read", "kind": "task", "participant": "p", "due": {"days": 1}},
        {"name": "f", "kind": "finish"}
    ]))
}

fn last_detail(play: &Play) -> String {
    let mut rows = play.out.history.iter().rev();
    rows.find_map(|row| row.detail.clone()).unwrap()
}

#[test]
fn cs_14_a_signal_moves_the_step_that_waits_for_it() {
    let mut play = papers();
    play.start();
    play.settle("ask", None).unwrap();
    assert_eq!(play.open(), ["papers/1 waiting"]);
    play.clock(utc("2026-03-01 12:00"));
    assert_eq!(play.open(), ["papers/1 waiting"]);
    play.signal("papers in", Some(r#"{"pages": 3}"#)).unwrap();
    assert_eq!(play.open(), ["read/1 open"]);
    assert_eq!(play.case.vars.as_deref(), Some(r#"{"pages":3}"#));
    assert_eq!(
        last_detail(&play),
        r#"{"signal":"papers in","data":{"pages":3}}"#
    );
}

#[test]
fn cs_14_an_early_signal_is_kept_until_the_token_comes() {
    let mut play = papers();
    play.start();
    play.signal("papers in", Some(r#"{"pages": 3}"#)).unwrap();
    play.signal("papers in", Some(r#"{"pages": 4}"#)).unwrap();
    assert_eq!(play.open(), ["ask/1 open"]);
    assert!(play.history().contains(&"signalled kept".to_owned()));
    play.settle("ask", None).unwrap();
    assert_eq!(play.open(), ["read/1 open"]);
    assert_eq!(last_detail(&play), r#"{"signal":"papers in","kept":true}"#);
    assert_eq!(play.case.vars.as_deref(), Some(r#"{"pages":4}"#));
    assert_eq!(play.case.memory.signals.len(), 0);
}

#[test]
fn cs_14_a_late_signal_is_noted_and_moves_nothing() {
    let mut play = papers();
    play.start();
    play.settle("ask", None).unwrap();
    play.signal("papers in", None).unwrap();
    play.signal("papers in", Some(r#"{"pages": 9}"#)).unwrap();
    assert_eq!(play.open(), ["read/1 open"]);
    assert_eq!(play.case.vars, None);
    assert_eq!(play.history().last().unwrap(), "signalled late");
    play.settle("read", None).unwrap();
    assert_eq!(
        play.signal("papers in", None).unwrap_err().code,
        ErrorCode::State
    );
}

#[test]
fn a_signal_that_no_step_waits_for_is_refused_with_those_that_are_known() {
    let mut play = papers();
    play.start();
    let error = play.signal("papers", None).unwrap_err();
    assert_eq!(error.code, ErrorCode::Unknown);
    assert_eq!(error.detail.unwrap(), "It waits for \"papers in\".");
    assert_eq!(
        play.signal("papers in", Some("[1]")).unwrap_err().code,
        ErrorCode::Definition
    );
    assert_eq!(play.case.memory.signals.len(), 0);
}

#[test]
fn a_signal_for_a_case_on_hold_takes_effect_when_it_is_released() {
    let mut play = papers();
    play.start();
    play.settle("ask", None).unwrap();
    play.hold().unwrap();
    play.signal("papers in", None).unwrap();
    assert_eq!(play.open(), ["read/1 open"]);
    let mut play = workflow(json!([
        {"name": "papers", "kind": "event", "signal": "papers in"},
        {"name": "n", "kind": "note", "text": "x"},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    play.hold().unwrap();
    play.signal("papers in", None).unwrap();
    assert_eq!(play.open(), ["n/1 held"]);
    play.release().unwrap();
    assert_eq!(play.ended().0, "completed");
}

#[test]
fn cs_14_an_event_of_the_subject_waits_until_it_holds() {
    let document = || {
        workflow(json!([
            {"name": "paid", "kind": "event", "until": "open = 0"},
            {"name": "thank", "kind": "task", "participant": "p", "due": {"days": 1}},
            {"name": "f", "kind": "finish"}
        ]))
    };
    let mut play = document();
    play.start();
    assert_eq!(play.open(), ["paid/1 waiting"]);
    play.changed();
    assert_eq!(play.open(), ["paid/1 waiting"]);
    play.hold().unwrap();
    play.true_conditions.push("open = 0".to_owned());
    play.changed();
    assert_eq!(play.open(), ["paid/1 held"]);
    play.release().unwrap();
    assert_eq!(play.open(), ["thank/1 open"]);
    let mut play = document();
    play.true_conditions.push("open = 0".to_owned());
    play.start();
    assert_eq!(play.open(), ["thank/1 open"]);
}

#[test]
fn an_event_that_waits_for_an_answer_is_asked_again_when_it_is_given() {
    let mut play = workflow(json!([
        {"name": "p", "kind": "parallel", "branches": ["agreed", "ask"]},
        {"name": "agreed", "kind": "event", "until": "answers ->> 'ask' = 'yes'", "next": "j"},
        {"name": "ask", "kind": "question", "participant": "p",
         "options": [{"name": "yes", "next": "j"}, {"name": "no", "next": "j"}]},
        {"name": "j", "kind": "join", "of": "p"},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    assert_eq!(play.open(), ["agreed/1 waiting", "ask/1 open"]);
    play.true_conditions
        .push("answers ->> 'ask' = 'yes'".to_owned());
    play.settle("ask", Some("yes")).unwrap();
    assert_eq!(play.ended().0, "completed");
}

/// A signal, ten days, or an answer.
fn first_of() -> Play {
    workflow(json!([
        {"name": "first", "kind": "first_of", "branches": ["paid", "late", "ask"]},
        {"name": "paid", "kind": "event", "signal": "paid", "next": "thanked"},
        {"name": "late", "kind": "wait", "on": {"days": 10, "roll": "none"}, "next": "chased"},
        {"name": "ask", "kind": "question", "participant": "p",
         "options": [{"name": "pays", "next": "first"}, {"name": "refuses", "next": "sued"}]},
        {"name": "thanked", "kind": "finish", "outcome": "thanked"},
        {"name": "chased", "kind": "finish", "outcome": "chased"},
        {"name": "sued", "kind": "finish", "outcome": "sued"}
    ]))
}

#[test]
fn the_first_of_an_event_a_date_and_an_answer_decides() {
    let mut play = first_of();
    play.start();
    assert_eq!(
        play.open(),
        ["paid/1 waiting", "late/1 scheduled", "ask/1 open"]
    );
    play.signal("paid", None).unwrap();
    assert_eq!(play.ended().1, "thanked");
    assert_eq!(
        play.history()[2..5],
        [
            "step_done paid/1 done",
            "step_cancelled late/1 not needed",
            "step_cancelled ask/1 not needed"
        ]
    );
    let mut play = first_of();
    play.start();
    play.clock(utc("2026-01-16 12:00"));
    assert_eq!(play.ended().1, "chased");
    let mut play = first_of();
    play.start();
    play.settle("ask", Some("refuses")).unwrap();
    assert_eq!(play.ended().1, "sued");
    let mut play = first_of();
    play.start();
    play.settle("ask", Some("pays")).unwrap();
    assert_eq!(
        play.open(),
        ["paid/2 waiting", "late/2 scheduled", "ask/2 open"]
    );
}

#[test]
fn s20_after_an_outage_the_earlier_date_comes_first() {
    let dates = |first: i64, second: i64| {
        let mut play = workflow(json!([
            {"name": "first", "kind": "first_of", "branches": ["a", "b"]},
            {"name": "a", "kind": "wait", "on": {"days": first, "roll": "none"}, "next": "fa"},
            {"name": "b", "kind": "wait", "on": {"days": second, "roll": "none"}, "next": "fb"},
            {"name": "fa", "kind": "finish", "outcome": "a"},
            {"name": "fb", "kind": "finish", "outcome": "b"}
        ]));
        play.start();
        play.now = utc("2026-03-01 12:00");
        play.settle_down();
        play.ended().1.to_owned()
    };
    assert_eq!(dates(20, 3), "b");
    assert_eq!(dates(3, 20), "a");
    assert_eq!(dates(5, 5), "a");
}

#[test]
fn skipping_one_of_several_lets_it_come_first() {
    let mut play = first_of();
    play.start();
    play.skip("late").unwrap();
    assert_eq!(play.ended().1, "chased");
}

#[test]
fn an_early_signal_decides_as_soon_as_the_steps_wait() {
    let mut play = workflow(json!([
        {"name": "before", "kind": "task", "participant": "p", "due": {"days": 1}},
        {"name": "first", "kind": "first_of", "branches": ["work", "paid"]},
        {"name": "work", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "f"},
        {"name": "paid", "kind": "event", "signal": "paid", "next": "f"},
        {"name": "f", "kind": "finish", "merge": true}
    ]));
    play.start();
    play.signal("paid", None).unwrap();
    play.settle("before", None).unwrap();
    assert_eq!(play.ended().0, "completed");
    assert!(
        play.history()
            .contains(&"step_cancelled work/1 not needed".to_owned())
    );
}
