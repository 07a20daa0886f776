//! Each command asks the server the right thing and says what came of it.

use host_cli::Exit;
use serde_json::json;

use crate::fake::{Fake, refused};

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const TOKEN: &str = "tok_01K9ZZZZZZZZZZZZZZZZZZZZZZ";

#[tokio::test]
async fn apply_sends_each_file_and_says_what_became_of_it() {
    let fake = Fake::answering(vec![
        (
            "POST /api/v1/apply?file=-&tenant=acme&dry-run=true",
            200,
            json!([{ "kind": "connection", "name": "crm", "action": "created" }]),
        ),
        (
            "POST /api/v1/apply?file=-&tenant=acme",
            200,
            json!([{ "kind": "connection", "name": "crm", "action": "unchanged" }]),
        ),
    ])
    .await;
    let yaml = "kind: connection\nname: crm\n";

    let dry = fake.wharf_reading(yaml, &["--tenant", "acme", "apply", "-f", "-", "--dry-run"]).await;
    assert_eq!((dry.exit, dry.out.as_str()), (Exit::Done, "connection crm: created (dry run)\n"));
    let again = fake.wharf_reading(yaml, &["apply", "--tenant", "acme", "-f", "-"]).await;
    assert_eq!(again.out, "connection crm: unchanged\n");

    let asked = &fake.asked()[0];
    assert_eq!(asked.body, yaml);
    assert_eq!(asked.headers["authorization"], "Bearer wharf_test");
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
        ("DELETE /api/v1/tenants/acme/workflows/intake", 204, json!(null)),
        ("DELETE /api/v1/tenants/acme", 204, json!(null)),
    ])
    .await;
    let told = fake.wharf(&["--tenant", "acme", "delete", "workflow", "intake"]).await;
    assert_eq!((told.exit, told.out.as_str()), (Exit::Done, "workflow intake: deleted\n"));
    assert_eq!(fake.wharf(&["tenant", "delete", "acme"]).await.out, "tenant acme: deleted\n");
}

#[tokio::test]
async fn tenants_are_created_by_name() {
    let fake = Fake::answering(vec![("PUT /api/v1/tenants/acme", 200, json!({ "name": "acme" }))]).await;
    let told = fake.wharf(&["tenant", "create", "acme", "--concurrency", "8"]).await;
    assert_eq!(told.out, "tenant acme: stored\n");
    assert_eq!(fake.asked()[0].json()["concurrency"], 8);
}

#[tokio::test]
async fn a_tokens_text_is_all_that_reaches_the_output() {
    let fake =
        Fake::answering(vec![("POST /api/v1/tokens", 201, json!({ "id": TOKEN, "token": "wharf_x_y" }))])
            .await;
    let told = fake.wharf(&["token", "create", "--tenant", "acme", "--note", "ci"]).await;
    assert_eq!(told.out, "wharf_x_y\n");
    assert_eq!(fake.asked()[0].json(), json!({ "tenant": "acme", "note": "ci" }));

    fake.wharf(&["token", "create", "--operator"]).await;
    assert_eq!(fake.asked()[1].json(), json!({ "tenant": null, "note": "" }));
}

#[tokio::test]
async fn a_forgotten_tenant_makes_no_operators_token() {
    let fake = Fake::answering(vec![("GET /api/v1/whoami", 200, json!({ "scope": "operator" }))]).await;
    let told = fake.wharf(&["token", "create"]).await;
    assert_eq!(told.exit, Exit::Usage);
    assert!(told.err.contains("--operator"), "{}", told.err);
    assert_eq!(fake.lines(), ["GET /api/v1/whoami"]);
}

#[tokio::test]
async fn tokens_are_listed_without_their_text() {
    let fake = Fake::answering(vec![(
        "GET /api/v1/tokens",
        200,
        json!([
            { "id": TOKEN, "scope": "tenant", "tenant": "acme", "note": "ci", "created-at": "2026-11-21T03:00:00Z" },
            { "id": TOKEN, "scope": "operator", "note": "", "created-at": "2026-11-21T03:00:00Z" },
        ]),
    )])
    .await;
    let told = fake.wharf(&["token", "list"]).await;
    assert_eq!(
        told.out,
        format!(
            "TOKEN                           SCOPE     MADE                  NOTE\n\
             {TOKEN}  acme      2026-11-21 03:00 UTC  ci\n\
             {TOKEN}  operator  2026-11-21 03:00 UTC\n"
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
            json!([{ "package": "example/crm@0.1.0", "digest": DIGEST, "summary": "A CRM" }]),
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
    assert!(listed.out.ends_with("example/crm@0.1.0  e3b0c44298fc  A CRM\n"), "{}", listed.out);
}
