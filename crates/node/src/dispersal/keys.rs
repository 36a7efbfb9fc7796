//! From validators to peers of the mesh and back.

use chorale_dispersal::Assignment;
use chorale_foundation::{Bytes, codec::DecodeExt, cryptography::ed25519::PublicKey};
use chorale_types::{EpochInfo, NodeKey, ValidatorIndex, codec::Encode};

/// Who a peer of the mesh is.
pub(crate) fn node_key(peer: &PublicKey) -> NodeKey {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(&peer.encode());
    NodeKey(bytes)
}

/// The peer that a validator is; none if its key is no point of the curve, so that nobody can be reached by it.
pub(crate) fn peer_of(epoch: &EpochInfo, index: ValidatorIndex) -> Option<PublicKey> {
    PublicKey::decode(Bytes::copy_from_slice(&epoch.validators.get(index)?.node.0)).ok()
}

/// Who holds which chunks in an epoch.
pub(crate) fn assignment_of(epoch: &EpochInfo) -> Assignment {
    Assignment::new(epoch.epoch, &epoch.validators.weights())
        .expect("a validator set is within the bounds of an assignment")
}
