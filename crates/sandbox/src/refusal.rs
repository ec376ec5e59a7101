//! Why a lab could not be made, as far as can be found out.

/// The kernel's refusal, and what stands behind it.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Refused {
    #[source]
    cause: kernel::Error,
}

impl Refused {
    pub(crate) fn because(cause: kernel::Error) -> Self {
        Self { cause }
    }

    pub(crate) fn hint(&self) -> String {
        self.cause.hint().unwrap_or_default()
    }
}
