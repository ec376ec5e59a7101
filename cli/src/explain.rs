//! `sealane explain`: the plan of an ADD as text, plugin by plugin, and nothing touched.
use crate::{error::Error, registry};
use cni::{
    Fail,
    runtime::{Network, PluginConfig, Runtime, RuntimeAttachment},
};

/// One paragraph a plugin, in the order of ADD.
pub(crate) fn text(runtime: &Runtime, network: &Network, at: &RuntimeAttachment) -> Result<String, Fail> {
    let paragraphs = network.plugins.iter().map(|plugin| paragraph(runtime, network, plugin, at));
    Ok(paragraphs.collect::<Result<Vec<_>, Fail>>()?.join("\n"))
}

fn paragraph(
    runtime: &Runtime,
    network: &Network,
    plugin: &PluginConfig,
    at: &RuntimeAttachment,
) -> Result<String, Fail> {
    let (call, at) = runtime.preview(network, plugin, at)?;
    let planner = registry::planner(&plugin.kind).ok_or_else(|| Error::NoPlan(plugin.kind.clone()))?;
    let plan = planner.explain(&call, &at)?;
    Ok(format!(
        "{}: {} {} in {}\n{plan}",
        plugin.kind,
        at.container.as_str(),
        at.ifname.as_str(),
        network.name.as_str()
    ))
}
