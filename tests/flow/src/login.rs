//! People log in by an issuer, with the CLI as it is: what they may do then,
//! and everything by which nobody is let in.

use std::process::Stdio;

use reqwest::{Client, Method, Url, redirect};
use serde_json::{Value, json};
use tests_harness::{Answer, Host, HostBuilder};
use tests_upstreams::{LOGIN_CLIENT, LOGIN_CLIENT_SECRET, LoginIssuer, Mood, Wrong};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A client's verifier, and what it hashes to.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// Where a client waits that a test plays itself. Nothing listens there.
const CLIENT: &str = "http://127.0.0.1:9/";

/// A host where Ada's group is a developer of acme, and her issuer.
async fn ready() -> (Host, LoginIssuer) {
    let issuer = LoginIssuer::start().await.unwrap();
    let secret = tempfile(LOGIN_CLIENT_SECRET);
    let config = format!(
        "[[oidc]]\nname = \"corp\"\nissuer = \"{}\"\nclient-id = \"{LOGIN_CLIENT}\"\nclient-secret = {{ file = \"{}\" }}\n\
         rules = [{{ value = \"ops\", role = \"operator\" }}, {{ value = \"staff\", tenant = \"acme\", role = \"developer\" }}, \
         {{ value = \"auditors\", tenant = \"acme\", role = \"viewer\" }}]\n",
        issuer.url(),
        secret.display(),
    );
    let host = HostBuilder::default().open(issuer.address).config(&config).start().await;
    std::fs::remove_file(secret).unwrap(); // read at the start, and not again
    host.tenant("acme").await;
    (host, issuer)
}

fn tempfile(text: &str) -> std::path::PathBuf {
    use std::os::unix::fs::OpenOptionsExt as _;
    static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("wharf-login-{}-{number}", std::process::id()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    path
}

/// A browser: it keeps one cookie, and follows what it is told by hand.
struct Browser {
    client: Client,
    cookie: Option<String>,
}

impl Browser {
    fn new() -> Self {
        Self { client: Client::builder().redirect(redirect::Policy::none()).build().unwrap(), cookie: None }
    }

    async fn get(&mut self, url: &str) -> Answer {
        let mut request = self.client.get(url);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = request.send().await.unwrap();
        if let Some(set) = answer.headers().get("set-cookie") {
            let set = set.to_str().unwrap();
            assert!(set.contains("HttpOnly; SameSite=Lax"), "{set}");
            self.cookie = set.split(';').next().map(str::to_owned);
        }
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, text: answer.text().await.unwrap() }
    }

    /// Begins a login and goes through the issuer; gives the address that leads back to the host.
    async fn callback_of(&mut self, begin: &str) -> String {
        let issuers = next(&self.get(begin).await);
        next(&self.get(issuers.as_str()).await).into()
    }

    /// The whole way; gives the client's address as the browser is sent there.
    async fn logs_in(&mut self, begin: &str) -> Url {
        let callback = self.callback_of(begin).await;
        next(&self.get(&callback).await)
    }
}

/// Where an answer sends somebody.
#[track_caller]
fn next(answer: &Answer) -> Url {
    assert!([302, 303].contains(&answer.status), "{answer:?}");
    answer.headers["location"].to_str().unwrap().parse().unwrap()
}

fn field(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Where a client that a test plays sends its browser.
fn begin(host: &Host, more: &str) -> String {
    host.url(&format!("/login?challenge={CHALLENGE}&redirect={CLIENT}&state=mine{more}"))
}

/// Why nobody was let in, as their client is told.
async fn refused(host: &Host) -> String {
    let back = Browser::new().logs_in(&begin(host, "")).await;
    assert_eq!((field(&back, "code"), field(&back, "state").as_deref()), (None, Some("mine")), "{back}");
    field(&back, "error_description").unwrap()
}

async fn exchange(host: &Host, code: &str, verifier: &str) -> Answer {
    let body = json!({ "code": code, "verifier": verifier }).to_string();
    host.ask(host.request(Method::POST, "/login/token").body(body)).await
}

/// Somebody who types `wharf login`, up to the address that it prints.
struct Typing {
    child: Child,
    page: String,
}

impl Typing {
    async fn login(host: &Host, more: &[&str]) -> Self {
        let mut child = wharf(host).args(["login"]).args(more).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
        let page = loop {
            let line = lines.next_line().await.unwrap().expect("it prints where to log in");
            if line.trim().starts_with("http") {
                break line.trim().to_owned();
            }
        };
        Self { child, page }
    }

    async fn ends(mut self) -> (i32, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).await.unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).await.unwrap();
        (self.child.wait().await.unwrap().code().unwrap(), out + &err)
    }
}

