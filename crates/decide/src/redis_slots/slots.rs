//! Sets of hash slots. Owns their arithmetic; never says whose they are.

use serde::{Deserialize, Serialize};

/// How many slots there are.
pub const SLOTS: u16 = 16_384;

const WORDS: usize = SLOTS as usize / 64;

/// Slots next to each other, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Range {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Range {
    /// Whether a slot lies in it.
    #[must_use]
    pub fn contains(self, slot: u16) -> bool {
        (self.first..=self.last).contains(&slot)
    }

    /// The range in the text of `CLUSTER NODES`: `5` or `0-5460`; nothing for a slot that is being moved (`[5-<-id]`) or for junk.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = Self { first: first.parse().ok()?, last: last.parse().ok()? };
        (range.first <= range.last && range.last < SLOTS).then_some(range)
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// Any set of slots.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Box<[u64; WORDS]>);

impl Default for SlotSet {
    fn default() -> Self {
        Self(Box::new([0; WORDS]))
    }
}

impl SlotSet {
    /// The slots of some ranges.
    pub fn of(ranges: impl IntoIterator<Item = Range>) -> Self {
        let mut set = Self::default();
        for range in ranges {
            (range.first..=range.last).for_each(|slot| set.insert(slot));
        }
        set
    }

    /// Adds one.
    pub fn insert(&mut self, slot: u16) {
        self.0[usize::from(slot / 64)] |= 1 << (slot % 64);
    }

    /// Whether one is in it.
    #[must_use]
    pub fn contains(&self, slot: u16) -> bool {
        self.0[usize::from(slot / 64)] & (1 << (slot % 64)) != 0
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Adds all of another.
    pub fn extend(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(mine, theirs)| *mine |= theirs);
    }

    /// Without those of another.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut set = self.clone();
        set.0.iter_mut().zip(other.0.iter()).for_each(|(mine, theirs)| *mine &= !theirs);
        set
    }

    /// Those that are in another, too.
    #[must_use]
    pub fn within(&self, other: &Self) -> Self {
        let mut set = self.clone();
        set.0.iter_mut().zip(other.0.iter()).for_each(|(mine, theirs)| *mine &= theirs);
        set
    }

    /// The lowest.
    #[must_use]
    pub fn first(&self) -> Option<u16> {
        self.iter().next()
    }

    /// Every one, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        let words = (0u16..).step_by(64).zip(self.0.iter().copied()).filter(|(_, word)| *word != 0);
        words.flat_map(|(base, word)| (0..64).filter(move |bit| word & (1 << bit) != 0).map(move |bit| base + bit))
    }

    /// As few ranges as hold them, in order.
    #[must_use]
    pub fn ranges(&self) -> Vec<Range> {
        let mut ranges: Vec<Range> = Vec::new();
        for slot in self.iter() {
            match ranges.last_mut() {
                Some(range) if range.last + 1 == slot => range.last = slot,
                _ => ranges.push(Range { first: slot, last: slot }),
            }
        }
        ranges
    }
}

impl std::fmt::Display for SlotSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let texts: Vec<String> = self.ranges().iter().map(Range::to_string).collect();
        f.write_str(&texts.join(" "))
    }
}

impl std::fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SlotSet({self})")
    }
}
