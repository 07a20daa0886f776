//! Who gets how much, in a simulated pool whose clock is what its turns cost.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use proptest::prelude::*;

use super::shares::Shares;

const TURN: Duration = Duration::from_micros(100);
/// The longest turn that a guest takes here: ten usual ones.
const LONGEST: Duration = Duration::from_millis(1);
const START: Duration = Duration::ZERO;
const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// A tenant whose calls spin for ever: weight, calls, what one turn takes.
#[derive(Clone, Debug)]
struct Spinner {
    weight: u32,
    calls: usize,
    turn: Duration,
}

fn spinners() -> impl Strategy<Value = Vec<Spinner>> {
    let spinner = (10_u32..1_000, 1_usize..60, 20_u64..1_000).prop_map(|(weight, calls, turn)| Spinner {
        weight,
        calls,
        turn: Duration::from_micros(turn),
    });
    prop::collection::vec(spinner, 2..8)
}

fn weights(spinners: &[Spinner]) -> HashMap<Box<str>, NonZeroU32> {
    spinners.iter().zip(NAMES).map(|(it, name)| (name.into(), NonZeroU32::new(it.weight).unwrap())).collect()
}

/// What each spinner got of so much time of one thread.
fn served(spinners: &[Spinner], time: Duration) -> Vec<Duration> {
    let mut shares = Shares::new(1);
    shares.weigh(weights(spinners));
    for (spinner, name) in spinners.iter().zip(NAMES) {
        (0..spinner.calls).for_each(|_| shares.wait(name, (), START));
    }
    let mut got = vec![Duration::ZERO; spinners.len()];
    while got.iter().sum::<Duration>() < time {
        let (name, ()) = shares.next().expect("somebody always waits");
        let who = NAMES.iter().position(|known| **known == *name).unwrap();
        got[who] += spinners[who].turn;
        shares.wait(&name, (), START);
        shares.used(&name, spinners[who].turn, START);
    }
    got
}

proptest! {
    #[test]
    fn whoever_always_asks_gets_time_by_weight_and_not_by_calls(spinners in spinners()) {
        let got = served(&spinners, Duration::from_secs(2));
        let per_weight: Vec<f64> =
            got.iter().zip(&spinners).map(|(got, it)| got.as_secs_f64() / f64::from(it.weight)).collect();
        // Nobody is further ahead of anybody than by two of the longest turns of each.
        for (one, a) in per_weight.iter().zip(&spinners) {
            for (other, b) in per_weight.iter().zip(&spinners) {
                let turn = |weight| 2.0 * LONGEST.as_secs_f64() / f64::from(weight);
                let bound = turn(a.weight) + turn(b.weight);
                prop_assert!((one - other).abs() <= bound, "{one} {other} {bound}: {got:?} {spinners:?}");
            }
        }
    }

    #[test]
    fn nobody_waits_while_a_thread_is_idle(
        asks in prop::collection::vec((0_usize..8, any::<bool>(), 0_u64..3_000), 1..200),
    ) {
        let mut shares = Shares::new(2);
        let mut waiting = 0;
        let mut running: Vec<Box<str>> = Vec::new();
        for (who, asks, micros) in asks {
            if asks {
                shares.wait(NAMES[who], (), START);
                waiting += 1;
            } else if let Some(who) = running.pop() {
                shares.used(&who, Duration::from_micros(micros), START);
            }
            while running.len() < 2 {
                let Some((who, ())) = shares.next() else { break };
                waiting -= 1;
                running.push(who);
            }
            prop_assert!(waiting == 0 || running.len() == 2, "{waiting} wait, {} run", running.len());
        }
    }
}

/// One turn of somebody who asks again at once.
fn spin(shares: &mut Shares<()>, name: &str, turn: Duration, at: Duration) {
    shares.wait(name, (), at);
    shares.next().unwrap();
    shares.used(name, turn, at);
}

#[test]
fn a_newcomer_is_next_whatever_fifty_calls_of_another_have_used() {
    let mut shares = Shares::new(1);
    (0..50).for_each(|_| shares.wait("evil", (), START));
    for _ in 0..1_000 {
        shares.next().unwrap();
        shares.wait("evil", (), START);
        shares.used("evil", TURN, START);
    }
    shares.wait("acme", (), START);
    assert_eq!(&*shares.next().unwrap().0, "acme");
}

