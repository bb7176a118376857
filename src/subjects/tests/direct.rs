//! Rows that are appended without an executor are what an INSERT would have made of them, in the table and its indexes.

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::super::*;

    /// One row of each kind that is not packed.
    fn changes() -> Vec<String> {
        run(
            "INSERT INTO erp.invoice VALUES (1, 'open'); UPDATE erp.invoice SET state = 'paid'; DELETE FROM erp.invoice;
             INSERT INTO erp.line VALUES (1, 7, NULL); TRUNCATE erp.invoice;
             INSERT INTO erp.invoice SELECT g FROM generate_series(2, 9) g",
        );
        let rows = Spi::connect(|client| {
            client
                .select(
                    "SELECT to_jsonb(i) - '{inbox_id}'::text[] || jsonb_build_object('n', row_number() OVER (ORDER BY inbox_id))
                            || jsonb_build_object('same', xid = pg_current_xact_id() AND at = now() AND tableoid = 'wf.inbox'::regclass)
                     FROM wf.inbox AS i ORDER BY inbox_id",
                    None,
                    &[],
                )
                .unwrap()
                .map(|row| row.get::<pgrx::JsonB>(1).unwrap().unwrap().0.to_string())
                .collect()
        });
        run(
            "DELETE FROM wf.inbox; DELETE FROM erp.line; DELETE FROM erp.invoice; DELETE FROM wf.inbox",
        );
        rows
    }

    fn tables() {
        invoice();
        run(
            "CREATE TABLE erp.line (id int PRIMARY KEY, invoice bigint, amount int);
             SELECT wf.watch('invoice', 'erp.line', 'invoice + 0'); DELETE FROM wf.inbox",
        );
    }

    #[pg_test]
    fn a_row_is_what_an_insert_would_make() {
        tables();
        let direct = changes();
        assert_eq!(direct.len(), 13);
        assert!(
            direct.iter().all(|row| row.contains("\"same\":true")),
            "{direct:?}"
        );
        // an expression needs an executor, so now it is an INSERT
        run("CREATE INDEX ours ON wf.inbox ((upper(key)))");
        assert_eq!(changes(), direct);
        run("DROP INDEX wf.ours");
        assert_eq!(changes(), direct);
    }

    /// How many rows are found through an index, and how many there are.
    fn found(condition: &str) -> String {
        run("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off");
        let by_index = text(&format!(
            "SELECT count(*)::text FROM wf.inbox WHERE {condition}"
        ));
        run(
            "RESET enable_seqscan; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off",
        );
        let by_scan = text(&format!(
            "SELECT count(*)::text FROM wf.inbox WHERE {condition}"
        ));
        run("RESET enable_indexscan; RESET enable_indexonlyscan; RESET enable_bitmapscan");
        format!("{} of {}", by_index.unwrap(), by_scan.unwrap())
    }

    #[pg_test]
    fn every_index_gets_its_entries() {
        tables();
        run("INSERT INTO erp.invoice SELECT g FROM generate_series(1, 50) g");
        run("INSERT INTO erp.invoice SELECT g FROM generate_series(51, 350) g");
        assert_eq!(found("subject_id > 0 AND key = '7'"), "1 of 1");
        assert_eq!(found("subject_id > 0 AND key IS NULL"), "1 of 1");
        assert_eq!(found("xid = pg_current_xact_id()"), "51 of 51");
        assert_eq!(
            found("xid = pg_current_xact_id() AND packed IS NOT NULL"),
            "1 of 1"
        );
        // indexes that somebody adds in the middle of a session
        run("CREATE INDEX plain ON wf.inbox (op) INCLUDE (key); CREATE INDEX part ON wf.inbox (at) WHERE op = 'u';
             CREATE INDEX odd ON wf.inbox (xid, inbox_id) WHERE key IS NOT NULL;
             UPDATE erp.invoice SET state = 'x' WHERE id <= 3");
        assert_eq!(found("op = 'u'"), "3 of 3");
        assert_eq!(found("at = now() AND op = 'u'"), "3 of 3");
        run(
            "DROP INDEX wf.part; DROP INDEX wf.odd; UPDATE erp.invoice SET state = 'y' WHERE id <= 3",
        );
        assert_eq!(found("op = 'u'"), "6 of 6");
        assert_eq!(found("xid = pg_current_xact_id()"), "57 of 57");
    }

    #[pg_test]
    fn whatever_else_the_table_has_is_obeyed() {
        tables();
        run("CREATE TABLE seen (key text);
             CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (new.key); RETURN new; END $$;
             UPDATE erp.invoice SET state = 'x'; INSERT INTO erp.invoice VALUES (1);
             CREATE TRIGGER see AFTER INSERT ON wf.inbox FOR EACH ROW EXECUTE FUNCTION see();
             INSERT INTO erp.invoice VALUES (2)");
        assert_eq!(text("SELECT string_agg(key, ' ') FROM seen").unwrap(), "2");
        run(
            "DROP TRIGGER see ON wf.inbox; ALTER TABLE wf.inbox ADD COLUMN more int DEFAULT 5; INSERT INTO erp.invoice VALUES (3)",
        );
        assert_eq!(
            text("SELECT string_agg(concat(key, '-', more), ' ' ORDER BY inbox_id) FROM wf.inbox")
                .unwrap(),
            "1-5 2-5 3-5"
        );
        run("ALTER TABLE wf.inbox DROP COLUMN more; INSERT INTO erp.invoice VALUES (4)");
        assert_eq!(inbox(), "i:1 i:2 i:3 i:4");
    }

    #[pg_test]
    fn a_long_key_goes_out_of_line() {
        invoice();
        run("CREATE TABLE erp.line (id int PRIMARY KEY, remark text);
             SELECT wf.watch('invoice', 'erp.line', 'length(remark)');
             INSERT INTO erp.line SELECT 1, string_agg(md5(g::text), '') FROM generate_series(1, 3000) g");
        assert_eq!(
            text("SELECT length(watched)::text FROM wf.inbox").unwrap(),
            "96013"
        );
    }
}
