//! Which container is a node. `role` decides, from what a user said (`named`), labels, what runs (`processes`, `program`),
//! command, image and names; `look` asks Docker what runs, once for each life of a container.

mod look;
mod named;
mod processes;
mod program;
mod role;
mod shell;

pub use look::Identity;
pub use named::{ALLOWED, Named, Names, parse as parse_named};
pub use role::{PROJECT_LABEL, ROLE_LABEL, SERVICE_LABEL};
