//! A host with ten thousand connections of a thousand tenants: how long it
//! takes to start, what memory it holds when it has, and what the first call of
//! a connection takes.

use std::time::Instant;

use http::StatusCode;
use reqwest::Method;
use tests_harness::{Connection, Host, HostBuilder, eventually, probe};

use crate::figures::{Figures, median};
use crate::{native, process};

const TENANTS: usize = 1_000;
/// Connections of each.
const EACH: usize = 10;
const STARTS: usize = 3;
/// Tenants whose first call is timed; the very first is reported by itself.
const CALLED: usize = 50;

#[tokio::main]
pub(crate) async fn measure(figures: &mut Figures) -> anyhow::Result<()> {
    println!("configured: {} connections of {TENANTS} tenants", TENANTS * EACH);
    let mut host = HostBuilder::default().full_size().start().await;
    host.publish(probe("lead-transform")).await.expect(201);
    let began = Instant::now();
    let documents: Vec<_> = (0..EACH)
        .map(|at| Connection::new(&format!("c{at}"), "probe/lead-transform@0.1.0").open_hooks().yaml())
        .collect();
    let documents = documents.join("---\n");
    for number in 0..TENANTS {
        host.tenant(&name(number)).await.apply(&documents).await;
    }
    println!("  configured in {:.0} s", began.elapsed().as_secs_f64());

    let (mut starts, mut memory, mut first, mut others) = (vec![], vec![], vec![], vec![]);
    for _ in 0..STARTS {
        host.terminate().await;
        let began = Instant::now();
        host.restart();
        eventually("the host is ready", async || {
            (host.ask(host.request(Method::GET, "/readyz")).await.status == StatusCode::OK).then_some(())
        })
        .await;
        starts.push(began.elapsed().as_secs_f64());
        memory.push(process::resident_mb(host.pid())?);
        for at in 0..CALLED {
            let took = call(&host, at * (TENANTS / CALLED)).await?;
            if at == 0 { first.push(took) } else { others.push(took) }
        }
        println!(
            "  ready after {:.2} s, {:.0} MB, first call {:.1} ms",
            starts[starts.len() - 1],
            memory[memory.len() - 1],
            first[first.len() - 1]
        );
    }
    figures.set("config_10k_start_s", median(starts));
    figures.set("config_10k_mb", median(memory));
    figures.set("config_10k_first_call_ms", median(first));
    figures.set("config_10k_next_tenants_call_ms", median(others));
    Ok(())
}

fn name(number: usize) -> String {
    format!("t{number}")
}

/// One webhook of a tenant, in milliseconds.
async fn call(host: &Host, tenant: usize) -> anyhow::Result<f64> {
    let path = format!("/hooks/{}/c3/transform", name(tenant));
    let request = host.request(Method::POST, &path).header("content-type", "application/json");
    let began = Instant::now();
    let answer = host.ask(request.body(native::lead())).await;
    anyhow::ensure!(answer.status == StatusCode::OK, "{}", answer.text);
    Ok(began.elapsed().as_secs_f64() * 1e3)
}
