//! What is measured: cases of three messages about invoices whose dates lie in the past.

use serde_json::{Value, json};
use workflow_engine_tests::{BIND_INVOICE, Cluster, ERP, Session, literal};

use crate::cluster::{Worked, checkpoint, work_off};

/// The workflow's name.
pub const WORKFLOW: &str = "bench";

/// Message steps of a case.
pub const STEPS: u64 = 3;

/// The first day of due dates that lie in the past, as a date in SQL.
pub const PAST: &str = "'2024-01-01'::date";

/// The same in the future, where no date is due yet.
pub const FUTURE: &str = "current_date + 400";

/// Rows of one statement that makes invoices, and cases of one call that starts them.
const CHUNK: u64 = 100_000;

/// Puts the extension, the ERP, so many invoices of the past, and the workflow into a database.
pub fn create(database: &mut Session, invoices: u64, done_when: &str) {
    erp(database);
    add_invoices(database, 1, invoices, PAST);
    install(database, &document(done_when));
}

/// Puts the extension and the ERP into a database, and binds the invoice.
pub fn erp(database: &mut Session) {
    if let Err(failure) = database.try_exec("CREATE EXTENSION workflow_engine") {
        panic!(
            "install the extension first (make install): {}",
            failure.text()
        );
    }
    database.exec(ERP);
    database.exec(BIND_INVOICE);
    database.exec("SELECT wf.set_participant('ar_specialist')");
}

/// Invoices of these numbers, ten a customer, due on all days of the year that begins with `first_day`.
pub fn add_invoices(database: &mut Session, from: u64, to: u64, first_day: &str) {
    // 100 is beyond the customers that the ERP comes with.
    database.exec(&format!(
        "INSERT INTO customer
         SELECT n, 'Customer ' || n || ' BV', 'invoices' || n || '@example.com', '+3120' || 1000000 + n,
                n || ' Keizersgracht, 1016 AA Amsterdam', CASE n % 2 WHEN 0 THEN 'nl' ELSE 'en' END, 'Europe/Amsterdam'
         FROM generate_series(100 + {from} / 10, 100 + {to} / 10) AS n
         ON CONFLICT DO NOTHING;
         INSERT INTO invoice
         SELECT n, '2024-' || lpad(n::text, 7, '0'), 100 + n / 10, 'posted', {first_day} + (n % 366)::int,
                round((10 + (n * 7919 % 100000) / 7.0)::numeric, 2), 'EUR'
         FROM generate_series({from}::bigint, {to}) AS n"
    ));
    // What the bound table has noted is of no use here: no workflow has a start rule yet.
    database.exec("TRUNCATE wf.inbox");
}

/// So many more invoices of the future, from number `from` on, each with a case that waits for its first date.
pub fn add_waiting(database: &mut Session, from: u64, count: u64) {
    let end = from + count;
    let mut first = from;
    while first < end {
        let last = (first + CHUNK).min(end) - 1;
        add_invoices(database, first, last, FUTURE);
        start_cases(database, WORKFLOW, first, last);
        first = last + 1;
    }
}

/// Publishes a workflow and turns it on.
pub fn install(database: &mut Session, document: &Value) {
    let name = literal(document["name"].as_str().unwrap_or_default());
    database.exec(&format!(
        "SELECT wf.define({}::text)",
        literal(&document.to_string())
    ));
    database.exec(&format!("SELECT wf.publish({name})"));
    database.exec(&format!("SELECT wf.enable({name})"));
}

/// Starts a case for each invoice of these numbers, in one call, which is one transaction.
pub fn start_cases(database: &mut Session, workflow: &str, from: u64, to: u64) {
    let started: u64 = database.one(&format!(
        "SELECT wf.start_many('{workflow}', (SELECT array_agg(id::text ORDER BY id) FROM invoice
                                             WHERE id BETWEEN {from} AND {to}))"
    ));
    assert_eq!(started, to + 1 - from, "cases started");
}

/// Makes a database of this name in which so many cases are due, their tables analysed, and leaves it.
pub fn make_ready(cluster: &Cluster, name: &str, cases: u64, done_when: &str) {
    let mut database = cluster.database(name);
    create(&mut database, cases, done_when);
    start_cases(&mut database, WORKFLOW, 1, cases);
    database.exec("VACUUM ANALYZE");
}

/// An e-mail, a text message and a letter. Before each, two conditions are asked: the stop rule and the step's own;
/// each has a date in business days. Bodies have about 300 bytes.
pub fn document(done_when: &str) -> Value {
    let step = |name: &str, kind: &str, when: &str, business_days: i32| {
        json!({
            "name": name, "kind": kind, "description": format!("Send the {kind}"), "template": name,
            "done_when": done_when, "when": when,
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

/// Panics unless every case has run to its end and every message is there in this state: a figure for half the work is
/// worth nothing.
pub fn check(database: &mut Session, cases: u64, message_state: &str) {
    let messages = cases * STEPS;
    database.expect(
        "SELECT state, count(*) FROM wf.outbox GROUP BY state",
        &[format!("{message_state} | {messages}")],
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

/// Starts a case for each of these invoices of the past and has the workers take them to their end. Panics unless they
/// all get there.
pub fn run_cases(database: &mut Session, from: u64, to: u64) -> Worked {
    let last = database.lines(
        "SELECT coalesce((SELECT max(message_id) FROM wf.outbox), 0), coalesce((SELECT max(case_id) FROM wf.cases), 0)",
    );
    let (message, case) = last
        .first()
        .and_then(|line| line.split_once(" | "))
        .expect("one row of two columns");
    start_cases(database, WORKFLOW, from, to);
    // What was loaded before, gigabytes perhaps, is not to be written out while steps are counted.
    checkpoint(database);
    let worked = work_off(database);
    let cases = to + 1 - from;
    database.expect(
        &format!(
            "SELECT (SELECT count(*) FROM wf.outbox WHERE message_id > {message} AND state = 'queued'),
                    (SELECT count(*) FROM wf.cases
                     WHERE case_id > {case} AND state = 'completed' AND outcome = 'reminded'),
                    (SELECT count(*) FROM wf.failures)"
        ),
        &[format!("{} | {cases} | 0", cases * STEPS)],
    );
    worked
}
