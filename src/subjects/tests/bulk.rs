//! What bulk statements note: many keys to a row of the inbox, and none lost.

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::super::*;

    /// `rows changed rows` of what the packed rows hold, and that their counts say so.
    fn packed() -> String {
        text(
            "SELECT concat(count(DISTINCT i.inbox_id), ' ', count(*), ' ', count(DISTINCT coalesce(u.key, u.watched)), ' ',
                           bool_and(cardinality(coalesce(i.keys, i.watched_rows)) = i.packed AND i.key IS NULL))
             FROM wf.inbox AS i, ROWS FROM (unnest(i.keys), unnest(i.watched_rows)) AS u (key, watched)
             WHERE i.packed IS NOT NULL",
        )
        .unwrap()
    }

    #[pg_test]
    fn many_keys_share_rows_and_few_do_not() {
        invoice();
        run("INSERT INTO erp.invoice SELECT g, 'open' FROM generate_series(1, 199) g");
        assert_eq!(packed(), "0 0 0 ");
        assert_eq!(inbox().split(' ').count(), 199);
        run("UPDATE erp.invoice SET amount = 1");
        assert_eq!(inbox(), "");
        run("INSERT INTO erp.invoice SELECT g, 'open' FROM generate_series(200, 120000) g");
        assert_eq!(packed(), "120 119801 119801 t");
        run("DELETE FROM wf.inbox; UPDATE erp.invoice SET state = 'paid' WHERE id <= 200");
        assert_eq!(packed(), "1 200 200 t");
        assert_eq!(inbox(), "u*200");
        run(
            "UPDATE erp.invoice SET state = CASE WHEN id = ANY('{3,5}') THEN 'p' ELSE state END WHERE id < 1000",
        );
        assert_eq!(inbox(), "u:3 u:5");
        run("DELETE FROM erp.invoice WHERE id <= 1300");
        assert_eq!(inbox(), "d*1000 d*300");
    }

    #[pg_test]
    fn long_keys_fill_a_row_sooner() {
        run(
            "CREATE TABLE long (id text PRIMARY KEY); SELECT wf.bind_subject('long', 'long', 'id');
             INSERT INTO long SELECT repeat(g::text, 600) FROM generate_series(100, 399) g",
        );
        let sizes = text("SELECT string_agg(packed::text, ' ' ORDER BY inbox_id) FROM wf.inbox");
        // 256 kB hold 145 keys of 1.8 kB
        assert_eq!(sizes.unwrap(), "145 145 10");
        assert_eq!(packed(), "3 300 300 t");
    }

    #[pg_test]
    fn each_kind_of_change_of_one_statement_has_rows_of_its_own() {
        invoice();
        run("CREATE TABLE erp.line (id int PRIMARY KEY, invoice bigint, amount int);
             SELECT wf.watch('invoice', 'erp.line', 'invoice + 0');
             CREATE FUNCTION erp.sum() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 UPDATE erp.invoice SET state = 'sum ' || new.amount WHERE id = new.invoice AND id <= 250 OR id = new.id - 400;
                 RETURN new; END $$;
             INSERT INTO erp.invoice SELECT g, 'open' FROM generate_series(1, 300) g; DELETE FROM wf.inbox;
             INSERT INTO erp.line SELECT g, g, g FROM generate_series(1, 300) g");
        assert_eq!(packed(), "1 300 300 t");
        assert_eq!(inbox(), "w*300");
        // the trigger's own statements are of one row each, and flush what the outer one has noted
        run(
            "CREATE TRIGGER a_sum AFTER INSERT ON erp.line FOR EACH ROW EXECUTE FUNCTION erp.sum();
             INSERT INTO erp.line SELECT g, g, g FROM generate_series(301, 402) g",
        );
        let noted = inbox();
        assert_eq!(noted.matches("w:").count(), 102);
        assert_eq!(noted.matches("u:").count(), 2);
    }

    #[pg_test]
    fn a_rolled_back_bulk_statement_leaves_nothing() {
        invoice();
        run("DO $$ BEGIN
               INSERT INTO erp.invoice SELECT g, 'open' FROM generate_series(1, 60000) g;
               RAISE EXCEPTION 'no';
             EXCEPTION WHEN raise_exception THEN NULL; END $$;
             INSERT INTO erp.invoice SELECT g, 'open' FROM generate_series(1, 400) g");
        let _ = refusal("UPDATE erp.invoice SET state = 'paid', amount = 1 / (id - 350)");
        before_commit();
        assert_eq!(inbox(), "i*400");
    }

    #[pg_test]
    fn a_bulk_statement_by_a_role_without_any_right_on_wf() {
        invoice();
        run("CREATE ROLE wf_t_bulk; GRANT USAGE ON SCHEMA erp TO wf_t_bulk; GRANT ALL ON erp.invoice TO wf_t_bulk;
             SET LOCAL ROLE wf_t_bulk; SET LOCAL search_path = '';
             INSERT INTO erp.invoice SELECT g, 'open' FROM pg_catalog.generate_series(1, 400) g; RESET ROLE");
        assert_eq!(inbox(), "i*400");
    }
}
