//! An agent who wants to see, or to move, the cases of others.

use super::*;

/// A case of the attacker's, an agent, and one of somebody else's with things that the attacker must not learn.
struct Desk {
    stage: Stage,
    mine: i64,
    theirs: i64,
}

impl Desk {
    fn new() -> Self {
        let mut stage = Stage::new(Some("agent"));
        let (me, bert) = (stage.me.clone(), stage.role("bert"));
        stage.exec(&format!(
            "SELECT wf.grant_role('\"{bert}\"', 'agent'), wf.set_participant('me', '{me}'), wf.set_participant('bert', '{bert}')"
        ));
        for (name, participant) in [("hers", "me"), ("his", "bert")] {
            stage.install(&invoice_workflow(
                name,
                json!([
                    {"name": "noted", "kind": "note", "text": "top secret of {{ number }}"},
                    {"name": "settled", "kind": "task", "participant": participant, "due": {"days": 2}},
                    {"name": "hidden step", "kind": "question", "participant": participant, "due": {"days": 2},
                     "options": [{"name": "yes", "next": "mail"}, {"name": "no", "next": "end"}]},
                    {"name": "mail", "kind": "email", "template": "hello"}
                ]),
            ));
        }
        stage.invoice(1, "2026-04-01", "1000");
        stage.invoice(2, "2026-04-01", "500");
        let (mine, theirs) = (
            stage.one("SELECT case_id FROM wf.start('hers', 1, '{\"account\": \"mine\"}') LIMIT 1"),
            stage.one(
                "SELECT case_id FROM wf.start('his', 2, '{\"account\": \"ACC-SECRET\"}') LIMIT 1",
            ),
        );
        stage.run_due();
        stage.exec("SELECT wf.complete(task_id) FROM wf.tasks");
        stage.run_due();
        for case in [mine, theirs] {
            stage.exec(&format!(
                "SELECT wf.hold({case}, 'top secret {case}', kind => 'quiet');
                 INSERT INTO wf.documents (case_id, step_no, visit, at, actor, reference) VALUES ({case}, 1, 1, now(), 'x', 'top secret')"
            ));
        }
        stage.exec("ANALYZE");
        Self {
            stage,
            mine,
            theirs,
        }
    }
}

/// A function with next to no cost is asked before anything else, unless the server has to keep it from rows.
#[test]
fn s23_no_query_of_an_agent_makes_a_view_or_a_table_tell_rows_of_others() {
    let mut desk = Desk::new();
    let (mine, theirs) = (desk.mine, desk.theirs);
    let mut mallory = desk.stage.mallory();
    mallory.exec(
        "CREATE FUNCTION public.leak(case_id bigint, more text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
         BEGIN INSERT INTO public.loot VALUES ('case ' || case_id, more); RETURN true; END $$;
         CREATE FUNCTION pg_temp.leak(case_id bigint) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
         BEGIN RAISE NOTICE '%', case_id; INSERT INTO public.loot VALUES ('case ' || case_id); RETURN false; END $$",
    );
    for relation in [
        "worklist",
        "my_worklist",
        "case_progress",
        "case_timeline",
        "case_members",
        "strategy_status",
        "tasks",
        "notes",
        "documents",
        "holds",
    ] {
        for query in [
            "SELECT * FROM wf.{} AS r WHERE public.leak(r.case_id, r::text)",
            "SELECT * FROM wf.{} AS r WHERE pg_temp.leak(r.case_id)",
            "SELECT * FROM wf.{} AS r WHERE public.leak(r.case_id, '') ORDER BY public.leak(r.case_id, '')",
            "SELECT * FROM wf.{} AS r JOIN (VALUES (1)) AS v (n) ON public.leak(r.case_id, v.n::text)",
            "SELECT count(*) FILTER (WHERE public.leak(r.case_id, '')) FROM wf.{} AS r",
            "SELECT (SELECT public.leak(r.case_id, '')) FROM wf.{} AS r",
            "WITH r AS NOT MATERIALIZED (SELECT * FROM wf.{}) SELECT FROM r WHERE public.leak(r.case_id, '')",
            // An error that carries the value.
            "SELECT * FROM wf.{} AS r WHERE ('x' || r::text)::int > 0 AND r.case_id = THEIRS",
            "SELECT * FROM wf.{} AS r WHERE 1 / (r.case_id - THEIRS) >= 0",
        ] {
            let query = query
                .replace("{}", relation)
                .replace("THEIRS", &theirs.to_string());
            let told = mallory
                .try_exec(&query)
                .err()
                .map(|f| f.text())
                .unwrap_or_default();
            assert!(told.is_empty(), "{query}: {told}");
        }
        // Names of relations in plans are no secret; what statistics say would be.
        mallory.expect(
            &format!(
                "SELECT count(*) FROM pg_stats WHERE schemaname = 'wf' AND tablename = '{relation}'"
            ),
            &[0],
        );
    }
    desk.stage.expect(
        "SELECT DISTINCT what FROM public.loot WHERE what LIKE 'case %'",
        &[format!("case {mine}")],
    );
}

