//! Many pieces of work of one kind, shared out among the machine's cores. What comes of them is in the order of the pieces, whoever
//! did them. It never knows what the work is.

use std::num::NonZero;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder};

/// More cores than these seldom help.
const HANDS_MAX: usize = 4;

/// What `work` makes of each piece, in order; by one thread alone where more are not worth their start.
pub(crate) fn each<T: Send, R: Send>(pieces: Vec<T>, worth: bool, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let hands = if worth { thread::available_parallelism().map_or(1, NonZero::get).min(HANDS_MAX) } else { 1 };
    if hands == 1 {
        return pieces.into_iter().map(work).collect();
    }
    let left = Mutex::new(pieces.into_iter().enumerate());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let share = || std::iter::from_fn(next).map(|(at, piece)| (at, work(piece))).collect::<Vec<_>>();
    let mut done = thread::scope(|scope| {
        // A thread that cannot be had leaves its share to the others.
        let others: Vec<_> = (1..hands).filter_map(|_| Builder::new().spawn_scoped(scope, share).ok()).collect();
        let mut done = share();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::each;

    #[test]
    fn what_comes_of_the_pieces_is_in_their_order() {
        let pieces: Vec<u32> = (0..1000).collect();
        let doubled: Vec<u32> = pieces.iter().map(|piece| piece * 2).collect();
        for worth in [false, true] {
            assert_eq!(each(pieces.clone(), worth, |piece| piece * 2), doubled);
        }
    }
}
