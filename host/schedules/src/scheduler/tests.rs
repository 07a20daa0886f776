mod world;

use host_model::clock::SimClock;
use host_store::faults::{Fault, FaultyStore};
use serde_json::json;

use super::*;
use world::{Trouble, World, at, schedule, settle};

fn all(times: &[&str]) -> Vec<Timestamp> {
    times.iter().map(|time| at(time)).collect()
}

#[tokio::test]
async fn months_of_fires_come_at_their_instants() {
    let world = World::at("2026-01-01T00:00:00");
    let nightly = schedule("nightly", "30 2 * * *", json!({ "zone": "Europe/Berlin" }));
    let monthly = schedule("monthly", "@monthly", json!({}));
    let _host = world.host(&[nightly, monthly]).await;
    world.until("2026-12-31T12:00:00").await;

    let fired = std::mem::take(&mut *world.ledger.fired.lock().unwrap());
    let of = |name: &str| fired.iter().filter(|(of, _)| of == name).map(|(_, at)| *at).collect::<Vec<_>>();
    assert_eq!(of("acme/monthly").len(), 11, "from February on");
    let nightly = of("acme/nightly");
    assert_eq!(nightly.len(), 365, "every night has its fire, the short one and the long one too");
    let around = |day: &str| nightly.iter().find(|fire| fire.date_naive().to_string() == day).copied();
    assert_eq!(around("2026-03-28"), Some(at("2026-03-28T01:30:00")));
    assert_eq!(around("2026-03-29"), Some(at("2026-03-29T01:00:00")), "after the gap");
    assert_eq!(around("2026-10-25"), Some(at("2026-10-25T00:30:00")), "the first of the two");
}

#[tokio::test]
async fn two_hosts_on_one_store_fire_each_instant_once() {
    let world = World::at("2026-01-01T00:00:00");
    let mine = schedule("poll", "*/5 * * * *", json!({}));
    let theirs = Schedule { tenant: "other".parse().unwrap(), ..mine.clone() };
    let both = [mine, theirs];
    let first = world.host(&both).await;
    let _second = world.host(&both).await;
    world.until("2026-01-01T12:00:00").await;
    first.stop().await;
    let _third = world.host(&both).await;
    world.until("2026-01-02T00:00:00").await;

    let mut fired = std::mem::take(&mut *world.ledger.fired.lock().unwrap());
    assert_eq!(fired.len(), 2 * 288);
    fired.sort();
    fired.dedup();
    assert_eq!(fired.len(), 2 * 288, "no instant twice");
}

#[tokio::test]
async fn what_was_missed_while_no_host_was_up_follows_the_misfire_policy() {
    for (misfire, want) in [("once", vec![at("2026-06-01T15:00:00")]), ("skip", vec![])] {
        let world = World::at("2026-01-01T00:00:00");
        let hourly = schedule("hourly", "@hourly", json!({ "misfire": misfire }));
        let host = world.host(std::slice::from_ref(&hourly)).await;
        world.until("2026-01-01T01:30:00").await;
        assert_eq!(world.fired(), all(&["2026-01-01T01:00:00"]));
        host.stop().await;

        world.clock.set(at("2026-06-01T15:45:00"));
        let host = world.host(std::slice::from_ref(&hourly)).await;
        assert_eq!(world.fired(), want, "{misfire}");
        host.stop().await;
        let _host = world.host(std::slice::from_ref(&hourly)).await;
        assert_eq!(world.fired(), all(&[]), "{misfire}: a second start finds nothing to make up for");
        world.until("2026-06-01T16:00:00").await;
        assert_eq!(world.fired(), all(&["2026-06-01T16:00:00"]), "{misfire}: and goes on");
    }
}

#[tokio::test]
async fn a_year_without_a_host_costs_an_every_second_schedule_nothing() {
    let world = World::at("2026-01-01T00:00:00");
    let busy = schedule("busy", "* * * * * *", json!({}));
    world.host(std::slice::from_ref(&busy)).await.stop().await;
    world.clock.set(at("2027-01-01T00:00:00"));
    let _host = world.host(&[busy]).await;
    assert_eq!(world.fired(), all(&["2027-01-01T00:00:00"]));
}

#[tokio::test]
async fn a_simulated_year_fires_every_hour_of_it_once() {
    let world = World::at("2026-01-01T00:00:00");
    let _host = world.host(&[schedule("hourly", "0 * * * *", json!({}))]).await;
    world.until("2027-01-01T00:00:00").await;
    let fired = world.fired();
    assert_eq!(fired.len(), 365 * 24);
    assert!(fired.windows(2).all(|two| two[1] - two[0] == chrono::TimeDelta::hours(1)));
}

