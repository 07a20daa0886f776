//! Unmodified `wasi:http` servers that do not keep to the protocol.

use reqwest::Method;
use tests_harness::Connection;

use crate::scene::Scene;

/// The head's status (0: not even that came), then the body as far as it came,
/// and whether it came to its end.
async fn visit(scene: &Scene, connection: &str, at_most: usize) -> (u16, Vec<u8>, bool) {
    let request = scene.host.request(Method::GET, &format!("/hooks/mallory/{connection}/"));
    let visit = async {
        let Ok(mut answer) = request.send().await else { return (0, Vec::new(), false) };
        let (status, mut body) = (answer.status().as_u16(), Vec::new());
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return (status, body, true),
                Err(_) => return (status, body, false),
            }
            if body.len() > at_most {
                return (status, body, false);
            }
        }
    };
    scene.beside(visit).await
}

#[tokio::test]
async fn a_server_that_says_nothing_is_a_failed_connector() {
    let scene = Scene::with(&["proxy-silent"]).await;
    let (status, body, whole) = visit(&scene, "proxy-silent", usize::MAX).await;
    let body = String::from_utf8(body).unwrap();
    assert_eq!((status, whole), (502, true));
    assert!(body.contains("connector-failed"), "{body}");
    assert!(scene.host.log().contains("returned without an answer"), "{}", scene.host.log());
}

#[tokio::test]
async fn the_second_of_two_answers_reaches_nobody() {
    let scene = Scene::with(&["proxy-twice"]).await;
    let (status, body, whole) = visit(&scene, "proxy-twice", usize::MAX).await;
    assert_eq!((status, body.as_slice(), whole), (200, b"first\n".as_slice(), true));
    let log = scene.host.log();
    assert!(log.contains("a call of connection `proxy-twice` was ended: it crashed"), "{log}");
}

#[tokio::test]
async fn an_answer_that_crashes_half_way_breaks_off_and_does_not_look_whole() {
    let scene = Scene::with(&["proxy-trap"]).await;
    let (status, body, whole) = visit(&scene, "proxy-trap", usize::MAX).await;
    // How much went out before it broke off is a matter of luck.
    assert!(matches!(status, 0 | 200) && b"the first half".starts_with(&body) && !whole, "{status} {body:?}");
    assert!(
        scene.host.log().contains("a call of connection `proxy-trap` was ended: it crashed"),
        "{}",
        scene.host.log()
    );
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_by_its_wall_time() {
    let scene = Scene::with(&["proxy-endless"]).await;
    scene.mallory().apply(&Connection::probe("proxy-endless").bound("wall-ms", 300).yaml()).await;
    let (status, _, whole) = visit(&scene, "proxy-endless", usize::MAX).await;
    assert_eq!((status, whole), (200, false));
    assert!(
        scene.host.log().contains("passed its bound on wall-time (ms): the limit is 300"),
        "{}",
        scene.host.log()
    );
}

#[tokio::test]
async fn a_visitor_who_leaves_frees_the_place() {
    let scene = Scene::with(&["proxy-endless"]).await;
    let one = "{\"name\":\"mallory\",\"concurrency\":1}";
    scene.host.operate(Method::PUT, "/tenants/mallory", one).await.expect(200);
    for _ in 0..3 {
        let (status, body, whole) = visit(&scene, "proxy-endless", 100_000).await;
        assert_eq!((status, whole), (200, false));
        assert!(body.len() > 100_000);
    }
}
