//! Payloads: what one header orders, laid out so that a rollup reads one section and anybody restores the total order.
//!
//! ```text
//! version (u8 = 1) | salt (32)
//! directory: count (u32) | per bundle: unit index (u32) | promise | expiry (u64) | salt (u64)
//!                                      | count (u32) | ids of its legs (32 each)
//! promise:   0 (u8), or 1 (u8) | domain (u64) | payer (20) | max fee (u128) | attempt (u32) | payer's signature (65)
//! sections:  count (u32) | per rollup: rollup (u64) | count (u32) | per entry:
//!                                      unit index (u32) | 0 or 1 + leg (u8) | length (u32) | data
//! ```
//!
//! Units are numbered from 0 in the global order. The directory rises by unit index, sections by rollup, entries of a
//! section by unit index and then leg. A unit is one entry with leg byte 0, or a bundle of the directory with every one
//! of its legs in its place; so legs of a bundle stand next to each other in the global order. Anything else, also a
//! byte too many, makes the payload malformed as a whole.

use crate::{
    Bundle, BundleId, Digest, Height, Manifest, PaidExecution, Promise, RollupId, Transaction, TxId, Unit, UnitId,
    codec::{Blob, Buf, Encode, EncodeSize, Error, List, Read, ReadExt, Write},
    codec_struct,
    limits::{
        BUNDLE_LEGS_MAX, PAYLOAD_BYTES_MAX, PAYLOAD_ENTRIES_MAX, PAYLOAD_PROMISES_MAX, PAYLOAD_SECTIONS_MAX,
        TRANSACTION_BYTES_MAX,
    },
    tagged_hash,
};
use chorale_foundation::{BufMut, Bytes, codec::DecodeExt};
use std::collections::BTreeMap;

const VERSION: u8 = 1;

/// Bytes of a payload that are neither directory nor sections' entries: version, salt and two counts.
pub const PAYLOAD_OVERHEAD_BYTES: usize = 1 + 32 + 4 + 4;
/// Bytes that a section adds to its entries.
pub const SECTION_OVERHEAD_BYTES: usize = 8 + 4;
/// Bytes that an entry adds to its data.
pub const ENTRY_OVERHEAD_BYTES: usize = 4 + 1 + 4;

/// A unit in its place, with the hashes that were computed when it was laid out or decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadUnit {
    /// A transaction.
    Transaction {
        /// Its id.
        id: TxId,
        /// The transaction.
        transaction: Transaction,
    },
    /// A bundle.
    Bundle {
        /// Its id.
        id: BundleId,
        /// The ids of its legs.
        legs: Vec<TxId>,
        /// The bundle.
        bundle: Bundle,
    },
}

impl PayloadUnit {
    /// Hashes a unit, the one time that happens here.
    #[must_use]
    pub fn new(unit: Unit) -> Self {
        match unit {
            Unit::Transaction(transaction) => Self::Transaction { id: transaction.id(), transaction },
            Unit::Bundle(bundle) => {
                let legs: Vec<TxId> = bundle.legs.iter().map(Transaction::id).collect();
                Self::Bundle { id: bundle.id_of_legs(&legs), legs, bundle }
            }
        }
    }

    /// The unit's id.
    #[must_use]
    pub const fn id(&self) -> UnitId {
        match self {
            Self::Transaction { id, .. } => UnitId::Transaction(*id),
            Self::Bundle { id, .. } => UnitId::Bundle(*id),
        }
    }

    /// Its transactions, in order.
    #[must_use]
    pub fn transactions(&self) -> &[Transaction] {
        match self {
            Self::Transaction { transaction, .. } => std::slice::from_ref(transaction),
            Self::Bundle { bundle, .. } => &bundle.legs,
        }
    }

    /// The ids of its transactions, in order.
    #[must_use]
    pub fn transaction_ids(&self) -> &[TxId] {
        match self {
            Self::Transaction { id, .. } => std::slice::from_ref(id),
            Self::Bundle { legs, .. } => legs,
        }
    }

