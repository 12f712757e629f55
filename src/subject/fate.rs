//! What became of a recorded injection, by the life of the container that it was made in.

/// Told by comparing the record with its target as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Nothing says that it is over.
    Stands,
    /// The life that it was made in is over, and the fault with it. The text says how, to follow the target's name.
    Gone(&'static str),
    /// The target is not as an injection that was read back has left it: it was ended by other means. Of one that is being
    /// made or undone the same may be so for a moment.
    Ended(&'static str),
}

impl Fate {
    /// What has ended it, to follow the target's name; `active` is whether the record says that it was read back and there.
    pub fn over(&self, active: bool) -> Option<&'static str> {
        match self {
            Self::Gone(how) => Some(how),
            Self::Ended(how) if active => Some(how),
            Self::Stands | Self::Ended(_) => None,
        }
    }
}

/// `tikv1 was restarted, and the fault went with it`.
pub fn lost_words(target: &str, how: &str) -> String {
    format!("{target} {how}, and the fault went with it")
}
