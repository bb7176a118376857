//! Every attack of docs/security.md, tried: one module for each attacker.
//!
//! Attackers act through SQL as roles of their own. What they get their hands on they write down in `public.loot`, with
//! the role that their code ran as; what it must never be is somebody's whom they do not act for.

mod agent;
mod designer;
mod erp;
mod names;
mod owner;
mod reader;
mod sender;
mod session;
mod templates;
mod worker;

use serde_json::{Value, json};
use workflow_engine_tests::{Session, TestDb, edited, invoice_workflow};

const NONE: &[&str] = &[];

/// Where attackers write what they have got; anybody may, whoever their code runs as.
const LOOT: &str =
    "CREATE TABLE public.loot (what text, who text); GRANT INSERT, SELECT ON public.loot TO PUBLIC";

/// What an attacker plants: functions that note as whom they run, and try to become a superuser. `{me}` is the attacker.
const SPIES: &str = "
    CREATE FUNCTION public.spy(what text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        INSERT INTO public.loot VALUES (what, current_user);
        BEGIN
            EXECUTE 'ALTER ROLE \"{me}\" SUPERUSER';
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
        RETURN true;
    END $$;
    CREATE FUNCTION public.spy_row() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.spy(TG_NAME); RETURN NEW; END $$;";

/// Operators that the engine's own statements use, as an attacker would have them.
const OPERATORS: &str = "
    CREATE FUNCTION public.evil(a bigint, b bigint) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.spy('operator'); RETURN a OPERATOR(pg_catalog.=) b; END $$;
    CREATE FUNCTION public.evil(a int, b int) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.spy('operator'); RETURN a OPERATOR(pg_catalog.=) b; END $$;
    CREATE FUNCTION public.evil(a text, b text) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.spy('operator'); RETURN a OPERATOR(pg_catalog.=) b; END $$;
    CREATE OPERATOR public.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = public.evil);
    CREATE OPERATOR public.= (LEFTARG = int, RIGHTARG = int, FUNCTION = public.evil);
    CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = public.evil);
    CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.spy('now'); RETURN pg_catalog.now(); END $$;
    CREATE FUNCTION public.count(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$
    BEGIN PERFORM public.spy('count'); RETURN n; END $$;";

/// A database in which invoices are bound, with a role of a kind that may create what it wants in schema public.
struct Stage {
    db: TestDb,
    /// The attacker.
    me: String,
}

impl std::ops::Deref for Stage {
    type Target = TestDb;
    fn deref(&self) -> &TestDb {
        &self.db
    }
}

impl std::ops::DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut TestDb {
        &mut self.db
    }
}

impl Stage {
    fn new(kind: Option<&str>) -> Self {
        let mut db = TestDb::new();
        db.clock("2026-03-02 10:00");
        db.bind_invoice();
        db.exec(LOOT);
        let me = db.role("mallory");
        db.exec(&format!(
            "GRANT CREATE ON SCHEMA public TO \"{me}\"; GRANT SELECT, UPDATE ON invoice, invoice_details, customer TO \"{me}\"; \
             SELECT wf.set_participant('clerk')"
        ));
        if let Some(kind) = kind {
            db.exec(&format!("SELECT wf.grant_role('\"{me}\"', '{kind}')"));
        }
        let mut stage = Self { db, me };
        let spies = SPIES.replace("{me}", &stage.me);
        stage.mallory().exec(&spies);
        stage
    }

    /// A session of the attacker.
    fn mallory(&mut self) -> Session {
        self.db.connect_as(&self.me)
    }

    /// A workflow of the attacker's, published and on.
    #[track_caller]
    fn plant(&mut self, document: &Value) {
        let name = document["name"].as_str().expect("a name").to_owned();
        let mut mallory = self.mallory();
        mallory.define(document);
        mallory.exec(&format!(
            "SELECT wf.publish('{name}'); SELECT wf.enable('{name}')"
        ));
    }

    /// Nothing of the attacker's has run as anybody but these (the attacker included), and nobody was made a superuser.
    #[track_caller]
    fn is_unharmed(&mut self, but: &[&str]) {
        let me = self.me.clone();
        let allowed: Vec<String> = but
            .iter()
            .map(|who| format!("'{who}'"))
            .chain([format!("'{me}'")])
            .collect();
        self.db.expect(
            &format!(
                "SELECT DISTINCT what, who FROM public.loot WHERE who NOT IN ({})",
                allowed.join(", ")
            ),
            NONE,
        );
        self.db.expect(
            &format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{me}'"),
            &["f"],
        );
    }
}

/// The places of a workflow that hold SQL.
const PLACES: [&str; 5] = ["when", "start", "stop", "sql", "update"];

/// A workflow with an expression of type boolean in one of the places.
fn with_sql(name: &str, place: &str, sql: &str) -> Value {
    let step = match place {
        "when" => json!({"name": "step", "kind": "note", "text": "x", "when": sql}),
        "sql" => json!({"name": "step", "kind": "sql", "call": sql}),
        "update" => json!({"name": "step", "kind": "update",
                           "set": {"state": format!("case when {sql} then 'posted' else 'posted' end")}}),
        _ => json!({"name": "step", "kind": "note", "text": "x"}),
    };
    edited(invoice_workflow(name, json!([step])), |doc| match place {
        "start" => {
            doc["start"] =
                json!({"when": format!("state = 'posted' and number = '{name}' and {sql}")})
        }
        "stop" => doc["stop"] = json!([{"when": format!("not {sql}"), "reason": "stopped"}]),
        _ => {}
    })
}
