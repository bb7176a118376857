//! Steps and phases taken out: what becomes of the links to them, and what stands in the way.

use super::*;

fn instead<'a>(step: &'a str, instead: &'a str) -> Edit<'a> {
    Edit::RemoveStep {
        step,
        instead: Some(instead),
    }
}

fn phase<'a>(phase: &'a str, instead: Option<&'a str>) -> Edit<'a> {
    Edit::RemovePhase { phase, instead }
}

const STATE: ErrorCode = ErrorCode::State;

#[test]
fn arw_17_a_step_leaves_no_gap() {
    let edited = done(&line(), remove("b"));
    assert_eq!(flow(&edited.text), ["a>c", "c>end", "end>"]);
    assert_eq!(
        edited.changes,
        ["step \"a\", outcome \"done\": leads to \"c\", before to \"b\""]
    );
    // Where it led by name, not what happens to follow.
    let named = done(&line(), link("b", "end", None)).text;
    assert_eq!(
        flow(&done(&named, remove("b")).text),
        ["a>end", "c>end", "end>"]
    );
}

#[test]
fn links_by_name_lead_to_where_the_step_led() {
    let edited = done(DUNNING, remove("agency_note"));
    assert_eq!(
        edited.changes,
        ["step \"review\", outcome \"to_agency\": leads to \"closed\", before to \"agency_note\""]
    );
    assert!(flow(&edited.text).contains(&"review>closed,closed".to_owned()));
    let edited = done(SCOPE_10, remove("b_email"));
    assert!(flow(&edited.text).contains(&"how_to_go_on>a_note,b_note,c_email".to_owned()));
    let edited = done(SCOPE_10, instead("b_email", "b_task"));
    assert!(flow(&edited.text).contains(&"how_to_go_on>a_note,b_task,c_email".to_owned()));
}

#[test]
fn rcv_22_step_one_and_the_default_phase_stay() {
    refused(
        &line(),
        remove("a"),
        STATE,
        "step \"a\" cannot be removed: it is step 1, with which every case begins",
        "wf.move_step",
    );
    refused(
        &line(),
        phase("p", None),
        STATE,
        "phase \"p\" cannot be removed: it is the default phase, with step 1",
        "wf.rename_phase",
    );
    // Even with an empty phase before it.
    let early = Edit::AddPhase {
        phase: "early",
        place: before("p"),
    };
    let text = done(&line(), early).text;
    let error = apply(&text, phase("p", None)).expect_err("refused");
    assert_eq!(error.code, STATE);
    assert_eq!(
        done(&text, phase("early", None)).text,
        done(
            &line(),
            Edit::RenamePhase {
                phase: "p",
                new_name: "p"
            }
        )
        .text
    );
}

#[test]
fn a_step_that_leads_to_no_one_place_is_removed_only_with_another_target() {
    refused(
        &line(),
        remove("end"),
        STATE,
        "step \"end\" cannot be removed: step \"c\" leads to \"end\"",
        "instead =>",
    );
    let text = done(&line(), link("a", "end", None)).text;
    let error = apply(&text, remove("end")).expect_err("refused");
    assert_eq!(
        error.detail.as_deref(),
        Some("step \"a\" leads to \"end\" by next\nstep \"c\" leads to \"end\"")
    );
    assert_eq!(
        flow(&done(&text, instead("end", "b")).text),
        ["a>b", "b>c", "c>b"]
    );
    // A step that would lead to itself has lost its target just the same.
    refused(
        &text,
        instead("end", "c"),
        STATE,
        "step \"end\" cannot be removed: step \"c\" leads to \"end\"",
        "instead =>",
    );
    refused(
        &text,
        instead("b", "b"),
        ErrorCode::Definition,
        "step \"b\" is to be removed itself; nothing can lead there instead",
        "stays",
    );
    refused(
        &text,
        instead("b", "x"),
        ErrorCode::Unknown,
        "workflow \"w\" has no step \"x\"",
        "",
    );
    refused(
        SCOPE_10,
        remove("how_to_go_on"),
        STATE,
        "step \"how_to_go_on\" cannot be removed: step \"follow_up\" leads to \"how_to_go_on\"",
        "instead =>",
    );
    let edited = done(SCOPE_10, instead("how_to_go_on", "c_email"));
    assert!(flow(&edited.text).contains(&"follow_up>c_email".to_owned()));
}

#[test]
fn what_belongs_to_a_step_or_counts_from_it_stands_in_the_way() {
    let text = of_steps(json!([
        {"name": "a", "kind": "note", "text": "a"},
        {"name": "fork", "kind": "parallel", "branches": ["one", "two"]},
        {"name": "one", "kind": "note", "text": "1", "next": "meet"},
        {"name": "two", "kind": "task", "due": {"anchor": "step.a b", "days": 3}},
        {"name": "meet", "kind": "join", "of": "fork"},
        {"name": "a b", "kind": "note", "text": "a"},
        {"name": "end", "kind": "finish"},
    ]));
    refused(
        &text,
        instead("fork", "one"),
        STATE,
        "step \"fork\" cannot be removed: step \"meet\" belongs to \"fork\" by of",
        "wf.set_step",
    );
    refused(
        &text,
        remove("a b"),
        STATE,
        "step \"a b\" cannot be removed: step \"two\" counts from \"a b\" in due.anchor",
        "wf.set_step",
    );
    // Branches lead on, too.
    assert_eq!(flow(&done(&text, remove("one")).text)[1], "fork>meet,two");
}

#[test]
fn rcv_19_a_phase_goes_with_its_steps() {
    let edited = done(SCOPE_10, phase("option B", Some("c_email")));
    assert_eq!(flow(&edited.text)[2], "how_to_go_on>a_note,c_email,c_email");
    assert!(!edited.text.contains("b_email") && !edited.text.contains("option B"));
    let error = apply(SCOPE_10, phase("option B", None)).expect_err("refused");
    assert_eq!(
        error.message,
        "phase \"option B\" cannot be removed: step \"how_to_go_on\" leads to \"b_email\" by options[1].next"
    );
    // What leads through the phase leads past it.
    let three = json!({"format": 1, "name": "w", "subject": "s", "phases": [
        {"name": "p", "steps": [{"name": "a", "kind": "note", "text": "a"}]},
        {"name": "q", "steps": [{"name": "b", "kind": "note", "text": "b"}, {"name": "c", "kind": "note", "text": "c"}]},
        {"name": "r", "steps": [{"name": "end", "kind": "finish"}]},
    ]})
    .to_string();
    assert_eq!(
        flow(&done(&three, phase("q", None)).text),
        ["a>end", "end>"]
    );
    refused(
        &three,
        phase("s", None),
        ErrorCode::Unknown,
        "workflow \"w\" has no phase \"s\"",
        "Did you mean",
    );
}
