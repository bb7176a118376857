//! What the editing functions refuse: each with its SQLSTATE, the place that it names, and what to do; and nothing is
//! changed by it.

use workflow_engine_tests::TestDb;

use super::{bound, small};

/// A draft, and all that must be untouched after a refusal.
const STATE: &str = "SELECT md5(concat_ws('/', (SELECT string_agg(w::text, ',' ORDER BY w.name) FROM wf.workflows AS w),
    (SELECT string_agg(v::text, ',' ORDER BY v.version_id) FROM wf.versions AS v),
    (SELECT string_agg(s::text, ',' ORDER BY s.version_id, s.step_no) FROM wf.steps AS s)))";

/// A call that is refused with this SQLSTATE, names the place in its message, hints at what to do, and changes nothing.
#[track_caller]
pub(crate) fn refused(db: &mut TestDb, call: &str, sqlstate: &str, place: &str, hint: &str) {
    let before: String = db.one(STATE);
    let failure = db.expect_error(&format!("SELECT wf.{call}"), sqlstate, &[]);
    assert!(
        failure.message.contains(place),
        "{call}: no {place:?} in {}",
        failure.text()
    );
    failure.hints(hint);
    db.expect(STATE, &[before]);
}

#[test]
fn s23_rcv_22_the_default_phase_and_step_one_cannot_be_removed() {
    let mut db = small();
    refused(
        &mut db,
        "remove_step('w', 'first')",
        "55000",
        "step \"first\" cannot be removed: it is step 1",
        "wf.set_step",
    );
    refused(
        &mut db,
        "remove_step('w', 'first', 'end')",
        "55000",
        "step \"first\"",
        "wf.move_step",
    );
    refused(
        &mut db,
        "remove_phase('w', 'phase 1')",
        "55000",
        "phase \"phase 1\" cannot be removed: it is the default phase",
        "wf.rename_phase",
    );
    // Step 1 is the one with which a case begins, whatever its name is and wherever it came from.
    db.exec("SELECT wf.move_step('w', 'first', after => 'second')");
    refused(
        &mut db,
        "remove_step('w', 'second')",
        "55000",
        "step \"second\"",
        "wf.move_step",
    );
    db.exec("SELECT wf.remove_step('w', 'first')");
}

#[test]
fn rcv_08_no_name_no_workflow() {
    let mut db = bound();
    refused(
        &mut db,
        "create_workflow('', 'invoice')",
        "22023",
        "the name of the workflow is empty",
        "Give it a name",
    );
    refused(
        &mut db,
        "create_workflow('  ', 'invoice')",
        "22023",
        "the name of the workflow is empty",
        "Give it a name",
    );
    refused(
        &mut db,
        "create_workflow(' w', 'invoice')",
        "22023",
        "begins or ends with a blank",
        "blank",
    );
    refused(
        &mut db,
        "create_workflow(repeat('w', 64), 'invoice')",
        "22023",
        "64 characters",
        "at most 63",
    );
    refused(
        &mut db,
        "add_phase('', 'x')",
        "42704",
        "workflow \"\"",
        "wf.define",
    );
    db.expect_error(
        "SELECT wf.create_workflow(NULL, 'invoice')",
        "22004",
        &["workflow"],
    );
    db.expect_error(
        "SELECT wf.create_workflow('w', NULL)",
        "22004",
        &["subject"],
    );
}

#[test]
fn every_function_refuses_a_workflow_that_is_not_there() {
    let mut db = small();
    for call in [
        "set_workflow('v', '{}')",
        "rename_workflow('v', 'x')",
        "drop_workflow('v')",
        "add_phase('v', 'x')",
        "rename_phase('v', 'x', 'y')",
        "remove_phase('v', 'x')",
        "add_step('v', 'x', 'note')",
        "set_step('v', 'x', '{}')",
        "move_step('v', 'x', after => 'y')",
        "remove_step('v', 'x')",
        "add_transition('v', 'x', 'y')",
        "remove_transition('v', 'x')",
        "save('v')",
        "discard('v')",
    ] {
        refused(
            &mut db,
            call,
            "42704",
            "workflow \"v\" does not exist",
            "Workflows are \"w\".",
        );
    }
}

