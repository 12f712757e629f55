//! A command as an argument list, and its text for a person. There is no shell between us and a program: the text
//! is only ever shown, and a person's shell reads it back as the same arguments.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One program with its arguments and what it reads on standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub program: String,
    pub args: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// What a person tries first: this one is for where that fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Box<Command>>,
}

impl Command {
    pub fn new<I, S>(program: &str, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self { program: program.to_owned(), args: args.into_iter().map(Into::into).collect(), stdin: None, first: None }
    }

    /// The same, for where `first` fails. Only for a person: we try one after the other ourselves.
    pub fn unless(self, first: Self) -> Self {
        Self { first: Some(Box::new(first)), ..self }
    }

    pub fn with_stdin(mut self, text: String) -> Self {
        self.stdin = Some(text);
        self
    }
}

impl Command {
    /// The command for reading: its standard input below it, as a here-document that a shell reads alike.
    pub fn lines(&self) -> Vec<String> {
        let Some(text) = &self.stdin else { return vec![self.to_string()] };
        let bare = Self { stdin: None, ..self.clone() };
        let first = format!("{bare} <<'EOF'");
        [first].into_iter().chain(text.lines().map(str::to_owned)).chain(["EOF".to_owned()]).collect()
    }
}

/// As one would type it in one line: `printf '…' | program 'an argument'`, and `first || …` before it.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(first) = &self.first {
            write!(f, "{first} || ")?;
        }
        if let Some(text) = &self.stdin {
            // %s keeps printf from reading the text as a format; it is used again for each argument.
            f.write_str("printf '%s\\n'")?;
            for line in text.lines() {
                write!(f, " {}", shell_quote(line))?;
            }
            f.write_str(" | ")?;
        }
        f.write_str(&shell_quote(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", shell_quote(arg))?;
        }
        Ok(())
    }
}

/// The word as a POSIX shell must read it: bare where that is safe, else in single quotes.
pub fn shell_quote(word: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(safe) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_words_stay_plain() {
        let command = Command::new("tc", ["qdisc", "del", "dev", "eth0", "root", "handle", "c4a0:"]);
        assert_eq!(command.to_string(), "tc qdisc del dev eth0 root handle c4a0:");
    }

    #[test]
    fn standard_input_is_piped_line_by_line() {
        let command = Command::new("iptables-restore", ["--noflush"]).with_stdin("*filter\n-X A\nCOMMIT\n".into());
        assert_eq!(command.to_string(), "printf '%s\\n' '*filter' '-X A' COMMIT | iptables-restore --noflush");
    }

    #[test]
    fn the_second_way_stands_behind_the_first() {
        let first = Command::new("docker", ["exec", "h", "/p", "by-hand", "7"]);
        let command = Command::new("iptables-restore", ["--noflush"]).with_stdin("COMMIT\n".into()).unless(first);
        assert_eq!(
            command.to_string(),
            "docker exec h /p by-hand 7 || printf '%s\\n' COMMIT | iptables-restore --noflush"
        );
        assert_eq!(command.lines()[0], "docker exec h /p by-hand 7 || iptables-restore --noflush <<'EOF'");
    }

    #[test]
    fn for_reading_the_input_stands_below() {
        let command = Command::new("iptables-restore", ["--noflush"]).with_stdin("*filter\nCOMMIT\n".into());
        assert_eq!(command.lines(), ["iptables-restore --noflush <<'EOF'", "*filter", "COMMIT", "EOF"]);
    }

    proptest! {
        #![proptest_config(crate::testing::cases(24))]
        /// A real shell reads every word back as it was.
        #[test]
        fn a_shell_reads_the_word_back(word in "[ -~éß\n]{0,24}") {
            let script = format!("printf %s {}", shell_quote(&word));
            let out = std::process::Command::new("/bin/sh").args(["-c", &script]).output().unwrap();
            prop_assert_eq!(String::from_utf8(out.stdout).unwrap(), word);
        }
    }
}
