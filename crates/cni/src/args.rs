//! `CNI_ARGS`: `KEY=VALUE;KEY=VALUE`.

/// The arguments as they came. Reading them is lenient, for runtimes send each other's keys (Nomad even JSON): a value may hold
/// `=`, unknown keys are nobody's business whether or not `IgnoreUnknown` is set, and what is not a pair is skipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Args(String);

impl Args {
    /// The arguments in this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value of `key`, exactly so spelled; of several the last. A value may be empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        let pairs = self.0.rsplit(';').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_runs_from_the_first_equals_sign_to_the_semicolon() {
        let args =
            Args::new("IgnoreUnknown=1;CONSUL_IPTABLES_CONFIG={\"a\":\"b=c\"};IP=10.0.0.2;;junk;GATEWAY=");
        assert_eq!(args.get("CONSUL_IPTABLES_CONFIG"), Some("{\"a\":\"b=c\"}"));
        assert_eq!(args.get("IP"), Some("10.0.0.2"));
        assert_eq!(args.get("GATEWAY"), Some(""));
        assert_eq!(args.get("ip"), None);
        assert_eq!(args.get("junk"), None);
    }

    #[test]
    fn the_last_of_several_values_counts() {
        assert_eq!(Args::new("IP=10.0.0.2;IP=10.0.0.3").get("IP"), Some("10.0.0.3"));
        assert_eq!(Args::default().get("IP"), None);
    }
}
