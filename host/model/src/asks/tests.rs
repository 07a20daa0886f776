use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::grants::{Asking, Origin};

fn manifest(grants: &str) -> Manifest {
    let text = format!(
        "name = \"example/crm\"\nversion = \"0.1.0\"\nworld = \"connector\"\n[endpoints.go]\ndirection = \"outbound\"\n\
         [config.base-url]\nkind = \"url\"\ndefault = \"https://usual.example\"\n{grants}"
    );
    Manifest::parse(text.as_bytes()).unwrap()
}

fn connection(more: Value) -> ConnectionSpec {
    let mut spec = json!({ "name": "crm", "package": "example/crm@0.1.0" });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(spec).unwrap()
}

fn words(asks: &BTreeSet<Ask>) -> Vec<String> {
    asks.iter().map(ToString::to_string).collect()
}

#[test]
fn each_thing_that_a_package_asks_for_is_told_in_words() {
    let manifest = manifest(
        r#"
[credentials.key]
place = { header = "x-key" }
hosts = ["{base-url}"]
[grants]
http = ["{base-url}", { origin = "https://*.a.example", methods = ["POST", "GET"], paths = ["/v2", "/"] }]
smtp = ["smtp://mail.example.com:2525"]
kv = true
"#,
    );
    let spec = connection(json!({ "credentials": { "key": { "secret": "crm-key" } } }));
    assert_eq!(
        words(&asks(&manifest, &spec)),
        [
            "send any request to https://usual.example",
            "send GET requests to https://*.a.example/…",
            "send GET requests to https://*.a.example/v2/…",
            "send POST requests to https://*.a.example/…",
            "send POST requests to https://*.a.example/v2/…",
            "send mail through smtp://mail.example.com:2525",
            "keep values",
            "have the secret `crm-key` sent to https://usual.example",
        ]
    );
    let elsewhere = connection(json!({ "config": { "base-url": "http://127.0.0.1:9101/v1" } }));
    let told = words(&asks(&manifest, &elsewhere));
    assert!(told.contains(&"send any request to http://127.0.0.1:9101".to_owned()), "{told:?}");
    assert!(!told.iter().any(|words| words.contains("secret")), "no secret, nothing to send: {told:?}");
}

#[test]
fn whoever_gives_tokens_gets_the_clients_secret_and_is_told_of() {
    let manifest = manifest(
        r#"
[credentials.app]
place = { oauth2 = { flow = "client-credentials", token-url = "{base-url}/token", client-id = "me" } }
hosts = ["https://api.example"]
[grants]
http = ["https://api.example"]
"#,
    );
    let given = json!({ "credentials": { "app": { "secret": "app-secret" } } });
    let told = words(&asks(&manifest, &connection(given.clone())));
    assert!(
        told.contains(&"have the secret `app-secret` sent to https://usual.example".to_owned()),
        "{told:?}"
    );

    let mut elsewhere = given;
    elsewhere["config"] = json!({ "base-url": "https://evil.example" });
    let (asked, before) = (
        asks(&manifest, &connection(elsewhere)),
        asks(
            &manifest,
            &connection(json!({
                "credentials": { "app": { "secret": "app-secret" } }
            })),
        ),
    );
    let new = words(&beyond(&asked, &before));
    assert_eq!(new, ["have the secret `app-secret` sent to https://evil.example"]);
    assert_eq!(words(&asks(&manifest, &connection(json!({})))), ["send any request to https://api.example"]);
}

#[test]
fn what_a_workflow_calls_is_told_by_role() {
    let manifest = Manifest::parse(
        b"name = \"example/intake\"\nversion = \"0.1.0\"\nworld = \"workflow\"\n[roles.crm]\nendpoints = [\"delete\", \"create\"]\n",
    );
    let told = words(&calls(&manifest.unwrap()));
    assert_eq!(told[1], "call endpoint `delete` of the connection in role `crm`");
    assert_eq!(told.len(), 2);
}

#[test]
fn a_look_alike_host_is_told_as_what_it_is_and_no_control_character_gets_in() {
    let told = |origin: &str| {
        let text = toml::Value::String(origin.to_owned());
        words(&asks(&manifest(&format!("[grants]\nhttp = [{text}]\n")), &connection(json!({}))))
    };
    assert_eq!(told("https://\u{430}pple.example"), ["send any request to https://xn--pple-43d.example"]);
    for hostile in ["https://a.example\u{1b}[2J", "https://a\u{202e}b.example", "https://a.example/\nkeep"] {
        let text = format!("[grants]\nhttp = [{}]\n", toml::Value::String(hostile.to_owned()));
        let manifest = format!("name = \"a/b\"\nversion = \"0.1.0\"\nworld = \"http-proxy\"\n{text}");
        assert!(Manifest::parse(manifest.as_bytes()).is_err(), "{hostile:?}");
    }
}

#[test]
fn a_manifest_that_asks_for_more_than_anybody_reads_is_none() {
    let methods: Vec<_> = (0..32).map(|n| format!("\"M{}\"", "A".repeat(n + 1))).collect();
    let paths: Vec<_> = (0..32).map(|n| format!("\"/p{n}\"")).collect();
    let text = format!(
        "name = \"a/b\"\nversion = \"0.1.0\"\nworld = \"http-proxy\"\n[grants]\nhttp = [{{ origin = \"https://a.example\", methods = [{}], paths = [{}] }}]\n",
        methods.join(","),
        paths.join(",")
    );
    let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("more than 1000 things"), "{error}");
}