    /// The unit as it was submitted.
    #[must_use]
    pub fn into_unit(self) -> Unit {
        match self {
            Self::Transaction { transaction, .. } => Unit::Transaction(transaction),
            Self::Bundle { bundle, .. } => Unit::Bundle(bundle),
        }
    }
}

/// A payload: units in global order, and the salt that blinds its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    salt: [u8; 32],
    units: Vec<PayloadUnit>,
}

/// Why units do not fit a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadTooLarge {
    /// Too many bytes.
    #[error("a payload of {0} bytes; at most {PAYLOAD_BYTES_MAX} are allowed")]
    Bytes(usize),
    /// Too many entries.
    #[error("a payload of {0} entries; at most {PAYLOAD_ENTRIES_MAX} are allowed")]
    Entries(usize),
    /// Too many bundles that execute as a whole.
    #[error("a payload with {0} bundles that execute as a whole; at most {PAYLOAD_PROMISES_MAX} are allowed")]
    Promises(usize),
    /// Too many rollups.
    #[error("a payload for {0} rollups; at most {PAYLOAD_SECTIONS_MAX} are allowed")]
    Sections(usize),
}

/// Why bytes are no payload, or not the one of the manifest. The same for everybody who opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPayload {
    /// The bytes are not the encoding of a payload.
    #[error("not the encoding of a payload: {0}")]
    Encoding(&'static str),
    /// The directory does not rise by unit index.
    #[error("bundle {0} of the directory is out of order")]
    Directory(usize),
    /// Sections do not rise by rollup, or one is empty.
    #[error("the section of rollup {0} is out of order or empty")]
    Section(RollupId),
    /// Entries of a section do not rise.
    #[error("entry {entry} of rollup {rollup} is out of order")]
    Entry {
        /// The section's rollup.
        rollup: RollupId,
        /// Which of its entries.
        entry: usize,
    },
    /// A leg that its bundle does not name at this place, or that stands there twice.
    #[error("unit {unit} has a leg that is not the bundle's, or is there twice")]
    Leg {
        /// The unit's index.
        unit: u32,
    },
    /// Two units have one index, or an index has no unit.
    #[error("unit {unit} is there twice or not at all")]
    Unit {
        /// The unit's index.
        unit: u32,
    },
    /// A leg of a bundle is nowhere.
    #[error("a leg of the bundle at unit {unit} is missing")]
    LegMissing {
        /// The unit's index.
        unit: u32,
    },
    /// The payload is well-formed, but another one than the manifest says.
    #[error("the payload is not the one that its manifest describes")]
    Manifest,
}

/// A bundle's row of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct DirectoryRow {
    unit: u32,
    promise: Promise,
    expiry: Height,
    salt: u64,
    legs: List<TxId, BUNDLE_LEGS_MAX>,
}
codec_struct!(DirectoryRow { unit, promise, expiry, salt, legs });

/// One entry of a section: a transaction with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    unit: u32,
    /// 0 for a transaction of its own, else 1 + the leg's position in its bundle.
    leg: u8,
    data: Blob<TRANSACTION_BYTES_MAX>,
}
codec_struct!(Entry { unit, leg, data });

#[derive(Clone, Debug, PartialEq, Eq)]
struct Section {
    rollup: RollupId,
    entries: List<Entry, PAYLOAD_ENTRIES_MAX>,
}
codec_struct!(Section { rollup, entries });

/// The encoded form.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layout {
    salt: [u8; 32],
    directory: List<DirectoryRow, PAYLOAD_ENTRIES_MAX>,
    sections: List<Section, PAYLOAD_SECTIONS_MAX>,
}

impl Write for Layout {
    fn write(&self, buf: &mut impl BufMut) {
        VERSION.write(buf);
        buf.put_slice(&self.salt);
        self.directory.write(buf);
        self.sections.write(buf);
    }
}

