//! `--filter` of `sealane ps`: words of one kind are alternatives, kinds add up, as with docker.
use super::{
    refusal::Refusal,
    registry::{Container, State},
};

/// What containers are to be like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    ids: Vec<String>,
    names: Vec<String>,
    networks: Vec<String>,
    states: Vec<String>,
    labels: Vec<String>,
}

impl Filter {
    /// What was typed: `KEY=VALUE` each.
    pub(crate) fn read(given: &[String]) -> Result<Self, Refusal> {
        let mut filter = Self::default();
        for text in given {
            let (key, value) = text.split_once('=').ok_or_else(|| Refusal::Filter(text.clone()))?;
            let values = match key {
                "id" => &mut filter.ids,
                "name" => &mut filter.names,
                "network" => &mut filter.networks,
                "status" if STATES.contains(&value) => &mut filter.states,
                "label" => &mut filter.labels,
                _ => return Err(Refusal::Filter(text.clone())),
            };
            values.push(value.to_owned());
        }
        Ok(filter)
    }

    /// Whether it asks for states, and so for containers that do not run too.
    pub(crate) fn names_states(&self) -> bool {
        !self.states.is_empty()
    }

    /// Whether a container is so.
    pub(crate) fn takes(&self, container: &Container) -> bool {
        let record = &container.record;
        let one = |wanted: &[String], is: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|value| is(value))
        };
        let on = |network: &str| {
            record
                .endpoints
                .iter()
                .any(|one| one.network.as_str() == network || one.network_id.starts_with(network))
        };
        one(&self.ids, &|id| record.id.as_str().starts_with(id))
            && one(&self.names, &|name| record.name.contains(name.trim_start_matches('/')))
            && one(&self.networks, &|network| !network.is_empty() && on(network))
            && one(&self.states, &|state| word(container.state) == state)
            // Labels add up, each may have one value only.
            && self.labels.iter().all(|label| has_label(&record.labels, label))
    }
}

/// docker's word for how a container is.
pub(crate) fn word(state: State) -> &'static str {
    match state {
        State::Created => "created",
        State::Running => "running",
        State::Exited(_) => "exited",
        State::Dead => "dead",
    }
}

/// Those of docker's that a container here can be in.
const STATES: &[&str] = &["created", "running", "exited", "dead"];

fn has_label(labels: &[(String, String)], wanted: &str) -> bool {
    let (key, value) = wanted.split_once('=').map_or((wanted, None), |(key, value)| (key, Some(value)));
    labels.iter().any(|(own, given)| own == key && value.is_none_or(|value| value == given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_filter_is_refused() {
        for bad in ["colour=red", "name", "status=sleeping"] {
            assert!(
                matches!(Filter::read(&[bad.to_owned()]), Err(Refusal::Filter(text)) if text == bad),
                "{bad}"
            );
        }
        assert!(Filter::read(&["status=dead".to_owned()]).unwrap().names_states());
    }

    #[test]
    fn a_label_is_asked_for_with_its_value_or_without() {
        let labels = [("colour".to_owned(), "red".to_owned()), ("tall".to_owned(), String::new())];
        for (wanted, expected) in
            [("colour", true), ("colour=red", true), ("colour=blue", false), ("tall=", true), ("red", false)]
        {
            assert_eq!(has_label(&labels, wanted), expected, "{wanted}");
        }
    }
}
