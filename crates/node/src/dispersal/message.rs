//! What nodes say to each other about sealed payloads, on the mesh's channel for chunks.
//!
//! | tag | message | from, to | meaning |
//! | --- | --- | --- | --- |
//! | 0 | [`Disperse`] | builder, validator | here are your chunks; store and acknowledge them |
//! | 1 | [`Acknowledge`] | validator, builder | they are on my disk |
//! | 2 | [`Refuse`] | validator, builder | I do not take them |
//! | 3 | [`ValidatorChunks`] | validator, anybody | my chunks of an ordered payload |
//! | 4 | [`Ask`] | anybody, validator | I miss something of an ordered payload |
//! | 5 | [`ManifestOf`] | anybody, anybody | the answer: its manifest |
//! | 6 | [`OpenedPayload`] | anybody, anybody | the answer: what it opened to |
//! | 7 | [`Announce`] | builder, validator | this is what my next payload carries: leave it to me |
//!
//! The mesh authenticates who sent a message, so none carries its sender. Chunks of a payload that is not ordered go
//! from its builder to the validator that keeps them, and to nobody else.

use super::custody::Refusal;
use chorale_dispersal::{Opened, ValidatorChunks};
use chorale_foundation::BufMut;
use chorale_types::{
    Acknowledged, Commitment, Epoch, Height, Manifest, Signature, View,
    codec::{Blob, Buf, EncodeSize, Error, Read, ReadExt, Write},
    codec_enum, codec_struct,
    limits::PAYLOAD_BYTES_MAX,
};

/// A message on the channel for chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A builder's chunks for one validator.
    Disperse(Disperse),
    /// The validator has stored them.
    Acknowledge(Acknowledge),
    /// The validator does not take them.
    Refuse(Refuse),
    /// The sender's own chunks of a payload that is ordered.
    Release(ValidatorChunks),
    /// Asks for a part of an ordered payload.
    Ask(Ask),
    /// Answers [`Wants::Manifest`].
    Manifest(ManifestOf),
    /// Answers [`Wants::Payload`], or [`Wants::Chunks`] when the chunks are gone already.
    Opened(OpenedPayload),
    /// What a builder is about to disperse.
    Announce(Announce),
}
codec_enum!(Message {
    0 => Disperse,
    1 => Acknowledge,
    2 => Refuse,
    3 => Release,
    4 => Ask,
    5 => Manifest,
    6 => Opened,
    7 => Announce,
});

impl Message {
    /// Whether the message goes before others on its connection: the short ones that somebody waits for, and no chunks.
    #[must_use]
    pub const fn is_urgent(&self) -> bool {
        matches!(self, Self::Acknowledge(_) | Self::Refuse(_) | Self::Ask(_) | Self::Announce(_))
    }
}

/// What a builder has selected for its next payload, before it is sealed and spread. Those who select next leave it out,
/// or they would order it again. Nothing holds the builder to it, and nothing but the selection of others depends on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The epoch.
    pub epoch: Epoch,
    /// The view whose header shall reference the payload. The builder leads it.
    pub target: View,
    /// The payload's manifest.
    pub manifest: Manifest,
}
codec_struct!(Announce { epoch, target, manifest });

/// A builder sends a validator its chunks of a sealed payload, before the payload is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disperse {
    /// The epoch whose validators it is sealed for.
    pub epoch: Epoch,
    /// What is public of its content.
    pub manifest: Manifest,
    /// The validator's chunks.
    pub chunks: ValidatorChunks,
}
codec_struct!(Disperse { epoch, manifest, chunks });

impl Disperse {
    /// What the validator is to acknowledge. Hashes the manifest.
    #[must_use]
    pub fn acknowledged(&self) -> Acknowledged {
        let reference = self.chunks.reference;
        Acknowledged {
            builder: reference.builder,
            commitment: reference.commitment,
            length: reference.length,
            manifest: self.manifest.digest(),
            expiry: reference.expiry,
        }
    }
}

/// A validator has its chunks on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledge {
    /// Which payload.
    pub commitment: Commitment,
    /// Over [`Statement::Acknowledgement`](chorale_types::Statement::Acknowledgement), in the epoch of the payload.
    pub signature: Signature,
}
codec_struct!(Acknowledge { commitment, signature });

