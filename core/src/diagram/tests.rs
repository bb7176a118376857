//! What stands in the pictures, and that nothing a user writes gets out of its quotes.

use serde_json::{Value, json};

use super::graph::{Graph, Mark};
use super::layout::lay_out;
use super::*;
use crate::document::Document;
use crate::program::Roles;

const SCOPE_10: &str = include_str!("../../../examples/scope-10.json");

fn compile(text: &str) -> Program {
    Program::compile(Document::parse(text).unwrap(), Roles::default())
}

fn workflow(phases: Value) -> Program {
    compile(&json!({"format": 1, "name": "w", "subject": "s", "phases": phases}).to_string())
}

fn note(name: &str, next: Option<&str>) -> Value {
    let mut step = json!({"name": name, "kind": "note", "text": "x"});
    if let Some(next) = next {
        step["next"] = next.into();
    }
    step
}

fn no(program: &Program, name: &str) -> StepNo {
    program.step_named(name).unwrap().no
}

/// Whether each tag is closed, in order, and no bare `<` or `&` stands in the text.
fn well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        text_is_escaped(&rest[..start]);
        let end = start + rest[start..].find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        assert!(!tag.contains('<'), "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
}

fn text_is_escaped(text: &str) {
    for (at, _) in text.match_indices('&') {
        let entity = &text[at..text.len().min(at + 7)];
        assert!(
            ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"]
                .iter()
                .any(|known| entity.starts_with(known)),
            "{entity}"
        );
    }
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
}

#[test]
fn as_08_scope_10_stands_in_each_format_with_its_phases_steps_and_legs() {
    let program = compile(SCOPE_10);
    for format in Format::ALL {
        let picture = draw(&program, None, format);
        for text in [
            "request_email",
            "option A",
            "how_to_go_on",
            "exhausted",
            "again",
            "yes",
        ] {
            assert!(picture.contains(text), "{format:?} lacks {text}\n{picture}");
        }
        let again = draw(&program, None, format);
        assert_eq!(picture, again, "the same each time");
    }
    well_formed(&draw(&program, None, Format::Svg));
    let dot = draw(&program, None, Format::Dot);
    assert!(dot.contains(&format!(
        "s{} -> s{} [label=\"A\"];",
        no(&program, "how_to_go_on"),
        no(&program, "a_note")
    )));
    let mermaid = draw(&program, None, Format::Mermaid);
    assert!(mermaid.contains(&format!(
        "s{} -->|\"B\"| s{}\n",
        no(&program, "how_to_go_on"),
        no(&program, "b_email")
    )));
}

#[test]
fn a_case_shows_where_it_is_where_it_was_and_how_it_got_there() {
    let program = compile(SCOPE_10);
    let past = |name: &str, outcome: &str| Past {
        step: no(&program, name),
        outcome: Some(outcome.to_owned()),
    };
    let position = Position {
        title: "case 7: running".to_owned(),
        started: true,
        past: vec![
            past("request_email", "sent"),
            past("follow_up", "done"),
            past("how_to_go_on", "B"),
            past("b_email", "delivered"),
        ],
        here: vec![Here {
            step: no(&program, "b_note"),
            failed: true,
            note: "failed since May".to_owned(),
        }],
    };
    let graph = Graph::new(&program, Some(&position));
    let mark = |name: &str| graph.nodes[usize::try_from(no(&program, name)).unwrap()].mark;
    assert_eq!(mark("how_to_go_on"), Mark::Done);
    assert_eq!(mark("b_note"), Mark::Failed);
    assert_eq!(mark("a_note"), Mark::Plain);
    let taken: Vec<_> = graph.edges.iter().filter(|e| e.taken).collect();
    assert_eq!(taken.len(), 5, "the start, three steps, and b_email's leg");
    assert!(taken.iter().any(|e| e.label == "B"));
    for format in Format::ALL {
        let picture = draw(&program, Some(&position), format);
        for text in ["case 7: running", "failed since May"] {
            assert!(picture.contains(text), "{format:?} lacks {text}");
        }
    }
    well_formed(&draw(&program, Some(&position), Format::Svg));
}

