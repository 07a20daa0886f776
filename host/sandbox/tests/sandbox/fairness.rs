//! Tenants that compete for the CPU. What is asserted is who ended before
//! whom, on one thread of the pool: a busy machine makes this slower and no different.

use std::num::{NonZeroU32, NonZeroUsize};
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::{Either, join_all, select};
use futures::stream::FuturesUnordered;
use host_model::bounds::Bounds;
use host_model::outcome::{Bound, Outcome};
use host_model::resource::Connection;
use host_sandbox::EngineSettings;

use crate::lab::{Lab, compiler, exceeded, patient, probe, shared_cache};

/// What fifty calls of the attacker want together is 2,500 turns, some 230 ms.
fn attack() -> Bounds {
    Bounds { fuel: 50_000_000, ..patient() }
}

/// What the victim's calls want: twenty turns each.
fn modest() -> Bounds {
    Bounds { fuel: 20_000_000, ..patient() }
}

fn one_thread() -> Lab {
    let engine = EngineSettings { slots: 256, warm_slots: 64, threads: NonZeroUsize::MIN };
    Lab::with(engine, &shared_cache(), compiler())
}

/// The same guest, set up by this tenant.
fn of(lab: &Lab, tenant: &str, component: Bytes, bounds: Bounds) -> Arc<Connection> {
    let connection = lab.connection("connector", component, bounds);
    Arc::new(Connection { tenant: tenant.parse().unwrap(), ..Connection::clone(&connection) })
}

/// How many of fifty calls of an attacker had ended when ten of a victim, made
/// one after the other, had.
async fn ended_before_the_victim(lab: &Lab, attacker: &Arc<Connection>, victim: &Arc<Connection>) -> usize {
    let mut attack: FuturesUnordered<_> =
        (0..50).map(|_| lab.sandbox.call(attacker, "go", "1", "key")).collect();
    let mut victims = pin!(async {
        for _ in 0..10 {
            let finished = lab.sandbox.call(victim, "go", "1", "key").await.unwrap();
            assert_eq!(exceeded(&finished).bound, Bound::Fuel);
        }
    });
    let mut ended = 0;
    loop {
        match select(attack.next(), victims.as_mut()).await {
            Either::Left((Some(finished), _)) => {
                assert!(matches!(finished.unwrap().outcome, Outcome::Exceeded(_)));
                ended += 1;
            }
            Either::Left((None, _)) | Either::Right(_) => return ended,
        }
    }
}

#[tokio::test]
async fn fifty_endless_loops_of_one_tenant_do_not_delay_another_beyond_their_share() {
    let lab = one_thread();
    let attacker = of(&lab, "evil", probe("loop_forever"), attack());
    let victim = of(&lab, "acme", probe("loop_forever"), modest());
    // By the time the victim has had its 200 turns, the attacker has had as
    // many: four of the fifty that each of its calls wants. If turns went to
    // calls and not to tenants, all fifty would have ended long ago.
    assert_eq!(ended_before_the_victim(&lab, &attacker, &victim).await, 0);
}

#[tokio::test]
async fn memory_that_costs_no_fuel_is_paid_for_all_the_same() {
    let lab = one_thread();
    let attacker = of(&lab, "evil", probe("eat_memory"), Bounds { memory: 32 << 20, ..patient() });
    let victim = of(&lab, "acme", probe("loop_forever"), modest());
    // The victim's 200 turns take some 20 ms; so much gets the attacker, and a
    // call more that had begun, of the 10 ms that each of its calls takes.
    let ended = ended_before_the_victim(&lab, &attacker, &victim).await;
    assert!(ended <= 15, "{ended} of 50");
}

#[tokio::test]
async fn a_tenant_of_three_times_the_weight_gets_three_times_the_cpu() {
    let lab = one_thread();
    lab.sandbox.weigh([("gold".parse().unwrap(), NonZeroU32::new(300).unwrap())].into());
    let spin = |tenant| of(&lab, tenant, probe("loop_forever"), Bounds { fuel: 100_000_000, ..patient() });
    let (gold, acme) = (spin("gold"), spin("acme"));
    let all = |connection: &Arc<Connection>, count| {
        let connection = Arc::clone(connection);
        let sandbox = Arc::clone(&lab.sandbox);
        async move { join_all((0..count).map(|_| sandbox.call(&connection, "go", "1", "key"))).await.len() }
    };
    // Eight calls at three times the speed end before four do; at the same speed they would not.
    // The eight begin first: on a busy machine this thread may be away between the two.
    let (eight, four) = (pin!(all(&gold, 8)), pin!(all(&acme, 4)));
    match select(eight, four).await {
        Either::Left((ended, _)) => assert_eq!(ended, 8),
        Either::Right(_) => panic!("the four calls of the usual weight ended first"),
    }
}

#[tokio::test]
async fn a_tenant_alone_gets_everything_and_a_neighbour_is_well_meanwhile() {
    let lab = one_thread();
    let attacker = of(&lab, "evil", probe("loop_forever"), attack());
    let attack = join_all((0..4).map(|_| lab.sandbox.call(&attacker, "go", "1", "key")));
    let mut attack = pin!(attack);
    let neighbour = pin!(lab.a_neighbour_is_well());
    match select(attack.as_mut(), neighbour).await {
        Either::Right(((), attack)) => assert_eq!(attack.await.len(), 4),
        Either::Left(_) => panic!("a call of microseconds waited for four of milliseconds"),
    }
}
