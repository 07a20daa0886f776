//! A run: from the tree and the message to the answer.

mod at_once;
mod blocks;
mod outside;

use std::cell::RefCell;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;
use host_flow::{Expression, Flow, Kind, Step, Template, Val, Values, What, from_json, to_json};
use wharf_sdk::workflow::Message;

#[cfg(test)]
pub(crate) use self::at_once::MOST_ITEMS;
use crate::effects::{Effects, Tries};
use crate::failure::{End, Failure, label};
use crate::tasks::Tasks;

/// Runs a workflow's steps for a message; gives the run's answer as JSON.
pub(crate) fn interpret<E: Effects>(flow: &Flow, message: &Message, effects: E) -> Result<String, Failure> {
    let run = Run { flow, tasks: Tasks::new(effects), marked: RefCell::default() };
    run.mark_at(1, "message"); // a large one takes its time
    let data =
        from_json(&message.data).map_err(|why| at_start(flow, format!("the message's data: {why}")))?;
    let mut values = Values::new(data.clone());
    for name in flow.names() {
        values.set(name, Val::Null);
    }
    values.set("message", described(message, data));
    for (name, value) in &flow.given {
        values.set(name, rendered(value));
    }
    let mut scope = Scope { values, finishing: false, tries: None };
    let ended = run.tasks.run(run.block(&flow.steps, &mut scope));
    let answer = match ended {
        Ok(_) => match &flow.answer {
            Some(answer) => scope
                .values
                .render(answer, &mut |expression| run.mark_at(expression.line, "answer"))
                .map_err(|bad| Failure::expression(flow, "answer".to_owned(), &bad))?,
            None => Val::Null,
        },
        Err(End::Stopped) => run.tasks.stopped().unwrap_or_default(),
        Err(End::Failed(failure)) => return Err(*failure),
    };
    to_json(&answer).map_err(|why| at_start(flow, format!("the answer: {why}")))
}

/// A failure of the run as a whole.
fn at_start(flow: &Flow, message: String) -> Failure {
    let (file, step) = (flow.file.clone(), "answer".to_owned());
    Failure { kind: Kind::Permanent, message, file, line: 1, step, retry_after_ms: None }
}

/// What a template without expressions gives.
fn rendered(value: &serde_json::Value) -> Val {
    from_json(&value.to_string()).unwrap_or_default() // it was JSON
}

/// As `$message`.
fn described(message: &Message, data: Val) -> Val {
    let text = |text: &str| Val::from(text.to_owned());
    let time = i64::try_from(message.time_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let entries = [
        ("id", text(&message.id)),
        ("source", text(&message.source)),
        ("kind", text(&message.kind)),
        ("subject", message.subject.as_deref().map_or(Val::Null, text)),
        ("time", time.map_or(Val::Null, |time| Val::from(time.to_string()))),
        ("data", data),
    ];
    Val::obj(entries.into_iter().map(|(key, value)| (text(key), value)).collect())
}

/// One run.
struct Run<'f, E: Effects> {
    flow: &'f Flow,
    tasks: Tasks<E>,
    /// The place that the host was told last.
    marked: RefCell<String>,
}

/// What the steps of one branch see.
#[derive(Clone, Debug)]
struct Scope {
    values: Values,
    /// Within `finally`, which is done also if the run is stopped.
    finishing: bool,
    /// How the call that comes next is tried, if its `retry` says so.
    tries: Option<Tries>,
}

impl Scope {
    /// Sets a variable for a while; gives what it was before.
    fn put(&mut self, name: &str, value: Option<Val>) -> Option<Val> {
        let before = self.values.get(name).cloned();
        match value {
            Some(value) => self.values.set(name, value),
            None => {
                self.values.unset(name);
            }
        }
        before
    }
}

