//! Templates that reach for files, the network, the server or its memory.

use super::*;

#[test]
fn a_template_reaches_nothing_but_its_cases_row() {
    let mut stage = Stage::new(Some("manager"));
    stage.invoice(1, "2026-04-01", "5");
    for (number, body) in [
        "{% include \"/etc/passwd\" %}",
        "{% import \"/etc/passwd\" as p %}{{ p }}",
        "{% extends \"/etc/passwd\" %}",
        "{% from \"os\" import environ %}",
        "{% set x = range(100000000) %}{{ x }}",
        "{{ environ }}",
        "{{ env.PATH }}",
        "{{ config }}",
        "{{ self.__class__.__mro__ }}",
        "{{ ''.__class__.__bases__[0].__subclasses__() }}",
        "{{ read_file('/etc/passwd') }}",
        "{{ number.constructor('return 1')() }}",
        "{{ lipsum.__globals__ }}",
        "{{ debug() }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for x in range(10000) %}{% for y in range(10000) %}{{ number * 1000 }}{% endfor %}{% endfor %}",
        "{{ 'x' * 1000000000 }}",
        "{{ 9 ** 999999999 }}",
        "{{ (1 / 0) }}",
        "{{ rolpassword }}",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("t{number}");
        let document = edited(
            invoice_workflow(&name, json!([{"name": "mail", "kind": "email", "template": "hello"}])),
            |doc| doc["templates"]["hello"]["body"] = body.into(),
        );
        let mut mallory = stage.mallory();
        mallory.define(&document);
        if let Err(failure) = mallory.try_exec(&format!("SELECT wf.publish('{name}')")) {
            failure.is("22023", &["hello"]);
            continue;
        }
        mallory.exec(&format!("SELECT wf.enable('{name}'); SELECT wf.start('{name}', 1)"));
        stage.run_due();
        stage.expect(
            &format!("SELECT count(*) FROM wf.incidents WHERE workflow = '{name}' AND step = 'mail'"),
            &[1],
        );
    }
    stage.expect(
        "SELECT count(*) FROM wf.outbox WHERE payload IS NOT NULL",
        &[0],
    );
}
