//! The screen's figures, printed: `cargo bench --bench screen`. Needs no Docker: what it draws is made up. Nothing here
//! passes or fails.

mod frames;

fn main() {
    frames::frames();
}