/// Whatever an agent may call that names a case or a task, with a case that is not theirs.
#[test]
fn s23_no_function_tells_an_agent_about_cases_of_others_or_moves_them() {
    let mut desk = Desk::new();
    let theirs = desk.theirs;
    let stage = &mut desk.stage;
    let task: i64 = stage.one(&format!(
        "SELECT task_id FROM wf.tasks WHERE case_id = {theirs}"
    ));
    let done: i64 = stage.one(&format!(
        "SELECT max(task_id) FROM wf.history WHERE case_id = {theirs} AND event = 'step_done'"
    ));
    let hold: i64 = stage.one(&format!(
        "SELECT hold_id FROM wf.holds WHERE case_id = {theirs}"
    ));
    let absence: i64 = stage.one("SELECT wf.set_absence('bert', '2026-03-10', '2026-03-20')");
    let state = "SELECT md5(string_agg(t::text, '/' ORDER BY t::text)) FROM (
        SELECT c::text FROM wf.cases AS c UNION ALL SELECT s::text FROM wf.case_steps AS s UNION ALL SELECT t::text FROM wf.tasks AS t
        UNION ALL SELECT h::text FROM wf.holds AS h UNION ALL SELECT o::text FROM wf.outbox AS o UNION ALL SELECT p::text FROM wf.promises AS p
        UNION ALL SELECT d::text FROM wf.disputes AS d UNION ALL SELECT a::text FROM wf.absences AS a
        UNION ALL SELECT l::text FROM wf.contact_log AS l UNION ALL SELECT y::text FROM wf.history AS y) AS t";
    let before: String = stage.one(state);
    let calls = [
        (
            "agree_plan",
            format!("wf.agree_plan({theirs}, '{{2026-04-01}}', '{{1}}')"),
        ),
        (
            "branch",
            format!("wf.branch({theirs}, 'hidden step', 'yes')"),
        ),
        ("branch", format!("wf.branch({theirs}, 'nonsense', 'yes')")),
        ("branch", format!("wf.branch({theirs}, 'noted', 'yes')")),
        ("branch", format!("wf.branch({theirs}, 'mail', 'yes')")),
        ("cancel_absence", format!("wf.cancel_absence({absence})")),
        ("claim_task", format!("wf.claim_task({task})")),
        ("claim_task", format!("wf.claim_task({task}, 'me')")),
        ("claim_task", format!("wf.claim_task({task}, 'bert')")),
        ("complete", format!("wf.complete({task}, 'yes')")),
        ("complete", format!("wf.complete({done})")),
        ("complete", format!("wf.complete({done}, 'other')")),
        (
            "complete_step",
            format!("wf.complete_step({theirs}, 'hidden step', 'yes')"),
        ),
        (
            "complete_step",
            format!("wf.complete_step({theirs}, 'settled')"),
        ),
        (
            "complete_step",
            format!("wf.complete_step({theirs}, 'nonsense')"),
        ),
        (
            "complete_step",
            format!("wf.complete_step({theirs}, 'mail')"),
        ),
        ("delegate_task", format!("wf.delegate_task({task}, 'me')")),
        ("diagram", format!("wf.diagram({theirs}::bigint)")),
        ("dispute", format!("wf.dispute({theirs}, 'mine')")),
        ("dispute", format!("wf.dispute({theirs}, 'mine', 1)")),
        ("explain", format!("wf.explain({theirs})")),
        ("hold", format!("wf.hold({theirs})")),
        ("log_contact", format!("wf.log_contact({theirs}, 'email')")),
        ("promise", format!("wf.promise({theirs}, 1, '2026-04-01')")),
        (
            "push_button",
            format!("wf.push_button({theirs}, 'hidden step')"),
        ),
        (
            "push_button",
            format!("wf.push_button({theirs}, 'nonsense')"),
        ),
        ("release", format!("wf.release({theirs})")),
        ("release", format!("wf.release({theirs}, 'quiet')")),
        ("release_hold", format!("wf.release_hold({hold})")),
        ("release_task", format!("wf.release_task({task})")),
        (
            "set_absence",
            "wf.set_absence('bert', '2026-03-03', '2026-03-04', 'me', true)".to_owned(),
        ),
    ];
    let mut mallory = stage.mallory();
    for (_, call) in &calls {
        let failure = mallory.refused(&format!("SELECT * FROM {call}"));
        let told = failure.text();
        assert_eq!(failure.sqlstate, "42501", "{call}: {told}");
        assert!(!told.contains("secret"), "{call}: {told}");
        // Whoever may not settle a task is told what it is and whose; who names none is told nothing.
        let of_a_task =
            call.contains("task") || call.contains("hidden") || call.starts_with("wf.complete(");
        assert!(of_a_task || !told.contains("hidden"), "{call}: {told}");
    }
    assert_eq!(stage.one::<String>(state), before);
    // Nothing that an agent may call is missing above, but for what names no case.
    let tried: Vec<&str> = calls.iter().map(|(name, _)| *name).collect();
    let me = stage.me.clone();
    stage.expect(
        &format!(
            "SELECT DISTINCT p.proname FROM pg_proc AS p
             WHERE p.pronamespace = 'wf'::regnamespace AND has_function_privilege('{}', p.oid, 'EXECUTE')
               AND p.proname <> ALL ('{{{}}}') ORDER BY 1",
            me,
            tried.join(",")
        ),
        &["_my_cases", "_my_tasks", "_sees_all", "now", "opt_in", "opt_out"],
    );
}

