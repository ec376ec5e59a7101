//! `sealane agent`.
use super::words;
use clap::Args;

/// `agent`.
#[derive(Debug, Args)]
#[command(after_help = words::AGENT)]
#[command(after_long_help = words::join(&[words::AGENT, words::AGENT_MORE, words::STATUS, words::AGENT_ENVIRONMENT]))]
pub(crate) struct Agent {
    /// Do what is due, once, and come back.
    #[arg(long)]
    pub(crate) once: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_help_names_the_variables_that_it_reads_and_no_others() {
        let help = Agent::augment_args(clap::Command::new("agent")).render_long_help().to_string();
        let named = |line: &str| {
            let word = line.trim_start().split(' ').next().unwrap_or_default();
            let is_one =
                !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
            is_one.then(|| word.to_owned())
        };
        let variables: Vec<String> = help.lines().filter_map(named).collect();
        assert_eq!(variables, ["NETCONFPATH", "SEALANE_STATE_DIR", "SEALANE_DATA_DIR"], "{help}");
    }
}
