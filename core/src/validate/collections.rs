//! What a workflow says about money, and what its kind asks of it.

use super::{check_not_blank, step_place};
use crate::collections::WorkflowKind;
use crate::finding::Findings;
use crate::program::Program;

pub(super) fn check(program: &Program, findings: &mut Findings) {
    let head = &program.document;
    if let Some(money) = &head.money {
        check_not_blank("money", "open", Some(&money.open), findings);
        check_not_blank("money", "currency", money.currency.as_deref(), findings);
        check_not_blank("money", "tolerance", money.tolerance.as_deref(), findings);
    }
    let transitions = &head.transitions;
    for (field, target) in [
        ("commitment", &transitions.commitment),
        ("dispute", &transitions.dispute),
    ] {
        check_not_blank("transitions", field, target.as_deref(), findings);
    }
    if transitions.commitment.is_some() && head.money.is_none() {
        findings.error(
            "transitions",
            "a payment plan needs to know what is open",
            "Say in money.open which column or expression that is.",
        );
    }
    if let Some(retries) = head.start.as_ref().and_then(|s| s.retries.as_ref()) {
        let (workflow, outcome) = (&retries.workflow, &retries.outcome);
        check_not_blank("start", "retries.workflow", Some(workflow), findings);
        check_not_blank("start", "retries.outcome", Some(outcome), findings);
        if head.kind != WorkflowKind::Retry {
            findings.error(
                "start",
                "only a workflow of kind retry starts when new contact data come",
                "Let kind be retry, or leave retries out.",
            );
        }
    }
    for step in &program.steps {
        let place = step_place(&step.name);
        if step.kind.charges() && head.kind == WorkflowKind::BreathingSpace {
            findings.error(
                &place,
                "nothing is charged in a breathing space",
                "Move the step to the workflow that comes after it, or give this one another kind.",
            );
        }
        if step.kind.wants_open_amount() && head.money.is_none() {
            findings.error(
                &place,
                "the step needs to know what is open",
                "Say in money.open of the workflow which column or expression that is.",
            );
        }
    }
    if head.kind == WorkflowKind::PaymentPlan
        && !program.steps.iter().any(|s| s.kind.wants_open_amount())
    {
        findings.warning(
            "workflow",
            "the payment plan looks at no instalments",
            "Add a step of kind instalments, or give the workflow another kind.",
        );
    }
}
