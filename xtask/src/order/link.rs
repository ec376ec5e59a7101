//! Builds the multicall executable with its functions in the order of the order file.
//!
//! The linker wants mangled names, which are only known once the compiler has made the objects. So cargo is given a linker
//! that is this program: it looks the names up in the objects and runs the real one. Names are mangled by the compiler's scheme
//! `v0` (RFC 2603), in which instances of one generic function have names of their own.
use super::{FILE, failed, write};
use crate::{console, error::Error, shell, workspace, workspace::Workspace};
use object::{Object as _, ObjectSymbol as _};
use std::{
    collections::HashMap,
    env,
    ffi::OsString,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Whether the executable keeps its table of symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    Kept,
    Stripped,
}

/// The order's names that no object has: written by the linker, read by who asked for the build.
const MISSING: &str = "missing";

/// Builds the release of the multicall executable; its path is cargo's to say.
pub(crate) fn build(workspace: &Workspace, names: Names) -> Result<PathBuf, Error> {
    let folder = prepare(workspace)?;
    let mut cargo = workspace::cargo();
    cargo.current_dir(&workspace.root).args(["rustc", "--release", "--locked", "--package", "cli"]);
    cargo.args(["--bin", "sealane", "--message-format=json-render-diagnostics"]);
    cargo.args(["--config", "target.'cfg(all())'.rustflags=['-Csymbol-mangling-version=v0']"]);
    if names == Names::Kept {
        cargo.args(["--config", "profile.release.strip='none'"]);
    }
    cargo.arg("--").arg(format!("-Clinker={}", folder.join("cc").display()));
    let messages = shell::read(&mut cargo)?;
    say(workspace, &folder);
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    };
    String::from_utf8_lossy(&messages)
        .lines()
        .filter_map(executable)
        .next_back()
        .ok_or(Error::NoExecutable { package: "cli" })
}

/// Makes the linker's script. Its folder is one of this order, so that cargo links anew when the order has changed.
fn prepare(workspace: &Workspace) -> Result<PathBuf, Error> {
    let order = workspace.root.join(FILE);
    let mut hasher = DefaultHasher::new();
    fs::read(&order).map_err(failed("read", &order))?.hash(&mut hasher);
    let folder = workspace.target.join(format!("order/{:016x}", hasher.finish()));
    fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
    let chore = env::current_exe().map_err(failed("find", Path::new("/proc/self/exe")))?;
    let path = folder.join("cc");
    let text = script(&[&chore, Path::new("link"), &order, &folder, Path::new("--")]);
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(folder);
    }
    write(&path, &text)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(failed("change", &path))?;
    Ok(folder)
}

/// A script that runs these words, and after them its own arguments.
pub(super) fn script(words: &[&Path]) -> String {
    let quoted = words.iter().map(|word| format!(" '{}'", word.display().to_string().replace('\'', r"'\''")));
    format!("#!/bin/sh\nexec{} \"$@\"\n", quoted.collect::<String>())
}

/// How much of the order is in force.
fn say(workspace: &Workspace, folder: &Path) {
    let count = |path: &Path| fs::read_to_string(path).map(|text| names(&text).count());
    let (Ok(missing), Ok(all)) = (count(&folder.join(MISSING)), count(&workspace.root.join(FILE))) else {
        console::note("functions are in no order: rustc does not link with lld here");
        return;
    };
    let hint = if missing * 4 > all { "; `cargo xtask order` measures it anew" } else { "" };
    console::note(&format!("{} of {all} functions are in the order of {FILE}{hint}", all - missing));
}

/// The linker that cargo is given: `cc` with the order, if it will run lld.
pub(crate) fn link(order: &Path, folder: &Path, arguments: &[OsString]) -> Result<ExitCode, Error> {
    let mut cc = Command::new("cc");
    cc.args(arguments);
    let missing = folder.join(MISSING);
    if arguments.iter().any(|argument| argument == "-fuse-ld=lld") {
        let (mangled, not_there) = mangled(order, arguments)?;
        let symbols = folder.join("symbols");
        write(&symbols, &mangled)?;
        write(&missing, &not_there)?;
        cc.arg("-Xlinker").arg(format!("--symbol-ordering-file={}", symbols.display()));
        cc.args(["-Xlinker", "--no-warn-symbol-ordering"]);
    } else {
        let _was_none = fs::remove_file(&missing);
    }
    let cause = cc.exec();
    Err(shell::not_started(&cc, cause))
}

/// The order in the objects' own names, and those of its names that no object has. Names of C are in archives, and taken as they are.
fn mangled(order: &Path, arguments: &[OsString]) -> Result<(String, String), Error> {
    let symbols = symbols(arguments)?;
    let order = fs::read_to_string(order).map_err(failed("read", order))?;
    let (mut mangled, mut missing) = (String::new(), String::new());
    for name in names(&order) {
        match symbols.get(name) {
            Some(found) => found.iter().for_each(|symbol| line(&mut mangled, symbol)),
            None if name.contains("::") => line(&mut missing, name),
            None => line(&mut mangled, name),
        }
    }
    Ok((mangled, missing))
}

fn line(text: &mut String, name: &str) {
    text.push_str(name);
    text.push('\n');
}

/// What the objects define, by readable name.
fn symbols(arguments: &[OsString]) -> Result<HashMap<String, Vec<String>>, Error> {
    let mut symbols: HashMap<String, Vec<String>> = HashMap::new();
    for path in arguments.iter().map(Path::new).filter(|path| path.extension().is_some_and(|end| end == "o"))
    {
        let data = fs::read(path).map_err(failed("read", path))?;
        let object =
            object::File::parse(&*data).map_err(|cause| Error::Object { path: path.into(), cause })?;
        for symbol in object.symbols().filter(object::ObjectSymbol::is_definition) {
            let Ok(name) = symbol.name() else { continue };
            symbols.entry(readable(name)).or_default().push(name.to_owned());
        }
    }
    Ok(symbols)
}

/// A symbol's name as in the source, without hashes and without the number by which the compiler tells copies of a function
/// from each other; a name of C as it is.
pub(super) fn readable(symbol: &str) -> String {
    let name = format!("{:#}", rustc_demangle::demangle(symbol));
    match name.rsplit_once('.') {
        Some((whole, copy)) if name.contains("::") && copy.bytes().all(|byte| byte.is_ascii_digit()) => {
            whole.to_owned()
        }
        _ => name,
    }
}

/// The names in an order file.
fn names(order: &str) -> impl Iterator<Item = &str> {
    order.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_runs_what_stands_there_whatever_it_is_called() {
        let script = script(&[Path::new("printf"), Path::new("%s."), Path::new("it's")]);
        let mut shell = Command::new("sh");
        let said = shell::read(shell.args(["-c", &script, "sh", "a b"])).unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), "it's.a b.");
    }

    #[test]
    fn an_order_is_told_in_the_names_that_the_objects_have() {
        let folder = env::temp_dir().join(format!("xtask-link-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (object, order) = (folder.join("this.o"), folder.join("order"));
        fs::copy(env::current_exe().unwrap(), &object).unwrap();
        fs::write(&order, "# a comment\nmemcpy\nxtask::order::link::readable\nno::such::function\n").unwrap();

        let (mangled, missing) = mangled(&order, &[object.into()]).unwrap();
        let (first, second) = mangled.trim().split_once('\n').unwrap();
        assert_eq!(first, "memcpy");
        assert_ne!(second, "xtask::order::link::readable");
        assert_eq!(readable(second), "xtask::order::link::readable");
        assert_eq!(missing, "no::such::function\n");
        fs::remove_dir_all(&folder).unwrap();
    }
}
