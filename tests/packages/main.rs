//! The packages in `examples/` as they are, on the demo's ERP: imported, published without a finding, and run.

mod by_hand;
mod call_follow_up;
mod reminders;

use workflow_engine_tests::{TestDb, document, edited, literal};

const ERP: &str = include_str!("../../examples/demo/erp.sql");
const BINDINGS: &str = include_str!("../../examples/demo/bind.sql");

const PACKAGES: [(&str, &str); 5] = [
    ("claims", include_str!("../../examples/claims.json")),
    ("reminders", include_str!("../../examples/reminders.json")),
    ("dunning", include_str!("../../examples/dunning.json")),
    (
        "call-follow-up",
        include_str!("../../examples/call-follow-up.json"),
    ),
    ("scope-10", include_str!("../../examples/scope-10.json")),
];

/// The demo's ERP with two customers; the packages are imported, published and on.
fn office() -> TestDb {
    let mut db = TestDb::new();
    db.clock("2026-05-01 09:00");
    // The harness's own ERP has views of the same names.
    db.exec("DROP VIEW public.invoice_details, public.inspection_report_details");
    db.exec(ERP);
    db.exec(BINDINGS);
    db.exec(
        "INSERT INTO public.customers VALUES
         (1, 'Jansen BV', 'info@jansen.example', '+31600000001', 'Singel 1', '1017 AB', 'Amsterdam', 'Netherlands', 'nl', 'Europe/Amsterdam'),
         (2, 'Smith Ltd', 'info@smith.example', NULL, 'High Street 1', 'LS1 4AP', 'Leeds', 'United Kingdom', 'en-GB', 'Europe/London')",
    );
    for (name, document) in PACKAGES {
        db.expect(
            &format!(
                "SELECT workflow, findings FROM wf.import({})",
                literal(document)
            ),
            &[format!("{name} | 0")],
        );
        db.exec(&format!(
            "SELECT wf.publish('{name}'); SELECT wf.enable('{name}')"
        ));
    }
    db
}

/// An invoice in EUR, posted.
fn invoice(db: &mut TestDb, id: i64, customer: i64, due: &str, amount: &str) {
    db.exec(&format!(
        "INSERT INTO public.invoices (id, number, customer_id, issued_on, due_date, amount, currency, state)
         VALUES ({id}, 'INV-{id}', {customer}, date '{due}' - 30, '{due}', {amount}, 'EUR', 'posted')"
    ));
}

#[test]
fn as_19_as_21_packages_bring_their_catalogue_data() {
    let mut db = office();
    db.expect(
        "SELECT w.name, v.document ->> 'category', v.document ->> 'author', v.document ->> 'related'
         FROM wf.workflows AS w JOIN wf.versions AS v USING (workflow_id)
         WHERE w.name IN ('claims', 'reminders', 'scope-10') ORDER BY 1",
        &[
            r#"claims | Collections | Collections | ["reminders"]"#,
            r#"reminders | Accounts receivable | Accounts receivable | ["claims", "dunning"]"#,
            "scope-10 | Insurance | Back office | null",
        ],
    );
    let failure = db.refused(&format!("SELECT wf.import({})", literal(PACKAGES[0].1)));
    failure.is("42710", &["claims"]);
}

#[test]
fn as_25_conditions_combine_with_and_and_or() {
    let mut db = office();
    let both = edited(document(PACKAGES[4].1), |package| {
        package["name"] = "scope-10-or-12".into();
        package["start"]["when"] = "(scope = 10 or scope = 12) and policy_status = 'active'".into();
    });
    db.install(&both);
    db.exec(
        "INSERT INTO public.policies VALUES ('P1', 1, 'Office', 'active'), ('P2', 1, 'Shop', 'ended');
         INSERT INTO public.inspection_reports (report_no, policy_number, scope, inspected_on, end_date, changed_on)
         SELECT p.number || '/' || s, p.number, s, '2023-09-01', '2026-09-01', '2023-09-01'
         FROM public.policies AS p, unnest('{10,11,12}'::smallint[]) AS s",
    );
    db.run_due();
    db.expect(
        "SELECT workflow, key FROM wf.case_progress ORDER BY workflow, key",
        &[
            "scope-10 | P1/10",
            "scope-10-or-12 | P1/10",
            "scope-10-or-12 | P1/12",
        ],
    );
}
