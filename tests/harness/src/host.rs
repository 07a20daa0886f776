//! Starting, asking, killing and starting again.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;

use crate::Names;

/// What a host is started with.
#[derive(Default)]
pub struct HostBuilder {
    config: String,
    opened: Vec<String>,
    closed: Vec<String>,
    full_size: bool,
    tls: Option<(String, String)>,
    environment: Vec<(&'static str, PathBuf)>,
}

impl HostBuilder {
    /// Adds text to the host's config file.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        self.config.push_str(text);
        self.config.push('\n');
        self
    }

    /// Gives the sandbox its default sizes instead of those of a small test host.
    #[must_use]
    pub fn full_size(mut self) -> Self {
        self.full_size = true;
        self
    }

    /// Opens one loopback port to guests whose connection grants it.
    #[must_use]
    pub fn open(mut self, address: std::net::SocketAddr) -> Self {
        self.opened.push(format!("\"{}/32:{}\"", address.ip(), address.port()));
        self
    }

    /// Closes a host or a range to everybody.
    #[must_use]
    pub fn close(mut self, what: &str) -> Self {
        self.closed.push(format!("\"{what}\""));
        self
    }

    /// Gives the host a listener with TLS, which shows this.
    #[must_use]
    pub fn tls(mut self, shown: &crate::Identity) -> Self {
        self.tls = Some((shown.certificate_pem(), shown.key_pem()));
        self
    }

    /// Lets its machine say this of names.
    #[must_use]
    pub fn names(mut self, names: &Names) -> Self {
        self.environment = names.environment().into();
        self
    }

    /// Starts the host on a fresh data folder.
    pub async fn start(self) -> Host {
        let data = tempfile::tempdir().unwrap();
        let config = data.path().join("wharf.toml");
        let cache = std::env::temp_dir().join("wharf-test-artefacts"); // compiled once for all tests
        let sizes = if self.full_size { "" } else { "slots = 100\nwarm-slots = 10\n" };
        let tls = self.tls.map_or(String::new(), |shown| {
            let [certificate, key] = tls_files(data.path());
            std::fs::write(&certificate, shown.0).unwrap();
            std::fs::write(&key, shown.1).unwrap();
            format!("[tls]\nlisten = \"127.0.0.1:0\"\ncertificate = {certificate:?}\nkey = {key:?}\n")
        });
        let text = format!(
            "[egress]\nopen = [{}]\nclosed = [{}]\n[sandbox]\n{sizes}artefact-cache = \"{}\"\n{}{tls}",
            self.opened.join(", "),
            self.closed.join(", "),
            cache.display(),
            self.config
        );
        std::fs::write(&config, text).unwrap();
        let process = Process::start(data.path(), &self.environment);
        let operator = process.token.clone().expect("the first start prints the operator's token");
        Host { data, process, operator, environment: self.environment, client: Client::new() }
    }
}

/// Where a host's certificate and its key are.
fn tls_files(folder: &Path) -> [std::path::PathBuf; 2] {
    ["tls.pem", "tls.key"].map(|name| folder.join(name))
}

/// A running host.
pub struct Host {
    data: tempfile::TempDir,
    process: Process,
    operator: String,
    environment: Vec<(&'static str, PathBuf)>,
    client: Client,
}

struct Process {
    child: Child,
    address: String,
    tls_address: String,
    token: Option<String>,
}

impl Process {
    fn start(data: &Path, environment: &[(&str, PathBuf)]) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(data.join("wharf.log")).unwrap();
        let child = Command::new(crate::wharf())
            .args(["up", "--listen", "127.0.0.1:0", "--data"])
            .arg(data.join("data"))
            .arg("--config")
            .arg(data.join("wharf.toml"))
            .envs(environment.iter().map(|(name, value)| (*name, value)))
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        // Dropped, it ends the child, also if the test fails below.
        let mut process = Self { child, address: String::new(), tls_address: String::new(), token: None };
        for line in BufReader::new(process.child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some((_, text)) = line.split_once("operator token: ") {
                process.token = Some(text.trim().to_owned());
            }
            if let Some((_, address)) = line.split_once("listening on https://") {
                address.trim().clone_into(&mut process.tls_address);
            }
            if let Some((_, address)) = line.split_once("listening on http://") {
                address.trim().clone_into(&mut process.address);
                return process;
            }
        }
        let log = std::fs::read_to_string(data.join("wharf.log")).unwrap_or_default();
        panic!("the host did not start:\n{log}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The `code` of a problem.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The answer, if it has this status; otherwise the test fails with it.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }
}

impl Host {
    /// A host with the defaults of the tests.
    pub async fn start() -> Self {
        HostBuilder::default().start().await
    }

    /// Where it is.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.process.address)
    }

    /// Its address, for raw sockets.
    pub fn address(&self) -> std::net::SocketAddr {
        self.process.address.parse().unwrap()
    }

    /// Where it listens for TLS.
    pub fn tls_address(&self) -> std::net::SocketAddr {
        self.process.tls_address.parse().unwrap()
    }

    /// Replaces the files of the certificate that it shows.
    pub fn replace_certificate(&self, certificate: &str, key: &str) {
        let files = tls_files(self.data.path());
        files.iter().zip([certificate, key]).for_each(|(file, text)| std::fs::write(file, text).unwrap());
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// The operator's token.
    pub fn operator(&self) -> &str {
        &self.operator
    }

    /// The folder that holds the host's data, config and log.
    pub fn folder(&self) -> &Path {
        self.data.path()
    }

    /// Everything that the host has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data.path().join("wharf.log")).unwrap()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.child.kill().unwrap();
        self.process.child.wait().unwrap();
    }

