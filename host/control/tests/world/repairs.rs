//! Runs that are repaired, as these tests need it.

use std::sync::Mutex;

use host_control::ports::{
    By, From, LetterPage, LetterQuery, Order, PortError, Repair, RepairError, Replay, Replayed,
};
use host_model::effects::BoxFuture;
use host_model::id::RunId;
use host_model::name::TenantId;
use host_model::run::{DeadLetter, Intervention, Run, RunStatus};

use super::{RUN, run};

/// The run that a replay makes.
pub const MADE: &str = "run_00000000000000000000000002";

/// Says yes to what concerns acme's run, and remembers what the last replay was.
#[derive(Default)]
pub struct FakeRepair(Mutex<Option<String>>);

impl Repair for FakeRepair {
    fn order<'a>(
        &'a self,
        tenant: &'a TenantId,
        id: RunId,
        order: Order,
        By { who, why }: By,
    ) -> BoxFuture<'a, Result<Run, RepairError>> {
        let there = tenant.as_str() == "acme" && id.to_string() == RUN;
        Box::pin(async move {
            match order {
                _ if !there => Err(RepairError::Absent),
                Order::Resume => {
                    Err(RepairError::Clash("run-state", "it is accepted, not paused".to_owned()))
                }
                order => {
                    let trace =
                        Intervention { at: run(id).accepted_at, what: format!("{order:?}"), who, why };
                    Ok(Run { status: RunStatus::Paused, interventions: vec![trace], ..run(id) })
                }
            }
        })
    }

    fn dead_letters<'a>(
        &'a self,
        tenant: &'a TenantId,
        query: LetterQuery,
    ) -> BoxFuture<'a, Result<LetterPage, PortError>> {
        let wanted = query.kind.is_none_or(|kind| kind == "retry");
        let there = tenant.as_str() == "acme" && wanted && query.after.is_none();
        let id: RunId = RUN.parse().unwrap();
        let failed = Run { status: RunStatus::Failed, ..run(id) };
        let letter = DeadLetter { run: failed, tries: Vec::new(), gave_up: Some("tried".to_owned()) };
        let next = (there && query.limit.get() == 1).then_some(id);
        let letters = if there { vec![letter] } else { Vec::new() };
        Box::pin(async move { Ok(LetterPage { letters, next }) })
    }

    fn dismiss<'a>(
        &'a self,
        tenant: &'a TenantId,
        id: RunId,
        By { who, why }: By,
    ) -> BoxFuture<'a, Result<Run, RepairError>> {
        let there = tenant.as_str() == "acme" && id.to_string() == RUN;
        let trace = Intervention { at: run(id).accepted_at, what: "dismissed".to_owned(), who, why };
        Box::pin(async move {
            match trace.why.as_str() {
                _ if !there => Err(RepairError::Absent),
                "again" => Err(RepairError::Clash("run-state", "it is not on the list".to_owned())),
                _ => Ok(Run { interventions: vec![trace], ..run(id) }),
            }
        })
    }

    fn replay<'a>(
        &'a self,
        tenant: &'a TenantId,
        id: RunId,
        replay: Replay,
    ) -> BoxFuture<'a, Result<Replayed, RepairError>> {
        let there = tenant.as_str() == "acme" && id.to_string() == RUN;
        let said = format!("{replay:?}");
        Box::pin(async move {
            let mut last = self.0.lock().unwrap();
            let repeated = last.as_deref() == Some(said.as_str());
            *last = Some(said);
            match replay.from {
                _ if !there => Err(RepairError::Absent),
                From::Step(step) => {
                    Err(RepairError::Wrong("no-such-step", format!("there is no step {step}")))
                }
                _ => Ok(Replayed { run: MADE.parse().unwrap(), repeated }),
            }
        })
    }
}
