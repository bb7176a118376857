//! Content and structure; which step a token goes to, and which cases must stay.

use std::rc::Rc;

use serde_json::{Value, json};

use super::{Change, Migration, Place, changes};
use crate::calendar::testing::amsterdam;
use crate::document::Document;
use crate::game::tests::driver::{Play, roles, workflow};
use crate::game::{Event, Moved, PastRun, TokenState};
use crate::program::Program;

fn document(steps: Value) -> Value {
    json!({
        "format": 1, "name": "w", "title": "W", "subject": "invoice",
        "phases": [{"name": "p", "steps": steps}],
        "templates": {"t": {"subject": "s", "body": "Hello", "locales": {"nl": {"body": "Dag"}}}}
    })
}

fn ask() -> Value {
    json!([
        {"name": "ask", "kind": "question", "description": "Which?", "participant": "p",
         "options": [{"name": "a", "label": "The first"}, {"name": "b"}]},
        {"name": "n", "kind": "note", "description": "Say so", "text": "So"},
        {"name": "f", "kind": "finish", "description": "End"}
    ])
}

/// What comes of changing one place of the document.
fn change(pointer: &str, value: Value) -> Option<Vec<Change>> {
    let before = document(ask());
    let mut after = before.clone();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    match after.pointer_mut(parent).unwrap() {
        Value::Object(map) => {
            map.insert(field.to_owned(), value);
        }
        Value::Array(list) => list[field.parse::<usize>().unwrap()] = value,
        other => panic!("{other}"),
    }
    changes(&before, &after)
}

#[test]
fn s21_what_people_read_is_content() {
    for (pointer, place, field) in [
        ("/title", Place::Workflow, "title"),
        ("/category", Place::Workflow, "category"),
        ("/related", Place::Workflow, "related"),
        ("/templates/t/body", Place::Template("t".to_owned()), "body"),
        (
            "/templates/t/locales/nl/body",
            Place::Template("t".to_owned()),
            "locales.nl.body",
        ),
        ("/templates/u", Place::Template("u".to_owned()), ""),
        (
            "/phases/0/steps/0/description",
            Place::Step("ask".to_owned()),
            "description",
        ),
        (
            "/phases/0/steps/0/options/0/label",
            Place::Step("ask".to_owned()),
            "options.0.label",
        ),
        (
            "/phases/0/steps/0/options/1/label",
            Place::Step("ask".to_owned()),
            "options.1.label",
        ),
        (
            "/phases/0/steps/1/text",
            Place::Step("n".to_owned()),
            "text",
        ),
    ] {
        let changes = change(pointer, "new".into());
        let changes = changes.unwrap_or_else(|| panic!("{pointer} is content"));
        assert_eq!(changes.len(), 1, "{changes:?}");
        assert_eq!(
            (&changes[0].place, changes[0].field.as_str()),
            (&place, field)
        );
        assert_eq!(changes[0].after.as_deref(), Some("new"));
    }
    let changes = change("/title", "V".into()).unwrap();
    assert_eq!(changes[0].before.as_deref(), Some("W"));
    assert_eq!(change("/title", "W".into()), Some(Vec::new()));
}

#[test]
fn s21_everything_else_is_structure() {
    for (pointer, value) in [
        ("/time_zone", "UTC".into()),
        ("/subject", "claim".into()),
        ("/start", json!({"when": "true"})),
        ("/stop", json!([{"when": "paid", "reason": "paid"}])),
        ("/contact_window", json!({})),
        ("/phases/0/name", "q".into()),
        ("/phases/0/steps/0/name", "which".into()),
        ("/phases/0/steps/0/participant", "q".into()),
        ("/phases/0/steps/0/when", "true".into()),
        ("/phases/0/steps/0/due", json!({"days": 1})),
        ("/phases/0/steps/0/options/0/name", "c".into()),
        ("/phases/0/steps/0/options/0/next", "f".into()),
        ("/phases/0/steps/1/kind", "wait".into()),
        ("/phases/0/steps/1/some_field_to_come", "x".into()),
        ("/phases/0/steps/2/outcome", "over".into()),
    ] {
        assert_eq!(change(pointer, value), None, "{pointer}");
    }
    let mut turned = ask();
    turned.as_array_mut().unwrap().swap(0, 1);
    assert_eq!(changes(&document(ask()), &document(turned)), None);
    let mut shorter = ask();
    shorter.as_array_mut().unwrap().remove(1);
    assert_eq!(changes(&document(ask()), &document(shorter)), None);
}

