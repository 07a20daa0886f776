//! Connections: accepted within a cap, each served on one core, read within
//! time limits, drained at the end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::alarm::Alarm;
use crate::cores::{Cores, Stay};
use crate::front::{Caller, Front, Stages};
use crate::stall::Stalling;
use crate::tls::Tls;
use crate::unread::Watched;

/// The most bytes of a request's head, and of a piece of a body. hyper's own
/// default would let each connection hold 400 KB.
const BUFFER: usize = 64 << 10;
/// After an accept that failed: most likely there are no file descriptors
/// left, and only a connection's end brings one back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How much of a refused body is read into nothing, so that its sender comes
/// to read the answer: some more than the largest upload may have left.
const LINGER_BYTES: u64 = 16 << 20;
/// How long that may take; a place among the connections is held meanwhile.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// What all connections of one listener together may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Connections at once. More wait in the kernel's queue.
    pub connections: NonZeroUsize,
    /// Of these, how many may be shaking hands, where there is TLS.
    pub handshakes: NonZeroUsize,
    /// How long a handshake may take.
    pub handshake_time: Duration,
    /// How long a request's head may take, and how long a connection may idle before it.
    pub head_time: Duration,
    /// How long a caller may take nothing of what it is sent.
    pub stall_time: Duration,
    /// How long requests under way may take once the host is told to stop.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // At 64 KiB of buffer each, 128 MiB at worst.
            connections: NonZeroUsize::MIN.saturating_add(2_047),
            // Senders that never finish leave most places to those that have.
            handshakes: NonZeroUsize::MIN.saturating_add(255),
            handshake_time: Duration::from_secs(10), // two round trips to anywhere, and a lost packet
            head_time: Duration::from_secs(30),
            stall_time: Duration::from_secs(30),
            grace: Duration::from_secs(30),
        }
    }
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request that had begun was answered.
    Clean,
    /// The grace was over; connections were cut.
    TimedOut,
}

/// Where connections come in.
#[derive(Debug)]
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// Over TLS, or else in the clear.
    pub tls: Option<Arc<Tls>>,
}

/// What a connection holds while it lasts, and while it shakes hands.
struct Place {
    connection: OwnedSemaphorePermit,
    handshake: Option<OwnedSemaphorePermit>,
}

/// How a connection is told to end.
struct End {
    /// After the request that it is at.
    stop: CancellationToken,
    /// At once. Comes after `stop`, never before.
    cut: CancellationToken,
}

/// Serves connections on `cores` until `stop`, then lets requests under way end.
pub async fn serve<S: Stages>(
    listener: Listener,
    cores: Arc<Cores>,
    front: Arc<Front<S>>,
    settings: Settings,
    stop: CancellationToken,
) -> Drained {
    let Listener { socket, tls } = listener;
    let places = |count: NonZeroUsize| Arc::new(Semaphore::new(count.get().min(Semaphore::MAX_PERMITS)));
    let (places, handshakes) = (places(settings.connections), places(settings.handshakes));
    let handshakes = tls.is_some().then_some(handshakes);
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&socket, &places, handshakes.as_ref()) => accepted,
        };
        let Some((stream, place)) = accepted else { continue };
        let Some((stream, stay)) = moved(stream, &cores) else { continue };
        // Children: every look at a token takes its lock, which connections should not share.
        let end = End { stop: stop.child_token(), cut: cut.child_token() };
        let (tls, front) = (tls.clone(), Arc::clone(&front));
        let runtime = stay.runtime().clone();
        let served = async move {
            let (Place { connection: _held, handshake }, _stay) = (place, stay);
            let Ok(stream) = TcpStream::from_std(stream) else { return }; // no memory for it in the kernel
            match tls {
                None => {
                    let caller = Caller { address: address(&stream), certificates: None };
                    connection(stream, caller, front, settings, end).await;
                }
                Some(tls) => {
                    let shaken = shake(stream, &tls, settings.handshake_time);
                    let shaken = Box::pin(end.stop.run_until_cancelled(shaken)).await;
                    drop(handshake);
                    if let Some(Some((stream, caller))) = shaken {
                        Box::pin(connection(stream, caller, front, settings, end)).await;
                    }
                }
            }
        };
        connections.spawn_on(served, &runtime);
    }
    drop(socket); // from now on connections are refused, not left waiting
    connections.close();
    if tokio::time::timeout(settings.grace, connections.wait()).await.is_ok() {
        return Drained::Clean;
    }
    tracing::warn!(connections = connections.len(), "cut connections: the grace for requests is over");
    cut.cancel();
    connections.wait().await;
    Drained::TimedOut
}

