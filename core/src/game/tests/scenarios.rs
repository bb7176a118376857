//! The walk-throughs, on the examples.

use super::*;

/// A report that ends on a day, entered on 2026-01-05.
fn report(ends: &str) -> Play {
    report_late(ends, "now")
}

fn report_late(ends: &str, late: &str) -> Play {
    let document = include_str!("../../../../examples/scope-10.json");
    let document = document.replace("\"late\": \"now\"", &format!("\"late\": \"{late}\""));
    let mut play = Play::new(&document);
    play.date("end_date", ends);
    play.text("policy_number", "P-1");
    play.text("customer_name", "Ann");
    play.text("email", "ann@example.com");
    play.true_conditions
        .push("scope = 10 and policy_status = 'active'".to_owned());
    play
}

/// S1 up to the question A/B/C.
fn up_to_the_question() -> Play {
    let mut play = report("2027-03-15");
    assert!(play.enroll().unwrap());
    assert_eq!(play.open(), ["start/1 scheduled"]);
    assert_eq!(play.ended().0, "planned");
    assert_eq!(play.only().run_at, Some(amsterdam("2026-04-15 00:00")));

    play.sender = false;
    play.clock(amsterdam("2026-04-15 07:59"));
    assert_eq!(play.open(), ["request_email/1 sending"]);
    assert_eq!(
        play.out.messages[0].not_before,
        amsterdam("2026-04-15 08:00")
    );
    play.clock(amsterdam("2026-04-15 08:00"));
    assert_eq!(
        play.open(),
        ["request_email/1 sending"],
        "not acknowledged yet"
    );
    assert!(play.out.tasks.is_empty());
    play.sender = true;
    play.settle_down();
    assert_eq!(play.open(), ["follow_up/1 open"]);
    assert_eq!(
        play.only().due_at,
        Some(amsterdam("2026-08-17 00:00")),
        "2026-08-15 is a Saturday"
    );

    play.clock(amsterdam("2026-08-18 10:00"));
    assert_eq!(play.open(), ["follow_up/1 open"]);
    play.settle("follow_up", None).unwrap();
    assert_eq!(play.open(), ["how_to_go_on/1 open"]);
    play
}

/// S1 up to the first question whether the report is in, answered with no, and everything settled.
fn once_round() -> Play {
    let mut play = up_to_the_question();
    play.settle("how_to_go_on", Some("A")).unwrap();
    assert_eq!(play.open(), ["a_task/1 open"]);
    assert_eq!(play.out.notes[0].body, "Inspection planned for policy P-1.");
    assert_eq!(play.only().due_at, Some(amsterdam("2027-01-15 00:00")));
    play.clock(amsterdam("2027-01-18 10:00"));
    play.settle("a_task", None).unwrap();
    assert_eq!(play.open(), ["a_report_in/1 open"]);
    play.settle("a_report_in", Some("no")).unwrap();
    assert_eq!(play.open(), ["a_control/1 open"]);
    play.clock(amsterdam("2027-02-10 10:00"));
    play.settle("a_control", None).unwrap();
    assert_eq!(play.open(), ["a_report_in/2 open"]);
    play
}

#[test]
fn s1_scope_10_one_loop_then_yes() {
    let mut play = once_round();
    play.settle("a_report_in", Some("yes")).unwrap();
    assert_eq!(play.open(), ["a_enter_date/1 open"]);
    play.settle("a_enter_date", None).unwrap();
    assert_eq!(play.ended(), ("completed", "report received", ""));
    assert_eq!(play.out.messages.len(), 2);
    assert_eq!(play.out.notes.len(), 3);
    assert_eq!(play.made("task"), 4);
    assert_eq!(
        play.history(),
        [
            "case_planned start/1",
            "case_started",
            "step_done request_email/1 sent",
            "step_done follow_up/1 done",
            "step_done how_to_go_on/1 A",
            "step_done a_note/1 done",
            "step_done a_task/1 done",
            "step_done a_report_in/1 no",
            "step_done a_no_email/1 sent",
            "step_done a_no_note/1 done",
            "step_done a_control/1 done",
            "step_done a_again/1 again",
            "step_done a_report_in/2 yes",
            "step_done a_enter_date/1 done",
            "step_done a_done_note/1 done",
            "step_done a_finish/1 done",
            "case_completed report received",
        ]
    );
    let stages: Vec<i16> = play.case.program.steps.iter().map(|s| s.stage).collect();
    assert_eq!(stages[..7], [1, 2, 3, 4, 5, 6, 7]);
    assert!(stages.is_sorted());
}

