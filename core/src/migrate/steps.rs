//! Which step of the new version a token of the old one goes to: the one of the same name, unless a map says otherwise.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::position::{Block, blocks};
use crate::program::{CompiledStep, Program};
use crate::{Error, ErrorCode};

/// The way from one version of a workflow to another.
#[derive(Debug)]
pub struct Migration {
    pub from: Rc<Program>,
    pub to: Rc<Program>,
    /// The versions' numbers, for people.
    pub numbers: (i32, i32),
    /// The new version's id.
    pub version_id: i32,
    map: BTreeMap<String, String>,
    /// The parallel steps of both versions.
    pub(super) blocks: (Vec<Block>, Vec<Block>),
}

impl Migration {
    /// Reads the map: the text of a JSON object, old step -> new step. Refuses steps that the versions do not have
    /// (42704), and what is no such object (22023).
    pub fn new(
        from: Rc<Program>,
        to: Rc<Program>,
        numbers: (i32, i32),
        version_id: i32,
        map: Option<&str>,
    ) -> Result<Self, Error> {
        let map = match map {
            Some(text) => read(text)?,
            None => BTreeMap::new(),
        };
        for (old, new) in &map {
            known(&from, numbers.0, old, "on the left")?;
            known(&to, numbers.1, new, "on the right")?;
        }
        Ok(Self {
            blocks: (blocks(&from), blocks(&to)),
            from,
            to,
            numbers,
            version_id,
            map,
        })
    }

    /// The name in the new version of what was a step of this name, whether there is such a step or not.
    pub fn name<'a>(&'a self, old: &'a str) -> &'a str {
        self.map.get(old).map_or(old, String::as_str)
    }

    /// The step of the new version that a step of the old one has become; Err: there is none, and what to do.
    pub(crate) fn step(&self, old: &CompiledStep) -> Result<&CompiledStep, String> {
        self.to.step_named(self.name(&old.name)).ok_or_else(|| {
            format!(
                "step \"{0}\" is not in version {1}: name the step to go to, step_map => '{{\"{0}\": \"…\"}}', or let the case leave it first",
                old.name, self.numbers.1
            )
        })
    }

    /// Steps, by their names in any version, of which a case must know when they were done or how often it has been
    /// there, although the old version had no reason to remember it.
    pub fn forgotten(&self) -> Vec<String> {
        let kept = |new: &CompiledStep| {
            let mut old = self.from.steps.iter();
            let old = old.find(|step| self.name(&step.name) == new.name);
            old.is_some_and(|old| {
                (old.is_anchor || !new.is_anchor) && (old.in_cycle || !new.in_cycle)
            })
        };
        let asked: BTreeSet<&str> = self
            .to
            .steps
            .iter()
            .filter(|step| (step.is_anchor || step.in_cycle) && !kept(step))
            .map(|step| step.name.as_str())
            .collect();
        let before = self.map.iter();
        let before = before.filter(|(_, new)| asked.contains(new.as_str()));
        let names = before.map(|(old, _)| old.clone());
        names
            .chain(asked.iter().map(|name| (*name).to_owned()))
            .collect()
    }
}

fn read(text: &str) -> Result<BTreeMap<String, String>, Error> {
    let wrong = |message: String| {
        Error::new(ErrorCode::Definition, message).hint(
            "Give a JSON object of step names, {\"step of the old version\": \"step of the new one\"}.",
        )
    };
    let map: Map<String, Value> = match serde_json::from_str(text) {
        Ok(Value::Object(map)) => map,
        Ok(_) => return Err(wrong("step_map is not a JSON object".to_owned())),
        Err(e) => return Err(wrong(format!("step_map is not valid JSON: {e}"))),
    };
    map.into_iter()
        .map(|(old, new)| match new {
            Value::String(new) => Ok((old, new)),
            other => Err(wrong(format!(
                "step_map leads from step \"{old}\" to {other}, which is no name of a step"
            ))),
        })
        .collect()
}

fn known(program: &Program, number: i32, name: &str, side: &str) -> Result<(), Error> {
    if program.step_named(name).is_some() {
        return Ok(());
    }
    let names: Vec<_> = program.steps.iter().map(|s| s.name.as_str()).collect();
    Err(Error::new(
        ErrorCode::Unknown,
        format!(
            "step_map names step \"{name}\", which version {number} of workflow \"{}\" does not have",
            program.document.name
        ),
    )
    .detail(format!("Its steps are {}.", names.join(", ")))
    .hint(format!(
        "Name one of these {side}: {{\"step of the old version\": \"step of the new one\"}}."
    )))
}