#[test]
fn every_argument_that_must_be_there_is_asked_for() {
    let mut db = small();
    for (call, argument) in [
        ("set_workflow('w', NULL)", "fields"),
        ("rename_workflow('w', NULL)", "new_name"),
        ("drop_workflow(NULL)", "workflow"),
        ("add_phase('w', NULL)", "phase"),
        ("rename_phase('w', 'phase 1', NULL)", "new_name"),
        ("remove_phase('w', NULL)", "phase"),
        ("add_step('w', NULL, 'note')", "step"),
        ("add_step('w', 'x', NULL)", "kind"),
        ("set_step('w', 'first', NULL)", "fields"),
        ("set_step('w', NULL, '{}')", "step"),
        ("move_step('w', NULL)", "step"),
        ("remove_step('w', NULL)", "step"),
        ("add_transition('w', 'first', NULL)", "to_step"),
        ("add_transition('w', NULL, 'first')", "from_step"),
        ("remove_transition('w', NULL)", "from_step"),
        ("save(NULL)", "workflow"),
        ("discard(NULL)", "workflow"),
    ] {
        db.expect_error(
            &format!("SELECT wf.{call}"),
            "22004",
            &[&format!("argument {argument} must not be null")],
        );
    }
}

#[test]
fn names_that_are_taken_or_unknown() {
    let mut db = small();
    db.exec("SELECT wf.create_workflow('other', 'invoice'); SELECT wf.add_phase('w', 'late')");
    for (call, sqlstate, place, hint) in [
        (
            "create_workflow('w', 'invoice')",
            "42710",
            "workflow \"w\" exists already",
            "another name",
        ),
        (
            "rename_workflow('w', 'other')",
            "42710",
            "workflow \"other\" exists already",
            "another name",
        ),
        (
            "rename_workflow('w', ' ')",
            "22023",
            "the name of the workflow is empty",
            "Give it a name",
        ),
        (
            "add_phase('w', 'late')",
            "42710",
            "there is a phase \"late\" already",
            "name of its own",
        ),
        (
            "rename_phase('w', 'late', 'phase 1')",
            "42710",
            "there is a phase \"phase 1\" already",
            "name of its own",
        ),
        (
            "rename_phase('w', 'lat', 'x')",
            "42704",
            "workflow \"w\" has no phase \"lat\"",
            "Did you mean \"late\"?",
        ),
        (
            "add_phase('w', 'x', after => 'lat')",
            "42704",
            "workflow \"w\" has no phase \"lat\"",
            "Did you mean \"late\"?",
        ),
        (
            "add_phase('w', 'x', 'late', 'late')",
            "22023",
            "both after \"late\" and before \"late\"",
            "not both",
        ),
        (
            "add_phase('w', ' ')",
            "22023",
            "the name of the phase is empty",
            "Give it a name",
        ),
        (
            "remove_phase('w', 'lat')",
            "42704",
            "workflow \"w\" has no phase \"lat\"",
            "Did you mean \"late\"?",
        ),
        (
            "add_step('w', 'second', 'note')",
            "42710",
            "there is a step \"second\" already",
            "name of its own",
        ),
        (
            "set_step('w', 'first', '{\"name\": \"second\"}')",
            "42710",
            "there is a step \"second\" already",
            "name of its own",
        ),
        (
            "set_step('w', 'secnd', '{}')",
            "42704",
            "workflow \"w\" has no step \"secnd\"",
            "Did you mean \"second\"?",
        ),
        (
            "move_step('w', 'secnd', after => 'end')",
            "42704",
            "workflow \"w\" has no step \"secnd\"",
            "Did you mean \"second\"?",
        ),
        (
            "move_step('w', 'second', after => 'edn')",
            "42704",
            "workflow \"w\" has no step \"edn\"",
            "Did you mean \"end\"?",
        ),
        (
            "remove_step('w', 'secnd')",
            "42704",
            "workflow \"w\" has no step \"secnd\"",
            "Did you mean \"second\"?",
        ),
        (
            "remove_step('w', 'second', 'edn')",
            "42704",
            "workflow \"w\" has no step \"edn\"",
            "Did you mean \"end\"?",
        ),
        (
            "add_step('w', 'x', 'finish', phase => 'lat')",
            "42704",
            "workflow \"w\" has no phase \"lat\"",
            "Did you mean \"late\"?",
        ),
        (
            "add_step('w', 'x', 'finish', phase => 'late', after => 'first')",
            "22023",
            "step \"first\" is in phase \"phase 1\", not in phase \"late\"",
            "Leave out the phase",
        ),
    ] {
        refused(&mut db, call, sqlstate, place, hint);
    }
}

