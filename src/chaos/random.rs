//! A node that nobody chose: which one, told by a seed, so that the same seed over the same nodes chooses the same one again.

/// The place that the seed means among so many, the nodes being in the order of their names. The numbers of SplitMix64
/// (Steele et al., 2014), which no release of anything changes.
pub fn place(seed: u32, of: usize) -> Option<usize> {
    let mut number = u64::from(seed).wrapping_add(0x9E37_79B9_7F4A_7C15);
    number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^= number >> 31;
    let of = u64::try_from(of).ok()?;
    usize::try_from(number.checked_rem(of)?).ok()
}

/// A seed that nobody chose either.
pub fn seed() -> u32 {
    rand::random()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_place_and_all_places_are_chosen() {
        assert_eq!((place(0, 3), place(1, 3), place(7, 0)), (place(0, 3), place(1, 3), None));
        let mut count = [0; 3];
        (0..3_000).filter_map(|seed| place(seed, 3)).for_each(|at| count[at] += 1);
        assert!(count.iter().all(|times| (900..1_100).contains(times)), "{count:?}");
    }
}
