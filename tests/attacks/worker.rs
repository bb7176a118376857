//! The worker is a superuser, and its session is the same for all: what is done to it in one transaction must not be there
//! in the next.

use super::designer::{BAIT, TRICKS};
use super::*;
use workflow_engine_tests::{Options, automatic, eventually, live};

#[test]
fn neither_a_designer_nor_the_databases_owner_gets_into_the_worker() {
    let (cluster, mut shop) = live(&Options::default().set("workflow_engine.retry_backoff", "0"));
    shop.exec(LOOT);
    shop.exec(
        "CREATE ROLE mallory LOGIN; CREATE ROLE bystander LOGIN; GRANT CREATE ON SCHEMA public TO mallory; ALTER DATABASE shop OWNER TO mallory; \
         GRANT SELECT, UPDATE ON invoice, invoice_details, customer TO mallory, bystander; SELECT wf.set_participant('clerk'); \
         SELECT wf.grant_role('mallory', 'manager'), wf.grant_role('bystander', 'manager')",
    );
    let mut mallory = cluster.connect_as("shop", "mallory");
    mallory.exec(&SPIES.replace("{me}", "mallory"));
    mallory.exec(OPERATORS);
    mallory.exec(BAIT);
    mallory.exec(
        "ALTER DATABASE shop SET search_path = public, pg_catalog; ALTER DATABASE shop SET default_transaction_read_only = on; \
         ALTER DATABASE shop SET statement_timeout = 1; ALTER DATABASE shop SET row_security = off; ALTER DATABASE shop SET DateStyle = 'German'; \
         ALTER DATABASE shop SET default_transaction_isolation = 'serializable'; ALTER DATABASE shop SET standard_conforming_strings = off",
    );
    // The worker that meets these settings is a new one.
    let workers = "SELECT pid FROM wf.workers() WHERE database = 'shop' AND pid IS NOT NULL";
    let first = eventually("a worker", || shop.lines(workers).first().cloned());
    shop.exec(&format!("SELECT pg_terminate_backend({first})"));
    eventually("another worker", || {
        let now = shop.lines(workers);
        (!now.is_empty() && !now.contains(&first)).then_some(())
    });
    mallory.exec("SET search_path = ''");
    for (number, (name, body)) in TRICKS.iter().enumerate() {
        mallory.exec(&format!(
            "CREATE FUNCTION public.trick_{number}() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
             BEGIN {body} PERFORM pg_advisory_lock({number}); RETURN public.spy('{name}'); END $$"
        ));
        for (position, place) in PLACES.iter().enumerate() {
            let id = number * PLACES.len() + position;
            let name = format!("{place} {number}");
            // A stop rule is asked about each new row.
            let sql = match *place {
                "stop" => format!("(number <> '{id}' or public.trick_{number}())"),
                _ => format!("public.trick_{number}()"),
            };
            let mut document = with_sql(&name, place, &sql);
            document["start"] = json!({"when": match *place {
                "start" => format!("number = '{id}' and public.trick_{number}()"),
                _ => format!("number = '{id}'"),
            }});
            mallory.define(&document);
            mallory.exec(&format!(
                "SELECT wf.publish('{name}'); SELECT wf.enable('{name}')"
            ));
        }
    }
    let mut bystander = cluster.connect_as("shop", "bystander");
    bystander.exec("SET search_path = pg_catalog; SET statement_timeout = 0; SET default_transaction_read_only = off");
    bystander.define(&automatic(
        json!([{"name": "seen", "kind": "note", "text": "undisturbed"}]),
    ));
    bystander.exec("SELECT wf.publish('auto'); SELECT wf.enable('auto')");
    shop.exec(&format!(
        "INSERT INTO invoice SELECT n, n::text, 1, 'posted', '2026-04-01', 1, 'EUR' FROM generate_series(0, {}) AS n",
        TRICKS.len() * PLACES.len() - 1
    ));
    eventually("all rows to be looked at", || {
        shop.lines("SELECT 1 FROM wf.inbox WHERE failed_at IS NULL LIMIT 1")
            .is_empty()
            .then_some(())
    });
    shop.exec("INSERT INTO invoice VALUES (1000, 'last', 1, 'posted', '2026-04-01', 1, 'EUR')");
    eventually("the case of a row that nobody attacks", || {
        let notes = shop.lines("SELECT 1 FROM wf.notes AS n JOIN wf.cases AS c USING (case_id) WHERE n.body = 'undisturbed' AND c.key = '1000'");
        (!notes.is_empty()).then_some(())
    });
    eventually("every trick to be over or refused", || {
        shop.lines("SELECT 1 FROM wf.case_steps WHERE state = 'scheduled' LIMIT 1")
            .is_empty()
            .then_some(())
    });
    shop.expect(
        "SELECT DISTINCT what, who FROM public.loot WHERE who <> 'mallory'",
        NONE,
    );
    shop.expect(
        "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'",
        &["f"],
    );
    shop.expect("SELECT count(*) > 20 FROM public.loot", &["t"]);
    // Nothing of theirs is held on to.
    shop.expect(
        "SELECT l.locktype FROM pg_locks AS l JOIN wf.workers() AS w USING (pid) WHERE l.locktype = 'advisory' AND l.objsubid < 3",
        NONE,
    );
}