#[test]
fn fields_that_are_no_fields_of_the_step_or_workflow() {
    let mut db = small();
    for (call, place, hint) in [
        (
            "add_step('w', 'x', 'pigeon')",
            "step \"x\": unknown kind \"pigeon\"",
            "wf.document_schema()",
        ),
        (
            "add_step('w', 'x', 'email')",
            "step \"x\": email: missing field `template`",
            "wf.document_schema()",
        ),
        (
            "add_step('w', 'x', 'note', '{\"text\": \"t\", \"tetx\": \"t\"}')",
            "step \"x\": note: unknown field `tetx`",
            "null removes",
        ),
        (
            "add_step('w', 'x', 'note', '[]')",
            "the fields cannot be read: they are no JSON object",
            "object",
        ),
        (
            "add_step('w', 'x', 'note', '{\"kind\": \"note\"}')",
            "step \"x\": its kind stands among the fields, too",
            "argument",
        ),
        (
            "set_step('w', 'second', '{\"name\": null}')",
            "phase \"phase 1\", step 2: missing field `name`",
            "null removes",
        ),
        (
            "set_step('w', 'second', '{\"kind\": \"wait\"}')",
            "step \"second\": wait: unknown field `text`",
            "null removes",
        ),
        (
            "set_step('w', 'second', '{\"on\": {\"days\": \"two\"}}')",
            "step \"second\": field \"on.days\": invalid type: string \"two\"",
            "wf.document_schema()",
        ),
        (
            "set_step('w', 'second', '1')",
            "the fields cannot be read: they are no JSON object",
            "object",
        ),
        (
            "set_workflow('w', '{\"colour\": \"red\"}')",
            "unknown field `colour`",
            "wf.document_schema()",
        ),
        (
            "set_workflow('w', '{\"subject\": null}')",
            "missing field `subject`",
            "null removes",
        ),
        (
            "set_workflow('w', '{\"name\": \"x\"}')",
            "workflow \"w\": \"name\" is not changed this way",
            "wf.rename_workflow",
        ),
        (
            "set_workflow('w', '{\"phases\": []}')",
            "workflow \"w\": \"phases\" is not changed this way",
            "wf.define",
        ),
        (
            "create_workflow('x', 'invoice', '{\"phases\": []}')",
            "workflow \"x\": \"phases\" is not changed this way",
            "wf.define",
        ),
        (
            "move_step('w', 'second')",
            "it is not said where step \"second\" goes",
            "after or before",
        ),
        (
            "move_step('w', 'second', before => 'second')",
            "step \"second\" cannot go next to itself",
            "another step",
        ),
    ] {
        refused(&mut db, call, "22023", place, hint);
    }
}

#[test]
fn fields_that_are_hostile() {
    let mut db = small();
    // As deep as PostgreSQL itself lets a jsonb be read, and long.
    let deep = "(SELECT (repeat('{\"a\": ', 5000) || '1' || repeat('}', 5000))::jsonb)";
    refused(
        &mut db,
        &format!("set_step('w', 'second', {deep})"),
        "22023",
        "the fields cannot be read: recursion limit exceeded",
        "object",
    );
    let long = "(SELECT jsonb_object_agg('field ' || n, n) FROM generate_series(1, 100000) AS n)";
    refused(
        &mut db,
        &format!("set_step('w', 'second', {long})"),
        "22023",
        "step \"second\": note: unknown field",
        "wf.document_schema()",
    );
    let name = "repeat('x', 1000000)";
    refused(
        &mut db,
        &format!("remove_step('w', {name})"),
        "42704",
        "has no step",
        "Name a step",
    );
}
