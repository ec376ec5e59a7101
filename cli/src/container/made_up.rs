//! Names for containers that are given none: two plain words, `calm-otter`.
use super::error::Error;

const HOW: [&str; 64] = [
    "able", "agile", "amber", "ample", "apt", "azure", "bold", "brave", "brief", "bright", "brisk", "busy",
    "calm", "candid", "clean", "clear", "clever", "cosy", "crisp", "daring", "deft", "eager", "early",
    "easy", "even", "fair", "fleet", "fond", "frank", "fresh", "gentle", "glad", "golden", "grand", "green",
    "handy", "happy", "hardy", "honest", "ideal", "jolly", "keen", "kind", "light", "lively", "loyal",
    "lucky", "mellow", "merry", "mild", "neat", "nimble", "noble", "patient", "polite", "proud", "quick",
    "quiet", "ready", "steady", "sunny", "tidy", "warm", "witty",
];

const WHO: [&str; 64] = [
    "alpaca", "badger", "beaver", "bison", "bobcat", "camel", "cicada", "condor", "coyote", "crane",
    "cricket", "curlew", "dingo", "dipper", "dolphin", "eagle", "egret", "falcon", "ferret", "finch",
    "gecko", "gibbon", "goose", "grouse", "hare", "heron", "hornet", "ibex", "ibis", "jackal", "jaguar",
    "kestrel", "koala", "lark", "lemur", "linnet", "lynx", "magpie", "marmot", "marten", "mole", "newt",
    "ocelot", "orca", "osprey", "otter", "panda", "parrot", "pelican", "plover", "puffin", "quail", "rabbit",
    "raven", "robin", "salmon", "seal", "shrew", "sparrow", "stork", "swift", "tapir", "toad", "walrus",
];

/// How many names are tried before a number is put behind one.
const TRIES: u32 = 8;

/// A name; `tries` have been found taken before.
pub(crate) fn name(tries: u32) -> Result<String, Error> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|cause| Error::Random(cause.to_string()))?;
    let [how, who, more @ ..] = random;
    let word = |words: &[&'static str; 64], random: u8| {
        words.get(usize::from(random) % 64).copied().unwrap_or_default()
    };
    let name = format!("{}-{}", word(&HOW, how), word(&WHO, who));
    Ok(if tries < TRIES { name } else { format!("{name}-{}", u16::from_le_bytes(more)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_word_is_there_twice() {
        let words: HashSet<_> = HOW.iter().chain(&WHO).collect();
        assert_eq!(words.len(), 128);
    }

    #[test]
    fn a_name_that_was_often_taken_gets_a_number() {
        assert_eq!(name(0).unwrap().split('-').count(), 2);
        assert_eq!(name(TRIES).unwrap().split('-').count(), 3);
    }
}
