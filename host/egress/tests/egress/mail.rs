//! Mail submission: both gates, TLS, the credential, and messages that try to be more than one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use host_egress::{Attachment, EgressConfig, Mail, MailError, Toll};
use host_model::grants::{Grants, GrantsSpec};
use host_model::resource::{Connection, CredentialPlace, EgressSpec};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio_rustls::TlsAcceptor;

use crate::support::{LIMITS, Script, Upstream, World, bringing, granted, opened};
use crate::tls::certified;

/// What a server heard, line by line.
type Heard = Arc<Mutex<Vec<String>>>;

/// Speaks SMTP until its client leaves; `true` if it is to begin TLS now.
async fn speak(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    heard: &Heard,
    offers: &str,
    greet: bool,
) -> bool {
    let mut stream = BufReader::new(stream);
    if greet {
        stream.write_all(b"220 stand-in\r\n").await.ok();
    }
    let (mut line, mut in_data) = (String::new(), false);
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let said = std::mem::take(&mut line).trim_end().to_owned();
        heard.lock().unwrap().push(said.clone());
        let answer = match said.split(' ').next().unwrap() {
            "." if in_data => {
                in_data = false;
                "250 taken".to_owned()
            }
            _ if in_data => continue,
            "EHLO" => format!("250-stand-in\r\n{offers}250 8BITMIME"),
            "STARTTLS" => {
                stream.write_all(b"220 go ahead\r\n").await.ok();
                return true;
            }
            // Echoes what it was given, as some do when they refuse.
            "AUTH" if !said.ends_with("AHVzZXIAaHVudGVyMjI=") => format!("535 wrong: {said}"),
            "AUTH" => "235 welcome".to_owned(),
            "RCPT" if said.contains("nobody") => "550 no such user; you said hunter22".to_owned(),
            "RCPT" if said.contains("later") => "450 try later".to_owned(),
            "DATA" => {
                in_data = true;
                "354 go".to_owned()
            }
            _ => "250 fine".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok();
    }
    false
}

async fn server(offers: &'static str) -> (Upstream, Heard) {
    let heard = Heard::default();
    let told = Arc::clone(&heard);
    let server = Upstream::speaking(move |mut socket| {
        let told = Arc::clone(&told);
        async move {
            speak(&mut socket, &told, offers, true).await;
        }
    })
    .await;
    (server, heard)
}

/// Speaks TLS from the start, or after `STARTTLS`.
async fn secure(at_once: bool, acceptor: TlsAcceptor) -> (Upstream, Heard) {
    let heard = Heard::default();
    let told = Arc::clone(&heard);
    let server = Upstream::speaking(move |mut socket| {
        let (told, acceptor) = (Arc::clone(&told), acceptor.clone());
        async move {
            if !at_once && !speak(&mut socket, &told, "250-STARTTLS\r\n", true).await {
                return;
            }
            if let Ok(mut stream) = acceptor.accept(socket).await {
                speak(&mut stream, &told, "250-AUTH PLAIN LOGIN\r\n", at_once).await;
            }
        }
    })
    .await;
    (server, heard)
}

fn mailing(servers: &[&str]) -> Connection {
    let servers: Vec<_> = servers.iter().map(|server| server.parse().unwrap()).collect();
    let spec = GrantsSpec { smtp: servers.clone(), ..GrantsSpec::default() };
    Connection { grants: Grants::new(Vec::new(), false, &spec).asking_mail(servers), ..granted(&[]) }
}

fn mail() -> Mail {
    Mail {
        from: "Ada <ada@example.com>".into(),
        reply_to: None,
        to: vec!["Grace <grace@example.org>".into()],
        cc: Vec::new(),
        bcc: Vec::new(),
        subject: "Grüße".into(),
        text: Some("hello\r\n.\r\nMAIL FROM:<eve@example.com>".into()),
        html: None,
        headers: Vec::new(),
        attachments: Vec::new(),
        key: Some("run_1/2".into()),
        date: UNIX_EPOCH + Duration::from_secs(1_763_726_400),
    }
}

async fn send(world: &World, connection: Connection, server: &str, mail: Mail) -> Result<String, MailError> {
    world.egress.send_mail(&Arc::new(connection), server, mail, LIMITS).await.0
}

fn text(heard: &Heard) -> String {
    heard.lock().unwrap().join("\n")
}

const AUTH: &str = "250-AUTH PLAIN LOGIN\r\n";