impl<E: Effects> Run<'_, E> {
    /// Does steps in order; gives the last one's output.
    fn block<'r>(&'r self, steps: &'r [Step], scope: &'r mut Scope) -> LocalBoxFuture<'r, Result<Val, End>> {
        async move {
            let mut last = Val::Null;
            for step in steps {
                last = self.step(step, scope).await?;
            }
            Ok(last)
        }
        .boxed_local()
    }

    async fn step(&self, step: &Step, scope: &mut Scope) -> Result<Val, End> {
        if !scope.finishing && self.tasks.stopped().is_some() {
            return Err(End::Stopped);
        }
        let output = match &step.what {
            What::Call { call, undo } => self.call(step, call, undo.as_ref(), scope).await,
            What::Map(value) => self.render(step, value, scope),
            What::If { when, then, otherwise } => {
                let truth = self.render(step, when, scope)?;
                let taken = if matches!(truth, Val::Null | Val::Bool(false)) { otherwise } else { then };
                self.block(taken, scope).await
            }
            What::Switch { on, cases, otherwise } => {
                let on = self.text(step, on, scope)?;
                let taken = cases.iter().find(|(case, _)| *case == on).map_or(otherwise, |(_, steps)| steps);
                self.block(taken, scope).await
            }
            What::ForEach { .. } => self.for_each(step, scope).await,
            What::Parallel(branches) => self.parallel(branches, scope).await,
            What::Try { steps, on, catch, finally } => {
                self.attempt(steps, on, catch.as_deref(), finally, scope).await
            }
            What::Retry { .. } => self.retry(step, scope).await,
            What::SleepFor(time) => self.sleep_for(step, time, scope).await,
            What::SleepUntil(time) => self.sleep_until(step, time, scope).await,
            What::WaitFor { .. } => self.wait_for(step, scope).await,
            What::Workflow { workflow, input, wait } => {
                self.workflow(step, workflow, input, *wait, scope).await
            }
            What::Publish { topic, data } => self.publish(step, topic, data, scope),
            What::Set { vars, keys } => self.set(step, vars, keys, scope),
            What::Reply(answer) => self.reply(step, answer, scope),
            What::Fail { kind, message } => {
                Err(Failure::new(self.flow, step, *kind, self.text(step, message, scope)?).into())
            }
            What::Stop(answer) => {
                let answer = answer.as_ref().map(|answer| self.render(step, answer, scope)).transpose()?;
                self.tasks.stop(answer.unwrap_or_default());
                Err(End::Stopped)
            }
        }?;
        if let Some(id) = &step.id {
            scope.values.set(id, output.clone());
        }
        Ok(output)
    }

    fn render(&self, step: &Step, template: &Template, scope: &Scope) -> Result<Val, End> {
        // The host is told before: it may be what ends the run.
        let mut mark = |expression: &Expression| self.mark_at(expression.line, &label(step));
        let value = scope.values.render(template, &mut mark);
        value.map_err(|bad| Failure::expression(self.flow, label(step), &bad).into())
    }

    /// A value as JSON.
    fn json(&self, step: &Step, template: &Template, scope: &Scope) -> Result<String, End> {
        let value = self.render(step, template, scope)?;
        to_json(&value).map_err(|why| self.wrong(step, why))
    }

    /// A value as text.
    fn text(&self, step: &Step, template: &Template, scope: &Scope) -> Result<String, End> {
        let value = self.render(step, template, scope)?;
        host_flow::text_of(&value).map_err(|why| self.wrong(step, why))
    }

    /// A step that cannot be done with the values that there are.
    fn wrong(&self, step: &Step, message: impl Into<String>) -> End {
        Failure::new(self.flow, step, Kind::Permanent, message).into()
    }

    /// Says where in the file what follows is asked for.
    fn mark(&self, step: &Step) {
        self.mark_at(step.line, &label(step));
    }

    fn mark_at(&self, line: u32, label: &str) {
        let place = format!("{}:{line} {label}", self.flow.file);
        let mut marked = self.marked.borrow_mut();
        if *marked != place {
            self.tasks.effects.mark(&place);
            *marked = place;
        }
    }
}
