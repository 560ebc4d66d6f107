//! Chance that falls the same way each time.

/// A generator of numbers that look random: `SplitMix64`. For samples only.
///
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = end.max(1) as u64;
        usize::try_from(self.next() % end).unwrap_or_default()
    }

    /// A number from `first` to `last`, both included.
    pub(super) fn between(&mut self, first: i64, last: i64) -> i64 {
        let span = usize::try_from(last - first + 1).unwrap_or(1);
        first + i64::try_from(self.below(span)).unwrap_or_default()
    }

    /// As [`Self::between`], for counts.
    pub(super) fn count(&mut self, first: u32, last: u32) -> u32 {
        let count = self.between(i64::from(first), i64::from(last));
        u32::try_from(count).unwrap_or(first)
    }

    /// Whether something happens that happens so many times in a hundred.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of several.
    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Bytes for an id.
    pub(super) fn bytes(&mut self) -> [u8; 10] {
        let mut bytes = [0; 10];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
        bytes
    }

    /// Cuts a total into so many parts of at least `least`, unequal ones.
    pub(super) fn parts(&mut self, total: u32, parts: usize, least: u32) -> Vec<u32> {
        let weights: Vec<u64> = (0..parts).map(|_| 1 + self.next() % 5).collect();
        let count = u32::try_from(parts).unwrap_or(u32::MAX);
        let rest = total.saturating_sub(least.saturating_mul(count));
        let shares = by_weight(rest, &weights);
        shares.into_iter().map(|share| least + share).collect()
    }
}

/// Cuts a total by weights, so that the parts add up to it exactly.
pub(super) fn by_weight(total: u32, weights: &[u64]) -> Vec<u32> {
    let all: u64 = weights.iter().sum::<u64>().max(1);
    let mut seen = 0;
    let mut given = 0;
    let mut parts = Vec::with_capacity(weights.len());
    for weight in weights {
        seen += weight;
        let due = u32::try_from(u64::from(total) * seen / all).unwrap_or(u32::MAX);
        parts.push(due - given);
        given = due;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        let mut dice = Dice::new(1);
        for (total, parts, least) in [(1, 1, 1), (221, 110, 1), (49, 110, 0), (9_860, 24, 40)] {
            let cut = dice.parts(total, parts, least);
            assert_eq!(cut.iter().sum::<u32>(), total);
            assert_eq!(cut.len(), parts);
            assert!(cut.iter().all(|part| *part >= least));
        }
    }
}
