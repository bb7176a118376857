//! Keys as text and back, and the columns of the details.

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::super::*;
    use crate::subjects::subject;

    #[pg_test]
    fn composite_and_mixed_case_keys_read_and_show() {
        run("CREATE SCHEMA \"E-R P\";
             CREATE TABLE \"E-R P\".\"tbl-Claim\" (\"ClaimID\" int, state varchar(9), x text, PRIMARY KEY (\"ClaimID\", state));
             SELECT wf.bind_subject('Claim''s \"x\"', '\"E-R P\".\"tbl-Claim\"', '\"ClaimID\", state', details => '\"tbl-Claim\"');
             INSERT INTO \"E-R P\".\"tbl-Claim\" VALUES (7, E'a\"b\\\\\\n');
             INSERT INTO wf.workflows (name, owner) VALUES ('w', 'postgres');
             INSERT INTO wf.cases (workflow_id, version_id, state, created_at, key, started_by)
                 SELECT workflow_id, 1, 'running', now(), i.key, 'x' FROM wf.workflows, wf.inbox i;
             INSERT INTO wf.case_subjects SELECT c.case_id, s.subject_id, c.workflow_id, 0, i.key
                 FROM wf.cases c, wf.subjects s, wf.inbox i;");
        assert_eq!(
            text("SELECT format('%s %s %s', pg_typeof(v.\"ClaimID\"), v.case_id = c.case_id, v.wf_state)
                  FROM wf.\"Claim's \"\"x\"\"_cases\" v JOIN \"E-R P\".\"tbl-Claim\" t USING (\"ClaimID\", state), wf.cases c")
                .unwrap(),
            "integer t running"
        );
        let s = subject::by_name("Claim's \"x\"");
        let sql = format!(
            "SELECT count(*) FROM {} d JOIN wf.inbox k ON {}",
            s.details,
            s.join_condition("d", "k.key")
        );
        assert_eq!(Spi::get_one::<i64>(&sql), Ok(Some(1)));
        let sql = format!(
            "SELECT {} = k.key FROM {} d, wf.inbox k",
            s.key_expression("d"),
            s.details
        );
        assert_eq!(Spi::get_one::<bool>(&sql), Ok(Some(true)));
        assert_eq!(
            s.canonical_keys(&["[ \"007\", \"x\" ]".to_owned()]),
            ["[\"7\",\"x\"]"]
        );
        assert_eq!(
            refusal("DO $$ BEGIN PERFORM 'x'::int; END $$").sqlstate,
            "22P02"
        );
    }

    #[pg_test]
    fn the_triggers_text_of_a_key_is_the_statements_text() {
        for (kind, value) in [
            ("smallint", "-32768"),
            ("bigint", "-9223372036854775808"),
            ("text", "Ünï \"q\" \\"),
            ("char(9)", "ab c  "),
            ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
            ("numeric", "100.500"),
            ("numeric", "1200"),
            ("numeric", "0.00"),
            ("boolean", "t"),
            ("date", "2026-04-01"),
            ("timestamp", "2026-04-01 13:30:00.5"),
            ("timestamptz", "2026-04-01 13:30:00+05"),
            ("interval", "1 day 02:00"),
            ("inet", "10.0.0.1"),
            ("float8", "0.1"),
            ("time", "10:00"),
            ("name", "n"),
            ("bytea", "\\x00ff"),
        ] {
            run(
                "SET LOCAL DateStyle = 'German'; SET LOCAL IntervalStyle = 'iso_8601';
                 SET LOCAL TimeZone = 'Asia/Tokyo'; SET LOCAL extra_float_digits = -10",
            );
            run(&format!(
                "CREATE TABLE k (k {kind} PRIMARY KEY); SELECT wf.bind_subject('k', 'k', 'k');
                 SET LOCAL DateStyle = 'ISO';
                 INSERT INTO k VALUES ('{value}'); SET LOCAL DateStyle = 'German'; DELETE FROM k"
            ));
            let s = subject::by_name("k");
            run(&format!(
                "SET LOCAL DateStyle = 'ISO'; INSERT INTO k VALUES ('{value}')"
            ));
            run("SET LOCAL DateStyle = 'SQL, DMY'");
            assert_eq!(
                text("SELECT count(DISTINCT key)::text FROM wf.inbox").unwrap(),
                "1",
                "{kind}"
            );
            run(
                "DELETE FROM wf.inbox WHERE op = 'd' OR inbox_id > (SELECT min(inbox_id) FROM wf.inbox)",
            );
            assert_eq!(Spi::get_one::<i64>("SELECT wf.reconcile('k')"), Ok(Some(1)));
            run("UPDATE wf.inbox SET key = keys[1] WHERE packed = 1");
            assert_eq!(
                text("SELECT count(DISTINCT key)::text FROM wf.inbox").unwrap(),
                "1",
                "{kind} {:?}",
                text("SELECT string_agg(key, ' <> ') FROM wf.inbox")
            );
            run("SET LOCAL DateStyle = 'ISO, MDY'");
            let key = text("SELECT min(key) FROM wf.inbox").unwrap();
            assert_eq!(
                s.canonical_keys(std::slice::from_ref(&key)),
                std::slice::from_ref(&key),
                "{kind}"
            );
            let sql = format!(
                "SELECT count(*) FROM k d, wf.inbox i WHERE {}",
                s.join_condition("d", "i.key")
            );
            assert_eq!(Spi::get_one::<i64>(&sql), Ok(Some(2)), "{kind} {key}");
            run("SELECT wf.unbind_subject('k'); DROP TABLE k; DELETE FROM wf.inbox");
        }
    }

    #[pg_test]
    fn details_columns_have_coarse_types_and_read_as_the_rules_want() {
        use workflow_core::row::ColumnType as T;
        run("CREATE SCHEMA erp; CREATE DOMAIN erp.amount AS numeric(20,2); CREATE TYPE erp.mood AS ENUM ('ok');
             CREATE TABLE erp.t (id int PRIMARY KEY, a erp.amount, m erp.mood, b bool, d date, ts timestamp,
                 tz timestamptz, j jsonb, f float8, i interval);
             SELECT wf.bind_subject('s', 'erp.t', 'id');
             SET LOCAL DateStyle = 'German'; SET LOCAL TimeZone = 'Asia/Tokyo';
             INSERT INTO erp.t VALUES (1, 12345678901234567.89, 'ok', true, '01.04.2026', '01.04.2026 13:30',
                 '2026-04-01 13:30:00.000001+00', '{\"a\":1}', 0.5, '1 day');
             INSERT INTO erp.t (id, d, ts, tz) VALUES (2, 'infinity', 'infinity', '-infinity');");
        let s = subject::by_name("s");
        let columns = s.details_columns().to_vec();
        let kinds: Vec<T> = columns.iter().map(|c| c.1).collect();
        assert_eq!(
            kinds,
            [
                T::Number,
                T::Number,
                T::Text,
                T::Bool,
                T::Date,
                T::Timestamp,
                T::TimestampTz,
                T::Json,
                T::Number,
                T::Text
            ]
        );
        let list: Vec<String> = columns
            .iter()
            .map(|(name, kind)| subject::column_expression("d", name, *kind))
            .collect();
        let sql = format!(
            "SELECT concat_ws('|', {}) FROM {} d WHERE id = $1",
            list.join(","),
            s.details
        );
        assert_eq!(
            text(&sql.replace("$1", "1")).unwrap(),
            "1|12345678901234567.89|ok|true|2026-04-01|2026-04-01 13:30:00|1775050200000001|{\"a\": 1}|0.5|1 day"
        );
        assert_eq!(text(&sql.replace("$1", "2")).unwrap(), "2");
    }
}
