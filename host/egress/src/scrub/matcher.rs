//! Aho–Corasick: finds many needles at once, one step a byte, over any number
//! of chunks.
//!
//! Our own, since the scrubber needs what libraries do not give: how long the
//! longest beginning of a needle is that the text so far ends with.

use std::collections::VecDeque;

use secrecy::zeroize::Zeroize;

/// One place in the tree of all needles.
#[derive(Clone, Copy, Default)]
struct Node {
    /// The byte that leads here.
    byte: u8,
    first_child: u32,
    next_sibling: u32,
    /// The node of the longest proper suffix that is also in the tree.
    fallback: u32,
    depth: u32,
    /// The length of the longest needle that ends here; 0 for none.
    hit: u32,
}

/// Needles, ready to be looked for. Holds credentials: wiped when dropped.
pub(crate) struct Matcher {
    nodes: Vec<Node>,
    /// The root's children by byte, 0 for none: most bytes of most texts end here.
    roots: Box<[u32; 256]>,
}

#[expect(clippy::indexing_slicing, reason = "a node's number is made by `child_or_new` and never shrinks")]
impl Matcher {
    /// A matcher for these needles, of which none may be empty.
    pub(crate) fn new<'a>(needles: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut matcher = Self { nodes: vec![Node::default()], roots: Box::new([0; 256]) };
        for needle in needles {
            let end = needle.iter().fold(0, |node, byte| matcher.child_or_new(node, *byte));
            matcher.nodes[end as usize].hit = matcher.nodes[end as usize].depth;
        }
        matcher.link();
        matcher
    }

    /// The state after one more byte. States start at 0.
    pub(crate) fn next(&self, mut state: u32, byte: u8) -> u32 {
        loop {
            if state == 0 {
                return self.roots[usize::from(byte)];
            }
            match self.child(state, byte) {
                0 => state = self.nodes[state as usize].fallback,
                child => return child,
            }
        }
    }

    /// The length of the longest needle that the text ends with; 0 for none.
    pub(crate) fn hit(&self, state: u32) -> usize {
        self.nodes[state as usize].hit as usize
    }

    /// The length of the longest beginning of a needle that the text ends with
    /// and that can go on; a needle that is complete and has no longer one is over.
    pub(crate) fn depth(&self, state: u32) -> usize {
        let mut node = &self.nodes[state as usize];
        while node.first_child == 0 && node.depth > 0 {
            node = &self.nodes[node.fallback as usize];
        }
        node.depth as usize
    }

    /// Whether any needle is in `text`.
    pub(crate) fn finds(&self, text: &[u8]) -> bool {
        let mut state = 0;
        text.iter().any(|byte| {
            state = self.next(state, *byte);
            self.hit(state) > 0
        })
    }

    fn child(&self, node: u32, byte: u8) -> u32 {
        let mut child = self.nodes[node as usize].first_child;
        while child != 0 && self.nodes[child as usize].byte != byte {
            child = self.nodes[child as usize].next_sibling;
        }
        child
    }

    fn child_or_new(&mut self, parent: u32, byte: u8) -> u32 {
        let found = if parent == 0 { self.roots[usize::from(byte)] } else { self.child(parent, byte) };
        if found != 0 {
            return found;
        }
        // Needles are a few forms of a few KiB: far below 2^32.
        let new = self.nodes.len() as u32;
        let Node { first_child, depth, .. } = self.nodes[parent as usize];
        self.nodes.push(Node { byte, next_sibling: first_child, depth: depth + 1, ..Node::default() });
        self.nodes[parent as usize].first_child = new;
        if parent == 0 {
            self.roots[usize::from(byte)] = new;
        }
        new
    }

    /// Sets fallbacks, shortest first, since each builds on shorter ones.
    fn link(&mut self) {
        let mut queue = VecDeque::from([0]);
        while let Some(parent) = queue.pop_front() {
            let mut child = self.nodes[parent as usize].first_child;
            while child != 0 {
                let Node { byte, next_sibling, .. } = self.nodes[child as usize];
                let fallback =
                    if parent == 0 { 0 } else { self.next(self.nodes[parent as usize].fallback, byte) };
                let shorter = self.nodes[fallback as usize].hit;
                let node = &mut self.nodes[child as usize];
                node.fallback = fallback;
                node.hit = node.hit.max(shorter);
                queue.push_back(child);
                child = next_sibling;
            }
        }
    }
}

impl Drop for Matcher {
    fn drop(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.byte.zeroize());
    }
}
