//! The allocator of a guest that lives for one call: it moves a mark forward.
//!
//! A fresh instance serves each call and is thrown away, so freeing is wasted
//! work, and growing memory early costs the host two system calls a request.
//! Blocks come from a static arena first, then from what the linker left of the
//! memory's last page, then from grown memory. Only the newest block is given back or resized in place: that is what a growing
//! `Vec` or `String` needs.
//!
//! Invariants
//! - A block never overlaps a living one, and is aligned as asked.
//! - `next <= end`; everything between them is unused.

#![cfg_attr(not(all(target_arch = "wasm32", feature = "allocator")), allow(dead_code))] // tested natively

/// Memory comes in pages of this size.
const PAGE: usize = 64 << 10;

/// The least to grow by: four pages, so that a guest that needs a bit more than the arena asks once.
const GROWTH: usize = 256 << 10;

/// The mark, as plain addresses: what it decides can be tested anywhere.
#[derive(Debug)]
struct Bump {
    next: usize,
    end: usize,
}

impl Bump {
    /// A block of `size` bytes; `grow` is asked for a region of at least so
    /// many bytes if there is no room, and gives its start and length.
    fn alloc(
        &mut self,
        size: usize,
        align: usize,
        mut grow: impl FnMut(usize) -> Option<(usize, usize)>,
    ) -> Option<usize> {
        if let Some(start) = self.take(size, align) {
            return Some(start);
        }
        // Enough even if the region does not continue ours.
        let (start, len) = grow(size.checked_add(align)?)?;
        if start != self.end {
            self.next = start;
        }
        self.end = start.checked_add(len)?;
        self.take(size, align)
    }

    /// A block between `next` and `end`, if it fits.
    fn take(&mut self, size: usize, align: usize) -> Option<usize> {
        let start = self.next.checked_next_multiple_of(align)?;
        let next = start.checked_add(size)?;
        (next <= self.end).then(|| {
            self.next = next;
            start
        })
    }

    /// Gives the block back if it is the newest.
    fn free(&mut self, start: usize, size: usize) {
        if start + size == self.next {
            self.next = start;
        }
    }

    /// Resizes a block where it is. `false`: it must be copied.
    fn resize(&mut self, start: usize, old: usize, new: usize) -> bool {
        if start + old != self.next {
            return new <= old; // a smaller block fits where it is
        }
        match start.checked_add(new) {
            Some(next) if next <= self.end => {
                self.next = next;
                true
            }
            _ => false,
        }
    }
}

