//! Kinds of steps: decisions, conditions, messages, updates, waits, repeats.

use super::*;
use crate::kinds::DoneWhen;

#[test]
fn a_decision_takes_the_first_leg_that_holds() {
    let play = |conditions: &[&str]| {
        let mut play = workflow(json!([
            {"name": "d", "kind": "decision", "otherwise": "other",
             "legs": [{"name": "A", "when": "a", "next": "fa"}, {"name": "B", "when": "b", "next": "fb"}]},
            {"name": "fa", "kind": "finish", "outcome": "A"},
            {"name": "fb", "kind": "finish", "outcome": "B"},
            {"name": "other", "kind": "finish", "outcome": "none"}
        ]));
        play.true_conditions = conditions.iter().map(|c| (*c).to_owned()).collect();
        play.start();
        play
    };
    assert_eq!(play(&["a", "b"]).ended().1, "A");
    assert_eq!(play(&["b"]).ended().1, "B");
    assert_eq!(play(&[]).ended().1, "none");
    assert!(
        play(&["b"])
            .history()
            .contains(&"step_done d/1 B".to_owned())
    );
}

#[test]
fn a_step_whose_condition_is_not_met_is_skipped() {
    let document = json!([
        {"name": "d", "kind": "decision", "when": "w", "next": "n",
         "legs": [{"name": "A", "when": "a", "next": "f"}], "otherwise": "g"},
        {"name": "n", "kind": "note", "text": "x", "next": "f"},
        {"name": "g", "kind": "finish", "outcome": "g"},
        {"name": "f", "kind": "finish", "outcome": "f"}
    ]);
    let stop = json!({"stop": [{"when": "s", "reason": "paid"}]});
    let play = |conditions: &[&str]| {
        let mut play = with(document.clone(), stop.clone());
        play.true_conditions = conditions.iter().map(|c| (*c).to_owned()).collect();
        play.start();
        play
    };
    // The leg's condition is not taken for the step's, nor the stop rule's.
    let skipped = play(&["a"]);
    assert_eq!((skipped.ended().1, skipped.out.notes.len()), ("f", 1));
    assert!(
        skipped
            .history()
            .contains(&"step_skipped d/1 skipped".to_owned())
    );
    assert_eq!(play(&["w"]).ended().1, "g");
    assert_eq!(play(&["w", "a"]).ended().1, "f");
    assert_eq!(
        play(&["w", "a", "s"]).ended(),
        ("cancelled", STOPPED, "paid")
    );
}

#[test]
fn as_03_04_a_message_is_done_when_its_step_says_so() {
    for (when, queued, sent) in [
        ("queued", true, true),
        ("sent", false, true),
        ("delivered", false, false),
    ] {
        let mut play = workflow(json!([
            {"name": "e", "kind": "sms", "template": "t", "done_when": when},
            {"name": "t", "kind": "task", "participant": "p", "due": {"days": 1}},
            {"name": "f", "kind": "finish"}
        ]));
        play.sender = false;
        play.start();
        assert_eq!(play.open() == ["t/1 open"], queued, "{when} when queued");
        play.came_to(1, 1, DoneWhen::Sent);
        play.settle_down();
        assert_eq!(play.open() == ["t/1 open"], sent, "{when} when sent");
        play.came_to(1, 1, DoneWhen::Delivered);
        play.came_to(1, 1, DoneWhen::Delivered);
        play.settle_down();
        assert_eq!(play.open(), ["t/1 open"]);
        assert!(play.history().contains(&format!("step_done e/1 {when}")));
    }
}