impl EncodeSize for Layout {
    fn encode_size(&self) -> usize {
        1 + 32 + self.directory.encode_size() + self.sections.encode_size()
    }
}

impl Read for Layout {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        let version = u8::read(buf)?;
        if version != VERSION {
            return Err(Error::InvalidEnum(version));
        }
        if buf.remaining() < 32 {
            return Err(Error::EndOfBuffer);
        }
        let mut salt = [0; 32];
        buf.copy_to_slice(&mut salt);
        Ok(Self { salt, directory: ReadExt::read(buf)?, sections: ReadExt::read(buf)? })
    }
}

impl Payload {
    /// Lays units out in the given order and describes them.
    ///
    /// `salt` must be fresh and secret: it keeps others from testing guesses of the content against the public root.
    ///
    /// # Errors
    ///
    /// More bytes, entries or rollups than a payload holds.
    pub fn build(units: Vec<PayloadUnit>, salt: [u8; 32]) -> Result<(Self, Manifest, Bytes), PayloadTooLarge> {
        let payload = Self { salt, units };
        let bytes = payload.encode()?;
        let manifest = payload.describe(bytes.len());
        Ok((payload, manifest, bytes))
    }

    /// Decodes a payload and checks that it is the one of the manifest. Data shares the memory of `bytes`.
    ///
    /// # Errors
    ///
    /// The first thing wrong with it.
    pub fn decode(bytes: Bytes, manifest: &Manifest) -> Result<Self, MalformedPayload> {
        let length = bytes.len();
        if length > PAYLOAD_BYTES_MAX {
            return Err(MalformedPayload::Encoding("longer than every payload"));
        }
        let layout = Layout::decode(bytes).map_err(|error| MalformedPayload::Encoding(reason(&error)))?;
        let payload = Self { salt: layout.salt, units: assemble(layout)? };
        if payload.describe(length) == *manifest { Ok(payload) } else { Err(MalformedPayload::Manifest) }
    }

    /// The units in global order.
    #[must_use]
    pub fn units(&self) -> &[PayloadUnit] {
        &self.units
    }

    /// The units in global order, without the payload.
    #[must_use]
    pub fn into_units(self) -> Vec<PayloadUnit> {
        self.units
    }

    /// The canonical bytes.
    ///
    /// # Errors
    ///
    /// As [`Payload::build`].
    pub fn encode(&self) -> Result<Bytes, PayloadTooLarge> {
        let mut directory = Vec::new();
        let mut sections: BTreeMap<RollupId, Vec<Entry>> = BTreeMap::new();
        let mut count = 0;
        for (unit, placed) in (0u32..).zip(&self.units) {
            let is_bundle = matches!(placed, PayloadUnit::Bundle { .. });
            for (position, transaction) in (1u8..).zip(placed.transactions()) {
                let leg = if is_bundle { position } else { 0 };
                let entry = Entry { unit, leg, data: transaction.data.clone() };
                sections.entry(transaction.rollup).or_default().push(entry);
                count += 1;
            }
            if let PayloadUnit::Bundle { legs, bundle, .. } = placed {
                let legs = List::new(legs.clone()).expect("a bundle has at most as many legs");
                let Bundle { promise, expiry, salt, .. } = *bundle;
                directory.push(DirectoryRow { unit, promise, expiry, salt, legs });
            }
        }
        let promises = promises(&directory);
        if promises > PAYLOAD_PROMISES_MAX {
            return Err(PayloadTooLarge::Promises(promises));
        }
        let directory = List::new(directory).map_err(|long| PayloadTooLarge::Entries(long.actual))?;
        if count > PAYLOAD_ENTRIES_MAX {
            return Err(PayloadTooLarge::Entries(count));
        }
        let section = |(rollup, entries)| {
            let entries = List::new(entries).expect("fewer than all entries, which were counted");
            Section { rollup, entries }
        };
        let sections = List::new(sections.into_iter().map(section).collect())
            .map_err(|long| PayloadTooLarge::Sections(long.actual))?;
        let layout = Layout { salt: self.salt, directory, sections };
        if layout.encode_size() > PAYLOAD_BYTES_MAX {
            return Err(PayloadTooLarge::Bytes(layout.encode_size()));
        }
        Ok(layout.encode())
    }

