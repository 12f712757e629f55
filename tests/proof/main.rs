//! The proof that nothing is left behind, in full. Its tests are `#[ignore]`, except for a slice of the crash matrix, and run
//! with `.ci/proof`.

mod crash;
mod demo;
mod netem;
mod quorum;
mod soak;
