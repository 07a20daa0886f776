//! Undoing a run that was cancelled: the calls that its workflow named, last
//! first, each a step of its own.
//!
//! Their numbers follow those of the steps that named them, so a crash in the
//! middle does none of them under another key.

use std::sync::Arc;

use host_model::outcome::{CallError, Outcome};
use host_model::run::RunStatus;
use host_store::StoreError;

use crate::Runs;
use crate::ask::{Said, plan};
use crate::execute::{Attempt, nothing_more};
use crate::journal::Core;
use crate::ledger::{Halt, MAX_STEPS};
use crate::perform::Order;
use crate::record::{Did, StepRecord};
use crate::shelf::PAGE;

/// The number of the step that undoes what this step named. Beyond all that a
/// workflow can ask, and rising in the order in which they are done.
fn number_of(named_by: u32) -> u32 {
    2 * MAX_STEPS - 1 - named_by
}

/// Whether a step undoes: its workflow did not ask for it.
pub(crate) fn undoes(number: u32) -> bool {
    number >= MAX_STEPS
}

impl Runs {
    /// Makes the calls that are not recorded yet, and ends the run.
    pub(crate) async fn undo(&self, core: &Arc<Core>) -> Result<Attempt, StoreError> {
        // A test did nothing that could be undone.
        let named = if core.is_played() { Vec::new() } else { self.named_to_undo(core).await? };
        let (mut done, mut left) = (0, Vec::new());
        for named_by in named.into_iter().rev() {
            let Some(step) = self.shelf.step_record(&core.tenant, core.run, named_by).await? else {
                continue;
            };
            let said = Said(&step.did).to_string();
            match self.undo_one(core, step).await? {
                Ok(Ok(_)) => done += 1,
                Ok(Err(error)) => left.push(format!("step {named_by}, {said}: {error}")),
                Err(Halt::Broken(why)) => return Ok(Attempt::Broken(why)),
                Err(Halt::Again) => return Ok(Attempt::Again),
                Err(Halt::Ordered) => return Ok(Attempt::Ordered),
                Err(_) => return Ok(Attempt::Parked),
            }
        }
        match core.flush().await {
            Ok(()) => {}
            Err(Halt::Again) => return Ok(Attempt::Again),
            Err(halt) => return Ok(Attempt::Broken(halt.text())),
        }
        let writer = core.writer.lock().await;
        if writer.record.status != RunStatus::Cancelling {
            return Ok(Attempt::Ordered); // terminated meanwhile
        }
        let by = writer.record.interventions.iter().rev().find(|it| it.what == "cancelled");
        let by = by.map(|it| format!("cancelled by {}", it.who)).unwrap_or_else(|| "cancelled".to_owned());
        let (status, text) = match left.as_slice() {
            [] => (RunStatus::Cancelled, format!("{by}; {done} calls undid what it had done")),
            left => (
                RunStatus::Failed,
                format!("{by}; {done} calls undid what it had done, left undone: {}", left.join("; ")),
            ),
        };
        let outcome = Outcome::Declined(CallError::Permanent(text));
        self.finish(writer.record.clone(), writer.version, status, nothing_more(outcome)).await?;
        Ok(Attempt::Ended)
    }

    /// The steps that named a call and were told that it is kept, in order.
    async fn named_to_undo(&self, core: &Core) -> Result<Vec<u32>, StoreError> {
        let (mut named, mut after) = (Vec::new(), None);
        loop {
            let page = self.shelf.step_records(&core.tenant, core.run, after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(named) };
            after = Some(last.number);
            for step in page {
                if !matches!(step.did, Did::OnCancel { .. }) {
                    continue;
                }
                if let Outcome::Answered(_) = self.shelf.json::<Outcome<String>>(step.outcome).await? {
                    named.push(step.number);
                }
            }
        }
    }

    async fn undo_one(
        &self,
        core: &Arc<Core>,
        named: StepRecord,
    ) -> Result<Result<Result<String, CallError>, Halt>, StoreError> {
        let number = number_of(named.number);
        let Did::OnCancel { role, endpoint, input } = named.did else {
            return Err(StoreError::Engine(format!("step {} of {} changed", named.number, core.run).into()));
        };
        if !core.is_recorded(number) {
            let input = self.shelf.text(input).await?;
            let (asked, doing) = plan(&core.wiring, &role, &endpoint, input);
            let order = Order { number, asked, started_at: self.clock.now(), place: None, gave_up: None };
            if let Err(stopped) = core.begin(order, doing) {
                return Ok(Err(core.halted().unwrap_or(Halt::Broken(stopped.to_string()))));
            }
        }
        match core.answer(number).await {
            Ok(answer) => Ok(Ok(answer)),
            Err(stopped) => Ok(Err(core.halted().unwrap_or(Halt::Broken(stopped.to_string())))),
        }
    }
}