/// The CLI with a home, and no token but the one that it keeps there.
fn wharf(host: &Host) -> Command {
    let mut command = Command::new(tests_harness::wharf());
    command.env_clear().env("HOME", host.folder()).current_dir(host.folder()).kill_on_drop(true);
    command.args(["--server", &host.url("")]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn types(host: &Host, args: &[&str]) -> (i32, String) {
    let output = wharf(host).args(args).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text)
}

#[tokio::test]
async fn somebody_logs_in_by_the_cli_works_in_their_role_and_logs_out() {
    let (host, issuer) = ready().await;
    let typing = Typing::login(&host, &[]).await;
    let back = Browser::new().logs_in(&typing.page).await;
    let shown = Browser::new().get(back.as_str()).await.expect(200);
    assert!(shown.text.contains("Go back to the terminal"), "{}", shown.text);
    let (exit, told) = typing.ends().await;
    assert_eq!(exit, 0, "{told}");
    assert!(told.contains("logged in as ada@corp.example, developer in tenant acme until"), "{told}");
    assert!(!told.contains("wharf_"), "a token on a screen: {told}");

    // It is kept for its owner alone.
    let kept = host.folder().join(".config/wharf/profile.toml");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&kept).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&kept).unwrap();
    let token = text.split('"').find(|part| part.starts_with("wharf_")).unwrap().to_owned();

    // In the role, and no further.
    assert_eq!(types(&host, &["get", "connection"]).await.0, 0);
    for beyond in
        [&["token", "list"][..], &["tenant", "list"], &["secret", "set", "x", "--value-file", "wharf.toml"]]
    {
        let (exit, told) = types(&host, beyond).await;
        assert_eq!(exit, 3, "{told}");
    }
    let listed = host.operate(Method::GET, "/tokens", "").await.expect(200).json();
    let ada = listed.as_array().unwrap().iter().find(|it| it["note"] == "ada@corp.example").unwrap();
    assert_eq!((&ada["subject"], &ada["role"]), (&json!("oidc:corp:ada-1"), &json!("developer")));
    assert!(ada["expires-at"].is_string() && !listed.to_string().contains(&token), "{listed}");
    let audit = host.operate(Method::GET, "/audit?tenant=acme", "").await.expect(200).text;
    assert!(audit.contains("\"operation\":\"login\"") && audit.contains("oidc:corp:ada-1"), "{audit}");

    // Her group changes: the next login has the new role.
    issuer.says("groups", json!(["auditors"]));
    let typing = Typing::login(&host, &["--issuer", "corp", "--tenant", "acme"]).await;
    Browser::new().get(Browser::new().logs_in(&typing.page).await.as_str()).await.expect(200);
    let (exit, told) = typing.ends().await;
    assert!(exit == 0 && told.contains("viewer in tenant acme"), "{told}");

    let (exit, told) = types(&host, &["logout"]).await;
    assert!(exit == 0 && told.contains("logged out"), "{told}");
    assert!(!std::fs::read_to_string(&kept).unwrap().contains("token"));
    // The first login's token is another one: it is good until somebody ends it.
    let ask = async |method: Method, path: &str| {
        host.ask(host.request(method, &format!("/api/v1{path}")).bearer_auth(&token)).await
    };
    ask(Method::GET, "/whoami").await.expect(200);
    host.operate(Method::DELETE, &format!("/tokens/{}", ada["id"].as_str().unwrap()), "").await.expect(200);
    ask(Method::GET, "/whoami").await.expect(401);
    ask(Method::POST, "/logout").await.expect(401);
    let own = host.operate(Method::POST, "/logout", "").await.expect(409);
    assert_eq!(own.code(), "no-login");
    assert!(!host.log().contains(&token) && !host.log().contains(LOGIN_CLIENT_SECRET));
}

#[tokio::test]
async fn an_id_token_that_is_wrong_in_any_way_lets_nobody_in() {
    let (host, issuer) = ready().await;
    for (wrong, want) in [
        (Wrong::Nonce, "nonce"),
        (Wrong::NoNonce, "nonce"),
        (Wrong::Audience, "must contain"),
        (Wrong::Audiences, "not a trusted audience"),
        (Wrong::Party, "azp"),
        (Wrong::Issuer, "127.0.0.1:1"),
        (Wrong::Expired, "expired"),
        (Wrong::Old, "not during this login"),
        (Wrong::Early, "not during this login"),
        (Wrong::Unsigned, "ignature"),
        (Wrong::BySecret, "`HS256` is not one of"),
        (Wrong::ByPublicKey, "`HS256` is not one of"),
        (Wrong::ByAnother, "ignature"),
        (Wrong::ByUnknown, "No matching key"),
        (Wrong::Changed, "ignature"),
        (Wrong::Type, "JWT type"),
    ] {
        issuer.errs(Some(wrong));
        let why = refused(&host).await;
        assert!(why.contains("proves nothing") && why.contains(want), "{wrong:?}: {why}");
    }
    issuer.is(Mood::NoToken);
    assert!(refused(&host).await.contains("no ID token"));
    issuer.is(Mood::Well);
    issuer.errs(None);
    let audit = host.operate(Method::GET, "/audit", "").await.expect(200).text;
    assert!(
        audit.contains("\"operation\":\"login\"") && audit.contains("\"outcome\":\"refused\""),
        "{audit}"
    );

    // Twenty that proved nothing, and their address waits like one of twenty wrong tokens.
    let mut last = exchange(&host, "no-such-code", VERIFIER).await.expect(400);
    for _ in 0..40 {
        last = exchange(&host, "no-such-code", VERIFIER).await;
    }
    assert!(last.expect(429).headers.contains_key("retry-after"));
    Browser::new().get(&begin(&host, "")).await.expect(429);
}

