//! What every `.rs` file must keep: how it begins, how long it is, what it is called, and what it must not do.
use super::{
    Violation,
    tokens::{Word, Words},
};
use crate::error::Error;
use proc_macro2::TokenStream;
use std::path::{Component, Path};

/// Lines of a file, its test modules not counted.
const LONGEST: usize = 400;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"];

/// What starts another program.
const EXECS: &[&str] = &["Command", "execv", "execve", "execvp", "execvpe", "execveat", "posix_spawn"];

/// Who may: delegation to another plugin is `cni`'s, what a person gave `run`, `exec` or `lab` to run is `sandbox`'s,
/// `iptables-restore` is `xtables`'s, and xtask never reaches a node.
const MAY_EXEC: &[&str] = &["crates/cni", "crates/sandbox", "crates/xtables", "xtask"];

/// Who may hold `unsafe`.
const MAY_BE_UNSAFE: &str = "crates/kernel";

/// What is wrong with one file; `path` is relative to the workspace's root.
pub(super) fn violations(path: &Path, text: &str) -> Result<Vec<Violation>, Error> {
    let tokens: TokenStream =
        text.parse().map_err(|cause| Error::Rust { path: path.to_path_buf(), cause })?;
    let words = Words::of(tokens);
    let mut found: Vec<(usize, String)> = Vec::new();
    found.extend(header(text));
    found.extend(length(path, text, &words));
    found.extend(file_name(path));
    found.extend(words.words.windows(2).filter_map(module_name));
    found.extend(words.words.iter().filter_map(|word| exec(path, word)));
    found.extend(words.words.iter().filter_map(|word| unsafety(path, word)));
    Ok(found.into_iter().map(|(line, what)| Violation { path: path.into(), line, what }).collect())
}

fn header(text: &str) -> Option<(usize, String)> {
    let begins = text.lines().next().is_some_and(|line| line.starts_with("//!"));
    (!begins).then(|| (1, "no `//!` at the head, open with what this file is for".into()))
}

fn length(path: &Path, text: &str, words: &Words) -> Option<(usize, String)> {
    let tests: usize = words.tests.iter().map(|lines| lines.end() + 1 - lines.start()).sum();
    let lines = text.lines().count().saturating_sub(tests);
    let long = lines > LONGEST && !is_test(path);
    long.then(|| {
        (LONGEST + 1, format!("{lines} lines without tests, split what is over {LONGEST} by subject"))
    })
}

fn file_name(path: &Path) -> Option<(usize, String)> {
    let mut names = path.components().filter_map(|part| match part {
        Component::Normal(name) => Path::new(name).file_stem()?.to_str(),
        _ => None,
    });
    names.find(|name| EMPTY_NAMES.contains(name)).map(|name| (1, empty_name(name)))
}

fn module_name(pair: &[Word]) -> Option<(usize, String)> {
    match pair {
        [keyword, name] if keyword.text == "mod" && EMPTY_NAMES.contains(&name.text.as_str()) => {
            Some((name.line, empty_name(&name.text)))
        }
        _ => None,
    }
}

fn empty_name(name: &str) -> String {
    format!("`{name}` says nothing, name the module for its subject")
}

fn exec(path: &Path, word: &Word) -> Option<(usize, String)> {
    let allowed = word.in_test || is_test(path) || MAY_EXEC.iter().any(|place| path.starts_with(place));
    (!allowed && EXECS.contains(&word.text.as_str())).then(|| {
        (
            word.line,
            format!(
                "`{}` starts a program, which only crates/cni, crates/sandbox and crates/xtables may; do it in process",
                word.text
            ),
        )
    })
}

fn unsafety(path: &Path, word: &Word) -> Option<(usize, String)> {
    (word.text == "unsafe" && !path.starts_with(MAY_BE_UNSAFE)).then(|| {
        (word.line, format!("`unsafe` outside {MAY_BE_UNSAFE}, add a safe function there and call it"))
    })
}

/// Files that hold tests alone: below a folder `tests`, or a `tests.rs`.
fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        violations(Path::new(path), text).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_tidy_file_is_let_be() {
        let text = "//! Says `unsafe`, Command.\n/* unsafe */ const A: &str = \"unsafe Command\"; fn f<'a>(_: &'a str) {}\n";
        assert!(found("plugins/bridge/src/lib.rs", text).is_empty());
    }

    #[test]
    fn a_file_without_a_header_is_named() {
        let expected = ["plan/a.rs:1: no `//!` at the head, open with what this file is for"];
        assert_eq!(found("plan/a.rs", "// A note.\nfn f() {}\n"), expected);
    }

    #[test]
    fn unsafe_is_the_kernel_crates_alone() {
        let text = "//! X.\nfn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(
            found("crates/plan/src/a.rs", text),
            ["crates/plan/src/a.rs:3: `unsafe` outside crates/kernel, add a safe function there and call it"]
        );
        assert!(found("crates/kernel/src/a.rs", text).is_empty());
    }

    #[test]
    fn a_command_is_for_cni_and_for_tests() {
        let text = "//! X.\nuse std::process;\nfn f() { process::Command::new(\"nft\"); }\n";
        assert_eq!(
            found("plugins/bridge/src/lib.rs", text),
            [
                "plugins/bridge/src/lib.rs:3: `Command` starts a program, which only crates/cni, crates/sandbox and crates/xtables may; do it in process"
            ]
        );
        for path in [
            "crates/cni/src/delegate.rs",
            "plugins/bridge/tests/e2e.rs",
            "tests/netns/src/lib.rs",
            "xtask/src/a.rs",
        ] {
            assert!(found(path, text).is_empty(), "{path}");
        }
        let in_test = "//! X.\n#[cfg(test)]\nmod tests {\n    fn f() { Command::new(\"true\"); }\n}\n";
        assert!(found("plugins/bridge/src/lib.rs", in_test).is_empty());
        let not_in_test =
            "//! X.\n#[cfg(test)]\nuse a::b;\nmod c {\n    fn f() { Command::new(\"true\"); }\n}\n";
        assert_eq!(found("plugins/bridge/src/lib.rs", not_in_test).len(), 1);
    }

    #[test]
    fn a_long_file_is_named_but_its_tests_are_not_counted() {
        let code = |lines: usize| format!("//! X.\n{}", "// y\n".repeat(lines - 1));
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "// z\n".repeat(300));
        assert!(found("a/b.rs", &(code(400) + &tests)).is_empty());
        let expected = ["a/b.rs:401: 401 lines without tests, split what is over 400 by subject"];
        assert_eq!(found("a/b.rs", &(code(401) + &tests)), expected);
        assert!(found("a/tests/b.rs", &code(900)).is_empty());
    }

    #[test]
    fn a_name_that_says_nothing_is_refused() {
        assert_eq!(
            found("a/utils.rs", "//! X.\n"),
            ["a/utils.rs:1: `utils` says nothing, name the module for its subject"]
        );
        assert_eq!(found("a/common/mod.rs", "//! X.\n").len(), 1);
        assert_eq!(found("a/b.rs", "//! X.\nmod c {\n    mod helpers {}\n}\n").len(), 1);
    }
}
