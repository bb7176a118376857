//! Links that the editing functions refuse, and removals that would cut one.

use super::refusals::refused;
use super::small;

#[test]
fn links_that_cannot_be() {
    let mut db = small();
    db.exec(
        r#"SELECT wf.add_step('w', 'ask', 'question', '{"description": "Q", "participant": "clerk",
               "options": [{"name": "yes", "next": "end"}, {"name": "no", "next": "second"}]}', after => 'first');
           SELECT wf.add_step('w', 'choose', 'decision', '{"description": "C",
               "legs": [{"name": "big", "when": "open_amount > 5", "next": "end"}]}', after => 'second');
           SELECT wf.add_step('w', 'push', 'button', '{"description": "P", "participant": "clerk"}', after => 'choose')"#,
    );
    for (call, sqlstate, place, hint) in [
        // CS-18: links stay within the workflow.
        (
            "add_transition('w', 'first', 'edn')",
            "42704",
            "workflow \"w\" has no step \"edn\"",
            "Did you mean \"end\"?",
        ),
        (
            "add_transition('w', 'frist', 'end')",
            "42704",
            "workflow \"w\" has no step \"frist\"",
            "Did you mean \"first\"?",
        ),
        (
            "add_transition('w', 'end', 'first')",
            "55000",
            "step \"end\" is a finish",
            "wf.set_step",
        ),
        (
            "add_transition('w', 'ask', 'end')",
            "22023",
            "step \"ask\" leads to several steps",
            "outcome =>",
        ),
        (
            "add_transition('w', 'second', 'end', 'lost')",
            "42704",
            "step \"second\" has no outcome \"lost\"",
            "decision step",
        ),
        (
            "add_transition('w', 'choose', 'end', 'small')",
            "22023",
            "outcome \"small\" of step \"choose\" has no condition",
            "condition =>",
        ),
        (
            "add_transition('w', 'ask', 'end', 'yes', 'true')",
            "22023",
            "step \"ask\" is a question and takes no condition",
            "decision step",
        ),
        (
            "add_transition('w', 'push', 'end')",
            "55000",
            "step \"push\" is a button and leads to its own event",
            "\"push pushed\"",
        ),
        (
            "remove_transition('w', 'first')",
            "42704",
            "step \"first\" names no next step",
            "wf.move_step",
        ),
        (
            "remove_transition('w', 'first', 'done')",
            "55000",
            "outcome \"done\" of step \"first\" comes with its kind",
            "wf.add_transition",
        ),
        (
            "remove_transition('w', 'first', 'lost')",
            "42704",
            "step \"first\" has no outcome \"lost\"",
            "",
        ),
        (
            "remove_transition('w', 'push')",
            "55000",
            "step \"push\" is a button",
            "goes with it",
        ),
        (
            "remove_step('w', 'push pushed')",
            "55000",
            "step \"push pushed\" cannot be removed: button \"push\" would lose its event",
            "wf.remove_step",
        ),
        (
            "set_step('w', 'push', '{\"kind\": \"task\"}')",
            "55000",
            "step \"push\" is a button and stays one",
            "Remove the button",
        ),
        (
            "remove_step('w', 'ask')",
            "55000",
            "step \"ask\" cannot be removed: step \"first\" leads to \"ask\"",
            "instead =>",
        ),
        (
            "remove_step('w', 'end')",
            "55000",
            "step \"end\" cannot be removed: step \"ask\" leads to \"end\" by options[0].next",
            "instead =>",
        ),
        (
            "remove_step('w', 'end', 'end')",
            "22023",
            "step \"end\" is to be removed itself",
            "stays",
        ),
    ] {
        refused(&mut db, call, sqlstate, place, hint);
    }
    // What is refused without another target is done with one.
    db.exec("SELECT wf.remove_step('w', 'ask', instead => 'second')");
    db.exec(r#"SELECT wf.set_step('w', 'first', '{"name": "one"}');
               SELECT wf.set_step('w', 'second', '{"on": {"anchor": "step.one", "days": 1}}');
               SELECT wf.add_step('w', 'zero', 'note', '{"description": "Z", "text": "z"}', before => 'one')"#);
    refused(
        &mut db,
        "remove_step('w', 'one')",
        "55000",
        "step \"one\" cannot be removed: step \"second\" counts from \"one\" in on.anchor",
        "wf.set_step",
    );
}
