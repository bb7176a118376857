//! Cases that start others: the request, and each answer to it.

use super::*;

fn play(kind: &str) -> Play {
    let mut play = workflow(json!([
        {"name": "on", "kind": kind, "workflow": "b", "limit": 2, "next": "f"},
        {"name": "f", "kind": "finish"}
    ]));
    play.start();
    assert_eq!(play.open(), ["on/1 waiting"]);
    play
}

fn answered(play: &mut Play, other: Option<i64>) {
    let request = play.out.starts.remove(0);
    assert_eq!((request.workflow.as_str(), request.limit), ("b", 2));
    play.ask(&Default::default(), |case, facts, env, out| {
        if request.afterwards == crate::kinds::Afterwards::Ends {
            case.continued(&request, other, env, out);
        } else {
            case.started_another(&request, other, facts, env, out);
        }
    });
    play.settle_down();
}

fn detail(play: &Play) -> &str {
    let rows = play.out.history.iter();
    let mut done = rows.filter(|row| row.step == Some(1) && row.event == Event::StepDone);
    done.next().and_then(|row| row.detail.as_deref()).unwrap()
}

#[test]
fn s22_a_case_that_goes_on_as_another_ends_with_that() {
    let mut case = play("continue_with");
    answered(&mut case, Some(8));
    assert_eq!(case.ended(), ("completed", "continued", ""));
    assert_eq!(detail(&case), r#"{"workflow":"b","case":8}"#);
    let mut case = play("continue_with");
    answered(&mut case, None);
    assert_eq!(case.ended(), ("completed", "continue limit", ""));
    assert_eq!(detail(&case), r#"{"workflow":"b","limit":2}"#);
}

#[test]
fn arw_18_a_case_that_starts_another_goes_on() {
    for other in [Some(8), None] {
        let mut case = play("start_workflow");
        answered(&mut case, other);
        assert_eq!(case.ended(), ("completed", "completed", ""));
    }
}

#[test]
fn an_answer_after_the_case_has_ended_moves_nothing() {
    let mut case = play("continue_with");
    case.cancel("paid").unwrap();
    answered(&mut case, Some(8));
    assert_eq!(case.ended(), ("cancelled", "cancelled", "paid"));
}

#[test]
fn a_case_that_waits_goes_on_when_the_last_of_the_others_has_ended_and_only_once() {
    let mut play = workflow(json!([
        {"name": "on", "kind": "sub_workflow", "workflow": "b", "outcomes": [{"name": "right", "next": "f"}], "otherwise": "g"},
        {"name": "f", "kind": "finish"},
        {"name": "g", "kind": "finish", "outcome": "otherwise"}
    ]));
    play.start();
    let mut awaited = Awaited {
        case_id: 1,
        step: 1,
        visit: 1,
        cases: 2,
        ended: 1,
        last: 8,
        outcome: "right".to_owned(),
        vars: None,
        tally: None,
    };
    let tell = |play: &mut Play, awaited: &Awaited| {
        play.ask(&Default::default(), |case, facts, env, out| {
            case.others_ended(awaited, facts, env, out);
        });
        play.settle_down();
    };
    tell(&mut play, &awaited);
    assert_eq!(play.open(), ["on/1 waiting"]);
    awaited.ended = 2;
    tell(&mut play, &awaited);
    assert_eq!(play.ended(), ("completed", "completed", ""));
    let rows = play.out.history.len();
    tell(&mut play, &awaited);
    assert_eq!(play.out.history.len(), rows);
    // Whoever was waited for is told by the end of the case that waits, and by nothing else here.
    assert!(play.out.awaited_by.is_empty());
    play.case.memory.awaited_by = Some(3);
    play.case.no_longer_awaited("x", &mut play.out);
    assert_eq!(play.ended(), ("completed", "completed", ""));
}
