//! What people write, mistyped: file, line, key and the nearest known one.

use reqwest::Method;
use serde_json::json;
use tests_harness::Connection;

use crate::scene::Scene;

#[tokio::test]
async fn a_typo_in_yaml_names_file_line_key_and_nearest() {
    let scene = Scene::with(&[]).await;
    let right = Connection::new("echo", "probe/echo@0.1.0").yaml();
    for (typo, want) in [
        (right.replace("package:", "pakage:"), "test.yaml line 3: unknown key `pakage`"),
        (right.replace("kind: connection", "kind: conection"), "test.yaml line 1: unknown value `conection`"),
        (format!("{right}bounds:\n  feul: 1\n"), "test.yaml line 5: unknown key `feul`"),
        (format!("{right}---\n{right}grant: {{}}\n"), "test.yaml line 8: unknown key `grant`"),
    ] {
        let answer = scene.mallory().try_apply(&typo).await.expect(422);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(want) && detail.contains("did you mean `"), "{detail}");
    }
    let unclosed = scene.mallory().try_apply("kind: connection\nname: [echo\n").await.expect(422);
    assert!(unclosed.text.contains("test.yaml line "), "{unclosed:?}");
    let listed = scene.mallory().api(Method::GET, "/connections", "").await.expect(200);
    assert_eq!(listed.json(), json!([]), "nothing was applied");
}

#[tokio::test]
async fn what_names_nothing_that_is_there_names_the_nearest_that_is() {
    let scene = Scene::with(&[]).await;
    scene.publish("fetch").await;
    let mallory = scene.mallory();
    let workflow = |roles: &str, triggers: &str| {
        format!(
            "kind: workflow\nname: wf\npackage: probe/workflow-random@0.1.0\nroles: {roles}\ntriggers: {triggers}\n"
        )
    };
    scene.publish("workflow-random").await;
    let url = "http://a.example";
    mallory.apply(&Connection::probe("fetch").config("base-url", url).yaml()).await;
    for (yaml, wants) in [
        (Connection::new("x", "probe/ecko@0.1.0").yaml(), ["probe/ecko", "test.yaml line 1"]),
        (Connection::probe("fetch").config("bas-url", url).yaml(), ["`bas-url`", "did you mean `base-url`?"]),
        (Connection::probe("fetch").yaml(), ["`base-url` is missing", "test.yaml line 1"]),
        (
            Connection::probe("fetch").config("base-url", "ftp://a.example").yaml(),
            ["base-url", "http or https"],
        ),
        (
            Connection::probe("fetch").config("base-url", url).grant_http("a.example").yaml(),
            ["`a.example` is not an origin", "write `https://"],
        ),
        (workflow("{ target: fetch, othr: fetch }", "[]"), ["`othr`", "did you mean `other`?"]),
        (workflow("{ target: fetch, other: fetsh }", "[]"), ["connection `fetsh`", "did you mean `fetch`?"]),
        (
            workflow("{ target: fetch, other: fetch }", "[{ webhook: { connection: fetsh } }]"),
            ["connection `fetsh`", "did you mean `fetch`?"],
        ),
    ] {
        let answer = mallory.try_apply(&yaml).await.expect(422);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        for want in wants {
            assert!(detail.contains(want), "`{want}` is not in: {detail}\n{yaml}");
        }
    }
}
