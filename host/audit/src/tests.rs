//! Chains in a store in memory: written, searched, cut, and tampered with.

use std::time::Duration;

use chrono::TimeDelta;
use host_model::clock::{SimClock, Timestamp};
use host_store::{Commit, MemoryStore, StoreError};
use proptest::prelude::*;
use serde_json::json;

use super::*;

struct World {
    store: Arc<MemoryStore>,
    clock: SimClock,
    audit: Arc<Audit>,
}

fn world_keeping(settings: Settings) -> World {
    let (store, clock) = (Arc::new(MemoryStore::new()), SimClock::at(Timestamp::UNIX_EPOCH));
    let audit = Audit::new(store.clone(), Arc::new(clock.clone()), settings);
    World { store, clock, audit: Arc::new(audit) }
}

fn world() -> World {
    world_keeping(Settings::default())
}

fn of(tenant: &str) -> Chain {
    Chain::Tenant(tenant.parse().unwrap())
}

fn deed(tenant: &str, name: &str) -> Deed {
    Deed::new(of(tenant), "connection", name)
}

fn by(role: &str) -> Act {
    let id = "tok_01JD0000000000000000000001".parse().unwrap();
    let by = Actor::Token { id, role: role.to_owned(), note: "ada".to_owned() };
    Act::new(by, Some([203, 0, 113, 9].into()), RequestId::new([7; 8]), "put_connection")
}

fn all() -> Search {
    let (since, until, actor, operation, kind, name, after) = Default::default();
    Search { which: Which::All, since, until, actor, operation, kind, name, after, limit: 100 }
}

impl World {
    async fn write(&self, tenant: &str, name: &str) {
        self.audit.record(&by("operator"), deed(tenant, name), Outcome::Done).await.unwrap();
    }

    /// Names of what is found, newest first, through pages of this length.
    async fn names(&self, search: Search, page: usize) -> Vec<String> {
        let mut search = Search { limit: page, ..search };
        let mut names = Vec::new();
        loop {
            let found = self.audit.search(&search).await.unwrap();
            assert!(found.entries.len() <= page);
            names.extend(found.entries.into_iter().map(|entry| format!("{}/{}", entry.chain, entry.name)));
            let Some(next) = found.next else { return names };
            assert_eq!(next.to_string().parse(), Ok(next.clone()));
            search.after = Some(next);
        }
    }

    async fn broken(&self, tenant: &str) -> Option<u64> {
        let verified = self.audit.verify(&Which::One(of(tenant))).await.unwrap();
        verified[0].broken.as_ref().map(|broken| broken.seq)
    }

    async fn change(&self, commit: Commit) {
        self.store.commit(commit).await.unwrap();
    }

    async fn line(&self, tenant: &str, seq: u64) -> String {
        let entry = self.store.get(&of(tenant).entry(seq)).await.unwrap().unwrap();
        String::from_utf8(entry.value.to_vec()).unwrap()
    }
}

#[tokio::test]
async fn a_change_and_its_entry_are_one_commit_and_a_refused_change_leaves_none() {
    let World { store, audit, .. } = world();
    let deeds = || vec![deed("acme", "crm").change(None, Some(json!({ "a": 1 })))];
    let make = || Commit::default().absent("thing").put("thing", "x");
    let act = by("operator");
    audit.commit(&act, deeds(), make()).await.unwrap();
    assert!(act.is_settled());
    let version = async |key: &[u8]| store.get(key).await.unwrap().map(|entry| entry.version);
    assert_eq!(version(b"thing").await, version(&of("acme").entry(1)).await);
    let again = audit.commit(&by("operator"), deeds(), make()).await;
    assert!(matches!(again, Err(StoreError::Conflict)));
    assert_eq!(version(&of("acme").entry(2)).await, None);
}

#[tokio::test]
async fn writers_at_once_also_of_two_hosts_make_one_chain_without_a_gap() {
    let world = world();
    let other = Arc::new(Audit::new(world.store.clone(), Arc::new(world.clock.clone()), Settings::default()));
    let tasks = TaskTracker::new();
    for place in 0..40 {
        let audit = Arc::clone(if place % 2 == 0 { &world.audit } else { &other });
        tasks.spawn(async move {
            let deeds = vec![deed("acme", "a"), deed("globex", "g"), deed("acme", "b")];
            let key = format!("thing-{place}");
            audit.commit(&by("operator"), deeds, Commit::default().put(key, "x")).await.unwrap();
        });
    }
    tasks.close();
    tasks.wait().await;
    for (tenant, entries) in [("acme", 80), ("globex", 40)] {
        let verified = world.audit.verify(&Which::One(of(tenant))).await.unwrap();
        assert_eq!((verified[0].entries, &verified[0].broken), (entries, &None));
    }
}