#[test]
fn time_that_nobody_asked_for_is_not_saved_up() {
    let mut shares = Shares::new(1);
    spin(&mut shares, "early", TURN, START);
    (0..1_000).for_each(|_| spin(&mut shares, "busy", TURN, START));
    for _ in 0..10 {
        shares.wait("early", (), START);
        shares.wait("busy", (), START);
    }
    let mut turns = Vec::new();
    while let Some((who, ())) = shares.next() {
        shares.used(&who, TURN, START);
        turns.push(who);
    }
    let early = turns.iter().take(10).filter(|who| &***who == "early").count();
    assert!((4..=6).contains(&early), "{turns:?}");
}

/// Calls of 100 us in a second of a machine with two cores, and how many of
/// them may run where they stand.
fn short_calls_here(shares: &mut Shares<()>, name: &str, count: u32) -> u32 {
    let mut here = 0;
    for number in 0..count {
        let at = Duration::from_secs(1) * number / count;
        if shares.may_run_here(name, at) {
            shares.charge(name, TURN, at);
            here += 1;
        } else {
            spin(shares, name, TURN, at);
        }
    }
    here
}

#[test]
fn short_calls_run_where_they_stand_up_to_their_tenants_share() {
    let mut shares = Shares::new(2);
    assert_eq!(short_calls_here(&mut shares, "acme", 15_000), 15_000, "nobody competes");

    let mut shares = Shares::new(2);
    assert!(shares.may_run_here("other", START));
    assert_eq!(short_calls_here(&mut shares, "acme", 9_000), 9_000, "there is room for everybody");

    let mut shares = Shares::new(2);
    assert!(shares.may_run_here("other", START));
    let here = short_calls_here(&mut shares, "acme", 20_000);
    // Half of two cores is 10,000 of these, and some more are slack.
    assert!((9_500..11_500).contains(&here), "{here}");
}

#[test]
fn whoever_is_within_its_share_runs_where_it_stands_beside_a_flood() {
    let mut shares: Shares<()> = Shares::new(2);
    let (mut acme, mut evil) = (0, 0);
    for number in 0..20_000 {
        let at = Duration::from_secs(1) * number / 20_000;
        if shares.may_run_here("evil", at) {
            shares.charge("evil", TURN, at);
            evil += 1;
        }
        if number % 10 == 0 && shares.may_run_here("acme", at) {
            shares.charge("acme", TURN, at);
            acme += 1;
        }
    }
    assert_eq!(acme, 2_000);
    assert!(evil < 12_000, "{evil}");
}

#[test]
fn a_call_waits_for_a_turn_while_its_tenant_has_calls_up_or_was_heavy() {
    let mut shares = Shares::new(2);
    shares.wait("evil", (), START);
    assert!(shares.may_run_here("acme", START));
    assert!(!shares.may_run_here("evil", START));

    let second = Duration::from_secs(1);
    shares.bar("heavy", second, START);
    assert!(!shares.may_run_here("heavy", Duration::from_millis(999)));
    assert!(shares.may_run_here("heavy", second));
}

#[test]
fn who_has_the_host_for_itself_is_known_until_another_comes_and_again_when_it_is_gone() {
    let mut shares: Shares<()> = Shares::new(2);
    assert_eq!(shares.alone(), None);
    shares.may_run_here("acme", START);
    assert_eq!(shares.alone(), Some("acme"));
    shares.bar("acme", Duration::from_secs(9), START);
    assert!(shares.may_run_here("acme", START), "nobody is kept from a thread that is free");
    shares.may_run_here("other", START);
    assert_eq!(shares.alone(), None);
    shares.may_run_here("other", Duration::from_secs(2));
    assert_eq!(shares.alone(), Some("other"), "an idle tenant costs no memory");
}

mod in_threads {
    //! The pool itself, with futures for guests.

    use std::num::NonZeroUsize;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use host_model::name::TenantId;
    use host_model::outcome::{Finished, Outcome, Usage};
    use tokio::task::yield_now;
    use tokio::time::sleep;
    use tokio_util::task::TaskTracker;

    use super::super::Turns;
    use super::super::pool::on_cpu;

    fn spin(time: Duration) {
        let end = on_cpu() + time;
        while on_cpu() < end {}
    }

    async fn turns_of(turns: usize, each: Duration) -> Result<Finished<usize>, crate::CallFailed> {
        for _ in 0..turns {
            spin(each);
            yield_now().await;
        }
        Ok(Finished { outcome: Outcome::Answered(turns), usage: Usage::default(), log: Vec::new() })
    }

    fn acme() -> TenantId {
        "acme".parse().unwrap()
    }

    fn one_thread() -> Turns {
        Turns::new(NonZeroUsize::MIN)
    }