#[test]
fn s2_as_13_a_third_question_never_comes() {
    let mut play = once_round();
    play.settle("a_report_in", Some("no")).unwrap();
    assert_eq!(play.open(), ["a_control/2 open"]);
    assert_eq!(
        said(play.branch("a_control", "again")),
        "55000: step \"a_control\" has no legs to choose from"
    );
    assert_eq!(
        said(play.settle("a_report_in", Some("no"))),
        "55000: step \"a_report_in\" of case 1 is not open"
    );
    play.settle("a_control", None).unwrap();
    assert_eq!(play.ended(), ("completed", "loop exhausted", ""));
    assert_eq!(play.out.messages.len(), 3);
    assert_eq!(play.made("question"), 3, "A/B/C once, the report twice");
    for refused in [
        play.branch("a_report_in", "no"),
        play.settle("a_report_in", Some("no")),
        play.advance("a_again"),
        play.retry("a_again"),
        play.skip("a_control"),
        play.hold(),
        play.cancel("x"),
    ] {
        assert_eq!(said(refused), "55000: case 1 has ended: it is completed");
    }
}

#[test]
fn s3_as_14_answer_b_ends_with_its_task() {
    let mut play = up_to_the_question();
    play.settle("how_to_go_on", Some("B")).unwrap();
    assert_eq!(play.open(), ["b_task/1 open"]);
    assert_eq!((play.out.messages.len(), play.out.notes.len()), (2, 1));
    play.settle("b_task", None).unwrap();
    assert_eq!(play.ended(), ("completed", "sold", ""));
}

#[test]
fn s3_as_16_answer_c_has_the_same_loop() {
    let mut play = up_to_the_question();
    play.settle("how_to_go_on", Some("C")).unwrap();
    assert_eq!(play.open(), ["c_task/1 open"]);
    assert_eq!(play.only().due_at, Some(amsterdam("2027-01-15 00:00")));
    for _ in 0..2 {
        if play.open() == ["c_task/1 open"] {
            play.settle("c_task", None).unwrap();
        }
        play.settle("c_report_in", Some("no")).unwrap();
        play.settle("c_control", None).unwrap();
    }
    assert_eq!(play.ended(), ("completed", "loop exhausted", ""));
}

#[test]
fn s4_a_corrected_date_moves_the_open_task_with_one_row_of_history() {
    let mut play = report("2027-03-15");
    play.enroll().unwrap();
    play.clock(amsterdam("2026-05-01 09:00"));
    assert_eq!(play.open(), ["follow_up/1 open"]);
    play.date("end_date", "2027-06-15");
    play.changed();
    play.changed();
    assert_eq!(play.only().due_at, Some(amsterdam("2026-11-16 00:00")));
    let moved: Vec<_> = play
        .out
        .history
        .iter()
        .filter(|r| r.event == Event::Rescheduled)
        .collect();
    assert_eq!(moved.len(), 1);
    assert_eq!(
        moved[0].detail.as_deref(),
        Some("{\"old\":\"2026-08-16T22:00:00Z\",\"new\":\"2026-11-15T23:00:00Z\"}")
    );
    assert_eq!(play.out.task_moves.len(), 1);
    assert_eq!(
        play.out.task_moves[0].due_at,
        Some(amsterdam("2026-11-16 00:00"))
    );
    assert_eq!(play.out.messages.len(), 1, "the e-mail is not sent again");
}

