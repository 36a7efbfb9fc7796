//! Who built a payload.

use chorale_types::{Digest, codec_newtype};

/// Who built a payload: the hash of the builder's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BuilderId(pub Digest);
codec_newtype!(BuilderId);
