//! Each command asks the server the right thing and says what came of it.

use host_cli::Exit;
use serde_json::{Value, json};

use crate::fake::{Fake, refused};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const TOKEN: &str = "tok_01K9ZZZZZZZZZZZZZZZZZZZZZZ";

#[tokio::test]
async fn apply_sends_what_it_reads_and_says_what_became_of_it() {
    let fake = Fake::answering(vec![
        (
            "POST /api/v1/apply?file=-&tenant=acme&dry-run=true",
            200,
            json!([{ "kind": "connection", "name": "crm", "action": "created" }]),
        ),
        (
            "POST /api/v1/apply?file=-",
            200,
            json!([{ "kind": "connection", "name": "crm", "action": "unchanged" }]),
        ),
    ])
    .await;
    let yaml = "kind: connection\nname: crm\n";

    let dry = fake.wharf_reading(yaml, &["--tenant", "acme", "apply", "-f", "-", "--dry-run"]).await;
    assert_eq!((dry.exit, dry.out.as_str()), (Exit::Done, "connection crm: created (dry run)\n"));
    let again = fake.wharf_reading(yaml, &["apply", "-f", "-"]).await;
    assert_eq!(again.out, "connection crm: unchanged\n");

    let asked = &fake.asked()[0];
    assert_eq!(asked.body, yaml);
    assert_eq!(asked.headers["authorization"], "Bearer wharf_test");
}

#[tokio::test]
async fn several_files_are_applied_as_one_and_a_mistake_names_its_file() {
    let detail = "the files line 3: unknown field `nam` (did you mean `name`?)";
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["a.yaml", "b.yaml"].map(|name| folder.path().join(name).display().to_string());
    let parts = json!([[first, 0], [second, 2]]).to_string();
    let parts: String = url::form_urlencoded::byte_serialize(parts.as_bytes()).collect();
    let path: &'static str = format!("POST /api/v1/apply?file=the+files&parts={parts}").leak();
    let check: &'static str = format!("{path}&dry-run=true").leak();
    let answer = json!({ "status": 422, "code": "invalid", "detail": detail });
    let fake = Fake::answering(vec![(path, 422, answer.clone()), (check, 422, answer)]).await;
    std::fs::write(&first, "kind: workflow\n").unwrap();
    std::fs::write(&second, "nam: crm\n").unwrap();

    for json in [&[][..], &["--json"]] {
        let told = fake.wharf(&[&["apply", "-f", &first, "-f", &second], json].concat()).await;
        assert_eq!(told.exit, Exit::Failed);
        assert!(told.err.contains(&format!("{second} line 1: unknown field `nam`")), "{}", told.err);
    }
    assert_eq!(fake.asked()[0].body, "kind: workflow\n---\nnam: crm\n");

    let told = fake.wharf(&["check", &first, &second]).await;
    assert_eq!(told.exit, Exit::Failed);
    assert_eq!(told.out, format!("{second} line 1: unknown field `nam` (did you mean `name`?)\n"));
    let told = fake.wharf(&["check", &first, &second, "--json"]).await;
    let problems: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(problems["problems"][0]["file"], second.as_str());
    assert_eq!(problems["problems"][0]["line"], 1);
}

#[tokio::test]
async fn a_message_is_published_to_a_topic_and_its_runs_are_printed() {
    let path = "POST /api/v1/tenants/acme/topics/leads";
    let fake = Fake::answering(vec![(path, 202, json!({ "runs": ["run_1", "run_2"] }))]).await;
    let publish = ["--tenant", "acme", "topics", "publish", "leads", "--data", "{\"a\":1}"];
    let told = fake.wharf(&[&publish[..], &["--idempotency-key", "k"]].concat()).await;
    assert_eq!(told.out, "run_1 accepted\nrun_2 accepted\n");
    assert_eq!(fake.asked()[0].body, "{\"a\":1}");
    assert_eq!(fake.asked()[0].headers["idempotency-key"], "k");
}

#[tokio::test]
async fn a_tenants_token_names_its_tenant_by_itself() {
    let fake = Fake::answering(vec![
        ("GET /api/v1/whoami", 200, json!({ "scope": "tenant", "tenant": "acme" })),
        (
            "GET /api/v1/tenants/acme/connections",
            200,
            json!([{ "kind": "connection", "name": "crm", "package": "example/crm@0.1.0" }]),
        ),
    ])
    .await;
    let told = fake.wharf(&["get", "connections"]).await;
    assert_eq!(told.out, "NAME  PACKAGE\ncrm   example/crm@0.1.0\n");
}