#[test]
fn s4_a_planned_start_moves_and_withdraws() {
    let mut play = report("2027-03-15");
    play.enroll().unwrap();
    play.date("end_date", "2028-03-15");
    play.changed();
    assert_eq!(play.only().run_at, Some(amsterdam("2027-04-15 00:00")));
    assert_eq!(play.history()[1..], ["rescheduled start/1"]);
    play.set("end_date", ColumnType::Date, None);
    play.changed();
    assert_eq!(play.only().run_at, None, "it waits for a date");
    play.date("end_date", "2027-03-15");
    play.changed();
    assert_eq!(play.only().run_at, Some(amsterdam("2026-04-15 00:00")));
    play.true_conditions.clear();
    play.changed();
    assert_eq!(
        play.ended(),
        ("cancelled", STOPPED, "start condition no longer holds")
    );
}

#[test]
fn s4_late_now_skip_and_ask() {
    let entered = amsterdam("2026-12-01 10:00");
    let late = |how: &str| {
        let mut play = report_late("2027-03-15", how);
        play.now = entered;
        play.enroll().unwrap();
        play
    };
    let now = late("now");
    assert_eq!(now.open(), ["follow_up/1 open"]);
    assert_eq!(now.out.messages.len(), 1);

    let skip = late("skip");
    assert_eq!(
        skip.open(),
        ["how_to_go_on/1 open"],
        "both dates before it have passed"
    );
    assert!(skip.out.messages.is_empty());
    assert_eq!(
        skip.history(),
        [
            "case_started",
            "step_skipped request_email/1 late",
            "step_skipped follow_up/1 late"
        ]
    );

    for (answer, open) in [
        ("start", "follow_up/1 open"),
        ("skip", "how_to_go_on/1 open"),
    ] {
        let mut ask = late("ask");
        assert_eq!(ask.open(), ["start/1 open"]);
        assert_eq!(ask.out.tasks[0].outcomes, ["start", "skip", "cancel"]);
        assert_eq!(ask.out.tasks[0].participant.as_deref(), Some("back_office"));
        assert_eq!(
            said(ask.settle("start", Some("perhaps"))),
            "42704: step \"start\" has no outcome \"perhaps\""
        );
        ask.settle("start", Some(answer)).unwrap();
        assert_eq!(ask.open(), [open]);
    }
    let mut ask = late("ask");
    ask.settle("start", Some("cancel")).unwrap();
    assert_eq!(ask.ended(), ("cancelled", "cancelled", "not started"));
}

#[test]
fn s4_a_date_that_counts_from_a_step_skipped_for_being_late_counts_from_the_skip() {
    let mut play = Play::new(
        &json!({
            "format": 1, "name": "w", "subject": "invoice",
            "start": {"when": "open", "on": {"anchor": "subject.d", "days": -5}, "late": "skip"},
            "phases": [{"name": "p", "steps": [
                {"name": "a", "kind": "note", "text": "x", "on": {"anchor": "subject.d"}},
                {"name": "b", "kind": "wait", "on": {"anchor": "step.a", "days": 2, "roll": "none"}},
                {"name": "f", "kind": "finish"}
            ]}]
        })
        .to_string(),
    );
    play.now = amsterdam("2026-12-01 10:00");
    play.date("d", "2026-11-20");
    play.true_conditions.push("open".to_owned());
    play.enroll().unwrap();
    assert_eq!(play.open(), ["b/1 scheduled"]);
    assert_eq!(play.only().run_at, Some(amsterdam("2026-12-03 00:00")));
}

#[test]
fn a_late_start_that_is_settled_on_hold_stays_on_hold() {
    let mut play = report_late("2027-03-15", "ask");
    play.now = amsterdam("2026-12-01 10:00");
    play.enroll().unwrap();
    play.hold().unwrap();
    play.settle("start", Some("start")).unwrap();
    assert_eq!(
        (play.ended().0, play.open()),
        ("held", vec!["request_email/1 held".to_owned()])
    );
    play.release().unwrap();
    assert_eq!(play.open(), ["follow_up/1 open"]);
}

#[test]
fn as_15_no_date_no_case() {
    let mut play = report("2027-03-15");
    play.set("end_date", ColumnType::Date, None);
    assert!(!play.enroll().unwrap());
    assert!(play.case.tokens.is_empty() && play.out.history.is_empty());
    play.date("end_date", "infinity");
    assert_eq!(play.enroll().unwrap_err().code, ErrorCode::Anchor);
}

