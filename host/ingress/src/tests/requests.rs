//! What arrives, and what is refused before anybody knows whose it is.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// What the stages saw, in one line.
fn seen(inbound: &Inbound) -> String {
    let token = inbound.token.as_ref().map(Bearer::reveal_to_check);
    format!("{} {:?} {:?} token={token:?}", inbound.method, inbound.address().unwrap(), inbound.uri.query())
}

async fn seen_by_stages(request: Request<Body>) -> Result<String, (u16, String, String)> {
    let saw = Arc::new(Mutex::new(String::new()));
    let sees = Arc::clone(&saw);
    let front = routes(Limits::default(), move |inbound| {
        *sees.lock().unwrap() = seen(&inbound);
        async { Ok(Reply::Accepted { tenant: "acme".parse().unwrap(), runs: vec![] }) }
    });
    let response = send(&front, request).await;
    let saw = std::mem::take(&mut *saw.lock().unwrap());
    if saw.is_empty() { Err(problem(response).await) } else { Ok(saw) }
}

#[tokio::test]
async fn hooks_take_any_method_and_keep_the_raw_path_and_query() {
    let request = Request::put("/hooks/acme/form/a%2Fb//c?x=%41&y").body(Body::empty()).unwrap();
    let want =
        r#"PUT Hook { tenant: "acme", connection: "form", rest: "a%2Fb//c" } Some("x=%41&y") token=None"#;
    assert_eq!(seen_by_stages(request).await.unwrap(), want);
    for path in ["/hooks/acme/form", "/hooks/acme/form/"] {
        let want = r#"GET Hook { tenant: "acme", connection: "form", rest: "" } None token=None"#;
        assert_eq!(seen_by_stages(get(path)).await.unwrap(), want);
    }
}

#[tokio::test]
async fn an_event_takes_post_and_nobodys_token() {
    let path = "/events/acme/run_1/approved/3-ab";
    let post = Request::post(path).header("authorization", "Bearer t0k").body(Body::empty()).unwrap();
    let want =
        r#"POST Event { tenant: "acme", run: "run_1", event: "approved", secret: "3-ab" } None token=None"#;
    assert_eq!(seen_by_stages(post).await.unwrap(), want);
    let (status, code, _) = seen_by_stages(get(path)).await.unwrap_err();
    assert_eq!((status, code.as_str()), (405, "method-not-allowed"));
}

#[tokio::test]
async fn a_run_takes_post_and_a_token_and_a_hook_takes_none() {
    let request = |method: &str, path: &str, token: &str| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", token)
            .body(Body::empty())
            .unwrap()
    };
    let want = r#"POST Run { tenant: "acme", workflow: "intake" } None token=Some("t0k")"#;
    assert_eq!(seen_by_stages(request("POST", "/run/acme/intake", "bearer t0k")).await.unwrap(), want);
    let none = seen_by_stages(request("POST", "/run/acme/intake", "Basic eA==")).await.unwrap();
    assert!(none.ends_with("token=None"), "{none}");
    let hook = seen_by_stages(request("POST", "/hooks/acme/form", "Bearer t0k")).await.unwrap();
    assert!(hook.ends_with("token=None"), "a hook's stages never hold a token: {hook}");

    let refused = seen_by_stages(request("GET", "/run/acme/intake", "Bearer t0k")).await.unwrap_err();
    assert_eq!((refused.0, refused.1.as_str()), (405, "method-not-allowed"));
}

#[tokio::test]
async fn a_malformed_request_is_refused_with_what_is_wrong() {
    let check = |request: Request<Body>, status: u16, code: &'static str, detail: &'static str| async move {
        let refused = seen_by_stages(request).await.unwrap_err();
        assert_eq!((refused.0, refused.1.as_str()), (status, code));
        assert!(refused.2.contains(detail), "{}", refused.2);
    };
    check(get("/hooks/acme/form/%zz"), 400, "bad-request", "two hex digits").await;
    check(get("/hooks/acme/form/%ff"), 400, "bad-request", "UTF-8").await;
    check(get(&format!("/hooks/acme/form/{}", "a".repeat(9_000))), 414, "uri-too-long", "8192 bytes").await;
    check(get("/hooks/acme"), 404, "no-route", "no such tenant").await;
    check(get("/run/acme"), 404, "no-route", "no such tenant").await;

    let mut many = get("/hooks/acme/form");
    for _ in 0..101 {
        many.headers_mut().append("x-many", "1".parse().unwrap());
    }
    check(many, 431, "headers-too-large", "100 lines").await;
    let mut long = get("/hooks/acme/form");
    long.headers_mut().insert("x-long", "a".repeat(40_000).parse().unwrap());
    check(long, 431, "headers-too-large", "32768 bytes").await;

    let long = "k".repeat(256);
    for keys in [&["a", "b"][..], &[""], &["two words"], &["käse"], &[&long]] {
        let mut request = get("/hooks/acme/form");
        for key in keys {
            let key = http::HeaderValue::from_bytes(key.as_bytes()).unwrap();
            request.headers_mut().append("idempotency-key", key);
        }
        check(request, 400, "bad-request", "Idempotency-Key, of 1 to 255 visible ASCII").await;
    }
}