#[test]
fn what_users_write_never_gets_out_of_its_quotes() {
    let hostile = [
        "\"]; evil --> x[\"",
        "</text><script>alert(1)</script>",
        "a\\\"]; b \\N \\",
        "`**x**` %%{init: {}}%%",
        "line\nbreak\r\n---\nclick s1 \"javascript:x\"",
        "\u{202e}gnp.exe & <b> 'q' \u{7}",
        "end",
        "1. item",
    ];
    let mut steps: Vec<Value> = Vec::new();
    for name in hostile {
        let mut step = note(name, None);
        step["description"] = format!("<!-- {name} --> ]]>").into();
        step["when"] = "a < b && c > 'x\"'".into();
        steps.push(step);
    }
    steps.push(
        json!({"name": "q", "kind": "question", "participant": "<i>", "options": [
        {"name": "|\"| y", "next": "end"}, {"name": "</svg>", "next": "1. item"}]}),
    );
    let program = workflow(json!([{"name": "p\"] end <x>", "steps": steps}]));
    let position = Position {
        title: "<case> \"x\" -->\n---".to_owned(),
        ..Position::default()
    };

    let svg = draw(&program, Some(&position), Format::Svg);
    well_formed(&svg);
    assert!(!svg.contains("<script") && !svg.contains('\u{202e}'));

    let dot = draw(&program, Some(&position), Format::Dot);
    let mut outside = String::new();
    let mut chars = dot.chars();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => drop(chars.next()),
            '"' => quoted = !quoted,
            c if !quoted => outside.push(c),
            _ => {}
        }
    }
    assert!(!quoted, "{dot}");
    for word in ["evil", "script", "javascript", "item"] {
        assert!(!outside.contains(word), "{outside}");
    }

    let mermaid = draw(&program, Some(&position), Format::Mermaid);
    for line in mermaid.lines() {
        let parts: Vec<&str> = line.split('"').collect();
        assert!(parts.len() % 2 == 1, "{line}");
        for inside in parts.iter().skip(1).step_by(2) {
            let plain = inside.replace("<br/>", "");
            assert!(!plain.contains(['<', '>', '`', '{', '|', ']']), "{line}");
        }
        for outside in parts.iter().step_by(2) {
            assert!(
                !outside.contains("evil") && !outside.contains("click"),
                "{line}"
            );
        }
    }
}

#[test]
fn drafts_show_their_open_ends() {
    let program = workflow(json!([{"name": "p", "steps": [
        {"name": "ask", "kind": "question", "participant": "x", "options": [{"name": "yes", "next": "nowhere"}, {"name": "no"}]},
        note("last", None)
    ]}]));
    for format in Format::ALL {
        let picture = draw(&program, None, format);
        assert!(picture.contains("nowhere") && picture.contains("no such step"));
        assert!(picture.contains("open end"), "{picture}");
    }
    let empty = workflow(json!([{"name": "nothing yet", "steps": []}]));
    for format in Format::ALL {
        assert!(draw(&empty, None, format).contains("nothing yet"));
    }
    well_formed(&draw(&workflow(json!([])), None, Format::Svg));
}

/// No box covers another, each lies in its phase's band, and all of it in the picture.
fn is_tidy(program: &Program) {
    let graph = Graph::new(program, None);
    let layout = lay_out(&graph);
    for (at, a) in layout.boxes.iter().enumerate() {
        assert!(a.x >= 0.0 && a.y >= 0.0);
        assert!(a.x + a.width <= layout.width && a.y + a.height <= layout.height);
        if let Some(phase) = graph.nodes[at].phase {
            let band = &layout.bands[phase];
            assert!(a.y >= band.top && a.y + a.height <= band.top + band.height);
        }
        for b in &layout.boxes[at + 1..] {
            let apart = a.x + a.width <= b.x
                || b.x + b.width <= a.x
                || a.y + a.height <= b.y
                || b.y + b.height <= a.y;
            assert!(apart, "two boxes overlap");
        }
    }
    for pair in layout.bands.windows(2) {
        assert!(pair[0].top + pair[0].height <= pair[1].top);
    }
    for (edge, line) in graph.edges.iter().zip(&layout.lines) {
        match line {
            Some(line) => {
                let (x, y) = line.points[0];
                let from = &layout.boxes[edge.from];
                assert!(x >= from.x && x <= from.x + from.width);
                assert!((y - from.y).abs() < 0.01 || (y - from.y - from.height).abs() < 0.01);
            }
            None => assert!(!layout.boxes[edge.from].more.is_empty()),
        }
    }
}

#[test]
fn no_box_covers_another_and_phases_lie_below_each_other() {
    is_tidy(&compile(SCOPE_10));
    is_tidy(&compile(include_str!("../../../examples/dunning.json")));
    is_tidy(&workflow(json!([
        {"name": "one", "steps": [note("a", Some("a")), note("b", Some("a")), note("c", Some("z"))]},
        {"name": "none", "steps": []},
        {"name": "two", "steps": [note("y", Some("b")), note("z", None)]}
    ])));
}

#[test]
fn a_thousand_steps_that_all_jump_far_take_no_more_lanes_than_there_are() {
    let steps: Vec<Value> = (0..1000)
        .map(|i: usize| {
            let far = format!("s{}", (i * 617 + 500) % 1000);
            json!({"name": format!("s{i}"), "kind": "question", "participant": "x",
                   "options": [{"name": "on"}, {"name": "far", "next": far}]})
        })
        .collect();
    let program = workflow(json!([{"name": "p", "steps": steps}]));
    is_tidy(&program);
    let graph = Graph::new(&program, None);
    let layout = lay_out(&graph);
    let passed: usize = layout.lines.iter().flatten().map(|l| l.points.len()).sum();
    assert!(passed < 20_000, "{passed}");
    assert!(layout.lines.iter().any(Option::is_none));
    let svg = draw(&program, None, Format::Svg);
    assert!(
        svg.contains("far \u{2192} s"),
        "what gets no line is said in words"
    );
}

#[test]
fn unknown_formats_are_refused_with_those_there_are() {
    let error = Format::named("png").unwrap_err();
    assert_eq!(error.code, ErrorCode::Definition);
    assert_eq!(error.message, "there is no diagram format \"png\"");
    assert_eq!(error.hint.unwrap(), "The formats are mermaid, dot, svg.");
}
