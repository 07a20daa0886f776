//! One mail server for two tenants: each logs in as itself.

use serde_json::json;
use tests_harness::{Connection, HostBuilder};
use tests_upstreams::MailServer;

use crate::{Twins, go};

#[tokio::test]
async fn each_tenants_mail_goes_with_its_own_login() {
    let server = MailServer::start("wharf", "the password of one").await.unwrap();
    let url = format!("smtp://{}", server.address);
    let host = HostBuilder::default().open(server.address).start().await;
    let connection = Connection::probe("smtp").config("server", &url).grant_smtp(&url);
    let yaml = connection.credential("password", "mail-password").yaml();
    let twins = Twins::set_up(&host, &["smtp"], &yaml).await;
    for tenant in [&twins.one, &twins.two] {
        tenant.secret("mail-password", &format!("the password of {}", tenant.name)).await;
    }
    let letter = |from: &str| {
        json!({
            "server": url, "from": format!("{from}@example.com"), "to": "ada@example.org",
            "subject": "hello", "text": "hello", "key": "the same key",
        })
    };
    let (one, two) =
        tokio::join!(go(&twins.one, "smtp", letter("one")), go(&twins.two, "smtp", letter("two")));
    assert!(one["id"].is_string(), "{one}");
    assert!(two["error"].is_string(), "the login of one is nothing to two: {two}");
    let senders: Vec<_> = server.letters().into_iter().map(|letter| letter.from).collect();
    assert_eq!(senders, ["one@example.com"]);
}