#[tokio::test]
async fn a_search_goes_newest_first_through_all_chains_page_by_page() {
    let world = world();
    let mut written = Vec::new();
    for place in 0..30 {
        let tenant = ["acme", "globex", "initech"][place % 3];
        world.write(tenant, &format!("c{place}")).await;
        written.insert(0, format!("{tenant}/c{place}"));
        world.clock.advance(Duration::from_secs(1));
    }
    for page in [1, 7, 100] {
        assert_eq!(world.names(all(), page).await, written, "pages of {page}");
    }
    let at = |second| Timestamp::UNIX_EPOCH + TimeDelta::seconds(second);
    let between = Search { since: Some(at(10)), until: Some(at(20)), ..all() };
    assert_eq!(world.names(between, 3).await, written[10..20]);
    let one = Search { which: Which::One(of("globex")), name: Some("c4".to_owned()), ..all() };
    assert_eq!(world.names(one, 3).await, ["globex/c4"]);
    for (actor, found) in [("ada", 30), ("tok_01JD0000000000000000000001", 30), ("host", 0)] {
        let by = Search { actor: Some(actor.to_owned()), ..all() };
        assert_eq!(world.names(by, 100).await.len(), found, "{actor}");
    }
}

#[tokio::test]
async fn entries_of_one_instant_are_each_found_once() {
    let world = world();
    for place in 0..9 {
        world.write(["acme", "globex"][place % 2], &format!("c{place}")).await;
    }
    let mut names = world.names(all(), 2).await;
    assert_eq!(names.len(), 9);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 9);
}

#[tokio::test]
async fn the_clock_may_be_set_back_and_the_chain_does_not_go_back() {
    let world = world();
    world.clock.advance(Duration::from_secs(100));
    world.write("acme", "a").await;
    world.clock.set(Timestamp::UNIX_EPOCH);
    world.write("acme", "b").await;
    let found = world.audit.search(&all()).await.unwrap().entries;
    assert_eq!(found[0].at, found[1].at);
}

#[tokio::test]
async fn what_is_old_goes_and_the_chain_says_so_and_is_whole() {
    let day = Duration::from_secs(86_400);
    let world = world_keeping(Settings { keep: 10 * day, tenant_entries: 1_000_000 });
    for place in 0..250 {
        world.write("acme", &format!("c{place}")).await;
        if place == 149 {
            world.clock.advance(9 * day);
        }
    }
    world.audit.remove_old(&of("acme")).await.unwrap();
    assert_eq!(world.names(all(), 100).await.len(), 250, "none is old yet");
    world.clock.advance(2 * day);
    world.audit.remove_old(&of("acme")).await.unwrap();
    let left = world.names(all(), 100).await;
    assert_eq!((left.len(), left[1].as_str(), left[100].as_str()), (101, "acme/c249", "acme/c150"));
    assert_eq!(world.broken("acme").await, None);
    // Somebody removes more, and moves the head along.
    let (mut head, version) = world.audit.head(&of("acme")).await.unwrap();
    head.anchor = host_model::digest::Digest::of(world.line("acme", 151).await.as_bytes());
    head.first = 152;
    let moved = serde_json::to_vec(&head).unwrap();
    let commit = Commit::default().at(of("acme").head(), version.unwrap()).put(of("acme").head(), moved);
    world.change(commit.delete(of("acme").entry(151))).await;
    assert_eq!(world.broken("acme").await, Some(151));
}

#[tokio::test]
async fn a_tenant_keeps_no_more_entries_than_it_may_and_never_fewer_than_one() {
    let world = world_keeping(Settings { keep: Duration::ZERO, tenant_entries: 300 });
    for place in 0..450 {
        world.write("acme", &format!("c{place}")).await;
    }
    world.audit.remove_old(&of("acme")).await.unwrap();
    assert_eq!(world.broken("acme").await, None);
    assert!(!world.names(all(), 100).await.is_empty());
    let world = world_keeping(Settings { tenant_entries: 300, ..Settings::default() });
    for place in 0..450 {
        world.write("acme", &format!("c{place}")).await;
    }
    world.audit.remove_old(&of("acme")).await.unwrap();
    assert_eq!(world.names(all(), 100).await.len(), 301);
    assert_eq!(world.broken("acme").await, None);
}

#[tokio::test]
async fn what_is_repeated_is_told_when_it_begins_and_how_often_it_was() {
    let world = world();
    let refused = |name: String| world.audit.tell(&REFUSED, deed("acme", &name), Outcome::Refused);
    static REFUSED: std::sync::LazyLock<Act> = std::sync::LazyLock::new(|| by("viewer"));
    for place in 0..1_000 {
        refused(format!("made-up-{place}")).await.unwrap();
    }
    assert_eq!(world.names(all(), 100).await, ["acme/made-up-0"]);
    world.audit.write_counts(false).await.unwrap();
    assert_eq!(world.names(all(), 100).await.len(), 1, "its window is not over");
    world.clock.advance(Duration::from_secs(600));
    world.audit.write_counts(false).await.unwrap();
    let found = world.audit.search(&all()).await.unwrap().entries;
    assert_eq!((found[0].times, found[0].outcome, found.len()), (999, Outcome::Refused, 2));
    refused("again".to_owned()).await.unwrap();
    assert_eq!(world.names(all(), 100).await.len(), 3);
    // Calls are told by what they are of.
    for name in ["crm", "crm", "chat"] {
        world.audit.tell(&by("service"), deed("acme", name), Outcome::Done).await.unwrap();
    }
    assert_eq!(world.names(all(), 100).await[..2], ["acme/chat", "acme/crm"]);
    world.audit.write_counts(true).await.unwrap();
    assert_eq!(world.names(all(), 100).await.len(), 6, "one more `crm`, and none of the others");
}

