//! Signatures are made here with `hmac` and `sha2`, not with what verifies them.

mod certificates;
mod flips;
mod refusals;
mod rotation;
mod vectors;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use host_model::clock::Timestamp;
use host_model::resource::Verify;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::{Rejected, Request, Secrets, Verified, verify};

/// When everything here happens.
const NOW: i64 = 1_614_265_330;

/// A request that can be spoilt.
#[derive(Clone, Debug)]
struct Sent {
    headers: HeaderMap,
    body: Vec<u8>,
    peer: Option<&'static str>,
}

impl Sent {
    fn new(headers: &[(&'static str, &str)], body: impl Into<Vec<u8>>) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        Self { headers: headers.collect(), body: body.into(), peer: None }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.remove(name).unwrap();
        self
    }

    fn twice(mut self, name: &'static str) -> Self {
        let value = self.headers[name].clone();
        self.headers.append(name, value);
        self
    }

    fn saying(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    fn from(mut self, peer: &'static str) -> Self {
        self.peer = Some(peer);
        self
    }

    fn under(&self, policy: &Verify, secrets: &[(&str, &str)], now: i64) -> Result<Verified, Rejected> {
        let secrets =
            Secrets::new(secrets.iter().map(|(name, value)| (name.parse().unwrap(), (*value).into())));
        let peer = self.peer.map(|peer| peer.parse().unwrap());
        verify(
            policy,
            &secrets,
            at(now),
            &Request { headers: &self.headers, body: &self.body, peer, certificates: &[] },
        )
    }
}

fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn policy(written: Value) -> Verify {
    let policy: Verify = serde_json::from_value(written).unwrap();
    policy.check().unwrap();
    policy
}

fn mac(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

fn hex_mac(secret: &str, parts: &[&[u8]]) -> String {
    hex::encode(mac(secret.as_bytes(), parts))
}

/// As `stripe-node` makes a header for tests: `t=`, and `v1=` of the HMAC-SHA256
/// of the time, a full stop and the payload, with the whole secret as the key.
fn stripe(secret: &str, time: i64, body: &str) -> Sent {
    let signature = hex_mac(secret, &[time.to_string().as_bytes(), b".", body.as_bytes()]);
    Sent::new(&[("stripe-signature", &format!("t={time},v1={signature}"))], body)
}

fn standard(secret: &[u8], id: &str, time: i64, body: &str) -> Sent {
    let signature = mac(secret, &[id.as_bytes(), b".", time.to_string().as_bytes(), b".", body.as_bytes()]);
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", &time.to_string()),
        ("webhook-signature", &format!("v1,{}", STANDARD.encode(signature))),
    ];
    Sent::new(&headers, body)
}

fn github(secret: &str, body: &str) -> Sent {
    let signature = format!("sha256={}", hex_mac(secret, &[body.as_bytes()]));
    Sent::new(&[("x-hub-signature-256", &signature), ("x-github-delivery", "72d3162e")], body)
}

fn slack(secret: &str, time: i64, body: &str) -> Sent {
    let signature = hex_mac(secret, &[b"v0:", time.to_string().as_bytes(), b":", body.as_bytes()]);
    let headers =
        [("x-slack-signature", format!("v0={signature}")), ("x-slack-request-timestamp", time.to_string())];
    Sent::new(&headers.each_ref().map(|(name, value)| (*name, value.as_str())), body)
}
