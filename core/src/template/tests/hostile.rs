//! Templates that are out to exhaust time, memory or stack. Each must end in an error, quickly.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{World, refused, sources};
use crate::row::ColumnType;
use crate::template::{Limits, Templates};

/// Runs on a stack as small as the server allows its own recursion, and in a time that no user notices.
fn contained(test: impl FnOnce() + Send + 'static) {
    let started = Instant::now();
    let thread = std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(test)
        .expect("a thread");
    thread
        .join()
        .expect("the template must not bring the thread down");
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "took {:?}",
        started.elapsed()
    );
}

#[test]
fn loops_within_loops_run_out_of_steps() {
    contained(|| {
        let text = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
        assert!(
            refused(text)
                .message
                .contains("takes more than 50000 steps")
        );
    });
}

#[test]
fn a_range_has_a_length() {
    contained(|| {
        for text in [
            "{% for i in range(100000) %}x{% endfor %}",
            "{{ range(999999999999) | length }}",
            "{{ range(-9223372036854775807, 9223372036854775807, 1) | length }}",
        ] {
            assert!(
                refused(text).message.contains("10000 are allowed"),
                "{text}"
            );
        }
        assert!(
            refused("{{ range(0, 10, 0) }}")
                .message
                .contains("step other than 0")
        );
    });
}

#[test]
fn the_output_has_a_size() {
    contained(|| {
        let filler = "x".repeat(1000);
        let error = refused(&format!(
            "{{% for i in range(9999) %}}{filler}{{% endfor %}}"
        ));
        assert!(
            error.message.contains("grows beyond 65536 bytes"),
            "{error}"
        );
        let long = "y".repeat(10_000_000);
        let world = World::of(&[("long", ColumnType::Text, Some(&long))]);
        assert!(
            world
                .render("{{ long }}")
                .is_err_and(|error| error.message.contains("grows beyond"))
        );
        assert_eq!(
            world
                .render("{{ long | length }}")
                .map_err(|e| e.message.contains("steps")),
            Err(true)
        );
        let limits = Limits {
            body_bytes: 10,
            ..Limits::default()
        };
        assert_eq!(
            world.render_limited("0123456789", limits).as_deref(),
            Ok("0123456789")
        );
        assert!(world.render_limited("0123456789{{ 1 }}", limits).is_err());
    });
}

#[test]
fn a_subject_line_has_a_size_and_no_line_breaks() {
    let (templates, _) = Templates::compile(&sources(json!({
        "long": {"subject": "{% for i in range(2000) %}x{% endfor %}", "body": ""},
        "injected": {"subject": "Hello {{ name }} !", "body": "{{ name }}"}})));
    let world = World::of(&[(
        "name",
        ColumnType::Text,
        Some("Ada\r\nBcc: all@example.org\n\n\tx\u{2028}y"),
    )]);
    assert!(
        world
            .render_with(&templates, "long", None)
            .is_err_and(|e| e.message.contains("subject"))
    );
    let rendered = world
        .render_with(&templates, "injected", None)
        .expect("a message");
    assert_eq!(
        rendered.subject.as_deref(),
        Some("Hello Ada Bcc: all@example.org x y !")
    );
    assert!(rendered.body.contains('\n'));
}

#[test]
fn texts_that_double_run_out_of_steps_not_of_memory() {
    contained(|| {
        for step in [
            "x ~ x",
            "x + x",
            "x | replace('a', 'aaaaaaaa')",
            "[x, x] | join",
            "[x, x] | join(x)",
        ] {
            let text = format!(
                "{{% set x = 'aaaaaaaaaaaaaaaa' %}}{}",
                format!("{{% set x = {step} %}}").repeat(60)
            );
            let error = refused(&text);
            assert!(error.message.contains("steps"), "{step}: {error}");
        }
        let nested = format!(
            "{}{{{{ a }}}}{}",
            "{% for a in [(a | default('aaaaaaaa')) ~ (a | default('b'))] %}".repeat(40),
            "{% endfor %}".repeat(40)
        );
        assert!(refused(&nested).message.contains("steps"));
    });
}

#[test]
fn multiplying_texts_and_lists_is_refused() {
    contained(|| {
        for text in [
            "{{ 'x' * 1000000000 }}",
            "{{ [0] * 1000000000000000 }}",
            "{{ 5 in [0] * 1000000000000000 }}",
        ] {
            assert!(
                refused(text).message.contains("cannot be calculated"),
                "{text}"
            );
        }
        assert!(
            refused("{{ 9999999999 * 9999999999 * 9999999999 * 9999999999 }}")
                .message
                .contains("more digits")
        );
    });
}

#[test]
fn a_long_column_cannot_be_worked_over_and_over() {
    contained(|| {
        let long = "y".repeat(1_000_000);
        let digits = "9".repeat(30_000);
        let document = format!("[{}]", vec!["1"; 200_000].join(","));
        let world = World::of(&[
            ("long", ColumnType::Text, Some(&long)),
            ("doc", ColumnType::Json, Some(&document)),
            ("digits", ColumnType::Number, Some(&digits)),
        ]);
        for body in [
            "{% if long | upper %}{% endif %}",
            "{% if 'z' in long %}{% endif %}",
            "{% if long == long ~ 'x' %}{% endif %}",
            "{% if long[5:6] %}{% endif %}",
            "{% if long | last %}{% endif %}",
            "{% if doc | length %}{% endif %}",
            "{% if 2 in doc %}{% endif %}",
            "{% if doc[1:] %}{% endif %}",
            "{% if digits > 1 %}{% endif %}",
            "{% if digits is number %}{% endif %}",
            "{% if digits in [digits] %}{% endif %}",
            "{% if digits | number %}{% endif %}",
        ] {
            let error = world
                .render(&format!("{{% for i in range(9999) %}}{body}{{% endfor %}}"))
                .expect_err(body);
            assert!(error.message.contains("steps"), "{body}: {error}");
        }
    });
}