#[tokio::test]
async fn a_token_is_not_printed() {
    let front = routes(Limits::default(), |inbound| async move {
        assert!(format!("{:?}", inbound.token).contains("***"));
        Ok(Reply::Accepted { tenant: "acme".parse().unwrap(), runs: vec![] })
    });
    let request =
        Request::post("/run/a/b").header("authorization", "Bearer t0k").body(Body::empty()).unwrap();
    assert_eq!(send(&front, request).await.status(), 202);
}

/// A body of these pieces, which never says how long it is.
fn pieces(pieces: Vec<&'static [u8]>) -> Body {
    let frames = pieces.into_iter().map(|piece| Ok::<_, std::io::Error>(Frame::data(Bytes::from(piece))));
    Body::new(StreamBody::new(futures::stream::iter(frames)))
}

fn small() -> Limits {
    Limits { body_bytes: 10, ..Limits::default() }
}

#[tokio::test]
async fn a_body_arrives_byte_for_byte_up_to_its_limit() {
    let post = |body| Request::post("/hooks/acme/form").body(body).unwrap();
    for body in [Body::from("0123456789"), pieces(vec![b"01234", b"", b"56789"]), pieces(vec![b"0123456789"])]
    {
        let response = send(&echo(small()), post(body)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(&body_of(response).await[..], b"0123456789");
    }
    let response = send(&echo(small()), post(Body::empty())).await;
    assert!(body_of(response).await.is_empty());
    for body in [Body::from("0123456789a"), pieces(vec![b"0123456789", b"a"])] {
        let refused = problem(send(&echo(small()), post(body)).await).await;
        assert_eq!((refused.0, refused.1.as_str()), (413, "body-too-large"));
        assert!(refused.2.contains("10 bytes"), "{}", refused.2);
    }
}

#[tokio::test]
async fn a_body_in_one_piece_is_not_copied() {
    let sent = Bytes::from(vec![7; 1_000]);
    let place = sent.as_ptr() as usize;
    let front = routes(Limits::default(), move |mut inbound| async move {
        assert_eq!(inbound.buffer().await?.as_ptr() as usize, place);
        assert!(inbound.buffer().await?.is_empty(), "there is nothing left");
        Ok(Reply::Accepted { tenant: "acme".parse().unwrap(), runs: vec![] })
    });
    let request = Request::post("/hooks/acme/form").body(Body::from(sent)).unwrap();
    assert_eq!(send(&front, request).await.status(), 202);
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_anything_is_read() {
    struct Unread;
    impl http_body::Body for Unread {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            panic!("it was read")
        }
        fn size_hint(&self) -> http_body::SizeHint {
            http_body::SizeHint::with_exact(11)
        }
    }
    let request = Request::post("/hooks/acme/form").body(Body::new(Unread)).unwrap();
    assert_eq!(problem(send(&echo(small()), request).await).await.0, 413);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_end_in_time_is_refused() {
    let drip = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"."))), ()))
    });
    let request = Request::post("/hooks/acme/form").body(Body::new(StreamBody::new(drip))).unwrap();
    let start = tokio::time::Instant::now();
    let refused = problem(send(&echo(Limits::default()), request).await).await;
    assert_eq!((refused.0, refused.1.as_str()), (408, "body-too-slow"));
    assert!(refused.2.contains("30 s"), "{}", refused.2);
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_callers_mistake() {
    let broken = [Ok(Frame::data(Bytes::from_static(b"x"))), Err(std::io::Error::other("reset by peer"))];
    let body = Body::new(StreamBody::new(futures::stream::iter(broken)));
    let request = Request::post("/hooks/acme/form").body(body).unwrap();
    assert_eq!(problem(send(&echo(small()), request).await).await.1, "bad-request");
}

#[tokio::test]
async fn an_http_guest_gets_the_request_without_the_callers_credentials() {
    let front = routes(Limits::default(), |inbound| async move {
        let request = inbound.into_guest_request();
        assert_eq!(request.uri(), "/hooks/acme/hello/a?b");
        assert!(!request.headers().contains_key("authorization"));
        assert_eq!(request.headers()["x-kept"], "1");
        Ok(Reply::Stream(Response::new(request.into_body())))
    });
    let request = Request::post("/hooks/acme/hello/a?b")
        .header("authorization", "Basic eA==")
        .header("x-kept", "1")
        .body(pieces(vec![b"strea", b"med"]))
        .unwrap();
    assert_eq!(&body_of(send(&front, request).await).await[..], b"streamed");
}
