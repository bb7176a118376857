//! Messages whose day has passed, because the engine was down, or the case was on hold and its dates ran on: what the
//! workflow's outage policy makes of them. Without one they go out one after the other, as soon as they can.

use chrono::TimeDelta;
use serde_json::json;

use super::case::Case;
use super::effects::{Effects, Event};
use super::enter::single_way_on;
use super::plan::When;
use super::{Env, Facts};
use crate::document::{Outage, OutagePolicy};
use crate::program::{CompiledStep, StepNo};

impl Case {
    /// Whether a message step does not go on as it would: it has expired, or it waits for its turn.
    pub(super) fn is_out_of_turn(
        &mut self,
        index: usize,
        step: &CompiledStep,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> bool {
        let program = self.program.clone();
        let Some(outage) = &program.document.outage else {
            return false;
        };
        if step.kind.channel().is_none() {
            return false;
        }
        match outage.policy {
            OutagePolicy::Latest => self.expire(index, step, facts, env, out),
            OutagePolicy::Replay => self.wait_for_turn(index, outage, facts, env, out),
        }
    }

    /// Whether the day on which a token was to fire lies before today.
    fn is_late(&self, index: usize, facts: &Facts<'_>, env: &Env<'_>) -> bool {
        let Some(at) = self.tokens[index].run_at else {
            return false;
        };
        let day = |at| self.local_day(at, facts, env).ok();
        day(at) < day(env.now)
    }

    /// Of several messages that are due, only the newest goes out.
    fn expire(
        &mut self,
        index: usize,
        step: &CompiledStep,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> bool {
        if step.on.is_none() || !self.is_late(index, facts, env) {
            return false;
        }
        let Some(newer) = self.newer(step, facts, env) else {
            return false;
        };
        let program = self.program.clone();
        let planned = self.tokens[index].run_at;
        let reason = format!(
            "its day had passed, and \"{}\" is newer",
            program.step_name(newer)
        );
        let detail = json!({ "reason": reason, "planned": planned });
        self.finish(
            index,
            Event::StepSkipped,
            "expired",
            Some(detail.to_string()),
            env,
            out,
        );
        let mut no = step.next;
        // What goes out with it, undated, is late with it.
        while let Some(with) = no.and_then(|no| program.step(no)) {
            let goes_along = with.stage == step.stage
                && with.on.is_none()
                && with.kind.channel().is_some()
                && with.next.is_some_and(|next| single_way_on(with, next));
            if !goes_along {
                break;
            }
            let token = self.new_token(with, env);
            let detail = json!({ "reason": reason }).to_string();
            out.history.push(self.record(
                Event::StepSkipped,
                Some(&token),
                Some("expired"),
                Some(detail),
            ));
            if with.is_anchor {
                self.memory.done.insert(with.name.clone(), env.now);
            }
            no = with.next;
        }
        if let Some(no) = no {
            self.arrive(no, facts, env, out);
        }
        true
    }

    /// A message step further on, on the only way there is, whose time has come as well.
    fn newer(&self, step: &CompiledStep, facts: &Facts<'_>, env: &Env<'_>) -> Option<StepNo> {
        let program = &self.program;
        let mut no = on_the_only_way(step)?;
        for _ in 0..program.steps.len() {
            let next = program.step(no)?;
            if next.is_manual() {
                return None;
            }
            if let Some(rule) = &next.on {
                match self.date(rule, env.now, facts, env) {
                    Ok(When::At(at)) if at <= env.now => {}
                    _ => return None,
                }
                if next.kind.channel().is_some() && next.when.is_none() {
                    return Some(no);
                }
            }
            no = on_the_only_way(next)?;
        }
        None
    }

    /// All go out, in order and with a pause between them.
    fn wait_for_turn(
        &mut self,
        index: usize,
        outage: &Outage,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) -> bool {
        let gap = TimeDelta::minutes(i64::from(outage.gap_minutes));
        let turn = self
            .memory
            .replayed
            .and_then(|last| last.checked_add_signed(gap));
        if let Some(turn) = turn.filter(|turn| *turn > env.now) {
            let token = self.tokens[index].clone();
            let detail = json!({ "old": token.run_at, "new": turn,
                "reason": format!("its day had passed; {} minutes after the one before it", outage.gap_minutes) });
            out.history.push(self.record(
                Event::Rescheduled,
                Some(&token),
                None,
                Some(detail.to_string()),
            ));
            self.tokens[index].run_at = Some(turn);
            return true;
        }
        // One that waited for its turn is late even if its turn came on its own day.
        let late = self.is_late(index, facts, env)
            || turn.is_some_and(|turn| self.tokens[index].run_at == Some(turn));
        self.memory.replayed = late.then_some(env.now);
        false
    }
}

fn on_the_only_way(step: &CompiledStep) -> Option<StepNo> {
    step.next.filter(|next| single_way_on(step, *next))
}