    /// The public description: what may be known before the payload is opened.
    fn describe(&self, length: usize) -> Manifest {
        let length = u32::try_from(length).expect("payloads are at most 8 MiB");
        let ids = self.units.iter().flat_map(PayloadUnit::transaction_ids);
        Manifest::new(length, self.root(), &self.salt, ids, self.rollups())
    }

    /// Per rollup, how many entries and how many bytes of data.
    fn rollups(&self) -> BTreeMap<RollupId, (u32, u32)> {
        let mut rollups: BTreeMap<RollupId, (u32, u32)> = BTreeMap::new();
        for transaction in self.units.iter().flat_map(PayloadUnit::transactions) {
            let (entries, bytes) = rollups.entry(transaction.rollup).or_default();
            *entries += 1;
            *bytes += u32::try_from(transaction.data.len()).expect("a transaction is at most 128 KiB");
        }
        rollups
    }

    /// The blinded root: H(salt, per rollup in order: rollup, entries, H(unit index, leg, transaction id of each entry)).
    ///
    /// It binds everything in the payload: ids bind data, and the directory follows from units, legs, bundle ids and
    /// payers' signatures, which are hashed in as well.
    fn root(&self) -> Digest {
        let mut sections: BTreeMap<RollupId, (u32, Vec<u8>)> = BTreeMap::new();
        let mut bundles = Vec::new();
        for (unit, placed) in (0u32..).zip(&self.units) {
            let is_bundle = matches!(placed, PayloadUnit::Bundle { .. });
            let transactions = placed.transactions().iter().zip(placed.transaction_ids());
            for (position, (transaction, id)) in (1u8..).zip(transactions) {
                let (count, entries) = sections.entry(transaction.rollup).or_default();
                *count += 1;
                entries.extend_from_slice(&unit.to_be_bytes());
                entries.push(if is_bundle { position } else { 0 });
                entries.extend_from_slice(id.as_ref());
            }
            if let PayloadUnit::Bundle { id, bundle, .. } = placed {
                bundles.extend_from_slice(&unit.to_be_bytes());
                bundles.extend_from_slice(id.as_ref());
                // The one thing in a bundle that its id does not bind. Its length follows from what the id binds.
                if let Promise::Execution(PaidExecution { signature, .. }) = &bundle.promise {
                    bundles.extend_from_slice(&signature.0);
                }
            }
        }
        let mut leaves = Vec::with_capacity(sections.len() * 44);
        for (rollup, (count, entries)) in sections {
            leaves.extend_from_slice(&rollup.0.to_be_bytes());
            leaves.extend_from_slice(&count.to_be_bytes());
            leaves.extend_from_slice(&tagged_hash("chorale/payload-section/v1", &[&entries]));
        }
        let bundles = tagged_hash("chorale/payload-directory/v1", &[&bundles]);
        tagged_hash("chorale/payload/v1", &[&self.salt, &bundles, &leaves])
    }
}

