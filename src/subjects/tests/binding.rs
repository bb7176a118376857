//! What binding refuses and what it stores; watches and reconcile.

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::super::*;
    use crate::subjects::{inbox as inbox_module, subject};

    fn tables() {
        run("CREATE SCHEMA erp;
             CREATE TABLE erp.t (id int PRIMARY KEY, other int, state text, email text);
             CREATE VIEW erp.v AS SELECT * FROM erp.t;
             CREATE TABLE erp.half (id int, state text);
             CREATE UNIQUE INDEX ON erp.half (id) WHERE state = 'open';
             CREATE TABLE erp.parts (id int, y int, PRIMARY KEY (id, y)) PARTITION BY LIST (y);
             CREATE TABLE erp.parts_1 PARTITION OF erp.parts FOR VALUES IN (1);
             CREATE TEMP TABLE tmp (id int PRIMARY KEY);");
    }

    /// SQLSTATE and all texts of a refusal in one line.
    fn refused(sql: &str) -> String {
        let f = refusal(sql);
        format!(
            "{} {} | {} | {}",
            f.sqlstate,
            f.message,
            f.detail.expect("a detail"),
            f.hint.expect("a hint")
        )
    }

    #[track_caller]
    fn says(sql: &str, parts: &[&str]) {
        let said = refused(sql);
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in: {said}");
        }
        let left: i64 = Spi::get_one("SELECT count(*) FROM wf.subjects")
            .unwrap()
            .unwrap();
        let triggers: i64 =
            Spi::get_one("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'wf_%'")
                .unwrap()
                .unwrap();
        assert_eq!((left, triggers), (0, 0), "a refusal changes nothing");
    }

    #[pg_test]
    fn binding_refuses_what_is_not_a_table() {
        tables();
        says(
            "SELECT wf.bind_subject('s', 'erp.v', 'id')",
            &["42809", "a view", "as details"],
        );
        says(
            "SELECT wf.bind_subject('s', 'tmp', 'id')",
            &["42809", "temporary"],
        );
        says(
            "SELECT wf.bind_subject('s', 'pg_class', 'oid')",
            &["42809", "system"],
        );
        says(
            "SELECT wf.bind_subject('s', 'wf.cases', 'case_id')",
            &["42809", "system"],
        );
        says(
            "SELECT wf.bind_subject('s', 4242424::regclass, 'id')",
            &["42P01", "4242424"],
        );
        says(
            "SELECT wf.bind_subject(NULL, 'erp.t', 'id')",
            &["22004", "name must not be null"],
        );
        says(
            "SELECT wf.bind_subject(repeat('x', 58), 'erp.t', 'id')",
            &["42602", "58 bytes"],
        );
    }

    #[pg_test]
    fn binding_refuses_a_key_that_is_missing_or_not_unique() {
        tables();
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'nope')",
            &["42703", "no column \"nope\"", "id, other, state, email"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id, id')",
            &["42701", "twice"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id,')",
            &["22023", "not a list"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', '\"id')",
            &["22023", "not a list"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'other')",
            &[
                "22023",
                "(other) of table erp.t is not unique",
                "CREATE UNIQUE INDEX ON erp.t (other)",
            ],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.half', 'id')",
            &["22023", "not unique", "without a condition"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.parts', 'id')",
            &["22023", "partition columns"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', watch => 'gone')",
            &["42703", "argument watch"],
        );
    }

    #[pg_test]
    fn binding_refuses_details_that_do_not_work() {
        tables();
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', details => 'erp.nothing')",
            &["42P01", "neither a relation nor a query"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', details => 'SELEC id FROM erp.t')",
            &["42P01", "neither"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', details => 'SELECT id FRM erp.t x')",
            &["22023", "syntax error at or near"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', details => 'SELECT id FROM t')",
            &["22023", "relation \"t\" does not exist", "with its schema"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', details => 'SELECT id FROM erp.t; SELECT 1')",
            &["22023", "not one query that only reads"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', details => 'WITH d AS (DELETE FROM erp.t RETURNING id) SELECT id FROM d')",
            &["22023"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', details => 'SELECT other AS k FROM erp.t')",
            &["42703", "lack the key column \"id\"", "columns k"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', details => 'SELECT point(1,1) AS id')",
            &["42804", "does not compare", "operator does not exist"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', email => 'mail')",
            &["42703", "argument email", "id, other, state, email"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', eligible => 'balance > 0')",
            &[
                "22023",
                "column \"balance\" does not exist",
                "id, other, state, email",
            ],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', eligible => 'other')",
            &["22023", "must be type boolean"],
        );
        says(
            "SELECT wf.bind_subject('s', 'erp.t', 'id', eligible => 'true) OR (1')",
            &["22023"],
        );
    }

    #[pg_test]
    fn binding_refuses_roles_without_rights() {
        tables();
        run("CREATE ROLE wf_t_clerk; CREATE ROLE wf_t_trigger;
             GRANT USAGE ON SCHEMA wf, erp TO wf_t_clerk, wf_t_trigger;
             GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA wf TO wf_t_clerk, wf_t_trigger;
             GRANT TRIGGER ON erp.t TO wf_t_trigger; SET LOCAL ROLE wf_t_clerk;");
        let f = refusal("SELECT wf.bind_subject('s', 'erp.t', 'id')");
        assert_eq!(f.sqlstate, "42501");
        assert!(
            f.hint
                .unwrap()
                .contains("GRANT TRIGGER, SELECT ON erp.t TO wf_t_clerk")
        );
        run("SET LOCAL ROLE wf_t_trigger");
        let f = refusal("SELECT wf.bind_subject('s', 'erp.t', 'id')");
        assert_eq!(f.sqlstate, "42501");
        assert!(f.detail.unwrap().contains("permission denied for table t"));
        run(
            "RESET ROLE; GRANT SELECT ON erp.t TO wf_t_trigger; SET LOCAL ROLE wf_t_trigger;
             SELECT wf.bind_subject('s', 'erp.t', 'id')",
        );
        run("SET LOCAL ROLE wf_t_clerk");
        for sql in [
            "SELECT wf.unbind_subject('s')",
            "SELECT wf.reconcile('s')",
            "SELECT wf.watch('s', 'erp.half', 'id')",
            "SELECT wf.unwatch('s', 'erp.half')",
        ] {
            let f = refusal(sql);
            assert_eq!(f.sqlstate, "42501", "{sql}: {}", f.message);
        }
        run("RESET ROLE");
        assert_eq!(
            text("SELECT owner::text FROM wf.subjects").unwrap(),
            "wf_t_trigger"
        );
    }

    #[pg_test]
    fn a_name_is_bound_once_and_may_be_rebound() {
        tables();
        run("SELECT wf.bind_subject('s', 'erp.t', 'id', watch => 'state')");
        let f = refusal("SELECT wf.bind_subject('s', 'erp.parts', 'id, y')");
        assert_eq!(f.sqlstate, "42710");
        assert!(f.hint.unwrap().contains("wf.unbind_subject('s')"));
        let f = refusal(
            "SELECT wf.bind_subject('other', 'erp.parts_1', 'id, y') FROM wf.bind_subject('p', 'erp.parts', 'id, y')",
        );
        assert!(
            f.message
                .contains("partition of the table of subject \"p\""),
            "{}",
            f.message
        );
        run(
            "SELECT wf.bind_subject('s', 'erp.t', 'ID', email => 'email', eligible => 'state = ''x''')",
        );
        assert_eq!(
            text("SELECT concat(name, watch_columns, email_column, eligible) FROM wf.subjects")
                .unwrap(),
            "semailstate = 'x'"
        );
        run("INSERT INTO erp.t VALUES (1); SELECT wf.unbind_subject('s')");
        assert_eq!(inbox(), "i:1");
        run("UPDATE erp.t SET other = 5");
        assert_eq!(inbox(), "");
        assert_eq!(text("SELECT to_regclass('wf.s_cases')::text"), None);
        assert_eq!(refusal("SELECT wf.unbind_subject('s')").sqlstate, "42704");
    }

    #[pg_test]
    fn unbinding_waits_for_open_cases() {
        tables();
        run("SELECT wf.bind_subject('s', 'erp.t', 'id');
             INSERT INTO wf.cases (case_id, workflow_id, version_id, state, created_at, key, started_by)
                 OVERRIDING SYSTEM VALUE VALUES (7, 1, 1, 'running', now(), '5', 'x');
             INSERT INTO wf.case_subjects SELECT 7, subject_id, 1, 0, '5' FROM wf.subjects;");
        let f = refusal("SELECT wf.unbind_subject('s')");
        assert_eq!(f.sqlstate, "55000");
        assert!(f.message.contains("1 open case"));
        run("ALTER TABLE erp.t ADD UNIQUE (other)");
        assert_eq!(
            refusal("SELECT wf.bind_subject('s', 'erp.t', 'other')").sqlstate,
            "55000"
        );
    }

    #[pg_test]
    fn watched_rows_give_their_keys() {
        invoice();
        run("CREATE TABLE erp.payment (id int PRIMARY KEY, invoice_id int, ref text, amount numeric);
             SELECT wf.watch('invoice', 'erp.payment', 'invoice_id');
             INSERT INTO erp.payment VALUES (1, 10, 'INV-11', 5), (2, NULL, 'INV-12', 5);");
        assert_eq!(inbox(), "w:10");
        run(
            "UPDATE erp.payment SET amount = 6; UPDATE erp.payment SET amount = 6;
             UPDATE erp.payment SET invoice_id = 11 WHERE id = 1",
        );
        assert_eq!(inbox(), "w:10 w:10 w:11");
        run(
            "SELECT wf.watch('invoice', 'erp.payment', 'nullif(substr(payment.ref, 5), '''')::int + 0')",
        );
        run(
            "UPDATE erp.payment SET ref = 'INV-13' WHERE id = 1; DELETE FROM erp.payment WHERE id = 2",
        );
        let rows: Vec<(i32, String)> = Spi::connect(|c| {
            c.select(
                "SELECT watch_id, watched FROM wf.inbox WHERE op = 'w' ORDER BY inbox_id",
                None,
                &[],
            )
            .unwrap()
            .map(|row| (row.get(1).unwrap().unwrap(), row.get(2).unwrap().unwrap()))
            .collect()
        });
        let borrowed: Vec<(i32, &str)> = rows.iter().map(|(w, r)| (*w, r.as_str())).collect();
        assert_eq!(
            inbox_module::resolve_watched(&borrowed),
            [
                Some("11".to_owned()),
                Some("13".to_owned()),
                Some("12".to_owned())
            ]
        );
        assert_eq!(inbox_module::resolve_watched(&[(999, "{}")]), [None]);
        inbox();
        run("SELECT wf.unwatch('invoice', 'erp.payment'); DELETE FROM erp.payment");
        assert_eq!(inbox(), "");
        for (key, part) in [
            ("nope", "column \"nope\" does not exist"),
            ("1", "reads no column"),
            ("count(id)", "aggregate"),
            ("(SELECT 1)", "subquery"),
            ("id, id", "gives 2 value"),
            ("payment::text", "more than"),
            ("point(id, id)", "cannot cast"),
        ] {
            let f = refusal(&format!(
                "SELECT wf.watch('invoice', 'erp.payment', '{key}')"
            ));
            assert_eq!(f.sqlstate, "22023", "{key}");
            assert!(
                f.detail.clone().unwrap().contains(part),
                "{key}: {:?}",
                f.detail
            );
        }
        assert_eq!(
            refusal("SELECT wf.watch('invoice', 'erp.invoice', 'id')").sqlstate,
            "22023"
        );
        assert_eq!(
            refusal("SELECT wf.watch('nope', 'erp.payment', 'id')").sqlstate,
            "42704"
        );
        assert_eq!(
            refusal("SELECT wf.unwatch('invoice', 'erp.payment')").sqlstate,
            "42704"
        );
    }

    #[pg_test]
    fn a_dropped_table_breaks_its_binding_and_nothing_else() {
        invoice();
        run("DROP TABLE erp.invoice");
        let s = subject::by_name("invoice");
        assert!(s.broken.as_ref().unwrap().contains("is gone"));
        assert_eq!(refusal("SELECT wf.reconcile('invoice')").sqlstate, "55000");
        run("CREATE TABLE erp.invoice (id bigint PRIMARY KEY, state text);
             SELECT wf.bind_subject('invoice', 'erp.invoice', 'id'); INSERT INTO erp.invoice VALUES (1)");
        assert!(subject::by_name("invoice").broken.is_none());
        assert_eq!(inbox(), "i:1");
        run("DROP TABLE erp.invoice; SELECT wf.unbind_subject('invoice')");
    }

    #[pg_test]
    fn reconcile_looks_at_rows_and_at_cases_without_a_row() {
        invoice();
        run("INSERT INTO erp.invoice SELECT g FROM generate_series(1, 12000) g; DELETE FROM wf.inbox;
             INSERT INTO wf.cases (case_id, workflow_id, version_id, state, created_at, key, started_by)
                 OVERRIDING SYSTEM VALUE VALUES (1, 1, 1, 'running', now(), '5', 'x');
             INSERT INTO wf.case_subjects SELECT 1, subject_id, 1, 0, k FROM wf.subjects, unnest('{5,99999}'::text[]) k");
        assert_eq!(
            Spi::get_one::<i64>("SELECT wf.reconcile('invoice')"),
            Ok(Some(12000))
        );
        assert_eq!(
            text("SELECT concat(count(*), ' ', max(k::int), ' ', count(DISTINCT i.inbox_id)) FROM wf.inbox AS i, unnest(i.keys) AS k WHERE op = 'r'")
                .unwrap(),
            "12001 99999 13"
        );
    }
}
