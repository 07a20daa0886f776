//! A mail server's wire: dialled through the gate, and over TLS before
//! anything that matters is said.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use host_model::grants::{Origin, Scheme};
use http::Uri;
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::MailError;
use crate::client::Way;

/// The most bytes that a server may say in one session: a hundred times what
/// one says who takes a message, recipient by recipient.
const MAX_SAID: usize = 64 << 10;
/// The most bytes of one answer before TLS.
const MAX_REPLY: usize = 4 << 10;
/// What the library is greeted with when the server's own greeting was before TLS.
const GREETING: &[u8] = b"220 ready\r\n";

/// Dials a server, and speaks TLS with it unless it is on loopback and offers none.
pub(super) async fn connect(way: &Way, origin: &Origin) -> Result<AsyncSmtpConnection, MailError> {
    let host = if origin.host.contains(':') { format!("[{}]", origin.host) } else { origin.host.clone() };
    let broke =
        |error: &dyn std::fmt::Display| MailError::ConnectionFailed(format!("`{}`: {error}", origin.host));
    let uri: Uri = format!("http://{host}:{}/", origin.port).parse().map_err(|error| broke(&error))?;
    let mut socket = way.dialer.clone().dial(uri).await?.into_inner(); // the second gate
    let peer = socket.peer_addr().map_err(|error| broke(&error))?;
    let (stream, said) = if origin.scheme == Scheme::Smtps {
        (Stream::Tls(Box::new(handshake(way, origin, socket).await?)), &b""[..])
    } else if offers_tls(&mut socket).await.map_err(|error| broke(&error))? {
        (Stream::Tls(Box::new(handshake(way, origin, socket).await?)), GREETING)
    } else if peer.ip().is_loopback() {
        (Stream::Plain(socket), GREETING)
    } else {
        return Err(broke(&"offers no STARTTLS, and nothing goes out in the clear"));
    };
    let wire = Wire { stream, said, left: MAX_SAID, peer };
    let greeted = AsyncSmtpConnection::connect_with_transport(Box::new(wire), &ClientId::default()).await;
    greeted.map_err(|error| broke(&error))
}

async fn handshake(way: &Way, origin: &Origin, socket: TcpStream) -> Result<TlsStream<TcpStream>, MailError> {
    let failed = |why: String| MailError::ConnectionFailed(format!("no TLS with `{}`: {why}", origin.host));
    let name = ServerName::try_from(origin.host.clone()).map_err(|error| failed(error.to_string()))?;
    let connector = TlsConnector::from(Arc::clone(&way.tls));
    connector.connect(name, socket).await.map_err(|error| failed(error.to_string()))
}

/// Greets in the clear, and asks for TLS if there is any. What comes after the
/// server's yes is TLS or nothing: no byte more is read here.
async fn offers_tls(socket: &mut TcpStream) -> io::Result<bool> {
    reply(socket, b"2").await?;
    socket.write_all(format!("EHLO {}\r\n", ClientId::default()).as_bytes()).await?;
    let offers = reply(socket, b"250").await?;
    let offers = offers.to_ascii_uppercase();
    if !offers.lines().any(|line| line.get(4..).is_some_and(|word| word.trim() == "STARTTLS")) {
        return Ok(false);
    }
    socket.write_all(b"STARTTLS\r\n").await?;
    reply(socket, b"220").await?;
    Ok(true)
}

/// One answer, which begins with this, byte by byte up to its end.
async fn reply(socket: &mut TcpStream, want: &[u8]) -> io::Result<String> {
    let (mut said, mut line) = (String::new(), Vec::new());
    loop {
        line.push(socket.read_u8().await?);
        if said.len() + line.len() > MAX_REPLY {
            return Err(io::Error::other("it says too much"));
        }
        if line.ends_with(b"\n") {
            if !line.starts_with(want) {
                let line = String::from_utf8_lossy(&line).trim().escape_debug().to_string();
                return Err(io::Error::other(format!("it said `{line}`")));
            }
            let last = line.get(3) != Some(&b'-');
            said.push_str(&String::from_utf8_lossy(&line));
            line.clear();
            if last {
                return Ok(said);
            }
        }
    }
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A stream with a greeting before it and an end to what may be said on it.
#[derive(Debug)]
struct Wire {
    stream: Stream,
    said: &'static [u8],
    left: usize,
    peer: SocketAddr,
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some((now, later)) = self.said.split_at_checked(buffer.remaining().min(self.said.len()))
            && !now.is_empty()
        {
            buffer.put_slice(now);
            self.said = later;
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let polled = match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        match self.left.checked_sub(buffer.filled().len().saturating_sub(before)) {
            Some(left) => self.left = left,
            None => return Poll::Ready(Err(io::Error::other("the server says too much"))),
        }
        polled
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
