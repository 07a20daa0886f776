//! What the interpreter asks the outside for: the contract's `calls`, small
//! enough to be played by a test.

use wharf_sdk::Error;

/// How a call is tried by the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tries {
    /// In all.
    pub(crate) times: u32,
    /// The first pause; it doubles with each try.
    pub(crate) first_ms: u64,
    /// The longest pause.
    pub(crate) longest_ms: u64,
}

/// The contract's `calls`, as far as steps need it.
pub(crate) trait Effects {
    /// Something that was started and may still be going on.
    type Pending;

    /// The tree of the workflow, as JSON.
    fn definition(&self) -> String;
    /// Names the place that asks for what follows.
    fn mark(&self, place: &str);
    /// Starts a call; the host tries it as the workflow's set-up says, or as `tries` does.
    fn call(&self, connection: &str, endpoint: &str, input: &str, tries: Option<Tries>) -> Self::Pending;
    /// Starts a pause; its answer is `null`.
    fn sleep(&self, ms: u64) -> Self::Pending;
    /// Expects an event; gives the address it is sent to.
    fn expect(&self, name: &str, timeout_ms: Option<u64>) -> (String, Self::Pending);
    /// Starts a run of another workflow.
    fn workflow(&self, workflow: &str, input: &str) -> Self::Pending;
    /// Tells a topic; gives how many workflows heard it.
    fn publish(&self, topic: &str, data: &str) -> Result<u32, Error>;
    /// Answers the caller.
    fn reply(&self, answer: &str);
    /// Sets a business key.
    fn set_key(&self, name: &str, value: &str) -> Result<(), Error>;
    /// Names what undoes what was done so far.
    fn on_cancel(&self, connection: &str, endpoint: &str, input: &str);
    /// Waits for one thing.
    fn wait(&self, pending: &Self::Pending) -> Result<String, Error>;
    /// Waits for the first of several, which are not none; gives its place.
    fn wait_any(&self, pending: &[&Self::Pending]) -> usize;
    /// The run's time.
    fn now_ms(&self) -> u64;
    /// The run's randomness.
    fn random(&self) -> u64;
}
