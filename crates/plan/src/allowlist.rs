//! Which kernel parameters `tuning` may set on this host: an administrator's list, where the reference has it.
//!
//! A regular expression a line; a parameter that any of them is found in, as the configuration spells it, may be set. Without the file all may.
//! It is the host's and no container's: nobody can name another.
use crate::error::Error;
use regex_lite::Regex;
use std::{fs, io};

const PATH: &str = "/etc/cni/tuning/allowlist.conf";

/// Why a kernel parameter may not be set.
#[derive(Debug, thiserror::Error)]
pub enum NotAllowed {
    /// The list has no such.
    #[error("Sysctl {key} is not allowed. Only the following sysctls are allowed: [{}]", .allowed.join(" "))]
    Unlisted {
        /// As the configuration spells it.
        key: String,
        /// The list.
        allowed: Vec<String>,
    },
    /// A line of the list is no regular expression.
    #[error("error parsing regexp in {PATH}: `{line}`")]
    Expression {
        /// The line.
        line: String,
        /// What is wrong with it.
        #[source]
        cause: regex_lite::Error,
    },
    /// The list can't be read.
    #[error("read {PATH}")]
    Unreadable(#[source] io::Error),
}

impl NotAllowed {
    /// What the person does next.
    pub fn hint(&self) -> String {
        match self {
            NotAllowed::Unlisted { key, .. } => {
                format!("leave {key} out of \"sysctl\", or have the host's administrator add it to {PATH}")
            }
            NotAllowed::Expression { .. } => format!(
                "put it right in {PATH}; \\Q...\\E and classes of Unicode (\\pL) are not known here, [a-z] and \\w are"
            ),
            NotAllowed::Unreadable(_) => format!("{PATH} is a file of regular expressions, one a line"),
        }
    }
}

/// Refuses the first of these parameters that the host's list does not have.
pub(crate) fn allow(keys: &[String]) -> Result<(), Error> {
    let text = match fs::read_to_string(PATH) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(NotAllowed::Unreadable)?,
    };
    Ok(check(&text, keys)?)
}

/// Expressions are compiled as they are needed: one that is wrong matters only to who is not allowed by one before it.
fn check(text: &str, keys: &[String]) -> Result<(), NotAllowed> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    for key in keys {
        let mut allowed = false;
        for line in lines() {
            let expression = Regex::new(line);
            let expression =
                expression.map_err(|cause| NotAllowed::Expression { line: line.to_owned(), cause })?;
            if expression.is_match(key) {
                allowed = true;
                break;
            }
        }
        if !allowed {
            let allowed = lines().map(str::to_owned).collect();
            return Err(NotAllowed::Unlisted { key: key.clone(), allowed });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str, key: &str) -> Option<String> {
        check(text, &[key.to_owned()]).err().map(|refused| refused.to_string())
    }

    #[test]
    fn a_parameter_is_allowed_by_any_line_that_is_found_in_it() {
        for (text, key) in [
            ("^net.ipv4.conf.IFNAME.[a-z_]*$\n", "net/ipv4/conf/IFNAME/rp_filter"),
            ("# not a comment\n\n  net.core.*  \n", "net.core.somaxconn"),
            ("\\.somaxconn", "net.core.somaxconn"),
            ("net.core.somaxconn\r\n", "net.core.somaxconn"),
            ("(?i)NET\\.[[:alpha:]]+", "net.core.somaxconn"),
            ("net.*\nfoo(\n", "net.core.somaxconn"),
        ] {
            assert_eq!(refusal(text, key), None, "{text:?} {key}");
        }
    }

    #[test]
    fn what_no_line_allows_is_refused_in_the_references_words() {
        assert_eq!(
            refusal("# c\n\n  net.zzz*  \n", "net.core.somaxconn").unwrap(),
            "Sysctl net.core.somaxconn is not allowed. Only the following sysctls are allowed: [# c net.zzz*]"
        );
        assert!(refusal("", "net.core.somaxconn").unwrap().ends_with("allowed: []"));
        assert!(refusal("^net.ipv4.conf.IFNAME", "net.ipv4.conf.eth0.rp_filter").is_some());
        assert!(refusal("\\.somaxconn", "net/core/somaxconn").is_some());
    }

    #[test]
    fn an_expression_that_is_none_is_named() {
        let refused = refusal("foo(\nnet.*", "net.core.somaxconn").unwrap();
        assert!(refused.contains("error parsing regexp") && refused.contains("`foo(`"), "{refused}");
    }
}
