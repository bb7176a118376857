//! What there is to draw: a node for the start, each step, and each end that leads nowhere; an edge for each way on.

use std::collections::{BTreeMap, BTreeSet};

use super::Position;
use crate::program::{CompiledStep, Program, START, StepNo};

/// Between the outcomes that share an edge.
const AND: &str = " / ";

/// How a node is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Start,
    Step,
    /// Several legs lead to different steps.
    Choice,
    /// No leg leads out of it.
    Finish,
    /// A leg of a draft leads to it, but there is no such step.
    Loose,
}

/// Where a case stands to a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mark {
    /// Not been there, or there is no case.
    #[default]
    Plain,
    /// Been there.
    Done,
    /// Passed over, or withdrawn.
    Passed,
    /// It is here.
    Here,
    /// It is here, and stuck.
    Failed,
}

impl Mark {
    /// The name of its style; None for a plain one.
    pub fn class(self) -> Option<&'static str> {
        match self {
            Mark::Plain => None,
            Mark::Done => Some("done"),
            Mark::Passed => Some("passed"),
            Mark::Here => Some("here"),
            Mark::Failed => Some("failed"),
        }
    }
}

/// A box.
#[derive(Debug)]
pub(super) struct Node {
    /// Our own name for it, safe in every format.
    pub id: String,
    /// None: outside of all phases.
    pub phase: Option<usize>,
    pub shape: Shape,
    pub label: String,
    /// Second line: kind and participant.
    pub sub: String,
    /// The longer story, for those who point at it.
    pub tip: String,
    pub mark: Mark,
    /// The state of the open step runs there.
    pub notes: Vec<String>,
}

/// A way from one node to another; legs that lead to the same one share it.
#[derive(Debug)]
pub(super) struct Edge {
    pub from: usize,
    pub to: usize,
    /// Empty where there is no choice.
    pub label: String,
    pub tip: String,
    /// Taken only when the step's `when` does not hold.
    pub skip: bool,
    /// The case has gone this way.
    pub taken: bool,
}

/// All that is drawn.
#[derive(Debug)]
pub(super) struct Graph<'a> {
    pub title: String,
    pub phases: Vec<&'a str>,
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    /// Whether a case is drawn in.
    pub has_case: bool,
}

impl<'a> Graph<'a> {
    /// The graph of a program; node 0 is the start, node n is step n, then come the loose ends.
    pub fn new(program: &'a Program, position: Option<&Position>) -> Self {
        let head = &program.document;
        let name = head.title.as_deref().unwrap_or(&head.name);
        let mut graph = Self {
            title: match position {
                Some(position) => format!("{name}: {}", position.title),
                None => name.to_owned(),
            },
            phases: program.phases.iter().map(String::as_str).collect(),
            nodes: vec![start(program)],
            edges: Vec::new(),
            has_case: position.is_some(),
        };
        graph.nodes.extend(program.steps.iter().map(node));
        if !program.steps.is_empty() {
            graph.edge(0, 1, String::new(), String::new(), false);
        }
        for step in &program.steps {
            graph.legs(program, step);
        }
        if let Some(position) = position {
            graph.place(program, position);
        }
        graph
    }

    fn edge(&mut self, from: usize, to: usize, label: String, tip: String, skip: bool) {
        self.edges.push(Edge {
            from,
            to,
            label,
            tip,
            skip,
            taken: false,
        });
    }

    /// The ways out of a step.
    fn legs(&mut self, program: &Program, step: &CompiledStep) {
        let from = index(step.no);
        // In the order of the legs, those to one target together.
        let mut targets: Vec<(Option<StepNo>, Vec<usize>)> = Vec::new();
        let mut known: BTreeMap<StepNo, usize> = BTreeMap::new();
        for (at, leg) in step.legs.iter().enumerate() {
            match leg.target.and_then(|no| known.get(&no).copied()) {
                Some(place) => targets[place].1.push(at),
                None => {
                    if let Some(no) = leg.target {
                        known.insert(no, targets.len());
                    }
                    targets.push((leg.target, vec![at]));
                }
            }
        }
        let choice = step.legs.len() > 1;
        for (target, legs) in targets {
            let legs: Vec<_> = legs.into_iter().map(|at| &step.legs[at]).collect();
            let outcomes: Vec<&str> = legs.iter().map(|leg| leg.outcome.as_str()).collect();
            // A branch of a parallel step is named after the step that it leads to.
            let label = if choice && !step.kind.forks() {
                outcomes.join(AND)
            } else {
                String::new()
            };
            let tips: Vec<String> = legs
                .iter()
                .map(|leg| match &leg.condition {
                    Some(condition) => format!("{}: {condition}", leg.outcome),
                    None => leg.outcome.clone(),
                })
                .collect();
            let to = match target {
                Some(no) => index(no),
                None => self.loose(step, outcomes.first().copied().unwrap_or_default()),
            };
            self.edge(from, to, label, tips.join("\n"), false);
        }
        for milestone in step
            .exits
            .iter()
            .filter_map(|at| program.milestones.get(*at))
        {
            if let Some(to) = milestone.otherwise {
                let tip = format!("unless {}", milestone.holds);
                self.edge(from, index(to), "no longer".to_owned(), tip, true);
            }
        }
        if let (Some(when), Some(next)) = (&step.when, step.next)
            && !known.contains_key(&next)
        {
            let tip = format!("unless {when}");
            self.edge(from, index(next), "skipped".to_owned(), tip, true);
        }
    }

