//! What is measured: cases of three messages about invoices whose dates lie in the past.

use serde_json::{Value, json};
use workflow_engine_tests::{BIND_INVOICE, ERP, Session, literal};

/// The workflow's name.
pub const WORKFLOW: &str = "bench";

/// Message steps of a case.
pub const STEPS: u64 = 3;

/// Makes a database with the extension, the ERP with so many invoices (ten a customer), and the workflow turned on.
pub fn create(database: &mut Session, cases: u64) {
    if let Err(failure) = database.try_exec("CREATE EXTENSION workflow_engine") {
        panic!(
            "install the extension first (make install): {}",
            failure.text()
        );
    }
    database.exec(ERP);
    // 100 is beyond the customers that the ERP comes with. The dates: on all days of the year 2024.
    database.exec(&format!(
        "INSERT INTO customer
         SELECT n, 'Customer ' || n || ' BV', 'invoices' || n || '@example.com', '+3120' || 1000000 + n,
                n || ' Keizersgracht, 1016 AA Amsterdam', CASE n % 2 WHEN 0 THEN 'nl' ELSE 'en' END, 'Europe/Amsterdam'
         FROM generate_series(100, 100 + {cases} / 10) AS n;
         INSERT INTO invoice
         SELECT n, '2024-' || lpad(n::text, 7, '0'), 100 + n / 10, 'posted', '2024-01-01'::date + (n % 366)::int,
                round((10 + (n * 7919 % 100000) / 7.0)::numeric, 2), 'EUR'
         FROM generate_series(1, {cases}) AS n"
    ));
    database.exec(BIND_INVOICE);
    database.exec(&format!(
        "SELECT wf.define({}::text)",
        literal(&document().to_string())
    ));
    database.exec(&format!("SELECT wf.publish('{WORKFLOW}')"));
    database.exec(&format!("SELECT wf.enable('{WORKFLOW}')"));
}

/// Starts a case for every invoice, in one call.
pub fn start_cases(database: &mut Session) {
    database.exec(&format!(
        "SELECT wf.start_many('{WORKFLOW}', (SELECT array_agg(id::text ORDER BY id) FROM invoice))"
    ));
}

/// An e-mail, a text message and a letter. Before each, two conditions are asked: the stop rule and the step's own;
/// each has a date in business days. Bodies have about 300 bytes.
fn document() -> Value {
    let step = |name: &str, kind: &str, when: &str, business_days: i32| {
        json!({
            "name": name, "kind": kind, "description": format!("Send the {kind}"), "template": name,
            "done_when": "queued", "when": when,
            "on": {"anchor": "subject.due_date", "business_days": business_days}
        })
    };
    json!({
        "format": 1,
        "name": WORKFLOW,
        "title": "Three messages",
        "description": "Made for the benchmark.",
        "subject": "invoice",
        "time_zone": "Europe/Amsterdam",
        "calendar": "TARGET",
        "roll": "following",
        "stop": [{"when": "state = 'paid' or open_amount <= 5", "reason": "paid"}],
        "phases": [{"name": "reminders", "steps": [
            step("mail", "email", "email is not null", 10),
            step("text", "sms", "phone is not null and open_amount > 5", 20),
            step("post", "letter", "address is not null", 30),
            {"name": "end", "kind": "finish", "description": "All sent", "outcome": "reminded"}
        ]}],
        "templates": {
            "mail": {
                "subject": "Reminder: invoice {{ number }}",
                "body": "Dear {{ customer_name }},\n\nInvoice {{ number }} of {{ open_amount | money(currency) }} was due \
                         on {{ due_date | date }}, and we have not received your payment yet. Please pay it within \
                         fourteen days. If you have paid already, thank you, and please take no notice of this message.\
                         \n\nKind regards,\nAccounts receivable"
            },
            "text": {
                "body": "Invoice {{ number }} ({{ open_amount | money(currency) }}) was due on {{ due_date | date }} and \
                         is still open. Please pay it within seven days, or call us on weekdays between nine and five \
                         if something is wrong with it. Have your customer number {{ customer_id }} at hand. If you \
                         have paid already: thank you."
            },
            "post": {
                "subject": "Final notice: invoice {{ number }}",
                "body": "{{ customer_name }}\n{{ address }}\n\nDear customer,\n\nThis is our final notice for invoice \
                         {{ number }}, {{ open_amount | money(currency) }}, due on {{ due_date | date }}. Without \
                         your payment within seven days we hand it to a collection agency, whose costs will be \
                         charged to you.\n\nYours sincerely,\nAccounts receivable"
            }
        }
    })
}

/// Panics unless every case has run to its end and every message is there: a figure for half the work is worth nothing.
pub fn check(database: &mut Session, cases: u64) {
    let messages = cases * STEPS;
    database.expect(
        "SELECT state, count(*) FROM wf.outbox GROUP BY state",
        &[format!("queued | {messages}")],
    );
    database.expect(
        "SELECT state, outcome, count(*) FROM wf.cases GROUP BY state, outcome",
        &[format!("completed | reminded | {cases}")],
    );
    database.expect(
        "SELECT (SELECT count(*) FROM wf.case_steps), (SELECT count(*) FROM wf.failures)",
        &["0 | 0"],
    );
}
