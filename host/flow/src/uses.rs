//! Whom a workflow's steps call.

use serde::{Deserialize, Serialize};

use crate::tree::{Call, Flow, Step, What};

/// A call that stands in a workflow's text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Use {
    /// The connection.
    pub connection: String,
    /// Its endpoint.
    pub endpoint: String,
    /// The line in the text, from 1.
    pub line: u32,
}

impl Flow {
    /// Each endpoint that its steps call, or undo with, once, with the first
    /// line that does.
    pub fn uses(&self) -> Vec<Use> {
        let mut uses = Vec::new();
        for_each_call(&self.steps, &mut |call| {
            let Call { at: (line, _), connection, endpoint, .. } = call.clone();
            uses.push(Use { connection, endpoint, line });
        });
        uses.sort();
        uses.dedup_by(|a, b| (&a.connection, &a.endpoint) == (&b.connection, &b.endpoint));
        uses
    }
}

fn for_each_call(steps: &[Step], told: &mut impl FnMut(&Call)) {
    for step in steps {
        if let What::Call { call, undo } = &step.what {
            told(call);
            undo.iter().for_each(&mut *told);
        }
        for block in step.what.blocks() {
            for_each_call(block, told);
        }
    }
}
