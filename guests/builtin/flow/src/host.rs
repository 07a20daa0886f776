//! The effects as the host offers them.

use wharf_sdk::Error;
use wharf_sdk::bindings::workflow::wharf::workflow::calls;

use crate::effects::{Effects, Tries};

/// The host of this run.
pub(crate) struct Host;

impl Effects for Host {
    type Pending = calls::Pending;

    fn definition(&self) -> String {
        calls::definition()
    }

    fn mark(&self, place: &str) {
        calls::mark(place);
    }

    fn call(&self, connection: &str, endpoint: &str, input: &str, tries: Option<Tries>) -> calls::Pending {
        match tries {
            None => calls::start(connection, endpoint, input),
            Some(Tries { times, first_ms, longest_ms }) => {
                calls::start_tried(connection, endpoint, input, calls::Tries { times, first_ms, longest_ms })
            }
        }
    }

    fn sleep(&self, ms: u64) -> calls::Pending {
        calls::start_sleep(ms)
    }

    fn expect(&self, name: &str, timeout_ms: Option<u64>) -> (String, calls::Pending) {
        let expected = calls::expect_event(name, timeout_ms);
        (expected.url, expected.event)
    }

    fn workflow(&self, workflow: &str, input: &str) -> calls::Pending {
        calls::start_workflow(workflow, input)
    }

    fn publish(&self, topic: &str, data: &str) -> Result<u32, Error> {
        Ok(calls::publish(topic, data)?)
    }

    fn reply(&self, answer: &str) {
        calls::reply(answer);
    }

    fn set_key(&self, name: &str, value: &str) -> Result<(), Error> {
        Ok(calls::set_key(name, value)?)
    }

    fn on_cancel(&self, connection: &str, endpoint: &str, input: &str) {
        calls::on_cancel(connection, endpoint, input);
    }

    fn wait(&self, pending: &calls::Pending) -> Result<String, Error> {
        Ok(pending.wait()?)
    }

    fn wait_any(&self, pending: &[&calls::Pending]) -> usize {
        // The host gives a place in the list.
        usize::try_from(calls::wait_any(pending)).unwrap_or(usize::MAX)
    }

    fn now_ms(&self) -> u64 {
        wharf_sdk::clock::now_ms()
    }

    fn random(&self) -> u64 {
        wharf_sdk::random::number()
    }
}
