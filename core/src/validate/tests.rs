//! Every finding, on the smallest document that shows it.

use super::*;
use crate::document::Document;
use crate::program::Roles;

fn program(text: &str) -> Program {
    let document = Document::parse(text).unwrap_or_else(|e| panic!("{e}: {:?}", e.detail));
    Program::compile(document, Roles::default())
}

#[test]
fn the_examples_are_sound() {
    for text in [
        include_str!("../../../examples/scope-10.json"),
        include_str!("../../../examples/dunning.json"),
    ] {
        assert_eq!(validate(&program(text)).0, []);
    }
}
