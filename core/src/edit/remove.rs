//! Taking steps out, and what becomes of the links to them.
//!
//! What led to a removed step leads to where that one led itself, or to the step that the caller names. Nothing is cut
//! and nothing is guessed: a removal after which a link would have no target, or another meaning, is refused with all
//! that stands in its way.

use super::draft::{Draft, text};
use super::references::{Names, in_head, in_step};
use crate::program::Program;
use crate::{Error, ErrorCode};

/// What keeps steps from being removed.
struct Obstacle {
    /// Who is in the way, and how.
    what: String,
    /// Whether it goes away when the caller names another target.
    is_link: bool,
}

/// Removes a step; a button takes its event along.
pub(super) fn step(
    draft: &mut Draft,
    program: &Program,
    name: &str,
    instead: Option<&str>,
) -> Result<(), Error> {
    let index = draft.index(name)?;
    if index == 0 {
        return Err(Error::new(
            ErrorCode::State,
            format!(
                "step \"{name}\" cannot be removed: it is step 1, with which every case begins"
            ),
        )
        .hint(
            "Change it with wf.set_step, or put another step before it with wf.move_step first.",
        ));
    }
    let mut removed = vec![false; program.steps.len()];
    set(&mut removed, index);
    cut(
        draft,
        program,
        &format!("step \"{name}\""),
        removed,
        instead,
    )
}

/// Removes a phase and its steps.
pub(super) fn phase(
    draft: &mut Draft,
    program: &Program,
    name: &str,
    instead: Option<&str>,
) -> Result<(), Error> {
    let index = draft.phase(name)?;
    let before: usize = draft.phases[..index].iter().map(|p| p.steps.len()).sum();
    let count = draft.phases[index].steps.len();
    if before == 0 && count > 0 || draft.phases.len() == 1 {
        return Err(Error::new(
            ErrorCode::State,
            format!("phase \"{name}\" cannot be removed: it is the default phase, with step 1"),
        )
        .hint("Change it with wf.rename_phase, or remove other steps of it with wf.remove_step."));
    }
    let mut removed = vec![false; program.steps.len()];
    for step in before..before + count {
        set(&mut removed, step);
    }
    cut(
        draft,
        program,
        &format!("phase \"{name}\""),
        removed,
        instead,
    )?;
    draft.phases.remove(index);
    Ok(())
}

fn set(removed: &mut [bool], index: usize) {
    if let Some(removed) = removed.get_mut(index) {
        *removed = true;
    }
}

/// Leads what leads to the removed steps elsewhere, then takes them out.
fn cut(
    draft: &mut Draft,
    program: &Program,
    what: &str,
    mut removed: Vec<bool>,
    instead: Option<&str>,
) -> Result<(), Error> {
    with_companions(program, &mut removed);
    let instead = match instead {
        None => None,
        Some(name) => {
            let index = draft.index(name)?;
            if removed[index] {
                return Err(Error::new(
                    ErrorCode::Definition,
                    format!(
                        "step \"{name}\" is to be removed itself; nothing can lead there instead"
                    ),
                )
                .hint("Name a step that stays."));
            }
            Some(index)
        }
    };
    let obstacles = lead_elsewhere(draft, program, &removed, instead);
    if let Some(first) = obstacles.first() {
        let all: Vec<&str> = obstacles.iter().map(|o| o.what.as_str()).collect();
        let error = Error::new(
            ErrorCode::State,
            format!("{what} cannot be removed: {}", first.what),
        );
        let error = match all.len() {
            1 => error,
            _ => error.detail(all.join("\n")),
        };
        return Err(error.hint(match obstacles.iter().all(|o| o.is_link) {
            true => "Say where it leads from now on: instead => 'step'; or let it lead elsewhere first, with wf.add_transition.",
            false => "Change or remove that first, with wf.set_step or wf.remove_step.",
        }));
    }
    let mut stays = removed.iter().map(|removed| !removed);
    for phase in &mut draft.phases {
        phase.steps.retain(|_| stays.next().unwrap_or(true));
    }
    Ok(())
}

