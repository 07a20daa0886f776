//! Steps that hold branches: `for-each` and `parallel`.
//!
//! If a branch fails, those that have begun go on to their ends, so that
//! nothing is left half done; then the first failure, in the order of the
//! file or the list, is the step's.

use std::cell::RefCell;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use host_flow::{Step, Template, Val, What, names_in};

use super::{Run, Scope};
use crate::effects::Effects;
use crate::failure::End;

/// The longest list of a `for-each`: as many as a run may have steps.
pub(crate) const MOST_ITEMS: usize = 10_000;

impl<E: Effects> Run<'_, E> {
    pub(super) async fn for_each(&self, step: &Step, scope: &Scope) -> Result<Val, End> {
        let What::ForEach { over, at_once, steps, gives } = &step.what else { return Ok(Val::Null) };
        let items = match self.render(step, over, scope)? {
            Val::Arr(items) if items.len() > MOST_ITEMS => {
                let message = format!(
                    "the list has {} items, the limit is {MOST_ITEMS}: split it, and run a workflow for each part",
                    items.len()
                );
                return Err(self.wrong(step, message));
            }
            Val::Arr(items) => items,
            other => return Err(self.wrong(step, format!("`for-each` takes a list, not {}", what(&other)))),
        };
        let mut outputs = vec![Val::Null; items.len()];
        let mut rest = items.iter().enumerate();
        let mut working = FuturesUnordered::new();
        let mut ended = None;
        loop {
            while working.len() < at_once.max(&1).to_owned() as usize && ended.is_none() {
                let Some((place, item)) = rest.next() else { break };
                let one = self.item(step, steps, gives.as_ref(), place, item, scope);
                working.push(async move { (place, one.await) });
            }
            match working.next().await {
                Some((place, Ok(output))) => {
                    if let Some(kept) = outputs.get_mut(place) {
                        *kept = output;
                    }
                }
                Some((place, Err(end))) => earliest(&mut ended, place, end),
                None => break,
            }
        }
        ended.map_or_else(|| Ok(outputs.into_iter().collect()), |(_, end)| Err(end))
    }

    async fn item(
        &self,
        step: &Step,
        steps: &[Step],
        gives: Option<&Template>,
        place: usize,
        item: &Val,
        scope: &Scope,
    ) -> Result<Val, End> {
        let mut scope = scope.clone();
        scope.values.set("item", item.clone());
        scope.values.set("index", Val::from(place));
        let last = self.block(steps, &mut scope).await?;
        gives.map_or(Ok(last), |gives| self.render(step, gives, &scope))
    }

    pub(super) async fn parallel(
        &self,
        branches: &[(String, Vec<Step>)],
        scope: &mut Scope,
    ) -> Result<Val, End> {
        let scopes: Vec<RefCell<Scope>> = branches.iter().map(|_| RefCell::new(scope.clone())).collect();
        let mut outputs = vec![Val::Null; branches.len()];
        let mut ended = None;
        let mut working = FuturesUnordered::new();
        for (place, ((_, steps), scope)) in branches.iter().zip(&scopes).enumerate() {
            working.push(async move {
                let mut own = scope.borrow().clone();
                let ended = self.block(steps, &mut own).await;
                scope.replace(own);
                (place, ended)
            });
        }
        while let Some((place, output)) = working.next().await {
            match (output, outputs.get_mut(place)) {
                (Ok(output), Some(kept)) => *kept = output,
                (Err(end), _) => earliest(&mut ended, place, end),
                _ => {}
            }
        }
        drop(working);
        for ((_, steps), own) in branches.iter().zip(scopes) {
            let own = own.into_inner();
            for name in names_in(steps) {
                scope.values.set(name, own.values.get(name).cloned().unwrap_or_default());
            }
        }
        let named = branches.iter().map(|(name, _)| Val::from(name.clone())).zip(outputs);
        ended.map_or_else(|| Ok(Val::obj(named.collect())), |(_, end)| Err(end))
    }
}

/// Keeps the end that counts: that the run is stopped, else the first in order.
fn earliest(kept: &mut Option<(usize, End)>, place: usize, end: End) {
    let counts = match (&*kept, &end) {
        (None, _) => true,
        (Some((_, End::Stopped)), _) => false,
        (Some(_), End::Stopped) => true,
        (Some((before, _)), End::Failed(_)) => place < *before,
    };
    if counts {
        *kept = Some((place, end));
    }
}

/// What a value is, for people.
fn what(value: &Val) -> &'static str {
    match value {
        Val::Null => "null",
        Val::Bool(_) => "true or false",
        Val::Num(_) => "a number",
        Val::TStr(_) | Val::BStr(_) => "a text",
        Val::Arr(_) => "a list",
        Val::Obj(_) => "a mapping (`to_entries` makes a list of it)",
    }
}
