//! Both gates, each with its denied twin.

use std::sync::Arc;

use bytes::Bytes;
use host_egress::{EgressConfig, EgressError, Policy, full_body};
use host_model::grants::{Grants, GrantsSpec, HttpRule};
use http::Response;

use crate::support::{Script, Upstream, World, get, granted, opened, request};

#[tokio::test]
async fn nothing_inside_is_reached_until_the_operator_opens_it() {
    let upstream = Upstream::quiet().await;
    let crm = Arc::new(granted(&[&upstream.origin()]));

    let why = World::closed().denied(&crm, &upstream.url("/")).await;
    assert!(why.contains("127.0.0.1 is not a public address (loopback)"), "{why}");
    let opening = format!("open = [\"127.0.0.1/32:{}\"]", upstream.port());
    assert!(why.contains(&opening), "it says what would open it: {why}");
    assert_eq!(upstream.connections(), 0);

    let answer = World::open_to(&[&upstream]).get(&crm, &upstream.url("/")).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn an_origin_is_reached_only_if_it_is_asked_for_and_granted() {
    let upstream = Upstream::quiet().await;
    let world = World::open_to(&[&upstream]);
    let pattern = || vec![HttpRule::all_of(upstream.origin().parse().unwrap())];
    let with = |asked, granted_http| {
        let spec = GrantsSpec { http: granted_http, kv: false, ..GrantsSpec::default() };
        let mut connection = granted(&[]);
        connection.grants = Grants::new(asked, false, &spec);
        Arc::new(connection)
    };

    let why = world.denied(&with(vec![], pattern()), &upstream.url("/")).await;
    assert!(why.contains("manifest does not ask for it") && why.contains("example/crm@0.1.0"), "{why}");
    let why = world.denied(&with(pattern(), vec![]), &upstream.url("/")).await;
    assert!(why.contains("does not list it under grants: http") && why.contains("`crm`"), "{why}");
    assert!(why.contains(&upstream.origin()), "{why}");
    let why = world.denied(&with(pattern(), pattern()), "http://127.0.0.1:1/").await;
    assert!(why.starts_with("http://127.0.0.1:1 is refused"), "{why}");
    assert_eq!(upstream.connections(), 0);

    assert!(world.get(&with(pattern(), pattern()), &upstream.url("/")).await.is_ok());
}

#[tokio::test]
async fn the_operator_closes_a_host_that_everybody_granted() {
    let upstream = Upstream::quiet().await;
    let crm = Arc::new(granted(&[&upstream.origin()]));
    for closed in ["127.0.0.1", "127.0.0.0/8"] {
        let policy = Policy { closed: vec![closed.parse().unwrap()], ..opened(&[&upstream]) };
        let why = World::with(EgressConfig { policy, ..EgressConfig::default() })
            .denied(&crm, &upstream.url("/"))
            .await;
        assert!(why.contains("closed by the operator ([egress] closed)"), "{why}");
    }
    let named = Arc::new(granted(&["http://api.test"]));
    let policy = Policy { closed: vec!["*.test".parse().unwrap()], ..opened(&[&upstream]) };
    let script = Script::default().says("api.test", &[&["127.0.0.1"]]);
    let resolver = Arc::new(script.clone());
    let world = World::with(EgressConfig { policy, resolver, ..EgressConfig::default() });
    assert!(world.denied(&named, "http://api.test/").await.contains("closed by the operator"));
    assert!(script.asked().is_empty(), "a closed name is not even looked up");
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_grant_of_methods_and_paths_lets_out_these_and_nothing_that_means_others() {
    let upstream = Upstream::quiet().await;
    let narrow = format!(r#"{{"origin":"{}","methods":["GET","POST"],"paths":["/v1"]}}"#, upstream.origin());
    let narrow = vec![serde_json::from_str(&narrow).unwrap()];
    let wide = vec![HttpRule::all_of(upstream.origin().parse().unwrap())];
    let between = |asked: &Vec<_>, http: &Vec<_>| {
        let mut connection = granted(&[]);
        connection.grants = Grants::new(
            asked.clone(),
            false,
            &GrantsSpec { http: http.clone(), kv: false, ..GrantsSpec::default() },
        );
        Arc::new(connection)
    };
    let world = World::open_to(&[&upstream]);
    let refused = [
        ("DELETE", "/v1/x", None),
        ("GET", "/v2", None),
        ("GET", "/v10", None),
        ("GET", "/V1", None),
        ("GET", "//v1", None),
        ("GET", "/", None),
        ("GET", "/v1/../v2", None),
        ("GET", "/v1/%2e%2e/v2", None),
        ("GET", "/v1/..%2fv2", None),
        ("GET", "/v1/%252e%252e/v2", None),
        ("POST", "/v1", Some(("x-http-method-override", "delete"))),
        ("POST", "/v1", Some(("x-http-method", "PUT"))),
        ("POST", "/v1?a=b&_meth%6fd=DELETE", None),
        ("GET", "/v1", Some(("x-original-url", "/v2"))),
        ("GET", "/v1", Some(("x-rewrite-url", "/v2"))),
    ];
    for (asked, http, who) in [(&narrow, &wide, "manifest"), (&wide, &narrow, "connection")] {
        let crm = between(asked, http);
        for (method, path, header) in refused {
            let headers: Vec<_> = header.into_iter().collect();
            match world.send(&crm, request(method, &upstream.url(path), &headers)).await.answer {
                Err(EgressError::Denied(why)) => {
                    assert!(why.contains(who) && why.contains("(GET, POST; /v1)"), "{why}");
                }
                other => panic!("{method} {path} {header:?}: {other:?}"),
            }
        }
        assert_eq!(upstream.seen().len(), 0);
    }
    let twin = between(&narrow, &narrow);
    for (method, path, header) in [
        ("GET", "/v1", None),
        ("POST", "/v1/leads?next=/v2/../x", None),
        ("GET", "/v1/a%2Fb", None),
        ("POST", "/v1", Some(("x-http-method-override", "GET"))),
    ] {
        let headers: Vec<_> = header.into_iter().collect();
        let sent = world.send(&twin, request(method, &upstream.url(path), &headers)).await;
        assert!(sent.answer.is_ok(), "{method} {path}: {:?}", sent.answer);
    }
    let open = between(&wide, &wide);
    assert!(world.send(&open, request("DELETE", &upstream.url("/any/../where"), &[])).await.answer.is_ok());
}

#[tokio::test]
async fn loopback_is_denied_in_every_spelling_and_behind_every_name() {
    let upstream = Upstream::quiet().await;
    let port = upstream.port();
    let script = Script::default()
        .says("plain.test", &[&["127.0.0.1"]])
        .says("mapped.test", &[&["::ffff:127.0.0.1"]])
        .says("nat64.test", &[&["64:ff9b::127.0.0.1"]])
        .says("metadata.test", &[&["169.254.169.254"]])
        .says("mixed.test", &[&["1.1.1.1", "127.0.0.1"]]);
    let world = World::with(EgressConfig { resolver: Arc::new(script), ..EgressConfig::default() });
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "plain.test",
        "PLAIN.test.",
        "mapped.test",
        "nat64.test",
        "metadata.test",
        "mixed.test",
    ] {
        let origin = format!("http://{host}:{port}");
        let why = world.denied(&Arc::new(granted(&[&origin])), &format!("{origin}/")).await;
        assert!(why.contains("not public") || why.contains("not a public address"), "{host}: {why}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn what_a_name_resolves_to_inside_is_not_told() {
    let script = Script::default().says("db.corp.test", &[&["10.20.30.40"]]);
    let world = World::with(EgressConfig { resolver: Arc::new(script), ..EgressConfig::default() });
    let crm = Arc::new(granted(&["https://db.corp.test"]));
    let why = world.denied(&crm, "https://db.corp.test/").await;
    assert!(why.contains("`db.corp.test`") && why.contains("private") && !why.contains("10.20"), "{why}");
}

#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_at_each_dial_and_asked_once_for_it() {
    let upstream = Upstream::answering(|_| {
        Response::builder().header("connection", "close").body(Bytes::new()).unwrap()
    })
    .await;
    let script = Script::default().says("api.test", &[&["127.0.0.1"], &["127.0.0.2"], &["127.0.0.1"]]);
    let config = EgressConfig {
        policy: opened(&[&upstream]),
        resolver: Arc::new(script.clone()),
        ..EgressConfig::default()
    };
    let world = World::with(config);
    let url = format!("http://api.test:{}/", upstream.port());
    let crm = Arc::new(granted(&[url.trim_end_matches('/')]));

    assert!(world.get(&crm, &url).await.is_ok(), "the address that was judged is the one that is dialled");
    assert_eq!(script.asked().len(), 1);
    world.denied(&crm, &url).await;
    assert!(world.get(&crm, &url).await.is_ok());
    assert_eq!(script.asked().len(), 3);
    assert_eq!(upstream.connections(), 2);
    assert_eq!(upstream.seen()[0].headers()["host"], url.split('/').nth(2).unwrap());
}

#[tokio::test]
async fn a_dead_address_gives_way_to_the_next_that_passed() {
    let upstream = Upstream::quiet().await;
    let script = Script::default().says("api.test", &[&["127.0.0.9", "127.0.0.1"]]);
    let policy = Policy { open: vec!["127.0.0.0/8".parse().unwrap()], ..Policy::default() };
    let world = World::with(EgressConfig { policy, resolver: Arc::new(script), ..EgressConfig::default() });
    let url = format!("http://api.test:{}/", upstream.port());
    let crm = Arc::new(granted(&[url.trim_end_matches('/')]));
    assert!(world.get(&crm, &url).await.is_ok());
}

#[tokio::test]
async fn a_redirect_inside_is_an_answer_like_any_other() {
    let inside = Upstream::quiet().await;
    let location = inside.url("/admin");
    let upstream = Upstream::answering(move |_| {
        Response::builder().status(302).header("location", location.as_str()).body(Bytes::new()).unwrap()
    })
    .await;
    let crm = Arc::new(granted(&[&upstream.origin(), "http://127.0.0.1:1"]));
    let world = World::open_to(&[&upstream, &inside]);

    let answer = world.get(&crm, &upstream.url("/")).await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()),
        (302, &*inside.url("/admin"))
    );
    world.denied(&crm, &inside.url("/admin")).await;
    assert_eq!((upstream.connections(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn a_request_that_would_reframe_itself_is_refused() {
    let upstream = Upstream::quiet().await;
    let crm = Arc::new(granted(&[&upstream.origin()]));
    let world = World::open_to(&[&upstream]);
    for (name, value) in [
        ("connection", "close"),
        ("keep-alive", "1"),
        ("te", "trailers"),
        ("trailer", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("proxy-authorization", "Basic eA=="),
        ("proxy-connection", "close"),
        ("host", "other.example"),
        ("content-length", "5"),
        ("content-length", "+0"),
        ("content-length", "0, 0"),
    ] {
        match world.send(&crm, request("POST", &upstream.url("/"), &[(name, value)])).await.answer {
            Err(EgressError::InvalidRequest(why)) => assert!(why.contains(name), "{why}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    for method in ["CONNECT", "TRACE", &"X".repeat(33)] {
        let answer = world.send(&crm, request(method, &upstream.url("/"), &[])).await.answer;
        assert!(matches!(answer, Err(EgressError::InvalidRequest(_))), "{method}: {answer:?}");
    }
    for url in ["/relative", "ftp://127.0.0.1/", "http://user@127.0.0.1/", "*"] {
        let answer = world.get(&crm, url).await;
        assert!(matches!(answer, Err(EgressError::InvalidRequest(_))), "{url}: {answer:?}");
    }
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_with_the_limit() {
    let upstream = Upstream::quiet().await;
    let crm = Arc::new(granted(&[&upstream.origin()]));
    let world = World::open_to(&[&upstream]);
    let check = async |request, want: &str| match world.send(&crm, request).await.answer {
        Err(EgressError::InvalidRequest(why)) => assert!(why.contains(want), "{why}"),
        other => panic!("{want}: {other:?}"),
    };
    let many: Vec<_> = (0..101).map(|at| (format!("x-{at}"), "1")).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    check(request("GET", &upstream.url("/"), &many), "101 headers, the limit is 100").await;
    check(request("GET", &upstream.url("/"), &[("x", &"x".repeat(16 << 10))]), "the limit is 16384").await;
    check(get(&upstream.url(&format!("/{}", "x".repeat(8 << 10)))), "more than 8192 bytes").await;
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_request_arrives_as_it_was_made() {
    let upstream = Upstream::quiet().await;
    let crm = Arc::new(granted(&[&upstream.origin()]));
    let host = upstream.address.to_string();
    let headers = [("x-tag", "a"), ("x-tag", "b"), ("host", &host), ("content-length", "5")];
    let request =
        request("PATCH", &upstream.url("/a/../%41?b=c%20d&e"), &headers).map(|_| full_body("hello"));
    World::open_to(&[&upstream]).send(&crm, request).await.answer.unwrap();

    let seen = upstream.only();
    assert_eq!(seen.method(), "PATCH");
    assert_eq!(seen.uri(), "/a/../%41?b=c%20d&e");
    assert_eq!(seen.headers().get_all("x-tag").iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(seen.headers().get_all("host").iter().collect::<Vec<_>>(), [&*host]);
    assert_eq!(seen.headers().get_all("content-length").iter().count(), 1);
    assert!(seen.headers()["user-agent"].to_str().unwrap().starts_with("wharf/"));
    assert_eq!(seen.body(), "hello");
}