fn program(steps: Value) -> Rc<Program> {
    let document = Document::parse(&document(steps).to_string()).unwrap();
    Rc::new(Program::compile(document, roles()))
}

fn migration(play: &Play, steps: Value, map: Option<&str>) -> Result<Migration, crate::Error> {
    let from = play.case.program.clone();
    Migration::new(from, program(steps), (1, 2), 20, map)
}

/// Moves the case to a version of these steps.
fn go(play: &mut Play, steps: Value, map: Option<&str>) -> Result<Moved, String> {
    go_with(play, steps, map, &[])
}

fn go_with(
    play: &mut Play,
    steps: Value,
    map: Option<&str>,
    past: &[PastRun],
) -> Result<Moved, String> {
    let migration = migration(play, steps, map).unwrap();
    let read = migration.to.watch_read();
    let before = (format!("{:?}", play.case.tokens), play.out.history.len());
    let moved = play.ask(&read, |case, facts, env, out| {
        case.migrate(&migration, past, facts, env, out)
    });
    if moved.is_err() {
        let after = (format!("{:?}", play.case.tokens), play.out.history.len());
        assert_eq!(before, after, "a refused case stays as it is");
        assert_eq!(play.case.version_id, 1);
    }
    moved
}

fn task(name: &str, days: i32) -> Value {
    json!({"name": name, "kind": "task", "participant": "p", "due": {"days": days, "roll": "none"}})
}

