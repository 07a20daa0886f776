//! Calls `target/go` for at most `{"ms"}`, then sleeps as long again, until an
//! instant. Gives which was `first`, 0 the call or 1 the limit, what the limit
//! `gave`, and whether the clock was before and after that instant.

use probes::json;
use wharf_sdk::bindings::workflow::wharf::workflow::calls;
use wharf_sdk::clock;

fn run(data: &str) -> String {
    let ms = probes::at(&probes::parse(data), "ms").as_u64().unwrap_or_default();
    let limit = calls::start_sleep(ms);
    let call = calls::start("target", "go", data);
    let first = calls::wait_any(&[&call, &limit]);
    let gave = format!("{:?}", limit.wait());
    let until = clock::now_ms() + ms;
    let before = clock::now_ms() < until;
    calls::sleep_until(until);
    json!({ "first": first, "gave": gave, "before": before, "after": clock::now_ms() >= until }).to_string()
}

probes::workflow! {
    name: "workflow-limit",
    run: |message| Ok(run(&message.data)),
}
