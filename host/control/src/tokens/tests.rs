//! Tokens in a store in memory, under a clock that stands still.

use host_model::clock::SimClock;
use host_model::digest::Digest;
use host_store::MemoryStore;

use super::failures::{BURST, REGAIN};
use super::*;
use crate::access::Role;

struct World {
    tokens: Tokens,
    clock: SimClock,
    store: Arc<MemoryStore>,
}

fn world() -> World {
    let (store, clock) = (Arc::new(MemoryStore::new()), SimClock::at(Timestamp::UNIX_EPOCH));
    World { tokens: tokens(store.clone(), &clock), clock, store }
}

fn tokens(store: Arc<MemoryStore>, clock: &SimClock) -> Tokens {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let audit = Audit::new(store.clone(), Arc::clone(&clock), host_audit::Settings::default());
    Tokens::new(store, clock, Arc::new(audit))
}

fn host() -> Act {
    Act::of_host("test")
}

fn acme(role: Role) -> NewToken {
    NewToken::lasting(Scope::of("acme".parse().unwrap(), role), "ci")
}

impl World {
    async fn enters(&self, text: &str) -> bool {
        // From an address of its own: these are not about failures.
        let from = <[u8; 16]>::try_from(&Digest::of(text.as_bytes()).as_bytes()[..16]).unwrap();
        match self.tokens.enter(text, Some(from.into())).await {
            Ok(_) => true,
            Err(NoEntry::Unknown) => false,
            Err(other) => panic!("{other}"),
        }
    }

    async fn version(&self, id: TokenId) -> Version {
        self.store.get(&slot(id)).await.unwrap().unwrap().version
    }
}

#[tokio::test]
async fn the_operators_first_token_is_made_once() {
    let World { tokens, .. } = world();
    let text = tokens.bootstrap().await.unwrap().expect("the first start makes one");
    assert!(tokens.bootstrap().await.unwrap().is_none());
    let token = tokens.enter(text.reveal_once(), None).await.unwrap();
    assert_eq!(token.scope, Scope::Operator);
    tokens.delete(token.id, &host()).await.unwrap();
    assert!(tokens.bootstrap().await.unwrap().is_none(), "not even after it was deleted");
}

#[tokio::test]
async fn a_token_is_found_by_its_whole_text_until_it_is_deleted() {
    let world = world();
    let (token, text) = world.tokens.create(acme(Role::Admin), &host()).await.unwrap();
    let text = text.reveal_once();
    assert_eq!(text.len(), "wharf_".len() + 26 + 1 + 43);
    assert_eq!(world.tokens.enter(text, None).await.unwrap(), token);

    let last = if text.ends_with('A') { "B" } else { "A" };
    let forged = format!("{}{last}", &text[..text.len() - 1]);
    for bad in ["", "wharf_", forged.as_str(), &text[6..], &text.to_lowercase(), &text[..text.len() - 1]] {
        assert!(!world.enters(bad).await, "{bad}");
    }
    assert!(world.tokens.delete(token.id, &host()).await.unwrap());
    assert!(!world.enters(text).await);
    assert!(!world.tokens.delete(token.id, &host()).await.unwrap());
}

#[tokio::test]
async fn neither_the_store_nor_a_listing_nor_a_log_has_a_usable_token() {
    let World { tokens, store, .. } = world();
    let (token, first) = tokens.create(NewToken::lasting(Scope::Operator, ""), &host()).await.unwrap();
    let (_, second) = tokens.rotate(token.id, Duration::from_secs(60), &host()).await.unwrap().unwrap();
    let stored = store.scan(b"", None, 1_000).await.unwrap();
    let kept: String = stored.iter().map(|entry| String::from_utf8_lossy(&entry.value)).collect();
    let listed = serde_json::to_string(&tokens.list(None, None, 10).await.unwrap()).unwrap();
    assert!(!listed.contains("sha256"), "{listed}");
    for text in [first, second] {
        let secret = text.reveal_once().rsplit_once('_').unwrap().1;
        assert!(!kept.contains(secret) && !listed.contains(secret), "{kept} {listed}");
        assert!(!format!("{text:?}").contains(secret));
    }
}

