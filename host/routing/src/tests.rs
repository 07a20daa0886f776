//! Routing as its callers see it.

use std::sync::Arc;

use host_model::bounds::Bounds;
use host_model::digest::Digest;
use host_model::manifest::Manifest;
use host_model::resource::{Connection, Package, TenantSpec, Workflow};
use serde_json::{Value, json};

use crate::{NoRoute, Routes, Snapshot, Target, Wanted};

const TWO_DOORS: &str = r#"
name = "example/shop"
version = "0.1.0"
world = "connector"
[endpoints.order]
direction = "inbound"
[endpoints.refund]
direction = "inbound"
[endpoints.send]
direction = "outbound"
"#;
const ONE_DOOR: &str = r#"
name = "example/web-form"
version = "0.1.0"
world = "connector"
[endpoints.submit]
direction = "inbound"
[endpoints.send]
direction = "outbound"
"#;
const PROXY: &str = "name = 'example/hello'\nversion = '0.1.0'\nworld = 'http-proxy'\n";
const WORKFLOW: &str = "name = 'example/intake'\nversion = '0.1.0'\nworld = 'workflow'\n";

fn package(manifest: &str) -> Package {
    let manifest = Manifest::parse(manifest.as_bytes()).unwrap();
    Package { package: manifest.package(), digest: Digest::of(b""), manifest: Arc::new(manifest) }
}

fn tenant(name: &str, concurrency: Option<u32>) -> TenantSpec {
    serde_json::from_value(json!({ "name": name, "concurrency": concurrency })).unwrap()
}

fn connection(tenant: &str, name: &str, manifest: &str) -> Arc<Connection> {
    let package = package(manifest);
    let spec = serde_json::from_value(json!({ "name": name, "package": package.package })).unwrap();
    Arc::new(Connection::resolve(tenant.parse().unwrap(), spec, package, &Bounds::default()).unwrap())
}

fn workflow(tenant: &str, name: &str, triggers: Value) -> Workflow {
    let package = package(WORKFLOW);
    let spec = json!({ "name": name, "package": package.package, "triggers": triggers });
    let spec = serde_json::from_value(spec).unwrap();
    Workflow::resolve(tenant.parse().unwrap(), spec, package, &Bounds::for_workflows()).unwrap()
}

fn routes() -> Routes {
    let routes = Routes::default();
    routes.replace(Snapshot::build(
        vec![tenant("acme", Some(3)), tenant("bolt", None)],
        vec![
            connection("acme", "shop", TWO_DOORS),
            connection("acme", "form", ONE_DOOR),
            connection("acme", "hello", PROXY),
            connection("gone", "form", ONE_DOOR),
        ],
        vec![
            workflow("acme", "z-all", json!([{ "webhook": { "connection": "form" } }])),
            workflow(
                "acme",
                "leads",
                json!([
                    { "webhook": { "connection": "form", "message": "lead" } },
                    { "webhook": { "connection": "shop" } },
                    { "webhook": { "connection": "form" } },
                ]),
            ),
            workflow("acme", "orders", json!([{ "webhook": { "connection": "form", "message": "order" } }])),
            workflow("bolt", "leads", json!([{ "webhook": { "connection": "form" } }])),
        ],
    ));
    routes
}

/// `endpoint|path` or `proxy|path`.
fn hook(tenant: &str, connection: &str, rest: &str) -> Result<String, NoRoute> {
    let routed = routes().resolve_hook(tenant, connection, rest)?;
    assert_eq!(routed.tenant.as_str(), tenant);
    Ok(match routed.target {
        Target::Endpoint { connection: found, endpoint, path } => {
            assert_eq!(found.name.as_str(), connection);
            format!("{endpoint}|{path}")
        }
        Target::Proxy { path, .. } => format!("proxy|{path}"),
        Target::Workflow(_) => unreachable!("a hook leads to a connection"),
    })
}

#[test]
fn the_first_segment_names_the_endpoint_and_the_rest_is_kept_as_it_came() {
    assert_eq!(hook("acme", "shop", "order"), Ok("order|".into()));
    assert_eq!(hook("acme", "shop", "order/"), Ok("order|".into()));
    assert_eq!(hook("acme", "shop", "refund/a%2Fb//../c"), Ok("refund|a%2Fb//../c".into()));
}

#[test]
fn an_empty_path_means_the_only_inbound_endpoint() {
    assert_eq!(hook("acme", "form", ""), Ok("submit|".into()));
    assert_eq!(hook("acme", "form", "submit"), Ok("submit|".into()));
    assert_eq!(hook("acme", "shop", ""), Err(NoRoute), "two doors: which one?");
    assert_eq!(hook("acme", "form", "/x"), Err(NoRoute), "an empty first segment names nothing");
}

#[test]
fn a_proxy_serves_every_path() {
    assert_eq!(hook("acme", "hello", ""), Ok("proxy|".into()));
    assert_eq!(hook("acme", "hello", "a//b/"), Ok("proxy|a//b/".into()));
}