#[tokio::test]
async fn a_message_arrives_whole_once_and_with_everyone_in_the_envelope() {
    let (server, heard) = server("").await;
    let url = format!("smtp://{}", server.address);
    let attachment =
        Attachment { name: "ü.csv".into(), content_type: "text/csv".into(), content: b"a,b".to_vec() };
    let message = Mail {
        cc: vec!["cc@example.org".into()],
        bcc: vec!["bcc@example.org".into()],
        html: Some("<p>hello</p>".into()),
        headers: vec![("X-Thing".into(), "one".into())],
        attachments: vec![attachment],
        ..mail()
    };
    let world = World::open_to(&[&server]);
    let (id, exchange) = world.egress.send_mail(&Arc::new(mailing(&[&url])), &url, message, LIMITS).await;
    let (id, said) = (id.unwrap(), text(&heard));
    for want in [
        "MAIL FROM:<ada@example.com>",
        "RCPT TO:<grace@example.org>",
        "RCPT TO:<cc@example.org>",
        "RCPT TO:<bcc@example.org>",
        "X-Thing: one",
        "Cc: cc@example.org",
        &format!("Message-ID: {id}"),
        "Date: Fri, 21 Nov 2025 12:00:00 +0000",
        "text/html",
        "text/csv",
        "Subject: =?utf-8?",
    ] {
        assert!(said.contains(want), "{want}: {said}");
    }
    assert!(!said.contains("Bcc:"), "{said}");
    assert_eq!(said.lines().filter(|line| *line == ".").count(), 1, "a dot in the text ends nothing: {said}");
    let info = exchange.info();
    assert!(info.to_string().starts_with(&format!("MAIL {url}/: 250 in")), "{info}");
}

#[tokio::test]
async fn each_gate_has_its_say_and_a_web_grant_is_none_for_mail() {
    let (server, heard) = server("").await;
    let url = format!("smtp://{}", server.address);
    let open = World::open_to(&[&server]);
    let denied =
        async |world: &World, connection, want: &str| match send(world, connection, &url, mail()).await {
            Err(MailError::Denied(why)) => assert!(why.contains(want), "{why}"),
            other => panic!("{other:?}"),
        };
    let web = format!("http://{}", server.address);
    denied(&open, granted(&[&web]), "manifest does not ask for it under [grants] smtp").await;
    denied(&open, mailing(&["smtp://other.example"]), "manifest does not ask for it").await;
    let mut unconsented = mailing(&[]);
    unconsented.grants = unconsented.grants.asking_mail(vec![url.parse().unwrap()]);
    denied(&open, unconsented, "does not list it under grants: smtp").await;
    denied(&World::closed(), mailing(&[&url]), "is not a public address (loopback)").await;
    let closed = host_egress::Policy { closed: vec!["127.0.0.1".parse().unwrap()], ..opened(&[&server]) };
    let closed = World::with(EgressConfig { policy: closed, ..EgressConfig::default() });
    denied(&closed, mailing(&[&url]), "closed by the operator").await;
    assert_eq!((server.connections(), heard.lock().unwrap().len()), (0, 0));
    assert!(send(&open, mailing(&[&url]), &url, mail()).await.is_ok());
}

#[tokio::test]
async fn a_credential_logs_in_and_never_comes_back() {
    let (server, heard) = server(AUTH).await;
    let url = format!("smtp://{}", server.address);
    let login = |user: &str| bringing(mailing(&[&url]), CredentialPlace::Basic(user.into()), &[&url]);
    let world = World::open_to(&[&server]).secret("acme", "key", "hunter22").await;
    assert!(send(&world, login("user"), &url, mail()).await.is_ok());
    assert!(text(&heard).contains("AUTH PLAIN AHVzZXIAaHVudGVyMjI="));

    // A server that refuses and quotes what it was given.
    let Err(MailError::Unauthorized(why)) = send(&world, login("eve"), &url, mail()).await else { panic!() };
    assert!(why.contains("refused the secret `key`") && !why.contains("aHVudGVyMjI"), "{why}");
    let to_nobody = Mail { to: vec!["nobody@example.org".into()], ..mail() };
    let Err(MailError::Rejected(why)) = send(&world, login("user"), &url, to_nobody).await else { panic!() };
    assert!(why.contains("no such user; you said ***"), "{why}");
    let later = Mail { to: vec!["later@example.org".into()], ..mail() };
    assert!(matches!(send(&world, login("user"), &url, later).await, Err(MailError::Busy(_))));

    let elsewhere =
        bringing(mailing(&[&url]), CredentialPlace::Basic("user".into()), &["smtp://other.example"]);
    heard.lock().unwrap().clear();
    assert!(send(&world, elsewhere, &url, mail()).await.is_ok());
    assert!(!text(&heard).contains("AUTH"), "it is for another server");
}