#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
mod global {
    #![expect(
        unsafe_code,
        reason = "a global allocator is an unsafe trait; a guest has one thread, so the cells are never shared"
    )]

    use core::alloc::{GlobalAlloc, Layout};
    use core::arch::wasm32::{memory_grow, memory_size};
    use core::cell::{Cell, UnsafeCell};
    use core::ptr::{null_mut, with_exposed_provenance_mut};

    use super::{Bump, GROWTH, PAGE};

    /// Twice what a call with a small body uses. More would add pages to the
    /// memory, and the host looks at each page of it after each call.
    const ARENA: usize = 24 << 10;

    unsafe extern "C" {
        /// The linker's: where the rest of the memory's last page begins, of which it made nothing.
        static __heap_base: u8;
        /// The linker's: where the memory ended that it asked for.
        static __heap_end: u8;
    }

    #[repr(align(16))]
    struct Arena(UnsafeCell<[u8; ARENA]>);
    // SAFETY: wasm without threads.
    unsafe impl Sync for Arena {}
    static ARENA_BYTES: Arena = Arena(UnsafeCell::new([0; ARENA]));

    struct Global {
        bump: UnsafeCell<Bump>,
        /// Whether the linker's rest is taken, or was too small.
        rest_taken: Cell<bool>,
    }
    // SAFETY: wasm without threads.
    unsafe impl Sync for Global {}
    #[global_allocator]
    static GLOBAL: Global =
        Global { bump: UnsafeCell::new(Bump { next: 0, end: 0 }), rest_taken: Cell::new(false) };

    impl Global {
        /// Works on the mark; the first caller opens the arena.
        fn with<T>(&self, work: impl FnOnce(&mut Bump) -> T) -> T {
            // SAFETY: one thread, and `work` never allocates, so the cell is not borrowed twice.
            let bump = unsafe { &mut *self.bump.get() };
            if bump.end == 0 {
                bump.next = ARENA_BYTES.0.get().expose_provenance();
                bump.end = bump.next + ARENA;
            }
            work(bump)
        }

        /// The linker's rest once, if it is enough; else whole pages from the engine.
        #[cold]
        fn grow(&self, need: usize) -> Option<(usize, usize)> {
            let base = (&raw const __heap_base).addr();
            let rest = (&raw const __heap_end).addr().saturating_sub(base);
            if !self.rest_taken.replace(true) && need <= rest {
                return Some((base, rest));
            }
            from_engine(need)
        }
    }

    fn from_engine(need: usize) -> Option<(usize, usize)> {
        let pages = need.max(GROWTH).div_ceil(PAGE);
        match memory_grow::<0>(pages) {
            usize::MAX => None,
            before => Some((before * PAGE, (memory_size::<0>() - before) * PAGE)),
        }
    }

    // SAFETY: `Bump` gives aligned blocks that do not overlap, inside the arena or grown memory.
    unsafe impl GlobalAlloc for Global {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            match self.with(|bump| bump.alloc(layout.size(), layout.align(), |need| self.grow(need))) {
                Some(start) => with_exposed_provenance_mut(start),
                None => null_mut(),
            }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            self.with(|bump| bump.free(block.expose_provenance(), layout.size()));
        }

        unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            if self.with(|bump| bump.resize(block.expose_provenance(), layout.size(), size)) {
                return block;
            }
            // SAFETY: the caller gives a valid size for this alignment.
            let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
            if !moved.is_null() {
                // SAFETY: both blocks have at least so many bytes, and a new one overlaps no living one.
                unsafe { core::ptr::copy_nonoverlapping(block, moved, layout.size().min(size)) };
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn never(_: usize) -> Option<(usize, usize)> {
        None
    }

    #[test]
    fn blocks_are_aligned_and_do_not_overlap() {
        let mut bump = Bump { next: 17, end: 1_000 };
        let mut end = 17;
        for (size, align) in [(1, 1), (8, 8), (3, 2), (0, 16), (16, 16), (100, 4)] {
            let start = bump.alloc(size, align, never).unwrap();
            assert_eq!(start % align, 0);
            assert!(start >= end);
            end = start + size;
            assert!(end <= 1_000);
        }
    }

    #[test]
    fn only_the_newest_block_is_given_back() {
        let mut bump = Bump { next: 0, end: 100 };
        let first = bump.alloc(10, 1, never).unwrap();
        let second = bump.alloc(10, 1, never).unwrap();
        bump.free(first, 10);
        assert_eq!(bump.next, 20, "the first lies under the second");
        bump.free(second, 10);
        assert_eq!(bump.alloc(10, 1, never), Some(second));
    }

    #[test]
    fn the_newest_block_grows_and_shrinks_in_place_and_an_older_one_only_shrinks() {
        let mut bump = Bump { next: 0, end: 100 };
        let first = bump.alloc(10, 1, never).unwrap();
        assert!(bump.resize(first, 10, 60));
        assert!(bump.resize(first, 60, 20));
        let second = bump.alloc(1, 1, never).unwrap();
        assert_eq!(second, 20);
        assert!(!bump.resize(first, 20, 21));
        assert!(bump.resize(first, 20, 5));
        assert_eq!(bump.next, 21, "the older block's rest is not taken twice");
        assert!(!bump.resize(second, 1, 81), "past the end it must be copied");
    }

    #[test]
    fn memory_grows_once_the_arena_is_used_up_and_continues_it_if_it_can() {
        let mut bump = Bump { next: 0, end: 100 };
        bump.alloc(90, 1, never).unwrap();
        assert_eq!(bump.alloc(50, 1, |need| Some((100, need))), Some(90), "one region, no gap");
        let apart = bump.alloc(500, 16, |need| Some((4_096, need))).unwrap();
        assert_eq!(apart, 4_096, "a region apart starts anew");
        assert!(bump.next <= bump.end);
    }

    #[test]
    fn no_memory_is_an_answer_and_leaves_what_was_there() {
        let mut bump = Bump { next: 0, end: 100 };
        assert_eq!(bump.alloc(101, 1, never), None);
        assert_eq!(bump.alloc(usize::MAX, 8, never), None);
        assert_eq!(bump.alloc(100, 1, never), Some(0));
        assert!(!bump.resize(0, 100, usize::MAX));
    }
}
