//! Scrubbing: an answer that echoes a credential loses it before a guest or a
//! log sees it.
//!
//! Takes an answer's bytes as they come; gives them back with every run that
//! is part of a credential, in any form of [`forms`], replaced by [`STARS`].
//!
//! Invariants
//! - A byte is let go only when no needle that began before it can still be completed.
//! - What holds no beginning of a needle passes uncopied and at once.
//! - Work is linear in the body, however it is cut into chunks.
//!
//! This is for upstreams that echo without meaning harm. One that conspires
//! with the guest holds the credential already and can spell it as it likes.

mod forms;
mod matcher;

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};

pub(crate) use forms::Needles;
pub(crate) use matcher::Matcher;

/// What stands for a credential.
const STARS: &[u8] = b"***";

/// A body under way.
pub(crate) struct Scrubbing {
    matcher: Arc<Matcher>,
    state: u32,
    /// What may still become part of a needle.
    held: BytesMut,
    /// Which ranges of `held` are part of one: ordered, apart from each other.
    covered: Vec<(usize, usize)>,
    /// The last byte let go was part of one, so its stars are written already.
    in_run: bool,
}

impl Scrubbing {
    pub(crate) fn new(matcher: Arc<Matcher>) -> Self {
        Self { matcher, state: 0, held: BytesMut::new(), covered: Vec::new(), in_run: false }
    }

    /// Takes a chunk; gives what can be let go, which may be nothing yet.
    pub(crate) fn push(&mut self, chunk: Bytes) -> Bytes {
        let before = self.held.len();
        for (at, byte) in chunk.iter().enumerate() {
            self.state = self.matcher.next(self.state, *byte);
            let hit = self.matcher.hit(self.state);
            if hit > 0 {
                let end = before + at + 1;
                self.cover(end - hit, end);
            }
        }
        let undecided = self.matcher.depth(self.state);
        if self.held.is_empty() && self.covered.is_empty() {
            let mut chunk = chunk;
            let tail = chunk.split_off(chunk.len() - undecided);
            self.held.extend_from_slice(&tail);
            self.in_run &= chunk.is_empty();
            return chunk;
        }
        self.held.extend_from_slice(&chunk);
        self.let_go(self.held.len() - undecided)
    }

    /// The end of the body: what is held can no longer be completed.
    pub(crate) fn finish(&mut self) -> Bytes {
        self.state = 0;
        self.let_go(self.held.len())
    }

    /// Hits come in the order of their ends and may reach back over earlier ones.
    fn cover(&mut self, mut start: usize, end: usize) {
        while let Some(last) = self.covered.pop_if(|last| last.1 >= start) {
            start = start.min(last.0);
        }
        self.covered.push((start, end));
    }

    fn let_go(&mut self, decided: usize) -> Bytes {
        let mut out = BytesMut::with_capacity(decided);
        let mut from = 0;
        for (start, end) in self.covered.iter().filter(|(start, _)| *start < decided) {
            self.in_run &= *start == from;
            out.extend_from_slice(self.held.get(from..*start).unwrap_or_default());
            if !self.in_run {
                out.extend_from_slice(STARS);
                self.in_run = true;
            }
            from = (*end).min(decided);
        }
        self.in_run &= from == decided;
        out.extend_from_slice(self.held.get(from..decided).unwrap_or_default());
        self.held.advance(decided);
        self.covered.retain(|(_, end)| *end > decided);
        for (start, end) in &mut self.covered {
            (*start, *end) = (start.saturating_sub(decided), *end - decided);
        }
        out.freeze()
    }
}