#[tokio::test]
async fn tls_verifies_the_name_and_nothing_goes_out_before_it() {
    for at_once in [true, false] {
        let (acceptor, root) = certified("mail.test");
        let (server, heard) = secure(at_once, acceptor).await;
        let script =
            Script::default().says("mail.test", &[&["127.0.0.1"]]).says("evil.test", &[&["127.0.0.1"]]);
        let scheme = if at_once { "smtps" } else { "smtp" };
        let world = |extra_roots| {
            let resolver = Arc::new(script.clone());
            World::with(EgressConfig {
                policy: opened(&[&server]),
                resolver,
                extra_roots,
                ..EgressConfig::default()
            })
        };
        for (roots, host, want) in [
            (vec![root.clone()], "mail.test", true),
            (vec![root], "evil.test", false),
            (vec![], "mail.test", false),
        ] {
            heard.lock().unwrap().clear();
            let url = format!("{scheme}://{host}:{}", server.port());
            let login = bringing(mailing(&[&url]), CredentialPlace::Basic("user".into()), &[&url]);
            let world = world(roots).secret("acme", "key", "hunter22").await;
            let sent = send(&world, login, &url, mail()).await;
            assert_eq!(sent.is_ok(), want, "{url}: {sent:?}");
            assert_eq!(text(&heard).contains("AUTH"), want, "{url}");
            assert_eq!(text(&heard).contains("DATA"), want, "{url}");
        }
    }
}