#[test]
fn grants_and_what_was_consented_to_beside_them_are_one() {
    let grants: GrantsSpec =
        serde_json::from_value(json!({ "http": ["https://a.example"], "kv": false })).unwrap();
    let more: GrantsSpec = serde_json::from_value(json!({
        "http": [{ "origin": "https://b.example", "methods": ["GET"] }],
        "smtp": ["smtp://mail.example.com"], "kv": true,
    }))
    .unwrap();
    let both = grants.clone().and(&more.asks());
    assert!(beyond(&more.asks(), &both.asks()).is_empty() && beyond(&grants.asks(), &both.asks()).is_empty());
    assert_eq!(beyond(&both.asks(), &grants.asks()), more.asks());
    assert!(both.reaches(&"https://b.example".parse().unwrap()));
    assert!(!both.reaches(&"https://c.example".parse().unwrap()));
}

const ORIGINS: [&str; 7] = [
    "https://a.example",
    "https://*.a.example",
    "https://b.a.example",
    "https://*.b.a.example",
    "https://c.b.a.example",
    "http://a.example",
    "https://a.example:8443",
];
const METHODS: [&str; 3] = ["GET", "POST", "DELETE"];
const PATHS: [&str; 4] = ["/", "/v1", "/v1/leads", "/v10"];

prop_compose! {
    fn rule()(
        origin in proptest::sample::select(&ORIGINS[..]),
        methods in proptest::sample::subsequence(&METHODS[..], 0..3),
        paths in proptest::sample::subsequence(&PATHS[..], 0..3),
    ) -> HttpRule<OriginPattern> {
        let rule = json!({ "origin": origin, "methods": methods, "paths": paths });
        serde_json::from_value(rule).unwrap()
    }
}

fn ask() -> impl Strategy<Value = Ask> {
    let to = || proptest::sample::select(&ORIGINS[..]).prop_map(|text| text.parse().unwrap());
    let secret = proptest::sample::select(&["one", "two"][..]);
    prop_oneof![
        6 => rule().prop_map(|rule| Ask::Http(rule.apart().next().unwrap())),
        1 => Just(Ask::Kv),
        2 => (secret, to()).prop_map(|(name, to)| Ask::Secret { secret: name.parse().unwrap(), to }),
    ]
}

proptest! {
    /// The whole point: no request gets out by what is covered that would not
    /// get out by what covers it.
    #[test]
    fn what_is_covered_lets_nothing_out_that_the_wider_rule_does_not(
        rules in proptest::collection::vec(rule(), 12),
        host in proptest::sample::select(&["a.example", "b.a.example", "c.b.a.example", "x.b.a.example", "xa.example"][..]),
        path in proptest::sample::select(&["/", "/v1", "/v1/leads/7", "/v10", "/v1/../x", "*"][..]),
        methods in proptest::sample::subsequence(&METHODS[..], 1..3),
        elsewhere: bool,
    ) {
        let methods: Vec<http::Method> = methods.into_iter().map(|it| it.parse().unwrap()).collect();
        for url in [format!("https://{host}"), format!("https://{host}:8443"), format!("http://{host}")] {
            let origin = Origin::of(&url.parse().unwrap()).unwrap();
            let asking = Asking { origin: &origin, path, methods: &methods, elsewhere };
for (wide, narrow) in rules.iter().flat_map(|wide| rules.iter().map(move |narrow| (wide, narrow))) {
                let holds = !wide.covers(narrow) || wide.allows(asking) || !narrow.allows(asking);
                prop_assert!(holds, "{wide} {narrow} {url}{path}");
            }
        }
    }

    #[test]
    fn a_rule_is_covered_by_itself_and_covers_its_parts(rule in rule()) {
        prop_assert!(rule.covers(&rule));
        prop_assert_eq!(rule.apart().count(), rule.width());
        for part in rule.apart() {
            prop_assert!(rule.covers(&part) && part.width() == 1);
        }
    }

    #[test]
    fn the_difference_is_all_that_is_missing_and_nothing_that_is_not(
        asked in proptest::collection::btree_set(ask(), 0..8),
        allowed in proptest::collection::btree_set(ask(), 0..8),
    ) {
        let new = beyond(&asked, &allowed);
        for ask in &new {
            prop_assert!(asked.contains(ask) && !allowed.iter().any(|wide| wide.covers(ask)));
        }
        let after: BTreeSet<Ask> = allowed.union(&new).cloned().collect();
        prop_assert!(beyond(&asked, &after).is_empty(), "whoever consents is asked once");
        for one in &new {
            prop_assert!(!new.iter().any(|other| other != one && other.covers(one)), "told once");
        }
    }

    #[test]
    fn an_ask_is_kept_as_it_is(ask in ask()) {
        let text = serde_json::to_string(&ask).unwrap();
        prop_assert_eq!(serde_json::from_str::<Ask>(&text).unwrap(), ask);
    }
}
