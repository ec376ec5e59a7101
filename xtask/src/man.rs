//! `cargo xtask man DIR`: `sealane.1` and a page for each of its commands.
//!
//! Most of a page is what `--help` says, and `clap_mangen` writes it. What `--help` says below the options is sections of text
//! (`cli/src/args/words.rs`); here they become sections of the page.
use crate::{args::Cli, console, error::Error};
use clap::{Command, CommandFactory as _};
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, roman},
};
use std::{fs, io, path::Path};

/// What stands at the head and the foot of every page.
const MANUAL: &str = "Sealane";
/// What lines of a section begin with, and what is at least between a word and its meaning.
const INDENT: &str = "  ";
/// The section that is left as it was typed.
const VERBATIM: &str = "Examples:";

/// Writes the pages into `dir`.
pub(crate) fn run(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(|cause| Error::File { what: "make", path: dir.into(), cause })?;
    let mut sealane = Cli::command().disable_help_subcommand(true);
    sealane.build();
    let pages = all(&sealane, &[], dir).map_err(|cause| Error::File {
        what: "write the pages into",
        path: dir.into(),
        cause,
    })?;
    console::note(&format!("man: {pages} pages in {}", dir.display()));
    Ok(())
}

/// The page of a command and of all below it; how many they are. The `parents` are those above it, outermost first.
fn all(command: &Command, parents: &[&Command], dir: &Path) -> io::Result<usize> {
    fs::write(dir.join(format!("{}.1", page_name(command))), page(command, parents)?)?;
    let above = [parents, &[command]].concat();
    let below = command.get_subcommands().map(|below| all(below, &above, dir));
    below.sum::<io::Result<usize>>().map(|pages| pages + 1)
}

/// A page, as roff.
fn page(command: &Command, parents: &[&Command]) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone())
        .title(page_name(command).to_uppercase())
        .date("\"\"") // none, and the fields after it stay where they are
        .source(format!("{MANUAL} {}", env!("CARGO_PKG_VERSION")))
        .manual(format!("{MANUAL} Manual"));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    Roff::new().control("SH", ["SYNOPSIS"]).text([roman(synopsis(command))]).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let more = command.get_after_long_help().or(command.get_after_help());
    let more = more.map(ToString::to_string).unwrap_or_default();
    sections(&more, &see_also(command, parents)).to_writer(&mut page)?;
    Ok(page)
}

/// What `--help` has behind "Usage:".
fn synopsis(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").trim().to_owned()
}

fn page_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The command above, and those beside it if they are a group: `sealane.1` lists the rest.
fn see_also(command: &Command, parents: &[&Command]) -> Vec<String> {
    let group = parents.last().filter(|_| parents.len() > 1);
    let beside = group.into_iter().flat_map(|group| group.get_subcommands()).map(page_name);
    let beside = beside.filter(|name| *name != page_name(command));
    parents.iter().map(|parent| page_name(parent)).chain(beside).map(str::to_owned).collect()
}

/// The sections of a text, and at last the pages to look at too.
fn sections(text: &str, see_also: &[String]) -> Roff {
    let mut roff = Roff::new();
    let (mut verbatim, mut first) = (false, true);
    for line in text.lines() {
        match line.strip_prefix(INDENT) {
            None if line.is_empty() => {}
            None => {
                end_verbatim(&mut roff, &mut verbatim);
                roff.control("SH", [line.trim_end_matches(':').to_uppercase().as_str()]);
                (verbatim, first) = (line == VERBATIM, true);
                if verbatim {
                    roff.control("nf", []);
                }
            }
            Some(line) if verbatim => drop(roff.text([roman(line)])),
            Some(line) => entry(&mut roff, line, std::mem::take(&mut first)),
        }
    }
    end_verbatim(&mut roff, &mut verbatim);
    if !see_also.is_empty() {
        roff.control("SH", ["SEE ALSO"]).text(references(see_also));
    }
    roff
}

fn end_verbatim(roff: &mut Roff, verbatim: &mut bool) {
    if std::mem::take(verbatim) {
        roff.control("fi", []);
    }
}

/// A line that is not verbatim: a word and its meaning, more of that meaning, or a sentence. A section's first line begins
/// a paragraph anyway.
fn entry(roff: &mut Roff, line: &str, first: bool) {
    match line.split_once(INDENT) {
        Some(("", more)) => roff.text([roman(more.trim_start())]),
        Some((word, meaning)) => {
            roff.control("TP", []).text([bold(word)]).text([roman(meaning.trim_start())])
        }
        None if first => roff.text([roman(line)]),
        None => roff.control("PP", []).text([roman(line)]),
    };
}

/// Names of pages, as one refers to them.
fn references(pages: &[String]) -> Vec<Inline> {
    let last = pages.len().saturating_sub(1);
    let reference =
        |(at, page): (usize, &String)| [bold(page), roman(if at == last { "(1)" } else { "(1), " })];
    pages.iter().enumerate().flat_map(reference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_below_the_options_becomes_sections() {
        let text = "Examples:\n  sealane  x\n  'y'\n\nExit status:\n  That of the command, or\n  125  ours\n       and more";
        let page = sections(text, &["sealane".into(), "sealane-run".into()]).to_roff();
        assert_eq!(
            page,
            ".SH EXAMPLES\n.nf\nsealane  x\n\\&'y'\n.fi\n.SH \"EXIT STATUS\"\nThat of the command, or\n.TP\n\\fB125\\fR\nours\n\
             and more\n.SH \"SEE ALSO\"\n\\fBsealane\\fR(1), \\fBsealane\\-run\\fR(1)\n"
        );
    }

    /// The pages of all commands: their names and texts.
    fn pages(command: &Command, parents: &[&Command]) -> Vec<(String, String)> {
        let text = String::from_utf8(page(command, parents).unwrap()).unwrap();
        let above = [parents, &[command]].concat();
        let below = command.get_subcommands().flat_map(|below| pages(below, &above));
        [(page_name(command).to_owned(), text)].into_iter().chain(below).collect()
    }

    #[test]
    fn every_command_has_a_page_with_the_sections_that_one_looks_for() {
        let mut sealane = Cli::command().disable_help_subcommand(true);
        sealane.build();
        let pages = pages(&sealane, &[]);
        assert!(pages.iter().any(|(name, _)| name == "sealane-network-create"));
        for (name, text) in pages {
            let of_subcommands = ["sealane-container", "sealane-network", "sealane-node"].contains(&&*name);
            let wanted = [
                ("NAME", true),
                ("SYNOPSIS", true),
                ("OPTIONS", true),
                ("EXAMPLES", true),
                ("SUBCOMMANDS", name == "sealane" || of_subcommands),
                ("\"EXIT STATUS\"", !of_subcommands),
                ("\"SEE ALSO\"", name != "sealane"),
                ("EXTRA", false),
            ];
            for (section, there) in wanted {
                assert_eq!(text.contains(&format!(".SH {section}\n")), there, "{section} in {name}: {text}");
            }
        }
    }
}
