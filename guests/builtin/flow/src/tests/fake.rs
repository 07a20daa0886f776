//! A host that is played: it answers calls by a script, completes what is
//! pending in an order that a test chooses, and remembers what was asked.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};
use wharf_sdk::Error;

use crate::effects::{Effects, Tries};
use crate::tasks::MOST_PENDING;

type Script = Box<dyn FnMut(&str, &Value) -> Result<Value, Error>>;
/// Of these open steps, the place of the one that is done next.
type Order = Box<dyn FnMut(&[usize]) -> usize>;

/// What was asked, and what came of it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) what: String,
    pub(super) answer: Result<String, Error>,
    /// Its place in the order of completion.
    pub(super) completed: Option<usize>,
}

struct Inner {
    log: Vec<String>,
    asked: Vec<Asked>,
    /// From an earlier attempt; by the step's number.
    recorded: Vec<Option<Asked>>,
    script: Script,
    order: Order,
    completions: usize,
    open: usize,
    most_open: usize,
    ends_at: Vec<u64>,
    now: u64,
    events: Vec<(String, Value)>,
    random: u64,
}

/// A played host; copies are the same one.
#[derive(Clone)]
pub(super) struct Fake(Rc<RefCell<Inner>>);

impl Fake {
    /// Calls answer what the script says of `connection.endpoint` and input.
    pub(super) fn new(script: impl FnMut(&str, &Value) -> Result<Value, Error> + 'static) -> Self {
        Self(Rc::new(RefCell::new(Inner {
            log: Vec::new(),
            asked: Vec::new(),
            recorded: Vec::new(),
            script: Box::new(script),
            order: Box::new(|_| 0),
            completions: 0,
            open: 0,
            most_open: 0,
            ends_at: Vec::new(),
            now: 1_000_000,
            events: Vec::new(),
            random: 0,
        })))
    }

    /// Completes what is pending in this order instead of the first come first.
    pub(super) fn order(self, order: impl FnMut(&[usize]) -> usize + 'static) -> Self {
        self.0.borrow_mut().order = Box::new(order);
        self
    }

    /// An event that comes; others time out.
    pub(super) fn event(self, name: &str, data: Value) -> Self {
        self.0.borrow_mut().events.push((name.to_owned(), data));
        self
    }

    /// Knows of an earlier attempt's steps those that were done.
    pub(super) fn replaying(self, asked: &[Asked], up_to: usize) -> Self {
        let done = |step: &Asked| step.completed.filter(|at| *at < up_to).map(|_| step.clone());
        let mut inner = self.0.borrow_mut();
        inner.recorded = asked.iter().map(done).collect();
        inner.completions = up_to;
        drop(inner);
        self
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.0.borrow().log.clone()
    }

    /// The log without the marks.
    pub(super) fn effects(&self) -> Vec<String> {
        self.log().into_iter().filter(|line| !line.starts_with("mark ")).collect()
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.0.borrow().asked.clone()
    }

    pub(super) fn most_open(&self) -> usize {
        self.0.borrow().most_open
    }
}

impl Inner {
    fn start(&mut self, what: String, answer: impl FnOnce(&mut Self) -> Result<String, Error>) -> usize {
        let number = self.asked.len();
        self.log.push(what.clone());
        let recorded = self.recorded.get(number).cloned().flatten();
        if let Some(recorded) = recorded {
            assert_eq!(recorded.what, what, "step {number} differs from the journal");
            self.ends_at.push(0);
            self.asked.push(recorded);
            return number;
        }
        let answer = answer(self);
        self.open += 1;
        self.most_open = self.most_open.max(self.open);
        assert!(self.open <= MOST_PENDING, "too many are pending");
        if self.ends_at.len() == number {
            self.ends_at.push(0);
        }
        self.asked.push(Asked { what, answer, completed: None });
        number
    }

    fn instant(&mut self, what: String, answer: Result<String, Error>) -> Result<String, Error> {
        let number = self.start(what, |_| answer);
        self.complete(number);
        self.asked[number].answer.clone()
    }

