//! Runs as control repairs them.

use std::sync::Arc;

use host_control::ports::{self, LetterQuery, Order, PortError, RepairError};
use host_model::effects::BoxFuture;
use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::run::Run;
use host_runs::repair::{Action, By, From, InterveneError, On, Replay, ReplayError};
use host_runs::{DismissError, LetterPage, Letters, Runs};

pub(crate) struct RunsRepair(pub(crate) Arc<Runs>);

impl ports::Repair for RunsRepair {
    fn order<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: RunId,
        order: Order,
        by: ports::By,
    ) -> BoxFuture<'a, Result<Run, RepairError>> {
        Box::pin(async move {
            let action = match order {
                Order::Pause => Action::Pause,
                Order::Resume => Action::Resume,
                Order::Cancel => Action::Cancel,
                Order::Terminate => Action::Terminate,
            };
            self.0.intervene(tenant, run, action, whose(by)).await.map_err(unfit)
        })
    }

    fn replay<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: RunId,
        replay: ports::Replay,
    ) -> BoxFuture<'a, Result<ports::Replayed, RepairError>> {
        Box::pin(async move {
            let ports::Replay { from, current, input, dry, by, request, unless_replayed } = replay;
            let from = match from {
                ports::From::Start => From::Start,
                ports::From::Failed => From::Failed,
                ports::From::Step(step) => From::Step(step),
            };
            let on = current.map_or(On::Pinned, On::Current);
            let replay = Replay { from, on, input, dry, by: whose(by), request, unless_replayed };
            let made = self.0.replay(tenant, run, replay).await.map_err(not_made)?;
            Ok(ports::Replayed { run: made.run, repeated: made.repeated })
        })
    }

    fn dead_letters<'a>(
        &'a self,
        tenant: &'a TenantId,
        query: LetterQuery,
    ) -> BoxFuture<'a, Result<ports::LetterPage, PortError>> {
        Box::pin(async move {
            let LetterQuery { workflow, kind, after, limit } = query;
            let letters = Letters { workflow, kind };
            let page = self.0.dead_letters(tenant, &letters, after, limit.get()).await;
            let LetterPage { letters, next } = page.map_err(|error| {
                let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                PortError::Internal(format!("{error}: {cause}"))
            })?;
            Ok(ports::LetterPage { letters, next })
        })
    }

    fn dismiss<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: RunId,
        by: ports::By,
    ) -> BoxFuture<'a, Result<Run, RepairError>> {
        Box::pin(async move { self.0.dismiss(tenant, run, whose(by)).await.map_err(not_dismissed) })
    }
}

fn not_dismissed(error: DismissError) -> RepairError {
    match &error {
        DismissError::Absent(_) => RepairError::Absent,
        DismissError::NotListed { .. } => RepairError::Clash("run-state", error.to_string()),
        DismissError::Contended(_) => RepairError::Clash("contended", error.to_string()),
        DismissError::Store(_) => internal(&error),
    }
}

fn whose(ports::By { who, why }: ports::By) -> By {
    By { who, why }
}

fn unfit(error: InterveneError) -> RepairError {
    match &error {
        InterveneError::Absent(_) => RepairError::Absent,
        InterveneError::Unfit { .. } => RepairError::Clash("run-state", error.to_string()),
        InterveneError::Contended { .. } => RepairError::Clash("contended", error.to_string()),
        InterveneError::Store(_) | InterveneError::Interrupted => internal(&error),
    }
}

fn not_made(error: ReplayError) -> RepairError {
    let clash = |code| RepairError::Clash(code, error.to_string());
    let wrong = |code| RepairError::Wrong(code, error.to_string());
    match &error {
        ReplayError::Absent(_) => RepairError::Absent,
        ReplayError::NotOver { .. } => clash("run-state"),
        ReplayError::Contended(_) => clash("contended"),
        ReplayError::OwnProduct(_) => clash("own-product"),
        ReplayError::PackageGone { .. } => clash("package-gone"),
        ReplayError::NoFailedStep { .. } | ReplayError::NoSuchStep { .. } => wrong("no-such-step"),
        ReplayError::Input(why) => RepairError::Wrong("invalid-input", format!("{error}: {why}")),
        ReplayError::Unfit(_) => wrong("invalid-input"),
        ReplayError::RequestLength(_) | ReplayError::RequestReused => wrong("bad-request-id"),
        ReplayError::NoRoom(why) => PortError::NoRoom(why.to_string(), why.retry_after()).into(),
        ReplayError::Stopping => PortError::Busy(std::time::Duration::from_secs(5)).into(),
        ReplayError::Package(_) | ReplayError::Store(_) | ReplayError::Interrupted => internal(&error),
    }
}

fn internal(error: &dyn std::error::Error) -> RepairError {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    PortError::Internal(format!("{error}: {cause}")).into()
}