/// The event of a removed button goes with it.
fn with_companions(program: &Program, removed: &mut [bool]) {
    for event in 0..program.steps.len() {
        let button = program.steps[event].kind.event_of();
        if button.is_some_and(|name| names_removed(program, removed, name).is_some()) {
            removed[event] = true;
        }
    }
}

/// The removed step that a name means.
fn names_removed(program: &Program, removed: &[bool], name: &str) -> Option<usize> {
    let index = usize::try_from(program.step_named(name)?.no)
        .ok()?
        .checked_sub(1)?;
    removed.get(index).is_some_and(|r| *r).then_some(index)
}

/// Where a token goes that would have come to a removed step: on, as long as that is removed too.
fn onward(program: &Program, removed: &[bool], from: usize) -> Option<usize> {
    let mut at = from;
    for _ in 0..program.steps.len() {
        at = usize::try_from(program.steps.get(at)?.next?)
            .ok()?
            .checked_sub(1)?;
        if !*removed.get(at)? {
            return Some(at);
        }
    }
    None
}

/// Gives every link to a removed step another target; what cannot be given one.
fn lead_elsewhere(
    draft: &mut Draft,
    program: &Program,
    removed: &[bool],
    instead: Option<usize>,
) -> Vec<Obstacle> {
    let names: Vec<&str> = program
        .steps
        .iter()
        .map(|step| step.name.as_str())
        .collect();
    let mut obstacles = Vec::new();
    for (index, fields) in draft.steps_mut().enumerate() {
        let Some(step) = program.steps.get(index).filter(|_| !removed[index]) else {
            continue;
        };
        let name = &step.name;
        // A step that would lead to itself has lost its target just the same.
        let target = |gone: usize| {
            let target = instead.or_else(|| onward(program, removed, gone));
            target.filter(|target| *target != index)
        };
        if companion_alone(program, removed, index) {
            obstacles.push(Obstacle {
                what: format!("button \"{name}\" would lose its event"),
                is_link: false,
            });
            continue;
        }
        in_step(fields, &mut |kind, field, other| {
            let gone = names_removed(program, removed, other)?;
            let what = match kind {
                Names::LeadsTo => match target(gone) {
                    Some(target) => return Some(names[target].to_owned()),
                    None => format!("step \"{name}\" leads to \"{other}\" by {field}"),
                },
                Names::BelongsTo => format!("step \"{name}\" belongs to \"{other}\" by {field}"),
                Names::Anchor => format!("step \"{name}\" counts from \"{other}\" in {field}"),
            };
            obstacles.push(Obstacle {
                what,
                is_link: kind == Names::LeadsTo,
            });
            None
        });
        // Steps that name none are followed by the next one in the document.
        let by_order = text(fields, "next")
            .is_empty()
            .then_some(step.next)
            .flatten();
        let gone = by_order.and_then(|no| usize::try_from(no).ok()?.checked_sub(1));
        let Some(gone) = gone.filter(|gone| removed[*gone]) else {
            continue;
        };
        let following = (index + 1..removed.len()).find(|step| !removed[*step]);
        match target(gone) {
            Some(target) if Some(target) == following => {}
            Some(target) => {
                fields.insert("next".to_owned(), names[target].into());
            }
            None => obstacles.push(Obstacle {
                what: format!("step \"{name}\" leads to \"{}\"", names[gone]),
                is_link: true,
            }),
        }
    }
    in_head(&mut draft.head, &mut |_, field, other| {
        names_removed(program, removed, other)?;
        obstacles.push(Obstacle {
            what: format!("the workflow names \"{other}\" in {field}"),
            is_link: false,
        });
        None
    });
    obstacles
}

/// Whether it is a button that stays while its event goes.
fn companion_alone(program: &Program, removed: &[bool], button: usize) -> bool {
    let step = &program.steps[button];
    let event = |index: usize| program.steps[index].kind.event_of() == Some(&step.name);
    step.kind.brings_event() && (0..removed.len()).any(|i| removed[i] && event(i))
}
