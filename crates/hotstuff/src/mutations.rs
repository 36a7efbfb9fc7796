//! Whether a mistake is planted. Without the feature `mutants` none is, and every question compiles to `false`.

use crate::mutation::Mutation;

/// The mistake planted, if any.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mutations {
    #[cfg(feature = "mutants")]
    planted: Option<Mutation>,
}

impl Mutations {
    /// Plants a mistake.
    #[cfg(feature = "mutants")]
    pub(crate) const fn of(mutation: Mutation) -> Self {
        Self { planted: Some(mutation) }
    }

    /// Whether this one is planted.
    #[cfg(feature = "mutants")]
    pub(crate) fn has(self, mutation: Mutation) -> bool {
        self.planted == Some(mutation)
    }

    /// Whether this one is planted.
    #[cfg(not(feature = "mutants"))]
    #[expect(clippy::unused_self, reason = "the other build needs it")]
    pub(crate) const fn has(self, _: Mutation) -> bool {
        false
    }
}