#[test]
fn s21_a_map_that_names_no_step_is_refused() {
    let play = workflow(json!([task("a", 1), {"name": "f", "kind": "finish"}]));
    let steps = || json!([task("b", 1), {"name": "f", "kind": "finish"}]);
    for (map, code, parts) in [
        (r#"{"x": "b"}"#, "42704", ["version 1", "\"x\""]),
        (r#"{"a": "y"}"#, "42704", ["version 2", "\"y\""]),
        (r#"{"a": 1}"#, "22023", ["\"a\"", "1"]),
        (r#"["a"]"#, "22023", ["step_map", "object"]),
    ] {
        let error = migration(&play, steps(), Some(map)).unwrap_err();
        assert_eq!(error.code.sqlstate(), code, "{map}");
        assert!(error.hint.is_some());
        for part in parts {
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
}

#[test]
fn s21_an_open_task_goes_with_its_step_and_gets_the_new_date() {
    let mut play = workflow(json!([task("a", 1), {"name": "f", "kind": "finish"}]));
    play.start();
    let before = play.only().clone();
    let steps = json!([{"name": "first", "kind": "note", "text": "x"}, task("b", 3), {"name": "f", "kind": "finish"}]);
    let refusal = go(&mut play, steps.clone(), None).unwrap_err();
    assert!(refusal.contains("\"a\" is not in version 2"), "{refusal}");
    let moved = go(&mut play, steps, Some(r#"{"a": "b"}"#)).unwrap();
    let token = play.only();
    assert_eq!((token.step, token.task_id), (2, before.task_id));
    assert_eq!(token.state, TokenState::Open);
    assert_eq!(token.entered_at, before.entered_at);
    assert_eq!(
        token.due_at.unwrap() - before.due_at.unwrap(),
        chrono::TimeDelta::days(2)
    );
    assert_eq!((moved.kept.len(), moved.withdrawn.len()), (1, 0));
    assert_eq!(moved.kept[0].due_at, token.due_at);
    let last = play.out.history.last().unwrap();
    assert_eq!((last.event, last.version_id), (Event::CaseMigrated, 20));
    play.settle("b", None).unwrap();
    assert_eq!(play.ended().0, "completed");
}

#[test]
fn s21_a_task_whose_step_is_of_another_kind_is_withdrawn() {
    let mut play = workflow(json!([task("a", 1), {"name": "f", "kind": "finish"}]));
    play.start();
    let steps =
        json!([{"name": "a", "kind": "note", "text": "x"}, {"name": "f", "kind": "finish"}]);
    let moved = go(&mut play, steps, None).unwrap();
    assert_eq!(moved.withdrawn, [1]);
    assert_eq!(play.open(), ["a/1 scheduled"]);
    play.settle_down();
    assert_eq!(play.ended().0, "completed");
}

fn fork(branches: &[&str]) -> Value {
    let mut steps = vec![json!({"name": "p", "kind": "parallel", "branches": branches})];
    for branch in branches {
        let mut step = task(branch, 1);
        step["next"] = "j".into();
        steps.push(step);
    }
    steps.push(json!({"name": "j", "kind": "join", "of": "p"}));
    steps.push(json!({"name": "f", "kind": "finish"}));
    steps.into()
}

#[test]
fn s21_a_case_that_waits_at_a_join_goes_on_waiting() {
    let mut play = workflow(fork(&["a", "b", "c"]));
    play.start();
    play.settle("a", None).unwrap();
    let mut steps = fork(&["a", "b", "c"]);
    steps[3]["due"]["days"] = 5.into();
    steps
        .as_array_mut()
        .unwrap()
        .insert(0, json!({"name": "new", "kind": "note", "text": "n"}));
    go(&mut play, steps, None).unwrap();
    assert_eq!(play.open(), ["b/1 open", "c/1 open", "j/1 joining"]);
    play.settle("b", None).unwrap();
    play.settle("c", None).unwrap();
    assert_eq!(play.ended().0, "completed");
}

#[test]
fn s21_a_case_whose_branches_would_not_meet_stays() {
    let mut play = workflow(fork(&["a", "b"]));
    play.start();
    play.settle("a", None).unwrap();
    for steps in [fork(&["a", "b", "c"]), fork(&["b", "c", "d"])] {
        let refusal = go(&mut play, steps, None).unwrap_err();
        assert!(refusal.contains("2 of 3 branches"), "{refusal}");
    }
    // One branch less: the one that is still open is gone.
    let refusal = go(&mut play, fork(&["a", "c"]), None).unwrap_err();
    assert!(refusal.contains("\"b\" is not in version 2"), "{refusal}");
    let straight = json!([task("b", 1), task("j", 1), {"name": "f", "kind": "finish"}]);
    let refusal = go(&mut play, straight.clone(), None).unwrap_err();
    assert!(refusal.contains("is no join"), "{refusal}");
    // Before anything has come to the join, both branches are open: they cannot be in a line.
    let mut play = workflow(fork(&["a", "b"]));
    play.start();
    let refusal = go(&mut play, straight, Some(r#"{"a": "j"}"#)).unwrap_err();
    assert!(refusal.contains("cannot be open together"), "{refusal}");
    let one = json!([task("b", 1), {"name": "f", "kind": "finish"}]);
    let refusal = go(&mut play, one, Some(r#"{"a": "b"}"#)).unwrap_err();
    assert!(refusal.contains("both become"), "{refusal}");
}

#[test]
fn s21_a_step_mapped_to_a_join_counts_as_a_branch_that_has_come() {
    let mut play = workflow(fork(&["a", "b", "c"]));
    play.start();
    play.settle("a", None).unwrap();
    let mut steps = fork(&["a", "b", "d"]);
    let moved = go(&mut play, steps.clone(), Some(r#"{"c": "j"}"#)).unwrap();
    assert_eq!(moved.withdrawn.len(), 1);
    assert_eq!(play.open(), ["b/1 open", "j/1 joining"]);
    play.settle("b", None).unwrap();
    assert_eq!(play.ended().0, "completed");

    let mut play = workflow(fork(&["a", "b"]));
    play.start();
    play.settle("a", None).unwrap();
    steps = fork(&["a", "x"]);
    go(&mut play, steps, Some(r#"{"b": "j"}"#)).unwrap();
    assert_eq!(play.open(), ["j/1 scheduled"]);
    play.settle_down();
    assert_eq!(play.ended().0, "completed");
}

#[test]
fn s21_visits_and_answers_go_along_and_what_was_forgotten_is_told() {
    let steps = |ask: &str, max: i32| {
        json!([
            {"name": ask, "kind": "question", "participant": "p", "options": [{"name": "yes", "next": "f"}, {"name": "no", "next": "r"}]},
            {"name": "r", "kind": "repeat", "back_to": ask, "max_visits": max, "exhausted": "f"},
            {"name": "f", "kind": "finish"}
        ])
    };
    let mut play = workflow(steps("ask", 3));
    play.start();
    play.settle("ask", Some("no")).unwrap();
    assert_eq!(play.open(), ["ask/2 open"]);
    go(&mut play, steps("which", 2), Some(r#"{"ask": "which"}"#)).unwrap();
    assert_eq!(play.open(), ["which/2 open"]);
    assert_eq!(play.case.memory.answers["which"], "no");
    // Two visits are all that the new version allows.
    play.settle("which", Some("no")).unwrap();
    assert_eq!(play.ended().0, "completed");

    // A date that counts from a step which was done when no date did.
    let mut play = workflow(json!([task("a", 1), task("b", 1), {"name": "f", "kind": "finish"}]));
    play.start();
    let done = play.now;
    play.settle("a", None).unwrap();
    play.clock(done + chrono::TimeDelta::days(9));
    let mut later = task("b", 1);
    later["due"] = json!({"anchor": "step.a", "days": 20, "roll": "none"});
    let steps = json!([task("a", 1), later, {"name": "f", "kind": "finish"}]);
    let asked = migration(&play, steps.clone(), None).unwrap().forgotten();
    assert_eq!(asked, ["a"]);
    let past = PastRun {
        step: "a".to_owned(),
        visit: 1,
        done_at: Some(done),
    };
    go_with(&mut play, steps, None, &[past]).unwrap();
    assert_eq!(play.only().due_at, Some(amsterdam("2026-01-25 00:00")));
}

#[test]
fn s21_a_message_on_its_way_stays_one() {
    let mail = |kind: &str| json!([{"name": "m", "kind": kind, "template": "t"}, {"name": "f", "kind": "finish"}]);
    let mut play = workflow(mail("email"));
    play.sender = false;
    play.start();
    assert_eq!(play.open(), ["m/1 sending"]);
    let refusal = go(&mut play, mail("sms"), None).unwrap_err();
    assert!(refusal.contains("on its way"), "{refusal}");
    let moved = go(&mut play, mail("email"), None).unwrap();
    assert!(moved.runs[0].sending);
    play.sender = true;
    play.settle_down();
    assert_eq!(play.ended().0, "completed");
}

#[test]
fn s21_held_and_planned_cases_go_along() {
    let mut play = workflow(
        json!([{"name": "w", "kind": "wait", "on": {"days": 5, "roll": "none"}}, {"name": "f", "kind": "finish"}]),
    );
    play.start();
    play.hold().unwrap();
    let steps = json!([{"name": "w", "kind": "wait", "on": {"days": 7, "roll": "none"}}, {"name": "f", "kind": "finish"}]);
    let before = play.only().run_at.unwrap();
    go(&mut play, steps, None).unwrap();
    assert_eq!(play.open(), ["w/1 held"]);
    assert_eq!((play.only().run_at.unwrap() - before).num_days(), 2);
}

#[test]
fn s21_what_waits_side_by_side_and_early_signals_go_along() {
    let steps = |more: bool| {
        let mut steps = json!([
            {"name": "first", "kind": "first_of", "branches": ["ask", "papers"]},
            {"name": "ask", "kind": "task", "participant": "p", "due": {"days": 1}, "next": "sign"},
            {"name": "papers", "kind": "event", "signal": "papers in"},
            {"name": "sign", "kind": "event", "signal": "signed"},
            {"name": "f", "kind": "finish"}
        ]);
        if more {
            let list = steps.as_array_mut().unwrap();
            list.insert(0, json!({"name": "n", "kind": "note", "text": "x"}));
        }
        steps
    };
    let signal = |play: &mut Play, name: &str| {
        let read = play.case.program.watch_read();
        play.ask(&read, |case, facts, env, out| {
            case.signal(name, None, facts, env, out)
        })
        .unwrap();
        play.settle_down();
    };
    let mut play = workflow(steps(false));
    play.start();
    assert_eq!(play.open(), ["ask/1 open", "papers/1 waiting"]);
    signal(&mut play, "signed");
    let refusal = go(&mut play, steps(true), Some(r#"{"ask": "sign"}"#)).unwrap_err();
    assert!(refusal.contains("cannot be open together"), "{refusal}");
    go(&mut play, steps(true), None).unwrap();
    play.settle_down();
    assert_eq!(play.open(), ["ask/1 open", "papers/1 waiting"]);
    signal(&mut play, "papers in");
    // The task is withdrawn, and the signal that came early is still there.
    assert_eq!(play.ended().0, "completed");
}
