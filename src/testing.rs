//! What the unit tests of several modules share.

use proptest::test_runner::Config;

/// So many random cases, which are costlier than most; and as many times more as `PROPTEST_CASES` asks for than the 256 of
/// proptest itself, as the proof does.
pub fn cases(usual: u32) -> Config {
    let more = Config::default().cases / 256;
    Config::with_cases(usual * more.max(1))
}