#[tokio::test]
async fn no_part_of_a_message_writes_another_part_or_a_header_of_the_hosts() {
    let (server, heard) = server("").await;
    let url = format!("smtp://{}", server.address);
    let world = World::open_to(&[&server]);
    let inject = "a\r\nBcc: eve@example.com";
    let header = |name: &str, value: &str| Mail { headers: vec![(name.into(), value.into())], ..mail() };
    let attached = |name: &str, kind: &str| Mail {
        attachments: vec![Attachment { name: name.into(), content_type: kind.into(), content: Vec::new() }],
        ..mail()
    };
    for bad in [
        Mail { subject: inject.into(), ..mail() },
        Mail { subject: "a\nb".into(), ..mail() },
        Mail { from: format!("{inject} <ada@example.com>"), ..mail() },
        Mail { from: "ada@example.com>\r\nRCPT TO:<eve@example.com".into(), ..mail() },
        Mail { to: vec!["a@example.com, b@example.com".into()], ..mail() },
        Mail { to: vec!["a@example.com\r\n".into()], ..mail() },
        Mail { to: Vec::new(), ..mail() },
        Mail { to: vec!["a@example.com".into(); 101], ..mail() },
        Mail { reply_to: Some("no address".into()), ..mail() },
        Mail { key: Some(inject.into()), ..mail() },
        Mail { text: Some("x".repeat(2 << 20)), ..mail() },
        header("X-A", inject),
        header("X-A\r\nBcc", "eve@example.com"),
        header("X-A: b", "c"),
        header("Bcc", "eve@example.com"),
        header("Sender", "eve@example.com"),
        header("DKIM-Signature", "x"),
        header("Content-Type", "text/html"),
        header("Message-ID", "<x@y>"),
        header("Received", "x"),
        header("Resent-To", "eve@example.com"),
        attached("a\r\nX-Evil: b", "text/csv"),
        attached("a", "text/csv\r\nX-Evil: b"),
        attached("a", "nothing"),
    ] {
        let shown = format!("{bad:?}").chars().take(300).collect::<String>();
        let sent = send(&world, mailing(&[&url]), &url, bad).await;
        assert!(matches!(sent, Err(MailError::InvalidMessage(_))), "{shown}: {sent:?}");
    }
    for server in
        ["mail.example.com:587", "http://mail.example.com", "smtp://u@a.example", "smtp://a.example/x"]
    {
        let sent = send(&world, mailing(&[&url]), server, mail()).await;
        assert!(matches!(sent, Err(MailError::InvalidMessage(_))), "{server}: {sent:?}");
    }
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_same_message_under_the_same_key_has_the_same_id_and_no_other_has() {
    let (server, _) = server("").await;
    let url = format!("smtp://{}", server.address);
    let world = World::open_to(&[&server]);
    let of = async |mail| send(&world, mailing(&[&url]), &url, mail).await.unwrap();
    let id = of(mail()).await;
    assert_eq!(of(mail()).await, id);
    assert!(id.ends_with(".wharf@example.com>") && !id.contains("run_1"), "{id}");
    assert_ne!(of(Mail { key: Some("run_1/3".into()), ..mail() }).await, id);
    assert_ne!(of(Mail { to: vec!["other@example.org".into()], ..mail() }).await, id);
    assert_ne!(of(Mail { key: None, ..mail() }).await, of(Mail { key: None, ..mail() }).await);
    let mut other = mailing(&[&url]);
    other.tenant = "globex".parse().unwrap();
    assert_ne!(send(&world, other, &url, mail()).await.unwrap(), id);
}

#[tokio::test]
async fn a_server_that_says_too_much_or_nothing_is_left() {
    let endless = Upstream::speaking(|mut socket| async move {
        while socket.write_all(b"220-and another thing\r\n").await.is_ok() {}
    })
    .await;
    let one_line = Upstream::speaking(|mut socket| async move {
        socket.write_all(b"220 ready\r\n250 fine\r\n220 x").await.ok();
        while socket.write_all(&[b'x'; 1024]).await.is_ok() {}
    })
    .await;
    let silent = Upstream::speaking(|socket| async move {
        let _open = socket;
        std::future::pending().await
    })
    .await;
    for (server, ms) in [(&endless, 10_000), (&one_line, 10_000), (&silent, 50)] {
        let url = format!("smtp://{}", server.address);
        let mut connection = mailing(&[&url]);
        connection.egress.connect = Duration::from_millis(ms);
        let sent = send(&World::open_to(&[server]), connection, &url, mail()).await;
        assert!(matches!(sent, Err(MailError::ConnectionFailed(_))), "{sent:?}");
    }
}

#[tokio::test]
async fn a_server_that_fails_again_and_again_is_left_alone_and_a_refused_message_is_no_failure() {
    let (well, heard) = server("").await;
    let url = format!("smtp://{}", well.address);
    let spec: EgressSpec = serde_json::from_str(r#"{ "breaker": { "failures": 2, "open-s": 60 } }"#).unwrap();
    let breaker = spec.settings().unwrap();
    let mailer = Arc::new(Connection { egress: breaker, ..mailing(&[&url]) });
    let world = World::open_to(&[&well]);
    for _ in 0..3 {
        let refused = Mail { to: vec!["nobody@example.org".into()], ..mail() };
        let sent = world.egress.send_mail(&mailer, &url, refused, LIMITS).await.0;
        assert!(matches!(sent, Err(MailError::Rejected(_))), "{sent:?}");
    }
    assert!(world.egress.send_mail(&mailer, &url, mail(), LIMITS).await.0.is_ok());
    assert!(text(&heard).contains("DATA"));

    let rude = Upstream::speaking(|socket| async move { drop(socket) }).await;
    let url = format!("smtp://{}", rude.address);
    let mailer = Arc::new(Connection { egress: breaker, ..mailing(&[&url]) });
    let world = World::open_to(&[&rude]);
    for _ in 0..2 {
        let sent = world.egress.send_mail(&mailer, &url, mail(), LIMITS).await.0;
        assert!(matches!(sent, Err(MailError::ConnectionFailed(_))), "{sent:?}");
    }
    let sent = world.egress.send_mail(&mailer, &url, mail(), LIMITS).await.0;
    assert!(matches!(sent, Err(MailError::Busy(_))), "{sent:?}");
    assert_eq!(rude.connections(), 2);
}

#[tokio::test]
async fn a_message_counts_as_a_request_of_the_tenants_and_beyond_them_none_goes_out() {
    let (server, heard) = server("").await;
    let url = format!("smtp://{}", server.address);
    let left = AtomicUsize::new(1);
    let toll: Toll = Arc::new(move |tenant| {
        assert_eq!(tenant.as_str(), "acme");
        let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        taken.map(drop).map_err(|_| "outbound-per-minute is used up".to_owned())
    });
    let world = World::with(EgressConfig { policy: opened(&[&server]), toll, ..EgressConfig::default() });
    assert!(send(&world, mailing(&[&url]), &url, mail()).await.is_ok());
    let before = text(&heard);
    let sent = send(&world, mailing(&[&url]), &url, mail()).await;
    assert_eq!(sent, Err(MailError::Denied("outbound-per-minute is used up".into())));
    assert_eq!(text(&heard), before);
}
