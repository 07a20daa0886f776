//! The log: where a commit becomes durable.
//!
//! A group of commits is one frame, written and fsynced in one go to a file
//! that has its size already, so that the fsync has nothing else to write.
//! When a file is full its generation moves into the tree, and the other file
//! takes the next one. What the tree has, durably, the log may overwrite.
//!
//! ```text
//! frame:  length u32 · crc32 u32 · generation u64 · version before u64 · ledger after 24 · changes
//! change: version u64 · key length u16 · value length u32 or u32::MAX for deleted · key · value
//! ```
//!
//! Invariants
//! - A frame follows the one before it by version; what does not is left over
//!   from an earlier use of the file, or torn, and is the log's end.
//! - Whether a log that ends early is damaged is for [`super::open`] to say: it
//!   knows how far anybody was told.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};

use super::disk::sync_dir;
use super::layout::{LEDGER_BYTES, Ledger};
use super::recent::{Change, Changes};
use crate::port::Version;

/// A generation is moved when its file has so many bytes: some seconds of a
/// busy host, read back in a fraction of a second after a crash.
pub(super) const FULL: u64 = 8 << 20;
/// While the generation before is still being moved, a file may grow this far;
/// then commits wait for the tree.
pub(super) const OVERFULL: u64 = 8 * FULL;

const NAMES: [&str; 2] = ["log.0", "log.1"];
const HEAD: usize = 8;
const PREFACE: usize = 16 + LEDGER_BYTES;
const DELETED: u32 = u32::MAX;

/// The log, as the writer writes it.
pub(super) struct Log {
    files: [File; 2],
    current: usize,
    generation: u64,
    at: u64,
    frame: Vec<u8>,
    #[cfg(test)]
    pub(super) breaks: Option<std::sync::Arc<std::sync::atomic::AtomicBool>>,
}

/// What the log says beyond the tree.
pub(super) struct Replayed {
    pub(super) changes: Changes,
    /// After the last frame.
    pub(super) ledger: Ledger,
    /// The newest generation that there ever was, this one included.
    pub(super) generation: u64,
}

impl Log {
    /// Begins a new generation. What the files hold must be in the tree.
    pub(super) fn begin(dir: &Path, generation: u64) -> io::Result<Self> {
        let paths = NAMES.map(|name| dir.join(name));
        if !paths.iter().all(|path| path.exists()) {
            for path in &paths {
                fs::write(path, vec![0; FULL as usize])?;
                File::open(path)?.sync_all()?;
            }
            sync_dir(dir)?;
        }
        let open = |path: &PathBuf| File::options().write(true).open(path);
        let [first, second] = &paths;
        Ok(Self {
            files: [open(first)?, open(second)?],
            current: 0,
            generation,
            at: 0,
            frame: Vec::new(),
            #[cfg(test)]
            breaks: None,
        })
    }

    /// How many bytes the current generation has.
    pub(super) fn size(&self) -> u64 {
        self.at
    }

    /// Adds one frame, durably.
    pub(super) fn append<'a>(
        &mut self,
        before: Version,
        ledger: Ledger,
        changes: impl Iterator<Item = (&'a Bytes, Version, Option<&'a Bytes>)>,
    ) -> io::Result<()> {
        let frame = &mut self.frame;
        frame.clear();
        frame.extend([0; HEAD]);
        frame.extend(self.generation.to_be_bytes());
        frame.extend(before.to_be_bytes());
        frame.extend(ledger.to_bytes());
        for (key, version, value) in changes {
            frame.extend(version.to_be_bytes());
            // The port's limits are far below: a key has 1 KiB, a value 64 KiB.
            frame.extend((key.len() as u16).to_be_bytes());
            frame.extend(value.map_or(DELETED, |value| value.len() as u32).to_be_bytes());
            frame.extend_from_slice(key);
            frame.extend_from_slice(value.map_or(&[], |value| value));
        }
        let length = u32::try_from(frame.len() - HEAD).map_err(io::Error::other)?;
        let crc = crc32fast::hash(frame.get(HEAD..).unwrap_or_default());
        for (byte, with) in frame.iter_mut().zip(length.to_be_bytes().into_iter().chain(crc.to_be_bytes())) {
            *byte = with;
        }
        #[cfg(test)]
        if self.breaks.as_ref().is_some_and(|breaks| breaks.load(std::sync::atomic::Ordering::SeqCst)) {
            return Err(io::Error::other("broken by a test"));
        }
        let [first, second] = &self.files;
        let file = if self.current == 0 { first } else { second };
        file.write_all_at(frame, self.at)?;
        file.sync_data()?;
        self.at += frame.len() as u64;
        Ok(())
    }

    /// Goes on in the other file, whose generation is in the tree by now.
    pub(super) fn turn(&mut self) {
        self.current = 1 - self.current;
        self.generation += 1;
        self.at = 0;
    }
}

/// Reads what the log has beyond `tree`, the ledger of the tree.
pub(super) fn replay(dir: &Path, tree: Ledger) -> io::Result<Replayed> {
    let mut replayed = Replayed { changes: Changes::new(), ledger: tree, generation: 0 };
    let mut files = Vec::new();
    for name in NAMES {
        match fs::read(dir.join(name)) {
            Ok(bytes) => files.push(Bytes::from(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    files.sort_by_key(|bytes| frame(bytes).map_or(0, |frame| frame.generation));
    for mut rest in files {
        let Some(Frame { generation, .. }) = frame(&rest) else { continue };
        replayed.generation = generation;
        let mut last = None;
        while let Some(frame) = frame(&rest) {
            let follows = last.is_none_or(|last| last == frame.before);
            if frame.generation != generation || !follows {
                break;
            }
            last = Some(frame.ledger.version);
            // Frames up to the tree's version are in the tree.
            if frame.before == replayed.ledger.version {
                if !read_changes(frame.changes, &mut replayed.changes) {
                    break;
                }
                replayed.ledger = frame.ledger;
            }
            rest.advance(frame.length);
        }
    }
    Ok(replayed)
}

struct Frame {
    generation: u64,
    before: Version,
    ledger: Ledger,
    changes: Bytes,
    /// Of all of it.
    length: usize,
}

/// The frame at the start of these bytes, if there is a whole one.
fn frame(bytes: &Bytes) -> Option<Frame> {
    let mut head = bytes.get(..HEAD)?;
    let length = HEAD + head.get_u32() as usize;
    let crc = head.get_u32();
    let body = bytes.get(HEAD..length).filter(|body| body.len() >= PREFACE)?;
    if crc32fast::hash(body) != crc {
        return None;
    }
    let mut preface = body;
    let (generation, before) = (preface.get_u64(), preface.get_u64());
    let ledger = Ledger::from_bytes(preface.get(..LEDGER_BYTES)?)?;
    Some(Frame { generation, before, ledger, changes: bytes.slice(HEAD + PREFACE..length), length })
}

/// `false` if they are not what [`Log::append`] writes.
fn read_changes(mut from: Bytes, into: &mut Changes) -> bool {
    while from.has_remaining() {
        if from.remaining() < 14 {
            return false;
        }
        let (version, key, value) = (from.get_u64(), usize::from(from.get_u16()), from.get_u32());
        let size = (value != DELETED).then_some(value as usize);
        if from.remaining() < key + size.unwrap_or(0) {
            return false;
        }
        // Copies: a slice would keep the whole file in memory.
        let key = Bytes::copy_from_slice(&from.split_to(key));
        let value = size.map(|size| Bytes::copy_from_slice(&from.split_to(size)));
        into.insert(key, Change { version, value, below: true });
    }
    true
}
