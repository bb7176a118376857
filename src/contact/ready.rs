//! Messages and calls that wait for the word of their workflow's contact policy, when they are due or their window has
//! opened: now, later, or not on this channel.

use workflow_core::contact::{CALL, Policy, Question, Reach, Verdict, zones_of};
use workflow_core::game::{Case, CaseState, Env, Event, Facts, Refusal};
use workflow_core::kinds::{Channel, DoneWhen};
use workflow_core::program::{CompiledStep, START, StepNo};
use workflow_core::{Error, ErrorCode};

use super::known::{Asked, Persons};
use super::policies::Policies;
use crate::engine::batch::Batch;
use crate::engine::deferred::{Later, Opened, Ready, Waiting};
use crate::engine::reads::Answers;
use crate::pg::lock::try_lock;
use crate::pg::spi;
use crate::pg::types::{arg, array, array_of, optional};

/// Has this process ask policies, and no other until the transaction ends. False: another one is at it.
pub fn take_turn() -> bool {
    try_lock("contact log")
}

/// A message that got its place, for the log.
struct Placed {
    asked: usize,
    channel: String,
    address: Option<String>,
}

/// Asks the policy about one step's messages, and does what it says.
pub fn open(
    batch: &mut Batch,
    step: StepNo,
    waiting: &[Waiting],
    policies: &Policies,
    out: &mut Opened,
) {
    let cases: Vec<usize> = waiting.iter().map(|w| w.case).collect();
    let Some(answers) = batch.ask_step(step, &cases) else {
        return;
    };
    let program = batch.cases[cases[0]].version.program.clone();
    let compiled = program.step(step);
    let now = batch.context.now;
    let (asked, places) = whom(batch, compiled, waiting, &answers);

    let policy = policies.of(&program);
    let known_policy = policy.as_ref().ok().and_then(Option::as_ref);
    let lookback = known_policy.map(|policy| policy.lookback_days());
    let reach = known_policy.map_or_else(Reach::default, |policy| policy.reach());
    let mut persons = match lookback {
        Some(days) => Persons::ask(&asked, now, days),
        None => Persons::default(),
    };

    let mut placed: Vec<Placed> = Vec::new();
    let mut refused: Vec<(i64, String)> = Vec::new();
    let mut called: Vec<i64> = Vec::new();
    for (nth, (position, place)) in places.into_iter().enumerate() {
        let one = &waiting[position];
        let facts = answers.facts(position);
        let env = batch.context.env();
        let case = &mut batch.cases[one.case].case;
        let effects = &mut batch.effects;
        let verdict = match (&policy, place) {
            (Err(error), _) => Err(error.clone()),
            (Ok(None), _) => Ok(Verdict::Now(None)),
            (Ok(Some(_)), Err(reason)) => Ok(Verdict::Never(reason)),
            (Ok(Some(policy)), Ok(())) => {
                let zones = zones(policy, case, &facts, &env);
                let question = Question {
                    channel: &one.channel,
                    now,
                    zones: &zones,
                    window: program.document.contact_window.as_ref(),
                };
                policy.judge(question, &persons.known(&asked[nth]), env.zones)
            }
        };
        match verdict {
            Err(error) => case.message_failed_to_render(step, one.visit, &error, effects),
            Ok(Verdict::Later { at, reason }) => {
                out.later.push(Later {
                    message: one.message,
                    opens: at,
                    closes: None,
                    reason: Some(reason),
                });
            }
            Ok(Verdict::Never(reason)) => {
                case.contact_refused(
                    step,
                    one.visit,
                    &Refusal {
                        channel: &one.channel,
                        event: Event::MessageSuppressed,
                        reason: &reason,
                        reach: &reach,
                    },
                    &facts,
                    &env,
                    effects,
                );
                refused.push((one.message, reason));
            }
            Ok(Verdict::Now(_)) if one.channel == CALL => {
                called.push(one.message);
                case.call_allowed(step, one.visit, &facts, &env, effects);
            }
            Ok(Verdict::Now(closes)) => match rendered(case, compiled, one, &facts, &env) {
                Ok(payload) => {
                    out.ready.push(Ready {
                        message: one.message,
                        payload,
                        opens: now,
                        closes,
                    });
                    persons.count(&asked[nth], &one.channel, now);
                    placed.push(Placed {
                        asked: nth,
                        channel: one.channel.clone(),
                        address: asked[nth].address.clone(),
                    });
                    case.message_came_to(step, one.visit, DoneWhen::Queued, &facts, &env, effects);
                }
                Err(error) => {
                    case.message_failed_to_render(step, one.visit, &error, effects);
                }
            },
        }
    }
    if lookback.is_some() {
        let step = compiled.map(|step| step.name.as_str());
        note(&placed, &asked, &persons, step, batch);
    }
    withdraw(&refused, &called, batch);
}

/// Where a message would reach its person; Err: nowhere, and why.
type Place = Result<(), String>;

