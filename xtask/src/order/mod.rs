//! `cargo xtask order`: finds out which functions plugins run, and in which order they belong into the executable.
//!
//! A plugin runs a thousand of the executable's ten thousand functions, once each. The kernel maps a file in windows of 64 KiB
//! (`fault_around_bytes`), some microseconds each to fault in and to unmap at the end. Where the linker has put the functions anywhere,
//! an ADD goes through 70 windows of code; side by side they fill 30. That is 0.17 ms of each start with a page cache in small pieces, as after
//! a boot, and 0.06 ms with one in large pieces; and each plugin takes 3 MB less of memory.
//!
//! The order is a list of names in [`FILE`], read by the linker ([`link`], `ld.lld(1)`, `--symbol-ordering-file`). It is measured,
//! not guessed: an executable with symbols is run step by step ([`trace`]) by the benchmark's driver. What most runs have in
//! common comes first, in the order in which it is reached. The names are without hashes, so they outlive new versions of the
//! compiler and of what we depend on; a function that is gone is passed over, and a new one stands with the rest until this
//! is run again. The layout is all that depends on it.
pub(crate) mod link;
pub(crate) mod trace;

use crate::{bench, console, dist, error::Error, workspace::Workspace};
use nix::unistd::Uid;
use object::{Object as _, ObjectSymbol as _, SymbolKind};
use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// The order file, in the workspace.
pub(crate) const FILE: &str = "cli/sealane.order";

/// What is run: configurations of the benchmark, and the driver's options for each.
const RUNS: &[(&str, &[&str])] = &[
    ("a.conflist", &[]),
    ("b.conflist", &[]),
    ("f-macvlan.conflist", &["--uplink"]),
    ("f-ptp.conflist", &[]),
    ("f-ptp-masq.conflist", &[]),
    ("e-own.conflist", &["--ports", "2", "--bandwidth"]),
];

const HEAD: &str = "\
# The functions that plugins run, in the order in which the linker puts them. Made by `cargo xtask order`: see xtask/src/order.
";

/// Measures the order and writes [`FILE`].
pub(crate) fn run(workspace: &Workspace) -> Result<(), Error> {
    if !Uid::effective().is_root() {
        let why = "the driver that runs the plugins makes network and mount namespaces; nothing outside them is changed";
        return Err(Error::NotRoot { task: "order", why });
    }
    let built = link::build(workspace, link::Names::Kept)?;
    let folder = workspace.target.join("order");
    let traces = folder.join("traces");
    empty(&traces)?;
    bench::drive(&workspace.shared(), &stand_ins(&built, &folder, &traces)?, RUNS)?;
    let functions = Functions::of(&built)?;
    let order = order(&functions, &traces)?;
    let text: String = order.iter().flat_map(|name| [*name, "\n"]).collect();
    let file = workspace.root.join(FILE);
    write(&file, &format!("{HEAD}{text}"))?;
    console::note(&format!("order: {} functions in {}", order.len(), file.display()));
    Ok(())
}

/// A directory in which each plugin's name is a script that traces the real one. Plugins find each other among the real ones.
fn stand_ins(built: &Path, folder: &Path, traces: &Path) -> Result<PathBuf, Error> {
    let (real, scripts) = (folder.join("real"), folder.join("traced"));
    empty(&real)?;
    empty(&scripts)?;
    let names = dist::lay_out(built, &real)?;
    let chore = env::current_exe().map_err(failed("find", Path::new("/proc/self/exe")))?;
    for name in names {
        let script = link::script(&[&chore, Path::new("trace"), &real.join(&name), traces]);
        let path = scripts.join(&name);
        write(&path, &script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(failed("change", &path))?;
    }
    Ok(scripts)
}

/// Where each function is.
struct Functions {
    /// By first address: the address after the last, and the names without hashes; a function of C has several.
    at: BTreeMap<u64, (u64, Vec<String>)>,
}

impl Functions {
    fn of(executable: &Path) -> Result<Self, Error> {
        let data = fs::read(executable).map_err(failed("read", executable))?;
        let file =
            object::File::parse(&*data).map_err(|cause| Error::Object { path: executable.into(), cause })?;
        let functions =
            file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
        let mut at: BTreeMap<u64, (u64, Vec<String>)> = BTreeMap::new();
        for symbol in functions {
            let Ok(name) = symbol.name() else { continue };
            let (end, names) = at.entry(symbol.address()).or_default();
            *end = (*end).max(symbol.address() + symbol.size());
            names.push(link::readable(name));
        }
        Ok(Self { at })
    }

    /// The first address of the function that `address` is in.
    fn start(&self, address: u64) -> Option<u64> {
        let (start, (end, _)) = self.at.range(..=address).next_back()?;
        (address < *end).then_some(*start)
    }
}

/// What most plugins and verbs run comes first; then what the same of them run, as it is reached.
fn order<'a>(functions: &'a Functions, traces: &Path) -> Result<Vec<&'a str>, Error> {
    let mut files = fs::read_dir(traces)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(failed("read", traces))?;
    files.sort_by_key(fs::DirEntry::file_name);
    let mut reached: BTreeMap<u64, (BTreeSet<String>, usize)> = BTreeMap::new();
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        let run = name.rsplit_once('.').map_or(name.as_str(), |(run, _process)| run).to_owned();
        for address in trace::read(&file.path())? {
            let Some(start) = functions.start(address) else { continue };
            let next = reached.len();
            reached.entry(start).or_insert_with(|| (BTreeSet::new(), next)).0.insert(run.clone());
        }
    }
    let mut order: Vec<_> = reached.into_iter().collect();
    order.sort_by(|(_, (runs, first)), (_, (other, second))| {
        other.len().cmp(&runs.len()).then_with(|| runs.cmp(other)).then(first.cmp(second))
    });
    let names = order.iter().filter_map(|(start, _)| functions.at.get(start));
    let mut said = BTreeSet::new();
    Ok(names.flat_map(|(_, names)| names).map(String::as_str).filter(|name| said.insert(*name)).collect())
}

/// Makes `folder` a new, empty one.
fn empty(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed("remove", folder)(cause)),
        _ => fs::create_dir_all(folder).map_err(failed("make", folder)),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(failed("write", path))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.into();
    move |cause| Error::File { what, path, cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_more_runs_have_in_common_comes_first_and_then_what_is_reached_first() {
        let traces = env::temp_dir().join(format!("xtask-order-{}", std::process::id()));
        empty(&traces).unwrap();
        let trace = |name: &str, addresses: &[u64]| {
            let bytes: Vec<u8> = addresses.iter().flat_map(|address| address.to_le_bytes()).collect();
            fs::write(traces.join(name), bytes).unwrap();
        };
        trace("bridge.ADD.7", &[0x200, 0x100, 0x104, 0x3ff, 0x400]);
        trace("bridge.ADD.8", &[0x300]);
        trace("ptp.ADD.7", &[0x100]);
        let function = |at: u64, name: &str| (at, (at + 0x100, vec![name.to_owned()]));
        let at = [function(0x100, "both"), function(0x200, "first"), function(0x300, "second")].into();

        let functions = Functions { at };
        assert_eq!(order(&functions, &traces).unwrap(), ["both", "first", "second"]);
        fs::remove_dir_all(&traces).unwrap();
    }
}
