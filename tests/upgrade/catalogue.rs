//! What PostgreSQL's catalogues say of the extension in a database, line by line and without numbers that are the
//! database's own.

use workflow_engine_tests::Session;

/// Each query gives lines; `r` members of the schema.
const QUERIES: [&str; 15] = [
    "SELECT 'schema', n.nspowner::regrole, n.nspacl, obj_description(n.oid, 'pg_namespace') FROM pg_namespace AS n WHERE n.nspname = 'wf'",
    "SELECT 'relation', c.oid::regclass, c.relkind, c.relpersistence, c.reloptions, c.relrowsecurity, c.relforcerowsecurity, \
            c.relispartition, c.relowner::regrole, a.amname, array(SELECT unnest(c.relacl)::text ORDER BY 1), obj_description(c.oid, 'pg_class') \
     FROM pg_class AS c LEFT JOIN pg_am AS a ON a.oid = c.relam WHERE c.relnamespace = 'wf'::regnamespace AND c.relkind <> 'i'",
    "SELECT 'column', a.attrelid::regclass, row_number() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), a.attname, \
            format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attstattarget, \
            a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid), array(SELECT unnest(a.attacl)::text ORDER BY 1), \
            col_description(a.attrelid, a.attnum) \
     FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid AND c.relnamespace = 'wf'::regnamespace AND c.relkind <> 'i' \
     LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attnum > 0 AND NOT a.attisdropped",
    "SELECT 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid), convalidated FROM pg_constraint \
     WHERE connamespace = 'wf'::regnamespace",
    "SELECT 'index', indexrelid::regclass, pg_get_indexdef(indexrelid), indisclustered, indisreplident, obj_description(indexrelid, 'pg_class') \
     FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid WHERE c.relnamespace = 'wf'::regnamespace",
    "SELECT 'trigger', pg_get_triggerdef(t.oid), t.tgenabled FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid \
     WHERE c.relnamespace = 'wf'::regnamespace AND NOT t.tgisinternal",
    "SELECT 'policy', polrelid::regclass, polname, polcmd, polpermissive, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid) \
     FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid WHERE c.relnamespace = 'wf'::regnamespace",
    "SELECT 'view', c.oid::regclass, pg_get_viewdef(c.oid) FROM pg_class AS c WHERE c.relnamespace = 'wf'::regnamespace AND c.relkind = 'v'",
    "SELECT 'function', p.oid::regprocedure, pg_get_functiondef(p.oid), p.proowner::regrole, array(SELECT unnest(p.proacl)::text ORDER BY 1), \
            obj_description(p.oid, 'pg_proc') FROM pg_proc AS p WHERE p.pronamespace = 'wf'::regnamespace AND p.prokind IN ('f', 'p')",
    "SELECT 'type', t.oid::regtype, t.typtype, t.typowner::regrole, array(SELECT unnest(t.typacl)::text ORDER BY 1), \
            array(SELECT e.enumlabel FROM pg_enum AS e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder), obj_description(t.oid, 'pg_type') \
     FROM pg_type AS t WHERE t.typnamespace = 'wf'::regnamespace",
    "SELECT 'sequence', s.seqrelid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle \
     FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid WHERE c.relnamespace = 'wf'::regnamespace",
    "SELECT 'saved', u.oid::regclass, u.condition FROM pg_extension AS e, unnest(e.extconfig, e.extcondition) AS u (oid, condition) \
     WHERE e.extname = 'workflow_engine'",
    "SELECT 'member', pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid \
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'workflow_engine'",
    "SELECT 'first rights', pg_describe_object(i.classoid, i.objoid, i.objsubid), array(SELECT unnest(i.initprivs)::text ORDER BY 1) \
     FROM pg_init_privs AS i JOIN pg_depend AS d ON d.classid = i.classoid AND d.objid = i.objoid AND d.deptype = 'e' \
     JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'workflow_engine'",
    "SELECT 'extension', e.extversion, e.extrelocatable, e.extnamespace::regnamespace FROM pg_extension AS e WHERE e.extname = 'workflow_engine'",
];

/// All of it, and the rows that the extension ships.
pub fn catalogue(session: &mut Session) -> Vec<String> {
    session.exec("SET search_path = pg_catalog");
    let mut lines = Vec::new();
    for query in QUERIES {
        let found = session.lines(query);
        assert!(!found.is_empty(), "{query}");
        lines.extend(found);
    }
    let tables = session.lines(
        "SELECT c.oid::regclass FROM pg_class AS c WHERE c.relnamespace = 'wf'::regnamespace AND c.relkind = 'r'",
    );
    for table in tables {
        let rows = session.lines(&format!("SELECT t FROM {table} AS t"));
        lines.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
    }
    lines.sort();
    lines
}