#[tokio::test]
async fn a_new_schedule_begins_when_it_is_made_and_an_edited_one_when_it_is_edited() {
    let world = World::at("2026-01-01T12:00:00");
    let host = world.host(&[]).await;
    host.replace(&[schedule("report", "0 9 * * *", json!({}))]).await;
    world.until("2026-01-02T12:00:00").await;
    assert_eq!(world.fired(), all(&["2026-01-02T09:00:00"]));
    // The 11 of the new line has passed today.
    host.replace(&[schedule("report", "0 11 * * *", json!({}))]).await;
    world.until("2026-01-03T12:00:00").await;
    assert_eq!(world.fired(), all(&["2026-01-03T11:00:00"]));
    // Gone for a day and made again: the day between is not made up for.
    host.replace(&[]).await;
    world.until("2026-01-04T12:00:00").await;
    host.replace(&[schedule("report", "0 11 * * *", json!({}))]).await;
    world.until("2026-01-05T12:00:00").await;
    assert_eq!(world.fired(), all(&["2026-01-05T11:00:00"]));
    // Another input is no reason to lose an instant that is due.
    world.ledger.troubles.lock().unwrap().extend([Trouble::Fails; 3]);
    world.clock.set(at("2026-01-06T11:00:00"));
    settle().await;
    assert_eq!(world.fired(), all(&[]));
    host.replace(&[schedule("report", "0 11 * * *", json!({ "input": 7 }))]).await;
    world.until("2026-01-06T12:00:00").await;
    assert_eq!(world.fired(), all(&["2026-01-06T11:00:00"]));
}

#[tokio::test]
async fn a_paused_schedule_neither_fires_nor_makes_up_for_the_pause() {
    let world = World::at("2026-01-01T00:30:00");
    let paused = schedule("hourly", "@hourly", json!({ "paused": true }));
    let going = schedule("hourly", "@hourly", json!({}));
    let host = world.host(std::slice::from_ref(&going)).await;
    world.until("2026-01-01T01:30:00").await;
    host.replace(std::slice::from_ref(&paused)).await;
    world.until("2026-01-01T05:30:00").await;
    host.stop().await;
    let host = world.host(&[paused]).await;
    world.until("2026-01-01T07:30:00").await;
    host.replace(&[going]).await;
    world.until("2026-01-01T08:30:00").await;
    assert_eq!(world.fired(), all(&["2026-01-01T01:00:00", "2026-01-01T08:00:00"]));
}

#[tokio::test]
async fn a_fire_that_fails_is_tried_until_it_is_done() {
    let world = World::at("2026-01-01T00:30:00");
    let hourly = schedule("hourly", "@hourly", json!({ "misfire": "skip" }));
    let host = world.host(std::slice::from_ref(&hourly)).await;
    world.ledger.troubles.lock().unwrap().extend([Trouble::Fails; 7]);
    world.until("2026-01-01T01:30:00").await;
    assert_eq!(world.fired(), all(&["2026-01-01T01:00:00"]));
    assert!(world.ledger.troubles.lock().unwrap().is_empty());

    // Also if the host goes down in between, and somebody else is there.
    world.ledger.troubles.lock().unwrap().push(Trouble::Fails);
    world.clock.set(at("2026-01-01T02:00:00"));
    settle().await;
    host.stop().await;
    let _host = world.host(&[hourly]).await;
    assert_eq!(world.fired(), all(&["2026-01-01T02:00:00"]));
}

#[tokio::test]
async fn a_fire_that_was_done_without_anybody_being_told_is_not_done_again() {
    let world = World::at("2026-01-01T00:30:00");
    let _host = world.host(&[schedule("hourly", "@hourly", json!({}))]).await;
    world.ledger.troubles.lock().unwrap().push(Trouble::CommitsAndFails);
    world.until("2026-01-01T02:30:00").await;
    assert_eq!(world.fired(), all(&["2026-01-01T01:00:00", "2026-01-01T02:00:00"]));
}

#[tokio::test]
async fn a_fire_that_cannot_succeed_or_was_there_before_is_left_and_the_next_is_not() {
    for trouble in [Trouble::Refuses, Trouble::Already] {
        let world = World::at("2026-01-01T00:30:00");
        let hourly = [schedule("hourly", "@hourly", json!({}))];
        let host = world.host(&hourly).await;
        world.ledger.troubles.lock().unwrap().push(trouble);
        world.until("2026-01-01T01:59:59").await;
        host.stop().await;
        let _host = world.host(&hourly).await;
        assert_eq!(world.fired(), all(&[]), "also after a restart");
        world.until("2026-01-01T02:30:00").await;
        assert_eq!(world.fired(), all(&["2026-01-01T02:00:00"]));
    }
}

