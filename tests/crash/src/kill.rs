//! A real process, real fsyncs, SIGKILL under load, at random moments.
//!
//! `WHARF_KILLS` says how often, `WHARF_SEED` repeats a run's moments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tests_harness::{LeadIntake, form};
use tests_upstreams::{Addresses, Received};
use tokio::sync::broadcast::Receiver;
use tokio::task::JoinSet;

/// How often the host is killed unless `WHARF_KILLS` says otherwise.
const KILLS: u64 = 200;
/// Who send forms all the time, each the next one when the last was answered.
const CALLERS: u64 = 4;
/// The longest that most hosts live, in milliseconds: with [`KILLS`] the test takes a minute and a half.
const LIFE_MS: u64 = 200;
/// One host in so many may live longer. A run that was there when the host died,
/// six times on end and without a step done, is taken for what kills it; on a slow
/// machine that would be most of them.
const LONGER_EVERY: u64 = 3;
/// The longest that such a host lives.
const LONGER_LIFE_MS: u64 = 1_000;
/// Between a caller's answer and its next form: what the test can check afterwards.
const PAUSE: Duration = Duration::from_millis(10);

/// Numbers that a seed repeats (splitmix64).
struct Moments(u64);

impl Moments {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

/// What a person sees of a run, names and numbers apart.
fn visible(shown: &Value, run: &str, visitor: &str) -> String {
    let mut steps = Vec::new();
    for step in shown["steps"].as_array().unwrap() {
        // What a system numbers is not the same twice: `lead-17` is a lead.
        let outcome: String =
            step["outcome"].to_string().chars().filter(|sign| !sign.is_ascii_digit()).collect();
        steps.push((&step["number"], &step["effect"], &step["idempotency-key"], outcome));
    }
    let text = serde_json::to_string(&(&shown["run"]["status"], steps)).unwrap();
    let text: String = text.replace(run, "RUN").replace(visitor, "VISITOR");
    let text = text.replace(&visitor.to_lowercase(), "VISITOR");
    // A link to a lead stands in the next step's input.
    let mut parts = text.split("lead-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "lead-" + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Sends forms until the host dies; notes what was accepted.
async fn caller(url: String, name: String, accepted: Arc<Mutex<Accepted>>) {
    let client = reqwest::Client::new();
    for number in 0.. {
        let visitor = format!("{name}N{}", letters(number));
        // The first refused connection is the host's death.
        let Ok(answer) = client.post(&url).form(&form(&visitor)).send().await else { return };
        let status = answer.status();
        let Ok(body) = answer.json::<Value>().await else { return };
        assert_eq!(status, 202, "{body}");
        accepted.lock().unwrap().push((body["run"].as_str().unwrap().to_owned(), visitor));
        tokio::time::sleep(PAUSE).await;
    }
}

/// The runs that got a 2xx, and their visitors.
type Accepted = Vec<(String, String)>;

/// In which of the host's lives each key came, oldest first.
type Arrivals = BTreeMap<String, Vec<usize>>;

/// Notes in which life of the host each request comes.
async fn watch(mut arrivals: Receiver<Received>, life: Arc<AtomicUsize>, noted: Arc<Mutex<Arrivals>>) {
    while let Ok(Received { idempotency_key, .. }) = arrivals.recv().await {
        let key = idempotency_key.expect("each step's request has a key");
        noted.lock().unwrap().entry(key).or_default().push(life.load(Ordering::SeqCst));
    }
}

/// Waits until the systems have read to its end each connection of a host that
/// died: what it had sent may lie there, also in one that nobody accepted yet.
/// Linux says so; elsewhere a late request can be taken for one of the next life.
async fn hung_up(intake: &LeadIntake) {
    let Addresses { crm, mail, chat, lab } = intake.upstreams.addresses();
    let theirs = [crm, mail, chat, lab].map(|at| format!(":{:04X}", at.port()));
    let unread = || {
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        sockets.lines().any(|socket| {
            let mut fields = socket.split_whitespace().skip(1);
            let (local, state) = (fields.next().unwrap_or_default(), fields.nth(1));
            // Established, or closed by the other end only.
            theirs.iter().any(|port| local.ends_with(port)) && matches!(state, Some("01" | "08"))
        })
    };
    while unread() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_at_random_moments_under_load_loses_no_accepted_run() {
    let kills = number("WHARF_KILLS", KILLS);
    let seed = number("WHARF_SEED", u64::from(std::process::id()));
    eprintln!("{kills} kills; WHARF_SEED={seed} repeats their moments");
    let mut moments = Moments(seed);
    let mut intake = LeadIntake::start().await;
    let run = LeadIntake::run_of(&intake.visitor("Calm").await);
    let calm = visible(&intake.acme().ended(&run).await, &run, "Calm");

    let accepted = Arc::new(Mutex::new(Accepted::new()));
    let (life, noted) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Arrivals::new())));
    let mut tasks = JoinSet::new();
    tasks.spawn(watch(intake.upstreams.arrivals(), Arc::clone(&life), Arc::clone(&noted)));
    // When each life began.
    let mut begins = vec![now()];
    let mut starting = Duration::ZERO;
    for kill in 0..kills {
        let url = intake.host.url("/hooks/acme/website/inquiry");
        let mut callers = JoinSet::new();
        for n in 0..CALLERS {
            callers.spawn(caller(
                url.clone(),
                format!("V{}C{}", letters(kill), letters(n)),
                Arc::clone(&accepted),
            ));
        }
        let longest = if kill % LONGER_EVERY == 0 { LONGER_LIFE_MS } else { LIFE_MS };
        tokio::time::sleep(Duration::from_millis(moments.below(longest))).await;
        intake.host.kill();
        callers.join_all().await;
        // Only then is whatever comes next of the next life.
        hung_up(&intake).await;
        begins.push(now());
        life.fetch_add(1, Ordering::SeqCst);
        let began = Instant::now();
        intake.host.restart();
        starting += began.elapsed();
    }
    eprintln!("a start took {:.0} ms on average", starting.as_secs_f64() * 1e3 / kills as f64);

    let accepted = accepted.lock().unwrap().clone();
    assert!(accepted.len() as u64 > kills, "there was load: {}", accepted.len());
    let mut again = 0;
    for (run, visitor) in &accepted {
        let shown = intake.acme().ended(run).await;
        assert_eq!(visible(&shown, run, visitor), calm, "seed {seed}, {run}: {shown}");
        for step in shown["steps"].as_array().unwrap() {
            let key = step["idempotency-key"].as_str().unwrap();
            let lives = noted.lock().unwrap().get(key).cloned().unwrap_or_default();
            assert!(!lives.is_empty(), "seed {seed}: {key} is recorded and never came");
            assert!(lives.is_sorted_by(|a, b| a < b), "seed {seed}: {key} came twice in one life: {lives:?}");
            // It came in earlier lives only because the kill found it in flight: the record is of the last.
            let last = *lives.last().unwrap();
            let started = DateTime::parse_from_rfc3339(step["started-at"].as_str().unwrap()).unwrap();
            assert!(started >= begins[last], "seed {seed}: {key} was recorded before it came in life {last}");
            again += lives.len() - 1;
        }
    }
    eprintln!(
        "{} runs were accepted; {again} steps that were in flight at a kill came again",
        accepted.len()
    );
    let runs: BTreeSet<_> =
        intake.upstreams.crm_received().into_iter().map(|got| got.idempotency_key).collect();
    assert_eq!(intake.upstreams.effects().leads.len(), runs.len(), "each key had its effect once");
}

/// To the millisecond, as the host writes times.
fn now() -> DateTime<Utc> {
    #[expect(clippy::disallowed_methods, reason = "compared with what the host, a process of its own, wrote")]
    let now = std::time::SystemTime::now();
    let ms = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    DateTime::from_timestamp_millis(ms as i64).unwrap()
}

/// A number in letters.
fn letters(number: u64) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}
