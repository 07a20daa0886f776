//! Schemas of tenants: written, named by manifests, kept while they are used.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod world;

use serde_json::json;
use world::*;

const INVOICE: &str = "\
kind: schema
name: invoice
version: 1
schema:
  type: object
  required: [number]
  properties:
    number: { type: string }
";
const BOOKS: &str = "---\nkind: connection\nname: books\npackage: example/books@0.1.0\n";

/// A world with a connector that takes `invoice@1`.
async fn with_books() -> World {
    let world = World::new().await;
    let manifest = "name = \"example/books\"\nversion = \"0.1.0\"\nworld = \"connector\"\n\
        [endpoints.book]\ndirection = \"outbound\"\ntakes = \"invoice@1\"\n";
    assert_eq!(world.post("/packages", package(manifest)).await.status, 201);
    world
}

#[tokio::test]
async fn a_schema_is_applied_listed_shown_and_served_at_once() {
    let world = with_books().await;
    let name = "invoice@1".parse().unwrap();
    let acme = "acme".parse().unwrap();
    assert!(world.routes.routes.schema(&acme, &name).is_none());
    // In any order: the connection needs the schema, which comes after it.
    let done = world
        .apply(&format!("{}---\n{INVOICE}", BOOKS.trim_start_matches("---\n")), "tenant=acme")
        .await
        .ok();
    assert_eq!(done[1]["name"], "invoice@1");
    assert_eq!(world.routes.routes.schema(&acme, &name).unwrap().name(), &name);
    assert!(world.routes.routes.schema(&"globex".parse().unwrap(), &name).is_none(), "it is acme's");

    let shown = world.get("/tenants/acme/schemas/invoice@1").await.ok();
    assert_eq!(
        (&shown["name"], &shown["version"], &shown["kind"]),
        (&json!("invoice"), &json!(1), &json!("schema"))
    );
    let again = world.put("/tenants/acme/schemas/invoice@1", shown).await.ok();
    assert_eq!(again["action"], "unchanged");
    assert_eq!(world.get("/tenants/acme/schemas").await.ok().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_shipped_schema_is_everybodys_and_nobodys_to_change() {
    let world = World::new().await;
    let lead = world.get("/tenants/acme/schemas/lead@1").await.ok();
    assert_eq!((&lead["shipped"], &lead["schema"]["title"]), (&json!(true), &json!("A lead")));
    assert!(world.routes.routes.schema(&"acme".parse().unwrap(), &"lead@1".parse().unwrap()).is_some());
    for version in [1, 2] {
        let own = json!({ "name": "lead", "version": version, "schema": {} });
        let detail =
            world.put(&format!("/tenants/acme/schemas/lead@{version}"), own).await.refused(422, "invalid");
        assert!(detail.contains("`lead` is a shipped schema"), "{detail}");
    }
    world.delete("/tenants/acme/schemas/lead@1").await.refused(404, "not-found");
}

#[tokio::test]
async fn a_connector_whose_schema_is_not_there_is_refused_with_the_nearest() {
    let world = with_books().await;
    let said = world.apply(BOOKS, "tenant=acme").await.refused(422, "invalid");
    assert!(said.contains("endpoint `book` takes `invoice@1`, and there is no such schema"), "{said}");
    world.apply(&INVOICE.replace("version: 1", "version: 2"), "tenant=acme").await.ok();
    let said = world.apply(BOOKS, "tenant=acme").await.refused(422, "invalid");
    assert!(said.contains("(did you mean `invoice@2`?)"), "{said}");
}

#[tokio::test]
async fn a_schema_in_use_is_neither_deleted_nor_changed() {
    let world = with_books().await;
    world.apply(&format!("{INVOICE}{BOOKS}"), "tenant=acme").await.ok();
    let detail = world.delete("/tenants/acme/schemas/invoice@1").await.refused(409, "in-use");
    assert!(detail.contains("would break connection `books`"), "{detail}");
    let changed = INVOICE.replace("type: string", "type: number");
    let said = world.apply(&changed, "tenant=acme").await.refused(422, "invalid");
    assert!(said.contains("connection `books` uses it") && said.contains("as version 2"), "{said}");
    world.apply(&changed.replace("version: 1", "version: 2"), "tenant=acme").await.ok();

    world.delete("/tenants/acme/connections/books").await.ok();
    world.apply(&changed, "tenant=acme").await.ok();
    let detail = world.delete("/tenants/acme").await.refused(409, "in-use");
    assert!(detail.contains("2 schemas"), "{detail}");
    for version in [1, 2] {
        world.delete(&format!("/tenants/acme/schemas/invoice@{version}")).await.ok();
    }
    world.delete("/tenants/acme").await.ok();
}

#[tokio::test]
async fn a_schema_that_is_not_accepted_says_why() {
    let world = World::new().await;
    let doubled =
        "  allOf:\n    - properties: { a: { $ref: '#' } }\n    - properties: { a: { $ref: '#' } }\n";
    for (schema, want) in [
        ("  type: txt\n", "at `/type` it is not JSON Schema 2020-12"),
        ("  $ref: https://example.com/x\n", "leads out of the document"),
        (doubled, "subschemas apply to one place"),
    ] {
        let yaml = format!("kind: schema\nname: odd\nversion: 1\nschema:\n{schema}");
        let said = world.apply(&yaml, "tenant=acme").await.refused(422, "invalid");
        assert!(said.contains(" line 1: schema `odd@1`: ") && said.contains(want), "{said}");
    }
    let said = world.apply("kind: schema\nname: odd\nverison: 1\nschema: {}\n", "tenant=acme").await;
    let said = said.refused(422, "invalid");
    assert!(
        said.contains(" line 3: unknown key `verison`") && said.contains("did you mean `version`"),
        "{said}"
    );
}
