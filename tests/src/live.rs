//! A cluster with workers, where the real clock runs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{Cluster, Options};
use crate::documents::{edited, invoice_workflow};
use crate::erp::{BIND_INVOICE, ERP, PROBES};
use crate::session::Session;
use crate::wait::eventually_within;

/// Starts a cluster with these options and, in it, the database `shop` with the extension, the ERP and the probes.
/// The invoice is bound and has a column `ready_at`.
pub fn live(options: &Options) -> (Cluster, Session) {
    let cluster = Cluster::start(options);
    let mut shop = cluster.database("shop");
    prepare(&mut shop);
    (cluster, shop)
}

/// Puts the extension, the ERP and the probes into a database.
pub fn prepare(shop: &mut Session) {
    shop.try_exec("CREATE EXTENSION IF NOT EXISTS workflow_engine")
        .unwrap_or_else(|failure| {
            panic!(
                "install the extension first (make install): {}",
                failure.text()
            )
        });
    shop.exec(ERP);
    shop.exec(PROBES);
    shop.exec(
        "DROP VIEW invoice_details; ALTER TABLE invoice ADD COLUMN ready_at timestamptz; \
         CREATE VIEW invoice_details AS SELECT i.*, c.name AS customer_name, c.email, c.phone, c.address, c.locale, c.time_zone \
         FROM invoice AS i JOIN customer AS c ON c.id = i.customer_id",
    );
    shop.exec(BIND_INVOICE);
}

/// A workflow that starts on posted invoices, stops on paid ones, and has these steps.
pub fn automatic(steps: Value) -> Value {
    edited(invoice_workflow("auto", steps), |doc| {
        doc["start"] = json!({"when": "state = 'posted'"});
        doc["stop"] = json!([{"when": "state = 'paid'", "reason": "paid"}]);
    })
}

/// The ERP posts invoices of these numbers, due on 2026-04-01 and ready now.
pub fn post(shop: &mut Session, first: i64, last: i64) {
    shop.exec(&format!(
        "INSERT INTO invoice SELECT n, 'INV-' || n, 1, 'posted', '2026-04-01', 100, 'EUR', now() FROM generate_series({first}, {last}) AS n"
    ));
}

/// Waits until a query gives `t`, and shows the story if it takes long.
#[track_caller]
pub fn until(shop: &mut Session, what: &str, sql: &str) {
    let mut looks = 0;
    eventually_within(Duration::from_secs(120), what, || {
        looks += 1;
        if looks % 100 == 0 {
            println!("{what}:\n{}", shop.story());
        }
        (shop.one::<String>(sql) == "t").then_some(())
    });
}

/// Waits until nothing is unread or due.
#[track_caller]
pub fn at_rest(shop: &mut Session) {
    until(
        shop,
        "the end of what is due",
        "SELECT NOT EXISTS (SELECT FROM wf.inbox WHERE failed_at IS NULL)
            AND NOT EXISTS (SELECT FROM wf.case_steps WHERE state = 'scheduled' AND run_at <= wf.now())",
    );
}

/// Waits for the server of a live cluster, and starts it where a kill has taken the postmaster down too: at once, or some time
/// later if it was the start-up process that was killed.
pub fn up_again(cluster: &mut Cluster) -> Session {
    let start = Instant::now();
    let mut told = false;
    let mut forsaken: Option<Instant> = None;
    eventually_within(Duration::from_secs(120), "the server", || {
        if cluster.is_down() {
            cluster.start_again();
        }
        if start.elapsed() > Duration::from_secs(60) && !told {
            told = true;
            println!("after a minute:\n{}", cluster.at_work());
        }
        let session = cluster.try_connect("shop").ok();
        // A server whose start-up process dies ends, but one of 18 waits for its io workers for ever.
        let recovers = session.is_some()
            || !cluster.children_named("startup").is_empty()
            || cluster.children_named("io worker").is_empty();
        if recovers {
            forsaken = None;
        } else if forsaken.get_or_insert_with(Instant::now).elapsed() > Duration::from_secs(15) {
            forsaken = None;
            cluster.kill_postmaster();
        }
        session
    })
}

/// There are so many cases, each of a row of its own, and none has come to harm.
#[track_caller]
pub fn expect_sound_cases(shop: &mut Session, count: i64) {
    shop.expect("SELECT count(*) FROM wf.incidents", &[0]);
    shop.expect(
        "SELECT count(*), count(DISTINCT key) FROM wf.case_subjects",
        &[format!("{count} | {count}")],
    );
}
