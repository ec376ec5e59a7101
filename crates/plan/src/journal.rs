//! What a record says: three lines of JSON, each written before what it announces is done. A line that is torn or
//! missing was not reached.
use crate::Plan;
use kernel::NetnsId;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What ADD knows before it asks for addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The container's namespace, as the runtime named it.
    pub netns: PathBuf,
    /// The namespace behind that name.
    pub netns_id: NetnsId,
    /// The IPAM plugin that is asked for addresses, if any.
    pub ipam: Option<String>,
}

/// One line of a record.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Line {
    /// An ADD has begun.
    Intent(Intent),
    /// Addresses are leased; these steps come next.
    Plan(Plan),
    /// All steps are done.
    Attached,
}

/// How far an ADD came.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    pub(crate) intent: Option<Intent>,
    pub(crate) plan: Option<Plan>,
    pub(crate) attached: bool,
}

impl Journal {
    pub(crate) fn read(text: &str) -> Self {
        let mut journal = Journal::default();
        for line in text.lines().map_while(|line| serde_json::from_str(line).ok()) {
            match line {
                Line::Intent(intent) => journal.intent = Some(intent),
                Line::Plan(plan) => journal.plan = Some(plan),
                Line::Attached => journal.attached = true,
            }
        }
        journal
    }
}
