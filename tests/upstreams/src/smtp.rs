//! A mail server for submission, on loopback and in the clear: takes what
//! comes after a right login, and keeps it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// One message that was taken.
#[derive(Clone, Debug, Default)]
pub struct Letter {
    /// Who sends it, by the envelope.
    pub from: String,
    /// Who gets it, by the envelope.
    pub to: Vec<String>,
    /// Headers and body, as they came.
    pub text: String,
}

/// A mail server, up until this is dropped.
pub struct MailServer {
    /// Where it listens.
    pub address: SocketAddr,
    letters: Arc<Mutex<Vec<Letter>>>,
    _stop: DropGuard,
}

impl MailServer {
    /// Starts one on a free port; only this user and password may send.
    pub async fn start(user: &str, password: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let letters = Arc::<Mutex<Vec<Letter>>>::default();
        let login = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
        let (stop, tasks, kept) = (CancellationToken::new(), TaskTracker::new(), Arc::clone(&letters));
        let serving = async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (login, kept) = (login.clone(), Arc::clone(&kept));
                tasks.spawn(async move { serve(socket, &login, &kept).await.ok() });
            }
        };
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(serving));
        Ok(Self { address, letters, _stop: stop.drop_guard() })
    }

    /// What it has taken so far.
    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(socket: TcpStream, login: &str, kept: &Mutex<Vec<Letter>>) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    socket.write_all(b"220 stand-in\r\n").await?;
    let (mut line, mut letter, mut in_data, mut welcome) = (String::new(), Letter::default(), false, false);
    while socket.read_line(&mut line).await? > 0 {
        let said = std::mem::take(&mut line);
        if in_data && said != ".\r\n" {
            letter.text.push_str(said.strip_prefix('.').unwrap_or(&said));
            continue;
        }
        let address = || said.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let answer = match said.split([' ', ':', '\r']).next().unwrap_or_default() {
            "." => {
                in_data = false;
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut letter));
                "250 taken"
            }
            "EHLO" => "250-stand-in\r\n250-AUTH PLAIN\r\n250 8BITMIME",
            "AUTH" => {
                welcome = said.trim_end() == format!("AUTH PLAIN {login}");
                if welcome { "235 welcome" } else { "535 wrong user or password" }
            }
            "QUIT" => "221 bye",
            _ if !welcome => "530 log in first",
            "MAIL" => {
                letter = Letter { from: address(), ..Letter::default() };
                "250 fine"
            }
            "RCPT" if address().starts_with("nobody@") => "550 no such user",
            "RCPT" => {
                letter.to.push(address());
                "250 fine"
            }
            "DATA" => {
                in_data = true;
                "354 go on"
            }
            _ => "502 what?",
        };
        socket.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}
