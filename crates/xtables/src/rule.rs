//! A rule, and how its words are written and read.
use std::fmt;

/// A rule of a chain. Its text can end no line as long as its words come from types that cannot hold a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The chain it is in.
    pub chain: String,
    /// What follows the chain's name on the command line, word by word.
    pub words: Vec<String>,
}

impl Rule {
    /// A rule, its words separated by spaces.
    pub fn new(chain: &str, words: &str) -> Self {
        Self { chain: chain.to_owned(), words: words.split_whitespace().map(str::to_owned).collect() }
    }

    /// The same with a comment.
    #[must_use]
    pub fn comment(self, text: &str) -> Self {
        self.and(["-m", "comment", "--comment", text])
    }

    /// The same with more words.
    #[must_use]
    pub fn and<T: Into<String>>(mut self, words: impl IntoIterator<Item = T>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// The word that follows this one.
    pub fn value(&self, flag: &str) -> Option<&str> {
        let at = self.words.iter().position(|word| word == flag)?;
        self.words.get(at + 1).map(String::as_str)
    }

    /// The chain or target that it jumps to.
    pub fn target(&self) -> Option<&str> {
        self.value("-j")
    }

    /// Reads a rule as `iptables -S` prints it; `None` if the line is something else.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut words = words(line.strip_prefix("-A ")?).into_iter();
        Some(Self { chain: words.next()?, words: words.collect() })
    }
}

/// As it goes on after the command, such as `-A`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain)?;
        self.words.iter().try_for_each(|word| write!(f, " {}", quoted(word)))
    }
}

fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:,=!+[]".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The words of a line: separated by spaces, or within quotes, where a backslash takes the next character as it is.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut escaped) = (None::<String>, false, false);
    for c in line.chars() {
        match c {
            _ if escaped => {
                word.get_or_insert_default().push(c);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE: &str = r#"-A POSTROUTING -s 10.1.0.2/32 -m comment --comment "name: \"net\" id: \"c1\"" -j CNI-623e1c388032b20529218ecc"#;

    #[test]
    fn a_rule_is_written_as_iptables_prints_it() {
        let rule = Rule::new("POSTROUTING", "-s 10.1.0.2/32")
            .comment("name: \"net\" id: \"c1\"")
            .and(["-j", "CNI-623e1c388032b20529218ecc"]);
        assert_eq!(format!("-A {rule}"), LINE);
        assert_eq!(Rule::read(LINE), Some(rule));
    }

    #[test]
    fn what_is_no_rule_is_none() {
        for line in ["-P INPUT ACCEPT", "-N CNI-FORWARD", "", "-A"] {
            assert_eq!(Rule::read(line), None, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(words in prop::collection::vec("[^\\p{Cc}]{1,12}", 0..6)) {
            let rule = Rule { chain: "C".into(), words };
            prop_assert_eq!(Rule::read(&format!("-A {rule}")), Some(rule));
        }
    }
}
