//! The commands in the text of a shell, as far as that tells which programs it starts. Pure, and no shell: nothing is
//! expanded.

/// Words of the shell itself, behind which a command begins.
const KEYWORDS: [&str; 11] = ["if", "then", "else", "elif", "while", "until", "do", "!", "{", "}", "fi"];

/// Each command of the text as its words, without quotation marks, assignments and redirections.
pub fn commands(text: &str) -> Vec<Vec<String>> {
    let mut commands = Vec::new();
    for words in split(text) {
        let is_keyword = |word: &String| KEYWORDS.contains(&word.as_str()) || word == "done" || word == "esac";
        let words: Vec<String> = words.into_iter().skip_while(|word| is_keyword(word) || is_assignment(word)).collect();
        let words = without_redirections(words);
        if words.first().is_some_and(|first| !BUILTINS.contains(&first.as_str())) {
            commands.push(words);
        }
    }
    commands
}

/// Whether the text is a command and nothing else.
pub fn is_one_command(text: &str) -> bool {
    split(text).len() == 1
}

/// They start nothing.
const BUILTINS: [&str; 18] = [
    "cd", "set", "trap", "export", "ulimit", "umask", "echo", "printf", "test", "[", "[[", ":", "wait", "unset",
    "shift", "read", "local", "for",
];

fn is_assignment(word: &str) -> bool {
    let name = word.split_once('=').map_or("", |(name, _)| name);
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn without_redirections(words: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let operator = word.trim_start_matches(|c: char| c.is_ascii_digit());
        match operator.strip_prefix('>').or_else(|| operator.strip_prefix('<')) {
            // Its file is the next word, or the rest of this one.
            Some(rest) if rest.trim_start_matches(['>', '<']).is_empty() => drop(words.next()),
            Some(_) => {}
            None => kept.push(word),
        }
    }
    kept
}

/// The words between operators. A backslash before the end of a line joins it with the next.
fn split(text: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = text.chars().peekable();
    let end_word = |commands: &mut Vec<Vec<String>>, word: &mut Option<String>| {
        if let (Some(word), Some(command)) = (word.take(), commands.last_mut()) {
            command.push(word);
        }
    };
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some('"') | None, '\\') => match letters.next() {
                Some('\n') | None => {}
                Some(next) => word.get_or_insert_default().push(next),
            },
            (Some(_), letter) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => while letters.next_if(|next| *next != '\n').is_some() {},
            // `2>&1` is one word.
            (None, '&') if word.as_ref().is_some_and(|word| word.ends_with(['>', '<'])) => {
                word.get_or_insert_default().push('&');
            }
            (None, ';' | '&' | '|' | '\n' | '(' | ')') => {
                end_word(&mut commands, &mut word);
                commands.push(Vec::new());
            }
            (None, letter) if letter.is_whitespace() => end_word(&mut commands, &mut word),
            (None, letter) => word.get_or_insert_default().push(letter),
        }
    }
    end_word(&mut commands, &mut word);
    commands.retain(|command| !command.is_empty());
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<String> {
        commands(text).iter().map(|words| words.join("·")).collect()
    }

    #[test]
    fn commands_are_told_apart_by_operators_and_not_within_quotation_marks() {
        let cases: [(&str, &[&str]); 7] = [
            ("exec tikv-server --data-dir=/d", &["exec·tikv-server·--data-dir=/d"]),
            ("cd /x && A=b 'tikv server' \"a;b\"; # tikv-server\nsleep 1", &["tikv server·a;b", "sleep·1"]),
            ("until nc -z pd 2379; do sleep 1; done; tikv-server &", &["nc·-z·pd·2379", "sleep·1", "tikv-server"]),
            ("tikv-server --a \\\n  --b >/log 2>&1 | tee /x", &["tikv-server·--a·--b", "tee·/x"]),
            ("tikv-server > /log < /dev/null", &["tikv-server"]),
            ("if [ -f /x ]; then (tikv-server); fi", &["tikv-server"]),
            ("echo 'tikv-server", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(told(text), expected, "{text}");
        }
    }
}