#[tokio::test]
async fn a_login_is_one_browsers_and_one_clients_and_is_used_once() {
    let (host, _issuer) = ready().await;
    // An attacker's login, which somebody is made to end: another browser.
    let callback = Browser::new().callback_of(&begin(&host, "")).await;
    let page = Browser::new().get(&callback).await.expect(403);
    assert!(page.text.contains("begun in another browser"), "{}", page.text);
    let mut other = Browser::new();
    other.callback_of(&begin(&host, "")).await;
    let callback = Browser::new().callback_of(&begin(&host, "")).await;
    other.get(&callback).await.expect(403);

    // A state is used once, also by its own browser, and not by one that made it up.
    let mut ada = Browser::new();
    let callback = ada.callback_of(&begin(&host, "")).await;
    let cookie = ada.cookie.clone();
    let back = next(&ada.get(&callback).await);
    ada.cookie = cookie;
    let again = ada.get(&callback).await.expect(400);
    assert!(again.text.contains("taken up already") && again.headers["cache-control"] == "no-store");
    let made_up = host.url("/login/callback/corp?state=made-up&code=x");
    ada.get(&made_up).await.expect(400);

    // Who reads the address in the browser's history has nothing without the verifier; the code is spent.
    let code = field(&back, "code").unwrap();
    for verifier in ["", "another-verifier-another-verifier-another-veri", CHALLENGE] {
        let callback = ada.callback_of(&begin(&host, "")).await;
        let code = field(&next(&ada.get(&callback).await), "code").unwrap();
        assert_eq!(exchange(&host, &code, verifier).await.expect(400).code(), "bad-code");
        exchange(&host, &code, VERIFIER).await.expect(400);
    }
    let given = exchange(&host, &code, VERIFIER).await.expect(201);
    assert_eq!(given.headers["cache-control"], "no-store");
    assert!(given.json()["token"].as_str().unwrap().starts_with("wharf_"));
    exchange(&host, &code, VERIFIER).await.expect(400);

    // One issuer's answer at another's address, and one that names another.
    let callback = ada.callback_of(&begin(&host, "")).await;
    let back = next(&ada.get(&callback.replace("/corp?", "/other?")).await);
    assert!(field(&back, "error_description").unwrap().contains("another issuer"), "{back}");
    let callback = ada.callback_of(&begin(&host, "")).await;
    let back = next(&ada.get(&format!("{callback}&iss=https%3A%2F%2Fid.example.com")).await);
    assert!(field(&back, "error_description").unwrap().contains("another issuer"), "{back}");
}

#[tokio::test]
async fn a_code_goes_to_the_client_alone_and_a_client_takes_only_its_own() {
    let (host, _issuer) = ready().await;
    let mut browser = Browser::new();
    for elsewhere in
        ["https://evil.example/", "http://10.0.0.1/", "javascript:alert(1)", &host.url("/hooks/acme/x")]
    {
        let url = format!("/login?challenge={CHALLENGE}&redirect={elsewhere}&state=s");
        let page = browser.get(&host.url(&url)).await.expect(400);
        assert!(page.text.contains("Nobody can log in by this link"), "{}", page.text);
    }
    for missing in [
        "/login",
        "/login?redirect=http://127.0.0.1:9/&state=s",
        "/login?challenge=x&redirect=http://127.0.0.1:9/&state=s",
    ] {
        browser.get(&host.url(missing)).await.expect(400);
    }
    let unknown = next(&browser.get(&begin(&host, "&issuer=crop")).await);
    assert!(field(&unknown, "error_description").unwrap().contains("there are corp"), "{unknown}");

    // Somebody else's code at the CLI's door: it goes on waiting for its own.
    let typing = Typing::login(&host, &[]).await;
    let door = field(&typing.page.parse().unwrap(), "redirect").unwrap();
    let theirs = field(&Browser::new().logs_in(&begin(&host, "")).await, "code").unwrap();
    for query in [format!("?code={theirs}&state=theirs"), format!("?code={theirs}"), "?error=x".to_owned()] {
        browser.get(&format!("{door}{query}")).await.expect(404);
    }
    let back = Browser::new().logs_in(&typing.page).await;
    browser.get(back.as_str()).await.expect(200);
    assert_eq!(typing.ends().await.0, 0);
}

