//! Webhooks whose senders show a certificate, on the real host's own TLS.

use std::net::SocketAddr;

use rcgen::{CertificateParams, DnType, date_time_ymd};
use tests_harness::{Authority, Connection, Host, HostBuilder, Identity, Sender, Tenant, eventually, probe};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::cli::User;

const HOOK: &str = "/hooks/acme/echo/hook";

fn taking(authorities: &[&Authority], more: &str) -> String {
    let authorities: Vec<_> = authorities.iter().map(|it| it.quoted()).collect();
    let verify = format!("{{ mtls: {{ authorities: [{}]{more} }} }}", authorities.join(", "));
    Connection::probe("echo").verify(&verify).yaml()
}

/// A host for which `root` vouches.
async fn start(root: &Authority) -> Host {
    let host = HostBuilder::default().tls(&root.host()).start().await;
    host.publish(probe("echo")).await.expect(201);
    host
}

async fn once(sender: &Sender, address: SocketAddr, path: &str, headers: &str) -> (u16, String, String) {
    sender.open(address).await.unwrap().post(path, headers, "x").await
}

#[tokio::test]
async fn a_certificate_of_the_connections_own_authority_gets_in_and_no_other() {
    let [root, partner, other] = ["root", "Partner CA", "Other CA"].map(Authority::new);
    let host = start(&root).await;
    let [acme, globex] = [host.tenant("acme").await, host.tenant("globex").await];
    acme.apply(&taking(&[&partner], ", subject: 'CN=crm'")).await;
    globex.apply(&taking(&[&other], "")).await;
    let address = host.tls_address();

    let crm = partner.issue(Identity::sender("crm"));
    let theirs = other.issue(Identity::sender("crm"));
    let right = Sender::new(&root, Some(&crm));
    let neighbour = Sender::new(&root, Some(&theirs));
    assert_eq!(once(&right, address, HOOK, "").await.0, 200);
    let globex_hook = "/hooks/globex/echo/hook";
    assert_eq!(once(&neighbour, address, globex_hook, "").await.0, 200);
    assert_eq!(once(&right, address, globex_hook, "").await.0, 401);

    let with = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = Identity::sender("crm");
        change(&mut params);
        partner.issue(params)
    };
    let expired = with(&|it| it.not_after = date_time_ymd(2025, 1, 1));
    let early = with(&|it| it.not_before = date_time_ymd(2095, 1, 1));
    let purpose = with(&|it| it.extended_key_usages.clear());
    let subject = with(&|it| it.distinguished_name.push(DnType::OrganizationName, "Acme"));
    let alone = Identity::self_signed(Identity::sender("crm"));
    let impostor = Authority::new("Partner CA").issue(Identity::sender("crm"));
    // What a proxy would write who had seen the right certificate (RFC 9440).
    let pem = crm.certificate_pem();
    let forged = format!("client-cert: :{}:\r\n", pem.lines().nth(1).unwrap());
    let denied = [
        ("none", None, ""),
        ("none, and a forged header", None, forged.as_str()),
        ("another authority's, which another tenant takes", Some(&theirs), ""),
        ("the same, and a forged header", Some(&theirs), forged.as_str()),
        ("one of an authority of the same name", Some(&impostor), ""),
        ("one that is over", Some(&expired), ""),
        ("one that is yet to come", Some(&early), ""),
        ("one that is not for clients", Some(&purpose), ""),
        ("one of another subject", Some(&subject), ""),
        ("one that it made itself", Some(&alone), ""),
    ];
    let mut told = None;
    for (what, shows, headers) in denied {
        let (status, head, body) = once(&Sender::new(&root, shows), address, HOOK, headers).await;
        assert_eq!(status, 401, "{what}: {body}");
        assert!(head.contains("www-authenticate: certificate"), "{what}: {head}");
        assert_eq!(*told.get_or_insert(body.clone()), body, "{what}: all are told the same");
        assert_eq!(once(&neighbour, address, globex_hook, "").await.0, 200, "{what}");
    }
    let clear =
        acme.hook("echo/hook").header("client-cert", &forged["client-cert: ".len()..forged.len() - 2]);
    let refused = host.ask(clear.body("x")).await.expect(401);
    assert_eq!(Some(refused.text), told, "in the clear as well");
    assert_eq!(once(&right, address, HOOK, "").await.0, 200);
    let log = host.log();
    assert!(log.contains("client certificate") && !log.contains(pem.lines().nth(1).unwrap()), "{log}");
}