#[test]
fn whatever_is_missing_the_answer_is_the_same() {
    for (tenant, connection, rest) in [
        ("nobody", "shop", "order"),
        ("acme", "nothing", "order"),
        ("acme", "shop", "nothing"),
        ("acme", "shop", "send"),    // outbound: we call it, the outside does not
        ("acme", "shop", "Order"),   // names have one spelling
        ("acme", "shop", "%6Frder"), // and no other encoding
        ("bolt", "shop", "order"),   // another tenant's
        ("gone", "form", "submit"),  // of a tenant that was deleted
        ("", "", ""),
    ] {
        assert_eq!(hook(tenant, connection, rest), Err(NoRoute), "{tenant}/{connection}/{rest}");
    }
    assert!(routes().resolve_run("acme", "nothing").is_err());
    assert!(routes().resolve_run("bolt", "orders").is_err());
}

#[test]
fn a_run_finds_its_own_tenants_workflow_and_limit() {
    let routed = routes().resolve_run("bolt", "leads").unwrap();
    assert_eq!(routed.concurrency, None);
    let Target::Workflow(workflow) = routed.target else { panic!("a run leads to a workflow") };
    assert_eq!(workflow.tenant.as_str(), "bolt");
    assert_eq!(routes().resolve_run("acme", "leads").unwrap().concurrency.unwrap().get(), 3);
}

#[test]
fn a_message_starts_each_workflow_once_in_order_of_names() {
    let routes = routes();
    let started = |tenant: &str, connection: &str, kind: &str| -> Vec<String> {
        routes
            .workflows_for(&tenant.parse().unwrap(), &connection.parse().unwrap(), kind)
            .into_iter()
            .map(|wanted| format!("{}/{}", wanted.workflow.tenant, wanted.workflow.name))
            .collect()
    };
    assert_eq!(started("acme", "form", "lead"), ["acme/leads", "acme/z-all"]);
    assert_eq!(started("acme", "form", "order"), ["acme/leads", "acme/orders", "acme/z-all"]);
    assert_eq!(started("acme", "shop", "lead"), ["acme/leads"]);
    assert!(started("acme", "hello", "lead").is_empty());
    assert!(started("nobody", "form", "lead").is_empty());
}

#[test]
fn a_message_meets_only_the_triggers_that_take_it_and_a_topic_its_own_tenants_subscribers() {
    let routes = Routes::default();
    let triggers = json!([
        { "webhook": { "connection": "form", "message": "order", "when": "a" } },
        { "webhook": { "connection": "form", "message": "lead", "when": "b" } },
        { "topic": { "name": "leads", "when": "c" } },
        { "webhook": { "connection": "form", "when": "d" } },
    ]);
    routes.replace(Snapshot::build(
        vec![tenant("acme", None), tenant("bolt", None)],
        vec![connection("acme", "form", ONE_DOOR)],
        vec![
            workflow("acme", "leads", triggers),
            workflow("bolt", "theirs", json!([{ "topic": { "name": "leads" } }])),
        ],
    ));
    let told = |wanted: Vec<Wanted>| -> Vec<(String, Vec<String>)> {
        let when = |wanted: &Wanted| {
            wanted.triggers().map(|trigger| trigger.when().unwrap_or_default().to_owned()).collect()
        };
        wanted.iter().map(|wanted| (wanted.workflow.name.to_string(), when(wanted))).collect()
    };
    let (acme, form) = ("acme".parse().unwrap(), "form".parse().unwrap());
    let both = vec![("leads".to_owned(), vec!["b".to_owned(), "d".to_owned()])];
    assert_eq!(told(routes.workflows_for(&acme, &form, "lead")), both);
    let one = vec![("leads".to_owned(), vec!["c".to_owned()])];
    assert_eq!(told(routes.subscribers(&acme, &"leads".parse().unwrap())), one);
    assert!(routes.subscribers(&acme, &"orders".parse().unwrap()).is_empty());
}

#[test]
fn a_new_snapshot_replaces_everything_and_leaves_routed_requests_alone() {
    let routes = routes();
    let (acme, form) = ("acme".parse().unwrap(), "form".parse().unwrap());
    let before = routes.resolve_hook("acme", "form", "").unwrap();
    assert!(routes.tenant(&acme).is_some() && routes.connection(&acme, &form).is_some());
    assert!(routes.workflow(&acme, &"leads".parse().unwrap()).is_some());

    routes.replace(Snapshot::build(vec![tenant("acme", None)], vec![], vec![]));

    assert!(routes.tenant(&acme).is_some() && routes.connection(&acme, &form).is_none());
    assert!(routes.workflow(&acme, &"leads".parse().unwrap()).is_none());
    assert_eq!(before.tenant, acme);
}

#[test]
fn a_version_of_a_package_counts_once_however_often_it_is_named() {
    let routes = routes();
    // Of `acme` three connections, each of another package, and three workflows of one.
    assert_eq!(routes.packages(&"acme".parse().unwrap()), 4);
    assert_eq!(routes.packages(&"bolt".parse().unwrap()), 1);
    assert_eq!(routes.packages(&"nobody".parse().unwrap()), 0);
}
