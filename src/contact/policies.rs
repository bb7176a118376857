//! Defining contact policies, and finding them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::prelude::*;
use workflow_core::contact::Policy;
use workflow_core::finding::Findings;
use workflow_core::program::Program;
use workflow_core::{Error, ErrorCode};

use crate::api::{actor, given, now};
use crate::engine::as_engine;
use crate::pg::raise::{OrRaise, raise};
use crate::pg::spi;
use crate::pg::types::{Json, arg};

/// The policies that a batch needs, each read once.
#[derive(Default)]
pub struct Policies {
    read: RefCell<HashMap<String, Result<Rc<Policy>, Error>>>,
}

impl Policies {
    /// The policy of this name.
    ///
    /// # Errors
    /// [`ErrorCode::Unknown`] if there is none.
    pub fn named(&self, name: &str) -> Result<Rc<Policy>, Error> {
        if let Some(known) = self.read.borrow().get(name) {
            return known.clone();
        }
        let policy = read(name);
        self.read
            .borrow_mut()
            .insert(name.to_owned(), policy.clone());
        policy
    }

    /// The policy of a program, if it has one.
    ///
    /// # Errors
    /// Those of [`Policies::named`].
    pub fn of(&self, program: &Program) -> Result<Option<Rc<Policy>>, Error> {
        let name = program.document.contact_policy.as_deref();
        name.map(|name| self.named(name)).transpose()
    }
}

fn read(name: &str) -> Result<Rc<Policy>, Error> {
    let rows = spi::query(
        "SELECT p.definition::text FROM wf.contact_policies AS p WHERE p.policy = $1",
        &[arg(name)],
    );
    match rows.first() {
        Some(row) => Policy::parse(&row.must::<String>(1)).map(Rc::new),
        None => Err(Error::new(
            ErrorCode::Unknown,
            format!("contact policy \"{name}\" does not exist"),
        )
        .hint("Define it with wf.set_contact_policy.")),
    }
}

/// Whether the policy that a workflow names is there.
pub fn check(program: &Program, findings: &mut Findings) {
    if let Some(name) = &program.document.contact_policy
        && let Err(error) = read(name)
    {
        findings.error("workflow", error.message, error.hint.unwrap_or_default());
    }
}

/// Defines a contact policy, or changes one. A json value is its text.
#[pg_extern(sql = false)]
fn set_contact_policy(policy: Option<&str>, definition: Option<&str>) {
    let (name, definition) = (given("policy", policy), given("definition", definition));
    if name.trim().is_empty() {
        raise(
            Error::new(ErrorCode::Input, "the contact policy has no name")
                .hint("Name it, so that workflows can say contact_policy."),
        );
    }
    let policy = Policy::parse(definition).or_raise();
    let actor = actor();
    as_engine(|| {
        for zone in &policy.zones {
            let known = spi::query_planned_freely(
                "SELECT 1 FROM pg_catalog.pg_timezone_names AS z WHERE z.name = $1",
                &[arg(zone.as_str())],
            );
            if known.is_empty() {
                raise(
                    Error::new(
                        ErrorCode::TimeZone,
                        format!("zones: time zone \"{zone}\" does not exist"),
                    )
                    .hint(
                        "SELECT name FROM pg_timezone_names lists the zones that the server knows.",
                    ),
                );
            }
        }
        spi::query(
            "INSERT INTO wf.contact_policies (policy, definition, lookback_days, set_at, set_by)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (policy) DO UPDATE
                 SET definition = excluded.definition, lookback_days = excluded.lookback_days,
                     set_at = excluded.set_at, set_by = excluded.set_by",
            &[
                arg(name),
                arg(Json(definition)),
                arg(i32::try_from(policy.lookback_days()).unwrap_or(i32::MAX)),
                arg(now()),
                arg(actor.as_str()),
            ],
        );
    });
}

/// Drops a contact policy that no workflow names.
#[pg_extern(sql = false)]
fn drop_contact_policy(policy: Option<&str>) {
    let name = given("policy", policy);
    as_engine(|| {
        let used = spi::query_planned_freely(
            "SELECT DISTINCT w.name FROM wf.versions AS v JOIN wf.workflows AS w ON w.workflow_id = v.workflow_id
             WHERE v.document ->> 'contact_policy' = $1
               AND (v.state IN ('draft', 'published') AND w.dropped_at IS NULL
                    OR EXISTS (SELECT FROM wf.cases AS c WHERE c.version_id = v.version_id AND c.ended_at IS NULL))
             ORDER BY w.name LIMIT 10",
            &[arg(name)],
        );
        let used: Vec<String> = used.iter().map(|row| row.must(1)).collect();
        if !used.is_empty() {
            raise(
                Error::new(
                    ErrorCode::State,
                    format!("contact policy \"{name}\" is in use"),
                )
                .detail(format!("By {}.", used.join(", ")))
                .hint("Take it out of these workflows first; open cases go by it until they end."),
            );
        }
        let gone = spi::query(
            "DELETE FROM wf.contact_policies AS p WHERE p.policy = $1",
            &[arg(name)],
        );
        if gone.processed() == 0 {
            raise(
                Error::new(
                    ErrorCode::Unknown,
                    format!("contact policy \"{name}\" does not exist"),
                )
                .hint("wf.contact_policies lists the policies."),
            );
        }
    });
}