/// A validator does not take its chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refuse {
    /// Which payload.
    pub commitment: Commitment,
    /// Why.
    pub reason: RefusedFor,
}
codec_struct!(Refuse { commitment, reason });

/// The kinds of [`Refusal`] on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedFor {
    /// The epoch is not the validator's.
    Epoch,
    /// It expires too early or too late.
    Expiry,
    /// It is too long.
    Length,
    /// It was acknowledged with another manifest or expiry.
    Conflict,
    /// The builder has used up its part of the validator's storage.
    Storage,
}

const REASONS: [RefusedFor; 5] =
    [RefusedFor::Epoch, RefusedFor::Expiry, RefusedFor::Length, RefusedFor::Conflict, RefusedFor::Storage];

impl From<Refusal> for RefusedFor {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Epoch { .. } => Self::Epoch,
            Refusal::Expiry { .. } => Self::Expiry,
            Refusal::Length { .. } => Self::Length,
            Refusal::Conflict => Self::Conflict,
            Refusal::PerView | Refusal::Storage { .. } => Self::Storage,
        }
    }
}

impl Write for RefusedFor {
    fn write(&self, buf: &mut impl BufMut) {
        buf.put_u8(match self {
            Self::Epoch => 0,
            Self::Expiry => 1,
            Self::Length => 2,
            Self::Conflict => 3,
            Self::Storage => 4,
        });
    }
}

impl EncodeSize for RefusedFor {
    fn encode_size(&self) -> usize {
        1
    }
}

impl Read for RefusedFor {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        let tag = u8::read(buf)?;
        REASONS.get(usize::from(tag)).copied().ok_or(Error::InvalidEnum(tag))
    }
}

/// Asks for a part of a payload that a committed header references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The height of the header.
    pub height: Height,
    /// The payload.
    pub commitment: Commitment,
    /// What is missed.
    pub wants: Wants,
}
codec_struct!(Ask { height, commitment, wants });

/// What is missed of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wants {
    /// The chunks of whoever is asked.
    Chunks,
    /// The manifest.
    Manifest,
    /// All of it, opened.
    Payload,
}

impl Write for Wants {
    fn write(&self, buf: &mut impl BufMut) {
        buf.put_u8(match self {
            Self::Chunks => 0,
            Self::Manifest => 1,
            Self::Payload => 2,
        });
    }
}

impl EncodeSize for Wants {
    fn encode_size(&self) -> usize {
        1
    }
}

impl Read for Wants {
    type Cfg = ();

    fn read_cfg(buf: &mut impl Buf, (): &()) -> Result<Self, Error> {
        match u8::read(buf)? {
            0 => Ok(Self::Chunks),
            1 => Ok(Self::Manifest),
            2 => Ok(Self::Payload),
            tag => Err(Error::InvalidEnum(tag)),
        }
    }
}

/// A payload's manifest, for who misses it. Checked against the hash in the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestOf {
    /// Which payload.
    pub commitment: Commitment,
    /// Its manifest.
    pub manifest: Manifest,
}
codec_struct!(ManifestOf { commitment, manifest });

/// What a payload opened to, for who comes late. Checked by sealing it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedPayload {
    /// Which payload.
    pub commitment: Commitment,
    /// Its manifest.
    pub manifest: Manifest,
    /// The key it was sealed with.
    pub key: [u8; 32],
    /// Its bytes.
    pub payload: Blob<PAYLOAD_BYTES_MAX>,
}
codec_struct!(OpenedPayload { commitment, manifest, key, payload });

impl OpenedPayload {
    /// What a payload opened to.
    #[must_use]
    pub fn new(commitment: Commitment, manifest: Manifest, opened: Opened) -> Self {
        let payload = Blob::new(opened.payload).expect("what opens is within the limit of a payload");
        Self { commitment, manifest, key: opened.key, payload }
    }

    /// The payload and key alone.
    #[must_use]
    pub fn opened(&self) -> Opened {
        Opened { payload: self.payload.bytes().clone(), key: self.key }
    }
}

/// Bytes of the longest message where no payload is longer than `payload_bytes_max`: all chunks for one validator, with
/// manifest and proof.
#[must_use]
pub const fn message_bytes_max(payload_bytes_max: u32) -> usize {
    // A manifest has 8 bytes for every transaction, and no transaction takes fewer in the payload.
    4 * (payload_bytes_max as usize + 32) + 256 * 1024
}