#[tokio::test]
async fn the_operator_is_asked_which_tenant() {
    let fake = Fake::answering(vec![("GET /api/v1/whoami", 200, json!({ "scope": "operator" }))]).await;
    for command in [&["get", "workflow"][..], &["secret", "list"], &["runs", "list"]] {
        let told = fake.wharf(command).await;
        assert_eq!(told.exit, Exit::Usage);
        assert!(told.err.contains("--tenant NAME"), "{}", told.err);
    }
}

#[tokio::test]
async fn get_shows_one_thing_as_yaml_that_can_be_applied_again() {
    let schedule =
        json!({ "kind": "schedule", "name": "nightly", "cron": "0 3 * * *", "workflow": "report" });
    let fake = Fake::answering(vec![
        ("GET /api/v1/tenants/acme/schedules/nightly", 200, schedule.clone()),
        ("GET /api/v1/tenants/acme/schedules", 200, json!([schedule])),
    ])
    .await;
    let told = fake.wharf(&["--tenant", "acme", "get", "schedule", "nightly"]).await;
    let again: serde_json::Value = serde_saphyr::from_str(&told.out).unwrap();
    assert_eq!(again, schedule, "{}", told.out);
    let listed = fake.wharf(&["--tenant", "acme", "get", "schedules"]).await;
    assert_eq!(listed.out, "NAME     CRON       WORKFLOW\nnightly  0 3 * * *  report\n");
}

