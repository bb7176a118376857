//! What the triggers note, for every kind of write.

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::super::*;

    #[pg_test]
    fn single_rows_are_noted_when_something_that_matters_changes() {
        invoice();
        run("INSERT INTO erp.invoice VALUES (1, 'open', '2026-04-01', 10, 'x')");
        assert_eq!(inbox(), "i:1");
        run("UPDATE erp.invoice SET amount = 11, note = repeat('y', 5000)");
        run("UPDATE erp.invoice SET state = 'open', due = '2026-04-01'");
        assert_eq!(inbox(), "");
        run("UPDATE erp.invoice SET state = NULL");
        run("UPDATE erp.invoice SET due = '2026-04-02'");
        assert_eq!(inbox(), "u:1 u:1");
        run("UPDATE erp.invoice SET id = 2");
        assert_eq!(inbox(), "u:1 u:2");
        run("DELETE FROM erp.invoice");
        assert_eq!(inbox(), "d:2");
        run("TRUNCATE erp.invoice");
        assert_eq!(inbox(), "t:-");
    }

    #[pg_test]
    fn copy_merge_and_on_conflict_are_noted() {
        invoice();
        run("COPY erp.invoice (id, state) FROM PROGRAM 'printf \"1,a\\n2,b\\n\"' (FORMAT csv)");
        assert_eq!(inbox(), "i:1 i:2");
        run(
            "INSERT INTO erp.invoice (id, state) VALUES (2, 'c'), (3, 'd') ON CONFLICT (id) DO UPDATE SET state = excluded.state",
        );
        assert_eq!(inbox(), "u:2 i:3");
        run("INSERT INTO erp.invoice (id) VALUES (2) ON CONFLICT DO NOTHING");
        assert_eq!(inbox(), "");
        run(
            "MERGE INTO erp.invoice i USING (VALUES (1), (2), (9)) n (id) ON i.id = n.id
             WHEN MATCHED AND i.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET state = 'm'
             WHEN NOT MATCHED THEN INSERT VALUES (n.id, 'n')",
        );
        let mut noted: Vec<String> = inbox().split(' ').map(str::to_owned).collect();
        noted.sort();
        assert_eq!(noted, ["d:1", "i:9", "u:2"]);
    }

    #[pg_test]
    fn partitioned_tables_are_noted_through_parent_and_partition() {
        run(
            "CREATE TABLE p (id int, y int, state text, PRIMARY KEY (id, y)) PARTITION BY LIST (y);
             CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
             CREATE TABLE p2 (junk int, state text, y int NOT NULL, id int NOT NULL);
             ALTER TABLE p2 DROP COLUMN junk;
             ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2);
             SELECT wf.bind_subject('p', 'p', 'id, y', watch => 'state');
             INSERT INTO p VALUES (1, 1, 'a'), (2, 2, 'a')",
        );
        assert_eq!(inbox(), "i:[\"1\",\"1\"] i:[\"2\",\"2\"]");
        run("UPDATE p SET state = 'b' WHERE id = 2");
        assert_eq!(inbox(), "u:[\"2\",\"2\"]");
        run("UPDATE p SET y = 2 WHERE id = 1");
        assert_eq!(inbox(), "d:[\"1\",\"1\"] i:[\"1\",\"2\"]");
        run("INSERT INTO p1 VALUES (5, 1); UPDATE p2 SET state = 'z' WHERE id = 2");
        before_commit();
        assert_eq!(inbox(), "i:[\"5\",\"1\"] u:[\"2\",\"2\"]");
        run("CREATE TABLE p3 PARTITION OF p FOR VALUES IN (3); INSERT INTO p3 VALUES (1, 3)");
        before_commit();
        assert_eq!(inbox(), "i:[\"1\",\"3\"]");
        run(
            "ALTER TABLE p RENAME COLUMN id TO ident; ALTER TABLE p RENAME COLUMN state TO status;
             UPDATE p SET status = 'q' WHERE ident = 2; UPDATE p SET status = 'q' WHERE ident = 2",
        );
        assert_eq!(inbox(), "u:[\"2\",\"2\"]");
        run("DROP TABLE p");
    }

    #[pg_test]
    fn a_rolled_back_subtransaction_leaves_nothing() {
        run(
            "CREATE TABLE p (id int PRIMARY KEY, state text) PARTITION BY LIST (id);
             CREATE TABLE p1 PARTITION OF p DEFAULT;
             SELECT wf.bind_subject('p', 'p', 'id')",
        );
        // direct writes to the partition stay in the buffer: it must follow the subtransactions
        run("DO $$ BEGIN
               INSERT INTO p1 VALUES (1);
               BEGIN
                 INSERT INTO p1 VALUES (2);
                 BEGIN INSERT INTO p1 VALUES (3); RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END;
                 BEGIN INSERT INTO p1 VALUES (4); EXCEPTION WHEN raise_exception THEN NULL; END;
                 RAISE EXCEPTION 'no';
               EXCEPTION WHEN raise_exception THEN NULL; END;
               BEGIN INSERT INTO p1 VALUES (5);
                     BEGIN INSERT INTO p1 VALUES (6); EXCEPTION WHEN raise_exception THEN NULL; END;
               EXCEPTION WHEN raise_exception THEN NULL; END;
             END $$");
        before_commit();
        assert_eq!(inbox(), "i:1 i:5 i:6");
        // a flush in a subtransaction must not take what an outer level has noted with it
        run("DO $$ BEGIN
               INSERT INTO p1 VALUES (11);
               BEGIN INSERT INTO p VALUES (12); RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END;
             END $$");
        before_commit();
        assert_eq!(inbox(), "i:11");
        run("INSERT INTO p1 VALUES (21)");
        let _ = refusal("INSERT INTO p VALUES (22), (21)");
        before_commit();
        assert_eq!(inbox(), "i:21");
    }

    #[pg_test]
    fn nested_triggers_cascades_and_deferred_constraints_are_noted() {
        invoice();
        run("CREATE TABLE erp.line (id int PRIMARY KEY, invoice bigint REFERENCES erp.invoice ON DELETE CASCADE
                 DEFERRABLE INITIALLY DEFERRED, amount int);
             SELECT wf.bind_subject('line', 'erp.line', 'id');
             CREATE FUNCTION erp.sum() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 UPDATE erp.invoice SET state = 'sum ' || new.amount WHERE id = new.invoice; RETURN new; END $$;
             CREATE TRIGGER a_sum AFTER INSERT OR UPDATE ON erp.line FOR EACH ROW EXECUTE FUNCTION erp.sum();
             INSERT INTO erp.line VALUES (1, 10, 5);
             INSERT INTO erp.invoice VALUES (10, 'x'), (11, 'y');");
        assert_eq!(inbox(), "i:1 i:10 i:11");
        run("INSERT INTO erp.line VALUES (2, 10, 6), (3, 11, 7)");
        let mut noted: Vec<String> = inbox().split(' ').map(str::to_owned).collect();
        noted.sort();
        assert_eq!(noted, ["i:2", "i:3", "u:10", "u:11"]);
        run("SET CONSTRAINTS ALL IMMEDIATE; DELETE FROM erp.invoice WHERE id = 10");
        before_commit();
        let mut noted: Vec<String> = inbox().split(' ').map(str::to_owned).collect();
        noted.sort();
        assert_eq!(noted, ["d:1", "d:10", "d:2"]);
    }

    #[pg_test]
    fn rows_without_a_key_are_nobodys() {
        run("CREATE TABLE n (a int, b text, UNIQUE (a, b)); SELECT wf.bind_subject('n', 'n', 'a, b');
             INSERT INTO n VALUES (1, NULL), (1, 'x')");
        assert_eq!(inbox(), "i:[\"1\",\"x\"]");
        run("UPDATE n SET b = NULL WHERE b = 'x'");
        assert_eq!(inbox(), "u:[\"1\",\"x\"]");
    }

    #[pg_test]
    fn a_row_whose_key_fits_no_index_of_ours_is_nobodys_and_goes_through() {
        run("CREATE TABLE n (a text, b text, PRIMARY KEY (a, b)); SELECT wf.bind_subject('n', 'n', 'a, b');
             CREATE TEMP TABLE long AS SELECT translate(substr(string_agg(md5(g::text), '' ORDER BY g), 1, 1330), '01', E'\"\\\\') AS t FROM generate_series(1, 50) g;
             INSERT INTO n SELECT t, reverse(t) FROM long; INSERT INTO n VALUES ('1', 'x');
             UPDATE n SET b = 'y' WHERE a <> '1'; UPDATE n SET b = 'y'");
        let noted = text(
            "SELECT string_agg(concat(op, ':', CASE WHEN length(key) < 20 THEN key ELSE 'long' END), ' ' ORDER BY inbox_id) FROM wf.inbox",
        );
        assert_eq!(
            noted.unwrap(),
            "i:[\"1\",\"x\"] u:long u:[\"1\",\"x\"] u:[\"1\",\"y\"]"
        );
        run(
            "DELETE FROM wf.inbox; UPDATE n SET b = (SELECT reverse(t) FROM long) WHERE a <> '1'; DELETE FROM wf.inbox",
        );
        assert_eq!(Spi::get_one::<i64>("SELECT wf.reconcile('n')"), Ok(Some(1)));
    }

    #[pg_test]
    fn a_role_without_any_right_on_wf_writes_a_bound_table() {
        invoice();
        run("CREATE ROLE wf_t_app; GRANT USAGE ON SCHEMA erp TO wf_t_app; GRANT ALL ON erp.invoice TO wf_t_app;
             SET LOCAL ROLE wf_t_app; SET LOCAL search_path = '';
             INSERT INTO erp.invoice VALUES (1, 'open'); UPDATE erp.invoice SET state = 'paid';
             INSERT INTO erp.invoice SELECT g FROM generate_series(2, 4) g;
             DELETE FROM erp.invoice WHERE id = 3; TRUNCATE erp.invoice;");
        assert_eq!(refusal("SELECT count(*) FROM wf.inbox").sqlstate, "42501");
        run("RESET ROLE; RESET search_path");
        assert_eq!(inbox(), "i:1 u:1 i:2 i:3 i:4 d:3 t:-");
    }

    #[pg_test]
    fn a_write_goes_through_when_the_engine_is_out_of_order() {
        invoice();
        run(
            "ALTER TABLE wf.inbox RENAME TO inbox_gone; INSERT INTO erp.invoice VALUES (1, 'open');
             ALTER TABLE wf.inbox_gone RENAME TO inbox; UPDATE erp.invoice SET state = 'paid';
             DELETE FROM wf.subjects; UPDATE erp.invoice SET state = 'posted'",
        );
        assert_eq!(inbox(), "u:1 u:1");
    }
}
