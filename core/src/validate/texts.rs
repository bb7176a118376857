//! Templates: missing, unused, not compiling.

use std::collections::HashSet;

use super::{check_name, hint_for, step_place};
use crate::finding::Findings;
use crate::kinds::Channel;
use crate::program::{Program, inline_name};

pub(super) fn check(program: &Program, findings: &mut Findings) {
    let sources = &program.document.templates;
    let mut used = HashSet::new();
    for step in &program.steps {
        let place = step_place(&step.name);
        for name in step.kind.templates() {
            used.insert(name);
            let Some(source) = sources.get(name) else {
                findings.error(
                    &place,
                    format!("template \"{name}\" does not exist"),
                    hint_for(
                        name,
                        sources.keys().map(String::as_str),
                        "Add it to the document's templates.",
                    ),
                );
                continue;
            };
            let subject = source.subject.as_deref().unwrap_or("");
            if step.kind.channel() == Some(Channel::Ticket) && subject.trim().is_empty() {
                findings.warning(
                    &place,
                    format!("template \"{name}\" has no subject line"),
                    "Give it a subject; it is the title of the ticket.",
                );
            }
            if step.kind.channel() == Some(Channel::Email) && subject.trim().is_empty() {
                findings.warning(
                    &place,
                    format!("template \"{name}\" has no subject line"),
                    "Give it a subject; many receivers take an e-mail without one for spam.",
                );
            }
        }
        for text in step.kind.inline_texts() {
            if text.trim().is_empty() {
                findings.error(&place, "the text is empty", "Say what is to be written.");
            }
        }
    }
    broken(program, findings);
    about_all_rows(program, findings);
    for (name, source) in sources {
        let place = format!("template \"{name}\"");
        check_name(&place, "the template", name, findings);
        if source.body.trim().is_empty() {
            findings.error(
                &place,
                "the text is empty",
                "Say in body what is to be sent.",
            );
        }
        if !used.contains(name.as_str()) {
            findings.warning(
                &place,
                "no step uses the template",
                "Use it in a step, or remove it.",
            );
        }
    }
}

/// Texts that list rows, in a workflow whose cases concern one.
fn about_all_rows(program: &Program, findings: &mut Findings) {
    if program.concerns_several() {
        return;
    }
    let inline = program.steps.iter().flat_map(|step| {
        let texts = 0..step.kind.inline_texts().len();
        texts.map(|i| (step_place(&step.name), inline_name(&step.name, i)))
    });
    let named = program.document.templates.keys();
    let named = named.map(|name| (format!("template \"{name}\""), name.clone()));
    for (place, name) in inline.chain(named) {
        if program.templates.uses_subjects(&name) {
            findings.error(
                place,
                "subjects is used, but each case concerns one row only",
                "Use the columns themselves, or say \"subjects\": \"several\" in the document.",
            );
        }
    }
}

/// What keeps templates, and texts that stand in steps, from compiling.
fn broken(program: &Program, findings: &mut Findings) {
    for finding in &program.template_findings {
        let name = &finding.template;
        let step = program.steps.iter().find(|step| {
            (0..step.kind.inline_texts().len()).any(|i| inline_name(&step.name, i) == *name)
        });
        let place = match step {
            // Its text cannot be told from the other one's; the name has a finding already.
            Some(step) if program.duplicates.contains(&step.name) => continue,
            Some(step) => step_place(&step.name),
            None => format!("template \"{name}\""),
        };
        let language = finding
            .locale
            .as_ref()
            .map_or(String::new(), |tag| format!(", locale \"{tag}\""));
        findings.error(
            place,
            format!("{}{language}: {}", finding.part, finding.message),
            finding
                .hint
                .clone()
                .unwrap_or_else(|| "Mend the text at that place.".to_owned()),
        );
    }
}
