//! A step starts a case of another workflow: the request, and what becomes of the step when it has been met.

use serde_json::json;

use super::case::{Case, CaseState};
use super::effects::{Effects, Event, StartRequest};
use super::{Env, Facts};

/// The outcome of a case that goes on as a case of another workflow.
const CONTINUED: &str = "continued";
/// The outcome of one that would, but has been continued too often.
const CONTINUE_LIMIT: &str = "continue limit";

impl Case {
    /// Asks the shell for a case of another workflow; the token waits until the shell has answered, in this batch.
    pub(super) fn ask_for_another(
        &mut self,
        index: usize,
        workflow: &str,
        limit: u16,
        ends: bool,
        out: &mut Effects,
    ) {
        let token = &self.tokens[index];
        out.starts.push(StartRequest {
            case_id: self.id,
            step: token.step,
            visit: token.visit,
            workflow: workflow.to_owned(),
            limit,
            ends,
        });
        self.wait(index);
    }

    /// The other case has been started, and this one ends; None: it has been continued as often as it may.
    pub fn continued(
        &mut self,
        request: &StartRequest,
        other: Option<i64>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let outcome = other.map_or(CONTINUE_LIMIT, |_| CONTINUED);
        if let Some(index) = self.token_of(request.step, request.visit) {
            let detail = Some(request.met_by(other));
            self.finish(index, Event::StepDone, outcome, detail, env, out);
            self.end(CaseState::Completed, outcome, None, out);
        }
    }

    /// The other case has been started, and this one goes on; None: it has started as many as it may.
    pub fn started_another(
        &mut self,
        request: &StartRequest,
        other: Option<i64>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let outcome = other.map_or("limit", |_| "done");
        if let Some(index) = self.token_of(request.step, request.visit) {
            let detail = Some(request.met_by(other));
            let token = self.finish(index, Event::StepDone, outcome, detail, env, out);
            self.follow(&token, "done", facts, env, out);
        }
    }
}

impl StartRequest {
    /// What history says about it.
    fn met_by(&self, other: Option<i64>) -> String {
        match other {
            Some(case) => json!({ "workflow": self.workflow, "case": case }).to_string(),
            None => json!({ "workflow": self.workflow, "limit": self.limit }).to_string(),
        }
    }
}
