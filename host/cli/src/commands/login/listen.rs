//! Where the browser brings the code: one page on loopback, for one answer.
//!
//! Whatever comes without this login's state is answered and forgotten: any
//! page that the browser shows can send requests here.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use url::form_urlencoded;

use super::LoginError;

/// How long somebody has: as long as the server remembers the login.
const TIME: Duration = Duration::from_secs(600);
/// How long a connection may take to ask: browsers open some that never do.
const ASKING: Duration = Duration::from_secs(10);
/// The most connections at once: a browser opens six.
const MOST: usize = 32;
/// The most bytes of a refusal that are shown.
const MAX_WHY: usize = 1_000;

/// What the browser brought: a code, or why there is none.
type Answer = Result<String, String>;

/// Waits for the browser.
pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// On a free port of loopback.
    pub(super) async fn bind() -> io::Result<Self> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// Where the browser is to come back to.
    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The code of the login that was begun with this state.
    pub(super) async fn code(self, state: &str) -> Result<String, LoginError> {
        let (told, mut answers) = mpsc::channel::<Answer>(1);
        let (tasks, state) = (TaskTracker::new(), Arc::<str>::from(state));
        let waiting = async {
            loop {
                tokio::select! {
                    Some(answer) = answers.recv() => return answer.map_err(LoginError::Refused),
                    accepted = self.socket.accept(), if tasks.len() < MOST => {
                        let (stream, _) = accepted.map_err(LoginError::Listen)?;
                        tasks.spawn(serve(stream, Arc::clone(&state), told.clone()));
                    }
                    () = tokio::time::sleep(ASKING), if tasks.len() >= MOST => {}
                }
            }
        };
        tokio::time::timeout(TIME, waiting).await.unwrap_or(Err(LoginError::Late))
    }
}

/// Answers one connection; what it brought is told once the page is sent.
async fn serve(stream: TcpStream, state: Arc<str>, told: mpsc::Sender<Answer>) {
    let brought = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let answer = read(request.uri().path(), request.uri().query().unwrap_or_default(), &state);
        let response = page(answer.as_ref());
        if answer.is_some() {
            *brought.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        }
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ASKING)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A browser that goes away before it has the page has brought its answer all the same.
    let _ = connection.await;
    let answer = brought.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(answer) = answer {
        let _ = told.send(answer).await;
    }
}

/// The answer of the login with this state, if that is what was brought.
fn read(path: &str, query: &str, state: &str) -> Option<Answer> {
    let field = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    if path != "/" || field("state").as_deref() != Some(state) {
        return None;
    }
    match (field("code"), field("error")) {
        (Some(code), None) => Some(Ok(code)),
        (_, error) => {
            let why = field("error_description").or(error).unwrap_or_else(|| "no reason is given".to_owned());
            Some(Err(why.chars().take(MAX_WHY).collect()))
        }
    }
}

fn page(answer: Option<&Answer>) -> Response<Full<Bytes>> {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let (status, sentence) = match answer {
        Some(Ok(_)) => (StatusCode::OK, "Go back to the terminal. You can close this page.".to_owned()),
        Some(Err(why)) => (StatusCode::FORBIDDEN, format!("Not logged in: {}.", escape(why))),
        None => (StatusCode::NOT_FOUND, "There is nothing here.".to_owned()),
    };
    let text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Wharf</title><p>{sentence}</p></html>\n"
    );
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().extend([
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        ),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]);
    response
}

#[test]
fn only_this_logins_answer_is_one() {
    assert_eq!(read("/", "code=c&state=s", "s"), Some(Ok("c".to_owned())));
    assert_eq!(read("/", "error=e&error_description=a+b&state=s", "s"), Some(Err("a b".to_owned())));
    assert_eq!(read("/", "code=c&error=e&state=s", "s"), Some(Err("e".to_owned())));
    for (path, query) in [("/", "code=c"), ("/", "code=c&state=t"), ("/x", "code=c&state=s"), ("/", "")] {
        assert_eq!(read(path, query, "s"), None, "{path} {query}");
    }
}
