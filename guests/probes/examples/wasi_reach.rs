//! A web server that tries everything that `std` on WASI offers beyond HTTP,
//! and answers with what it got. Built for `wasm32-wasip2`, it drags in the
//! imports that a language's runtime does; elsewhere `std` answers itself.

#![allow(clippy::print_stdout, clippy::print_stderr)] // standard output is a part of what it tries

use std::net::{TcpStream, ToSocketAddrs};

fn reach() -> String {
    let address = "127.0.0.1:22";
    let line = |what: &str, got: String| format!("{what}: {got}\n");
    [
        line("environment", format!("{:?}", std::env::vars().collect::<Vec<_>>())),
        line("arguments", format!("{:?}", std::env::args().collect::<Vec<_>>())),
        line("folder", format!("{:?}", std::fs::read_dir("/").map(Iterator::count))),
        line("file", format!("{:?}", std::fs::read_to_string("/etc/passwd"))),
        line("write", format!("{:?}", std::fs::write("/tmp/probe", "here"))),
        line("connect", format!("{:?}", TcpStream::connect(address))),
        line("resolve", format!("{:?}", "localhost:80".to_socket_addrs().map(Iterator::count))),
    ]
    .concat()
}

probes::proxy! {
    name: "wasi-reach",
    handle: |_, out| {
        println!("to standard output");
        eprintln!("to standard error");
        probes::proxy::say(out, &reach());
    },
}
