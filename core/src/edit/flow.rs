//! What leads elsewhere than before. Where a step leads may follow from the order of the steps, so that an edit in one
//! place changes it in another; people are told.

use crate::program::{Program, StepNo};
use crate::validate::sql_texts;

/// A step that has got another name.
pub(super) struct Renamed {
    pub old: String,
    pub new: String,
}

/// A sentence for each leg that leads elsewhere than before, and for each text that may mean a step by its old name.
pub(super) fn changes(before: &Program, after: &Program, renamed: &[Renamed]) -> Vec<String> {
    let mut changes = Vec::new();
    let now = |name: &str| {
        let renamed = renamed.iter().find(|renamed| renamed.old == name);
        renamed.map_or(name, |renamed| &renamed.new).to_owned()
    };
    let target = |program: &Program, no: Option<StepNo>, before: bool| {
        no.and_then(|no| program.step(no)).map_or_else(
            || "nowhere".to_owned(),
            |step| match before {
                true => format!("to \"{}\"", now(&step.name)),
                false => format!("to \"{}\"", step.name),
            },
        )
    };
    if let (Some(first), Some(old)) = (after.step(1), before.step(1))
        && first.name != now(&old.name)
    {
        changes.push(format!(
            "cases begin at step \"{}\", before at \"{}\"",
            first.name,
            now(&old.name)
        ));
    }
    for old in &before.steps {
        let Some(step) = after.step_named(&now(&old.name)) else {
            continue;
        };
        for old_leg in &old.legs {
            let Some(leg) = step.leg(&old_leg.outcome) else {
                continue;
            };
            let (to, from) = (
                target(after, leg.target, false),
                target(before, old_leg.target, true),
            );
            if to != from {
                changes.push(format!(
                    "step \"{}\", outcome \"{}\": leads {to}, before {from}",
                    step.name, leg.outcome
                ));
            }
        }
        let (to, from) = (
            target(after, step.next, false),
            target(before, old.next, true),
        );
        let by_leg = step.legs.iter().any(|leg| leg.target == step.next);
        if to != from && step.when.is_some() && !by_leg {
            changes.push(format!(
                "step \"{}\", skipped: leads {to}, before {from}",
                step.name
            ));
        }
    }
    for renamed in renamed {
        mentions(after, renamed, &mut changes);
    }
    changes
}

/// SQL and texts find an answer under the name of its question, and no schema says where.
fn mentions(program: &Program, renamed: &Renamed, changes: &mut Vec<String>) {
    let Renamed { old, new } = renamed;
    for text in sql_texts(program) {
        if text.sql.contains(&format!("'{old}'")) {
            changes.push(format!(
                "{}: \"{}\" mentions '{old}'; change it if it means the step, which is \"{new}\" now",
                text.place, text.sql
            ));
        }
    }
    for (name, template) in &program.document.templates {
        let variants = template.locales.values();
        let texts = variants.flat_map(|v| v.subject.iter().chain([&v.body]));
        let texts = texts.chain(&template.subject).chain([&template.body]);
        let means = |text: &String| text.contains("answers") && text.contains(old.as_str());
        if texts.into_iter().any(means) {
            changes.push(format!(
                "template \"{name}\" mentions {old}; change it if it means the step, which is \"{new}\" now"
            ));
        }
    }
}
