//! How real ERP applications write their tables, as far as triggers and inbox are concerned.

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::super::*;
    use crate::subjects::subject;

    #[pg_test]
    fn erp_01_names_with_capitals_hyphens_and_a_foreign_search_path() {
        run("CREATE SCHEMA \"Claims\"; CREATE TABLE \"Claims\".\"tbl-Claim\" (\"ClaimID\" int PRIMARY KEY, \"Claim-Status\" int);
             SET LOCAL search_path = \"Claims\", public;
             SELECT wf.bind_subject('tbl-Claim', '\"tbl-Claim\"', '\"ClaimID\"', watch => '\"Claim-Status\"');
             INSERT INTO \"tbl-Claim\" VALUES (1, 2);
             SET LOCAL search_path = 'nowhere'; UPDATE \"Claims\".\"tbl-Claim\" SET \"Claim-Status\" = 4;");
        run("RESET search_path");
        assert_eq!(inbox(), "i:1 u:1");
        assert_eq!(
            text("SELECT to_regclass('wf.\"tbl-Claim_cases\"')::text").unwrap(),
            "wf.\"tbl-Claim_cases\""
        );
    }

    #[pg_test]
    fn erp_02_keys_of_any_type_and_history_copies_under_new_keys() {
        run(
            "CREATE TABLE a (id uuid PRIMARY KEY, parent uuid, ended date);
             CREATE TABLE b (code varchar(20) PRIMARY KEY);
             SELECT wf.bind_subject('a', 'a', 'id'), wf.bind_subject('b', 'b', 'code');
             INSERT INTO a VALUES ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11');
             INSERT INTO a SELECT 'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', id, now() FROM a;
             INSERT INTO b VALUES ('F/2026/001')",
        );
        assert_eq!(
            inbox(),
            "i:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 i:b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 i:F/2026/001"
        );
    }

    #[pg_test]
    fn erp_03_state_in_codes_booleans_or_other_tables() {
        run("CREATE TABLE inv (id int PRIMARY KEY, code smallint, posted bool, void bool, memo text);
             CREATE TABLE ledger (id int PRIMARY KEY, inv int, amount numeric);
             SELECT wf.bind_subject('inv', 'inv', 'id', watch => 'code, posted, void',
                 details => 'SELECT i.*, (SELECT sum(l.amount) FROM public.ledger l WHERE l.inv = i.id) AS balance FROM public.inv i');
             SELECT wf.watch('inv', 'ledger', 'inv');
             INSERT INTO inv VALUES (1, 1, false, false); UPDATE inv SET code = 2; UPDATE inv SET posted = true;
             UPDATE inv SET memo = 'x'; INSERT INTO ledger VALUES (1, 1, 100)");
        assert_eq!(inbox(), "i:1 u:1 u:1 w:1");
        let columns = subject::by_name("inv").details_columns().to_vec();
        assert_eq!(columns.last().unwrap().0, "balance");
    }

    #[pg_test]
    fn erp_04_many_writes_are_one_action() {
        invoice();
        run("INSERT INTO erp.invoice VALUES (1, 'approved', NULL, NULL); UPDATE erp.invoice SET amount = NULL;
             UPDATE erp.invoice SET amount = 10; UPDATE erp.invoice SET amount = 10; UPDATE erp.invoice SET state = state;
             UPDATE erp.invoice SET state = 'posted'");
        // writes that change nothing that matters are silent; the rest only says: look at 1 as it is after commit
        assert_eq!(inbox(), "i:1 u:1");
    }

    #[pg_test]
    fn erp_05_paying_touches_only_the_ledger() {
        run("CREATE TABLE move (id int PRIMARY KEY, state text, write_date timestamptz);
             CREATE TABLE move_line (id int PRIMARY KEY, move_id int, residual numeric, reconciled bool);
             SELECT wf.bind_subject('move', 'move', 'id', watch => 'state'); SELECT wf.watch('move', 'move_line', 'move_id');
             INSERT INTO move VALUES (7, 'posted'); INSERT INTO move_line VALUES (1, 7, 100, false); DELETE FROM wf.inbox;
             UPDATE move SET write_date = now(); UPDATE move_line SET residual = 40;
             UPDATE move_line SET residual = 0, reconciled = true; UPDATE move SET state = 'paid'");
        assert_eq!(inbox(), "w:7 w:7 u:7");
    }

    #[pg_test]
    fn erp_06_backwards_moves_deletes_and_rekeying() {
        invoice();
        run("INSERT INTO erp.invoice VALUES (1, 'paid'); UPDATE erp.invoice SET state = 'posted';
             DELETE FROM erp.invoice; INSERT INTO erp.invoice VALUES (2, 'draft'); INSERT INTO erp.invoice VALUES (-2, 'void')");
        assert_eq!(inbox(), "i:1 u:1 d:1 i:2 i:-2");
    }

    #[pg_test]
    fn erp_07_orms_write_every_column_with_prepared_bulk_statements() {
        invoice();
        run("INSERT INTO erp.invoice SELECT g, 'open', '2026-04-01', 5, 'n' FROM generate_series(1, 5) g; DELETE FROM wf.inbox;
             PREPARE s (text, bigint[]) AS UPDATE erp.invoice SET id = id, state = CASE WHEN id = 4 THEN $1 ELSE state END,
                 due = due, amount = amount + 1, note = note WHERE id = ANY($2);
             EXECUTE s('paid', '{1,2,4}'); EXECUTE s('open', '{1,2}'); DEALLOCATE s");
        assert_eq!(inbox(), "u:4");
    }

    #[pg_test]
    fn erp_08_the_inbox_is_only_appended_to() {
        // what cannot conflict at any isolation level: no unique index besides the row's own number
        assert_eq!(
            text(
                "SELECT string_agg(pg_get_indexdef(indexrelid), ';') FROM pg_index
                  WHERE indrelid = 'wf.inbox'::regclass AND indisunique"
            )
            .unwrap(),
            "CREATE UNIQUE INDEX inbox_pkey ON wf.inbox USING btree (xid, inbox_id)"
        );
        assert_eq!(text("SELECT count(*)::text FROM pg_constraint WHERE conrelid = 'wf.inbox'::regclass AND contype = 'f'").unwrap(), "0");
    }

    #[pg_test]
    fn erp_09_clerks_behind_security_definer_procedures() {
        invoice();
        run("CREATE ROLE wf_t_owner; CREATE ROLE wf_t_clerk9; GRANT ALL ON SCHEMA erp TO wf_t_owner; GRANT USAGE ON SCHEMA erp TO wf_t_clerk9;
             ALTER TABLE erp.invoice OWNER TO wf_t_owner;
             CREATE FUNCTION erp.pay(bigint) RETURNS void LANGUAGE sql SECURITY DEFINER
                 AS 'INSERT INTO erp.invoice VALUES ($1, ''x''); UPDATE erp.invoice SET state = ''paid'' WHERE id = $1';
             ALTER FUNCTION erp.pay OWNER TO wf_t_owner; SET LOCAL ROLE wf_t_clerk9; SELECT erp.pay(4)");
        assert_eq!(text("SELECT current_user::text").unwrap(), "wf_t_clerk9");
        run("RESET ROLE");
        assert_eq!(inbox(), "i:4 u:4");
    }

    #[pg_test]
    fn erp_10_upgrades_rename_retype_and_drop_columns() {
        invoice();
        run("INSERT INTO erp.invoice VALUES (1, 'open'); ALTER TABLE erp.invoice ALTER COLUMN state TYPE varchar(50);
             ALTER TABLE erp.invoice ALTER COLUMN id TYPE int; ALTER TABLE erp.invoice ALTER COLUMN due TYPE timestamp;");
        inbox();
        run("UPDATE erp.invoice SET state = 'paid'; UPDATE erp.invoice SET amount = 3");
        assert_eq!(inbox(), "u:1");
        let s = subject::by_name("invoice");
        assert_eq!(s.key_types, ["integer"]);
        run("ALTER TABLE erp.invoice ALTER COLUMN id TYPE bigint; ALTER TABLE erp.invoice RENAME COLUMN id TO invoice_id;
             ALTER TABLE erp.invoice RENAME COLUMN state TO status");
        run("UPDATE erp.invoice SET status = 'open'; UPDATE erp.invoice SET amount = 4");
        // status changed its type before: by number and name it cannot be told, so every change counts
        assert_eq!(inbox(), "u:1 u:1");
        assert_eq!(
            subject::by_name("invoice").table_key_columns,
            ["invoice_id"]
        );
        run("ALTER TABLE erp.invoice DROP COLUMN status; UPDATE erp.invoice SET amount = 5");
        assert_eq!(inbox(), "u:1");
        run("ALTER TABLE erp.invoice ADD COLUMN x int; UPDATE erp.invoice SET x = 1");
        assert_eq!(inbox(), "u:1");
        run(
            "ALTER TABLE erp.invoice DROP COLUMN invoice_id; INSERT INTO erp.invoice (amount) SELECT 1 FROM generate_series(1, 9)",
        );
        assert_eq!(inbox(), "e:-");
        run("UPDATE erp.invoice SET amount = 77; DELETE FROM erp.invoice; DROP TABLE erp.invoice");
        assert_eq!(inbox(), "e:- e:-");
        assert!(subject::by_name("invoice").broken.is_some());
    }

    #[pg_test]
    fn erp_11_wide_rows_own_triggers_and_tenants() {
        run("CREATE TABLE w (id int PRIMARY KEY, company int, report text, state text);
             ALTER TABLE w ALTER COLUMN report SET STORAGE EXTERNAL;
             CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN new.company := 9; RETURN new; END';
             CREATE TRIGGER own BEFORE INSERT OR UPDATE ON w FOR EACH ROW EXECUTE FUNCTION own();
             SELECT wf.bind_subject('w', 'w', 'id', watch => 'state, report', tenant => 'company');
             INSERT INTO w VALUES (1, 1, repeat('r', 12000), 'a'); DELETE FROM wf.inbox;
             UPDATE w SET company = 3; UPDATE w SET state = 'b'; UPDATE w SET report = repeat('s', 12000)");
        assert_eq!(inbox(), "u:1 u:1");
        assert_eq!(
            text("SELECT tenant_column FROM wf.subjects WHERE name = 'w'").as_deref(),
            Some("company")
        );
    }

    #[pg_test]
    fn erp_12_due_dates_are_null_or_change() {
        invoice();
        run("INSERT INTO erp.invoice (id) SELECT g FROM generate_series(1, 4) g; DELETE FROM wf.inbox;
             UPDATE erp.invoice SET due = CASE WHEN id = 2 THEN date '2026-05-01' END; UPDATE erp.invoice SET due = NULL");
        assert_eq!(inbox(), "u:2 u:2");
    }
}