    #[tokio::test]
    async fn a_long_call_ends_in_the_pool_with_its_answer_and_its_timers() {
        let turns = one_thread();
        let call = async {
            turns_of(50, Duration::from_micros(100)).await.unwrap();
            assert_eq!(std::thread::current().name(), Some("guests"), "it has moved");
            sleep(Duration::from_millis(1)).await;
            turns_of(1, Duration::ZERO).await
        };
        assert_eq!(turns.run(Some(&acme()), Box::pin(call)).await.unwrap().outcome, Outcome::Answered(1));
    }

    #[tokio::test]
    async fn a_short_call_stays_where_it_is() {
        let here = std::thread::current().id();
        let call = async move {
            assert_eq!(std::thread::current().id(), here);
            turns_of(1, Duration::ZERO).await
        };
        assert!(one_thread().run(Some(&acme()), Box::pin(call)).await.is_ok());
    }

    /// A pool whose two threads have both begun and have nothing to do.
    async fn two_idle_threads() -> Turns {
        let turns = Turns::new(NonZeroUsize::new(2).unwrap());
        let (acme, long) = (acme(), || Box::pin(turns_of(200, Duration::from_micros(100))));
        let (one, other) = tokio::join!(turns.run(Some(&acme), long()), turns.run(Some(&acme), long()));
        assert!(one.is_ok() && other.is_ok());
        turns
    }

    #[tokio::test]
    async fn a_call_that_makes_way_wakes_no_other_thread() {
        let call = async {
            turns_of(50, Duration::from_micros(100)).await.unwrap();
            let (mut thread, mut moves) = (std::thread::current().id(), 0);
            for _ in 0..200 {
                turns_of(1, Duration::from_micros(100)).await.unwrap();
                let now = std::thread::current().id();
                moves += usize::from(std::mem::replace(&mut thread, now) != now);
            }
            // One that is still about from before may take it over.
            assert!(moves <= 5, "it went from thread to thread, {moves} times in 200 turns");
            turns_of(1, Duration::ZERO).await
        };
        assert!(two_idle_threads().await.run(Some(&acme()), Box::pin(call)).await.is_ok());
    }

    #[tokio::test]
    async fn two_calls_have_a_thread_each() {
        let (turns, acme, both) = (two_idle_threads().await, acme(), std::sync::Barrier::new(2));
        let both = Arc::new(both);
        let call = |both: Arc<std::sync::Barrier>| {
            Box::pin(async move {
                turns_of(50, Duration::from_micros(100)).await?;
                both.wait(); // for ever, were there only one thread for both
                turns_of(1, Duration::ZERO).await
            })
        };
        let (one, other) =
            tokio::join!(turns.run(Some(&acme), call(Arc::clone(&both))), turns.run(Some(&acme), call(both)));
        assert!(one.is_ok() && other.is_ok());
    }

    #[tokio::test]
    async fn a_panic_in_the_pool_comes_out_where_the_call_is_awaited_and_the_pool_goes_on() {
        let turns = Arc::new(one_thread());
        let panics = Arc::clone(&turns);
        let ended = TaskTracker::new()
            .spawn(async move {
                let call = async {
                    turns_of(50, Duration::from_micros(100)).await.unwrap();
                    panic!("host code went wrong");
                };
                panics.run::<_, usize>(Some(&acme()), Box::pin(call)).await
            })
            .await;
        assert!(ended.unwrap_err().is_panic());
        assert!(turns.run(Some(&acme()), Box::pin(turns_of(50, Duration::from_micros(100)))).await.is_ok());
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_ends_and_its_thread_is_free_again() {
        struct Ended(Arc<AtomicUsize>);
        impl Drop for Ended {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (turns, ended) = (one_thread(), Arc::<AtomicUsize>::default());
        for _ in 0..4 {
            let held = Ended(Arc::clone(&ended));
            let endless = async move {
                let _held = held;
                turns_of(usize::MAX, Duration::from_micros(100)).await
            };
            let cut =
                tokio::time::timeout(Duration::from_millis(20), turns.run(Some(&acme()), Box::pin(endless)))
                    .await;
            assert!(cut.is_err());
        }
        assert!(turns.run(Some(&acme()), Box::pin(turns_of(50, Duration::from_micros(100)))).await.is_ok());
        let patience = Instant::now() + Duration::from_secs(30);
        while ended.load(Ordering::SeqCst) < 4 && Instant::now() < patience {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(ended.load(Ordering::SeqCst), 4);
    }
}
