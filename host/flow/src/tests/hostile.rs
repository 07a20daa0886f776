//! Texts that are written to hurt: each is told off, soon, with a line.

use super::{document, lines};
use crate::{MAX_STEPS, MAX_TEXT, What, read};

fn told(text: &str) -> String {
    lines(&read(text, "f.yaml").unwrap_err())
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let before = level - 1;
        let items = vec![format!("*a{before}"); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    let told = told(&format!("{text}steps: [stop]\n"));
    assert!(told.to_lowercase().contains("alias"), "{told}");
}

#[test]
fn an_anchor_that_contains_itself_is_refused() {
    for text in ["steps: &a [*a]", "steps: &a\n  - map: { x: *a }\n"] {
        let told = told(text);
        assert!(told.starts_with("1:") || told.starts_with("2:"), "{told}");
    }
}

#[test]
fn aliases_may_share_a_value() {
    let text = document("- { id: a, map: &to { x: 1 } }\n- { map: *to }\n");
    let flow = read(&text, "f.yaml").unwrap();
    let What::Map(first) = &flow.steps[0].what else { panic!() };
    let What::Map(second) = &flow.steps[1].what else { panic!() };
    assert_eq!(first, second);
}

#[test]
fn an_unknown_anchor_is_told() {
    assert!(told(&document("- map: *nowhere")).starts_with("3:8: "));
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let deep = format!("- map: {}1{}", open.repeat(5_000), close.repeat(5_000));
        assert!(told(&document(&deep)).starts_with("3:"));
        let unclosed = format!("- map: {}", open.repeat(20_000));
        assert!(!told(&document(&unclosed)).is_empty());
    }
    let mut steps = String::from("[stop]");
    for _ in 0..13 {
        steps = format!("[{{ if: x, then: {steps} }}]");
    }
    let told = told(&format!("steps: {steps}"));
    assert!(told.contains("steps stand within steps more than 12 deep"), "{told}");
}

#[test]
fn long_texts_and_many_steps_are_refused() {
    let long = told(&format!("\n\n{}", "#".repeat(MAX_TEXT + 1)));
    assert_eq!(
        long,
        format!(
            "1:1: the text has {} bytes, the limit is {MAX_TEXT}: move a part into a workflow of its own and start it with `workflow`",
            MAX_TEXT + 1
        )
    );
    let many = told(&document(&"- stop\n".repeat(MAX_STEPS + 3)));
    assert_eq!(
        many,
        format!(
            "{}:3: there are more than {MAX_STEPS} steps: move some into a workflow of their own",
            MAX_STEPS + 3
        )
    );
    let most = document(&"- map: 1\n".repeat(MAX_STEPS));
    assert!(read(&most, "f.yaml").is_ok());
}

#[test]
fn a_thousand_mistakes_are_a_hundred() {
    assert_eq!(told(&document(&"- mpa: 1\n".repeat(900))).lines().count(), 100);
}

#[test]
fn odd_texts_do_no_harm() {
    for text in [
        "\u{feff}kind: workflow\nsteps: [stop]",
        "steps: [stop]\u{0}",
        "steps: !!binary aGk=",
        "steps: !<tag:x> [stop]",
        "? [a, b]\n: c\nsteps: [stop]",
        "<<: { steps: [stop] }",
        "steps: [{ map: .inf }, { map: .nan }]",
        "steps: [{ map: 123456789012345678901234567890 }]",
        "%YAML 3.0\n---\nsteps: [stop]",
        "steps: [{ ? stop }]",
        "- - - - -",
        "&a",
        "*",
        "!",
        "|",
    ] {
        if let Err(problems) = read(text, "f.yaml") {
            for problem in problems {
                assert!(problem.line >= 1 && problem.column >= 1);
                assert!(!problem.message.chars().any(char::is_control), "{text:?}: {problem:?}");
            }
        }
    }
}
