//! Manifests: what is public about a payload before it is opened.

use crate::{
    Digest, ENTRY_OVERHEAD_BYTES, PAYLOAD_OVERHEAD_BYTES, RollupId, TxId, Unit,
    codec::{Buf, Encode, EncodeSize, Error, List, Read, ReadExt, Write},
    codec_struct,
    limits::{PAYLOAD_ENTRIES_MAX, PAYLOAD_SECTIONS_MAX},
    tagged_hash,
};
use chorale_foundation::BufMut;
use siphasher::sip::SipHasher24;
use std::collections::BTreeMap;

/// What a payload has for one rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ManifestRollup {
    /// The rollup.
    pub rollup: RollupId,
    /// Entries, legs of bundles among them.
    pub entries: u32,
    /// Bytes of their data.
    pub bytes: u32,
}
codec_struct!(ManifestRollup { rollup, entries, bytes });

/// The public description of a sealed payload: which known transactions are in it, but not their order, and nothing of
/// unknown ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Bytes of the payload before sealing.
    pub length: u32,
    /// Commits to the content, blinded by the payload's salt.
    pub payload_root: Digest,
    /// What the short ids are salted with, so that nobody can find transactions that collide before the payload is made.
    pub salt: [u8; 16],
    /// By rollup, rising.
    pub rollups: List<ManifestRollup, PAYLOAD_SECTIONS_MAX>,
    /// `SipHash`-2-4 of each transaction's id under the salt, rising; equal ones stand as often as there are entries.
    pub short_ids: List<u64, PAYLOAD_ENTRIES_MAX>,
}

impl Manifest {
    /// Describes a payload.
    pub(crate) fn new<'a>(
        length: u32,
        payload_root: Digest,
        payload_salt: &[u8; 32],
        ids: impl Iterator<Item = &'a TxId>,
        rollups: BTreeMap<RollupId, (u32, u32)>,
    ) -> Self {
        // One-way, so that the public salt says nothing about the secret one.
        let digest = tagged_hash("chorale/manifest-salt/v1", &[payload_salt]);
        let mut salt = [0; 16];
        salt.copy_from_slice(&digest[..16]);
        let mut short_ids: Vec<u64> = ids.map(|id| short_id(&salt, id)).collect();
        short_ids.sort_unstable();
        let rollups = rollups.into_iter().map(|(rollup, (entries, bytes))| ManifestRollup { rollup, entries, bytes });
        Self {
            length,
            payload_root,
            salt,
            rollups: List::new(rollups.collect()).expect("a payload has at most as many sections"),
            short_ids: List::new(short_ids).expect("a payload has at most as many entries"),
        }
    }

    /// The hash that headers and acknowledgements name it by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        tagged_hash("chorale/manifest/v1", &[&self.encode()])
    }

    /// Whether it claims to carry a transaction. One in 2^64 strangers matches by accident, per entry.
    #[must_use]
    pub fn contains(&self, id: &TxId) -> bool {
        self.short_ids.binary_search(&short_id(&self.salt, id)).is_ok()
    }

    /// Whether it claims to carry all of a unit. Hashes the unit: with known ids use [`Manifest::contains`].
    #[must_use]
    pub fn carries(&self, unit: &Unit) -> bool {
        unit.transactions().iter().all(|transaction| self.contains(&transaction.id()))
    }

    /// How many entries it has in all.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.short_ids.len()
    }

    /// Whether a payload of its length has room for what it claims. Those of honest builders have; others claim with a few
    /// bytes what is not theirs.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let entries = self.entries().saturating_mul(ENTRY_OVERHEAD_BYTES);
        entries.saturating_add(PAYLOAD_OVERHEAD_BYTES) <= self.length as usize
    }

    /// What it has for one rollup.
    #[must_use]
    pub fn rollup(&self, rollup: RollupId) -> Option<&ManifestRollup> {
        let position = self.rollups.binary_search_by_key(&rollup, |row| row.rollup).ok()?;
        self.rollups.get(position)
    }
}

/// `SipHash`-2-4 under the salt as its key, as BIP 152 has it for the same purpose: every node computes one for each
/// transaction that waits and each payload in flight.
fn short_id(salt: &[u8; 16], id: &TxId) -> u64 {
    SipHasher24::new_with_key(salt).hash(id.as_ref())
}

impl Write for Manifest {
    fn write(&self, buf: &mut impl BufMut) {
        self.length.write(buf);
        self.payload_root.write(buf);
        buf.put_slice(&self.salt);
        self.rollups.write(buf);
        self.short_ids.write(buf);
    }
}

impl EncodeSize for Manifest {
    fn encode_size(&self) -> usize {
        4 + 32 + 16 + self.rollups.encode_size() + self.short_ids.encode_size()
    }
}

impl Read for Manifest {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        let length = ReadExt::read(buf)?;
        let payload_root = ReadExt::read(buf)?;
        if buf.remaining() < 16 {
            return Err(Error::EndOfBuffer);
        }
        let mut salt = [0; 16];
        buf.copy_to_slice(&mut salt);
        let rollups = List::<ManifestRollup, PAYLOAD_SECTIONS_MAX>::read(buf)?;
        let short_ids = List::<u64, PAYLOAD_ENTRIES_MAX>::read(buf)?;
        if !rollups.is_sorted_by(|a, b| a.rollup < b.rollup) {
            return Err(Error::Invalid("Manifest", "rollups do not rise"));
        }
        if !short_ids.is_sorted() {
            return Err(Error::Invalid("Manifest", "short ids do not rise"));
        }
        Ok(Self { length, payload_root, salt, rollups, short_ids })
    }
}