#[tokio::test]
async fn a_persons_logins_are_bounded_and_go_when_they_are_over() {
    let world = world();
    let login = |subject: &str, scope: Scope| NewToken {
        subject: Some(subject.to_owned()),
        lasts: Some(Duration::from_secs(60)),
        ..NewToken::lasting(scope, "ada")
    };
    let of_acme = || Scope::of("acme".parse().unwrap(), Role::Viewer);
    for scope in [Scope::Operator, of_acme()] {
        let (theirs, _) = world.tokens.create(login("oidc:corp:bob", scope.clone()), &host()).await.unwrap();
        let (own, _) = world.tokens.create(NewToken::lasting(scope.clone(), "ci"), &host()).await.unwrap();
        let mut made = Vec::new();
        for _ in 0..MAX_OF_PERSON + 2 {
            let (token, text) =
                world.tokens.create(login("oidc:corp:ada", scope.clone()), &host()).await.unwrap();
            made.push((token.id, text));
            world.clock.advance(Duration::from_millis(1));
        }
        for (place, (_, text)) in made.iter().enumerate() {
            assert_eq!(world.enters(text.reveal_once()).await, place >= 2, "{place}: the oldest ended");
        }
        for other in [theirs.id, own.id] {
            assert!(world.tokens.show(other).await.unwrap().is_some(), "nobody else's");
        }
        world.clock.advance(Duration::from_secs(61));
        world.tokens.create(login("oidc:corp:ada", scope), &host()).await.unwrap();
        assert!(world.tokens.show(made[5].0).await.unwrap().is_none(), "over, and gone");
        assert!(world.tokens.show(theirs.id).await.unwrap().is_none());
        assert!(world.tokens.show(own.id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_token_ends_at_its_time_and_is_removed_later() {
    let world = world();
    let wanted = NewToken { lasts: Some(Duration::from_secs(3_600)), ..acme(Role::Viewer) };
    let (token, text) = world.tokens.create(wanted, &host()).await.unwrap();
    assert_eq!(token.expires_at, Some(Timestamp::UNIX_EPOCH + TimeDelta::hours(1)));
    world.clock.advance(Duration::from_secs(3_599));
    assert!(world.enters(text.reveal_once()).await);
    world.clock.advance(Duration::from_secs(1));
    assert!(!world.enters(text.reveal_once()).await, "not at the instant itself");
    world.clock.advance(Duration::from_secs(8 * 86_400));
    world.tokens.create(acme(Role::Viewer), &host()).await.unwrap();
    assert!(world.tokens.show(token.id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_rotated_tokens_old_text_is_good_until_the_overlap_ends() {
    let world = world();
    let (token, first) = world.tokens.create(acme(Role::Developer), &host()).await.unwrap();
    let day = Duration::from_secs(86_400);
    let (same, second) = world.tokens.rotate(token.id, day, &host()).await.unwrap().unwrap();
    assert_eq!(same.id, token.id);
    assert!(world.enters(first.reveal_once()).await && world.enters(second.reveal_once()).await);
    world.clock.advance(day);
    assert!(!world.enters(first.reveal_once()).await && world.enters(second.reveal_once()).await);

    let (_, third) = world.tokens.rotate(token.id, day, &host()).await.unwrap().unwrap();
    let (_, fourth) = world.tokens.rotate(token.id, Duration::ZERO, &host()).await.unwrap().unwrap();
    for gone in [&first, &second, &third] {
        assert!(!world.enters(gone.reveal_once()).await, "without overlap nothing older is good");
    }
    assert!(world.enters(fourth.reveal_once()).await);
    world.tokens.delete(token.id, &host()).await.unwrap();
    assert!(world.tokens.rotate(token.id, day, &host()).await.unwrap().is_none());
}

#[tokio::test]
async fn the_last_use_is_written_once_a_minute_at_most() {
    let world = world();
    let (token, text) = world.tokens.create(acme(Role::Admin), &host()).await.unwrap();
    let mut versions = BTreeSet::new();
    for _ in 0..60 {
        assert!(world.enters(text.reveal_once()).await);
        versions.insert(world.version(token.id).await);
        world.clock.advance(Duration::from_secs(2));
    }
    assert_eq!(versions.len(), 2, "two minutes, two writes");
    let last = world.tokens.show(token.id).await.unwrap().unwrap().last_used_at.unwrap();
    let now = world.clock.now();
    assert!(now - last <= USE_EVERY + TimeDelta::seconds(2), "{last} {now}");
}

#[tokio::test]
async fn uses_at_once_write_once_and_revive_no_deleted_token() {
    let world = world();
    let (token, text) = world.tokens.create(acme(Role::Admin), &host()).await.unwrap();
    let before = world.version(token.id).await;
    let uses = (0..50).map(|_| world.enters(text.reveal_once()));
    assert!(futures::future::join_all(uses).await.into_iter().all(|entered| entered));
    assert_eq!(world.version(token.id).await, before + 1);

    let (record, version) = world.tokens.read(token.id).await.unwrap().unwrap();
    world.tokens.delete(token.id, &host()).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    world.tokens.used(record, version, world.clock.now()).await;
    assert!(world.tokens.show(token.id).await.unwrap().is_none());
}

#[tokio::test]
async fn who_shows_too_many_tokens_that_are_none_waits_and_nobody_else_does() {
    let world = world();
    let (_, good) = world.tokens.create(acme(Role::Admin), &host()).await.unwrap();
    let (stranger, friend) = (Some([203, 0, 113, 9].into()), Some([203, 0, 113, 10].into()));
    for _ in 0..BURST {
        let entry = world.tokens.enter("wharf_garbage", stranger).await;
        assert!(matches!(entry, Err(NoEntry::Unknown)), "{entry:?}");
    }
    let entry = world.tokens.enter(good.reveal_once(), stranger).await;
    assert!(matches!(entry, Err(NoEntry::TooMany(wait)) if wait == REGAIN.to_std().unwrap()), "{entry:?}");
    world.tokens.enter(good.reveal_once(), friend).await.expect("a stranger locks nobody else out");
    world.clock.advance(REGAIN.to_std().unwrap());
    world.tokens.enter(good.reveal_once(), stranger).await.expect("after the wait");
}

#[tokio::test]
async fn a_record_from_before_there_were_roles_is_an_admins_and_does_not_expire() {
    let world = world();
    let id: TokenId = "tok_01JD0000000000000000000000".parse().unwrap();
    let secret = "A".repeat(43);
    let old = format!(
        r#"{{"token":{{"id":"{id}","scope":"tenant","tenant":"acme","note":"ci","created-at":"2025-01-01T00:00:00Z"}},"secret_sha256":"{}"}}"#,
        Digest::of(secret.as_bytes())
    );
    world.store.commit(Commit::default().put(slot(id), old)).await.unwrap();
    let text = format!("wharf_01JD0000000000000000000000_{secret}");
    let token = world.tokens.enter(&text, None).await.unwrap();
    assert_eq!(token.scope, Scope::of("acme".parse().unwrap(), Role::Admin));
    assert_eq!((token.expires_at, token.last_used_at), (None, None));

    let old =
        r#"{"id":"tok_01JD0000000000000000000001","scope":"operator","created-at":"2025-01-01T00:00:00Z"}"#;
    let token: Token = serde_json::from_str(old).unwrap();
    assert_eq!(token.scope, Scope::Operator);
    let told = serde_json::to_value(&token).unwrap();
    assert_eq!((&told["scope"], &told["role"]), (&"operator".into(), &"operator".into()));
}

#[tokio::test]
async fn a_tenant_has_so_many_tokens_and_no_more() {
    let World { tokens, .. } = world();
    for _ in 0..MAX_OF_TENANT {
        let (_, _, commit) = tokens.mint(acme(Role::Viewer)).unwrap();
        tokens.store.commit(commit).await.unwrap();
    }
    assert!(matches!(tokens.create(acme(Role::Viewer), &host()).await, Err(TokenError::TooMany(_))));
    let globex = NewToken::lasting(Scope::of("globex".parse().unwrap(), Role::Viewer), "");
    tokens.create(globex, &host()).await.expect("another tenant's do not count");
}
