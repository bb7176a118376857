//! Several holds, what each stops, and the dates that move.

use super::*;
use crate::calendar::Zones;
use crate::calendar::testing::TzZones;
use chrono::{DateTime, Utc};

/// Two notes on days that hang on the row, and a task that comes after them.
fn two_notes() -> Play {
    let mut play = workflow(json!([
        {"name": "one", "kind": "note", "text": "x", "on": {"anchor": "subject.d"}},
        {"name": "two", "kind": "note", "text": "x", "on": {"anchor": "subject.d", "days": 7}},
        {"name": "last", "kind": "task", "participant": "p", "due": {"anchor": "subject.d", "days": 8}},
        {"name": "f", "kind": "finish"}
    ]));
    play.now = amsterdam("2026-06-01 12:00");
    play.date("d", "2026-06-10");
    play.start();
    play
}

fn local(at: DateTime<Utc>) -> String {
    let local = TzZones.to_local("Europe/Amsterdam", at).unwrap();
    local.format("%a %Y-%m-%d %H:%M").to_string()
}

fn done(play: &Play, step: &str) -> String {
    let no = play.case.program.step_named(step).unwrap().no;
    let note = play.noted_at.iter().find(|(step, _)| *step == no);
    note.map_or("never".to_owned(), |(_, at)| local(*at))
}

#[track_caller]
fn s8(clock: Clock, expected: [&str; 2]) {
    let mut play = two_notes();
    play.clock(amsterdam("2026-06-05 10:00"));
    play.hold_as(clock, &[Block::Steps]).unwrap();
    play.clock(amsterdam("2026-06-15 10:00"));
    assert!(play.out.notes.is_empty());
    play.release().unwrap();
    play.clock(amsterdam("2026-07-31 00:00"));
    assert_eq!([done(&play, "one"), done(&play, "two")], expected);
}

#[test]
fn s8_shift() {
    s8(
        Clock::Shift,
        ["Mon 2026-06-22 00:00", "Mon 2026-06-29 00:00"],
    );
}

#[test]
fn s8_shift_business() {
    s8(
        Clock::ShiftBusiness,
        ["Thu 2026-06-18 00:00", "Thu 2026-06-25 00:00"],
    );
}

#[test]
fn s8_run_on() {
    s8(
        Clock::RunOn,
        ["Mon 2026-06-15 10:00", "Wed 2026-06-17 00:00"],
    );
}

#[test]
fn s8_dates_that_have_moved_stay_so_when_the_row_changes() {
    let mut play = two_notes();
    play.clock(amsterdam("2026-06-05 10:00"));
    play.hold_as(Clock::Shift, &[Block::Steps]).unwrap();
    play.clock(amsterdam("2026-06-15 10:00"));
    play.release().unwrap();
    play.changed();
    assert_eq!(play.only().run_at, Some(amsterdam("2026-06-22 00:00")));
    // The row gives another date: the days on hold still do not count.
    play.date("d", "2026-06-11");
    play.changed();
    assert_eq!(play.only().run_at, Some(amsterdam("2026-06-22 00:00")));
    play.date("d", "2026-06-16");
    play.changed();
    assert_eq!(play.only().run_at, Some(amsterdam("2026-06-26 00:00")));
}

#[test]
fn s9_overlapping_holds_keep_the_case_until_none_is_left_and_count_once() {
    let mut play = two_notes();
    play.clock(amsterdam("2026-06-02 10:00"));
    play.hold_as(Clock::Shift, &[Block::Steps]).unwrap();
    play.clock(amsterdam("2026-06-04 10:00"));
    play.hold_as(Clock::RunOn, &[Block::Steps]).unwrap();
    play.clock(amsterdam("2026-06-06 10:00"));
    let first = play.holds.remove(0);
    play.end_holds(&[first]).unwrap();
    assert_eq!(play.ended().0, "held");
    assert_eq!(play.open(), ["one/1 held"]);
    play.clock(amsterdam("2026-06-08 10:00"));
    play.release().unwrap();
    // Four days of the first; the second lets dates run on.
    assert_eq!(play.only().run_at, Some(amsterdam("2026-06-15 00:00")));
    let released = |h: &&String| *h == "case_released";
    assert_eq!(play.history().iter().filter(released).count(), 2);
}