#[tokio::test]
async fn a_name_cannot_leave_its_place_in_the_path() {
    let fake = Fake::answering(vec![]).await;
    let told = fake.wharf(&["--tenant", "acme", "delete", "connection", "../../tokens"]).await;
    assert_eq!(told.exit, Exit::Usage);
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn delete_says_what_is_gone() {
    let fake = Fake::answering(vec![
        (
            "DELETE /api/v1/tenants/acme/workflows/intake",
            200,
            json!({ "kind": "workflow", "name": "intake", "action": "deleted" }),
        ),
        (
            "DELETE /api/v1/tenants/acme",
            200,
            json!({ "kind": "tenant", "name": "acme", "action": "deleted" }),
        ),
    ])
    .await;
    let told = fake.wharf(&["--tenant", "acme", "delete", "workflow", "intake"]).await;
    assert_eq!((told.exit, told.out.as_str()), (Exit::Done, "workflow intake: deleted\n"));
    assert_eq!(fake.wharf(&["tenant", "delete", "acme"]).await.out, "tenant acme: deleted\n");
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page() {
    let fake = Fake::answering(vec![
        (
            "GET /api/v1/tenants",
            200,
            json!({ "link": "<?after=a%2Db&limit=1>; rel=\"next\"", "items": [{ "name": "a-b", "concurrency": 8 }] }),
        ),
        ("GET /api/v1/tenants?after=a-b", 200, json!([{ "name": "c" }])),
    ])
    .await;
    assert_eq!(fake.wharf(&["tenant", "list"]).await.out, "NAME  CONCURRENCY\na-b   8\nc\n");
}

#[tokio::test]
async fn what_cannot_be_used_says_so_and_stays_applicable() {
    let broken = json!({ "kind": "connection", "name": "crm", "package": "example/crm@0.1.0", "error": "no such package" });
    let fake = Fake::answering(vec![
        ("GET /api/v1/tenants/acme/connections/crm", 200, broken.clone()),
        ("GET /api/v1/tenants/acme/connections", 200, json!([broken])),
    ])
    .await;
    let told = fake.wharf(&["--tenant", "acme", "get", "connection", "crm"]).await;
    assert!(!told.out.contains("error"), "{}", told.out);
    assert_eq!(told.err, "it cannot be used: no such package\n");
    let listed = fake.wharf(&["--tenant", "acme", "get", "connections"]).await;
    assert!(listed.out.contains("ERROR") && listed.out.contains("no such package"), "{}", listed.out);
}

#[tokio::test]
async fn a_tenant_is_created_or_keeps_what_is_not_named() {
    let fake = Fake::answering(vec![
        ("GET /api/v1/tenants/new", 404, json!({ "status": 404, "code": "not-found", "detail": "absent" })),
        ("PUT /api/v1/tenants/new", 201, json!({ "kind": "tenant", "name": "new", "action": "created" })),
        (
            "GET /api/v1/tenants/acme",
            200,
            json!({ "kind": "tenant", "name": "acme", "bounds": { "fuel": 7 } }),
        ),
        ("PUT /api/v1/tenants/acme", 200, json!({ "kind": "tenant", "name": "acme", "action": "updated" })),
    ])
    .await;
    assert_eq!(fake.wharf(&["tenant", "create", "new"]).await.out, "tenant new: created\n");
    assert_eq!(fake.asked()[1].json(), json!({ "name": "new" }));
    let told = fake.wharf(&["tenant", "create", "acme", "--concurrency", "8"]).await;
    assert_eq!(told.out, "tenant acme: updated\n");
    let put = fake.asked()[3].json();
    assert_eq!((&put["bounds"]["fuel"], &put["concurrency"]), (&json!(7), &json!(8)));
}

#[tokio::test]
async fn an_endpoint_is_called_and_a_connection_tested_by_hand() {
    let call = "POST /api/v1/tenants/acme/connections/crm/call/create-lead";
    let report = json!({
        "outcome": { "outcome": "trapped", "value": "unreachable" },
        "usage": { "wall-us": 1_500, "fuel": 61_000 },
        "log": [{ "time": "2026-11-21T03:00:00Z", "level": "error", "text": "panicked" }],
    });
    let fake = Fake::answering(vec![
        (call, 200, json!({ "id": "lead-1" })),
        ("POST /api/v1/tenants/acme/connections/crm/check", 200, json!({ "answer": "connected to Acme" })),
        ("POST /api/v1/tenants/acme/connections/crm/call/create-lead?report=true", 200, report),
    ])
    .await;
    let wharf = ["--tenant", "acme", "call", "crm"];
    let called = fake.wharf(&[&wharf[..], &["create-lead", "--data", "{\"email\":1}"]].concat()).await;
    assert_eq!((called.exit, called.out.as_str()), (Exit::Done, "{\"id\":\"lead-1\"}\n"));
    assert_eq!(fake.asked()[0].body, "{\"email\":1}");

    let tested = fake.wharf(&[&wharf[..], &["--check"]].concat()).await;
    assert_eq!(tested.out, "connection crm: connected to Acme\n");

    let told = fake.wharf(&[&wharf[..], &["create-lead", "--report"]].concat()).await;
    assert_eq!(told.exit, Exit::Failed, "a report of a failure is one");
    assert!(told.out.contains("1.5 ms, 61 k fuel"), "{}", told.out);
    assert!(told.out.ends_with("log   error: panicked\ngave  crashed: unreachable\n"), "{}", told.out);

    assert!(refused(&["call", "crm"]).contains("ENDPOINT"));
}

#[tokio::test]
async fn a_tokens_text_is_all_that_reaches_the_output() {
    let fake =
        Fake::answering(vec![("POST /api/v1/tokens", 201, json!({ "id": TOKEN, "token": "wharf_x_y" }))])
            .await;
    let told = fake.wharf(&["token", "create", "--tenant", "acme", "--role", "viewer", "--note", "ci"]).await;
    assert_eq!(told.out, "wharf_x_y\n");
    assert_eq!(
        fake.asked()[0].json(),
        json!({ "tenant": "acme", "role": "viewer", "limits": null, "expires-in-s": null, "note": "ci" })
    );

    fake.wharf(&["--tenant", "acme", "token", "create", "--role", "operator"]).await;
    assert_eq!(
        fake.asked()[1].json(),
        json!({ "tenant": null, "role": "operator", "limits": null, "expires-in-s": null, "note": "" })
    );

    let service = ["--tenant", "acme", "token", "create", "--role", "service", "--workflow", "intake"];
    fake.wharf(
        &[&service[..], &["--workflow", "report", "--connection", "crm", "--expires-in", "7d"]].concat(),
    )
    .await;
    let limits = json!({ "workflows": ["intake", "report"], "connections": ["crm"] });
    let asked = json!({ "tenant": "acme", "role": "service", "limits": limits,
                         "expires-in-s": 604_800, "note": "" });
    assert_eq!(fake.asked()[2].json(), asked);
}

#[tokio::test]
async fn a_token_is_rotated_and_its_new_text_is_all_that_is_printed() {
    let path = format!("/api/v1/tokens/{TOKEN}/rotate");
    let route: &'static str = format!("POST {path}").leak();
    let fake = Fake::answering(vec![(route, 200, json!({ "id": TOKEN, "token": "wharf_x_z" }))]).await;
    let told = fake.wharf(&["token", "rotate", TOKEN, "--overlap", "24h"]).await;
    assert_eq!((told.exit, told.out.as_str()), (Exit::Done, "wharf_x_z\n"));
    assert_eq!(fake.asked()[0].json(), json!({ "overlap-s": 86_400 }));
    assert!(refused(&["token", "rotate", TOKEN]).contains("--overlap"));
    assert!(refused(&["token", "rotate", TOKEN, "--overlap", "soon"]).contains("how long"));
}

#[tokio::test]
async fn a_forgotten_tenant_makes_no_operators_token() {
    let fake = Fake::answering(vec![("GET /api/v1/whoami", 200, json!({ "scope": "operator" }))]).await;
    let told = fake.wharf(&["token", "create", "--role", "admin"]).await;
    assert_eq!(told.exit, Exit::Usage);
    assert!(told.err.contains("--role operator"), "{}", told.err);
    assert!(refused(&["token", "create", "--tenant", "acme"]).contains("--role"), "nor a forgotten role");
    assert_eq!(fake.lines(), ["GET /api/v1/whoami"]);
}

#[tokio::test]
async fn tokens_are_listed_without_their_text() {
    let fake = Fake::answering(vec![(
        "GET /api/v1/tokens",
        200,
        json!([
            { "id": TOKEN, "scope": "tenant", "tenant": "acme", "role": "admin", "note": "ci", "created-at": "2026-11-21T03:00:00Z",
              "last-used-at": "2026-11-21T04:00:00Z" },
            { "id": TOKEN, "scope": "operator", "role": "operator", "note": "", "created-at": "2026-11-21T03:00:00Z" },
        ]),
    )])
    .await;
    let told = fake.wharf(&["token", "list"]).await;
    assert_eq!(
        told.out,
        format!(
            "TOKEN                           TENANT  ROLE      MADE                  LAST USED             ENDS  NOTE\n\
             {TOKEN}  acme    admin     2026-11-21 03:00 UTC  2026-11-21 04:00 UTC  -     ci\n\
             {TOKEN}  -       operator  2026-11-21 03:00 UTC  -                     -\n"
        )
    );
}

#[tokio::test]
async fn a_secret_comes_from_a_pipe_or_a_file_and_is_never_printed() {
    let fake = Fake::answering(vec![("PUT /api/v1/tenants/acme/secrets/crm-token", 204, json!(null))]).await;
    let set = ["--tenant", "acme", "secret", "set", "crm-token"];
    let piped = fake.wharf_reading("hush\n", &set).await;
    assert_eq!((piped.exit, piped.out.as_str()), (Exit::Done, "secret crm-token: stored\n"));

    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hush hush\r\n").unwrap();
    let path = file.path().to_str().unwrap();
    let filed = fake.wharf(&[&set[..], &["--value-file", path, "--json"]].concat()).await;
    assert!(!format!("{}{}", filed.out, filed.err).contains("hush"));

    let values: Vec<_> = fake.asked().iter().map(|asked| asked.json()["value"].clone()).collect();
    assert_eq!(values, ["hush", "hush hush"]);
}

#[tokio::test]
async fn a_secret_is_no_argument_and_not_nothing() {
    let said = refused(&["secret", "set", "crm-token", "hush"]);
    assert!(said.contains("unexpected argument 'hush'"), "{said}");

    let fake = Fake::answering(vec![]).await;
    let told = fake.wharf_reading("\n", &["--tenant", "acme", "secret", "set", "crm-token"]).await;
    assert_eq!(told.exit, Exit::Usage);
    assert!(fake.asked().is_empty());
}

#[tokio::test]
async fn secrets_are_listed_by_name() {
    let fake =
        Fake::answering(vec![("GET /api/v1/tenants/acme/secrets", 200, json!(["crm-token", "mail-key"]))])
            .await;
    assert_eq!(fake.wharf(&["--tenant", "acme", "secret", "list"]).await.out, "crm-token\nmail-key\n");
}

#[tokio::test]
async fn publish_sends_the_component_as_it_is() {
    let fake = Fake::answering(vec![
        (
            "POST /api/v1/packages",
            201,
            json!({ "package": "example/crm@0.1.0", "digest": DIGEST, "created": true }),
        ),
        (
            "GET /api/v1/packages",
            200,
            json!([{ "package": "example/crm@0.1.0", "digest": DIGEST, "world": "connector", "summary": "A CRM" }]),
        ),
    ])
    .await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "\0asm bytes").unwrap();
    let told = fake.wharf(&["publish", file.path().to_str().unwrap()]).await;
    assert_eq!(told.out, format!("package example/crm@0.1.0: published, {DIGEST}\n"));
    assert_eq!(fake.asked()[0].body, "\0asm bytes");
    assert_eq!(fake.asked()[0].headers["content-type"], "application/wasm");

    let listed = fake.wharf(&["packages"]).await;
    let last = listed.out.lines().last().unwrap_or_default();
    let columns: Vec<_> = last.split_whitespace().collect();
    assert_eq!(
        columns,
        ["example/crm@0.1.0", "connector", "e3b0c44298fc", "-", "A", "CRM"],
        "nobody signed it"
    );
}

#[tokio::test]
async fn the_audit_log_is_listed_for_people_exported_as_it_is_and_compared_with_heads_that_were_kept() {
    let entry = json!({ "chain": "acme", "seq": 2, "prev": DIGEST, "at": "2026-01-31T08:00:00Z",
        "by": { "token": { "id": TOKEN, "role": "admin", "note": "ada" } }, "from": "203.0.113.9",
        "operation": "put_secret", "kind": "secret", "name": "a\u{1b}[2J", "outcome": "refused", "times": 7 });
    let line_digest = host_model::digest::Digest::of(entry.to_string().as_bytes());
    let fake = Fake::answering(vec![
        ("GET /api/v1/audit?tenant=acme&kind=secret&limit=50", 200, json!([entry])),
        ("GET /api/v1/audit?tenant=%21&limit=50", 200, json!([])),
        ("GET /api/v1/audit/export?tenant=acme", 200, entry.clone()),
        ("GET /api/v1/audit/export?tenant=acme&after=1", 200, entry.clone()),
        (
            "GET /api/v1/audit/heads",
            200,
            json!([{ "chain": "acme", "seq": 2, "digest": line_digest, "at": "2026-01-31T08:00:00Z", "first": 1, "anchor": DIGEST }]),
        ),
        ("GET /api/v1/audit/verify", 200, json!([{ "chain": "acme", "entries": 2 }])),
    ])
    .await;
    let listed = fake.wharf(&["--tenant", "acme", "audit", "list", "--kind", "secret"]).await.out;
    assert!(listed.contains(&format!("ada ({TOKEN})")) && listed.contains("refused 7 times"), "{listed}");
    assert!(!listed.contains('\u{1b}'), "{listed}");
    assert_eq!(fake.wharf(&["audit", "list", "--host"]).await.exit, Exit::Done);

    let head = fake.wharf(&["audit", "head"]).await.out;
    assert_eq!(head, format!("acme 2 {line_digest}\n"));
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("heads");
    let verify = ["audit", "verify", "--heads", kept.to_str().unwrap()];
    for (text, exit, want) in [
        (format!("{head}\n"), Exit::Done, ""),
        (format!("acme 2 {DIGEST}"), Exit::Failed, "acme: entry 2 is not the one that was there"),
        (format!("globex 9 {DIGEST}"), Exit::Failed, "the whole chain is gone, which had 9 entries"),
        ("nonsense".to_owned(), Exit::Failed, "is not a line of `wharf audit head`"),
    ] {
        std::fs::write(&kept, text).unwrap();
        let told = fake.wharf(&verify).await;
        assert_eq!(told.exit, exit, "{}", told.err);
        assert!(told.err.contains(want), "{}", told.err);
    }
}
