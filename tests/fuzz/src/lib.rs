//! What strangers write, and what must hold whatever they wrote: a function for
//! each reader, that panics if it does not.
//!
//! `make fuzz` lets `cargo fuzz` look for what breaks them, from the seeds in
//! `seeds/`; every test run gives them the seeds, cut and bent.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a fuzzer is told that something does not hold"
)]

#[cfg(any(test, feature = "libfuzzer"))] // for tokio's clock
mod journal;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use host_egress::{Policy, gate, is_public, parse_url};
use host_model::clock::Timestamp;
use host_model::grants::{Origin, OriginPattern};
use host_model::manifest::Manifest;
use host_model::resource::verify::Verify;
use host_schedules::{Crontab, Fires};
use host_webhooks::{Request, Secrets};
use http::{HeaderMap, HeaderName, HeaderValue};

#[cfg(any(test, feature = "libfuzzer"))]
pub use journal::journal;

/// One reader and what must hold of it.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("address", address),
    ("cron", cron),
    ("documents", documents),
    #[cfg(any(test, feature = "libfuzzer"))]
    ("journal", journal),
    ("manifest", manifest),
    ("package", package),
    ("signature", signature),
    ("steps", steps),
];

/// A URL, an origin pattern and an address. A URL names the same host for the
/// gate as for a browser's parser; what one pattern allows it allows in its own
/// spelling, too; no disguise of an address is more public than the address.
pub fn address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(uri) = parse_url(&text) {
        let url = url::Url::parse(&uri.to_string()).expect("what the gate reads is a URL");
        let origin = Origin::of(&url).expect("what the gate reads has an origin");
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.');
        assert_eq!(host.to_ascii_lowercase(), origin.host, "{text}");
        assert!(OriginPattern::exactly(origin.clone()).allows(&origin));
    }
    if let Ok(pattern) = text.parse::<OriginPattern>() {
        assert_eq!(pattern.to_string().parse::<OriginPattern>().as_ref(), Ok(&pattern), "{text}");
    }
    if let Some(bytes) = data.first_chunk::<4>() {
        let [a, b, c, d] = *bytes;
        let plain = Ipv4Addr::from(*bytes);
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let disguises = [
            plain.to_ipv6_mapped(),
            plain.to_ipv6_compatible(),
            Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
        ];
        for disguise in disguises {
            assert!(!is_public(disguise.into()) || is_public(plain.into()), "{disguise} is {plain}");
        }
        through_the_gate(plain.into());
    }
    if let Some(bytes) = data.first_chunk::<16>() {
        through_the_gate(Ipv6Addr::from(*bytes).into());
    }
}

fn through_the_gate(address: IpAddr) {
    let passed = gate(&[address], 443, &Policy::default());
    assert_eq!(passed.is_ok(), is_public(address), "{address}");
}

/// A crontab. It fires later than asked, and reads as it was written.
pub fn cron(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(crontab) = Crontab::parse(text) else { return };
    assert_eq!(
        Crontab::parse(crontab.as_str()).map(|it| it.as_str().to_owned()),
        Ok(crontab.as_str().to_owned())
    );
    let fires = Fires::new(crontab, chrono_tz::Europe::Berlin, Default::default(), Default::default());
    let mut last = Timestamp::UNIX_EPOCH;
    for _ in 0..3 {
        let Some(next) = fires.next_after(last) else { return };
        assert!(next > last, "{text}: {next} is not after {last}");
        last = next;
    }
}

/// A tenant's file of documents.
pub fn documents(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(mistakes) = host_control::read_documents(text) {
        assert!(!mistakes.is_empty() && mistakes.iter().all(|mistake| !mistake.is_empty()));
    }
}

/// A package's manifest: kept as JSON, it is the same.
pub fn manifest(data: &[u8]) {
    let Ok(manifest) = Manifest::parse(data) else { return };
    let kept = serde_json::to_string(&manifest).expect("a manifest is kept as JSON");
    assert_eq!(serde_json::from_str::<Manifest>(&kept).expect("and read from it"), manifest);
}

