//! `sealane explain`: the plan of an ADD as text, plugin by plugin, and nothing touched.
use crate::registry;
use cni::{
    AddResult, Fail,
    runtime::{Network, PluginConfig, Runtime, RuntimeAttachment},
};

/// One paragraph a plugin, in the order of ADD.
pub(crate) fn text(runtime: &Runtime, network: &Network, at: &RuntimeAttachment) -> Result<String, Fail> {
    let mut result = None;
    let paragraphs =
        network.plugins.iter().map(|plugin| paragraph(runtime, network, plugin, at, &mut result));
    Ok(paragraphs.collect::<Result<Vec<_>, Fail>>()?.join("\n"))
}

/// Of one plugin, which is given the result of those before it, and adds its own.
fn paragraph(
    runtime: &Runtime,
    network: &Network,
    plugin: &PluginConfig,
    at: &RuntimeAttachment,
    result: &mut Option<AddResult>,
) -> Result<String, Fail> {
    let (call, at) = runtime.preview(network, plugin, at, result.take())?;
    let plan = if let Some(planner) = registry::planner(&plugin.kind) {
        let (plan, answer) = planner.explain(&call, &at)?;
        *result = Some(answer);
        plan
    } else {
        *result = call.prev_result;
        "# not in `sealane plugins`: what it does is not known before it runs\n".to_owned()
    };
    Ok(format!(
        "{}: {} {} in {}\n{plan}",
        plugin.kind,
        at.container.as_str(),
        at.ifname.as_str(),
        network.name.as_str()
    ))
}
