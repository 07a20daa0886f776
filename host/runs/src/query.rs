//! Looking at runs. Another tenant's run is absent: its key is elsewhere.

use std::time::Duration;

use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::run::{Run, RunStatus, Step};
use host_model::search::Filter;
use host_store::StoreError;

use crate::record::Record;
use crate::search::find;
use crate::{Runs, keys};

/// The most runs of a page.
const MAX_LIST: usize = 100;
/// The most steps of a page.
const MAX_STEPS: usize = 1_000;
/// A page of steps ends when it has so many bytes of inputs, answers and logs.
const MAX_STEP_BYTES: usize = 8 << 20;

/// A page of runs, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPage {
    /// The runs, without what may be large: the message's data is empty, the
    /// log too, and the outcome is there only of a run that did not succeed.
    pub runs: Vec<Run>,
    /// Pass as `after` for the next page; `None` at the end. A page may be
    /// short, even empty, before the end.
    pub next: Option<RunId>,
}

/// A page of a run's steps, in the order that its workflow asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepPage {
    /// The steps that are recorded.
    pub steps: Vec<Step>,
    /// Pass as `after` for the next page; `None` at the end.
    pub next: Option<u32>,
}

/// Runs could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what}")]
pub struct ReadError {
    /// What was to be read.
    what: String,
    /// Why not.
    source: StoreError,
}

pub(crate) fn reading(what: impl std::fmt::Display) -> impl FnOnce(StoreError) -> ReadError {
    move |source| ReadError { what: what.to_string(), source }
}

impl Runs {
    /// The run as it is now.
    pub async fn get(&self, tenant: &TenantId, id: RunId) -> Result<Option<Run>, ReadError> {
        self.shelf.run(tenant, id).await.map_err(reading(id))
    }

    /// The run once it has ended or replied, or as it is at the deadline.
    /// Parking does not matter: whoever waits goes on waiting.
    pub async fn wait(
        &self,
        tenant: &TenantId,
        id: RunId,
        up_to: Duration,
    ) -> Result<Option<Run>, ReadError> {
        match tokio::time::timeout(up_to, self.told(tenant, id)).await {
            Ok(Err(error)) => Err(reading(id)(error)),
            Ok(Ok(())) | Err(_) => self.get(tenant, id).await,
        }
    }

    /// Waits until the run says something: its reply or its ending.
    async fn told(&self, tenant: &TenantId, id: RunId) -> Result<(), StoreError> {
        // Only these two ring, no step does. The bell is the store's: nothing here remembers who waits.
        let told = keys::told(tenant, id);
        let mut bell = self.shelf.store.watch(&told);
        let mut is_there = false;
        while self.shelf.store.scan(&told, None, 1).await?.is_empty() {
            if !is_there && self.shelf.store.get(&keys::record(tenant, id)).await?.is_none() {
                break;
            }
            is_there = true;
            if !bell.rung().await {
                break;
            }
        }
        Ok(())
    }

    /// The run and the first page of its steps.
    pub async fn show(&self, tenant: &TenantId, id: RunId) -> Result<Option<(Run, StepPage)>, ReadError> {
        match self.get(tenant, id).await? {
            Some(run) => Ok(Some((run, self.steps(tenant, id, None).await?))),
            None => Ok(None),
        }
    }

    /// A page of a run's steps; empty of a run that is not there.
    pub async fn steps(
        &self,
        tenant: &TenantId,
        id: RunId,
        after: Option<u32>,
    ) -> Result<StepPage, ReadError> {
        self.read_steps(tenant, id, after).await.map_err(reading(format_args!("the steps of {id}")))
    }

    async fn read_steps(
        &self,
        tenant: &TenantId,
        id: RunId,
        mut after: Option<u32>,
    ) -> Result<StepPage, StoreError> {
        const READ: usize = 64;
        let (mut steps, mut bytes) = (Vec::new(), 0);
        loop {
            let page = self.shelf.step_records(tenant, id, after, READ).await?;
            let last = page.len() < READ;
            for stored in page {
                let number = stored.number;
                let step = self.shelf.step(stored).await?;
                bytes += size(&step);
                steps.push(step);
                after = Some(number);
                if bytes >= MAX_STEP_BYTES || steps.len() >= MAX_STEPS {
                    return Ok(StepPage { steps, next: after });
                }
            }
            if last {
                return Ok(StepPage { steps, next: None });
            }
        }
    }

    /// A page of the tenant's runs, newest first (to the millisecond).
    pub async fn list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<RunPage, ReadError> {
        let limit = limit.clamp(1, MAX_LIST);
        let listed = self.read_list(tenant, filter, after, limit).await;
        listed.map_err(reading(format_args!("the runs of `{tenant}`")))
    }

    async fn read_list(
        &self,
        tenant: &TenantId,
        filter: &Filter,
        after: Option<RunId>,
        limit: usize,
    ) -> Result<RunPage, StoreError> {
        let found = find(&*self.shelf.store, tenant, filter, after, limit).await?;
        let mut runs = Vec::with_capacity(found.records.len());
        for record in found.records {
            runs.push(self.in_a_list(record).await?);
        }
        Ok(RunPage { runs, next: found.next })
    }

    pub(crate) async fn in_a_list(&self, record: Record) -> Result<Run, StoreError> {
        let outcome = if record.status.is_over() && record.status != RunStatus::Succeeded {
            self.shelf.ending(&record.tenant, record.id).await?.map(|(outcome, _)| outcome)
        } else {
            None
        };
        Ok(record.into_run(String::new(), outcome, Vec::new()))
    }
}

/// About how many bytes a step is, shown.
fn size(step: &Step) -> usize {
    use host_model::outcome::Outcome;
    use host_model::run::Effect;
    let input = match &step.effect {
        Effect::Call { input: text, .. }
        | Effect::Workflow { input: text, .. }
        | Effect::Publish { data: text, .. }
        | Effect::Reply { answer: text }
        | Effect::OnCancel { input: text, .. } => text.len(),
        Effect::Sleep { .. } | Effect::SleepUntil { .. } | Effect::Event { .. } | Effect::SetKey { .. } => 0,
    };
    let outcome = match &step.outcome {
        Outcome::Answered(text) | Outcome::Trapped(text) | Outcome::BadAnswer(text) => text.len(),
        Outcome::Declined(error) => error.to_string().len(),
        Outcome::Exceeded(_) => 0,
    };
    input + outcome + step.log.iter().map(|line| line.text.len()).sum::<usize>()
}
