//! The stand-ins behave as the systems they stand in for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use serde_json::{Value, json};
use tests_upstreams::{Credential, Credentials, Fault, Upstreams};

async fn up() -> (Upstreams, Client) {
    let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
    (Upstreams::start(Credentials::default()).await.unwrap(), client)
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

fn lead(upstreams: &Upstreams, client: &Client, key: &str) -> RequestBuilder {
    client
        .post(format!("http://{}/leads", upstreams.crm))
        .bearer_auth(Credentials::default().crm_token)
        .header("idempotency-key", key)
        .json(&json!({ "email": "ada@example.com", "name": "Ada" }))
}

#[tokio::test]
async fn the_same_key_makes_one_lead_and_both_requests_are_counted() {
    let (upstreams, client) = up().await;
    let (first, made) = answer(lead(&upstreams, &client, "run_1/0")).await;
    let (again, same) = answer(lead(&upstreams, &client, "run_1/0")).await;
    let (other, _) = answer(lead(&upstreams, &client, "run_2/0")).await;

    assert_eq!((first, again, other), (StatusCode::CREATED, StatusCode::OK, StatusCode::CREATED));
    assert_eq!(made, same);
    assert_eq!(upstreams.effects().leads.len(), 2);
    let counts: Vec<_> = upstreams.crm_received().iter().map(|seen| seen.count).collect();
    assert_eq!(counts, [1, 2, 1]);
}

#[tokio::test]
async fn a_lead_without_email_is_refused() {
    let (upstreams, client) = up().await;
    let (status, body) = answer(lead(&upstreams, &client, "k").json(&json!({ "name": "Ada" }))).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(body["error"], "`email` is missing");
    assert!(upstreams.effects().leads.is_empty());
}

#[tokio::test]
async fn each_system_knows_its_own_credential_and_remembers_only_the_verdict() {
    let (upstreams, client) = up().await;
    let right = Credentials::default();
    let (crm, mail, chat) = (upstreams.crm, upstreams.mail, upstreams.chat);
    let me = client.get(format!("http://{crm}/me"));
    let domains = |key: &str| client.get(format!("http://{mail}/domains?api_key={key}"));
    let account = client.get(format!("http://{chat}/account"));
    let cases = [
        (me.try_clone().unwrap().bearer_auth(&right.crm_token), 200, Credential::Right),
        (me.try_clone().unwrap().bearer_auth("guess-one"), 401, Credential::Wrong),
        (me, 401, Credential::Missing),
        (domains(&right.mail_key), 200, Credential::Right),
        (domains("guess-two"), 401, Credential::Wrong),
        (client.get(format!("http://{mail}/domains")), 401, Credential::Missing),
        (
            account.try_clone().unwrap().basic_auth(&right.chat_user, Some(&right.chat_password)),
            200,
            Credential::Right,
        ),
        (account.basic_auth(&right.chat_user, Some("guess-three")), 401, Credential::Wrong),
    ];
    let mut want = Vec::new();
    for (request, status, credential) in cases {
        assert_eq!(request.send().await.unwrap().status().as_u16(), status);
        want.push((status, credential));
    }
    let got: Vec<_> = upstreams.received().iter().map(|seen| (seen.status, seen.credential)).collect();
    assert_eq!(got, want);

    let mut told = String::new();
    for system in [crm, mail, chat] {
        told += &client.get(format!("http://{system}/received")).send().await.unwrap().text().await.unwrap();
    }
    for secret in [&right.crm_token, &right.mail_key, &right.chat_password] {
        assert!(!told.contains(secret.as_str()), "{told}");
    }
    assert!(!told.contains("guess"), "{told}");
    assert!(told.contains("\"credential\":\"right\""), "{told}");
}

#[tokio::test]
async fn mail_and_chat_keep_what_they_were_sent() {
    let (upstreams, client) = up().await;
    let right = Credentials::default();
    let mail = client
        .post(format!("http://{}/messages?api_key={}", upstreams.mail, right.mail_key))
        .json(&json!({ "to": "ada@example.com", "subject": "Hello" }));
    let chat = client
        .post(format!("http://{}/channels/sales-emea/messages", upstreams.chat))
        .basic_auth(&right.chat_user, Some(&right.chat_password))
        .json(&json!({ "text": "New lead" }));
    assert_eq!(answer(mail).await.0, StatusCode::CREATED);
    assert_eq!(answer(chat).await.0, StatusCode::CREATED);
    let effects = upstreams.effects();
    assert_eq!(effects.messages[0]["status"], "queued");
    assert_eq!(effects.posts[0]["channel"], "sales-emea");
}

#[tokio::test]
async fn a_fault_comes_when_ordered_and_goes_by_itself() {
    let (upstreams, client) = up().await;
    let order = json!({ "status": 503, "times": 2, "retry_after": 7 });
    let ordered = client.post(format!("http://{}/faults", upstreams.crm)).json(&order).send().await.unwrap();
    assert_eq!(ordered.status(), StatusCode::NO_CONTENT);

    let broken = lead(&upstreams, &client, "k").send().await.unwrap();
    assert_eq!(broken.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(broken.headers()["retry-after"], "7");
    assert_eq!(lead(&upstreams, &client, "k").send().await.unwrap().status().as_u16(), 503);
    assert_eq!(lead(&upstreams, &client, "k").send().await.unwrap().status().as_u16(), 201);
    assert_eq!(upstreams.effects().leads.len(), 1);
}

#[tokio::test]
async fn a_lost_answer_leaves_its_effect() {
    let (upstreams, client) = up().await;
    upstreams.break_crm(Fault { after_effect: true, ..Fault::status(504, 1) });
    assert_eq!(lead(&upstreams, &client, "k").send().await.unwrap().status().as_u16(), 504);
    assert_eq!(upstreams.effects().leads.len(), 1);
    assert_eq!(lead(&upstreams, &client, "k").send().await.unwrap().status().as_u16(), 200);
    assert_eq!(upstreams.effects().leads.len(), 1);
}

#[tokio::test]
async fn the_laboratory_echoes_everything_whole_or_in_pieces_and_keeps_nothing_of_it() {
    let (upstreams, client) = up().await;
    for how in ["", "&chunk=3"] {
        let response = client
            .put(format!("http://{}/echo?api_key=k{how}", upstreams.lab))
            .bearer_auth("token")
            .body("the body")
            .send()
            .await
            .unwrap();
        assert_eq!(response.headers()["x-echo-authorization"], "Bearer token");
        let told: Value = response.json().await.unwrap();
        assert_eq!(told["headers"]["authorization"], "Bearer token");
        assert_eq!(told["query"], format!("api_key=k{how}"));
        assert_eq!((&told["method"], &told["body"]), (&json!("PUT"), &json!("the body")));
    }
    let kept = serde_json::to_string(&upstreams.lab_received()).unwrap();
    assert!(!kept.contains("token") && !kept.contains("the body"), "{kept}");
}

#[tokio::test]
async fn the_laboratory_redirects_is_slow_and_sends_too_much() {
    let (upstreams, client) = up().await;
    let get = |path: &str| client.get(format!("http://{}{path}", upstreams.lab)).send();

    let moved = get("/redirect?to=http://10.0.0.1/x").await.unwrap();
    assert_eq!(
        (moved.status().as_u16(), &moved.headers()["location"]),
        (302, &"http://10.0.0.1/x".parse().unwrap())
    );
    assert_eq!(get("/slow?ms=1").await.unwrap().status(), StatusCode::OK);
    assert_eq!(get("/big?bytes=200000").await.unwrap().bytes().await.unwrap().len(), 200_000);

    let mut endless = get("/endless").await.unwrap();
    let mut bytes = 0;
    while bytes < 1 << 20 {
        bytes += endless.chunk().await.unwrap().expect("it never ends").len();
    }
    let count: Value = get("/count").await.unwrap().json().await.unwrap();
    assert_eq!(count, json!({ "count": 4 }));
}

#[tokio::test]
async fn a_request_is_announced_when_it_was_answered() {
    let (upstreams, client) = up().await;
    let mut arrivals = upstreams.arrivals();
    lead(&upstreams, &client, "k").send().await.unwrap();
    let seen = arrivals.recv().await.unwrap();
    assert_eq!((seen.system.as_str(), seen.path.as_str(), seen.status), ("crm", "/leads", 201));
}

#[tokio::test]
async fn systems_go_down_when_they_are_dropped() {
    let (upstreams, client) = up().await;
    let url = format!("http://{}/count", upstreams.lab);
    client.get(&url).send().await.unwrap();
    drop(upstreams);
    // The listener closes when its task next runs; there is no sign of it but the refusal.
    while client.get(&url).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}
