//! Large things on disk, by number and by hash, pruned from below.

use chorale_foundation::{
    runtime::{Handle, buffer::paged::CacheRef},
    storage::{
        Context,
        archive::{
            Archive as _, Error, Identifier, MultiArchive as _,
            prunable::{Archive, Config},
        },
        translator::EightCap,
    },
    utils::{NZU16, NZU64, NZUsize, futures::rebind},
};
use chorale_types::{
    Digest,
    codec::{EncodeSize, Read, Write},
};

/// What a vault stores.
pub trait Stored: Read<Cfg = ()> + Write + EncodeSize + Send + Sync + 'static {}

impl<V: Read<Cfg = ()> + Write + EncodeSize + Send + Sync + 'static> Stored for V {}

/// Values under a number, which rises and is pruned from below, and a hash, by which they are found.
///
/// Nothing is durable before the handle of a later [`Vault::sync`] completes. After an error the vault is unusable and
/// its owner has to stop: what is on disk is then read again at the next start.
pub struct Vault<E: Context, V: Stored> {
    archive: Option<Archive<EightCap, E, Digest, V>>,
}

impl<E: Context, V: Stored> Vault<E, V> {
    /// Opens, or creates, the vault of this name.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn open(context: E, partition: &str) -> Result<Self, Error> {
        let config = Config {
            translator: EightCap,
            metadata_partition: format!("{partition}-metadata"),
            key_partition: format!("{partition}-keys"),
            key_page_cache: CacheRef::new(NZU16!(4084), NZUsize!(64)),
            value_partition: format!("{partition}-values"),
            // Sealed payloads are random, and those of rollups compressed already.
            compression: None,
            codec_config: (),
            items_per_section: NZU64!(64),
            key_write_buffer: NZUsize!(16 * 1024),
            // Every section that is kept has its own.
            value_write_buffer: NZUsize!(64 * 1024),
            replay_buffer: NZUsize!(256 * 1024),
        };
        Ok(Self { archive: Some(Archive::init(context, config).await?) })
    }

    /// Stores a value; several may have one number.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn put(&mut self, number: u64, key: Digest, value: &V) -> Result<(), Error> {
        rebind(&mut self.archive, |archive| archive.put_multi(number, key, value)).await
    }

    /// Starts to make durable what was stored. The handle completes when it is.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn sync(&mut self) -> Result<Handle<()>, Error> {
        rebind(&mut self.archive, |archive| archive.start_sync()).await
    }

    /// Whether no error has made it unusable. Its owner stops at errors; others may still ask until then.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        self.archive.is_some()
    }

    /// A value by its hash.
    ///
    /// # Errors
    ///
    /// The disk's, or a value that is damaged.
    pub async fn get(&self, key: &Digest) -> Result<Option<V>, Error> {
        self.archive().get(Identifier::Key(key)).await
    }

    /// All values of a number.
    ///
    /// # Errors
    ///
    /// The disk's, or a value that is damaged.
    pub async fn get_all(&self, number: u64) -> Result<Vec<V>, Error> {
        Ok(self.archive().get_all(number).await?.unwrap_or_default())
    }

    /// The numbers in use.
    #[must_use]
    pub fn numbers(&self) -> Vec<u64> {
        self.archive().ranges().flat_map(|(first, last)| first..=last).collect()
    }

    /// The numbers in use above this one, rising.
    pub fn numbers_above(&self, number: u64) -> impl Iterator<Item = u64> {
        let ranges = self.archive().ranges().filter(move |(_, last)| *last > number);
        ranges.flat_map(move |(first, last)| first.max(number.saturating_add(1))..=last)
    }

    /// The greatest number in use.
    #[must_use]
    pub fn last_number(&self) -> Option<u64> {
        self.archive().ranges().map(|(_, last)| last).max()
    }

    /// Forgets values below a number, as far as files allow.
    ///
    /// # Errors
    ///
    /// The disk's.
    pub async fn prune(&mut self, below: u64) -> Result<(), Error> {
        rebind(&mut self.archive, |archive| archive.prune(below)).await
    }

    fn archive(&self) -> &Archive<EightCap, E, Digest, V> {
        self.archive.as_ref().expect("only an error takes the archive, and its owner stops at errors")
    }
}