#[tokio::test]
async fn a_host_that_stops_ends_the_fire_under_way_and_begins_none() {
    let world = World::at("2026-01-01T00:00:00");
    let host = world.host(&[schedule("busy", "* * * * * *", json!({}))]).await;
    let closed = world.ledger.gate.write().await;
    world.until("2026-01-01T00:00:03").await;
    let stopped = tokio::join!(host.stop(), async {
        settle().await;
        assert_eq!(world.fired(), all(&[]));
        drop(closed);
    });
    assert_eq!(stopped, ((), ()));
    assert_eq!(world.fired(), all(&["2026-01-01T00:00:01"]));
}

#[tokio::test]
async fn a_clock_that_jumps_back_fires_nothing_twice() {
    let world = World::at("2026-01-01T00:30:00");
    let hourly = [schedule("hourly", "@hourly", json!({}))];
    let host = world.host(&hourly).await;
    world.until("2026-01-01T03:00:00").await;
    assert_eq!(world.fired().len(), 3);
    world.clock.set(at("2026-01-01T00:45:00"));
    settle().await;
    world.until("2026-01-01T01:30:00").await;
    host.stop().await;
    let _host = world.host(&hourly).await;
    world.until("2026-01-01T04:00:00").await;
    assert_eq!(world.fired(), all(&["2026-01-01T04:00:00"]));
}

#[tokio::test]
async fn a_clock_that_jumps_on_follows_the_misfire_policy() {
    let world = World::at("2026-01-01T00:30:00");
    let once = schedule("once", "@hourly", json!({}));
    let skip = schedule("skip", "@hourly", json!({ "misfire": "skip" }));
    let _host = world.host(&[once, skip]).await;
    world.clock.set(at("2026-01-03T05:20:00"));
    settle().await;
    let fired = std::mem::take(&mut *world.ledger.fired.lock().unwrap());
    assert_eq!(fired, [("acme/once".to_owned(), at("2026-01-03T05:00:00"))]);
    world.until("2026-01-03T06:00:00").await;
    assert_eq!(world.fired().len(), 2, "both go on");
}

#[tokio::test]
async fn a_cursor_that_was_deleted_or_damaged_stops_nothing_and_repeats_nothing() {
    let world = World::at("2026-01-01T00:30:00");
    let hourly = schedule("hourly", "@hourly", json!({}));
    let key = cursor_key(&hourly.tenant, &hourly.name);
    let host = world.host(std::slice::from_ref(&hourly)).await;
    world.until("2026-01-01T01:30:00").await;
    world.store.commit(Commit::default().delete(key.clone())).await.unwrap();
    world.until("2026-01-01T02:30:00").await;
    world.store.commit(Commit::default().put(key.clone(), "{")).await.unwrap();
    world.until("2026-01-01T03:30:00").await;
    host.stop().await;
    world.store.commit(Commit::default().put(key, "{")).await.unwrap();
    let _host = world.host(&[hourly]).await;
    world.until("2026-01-01T04:30:00").await;
    let want = ["2026-01-01T01:00:00", "2026-01-01T02:00:00", "2026-01-01T03:00:00", "2026-01-01T04:00:00"];
    assert_eq!(world.fired(), all(&want));
}

#[tokio::test]
async fn a_store_that_fails_delays_and_loses_nothing() {
    let world = World::at("2026-01-01T00:30:00");
    // The first cursor fails to be stored, then is stored without an answer;
    // the giving up of an instant fails twice.
    let store = FaultyStore::new(Arc::clone(&world.store))
        .with(1, Fault::Fail)
        .with(2, Fault::Unsure)
        .with(3, Fault::Fail)
        .with(4, Fault::Unsure);
    let store = Arc::new(store);
    let _host = world.host_on(store.clone(), &[schedule("hourly", "@hourly", json!({}))]).await;
    world.until("2026-01-01T00:45:00").await;
    assert_eq!(store.commits(), 2);
    world.ledger.troubles.lock().unwrap().push(Trouble::Refuses);
    world.until("2026-01-01T03:30:00").await;
    assert_eq!(world.fired(), all(&["2026-01-01T02:00:00", "2026-01-01T03:00:00"]));
    assert_eq!(store.commits(), 4);
}

#[tokio::test]
async fn a_host_that_slept_skips_nothing_that_another_host_is_about_to_fire() {
    let world = World::at("2026-01-01T00:30:00");
    let hourly = [schedule("hourly", "@hourly", json!({ "misfire": "skip" }))];
    let _awake = world.host(&hourly).await;
    // A host whose own clock stands still, as in a suspended machine.
    let asleep = World {
        clock: SimClock::at(world.clock.now()),
        store: world.store.clone(),
        ledger: world.ledger.clone(),
    };
    let _asleep = asleep.host(&hourly).await;
    world.until("2026-01-01T04:30:00").await;
    assert_eq!(world.fired().len(), 4);
    asleep.clock.set(at("2026-01-01T05:00:00"));
    settle().await;
    world.until("2026-01-01T05:30:00").await;
    assert_eq!(world.fired(), all(&["2026-01-01T05:00:00"]));
}
