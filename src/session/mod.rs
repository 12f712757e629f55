//! A session is one run of the program: what it did is on disk before it is done, and stays there until it is proven
//! undone, by this run, by a guard, or by whoever comes next. Knows no terminal.

mod aside;
mod change;
mod claim;
mod clock;
pub mod ended;
mod follow;
pub mod guard;
mod history;
mod journal;
mod life;
mod lost;
mod measure;
mod record;
pub mod recovery;
mod trust;

pub use change::{ChangeRequest, change, plan_change, plan_changes};
pub use follow::{follow, moved};
pub use history::{Change, History, Throughput, Who};
pub use journal::{Durability, JournalError, Store};
pub use life::{Injected, LifeError, Request, Reverted, inject, inject_all, plan, recoverable, revert};
pub use lost::{Lost, SettleError, lost, settle};
pub use measure::{measure, measure_over, since};
pub use record::{Injection, Life, Loaded, SCHEMA, Seen, SessionFile, Unreadable};