#[tokio::test]
async fn who_has_no_role_or_no_verified_name_is_told_what_to_do() {
    let (host, issuer) = ready().await;
    issuer.says("groups", json!(["strangers"]));
    let typing = Typing::login(&host, &[]).await;
    let back = Browser::new().logs_in(&typing.page).await;
    let page = Browser::new().get(back.as_str()).await.expect(403);
    for want in ["ada@corp.example", "oidc:corp:ada-1", "ask whoever runs this host", "no role"] {
        assert!(page.text.contains(want), "`{want}` in {}", page.text);
    }
    let (exit, told) = typing.ends().await;
    assert!(
        exit == 3 && told.contains("not logged in") && told.contains("ask whoever runs this host"),
        "{told}"
    );
    assert!(!host.folder().join(".config/wharf/profile.toml").exists(), "nothing is kept");
    let audit = host.operate(Method::GET, "/audit", "").await.expect(200).text;
    assert!(audit.contains("oidc:corp:ada-1") && audit.contains("no role"), "{audit}");

    issuer.says("groups", json!(["staff"]));
    let back = Browser::new().logs_in(&begin(&host, "&tenant=globex")).await;
    assert!(field(&back, "error_description").unwrap().contains("in tenant `globex`"), "{back}");
    for (claim, value, want) in [
        ("email_verified", json!(false), "has not verified your email"),
        ("email_verified", Value::Null, "has not verified your email"),
        ("email", Value::Null, "does not say what you are called"),
    ] {
        issuer.says(claim, value);
        let why = refused(&host).await;
        assert!(why.contains(want), "{why}");
    }
}

#[tokio::test]
async fn an_issuer_that_is_down_endless_or_elsewhere_is_told_of_and_keys_change() {
    for (mood, want) in [
        (Mood::Down, "503"),
        (Mood::Endless, "262144 bytes"),
        (Mood::Elsewhere, "no redirect is followed"),
        (Mood::Impostor, "unexpected issuer"),
    ] {
        let (host, issuer) = ready().await;
        issuer.is(mood);
        let back = next(&Browser::new().get(&begin(&host, "")).await);
        let why = field(&back, "error_description").unwrap();
        assert!(why.contains("the issuer `corp` cannot be asked") && why.contains(want), "{mood:?}: {why}");
        issuer.is(Mood::Well);
    }
    // After the login has begun.
    let (host, issuer) = ready().await;
    for (mood, want) in [(Mood::Endless, "262144 bytes"), (Mood::Elsewhere, "no redirect is followed")] {
        let mut browser = Browser::new();
        let callback = browser.callback_of(&begin(&host, "")).await;
        issuer.is(mood);
        let back = next(&browser.get(&callback).await);
        issuer.is(Mood::Well);
        let why = field(&back, "error_description").unwrap();
        assert!(why.contains("cannot be asked") && why.contains(want), "{mood:?}: {why}");
    }
    drop(host);

    // A key that the host has not seen is asked for; a key that nobody has is not asked for again and again.
    let (host, issuer) = ready().await;
    let logs_in = async || field(&Browser::new().logs_in(&begin(&host, "")).await, "code");
    assert!(logs_in().await.is_some());
    issuer.rotates();
    assert!(logs_in().await.is_some());
    assert_eq!(issuer.key_requests(), 2);
    issuer.errs(Some(Wrong::ByUnknown));
    for _ in 0..15 {
        refused(&host).await;
    }
    assert!(issuer.key_requests() < 15, "{} requests", issuer.key_requests());
}

#[tokio::test]
async fn without_an_issuer_or_without_an_opening_nobody_logs_in() {
    let host = Host::start().await;
    let listed = host.ask(host.request(Method::GET, "/login/issuers")).await.expect(200).json();
    assert_eq!(listed, json!({ "login": host.url("/login"), "issuers": [] }));
    let back = next(&Browser::new().get(&begin(&host, "")).await);
    assert!(field(&back, "error_description").unwrap().contains("no [[oidc]]"), "{back}");

    let issuer = LoginIssuer::start().await.unwrap();
    let config = format!(
        "[[oidc]]\nname = \"corp\"\nissuer = \"{}\"\nclient-id = \"x\"\nrules = [{{ value = \"a\", role = \"operator\" }}]\n",
        issuer.url()
    );
    let host = HostBuilder::default().config(&config).start().await;
    let back = next(&Browser::new().get(&begin(&host, "")).await);
    let why = field(&back, "error_description").unwrap();
    assert!(why.contains("the operator opens it with `open = ["), "{why}");
}