/// An invoice over 1,000 EUR.
fn invoice(due: &str) -> Play {
    let mut play = Play::new(include_str!("../../../../examples/dunning.json"));
    play.date("due_date", due);
    play.text("email", "ann@example.com");
    play.text("phone", "+31 6");
    play.text("number", "2026-001");
    play.text("customer_name", "Ann");
    play.text("currency", "EUR");
    play.set("open_amount", ColumnType::Number, Some("1000.00"));
    play.true_conditions
        .push("state = 'posted' and open_amount > 5".to_owned());
    play.true_conditions.push("phone is not null".to_owned());
    play.now = amsterdam("2026-04-02 12:00");
    play
}

#[test]
fn s5_thirty_sixty_ninety_then_a_person_decides() {
    let mut play = invoice("2026-04-01");
    assert!(play.enroll().unwrap());
    assert_eq!(
        play.only().run_at,
        Some(amsterdam("2026-05-04 00:00")),
        "1 May is closed"
    );
    play.clock(amsterdam("2026-06-01 09:00"));
    assert_eq!(play.open(), ["level_3/1 scheduled"]);
    let left: Vec<_> = play
        .out
        .messages
        .iter()
        .map(|m| (m.channel, m.not_before))
        .collect();
    assert_eq!(
        left,
        [
            ("email", amsterdam("2026-05-04 08:00")),
            ("email", amsterdam("2026-06-01 08:00")),
            ("sms", amsterdam("2026-06-01 08:00")),
        ]
    );
    play.clock(amsterdam("2026-06-30 09:00"));
    assert_eq!(play.open(), ["review/1 open"]);
    play.settle("review", Some("to_agency")).unwrap();
    assert_eq!(play.ended(), ("completed", "handed over", ""));
    assert!(
        play.out.notes[0]
            .body
            .starts_with("Invoice 2026-001 handed to the collection agency")
    );
    assert_eq!(play.case.memory.answers["review"], "to_agency");
}

#[test]
fn s5_paid_midway_the_case_is_cancelled() {
    let paid = "state = 'paid' or open_amount <= 5".to_owned();
    // Found out by the change of the row.
    let mut play = invoice("2026-04-01");
    play.enroll().unwrap();
    play.clock(amsterdam("2026-05-20 12:00"));
    play.true_conditions.push(paid.clone());
    play.changed();
    assert_eq!(play.ended(), ("cancelled", STOPPED, "paid"));
    assert_eq!(
        play.history()[2..],
        ["step_cancelled level_2/1 paid", "case_cancelled stopped"]
    );
    assert!(play.case.tokens.is_empty());

    // Found out when the next step is due; and with a message on the way, which is held back.
    let mut play = invoice("2026-04-01");
    play.enroll().unwrap();
    play.true_conditions.push(paid.clone());
    play.clock(amsterdam("2026-05-04 00:00"));
    assert_eq!(play.ended(), ("cancelled", STOPPED, "paid"));
    assert!(play.out.messages.is_empty());

    let mut play = invoice("2026-04-01");
    play.enroll().unwrap();
    play.clock(amsterdam("2026-05-04 07:00"));
    assert_eq!(play.open(), ["level_1/1 sending"]);
    play.true_conditions.push(paid);
    play.changed();
    assert_eq!(play.out.suppressions.len(), 1);
    assert_eq!(play.out.suppressions[0].reason, "paid");
}

#[test]
fn a_row_that_is_deleted_ends_its_case() {
    let mut play = invoice("2026-04-01");
    play.enroll().unwrap();
    play.row = None;
    play.changed();
    assert_eq!(play.ended(), ("cancelled", STOPPED, "subject gone"));
    play.changed();

    let mut play = invoice("2026-04-01");
    play.enroll().unwrap();
    play.row = None;
    play.clock(amsterdam("2026-05-04 00:00"));
    assert_eq!(play.ended(), ("cancelled", STOPPED, "subject gone"));
}
