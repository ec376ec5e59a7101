//! A Rust file as a flat list of words with their lines; comments and strings are gone, test modules marked.
use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::ops::RangeInclusive;

/// An identifier or keyword.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// From 1.
    pub(super) line: usize,
    /// As written.
    pub(super) text: String,
    /// Inside a `#[cfg(test)] mod`.
    pub(super) in_test: bool,
}

/// The words of a file, and the lines that its test modules take.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// In the order of the file.
    pub(super) words: Vec<Word>,
    /// Each `#[cfg(test)] mod`, first line to last.
    pub(super) tests: Vec<RangeInclusive<usize>>,
}

impl Words {
    /// Reads a whole file.
    pub(super) fn of(tokens: TokenStream) -> Self {
        let mut words = Self::default();
        words.read(tokens, false);
        words
    }

    fn read(&mut self, tokens: TokenStream, in_test: bool) {
        let mut test_from = None; // the line of a `#[cfg(test)]` whose item has not begun
        let mut is_module = false;
        for token in tokens {
            match token {
                TokenTree::Group(group) if is_cfg_test(&group) => test_from = Some(first_line(&group)),
                TokenTree::Group(group) => {
                    let test = test_from.filter(|_| is_module && group.delimiter() == Delimiter::Brace);
                    if let Some(from) = test {
                        self.tests.push(from..=group.span_close().end().line);
                    }
                    self.read(group.stream(), in_test || test.is_some());
                    if group.delimiter() == Delimiter::Brace {
                        (test_from, is_module) = (None, false);
                    }
                }
                TokenTree::Ident(ident) => {
                    let text = ident.to_string();
                    is_module |= text == "mod";
                    self.words.push(Word { line: ident.span().start().line, text, in_test });
                }
                TokenTree::Punct(punct) if punct.as_char() == ';' => (test_from, is_module) = (None, false),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
}

/// The `[cfg(test)]` of `#[cfg(test)]`.
fn is_cfg_test(group: &Group) -> bool {
    group.delimiter() == Delimiter::Bracket && group.stream().to_string().replace(' ', "") == "cfg(test)"
}

fn first_line(group: &Group) -> usize {
    group.span_open().start().line
}
