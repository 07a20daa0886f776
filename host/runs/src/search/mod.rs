//! Finding runs among a million: lists per thing that people look for.
//!
//! A list has an entry for each run that has that thing, newest first, as the
//! records have. A search reads the lists of its filter side by side, each
//! sought to where the others are ([`join`]), and then the records.
//!
//! Every entry is a write more for a run, so few things have lists
//! ([`postings`]): the workflow, each connection, each business key, the kind
//! of an error; of the statuses those that few runs have. `succeeded` is what
//! most records say anyway, and the runs that are `accepted` are the pending
//! list's. A usual run of one call has two entries: one in the commit that
//! accepts it, one in the commit of its end.
//!
//! Invariant: an entry is written and removed by the commit that changes what
//! it says of the run's record.

mod join;
mod postings;

pub(crate) use self::join::find;
pub(crate) use self::postings::{MAX_CONNECTIONS, Posted, repost, unpost};
