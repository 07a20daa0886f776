//! YAML that is written to hurt whoever reads it: told off by file and line,
//! and nobody else notices.

use reqwest::Method;
use serde_json::json;

use crate::scene::Scene;

/// A workflow whose steps are this; they begin at line 3.
fn workflow(steps: &str) -> String {
    format!("kind: workflow\nname: bomb\n{steps}")
}

/// Ten times ten times ten: a hundred bytes that are ten billion items.
fn aliases() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    text
}

#[tokio::test]
async fn a_bomb_of_yaml_is_refused_by_file_and_line_and_nobody_else_notices() {
    let scene = Scene::with(&[]).await;
    let nested =
        |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let steps_in_steps = (0..400).map(|level| format!("{}- try:\n", "  ".repeat(level))).collect::<String>();
    for (what, yaml) in [
        ("aliases of aliases", workflow(&format!("{}steps: [stop]\n", aliases()))),
        ("an anchor that contains itself", workflow("steps: &a\n- map: { x: *a }\n")),
        ("lists in lists", workflow(&format!("steps: {}\n", nested("[", "]", 20_000)))),
        ("mappings in mappings", workflow(&format!("steps: {}\n", nested("{a: ", "}", 8_000)))),
        ("lists in lists never closed", workflow(&format!("steps: {}\n", "[".repeat(40_000)))),
        ("steps in steps", workflow(&format!("steps:\n{steps_in_steps}"))),
        ("brackets in jq", workflow(&format!("steps:\n- map: ${{ {} }}\n", nested("(", ")", 20_000)))),
        ("jq that is long", workflow(&format!("steps:\n- map: ${{ {}1 }}\n", "1+".repeat(20_000)))),
        (
            "functions in jq",
            workflow(&format!("steps:\n- map: |\n    ${{ {}1 }}\n", "def f: ".repeat(5_000))),
        ),
        ("many steps", workflow(&format!("steps:\n{}", "- stop\n".repeat(6_500)))),
        ("a text that is too long", workflow(&format!("steps:\n- map: {}\n", "x".repeat(60_000)))),
        ("one key, again and again", workflow(&format!("steps:\n- map: {{ {} }}\n", "a: 1, ".repeat(7_000)))),
        ("a bomb outside of the steps", format!("kind: connection\nname: x\n{}", aliases())),
        (
            "lists in lists outside of the steps",
            format!("kind: connection\nname: {}\n", nested("[", "]", 100_000)),
        ),
        ("very many documents", "kind: connection\n---\n".repeat(40_000)),
    ] {
        let answer = scene.beside(scene.mallory().try_apply(&yaml)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (422, "invalid"),
            "{what}: {}",
            head(&answer.text)
        );
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.starts_with("test.yaml line ") || detail.starts_with("test.yaml: "),
            "{what}: {}",
            head(&detail)
        );
        assert!(detail.len() < 20_000, "{what}: it is not told at length: {}", detail.len());
    }
    let listed = scene.mallory().api(Method::GET, "/workflows", "").await.expect(200);
    assert_eq!(listed.json(), json!([]), "nothing was applied");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_before_it_is_read() {
    let scene = Scene::with(&[]).await;
    let yaml = workflow(&format!("steps:\n{}", "# nothing\n- stop\n".repeat(300_000)));
    let answer = scene.beside(scene.mallory().try_apply(&yaml)).await;
    assert_eq!(answer.status, 413, "{}", head(&answer.text));
    assert!(answer.text.contains("bytes"), "{answer:?}");
}

/// Enough of a text to know it by.
fn head(text: &str) -> String {
    text.chars().take(300).collect()
}
