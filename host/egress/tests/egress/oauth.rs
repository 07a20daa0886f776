//! Access tokens, from a local authorization server that rotates its refresh
//! tokens and takes each of them once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use host_egress::{AuthorizeError, EgressError};
use host_model::manifest::{ClientAuth, Flow};
use host_model::notice::Notice;
use host_model::resource::{Connection, CredentialPlace, Oauth2};
use host_store::faults::{Fault, FaultyStore};
use host_store::{MemoryStore, Store};
use http::{Request, Response};

use crate::support::{Upstream, World, bringing, granted};

const SECRET: &str = "client-hunter22";
const BACK: &str = "https://wharf.example/oauth/callback";

/// What an authorization server knows.
#[derive(Default)]
struct Server {
    /// How many tokens it gave, and which refresh token is good.
    given: usize,
    refresh_token: Option<String>,
    /// Codes and the challenges that they were given for.
    codes: HashMap<String, String>,
    /// What it answers instead: status and body.
    trouble: Option<(u16, &'static str)>,
    /// A refresh token that was used is good once more.
    forgiving: bool,
    asked: Vec<HashMap<String, String>>,
}

type Shared = Arc<Mutex<Server>>;

fn answer(server: &Shared, request: &Request<Bytes>) -> Response<Bytes> {
    // Long enough that whoever asks at the same time is there.
    std::thread::sleep(Duration::from_millis(20));
    let form: HashMap<String, String> = form_urlencoded::parse(request.body()).into_owned().collect();
    let mut server = server.lock().unwrap();
    server.asked.push(form.clone());
    let json =
        |status: u16, text: String| Response::builder().status(status).body(Bytes::from(text)).unwrap();
    if let Some((status, text)) = server.trouble {
        return json(status, text.to_owned());
    }
    assert_eq!(request.headers()["authorization"], "Basic Y2xpZW50OmNsaWVudC1odW50ZXIyMg==");
    let refused = || json(400, r#"{"error":"invalid_grant","error_description":"no"}"#.to_owned());
    match form["grant_type"].as_str() {
        "client_credentials" => {}
        "authorization_code" => {
            let challenge = server.codes.remove(&form["code"]);
            let shown = ring::digest::digest(&ring::digest::SHA256, form["code_verifier"].as_bytes());
            if challenge != Some(BASE64_URL_SAFE_NO_PAD.encode(shown)) || form["redirect_uri"] != BACK {
                return refused();
            }
        }
        "refresh_token" => {
            let good = server.refresh_token.as_deref() == Some(&form["refresh_token"]);
            if !good && !server.forgiving {
                return refused();
            }
        }
        other => panic!("{other}"),
    }
    server.given += 1;
    let given = server.given;
    let refresh = match form["grant_type"].as_str() {
        "client_credentials" => String::new(),
        _ => {
            server.refresh_token = Some(format!("refresh-token-{given}"));
            format!(r#","refresh_token":"refresh-token-{given}""#)
        }
    };
    json(
        200,
        format!(
            r#"{{"access_token":"access-token-{given}","token_type":"Bearer","expires_in":3600{refresh}}}"#
        ),
    )
}

struct Scene {
    world: World,
    store: Arc<dyn Store>,
    server: Shared,
    endpoint: Upstream,
    api: Upstream,
    crm: Arc<Connection>,
}

async fn scene_on(flow: Flow, store: Arc<dyn Store>) -> Scene {
    let server = Shared::default();
    let shared = Arc::clone(&server);
    let endpoint = Upstream::answering(move |request| answer(&shared, request)).await;
    let api = Upstream::quiet().await;
    let place = CredentialPlace::Oauth2(Arc::new(Oauth2 {
        flow,
        token_url: endpoint.url("/token").parse().unwrap(),
        authorize_url: Some("https://login.example/authorize".parse().unwrap()),
        client_id: "client".to_owned(),
        client_auth: ClientAuth::Basic,
        scopes: vec!["read".to_owned(), "write".to_owned()],
        extra: [("audience".to_owned(), "crm".to_owned())].into(),
    }));
    let crm = bringing(granted(&[&endpoint.origin(), &api.origin()]), place, &[&api.origin()]);
    let world = World::on(Arc::clone(&store), &[&endpoint, &api]).secret("acme", "key", SECRET).await;
    Scene { world, store, server, endpoint, api, crm: Arc::new(crm) }
}

async fn scene(flow: Flow) -> Scene {
    scene_on(flow, Arc::new(MemoryStore::new())).await
}

impl Scene {
    async fn call(&self) -> Result<String, EgressError> {
        self.world.get(&self.crm, &self.api.url("/")).await?;
        let seen = self.api.seen().pop().unwrap();
        Ok(seen.headers()["authorization"].to_str().unwrap().to_owned())
    }

    fn asked(&self) -> usize {
        self.server.lock().unwrap().asked.len()
    }

    fn troubled(&self, trouble: Option<(u16, &'static str)>) {
        self.server.lock().unwrap().trouble = trouble;
    }

    /// Begins, and comes back with the state and a code.
    async fn begin(&self) -> (String, String) {
        let begun = self.world.egress.begin_authorization(&self.crm, BACK, "tok_1").await.unwrap();
        let url: url::Url = begun.url.parse().unwrap();
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(
            (query["response_type"].as_str(), query["code_challenge_method"].as_str()),
            ("code", "S256")
        );
        assert_eq!((query["client_id"].as_str(), query["redirect_uri"].as_str()), ("client", BACK));
        assert_eq!((query["scope"].as_str(), query["audience"].as_str()), ("read write", "crm"));
        let mut server = self.server.lock().unwrap();
        let code = format!("code-{}", query["state"]);
        server.codes.insert(code.clone(), query["code_challenge"].clone());
        (query["state"].clone(), code)
    }

    async fn come_back(&self, state: &str, code: &str) -> Result<(), AuthorizeError> {
        let pending = self.world.egress.pending_authorization(state).await?;
        assert_eq!((pending.tenant.as_str(), pending.connection.as_str()), ("acme", "crm"));
        assert_eq!(pending.by, "tok_1");
        self.world.egress.complete_authorization(&self.crm, pending, code).await
    }

    async fn authorize(&self) {
        let (state, code) = self.begin().await;
        self.come_back(&state, &code).await.unwrap();
    }

    fn pass(&self, seconds: u64) {
        self.world.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_calls_at_once_get_one_token_and_refresh_it_once() {
    let scene = scene(Flow::ClientCredentials).await;
    for round in 1..=2 {
        let url = scene.api.url("/");
        let calls = (0..50).map(|_| scene.world.get(&scene.crm, &url));
        futures::future::try_join_all(calls).await.unwrap();
        assert_eq!(scene.asked(), round);
        assert_eq!(scene.call().await.unwrap(), format!("Bearer access-token-{round}"));
        scene.pass(3_600);
    }
    let asked = scene.server.lock().unwrap().asked[0].clone();
    assert_eq!((asked["scope"].as_str(), asked["audience"].as_str()), ("read write", "crm"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_on_one_store_refresh_once() {
    let scene = scene(Flow::AuthorizationCode).await;
    let second = scene.world.host_on(Arc::clone(&scene.store), &[&scene.endpoint, &scene.api]);
    scene.authorize().await;
    scene.pass(3_600);
    let (first, url) = (&scene.world, scene.api.url("/"));
    let calls =
        (0..20).map(|at| if at % 2 == 0 { first } else { &second }).map(|host| host.get(&scene.crm, &url));
    futures::future::try_join_all(calls).await.unwrap();
    assert_eq!(scene.asked(), 2, "the code, and one refresh");
    assert_eq!(scene.call().await.unwrap(), "Bearer access-token-2");
}

#[tokio::test]
async fn a_token_is_refreshed_before_its_end_with_the_latest_refresh_token() {
    let scene = scene(Flow::AuthorizationCode).await;
    scene.authorize().await;
    for round in 1..4 {
        assert_eq!(scene.call().await.unwrap(), format!("Bearer access-token-{round}"));
        scene.pass(3_545);
    }
    let shown: Vec<_> = scene
        .server
        .lock()
        .unwrap()
        .asked
        .iter()
        .filter_map(|form| form.get("refresh_token").cloned())
        .collect();
    assert_eq!(shown, ["refresh-token-1", "refresh-token-2"]);
}

#[tokio::test]
async fn a_code_is_exchanged_once_for_whoever_began_in_time() {
    let scene = scene(Flow::AuthorizationCode).await;
    let why = scene.world.denied(&scene.crm, &scene.api.url("/")).await;
    assert!(why.contains("wharf connection authorize crm"), "{why}");
    assert!(scene.world.egress.unauthorized(&scene.crm).await.unwrap().is_some());
    assert!(scene.api.seen().is_empty(), "nothing is sent without a token");

    let (state, code) = scene.begin().await;
    for wrong in ["", "another", &state.to_uppercase()] {
        assert!(matches!(scene.come_back(wrong, &code).await, Err(AuthorizeError::Unknown)), "{wrong}");
    }
    scene.come_back(&state, &code).await.unwrap();
    assert_eq!(scene.call().await.unwrap(), "Bearer access-token-1");
    assert_eq!(scene.world.egress.unauthorized(&scene.crm).await.unwrap(), None);
    assert!(matches!(scene.come_back(&state, &code).await, Err(AuthorizeError::Unknown)), "a second time");

    let (late, code) = scene.begin().await;
    scene.pass(600);
    assert!(
        matches!(scene.come_back(&late, &code).await, Err(AuthorizeError::Unknown)),
        "ten minutes are over"
    );
}

#[tokio::test]
async fn a_code_that_was_given_for_another_challenge_is_worth_nothing() {
    let scene = scene(Flow::AuthorizationCode).await;
    let (_, stolen) = scene.begin().await;
    let (state, _) = scene.begin().await;
    let error = scene.come_back(&state, &stolen).await.unwrap_err();
    assert!(matches!(&error, AuthorizeError::Refused(_)), "{error}");
    assert!(scene.call().await.is_err());
}

#[tokio::test]
async fn a_connection_that_was_changed_meanwhile_is_not_authorized() {
    let scene = scene(Flow::AuthorizationCode).await;
    let (state, code) = scene.begin().await;
    let pending = scene.world.egress.pending_authorization(&state).await.unwrap();
    let mut changed = (*scene.crm).clone();
    let CredentialPlace::Oauth2(oauth) = &mut changed.credentials[0].place else { panic!() };
    Arc::make_mut(oauth).client_id = "another".to_owned();
    let error = scene.world.egress.complete_authorization(&changed, pending, &code).await.unwrap_err();
    assert!(matches!(error, AuthorizeError::Changed(_)), "{error}");
    assert_eq!(scene.asked(), 0, "the code is shown to nobody");
}

#[tokio::test]
async fn what_may_pass_never_costs_the_grant_and_a_token_that_lasts_is_used() {
    let scene = scene(Flow::AuthorizationCode).await;
    scene.authorize().await;
    for trouble in [
        (500, "oops"),
        (503, r#"{"error":"invalid_grant"}"#),
        (429, "slow down"),
        (200, "<html>"),
        (302, ""),
        (400, "not json"),
        (400, r#"{"error":"made_up"}"#),
    ] {
        scene.troubled(Some(trouble));
        scene.pass(3_550);
        let before = scene.asked();
        let used = scene.call().await.unwrap();
        assert!(used.starts_with("Bearer access-token-"), "{trouble:?}: the token that still lasts");
        scene.call().await.unwrap();
        assert_eq!(scene.asked(), before + 1, "an endpoint in trouble is left alone for a while");

        scene.pass(60);
        let error = scene.call().await.unwrap_err();
        assert!(matches!(error, EgressError::ConnectionFailed(_)), "{trouble:?}: {error}");
        assert!(scene.world.egress.unauthorized(&scene.crm).await.unwrap().is_none());
        scene.troubled(None);
        scene.pass(10);
        scene.call().await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_grant_needs_authorization_and_says_so_until_it_has_it() {
    let scene = scene(Flow::AuthorizationCode).await;
    scene.authorize().await;
    scene.server.lock().unwrap().refresh_token = None;
    scene.pass(3_600);
    for _ in 0..3 {
        let why = scene.world.denied(&scene.crm, &scene.api.url("/")).await;
        assert!(why.contains("wharf connection authorize crm"), "{why}");
    }
    assert_eq!(scene.asked(), 2, "a refused token is not shown again");
    let why = scene.world.egress.unauthorized(&scene.crm).await.unwrap().unwrap();
    assert!(why.contains("invalid_grant"), "{why}");
    let notice = Notice::NeedsAuthorization { connection: "crm".to_owned(), why };
    assert_eq!(
        scene.world.heard.take(),
        [("acme".parse().unwrap(), notice)],
        "once, however many calls were refused"
    );
    let refused = host_egress::refused_grants(&scene.world.vault).await.unwrap();
    assert_eq!((refused.len(), refused[0].1.as_str()), (1, "crm"));

    scene.authorize().await;
    scene.call().await.unwrap();
    assert!(host_egress::refused_grants(&scene.world.vault).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_client_that_is_not_known_keeps_its_grant() {
    let scene = scene(Flow::AuthorizationCode).await;
    scene.authorize().await;
    scene.pass(3_600);
    scene.troubled(Some((401, r#"{"error":"invalid_client"}"#)));
    let why = scene.world.denied(&scene.crm, &scene.api.url("/")).await;
    assert!(why.contains("invalid_client") && why.contains("client id"), "{why}");
    scene.troubled(None);
    assert_eq!(scene.call().await.unwrap(), "Bearer access-token-2");
}

#[tokio::test]
async fn a_host_that_dies_between_the_servers_answer_and_its_own_store() {
    for forgiving in [true, false] {
        let store = Arc::new(MemoryStore::new());
        let first = scene_on(Flow::AuthorizationCode, store.clone()).await;
        first.authorize().await;
        first.pass(3_600);
        first.server.lock().unwrap().forgiving = forgiving;
        // The lease is taken; what the server then gives is not kept.
        let dying = FaultyStore::new(store.clone()).with(2, Fault::Fail).die_after(2);
        let dying = first.world.host_on(Arc::new(dying), &[&first.endpoint, &first.api]);
        assert!(matches!(dying.get(&first.crm, &first.api.url("/")).await, Err(EgressError::Other(_))));
        assert_eq!(first.asked(), 2);

        first.pass(31);
        match forgiving {
            true => assert_eq!(first.call().await.unwrap(), "Bearer access-token-3"),
            false => {
                let why = first.world.denied(&first.crm, &first.api.url("/")).await;
                assert!(why.contains("needs authorization"), "{why}");
            }
        }
    }
}

#[tokio::test]
async fn a_refresh_whose_caller_is_gone_is_kept_all_the_same() {
    let scene = scene(Flow::AuthorizationCode).await;
    scene.authorize().await;
    scene.pass(3_600);
    let url = scene.api.url("/");
    let gone = tokio::time::timeout(Duration::from_millis(5), scene.world.get(&scene.crm, &url)).await;
    assert!(gone.is_err(), "the caller did not wait");
    assert_eq!(scene.call().await.unwrap(), "Bearer access-token-2");
    assert_eq!(scene.asked(), 2, "the code, and one refresh");
}

#[tokio::test]
async fn a_token_endpoint_that_is_not_granted_is_not_reached() {
    let scene = scene(Flow::ClientCredentials).await;
    let mut crm = granted(&[&scene.api.origin()]);
    crm.credentials = scene.crm.credentials.clone();
    let why = scene.world.denied(&Arc::new(crm), &scene.api.url("/")).await;
    assert!(why.contains("is refused"), "{why}");
    assert_eq!((scene.endpoint.connections(), scene.api.connections()), (0, 0));
}

#[tokio::test]
async fn a_token_goes_to_no_other_granted_origin() {
    let (scene, other) = (scene(Flow::ClientCredentials).await, Upstream::quiet().await);
    let mut crm = granted(&[&scene.endpoint.origin(), &scene.api.origin(), &other.origin()]);
    crm.credentials = scene.crm.credentials.clone();
    let world = scene.world.host_on(Arc::clone(&scene.store), &[&scene.endpoint, &scene.api, &other]);
    world.get(&Arc::new(crm), &other.url("/")).await.unwrap();
    assert!(!other.only().headers().contains_key("authorization"));
    assert_eq!(scene.endpoint.connections(), 0, "and none is asked for");
}

#[tokio::test]
async fn tokens_are_scrubbed_from_answers_and_lie_sealed_in_the_store() {
    let store = Arc::new(MemoryStore::new());
    let scene = scene_on(Flow::AuthorizationCode, store.clone()).await;
    scene.authorize().await;
    let echo = Upstream::answering(|request| {
        let said = format!("{:?} refresh-token-1 {SECRET}", request.headers()["authorization"]);
        Response::new(Bytes::from(said))
    })
    .await;
    let mut crm = bringing(
        granted(&[&echo.origin(), &scene.endpoint.origin()]),
        scene.crm.credentials[0].place.clone(),
        &[&echo.origin()],
    );
    crm.name = scene.crm.name.clone();
    let world = scene.world.host_on(store.clone(), &[&echo, &scene.endpoint]);
    let answer = world.get(&Arc::new(crm), &echo.url("/")).await.unwrap();
    assert_eq!(answer.body(), "\"Bearer ***\" *** ***");

    let all = store.scan(b"", None, 100).await.unwrap();
    for needle in ["access-token-1", "refresh-token-1", SECRET] {
        let found =
            all.iter().any(|entry| entry.value.windows(needle.len()).any(|part| part == needle.as_bytes()));
        assert!(!found, "{needle}");
    }
}
