//! What the database has done for a step: its row is written, or locked by others; its function was called.

use serde_json::Value;

use super::case::Case;
use super::effects::Effects;
use super::{Env, Facts};

impl Case {
    /// The subject's row was written.
    pub fn wrote(&mut self, index: usize, facts: &Facts<'_>, env: &Env<'_>, out: &mut Effects) {
        self.done(index, "done", facts, env, out);
    }

    /// The step's function was called; `result` is JSON if a var takes it, else text. None: null.
    pub fn called(
        &mut self,
        index: usize,
        result: Option<&str>,
        facts: &Facts<'_>,
        env: &Env<'_>,
        out: &mut Effects,
    ) {
        let program = self.program.clone();
        let Some(step) = program.step(self.tokens[index].step) else {
            return;
        };
        let mut text = result.unwrap_or_default().to_owned();
        if let Some(name) = step.kind.call().and_then(|call| call.into) {
            let value = result.and_then(|json| serde_json::from_str(json).ok());
            let value = value.unwrap_or(Value::Null);
            text = match &value {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                other => other.to_string(),
            };
            let vars = [(name.to_owned(), value)].into_iter().collect();
            if let Err(error) = self.merge_vars(vars) {
                return self.fail(index, &error, out);
            }
        }
        let leg = step.kind.leg_of(&text);
        self.done(index, leg, facts, env, out);
        self.look_again(env);
    }

    /// The subject's row is locked by the ERP: come back shortly. The engine never waits for the ERP.
    pub fn locked(&mut self, index: usize, env: &Env<'_>) {
        self.tokens[index].run_at = Some(env.now + chrono::TimeDelta::seconds(1));
    }
}