/// Restores the units of a decoded layout, every byte accounted for.
fn assemble(layout: Layout) -> Result<Vec<PayloadUnit>, MalformedPayload> {
    let directory = directory(&layout)?;
    // Each section is bounded by itself; manifests hold as many short ids as a payload has entries in all.
    if layout.sections.iter().map(|section| section.entries.len()).sum::<usize>() > PAYLOAD_ENTRIES_MAX {
        return Err(MalformedPayload::Encoding("more entries than every payload"));
    }
    let singles = layout.sections.iter().flat_map(|section| section.entries.iter()).filter(|entry| entry.leg == 0);
    let count = singles.count() + directory.len();
    // By unit index. As many as there are entries at most, which were read.
    let mut singles: Vec<Option<PayloadUnit>> = vec![None; count];
    let mut legs: BTreeMap<u32, Vec<Option<Transaction>>> =
        directory.iter().map(|(unit, row)| (*unit, vec![None; row.legs.len()])).collect();
    let mut last_rollup = None;
    for section in layout.sections.into_vec() {
        let rollup = section.rollup;
        if last_rollup >= Some(rollup) || section.entries.is_empty() {
            return Err(MalformedPayload::Section(rollup));
        }
        last_rollup = Some(rollup);
        let mut last = None;
        for (position, Entry { unit, leg, data }) in section.entries.into_vec().into_iter().enumerate() {
            if last >= Some((unit, leg)) {
                return Err(MalformedPayload::Entry { rollup, entry: position });
            }
            last = Some((unit, leg));
            let transaction = Transaction { rollup, data };
            let Some(leg) = leg.checked_sub(1) else {
                let single = PayloadUnit::new(Unit::Transaction(transaction));
                match singles.get_mut(unit as usize) {
                    Some(place) if place.is_none() && !legs.contains_key(&unit) => *place = Some(single),
                    Some(_) => return Err(MalformedPayload::Unit { unit }),
                    // Then one of those below is missing, and named.
                    None => {}
                }
                continue;
            };
            let place = legs.get_mut(&unit).and_then(|legs| legs.get_mut(usize::from(leg)));
            match place {
                Some(place) if place.is_none() => *place = Some(transaction),
                _ => return Err(MalformedPayload::Leg { unit }),
            }
        }
    }
    (0u32..)
        .zip(singles)
        .map(|(unit, single)| match (single, legs.remove(&unit)) {
            (Some(single), None) => Ok(single),
            (None, Some(legs)) => bundle(unit, &directory[&unit], legs),
            _ => Err(MalformedPayload::Unit { unit }),
        })
        .collect()
}

/// How many bundles execute as a whole.
fn promises(directory: &[DirectoryRow]) -> usize {
    directory.iter().filter(|row| row.promise != Promise::Inclusion).count()
}

fn directory(layout: &Layout) -> Result<BTreeMap<u32, DirectoryRow>, MalformedPayload> {
    if promises(&layout.directory) > PAYLOAD_PROMISES_MAX {
        return Err(MalformedPayload::Encoding("more bundles that execute as a whole than every payload"));
    }
    let mut rows = BTreeMap::new();
    let mut last = None;
    for (position, row) in layout.directory.iter().enumerate() {
        if last >= Some(row.unit) || row.legs.is_empty() {
            return Err(MalformedPayload::Directory(position));
        }
        last = Some(row.unit);
        rows.insert(row.unit, row.clone());
    }
    Ok(rows)
}

fn bundle(unit: u32, row: &DirectoryRow, legs: Vec<Option<Transaction>>) -> Result<PayloadUnit, MalformedPayload> {
    let legs: Option<Vec<Transaction>> = legs.into_iter().collect();
    let legs = legs.ok_or(MalformedPayload::LegMissing { unit })?;
    let legs = List::new(legs).expect("as many as the directory names");
    let bundle = Bundle { promise: row.promise, legs, expiry: row.expiry, salt: row.salt };
    let placed = PayloadUnit::new(Unit::Bundle(bundle));
    if placed.transaction_ids() != &row.legs[..] {
        return Err(MalformedPayload::Leg { unit });
    }
    Ok(placed)
}

/// Errors of the codec as a text that is the same for everybody.
const fn reason(error: &Error) -> &'static str {
    match error {
        Error::EndOfBuffer => "it ends too early",
        Error::ExtraData(_) => "bytes follow its end",
        Error::InvalidLength(_) => "a length is above its bound",
        Error::InvalidEnum(_) => "an unknown tag or version",
        _ => "a value that its type forbids",
    }
}
