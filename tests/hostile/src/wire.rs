//! HTTP by hand, for what no client library would send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A piece of a chunked body: 64 KiB.
const PIECE: usize = 64 << 10;
/// What is sent before we say that nobody stopped us: 64 MiB.
const PIECES: usize = 1_024;
/// How long anything here may take before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends a body that never ends. Gives what the host said before it cut us off,
/// and how many bytes of the body it let us write.
pub(crate) async fn pour(host: SocketAddr, path: &str, headers: &str) -> (String, usize) {
    tokio::time::timeout(PATIENCE, poured(host, path, headers)).await.expect("the host ends it")
}

async fn poured(host: SocketAddr, path: &str, headers: &str) -> (String, usize) {
    let stream = TcpStream::connect(host).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let head = format!("POST {path} HTTP/1.1\r\nhost: wharf\r\ntransfer-encoding: chunked\r\n{headers}\r\n");
    to.write_all(head.as_bytes()).await.unwrap();
    let writing = async {
        let mut piece = format!("{PIECE:x}\r\n").into_bytes();
        piece.extend([b'x'; PIECE]);
        piece.extend(b"\r\n");
        for sent in 0..PIECES {
            if to.write_all(&piece).await.is_err() {
                return sent * PIECE;
            }
        }
        panic!("the host took {} MiB of a body without an end", (PIECES * PIECE) >> 20);
    };
    let reading = async {
        let mut said = Vec::new();
        // The host closes with our bytes unread, which may look like a reset.
        while let Ok(1..) = from.read_buf(&mut said).await {}
        String::from_utf8_lossy(&said).into_owned()
    };
    let (sent, said) = tokio::join!(writing, reading);
    (said, sent)
}

/// Sends exactly these bytes, closes its side and gives all that comes back.
pub(crate) async fn say(host: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    all_of(stream).await
}

/// Sends a request and gives its answer, as far as its length says.
pub(crate) async fn ask(host: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let whole = |said: &[u8]| {
        let text = String::from_utf8_lossy(said);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let mut lengths = head.lines().filter_map(|line| line.strip_prefix("content-length: "));
        lengths.next().is_some_and(|length| length.parse().is_ok_and(|length: usize| body.len() >= length))
    };
    let read = async { while !whole(&said) && matches!(stream.read_buf(&mut said).await, Ok(1..)) {} };
    tokio::time::timeout(PATIENCE, read).await.expect("the host answers or closes");
    String::from_utf8_lossy(&said).into_owned()
}

async fn all_of(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    let read = async { while let Ok(1..) = stream.read_buf(&mut said).await {} };
    tokio::time::timeout(PATIENCE, read).await.expect("the host answers or closes");
    String::from_utf8_lossy(&said).into_owned()
}