#[tokio::test]
async fn neither_an_open_connection_nor_a_resumed_session_carries_a_certificate_past_its_check() {
    let [root, old, new] = ["root", "Old CA", "New CA"].map(Authority::new);
    let host = start(&root).await;
    let acme = host.tenant("acme").await;
    acme.apply(&taking(&[&old], "")).await;
    let sender = Sender::new(&root, Some(&old.issue(Identity::sender("crm"))));
    let next = Sender::new(&root, Some(&new.issue(Identity::sender("crm"))));
    let mut open = sender.open(host.tls_address()).await.unwrap();
    assert_eq!(open.post(HOOK, "", "x").await.0, 200);

    acme.apply(&taking(&[&old, &new], "")).await; // while it changes
    assert_eq!(open.post(HOOK, "", "x").await.0, 200);
    assert_eq!(once(&next, host.tls_address(), HOOK, "").await.0, 200);

    acme.apply(&taking(&[&new], "")).await;
    assert_eq!(open.post(HOOK, "", "x").await.0, 401);
    let mut resumed = sender.open(host.tls_address()).await.unwrap();
    assert!(resumed.resumed());
    assert_eq!(resumed.post(HOOK, "", "x").await.0, 401);
    let mut resumed = next.open(host.tls_address()).await.unwrap();
    assert!(resumed.resumed());
    assert_eq!(resumed.post(HOOK, "", "x").await.0, 200);
}

async fn hook_in_the_clear(host: &Host, acme: &Tenant<'_>) {
    host.ask(acme.hook("echo/hook").body("x")).await.expect(200);
}

#[tokio::test]
async fn handshakes_of_garbage_and_those_that_never_end_disturb_nobody() {
    let root = Authority::new("root");
    let host = start(&root).await;
    let acme = host.tenant("acme").await;
    acme.apply(&Connection::probe("echo").yaml()).await;
    let mut stuck = Vec::new();
    for at in 0..100_u8 {
        let mut socket = TcpStream::connect(host.tls_address()).await.unwrap();
        let begun = if at % 2 == 0 { vec![0x16, 0x03, 0x01] } else { vec![at; 2_000] };
        let _ = socket.write_all(&begun).await;
        stuck.push(socket);
    }
    for _ in 0..5 {
        assert_eq!(once(&Sender::new(&root, None), host.tls_address(), HOOK, "").await.0, 200);
        hook_in_the_clear(&host, &acme).await;
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_while_the_host_serves_and_its_end_is_warned_of() {
    let root = Authority::new("root");
    let mut host = start(&root).await;
    let sender = || Sender::new(&root, None);
    let address = host.tls_address();
    let shown = async || sender().open(address).await.unwrap().shown();
    let ready = host.ask(host.request(reqwest::Method::GET, "/readyz")).await.expect(200);
    assert!(!ready.text.contains("warnings"), "{ready:?}");

    let first = shown().await;
    host.replace_certificate("no certificate", "no key");
    eventually("the fault is told", async || {
        host.log().contains("the TLS certificate stays as it was").then_some(())
    })
    .await;
    assert_eq!(shown().await, first);
    assert!(
        host.log().contains("tls.pem` has no CERTIFICATE: put the host's certificate there"),
        "{}",
        host.log()
    );

    let mut over = CertificateParams::new(vec![tests_harness::HOST_NAME.to_owned()]).unwrap();
    over.not_after = date_time_ymd(2025, 1, 1);
    let over = root.issue(over);
    host.replace_certificate(&over.certificate_pem(), &over.key_pem());
    eventually("the certificate is taken up", async || {
        host.log().contains("shows a new TLS certificate").then_some(())
    })
    .await;
    let ready = host.ask(host.request(reqwest::Method::GET, "/readyz")).await.expect(200);
    let warning = ready.json()["warnings"][0].as_str().unwrap().to_owned();
    assert!(warning.contains("is over since 2025-01-01"), "{warning}");

    let user = User::of(&host, "");
    host.kill();
    let doctor = ["doctor", "--data", "data", "--config", "wharf.toml"];
    let told = user.types(&doctor).await.exit(0).out;
    assert!(told.contains("warning: the TLS certificate is over since 2025-01-01"), "{told}");
    host.replace_certificate("", "");
    let told = user.types(&doctor).await;
    assert!(told.err.contains("tls.pem` has no CERTIFICATE"), "{told:?}");
}