#[test]
fn deep_nesting_is_refused_without_overflowing_the_stack() {
    contained(|| {
        let deep = [
            format!("{{{{ {}1{} }}}}", "(".repeat(5000), ")".repeat(5000)),
            format!("{{{{ {}1{} }}}}", "[".repeat(5000), "]".repeat(5000)),
            format!("{{{{ {}1{} }}}}", "{1:".repeat(5000), "}".repeat(5000)),
            format!("{{{{ {}1 }}}}", "not ".repeat(10_000)),
            format!("{{{{ {}1 }}}}", "- ".repeat(10_000)),
            format!("{{{{ 1{} }}}}", "+1".repeat(20_000)),
            format!("{{{{ 1{} }}}}", " if 1 else 2".repeat(4_000)),
            format!("{{{{ x{} }}}}", "|upper".repeat(8_000)),
            format!("{{{{ x{} }}}}", ".a".repeat(20_000)),
            format!("{{{{ x{} }}}}", "[0]".repeat(20_000)),
            format!("{{{{ x{} }}}}", " is defined".repeat(5_000)),
            format!(
                "{{% set {}x{} = 1 %}}",
                "(".repeat(20_000),
                ")".repeat(20_000)
            ),
            format!("{{% if 1 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(5_000)),
            format!(
                "{}{}",
                "{% if 1 %}".repeat(3_000),
                "{% endif %}".repeat(3_000)
            ),
            format!(
                "{}{}",
                "{% for a in b %}".repeat(2_000),
                "{% endfor %}".repeat(2_000)
            ),
            "{% if 1 %}".repeat(6_000),
            format!("{{% set l = 1 %}}{}", "{%set l=[l]%}".repeat(4_900)),
            "{{".repeat(30_000),
            "{% if (".repeat(9_000),
        ];
        for text in deep {
            assert!(text.len() <= 65_536, "{}", text.len());
            let message = refused(&text).message;
            assert!(message.len() < 500, "{message}");
        }
    });
}

#[test]
fn nesting_up_to_the_bounds_is_fine() {
    contained(|| {
        let world = World::invoice();
        let sets = format!("{{% set l = 1 %}}{}ok", "{%set l=[l]%}".repeat(499));
        let sums = format!("{{{{ 0{} }}}}", "+1".repeat(90));
        let parens = format!("{{{{ {}1{} }}}}", "(".repeat(70), ")".repeat(70));
        let mixed = format!(
            "{}{{{{ 0{} }}}}{}",
            "{% if 1 %}".repeat(45),
            "+1".repeat(45),
            "{% endif %}".repeat(45)
        );
        let nots = format!("{{{{ {}true }}}}", "not ".repeat(90));
        for (text, expected) in [
            (sets, "ok"),
            (sums, "90"),
            (parens, "1"),
            (mixed, "45"),
            (nots, "true"),
        ] {
            assert_eq!(world.render(&text).as_deref(), Ok(expected), "{text}");
        }
    });
}

#[test]
fn a_source_has_a_size() {
    contained(|| {
        let (_, findings) =
            Templates::compile(&sources(json!({"t": {"body": "x".repeat(65_537)}})));
        assert_eq!(
            findings[0].message,
            "the text has 65537 bytes, 65536 are allowed"
        );
        for text in ["x".repeat(65_536), "\n".repeat(65_536), "é".repeat(32_768)] {
            let (_, findings) = Templates::compile(&sources(json!({"t": {"body": text}})));
            assert_eq!(findings, []);
        }
    });
}

#[test]
fn deep_json_does_not_overflow_the_stack() {
    contained(|| {
        let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
        let world = World::of(&[("doc", ColumnType::Json, Some(&deep))]);
        assert!(
            world
                .render("{{ doc | length }}")
                .is_err_and(|e| e.message.contains("is not JSON that can be read"))
        );
        let fine = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        let world = World::of(&[("doc", ColumnType::Json, Some(&fine))]);
        assert_eq!(world.render("{{ doc[0][0] | length }}").as_deref(), Ok("1"));
    });
}

#[test]
fn names_of_any_length_give_short_messages() {
    contained(|| {
        for text in [
            "{{ X }}",
            "{{ x | X }}",
            "{% X %}",
            "{{ x is X }}",
            "{{ vars.X }}",
            "{{ X() }}",
            "{{ 'X' | date }}",
        ] {
            let message = refused(&text.replace('X', &"x".repeat(60_000))).message;
            assert!(message.len() < 1_000, "{message}");
        }
        let tag = "nl-".repeat(300_000);
        let (templates, _) = Templates::compile(&sources(
            json!({"t": {"body": "{{ open_amount | money('EUR') }}"}}),
        ));
        let rendered = World::invoice()
            .render_with(&templates, "t", Some(&tag))
            .expect("a text");
        assert_eq!(rendered.body, "€1,210.50");
    });
}
