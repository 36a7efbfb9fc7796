//! Who sends.

use std::fmt;

/// Another node, as this one numbers them: one number for one node key, for as long as the pool lives. No validator
/// index, which is another node's in another epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u32);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
