//! Whoever owns the bound table, and puts code into what the engine reads and writes: it runs as the owner of the workflow
//! or of the table, as it would for any statement of theirs, and never as the engine.

use super::*;

/// The attacker owns a table; a designer, who has no other rights, binds it and follows its rows.
struct Trap {
    stage: Stage,
    designer: String,
}

const TABLE: &str = "
    CREATE TABLE public.claim (id bigint PRIMARY KEY, state text NOT NULL, amount numeric, email text, twice numeric);
    GRANT SELECT, UPDATE, TRIGGER ON public.claim TO PUBLIC;
    CREATE VIEW public.claim_details AS SELECT c.* FROM public.claim AS c;
    GRANT SELECT ON public.claim_details TO PUBLIC;";

/// What the owner of a table may do to it.
const TRAPS: [(&str, &str); 10] = [
    (
        "view",
        "CREATE OR REPLACE VIEW public.claim_details AS SELECT c.* FROM public.claim AS c WHERE public.spy('view')",
    ),
    (
        "barrier",
        "CREATE OR REPLACE VIEW public.claim_details WITH (security_barrier) AS SELECT c.* FROM public.claim AS c WHERE public.spy('barrier')",
    ),
    (
        "policy",
        "CREATE POLICY p ON public.claim USING (public.spy('policy')) WITH CHECK (public.spy('policy')); ALTER TABLE public.claim ENABLE ROW LEVEL SECURITY",
    ),
    (
        "check",
        "ALTER TABLE public.claim ADD CHECK (public.spy('check'))",
    ),
    (
        "domain",
        "CREATE DOMAIN public.loaded AS numeric CHECK (public.spy('domain')); \
                DROP VIEW public.claim_details; ALTER TABLE public.claim ALTER amount TYPE public.loaded; \
                CREATE VIEW public.claim_details AS SELECT c.* FROM public.claim AS c; GRANT SELECT ON public.claim_details TO PUBLIC",
    ),
    (
        "index",
        "CREATE FUNCTION public.spies(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM public.spy('index'); RETURN $1; END $$; \
               CREATE INDEX ON public.claim (public.spies(state))",
    ),
    (
        "default",
        "ALTER TABLE public.claim ALTER email SET DEFAULT public.spy('default')::text",
    ),
    (
        "row trigger",
        "CREATE TRIGGER t BEFORE UPDATE ON public.claim FOR EACH ROW EXECUTE FUNCTION public.spy_row()",
    ),
    (
        "late trigger",
        "CREATE CONSTRAINT TRIGGER u AFTER UPDATE ON public.claim DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.spy_row()",
    ),
    (
        "rule",
        "CREATE RULE r AS ON UPDATE TO public.claim DO ALSO SELECT public.spy('rule')",
    ),
];

impl Trap {
    fn new() -> Self {
        let mut stage = Stage::new(None);
        let designer = stage.role("designer");
        stage.exec(&format!("SELECT wf.grant_role('\"{designer}\"', 'owner')"));
        stage.mallory().exec(TABLE);
        stage
            .mallory()
            .exec("INSERT INTO public.claim SELECT n, 'open', 10 FROM generate_series(1, 20) AS n");
        let mut session = stage.connect_as(&designer);
        session.exec("SELECT wf.bind_subject('claim', 'public.claim', key => 'id', details => 'public.claim_details', email => 'email')");
        session.define(&edited(
            invoice_workflow(
                "claims",
                json!([
                    {"name": "mark", "kind": "update", "set": {"state": "state || '!'", "amount": "amount + 1"}},
                    {"name": "say", "kind": "note", "text": "{{ state }} {{ amount }}", "when": "amount > 0"}
                ]),
            ),
            |doc| {
                doc["subject"] = "claim".into();
                doc["stop"] = json!([{"when": "state = 'paid'", "reason": "paid"}]);
                doc["templates"] = json!({});
            },
        ));
        session.exec("SELECT wf.publish('claims'); SELECT wf.enable('claims')");
        Self { stage, designer }
    }
}

#[test]
fn code_of_a_table_never_runs_as_the_engine() {
    for (name, trap) in TRAPS {
        let Trap {
            mut stage,
            designer,
        } = Trap::new();
        stage.mallory().exec(trap);
        stage.exec("SELECT wf.start('claims', 1)");
        stage.run_due();
        stage
            .mallory()
            .exec("UPDATE public.claim SET amount = amount + 1 WHERE id = 1");
        stage.run_due();
        stage.exec("SELECT wf.reconcile('claim')");
        for hour in 11..14 {
            stage.at(&format!("2026-03-02 {hour}:00"));
        }
        stage.exec("SELECT * FROM wf.simulate('claims')");
        stage.is_unharmed(&[&designer]);
        println!(
            "{name}: {:?}",
            stage.lines("SELECT what, who, count(*) FROM public.loot GROUP BY 1, 2")
        );
        if name != "default" {
            stage.expect("SELECT count(*) > 0 FROM public.loot", &["t"]);
        }
    }
}

/// The name of the table may lead elsewhere; the binding is to the table.
#[test]
fn a_view_in_a_tables_place_is_not_the_table() {
    for instead in [
        "ALTER TABLE public.claim RENAME TO claim_old; CREATE VIEW public.claim AS SELECT o.* FROM public.claim_old AS o WHERE public.spy('view'); \
         GRANT ALL ON public.claim TO PUBLIC; CREATE RULE r AS ON UPDATE TO public.claim DO INSTEAD SELECT public.spy('rule')",
        "DROP TABLE public.claim CASCADE; CREATE VIEW public.claim AS SELECT 1::bigint AS id, 'open' AS state, 1::numeric AS amount, '' AS email, public.spy('view') AS twice; \
         CREATE VIEW public.claim_details AS SELECT * FROM public.claim; GRANT ALL ON public.claim, public.claim_details TO PUBLIC; \
         CREATE RULE r AS ON UPDATE TO public.claim DO INSTEAD SELECT public.spy('rule')",
        "ALTER TABLE public.claim SET SCHEMA pg_temp",
    ] {
        let Trap {
            mut stage,
            designer,
        } = Trap::new();
        let mut mallory = stage.mallory();
        if let Err(failure) = mallory.try_exec(instead) {
            failure.is("0A000", &["temporary"]);
            continue;
        }
        let _ = stage.try_exec("SELECT wf.start('claims', 1)");
        let _ = mallory.try_exec("UPDATE public.claim_old SET amount = 7");
        for hour in 11..14 {
            stage.at(&format!("2026-03-02 {hour}:00"));
        }
        stage.is_unharmed(&[&designer]);
    }
}
