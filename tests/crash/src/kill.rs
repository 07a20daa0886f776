//! A real process, real fsyncs, SIGKILL under load.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tests_harness::{LeadIntake, form};

/// How often the host is killed; each time under load and at another moment.
const KILLS: u64 = 6;
const CALLERS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_run_that_got_a_2xx_is_there_and_finishes() {
    let mut intake = LeadIntake::start().await;
    let accepted = Arc::new(Mutex::new(Vec::new()));
    for kill in 0..KILLS {
        let url = intake.host.url("/hooks/acme/website/inquiry");
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (url, accepted) = (url.clone(), Arc::clone(&accepted));
                #[expect(clippy::disallowed_methods, reason = "awaited below")]
                tokio::spawn(async move {
                    let client = reqwest::Client::new();
                    for number in 0.. {
                        let visitor = form(&format!("v{kill}-{caller}-{number}"));
                        // The first refused connection is the host's death.
                        let Ok(answer) = client.post(&url).form(&visitor).send().await else { return };
                        let status = answer.status();
                        let Ok(body) = answer.json::<serde_json::Value>().await else { return };
                        assert_eq!(status, 202, "{body}");
                        accepted.lock().unwrap().push(body["run"].as_str().unwrap().to_owned());
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(150 + 97 * kill)).await;
        intake.host.kill();
        for caller in callers {
            caller.await.unwrap();
        }
        intake.host.restart();
    }
    let accepted = accepted.lock().unwrap().clone();
    assert!(accepted.len() > KILLS as usize * CALLERS, "there was load: {}", accepted.len());
    for run in &accepted {
        let shown = intake.acme().ended(run).await;
        assert_eq!(shown["run"]["status"], "succeeded", "{shown}");
    }

    // An effect may be repeated after a crash, under the same key: the CRM saw
    // each key, and made one lead of it however often it came.
    let mut seen: HashMap<String, usize> = HashMap::new();
    for request in intake.upstreams.crm_received() {
        *seen.entry(request.idempotency_key.clone().unwrap_or_default()).or_default() += 1;
    }
    for run in &accepted {
        assert!(seen.contains_key(&format!("{run}-0")), "the CRM never saw {run}");
    }
    assert_eq!(intake.upstreams.effects().leads.len(), seen.len());
}