/// Whom is left to ask about, each with the position of the message: cases whose row has been paid end instead.
fn whom(
    batch: &mut Batch,
    step: Option<&CompiledStep>,
    waiting: &[Waiting],
    answers: &Answers,
) -> (Vec<Asked>, Vec<(usize, Place)>) {
    let mut asked: Vec<Asked> = Vec::new();
    let mut places: Vec<(usize, Place)> = Vec::new();
    for (position, one) in waiting.iter().enumerate() {
        let facts = answers.facts(position);
        let env = batch.context.env();
        let loaded = &mut batch.cases[one.case];
        let case = &mut loaded.case;
        match case.state {
            CaseState::Completed => case.subject_changed_after_end(&facts, &mut batch.effects),
            CaseState::Running => {
                let step = step.map_or(START, |step| step.no);
                if case.stays_here(step, one.visit, &facts, &env, &mut batch.effects) {
                    continue;
                }
            }
            _ => continue,
        }
        // What a sender has had in hand goes where it was to go.
        let address = match step.filter(|_| one.attempts == 0) {
            Some(step) => case.address(step, &one.channel, &facts),
            None => Ok(None),
        };
        let (address, place) = match address {
            Ok(address) => (address, Ok(())),
            Err(reason) => (None, Err(reason)),
        };
        asked.push(Asked {
            message: one.message,
            case: case.id,
            subject: loaded.version.subject.name.clone(),
            key: case.key.clone(),
            address,
        });
        places.push((position, place));
    }
    (asked, places)
}

/// What a message says now; None: as it was rendered before. After the case has ended it goes out as it was, but for rows
/// that it lists and that have been paid.
fn rendered(
    case: &Case,
    step: Option<&CompiledStep>,
    message: &Waiting,
    facts: &Facts<'_>,
    env: &Env<'_>,
) -> Result<Option<String>, Error> {
    let anew = case.state == CaseState::Running || !case.members.is_empty();
    match step.filter(|_| message.attempts == 0 && anew) {
        Some(step) => channel(&message.channel)
            .and_then(|channel| case.render_on(step, channel, facts, env))
            .map(|rendering| Some(rendering.payload)),
        None => Ok(None),
    }
}

fn channel(name: &str) -> Result<Channel, Error> {
    let known = Channel::ALL.into_iter().find(|c| c.name() == name);
    known.ok_or_else(|| {
        Error::new(
            ErrorCode::Unknown,
            format!("there is no channel \"{name}\""),
        )
    })
}

/// Where the person of a case may be.
fn zones(policy: &Policy, case: &Case, facts: &Facts<'_>, env: &Env<'_>) -> Vec<String> {
    let column = case.program.roles.time_zone.as_deref();
    let row = column.and_then(|column| facts.row.get(column));
    let otherwise = case.program.document.time_zone.as_deref();
    zones_of(
        row.map(|(zones, _)| zones),
        &policy.zones,
        otherwise.unwrap_or(env.default_zone),
        env.zones,
    )
}

/// The log of what has got its place. A message that did so before, but was not fetched in its window, counts anew.
fn note(placed: &[Placed], asked: &[Asked], persons: &Persons, step: Option<&str>, batch: &Batch) {
    if placed.is_empty() {
        return;
    }
    let of = |p: &Placed| &asked[p.asked];
    spi::query(
        "INSERT INTO wf.contact_log (at, person, subject, key, channel, event, address, case_id, step, message_id, actor)
         SELECT $1, n.person, n.subject, n.key, n.channel, 'attempt', n.address, n.case_id, $2, n.message_id, $3
         FROM (SELECT unnest($4::text[]) AS person, unnest($5::text[]) AS subject, unnest($6::text[]) AS key,
                      unnest($7::text[]) AS channel, unnest($8::text[]) AS address, unnest($9::bigint[]) AS case_id,
                      unnest($10::bigint[]) AS message_id) AS n
         ON CONFLICT (message_id) WHERE event = 'attempt' AND message_id IS NOT NULL DO UPDATE SET at = excluded.at",
        &[
            arg(batch.context.now),
            optional(step),
            arg(batch.actor.as_str()),
            array(placed.iter().map(|p| persons.name(of(p).message))),
            array(placed.iter().map(|p| of(p).subject.as_str())),
            array(placed.iter().map(|p| of(p).key.as_str())),
            array(placed.iter().map(|p| p.channel.as_str())),
            array_of(placed.iter().map(|p| p.address.as_deref())),
            array(placed.iter().map(|p| of(p).case)),
            array(placed.iter().map(|p| of(p).message)),
        ],
    );
}

/// Messages that must not leave, and the places of calls that are tasks now. Their rows are locked.
fn withdraw(refused: &[(i64, String)], called: &[i64], batch: &Batch) {
    if !refused.is_empty() {
        spi::query(
            "UPDATE wf.outbox AS o SET state = 'suppressed', reason = n.reason, finished_at = $3
             FROM (SELECT unnest($1::bigint[]) AS message_id, unnest($2::text[]) AS reason) AS n
             WHERE o.message_id = n.message_id",
            &[
                array(refused.iter().map(|(id, _)| *id)),
                array(refused.iter().map(|(_, reason)| reason.as_str())),
                arg(batch.context.now),
            ],
        );
    }
    if !called.is_empty() {
        spi::query(
            "DELETE FROM wf.outbox AS o WHERE o.message_id = ANY ($1)",
            &[array(called.iter().copied())],
        );
    }
}
