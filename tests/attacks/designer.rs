//! A designer: a manager whose conditions, updates and calls of functions want more than their owner's rights.

use super::*;

/// Bodies of functions that leave something behind, to run or to be found when the engine is itself again; each with what
/// is said when it is refused.
pub const TRICKS: [(&str, &str); 18] = [
    ("path", "PERFORM set_config('search_path', 'public, pg_catalog', false);"),
    ("local path", "PERFORM set_config('search_path', 'public, pg_catalog', true);"),
    ("set path", "SET search_path = public, pg_catalog;"),
    ("deferred", "INSERT INTO public.bait VALUES (1);"),
    ("deferred again", "SET CONSTRAINTS ALL DEFERRED; INSERT INTO public.bait VALUES (1);"),
    ("cursor", "EXECUTE 'DECLARE trap CURSOR WITH HOLD FOR SELECT public.spy(''cursor'')';"),
    ("temporary", "EXECUTE 'CREATE TEMP TABLE pg_class (oid oid)';"),
    ("temporary view", "EXECUTE 'CREATE TEMP VIEW cases AS SELECT public.spy(''view'')';"),
    ("listen", "LISTEN wf_alerts;"),
    ("prepared", "EXECUTE 'PREPARE trap AS SELECT 1';"),
    ("read only", "SET default_transaction_read_only = on; SET statement_timeout = 1; SET row_security = off;"),
    ("role", "BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN NULL; END;
              BEGIN SET ROLE postgres; EXCEPTION WHEN OTHERS THEN NULL; END;
              BEGIN RESET SESSION AUTHORIZATION; EXCEPTION WHEN OTHERS THEN NULL; END;
              BEGIN SET SESSION AUTHORIZATION postgres; EXCEPTION WHEN OTHERS THEN NULL; END;
              BEGIN PERFORM set_config('role', 'postgres', true); EXCEPTION WHEN OTHERS THEN NULL; END;"),
    ("commit", "COMMIT;"),
    ("block", "EXECUTE 'DO $x$ BEGIN COMMIT; PERFORM public.spy(''committed''); END $x$';"),
    ("program", "EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch /tmp/loot''';"),
    ("kill", "PERFORM pg_terminate_backend(pg_backend_pid());"),
    ("reach for wf", "PERFORM wf.set_clock('2030-01-01'); PERFORM wf.grant_role(current_user::regrole, 'owner');"),
    ("passwords", "PERFORM rolpassword FROM pg_authid;"),
];

pub const BAIT: &str = "
    CREATE TABLE public.bait (n int); GRANT ALL ON public.bait TO PUBLIC;
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON public.bait DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION public.spy_row();";

/// What a session has kept of what ran in it.
const KEPT: &str = "SELECT (SELECT string_agg(name || '=' || setting, ', ' ORDER BY name) FROM pg_settings WHERE source = 'session'),
                           (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
                           (SELECT count(*) FROM pg_cursors), (SELECT count(*) FROM pg_prepared_statements),
                           (SELECT count(*) FROM pg_listening_channels()), current_user, session_user";

/// The tricks, as functions of the attacker's that note as whom they end.
fn tricks(stage: &mut Stage) {
    let mut mallory = stage.mallory();
    mallory.exec(OPERATORS);
    mallory.exec(BAIT);
    for (number, (name, body)) in TRICKS.iter().enumerate() {
        mallory.exec(&format!(
            "CREATE FUNCTION public.trick_{number}() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
             BEGIN {body} RETURN public.spy('{name}'); END $$"
        ));
    }
}

/// All tricks in all places, each with a case of its own.
fn set_up() -> Stage {
    let mut stage = Stage::new(Some("manager"));
    tricks(&mut stage);
    let mut invoice = 0;
    for number in 0..TRICKS.len() {
        for place in PLACES {
            invoice += 1;
            let name = format!("INV-{invoice}");
            stage.plant(&with_sql(&name, place, &format!("public.trick_{number}()")));
            stage.exec(&format!(
                "INSERT INTO invoice VALUES ({invoice}, '{name}', 1, 'posted', '2026-04-01', 1, 'EUR')"
            ));
        }
    }
    stage
}

/// Starts what does not start by itself, as somebody, and lets a case of others run along.
fn start_all(stage: &mut Stage, session: &mut Session) {
    for invoice in 1..=TRICKS.len() * PLACES.len() {
        // Those that start by themselves do so with the next round.
        if invoice % PLACES.len() != 2 {
            // A stop rule that fails lets nothing begin.
            let _ = session.try_exec(&format!("SELECT wf.start('INV-{invoice}', {invoice})"));
        }
    }
    stage.install(&invoice_workflow(
        "bystander",
        json!([{"name": "seen", "kind": "note", "text": "undisturbed"}]),
    ));
    stage.invoice(1000, "2026-04-01", "5");
    stage.start("bystander", 1000);
}

#[test]
fn what_a_designer_writes_leaves_nothing_behind_that_the_engine_would_run() {
    let mut stage = set_up();
    let mut boss = stage.connect();
    let before = [stage.lines(KEPT), boss.lines(KEPT)];
    start_all(&mut stage, &mut boss);
    for hour in 10..16 {
        stage.at(&format!("2026-03-02 {hour}:30"));
    }
    stage.is_unharmed(&[]);
    assert_eq!([stage.lines(KEPT), boss.lines(KEPT)], before);
    // Each was tried: it came to its end, or was refused.
    for (number, (name, _)) in TRICKS.iter().enumerate() {
        let first = number * PLACES.len() + 1;
        stage.expect(
            &format!(
                "SELECT EXISTS (SELECT FROM public.loot WHERE what = '{name}')
                     OR EXISTS (SELECT FROM wf.failures WHERE message LIKE '%\"INV-{first}\"%')"
            ),
            &["t"],
        );
    }
    stage.expect(
        "SELECT DISTINCT message FROM wf.failures WHERE message LIKE '%\"INV-21\"%'",
        &["workflow \"INV-21\", step \"step\": cannot fire deferred trigger within security-restricted operation"],
    );
    stage.expect(
        "SELECT body FROM wf.notes WHERE body = 'undisturbed'",
        &["undisturbed"],
    );
}

#[test]
fn what_a_designer_writes_leaves_nothing_behind_for_the_person_whose_call_runs_it() {
    let mut stage = set_up();
    let victim = stage.role("victim");
    stage.exec(&format!("SELECT wf.grant_role('\"{victim}\"', 'manager')"));
    let mut session = stage.connect_as(&victim);
    let before = session.lines(KEPT);
    start_all(&mut stage, &mut session);
    assert_eq!(session.lines(KEPT), before);
    stage.is_unharmed(&[]);
}

#[test]
fn constraints_of_the_erp_that_are_checked_at_the_end_are_checked_by_the_step_that_writes() {
    let mut stage = Stage::new(Some("manager"));
    stage.exec(
        "CREATE TABLE state (name text PRIMARY KEY); INSERT INTO state VALUES ('posted'), ('marked'); GRANT SELECT ON state TO PUBLIC; \
         ALTER TABLE invoice ADD FOREIGN KEY (state) REFERENCES state DEFERRABLE INITIALLY DEFERRED",
    );
    for (name, state) in [("good", "marked"), ("bad", "lost")] {
        stage.plant(&invoice_workflow(
            name,
            json!([{"name": "mark", "kind": "update", "set": {"state": format!("'{state}'")}, "on": {"anchor": "case_start", "hours": 1}}]),
        ));
    }
    for (id, name) in [(1, "good"), (2, "bad")] {
        stage.invoice(id, "2026-04-01", "5");
        stage.exec(&format!("SELECT wf.start('{name}', {id})"));
    }
    for hour in 10..16 {
        stage.at(&format!("2026-03-02 {hour}:30"));
    }
    stage.expect(
        "SELECT id, state FROM invoice ORDER BY id",
        &["1 | marked", "2 | posted"],
    );
    stage.expect(
        "SELECT workflow, sqlstate FROM wf.incidents",
        &["bad | 23503"],
    );
}

/// Texts that are no single expression, or whose author may not read what they read.
#[test]
fn a_condition_is_one_expression_with_its_owners_rights() {
    let mut stage = Stage::new(Some("manager"));
    stage.exec("CREATE TABLE secret (n int)");
    // The first failure is an incident.
    stage.exec("SET workflow_engine.max_attempts = 1");
    let mut number = 0;
    for sql in [
        "true; DROP TABLE public.loot",
        "true); DROP TABLE public.loot; --",
        "true) OR (true",
        "true) UNION SELECT (true",
        "true FROM public.loot",
        "true, pg_sleep(1) IS NULL",
        "true AS wf_found",
        "true WHERE true",
        "(true))",
        "true /*",
        "",
        "--",
        "1 INTO public.stolen",
        "$1 IS NULL; SELECT 1",
        "(WITH gone AS (DELETE FROM public.invoice RETURNING 1) SELECT count(*) FROM gone) > 0",
        "(SELECT count(*) FROM public.secret) = 0",
        "(SELECT count(*) FROM wf.outbox) = 0",
        "(SELECT count(*) FROM wf.history) = 0",
        "(SELECT count(*) FROM pg_catalog.pg_authid) > 0",
        "pg_catalog.pg_read_file('/etc/passwd') IS NOT NULL",
        "pg_catalog.lo_import('/etc/passwd') IS NOT NULL",
        "wf.set_clock('2030-01-01') IS NOT NULL",
        "wf.lease_messages() IS NOT NULL",
        "wf._run_round(true)",
        "spy('not in the path')",
    ] {
        for place in PLACES {
            number += 1;
            let name = format!("probe {number}");
            let document = with_sql(&name, place, sql);
            let attempt = format!(
                "{}; SELECT wf.publish('{name}'); SELECT wf.enable('{name}')",
                workflow_engine_tests::define_sql(&document)
            );
            let sqlstate = match stage.mallory().try_exec(&attempt) {
                Err(failure) => failure.sqlstate,
                Ok(()) => run(&mut stage, number, place),
            };
            assert!(
                ["22023", "42501"].contains(&sqlstate.as_str()),
                "{place}: {sql}: {sqlstate}"
            );
        }
    }
    stage.is_unharmed(&[]);
    stage.expect("SELECT count(*) > 5 FROM invoice", &["t"]);
    stage.expect("SELECT to_regclass('public.stolen') IS NULL", &["t"]);
}

/// What comes of a condition that was let through: the SQLSTATE with which its case fails.
#[track_caller]
fn run(stage: &mut Stage, number: i32, place: &str) -> String {
    let last: i64 = stage.one("SELECT coalesce(max(failure_id), 0) FROM wf.failures");
    stage.exec(&format!(
        "INSERT INTO invoice VALUES ({number}, 'probe {number}', 1, 'posted', '2026-04-01', 1, 'EUR')"
    ));
    let started = match place {
        "start" => Ok(()),
        _ => stage.try_exec(&format!("SELECT wf.start('probe {number}', {number})")),
    };
    stage.run_due();
    stage.exec(&format!("SELECT wf.disable('probe {number}')"));
    let failed = stage.lines(&format!(
        "SELECT sqlstate FROM wf.failures WHERE failure_id > {last} ORDER BY failure_id LIMIT 1"
    ));
    match (started, failed.first()) {
        (Err(failure), _) => failure.sqlstate,
        (Ok(()), Some(sqlstate)) => sqlstate.clone(),
        (Ok(()), None) => "was let through, and ran".to_owned(),
    }
}

/// The condition of a subject is put into the queries of workflows of others.
#[test]
fn the_condition_of_a_subject_is_one_expression() {
    let mut stage = Stage::new(None);
    for eligible in [
        "true) UNION SELECT (1",
        "true) OR (true",
        "true; SELECT 1",
        "true, true",
        "",
    ] {
        stage
            .expect_error(
                &format!("SELECT wf.bind_subject('invoice', 'public.invoice', key => 'id', eligible => $x${eligible}$x$)"),
                "22023",
                &["eligible"],
            )
            .hints("columns");
    }
}

#[test]
fn a_designer_changes_nothing_of_others() {
    let mut stage = Stage::new(Some("manager"));
    stage.install(&invoice_workflow(
        "others",
        json!([{"name": "ask", "kind": "task", "participant": "clerk", "due": {"days": 1}}]),
    ));
    let mut mallory = stage.mallory();
    for sql in [
        "SELECT * FROM wf.define(wf.export('others'))",
        "SELECT wf.publish('others')",
        "SELECT wf.disable('others')",
        "SELECT wf.rename_workflow('others', 'mine')",
        "SELECT wf.drop_workflow('others')",
        "SELECT * FROM wf.set_step('others', 'ask', '{\"participant\": \"mallory\"}')",
        "SELECT wf.discard('others')",
        "UPDATE wf.workflows SET owner = current_user::regrole",
        "SELECT wf.bind_subject('mine', 'public.invoice', key => 'id')",
        "SELECT wf.unbind_subject('invoice')",
        "SELECT wf.set_participant('clerk', current_user)",
    ] {
        mallory.expect_error(sql, "42501", &[]);
    }
}

/// Not by what it does, but by failing: other workflows still take the row, and its open cases still hear of it.
#[test]
fn a_rule_that_fails_stands_in_no_other_workflows_way() {
    let mut stage = Stage::new(Some("manager"));
    stage.mallory().exec(
        "CREATE FUNCTION public.divides() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN 1 / 0 = 1; END $$",
    );
    stage.plant(&edited(with_sql("start", "start", "true"), |doc| {
        doc["start"] = json!({"when": "public.divides()"});
    }));
    stage.plant(&edited(
        with_sql("stop", "stop", "public.divides()"),
        |doc| {
            doc["start"] = json!({"when": "true"});
        },
    ));
    stage.install(&edited(
        invoice_workflow(
            "others",
            json!([{"name": "ask", "kind": "task", "participant": "clerk", "due": {"days": 1}}]),
        ),
        |doc| doc["start"] = json!({"when": "state = 'posted'"}),
    ));
    stage.exec("INSERT INTO invoice SELECT n, n::text, 1, 'posted', '2026-04-01', 1, 'EUR' FROM generate_series(1, 300) AS n");
    stage.run_due();
    stage.expect(
        "SELECT workflow, count(*) FROM wf.worklist GROUP BY 1",
        &["others | 300"],
    );
    stage.expect(
        "SELECT workflow, sqlstate, count(*), min(message) FROM wf.incidents GROUP BY 1, 2 ORDER BY 1",
        &[
            "start | 22012 | 300 | subject \"invoice\", key 1, workflow \"start\": division by zero",
            "stop | 22012 | 300 | subject \"invoice\", key 1, workflow \"stop\": division by zero",
        ],
    );
    // Mended, all is well again.
    stage.exec("SELECT wf.disable('start'), wf.disable('stop'); SELECT wf.reconcile('invoice')");
    stage.run_due();
    stage.expect("SELECT count(*) FROM wf.incidents", &[0]);
}