    /// A node for a leg that leads nowhere.
    fn loose(&mut self, step: &CompiledStep, outcome: &str) -> usize {
        let wanted = step
            .unknown_targets
            .iter()
            .find(|(leg, _)| leg == outcome)
            .map(|(_, name)| name)
            .or(step.unknown_next.as_ref());
        let (label, sub) = match wanted {
            Some(name) => (name.clone(), "no such step"),
            None => ("open end".to_owned(), "leads nowhere"),
        };
        self.nodes.push(Node {
            id: format!("x{}", self.nodes.len()),
            phase: Some(step.phase),
            shape: Shape::Loose,
            label,
            sub: sub.to_owned(),
            tip: String::new(),
            mark: Mark::Plain,
            notes: Vec::new(),
        });
        self.nodes.len() - 1
    }

    /// Draws a case in.
    fn place(&mut self, program: &Program, position: &Position) {
        let mut taken: BTreeSet<(usize, usize)> = BTreeSet::new();
        for past in &position.past {
            let Some(step) = program.step(past.step) else {
                continue;
            };
            let from = index(step.no);
            let node = &mut self.nodes[from];
            match &past.outcome {
                None if node.mark == Mark::Plain => node.mark = Mark::Passed,
                None => {}
                Some(outcome) => {
                    node.mark = Mark::Done;
                    let targets = gone(step, outcome).into_iter();
                    taken.extend(targets.map(|no| (from, index(no))));
                }
            }
        }
        for here in &position.here {
            let at = index(here.step);
            let Some(node) = self.nodes.get_mut(at) else {
                continue;
            };
            if node.mark != Mark::Failed {
                node.mark = if here.failed {
                    Mark::Failed
                } else {
                    Mark::Here
                };
            }
            node.notes.push(here.note.clone());
        }
        if position.started {
            self.nodes[0].mark = Mark::Done;
            if self.nodes.get(1).is_some_and(|n| n.mark != Mark::Plain) {
                taken.insert((0, 1));
            }
        }
        for edge in &mut self.edges {
            edge.taken = !edge.skip && taken.contains(&(edge.from, edge.to));
        }
    }
}

/// The legs that an outcome in history has taken. A message's outcome says how far it had come.
fn gone(step: &CompiledStep, outcome: &str) -> Vec<StepNo> {
    let legs = &step.legs;
    if step.kind.forks() {
        return legs.iter().filter_map(|leg| leg.target).collect();
    }
    let leg = step.leg(outcome).or(legs.first());
    leg.and_then(|leg| leg.target).into_iter().collect()
}

fn start(program: &Program) -> Node {
    let rule = program.document.start.as_ref();
    Node {
        id: "s0".to_owned(),
        phase: None,
        shape: Shape::Start,
        label: "start".to_owned(),
        sub: match rule {
            Some(_) => "by rule".to_owned(),
            None => "by hand".to_owned(),
        },
        tip: rule.map_or(String::new(), |rule| rule.when.clone()),
        mark: Mark::Plain,
        notes: Vec::new(),
    }
}

fn node(step: &CompiledStep) -> Node {
    let mut targets: Vec<_> = step.legs.iter().map(|leg| leg.target).collect();
    targets.sort_unstable();
    targets.dedup();
    let shape = match targets.len() {
        0 => Shape::Finish,
        _ if step.kind.forks() => Shape::Step,
        1 => Shape::Step,
        _ => Shape::Choice,
    };
    let kind = step.kind.name();
    let mut tip = step.description.clone().unwrap_or_default();
    if let Some(when) = &step.when {
        tip = format!("{tip}\nonly if {when}").trim_start().to_owned();
    }
    Node {
        id: format!("s{}", step.no),
        phase: Some(step.phase),
        shape,
        label: step.name.clone(),
        sub: match &step.participant {
            Some(participant) => format!("{kind}, {participant}"),
            None => kind.to_owned(),
        },
        tip,
        mark: Mark::Plain,
        notes: Vec::new(),
    }
}

/// A step's place among the nodes; the start is 0.
fn index(no: StepNo) -> usize {
    usize::try_from(no.max(START)).unwrap_or(0)
}
