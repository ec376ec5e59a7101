//! Finding and running iptables-restore.
use crate::{
    Error, Family, Interface,
    error::{Why, Words},
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::{
    env,
    fs::{self, File},
    io::{self, Read, Seek, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

/// How many seconds are waited for the lock of iptables, which any other program may hold.
pub(crate) const PATIENCE: u32 = 30;

/// Runs the text of one change.
pub(crate) fn restore(interface: Interface, family: Family, text: &str) -> Result<(), Error> {
    let program = find(interface, family)?;
    let failed = |cause| Error::NotRun { program: program.clone(), cause };
    let (status, said) = run(&program, text).map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let line = line_at_fault(text, &said);
    let why = why(status, line.as_deref(), &said);
    Err(Error::Refused { program: name(&program), line, why, words: Words::of(&said) })
}

/// The file's name, which is what people know a program by.
fn name(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

/// The program of this interface and family: in the directory where the first `iptables` in PATH is, which is what the reference plugins run,
/// else in any.
fn find(interface: Interface, family: Family) -> Result<PathBuf, Error> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = env::split_paths(&path).filter(|it| it.is_absolute()).collect();
    for program in interface.programs(family) {
        let beside = directories.iter().find(|it| is_program(&it.join(program)));
        let restore = beside.into_iter().chain(&directories).map(|it| it.join(format!("{program}-restore")));
        if let Some(found) = restore.into_iter().find(|it| is_program(it) && interface.is_of(it)) {
            return Ok(found);
        }
    }
    Err(Error::NoProgram { program: format!("{}-restore", interface.wanted(family)) })
}

/// Whether there is a program of this interface and family.
pub fn is_installed(interface: Interface, family: Family) -> bool {
    find(interface, family).is_ok()
}

/// Which interface the host's own program of this family goes by; `None` without one.
pub fn of_the_host(family: Family) -> Option<Interface> {
    gone_by(&find(Interface::Any, family).ok()?)
}

/// Whether the first program of this name in PATH is there, and goes by this interface.
pub(crate) fn in_path(interface: Interface, program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|directory| directory.join(program)).find(|it| is_program(it));
    found.is_some_and(|it| interface.is_of(&it))
}

impl Interface {
    fn is_of(self, program: &Path) -> bool {
        self == Interface::Any || gone_by(program) == Some(self)
    }
}

/// Which interface a program goes by. The file says it by its name, `xtables-nft-multi` or `xtables-legacy-multi`; only what is called
/// otherwise, such as a script in its place, is asked.
fn gone_by(program: &Path) -> Option<Interface> {
    let file = name(&fs::canonicalize(program).ok()?);
    if file.contains("nft") {
        return Some(Interface::Nft);
    } else if file.contains("legacy") {
        return Some(Interface::Legacy);
    }
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null());
    kernel::end_with_starter(&mut command);
    let said = command.output().ok().filter(|output| output.status.success())?.stdout;
    // Before there were two (1.8) it said nothing of either.
    let is_nft = String::from_utf8_lossy(&said).contains("nf_tables");
    Some(if is_nft { Interface::Nft } else { Interface::Legacy })
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

/// Its streams are files in memory, so nobody waits for anybody. What it prints besides would be no answer of a plugin.
fn run(program: &Path, text: &str) -> io::Result<(ExitStatus, String)> {
    let (mut stdin, mut stderr) = (memory()?, memory()?);
    stdin.write_all(text.as_bytes())?;
    stdin.rewind()?;
    let mut command = Command::new(program);
    command.arg("--noflush").arg(format!("--wait={PATIENCE}"));
    command.stdin(stdin).stdout(Stdio::null()).stderr(stderr.try_clone()?);
    // A DEL that comes after a plugin that was killed must not be overtaken by its rules.
    kernel::end_with_starter(&mut command);
    let status = command.status()?;
    let mut said = Vec::new();
    stderr.rewind()?;
    stderr.read_to_end(&mut said)?;
    Ok((status, String::from_utf8_lossy(&said).into_owned()))
}

/// What a refusal comes to, by the exit status (iptables' `enum xtables_exittype`) and the words of either program. Of a rule or chain that is
/// not there the older one says "line 2 failed" and no more, and that there is no such target if it would be a chain.
pub(crate) fn why(status: ExitStatus, line: Option<&str>, said: &str) -> Why {
    const ABSENT: [&str; 3] =
        ["", "Bad rule (does a matching rule exist in that chain?)", "No chain/target/match by that name"];
    let failed = || said.split_once(" failed").map(|(_, rest)| rest.trim_matches([':', ' ', '.', '\n']));
    let no_chain = || {
        (said.contains("Chain '") && said.contains("' does not exist"))
            || said.contains("Couldn't load target `")
    };
    match status.code() {
        Some(OTHER_PROBLEM) if line.is_some() && failed().is_some_and(|rest| ABSENT.contains(&rest)) => {
            Why::NotThere
        }
        Some(PARAMETER_PROBLEM) if no_chain() => Why::NotThere,
        Some(RESOURCE_PROBLEM) if said.contains("xtables lock") => Why::Busy,
        Some(_) | None => Why::Other,
    }
}

const OTHER_PROBLEM: i32 = 1;
const PARAMETER_PROBLEM: i32 = 2;
const RESOURCE_PROBLEM: i32 = 4;

fn memory() -> io::Result<File> {
    Ok(memfd_create("xtables", MFdFlags::MFD_CLOEXEC)?.into())
}

/// "line 2 failed", "Error occurred at line: 2" and "line 7: X failed" all begin with the line's number.
fn line_at_fault(text: &str, said: &str) -> Option<String> {
    let (_, rest) = said.split_once("line")?;
    let number: String =
        rest.trim_start_matches([':', ' ']).chars().take_while(char::is_ascii_digit).collect();
    let line = text.lines().nth(number.parse::<usize>().ok()?.checked_sub(1)?)?;
    // "COMMIT" is at fault for all the others.
    Some(line.to_owned()).filter(|line| line.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn only_what_says_that_a_rule_or_chain_is_not_there_means_it() {
        let text = "*nat\n-D A -j B\nCOMMIT\n";
        let why = |code: i32, said: &str| {
            why(ExitStatus::from_raw(code << 8), line_at_fault(text, said).as_deref(), said)
        };
        // iptables 1.8.9, by nftables and by the older interface.
        for (code, said) in [
            (1, "\niptables-restore: line 2 failed: Bad rule (does a matching rule exist in that chain?).\n"),
            (1, "\niptables-restore: line 2 failed: No chain/target/match by that name.\n"),
            (1, "iptables-restore: line 2 failed\n"),
            (2, "iptables-restore v1.8.9 (nf_tables): Chain 'B' does not exist\nError occurred at line: 3\n"),
            (2, "iptables-restore v1.8.9 (legacy): Couldn't load target `B':No such file or directory\n\n"),
        ] {
            assert_eq!(why(code, said), Why::NotThere, "{said}");
        }
        for (code, said) in [
            (1, "iptables-restore: line 3 failed\n"),
            (1, "\niptables-restore: line 2 failed: Chain already exists.\n"),
            (1, "\niptables-restore: line 2 failed: Incompatible with this kernel.\n"),
            (2, "iptables-restore v1.8.9 (legacy): Couldn't load match `x':No such file or directory\n"),
            (2, "iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table 'nat'\n"),
            (4, "Fatal: can't open lock file /run/xtables.lock: Is a directory\n"),
            (
                4,
                "iptables-restore v1.8.9 (nf_tables): \nline 2: CHAIN_DEL failed (Device or resource busy): chain B\n",
            ),
            (
                4,
                "iptables-restore v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied\n",
            ),
        ] {
            assert_eq!(why(code, said), Why::Other, "{said}");
        }
        let held = "Another app is currently holding the xtables lock. Stopped waiting after 1s.\n";
        assert_eq!(why(4, held), Why::Busy);
    }

    #[test]
    fn a_program_is_told_by_its_files_name_and_else_by_its_version() {
        let directory = env::temp_dir().join(format!("xtables-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let program = |name: &str, says: &str| {
            let path = directory.join(name);
            fs::write(&path, format!("#!/bin/sh\n{says}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let fails = "exit 1";
        for (name, says, expected) in [
            ("xtables-nft-multi", fails, Some(Interface::Nft)),
            ("xtables-legacy-multi", fails, Some(Interface::Legacy)),
            ("a", "echo 'iptables-restore v1.8.9 (nf_tables)'", Some(Interface::Nft)),
            ("b", "echo 'iptables-restore v1.8.9 (legacy)'", Some(Interface::Legacy)),
            ("c", "echo 'iptables-restore v1.4.21'", Some(Interface::Legacy)),
            ("d", fails, None),
        ] {
            let path = program(name, says);
            assert_eq!(gone_by(&path), expected, "{name}: {says}");
            let link = directory.join(format!("iptables-{name}"));
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert_eq!(gone_by(&link), expected, "a link to {name}");
            for interface in [Interface::Nft, Interface::Legacy] {
                assert_eq!(interface.is_of(&path), Some(interface) == expected, "{name}");
            }
            assert!(Interface::Any.is_of(&path));
        }
        assert_eq!(gone_by(&directory.join("none")), None);
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn the_line_at_fault_is_found_in_what_either_program_says() {
        let text = "*nat\n-N A\n-A A -j B\nCOMMIT\n";
        for said in [
            "iptables-restore: line 3 failed",
            "Chain 'B' does not exist\nError occurred at line: 3\nTry",
            "\nline 3: CHAIN_DEL failed",
        ] {
            assert_eq!(line_at_fault(text, said).as_deref(), Some("-A A -j B"), "{said}");
        }
        for said in ["", "line", "line 4 failed", "line 9 failed", "line 0"] {
            assert_eq!(line_at_fault(text, said), None, "{said}");
        }
    }
}
