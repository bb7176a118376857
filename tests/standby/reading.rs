//! On a standby everything can be read, and what cannot be done there says where to do it.

use std::time::Duration;

use workflow_engine_tests::{Cluster, Options, Session, eventually, office};

/// Functions that change nothing, with a call of each.
const READING: [(&str, &str); 16] = [
    ("now", "SELECT wf.now()"),
    ("workers", "SELECT count(*) FROM wf.workers()"),
    ("document_schema", "SELECT wf.document_schema()"),
    ("export", "SELECT wf.export('main outreach')"),
    (
        "validate",
        "SELECT count(*) FROM wf.validate('main outreach')",
    ),
    (
        "validate_document",
        "SELECT count(*) FROM wf.validate_document(wf.export('dunning'))",
    ),
    (
        "diagram",
        "SELECT wf.diagram('payment plan'), wf.diagram(min(case_id)) FROM wf.cases",
    ),
    (
        "explain",
        "SELECT c.case_id, e.* FROM wf.cases AS c, wf.explain(c.case_id) AS e ORDER BY 1, 2, 3, 4",
    ),
    ("verify_history", "SELECT * FROM wf.verify_history()"),
    ("history_head", "SELECT * FROM wf.history_head()"),
    ("_may_rewrite", "SELECT wf._may_rewrite()"),
    ("_sees_all", "SELECT wf._sees_all()"),
    ("_my_cases", "SELECT count(*) FROM wf._my_cases()"),
    ("_my_tasks", "SELECT count(*) FROM wf._my_tasks()"),
    ("_every_case", "SELECT wf._every_case()"),
    ("_address", "SELECT wf._address('+31 6 1')"),
];

/// Calls of those that write, with what each needs to get as far as writing.
const WRITING: [&str; 20] = [
    "SELECT wf.start('dunning', 6::bigint)",
    "SELECT wf.start_many('dunning', '{6}')",
    "SELECT wf.complete(min(task_id)) FROM wf.tasks",
    "SELECT wf.claim_task(max(task_id), 'bert') FROM wf.tasks",
    "SELECT wf.cancel(min(case_id)) FROM wf.cases WHERE ended_at IS NULL",
    "SELECT wf.hold(min(case_id)) FROM wf.cases WHERE ended_at IS NULL",
    "SELECT wf.lease_messages(NULL, 10)",
    "SELECT wf.ack_messages('{1}')",
    "SELECT wf.fail_messages('{1}', 'x')",
    "SELECT wf.reconcile('invoice')",
    "SELECT wf.publish('planned')",
    "SELECT wf.define(wf.export('dunning'))",
    "SELECT wf.enable('planned')",
    "SELECT wf.opt_out('invoice:1', 'email')",
    "SELECT wf.set_absence('bert', '2030-01-01', '2030-02-01')",
    "SELECT wf.unwatch('claim', 'remark')",
    "SELECT wf.take_alerts()",
    "SELECT * FROM wf.simulate(to_time => '2026-06-01')",
    "SELECT wf.set_strategy('claim', NULL)",
    "CALL wf.run_due()",
];

fn in_step(primary: &mut Session, standby: &mut Session) {
    let at: String = primary.one("SELECT pg_current_wal_lsn()");
    eventually("the standby to have all that was written", || {
        let there = standby.one::<String>(&format!("SELECT pg_last_wal_replay_lsn() >= '{at}'"));
        (there == "t").then_some(())
    });
}

#[test]
fn on_a_standby_all_is_read_and_what_writes_says_to_ask_the_primary() {
    let primary = Cluster::start(&Options::default().set("workflow_engine.enabled", "off"));
    let mut shop = primary.database("shop");
    office(&mut shop);
    let standby = primary.standby("reader", &Options::default());
    let mut copy = standby.connect("shop");
    in_step(&mut shop, &mut copy);

    let views = shop.lines(
        "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'wf'::regnamespace AND relkind = 'v' ORDER BY 1",
    );
    assert!(views.len() >= 20, "{views:?}");
    for view in views.iter().filter(|view| *view != "wf.health") {
        let all = format!("SELECT v FROM {view} AS v ORDER BY v::text");
        assert_eq!(copy.lines(&all), shop.lines(&all), "{view}");
    }
    for (name, call) in READING.iter().filter(|(name, _)| *name != "workers") {
        assert_eq!(copy.lines(call), shop.lines(call), "{name}");
    }
    // As somebody without rights on the tables.
    let mut anna = standby.connect_as("shop", "anna");
    assert_eq!(
        anna.lines("SELECT task_id FROM wf.my_worklist ORDER BY 1"),
        primary
            .connect_as("shop", "anna")
            .lines("SELECT task_id FROM wf.my_worklist ORDER BY 1")
    );

    let mut odd = Vec::new();
    for call in WRITING {
        let failure = copy.refused(call);
        if failure.sqlstate != "25006" || !failure.hint.contains("primary") {
            odd.push(format!("{call}\n{}", failure.text()));
        }
    }
    assert!(odd.is_empty(), "{}", odd.join("\n\n"));
    for call in every_other_function(&mut shop) {
        match copy.try_exec(&call) {
            Err(failure) if !failure.sqlstate.starts_with("XX") => {}
            result => odd.push(format!("{call}: {result:?}")),
        }
    }
    assert!(odd.is_empty(), "{}", odd.join("\n\n"));

    // Nobody works here, and nothing complains about it.
    copy.expect("SELECT count(*) FROM wf.workers()", &[0]);
    copy.expect(
        "SELECT status, detail FROM wf.health WHERE \"check\" = 'worker'",
        &["ok | this server is a standby: its workers start when it is promoted"],
    );
    std::thread::sleep(Duration::from_secs(2));
    // The folder's own name may hold that of the library.
    let log = standby
        .log()
        .replace(&standby.folder().display().to_string(), "");
    let odd: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("workflow_engine") && !line.contains("STATEMENT"))
        .collect();
    assert!(odd.is_empty(), "{odd:#?}");
}

/// A call without arguments worth the name of each function that is in neither list: it must fail, in its own words.
fn every_other_function(shop: &mut Session) -> Vec<String> {
    let known: Vec<&str> = READING.iter().map(|(name, _)| *name).collect();
    let known = known.join(",");
    let calls = shop.lines(&format!(
        "SELECT format('SELECT wf.%I(%s)', p.proname, \
                       (SELECT string_agg('NULL::' || format_type(t, NULL), ', ') FROM unnest(p.proargtypes) AS t)) \
         FROM pg_proc AS p WHERE p.pronamespace = 'wf'::regnamespace AND p.prokind = 'f' \
           AND p.prorettype <> 'trigger'::regtype AND p.provolatile = 'v' AND NOT p.proisstrict \
           AND p.proname <> ALL ('{{{known},_wake,_announce,_invalidate,_protect_rows}}')"
    ));
    assert!(calls.len() > 80, "{}", calls.len());
    calls
}
