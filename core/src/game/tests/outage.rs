//! S20: down for three days over three due steps of one case.

use super::*;

fn down_for_days(outage: serde_json::Value) -> Play {
    let mail = |name: &str, days: i32| json!({"name": name, "kind": "email", "template": "t", "on": {"anchor": "subject.d", "days": days, "roll": "none"}});
    let mut play = with(
        json!([
            mail("one", 0), {"name": "also", "kind": "sms", "template": "t"}, {"name": "w", "kind": "note", "text": "x"},
            mail("two", 1), mail("three", 2), mail("later", 30), {"name": "f", "kind": "finish"}
        ]),
        outage,
    );
    play.text("email", "a@example.com");
    play.text("phone", "+31");
    play.date("d", "2026-05-04");
    play.now = amsterdam("2026-05-01 10:00");
    play.start();
    // Nobody looks until then.
    play.now = amsterdam("2026-05-07 10:00");
    play.settle_down();
    play
}

fn sent(play: &Play) -> Vec<&str> {
    let name = |m: &MessageRow| play.case.program.step_name(m.step);
    play.out.messages.iter().map(name).collect()
}

#[test]
fn s20_latest_the_newest_goes_out_and_the_others_are_expired() {
    let play = down_for_days(json!({"outage": {"policy": "latest"}}));
    assert_eq!(sent(&play), ["three"]);
    let expired = |row: &&HistoryRow| row.outcome.as_deref() == Some("expired");
    let rows: Vec<&HistoryRow> = play.out.history.iter().filter(expired).collect();
    assert_eq!(rows.len(), 3, "one, its text message, and two");
    for row in rows {
        let detail = row.detail.as_deref().unwrap();
        assert!(detail.contains("is newer"), "{detail}");
    }
    assert_eq!(
        play.out.notes.len(),
        1,
        "what is no message happens all the same"
    );
    assert_eq!(play.open(), ["later/1 scheduled"]);
}

#[test]
fn s20_replay_all_go_out_in_order_with_the_gap_between_them() {
    let mut play = down_for_days(json!({"outage": {"policy": "replay", "gap_minutes": 90}}));
    assert_eq!(sent(&play), ["one"]);
    play.clock(amsterdam("2026-05-07 11:29"));
    assert_eq!(sent(&play), ["one"]);
    play.clock(amsterdam("2026-05-07 11:30"));
    assert_eq!(sent(&play), ["one", "also"]);
    play.clock(amsterdam("2026-05-07 14:30"));
    assert_eq!(sent(&play), ["one", "also", "two", "three"]);
    play.clock(amsterdam("2026-06-03 10:00"));
    assert_eq!(play.ended().0, "completed");
    assert_eq!(sent(&play).last(), Some(&"later"));
}

#[test]
fn without_a_policy_all_go_out_at_once_and_nothing_is_remembered() {
    let play = down_for_days(json!({}));
    assert_eq!(sent(&play), ["one", "also", "two", "three"]);
    assert_eq!(play.case.memory.replayed, None);
}

#[test]
fn on_their_days_a_policy_changes_nothing() {
    for policy in ["latest", "replay"] {
        let mut play = with(
            json!([
                {"name": "one", "kind": "email", "template": "t", "on": {"anchor": "subject.d", "roll": "none"}},
                {"name": "two", "kind": "email", "template": "t", "on": {"anchor": "subject.d", "roll": "none"}},
                {"name": "f", "kind": "finish"}
            ]),
            json!({"outage": {"policy": policy}}),
        );
        play.text("email", "a@example.com");
        play.date("d", "2026-05-04");
        play.now = amsterdam("2026-05-01 10:00");
        play.start();
        play.clock(amsterdam("2026-05-04 00:00"));
        assert_eq!(sent(&play), ["one", "two"], "{policy}");
        assert_eq!(play.ended().0, "completed");
    }
}
