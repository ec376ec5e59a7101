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
    let programs = interface.programs(family);
    for program in programs {
        let beside = directories.iter().find(|it| is_program(&it.join(program)));
        let restore = beside.into_iter().chain(&directories).map(|it| it.join(format!("{program}-restore")));
        if let Some(found) = restore.into_iter().find(|it| is_program(it)) {
            return Ok(found);
        }
    }
    Err(Error::NoProgram { program: format!("{}-restore", programs.first().copied().unwrap_or_default()) })
}

/// Whether there is such a program in PATH.
pub(crate) fn in_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| is_program(&directory.join(program)))
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
