//! Finding and running iptables-restore.
use crate::{Error, Family, Interface, error::Words};
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
    let (success, busy, said) = run(&program, text).map_err(failed)?;
    if success {
        return Ok(());
    }
    let line = line_at_fault(text, &said);
    Err(Error::Refused { program: name(&program), line, busy, words: Words::of(&said) })
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
fn run(program: &Path, text: &str) -> io::Result<(bool, bool, String)> {
    let (mut stdin, mut stderr) = (memory()?, memory()?);
    stdin.write_all(text.as_bytes())?;
    stdin.rewind()?;
    let mut command = Command::new(program);
    command.arg("--noflush").arg(format!("--wait={PATIENCE}"));
    command.stdin(stdin).stdout(Stdio::null()).stderr(stderr.try_clone()?);
    let status = command.status()?;
    let mut said = Vec::new();
    stderr.rewind()?;
    stderr.read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok((status.success(), is_busy(status, &said), said))
}

/// Whether another program held the lock all the time.
pub(crate) fn is_busy(status: ExitStatus, said: &str) -> bool {
    status.code() == Some(RESOURCE_PROBLEM) && said.contains("xtables lock")
}

/// `RESOURCE_PROBLEM` of iptables' `enum xtables_exittype`.
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
