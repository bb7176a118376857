//! Random workflows about the table `job`, put together from pieces that fit: each is sound by its making.

use serde_json::{Value, json};
use workflow_engine_tests::Random;

/// Writes pieces as steps; each step names its next.
struct Writer<'a> {
    random: &'a mut Random,
    steps: Vec<Value>,
    count: usize,
}

impl Writer<'_> {
    fn name(&mut self) -> String {
        self.count += 1;
        format!("s{}", self.count)
    }

    fn step(&mut self, step: Value) -> String {
        let name = self.name();
        self.named(&name, step);
        name
    }

    fn named(&mut self, name: &str, mut step: Value) {
        step["name"] = name.into();
        step["description"] = "A step".into();
        self.steps.push(step);
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.random.below(limit)
    }

    /// Some pieces that lead to a step; the name of the first one.
    fn some(&mut self, most: u64, depth: u64, next: &str) -> String {
        let mut next = next.to_owned();
        for _ in 0..=self.below(most) {
            next = self.piece(depth, &next);
        }
        next
    }

    fn task(&mut self, next: &str) -> String {
        let due = json!({"anchor": "subject.ready_at", "days": 3, "roll": "none"});
        self.step(json!({"kind": "task", "participant": "clerk", "due": due, "next": next}))
    }

    fn wait(&mut self, next: &str) -> String {
        let on = json!({"anchor": "subject.ready_at", "roll": "none"});
        self.step(json!({"kind": "wait", "on": on, "next": next}))
    }

    fn signal(&mut self, next: &str) -> String {
        self.step(json!({"kind": "event", "signal": "go", "next": next}))
    }

    /// One piece; with no depth left, a plain one.
    fn piece(&mut self, depth: u64, next: &str) -> String {
        let kinds = if depth == 0 { 8 } else { 15 };
        let inner = depth.saturating_sub(1);
        match self.below(kinds) {
            0 => self.step(json!({"kind": "note", "text": "{{ v }} {{ state }}", "next": next})),
            1 => {
                let done_when = ["queued", "sent", "sent", "delivered"][self.below(4) as usize];
                let mut mail =
                    json!({"kind": "email", "template": "t", "done_when": done_when, "next": next});
                if self.below(2) == 0 {
                    mail["otherwise"] = next.into();
                }
                self.step(mail)
            }
            2 => self.wait(next),
            3 => self
                .step(json!({"kind": "update", "set": {"touched": "touched + 1"}, "next": next})),
            4 => self.task(next),
            5 => self.step(json!({"kind": "note", "text": "{{ v }}", "when": "c1", "next": next})),
            6 => self.signal(next),
            7 => self.step(json!({"kind": "event", "until": "c1", "next": next})),
            8 => {
                let meet = self
                    .step(json!({"kind": "note", "text": "{{ v }}", "merge": true, "next": next}));
                let options: Vec<Value> = (0..2 + self.below(2))
                    .map(|n| json!({"name": n.to_string(), "next": self.some(2, inner, &meet)}))
                    .collect();
                self.step(json!({"kind": "question", "participant": "clerk", "options": options}))
            }
            9 => {
                let leg = self.some(2, inner, next);
                self.step(json!({"kind": "decision", "otherwise": next,
                    "legs": [{"name": "A", "when": "c2", "next": leg}]}))
            }
            10 => {
                let body = self.some(2, inner, next);
                let branches = [self.signal(&body), self.wait(next), self.task(next)];
                self.step(json!({"kind": "first_of", "branches": branches}))
            }
            11 => self.parallel(inner, json!({"kind": "join", "next": next})),
            12 => self.parallel(inner, json!({"kind": "join", "next": next, "need": 1})),
            13 => {
                let (fork, join) = (self.name(), self.name());
                self.named(&join, json!({"kind": "join", "of": fork, "next": next}));
                let legs: Vec<Value> = ["c1", "c2"]
                    .map(|when| json!({"name": when, "when": when, "next": self.some(2, inner, &join)}))
                    .to_vec();
                self.named(
                    &fork,
                    json!({"kind": "inclusive", "legs": legs, "otherwise": join}),
                );
                fork
            }
            _ => {
                let repeat = self.name();
                let first = self.some(2, inner, &repeat);
                let visits = 2 + self.below(2);
                self.named(
                    &repeat,
                    json!({"kind": "repeat", "back_to": first,
                    "max_visits": visits, "exhausted": next}),
                );
                first
            }
        }
    }

    /// Branches side by side, with their join.
    fn parallel(&mut self, depth: u64, mut join: Value) -> String {
        let (parallel, joining) = (self.name(), self.name());
        join["of"] = parallel.clone().into();
        self.named(&joining, join);
        let firsts: Vec<String> = (0..2 + self.below(2))
            .map(|_| self.some(2, depth, &joining))
            .collect();
        self.named(&parallel, json!({"kind": "parallel", "branches": firsts}));
        parallel
    }

    /// The steps written so far as a phase, with this one first.
    fn phase(&mut self, name: &str, first: &str) -> Value {
        let mut steps = std::mem::take(&mut self.steps);
        let is_first = |step: &Value| step["name"] == *first;
        let at = steps
            .iter()
            .position(is_first)
            .expect("a step of this phase");
        let step = steps.remove(at);
        steps.insert(0, step);
        json!({"name": name, "steps": steps})
    }
}

/// A workflow for the jobs of a flow, in two phases. Some start on a date of the row, and one in five only when somebody
/// starts them.
pub fn flow(random: &mut Random, number: u64) -> Value {
    let kind = random.below(5);
    let late = ["now", "skip", "ask"][random.below(3) as usize];
    let mut writer = Writer {
        random,
        steps: Vec::new(),
        count: 0,
    };
    let end = writer.step(json!({"kind": "finish"}));
    let second = writer.some(3, 2, &end);
    let closing = writer.phase("second", &second);
    let next = if writer.below(3) == 0 {
        let out = writer.step(json!({"kind": "finish", "outcome": "left"}));
        let options = json!([{"name": "on", "next": second}, {"name": "out", "next": out}]);
        writer.step(json!({"kind": "question", "participant": "clerk", "options": options}))
    } else {
        second
    };
    let first = writer.some(3, 2, &next);
    let opening = if writer.steps.is_empty() {
        None
    } else {
        Some(writer.phase("first", &first))
    };
    let phases: Vec<Value> = opening.into_iter().chain([closing]).collect();
    let mut document = json!({
        "format": 1, "name": format!("flow_{number}"), "subject": "job", "time_zone": "UTC", "roll": "none",
        "description": "Made at random.",
        "stop": [{"when": "state = 'paid'", "reason": "paid"}],
        "templates": {"t": {"subject": "About {{ id }}", "body": "{{ v }} {{ state }}"}},
        "phases": phases
    });
    if kind > 0 {
        document["start"] =
            json!({"when": format!("state = 'posted' AND flow = {number}"), "again": "after_stop"});
    }
    if kind == 1 {
        document["start"]["on"] = json!({"anchor": "subject.ready_at", "roll": "none"});
        document["start"]["late"] = late.into();
    }
    document
}