#[tokio::test]
async fn a_tenants_flood_ends_in_waiting_and_what_is_only_told_leaves_room_for_changes() {
    let World { audit, .. } = &world();
    let (acme, globex): (TenantId, TenantId) = ("acme".parse().unwrap(), "globex".parse().unwrap());
    for place in 0..4_000 {
        let deed = deed("acme", &format!("c{place}"));
        audit.tell(&by("service"), deed, Outcome::Done).await.unwrap();
    }
    assert_eq!(audit.wait(&acme), None);
    let heads = audit.heads().await.unwrap();
    assert!(heads[0].seq <= 1_502, "{heads:?}");
    for _ in 0..1_500 {
        audit.record(&by("admin"), deed("acme", "crm"), Outcome::Done).await.unwrap();
    }
    assert!(audit.wait(&acme).is_some() && audit.wait(&globex).is_none());
}

#[tokio::test]
async fn a_chain_whose_head_is_gone_is_broken_where_it_begins() {
    let world = world();
    world.write("acme", "a").await;
    world.write("globex", "b").await;
    world.change(Commit::default().delete(of("acme").head())).await;
    let verified = world.audit.verify(&Which::All).await.unwrap();
    let broken: Vec<_> = verified.iter().map(|it| (it.chain.to_string(), it.broken.is_some())).collect();
    assert_eq!(broken, [("acme".to_owned(), true), ("globex".to_owned(), false)]);
}

#[tokio::test]
async fn control_characters_and_long_names_are_one_line_that_is_read_back() {
    let world = world();
    let name = format!("a\u{1b}[2J\n\r\0\u{202e}\"{}", "ä".repeat(1_000));
    world.write("acme", &name).await;
    let line = world.line("acme", 1).await;
    assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{line}");
    let found = world.audit.search(&all()).await.unwrap().entries;
    assert!(found[0].name.starts_with("a\u{1b}[2J\n") && found[0].name.chars().count() == 200);
    assert_eq!(world.broken("acme").await, None);
}

/// What somebody does to a chain who can write into the store.
#[derive(Clone, Debug)]
enum Tampering {
    Flip { seq: u64, byte: usize },
    Delete(u64),
    Swap(u64, u64),
    Copy { from: u64, to: u64 },
    CutTail(u64),
    Append,
}

const LENGTH: u64 = 12;

fn tampering() -> impl Strategy<Value = Tampering> {
    let seq = 1..=LENGTH;
    prop_oneof![
        (seq.clone(), 0usize..400).prop_map(|(seq, byte)| Tampering::Flip { seq, byte }),
        seq.clone().prop_map(Tampering::Delete),
        (seq.clone(), seq.clone())
            .prop_filter("two", |(a, b)| a != b)
            .prop_map(|(a, b)| Tampering::Swap(a, b)),
        (seq.clone(), seq.clone())
            .prop_filter("two", |(a, b)| a != b)
            .prop_map(|(from, to)| Tampering::Copy { from, to }),
        seq.prop_map(Tampering::CutTail),
        Just(Tampering::Append),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_done_to_an_entry_shows_and_where(tampering in tampering()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = world();
            for place in 0..LENGTH {
                world.write("acme", &format!("c{place}")).await;
            }
            prop_assert_eq!(world.broken("acme").await, None);
            let key = |seq| of("acme").entry(seq);
            let commit = Commit::default();
            let (commit, first) = match tampering {
                Tampering::Flip { seq, byte } => {
                    let mut line = world.line("acme", seq).await.into_bytes();
                    let byte = byte % line.len();
                    line[byte] ^= 1;
                    (commit.put(key(seq), line), seq)
                }
                Tampering::Delete(seq) => (commit.delete(key(seq)), seq),
                Tampering::Swap(a, b) => {
                    let (one, other) = (world.line("acme", a).await, world.line("acme", b).await);
                    (commit.put(key(a), other).put(key(b), one), a.min(b))
                }
                Tampering::Copy { from, to } => (commit.put(key(to), world.line("acme", from).await), to),
                Tampering::CutTail(seq) => ((seq..=LENGTH).fold(commit, |commit, seq| commit.delete(key(seq))), seq),
                Tampering::Append => (commit.put(key(LENGTH + 1), world.line("acme", LENGTH).await), LENGTH + 1),
            };
            world.change(commit).await;
            let told = world.broken("acme").await;
            // A changed entry shows at itself, or at the one before, which it does not name any more.
            prop_assert!(told == Some(first) || told == Some(first - 1), "{:?} for {}", told, first);
            Ok(())
        })?;
    }
}
