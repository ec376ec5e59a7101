//! `--filter KEY=VALUE` of networks, as docker has it: a network has to match one of the values of each key, but all labels.
use super::error::Error;
use networks::{DEFAULT_NETWORK, Definition};
use std::time::{Duration, SystemTime};

/// What `network ls` takes.
pub(crate) const OF_LISTS: &[&str] = &["dangling", "driver", "id", "label", "name", "scope", "type"];
/// What `network prune` takes.
pub(crate) const OF_PRUNE: &[&str] = &["label", "label!", "until"];

/// Filters that are all right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filters(Vec<Filter>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Filter {
    Dangling(bool),
    Driver(String),
    Id(String),
    Label { key: String, value: Option<String> },
    NoLabel { key: String, value: Option<String> },
    Name(String),
    Scope(String),
    Builtin(bool),
    Until(SystemTime),
}

impl Filters {
    /// Reads what was typed; `known` are the keys that the command takes.
    pub(crate) fn read(typed: &[String], known: &'static [&'static str]) -> Result<Self, Error> {
        let read = |text: &String| {
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| Error::NotKeyValue { what: "--filter", value: text.clone() })?;
            if !known.contains(&key) {
                return Err(Error::Filter { key: key.to_owned(), known });
            }
            Filter::read(key, value)
        };
        typed.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a network is one of those that are wanted. `used`: somebody is on it.
    pub(crate) fn take(&self, network: &Definition, used: bool) -> bool {
        self.0.iter().all(|one| {
            let alternatives = self.0.iter().filter(|other| one.is_alternative_to(other));
            one.takes(network, used) || alternatives.into_iter().any(|other| other.takes(network, used))
        })
    }
}

impl Filter {
    fn read(key: &str, value: &str) -> Result<Self, Error> {
        let wrong = |key, known| Error::FilterValue { key, value: value.to_owned(), known };
        let owned = || value.to_owned();
        let (name, of_label) = match value.split_once('=') {
            Some((name, of_label)) => (name.to_owned(), Some(of_label.to_owned())),
            None => (owned(), None),
        };
        Ok(match key {
            "driver" => Self::Driver(owned()),
            "id" => Self::Id(owned()),
            "label" => Self::Label { key: name, value: of_label },
            "label!" => Self::NoLabel { key: name, value: of_label },
            "name" => Self::Name(owned()),
            "scope" => Self::Scope(owned()),
            "type" => match value {
                "builtin" => Self::Builtin(true),
                "custom" => Self::Builtin(false),
                _ => return Err(wrong("type", "it is builtin or custom")),
            },
            "until" => Self::Until(until(value).ok_or_else(|| {
                wrong("until", "for example until=24h, or a time such as 2026-01-31T12:00:00Z")
            })?),
            _ => Self::Dangling(value.parse().map_err(|_| wrong("dangling", "it is true or false"))?),
        })
    }

    /// Two names are alternatives, two labels are both wanted.
    fn is_alternative_to(&self, other: &Self) -> bool {
        let both_wanted = matches!(self, Self::Label { .. } | Self::NoLabel { .. });
        !both_wanted && std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    fn takes(&self, network: &Definition, used: bool) -> bool {
        let has = |key: &String, value: &Option<String>| {
            let found = network.labels.get(key);
            found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        match self {
            Self::Dangling(dangling) => *dangling == (!used && is_custom(network)),
            Self::Driver(driver) => network.driver == *driver,
            Self::Id(id) => network.id.starts_with(id.as_str()),
            Self::Label { key, value } => has(key, value),
            Self::NoLabel { key, value } => !has(key, value),
            Self::Name(name) => network.name.as_str().contains(name.as_str()),
            Self::Scope(scope) => scope == super::status::SCOPE,
            Self::Builtin(builtin) => *builtin != is_custom(network),
            Self::Until(until) => network.created.is_some_and(|created| created < *until),
        }
    }
}

/// Whether it is a network that somebody has made, and not one that is there by itself.
pub(crate) fn is_custom(network: &Definition) -> bool {
    !(network.is_builtin() || network.is_ours() && network.name.as_str() == DEFAULT_NETWORK)
}

/// A point in time, or how long ago it was.
fn until(text: &str) -> Option<SystemTime> {
    let ago = |age: Duration| SystemTime::now().checked_sub(age);
    let moment = || humantime::parse_rfc3339_weak(text).ok();
    humantime::parse_duration(text).ok().and_then(ago).or_else(moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use networks::{Folder, HostView, Request};

    fn network(name: &str, labels: &[(&str, &str)]) -> Definition {
        let folder = tempfile::tempdir().unwrap();
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let request = Request { name: name.into(), driver: "bridge".into(), labels, ..Request::default() };
        Folder::at(folder.path()).create(&request, &HostView::default()).unwrap()
    }

    fn takes(typed: &[&str], network: &Definition) -> bool {
        let typed: Vec<_> = typed.iter().map(|text| (*text).to_owned()).collect();
        Filters::read(&typed, OF_LISTS).unwrap().take(network, false)
    }

    #[test]
    fn one_of_the_names_is_enough_but_all_labels_are_wanted() {
        let test = network("test", &[("colour", "red"), ("tall", "")]);
        assert!(takes(&["name=stage", "name=es"], &test));
        assert!(!takes(&["name=stage"], &test));
        assert!(takes(&["label=colour", "label=tall"], &test));
        assert!(takes(&["label=colour=red", "name=test"], &test));
        assert!(!takes(&["label=colour=red", "label=colour=blue"], &test));
        assert!(takes(&["type=custom", "dangling=true"], &test));
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let read = |text: &str| Filters::read(&[text.to_owned()], OF_LISTS);
        for bad in ["colour=red", "name", "type=other", "dangling=perhaps", "until=1h"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(Filters::read(&["until=yesterday".to_owned()], OF_PRUNE).is_err());
        assert!(Filters::read(&["until=24h".to_owned(), "label!=keep".to_owned()], OF_PRUNE).is_ok());
    }
}
