//! What a part asks of the driver: which subjects, with how many ports, callers, and containers beforehand.
use super::{
    Options,
    subjects::{Chained, Subject, Subjects},
};

/// One subject, in one way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) subject: &'a Subject,
    /// Published ports of each container.
    pub(super) ports: usize,
    /// How many call at once.
    pub(super) callers: usize,
    /// Containers beforehand, ascending.
    pub(super) prefill: &'a [usize],
}

/// Published ports of each container, in the part `chain`.
pub(super) const FEW: usize = 1;
pub(super) const MANY: usize = 10;

impl<'a> Ask<'a> {
    /// Everybody at every number of containers.
    pub(super) fn bridge(subjects: &'a Subjects, options: &'a Options) -> Vec<Self> {
        let ask = |subject| Self { subject, ports: 0, callers: 1, prefill: &options.prefill };
        subjects.bridge.iter().map(ask).collect()
    }

    /// The slow ones at the first number of containers alone: to put hundreds on their bridges takes them minutes.
    pub(super) fn chain(subjects: &'a Subjects, options: &'a Options) -> Vec<Self> {
        let first = options.prefill.get(..1).unwrap_or_default();
        let ask = |Chained { subject, slow }: &'a Chained| {
            let prefill = if *slow { first } else { &options.prefill };
            [FEW, MANY].map(|ports| Self { subject, ports, callers: 1, prefill })
        };
        subjects.chain.iter().flat_map(ask).collect()
    }

    /// A plugin alone, at the first number of containers.
    pub(super) fn alone(subjects: &'a [Subject], options: &'a Options) -> Vec<Self> {
        let prefill = options.prefill.get(..1).unwrap_or_default();
        subjects.iter().map(|subject| Self { subject, ports: 0, callers: 1, prefill }).collect()
    }

    /// The full chain with one port, at the first number of containers.
    pub(super) fn full(subjects: &'a Subjects, options: &'a Options) -> Vec<Self> {
        Self::alone(&subjects.full, options).into_iter().map(|ask| Self { ports: FEW, ..ask }).collect()
    }

    /// Many at once, on an empty bridge.
    pub(super) fn parallel(subjects: &'a Subjects, options: &'a Options) -> Vec<Self> {
        let ask = |Chained { subject, .. }: &'a Chained| Self {
            subject,
            ports: FEW,
            callers: options.callers,
            prefill: &[0],
        };
        subjects.chain.iter().map(ask).collect()
    }
}