    /// Adds text to its config file, for its next start.
    pub fn configure(&self, text: &str) {
        let path = self.data.path().join("wharf.toml");
        let before = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{before}{text}\n")).unwrap();
    }

    /// Starts it again on the same data.
    pub fn restart(&mut self) {
        self.kill();
        self.process = Process::start(self.data.path(), &self.environment);
    }

    /// SIGTERM; gives the exit code. Waits without blocking: the stand-in
    /// systems that the host still talks to live in the test's own runtime.
    pub async fn terminate(&mut self) -> Option<i32> {
        let pid = self.pid().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        loop {
            if let Some(status) = self.process.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A request, to be sent with [`ask`](Self::ask).
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// Sends a request.
    pub async fn ask(&self, request: RequestBuilder) -> Answer {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, text: answer.text().await.unwrap() }
    }

    /// A call of the API by the operator.
    pub async fn operate(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.request(method, &format!("/api/v1{path}")).bearer_auth(&self.operator);
        self.ask(request.header("content-type", "application/json").body(body)).await
    }

    /// The packages that people published; the host brings its own along.
    pub async fn published(&self) -> Vec<String> {
        let listed = self.operate(Method::GET, "/packages", "").await.expect(200).json();
        let names = listed.as_array().unwrap().iter().map(|it| it["package"].as_str().unwrap().to_owned());
        names.filter(|name| !name.starts_with("wharf/")).collect()
    }

    /// Uploads a component; gives the answer, whatever it is.
    pub async fn publish(&self, component: impl AsRef<Path>) -> Answer {
        let path = component.as_ref();
        let bytes = std::fs::read(path)
            .unwrap_or_else(|error| panic!("`make guests` makes {}: {error}", path.display()));
        self.operate(Method::POST, "/packages", bytes).await
    }

    /// A new tenant with a token of its own.
    pub async fn tenant(&self, name: &str) -> Tenant<'_> {
        self.operate(Method::PUT, &format!("/tenants/{name}"), format!("{{\"name\":\"{name}\"}}")).await;
        let answer = self
            .operate(
                Method::POST,
                "/tokens",
                format!("{{\"tenant\":\"{name}\",\"role\":\"admin\",\"note\":\"test\"}}"),
            )
            .await;
        let token = answer.json()["token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
        self.tenant_with(name, &token)
    }

    /// A tenant by a token that it has already.
    pub fn tenant_with(&self, name: &str, token: &str) -> Tenant<'_> {
        Tenant { host: self, name: name.to_owned(), token: token.to_owned() }
    }
}

/// A tenant, as its own token sees the host.
pub struct Tenant<'h> {
    host: &'h Host,
    /// Its name.
    pub name: String,
    /// Its token.
    pub token: String,
}

impl Tenant<'_> {
    /// A call of the API below this tenant.
    pub async fn api(&self, method: Method, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let path = format!("/api/v1/tenants/{}{path}", self.name);
        let request = self.host.request(method, &path).bearer_auth(&self.token);
        self.host.ask(request.header("content-type", "application/json").body(body)).await
    }

    /// Applies YAML; gives the answer, whatever it is.
    pub async fn try_apply(&self, yaml: &str) -> Answer {
        self.try_apply_file("test.yaml", yaml).await
    }

    /// The same with the name that the file has in messages.
    pub async fn try_apply_file(&self, file: &str, yaml: &str) -> Answer {
        let path = format!("/api/v1/apply?tenant={}&file={file}", self.name);
        self.host
            .ask(self.host.request(Method::POST, &path).bearer_auth(&self.token).body(yaml.to_owned()))
            .await
    }

    /// Applies YAML that is right.
    #[track_caller]
    pub fn apply(&self, yaml: &str) -> impl Future<Output = Answer> {
        let yaml = yaml.to_owned();
        async move { self.try_apply(&yaml).await.expect(200) }
    }

    /// Stores a secret.
    pub async fn secret(&self, name: &str, value: &str) {
        let body = serde_json::json!({ "value": value }).to_string();
        let answer = self.api(Method::PUT, &format!("/secrets/{name}"), body).await;
        assert!((200..300).contains(&answer.status), "{answer:?}");
    }

    /// Calls an outbound endpoint.
    pub async fn call(&self, connection: &str, endpoint: &str, input: Value) -> Answer {
        self.api(Method::POST, &format!("/connections/{connection}/call/{endpoint}"), input.to_string()).await
    }

    /// A request to one of its webhooks, to be completed and sent.
    pub fn hook(&self, path: &str) -> RequestBuilder {
        self.host.request(Method::POST, &format!("/hooks/{}/{path}", self.name))
    }

    /// A run and its steps.
    pub async fn run(&self, id: &str) -> Value {
        self.api(Method::GET, &format!("/runs/{id}"), "").await.expect(200).json()
    }

    /// A run and its steps, once it has ended.
    pub async fn ended(&self, id: &str) -> Value {
        let began = Instant::now();
        loop {
            let run = self.run(id).await;
            let status = run["run"]["status"].as_str().unwrap_or_default();
            if !["accepted", "waiting", "paused", "cancelling"].contains(&status) {
                return run;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{id} does not end: {run}\n{}",
                self.host.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
