//! The table of everything that can be set: its name in the file, which is the flag's with underscores, and what it
//! may be. A flag that is not in here cannot be set in the file.

use std::time::Duration;

/// What an option's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Text,
    /// A relative one counts from the folder of the file that names it.
    Path,
    Count,
    Time,
    /// As `inject --ttl` takes it.
    Ttl,
    /// A name or a path.
    Theme,
    Switch,
}

pub struct Setting {
    pub name: &'static str,
    pub shape: Shape,
}

const fn setting(name: &'static str, shape: Shape) -> Setting {
    Setting { name, shape }
}

/// In the order in which `config` lists them.
pub const SETTINGS: [Setting; 15] = [
    setting("project", Shape::Text),
    setting("ttl", Shape::Ttl),
    setting("max_active", Shape::Count),
    setting("max_ttl", Shape::Time),
    setting("read_only", Shape::Switch),
    setting("ascii", Shape::Switch),
    setting("theme", Shape::Theme),
    setting("no_motion", Shape::Switch),
    setting("docker_host", Shape::Text),
    setting("context", Shape::Text),
    setting("state_dir", Shape::Path),
    setting("holder_image", Shape::Text),
    setting("pd_ca", Shape::Path),
    setting("pd_cert", Shape::Path),
    setting("pd_key", Shape::Path),
];

impl Setting {
    pub fn find(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }

    /// `ttl` belongs to `inject`, everything else to every command.
    pub fn flag(&self) -> String {
        let flag = self.name.replace('_', "-");
        if self.shape == Shape::Ttl { format!("inject --{flag}") } else { format!("--{flag}") }
    }
}

/// How long an injection lasts where nothing is said.
pub const DEFAULT_TTL: &str = "10m";
const LONGEST_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// A duration such as `90s` or `10m`; `none` is no end. `from` is how it is called where it was given.
pub fn parse_ttl(from: &str, text: &str) -> Result<Option<Duration>, String> {
    if text == "none" {
        return Ok(None);
    }
    let allowed = || format!("{from} cannot be {text:?}; allowed: 1s to 7d, such as 90s or 10m, or none");
    let ttl = humantime::parse_duration(text).map_err(|_| allowed())?;
    if (Duration::from_secs(1)..=LONGEST_TTL).contains(&ttl) { Ok(Some(ttl)) } else { Err(allowed()) }
}