async fn accept(
    socket: &TcpListener,
    places: &Arc<Semaphore>,
    handshakes: Option<&Arc<Semaphore>>,
) -> Option<(TcpStream, Place)> {
    // Never closed, so always `Ok`.
    let connection = Arc::clone(places).acquire_owned().await.ok()?;
    let handshake = match handshakes {
        Some(handshakes) => Some(Arc::clone(handshakes).acquire_owned().await.ok()?),
        None => None,
    };
    match socket.accept().await {
        // Answers are small and whole; waiting to fill a packet only delays them.
        Ok((stream, _)) if stream.set_nodelay(true).is_err() => None, // already gone
        Ok((stream, _)) => Some((stream, Place { connection, handshake })),
        Err(error) if is_callers(&error) => None,
        Err(error) => {
            tracing::error!(cause = %error, "cannot accept connections; trying again");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Takes a connection off the runtime that it was accepted on. `None` if it is gone already.
fn moved(stream: TcpStream, cores: &Cores) -> Option<(std::net::TcpStream, Stay)> {
    Some((stream.into_std().ok()?, cores.stay()?))
}

/// Who speaks TLS, within the time for it.
async fn shake(stream: TcpStream, tls: &Tls, time: Duration) -> Option<(TlsStream<TcpStream>, Caller)> {
    let address = address(&stream);
    match tokio::time::timeout(time, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => {
            let certificates = stream.get_ref().1.peer_certificates().map(Arc::from);
            Some((stream, Caller { address, certificates }))
        }
        Ok(Err(error)) => {
            tracing::debug!(cause = %error, "a handshake failed");
            None
        }
        Err(_) => None,
    }
}

fn address(stream: &TcpStream) -> Option<IpAddr> {
    stream.peer_addr().ok().map(|peer| peer.ip())
}

/// The caller went away before it was accepted.
fn is_callers(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::ConnectionRefused | K::Interrupted)
}

async fn connection<S: Stages>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    caller: Caller,
    front: Arc<Front<S>>,
    settings: Settings,
    end: End,
) {
    let alarm = Alarm::default();
    let timer = alarm.clone();
    // Boxed, so that the connection can be taken apart at its end.
    let service = service_fn(move |request: Request<Incoming>| {
        let (request, unread) = Watched::request(request);
        let (front, alarm, caller) = (Arc::clone(&front), alarm.clone(), caller.clone());
        Box::pin(async move {
            Ok::<_, Infallible>(unread.close_after(front.answer(request, caller, &alarm).await))
        })
    });
    let stream = TokioIo::new(Stalling::new(stream, settings.stall_time));
    let mut connection = http1::Builder::new()
        .timer(timer)
        .header_read_timeout(settings.head_time)
        .max_buf_size(BUFFER)
        .serve_connection(stream, service);
    // Told to stop first, so that the answer that is due says that it is the last one.
    let served = tokio::select! {
        biased;
        () = end.stop.cancelled() => {
            std::pin::Pin::new(&mut connection).graceful_shutdown();
            let rest = poll_fn(|context| connection.poll_without_shutdown(context));
            match end.cut.run_until_cancelled(rest).await {
                Some(served) => served,
                None => return,
            }
        }
        served = poll_fn(|context| connection.poll_without_shutdown(context)) => served,
    };
    match served {
        Ok(()) => {
            // A host that stops waits for no one's rest.
            end.stop.run_until_cancelled(linger(connection.into_parts().io.into_inner())).await;
        }
        Err(error) => tracing::debug!(cause = %error, "a connection broke off"),
    }
}

/// Ends a connection. A caller may still be sending what was refused already,
/// and closing a socket with unread bytes throws away the answer that says so:
/// so the rest is read into nothing, for a while.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    if stream.shutdown().await.is_err() {
        return; // already gone
    }
    let mut rest = stream.take(LINGER_BYTES);
    let mut sink = tokio::io::sink();
    // However it ends, the connection is over.
    let _ = tokio::time::timeout(LINGER_TIME, tokio::io::copy(&mut rest, &mut sink)).await;
}
