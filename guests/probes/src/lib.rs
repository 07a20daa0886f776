//! What the probes share: the exports and the manifest around one behaviour.
//!
//! A probe is one file in `examples/`, built as a component of its own; its
//! package is `probe/NAME`. A connector probe has the outbound endpoint `go`
//! and the inbound endpoint `hook`. Probes use the plain contract, so that
//! they can break it. One that is hostile says in its header what must happen
//! to it, what must not to anybody else, and its bounds; its story in
//! `tests/hostile` shows it, and `make hostile` what it costs.

pub mod fetch;
pub mod proxy;

pub use serde_json::{Value, json};
pub use wharf_sdk::bindings::connector::exports::wharf::endpoints::endpoints::{
    Answer, CallRequest, Direction, Draft, Endpoint, InboundRequest, Received,
};
pub use wharf_sdk::bindings::connector::wharf::types::types::{CallError, Header, Message};
pub use wharf_sdk::rt::{endpoint, start};

/// What `go` gives.
pub type Gave = Result<String, CallError>;
/// What `hook` makes of a request.
pub type Made = Result<Received, CallError>;

/// An immediate answer without a message.
pub fn answer(status: u16, body: impl Into<Vec<u8>>) -> Received {
    Received { messages: Vec::new(), answer: Some(Answer { status, headers: Vec::new(), body: body.into() }) }
}

/// So many messages of kind `probe`, numbered from 0.
pub fn messages(count: usize) -> Received {
    let draft = |n| Draft { kind: "probe".to_owned(), subject: None, data: json!({ "n": n }).to_string() };
    Received { messages: (0..count).map(draft).collect(), answer: None }
}

/// A text as JSON; what is none is `null`.
pub fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// What is in there, or `null`.
pub fn at(value: &Value, place: impl serde_json::value::Index) -> &Value {
    value.get(place).unwrap_or(&Value::Null)
}

/// A connector with one behaviour for `go` and one for `hook`; `manifest` is
/// what `wharf.toml` says besides name, version and endpoints.
#[macro_export]
macro_rules! connector {
    (name: $name:literal, manifest: $more:literal, go: $go:expr, hook: $hook:expr $(,)?) => {
        $crate::connector! {
            name: $name, manifest: $more, go: $go, hook: $hook,
            describe: || vec![$crate::endpoint("go", false), $crate::endpoint("hook", true)],
        }
    };
    (name: $name:literal, manifest: $more:literal, go: $go:expr, hook: $hook:expr, describe: $describe:expr $(,)?) => {
        $crate::connector! {
            name: $name, manifest: $more, go: $go, hook: $hook, describe: $describe,
            check: || Ok("a probe".to_owned()),
        }
    };
    (
        name: $name:literal, manifest: $more:literal, go: $go:expr, hook: $hook:expr, describe: $describe:expr,
        check: $check:expr $(,)?
    ) => {
        struct Probe;

        impl ::wharf_sdk::bindings::connector::exports::wharf::endpoints::endpoints::Guest for Probe {
            fn describe() -> Vec<$crate::Endpoint> {
                $crate::start();
                let describe: fn() -> Vec<$crate::Endpoint> = $describe;
                describe()
            }
            fn check() -> $crate::Gave {
                $crate::start();
                let check: fn() -> $crate::Gave = $check;
                check()
            }
            fn call(request: $crate::CallRequest) -> $crate::Gave {
                $crate::start();
                let go: fn($crate::CallRequest) -> $crate::Gave = $go;
                go(request)
            }
            fn receive(request: $crate::InboundRequest) -> $crate::Made {
                $crate::start();
                let hook: fn($crate::InboundRequest) -> $crate::Made = $hook;
                hook(request)
            }
        }

        ::wharf_sdk::bindings::connector::export_connector!(
            Probe with_types_in ::wharf_sdk::bindings::connector
        );
        ::wharf_sdk::embed_manifest!(
            concat!(
                "name = \"probe/", $name, "\"\nversion = \"0.1.0\"\nworld = \"connector\"\n",
                "[endpoints.go]\ndirection = \"outbound\"\n",
                "[endpoints.hook]\ndirection = \"inbound\"\n",
                $more
            )
            .as_bytes()
        );
    };
}

/// A workflow with one behaviour; it may call `go` in the roles `target` and `other`.
#[macro_export]
macro_rules! workflow {
    (name: $name:literal, run: $run:expr $(,)?) => {
        struct Probe;

        impl ::wharf_sdk::bindings::workflow::exports::wharf::workflow::run::Guest for Probe {
            fn run(message: $crate::Message) -> $crate::Gave {
                $crate::start();
                let run: fn($crate::Message) -> $crate::Gave = $run;
                run(message)
            }
        }

        ::wharf_sdk::bindings::workflow::export_workflow!(
            Probe with_types_in ::wharf_sdk::bindings::workflow
        );
        ::wharf_sdk::embed_manifest!(
            concat!(
                "name = \"probe/", $name, "\"\nversion = \"0.1.0\"\nworld = \"workflow\"\n",
                "[roles.target]\nendpoints = [\"go\"]\n[roles.other]\nendpoints = [\"go\"]\n",
            )
            .as_bytes()
        );
    };
}
