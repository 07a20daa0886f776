//! `wharf:smtp`: mail by the tenant's server, with the host's login.

use serde_json::{Value, json};
use tests_harness::{Connection, Host, HostBuilder, Tenant};
use tests_upstreams::MailServer;

use crate::{go, report, set_up};

const PASSWORD: &str = "mail-password-77c1";

async fn mail_server() -> (MailServer, String) {
    let server = MailServer::start("wharf", PASSWORD).await.unwrap();
    let url = format!("smtp://{}", server.address);
    (server, url)
}

fn mailer(url: &str) -> Connection {
    Connection::probe("smtp").config("server", url).credential("password", "mail-password")
}

async fn set_up_with<'h>(host: &'h Host, connection: Connection, password: &str) -> Tenant<'h> {
    let acme = set_up(host, &["smtp"], &[connection]).await;
    acme.secret("mail-password", password).await;
    acme
}

fn letter(url: &str) -> Value {
    json!({
        "server": url, "from": "Ada <ada@example.com>", "to": "grace@example.org", "subject": "Grüße",
        "text": "hello\n.\nthere", "headers": { "X-Thing": "one" }, "attach": "a note", "key": "run_1/2",
    })
}

#[tokio::test]
async fn a_message_reaches_its_recipients_with_the_hosts_credential_and_one_id() {
    let (server, url) = mail_server().await;
    let host = HostBuilder::default().open(server.address).start().await;
    let acme = set_up_with(&host, mailer(&url).grant_smtp(&url), PASSWORD).await;

    let first = go(&acme, "smtp", letter(&url)).await;
    let again = report(&acme, "smtp", letter(&url)).await;
    let gave = &again["outcome"]["value"];
    assert!(first["id"].is_string() && first == *gave, "the same key, the same id: {first} {again}");
    let letters = server.letters();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0].from, "ada@example.com");
    assert_eq!(letters[0].to, ["grace@example.org", "archive@example.org"]);
    for want in ["X-Thing: one", "notes.txt", "text/html", first["id"].as_str().unwrap(), "\r\n.\r\nthere"] {
        assert!(letters[0].text.contains(want), "{want}: {}", letters[0].text);
    }
    assert!(!letters[0].text.contains("archive@example.org"), "a bcc is told to nobody");
    let shown = again.to_string();
    assert!(shown.contains(&format!("MAIL {url}/: 250 in")), "the run shows it: {shown}");
    assert!(!shown.contains(PASSWORD), "{shown}");
}

#[tokio::test]
async fn without_the_connections_grant_no_mail_goes_out_and_it_says_what_would_open_it() {
    let (server, url) = mail_server().await;
    let host = HostBuilder::default().open(server.address).start().await;
    let acme = set_up_with(&host, mailer(&url), PASSWORD).await;
    let gave = go(&acme, "smtp", letter(&url)).await["error"].to_string();
    assert!(gave.contains("Denied") && gave.contains("does not list it under grants: smtp"), "{gave}");

    // A grant of the web is none of mail.
    acme.apply(&mailer(&url).grant_http(format!("http://{}", server.address)).yaml()).await;
    let gave = go(&acme, "smtp", letter(&url)).await["error"].to_string();
    assert!(gave.contains("Denied"), "{gave}");
    assert!(server.letters().is_empty());
}

#[tokio::test]
async fn a_loopback_server_that_the_operator_did_not_open_gets_nothing() {
    let (server, url) = mail_server().await;
    let host = Host::start().await;
    let acme = set_up_with(&host, mailer(&url).grant_smtp(&url), PASSWORD).await;
    let gave = go(&acme, "smtp", letter(&url)).await["error"].to_string();
    assert!(gave.contains("Denied") && gave.contains("not a public address"), "{gave}");
    assert!(server.letters().is_empty());
}

#[tokio::test]
async fn each_way_to_fail_is_a_case_of_its_own() {
    let (server, url) = mail_server().await;
    let host = HostBuilder::default().open(server.address).start().await;
    let acme = set_up_with(&host, mailer(&url).grant_smtp(&url), "not-the-password").await;
    let with = |key: &str, value: &str| {
        let mut letter = letter(&url);
        letter[key] = json!(value);
        letter
    };
    let fails = async |letter: Value, case: &str| {
        let gave = go(&acme, "smtp", letter).await["error"].to_string();
        assert!(gave.contains(case), "{gave}");
        assert!(!gave.contains("not-the-password"), "{gave}");
    };
    fails(letter(&url), "Unauthorized").await;
    acme.secret("mail-password", PASSWORD).await;
    fails(with("to", "nobody@example.org"), "Rejected").await;
    fails(with("to", "no address"), "InvalidMessage").await;
    fails(with("subject", "a\r\nBcc: eve@example.com"), "InvalidMessage").await;
    fails(with("server", "mail.example.com"), "InvalidMessage").await;
    assert!(server.letters().is_empty());
}
