//! What the node keeps on disk.

mod farewells;
mod format;
mod headers;
mod log;
mod payloads;
mod safety;
mod vault;

pub use farewells::Farewells;
pub use format::storage;
pub use headers::{HeaderStore, Headers};
pub use log::{Item, Log, LogReader};
pub use payloads::{KeptPayload, PayloadName, PayloadReader, PayloadStore};
pub use safety::{MARK_ITEMS, Recovered, SafetyStore};
pub use vault::{Stored, Vault};

use chorale_foundation::{
    runtime::{Error as RuntimeError, Storage},
    storage::{journal::Error, metadata},
};

/// Whether an error says that what is on the disk is not what was written, and not that the disk does not work.
pub(crate) fn is_damage(error: &Error) -> bool {
    match error {
        Error::Runtime(error) => matches!(
            error,
            RuntimeError::InvalidChecksum
                | RuntimeError::BlobCorrupt(..)
                | RuntimeError::BlobInsufficientLength
                | RuntimeError::OffsetOverflow
        ),
        Error::Metadata(error) => matches!(error, metadata::Error::Corruption(_)),
        Error::Codec(_)
        | Error::InvalidBlobName(_)
        | Error::InvalidBlobSize(..)
        | Error::ItemTooLarge(_)
        | Error::SectionOutOfRange(_)
        | Error::OffsetOverflow
        | Error::ReplayFailed
        | Error::SizeOverflow
        | Error::ItemOutOfRange(_)
        | Error::Corruption(_)
        | Error::OffsetDataMismatch { .. }
        | Error::ChecksumMismatch(..) => true,
        _ => false,
    }
}

/// Removes all blobs of a partition; none may be there.
async fn remove<E: Storage>(context: &E, partition: &str) -> Result<(), Error> {
    match context.remove(partition, None).await {
        Ok(()) | Err(RuntimeError::PartitionMissing(_)) => Ok(()),
        Err(failure) => Err(failure.into()),
    }
}
