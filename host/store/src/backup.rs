//! Logical backups: every entry as a line of JSON, then a line that says how
//! many there were and what they hash to. Any engine's backup restores into any
//! engine.
//!
//! ```text
//! {"wharf-backup":1}
//! {"key":"<base64>","value":"<base64>"}
//! {"entries":1,"sha256":"<of all bytes before this line>"}
//! ```
//!
//! Invariants
//! - A backup is the store at one instant, or it fails.
//! - Nothing is restored before the whole backup was read and found whole.
//! - Versions are not part of it: a restored store counts anew.

use std::io::{self, BufRead, Read, Seek, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::port::{Commit, MAX_COMMIT, MAX_KEY, MAX_PAGE, MAX_VALUE, Store, StoreError};

const FORMAT: u32 = 1;
/// The longest line: the largest key and value in base64, and the JSON around them.
const MAX_LINE: u64 = ((MAX_KEY + MAX_VALUE) * 4 / 3 + 100) as u64;
/// A commit of a restore takes no more entries when it holds this many bytes.
const COMMIT_BYTES: usize = 4 << 20;
/// The most entries in a commit of a restore: each is a requirement and a put.
const COMMIT_ENTRIES: usize = MAX_COMMIT / 3;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    /// How many entries.
    pub entries: u64,
    /// The hash of the lines before the closing one, in hex.
    pub sha256: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    #[serde(rename = "wharf-backup")]
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    key: String,
    value: String,
}

/// Why no backup was made. What was written so far has no closing line and
/// cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store could not be read.
    #[error("cannot read the store for a backup")]
    Store(#[from] StoreError),
    /// The output could not be written.
    #[error("cannot write the backup: check that the disk is not full")]
    Write(#[from] io::Error),
    /// The store was changed meanwhile.
    #[error("the store was changed during the backup: try again, or stop the host first")]
    Changed,
}

/// Why a backup was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The store has entries.
    #[error("the store is not empty: restore into a new directory")]
    NotEmpty,
    /// The input is not a whole backup; nothing was restored.
    #[error("line {line} of the backup: {what}; nothing was restored, use another backup")]
    Broken {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The input could not be read.
    #[error("cannot read the backup")]
    Read(#[from] io::Error),
    /// The store failed on the way; it holds a part and must be thrown away.
    #[error("the store failed during the restore: remove its directory and try again")]
    Store(#[from] StoreError),
}

/// Writes every entry of the store. Blocks its thread while it writes.
pub async fn back_up(store: &dyn Store, out: &mut (dyn Write + Send)) -> Result<Summary, BackupError> {
    let mut bell = store.watch(b"");
    let mut hash = Sha256::new();
    let mut entries = 0;
    let mut after: Option<Bytes> = None;
    write_line(out, &mut hash, &Opening { format: FORMAT })?;
    loop {
        let page = store.scan(b"", after.as_deref(), MAX_PAGE).await?;
        for entry in &page {
            let (key, value) = (BASE64.encode(&entry.key), BASE64.encode(&entry.value));
            write_line(out, &mut hash, &Line { key, value })?;
            entries += 1;
        }
        // A bell rings before its change can be read, so a silent one vouches
        // for every page so far.
        if bell.rung().now_or_never().is_some() {
            return Err(BackupError::Changed);
        }
        match page.last() {
            Some(last) => after = Some(last.key.clone()),
            None => break,
        }
    }
    let summary = Summary { entries, sha256: hex::encode(hash.finalize()) };
    write_line(out, &mut Sha256::new(), &summary)?;
    out.flush()?;
    Ok(summary)
}

fn write_line(out: &mut dyn Write, hash: &mut Sha256, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    hash.update(&text);
    out.write_all(&text)
}

/// Reads a backup twice: first to see that it is whole, then to fill the empty store.
pub async fn restore(
    store: &dyn Store,
    backup: &mut (impl BufRead + Seek + Send),
) -> Result<Summary, RestoreError> {
    if !store.scan(b"", None, 1).await?.is_empty() {
        return Err(RestoreError::NotEmpty);
    }
    let mut lines = Lines::start(&mut *backup)?;
    while lines.next()?.is_some() {}
    let summary = lines.end()?;

    backup.rewind()?;
    let mut lines = Lines::start(backup)?;
    let mut commit = Commit::default();
    let mut bytes = 0;
    while let Some((key, value)) = lines.next()? {
        bytes += key.len() + value.len();
        commit = commit.absent(key.clone()).put(key, value);
        if commit.put.len() == COMMIT_ENTRIES || bytes >= COMMIT_BYTES {
            store.commit(std::mem::take(&mut commit)).await?;
            bytes = 0;
        }
    }
    store.commit(commit).await?;
    Ok(summary)
}

/// The lines of a backup, one after the other.
struct Lines<'a, R> {
    input: &'a mut R,
    hash: Sha256,
    entries: u64,
    line: u64,
    closing: Option<Summary>,
}

impl<'a, R: BufRead> Lines<'a, R> {
    fn start(input: &'a mut R) -> Result<Self, RestoreError> {
        let mut lines = Self { input, hash: Sha256::new(), entries: 0, line: 0, closing: None };
        let first = lines.read()?;
        match serde_json::from_slice(&first) {
            Ok(Opening { format: FORMAT }) => {}
            Ok(_) => return Err(lines.broken("was written in a format that this version does not read")),
            Err(_) => return Err(lines.broken("is not the start of a backup")),
        }
        lines.hash.update(&first);
        Ok(lines)
    }

    /// The next entry, or `None` at the closing line.
    fn next(&mut self) -> Result<Option<(Bytes, Bytes)>, RestoreError> {
        let text = self.read()?;
        if let Ok(closing) = serde_json::from_slice(&text) {
            self.closing = Some(closing);
            return Ok(None);
        }
        let line: Line =
            serde_json::from_slice(&text).map_err(|_| self.broken("is neither an entry nor the end"))?;
        let [key, value] = [line.key, line.value].map(|text| BASE64.decode(text));
        let (Ok(key), Ok(value)) = (key, value) else {
            return Err(self.broken("is not base64"));
        };
        self.entries += 1;
        self.hash.update(&text);
        Ok(Some((key.into(), value.into())))
    }

    /// Checks the closing line, and that nothing follows it.
    fn end(mut self) -> Result<Summary, RestoreError> {
        let sha256 = hex::encode(std::mem::take(&mut self.hash).finalize());
        let found = Summary { entries: self.entries, sha256 };
        if self.closing.as_ref() != Some(&found) {
            return Err(self.broken("says another count or hash than the lines before it have"));
        }
        if !self.input.fill_buf()?.is_empty() {
            return Err(self.broken("is not the last"));
        }
        Ok(found)
    }

    fn read(&mut self) -> Result<Vec<u8>, RestoreError> {
        self.line += 1;
        let mut text = Vec::new();
        self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut text)?;
        match text.last() {
            Some(b'\n') => Ok(text),
            None => Err(self.broken("is missing: the backup is cut off")),
            Some(_) => Err(self.broken("is cut off or too long")),
        }
    }

    fn broken(&self, what: &'static str) -> RestoreError {
        RestoreError::Broken { line: self.line, what }
    }
}
