//! Cases that concern several rows: who leaves, who carries the case then, and that nothing comes earlier by it.

use std::rc::Rc;

use super::*;
use crate::program::Read;
use crate::row::Columns;

/// How a row looks: its due date, and whether it is paid; None: it is gone.
type Row<'a> = Option<(&'a str, bool)>;

fn look(row: Row<'_>) -> Look {
    let (due, paid) = row.unwrap_or(("2026-01-01", false));
    Look {
        found: row.is_some(),
        stops: vec![paid],
        row: MemberRow {
            columns: Rc::new(Columns::new([("due".to_owned(), ColumnType::Date)])),
            values: vec![Some(due.to_owned())],
        },
    }
}

fn looked(play: &mut Play, rows: &[Row<'_>]) {
    let looks = rows.iter().map(|row| look(*row)).collect();
    play.ask(&Read::default(), |case, _, env, out| {
        case.look_at_members(looks, env, out);
    });
}

/// A case of rows A, B and C that waits for 30 days after the due date of A, 2026-03-01.
fn of_three() -> Play {
    let mut play = with(
        json!([
            {"name": "wait", "kind": "wait", "on": {"anchor": "subject.due", "days": 30}},
            {"name": "later", "kind": "wait", "on": {"anchor": "subject.due", "days": 60}},
            {"name": "end", "kind": "finish"}
        ]),
        json!({"subjects": "several", "stop": [{"when": "paid", "reason": "paid"}]}),
    );
    play.date("due", "2026-03-01");
    play.case.key = "A".to_owned();
    let keys = ["A", "B", "C"];
    play.case.members = (0..)
        .zip(keys)
        .map(|(position, key)| Member {
            key: key.to_owned(),
            position,
            row: None,
        })
        .collect();
    play.start();
    play
}

fn due(play: &Play) -> String {
    // Its midnight is Amsterdam's.
    let due = play.only().due_at.unwrap() + chrono::TimeDelta::hours(6);
    due.format("%Y-%m-%d").to_string()
}

#[test]
fn s12_the_next_row_takes_over_and_no_date_comes_earlier_by_it() {
    // The due dates of B and C, when the case goes on once A is paid, and then B, and when its next step comes.
    for (b, c, after_a, after_b, second) in [
        (
            "2025-01-01",
            "2024-01-01",
            "2026-03-31",
            "2026-03-31",
            "2026-04-30",
        ),
        (
            "2026-04-06",
            "2026-01-01",
            "2026-05-06",
            "2026-05-06",
            "2026-06-05",
        ),
        (
            "2026-01-01",
            "2026-04-06",
            "2026-03-31",
            "2026-05-06",
            "2026-06-05",
        ),
    ] {
        let mut play = of_three();
        let (open_b, open_c) = (Some((b, false)), Some((c, false)));
        looked(&mut play, &[Some(("2026-03-01", false)), open_b, open_c]);
        assert_eq!(due(&play), "2026-03-31");
        looked(&mut play, &[Some(("2026-03-01", true)), open_b, open_c]);
        assert_eq!(
            (play.case.key.as_str(), due(&play).as_str()),
            ("B", after_a)
        );
        looked(&mut play, &[Some((b, true)), open_c]);
        assert_eq!(
            (play.case.key.as_str(), due(&play).as_str()),
            ("C", after_b)
        );
        // The steps that follow keep the pace, too.
        play.date("due", c);
        play.clock(utc(&format!("{after_b} 12:00")));
        assert_eq!(play.open(), ["later/1 scheduled"]);
        assert_eq!(due(&play), second);
    }
}

#[test]
fn s12_a_row_that_is_gone_leaves_its_pace_behind() {
    let mut play = of_three();
    looked(
        &mut play,
        &[
            None,
            Some(("2020-01-01", false)),
            Some(("2020-01-01", false)),
        ],
    );
    assert_eq!(
        (play.case.key.as_str(), due(&play).as_str()),
        ("B", "2026-03-31")
    );
    assert_eq!(
        play.history().last().map(String::as_str),
        Some("subject_left stopped")
    );
    let left: Vec<_> = play
        .out
        .departures
        .iter()
        .map(|d| (d.key.as_str(), d.reason.as_str()))
        .collect();
    assert_eq!(left, [("A", "subject gone")]);
}

#[test]
fn s12_the_case_ends_when_none_is_left() {
    let mut play = of_three();
    let open = Some(("2026-03-01", false));
    let paid = Some(("2026-03-01", true));
    looked(&mut play, &[open, paid, open]);
    assert_eq!(play.case.key, "A");
    looked(&mut play, &[paid, paid]);
    assert_eq!(play.ended(), ("cancelled", "stopped", "paid"));
    // Those that were in it at the end have not left it.
    assert_eq!(play.out.departures.len(), 1);
}

#[test]
fn rcv_03_after_the_end_messages_stay_here_only_when_no_row_is_left() {
    let mut play = of_three();
    let open = Some(("2026-03-01", false));
    let paid = Some(("2026-03-01", true));
    play.case.state = CaseState::Completed;
    let before = play.out.history.len();
    looked(&mut play, &[paid, open, open]);
    assert_eq!(
        (play.out.suppressions.len(), play.out.departures.len()),
        (0, 1)
    );
    looked(&mut play, &[paid, paid]);
    assert_eq!(play.out.suppressions[0].reason, "paid");
    assert_eq!(
        play.out.history.len(),
        before,
        "nothing happens to an ended case"
    );
}

#[test]
fn rcv_03_a_case_takes_its_pace_to_another_version_and_goes_to_none_that_is_about_one_row() {
    let mut play = of_three();
    let open = Some(("2026-03-01", false));
    looked(&mut play, &[open; 3]);
    looked(&mut play, &[None, open, open]);
    let migrate = |play: &mut Play, head: serde_json::Value| {
        let mut head = head;
        head["stop"] = json!([{"when": "paid", "reason": "paid"}]);
        let steps = json!([
            {"name": "wait", "kind": "wait", "on": {"anchor": "subject.due", "days": 40}},
            {"name": "end", "kind": "finish"}
        ]);
        let to = with(steps, head).case.program;
        let from = play.case.program.clone();
        let migration = crate::migrate::Migration::new(from, to, (1, 2), 2, None);
        let migration = migration.expect("a migration");
        play.date("due", "2020-01-01");
        let read = migration.to.watch_read();
        let moved = play.ask(&read, |case, facts, env, out| {
            case.migrate(&migration, &[], facts, env, out)
        });
        moved.map(|_| ())
    };
    let refused = migrate(&mut play, json!({})).unwrap_err();
    assert!(refused.contains("concerns 2 rows"), "{refused}");
    let refused = migrate(&mut play, json!({"subjects": "several", "runs": "side"})).unwrap_err();
    assert!(refused.contains("in another way"), "{refused}");
    migrate(&mut play, json!({"subjects": "several"})).unwrap();
    assert_eq!(due(&play), "2026-04-10");
}

#[test]
fn rcv_03_rows_join_and_are_taken_out_by_hand() {
    let mut play = of_three();
    let all = [Some(("2026-03-01", false)); 3];
    looked(&mut play, &all);
    play.on_case(|case, _, _, out| case.add_member("D", out))
        .unwrap();
    assert_eq!(
        play.case
            .members
            .last()
            .map(|m| (m.key.as_str(), m.position)),
        Some(("D", 3))
    );
    let take = |key: &'static str| {
        move |case: &mut Case, _: &Facts<'_>, env: &Env<'_>, out: &mut Effects| {
            case.remove_member(key, "disputed", env, out)
        }
    };
    assert_eq!(
        said(play.on_case(take("X"))),
        "55000: case 1 does not concern invoice X"
    );
    for key in ["A", "B", "C"] {
        play.on_case(take(key)).unwrap();
    }
    assert_eq!(play.case.key, "D");
    assert_eq!(
        said(play.on_case(take("D"))),
        "55000: invoice D is the only one that case 1 concerns"
    );
    let mut one = workflow(
        json!([{"name": "end", "kind": "finish", "on": {"anchor": "case_start", "days": 9}}]),
    );
    one.start();
    assert_eq!(
        said(one.on_case(|case, _, _, out| case.add_member("D", out))),
        "55000: a case of workflow \"w\" concerns one invoice only"
    );
}
