//! What a process keeps mapped of its own program. Frees no data.

use std::time::Duration;

/// Starting is over after this time, with a wide margin.
const START: Duration = Duration::from_secs(5);

/// Once starting is over, unmaps the program's own code. What runs on is mapped again at its next use, out of the kernel's page cache; what
/// only starting needed stays unmapped, and the kernel may drop it first when memory is short. Most of the program is needed once.
pub async fn shrink_after_start() {
    #[expect(clippy::disallowed_methods, reason = "a moment after the start, once")]
    tokio::time::sleep(START).await;
    unmap_code();
}

fn unmap_code() {
    unsafe extern "C" {
        static __executable_start: u8;
        static etext: u8;
    }
    let page = rustix::param::page_size();
    let (start, end) = (&raw const __executable_start as usize, &raw const etext as usize);
    let (start, end) = (start.next_multiple_of(page), end / page * page);
    if start < end {
        // SAFETY: the linker places read-only data and code between these symbols, mapped from the program's file and never written, so
        // that a page which is gone is read from the file again, with the same content. Other threads may run meanwhile.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_program_runs_on_after_its_code_was_unmapped() {
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(|| (0..50).for_each(|_| super::unmap_code()))).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("it ran on"));
    }
}
