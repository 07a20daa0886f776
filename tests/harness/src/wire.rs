//! An outside system that keeps, byte for byte, what came over each socket.
//!
//! It answers 200 to everything; a path that begins with `/hold` waits until
//! [`Wire::release`]. On threads of its own: a test may block its runtime.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which socket, in order of arrival.
    pub socket: usize,
    /// The request line and the headers, line by line.
    pub head: Vec<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Seen {
    /// All values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.iter().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        self.head[0].split(' ').nth(1).unwrap()
    }
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Seen>>,
    released: Mutex<bool>,
    changed: Condvar,
}

/// The system. Its threads end with the test's process.
pub struct Wire {
    address: SocketAddr,
    state: Arc<State>,
}

impl Wire {
    /// Listens on a free port of loopback.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for (socket, stream) in listener.incoming().enumerate() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&shared));
                std::thread::spawn(move || serve(socket, &stream, &state));
            }
        });
        Self { address, state }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its origin.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came so far, oldest first, also what is not answered yet.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Lets go of what is held, now and from now on.
    pub fn release(&self) {
        *self.state.released.lock().unwrap() = true;
        self.state.changed.notify_all();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.release();
    }
}

/// Ends when the caller closes, or with anything that is no request.
fn serve(socket: usize, stream: &TcpStream, state: &State) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            match line.trim_end() {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let mut seen = Seen { socket, head, body: Vec::new() };
        let length = seen.header("content-length").first().map_or(0, |length| length.parse().unwrap());
        seen.body.resize(length, 0);
        if reader.read_exact(&mut seen.body).is_err() {
            return;
        }
        let hold = seen.target().starts_with("/hold");
        state.seen.lock().unwrap().push(seen);
        let mut released = state.released.lock().unwrap();
        while hold && !*released {
            released = state.changed.wait(released).unwrap();
        }
        drop(released);
        let mut answer = stream;
        if answer
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            .is_err()
        {
            return;
        }
    }
}
