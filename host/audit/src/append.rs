//! Writing: a change and its entries in one commit.

use std::collections::BTreeMap;

use host_model::digest::Digest;
use host_model::effects::BoxFuture;
use host_store::{Commit, StoreError, Version};
use tokio::sync::OwnedMutexGuard;

use crate::Audit;
use crate::act::{Act, Deed};
use crate::chain::{Chain, Head};
use crate::entry::{Entry, Outcome};

/// How often a commit that another host's entry overtook is made again.
const ATTEMPTS: usize = 20;

/// The heads of the chains that a commit goes on from, each with its version.
type Heads = BTreeMap<Chain, (Head, Option<Version>)>;

/// The chains that are being written, for as long as it is held.
pub(crate) struct Turns(#[expect(dead_code, reason = "held, not read")] Vec<OwnedMutexGuard<()>>);

impl Audit {
    /// Makes a change together with its entries: both or neither.
    /// [`StoreError::Conflict`] means that what `commit` itself requires does not hold.
    pub async fn commit(&self, act: &Act, deeds: Vec<Deed>, commit: Commit) -> Result<Version, StoreError> {
        let make = |entries: Commit| -> BoxFuture<'_, _> {
            Box::pin(self.store.commit(commit.clone().and(entries)))
        };
        self.alongside(act, deeds, make).await
    }

    /// The same for a change that another part commits: `make` is given what
    /// its commit must hold beside, and may be asked again if it fails.
    pub async fn alongside<'a, T, E: From<StoreError>>(
        &self,
        act: &Act,
        deeds: Vec<Deed>,
        make: impl Fn(Commit) -> BoxFuture<'a, Result<T, E>> + Send,
    ) -> Result<T, E> {
        self.spend(act, &deeds);
        let _turns = self.take_turns(&deeds).await;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let heads = self.heads_of(&deeds).await?;
            let entries = self.link(heads.clone(), act, &deeds, Outcome::Done, 1)?;
            match make(entries).await {
                Ok(made) => {
                    if !deeds.is_empty() {
                        act.settle();
                    }
                    return Ok(made);
                }
                // Was it a head, or what the change itself requires?
                Err(_) if attempt < ATTEMPTS && self.heads_of(&deeds).await? != heads => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes an entry of something that is done, or was refused, already.
    pub async fn record(&self, act: &Act, deed: Deed, outcome: Outcome) -> Result<(), StoreError> {
        self.spend(act, std::slice::from_ref(&deed));
        self.append(act, deed, outcome, 1).await?;
        act.settle();
        Ok(())
    }

    pub(crate) async fn append(
        &self,
        act: &Act,
        deed: Deed,
        outcome: Outcome,
        times: u64,
    ) -> Result<(), StoreError> {
        let deeds = [deed];
        let _turns = self.take_turns(&deeds).await;
        for _ in 0..ATTEMPTS {
            let heads = self.heads_of(&deeds).await?;
            let entries = self.link(heads, act, &deeds, outcome, times)?;
            match self.store.commit(entries).await {
                Err(StoreError::Conflict) => {}
                done => return done.map(drop),
            }
        }
        Err(StoreError::Conflict)
    }

    /// The operator is not held back, and neither is the host.
    fn spend(&self, act: &Act, deeds: &[Deed]) {
        if !act.is_tenants() {
            return;
        }
        let now = self.clock.now();
        for tenant in deeds.iter().filter_map(|deed| deed.chain.tenant()) {
            self.budget.spend(tenant, 1, now);
        }
    }

    /// In the order of the chains, so that no two wait for each other.
    pub(crate) async fn take_turns(&self, deeds: &[Deed]) -> Turns {
        let mut chains: Vec<_> = deeds.iter().map(|deed| &deed.chain).collect();
        chains.sort();
        chains.dedup();
        let mut turns = Vec::with_capacity(chains.len());
        for chain in chains {
            turns.push(self.turn(chain).lock_owned().await);
        }
        Turns(turns)
    }

    async fn heads_of(&self, deeds: &[Deed]) -> Result<Heads, StoreError> {
        let mut heads = Heads::new();
        for Deed { chain, .. } in deeds {
            if !heads.contains_key(chain) {
                heads.insert(chain.clone(), self.head(chain).await?);
            }
        }
        Ok(heads)
    }

    pub(crate) async fn head(&self, chain: &Chain) -> Result<(Head, Option<Version>), StoreError> {
        let head = Head::read(&*self.store, chain).await?;
        Ok(head.map_or((Head::new(chain.clone()), None), |(head, version)| (head, Some(version))))
    }

    /// The commit that adds an entry for each deed, if the heads stay as they are.
    pub(crate) fn link(
        &self,
        mut heads: Heads,
        act: &Act,
        deeds: &[Deed],
        outcome: Outcome,
        times: u64,
    ) -> Result<Commit, StoreError> {
        // To the millisecond, which a cursor of a list can name.
        let now = chrono::SubsecRound::trunc_subsecs(self.clock.now(), 3);
        let mut commit = Commit::default();
        for deed in deeds {
            let Some((head, _)) = heads.get_mut(&deed.chain) else { continue };
            let entry = Entry::next(head, now, act, deed, outcome, times);
            let line = encode(&entry)?;
            (head.seq, head.at, head.digest) = (entry.seq, entry.at, Digest::of(&line));
            commit = commit.put(deed.chain.entry(entry.seq), line);
        }
        for (chain, (head, version)) in heads {
            commit = match version {
                Some(version) => commit.at(chain.head(), version),
                None => commit.absent(chain.head()),
            };
            commit = commit.put(chain.head(), encode(&head)?);
        }
        Ok(commit)
    }
}

/// JSON on one line, in ASCII: whoever prints the line need not change it, and
/// so its hash, to keep a terminal from obeying a stranger's name.
fn encode(what: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    let text = serde_json::to_string(what)
        .map_err(|error| StoreError::Engine(format!("an audit entry is no JSON: {error}").into()))?;
    let mut line = Vec::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii() && letter != '\u{7f}' {
            line.push(letter as u8);
            continue;
        }
        // Outside of texts JSON has ASCII only, so this is an escape within one.
        for unit in letter.encode_utf16(&mut [0; 2]) {
            line.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
        }
    }
    Ok(line)
}
