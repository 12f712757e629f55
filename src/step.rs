//! Every moment at which the program may be killed, by name: what the tests' crash matrix goes through. In a build that
//! is no test's, [`step`] is nothing at all (crate `fail`, whose points are compiled in by its feature alone).
//!
//! Knows nothing of what happens at a step, and is told of nothing but that it came.

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What has just happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Step { $($(#[$doc])* $name,)* }

        impl Step {
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it is called in the environment of a test.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

steps! {
    /// An injection is planned; nothing is written or done.
    Planned,
    Recorded,
    GuardStarted,
    ApplyingWritten,
    /// The fault is there and read back.
    Made,
    ActiveWritten,
    /// What it was and what it is to be are on the disk; nothing is changed yet.
    ChangeWritten,
    /// It is changed and read back.
    Changed,
    /// A change failed, and it is again what it was.
    ChangedBack,
    /// What it was is forgotten, or what it was to be.
    ChangeSettled,
    /// Nobody else reverts it from here on.
    Claimed,
    RevertingWritten,
    /// The fault is gone and read back.
    Undone,
    CleanWritten,
    /// What was half made is undone.
    RolledBack,
    FailedWritten,
    /// A journal's new text is on the disk, under another name.
    JournalWritten,
    /// A journal has its new text.
    JournalReplaced,
    /// Ended sessions have no file any more.
    Pruned,
    HelperMade,
    HelperAttached,
    HelperStarted,
    /// A request is on its way to a helper.
    RequestSent,
    AnswerReceived,
    /// The helpers that hold nothing are told to go, and gone.
    Released,
    /// Docker sent a node the signal.
    Signalled,
    /// Docker started a node again.
    StartedAgain,
    /// The first of a guard's two processes has its lock.
    GuardLocked,
    /// The second one runs.
    Guarding,
    /// The guard found something overdue that is nobody's.
    Overdue,
}

/// Says that a step came. A test may have it end the program here, as `kill -9` does, or stop it until `SIGCONT`, so
/// that something else can happen meanwhile, or write to the log that it came.
pub fn step(step: Step) {
    fail::fail_point!(step.name(), |action: Option<String>| {
        use nix::sys::signal::{Signal, raise};
        let signal = match action.as_deref() {
            Some("say") => return tracing::info!("came to {}", step.name()),
            Some("stop") => Signal::SIGSTOP,
            _ => Signal::SIGKILL,
        };
        if let Err(error) = raise(signal) {
            tracing::error!(%error, %signal, "still running");
        }
    });
    let _ = step;
}

/// Takes from the environment what is to happen at which step: `Recorded=return;Claimed=2*off->return(stop)`. A guard has
/// a variable of its own, as it inherits the other from the program that started it.
pub fn arm(guard: bool) {
    if !fail::has_failpoints() {
        return;
    }
    let variable = if guard { "GUARD_FAILPOINTS" } else { "FAILPOINTS" };
    let asked = std::env::var(variable).unwrap_or_default();
    for (name, actions) in asked.split(';').filter_map(|one| one.split_once('=')) {
        if let Err(error) = fail::cfg(name, actions) {
            eprintln!("tikv-chaos: {variable}: {error}");
        }
    }
}
