//! Steps that ask for something outside.

use host_flow::{Call, Kind, Step, Template, Val, What, from_json, instant_ms, span_ms};
use wharf_sdk::Error;

use super::{Run, Scope};
use crate::effects::Effects;
use crate::failure::{End, Failure};
use crate::tasks::Slots;

impl<E: Effects> Run<'_, E> {
    pub(super) async fn call(
        &self,
        step: &Step,
        call: &Call,
        undo: Option<&Call>,
        scope: &mut Scope,
    ) -> Result<Val, End> {
        let tries = scope.tries.take();
        let input = self.json(step, &call.input, scope)?;
        let output = self
            .pending(step, Slots::Any, scope.finishing, |effects| {
                effects.call(&call.connection, &call.endpoint, &input, tries)
            })
            .await?;
        if let Some(undo) = undo {
            // Its input may be about what was just made.
            if let Some(id) = &step.id {
                scope.values.set(id, output.clone());
            }
            let input = self.json(step, &undo.input, scope)?;
            self.mark(step);
            self.tasks.effects.on_cancel(&undo.connection, &undo.endpoint, &input);
        }
        Ok(output)
    }

    /// Starts something, and waits for its answer.
    async fn pending(
        &self,
        step: &Step,
        slots: Slots,
        finishing: bool,
        start: impl FnOnce(&E) -> E::Pending,
    ) -> Result<Val, End> {
        let _slot = self.tasks.slot(slots, finishing).await?;
        self.mark(step);
        let pending = start(&self.tasks.effects);
        let answer = self.tasks.answer(pending, finishing).await?;
        self.answered(step, answer)
    }

    fn answered(&self, step: &Step, answer: Result<String, Error>) -> Result<Val, End> {
        let answer = answer.map_err(|error| Failure::effect(self.flow, step, error))?;
        from_json(&answer).map_err(|why| self.wrong(step, format!("the answer is no JSON: {why}")))
    }

    pub(super) async fn pause(&self, step: &Step, ms: u64, scope: &Scope) -> Result<Val, End> {
        self.pending(step, Slots::Any, scope.finishing, |effects| effects.sleep(ms)).await
    }

    pub(super) async fn sleep_for(&self, step: &Step, time: &Template, scope: &Scope) -> Result<Val, End> {
        let ms = self.span(step, time, scope)?;
        self.pause(step, ms, scope).await
    }

    pub(super) async fn sleep_until(&self, step: &Step, time: &Template, scope: &Scope) -> Result<Val, End> {
        let value = self.render(step, time, scope)?;
        let Some(until) = instant_ms(&value) else {
            let message = format!(
                "`sleep` takes an instant such as \"2026-12-24T18:00:00Z\" or seconds since 1970, not {}",
                quoted(&value)
            );
            return Err(self.wrong(step, message));
        };
        // A pause is of the run's time, as `now` is, so both meet exactly.
        self.pause(step, until.saturating_sub(self.tasks.effects.now_ms()), scope).await
    }

    fn span(&self, step: &Step, time: &Template, scope: &Scope) -> Result<u64, End> {
        let value = self.render(step, time, scope)?;
        span_ms(&value).ok_or_else(|| {
            self.wrong(
                step,
                format!("a time is `90s`, `5m`, `1h30m`, `3d` or seconds, not {}", quoted(&value)),
            )
        })
    }

    pub(super) async fn wait_for(&self, step: &Step, scope: &mut Scope) -> Result<Val, End> {
        let What::WaitFor { event, timeout, notify, on_timeout } = &step.what else { return Ok(Val::Null) };
        let name = self.text(step, event, scope)?;
        let timeout = timeout.as_ref().map(|time| self.span(step, time, scope)).transpose()?;
        let answer = {
            let _slot = self.tasks.slot(Slots::Event, scope.finishing).await?;
            self.mark(step);
            let (url, pending) = self.tasks.effects.expect(&name, timeout);
            let before = scope.put("url", Some(Val::from(url)));
            let told = self.block(notify, scope).await;
            scope.put("url", before);
            told?;
            self.tasks.answer(pending, scope.finishing).await?
        };
        match (answer, on_timeout, timeout) {
            (Err(Error::NotFound(_)), Some(steps), Some(_)) => self.block(steps, scope).await,
            (Err(Error::NotFound(_)), None, Some(ms)) => {
                let message = format!("the event `{name}` did not come within {}", spoken(ms));
                Err(Failure::new(self.flow, step, Kind::NotFound, message).into())
            }
            (answer, ..) => self.answered(step, answer),
        }
    }

    pub(super) async fn workflow(
        &self,
        step: &Step,
        workflow: &str,
        input: &Template,
        wait: bool,
        scope: &Scope,
    ) -> Result<Val, End> {
        let input = self.json(step, input, scope)?;
        let start = |effects: &E| effects.workflow(workflow, &input);
        if wait {
            return self.pending(step, Slots::Any, scope.finishing, start).await;
        }
        let slot = self.tasks.slot(Slots::Any, scope.finishing).await?;
        self.mark(step);
        self.tasks.leave(start(&self.tasks.effects), slot);
        Ok(Val::Null)
    }

    pub(super) fn publish(
        &self,
        step: &Step,
        topic: &Template,
        data: &Template,
        scope: &Scope,
    ) -> Result<Val, End> {
        let (topic, data) = (self.text(step, topic, scope)?, self.json(step, data, scope)?);
        self.mark(step);
        let told = self.tasks.effects.publish(&topic, &data);
        let told = told.map_err(|error| Failure::effect(self.flow, step, error))?;
        Ok(Val::from(usize::try_from(told).unwrap_or(usize::MAX)))
    }

    pub(super) fn set(
        &self,
        step: &Step,
        vars: &[(String, Template)],
        keys: &[(String, Template)],
        scope: &mut Scope,
    ) -> Result<Val, End> {
        for (name, value) in vars {
            let value = self.render(step, value, scope)?;
            scope.values.set(name, value);
        }
        for (name, value) in keys {
            let value = self.text(step, value, scope)?;
            self.mark(step);
            let set = self.tasks.effects.set_key(name, &value);
            set.map_err(|error| Failure::effect(self.flow, step, error))?;
        }
        Ok(Val::Null)
    }

    pub(super) fn reply(&self, step: &Step, answer: &Template, scope: &Scope) -> Result<Val, End> {
        let answer = self.json(step, answer, scope)?;
        self.mark(step);
        self.tasks.effects.reply(&answer);
        Ok(Val::Null)
    }
}

/// A value as it is quoted in a message, cut if it is long.
fn quoted(value: &Val) -> String {
    /// Enough to know it by.
    const MOST: usize = 60;
    let text = host_flow::to_json(value).unwrap_or_else(|_| "bytes".to_owned());
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

/// A time as people say it.
fn spoken(ms: u64) -> String {
    match ms {
        _ if ms >= 86_400_000 && ms.is_multiple_of(86_400_000) => format!("{} d", ms / 86_400_000),
        _ if ms >= 3_600_000 && ms.is_multiple_of(3_600_000) => format!("{} h", ms / 3_600_000),
        _ if ms >= 60_000 && ms.is_multiple_of(60_000) => format!("{} min", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{} s", ms / 1_000),
        _ => format!("{ms} ms"),
    }
}
