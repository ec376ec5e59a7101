//! `sealane explain`: the plan of an ADD as text, plugin by plugin, and nothing touched.
use crate::registry;
use cni::{
    AddResult, Fail,
    runtime::{Network, PluginConfig, Runtime, RuntimeAttachment},
};
use plan::Plan;
use plugin::Explained;

/// One paragraph a plugin, in the order of ADD.
pub(crate) fn text(runtime: &Runtime, network: &Network, at: &RuntimeAttachment) -> Result<String, Fail> {
    let mut done = Done::default();
    let paragraphs = network.plugins.iter().map(|plugin| paragraph(runtime, network, plugin, at, &mut done));
    Ok(paragraphs.collect::<Result<Vec<_>, Fail>>()?.join("\n"))
}

/// What the plugins before one would have done.
#[derive(Default)]
struct Done {
    plan: Plan,
    result: Option<AddResult>,
    /// The first of them, if that is not ours: then nobody knows what those behind it will be given.
    unknown: Option<String>,
}

/// Of one plugin, which is given what those before it would have done, and adds its own.
fn paragraph(
    runtime: &Runtime,
    network: &Network,
    plugin: &PluginConfig,
    at: &RuntimeAttachment,
    done: &mut Done,
) -> Result<String, Fail> {
    let (call, at) = runtime.preview(network, plugin, at, done.result.take())?;
    let plan = match (registry::planner(&plugin.kind), &done.unknown) {
        (Some(_), Some(first)) => format!("# what it does is known when {first:?} has answered\n"),
        (Some(planner), None) => {
            let Explained { notes, plan, answer } = planner.explain(&call, &at, &done.plan)?;
            let text = format!("{notes}{plan}");
            done.plan.append(plan);
            done.result = Some(answer);
            text
        }
        (None, _) => {
            runtime.program(plugin)?;
            done.result = call.prev_result;
            if done.result.is_none() {
                done.unknown.get_or_insert_with(|| plugin.kind.clone());
            }
            "# not in `sealane plugins`: what it does is not known before it runs\n".to_owned()
        }
    };
    Ok(format!(
        "{}: {} {} in {}\n{plan}",
        plugin.kind,
        at.container.as_str(),
        at.ifname.as_str(),
        network.name.as_str()
    ))
}