    fn complete(&mut self, number: usize) {
        let step = &mut self.asked[number];
        if step.completed.is_none() {
            step.completed = Some(self.completions);
            self.completions += 1;
            self.open -= 1;
            self.now = self.now.max(self.ends_at[number]);
        }
    }

    /// Lets time pass until one of these is done; the first of them to be.
    fn until(&mut self, wanted: &[usize]) -> usize {
        loop {
            let done = wanted.iter().filter_map(|number| Some((self.asked[*number].completed?, *number)));
            if let Some((_, number)) = done.min() {
                return number;
            }
            let open: Vec<usize> =
                (0..self.asked.len()).filter(|number| self.asked[*number].completed.is_none()).collect();
            let next = open[(self.order)(&open)];
            self.complete(next);
        }
    }
}

impl Effects for Fake {
    type Pending = usize;

    fn definition(&self) -> String {
        String::new()
    }

    fn mark(&self, place: &str) {
        self.0.borrow_mut().log.push(format!("mark {place}"));
    }

    fn call(&self, connection: &str, endpoint: &str, input: &str, tries: Option<Tries>) -> usize {
        let what = format!("{connection}.{endpoint}");
        let value = serde_json::from_str(input).unwrap();
        let line = match tries {
            None => format!("{what} {input}"),
            Some(Tries { times, first_ms, longest_ms }) => {
                format!("{what} {input} x{times} {first_ms}..{longest_ms}")
            }
        };
        self.0.borrow_mut().start(line, |inner| (inner.script)(&what, &value).map(|it| it.to_string()))
    }

    fn sleep(&self, ms: u64) -> usize {
        self.0.borrow_mut().start(format!("sleep {ms}"), |inner| {
            inner.ends_at.push(inner.now + ms);
            Ok("null".to_owned())
        })
    }

    fn expect(&self, name: &str, timeout_ms: Option<u64>) -> (String, usize) {
        let number = self.0.borrow_mut().start(format!("expect {name} {timeout_ms:?}"), |inner| {
            let event = inner.events.iter().find(|(known, _)| known == name);
            event.map(|(_, data)| data.to_string()).ok_or_else(|| Error::NotFound("nothing came".to_owned()))
        });
        (format!("http://host/{name}"), number)
    }

    fn workflow(&self, workflow: &str, input: &str) -> usize {
        self.0.borrow_mut().start(format!("workflow {workflow} {input}"), |_| Ok(json!("child").to_string()))
    }

    fn publish(&self, topic: &str, data: &str) -> Result<u32, Error> {
        self.0.borrow_mut().instant(format!("publish {topic} {data}"), Ok("2".to_owned())).map(|_| 2)
    }

    fn reply(&self, answer: &str) {
        let _ = self.0.borrow_mut().instant(format!("reply {answer}"), Ok("null".to_owned()));
    }

    fn set_key(&self, name: &str, value: &str) -> Result<(), Error> {
        let answer = if value.len() > 128 { Err(Error::invalid("too long")) } else { Ok("null".to_owned()) };
        self.0.borrow_mut().instant(format!("key {name}={value}"), answer).map(|_| ())
    }

    fn on_cancel(&self, connection: &str, endpoint: &str, input: &str) {
        let what = format!("on-cancel {connection}.{endpoint} {input}");
        let _ = self.0.borrow_mut().instant(what, Ok("null".to_owned()));
    }

    fn wait(&self, pending: &usize) -> Result<String, Error> {
        let inner = &mut *self.0.borrow_mut();
        inner.until(&[*pending]);
        inner.asked[*pending].answer.clone()
    }

    fn wait_any(&self, pending: &[&usize]) -> usize {
        let wanted: Vec<usize> = pending.iter().map(|number| **number).collect();
        let first = self.0.borrow_mut().until(&wanted);
        wanted.iter().position(|number| *number == first).unwrap()
    }

    fn now_ms(&self) -> u64 {
        self.0.borrow().now
    }

    fn random(&self) -> u64 {
        let mut inner = self.0.borrow_mut();
        inner.random += 1;
        inner.random
    }
}
