//! Whatever order things are done in, a replay asks for the same.

use proptest::prelude::*;
use wharf_sdk::Error;

use super::*;

/// Everything at once: loops in branches, retries, events, `finally`, a stop.
const BUSY: &str = r#"- id: rows
  for-each: ${ .rows }
  at-once: 3
  steps:
  - try:
    - retry:
      - call: a.flaky
        with: ${ $item }
      times: 3
    catch:
    - call: a.caught
      with: ${ $error.kind }
    finally:
    - call: a.swept
      with: ${ $index }
- id: both
  parallel:
    left:
    - sleep: 5s
    - wait-for: approval
      timeout: 1h
      notify:
      - call: a.told
        with: ${ $url }
    middle:
    - for-each: ${ .rows }
      at-once: 64
      steps:
      - parallel:
          x: [ { call: a.x, with: "${ $item }" } ]
          y: [ { publish: y, with: "${ $item }" }, { call: a.y } ]
    right:
    - workflow: child
      wait: false
    - call: a.right
    - if: ${ .stop }
      then:
      - stop: early
- call: a.last
answer: ${ [$rows, $both] }
"#;

/// Small, quick and the same everywhere.
fn shuffled(mut seed: u64) -> impl FnMut(&[usize]) -> usize {
    move |open| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % open.len()
    }
}

fn host(seed: u64) -> Fake {
    // Which calls fail depends on what they are given, not on when they are made.
    let fails = |what: &str, input: &Value| match (what, input.as_u64()) {
        ("a.flaky", Some(n)) if n % 3 == 0 => Err(Error::Retry("flaky".into())),
        ("a.flaky", Some(n)) if n % 3 == 1 => Err(Error::Conflict("no".into())),
        _ => Ok(input.clone()),
    };
    Fake::new(fails).event("approval", json!("yes")).order(shuffled(seed))
}

fn outcome(data: &Value, host: &Fake) -> Result<Value, String> {
    run(BUSY, data.clone(), host).map_err(|failure| failure.to_string())
}

/// What was asked, whatever the order: which pause got which jitter follows from it.
fn unordered(host: &Fake) -> Vec<String> {
    let whole = |line: String| if line.starts_with("sleep ") { "sleep".to_owned() } else { line };
    let mut all: Vec<String> = host.effects().into_iter().map(whole).collect();
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_completions_replays_to_the_same_effects(
        rows in proptest::collection::vec(0..9_u64, 0..12), stop: bool, seed: u64,
    ) {
        let data = json!({ "rows": rows, "stop": stop });
        let first = host(seed);
        let ended = outcome(&data, &first);
        // The journal knows every step that was done, and the order; the order of the world is another.
        let again = host(!seed).replaying(&first.asked(), usize::MAX);
        prop_assert_eq!(outcome(&data, &again), ended);
        prop_assert_eq!(again.log(), first.log());
    }

    #[test]
    fn a_run_that_was_cut_goes_on_from_any_step(
        rows in proptest::collection::vec(0..9_u64, 0..12), seed: u64, cut in 0..60_usize,
    ) {
        let data = json!({ "rows": rows, "stop": false });
        let first = host(seed);
        let ended = outcome(&data, &first);
        // Half of it is known; the played host compares each step with what it knows.
        let again = host(!seed).replaying(&first.asked(), cut);
        prop_assert_eq!(outcome(&data, &again), ended);
        prop_assert_eq!(unordered(&again), unordered(&first));
    }
}
