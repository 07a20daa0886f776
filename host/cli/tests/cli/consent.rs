//! `wharf consent` shows what waits and consents to exactly that.

use host_cli::Exit;
use serde_json::{Value, json};

use crate::fake::Fake;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const CRM: &str = "/api/v1/tenants/acme/connections/crm";

fn pending() -> Value {
    json!({
        "kind": "connection", "name": "crm", "package": "example/crm@0.1.0",
        "pending": {
            "by": "tok_1", "since": "2026-11-21T19:00:00Z", "digest": DIGEST,
            "asks": ["keep values", "send any request to https://evil.example\u{1b}[2J"],
            "document": { "kind": "connection", "name": "crm", "package": "example/crm@0.2.0" },
        },
    })
}

fn done() -> Value {
    json!({ "kind": "connection", "name": "crm", "action": "updated" })
}

async fn server() -> Fake {
    let line = |line: String| -> &'static str { line.leak() };
    Fake::answering(vec![
        (line(format!("GET {CRM}")), 200, pending()),
        (line(format!("POST {CRM}/consent")), 200, done()),
        (line(format!("DELETE {CRM}/consent")), 200, done()),
    ])
    .await
}

const CONSENT: [&str; 5] = ["--tenant", "acme", "consent", "connection", "crm"];

#[tokio::test]
async fn somebody_reads_the_difference_and_says_yes() {
    let fake = server().await;
    let told = fake.wharf_asking("y\n", &CONSENT).await;
    assert_eq!(told.exit, Exit::Done);
    for want in [
        "connection crm: a change by tok_1 waits since 2026-11-21T19:00:00Z",
        "from example/crm@0.1.0 to example/crm@0.2.0",
        "    - keep values\n",
        "https://evil.example\\u{1b}[2J",
        "connection crm: updated",
    ] {
        assert!(told.out.contains(want), "{want}: {}", told.out);
    }
    assert!(told.err.contains("Consent to this? [y/N]"), "{}", told.err);
    assert_eq!(fake.asked()[1].json(), json!({ "digest": DIGEST }), "to what was shown");
}

#[tokio::test]
async fn nothing_but_a_yes_is_one() {
    for typed in ["", "\n", "n\n", "yep\n"] {
        let fake = server().await;
        let told = fake.wharf_asking(typed, &CONSENT).await;
        assert_eq!(told.exit, Exit::Failed, "{typed:?}");
        assert_eq!(fake.lines().len(), 1, "nothing was sent");
    }
}

#[tokio::test]
async fn a_script_is_told_the_digest_and_consents_with_it() {
    let fake = server().await;
    let told = fake.wharf(&CONSENT).await;
    assert_eq!(told.exit, Exit::Failed);
    assert!(told.err.contains(&format!("wharf consent connection crm --yes {DIGEST}")), "{}", told.err);
    assert_eq!(fake.lines().len(), 1);

    let json: Value =
        serde_json::from_str(&fake.wharf(&[&CONSENT[..], &["--json"]].concat()).await.out).unwrap();
    assert_eq!(json["digest"], DIGEST);

    let told = fake.wharf(&[&CONSENT[..], &["--yes", DIGEST]].concat()).await;
    assert_eq!(told.out, "connection crm: updated\n");
    assert_eq!(fake.asked()[2].json(), json!({ "digest": DIGEST }));

    let told = fake.wharf(&[&CONSENT[..], &["--withdraw"]].concat()).await;
    assert_eq!(
        (told.exit, fake.lines()[3].as_str()),
        (Exit::Done, "DELETE /api/v1/tenants/acme/connections/crm/consent")
    );
}

#[tokio::test]
async fn what_waits_is_told_by_apply_check_and_get() {
    let waits = json!([{
        "kind": "connection", "name": "crm", "action": "pending",
        "waits": { "asks": ["keep values"], "digest": DIGEST },
    }]);
    let fake = Fake::answering(vec![
        ("POST /api/v1/apply?file=-&tenant=acme", 200, waits.clone()),
        ("POST /api/v1/apply?file=-&tenant=acme&dry-run=true", 200, waits),
        ("GET /api/v1/tenants/acme/connections/crm", 200, pending()),
    ])
    .await;
    let told = fake.wharf_reading("x", &["--tenant", "acme", "apply", "-f", "-"]).await;
    let lines = "  waits until somebody consents (wharf consent connection crm); it would be allowed to\n    - keep values\n";
    assert_eq!(told.out, format!("connection crm: pending\n{lines}"));
    let told = fake.wharf_reading("x", &["--tenant", "acme", "check", "-"]).await;
    assert_eq!(told.out, format!("connection crm: pending (dry run)\n{lines}"));
    let told = fake.wharf(&["--tenant", "acme", "get", "connection", "crm"]).await;
    assert!(
        told.err.contains("waits for consent; to look at it: wharf consent connection crm"),
        "{}",
        told.err
    );
    assert!(!told.out.contains("pending"), "{}", told.out);
}
