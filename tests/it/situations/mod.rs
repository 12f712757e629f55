//! Set-ups and reports of the field, each re-created with small containers: what the program says of them is held to what is so.

mod clusters;
mod follow;
mod identity;
mod lives;
mod restored;
mod ways;
