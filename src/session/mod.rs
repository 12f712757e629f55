//! A session is one run of the program: what it did is on disk before it is done, and stays there until it is proven
//! undone, by this run, by a guard, or by whoever comes next. Knows no terminal.

mod change;
mod claim;
mod clock;
pub mod guard;
mod journal;
mod life;
mod record;
pub mod recovery;
mod trust;

pub use change::{Change, change, plan_change};
pub use journal::{Durability, JournalError, Store};
pub use life::{Injected, LifeError, Request, Reverted, inject_all, plan_all, recoverable, revert};
pub use record::{Injection, Life, Loaded, SCHEMA, Seen, SessionFile, Unreadable};
