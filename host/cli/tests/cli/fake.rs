//! A server of canned answers that remembers what it was asked, and a
//! `wharf` to ask it with.

use std::io::{Cursor, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use clap::Parser;
use host_cli::{Command, Exit, Globals, Terminal};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `GET /api/v1/whoami`.
    pub(crate) line: String,
    /// The headers.
    pub(crate) headers: axum::http::HeaderMap,
    /// The raw body.
    pub(crate) body: String,
}

impl Asked {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

type Canned = Vec<(&'static str, u16, Value)>;

/// In a canned body: the `Link` header of the answer, beside `items`.
const LINK: &str = "link";

/// The server; down when dropped.
pub(crate) struct Fake {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _stop: DropGuard,
}

/// What a command did.
pub(crate) struct Told {
    /// How it ended.
    pub(crate) exit: Exit,
    /// Its standard output.
    pub(crate) out: String,
    /// Its error stream.
    pub(crate) err: String,
}

#[derive(Parser)]
struct Wharf {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

impl Fake {
    /// Answers these request lines and nothing else.
    pub(crate) async fn answering(canned: Canned) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::default();
        let routes = Router::new().fallback(answer).with_state((Arc::clone(&asked), Arc::new(canned)));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        TaskTracker::new()
            .spawn(async move { axum::serve(listener, routes).with_graceful_shutdown(stopped).await });
        Self { address, asked, _stop: stop.drop_guard() }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked, oldest first.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The request lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    /// `wharf` with the server and a token, and these arguments.
    pub(crate) async fn wharf(&self, arguments: &[&str]) -> Told {
        self.wharf_reading("", arguments).await
    }

    /// The same, with something on the standard input.
    pub(crate) async fn wharf_reading(&self, input: &str, arguments: &[&str]) -> Told {
        self.run(input, arguments, |terminal| terminal).await
    }

    /// The same, with somebody who types this when asked.
    pub(crate) async fn wharf_asking(&self, typed: &str, arguments: &[&str]) -> Told {
        self.run(typed, arguments, Terminal::with_somebody).await
    }

    async fn run(&self, input: &str, arguments: &[&str], with: impl FnOnce(Terminal) -> Terminal) -> Told {
        let server = format!("http://{}", self.address);
        let globals = ["wharf", "--server", &server, "--token", "wharf_test", "--home", "/nonexistent"];
        run(input, &[&globals[..], arguments].concat(), with).await
    }
}

/// `wharf`, with all its arguments.
pub(crate) async fn wharf(input: &str, arguments: &[&str]) -> Told {
    run(input, arguments, |terminal| terminal).await
}

async fn run(input: &str, arguments: &[&str], with: impl FnOnce(Terminal) -> Terminal) -> Told {
    let Wharf { globals, command } = Wharf::try_parse_from(arguments).unwrap();
    let (out, err) = (Sink::default(), Sink::default());
    let mut terminal = with(Terminal::new(out.clone(), err.clone(), Cursor::new(input.to_owned())));
    let exit = host_cli::execute(command, globals, &mut terminal).await;
    Told { exit, out: out.text(), err: err.text() }
}

/// What clap says to arguments that it refuses.
pub(crate) fn refused(arguments: &[&str]) -> String {
    Wharf::try_parse_from([&["wharf"], arguments].concat()).err().unwrap().to_string()
}

type Memory = (Arc<Mutex<Vec<Asked>>>, Arc<Canned>);

async fn answer(State((asked, canned)): State<Memory>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
    let line = format!("{} {}", parts.method, parts.uri);
    asked.lock().unwrap().push(Asked { line: line.clone(), headers: parts.headers, body });
    match canned.iter().find(|(known, ..)| *known == line) {
        Some((_, status, Value::Null)) => answer_with(*status, String::new()),
        Some((_, status, body)) => match body.get(LINK).and_then(Value::as_str) {
            None => answer_with(*status, body.to_string()),
            Some(link) => {
                let mut response = answer_with(*status, body["items"].to_string());
                response.headers_mut().insert("link", link.parse().unwrap());
                response
            }
        },
        None => answer_with(
            500,
            format!("{{\"status\":500,\"code\":\"fake\",\"detail\":\"not canned: {line}\"}}"),
        ),
    }
}

fn answer_with(status: u16, body: String) -> Response {
    let mut response = Body::from(body).into_response();
    *response.status_mut() = status.try_into().unwrap();
    response.headers_mut().insert("retry-after", 7.into());
    response
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
