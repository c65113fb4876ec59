//! Which allocator a process has: a fast one costs more memory at its start than a supervisor needs in its whole life.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU8, Ordering},
};

const UNDECIDED: u8 = 0;
const SMALL: u8 = 1;
const FAST: u8 = 2;

static CHOICE: AtomicU8 = AtomicU8::new(UNDECIDED);

/// The system's allocator in a supervisor or keeper, `Fast` in every other process; decided at the first allocation, for good.
#[derive(Debug, Default)]
pub struct Allocator<Fast>(
    /// For every other process.
    pub Fast,
);

#[inline]
fn small() -> bool {
    match CHOICE.load(Ordering::Relaxed) {
        UNDECIDED => decide(),
        choice => choice == SMALL,
    }
}

/// Looks at the first argument without allocating. All who come here at once come to the same.
#[cold]
fn decide() -> bool {
    let mut line = [0_u8; 256];
    // SAFETY: opens, reads as many bytes as there are places for, and closes; the path is a terminated string.
    let length = unsafe {
        let file = libc::open(c"/proc/self/cmdline".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let length = libc::read(file, line.as_mut_ptr().cast(), line.len());
        libc::close(file);
        length
    };
    let small = usize::try_from(length).is_ok_and(|length| has_role(&line[..length]));
    CHOICE.store(if small { SMALL } else { FAST }, Ordering::Relaxed);
    small
}

fn has_role(line: &[u8]) -> bool {
    let first = line.split(|byte| *byte == 0).nth(1);
    first.is_some_and(|word| word == crate::supervise::ROLE.as_bytes() || word == crate::keeper::ROLE.as_bytes())
}

// SAFETY: both allocators keep the contract, and one process always asks the same one.
unsafe impl<Fast: GlobalAlloc> GlobalAlloc for Allocator<Fast> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are handed on.
        unsafe { if small() { System.alloc(layout) } else { self.0.alloc(layout) } }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on; the choice has not changed since the allocation.
        unsafe { if small() { System.dealloc(place, layout) } else { self.0.dealloc(place, layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are handed on.
        unsafe { if small() { System.alloc_zeroed(layout) } else { self.0.alloc_zeroed(layout) } }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are handed on; the choice has not changed since the allocation.
        unsafe { if small() { System.realloc(place, layout, size) } else { self.0.realloc(place, layout, size) } }
    }
}

#[cfg(test)]
mod tests {
    use super::has_role;

    #[test]
    fn only_the_two_roles_are_small() {
        assert!(has_role(b"coracle\0pod-supervisor\0/x\0"));
        assert!(has_role(b"coracle\0keeper\0/x\0"));
        assert!(!has_role(b"coracle\0node\0pod-supervisor\0"));
        assert!(!has_role(b"coracle\0") && !has_role(b""));
    }
}