#[test]
fn s1_a_message_outside_the_window_is_rendered_when_it_opens() {
    let mut play = with(
        json!([
            {"name": "e", "kind": "email", "template": "t", "done_when": "queued"},
            {"name": "f", "kind": "finish"}
        ]),
        json!({"contact_window": {"days": "mon-fri", "from": "08:00", "to": "20:00"}}),
    );
    play.now = amsterdam("2026-01-10 10:00");
    play.start();
    assert_eq!(play.open(), ["e/1 sending"]);
    let message = &play.out.messages[0];
    assert_eq!(
        (message.state, &message.payload),
        (MessageState::Deferred, &None)
    );
    assert_eq!(message.not_before, amsterdam("2026-01-12 08:00"));
    assert_eq!(message.not_after, Some(amsterdam("2026-01-12 20:00")));
    play.clock(amsterdam("2026-01-12 08:00"));
    assert_eq!(play.ended().0, "completed");
}

#[test]
fn s17_a_message_that_reaches_nobody_takes_its_other_leg() {
    let document = json!([
        {"name": "e", "kind": "email", "template": "t", "otherwise": "c"},
        {"name": "f", "kind": "finish"},
        {"name": "c", "kind": "call", "participant": "p", "due": {"days": 1}, "next": "f"}
    ]);
    let mut play = workflow(document.clone());
    play.set("email", ColumnType::Text, None);
    play.start();
    assert_eq!(play.open(), ["c/1 open"]);
    assert_eq!(play.history()[1], "step_done e/1 undeliverable");

    let bounce = |play: &mut Play| {
        let error = crate::Error::new(ErrorCode::State, "mailbox unknown");
        play.ask(&Default::default(), |case, facts, env, out| {
            case.message_failed(1, 1, Event::MessageBounced, &error, facts, env, out);
        });
        play.settle_down();
    };
    let mut play = workflow(document);
    play.sender = false;
    play.start();
    bounce(&mut play);
    assert_eq!(play.open(), ["c/1 open"]);
    assert!(play.out.failures.is_empty());

    let mut play = workflow(json!([
        {"name": "e", "kind": "email", "template": "t"}, {"name": "f", "kind": "finish"}
    ]));
    play.sender = false;
    play.start();
    bounce(&mut play);
    bounce(&mut play);
    assert_eq!(play.open(), ["e/1 failed"]);
    assert_eq!(
        play.history()[1..],
        ["message_bounced e/1", "step_failed e/1"]
    );
    play.sender = true;
    play.retry("e").unwrap();
    assert_eq!((play.ended().0, play.out.messages.len()), ("completed", 2));
}

#[test]
fn a_locked_row_of_the_erp_is_come_back_to() {
    let mut play = workflow(json!([
        {"name": "u", "kind": "update", "set": {"state": "'x'"}}, {"name": "f", "kind": "finish"}
    ]));
    play.locked = true;
    play.start();
    assert_eq!(play.open(), ["u/1 scheduled"]);
    assert_eq!(
        play.only().run_at,
        Some(play.now + chrono::TimeDelta::seconds(1))
    );
    assert_eq!(play.only().attempts, 0, "that is no failure");
    play.locked = false;
    play.clock(play.now + chrono::TimeDelta::seconds(1));
    assert_eq!(play.ended().0, "completed");
}

#[test]
fn dates_count_from_the_start_the_step_before_and_a_named_step() {
    let mut play = workflow(json!([
        {"name": "w1", "kind": "wait", "on": {"anchor": "case_start", "days": 2, "time": "10:00", "roll": "none"}},
        {"name": "w2", "kind": "wait", "on": {"anchor": "previous_done", "hours": 5}},
        {"name": "w3", "kind": "wait", "on": {"anchor": "step.w1", "days": 3, "roll": "none"}},
        {"name": "w4", "kind": "wait", "on": {"anchor": "subject.d"}},
        {"name": "f", "kind": "finish"}
    ]));
    play.set("d", ColumnType::TimestampTz, None);
    play.now = amsterdam("2026-01-05 12:00");
    play.start();
    let mut dates = Vec::new();
    for _ in 0..3 {
        let at = play.only().run_at.unwrap();
        dates.push(at);
        play.clock(at);
    }
    assert_eq!(
        dates,
        [
            amsterdam("2026-01-07 10:00"),
            amsterdam("2026-01-07 15:00"),
            amsterdam("2026-01-10 00:00")
        ]
    );
    assert_eq!(play.open(), ["w4/1 scheduled"]);
    assert_eq!(play.only().run_at, None, "the column is empty");
    play.set(
        "d",
        ColumnType::TimestampTz,
        Some(&utc("2026-02-02 10:30").timestamp_micros().to_string()),
    );
    play.changed();
    assert_eq!(play.only().run_at, Some(utc("2026-02-02 10:30")));
    assert_eq!(
        play.only().due_at,
        play.only().run_at,
        "people see when it will happen"
    );
}