/// Scrubs headers, or trailers: values in place; a name that carries a
/// credential goes with its value.
pub(crate) fn scrub_headers(matcher: &Arc<Matcher>, headers: &mut HeaderMap) {
    let names: Vec<_> =
        headers.keys().filter(|name| matcher.finds(name.as_str().as_bytes())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
    for value in headers.values_mut().filter(|value| matcher.finds(value.as_bytes())) {
        let mut scrubbing = Scrubbing::new(Arc::clone(matcher));
        let mut clean = scrubbing.push(Bytes::copy_from_slice(value.as_bytes())).to_vec();
        clean.extend_from_slice(&scrubbing.finish());
        // Parts of a valid value and stars are a valid value.
        *value = HeaderValue::from_bytes(&clean).unwrap_or(HeaderValue::from_static("***"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matcher(needles: &[&str]) -> Arc<Matcher> {
        Arc::new(Matcher::new(needles.iter().map(|needle| needle.as_bytes())))
    }

    fn scrub(needles: &[&str], chunks: &[&str]) -> String {
        let mut scrubbing = Scrubbing::new(matcher(needles));
        let mut out = Vec::new();
        for chunk in chunks {
            out.extend_from_slice(&scrubbing.push(Bytes::copy_from_slice(chunk.as_bytes())));
        }
        out.extend_from_slice(&scrubbing.finish());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_needle_becomes_stars_wherever_the_chunks_are_cut() {
        let text = "say hunter22, hunter2hunter22!";
        for cut in 0..text.len() {
            let (head, tail) = text.split_at(cut);
            assert_eq!(scrub(&["hunter22"], &[head, tail]), "say ***, hunter2***!", "cut at {cut}");
        }
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        let bytes: Vec<&str> = bytes.iter().map(String::as_str).collect();
        assert_eq!(scrub(&["hunter22"], &bytes), "say ***, hunter2***!");
    }

    #[test]
    fn overlapping_needles_leave_nothing_of_either() {
        assert_eq!(scrub(&["abcdef", "defghi"], &["xabcdefghix"]), "x***x");
        assert_eq!(scrub(&["abcdef", "abcdefghi"], &["abcdefg", "hi abcdefgh"]), "*** ***gh");
        assert_eq!(scrub(&["cde", "abcdef"], &["abcdeX abcdef"]), "ab***X ***");
        assert_eq!(scrub(&["abab"], &["ababab"]), "***");
    }

    #[test]
    fn what_looks_like_a_beginning_is_let_go_when_it_is_none() {
        let mut scrubbing = Scrubbing::new(matcher(&["secret"]));
        assert_eq!(scrubbing.push(Bytes::from_static(b"data: 1\n")), "data: 1\n", "nothing is held back");
        assert_eq!(scrubbing.push(Bytes::from_static(b"my sec")), "my ");
        assert_eq!(scrubbing.push(Bytes::from_static(b"ond")), "second");
        assert_eq!(scrubbing.push(Bytes::from_static(b"s")), "");
        assert_eq!(scrubbing.finish(), "s");
    }

    #[test]
    fn a_clean_chunk_is_not_copied() {
        let chunk = Bytes::from(vec![b'x'; 100]);
        let out = Scrubbing::new(matcher(&["secret"])).push(chunk.clone());
        assert_eq!(out.as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn a_header_is_scrubbed_in_its_value_and_removed_by_its_name() {
        let mut headers = HeaderMap::new();
        headers.insert("x-echo", HeaderValue::from_static("Bearer hunter22"));
        headers.insert("x-hunter22", HeaderValue::from_static("1"));
        headers.insert("x-clean", HeaderValue::from_static("hunter2"));
        scrub_headers(&matcher(&["hunter22"]), &mut headers);
        assert_eq!(headers.get("x-echo").unwrap(), "Bearer ***");
        assert_eq!(headers.get("x-clean").unwrap(), "hunter2");
        assert_eq!(headers.len(), 2);
    }

    /// The plain meaning: bytes that are part of any occurrence, run by run.
    fn reference(needles: &[String], text: &str) -> String {
        let mut covered = vec![false; text.len()];
        for needle in needles {
            for at in 0..text.len() {
                if text[at..].starts_with(needle.as_str()) {
                    covered[at..at + needle.len()].fill(true);
                }
            }
        }
        let mut out = String::new();
        for (at, char) in text.char_indices() {
            match (covered[at], at > 0 && covered[at - 1]) {
                (false, _) => out.push(char),
                (true, false) => out.push_str("***"),
                (true, true) => {}
            }
        }
        out
    }

    proptest! {
        #[test]
        fn any_cut_of_any_text_is_scrubbed_as_the_plain_meaning_says(
            needles in proptest::collection::vec("[ab]{2,6}", 1..4),
            chunks in proptest::collection::vec("[abc]{0,9}", 0..9),
        ) {
            let names: Vec<&str> = needles.iter().map(String::as_str).collect();
            let cut: Vec<&str> = chunks.iter().map(String::as_str).collect();
            prop_assert_eq!(scrub(&names, &cut), reference(&needles, &chunks.concat()));
        }
    }
}