#[test]
fn a_call_repeated_by_whoever_made_it_is_still_no_error() {
    let mut desk = Desk::new();
    let mine = desk.mine;
    let task: i64 = desk.stage.one(&format!(
        "SELECT task_id FROM wf.tasks WHERE case_id = {mine}"
    ));
    let mut mallory = desk.stage.mallory();
    for _ in 0..2 {
        mallory.exec(&format!("SELECT * FROM wf.complete({task}, 'no')"));
        mallory.exec(&format!(
            "SELECT * FROM wf.complete_step({mine}, 'hidden step', 'no')"
        ));
    }
    // It is over, and with it what the agent sees.
    mallory.expect("SELECT case_id FROM wf.case_progress", NONE);
    mallory.expect_error(
        &format!("SELECT * FROM wf.explain({mine})"),
        "42501",
        &["not yours"],
    );
}

#[test]
fn an_agent_does_not_become_somebody_else() {
    let mut desk = Desk::new();
    let theirs = desk.theirs;
    let bert: String = desk
        .stage
        .one("SELECT role::text FROM wf.participants WHERE participant = 'bert'");
    let mut mallory = desk.stage.mallory();
    for sql in [
        format!("SET ROLE {bert}"),
        format!("SET SESSION AUTHORIZATION {bert}"),
        "SET ROLE postgres".to_owned(),
        "SELECT set_config('role', 'postgres', false)".to_owned(),
        format!("GRANT {bert} TO current_user"),
        "SET session_replication_role = replica".to_owned(),
        "SELECT wf.set_participant('me', 'postgres')".to_owned(),
        "SELECT wf.set_members('me', '{bert}')".to_owned(),
        format!("SELECT wf.assign({theirs}, 'bert', 'me')"),
        "INSERT INTO wf.members VALUES ('bert', 'me')".to_owned(),
        "CREATE FUNCTION wf.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'".to_owned(),
        "CREATE OR REPLACE FUNCTION wf._sees_all() RETURNS boolean LANGUAGE sql AS 'SELECT true'"
            .to_owned(),
        "CREATE OR REPLACE VIEW wf.worklist AS SELECT 1 AS task_id".to_owned(),
        "ALTER VIEW wf.worklist SET (security_barrier = false)".to_owned(),
        "ALTER FUNCTION wf._my_cases() COST 1".to_owned(),
        "ALTER FUNCTION wf.complete(bigint, text, jsonb) RESET search_path".to_owned(),
        "ALTER EXTENSION workflow_engine ADD TABLE public.loot".to_owned(),
        "DROP EXTENSION workflow_engine CASCADE".to_owned(),
        "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION public.spy_row()".to_owned(),
        "COMMENT ON SCHEMA wf IS 'mine'".to_owned(),
        "CREATE STATISTICS public.mine ON participant, due_at FROM wf.tasks".to_owned(),
        "CREATE INDEX ON wf.tasks ((public.spy(title)))".to_owned(),
        "CREATE RULE mine AS ON SELECT TO wf.tasks DO INSTEAD SELECT 1".to_owned(),
        "DO $$ BEGIN LOCK TABLE wf.tasks IN ACCESS EXCLUSIVE MODE; END $$".to_owned(),
        "SELECT FROM wf.tasks FOR UPDATE".to_owned(),
    ] {
        mallory.expect_error(&sql, "42501", &[]);
    }
    mallory.exec("SET ROLE NONE; RESET SESSION AUTHORIZATION");
    mallory.expect("SELECT count(*) FROM wf.case_progress", &[1]);
}
