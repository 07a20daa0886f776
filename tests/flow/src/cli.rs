//! The binary `wharf` as a user has it: a terminal, a token, a server.

use std::process::Stdio;

use serde_json::{Value, json};
use tests_harness::{Connection, Host, HostBuilder, example, probe, wharf};
use tests_upstreams::{Credentials, Upstreams};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Told {
    exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Told {
    #[track_caller]
    pub(crate) fn exit(self, exit: i32) -> Self {
        assert_eq!(self.exit, exit, "{self:?}");
        self
    }

    /// The output as JSON: all of it, and nothing else.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A user at a terminal.
pub(crate) struct User {
    server: String,
    token: String,
    home: std::path::PathBuf,
}

impl User {
    pub(crate) fn of(host: &Host, token: &str) -> Self {
        Self { server: host.url(""), token: token.to_owned(), home: host.folder().to_owned() }
    }

    pub(crate) async fn types(&self, args: &[&str]) -> Told {
        self.pipes(args, "").await
    }

    async fn pipes(&self, args: &[&str], input: &str) -> Told {
        let mut child = Command::new(wharf())
            .args(args)
            .env_clear()
            .env("WHARF_SERVER", &self.server)
            .env("WHARF_TOKEN", &self.token)
            .env("HOME", &self.home)
            .current_dir(&self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // A command that does not read its input may be over already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        let output = child.wait_with_output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Told { exit: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Writes a file where the user is.
    pub(crate) fn writes(&self, name: &str, text: &str) {
        std::fs::write(self.home.join(name), text).unwrap();
    }
}

#[tokio::test]
async fn an_integrator_sets_a_crm_up_calls_it_and_runs_a_workflow() {
    let credentials = Credentials::default();
    let systems = Upstreams::start(credentials.clone()).await.unwrap();
    let host = HostBuilder::default().open(systems.crm).open(systems.mail).open(systems.chat).start().await;

    let operator = User::of(&host, host.operator());
    operator.types(&["tenant", "create", "acme"]).await.exit(0);
    for package in ["crm", "mail", "chat", "lead-intake"] {
        let published = operator.types(&["publish", example(package).to_str().unwrap()]).await.exit(0);
        assert!(published.out.contains(&format!("example/{package}@0.1.0: published")), "{published:?}");
    }
    let made = operator
        .types(&["--json", "--tenant", "acme", "token", "create", "--role", "admin", "--note", "ada"])
        .await
        .exit(0);
    let user = User::of(&host, made.json()["token"].as_str().unwrap());

    // Secrets come from a pipe, so that no shell remembers them; the newline of `echo` is not one's value.
    for (name, value) in [
        ("crm-key", &credentials.crm_token),
        ("mail-key", &credentials.mail_key),
        ("chat-key", &credentials.chat_password),
    ] {
        let stored = user.pipes(&["secret", "set", name], &format!("{value}\n")).await.exit(0);
        assert!(!format!("{stored:?}").contains(value.as_str()), "{stored:?}");
    }
    assert_eq!(user.types(&["secret", "list"]).await.exit(0).out, "chat-key\ncrm-key\nmail-key\n");

    let url = |address| format!("http://{address}");
    let connection = |name: &str, address, credential: &str, secret: &str| {
        Connection::new(name, &format!("example/{name}@0.1.0"))
            .config("base-url", url(address))
            .credential(credential, secret)
            .grant_http(url(address))
    };
    let connections = [
        connection("crm", systems.crm, "api-key", "crm-key").yaml(),
        connection("mail", systems.mail, "api-key", "mail-key")
            .config("from-address", "hello@acme.example")
            .yaml(),
        connection("chat", systems.chat, "password", "chat-key")
            .config("account", &credentials.chat_user)
            .yaml(),
    ];
    user.writes("connections.yaml", &connections.join("---\n"));
    user.writes(
        "workflow.yaml",
        "kind: workflow\nname: intake\npackage: example/lead-intake@0.1.0\nroles: { crm: crm, mail: mail, chat: chat }\n",
    );
    let files = ["apply", "-f", "workflow.yaml", "connections.yaml"];
    let dry = user.types(&[&files[..], &["--dry-run"]].concat()).await.exit(0);
    assert!(dry.out.contains("workflow intake") && dry.out.contains("(dry run)"), "{dry:?}");
    assert_eq!(
        user.types(&["get", "workflow"]).await.exit(0).out,
        "no workflows yet\n",
        "a dry run changes nothing"
    );
    let applied = user.types(&files).await.exit(0);
    assert_eq!(applied.out.lines().count(), 4, "{applied:?}");
    let again = user.types(&files).await.exit(0);
    assert!(again.out.lines().all(|line| line.contains("unchanged")), "{again:?}");

    // What `get` shows can be applied.
    let shown = user.types(&["get", "connection", "crm"]).await.exit(0);
    let back = user.pipes(&["apply", "-f", "-"], &shown.out).await.exit(0);
    assert!(back.out.contains("connection crm") && back.out.contains("unchanged"), "{back:?}");

    let checked = user.types(&["call", "crm", "--check"]).await.exit(0);
    assert!(checked.out.contains("Acme Sales"), "{checked:?}");
    let lead = json!({
        "name": "Ada", "email": "ada@visitor.example", "region": "EMEA", "message": "Do you ship?", "source": "website",
    });
    user.writes("lead.json", &lead.to_string());
    let called = user.types(&["call", "crm", "create-lead", "--data", "@lead.json"]).await.exit(0);
    assert_eq!(called.json()["id"], "lead-1");

    let ran = user.types(&["run", "intake", "--data", "@lead.json", "--wait", "30"]).await.exit(0);
    assert_eq!(ran.json()["lead_id"], "lead-2", "the output is the result alone");
    let id = ran.err.split_whitespace().next().unwrap().to_owned();
    assert!(ran.err.contains("succeeded"), "{ran:?}");

    let listed = user.types(&["runs", "list", "--status", "succeeded"]).await.exit(0);
    assert!(listed.out.contains(&id) && listed.out.contains("intake"), "{listed:?}");
    let shown = user.types(&["runs", "show", &id]).await.exit(0);
    for want in [
        "succeeded: intake",
        "started by hand",
        "step 0",
        "crm → crm create-lead",
        "step 1",
        "step 2",
        "result",
    ] {
        assert!(shown.out.contains(want), "`{want}` in {}", shown.out);
    }
    let told = user.types(&["--json", "runs", "show", &id]).await.exit(0).json();
    assert_eq!((&told["run"]["status"], told["steps"].as_array().unwrap().len()), (&json!("succeeded"), 3));
}

#[tokio::test]
async fn how_a_command_ended_is_in_its_exit_code() {
    let host = Host::start().await;
    for name in ["echo", "workflow-fail"] {
        host.publish(probe(name)).await.expect(201);
    }
    let acme = host.tenant("acme").await;
    let workflow = "kind: workflow\nname: fail\npackage: probe/workflow-fail@0.1.0\nroles: { target: echo, other: echo }\n";
    acme.apply(&format!("{}---\n{workflow}", Connection::probe("echo").yaml())).await;
    let user = User::of(&host, &acme.token);
    user.writes("typo.yaml", "kind: connection\nname: echo\npakage: probe/echo@0.1.0\n");

    // 1: it was asked for, and failed.
    let failed = user.types(&["run", "fail", "--data", "1"]).await.exit(1);
    assert!(failed.err.contains("wharf runs show run_") && failed.out.is_empty(), "{failed:?}");
    let problem = user.types(&["--json", "run", "fail", "--data", "1"]).await.exit(1);
    let problem: Value = serde_json::from_str(&problem.err).unwrap();
    assert_eq!(problem["code"], "run-failed");
    let refused = user.types(&["apply", "-f", "typo.yaml"]).await.exit(1);
    assert!(
        refused.err.contains("typo.yaml line 3") && refused.err.contains("did you mean `package`?"),
        "{refused:?}"
    );

    // 2: it cannot even be asked.
    for args in [
        &["no-such-command"][..],
        &["call", "Not-A-Name", "go"],
        &["call", "echo", "go", "--data", "{half"],
        &["apply", "-f", "no-such-file.yaml"],
        &["--server", "ftp://a.example", "get", "connection"],
    ] {
        let told = user.types(args).await.exit(2);
        assert!(!told.err.is_empty() && told.out.is_empty(), "{told:?}");
    }

    // 3: not there, or not for this token: both alike.
    user.types(&["get", "connection", "ohce"]).await.exit(3);
    user.types(&["--tenant", "another", "get", "connection"]).await.exit(3);
    user.types(&["tenant", "list"]).await.exit(3);
    let stranger = User::of(&host, "wharf_no-such-token");
    let unknown = stranger.types(&["get", "connection"]).await.exit(3);
    assert!(unknown.err.contains("does not know this token"), "{unknown:?}");

    // 4: nobody there.
    let silent = tokio::net::TcpSocket::new_v4().unwrap(); // bound and not listening
    silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = User { server: format!("http://{}", silent.local_addr().unwrap()), ..user };
    let lost = nobody.types(&["get", "connection"]).await.exit(4);
    assert!(lost.err.contains("cannot reach") && lost.err.contains("wharf up"), "{lost:?}");
}

#[tokio::test]
async fn a_doctor_reads_a_stopped_hosts_store_backs_it_up_and_brings_it_back() {
    let mut host = Host::start().await;
    host.publish(probe("kv")).await.expect(201);
    let acme = host.tenant("acme").await;
    let token = acme.token.clone();
    acme.apply(&Connection::probe("kv").grant_kv().yaml()).await;
    acme.call("kv", "go", json!([["set", "k", "before"]])).await.expect(200);
    let user = User::of(&host, "");
    let doctor = ["doctor", "--data", "data"];
    let busy = user.types(&doctor).await;
    assert!(busy.exit != 0 && !busy.err.is_empty(), "the store is in use: {busy:?}");

    host.kill();
    let well = user.types(&[&doctor[..], &["--backup", "store.backup"]].concat()).await.exit(0);
    assert!(well.out.contains("all readable") && well.out.contains("wasmtime 48."), "{well:?}");
    let overwritten = user.types(&[&doctor[..], &["--backup", "store.backup"]].concat()).await;
    assert!(overwritten.exit != 0, "a backup is not written over: {overwritten:?}");

    host.restart();
    host.tenant_with("acme", &token).call("kv", "go", json!([["set", "k", "after"]])).await.expect(200);
    host.kill();
    user.types(&[&doctor[..], &["--restore", "store.backup"]].concat()).await.exit(0);
    host.restart();
    let kept = host.tenant_with("acme", &token).call("kv", "go", json!([["get", "k"]])).await.expect(200);
    assert_eq!(kept.json()[0][0], "before");

    let nothing = user.types(&["doctor", "--data", "nowhere"]).await;
    assert!(nothing.exit != 0 && nothing.err.contains("nowhere"), "{nothing:?}");
}
