//! A chain of plugins, called one after the other as a runtime calls those of a conflist (CNI spec 1.1, section 3): ADD in order, each
//! with the result of the one before, DEL the other way round. It can be used from any thread of its host.
use crate::{Call, Container, Error, Host, Reply, with};
use serde_json::{Value, json};

/// The plugins of one network on one host, as `eth0` of whatever container.
#[derive(Debug, Clone)]
pub struct Chain(Vec<(Call, Value)>);

impl Host {
    /// A chain of these configurations, each made whole by [`Host::config`]; with the plugins that the host has now.
    pub fn chain(&self, plugins: &[Value]) -> Result<Chain, Error> {
        let call = |plugin: &Value| {
            let config = self.config(plugin);
            Ok((self.call("", &config)?.env("CNI_IFNAME", "eth0"), config))
        };
        plugins.iter().map(call).collect::<Result<_, _>>().map(Chain)
    }
}

impl Chain {
    /// The same chain with every call changed.
    #[must_use]
    pub fn map(self, mut change: impl FnMut(Call) -> Call) -> Self {
        Self(self.0.into_iter().map(|(call, config)| (change(call), config)).collect())
    }

    /// ADD, with `portMappings` for the plugin that publishes ports; the last result.
    pub fn add(&self, to: &Container, ports: &Value) -> Result<Value, Error> {
        let mut result = Value::Null;
        for plugin in &self.0 {
            result = Self::one(plugin, "ADD", to, ports, &result)?.result()?;
        }
        Ok(result)
    }

    /// CHECK, with the result that ADD gave.
    pub fn check(&self, of: &Container, ports: &Value, added: &Value) -> Result<(), Error> {
        self.0.iter().try_for_each(|plugin| Self::one(plugin, "CHECK", of, ports, added)?.result().map(drop))
    }

    /// DEL, with the result that ADD gave, or with `null` for none. All plugins are called, whichever fails.
    pub fn del(&self, of: &Container, ports: &Value, added: &Value) -> Result<(), Error> {
        let replies = self.0.iter().rev().map(|plugin| Self::one(plugin, "DEL", of, ports, added));
        let replies: Vec<_> = replies.collect();
        replies.into_iter().try_for_each(|reply| reply?.result().map(drop))
    }

    fn one(
        (call, config): &(Call, Value),
        verb: &str,
        container: &Container,
        ports: &Value,
        result: &Value,
    ) -> Result<Reply, Error> {
        let mut config = config.clone();
        if config.get("type").is_some_and(|plugin| plugin == "portmap") && !ports.is_null() {
            config = with(&config, "runtimeConfig", &json!({"portMappings": ports}));
        }
        if !result.is_null() {
            config = with(&config, "prevResult", result);
        }
        let call = call.clone().env("CNI_COMMAND", verb).env("CNI_CONTAINERID", container.id());
        call.env("CNI_NETNS", container.netns().to_string_lossy()).stdin(config.to_string()).run()
    }
}