#[test]
fn the_history_of_a_task_whose_start_moves_names_the_start() {
    let mut play = workflow(json!([
        {"name": "t", "kind": "task", "participant": "p", "on": {"anchor": "subject.d"}, "due": {"anchor": "case_start", "days": 60}},
        {"name": "f", "kind": "finish"}
    ]));
    play.date("d", "2026-02-02");
    play.start();
    play.date("d", "2026-02-03");
    play.changed();
    let detail = play.out.history.last().unwrap().detail.as_deref();
    assert_eq!(
        detail,
        Some("{\"old\":\"2026-02-01T23:00:00Z\",\"new\":\"2026-02-02T23:00:00Z\"}")
    );
    assert!(play.out.task_moves.is_empty(), "there is no task yet");
}

#[test]
fn a_start_that_hangs_on_no_column_does_not_move_with_the_row() {
    let mut play = with(
        json!([{"name": "f", "kind": "finish"}]),
        json!({"start": {"when": "c", "on": {"anchor": "case_start", "days": 10, "roll": "none"}}}),
    );
    play.true_conditions.push("c".to_owned());
    play.enroll().unwrap();
    play.clock(amsterdam("2026-01-10 09:00"));
    play.changed();
    assert_eq!(play.only().run_at, Some(amsterdam("2026-01-15 00:00")));
}

#[test]
fn a_repeat_lets_its_step_be_visited_just_so_often() {
    let mut play = workflow(json!([
        {"name": "n", "kind": "note", "text": "x"},
        {"name": "r", "kind": "repeat", "back_to": "n", "max_visits": 3, "exhausted": "f"},
        {"name": "f", "kind": "finish", "outcome": "used up"}
    ]));
    play.start();
    assert_eq!(play.ended(), ("completed", "used up", ""));
    let visits: Vec<i16> = play.out.notes.iter().map(|n| n.visit).collect();
    assert_eq!(visits, [1, 2, 3]);
}

#[test]
fn visits_are_counted_where_only_a_person_goes_back() {
    // Nothing but wf.skip leads from q to t again.
    let mut play = workflow(json!([
        {"name": "t", "kind": "task", "participant": "p", "due": {"days": 1}},
        {"name": "q", "kind": "question", "participant": "p", "next": "t",
         "options": [{"name": "A", "next": "f"}, {"name": "B", "next": "f"}]},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    play.settle("t", None).unwrap();
    play.skip("q").unwrap();
    assert_eq!(play.open(), ["t/2 open"]);
}

#[test]
fn a_text_that_cannot_be_rendered_parks_the_step() {
    let mut play = workflow(json!([
        {"name": "n", "kind": "note", "text": "{{ amount | money('EUR') }}"}, {"name": "f", "kind": "finish"}
    ]));
    play.text("amount", "lots");
    play.start();
    assert_eq!(play.open(), ["n/1 failed"]);
    assert_eq!(play.out.failures[0].sqlstate, "22023");
    play.set(
        "amount",
        ColumnType::Number,
        Some("12345678901234567890.10"),
    );
    play.retry("n").unwrap();
    assert!(
        play.out.notes[0]
            .body
            .contains("12,345,678,901,234,567,890.10"),
        "{:?}",
        play.out.notes
    );
}