#[test]
fn the_same_time_on_two_holds_counts_once() {
    let mut play = two_notes();
    play.clock(amsterdam("2026-06-01 13:00"));
    play.hold_as(Clock::Shift, &[Block::Steps]).unwrap();
    play.clock(amsterdam("2026-06-03 10:00"));
    play.hold_as(Clock::Shift, &[Block::Steps, Block::Charges])
        .unwrap();
    play.clock(amsterdam("2026-06-05 10:00"));
    let inner = play.holds.remove(1);
    play.end_holds(&[inner]).unwrap();
    play.clock(amsterdam("2026-06-09 10:00"));
    play.release().unwrap();
    assert_eq!(play.case.memory.shifts.len(), 1);
    // Eight days after 06-10.
    assert_eq!(play.only().run_at, Some(amsterdam("2026-06-18 00:00")));
}

#[test]
fn s24_the_clock_of_an_open_task_stops_under_every_policy() {
    for clock in Clock::ALL {
        let mut play = workflow(json!([
            {"name": "t", "kind": "task", "participant": "p", "escalate": {"business_days": 1},
             "due": {"business_days": 2}},
            {"name": "f", "kind": "finish"}
        ]));
        play.now = amsterdam("2026-06-01 16:00");
        play.start();
        assert_eq!(play.only().due_at, Some(amsterdam("2026-06-03 00:00")));
        play.clock(amsterdam("2026-06-02 09:00"));
        play.hold_as(clock, &[Block::Steps]).unwrap();
        play.clock(amsterdam("2026-06-06 09:00"));
        play.release().unwrap();
        // Tue to Sat: four days, three of them business days.
        let due = "2026-06-08 00:00";
        assert_eq!(play.only().due_at, Some(amsterdam(due)), "{clock:?}");
        let moved = play.out.task_moves.last().unwrap();
        assert_eq!(moved.due_at, play.only().due_at);
        assert!(moved.escalate_at > moved.due_at);
    }
}

#[test]
fn arw_24_a_hold_on_communication_keeps_messages_and_lets_the_rest_go_on() {
    let mut play = workflow(json!([
        {"name": "fork", "kind": "parallel", "branches": ["mail", "note"]},
        {"name": "mail", "kind": "email", "template": "t", "on": {"days": 3, "roll": "none"}, "next": "meet"},
        {"name": "note", "kind": "note", "text": "x", "on": {"days": 3, "roll": "none"}, "next": "meet"},
        {"name": "meet", "kind": "join", "of": "fork"},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    play.hold_as(Clock::RunOn, &[Block::Communication]).unwrap();
    assert_eq!(play.ended().0, "running");
    play.clock(amsterdam("2026-02-01 09:00"));
    assert_eq!(play.out.notes.len(), 1);
    assert_eq!(play.open(), ["mail/1 sending", "meet/1 joining"]);
    let reason = play.out.quiets.last().unwrap().reason.clone();
    assert_eq!(reason.as_deref(), Some("on hold: dispute"));
    play.release().unwrap();
    assert_eq!(play.out.quiets.last().unwrap().reason, None);
    assert_eq!(play.ended().0, "completed");
}

#[test]
fn a_hold_on_charges_says_so_and_nothing_else() {
    let mut play = two_notes();
    play.hold_as(Clock::RunOn, &[Block::Charges]).unwrap();
    assert_eq!(play.case.stopped(Block::Charges), Some("dispute"));
    assert_eq!(play.case.stopped(Block::Communication), None);
    play.clock(amsterdam("2026-06-10 00:00"));
    assert_eq!(play.out.notes.len(), 1);
    play.release().unwrap();
    assert_eq!(play.case.stopped(Block::Charges), None);
}

#[test]
fn what_waits_to_be_tried_again_keeps_its_pause() {
    let mut play = two_notes();
    play.case.tokens[0].attempts = 1;
    play.case.tokens[0].run_at = Some(amsterdam("2026-06-03 10:00"));
    play.hold_as(Clock::Shift, &[Block::Steps]).unwrap();
    play.clock(amsterdam("2026-06-02 12:00"));
    play.release().unwrap();
    assert_eq!(play.only().run_at, Some(amsterdam("2026-06-03 10:00")));
}