/// A component: its sections, its worlds and the manifest in it.
pub fn package(data: &[u8]) {
    if let Ok(verified) = registry::verify(data) {
        let again = registry::verify(data).map(|again| again.manifest);
        assert_eq!(again.ok().as_ref(), Some(&verified.manifest));
    }
}

/// A webhook's request: its headers, an empty line, its body. Who knows another
/// secret than the connection's gets in nowhere, and no other body either.
pub fn signature(data: &[u8]) {
    lets_in(data);
}

/// How many schemes let this request in.
fn lets_in(data: &[u8]) -> usize {
    let Some(end) = data.windows(2).position(|pair| pair == b"\n\n") else { return 0 };
    let (head, body) = (&data[..end], &data[end + 2..]);
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n').take(50) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let lets_in = |policy: &Verify, secret: &str, body: &[u8]| {
        let request = Request { headers: &headers, body, peer: None, certificates: &[] };
        let secrets = Secrets::new([("key".parse().expect("a name"), secret.to_owned().into())]);
        host_webhooks::verify(policy, &secrets, NOW, &request).is_ok()
    };
    let mut policies = policies();
    policies.retain(|policy| lets_in(policy, SECRET, body));
    for policy in &policies {
        assert!(!lets_in(policy, OTHER_SECRET, body), "{policy:?} takes any secret");
        let other_body = [body, b" "].concat();
        assert!(!policy.reads_body() || !lets_in(policy, SECRET, &other_body), "{policy:?} takes any body");
    }
    policies.len()
}

/// When the seeds were signed.
const NOW: Timestamp = match Timestamp::from_timestamp_secs(1_700_000_000) {
    Some(now) => now,
    None => Timestamp::UNIX_EPOCH,
};
const SECRET: &str = "whsec_c2VlZHMgYXJlIHNpZ25lZCB3aXRoIHRoaXMgb25lIQ==";
const OTHER_SECRET: &str = "whsec_bm9ib2R5IHNpZ25zIGFueXRoaW5nIHdpdGggdGhpcyE=";

/// One of each scheme.
fn policies() -> Vec<Verify> {
    let written = r#"[
        { "standard-webhooks": { "secrets": ["key"] } },
        { "github": { "secrets": ["key"] } },
        { "stripe": { "secrets": ["key"] } },
        { "slack": { "secrets": ["key"] } },
        { "hmac": { "secrets": ["key"], "algorithm": "sha256", "header": "x-signature", "encoding": "hex" } },
        { "bearer": { "secrets": ["key"] } },
        { "basic": { "user": "u", "secrets": ["key"] } }
    ]"#;
    serde_json::from_str(written).expect("every scheme is written so")
}

/// The steps of a workflow in YAML.
pub fn steps(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(problems) = host_flow::read(text, "steps.yaml") {
        assert!(!problems.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{TARGETS, lets_in};

    /// Every seed as it is, cut anywhere, and with each byte bent.
    #[test]
    fn what_holds_of_the_seeds_holds_of_them_cut_and_bent() {
        for (name, target) in TARGETS {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
            let seeds: Vec<_> =
                fs::read_dir(&folder).unwrap().map(|seed| fs::read(seed.unwrap().path()).unwrap()).collect();
            assert!(!seeds.is_empty(), "{name} has no seeds in {}", folder.display());
            for seed in seeds {
                target(&seed);
                assert!(*name != "signature" || lets_in(&seed) == 1, "{}", String::from_utf8_lossy(&seed));
                let step = seed.len() / 500 + 1; // a large seed is not worth a minute
                for at in (0..seed.len()).step_by(step) {
                    target(&seed[..at]);
                    let mut bent = seed.clone();
                    bent[at] ^= 1 << (at % 8);
                    target(&bent);
                }
            }
        }
    }

    #[test]
    fn every_target_is_one_of_cargo_fuzz_and_no_seeds_are_left_over() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let names = |folder: &str| {
            let mut names: Vec<String> = fs::read_dir(root.join(folder))
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .collect();
            names.sort();
            names
        };
        let all: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(names("targets"), all);
        assert_eq!(names("seeds"), all);
    }
}
