//! Whether anybody changed a chain after it was written.

use bytes::Bytes;
use host_model::digest::Digest;
use host_store::port::MAX_PAGE;
use host_store::{StoreError, key};
use serde::{Deserialize, Serialize};

use crate::Audit;
use crate::chain::{Chain, Head, all_entries};
use crate::entry::Entry;
use crate::keep::Removal;
use crate::search::{Which, number};

/// How often a chain is read again whose beginning was removed meanwhile.
const READS: usize = 3;

/// What was found of one chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verified {
    /// Whose it is.
    pub chain: Chain,
    /// How many entries were read.
    pub entries: u64,
    /// Its head, if it has one that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// The first place where it is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// Where a chain is broken, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Broken {
    /// The number of the entry.
    pub seq: u64,
    /// What is wrong there.
    pub why: String,
}

/// What of an entry makes the chain.
#[derive(Deserialize)]
struct Link {
    chain: Chain,
    seq: u64,
    prev: Digest,
}

/// What has been read of a chain.
struct Reading {
    chain: Chain,
    expected: u64,
    prev: Digest,
    read: u64,
    removal: Option<Removal>,
}

impl Reading {
    /// Takes the next entry, or says what is wrong with it, or with the one before.
    fn take(&mut self, seq: u64, value: &[u8]) -> Result<(), Broken> {
        let broken = |seq, why: &str| Err(Broken { seq, why: why.to_owned() });
        if seq < self.expected {
            return broken(seq, "the log begins after it, and yet it is there");
        }
        if seq > self.expected {
            return broken(self.expected, "it is missing");
        }
        let Ok(link) = serde_json::from_slice::<Link>(value) else {
            return broken(seq, "it cannot be read");
        };
        if link.chain != self.chain || link.seq != seq {
            return broken(seq, "another entry was put into its place");
        }
        if link.prev != self.prev {
            return match self.read {
                0 => broken(seq, "it is not the one that the log begins with"),
                _ => broken(seq - 1, "it was changed after it was written: the next one names another hash"),
            };
        }
        let entry = serde_json::from_slice::<Entry>(value).ok();
        self.removal = entry.and_then(|entry| Removal::told_by(&entry)).or(self.removal.take());
        (self.prev, self.read, self.expected) = (Digest::of(value), self.read + 1, seq + 1);
        Ok(())
    }

    /// Whether it ends where the head says, and begins where a removal said.
    fn ends(&self, head: &Head) -> Option<Broken> {
        let broken = |seq, why: &str| Some(Broken { seq, why: why.to_owned() });
        if self.expected <= head.seq {
            return broken(self.expected, "it is missing, and all that came after it");
        }
        if self.prev != head.digest {
            return broken(head.seq, "it was changed after it was written: the head names another hash");
        }
        let told = self.removal.as_ref().map(|removal| (removal.to + 1, removal.anchor));
        if head.first > 1 && told != Some((head.first, head.anchor)) {
            return broken(head.first - 1, "it and what was before it were removed, and no entry says so");
        }
        None
    }
}

impl Audit {
    /// Verifies chains, all of them also where the head is gone.
    pub async fn verify(&self, which: &Which) -> Result<Vec<Verified>, StoreError> {
        let _turn = self.verifying.lock().await;
        let chains = match which {
            Which::One(chain) => vec![chain.clone()],
            Which::All => {
                let mut chains: Vec<_> = self.heads().await?.into_iter().map(|head| head.chain).collect();
                chains.extend(self.chains_of_entries().await?);
                chains.sort();
                chains.dedup();
                chains
            }
        };
        let mut verified = Vec::new();
        for chain in chains {
            verified.push(self.verify_one(&chain).await?);
        }
        Ok(verified)
    }

    async fn verify_one(&self, chain: &Chain) -> Result<Verified, StoreError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (head, version) = self.head(chain).await?;
            let verified = self.verify_as_of(head.clone(), version.is_some()).await?;
            // What a host removes or adds meanwhile is no break.
            let moved = self.head(chain).await?.0 != head;
            if verified.broken.is_none() || !moved || attempt == READS {
                return Ok(verified);
            }
        }
    }

    async fn verify_as_of(&self, head: Head, is_there: bool) -> Result<Verified, StoreError> {
        let chain = head.chain.clone();
        let prefix = chain.entries().prefix();
        let mut reading =
            Reading { chain: chain.clone(), expected: head.first, prev: head.anchor, read: 0, removal: None };
        let mut after: Option<Bytes> = None;
        let mut broken = None;
        while broken.is_none() {
            let page = self.store.scan(&prefix, after.as_deref(), MAX_PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for entry in &page {
                let seq = number(&prefix, &entry.key).unwrap_or(u64::MAX);
                let taken = match seq > head.seq {
                    true => Err(Broken { seq, why: unknown(is_there) }),
                    false => reading.take(seq, &entry.value),
                };
                if let Err(here) = taken {
                    broken = Some(here);
                    break;
                }
            }
        }
        let broken = broken.or_else(|| reading.ends(&head));
        Ok(Verified { chain, entries: reading.read, head: is_there.then_some(head), broken })
    }

    /// The chains that have entries, whatever their heads say.
    async fn chains_of_entries(&self) -> Result<Vec<Chain>, StoreError> {
        let prefix = all_entries().prefix();
        let mut chains = Vec::new();
        let mut after: Option<Bytes> = None;
        loop {
            let page = self.store.scan(&prefix, after.as_deref(), 1).await?;
            let Some(entry) = page.first() else { return Ok(chains) };
            let name = key::tail(&prefix, &entry.key).and_then(|tail| tail.split(|byte| *byte == 0).next());
            let chain = name.and_then(|name| std::str::from_utf8(name).ok()?.parse::<Chain>().ok());
            after = Some(match &chain {
                Some(chain) => chain.entry(u64::MAX).into(),
                None => entry.key.clone(),
            });
            chains.extend(chain);
        }
    }
}

fn unknown(head_is_there: bool) -> String {
    match head_is_there {
        true => "it comes after the last one that the head knows".to_owned(),
        false => "the head of its chain was removed".to_owned(),
    }
}
