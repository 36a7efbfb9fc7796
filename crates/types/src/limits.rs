//! The absolute bounds of the formats. A genesis may set lower ones; what is above these does not decode.

/// Validators of one epoch.
pub const VALIDATORS_MAX: usize = 1024;
/// Sum of the validators' integer weights, and so the number of chunks of a payload.
pub const WEIGHT_TOTAL_MAX: u16 = 1024;
/// Bytes of one transaction's data.
pub const TRANSACTION_BYTES_MAX: usize = 128 * 1024;
/// Legs of one bundle.
pub const BUNDLE_LEGS_MAX: usize = 16;
/// Bytes of a payload before sealing.
pub const PAYLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Entries of a payload over all sections.
pub const PAYLOAD_ENTRIES_MAX: usize = 128 * 1024;
/// Bundles of one payload that are promised to execute as a whole: each has a signature that everybody checks.
pub const PAYLOAD_PROMISES_MAX: usize = 4_096;
/// Bundles of one block that are executed as a whole: those of all heights of a second, which are a millisecond apart.
pub const EXECUTED_BUNDLES_MAX: usize = 1_000 * HEADER_PAYLOADS_MAX * PAYLOAD_PROMISES_MAX;
/// Rollups with content in one payload.
pub const PAYLOAD_SECTIONS_MAX: usize = 4096;
/// Payloads that one header references.
pub const HEADER_PAYLOADS_MAX: usize = 2;
/// Items of one lane: all entries of the payloads of one header.
pub const LANE_ITEMS_MAX: usize = HEADER_PAYLOADS_MAX * PAYLOAD_ENTRIES_MAX;
/// Bytes of data of one lane.
pub const LANE_BYTES_MAX: usize = HEADER_PAYLOADS_MAX * PAYLOAD_BYTES_MAX;
/// Rollups of a chain.
pub const ROLLUPS_MAX: usize = 65_536;
/// Rollups that are executed together: every node of a domain runs all of it.
pub const DOMAIN_ROLLUPS_MAX: usize = 8;
/// Domains of a chain.
pub const DOMAINS_MAX: usize = 64;
/// Heights by which the attestations of a domain may lag behind what it was given, at most.
pub const ATTESTATION_LAG_HEIGHTS_MAX: u64 = 16_384;
/// Heights between the one that orders a bundle and its expiry. Ids of ordered bundles are remembered that long, so
/// that none is ordered twice.
pub const BUNDLE_LIFETIME_HEIGHTS_MAX: u64 = 16_384;
/// Heights for which ordered transactions are remembered so that repeats are left out.
pub const DEDUP_WINDOW_HEIGHTS_MAX: u64 = 65_536;
